"""What the pixels of each cell say: place, shape, border and stain, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.compiled import compiled

__all__ = ["CellPixels", "read_pixels"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int32]

# Row of each label after the lowest one (-1: not wanted); boxes (top, left, bottom, right), all
# included; border and touching sides. One row a cell.
_Found = tuple[Labels, Labels, Labels]

# Of the labels' own type, so that one function is compiled and not one for each mixture.
_NOTHING: Any = np.int32(0)


@dataclass(frozen=True, slots=True)
class CellPixels:
    """What was read of N cells, in pixels; the centre of pixel (0, 0) lies at (0, 0).

    Attributes
    ----------
    moments : int64 (N, 6)
        Of each nucleus: number of pixels, sums of y, x, y², x² and yx.
    convex_area : float64 (N,)
        Of each nucleus's hull.
    sides : int64 (N, 2)
        Pixel sides on each cell's border, and those of them that touch another cell. The
        array's own edge counts as border that touches nothing.
    size : int64 (N, 2)
        Pixels of nucleus and cytoplasm.
    mean, highest, squares : float64 (N, 2, S)
        Of every plane in nucleus and cytoplasm: the mean, the maximum, and the sum of squared
        deviations from the mean; NaN, NaN and 0 without a pixel.
    """

    moments: Ints
    convex_area: Floats
    sides: Ints
    size: Ints
    mean: Floats
    highest: Floats
    squares: Floats


def read_pixels(
    labels: Labels, cells: Labels, image: npt.NDArray[np.floating], owned: Labels
) -> CellPixels:
    """Read the pixels of some cells.

    Parameters
    ----------
    labels, cells : int32 (Y, X)
        Nuclei, and whole cells with the same numbers.
    image : floating (Y, X, S)
        Finite.
    owned : int32 (N,)
        The cells to read: at least one, ascending.

    Raises
    ------
    ValueError
        If an owned label is not there.

    Notes
    -----
    The hull is that of the pixels as unit squares: a rectangle of pixels has the convex area of
    its pixels, so that solidity is 1 at most. The hull of the pixel centres follows from the
    first and last pixel of each row by Andrew's monotone chain; a unit square added to a convex
    shape of width w and height h adds w + h + 1 to its area (Minkowski sum).

    References
    ----------
    Andrew (1979), Another efficient algorithm for convex hulls in two dimensions,
    Inf. Process. Lett. 9:216.

    Examples
    --------
    An L of three pixels: the hull is three squares and half of the missing one.

    >>> nuclei = np.array([[3, 0], [3, 3]], np.int32)
    >>> read_pixels(nuclei, nuclei, np.ones((2, 2, 1)), np.array([3], np.int32)).convex_area
    array([3.5])
    """
    count, planes = owned.size, image.shape[2]
    row_of = np.full(int(owned[-1] - owned[0]) + 1, -1, np.int32)
    row_of[owned - owned[0]] = np.arange(count)
    boxes = np.tile(np.array([*cells.shape, -1, -1], np.int32), (count, 1))
    sides = np.zeros((count, 2), np.int32)
    _find_borders(cells, int(owned[0]), (row_of, boxes, sides))
    height, width = boxes[:, 2] - boxes[:, 0] + 1, boxes[:, 3] - boxes[:, 1] + 1
    if (height <= 0).any():
        raise ValueError(f"owned label {owned[height <= 0][0]} is not in labels.")
    room = int((height.astype(np.int64) * width).max())
    moments, doubled = np.zeros((count, 6), np.int64), np.zeros(count, np.int64)
    size, values = np.zeros((count, 2), np.int64), np.empty((count, 2, planes, 3))
    scratch = np.empty((2, room), np.int64), np.empty((4, int(height.max())), np.int64)
    _read(
        (labels, cells),
        image.reshape(-1, planes),
        (owned, boxes),
        (moments, doubled, size, values),
        scratch,
    )
    return CellPixels(
        moments, doubled / 2, sides.astype(np.int64), size, *np.moveaxis(values, 3, 0)
    )


@compiled
def _find_borders(cells: Labels, lowest: int, found: _Found) -> None:
    """Visit every pixel side between two cells, or between a cell and what is none."""
    height, width = cells.shape
    for y in range(height):
        left = _NOTHING
        for x in range(width):
            here = cells[y, x]
            above = cells[y - 1, x] if y else _NOTHING
            if here != left:
                _add_side(found, lowest, left, here, y, x - 1)
                _add_side(found, lowest, here, left, y, x)
            if here != above:
                _add_side(found, lowest, above, here, y - 1, x)
                _add_side(found, lowest, here, above, y, x)
            left = here
        _add_side(found, lowest, left, _NOTHING, y, width - 1)
    for x in range(width):
        _add_side(found, lowest, cells[height - 1, x], _NOTHING, height - 1, x)


@compiled
def _add_side(found: _Found, lowest: int, label: int, beyond: int, y: int, x: int) -> None:
    """Count a side of a cell's pixel (y, x), and stretch the cell's box to the pixel."""
    row_of, boxes, sides = found
    place = label - lowest
    if place < 0 or place >= row_of.size or row_of[place] < 0:
        return
    row = row_of[place]
    sides[row, 0] += 1
    sides[row, 1] += beyond > 0
    boxes[row, 0] = min(boxes[row, 0], y)
    boxes[row, 1] = min(boxes[row, 1], x)
    boxes[row, 2] = max(boxes[row, 2], y)
    boxes[row, 3] = max(boxes[row, 3], x)


@compiled
def _read(
    masks: tuple[Labels, Labels],
    image: npt.NDArray[np.floating],
    which: tuple[Labels, Labels],
    out: tuple[Ints, Ints, Ints, Floats],
    scratch: tuple[Ints, Ints],
) -> None:
    owned, boxes = which
    moments, doubled_hull, size, values = out
    pixels, rows = scratch
    for cell in range(owned.size):
        box = boxes[cell]
        _list_pixels(masks, owned[cell], box, scratch, size[cell], moments[cell])
        doubled_hull[cell] = _doubled_hull(rows, box[2] - box[0] + 1)
        for part in range(2):
            for plane in range(image.shape[1]):
                _describe(image, plane, pixels[part, : size[cell, part]], values[cell, part, plane])


@compiled
def _list_pixels(
    masks: tuple[Labels, Labels],
    own: int,
    box: Labels,
    scratch: tuple[Ints, Ints],
    size: Ints,
    moments: Ints,
) -> None:
    """List the pixels of nucleus and cytoplasm, and the nucleus's first and last of each row."""
    labels, cells = masks
    pixels, rows = scratch
    nucleus = around = 0
    for y in range(box[0], box[2] + 1):
        start = nucleus
        x_sum = xx_sum = 0
        for x in range(box[1], box[3] + 1):
            if cells[y, x] != own:
                continue
            pixel = y * cells.shape[1] + x
            if labels[y, x] > 0:
                pixels[0, nucleus] = pixel
                nucleus += 1
                x_sum += x
                xx_sum += x * x
            else:
                pixels[1, around] = pixel
                around += 1
        length = nucleus - start
        rows[0, y - box[0]] = -1
        if length:
            rows[0, y - box[0]] = pixels[0, start] - y * cells.shape[1]
            rows[1, y - box[0]] = pixels[0, nucleus - 1] - y * cells.shape[1]
        moments[1] += y * length
        moments[2] += x_sum
        moments[3] += y * y * length
        moments[4] += xx_sum
        moments[5] += y * x_sum
    moments[0] = size[0] = nucleus
    size[1] = around


