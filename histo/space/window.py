"""The window that cells are seen in: a mask on the slide, and distances to its edge."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["DistanceMap", "Window", "checked_points"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def checked_points(points_um: npt.ArrayLike) -> Floats:
    """Return points as float64 (N, 2).

    Raises
    ------
    ValueError
        If they have another shape, or one is not finite.

    Examples
    --------
    >>> checked_points([]).shape
    (0, 2)
    """
    points = np.asarray(points_um, np.float64)
    if points.size == 0:
        return np.empty((0, 2))
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points must be (N, 2), y and x in µm, got {points.shape}.")
    if not np.isfinite(points).all():
        raise ValueError("points must be finite.")
    return points


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Where cells can be: a mask with holes, on the slide.

    The window is the union of the mask's pixels, as squares. What lies beyond the mask
    belongs to the outside.

    Parameters
    ----------
    mask : bool (Y, X)
    pixel_size_um : float
    origin_um : (float, float)
        y, x of the top left corner of pixel (0, 0).

    Raises
    ------
    ValueError
        If the mask is not a plane of bool, or the pixel size is not above 0.

    Examples
    --------
    >>> window = Window(np.array([[True, False]]), 4.0)
    >>> window.area_um2, window.contains([[1.0, 1.0], [1.0, 5.0], [-1.0, 1.0]])
    (16.0, array([ True, False, False]))
    """

    mask: Bools
    pixel_size_um: float
    origin_um: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        mask = np.array(self.mask)
        if mask.ndim != 2 or mask.dtype != np.bool_ or mask.size == 0:
            raise ValueError(f"mask must be bool (Y, X), got {mask.dtype} {mask.shape}.")
        if not (np.isfinite(self.pixel_size_um) and self.pixel_size_um > 0):
            raise ValueError(f"pixel_size_um must be > 0, got {self.pixel_size_um}.")
        mask.setflags(write=False)
        object.__setattr__(self, "mask", mask)

    @property
    def area_um2(self) -> float:
        """Area of the window, µm²."""
        return float(np.count_nonzero(self.mask) * self.pixel_size_um**2)

    def contains(self, points_um: npt.ArrayLike) -> Bools:
        """Return which points lie in the window, bool (N,); points are (N, 2), y and x in µm."""
        at = np.floor(self.in_pixels(points_um)).astype(np.int64)
        inside = ((at >= 0) & (at < self.mask.shape)).all(axis=1)
        found = np.zeros(len(at), bool)
        found[inside] = self.mask[at[inside, 0], at[inside, 1]]
        return found

    def in_pixels(self, points_um: npt.ArrayLike) -> Floats:
        """Return points in pixels from the mask's top left corner, float64 (N, 2)."""
        corner = np.asarray(self.origin_um, np.float64)
        return np.asarray((checked_points(points_um) - corner) / self.pixel_size_um, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class DistanceMap:
    """Signed distance to a border, at the centres of pixels.

    Parameters
    ----------
    values : float32 (Y, X)
        µm, positive inside; infinite where there is no border.
    pixel_size_um : float
    origin_um : (float, float)
        y, x of the top left corner of pixel (0, 0).

    Notes
    -----
    The distance between the centre of a pixel and that of the nearest one on the other side is
    exact (Felzenszwalb, Huttenlocher 2012), less half a pixel, since the border runs between
    the two. Straight borders along the axes are exact. Slanted and round ones that were drawn
    in pixels come out nearer, by a quarter of a pixel on average and by one at most: it is the
    nearest corner of a staircase that counts.

    References
    ----------
    Felzenszwalb, Huttenlocher (2012), Theory of Computing 8:415.

    Examples
    --------
    >>> window = Window(np.ones((1, 8), bool), 2.0)
    >>> DistanceMap.of(window).at([[1.0, 1.0]])
    array([1.])
    """

    values: npt.NDArray[np.float32]
    pixel_size_um: float
    origin_um: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, window: Window) -> DistanceMap:
        """Return the distance to the edge of a window, its holes' edges among it."""
        return _signed(
            window, np.pad(window.mask, 1), np.pad(~window.mask, 1, constant_values=True)
        )

    @classmethod
    def between(cls, inner: Window, whole: Window) -> DistanceMap:
        """Return the distance to the border between a region and the rest of the tissue.

        The region's edge towards glass, artefacts and the end of the slide is no border.

        Parameters
        ----------
        inner : Window
            The region, such as tumour; distances are positive in it.
        whole : Window
            All tissue, on the same pixels.

        Raises
        ------
        ValueError
            If the two are not on the same pixels.
        """
        if (
            inner.mask.shape != whole.mask.shape
            or inner.pixel_size_um != whole.pixel_size_um
            or inner.origin_um != whole.origin_um
        ):
            raise ValueError("the region and the tissue must be on the same pixels.")
        return _signed(inner, np.pad(inner.mask, 1), np.pad(whole.mask & ~inner.mask, 1))

    def at(self, points_um: npt.ArrayLike) -> Floats:
        """Return the distance at points, by bilinear interpolation.

        Parameters
        ----------
        points_um : float (N, 2)
            y, x. Beyond the map, the value at its rim.

        Returns
        -------
        float64 (N,)
            µm.
        """
        points = checked_points(points_um) - np.asarray(self.origin_um)
        # The map has a rim of one pixel around the mask.
        at = points / self.pixel_size_um + 0.5
        y, x = (np.clip(at[:, k], 0, self.values.shape[k] - 1) for k in range(2))
        y0, x0 = (
            np.minimum(v.astype(np.int64), size - 2)
            for v, size in zip((y, x), self.values.shape, strict=True)
        )
        dy, dx = y - y0, x - x0
        v = self.values
        with np.errstate(invalid="ignore"):
            top = v[y0, x0] * (1 - dx) + v[y0, x0 + 1] * dx
            bottom = v[y0 + 1, x0] * (1 - dx) + v[y0 + 1, x0 + 1] * dx
            found = top * (1 - dy) + bottom * dy
        # 0 times infinity is no number; a pixel's own value is.
        nearest = v[np.rint(y).astype(int), np.rint(x).astype(int)]
        return np.asarray(np.where(np.isnan(found), nearest, found), np.float64)

    @property
    def inner(self) -> npt.NDArray[np.float32]:
        """The distances at the mask's own pixels, without the rim around it."""
        return self.values[1:-1, 1:-1]


def _signed(window: Window, inside: Bools, outside: Bools) -> DistanceMap:
    """Return distances: in ``inside`` to the nearest pixel of ``outside``, else back to it."""
    out, back = _to_nearest(outside), _to_nearest(inside)
    signed = np.where(inside, out - 0.5, 0.5 - back) * np.float32(window.pixel_size_um)
    return DistanceMap(signed.astype(np.float32), window.pixel_size_um, window.origin_um)


def _to_nearest(mask: Bools) -> npt.NDArray[np.float32]:
    """Return how far each pixel's centre is from the nearest one of a mask, pixels."""
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away, np.float32)
