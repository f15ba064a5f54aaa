"""Outlines of labelled cells as polygons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from histo.cells.expand import as_labels
from histo.compiled import compiled

__all__ = ["Rings", "cell_outlines", "trace_outlines"]

Ints = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int32]

# The sides of a pixel, walked clockwise with the cell on the right hand (y points down).
# Middle of each side, in half pixels from the pixel's top left corner: top, right, bottom, left.
_MIDDLE = np.array([[0, 1], [1, 2], [2, 1], [1, 0]])
_OUTWARD = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])
_ONWARD = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])


@dataclass(frozen=True, slots=True)
class Rings:
    """Polygons that share one array of points.

    Parameters
    ----------
    points : float64 (P, 2)
        Vertices (y, x) of all rings, one ring after the other; the first vertex of a ring is
        not repeated at its end.
    starts : int64 (N + 1,)
        Where each ring starts, and the number of points.

    Examples
    --------
    >>> rings = Rings(np.array([[0.0, 0], [0, 2], [2, 2]]), np.array([0, 3]))
    >>> len(rings), rings[0].shape
    (1, (3, 2))
    """

    points: npt.NDArray[np.float64]
    starts: Ints

    @classmethod
    def of(cls, rings: Iterable[npt.ArrayLike]) -> Self:
        """Put rings together, each float (V, 2); a last point that repeats the first is dropped.

        Examples
        --------
        >>> Rings.of([[[0, 0], [0, 2], [2, 2], [0, 0]]]).starts
        array([0, 3])
        """
        arrays = [np.asarray(ring, np.float64).reshape(-1, 2) for ring in rings]
        opened = [r[:-1] if len(r) > 1 and (r[0] == r[-1]).all() else r for r in arrays]
        starts = np.cumsum([0, *(len(ring) for ring in opened)], dtype=np.int64)
        return cls(np.concatenate([np.empty((0, 2)), *opened]), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.float64]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.points[self.starts[index] : self.starts[index + 1]]


def cell_outlines(
    labels: npt.NDArray[np.integer], ids: npt.NDArray[np.integer]
) -> dict[int, npt.NDArray[np.float64]]:
    """Trace the outlines of cells.

    Parameters
    ----------
    labels : int (Y, X)
        Nuclei or whole cells; 0 is background.
    ids : int (N,)
        Which labels to trace.

    Returns
    -------
    dict of int to float64 (M, 2)
        For each label a closed ring (the last point repeats the first) of (y, x) in pixels of
        the array, (0, 0) its top left corner. Clockwise on the screen.

    Raises
    ------
    ValueError
        If ``labels`` is not 2-D, or a label is not there.

    Notes
    -----
    The ring joins the middles of the pixel sides on the border (marching squares at half
    height), without points on straight lines. Pixels that meet in a corner only are apart.
    So every ring is a simple polygon, rings of different labels do not overlap, and
    a ring's area is that of its pixels less half a pixel (holes filled). Of a label in several
    pieces the largest is traced.

    References
    ----------
    Lorensen, Cline (1987), Marching cubes, Comput. Graph. 21:163 (here in the plane).

    Examples
    --------
    >>> cell_outlines(np.array([[0, 5, 5]]), np.array([5]))[5].tolist()
    [[0.0, 1.5], [0.0, 2.5], [0.5, 3.0], [1.0, 2.5], [1.0, 1.5], [0.5, 1.0], [0.0, 1.5]]
    """
    wanted = np.unique(np.asarray(ids, dtype=np.int64))
    rings = trace_outlines(labels, wanted)
    return {
        int(label): np.concatenate([rings[number], rings[number][:1]])
        for number, label in enumerate(wanted)
    }


def trace_outlines(labels: npt.NDArray[np.integer], ids: npt.NDArray[np.integer]) -> Rings:
    """Trace the outlines of cells: those of `cell_outlines`, all in one array.

    Parameters
    ----------
    labels : int (Y, X)
        Nuclei or whole cells; 0 is background.
    ids : int (N,)
        Which labels to trace, ascending.

    Returns
    -------
    Rings
        One ring a label, in the order of ``ids``.

    Raises
    ------
    ValueError
        If ``labels`` is not 2-D, the ids are not positive and ascending, or a label is not
        there.

    Examples
    --------
    >>> trace_outlines(np.array([[0, 5, 5]]), np.array([5])).points[:3].tolist()
    [[0.0, 1.5], [0.0, 2.5], [0.5, 3.0]]
    """
    labels, ids = np.asarray(labels), np.asarray(ids, np.int64)
    if labels.ndim != 2:
        raise ValueError(f"labels must be 2-D, got shape {labels.shape}.")
    if ids.size == 0:
        return Rings.of([])
    if ids[0] < 1 or (np.diff(ids) <= 0).any():
        raise ValueError(f"ids must be > 0 and ascend, got {ids[:3].tolist()} ...")
    pixels = as_labels(labels)
    row_of = np.full(ids[-1] - ids[0] + 1, -1, np.int32)
    row_of[ids - ids[0]] = np.arange(ids.size)
    seen = np.zeros(labels.shape, np.bool_)
    # Of each ring: row and column where it starts, number of points, twice its area in quarters.
    found = np.zeros((ids.size, 4), np.int64)
    _find_rings(pixels, int(ids[0]), row_of, seen, found)
    missing = found[:, 2] == 0
    if missing.any():
        raise ValueError(f"label {ids[missing][0]} is not in labels.")
    starts = np.concatenate([[0], np.cumsum(found[:, 2])])
    points = np.empty((int(starts[-1]), 2))
    _draw_rings(pixels, found, seen, starts, points)
    return Rings(points, starts)


@compiled
def _find_rings(
    labels: Labels, lowest: int, row_of: Labels, seen: npt.NDArray[np.bool_], found: Ints
) -> None:
    """Walk around every piece and hole of the wanted labels; keep each label's largest ring."""
    nowhere = np.empty((0, 2))
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            own = labels[y, x]
            # Every ring holds a side that lies on top of a pixel.
            if own < lowest or own >= lowest + row_of.size or seen[y, x]:
                continue
            row = row_of[own - lowest]
            if row < 0 or (y and labels[y - 1, x] == own):
                continue
            count, area = _walk(labels, y, x, seen, nowhere)
            if area > found[row, 3]:
                found[row, 0], found[row, 1] = y, x
                found[row, 2], found[row, 3] = count, area


