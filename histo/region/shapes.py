"""Opening, closing and holes of masks with radii in pixels that need not be whole; polygons."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["without_regions"]

Mask = npt.NDArray[np.bool_]


def distance(mask: Mask) -> npt.NDArray[np.float32]:
    """Return how far the middle of each pixel of the mask lies from its border, px; 0 outside.

    The picture's edge is no border.
    """
    away = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(np.where(mask, away - 0.5, 0), np.float32)


def erode(mask: Mask, radius_px: float) -> Mask:
    """Return what lies deeper than a radius."""
    return np.asarray(distance(mask) > radius_px)


def dilate(mask: Mask, radius_px: float) -> Mask:
    """Return what lies in the mask or nearer to it than a radius."""
    if not mask.any():
        return mask.copy()
    return np.asarray(mask | (distance(~mask) <= radius_px))


def opened(mask: Mask, radius_px: float) -> Mask:
    """Return the mask without what a disc of the radius does not fit into."""
    return np.asarray(dilate(erode(mask, radius_px), radius_px + 1e-3) & mask)


def closed(mask: Mask, radius_px: float) -> Mask:
    """Return the mask without the gaps that a disc of the radius does not fit into."""
    return np.asarray(~opened(~mask, radius_px))


def components(mask: Mask) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return labels of the islands from 1, int32 (Y, X), and areas, int64 (N + 1,)."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    return np.asarray(labels, np.int32), areas[:count]


def filled(mask: Mask, area_px: float) -> Mask:
    """Fill holes up to an area; what touches the picture's edge is no hole."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~mask).astype(np.uint8), connectivity=4)
    left, top = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[:, cv2.CC_STAT_WIDTH], top + stats[:, cv2.CC_STAT_HEIGHT]
    edge = (left == 0) | (top == 0) | (right == mask.shape[1]) | (bottom == mask.shape[0])
    hole = (stats[:, cv2.CC_STAT_AREA] <= area_px) & ~edge
    hole[0] = False
    return np.asarray(mask | hole[labels])


def holding(mask: Mask, seeds: Mask) -> Mask:
    """Return the islands of the mask that hold a seed."""
    labels, areas = components(mask)
    keep = np.zeros(len(areas), bool)
    keep[np.unique(labels[seeds & mask])] = True
    keep[0] = False
    return np.asarray(keep[labels])


def blurred(values: npt.NDArray[np.float32], sigma_px: float) -> npt.NDArray[np.float32]:
    """Return the weighted mean around each pixel; the picture is mirrored at its edge."""
    if sigma_px < 0.3:
        return values
    return np.asarray(
        cv2.GaussianBlur(values, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT), np.float32
    )


def without_regions(
    mask: npt.NDArray[np.bool_], pixel_size_um: float, regions_um: Sequence[npt.ArrayLike]
) -> npt.NDArray[np.bool_]:
    """Return a mask without the pixels whose centres lie in polygons.

    Parameters
    ----------
    mask : bool (Y, X)
        Pixel (0, 0) lies in the slide's top left corner.
    pixel_size_um : float
    regions_um : sequence of float (N, 2)
        Vertices (y, x) in µm.

    Returns
    -------
    bool (Y, X)

    Examples
    --------
    >>> square = [[0, 0], [0, 4], [4, 4], [4, 0]]
    >>> without_regions(np.ones((3, 3), bool), 2.0, [square]).astype(int).tolist()
    [[0, 0, 1], [0, 0, 1], [1, 1, 1]]
    """
    from skimage.draw import polygon2mask

    kept = mask.copy()
    for polygon in regions_um:
        corners = np.asarray(polygon, np.float64) / pixel_size_um - 0.5
        kept &= ~polygon2mask(mask.shape, corners)  # type: ignore[no-untyped-call]
    return kept
