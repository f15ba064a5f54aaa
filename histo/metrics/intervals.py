"""Confidence intervals of proportions, counts and mean grades."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = [
    "bootstrap_intervals",
    "mean_interval",
    "poisson_interval",
    "ratio_interval",
    "wilson_interval",
]

Interval = tuple[float, float]

_NONE: Interval = (math.nan, math.nan)


def wilson_interval(successes: float, total: float, *, confidence: float = 0.95) -> Interval:
    """Return Wilson's score interval of a proportion.

    Parameters
    ----------
    successes, total : float
        Need not be whole: effective sample sizes are not.
    confidence : float
        Coverage, between 0 and 1.

    Returns
    -------
    low, high : float
        Within 0 ... 1; NaN when ``total`` is 0.

    Raises
    ------
    ValueError
        If ``0 <= successes <= total`` does not hold, or the coverage is out of range.

    References
    ----------
    Wilson (1927), JASA 22:209. Brown, Cai, DasGupta (2001), Stat. Sci. 16:101.

    Examples
    --------
    >>> low, high = wilson_interval(8, 10)
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)
    """
    if not 0 <= successes <= total:
        raise ValueError(f"0 <= successes <= total must hold, got {successes} of {total}.")
    z = _z(confidence)
    if total == 0:
        return _NONE
    share = successes / total
    middle = share + z * z / (2 * total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # The bounds of 0 and of all are exact; rounding would leave them a hair off.
    low = 0.0 if successes == 0 else max(0.0, (middle - half) / scale)
    high = 1.0 if successes == total else min(1.0, (middle + half) / scale)
    return low, high


def poisson_interval(count: float, *, confidence: float = 0.95) -> Interval:
    """Return Garwood's exact interval of the mean of a Poisson count.

    Parameters
    ----------
    count : float
        Events seen.
    confidence : float

    Returns
    -------
    low, high : float

    Raises
    ------
    ValueError
        If the count is negative or the coverage is out of range.

    References
    ----------
    Garwood (1936), Biometrika 28:437.

    Examples
    --------
    >>> low, high = poisson_interval(10)
    >>> round(low, 3), round(high, 3)
    (4.795, 18.39)
    """
    if not count >= 0:
        raise ValueError(f"count must be >= 0, got {count}.")
    tail = (1 - _checked(confidence)) / 2
    # The chi-square quantiles of Garwood's formula are twice those of the gamma distribution.
    low = float(special.gammaincinv(count, tail)) if count > 0 else 0.0
    return low, float(special.gammainccinv(count + 1, tail))


def mean_interval(
    total: float, total_of_squares: float, n: int, *, largest: float, confidence: float = 0.95
) -> Interval:
    """Return an interval of the mean of n values between 0 and a largest one.

    Wilson's interval of ``mean / largest``, with the sample size at which a
    proportion would vary as the values do. Unlike the normal interval it stays
    within the range and is not empty when all values are equal.

    Parameters
    ----------
    total, total_of_squares : float
        Sum of the values, and of their squares.
    n : int
    largest : float
        The largest possible value.
    confidence : float

    Returns
    -------
    low, high : float
        NaN when n is 0.

    Raises
    ------
    ValueError
        If the sums cannot come from such values.

    References
    ----------
    Wilson (1927), JASA 22:209; Korn, Graubard (1998), Surv. Methodol. 24:193 (effective
    sample size in intervals of proportions).

    Examples
    --------
    For values of 0 and the largest one it is Wilson's interval:

    >>> low, high = mean_interval(3 * 8, 9 * 8, 10, largest=3)
    >>> round(low / 3, 3), round(high / 3, 3)
    (0.49, 0.943)
    """
    if n == 0:
        _checked(confidence)
        return _NONE
    share = total / n / largest
    if not -1e-9 <= share <= 1 + 1e-9:
        raise ValueError(f"the mean {total / n:g} is not within 0 ... {largest:g}.")
    share = min(max(share, 0.0), 1.0)
    variance = max(total_of_squares / n / largest**2 - share**2, 0.0)
    effective = n * share * (1 - share) / variance if variance > 1e-12 else float(n)
    low, high = wilson_interval(share * effective, effective, confidence=confidence)
    return largest * low, largest * high


def ratio_interval(
    share: float, variance: float, *, fallback_n: float, confidence: float = 0.95
) -> Interval:
    """Return an interval of a share of a sum, from its linearised variance.

    Parameters
    ----------
    share : float
        Between 0 and 1; NaN gives NaN.
    variance : float
        Variance of the share by the delta method.
    fallback_n : float
        The sample size where the variance is 0.
    confidence : float

    Returns
    -------
    low, high : float

    References
    ----------
    Cochran (1977), Sampling Techniques, 3rd ed., 6.4 (variance of a ratio); Korn, Graubard
    (1998), Surv. Methodol. 24:193.

    Examples
    --------
    >>> ratio_interval(0.8, 0.016, fallback_n=10) == wilson_interval(8, 10)
    True
    """
    if math.isnan(share):
        return _NONE
    n = share * (1 - share) / variance if variance > 0 else fallback_n
    # One decisive cell can make the linearised variance exceed that of a single yes or no.
    n = round(max(n, 1.0), 9)
    return wilson_interval(share * n, n, confidence=confidence)


def bootstrap_intervals(
    statistics: Callable[[npt.NDArray[np.intp]], Sequence[float]],
    n: int,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Interval]:
    """Return percentile bootstrap intervals of statistics of n units.

    Parameters
    ----------
    statistics : callable
        Takes intp (n,), the units drawn (with replacement), and returns one number or several
        about them; NaN where one is not defined.
    n : int
        Number of units: what is exchangeable, such as images, not cells.
    confidence : float
    resamples : int
        How often units are drawn.
    seed : int
        The same seed draws the same units.

    Returns
    -------
    list of (float, float)
        Low and high of each statistic; NaN when it is undefined for more than 5 % of the draws.

    Raises
    ------
    ValueError
        If the coverage is out of range, or there is no unit.

    References
    ----------
    Efron, Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

    Examples
    --------
    >>> values = np.array([0.7, 0.8, 0.8, 0.9, 0.8])
    >>> ((low, high),) = bootstrap_intervals(lambda drawn: [values[drawn].mean()], 5)
    >>> round(low, 2), round(high, 2)
    (0.74, 0.86)
    """
    tail = (1 - _checked(confidence)) / 2
    if n < 1:
        raise ValueError(f"n must be 1 or more, got {n}.")
    drawn = np.random.default_rng(seed).integers(0, n, size=(resamples, n))
    intervals = []
    for values in np.array([statistics(units) for units in drawn], float).T:
        defined = values[np.isfinite(values)]
        enough = len(defined) >= 0.95 * resamples
        low, high = np.quantile(defined, [tail, 1 - tail]) if enough else _NONE
        intervals.append((float(low), float(high)))
    return intervals


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}.")
    return confidence


def _z(confidence: float) -> float:
    return float(special.ndtri((1 + _checked(confidence)) / 2))
