"""Pairs of cells within some distance, counted and weighted; loops as machine code."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo.compiled import compiled
from histo.space.window import checked_points
from histo.threads import in_order

__all__ = ["CellGrid", "checked_radii", "count_near", "count_permuted_pairs", "pair_sums"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Points that a thread takes at a time.
_CHUNK = 1 << 14
#: Steps of the table that finds a distance's radius.
_STEPS = 4096
#: Labels of a cell, as bits.
_OUTER, _INNER = 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class CellGrid:
    """Points sorted into squares, so that those near a place stand together.

    Parameters
    ----------
    points : float64 (N, 2)
        y, x in µm, sorted by square, row by row.
    order : int64 (N,)
        Which of the given points each one is.
    starts : int64 (rows * columns + 1,)
        Where each square's points begin.
    columns : int64
    corner : float64 (3,)
        y and x where the squares begin, and their side; µm.

    Examples
    --------
    >>> CellGrid.of([[0.0, 9.0], [0.0, 1.0]], 5.0).order
    array([1, 0])
    """

    points: Floats
    order: Ints
    starts: Ints
    columns: int
    corner: Floats

    @classmethod
    def of(cls, points_um: npt.ArrayLike, reach_um: float) -> CellGrid:
        """Sort points into squares with a side of ``reach_um`` or more."""
        points = checked_points(points_um)
        if not len(points):
            return cls(points, np.zeros(0, np.int64), np.zeros(2, np.int64), 1, np.ones(3))
        low, extent = points.min(axis=0), np.ptp(points, axis=0)
        # A few cells on a large slide need no million of squares.
        side = max(reach_um, float(np.sqrt(np.prod(extent + reach_um) / (4 * len(points) + 64))))
        rows, columns = (extent // side).astype(np.int64) + 1
        at = ((points - low) // side).astype(np.int64)
        square = at[:, 0] * columns + at[:, 1]
        order = np.argsort(square, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(square, minlength=rows * columns))])
        return cls(points[order], order, starts, int(columns), np.array([*low, side]))


def checked_radii(radii_um: npt.ArrayLike) -> Floats:
    """Return radii as float64 (R,).

    Raises
    ------
    ValueError
        If there is none, or they do not ascend from above 0.

    Examples
    --------
    >>> checked_radii([10, 20])
    array([10., 20.])
    """
    radii = np.atleast_1d(np.asarray(radii_um, np.float64))
    ascends = radii.ndim == 1 and radii.size > 0 and (np.diff(radii, prepend=0.0) > 0).all()
    if not (ascends and np.isfinite(radii).all()):
        raise ValueError(f"radii must ascend from above 0 µm, got {radii}.")
    return radii


def pair_sums(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    radii_um: npt.ArrayLike,
    *,
    same: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    overlap: tuple[Floats, float] | None = None,
) -> tuple[Ints, Floats]:
    """Count the pairs of a point of A and one of B within radii, and sum up their weights.

    Parameters
    ----------
    a, b : float (N, 2), float (M, 2)
        y, x in µm.
    radii_um : float (R,)
        Ascending; a pair at exactly a radius counts.
    same : (int (N,), int (M,)), optional
        Numbers of the cells: a cell makes no pair with itself. By default all differ.
    overlap : (float64 (2 L + 1, 2 L + 1), float), optional
        Area, µm², that the window shares with itself moved by so many pixels, and the pixel
        size. A pair's weight is one over it, interpolated; without it 1.

    Returns
    -------
    int64 (R,), float64 (R,)
        Pairs within each radius, and the sums of their weights.

    Examples
    --------
    >>> pair_sums([[0, 0]], [[0, 5], [0, 15]], [10, 20])[0]
    array([1, 2])
    """
    radii = checked_radii(radii_um)
    grid_a, grid_b = (CellGrid.of(points, radii[-1]) for points in (a, b))
    ids_a, ids_b = (_numbers(same, which, grid) for which, grid in enumerate((grid_a, grid_b)))
    plane, um = overlap if overlap is not None else (np.ones((1, 1)), np.inf)
    plane = np.ascontiguousarray(plane, np.float64)
    first = _first_radius(radii)
    places = grid_b.starts, grid_b.columns, grid_b.corner

    def count(start: int) -> tuple[Ints, Floats]:
        counts, sums = np.zeros(radii.size, np.int64), np.zeros(radii.size)
        part = slice(start, start + _CHUNK)
        _add_pairs(
            (grid_a.points[part], ids_a[part]),
            (grid_b.points, ids_b),
            places,
            (radii**2, first),
            (plane, 1 / um),
            (counts, sums),
        )
        return counts, sums

    totals = np.zeros(radii.size, np.int64), np.zeros(radii.size)
    for counts, sums in in_order(count, range(0, len(grid_a.points), _CHUNK)):
        totals[0][:] += counts
        totals[1][:] += sums
    return np.cumsum(totals[0]), np.cumsum(totals[1])


def count_near(points_um: npt.ArrayLike, others_um: npt.ArrayLike, radius_um: float) -> Ints:
    """Count the others within a radius of each point.

    Parameters
    ----------
    points_um, others_um : float (N, 2), float (M, 2)
        y, x.
    radius_um : float

    Returns
    -------
    int64 (N,)

    Examples
    --------
    >>> count_near([[0, 0], [0, 4]], [[0, 0], [0, 9]], 5)
    array([1, 2])
    """
    radius = float(checked_radii(radius_um)[0])
    grid_a, grid_b = (CellGrid.of(points, radius) for points in (points_um, others_um))
    places = grid_b.starts, grid_b.columns, grid_b.corner
    near = np.zeros(len(grid_a.points), np.int64)

    def count(start: int) -> None:
        part = slice(start, start + _CHUNK)
        _count_each(grid_a.points[part], grid_b.points, places, radius**2, near[part])

    for _ in in_order(count, range(0, len(near), _CHUNK)):
        pass
    found = np.empty_like(near)
    found[grid_a.order] = near
    return found


def count_permuted_pairs(
    points_um: npt.ArrayLike,
    radii_um: npt.ArrayLike,
    *,
    outer: npt.NDArray[np.bool_],
    inner: npt.NDArray[np.bool_],
    permutations: int,
    seed: int,
) -> tuple[Ints, Ints]:
    """Count pairs of outer and inner cells, as labelled and with the labels permuted.

    Labels move together: a cell that is both stays both, at another place. The positions
    stay, so that neither the window nor its edge matters.

    Parameters
    ----------
    points_um : float (N, 2)
        All cells that may have a label; y, x.
    radii_um : float (R,)
    outer, inner : bool (N,)
        The labels. A cell makes no pair with itself.
    permutations : int
    seed : int

    Returns
    -------
    int64 (R,), int64 (permutations, R)
        Pairs within each radius; the same for the same seed on any number of cores.

    Examples
    --------
    >>> has = np.array([True, True, False])
    >>> places = [[0, 0], [0, 5], [0, 50]]
    >>> count_permuted_pairs(
    ...     places, 10, outer=has, inner=has, permutations=1, seed=0)[0]
    array([2])
    """
    radii = checked_radii(radii_um)
    grid = CellGrid.of(points_um, radii[-1])
    # Pairs are the same from either side; the shorter list is walked through.
    if np.count_nonzero(outer) > np.count_nonzero(inner):
        outer, inner = inner, outer
    labels = (_OUTER * outer + _INNER * inner).astype(np.uint8)[grid.order]
    kinds = np.bincount(labels, minlength=4)
    places = grid.starts, grid.columns, grid.corner
    bins = radii**2, _first_radius(radii)

    def count(part: tuple[int, np.random.SeedSequence]) -> Ints:
        counts = np.zeros((part[0], radii.size), np.int64)
        generator = np.random.default_rng(part[1])
        _count_permuted(grid.points, places, bins, kinds, generator, counts)
        return counts

    observed = np.zeros(radii.size, np.int64)
    _count_labelled(grid.points, places, bins, labels, observed)
    # A fixed number of parts, so that the draws do not depend on the number of threads.
    sizes = np.bincount(np.arange(permutations) % 16, minlength=16).tolist()
    parts = zip(sizes, np.random.SeedSequence(seed).spawn(16), strict=True)
    return np.cumsum(observed), np.cumsum(np.concatenate(list(in_order(count, parts))), axis=1)


def _numbers(same: tuple[npt.ArrayLike, npt.ArrayLike] | None, which: int, grid: CellGrid) -> Ints:
    """Return the points' numbers in the grid's order; all unlike when none are given."""
    if same is None:
        return np.full(len(grid.points), -1 - which, np.int64)
    numbers = np.asarray(same[which], np.int64)
    if numbers.shape != (len(grid.points),):
        raise ValueError(f"there must be one number a point, got {numbers.shape}.")
    return numbers[grid.order]


def _first_radius(radii: Floats) -> Ints:
    """Return the first radius that may hold a distance, for each step of the distance."""
    steps = np.arange(_STEPS + 1) * (radii[-1] / _STEPS)
    return np.asarray(np.searchsorted(radii, steps, side="left"), np.int64)


_Points = tuple[Floats, Ints]
_Places = tuple[Ints, int, Floats]
_Bins = tuple[Floats, Ints]


@compiled
def _span(places: _Places, row: int, x: float) -> tuple[int, int]:
    """Return which points stand in the three squares of a row around x."""
    starts, columns, corner = places
    column = int(np.floor((x - corner[1]) / corner[2]))
    rows = (starts.size - 1) // columns
    if row < 0 or row >= rows or column < -1 or column > columns:
        return 0, 0
    left, right = max(column - 1, 0), min(column + 1, columns - 1)
    return starts[row * columns + left], starts[row * columns + right + 1]


@compiled
def _bin(distance2: float, bins: _Bins) -> int:
    """Return the first radius that a distance lies within."""
    squares, first = bins
    k = first[int(np.sqrt(distance2 / squares[-1]) * (first.size - 1))]
    while distance2 > squares[k]:
        k += 1
    return int(k)


@compiled
def _inverse_overlap(plane: Floats, y: float, x: float) -> float:
    """Return one over a plane's value, interpolated, at an offset from its centre."""
    middle = plane.shape[0] // 2
    if middle == 0:
        return 1.0
    y, x = y + middle, x + middle
    i, j = int(y), int(x)
    dy, dx = y - i, x - j
    top = plane[i, j] * (1 - dx) + plane[i, j + 1] * dx
    bottom = plane[i + 1, j] * (1 - dx) + plane[i + 1, j + 1] * dx
    return float(1.0 / (top * (1 - dy) + bottom * dy))


