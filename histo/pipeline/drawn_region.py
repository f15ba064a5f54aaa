"""The part of a slide that is analysed: polygons, drawn by hand or read from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from histo.errors import AnnotationError, SlideError
from histo.geometry import Region
from histo.metrics.shapes import OutlineShapes
from histo.results import read_region
from histo.slide import Slide

__all__ = ["DrawnRegion", "Polygons", "check_polygons", "read_polygons"]

#: Polygons of vertices (y, x) in µm from the slide's top left corner.
Polygons = tuple[tuple[tuple[float, float], ...], ...]

#: Each pixel of the survey is looked at in so many places along either side.
_FINER = 8
#: Rows of the survey's grid that are painted at once: bounds memory, not the result.
_STRIP_ROWS = 64
#: Polygons thinner than this are lines, µm.
_THINNEST_UM = 1e-3


def check_polygons(polygons: Sequence[npt.ArrayLike]) -> Polygons:
    """Return polygons as nested tuples of plain numbers.

    Parameters
    ----------
    polygons : sequence of float (N, 2)
        Vertices (y, x) in µm.

    Returns
    -------
    tuple of tuple of (float, float)

    Raises
    ------
    ValueError
        If there is none, or one is no polygon or has no area.

    Examples
    --------
    >>> check_polygons([np.array([[0, 0], [0, 9], [9, 9]])])
    (((0.0, 0.0), (0.0, 9.0), (9.0, 9.0)),)
    >>> check_polygons([[(0, 0), (5, 5), (9, 9)]])
    Traceback (most recent call last):
    ...
    ValueError: region: polygon 1 has no area; draw it around the tissue that is meant.
    """
    checked = []
    for number, polygon in enumerate(polygons, 1):
        corners = np.asarray(polygon, np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
            raise ValueError(
                f"region: polygon {number} must be finite numbers (N, 2), got shape "
                f"{corners.shape}."
            )
        if len(corners) < 3 or _width_um(corners) < _THINNEST_UM:
            raise ValueError(
                f"region: polygon {number} has no area; draw it around the tissue that is meant."
            )
        checked.append(tuple((y, x) for y, x in corners.tolist()))
    if not checked:
        raise ValueError("region: there is no polygon; draw one, or analyse the whole slide.")
    return tuple(checked)


def _width_um(corners: npt.NDArray[np.float64]) -> float:
    """Return how far the corners reach across the line along which they lie."""
    centred = corners - corners.mean(axis=0)
    return float(np.linalg.svd(centred, compute_uv=False)[-1])


def read_polygons(path: str | Path, slide: Slide) -> Polygons:
    """Read a region of a slide from GeoJSON, as QuPath exports annotations.

    Parameters
    ----------
    path : path
        Every polygon in it counts; holes are left out.
    slide : Slide
        Whose pixels of level 0 the file counts in.

    Returns
    -------
    tuple of tuple of (float, float)
        Vertices (y, x) in µm. A polygon with holes becomes one line that goes around the holes,
        too, there and back along the same way.

    Raises
    ------
    AnnotationError
        If it is no such file, holds no polygon, or one without area.
    SlideError
        If the slide has no pixel size.
    """
    path = Path(path)
    shapes = read_region(path, pixel_size_um=1.0)
    if not isinstance(shapes, OutlineShapes):
        raise AnnotationError(
            f"{path.name}: is a mask image; give the region as polygons, in GeoJSON of QuPath."
        )
    rings = np.split(shapes.points * np.asarray(slide.pixel_size_yx_um), shapes.starts[1:-1])
    polygons = [
        _one_line([ring for ring, owner in zip(rings, shapes.owner, strict=True) if owner == shape])
        for shape in range(shapes.count)
    ]
    try:
        return check_polygons(polygons)
    except ValueError as error:
        raise AnnotationError(f"{path.name}: {error}") from error


def _one_line(rings: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Join rings into one closed line: a way that is gone there and back encloses nothing."""
    start = rings[0][:1]
    parts = [rings[0]]
    for ring in rings[1:]:
        parts += [start, ring, ring[:1]]
    return np.concatenate([*parts, start] if len(rings) > 1 else parts)


@dataclass(frozen=True, slots=True, eq=False)
class DrawnRegion:
    """A region, and how much of each pixel of a survey lies in it.

    Attributes
    ----------
    shapes : OutlineShapes
        In µm.
    coverage : float32 (Y, X)
        On the survey's grid, 0-1.

    Examples
    --------
    >>> square = check_polygons([[(0, 0), (0, 6), (8, 6), (8, 0)]])
    >>> region = DrawnRegion.of(square, (3, 3), 4.0)
    >>> region.coverage[:2].tolist(), region.contains(np.array([[7.9, 5.9], [9, 1]])).tolist()
    ([[1.0, 0.5, 0.0], [1.0, 0.5, 0.0]], [True, False])
    """

    shapes: OutlineShapes
    coverage: npt.NDArray[np.float32]

    @classmethod
    def of(cls, polygons: Polygons, shape: tuple[int, int], pixel_size_um: float) -> Self:
        """Place polygons on a survey's grid of a shape (Y, X) and pixel size in µm."""
        rings = [[np.array(polygon, np.float64)] for polygon in polygons]
        shapes = OutlineShapes.of(rings, (pixel_size_um, pixel_size_um))
        fine = pixel_size_um / _FINER
        painter = shapes.on_grid((fine, fine))
        top, left, bottom, right = np.array(shapes.box_um()) / pixel_size_um
        box = Region(
            int(np.floor(top)),
            int(np.floor(left)),
            int(np.ceil(bottom) - np.floor(top)),
            int(np.ceil(right) - np.floor(left)),
        ).clip(shape)
        coverage = np.zeros(shape, np.float32)
        for y in range(box.y, box.stop_y, _STRIP_ROWS):
            rows = min(_STRIP_ROWS, box.stop_y - y)
            strip = Region(y * _FINER, box.x * _FINER, rows * _FINER, box.width * _FINER)
            inside = (painter.paint(strip) > 0).reshape(rows, _FINER, box.width, _FINER)
            coverage[y : y + rows, box.x : box.stop_x] = inside.mean(axis=(1, 3))
        return cls(shapes, coverage)

    @classmethod
    def on_slide(cls, polygons: Polygons, slide: Slide, pixel_size_um: float) -> Self:
        """Place polygons on a slide's survey.

        Raises
        ------
        SlideError
            If they lie outside of the slide.
        """
        region = cls.of(polygons, slide.grid_shape(pixel_size_um), pixel_size_um)
        if not region.coverage.any():
            top, left, bottom, right = region.shapes.box_um()
            height, width = (n * slide.pixel_size_um for n in slide.shape)
            raise SlideError(
                f"{slide.path.name}: the region (x {left:.0f} to {right:.0f}, y {top:.0f} to "
                f"{bottom:.0f} µm) lies outside of the slide, which is {width:.0f} x "
                f"{height:.0f} µm; draw it on this slide."
            )
        return region

    def contains(self, points_um: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Say which points (y, x in µm) lie in the region, bool (N,)."""
        return self.shapes.contains(points_um)

    def pixels(self, core: Region, pixel_size_um: float) -> npt.NDArray[np.bool_]:
        """Say which pixels of a part of the working grid have their centre in the region."""
        return self.shapes.on_grid((pixel_size_um, pixel_size_um)).paint(core) > 0
