"""Shape of labelled objects, for all objects at once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of N objects, in pixels; the centre of pixel (0, 0) lies at (0, 0).

    Attributes
    ----------
    area : float64 (N,), pixels
    y, x : float64 (N,), centroid in pixels
    yy, xx, yx : float64 (N,), central second moments in pixels², each pixel a unit square
    """

    area: Floats
    y: Floats
    x: Floats
    yy: Floats
    xx: Floats
    yx: Floats


def moments(index: Ints, y: Ints, x: Ints, count: int) -> Moments:
    """Return the moments of ``count`` objects from their pixels.

    Parameters
    ----------
    index : int (P,)
        Which object each pixel belongs to, 0 ... count - 1; every object has a pixel.
    y, x : int (P,)
        The pixels.
    count : int
        Number of objects.

    References
    ----------
    Hu (1962), IRE Trans. Inf. Theory 8:179. The 1/12 is the second moment of a pixel, a unit
    square, about its own centre: with it a single pixel is not a point.

    Examples
    --------
    >>> m = moments(np.array([0, 0]), np.array([3, 3]), np.array([5, 6]), 1)
    >>> float(m.area[0]), float(m.y[0]), float(m.x[0]), round(float(m.xx[0]), 4)
    (2.0, 3.0, 5.5, 0.3333)
    """

    def total(weights: npt.NDArray[np.integer] | None = None) -> Floats:
        return np.bincount(index, weights=weights, minlength=count).astype(np.float64)

    # Whole numbers below 2**53 are exact: differences are taken of these, so that the
    # result does not depend on where in the array an object lies.
    area, sum_y, sum_x = total(), total(y), total(x)
    square = area * area
    return Moments(
        area=area,
        y=sum_y / area,
        x=sum_x / area,
        yy=(area * total(y * y) - sum_y * sum_y) / square + 1 / 12,
        xx=(area * total(x * x) - sum_x * sum_x) / square + 1 / 12,
        yx=(area * total(y * x) - sum_y * sum_x) / square,
    )


def eccentricity(m: Moments) -> Floats:
    """Return the eccentricity of the ellipse with the same second moments.

    0 for a circle or a square, towards 1 for a line.

    Examples
    --------
    >>> m = moments(np.array([0]), np.array([3]), np.array([5]), 1)
    >>> float(eccentricity(m)[0])
    0.0
    """
    middle = (m.yy + m.xx) / 2
    spread = np.sqrt(((m.yy - m.xx) / 2) ** 2 + m.yx**2)
    return np.sqrt(np.clip(1 - (middle - spread) / (middle + spread), 0, 1))


def convex_area(index: Ints, y: Ints, x: Ints, count: int) -> Floats:
    """Return the area of each object's convex hull, in pixels, exactly.

    The hull is that of the pixels as unit squares: a rectangle of pixels has the convex
    area of its pixels, so that solidity is 1 at most.

    Parameters
    ----------
    index, y, x : int (P,)
        Object number and position of every pixel (or of at least the first and last pixel
        of every row of every object).
    count : int
        Number of objects; every object has a pixel.

    Returns
    -------
    float64 (count,)

    Notes
    -----
    The hull of the pixel centres follows from the first and last pixel of each row by
    Andrew's monotone chain, run for all objects at once. A unit square added to a convex
    shape of width w and height h adds w + h + 1 to its area (Minkowski sum).

    References
    ----------
    Andrew (1979), Another efficient algorithm for convex hulls in two dimensions,
    Inf. Process. Lett. 9:216.

    Examples
    --------
    An L of three pixels: three squares and half of the missing one.

    >>> convex_area(np.zeros(3, int), np.array([0, 1, 1]), np.array([0, 0, 1]), 1)
    array([3.5])
    """
    big = np.iinfo(np.int32).max
    top = np.full(count, big, np.int32)
    bottom = np.full(count, -1, np.int32)
    left_most, right_most = top.copy(), np.full(count, -big, np.int32)
    y32, x32 = y.astype(np.int32), x.astype(np.int32)
    np.minimum.at(top, index, y32)
    np.maximum.at(bottom, index, y32)
    np.minimum.at(left_most, index, x32)
    np.maximum.at(right_most, index, x32)
    height = bottom - top + 1
    area = np.empty(count)
    # Groups of like height keep the tables small when one huge object is among them.
    edges = [0, 32, 64, 128, 512, int(big)]
    for low, high in itertools.pairwise(edges):
        group = np.flatnonzero((height > low) & (height <= high))
        if group.size == 0:
            continue
        rank = np.full(count, -1, np.intp)
        rank[group] = np.arange(group.size)
        inside = np.flatnonzero(rank[index] >= 0)
        rows = int(height[group].max())
        flat = rank[index[inside]] * rows + (y32[inside] - top[index[inside]])
        first = np.full(group.size * rows, big, np.int32)
        last = np.full(group.size * rows, -big, np.int32)
        np.minimum.at(first, flat, x32[inside])
        np.maximum.at(last, flat, x32[inside])
        origin = left_most[group][:, None].astype(np.int64)
        empty = (first == big).reshape(-1, rows)
        lower = np.where(empty, 0, first.reshape(-1, rows) - origin)
        upper = np.where(empty, 0, origin - last.reshape(-1, rows))
        both = _area_under_convex_minorant(
            np.concatenate([lower, upper]), np.concatenate([empty, empty])
        )
        area[group] = -(both[: group.size] + both[group.size :])
    hull: Floats = area + (height - 1) + (right_most - left_most) + 1
    return hull