@compiled
def _add_pairs(
    a: _Points,
    b: _Points,
    places: _Places,
    bins: _Bins,
    overlap: tuple[Floats, float],
    totals: tuple[Ints, Floats],
) -> None:
    """Add each pair to the first radius that it lies within."""
    points, ids = a
    others, other_ids = b
    corner, furthest = places[2], bins[0][-1]
    for i in range(points.shape[0]):
        y, x = points[i, 0], points[i, 1]
        middle = int(np.floor((y - corner[0]) / corner[2]))
        for row in range(middle - 1, middle + 2):
            start, end = _span(places, row, x)
            for j in range(start, end):
                dy, dx = others[j, 0] - y, others[j, 1] - x
                distance2 = dy * dy + dx * dx
                if distance2 > furthest or other_ids[j] == ids[i]:
                    continue
                k = _bin(distance2, bins)
                totals[0][k] += 1
                totals[1][k] += _inverse_overlap(overlap[0], dy * overlap[1], dx * overlap[1])


@compiled
def _count_each(
    points: Floats, others: Floats, places: _Places, radius2: float, near: Ints
) -> None:
    """Count the others near each point."""
    corner = places[2]
    for i in range(points.shape[0]):
        y, x = points[i, 0], points[i, 1]
        middle = int(np.floor((y - corner[0]) / corner[2]))
        for row in range(middle - 1, middle + 2):
            start, end = _span(places, row, x)
            for j in range(start, end):
                near[i] += (others[j, 0] - y) ** 2 + (others[j, 1] - x) ** 2 <= radius2


