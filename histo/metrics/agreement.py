"""How well counts and positions agree with a reader's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

__all__ = ["Limits", "bland_altman", "f1_score", "lins_ccc", "match_points"]


Index = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]
_Pairs = tuple[Index, Index]

#: Groups of points of up to so many possible pairs are solved as a table, larger ones as a list.
_DENSE = 250_000


def match_points(
    found: npt.NDArray[np.floating], truth: npt.NDArray[np.floating], max_distance: float
) -> npt.NDArray[np.int64]:
    """Pair found with true positions, one to one, so that as many as possible are paired.

    Among the largest sets of pairs the one of the smallest total distance is taken
    (Hungarian method, within each group of points that can reach each other).

    Parameters
    ----------
    found : float (N, 2)
    truth : float (M, 2)
        In the same unit.
    max_distance : float
        Pairs farther apart than this are not made.

    Returns
    -------
    int64 (K, 2)
        Row in ``found`` and row in ``truth`` of each pair.

    Raises
    ------
    ValueError
        If the distance is not positive.

    References
    ----------
    Kuhn, The Hungarian method for the assignment problem, Nav Res Logist Q 2:83 (1955).
    Jonker, Volgenant, Computing 38:325 (1987), its sparse form for large groups.

    Examples
    --------
    >>> match_points(np.array([[0.0, 0], [0, 3]]), np.array([[0.0, 2], [9, 9]]), 2.5).tolist()
    [[1, 0]]
    """
    if not max_distance > 0:
        raise ValueError(f"max_distance must be above 0, got {max_distance}.")
    if len(found) == 0 or len(truth) == 0:
        return np.zeros((0, 2), np.int64)
    near = cKDTree(np.asarray(found, float)).sparse_distance_matrix(
        cKDTree(np.asarray(truth, float)), max_distance, output_type="coo_matrix"
    )
    if near.nnz == 0:
        return np.zeros((0, 2), np.int64)
    group = _groups_of(near.row, near.col, len(found), len(truth))
    # Most points have one possible partner, which has no other: nothing to be solved.
    alone = np.bincount(group)[group] == 1
    pairs = [np.stack([near.row[alone], near.col[alone]], 1)]
    order = np.argsort(group, kind="stable")
    order = order[~alone[order]]
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    for part in np.split(order, starts[1:]) if len(order) else ():
        rows, row = np.unique(near.row[part], return_inverse=True)
        columns, column = np.unique(near.col[part], return_inverse=True)
        assign = _assign if len(rows) * len(columns) <= _DENSE else _assign_sparsely
        i, j = assign(row, column, near.data[part], max_distance)
        pairs.append(np.stack([rows[i], columns[j]], 1))
    return np.concatenate(pairs).astype(np.int64)


def _groups_of(row: Index, column: Index, n: int, m: int) -> Index:
    """Return for each possible pair the number of the group of points that it belongs to."""
    links = coo_array((np.ones(len(row)), (row, column + n)), shape=(n + m, n + m))
    _, group = connected_components(links, directed=False)
    return np.asarray(group[row], np.int64)


def _assign(row: Index, column: Index, distance: Floats, max_distance: float) -> _Pairs:
    """Return the pairs of a group that holds few points."""
    # One pair more is worth more than any saving of distance.
    cost = np.full((row.max() + 1, column.max() + 1), 1e3 * max_distance * (len(row) + 1))
    cost[row, column] = distance
    i, j = linear_sum_assignment(cost)
    made = cost[i, j] <= max_distance
    return i[made], j[made]


def _assign_sparsely(row: Index, column: Index, distance: Floats, max_distance: float) -> _Pairs:
    """Return the pairs of a group that holds many points; a table of all would not fit.

    Each found point also has a stand-in of its own, dearer than all pairs together, so that the
    solver can match every one.
    """
    n, m = int(row.max()) + 1, int(column.max()) + 1
    own = np.arange(n)
    weights = np.append(distance, np.full(n, max_distance * (n + 1)))
    places = np.append(row, own), np.append(column, m + own)
    # The solver takes a weight of 0 for no link: the same is added to all.
    links = csr_array((weights + max_distance, places), shape=(n, m + n))
    i, j = min_weight_full_bipartite_matching(links)
    return i[j < m], j[j < m]


def f1_score(matched: int, found: int, truth: int) -> float:
    """Return 2 TP / (2 TP + FP + FN); NaN when nothing was found and nothing was there.

    Examples
    --------
    >>> round(f1_score(8, 10, 12), 3)
    0.727
    """
    return 2 * matched / (found + truth) if found + truth else float("nan")


def lins_ccc(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return Lin's concordance correlation coefficient of paired values.

    Parameters
    ----------
    a, b : float (N,)

    Returns
    -------
    float
        1 when all pairs are equal; NaN for fewer than two pairs or no spread at all.

    Raises
    ------
    ValueError
        If the lengths differ.

    References
    ----------
    Lin, A concordance correlation coefficient to evaluate reproducibility,
    Biometrics 45:255 (1989), with variances over N.

    Examples
    --------
    >>> lins_ccc([1, 2, 3], [1, 2, 3]), round(lins_ccc([1, 2, 3], [2, 3, 4]), 3)
    (1.0, 0.571)
    """
    x, y = np.asarray(a, float), np.asarray(b, float)
    if x.shape != y.shape:
        raise ValueError(f"a and b must be pairs, got {x.shape} and {y.shape}.")
    spread = x.var() + y.var() + (x.mean() - y.mean()) ** 2 if x.size > 1 else 0.0
    if not spread > 0:
        return float("nan")
    return float(2 * ((x - x.mean()) * (y - y.mean())).mean() / spread)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bias and 95 % limits of agreement of paired counts, as differences and as ratios.

    Parameters
    ----------
    bias, low, high : float
        Mean of found - true, and the range that holds 95 % of such differences.
    ratio, ratio_low, ratio_high : float
        The same on a log scale: geometric mean of found / true, and its range.

    Examples
    --------
    >>> bland_altman([110, 220, 330], [100, 200, 300]).ratio
    1.1
    """

    bias: float
    low: float
    high: float
    ratio: float
    ratio_low: float
    ratio_high: float


def bland_altman(found: npt.ArrayLike, truth: npt.ArrayLike) -> Limits:
    """Return bias and limits of agreement of paired counts, after Bland and Altman.

    Differences of counts grow with the counts, so that the limits of differences are too wide
    for small counts and too narrow for large ones. On the log scale they are ratios, which hold
    for both.

    Parameters
    ----------
    found, truth : float (N,)
        Counts, 0 or more. Where any is 0, one half is added to all for the ratios, since the
        logarithm of 0 is not defined.

    Returns
    -------
    Limits
        Of NaN for fewer than two pairs.

    Raises
    ------
    ValueError
        If the lengths differ or a count is negative.

    References
    ----------
    Bland, Altman, Statistical methods for assessing agreement between two methods of clinical
    measurement, Lancet 327:307 (1986): mean and 1.96 standard deviations of the differences, or
    of those of the logarithms.

    Examples
    --------
    >>> limits = bland_altman([12, 18, 33], [10, 20, 30])
    >>> round(limits.bias, 2), round(limits.low, 2), round(limits.high, 2)
    (1.0, -4.19, 6.19)
    """
    a, b = np.asarray(found, float), np.asarray(truth, float)
    if a.shape != b.shape:
        raise ValueError(f"found and truth must be pairs, got {a.shape} and {b.shape}.")
    if (a < 0).any() or (b < 0).any():
        raise ValueError("counts must be 0 or more.")
    if a.size < 2:
        return Limits(*[math.nan] * 6)
    half = 0.5 if (a == 0).any() or (b == 0).any() else 0.0
    plain = _mean_and_limits(a - b)
    ratios = _mean_and_limits(np.log(a + half) - np.log(b + half))
    return Limits(*plain, *(round(math.exp(value), 12) for value in ratios))


def _mean_and_limits(differences: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    mean, reach = float(differences.mean()), 1.96 * float(differences.std(ddof=1))
    return mean, mean - reach, mean + reach
