"""Area averages on a grid anchored at the slide's corner, so that any two reads agree."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["area_average", "source_span", "whole_factor"]

Array = NDArray[Any]

#: A factor is taken as whole when the drift over the entire axis stays below this many pixels.
_DRIFT_PX = 0.01


def whole_factor(factor: float, length: int) -> float:
    """Return the nearest whole factor where it differs by rounding only, else the factor.

    Parameters
    ----------
    factor : float
        Stored pixels per output pixel.
    length : int
        Extent of the axis in stored pixels.

    Returns
    -------
    float

    Examples
    --------
    >>> whole_factor(4.0000000001, 100_000), whole_factor(4.01, 100_000)
    (4.0, 4.01)
    """
    whole = round(factor)
    if whole >= 1 and abs(factor - whole) * length / whole <= _DRIFT_PX:
        return float(whole)
    return factor


def source_span(start: int, stop: int, factor: float, length: int) -> tuple[int, int]:
    """Return the half-open range of stored pixels under output pixels ``start ... stop - 1``.

    Parameters
    ----------
    start, stop : int
        Output pixels, inside the grid.
    factor : float
        Stored pixels per output pixel.
    length : int
        Extent of the axis in stored pixels.

    Returns
    -------
    first, last : int
        At least one pixel.

    Examples
    --------
    >>> source_span(2, 4, 2.5, 100)
    (5, 10)
    """
    first = min(math.floor(start * factor), length - 1)
    last = min(math.ceil(stop * factor), length)
    return first, max(last, first + 1)


def area_average(
    block: Array,
    origin: tuple[int, int],
    starts: tuple[int, int],
    shape: tuple[int, int],
    *,
    factors: tuple[float, float],
    lengths: tuple[int, int],
) -> Array:
    """Average stored pixels over the areas of output pixels.

    Output pixel i covers ``[i * factor, (i + 1) * factor)`` of the axis. Its value depends on
    i alone, not on which block was read: tiles equal the whole, bit for bit. At the far edge
    the average is over what lies inside.

    Parameters
    ----------
    block : ndarray (Y, X, C)
        Stored pixels; uint8, uint16 or float32.
    origin : tuple of int
        Row and column of the block's first pixel in the level.
    starts, shape : tuple of int
        First output pixel (row, column), and how many.
    factors : tuple of float
        Stored pixels per output pixel along y and x.
    lengths : tuple of int
        Extents of the level in stored pixels.

    Returns
    -------
    ndarray
        Of the block's type, ``(*shape, C)``; whole numbers are rounded half up.

    Examples
    --------
    >>> block = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    >>> area_average(block, (0, 0), (0, 0), (2, 2), factors=(2.0, 2.0), lengths=(4, 4))[..., 0]
    array([[ 3,  5],
           [11, 13]], dtype=uint8)
    """
    if factors == (1.0, 1.0):
        top, left = starts[0] - origin[0], starts[1] - origin[1]
        return block[top : top + shape[0], left : left + shape[1]]
    if all(factor.is_integer() for factor in factors) and block.dtype.kind == "u":
        return _average_whole(block, origin, starts, shape, (int(factors[0]), int(factors[1])))
    # float32 carries 16-bit sums to a hundredth of a count; stored floats deserve float64.
    work = np.dtype(np.float64 if block.dtype.kind == "f" else np.float32)
    rows = _average_rows(block, _taps(starts[0], shape[0], factors[0], lengths[0]), origin[0], work)
    # Columns become rows: averaging whole rows is what memory is laid out for.
    turned = np.ascontiguousarray(rows.swapaxes(0, 1))
    mean = _average_rows(
        turned, _taps(starts[1], shape[1], factors[1], lengths[1]), origin[1], work
    )
    if block.dtype.kind == "u":
        mean += 0.5
        np.floor(mean, out=mean)
    return np.ascontiguousarray(mean.astype(block.dtype).swapaxes(0, 1))


def _average_whole(
    block: Array,
    origin: tuple[int, int],
    starts: tuple[int, int],
    shape: tuple[int, int],
    factors: tuple[int, int],
) -> Array:
    """Average by whole factors in exact integer arithmetic; a short last pixel divides by less."""
    top, left = starts[0] * factors[0] - origin[0], starts[1] * factors[1] - origin[1]
    inner = block[top : top + shape[0] * factors[0], left : left + shape[1] * factors[1]]
    peak = np.iinfo(block.dtype).max
    narrow = peak * factors[0] < 2**16
    rows = _sum_steps(inner, factors[0], np.dtype(np.uint16 if narrow else np.uint32))
    narrow = peak * factors[0] * factors[1] + factors[0] * factors[1] < 2**16
    wide = peak * factors[0] * factors[1] + factors[0] * factors[1] >= 2**32
    kind = np.uint16 if narrow else np.uint64 if wide else np.uint32
    total = _sum_steps(rows.swapaxes(0, 1), factors[1], np.dtype(kind)).swapaxes(0, 1)
    counts = [
        np.minimum(factors[axis], inner.shape[axis] - np.arange(shape[axis]) * factors[axis])
        for axis in (0, 1)
    ]
    full = factors[0] * factors[1]
    mean = (total + total.dtype.type(full // 2)) // total.dtype.type(full)
    # Only the last row and the last column of the slide can be short.
    if counts[0][-1] < factors[0]:
        mean[-1] = _divide(total[-1], counts[0][-1] * counts[1][:, np.newaxis])
    if counts[1][-1] < factors[1]:
        mean[:, -1] = _divide(total[:, -1], counts[0][:, np.newaxis] * counts[1][-1])
    return np.ascontiguousarray(mean.astype(block.dtype))


def _divide(total: Array, count: Array) -> Array:
    """Divide whole numbers, rounding half up."""
    whole = total.astype(np.uint64)
    divisor = count.astype(np.uint64)
    return (whole + divisor // 2) // divisor


def _sum_steps(block: Array, step: int, dtype: np.dtype[Any]) -> Array:
    """Sum ``step`` neighbours along axis 0; the last group may be short."""
    total = block[::step].astype(dtype)
    for offset in range(1, step):
        part = block[offset::step]
        total[: len(part)] += part
    return total


def _taps(
    start: int, count: int, factor: float, length: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the first stored pixel under each output pixel, and the weights from there on."""
    index = np.arange(start, start + count, dtype=np.float64)
    low = np.minimum(index * factor, length - 1)
    high = np.maximum(np.minimum((index + 1) * factor, length), low + 1e-9)
    first = np.floor(low).astype(np.int64)
    # The number of taps depends on the factor alone: a pixel sums the same terms in any read.
    position = first[:, np.newaxis] + np.arange(math.ceil(factor) + 1)
    cover = np.minimum(position + 1, high[:, np.newaxis])
    weights = np.clip(cover - np.maximum(position, low[:, np.newaxis]), 0, None)
    return first, weights / weights.sum(axis=1, keepdims=True)


def _average_rows(
    block: Array,
    taps: tuple[NDArray[np.int64], NDArray[np.float64]],
    origin: int,
    work: np.dtype[Any],
) -> Array:
    """Average along axis 0 with the given taps, adding in a fixed order."""
    first = taps[0] - origin
    weights = taps[1].astype(work)
    flat = block.reshape(len(block), -1).astype(work, copy=False)
    mean = np.empty((len(first), flat.shape[1]), work)
    term = np.empty(flat.shape[1], work)
    for index, row in enumerate(mean):
        np.multiply(flat[first[index]], weights[index, 0], out=row)
        for tap in range(1, weights.shape[1]):
            # Not left to the weight: the row may lie past the block, and 0 * nan is nan.
            if weights[index, tap] > 0:
                np.multiply(flat[first[index] + tap], weights[index, tap], out=term)
                np.add(row, term, out=row)
    return mean.reshape(len(first), *block.shape[1:])
