"""Which cells make a signal: shares and chance, when neighbouring cells are alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo.space.blocks import (
    BLOCK_SIDES_UM,
    MIN_BLOCKS,
    MIN_CELLS,
    block_numbers,
    block_variance,
    share_interval,
)
from histo.space.window import checked_points

__all__ = ["Association", "Share", "association", "share_of_cells"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Share:
    """A share of cells, such as FOXP3+ among RANKL+.

    Attributes
    ----------
    value : float
        0 ... 1; NaN without a denominator.
    low, high : float
        95 % interval; NaN where ``unknown`` says why.
    part, whole : float
        Cells, or what they add up to.
    unknown : str
        Why there is no interval; empty where there is one.
    """

    value: float
    low: float
    high: float
    part: float
    whole: float
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Association:
    """How often two labels meet in one cell, and what chance gives.

    Attributes
    ----------
    observed : int
        Cells with both.
    expected : float
        Mean over permutations within blocks of tissue.
    ratio : float
        Observed over expected; NaN where nothing is expected.
    p : float
        Two-sided, (b + 1) / (B + 1); NaN where ``unknown`` says why.
    unknown : str
        Why there is no p-value; empty where there is one.
    """

    observed: int
    expected: float
    ratio: float
    p: float
    unknown: str = ""


def share_of_cells(
    points_um: npt.ArrayLike,
    part: Bools,
    whole: Bools,
    *,
    amount: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Share:
    """Return a share of cells, or of what they add up to; neighbours may be alike.

    The variance of the share comes from a bootstrap of blocks of tissue, whose side is that of
    250, 500 and 1,000 µm with the largest variance; the interval is Wilson's at the sample
    size at which independent cells would vary as much.

    Parameters
    ----------
    points_um : float (N, 2)
        y, x.
    part, whole : bool (N,)
        Cells of the denominator, and those of them (the others do not matter) that count.
    amount : float (N,), optional
        What each cell adds, such as its signal, 0 or more; by default 1.
    seed : int

    Returns
    -------
    Share
        Without an interval when there are fewer than `MIN_CELLS` cells in the denominator, or
        they lie in fewer than `MIN_BLOCKS` blocks of the smallest side.

    Raises
    ------
    ValueError
        If the labels are not one a cell.

    Notes
    -----
    On simulated clustered tissue the interval covers the truth in 94 to 99 % of slides.
    Percentile and BCa intervals from such blocks cover it in 80 to 94 %: with some dozens of
    clusters they are too narrow.

    References
    ----------
    Lahiri (2003), Resampling Methods for Dependent Data, 12. Korn, Graubard (1998), Surv.
    Methodol. 24:193.

    Examples
    --------
    >>> points = np.random.default_rng(0).uniform(0, 3000, (1000, 2))
    >>> share = share_of_cells(points, points[:, 0] < 1500, np.ones(1000, bool))
    >>> share.high - share.low > 0.2
    True
    >>> share_of_cells(points[:3], np.ones(3, bool), np.ones(3, bool)).unknown
    'fewer than 10 cells'
    """
    points, (part, whole) = _checked(points_um, part, whole)
    given = np.ones(len(points)) if amount is None else np.asarray(amount, np.float64)
    if given.shape != (len(points),) or not (given[whole] >= 0).all():
        raise ValueError("there must be one amount of 0 or more for each cell.")
    points, counts, weight = points[whole], part[whole], given[whole]
    total, hits = float(weight.sum()), float(weight[counts].sum())
    value = hits / total if total > 0 else math.nan
    if counts.size < MIN_CELLS or not total > 0:
        reason = f"fewer than {MIN_CELLS} cells" if counts.size < MIN_CELLS else "no signal"
        return Share(value, math.nan, math.nan, hits, total, reason)
    # As many cells as would vary as much if all added the same (Kish).
    n = total**2 / float((weight**2).sum())

    def sums_in(block: Ints, count: int) -> Floats:
        made = np.bincount(block, weight * counts, count)
        return np.stack([made, np.bincount(block, weight, count)], axis=1)

    def statistic(sums: Floats) -> Floats:
        return np.divide(
            sums[:, :1], sums[:, 1:], out=np.zeros_like(sums[:, :1]), where=sums[:, 1:] > 0
        )

    variance, degrees = block_variance(points, sums_in, statistic, seed=seed)
    if not degrees:
        reason = f"cells in fewer than {MIN_BLOCKS} blocks of {BLOCK_SIDES_UM[0]:g} µm"
        return Share(value, math.nan, math.nan, hits, total, reason)
    low, high = share_interval(value, float(variance[0]), n=n, degrees=degrees)
    return Share(value, low, high, hits, total)


def association(
    points_um: npt.ArrayLike,
    a: Bools,
    b: Bools,
    *,
    block_um: float = BLOCK_SIDES_UM[0],
    permutations: int = 999,
    seed: int = 0,
) -> Association:
    """Test whether two labels meet in the same cell more or less often than chance.

    Labels are permuted among the cells of a block only. That both are frequent in one part of
    a slide and rare in another, as a gradient of stain makes them, is thereby no association.

    Parameters
    ----------
    points_um : float (N, 2)
        All cells that might carry the labels, such as lymphoid cells; y, x.
    a, b : bool (N,)
    block_um : float
    permutations : int
        999 or more for a p-value to report.
    seed : int

    Returns
    -------
    Association
        Without a p-value when either label is on fewer than `MIN_CELLS` cells, or no block
        leaves anything to chance.

    Raises
    ------
    ValueError
        If the labels are not one a cell, or the numbers are out of range.

    Notes
    -----
    Signal that spills over from one cell to its neighbour, and stains that are not told apart,
    make an association that no permutation sees.

    References
    ----------
    Mantel, Haenszel (1959), J. Natl. Cancer Inst. 22:719 (strata); Davison, Hinkley (1997),
    Bootstrap Methods and their Application, 4.3.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> points, a = generator.uniform(0, 1000, (2000, 2)), generator.random(2000) < 0.2
    >>> b = np.where(a, generator.random(2000) < 0.5, generator.random(2000) < 0.1)
    >>> found = association(points, a, b)
    >>> found.ratio > 1.5, found.p
    (True, 0.001)
    """
    points, (a, b) = _checked(points_um, a, b)
    if permutations < 1:
        raise ValueError(f"permutations must be 1 or more, got {permutations}.")
    block = block_numbers(points, block_um)
    n, with_a, with_b = (
        np.bincount(block, weights).astype(np.int64) for weights in (np.ones(len(points)), a, b)
    )
    observed = int(np.count_nonzero(a & b))
    expected = float((with_a * with_b / np.maximum(n, 1)).sum())
    ratio = observed / expected if expected > 0 else math.nan
    rarest = min(int(with_a.sum()), int(with_b.sum()))
    varies = (with_a > 0) & (with_a < n) & (with_b > 0) & (with_b < n)
    if rarest < MIN_CELLS:
        reason = f"a label on fewer than {MIN_CELLS} cells"
        return Association(observed, expected, ratio, math.nan, reason)
    if not varies.any():
        reason = "no block leaves anything to chance"
        return Association(observed, expected, ratio, math.nan, reason)
    n, with_a, with_b = n[varies], with_a[varies], with_b[varies]
    fixed = expected - float((with_a * with_b / n).sum())
    # The cells with both, when labels are permuted in a block, are hypergeometric.
    generator = np.random.default_rng(seed)
    drawn = np.array(
        [generator.hypergeometric(with_a, n - with_a, with_b).sum() for _ in range(permutations)]
    )
    away = abs(observed - expected)
    further = int(np.count_nonzero(np.abs(drawn + fixed - expected) >= away * (1 - 1e-9)))
    return Association(observed, expected, ratio, (further + 1) / (permutations + 1))


def _checked(points_um: npt.ArrayLike, *labels: Bools) -> tuple[Floats, list[Bools]]:
    points = checked_points(points_um)
    as_bool = [np.asarray(label, bool) for label in labels]
    if any(label.shape != (len(points),) for label in as_bool):
        raise ValueError("there must be one label of either kind for each cell.")
    return points, as_bool
