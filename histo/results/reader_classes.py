"""Annotations with classes, as a person draws compartments in QuPath: areas and strokes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from histo.errors import AnnotationError
from histo.geometry import Region
from histo.metrics.shapes import OutlineShapes
from histo.results.geojson_objects import read_objects
from histo.results.reader_calls import is_left_out

__all__ = ["ClassedArea", "paint_classes", "read_classes"]

Floats = npt.NDArray[np.float64]

#: A line that was drawn without a width is a stroke of a brush this wide, µm.
STROKE_UM = 12.0
#: Classes of QuPath that say where to look, not what is there.
_NO_COMPARTMENT = ("region*", "region", "training")


@dataclass(frozen=True, slots=True, eq=False)
class ClassedArea:
    """An annotation with a class.

    Attributes
    ----------
    name : str
        Its class, such as ``"Tumor"``.
    rings_um : list of float64 (N, 2)
        Outer rings and, the other way round, holes: y, x in µm.
    lines_um : list of float64 (N, 2)
        Strokes.
    """

    name: str
    rings_um: list[Floats]
    lines_um: list[Floats]


def read_classes(path: str | Path, level0_um: tuple[float, float]) -> list[ClassedArea]:
    """Read annotations with classes from GeoJSON, plain or gzipped.

    Cells, detections and points are passed over, and so are the classes ``Region*`` and
    ``Ignore*``, which say no compartment.

    Parameters
    ----------
    path : path
    level0_um : (float, float)
        µm per pixel (y, x) of the image that the coordinates belong to.

    Returns
    -------
    list of ClassedArea

    Raises
    ------
    AnnotationError
        If it is no such file, an annotation has no class, or there is none.

    References
    ----------
    RFC 7946 (GeoJSON). QuPath documentation, Exporting annotations: pixels of the full
    resolution from its top left corner.

    Examples
    --------
    >>> import json, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "strokes.geojson"
    >>> stroke = {"type": "LineString", "coordinates": [[0, 0], [8, 0]]}
    >>> _ = path.write_text(json.dumps({"type": "Feature", "geometry": stroke,
    ...     "properties": {"classification": {"name": "Stroma"}}}))
    >>> [(one.name, one.lines_um[0].tolist()) for one in read_classes(path, (0.5, 0.5))]
    [('Stroma', [[0.0, 0.0], [0.0, 4.0]])]
    """
    path, scale, found = Path(path), np.asarray(level0_um, np.float64), []
    for one in read_objects(path):
        if one.kind != "annotation" or not (one.rings or one.lines) or _is_passed_over(one.name):
            continue
        if not one.name:
            raise AnnotationError(
                f"{path.name}: annotation {one.number} has no class; give it one, such as Tumor or "
                "Stroma, and export again."
            )
        rings, lines = [r * scale for r in one.rings], [x * scale for x in one.lines]
        found.append(ClassedArea(": ".join(one.name), rings, lines))
    if not found:
        raise AnnotationError(
            f"{path.name}: holds no annotation with a class such as Tumor or Stroma; draw areas "
            "or strokes, set their classes, and export them as GeoJSON."
        )
    return found


def _is_passed_over(name: tuple[str, ...]) -> bool:
    return is_left_out(name) or any(part.casefold() in _NO_COMPARTMENT for part in name)


def paint_classes(
    areas: Sequence[ClassedArea],
    codes: Mapping[str, int],
    shape: tuple[int, int],
    pixel_size_um: float,
) -> npt.NDArray[np.uint8]:
    """Paint annotations on a grid, larger ones below smaller ones, strokes on top.

    Parameters
    ----------
    areas : sequence of ClassedArea
    codes : mapping of str to int
        What is painted for each class.
    shape : (int, int)
    pixel_size_um : float
        Pixel (0, 0) lies in the slide's top left corner.

    Returns
    -------
    uint8 (Y, X)
        0 where nothing was drawn.

    Examples
    --------
    >>> square = np.array([[0.0, 0], [0, 8], [8, 8], [8, 0]])
    >>> paint_classes([ClassedArea("Tumor", [square], [])], {"Tumor": 1}, (3, 3), 4.0).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    """
    painter = OutlineShapes.of(
        [one.rings_um for one in areas], (pixel_size_um, pixel_size_um)
    ).on_grid((pixel_size_um, pixel_size_um))
    of_area = np.array([0, *(codes[one.name] for one in areas)], np.uint8)
    canvas = np.ascontiguousarray(of_area[painter.paint(Region(0, 0, *shape))])
    thick = max(1, round(STROKE_UM / pixel_size_um))
    for one in areas:
        for line in one.lines_um:
            points = np.round(line[:, ::-1] / pixel_size_um - 0.5).astype(np.int32)
            cv2.polylines(canvas, [points[:, None]], False, codes[one.name], thick)
    return canvas
