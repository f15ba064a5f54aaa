"""Where most cells are: discs of a fixed area, and maps of density."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from histo.space.pairs import count_near
from histo.space.window import Window, checked_points

__all__ = ["Hotspot", "density_map", "find_hotspots"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hotspot:
    """A disc that holds many cells.

    Attributes
    ----------
    y_um, x_um : float
        Centre.
    radius_um : float
    count : int
        Cells in the disc.
    area_um2 : float
        Of the disc, as far as it is valid tissue.
    """

    y_um: float
    x_um: float
    radius_um: float
    count: int
    area_um2: float

    @property
    def density_per_mm2(self) -> float:
        """Cells per mm² of valid tissue in the disc; NaN without any."""
        return 1e6 * self.count / self.area_um2 if self.area_um2 > 0 else float("nan")


def find_hotspots(
    points_um: npt.ArrayLike, window: Window, *, area_mm2: float = 0.25, most: int = 3
) -> list[Hotspot]:
    """Return the discs with most cells, densest first, none overlapping another.

    Of all discs centred on a cell, the first holds the most cells; exactly so, for all of them
    are counted. The next is the one with most among those that do not overlap it, and so on.

    Parameters
    ----------
    points_um : float (N, 2)
        y, x of positive cells; those outside of the window take no part.
    window : Window
        Valid tissue.
    area_mm2 : float
        Of a whole disc.
    most : int
        How many discs at most.

    Returns
    -------
    list of Hotspot
        Ties go to the smaller y, then x. Fewer than ``most`` where there is no room.

    Raises
    ------
    ValueError
        If the area is not above 0 or ``most`` below 1.

    Notes
    -----
    A hot-spot is a maximum: it grows with the size of the section and the number of cells, and
    is no mean density. A disc between cells may hold a few more.

    References
    ----------
    Weidner et al. (1991), N. Engl. J. Med. 324:1.

    Examples
    --------
    >>> tissue = Window(np.ones((100, 100), bool), 20.0)
    >>> spots = find_hotspots([[1000, 1000], [1000, 1010], [300, 300]], tissue)
    >>> [(s.count, round(s.area_um2)) for s in spots]
    [(2, 250000), (1, 250000)]
    """
    if not area_mm2 > 0 or most < 1:
        raise ValueError(f"area_mm2 must be > 0 and most >= 1, got {area_mm2} and {most}.")
    points = checked_points(points_um)
    points = points[window.contains(points)]
    radius = float(np.sqrt(area_mm2 * 1e6 / np.pi))
    near = count_near(points, points, radius)
    free = np.ones(len(points), bool)
    order = np.lexsort((points[:, 1], points[:, 0], -near))
    spots: list[Hotspot] = []
    while len(spots) < most and free.any():
        at = order[free[order]][0]
        y, x = points[at].tolist()
        valid = _valid_share(window, points[at], radius)
        spots.append(Hotspot(y, x, radius, int(near[at]), valid * area_mm2 * 1e6))
        free &= ((points - points[at]) ** 2).sum(axis=1) >= (2 * radius) ** 2
    return spots


def density_map(points_um: npt.ArrayLike, window: Window, *, sigma_um: float = 50.0) -> Floats:
    """Return a smooth map of density, corrected for what lies outside of the tissue.

    Cells are smeared out with a Gaussian, and divided by how much of it lies in the window, so
    that even tissue is even up to its edge.

    Parameters
    ----------
    points_um : float (N, 2)
        y, x; those outside of the window take no part.
    window : Window
    sigma_um : float
        Standard deviation of the Gaussian, cut off at four of it; at least half a pixel.

    Returns
    -------
    float64 (Y, X)
        Cells per mm² at the window's pixels, NaN outside.

    Raises
    ------
    ValueError
        If sigma is below half a pixel.

    References
    ----------
    Diggle (1985), Appl. Stat. 34:138.

    Examples
    --------
    >>> tissue = Window(np.ones((9, 9), bool), 10.0)
    >>> places = np.argwhere(tissue.mask) * 10 + 5.0
    >>> density_map(places, tissue, sigma_um=20).round(6).min()
    np.float64(10000.0)
    """
    um = window.pixel_size_um
    if not sigma_um >= um / 2:
        raise ValueError(f"sigma_um must be at least half a pixel, got {sigma_um}.")
    points = checked_points(points_um)
    points = points[window.contains(points)]
    at = np.floor(window.in_pixels(points)).astype(np.int64)
    cells = np.bincount(at[:, 0] * window.mask.shape[1] + at[:, 1], minlength=window.mask.size)
    kernel = cv2.getGaussianKernel(2 * int(np.ceil(4 * sigma_um / um)) + 1, sigma_um / um)

    def smeared(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        blurred = cv2.sepFilter2D(plane, -1, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
        return np.asarray(blurred, np.float32)

    count = smeared(cells.reshape(window.mask.shape).astype(np.float32))
    share = smeared(window.mask.astype(np.float32))
    found = np.full(window.mask.shape, np.nan)
    found[window.mask] = count[window.mask] / share[window.mask] * (1e6 / um**2)
    return found


def _valid_share(window: Window, centre: Floats, radius: float) -> float:
    """Return how much of a disc is in the window, by quarters of pixels."""
    um = window.pixel_size_um
    middle = window.in_pixels(centre[None])[0]
    reach = radius / um
    start = np.floor(middle - reach).astype(np.int64)
    size = int(np.ceil(2 * reach)) + 2
    ticks = (np.arange(2 * size) + 0.5) / 2
    y, x = start[0] + ticks, start[1] + ticks
    inside = (y[:, None] - middle[0]) ** 2 + (x - middle[1]) ** 2 <= reach**2
    rows, columns = (np.floor(v).astype(np.int64) for v in (y, x))
    shape = window.mask.shape
    held = ((rows >= 0) & (rows < shape[0]))[:, None] & (columns >= 0) & (columns < shape[1])
    valid = window.mask[np.ix_(rows.clip(0, shape[0] - 1), columns.clip(0, shape[1] - 1))]
    return float(np.count_nonzero(inside & held & valid) / np.count_nonzero(inside))
