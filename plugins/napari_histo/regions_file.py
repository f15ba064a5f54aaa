"""Regions that a reader drew, and the GeoJSON file that QuPath and histo read them from."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["HOLE", "DrawnRegion", "read_drawn", "write_drawn"]

HOLE = "Hole"
"""Class of an outline that is cut out of the area around it."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnRegion:
    """One region that was drawn.

    Parameters
    ----------
    name : str
        Its class, such as ``"Tumor"``.
    points_um : float64 (N, 2)
        Corners (y, x) of an area, or the course of a stroke.
    is_area : bool
    """

    name: str
    points_um: npt.NDArray[np.float64]
    is_area: bool = True

    def same(self, other: DrawnRegion) -> bool:
        """Tell whether nothing differs."""
        return (
            self.name == other.name
            and self.is_area == other.is_area
            and np.array_equal(self.points_um, other.points_um)
        )


def read_drawn(path: str | Path, level0_um: tuple[float, float]) -> list[DrawnRegion]:
    """Read annotations with classes, as this module or QuPath writes them.

    Parameters
    ----------
    path : path
    level0_um : (float, float)
        Pixel size (y, x) of level 0, µm.

    Returns
    -------
    list of DrawnRegion
        The parts of one annotation one by one; holes have the class `HOLE`.

    Raises
    ------
    histo.errors.AnnotationError
        If it cannot be read, or an annotation has no class.
    """
    from histo.results.reader_classes import read_classes

    found = []
    for one in read_classes(path, level0_um):
        for ring in one.rings_um:
            y, x = (ring - ring[0]).T
            # Holes run the other way round.
            is_hole = x[:-1] @ y[1:] - x[1:] @ y[:-1] < 0
            found.append(DrawnRegion(HOLE if is_hole else one.name, ring))
        found += [DrawnRegion(one.name, line, is_area=False) for line in one.lines_um]
    return found


def write_drawn(
    path: str | Path, regions: Sequence[DrawnRegion], level0_um: tuple[float, float]
) -> None:
    """Write regions as annotations for QuPath, in pixels of level 0.

    Parameters
    ----------
    path : path
    regions : sequence of DrawnRegion
    level0_um : (float, float)
        Pixel size (y, x) of level 0, µm.

    Raises
    ------
    histo.errors.ResultError
        If it cannot be written.

    References
    ----------
    RFC 7946 (GeoJSON). QuPath 0.5, qupath.lib.io.QuPathTypeAdapters.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "drawn.geojson"
    >>> square = np.array([[0.0, 0], [0, 8], [8, 8], [8, 0]])
    >>> drawn = [DrawnRegion("Tumor", square), DrawnRegion(HOLE, square / 4 + 2)]
    >>> write_drawn(path, drawn, (0.5, 0.5))
    >>> [(one.name, float(one.points_um.max())) for one in read_drawn(path, (0.5, 0.5))]
    [('Tumor', 8.0), ('Hole', 4.0)]
    """
    from histo.results import replace_file

    scale = np.asarray(level0_um, np.float64)
    holes = _holes_of(regions)
    features = [
        _feature(one, [regions[index] for index in holes.get(number, ())], scale)
        for number, one in enumerate(regions)
        if one.name != HOLE
    ]
    content = {"type": "FeatureCollection", "features": features}
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def _holes_of(regions: Sequence[DrawnRegion]) -> dict[int, list[int]]:
    """Say which holes lie in which area: the smallest one around them."""
    from histo.edits import inside

    found: dict[int, list[int]] = {}
    areas = [n for n, one in enumerate(regions) if one.is_area and one.name != HOLE]
    areas.sort(key=lambda number: float(np.ptp(regions[number].points_um, axis=0).prod()))
    for number, one in enumerate(regions):
        if one.name != HOLE:
            continue
        # Most of its corners: one may lie on the border.
        around = (n for n in areas if inside(regions[n].points_um, one.points_um).mean() > 0.5)
        owner = next(around, None)
        if owner is not None:
            found.setdefault(owner, []).append(number)
    return found


def _feature(
    one: DrawnRegion, holes: Sequence[DrawnRegion], scale: npt.NDArray[np.float64]
) -> dict[str, Any]:
    from histo.results.annotations import class_colour

    def pairs(points_um: npt.NDArray[np.float64], *, closed: bool) -> list[list[float]]:
        points = np.round(points_um[:, ::-1] / scale[::-1], 2).tolist()
        return [*points, points[0]] if closed else points

    geometry: dict[str, Any]
    if one.is_area:
        rings = [pairs(part.points_um, closed=True) for part in (one, *holes)]
        geometry = {"type": "Polygon", "coordinates": rings}
    else:
        geometry = {"type": "LineString", "coordinates": pairs(one.points_um, closed=False)}
    return {
        "type": "Feature",
        "id": str(uuid.uuid4()),
        "geometry": geometry,
        "properties": {
            "objectType": "annotation",
            "classification": {"name": one.name, "color": list(class_colour(one.name))},
        },
    }
