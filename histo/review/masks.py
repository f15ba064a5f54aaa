"""Outlines and the pixels within them: filled, parted, joined."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi
from skimage.graph import MCP_Geometric
from skimage.segmentation import watershed

from histo.cells import trace_outlines
from histo.geometry import Region
from histo.metrics.painting import OutlinePainter

__all__ = ["filled", "joined", "opened", "outline_of", "painted", "parted", "piece_at"]

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

#: A part smaller than this part of an equal share did not come from a valley.
_FAIR_SHARE = 0.4


def painted(outlines: Sequence[Floats], region: Region) -> npt.NDArray[np.int32]:
    """Return the pixels whose centres lie in outlines, int32 (Y, X): the outline's place from 1.

    Parameters
    ----------
    outlines : sequence of float64 (N, 2)
        Rings (y, x) in pixels, open; (0, 0) is the corner of the grid.
    region : Region
        Which part of the grid.

    Examples
    --------
    >>> square = np.array([[1.0, 1], [1, 3], [3, 3], [3, 1]])
    >>> painted([square], Region(1, 1, 2, 3)).tolist()
    [[1, 1, 0], [1, 1, 0]]
    """
    if not len(outlines):
        return np.zeros(region.shape, np.int32)
    starts = np.cumsum([0, *(len(one) for one in outlines)])
    count = len(outlines)
    return OutlinePainter(np.concatenate(outlines), starts, np.arange(count), count).paint(region)


def outline_of(mask: Mask, corner: Region) -> Floats:
    """Return the ring around the largest piece of a mask, float64 (N, 2), in pixels of the grid.

    Examples
    --------
    >>> outline_of(np.ones((1, 1), bool), Region(5, 0, 1, 1)).tolist()
    [[5.0, 0.5], [5.5, 1.0], [6.0, 0.5], [5.5, 0.0]]
    """
    ring = trace_outlines(mask.astype(np.int32), np.array([1]))[0]
    return np.asarray(ring + np.array([corner.y, corner.x]))


def filled(mask: Mask) -> Mask:
    """Return the largest piece of a mask (by sides), its holes filled.

    Examples
    --------
    >>> filled(np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], bool)).sum()
    np.int64(9)
    """
    pieces, count = ndi.label(mask)
    if count > 1:
        mask = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return _without_holes(mask)


def piece_at(mask: Mask, y: int, x: int) -> Mask:
    """Return the piece of a mask that holds a pixel, or the one nearest to it, holes filled."""
    if not mask.any():
        return mask
    if not mask[y, x]:
        y, x = nearest(mask, y, x)
    pieces = ndi.label(mask)[0]
    return _without_holes(pieces == pieces[y, x])


def nearest(mask: Mask, y: int, x: int) -> tuple[int, int]:
    """Return the pixel of a mask that lies nearest to a pixel."""
    rows, columns = np.nonzero(mask)
    best = int(np.argmin((rows - y) ** 2 + (columns - x) ** 2))
    return int(rows[best]), int(columns[best])


def opened(mask: Mask, radius_px: float) -> Mask:
    """Return a mask without what is narrower than a disc."""
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(radius_px)) > 0)


def parted(
    mask: Mask, seeds: Sequence[tuple[int, int]], height: npt.NDArray[np.floating]
) -> npt.NDArray[np.int32]:
    """Part a mask among seeds; every pixel goes to one.

    Parameters
    ----------
    mask : bool (Y, X)
        One piece.
    seeds : sequence of (int, int)
        Different pixels (y, x) of the mask.
    height : floating (Y, X)
        High in the middle of each part, low between them.

    Returns
    -------
    int32 (Y, X)
        0 outside of the mask, else the place of the seed from 1; each part is one piece.

    Notes
    -----
    A flood from the seeds finds the valley between them. Where two seeds lie on one hill there is
    none, and the flood gives all to the higher one: then the parts meet halfway.

    References
    ----------
    Meyer, Topographic distance and watershed lines, Signal Processing 38:113 (1994).

    Examples
    --------
    >>> row = np.ones((1, 6), bool)
    >>> parted(row, [(0, 1), (0, 4)], np.array([[1.0, 2, 1, 0, 2, 1]])).tolist()
    [[1, 1, 1, 2, 2, 2]]
    >>> parted(row, [(0, 0), (0, 5)], np.array([[1.0, 2, 3, 4, 5, 6]])).tolist()
    [[1, 1, 1, 2, 2, 2]]
    """
    markers = np.zeros(mask.shape, np.int32)
    for number, (y, x) in enumerate(seeds, 1):
        markers[y, x] = number
    parts = watershed(-height, markers, mask=mask)  # type: ignore[no-untyped-call]
    sizes = np.bincount(parts.ravel(), minlength=len(seeds) + 1)[1:]
    if sizes.min() < _FAIR_SHARE * mask.sum() / len(seeds):
        steps = np.where(mask, 1.0, np.inf)
        far = [MCP_Geometric(steps, fully_connected=False).find_costs([one])[0] for one in seeds]
        parts = np.where(mask, 1 + np.argmin(far, axis=0), 0)
    return np.asarray(parts, np.int32)


def joined(masks: Sequence[Mask], gap_px: float, free: Mask) -> Mask:
    """Return the union of masks with narrow gaps between them closed, and its holes filled.

    Parameters
    ----------
    masks : sequence of bool (Y, X)
    gap_px : float
        Gaps up to this width are closed.
    free : bool (Y, X)
        Pixels that may be added.

    Examples
    --------
    >>> left, right = np.zeros((2, 9, 11), bool)
    >>> left[3:6, 2:5] = right[3:6, 6:9] = True
    >>> joined([left, right], 2, ~left)[4].astype(int).tolist()
    [0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    """
    union = np.logical_or.reduce(masks)
    closed = cv2.morphologyEx(union.astype(np.uint8), cv2.MORPH_CLOSE, _disc(gap_px / 2)) > 0
    return _without_holes(union | (closed & free))


def _without_holes(mask: Mask) -> Mask:
    # As outlines see it: what opens through a corner is no hole.
    return np.asarray(ndi.binary_fill_holes(mask, np.ones((3, 3))))


def _disc(radius_px: float) -> npt.NDArray[np.uint8]:
    reach = max(1, round(radius_px))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(y**2 + x**2 <= (reach + 0.3) ** 2, np.uint8)
