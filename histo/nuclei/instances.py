"""From the network's planes to one label a nucleus."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from histo.compiled import compiled

__all__ = ["split_nuclei"]

#: Heights are counted in steps of 1/16383 of the distance plane, floods in 8 of these.
_STEPS, _FLOOD_SHIFT = np.float32(16383), 3

#: Lower summits begin no basin, steps (0.15 of the distance plane).
_LOWEST_SUMMIT = 2457

#: Background around the planes, px: no neighbour lies outside of the array.
_FRAME = 2

# What a pixel is until a basin owns it; basins are numbered from 1.
_OUTSIDE, _UNSEEN, _SEEN = 0, -1, -2

# Height and owner of every pixel, flat.
_Planes = tuple[NDArray[np.int16], NDArray[np.int32]]

# By bucket its first and last pixel, by pixel the one that follows in its bucket (-1: none);
# and the pixels of the piece at hand.
_Queue = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]

# By basin the one that stands for its nucleus, and the height of its summit.
_Basins = tuple[NDArray[np.int32], NDArray[np.int16]]


def split_nuclei(
    foreground: NDArray[np.float32],
    distance: NDArray[np.float32],
    *,
    threshold: float = 0.5,
    saddle: float = 0.75,
    min_area_px: float = 30.0,
) -> NDArray[np.int32]:
    """Separate nuclei that touch.

    Every summit of the distance plane floods its basin; two basins are one nucleus when the
    pass between them is nearly as high as the lower summit. A nucleus with two summits has
    a high pass, two nuclei that touch have a low one, whatever their size.

    Parameters
    ----------
    foreground : float32 (Y, X)
        Probability 0-1 of "inside a nucleus".
    distance : float32 (Y, X)
        Distance to the border over its largest value in the nucleus, about 0-1.
    threshold : float
        Foreground from this probability.
    saddle : float
        Basins are merged when pass / lower summit is above this (0-1).
    min_area_px : float
        Smaller nuclei are dropped.

    Returns
    -------
    int32 (Y, X)
        0 is background, nuclei are numbered 1 ... N without gaps.

    Raises
    ------
    ValueError
        If the planes differ in shape.

    Notes
    -----
    Each connected piece of the foreground is worked on by itself, while its pixels are in the
    processor's cache; most hold one summit, and need no flood. Floods rise in steps of 1/2048:
    pixels within one step are taken in the order in which the flood reaches them.

    References
    ----------
    Meyer, Topographic distance and watershed lines, Signal Processing 38:113 (1994): the flood
    from ordered queues.

    Examples
    --------
    >>> y, x = np.mgrid[:40, :60]
    >>> left, right = np.hypot(y - 20, x - 20), np.hypot(y - 20, x - 38)
    >>> distance = np.clip(1 - np.minimum(left, right) / 10, 0, 1).astype(np.float32)
    >>> labels = split_nuclei((distance > 0).astype(np.float32), distance)
    >>> int(labels.max())
    2
    """
    if foreground.shape != distance.shape:
        raise ValueError(
            f"foreground and distance must have one shape, got {foreground.shape} and "
            f"{distance.shape}."
        )
    if foreground.size == 0:
        return np.zeros(foreground.shape, np.int32)
    smooth = np.asarray(cv2.GaussianBlur(distance, (0, 0), 1.0), np.float32)
    framed = foreground.shape[0] + 2 * _FRAME, foreground.shape[1] + 2 * _FRAME
    level, owner = np.zeros(framed, np.int16), np.zeros(framed, np.int32)
    _prepare(foreground, smooth, threshold, level, owner)
    # No two basins begin with neighbours: there is room for all.
    room = level.size // 2 + 2
    parent, summit = np.empty(room, np.int32), np.empty(room, np.int16)
    planes = level.ravel(), owner.ravel()
    basins = _find_basins(planes, framed[1], _new_queue(level.size), (parent, summit), saddle)
    parent = parent[: basins + 1]
    area = np.zeros(parent.size, np.int64)
    _count(owner, parent, area)
    kept = (area >= min_area_px) & (parent == np.arange(parent.size))
    kept[0] = False
    number = np.where(kept, np.cumsum(kept), 0).astype(np.int32)[parent]
    labels = np.empty(foreground.shape, np.int32)
    _paint(owner, number, labels)
    return labels


def _new_queue(size: int) -> _Queue:
    buckets = (32767 >> _FLOOD_SHIFT) + 1
    first, last = np.full(buckets, -1, np.int32), np.empty(buckets, np.int32)
    return first, last, np.empty(size, np.int32), np.empty(size, np.int32)


@compiled
def _prepare(
    foreground: NDArray[np.float32],
    smooth: NDArray[np.float32],
    threshold: float,
    level: NDArray[np.int16],
    owner: NDArray[np.int32],
) -> None:
    """Fill in every pixel's height in steps, and whether it waits for a basin."""
    for y in range(smooth.shape[0]):
        for x in range(smooth.shape[1]):
            step = min(max(smooth[y, x] * _STEPS, np.float32(0)), np.float32(32767))
            level[y + _FRAME, x + _FRAME] = np.int16(step)
            if foreground[y, x] > threshold:
                owner[y + _FRAME, x + _FRAME] = _UNSEEN