def _area_under_convex_minorant(
    values: npt.NDArray[np.int64], empty: npt.NDArray[np.bool_]
) -> Floats:
    """Integrate, for each row of the table, the largest convex function below its values."""
    problems, length = values.shape
    place = np.zeros((problems, length), np.int64)
    value = np.zeros((problems, length), np.int64)
    depth = np.zeros(problems, np.intp)
    for column in range(length):
        live = np.flatnonzero(~empty[:, column])
        new = values[live, column]
        open_ = np.flatnonzero(depth[live] >= 2)
        while open_.size:
            who = live[open_]
            a, b = depth[who] - 2, depth[who] - 1
            run = place[who, b] - place[who, a]
            rise = value[who, b] - value[who, a]
            concave = rise * (column - place[who, a]) >= (new[open_] - value[who, a]) * run
            who = who[concave]
            depth[who] -= 1
            open_ = open_[concave][depth[who] >= 2]
        place[live, depth[live]] = column
        value[live, depth[live]] = new
        depth[live] += 1
    steps = np.arange(1, length) < depth[:, None]
    area = np.diff(place, axis=1) * (value[:, 1:] + value[:, :-1]) / 2
    total: Floats = np.where(steps, area, 0.0).sum(axis=1)
    return total


def contact_fraction(
    cells: npt.NDArray[np.integer], number: npt.NDArray[np.integer], count: int
) -> Floats:
    """Return which share of each cell's border touches another cell.

    The border is counted in pixel sides; the array's own edge counts as border that
    touches nothing.

    Parameters
    ----------
    cells : int (Y, X)
        Whole cells, 0 is background.
    number : int (Y, X)
        The same cells numbered 1 ... count where they are to be measured, else 0.
    count : int

    Returns
    -------
    float64 (count,)

    Examples
    --------
    >>> pair = np.array([[1, 2]])
    >>> contact_fraction(pair, pair, 2)
    array([0.25, 0.25])
    """
    border = np.zeros(count + 1)
    touching = np.zeros(count + 1)
    for axis in (0, 1):
        a, b = (slice(None, -1), slice(1, None))
        before = (a, slice(None)) if axis == 0 else (slice(None), a)
        after = (b, slice(None)) if axis == 0 else (slice(None), b)
        side = np.flatnonzero((cells[before] != cells[after]).ravel())
        met = (cells[before].ravel()[side] > 0) & (cells[after].ravel()[side] > 0)
        for part in (before, after):
            owner = number[part].ravel()[side]
            border += np.bincount(owner, minlength=count + 1)
            touching += np.bincount(owner[met], minlength=count + 1)
    for edge in (number[:1], number[-1:], number[:, :1], number[:, -1:]):
        border += np.bincount(edge.ravel(), minlength=count + 1)
    return touching[1:] / np.maximum(border[1:], 1)
