"""Outlines to pixels: every outline of a part of the plane at once, by its crossings of rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from histo.geometry import Region

__all__ = ["OutlinePainter", "following", "ranges"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class OutlinePainter:
    """Paint shapes that are given by rings; a pixel belongs to the shape that holds its centre.

    Where shapes lie over each other the smaller one is on top, so that none is lost below a
    larger one and their order plays no part.

    Parameters
    ----------
    points : float64 (P, 2)
        Vertices (y, x) in pixels from the plane's corner, ring after ring, rings open.
    starts : int64 (R + 1,)
        Where each ring starts, and the number of points.
    owner : int64 (R,)
        The shape of each ring, 0 ... ``count`` - 1.
    count : int
        Number of shapes.

    References
    ----------
    Foley et al., Computer Graphics, 2nd ed. (1990), 3.6: polygons by scan lines, even-odd.

    Examples
    --------
    >>> square = np.array([[1.0, 1], [1, 3], [3, 3], [3, 1]])
    >>> painter = OutlinePainter(square, np.array([0, 4]), np.array([0]), 1)
    >>> painter.paint(Region(0, 0, 4, 4))
    array([[0, 0, 0, 0],
           [0, 1, 1, 0],
           [0, 1, 1, 0],
           [0, 0, 0, 0]], dtype=int32)
    """

    def __init__(self, points: Floats, starts: Ints, owner: Ints, count: int) -> None:
        ahead = points[following(starts)]
        shape = owner[np.repeat(np.arange(len(owner)), np.diff(starts))]
        # Every edge from top to bottom: one that two shapes share crosses rows at the same places.
        down = (points[:, 0] <= ahead[:, 0])[:, None]
        self._top, self._bottom = np.where(down, points, ahead), np.where(down, ahead, points)
        self._first = np.ceil(self._top[:, 0] - 0.5).astype(np.int64)
        self._stop = np.ceil(self._bottom[:, 0] - 0.5).astype(np.int64)
        cross = points[:, 1] * ahead[:, 0] - ahead[:, 1] * points[:, 0]
        area = np.abs(np.bincount(shape, weights=cross, minlength=count))
        rank = np.empty(count, np.int64)
        rank[np.lexsort((np.arange(count), -area))] = np.arange(count)
        self._rank, self._shape_of_rank = rank[shape], np.argsort(rank)
        left, right = np.full(count, np.inf), np.full(count, -np.inf)
        np.minimum.at(left, shape, points[:, 1])
        np.maximum.at(right, shape, points[:, 1])
        self._left, self._right = left[shape], right[shape]

    def paint(self, region: Region) -> npt.NDArray[np.int32]:
        """Return the pixels of a region.

        Parameters
        ----------
        region : Region

        Returns
        -------
        int32 (Y, X)
            Row of the shape plus 1; 0 where there is none.
        """
        picture = np.zeros(region.shape, np.int32)
        row, rank, start, stop = self._spans(region)
        start, stop = (np.clip(v - region.x, 0, region.width) for v in (start, stop))
        base = (row - region.y) * region.width
        # Of several shapes in one pixel the last one stays: the smallest.
        order = np.argsort(rank, kind="stable")
        pixels = ranges((base + start)[order], (base + stop)[order])
        lengths = np.maximum(stop - start, 0)[order]
        picture.ravel()[pixels] = np.repeat(self._shape_of_rank[rank[order]] + 1, lengths)
        return picture

    def _spans(self, region: Region) -> tuple[Ints, Ints, Ints, Ints]:
        """Return row, rank, first column and the one after the last, of every run of pixels."""
        first = np.maximum(self._first, region.y)
        stop = np.minimum(self._stop, region.stop_y)
        meets = (first < stop) & (self._right > region.x) & (self._left < region.stop_x)
        edge = np.flatnonzero(meets)
        row = ranges(first[edge], stop[edge])
        edge = np.repeat(edge, (stop - first)[edge])
        top, bottom = self._top[edge], self._bottom[edge]
        slope = (bottom[:, 1] - top[:, 1]) / (bottom[:, 0] - top[:, 0])
        x = np.round(top[:, 1] + (row + 0.5 - top[:, 0]) * slope, 6)
        rank = self._rank[edge]
        order = np.lexsort((x, row, rank))
        # A closed ring crosses each row an even number of times: in, out, in, out.
        column = np.ceil(x[order] - 0.5).astype(np.int64)
        return row[order[::2]], rank[order[::2]], column[::2], column[1::2]


def following(starts: Ints) -> Ints:
    """Return for each vertex the row of the next one in its ring.

    Examples
    --------
    >>> following(np.array([0, 3, 5])).tolist()
    [1, 2, 0, 4, 3]
    """
    ahead = np.arange(1, int(starts[-1]) + 1)
    filled = np.diff(starts) > 0
    ahead[starts[1:][filled] - 1] = starts[:-1][filled]
    return ahead


def ranges(first: Ints, stop: Ints) -> Ints:
    """Return the whole numbers of several half-open ranges, one range after the other.

    Examples
    --------
    >>> ranges(np.array([3, 7, 9]), np.array([5, 7, 12])).tolist()
    [3, 4, 9, 10, 11]
    """
    lengths = np.maximum(stop - first, 0)
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.asarray(np.repeat(first, lengths) + within, np.int64)
