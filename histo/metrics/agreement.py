"""How well counts and positions agree with a reader's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

__all__ = ["f1_score", "lins_ccc", "match_points"]


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
    n, m = len(found), len(truth)
    links = coo_array((np.ones(near.nnz), (near.row, near.col + n)), shape=(n + m, n + m))
    _, group = connected_components(links, directed=False)
    order = np.argsort(group[near.row], kind="stable")
    starts = np.flatnonzero(np.diff(group[near.row][order], prepend=-1))
    pairs = []
    for part in np.split(order, starts[1:]):
        rows, row = np.unique(near.row[part], return_inverse=True)
        columns, column = np.unique(near.col[part], return_inverse=True)
        # One pair more is worth more than any saving of distance.
        cost = np.full((len(rows), len(columns)), 1e3 * max_distance * (len(part) + 1))
        cost[row, column] = near.data[part]
        i, j = linear_sum_assignment(cost)
        made = cost[i, j] <= max_distance
        pairs.append(np.stack([rows[i[made]], columns[j[made]]], 1))
    return np.concatenate(pairs).astype(np.int64)


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
