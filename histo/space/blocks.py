"""How much a figure varies when blocks of tissue, not cells, are what is independent."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

from histo.metrics import wilson_interval
from histo.space.window import checked_points

__all__ = [
    "BLOCK_SIDES_UM",
    "MIN_BLOCKS",
    "MIN_CELLS",
    "block_numbers",
    "block_variance",
    "share_interval",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BLOCK_SIDES_UM: tuple[float, ...] = (250.0, 500.0, 1000.0)
"""Blocks must be larger than what clusters; which side that takes is not known beforehand."""
MIN_BLOCKS = 6
"""With fewer blocks that hold cells, their variance says nothing."""
MIN_CELLS = 10
"""With fewer cells in the denominator there is no interval."""


def block_numbers(points_um: npt.ArrayLike, side_um: float) -> Ints:
    """Return the number of the square block that each point lies in.

    Parameters
    ----------
    points_um : float (N, 2)
        y, x.
    side_um : float

    Returns
    -------
    int64 (N,)
        0, 1, ... without gaps.

    Raises
    ------
    ValueError
        If the side is not above 0.

    Examples
    --------
    >>> block_numbers([[0, 10], [0, 90], [5, 60]], 50)
    array([0, 1, 1])
    """
    if not side_um > 0:
        raise ValueError(f"side_um must be > 0, got {side_um}.")
    points = checked_points(points_um)
    if not len(points):
        return np.zeros(0, np.int64)
    at = np.floor((points - points.min(axis=0)) / side_um).astype(np.int64)
    number = at[:, 0] * (at[:, 1].max() + 1) + at[:, 1]
    return np.unique(number, return_inverse=True)[1].astype(np.int64)


def block_variance(
    points_um: npt.ArrayLike,
    sums_in: Callable[[Ints, int], Floats],
    statistic: Callable[[Floats], Floats],
    *,
    resamples: int = 999,
    seed: int = 0,
) -> tuple[Floats, float]:
    """Return the variance of statistics under a bootstrap of blocks of tissue.

    Blocks are drawn with replacement, with all their cells. A block that cuts through clusters
    makes the variance too small, so it is computed with several sides and the largest is kept.

    Parameters
    ----------
    points_um : float (N, 2)
        y, x of the cells.
    sums_in : callable
        Takes int64 (N,), each cell's block, and the number of blocks T; returns float64 (T, K).
    statistic : callable
        Takes sums over drawn blocks, float64 (B, K), and returns float64 (B, S); NaN where one
        is not defined.
    resamples : int
    seed : int

    Returns
    -------
    variance : float64 (S,)
        NaN where there are too few blocks, or a statistic is undefined for more than 5 % of
        the draws.
    degrees : float
        Degrees of freedom of the variance: blocks of the largest side that was used, weighted
        by their cells, less one. 0 where there are too few blocks.

    References
    ----------
    Lahiri (2003), Resampling Methods for Dependent Data, 12. Kish (1965), Survey Sampling, 8.

    Examples
    --------
    >>> points = np.random.default_rng(0).uniform(0, 3000, (5000, 2))
    >>> has = points[:, 0] < 1500
    >>> def sums_in(block, count):
    ...     return np.stack([np.bincount(block, has, count), np.bincount(block)], axis=1)
    >>> variance, degrees = block_variance(points, sums_in, lambda s: s[:, :1] / s[:, 1:])
    >>> bool(variance[0] > 10 * 0.25 / 5000)
    True
    """
    points = checked_points(points_um)
    generator = np.random.default_rng(seed)
    one = statistic(sums_in(np.zeros(len(points), np.int64), 1))
    largest, degrees = np.full(one.shape[1], np.nan), 0.0
    for side in BLOCK_SIDES_UM:
        block = block_numbers(points, side)
        cells = np.bincount(block).astype(np.float64)
        if cells.size < MIN_BLOCKS:
            continue
        draws = generator.multinomial(
            cells.size, np.full(cells.size, 1 / cells.size), size=resamples
        )
        values = statistic(draws.astype(np.float64) @ sums_in(block, cells.size))
        own = _variance_of_defined(values) * cells.size / (cells.size - 1)
        largest = np.fmax(largest, own)
        degrees = max(float(cells.sum() ** 2 / (cells**2).sum()) - 1, 1.0)
    return largest, degrees


def share_interval(
    share: float, variance: float, *, n: float, degrees: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the interval of a share of cells that are not independent.

    Wilson's interval at the sample size at which independent cells would vary as much, but not
    more than the cells there are, with the quantile of Student's t.

    Parameters
    ----------
    share : float
        0 ... 1; NaN gives NaN.
    variance : float
        Of the share, under :func:`block_variance`; NaN gives NaN.
    n : float
        Cells in the denominator.
    degrees : float
        Of freedom. Where the share is 0 or 1 nothing shows how alike neighbours are, and
        each block counts as a single cell.
    confidence : float

    Returns
    -------
    low, high : float

    References
    ----------
    Korn, Graubard (1998), Surv. Methodol. 24:193.

    Examples
    --------
    >>> low, high = share_interval(0.4, 0.0024, n=1000, degrees=30)
    >>> round(low, 2), round(high, 2)
    (0.31, 0.5)
    """
    if math.isnan(share) or math.isnan(variance) or degrees <= 0:
        return math.nan, math.nan
    share = min(max(share, 0.0), 1.0)
    binomial = share * (1 - share)
    effective = min(binomial / variance, n) if variance > 0 else min(degrees + 1, n)
    z = float(special.ndtri((1 + confidence) / 2))
    t = float(special.stdtrit(degrees, (1 + confidence) / 2))
    # One decisive block can make the variance exceed that of a single yes or no.
    effective = max(effective * (z / t) ** 2, 1e-6)
    return wilson_interval(share * effective, effective, confidence=confidence)


def _variance_of_defined(values: Floats) -> Floats:
    """Return the variance of each column, NaN where more than 5 % of it are undefined."""
    defined = np.isfinite(values)
    enough = defined.mean(axis=0) >= 0.95
    count = np.maximum(defined.sum(axis=0), 2)
    mean = np.where(defined, values, 0).sum(axis=0) / count
    spread = np.where(defined, (values - mean) ** 2, 0).sum(axis=0) / (count - 1)
    return np.where(enough, spread, np.nan)
