"""How well two readers, or a reader and a program, agree beyond chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["Estimate", "cohens_kappa", "icc_agreement"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its interval.

    Parameters
    ----------
    value, low, high : float
        NaN where it is not defined.

    Examples
    --------
    >>> Estimate(0.8, 0.7, 0.9).high
    0.9
    """

    value: float
    low: float = math.nan
    high: float = math.nan


def icc_agreement(ratings: npt.ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Return ICC(2,1): absolute agreement of single ratings, raters taken as drawn at random.

    1 when all raters give each target the same number. A rater who counts more than the others
    throughout lowers it, unlike the consistency ICC(3,1) and Pearson's correlation.

    Parameters
    ----------
    ratings : float (n, k)
        One row a target (field, slide), one column a rater.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Estimate
        NaN for fewer than two targets, or where the ratings do not vary at all.

    Raises
    ------
    ValueError
        If there are fewer than two raters, or a rating is missing.

    References
    ----------
    Shrout, Fleiss, Intraclass correlations: uses in assessing rater reliability, Psychol Bull
    86:420 (1979), ICC(2,1). McGraw, Wong, Psychol Methods 1:30 (1996), ICC(A,1) and its
    interval with Satterthwaite's degrees of freedom (table 7).

    Examples
    --------
    The six targets and four judges of Shrout and Fleiss:

    >>> judges = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8],
    ...           [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    >>> round(icc_agreement(judges).value, 2)
    0.29
    """
    x = np.asarray(ratings, np.float64)
    if x.ndim != 2 or x.shape[1] < 2:
        raise ValueError(
            f"ratings must be (targets, raters) of two raters at least, got {x.shape}."
        )
    if not np.isfinite(x).all():
        raise ValueError("a rating is missing; leave out targets that a rater has not rated.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}.")
    n, k = x.shape
    if n < 2 or np.ptp(x) == 0:
        return Estimate(math.nan, math.nan, math.nan)
    targets, raters, rest = _mean_squares(x)
    value = (targets - rest) / (targets + (k - 1) * rest + k * (raters - rest) / n)
    if 1 - value < 1e-12:
        return Estimate(1.0, 1.0, 1.0)
    a, b = k * value / (n * (1 - value)), 1 + k * value * (n - 1) / (n * (1 - value))
    squares = (a * raters) ** 2 / (k - 1) + (b * rest) ** 2 / ((n - 1) * (k - 1))
    if squares == 0:
        return Estimate(value)
    freedom = (a * raters + b * rest) ** 2 / squares
    tail = (1 + confidence) / 2
    far, near = special.fdtri(n - 1, freedom, tail), special.fdtri(freedom, n - 1, tail)
    between = k * raters + (k * n - k - n) * rest
    low = n * (targets - far * rest) / (far * between + n * targets)
    high = n * (near * targets - rest) / (between + n * near * targets)
    return Estimate(float(value), float(max(low, -1.0)), float(min(high, 1.0)))


def _mean_squares(x: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean squares of targets, of raters and of the rest (two-way, one rating each)."""
    n, k = x.shape
    middle, rows, columns = x.mean(), x.mean(axis=1), x.mean(axis=0)
    rest = x - rows[:, None] - columns + middle
    left = float((rest**2).sum()) / ((n - 1) * (k - 1))
    # What is left of rounding must not look like a rater's error.
    left = 0.0 if left < 1e-12 * float(((x - middle) ** 2).sum()) else left
    return (
        float(k * ((rows - middle) ** 2).sum() / (n - 1)),
        float(n * ((columns - middle) ** 2).sum() / (k - 1)),
        left,
    )


def cohens_kappa(table: npt.ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Return Cohen's kappa of two raters who put the same cells into classes.

    Parameters
    ----------
    table : int (c, c)
        How many cells the first rater (row) and the second (column) put into each class.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Estimate
        1 is full agreement, 0 what chance gives. NaN without cells, or when both raters have
        put all into one class. The interval takes cells as independent.

    Raises
    ------
    ValueError
        If it is no square table of counts.

    References
    ----------
    Cohen, A coefficient of agreement for nominal scales, Educ Psychol Meas 20:37 (1960).
    Fleiss, Cohen, Everitt, Large sample standard errors of kappa, Psychol Bull 72:323 (1969).

    Examples
    --------
    >>> round(cohens_kappa([[20, 5], [10, 15]]).value, 3)
    0.4
    """
    counts = np.asarray(table, np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.shape[0] < 2:
        raise ValueError(f"the table must be square with two classes or more, got {counts.shape}.")
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ValueError("the table must hold counts of 0 or more.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}.")
    n = counts.sum()
    p = counts / n if n else counts
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    chance = float(rows @ columns)
    if n == 0 or 1 - chance < 1e-12:
        return Estimate(math.nan, math.nan, math.nan)
    value = (float(np.trace(p)) - chance) / (1 - chance)
    off = 1 - value
    agreed = float((np.diag(p) * (1 - (rows + columns) * off) ** 2).sum())
    # p[i, j] with the other rater's share of class i, and the first's of class j.
    crossed = (columns[:, None] + rows[None, :]) ** 2 * p
    crossed_sum = float(crossed.sum() - np.trace(crossed)) * off**2
    variance = (agreed + crossed_sum - (value - chance * off) ** 2) / (n * (1 - chance) ** 2)
    reach = float(special.ndtri((1 + confidence) / 2)) * math.sqrt(max(float(variance), 0.0))
    return Estimate(value, max(value - reach, -1.0), min(value + reach, 1.0))