@compiled
def _find_basins(planes: _Planes, width: int, queue: _Queue, basins: _Basins, saddle: float) -> int:
    """Fill in the basin of every pixel, and join basins; return how many there are."""
    owner = planes[1]
    parent, summit = basins
    piece = queue[3]
    last = 0
    parent[0] = 0
    for start in range(owner.size):
        if owner[start] != _UNSEEN:
            continue
        pixels = piece[: _collect(owner, start, width, piece)]
        before = last
        last = max(_plant(planes, pixels, width, before), before + 1)
        for basin in range(before + 1, last + 1):
            parent[basin] = basin
            summit[basin] = 0
        if last > before + 1:
            _flood(planes, pixels, width, queue)
            _join(planes, pixels, width, basins, saddle)
        else:
            for pixel in pixels:
                owner[pixel] = last
    return last


@compiled
def _collect(owner: NDArray[np.int32], start: int, width: int, piece: NDArray[np.int32]) -> int:
    """List the pixels that hang together with ``start`` by their sides; return their number."""
    owner[start] = _SEEN
    piece[0] = start
    size, at = 1, 0
    while at < size:
        for step in (-width, -1, 1, width):
            pixel = piece[at] + step
            if owner[pixel] == _UNSEEN:
                owner[pixel] = _SEEN
                piece[size] = pixel
                size += 1
        at += 1
    return size


@compiled
def _plant(planes: _Planes, piece: NDArray[np.int32], width: int, old: int) -> int:
    """Begin a basin on each local maximum (5 x 5); tops that touch are one. Return the last."""
    level, owner = planes
    basins = old
    for pixel in piece:
        if level[pixel] <= _LOWEST_SUMMIT or not _is_summit(level, pixel, width):
            continue
        for step in (-width, 0, width):
            for other in range(pixel + step - 1, pixel + step + 2):
                if owner[other] > old:
                    owner[pixel] = owner[other]
        if owner[pixel] == _SEEN:
            basins += 1
            owner[pixel] = basins
    return basins


@compiled
def _is_summit(level: NDArray[np.int16], pixel: int, width: int) -> bool:
    for row in range(pixel - 2 * width, pixel + 2 * width + 1, width):
        for other in range(row - 2, row + 3):
            if level[other] > level[pixel]:
                return False
    return True


@compiled
def _flood(planes: _Planes, piece: NDArray[np.int32], width: int, queue: _Queue) -> None:
    """Let the basins of a piece grow from their summits, the highest pixels first."""
    level, owner = planes
    first, _, following, _ = queue
    waiting = bucket = 0
    for pixel in piece:
        if owner[pixel] != _SEEN:
            bucket = max(bucket, _append(queue, pixel, level[pixel]))
            waiting += 1
    while waiting:
        pixel = first[bucket]
        if pixel < 0:
            bucket -= 1
            continue
        first[bucket] = following[pixel]
        waiting -= 1
        for step in (-width, -1, 1, width):
            other = pixel + step
            if owner[other] == _SEEN:
                owner[other] = owner[pixel]
                bucket = max(bucket, _append(queue, other, level[other]))
                waiting += 1


@compiled
def _append(queue: _Queue, pixel: int, level: int) -> int:
    """Put a pixel at the end of its bucket, and return the bucket."""
    first, last, following, _ = queue
    bucket = level >> _FLOOD_SHIFT
    following[pixel] = -1
    if first[bucket] < 0:
        first[bucket] = pixel
    else:
        following[last[bucket]] = pixel
    last[bucket] = pixel
    return bucket


@compiled
def _join(
    planes: _Planes, piece: NDArray[np.int32], width: int, basins: _Basins, saddle: float
) -> None:
    """Join neighbouring basins of a piece whose pass is above ``saddle`` of the lower summit."""
    level, owner = planes
    parent, summit = basins
    for pixel in piece:
        summit[owner[pixel]] = max(summit[owner[pixel]], level[pixel])
    for pixel in piece:
        for step in (1, width):
            a, b = owner[pixel], owner[pixel + step]
            if b == a or b <= _OUTSIDE:
                continue
            if min(level[pixel], level[pixel + step]) > saddle * min(summit[a], summit[b]):
                a, b = _root(parent, a), _root(parent, b)
                parent[max(a, b)] = min(a, b)
    for pixel in piece:
        parent[owner[pixel]] = _root(parent, owner[pixel])


@compiled
def _root(parent: NDArray[np.int32], basin: int) -> int:
    while parent[basin] != basin:
        basin = parent[basin]
    return basin


@compiled
def _count(owner: NDArray[np.int32], parent: NDArray[np.int32], area: NDArray[np.int64]) -> None:
    """Count the pixels of every nucleus, by the basin that stands for it."""
    for basin in owner.flat:
        area[parent[basin]] += 1


@compiled
def _paint(owner: NDArray[np.int32], number: NDArray[np.int32], labels: NDArray[np.int32]) -> None:
    """Write the number of every pixel's basin; the frame is left out."""
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            labels[y, x] = number[owner[y + _FRAME, x + _FRAME]]
