"""Cells and regions that were drawn or found in QuPath, from the GeoJSON it exports."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from histo.errors import AnnotationError
from histo.metrics.evaluation import CellSet
from histo.metrics.shapes import OutlineShapes
from histo.results.geojson_objects import FOUND, DrawnObject, read_objects
from histo.results.reader_calls import is_left_out, read_calls

__all__ = ["read_geojson_cells", "read_geojson_region"]

#: An annotation that holds the centres of so many others is a region, not a cell.
_ENCLOSED = 3


def read_geojson_cells(
    path: str | Path, *, pixel_size_um: float | None = None, marker: str | None = None
) -> tuple[CellSet, tuple[str, ...]]:
    """Read cells from GeoJSON as QuPath and histo write it, plain or gzipped.

    Where there are cells or detections, they are what is read, cells by their nucleus; else the
    annotations: points (each of a MultiPoint is a cell), or else outlines.

    Parameters
    ----------
    path : path
    pixel_size_um : float, optional
        µm per pixel of the image that the coordinates belong to; GeoJSON states none.
    marker : str, optional
        The marker that is looked at.

    Returns
    -------
    CellSet
        With shapes where all cells have an outline.
    notes : tuple of str
        What was left out.

    Raises
    ------
    AnnotationError
        If it is no such file, the pixel size is missing, or it is not clear what the cells are.

    References
    ----------
    RFC 7946 (GeoJSON). QuPath documentation, Exporting annotations: pixels of the full
    resolution from its top left corner.

    Examples
    --------
    >>> import json, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "reader.geojson"
    >>> _ = path.write_text(json.dumps({"type": "Feature", "properties": {"classification":
    ...     {"name": "Positive"}}, "geometry": {"type": "Point", "coordinates": [40, 20]}}))
    >>> cells, notes = read_geojson_cells(path, pixel_size_um=0.25)
    >>> cells.centres_um.tolist(), cells.positive.tolist()
    ([[5.0, 10.0]], [True])
    """
    path = Path(path)
    size = _known_size(path, pixel_size_um)
    objects, notes = _choose(path, list(read_objects(path)))
    kept = [one for one in objects if not is_left_out(one.name)]
    if len(kept) < len(objects):
        left = _number(len(objects) - len(kept), "object")
        notes.append(f"left out, of the class Excluded or Ignore*: {left}")
    cells = [one for one in kept if one.rings]
    shapes = None
    if len(cells) == len(kept) and cells:
        rings = [[ring * size for ring in one.rings] for one in cells]
        shapes = OutlineShapes.of(rings, (size, size))
        centres, classes = shapes.centres_um(), [one.name for one in cells]
        if all(one.kind == "annotation" for one in cells):
            _refuse_regions(path, cells, shapes)
    else:
        centres = np.concatenate([np.zeros((0, 2)), *(_middle(one) for one in kept)]) * size
        classes = [one.name for one in kept for _ in range(max(1, len(one.points)))]
    positive, said = read_calls(classes, marker, file=path.name)
    return CellSet(centres, positive, shapes), (*notes, *said)


def read_geojson_region(path: str | Path, *, pixel_size_um: float | None = None) -> OutlineShapes:
    """Read regions from GeoJSON: every polygon of it.

    Parameters
    ----------
    path : path
    pixel_size_um : float, optional
        µm per pixel of the image that the coordinates belong to.

    Returns
    -------
    OutlineShapes

    Raises
    ------
    AnnotationError
        If it is no such file, holds no polygon, or the pixel size is missing.

    Examples
    --------
    >>> import json, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "roi.geojson"
    >>> square = [[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]]
    >>> _ = path.write_text(json.dumps({"type": "Feature",
    ...     "geometry": {"type": "Polygon", "coordinates": square}}))
    >>> read_geojson_region(path, pixel_size_um=2.0).contains(np.array([[17.0, 17]])).tolist()
    [True]
    """
    path = Path(path)
    size = _known_size(path, pixel_size_um)
    rings = [[ring * size for ring in one.rings] for one in read_objects(path) if one.rings]
    if not rings:
        raise AnnotationError(
            f"{path.name}: holds no polygon; draw the region as an area in QuPath and export it."
        )
    return OutlineShapes.of(rings, (size, size))


def _known_size(path: Path, pixel_size_um: float | None) -> float:
    if pixel_size_um is None:
        raise AnnotationError(
            f"{path.name}: GeoJSON counts in pixels and states no pixel size; give it with "
            "--pixel-size (µm per pixel; `histo info SLIDE` tells that of the slide)."
        )
    return pixel_size_um


def _choose(path: Path, objects: list[DrawnObject]) -> tuple[list[DrawnObject], list[str]]:
    """Return the objects that are cells, and what was left out."""
    notes = []
    objects = [one for one in objects if one.rings or len(one.points)]
    found = [one for one in objects if one.kind in FOUND]
    others = [one for one in objects if one.kind == "annotation"]
    points = [one for one in others if len(one.points)]
    if found and points:
        raise AnnotationError(
            f"{path.name}: holds {len(found)} detections and also annotated points; export those "
            "that are meant into a file of their own."
        )
    chosen = found or points or others
    taken = {one.number for one in chosen}
    if left := Counter(one.kind for one in objects if one.number not in taken):
        words = ", ".join(_number(count, kind) for kind, count in sorted(left.items()))
        notes.append(f"left out beside the {'detections' if found else 'points'}: {words}")
    if found and any(one.has_nucleus for one in found):
        bare = sum(1 for one in found if one.rings and not one.has_nucleus)
        if bare:
            notes.append(f"without a nucleus, taken by the whole outline: {_number(bare, 'cell')}")
    return chosen, notes


def _refuse_regions(path: Path, cells: list[DrawnObject], shapes: OutlineShapes) -> None:
    """Refuse an outline that encloses others: a region among cells would count as a cell."""
    centres = shapes.centres_um()
    edges = np.array([np.ptp(np.concatenate(one.rings), axis=0).sum() for one in cells])
    for row in np.flatnonzero(edges > 2 * np.median(edges)).tolist():
        one = cells[row]
        within = int(shapes.take(np.array([row])).contains(centres).sum()) - 1
        if within >= _ENCLOSED:
            named = f" ({': '.join(one.name)})" if one.name else ""
            raise AnnotationError(
                f"{path.name}: annotation {one.number}{named} encloses {within} others, as a "
                "region does; take it out of the file and give it with --region."
            )


def _number(count: int, what: str) -> str:
    return f"{count} {what.replace('_', ' ')}{'' if count == 1 else 's'}"


def _middle(one: DrawnObject) -> npt.NDArray[np.float64]:
    """Return the points of an object, or the centre of its outline, in pixels."""
    if len(one.points):
        return one.points
    return OutlineShapes.of([one.rings], (1.0, 1.0)).centres_um()