@compiled
def _doubled_hull(rows: Ints, height: int) -> int:
    """Return twice the area of the hull of the pixels between the first and last of each row."""
    first, last, chain = rows[0, :height], rows[1, :height], rows[2:]
    top = bottom = left = right = -1
    for y in range(height):
        if first[y] >= 0:
            top = y if top < 0 else top
            left = first[y] if left < 0 else min(left, first[y])
            bottom, right = y, max(right, last[y])
    if top < 0:
        return 0
    between = _doubled_area(first, last, 1, chain) + _doubled_area(first, first, -1, chain)
    return between + 2 * (bottom - top + right - left + 1)


@compiled
def _doubled_area(first: Ints, edge: Ints, sign: int, chain: Ints) -> int:
    """Return twice the area under the smallest concave function above ``sign * edge``."""
    at, value = chain[0], chain[1]
    depth = 0
    for y in range(first.size):
        if first[y] < 0:
            continue
        new = sign * edge[y]
        while depth > 1:
            a, b = depth - 2, depth - 1
            if (value[b] - value[a]) * (y - at[a]) > (new - value[a]) * (at[b] - at[a]):
                break
            depth -= 1
        at[depth], value[depth] = y, new
        depth += 1
    doubled = 0
    for k in range(1, depth):
        doubled += (at[k] - at[k - 1]) * (value[k] + value[k - 1])
    return doubled


@compiled
def _describe(image: npt.NDArray[np.floating], plane: int, pixels: Ints, out: Floats) -> None:
    """Fill in mean, maximum and sum of squared deviations of some pixels of one plane."""
    if pixels.size == 0:
        out[0] = out[1] = np.nan
        out[2] = 0.0
        return
    # Differences from one of the values: a difference of large squares would lose digits.
    middle = np.float64(image[pixels[0], plane])
    total = squares = highest = 0.0
    for pixel in pixels:
        value = image[pixel, plane] - middle
        total += value
        squares += value * value
        highest = max(highest, value)
    shift = total / pixels.size
    out[0] = middle + shift
    out[1] = middle + highest
    out[2] = max(squares - shift * total, 0.0)