@compiled
def _count_labelled(
    points: Floats, places: _Places, bins: _Bins, labels: npt.NDArray[np.uint8], counts: Ints
) -> None:
    """Add the pairs of outer and inner cells to the first radius that each lies within."""
    corner, furthest = places[2], bins[0][-1]
    for i in range(labels.size):
        if labels[i] & _OUTER == 0:
            continue
        y, x = points[i, 0], points[i, 1]
        middle = int(np.floor((y - corner[0]) / corner[2]))
        for row in range(middle - 1, middle + 2):
            start, end = _span(places, row, x)
            for j in range(start, end):
                if labels[j] & _INNER == 0 or j == i:
                    continue
                distance2 = (points[j, 0] - y) ** 2 + (points[j, 1] - x) ** 2
                if distance2 <= furthest:
                    counts[_bin(distance2, bins)] += 1


@compiled
def _count_permuted(
    points: Floats,
    places: _Places,
    bins: _Bins,
    kinds: Ints,
    generator: np.random.Generator,
    counts: Ints,
) -> None:
    """Deal the labels out anew and count pairs, once for each row of counts."""
    n = points.shape[0]
    labels = np.zeros(n, np.uint8)
    for row in range(counts.shape[0]):
        # Each cell takes one of the labels that are left (selection sampling: Knuth, The Art
        # of Computer Programming 2, 3.4.2): all ways to deal them out are equally likely.
        none, one, other, both = kinds
        for i in range(n):
            drawn = generator.random() * (n - i)
            if drawn < none:
                labels[i] = 0
                none -= 1
            elif drawn < none + one:
                labels[i] = _OUTER
                one -= 1
            elif drawn < none + one + other:
                labels[i] = _INNER
                other -= 1
            else:
                labels[i] = _OUTER | _INNER
                both -= 1
        _count_labelled(points, places, bins, labels, counts[row])
