"""Totals of a slide from fields that were drawn by strata."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from histo.metrics.reliability import Estimate

__all__ = ["stratified_ratio", "stratified_total"]

Floats = npt.NDArray[np.float64]


def stratified_total(
    counts: npt.ArrayLike,
    strata: npt.ArrayLike,
    sizes: Sequence[int],
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the sum over all fields of a slide from some that were drawn at random by strata.

    Each field stands for as many as its stratum has fields for each that was drawn.

    Parameters
    ----------
    counts : float (n,)
        What was counted in each drawn field.
    strata : int (n,)
        Stratum of each, from 0.
    sizes : sequence of int
        Number of fields in each stratum, drawn or not.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    Estimate
        NaN where a stratum with fields has none drawn; no interval where one has a single one
        drawn of several.

    Raises
    ------
    ValueError
        If the lengths differ, or more fields are drawn than there are.

    References
    ----------
    Cochran, Sampling Techniques, 3rd ed. (1977), 5.3-5.4, with the finite population correction
    and Satterthwaite's degrees of freedom (5.16).

    Examples
    --------
    >>> total = stratified_total([0, 0, 10, 14], [0, 0, 1, 1], [50, 4])
    >>> total.value
    48.0
    """
    values, groups, weights = _checked(counts, strata, sizes)
    total = _weighted(values, groups, weights)
    return _with_interval(total, values, groups, sizes=sizes, confidence=confidence)


def stratified_ratio(
    over: npt.ArrayLike,
    under: npt.ArrayLike,
    strata: npt.ArrayLike,
    sizes: Sequence[int],
    *,
    confidence: float = 0.95,
) -> Estimate:
    """Estimate the ratio of two sums over all fields of a slide, such as found over true cells.

    Parameters
    ----------
    over, under : float (n,)
        The two counts of each drawn field.
    strata : int (n,)
        Stratum of each, from 0.
    sizes : sequence of int
        Number of fields in each stratum.
    confidence : float

    Returns
    -------
    Estimate
        NaN where the sum below is 0.

    Raises
    ------
    ValueError
        As `stratified_total`.

    References
    ----------
    Cochran, Sampling Techniques, 3rd ed. (1977), 6.11: the combined ratio estimate.

    Examples
    --------
    >>> stratified_ratio([9, 18], [10, 20], [0, 0], [10]).value
    0.9
    """
    above, groups, weights = _checked(over, strata, sizes)
    below, _, _ = _checked(under, strata, sizes)
    base = _weighted(below, groups, weights)
    if not base > 0:
        return Estimate(math.nan, math.nan, math.nan)
    ratio = _weighted(above, groups, weights) / base
    left = _with_interval(0.0, above - ratio * below, groups, sizes=sizes, confidence=confidence)
    return Estimate(ratio, ratio + left.low / base, ratio + left.high / base)


def _checked(
    counts: npt.ArrayLike, strata: npt.ArrayLike, sizes: Sequence[int]
) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """Return counts, strata, and how many fields a drawn one of each stratum stands for."""
    values, groups = np.asarray(counts, np.float64), np.asarray(strata, np.int64)
    if values.shape != groups.shape or values.ndim != 1:
        raise ValueError(f"one stratum a count is needed, got {values.shape} and {groups.shape}.")
    if len(groups) and not 0 <= int(groups.min()) <= int(groups.max()) < len(sizes):
        raise ValueError(f"strata must be 0 ... {len(sizes) - 1}.")
    drawn, there = np.bincount(groups, minlength=len(sizes)), np.asarray(sizes, np.float64)
    if (drawn > there).any():
        raise ValueError(f"more fields were drawn ({drawn.tolist()}) than there are ({sizes}).")
    weights = np.divide(there, drawn, out=np.full(len(there), np.nan), where=drawn > 0)
    weights[there == 0] = 0.0
    return values, groups, weights


def _weighted(values: Floats, groups: npt.NDArray[np.int64], weights: Floats) -> float:
    if np.isnan(weights).any():
        return math.nan
    return float((values * weights[groups]).sum())


def _with_interval(
    total: float,
    values: Floats,
    groups: npt.NDArray[np.int64],
    *,
    sizes: Sequence[int],
    confidence: float,
) -> Estimate:
    """Put Student's interval around a total."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}.")
    parts, squares = [], 0.0
    for stratum, size in enumerate(sizes):
        own = values[groups == stratum]
        if len(own) == size:
            continue
        if len(own) < 2:
            return Estimate(total)
        parts.append(size * (size - len(own)) * float(own.var(ddof=1)) / len(own))
        squares += parts[-1] ** 2 / (len(own) - 1)
    if not parts:  # every field was drawn
        return Estimate(total, total, total)
    if squares == 0:  # fields without any spread: how far off they are cannot be said
        return Estimate(total)
    # Satterthwaite's: mostly one stratum makes the error, and only its fields tell how large.
    freedom = sum(parts) ** 2 / squares
    reach = float(special.stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(sum(parts))
    return Estimate(total, total - reach, total + reach)
