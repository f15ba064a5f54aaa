"""Negative and positive cells as populations of one measure: their mode, spread and border."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

__all__ = ["above_spill", "leans_left", "negative_population", "valley"]

Floats = npt.NDArray[np.float64]

MIN_CELLS = 100
"""Fewer cells than this have no mode worth the name."""

_NORMAL_MAD, _NORMAL_IQR = 0.6745, 1.349

_SPILL_SHARE = 0.2
"""What a neighbour spills is a smaller part of a positive cell's signal than this."""

_LEAN = 1.5

_GRID = 512
_DEPTH, _LEAST_CELLS, _LEAST_SHARE, _APART, _SURE = 0.5, 30, 0.05, 2.0, 3.0


def negative_population(ascending: Floats) -> tuple[float, float]:
    """Return mode and standard deviation of the lowest large population.

    Parameters
    ----------
    ascending : float64 (N,)
        Sorted values.

    Returns
    -------
    mode, spread : float
        The middle of the shortest quarter, and the spread of what lies left of it.

    Examples
    --------
    >>> values = np.sort(np.random.default_rng(0).normal(10, 2, 1000))
    >>> mode, spread = negative_population(values)
    >>> abs(mode - 10) < 1 and abs(spread - 2) < 0.7
    True
    """
    mode, spread = _mode_and_left_spread(ascending)
    for _ in range(3):
        below = ascending[: np.searchsorted(ascending, mode - 4 * spread)]
        if spread <= 0 or below.size < max(MIN_CELLS, 0.1 * ascending.size):
            break
        mode, spread = _mode_and_left_spread(below)
    return mode, spread


def _mode_and_left_spread(ascending: Floats) -> tuple[float, float]:
    part = ascending
    for _ in range(2):
        half = (part.size + 1) // 2
        width = part[half - 1 :] - part[: part.size - half + 1]
        start = int(np.argmin(width))
        part = part[start : start + half]
    mode = float(np.median(part))
    left = mode - ascending[: np.searchsorted(ascending, mode, side="right")]
    return mode, float(np.median(left)) / _NORMAL_MAD


def above_spill(ascending: Floats, mode: float, threshold: float) -> float:
    """Raise a threshold until it leaves out what only spills over from positive neighbours.

    Light that is blurred into a neighbour's nucleus is a small part of what a positive cell
    itself shows; when the negative cells vary little, it lies above all of them.

    Parameters
    ----------
    ascending : float64 (N,)
        Sorted values.
    mode : float
        Of the negative cells.
    threshold : float

    Returns
    -------
    float

    Examples
    --------
    >>> round(above_spill(np.array([0.0, 1, 1, 1, 2, 20, 20, 20]), 1.0, 1.5), 6)
    4.8
    """
    for _ in range(8):
        positive = ascending[np.searchsorted(ascending, threshold) :]
        if positive.size == 0:
            break
        raised = mode + _SPILL_SHARE * (float(np.percentile(positive, 75)) - mode)
        if raised <= threshold:
            break
        threshold = raised
    return threshold


def leans_left(ascending: Floats) -> bool:
    """Tell whether the long side of the values lies below their middle.

    Light of the marker, of a neighbour or of the tissue itself only adds to a cell, so that
    negative cells, with or without positive ones, have their long side above. Where it lies
    below by half as much again, the middle is that of positive cells. On two real fields the
    5th percentile lies 0.05 to 0.73 as far from the median as the 95th, in 27 means of nine
    markers; 1.75 to 1.87 as far for a marker that 92 % of the cells carry.

    Parameters
    ----------
    ascending : float64 (N,)
        Values, not compressed.

    Returns
    -------
    bool

    Examples
    --------
    >>> tail = np.random.default_rng(0).exponential(1, 500)
    >>> leans_left(5 + tail), leans_left(20 - tail)
    (False, True)
    """
    low, middle, high = np.percentile(ascending, (5, 50, 95))
    return bool(middle - low > _LEAN * (high - middle))


def valley(ascending: Floats, *, compress: bool = False) -> float | None:
    """Return the border between few negative and many positive cells.

    The place of least density (Gaussian kernels of Silverman's width) between two modes. It
    must be half as deep as the lower of them, by three standard errors of the lower one's
    count, with at least 30 cells and 5 % below it and most of the cells above; else there is none.

    Parameters
    ----------
    ascending : float64 (N,)
        Sorted values.
    compress : bool
        Intensities: on ``log1p(value / tenth percentile)``, whose low end is as wide as the high
        one, and only between modes of which the upper is twice the lower.

    Returns
    -------
    float, or None

    References
    ----------
    Silverman BW. Density Estimation for Statistics and Data Analysis. Chapman and Hall, 1986,
    3.4.2: the width; 6.2: modes counted by kernel estimates.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> few, many = rng.normal(100, 15, 60), rng.normal(900, 200, 540)
    >>> border = valley(np.sort(np.concatenate([few, many])), compress=True)
    >>> 140 < border < 500
    True
    >>> valley(np.sort(many), compress=True) is None
    True
    """
    unit = 1.0
    if compress:
        lit = ascending[ascending > 0]
        unit = float(np.percentile(lit, 10)) if lit.size else 1.0
        ascending = np.log1p(np.maximum(ascending, 0) / unit)
    quartiles = np.subtract(*np.percentile(ascending, (75, 25))) / _NORMAL_IQR
    width = 0.9 * min(float(ascending.std()), float(quartiles)) * ascending.size**-0.2
    if not width > 0:
        return None
    grid = np.linspace(ascending[0] - 3 * width, ascending[-1] + 3 * width, _GRID)
    step = float(grid[1] - grid[0])
    counts = np.histogram(ascending, np.append(grid - step / 2, grid[-1] + step / 2))[0]
    density = gaussian_filter1d(counts.astype(np.float64), width / step, mode="constant")
    sides = np.maximum.accumulate(density), np.maximum.accumulate(density[::-1])[::-1]
    below = np.searchsorted(ascending, grid)
    fair = (below >= max(_LEAST_CELLS, _LEAST_SHARE * ascending.size)) & (
        below <= 0.5 * ascending.size
    )
    depth = np.where(fair, density / np.maximum(np.minimum(*sides), 1e-12), np.inf)
    at = int(np.argmin(depth))
    if not depth[at] <= _DEPTH:
        return None
    # Cells that each kernel rests on; a thin tail has valleys by chance.
    peak, bottom = (d * 2 * np.sqrt(np.pi) * width / step for d in (sides[0][at], density[at]))
    if peak - bottom < _SURE * np.sqrt(peak + bottom):
        return None
    modes = grid[np.argmax(density[:at])], grid[at + np.argmax(density[at:])]
    if not compress:
        return float(grid[at])
    lower, upper = np.expm1(modes)
    return float(np.expm1(grid[at]) * unit) if upper >= _APART * lower else None
