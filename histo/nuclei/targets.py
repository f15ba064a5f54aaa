"""What the network is to say of an image, from its labels; and how that is kept in bytes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage as ndi

from histo.nuclei.network import OFFSET_PX, OUTPUTS

__all__ = ["PLANES", "border_distance", "decode", "encode", "targets_of", "turn"]

#: Planes of a target: foreground, distance, positive, offset y and x.
PLANES = len(OUTPUTS)


def border_distance(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return how deep each nuclear pixel lies in its own nucleus.

    Parameters
    ----------
    labels : int (Y, X)
        0 is background.

    Returns
    -------
    float32 (Y, X)
        Distance to the border of the nucleus in px, at least 0.5; 0 outside.

    References
    ----------
    Borgefors, Distance transformations in digital images, CVGIP 34:344 (1986).

    Examples
    --------
    >>> border_distance(np.array([[1, 1, 1, 0]] * 2)).tolist()
    [[3.0, 2.0, 1.0, 0.0], [3.0, 2.0, 1.0, 0.0]]
    """
    inside = labels > 0
    core = inside.copy()
    for axis in (0, 1):
        differs = np.diff(labels, axis=axis) != 0
        low = [slice(None)] * 2
        high = [slice(None)] * 2
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        both = inside[tuple(low)] & inside[tuple(high)] & differs
        core[tuple(low)] &= ~both
        core[tuple(high)] &= ~both
    distance = cv2.distanceTransform(core.astype(np.uint8), cv2.DIST_L2, 5)
    return np.where(inside, np.maximum(distance, 0.5), 0).astype(np.float32)


def targets_of(
    labels: NDArray[np.integer], positive: NDArray[np.floating | np.bool_]
) -> NDArray[np.float32]:
    """Return what the network is to say of an image.

    Parameters
    ----------
    labels : int (Y, X)
        0 is background.
    positive : float or bool (Y, X)
        1 inside DAB-positive nuclei; what lies outside of nuclei plays no part.

    Returns
    -------
    float32 (5, Y, X)
        Inside a nucleus, depth (`border_distance` over its largest value in the nucleus),
        positive, and the way to the nucleus' centroid (y, x) in units of
        `histo.nuclei.network.OFFSET_PX`.

    Examples
    --------
    >>> targets = targets_of(np.array([[0, 1, 1, 1, 0]] * 5), np.ones((5, 5), bool))
    >>> targets.shape, (targets[4, 2] * OFFSET_PX).tolist()
    ((5, 5, 5), [0.0, 1.0, 0.0, -1.0, -0.0])
    """
    distance = border_distance(labels)
    n = int(labels.max(initial=0))
    largest = np.ones(n + 1, np.float32)
    if n:
        largest = np.maximum(ndi.maximum(distance, labels, np.arange(n + 1)), 1)
    inside = labels > 0
    depth = distance / largest.astype(np.float32)[labels] * inside
    flat, offsets = labels.ravel(), []
    size = np.maximum(np.bincount(flat, minlength=n + 1), 1)
    for at in np.indices(labels.shape, np.float32):
        centre = np.bincount(flat, at.ravel(), n + 1) / size
        offsets.append((centre[labels] - at) / OFFSET_PX * inside)
    return np.stack([inside, depth, positive * inside, *offsets]).astype(np.float32)


def encode(targets: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Turn targets into bytes, channels last.

    Parameters
    ----------
    targets : float32 (5, Y, X)
        From `targets_of`.

    Returns
    -------
    uint8 (Y, X, 5)
        Offsets keep an eighth of a pixel, the others a 255th.

    Examples
    --------
    >>> encode(np.zeros((5, 1, 1), np.float32)).ravel().tolist()
    [0, 0, 0, 128, 128]
    """
    coded = targets * 255
    coded[3:] = np.clip(targets[3:], -1, 1) * 127 + 128
    return np.asarray(np.round(coded), np.uint8).transpose(1, 2, 0)


def decode(coded: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Undo `encode`.

    Parameters
    ----------
    coded : uint8 (..., 5)

    Returns
    -------
    float32 (..., 5)

    Examples
    --------
    >>> decode(np.array([255, 0, 0, 128, 255], np.uint8)).tolist()
    [1.0, 0.0, 0.0, 0.0, 1.0]
    """
    targets = np.asarray(coded, np.float32) / np.float32(255)
    targets[..., 3:] = (coded[..., 3:].astype(np.float32) - 128) / 127
    return targets


def turn(tile: NDArray[np.uint8], quarters: int, mirror: bool) -> NDArray[np.uint8]:
    """Turn and mirror an image together with its coded targets, their vectors with it.

    Parameters
    ----------
    tile : uint8 (S, S, C)
        The last two channels are the offsets (y, x) of `encode`; the others are turned as
        they are.
    quarters : int
        Quarter turns, counterclockwise.
    mirror : bool
        Mirror left and right afterwards.

    Returns
    -------
    uint8 (S, S, C)

    Examples
    --------
    >>> tile = np.full((1, 1, 5), 128, np.uint8)
    >>> tile[0, 0, 3] = 138  # the centre lies below
    >>> turn(tile, 1, False)[0, 0, 3:].tolist()  # now it lies to the right
    [128, 138]
    """
    tile = np.rot90(tile, quarters).copy()
    y, x = tile[..., -2].astype(np.int16) - 128, tile[..., -1].astype(np.int16) - 128
    for _ in range(quarters % 4):
        y, x = -x, y
    if mirror:
        tile, y, x = tile[:, ::-1].copy(), y[:, ::-1], -x[:, ::-1]
    tile[..., -2], tile[..., -1] = y + 128, x + 128
    return tile