@compiled
def _draw_rings(
    labels: Labels,
    found: Ints,
    seen: npt.NDArray[np.bool_],
    starts: Ints,
    points: npt.NDArray[np.float64],
) -> None:
    for row in range(found.shape[0]):
        part = points[starts[row] : starts[row + 1]]
        _walk(labels, found[row, 0], found[row, 1], seen, part)


@compiled
def _walk(
    labels: Labels, y: int, x: int, seen: npt.NDArray[np.bool_], points: npt.NDArray[np.float64]
) -> tuple[int, int]:
    """Follow a border clockwise from the top of a pixel, which is the ring's first.

    Notes the tops of pixels that it comes by, and fills in as many points as there is room for.
    Returns the number of points, and eight times the area: negative for a hole.
    """
    own, start_y, start_x, side = labels[y, x], y, x, 0
    here_y, here_x, step_y, step_x = 2 * y, 2 * x + 1, 0, 0  # in half pixels
    count = area = 0
    while True:
        if side == 0:
            seen[y, x] = True
        on_y, on_x = y + _ONWARD[side, 0], x + _ONWARD[side, 1]
        out_y, out_x = on_y + _OUTWARD[side, 0], on_x + _OUTWARD[side, 1]
        # A pixel across the corner counts only through its neighbour, so corners do not join.
        if not _holds(labels, on_y, on_x, own):
            side = (side + 1) % 4
        elif _holds(labels, out_y, out_x, own):
            y, x, side = out_y, out_x, (side + 3) % 4
        else:
            y, x = on_y, on_x
        next_y, next_x = 2 * y + _MIDDLE[side, 0], 2 * x + _MIDDLE[side, 1]
        # Points on straight lines are left out. The first one is a corner: before it the walk
        # came from the pixel's left side.
        if next_y - here_y != step_y or next_x - here_x != step_x:
            if count < len(points):
                points[count, 0], points[count, 1] = here_y / 2, here_x / 2
            count += 1
        area += here_x * next_y - next_x * here_y
        step_y, step_x = next_y - here_y, next_x - here_x
        here_y, here_x = next_y, next_x
        if side == 0 and y == start_y and x == start_x:
            return count, area


@compiled
def _holds(labels: Labels, y: int, x: int, own: int) -> bool:
    height, width = labels.shape
    return bool(0 <= y < height and 0 <= x < width and labels[y, x] == own)
