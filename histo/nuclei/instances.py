"""From the network's planes to one label a nucleus."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.segmentation import watershed

__all__ = ["split_nuclei"]


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

    References
    ----------
    Vincent and Soille, Watersheds in digital spaces, IEEE PAMI 13:583 (1991).

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
    mask = foreground > threshold
    if not mask.any():
        return np.zeros(foreground.shape, np.int32)
    smooth = np.asarray(cv2.GaussianBlur(distance, (0, 0), 1.0), np.float32)
    seeds = _summits(smooth, mask)
    # scikit-image's watershed bears no types.
    basins = watershed(-smooth, seeds, mask=mask)  # type: ignore[no-untyped-call]
    labels = _merge_basins(np.asarray(basins, np.int32), smooth, saddle)
    return _drop_small(labels, min_area_px)


def _summits(smooth: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Give each local maximum (5 x 5) in the mask a number; flat tops that touch are one."""
    highest = cv2.dilate(smooth, np.ones((5, 5), np.uint8))
    tops = (smooth >= highest) & mask & (smooth > 0.15)
    _, seeds = cv2.connectedComponents(tops.astype(np.uint8), connectivity=8)
    # A component of the mask without any summit would be lost: its highest pixel is one.
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    has_seed = np.zeros(count, bool)
    has_seed[parts[seeds > 0]] = True
    orphan = ~has_seed
    orphan[0] = False
    if orphan.any():
        seeds = seeds.astype(np.int32)
        where = np.flatnonzero(orphan[parts])
        order = where[np.argsort(smooth.ravel()[where], kind="stable")]
        top_of = np.full(count, -1, np.int64)
        top_of[parts.ravel()[order]] = order  # the last, highest, wins
        tops_at = top_of[orphan]
        seeds.ravel()[tops_at] = seeds.max() + 1 + np.arange(len(tops_at), dtype=np.int32)
    return np.asarray(seeds, np.int32)


def _merge_basins(
    basins: NDArray[np.int32], smooth: NDArray[np.float32], saddle: float
) -> NDArray[np.int32]:
    """Join neighbouring basins whose pass is above ``saddle`` of the lower summit."""
    count = int(basins.max())
    summit = np.zeros(count + 1, np.float32)
    np.maximum.at(summit, basins.ravel(), smooth.ravel())
    lows, highs, passes = [], [], []
    for a, b in (
        (np.s_[:-1, :], np.s_[1:, :]),
        (np.s_[:, :-1], np.s_[:, 1:]),
    ):
        first, second = basins[a], basins[b]
        touch = (first != second) & (first > 0) & (second > 0)
        lows.append(np.minimum(first[touch], second[touch]))
        highs.append(np.maximum(first[touch], second[touch]))
        passes.append(np.minimum(smooth[a][touch], smooth[b][touch]))
    low, high, height = (np.concatenate(part) for part in (lows, highs, passes))
    if not len(low):
        return basins
    joined = height > saddle * np.minimum(summit[low], summit[high])
    graph = coo_array(
        (np.ones(int(joined.sum()), np.int8), (low[joined], high[joined])),
        shape=(count + 1, count + 1),
    )
    _, group = connected_components(graph, directed=False)
    return np.asarray(group[basins], np.int32) * (basins > 0)


def _drop_small(labels: NDArray[np.int32], min_area_px: float) -> NDArray[np.int32]:
    """Remove labels below the area and number the rest without gaps."""
    areas = np.bincount(labels.ravel())
    keep = areas >= min_area_px
    keep[0] = False
    numbers: NDArray[Any] = np.zeros(len(areas), np.int32)
    numbers[keep] = np.arange(1, int(keep.sum()) + 1)
    return np.asarray(numbers[labels], np.int32)
