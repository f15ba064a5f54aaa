"""The objects of a GeoJSON file as QuPath writes them: kind, class, outline and points."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.errors import AnnotationError
from histo.results.reader_calls import split_class

__all__ = [
    "FOUND",
    "DrawnObject",
    "class_of",
    "features_of",
    "kind_of",
    "parts_of",
    "read_objects",
]

Ring = npt.NDArray[np.float64]

#: QuPath wrote the kind of an object under ``id`` (0.2), ``object_type`` (0.3), ``objectType``.
_KINDS = {
    "PathCellObject": "cell",
    "PathDetectionObject": "detection",
    "PathAnnotationObject": "annotation",
    "PathTileObject": "tile",
    "TMACoreObject": "tma_core",
    "PathRootObject": "root",
}
#: Kinds that are cells, where there are any.
FOUND = ("cell", "detection")


@dataclass(frozen=True, slots=True, eq=False)
class DrawnObject:
    """One object: its place in the file, kind and class; outline, points and lines, in pixels.

    The outline is that of the nucleus where the file has one.
    """

    number: int
    kind: str
    name: tuple[str, ...]
    rings: tuple[Ring, ...]
    points: Ring
    lines: tuple[Ring, ...]
    has_nucleus: bool


def read_objects(path: Path) -> Iterator[DrawnObject]:
    """Yield every object of a GeoJSON file, plain or gzipped.

    Raises
    ------
    AnnotationError
        If the file or an object of it cannot be read.
    """
    for number, feature in enumerate(features_of(_load(path)), 1):
        properties = feature.get("properties") or {}
        nucleus = feature.get("nucleusGeometry")
        geometry = nucleus or feature.get("geometry")
        try:
            rings, points = parts_of(geometry)
            lines = _lines_of(geometry)
            name, kind = class_of(properties), kind_of(feature, properties)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise AnnotationError(
                f"{path.name}: object {number} cannot be read ({error}); export it again."
            ) from error
        yield DrawnObject(number, kind, name, tuple(rings), points, tuple(lines), bool(nucleus))


def _load(path: Path) -> Any:
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        return json.loads(data)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise AnnotationError(
            f"{path.name}: cannot be read as GeoJSON ({error}); export it again."
        ) from error


def features_of(content: Any) -> Iterator[dict[str, Any]]:
    """Yield every feature: of a collection, a list, one alone, and objects within objects."""
    if isinstance(content, list):
        for one in content:
            yield from features_of(one)
    elif isinstance(content, dict):
        if content.get("type") == "FeatureCollection":
            yield from features_of(content.get("features") or [])
        elif "geometry" in content:
            yield content
            yield from features_of((content.get("properties") or {}).get("childObjects") or [])


def kind_of(feature: dict[str, Any], properties: dict[str, Any]) -> str:
    """Return what QuPath calls an object: cell, detection, annotation ..."""
    kind = properties.get("objectType") or properties.get("object_type") or properties.get("type")
    kind = str(kind or feature.get("id"))
    kind = _KINDS.get(kind, kind)
    # QuPath makes an annotation of what it does not know.
    return kind if kind in _KINDS.values() else "annotation"


def class_of(properties: dict[str, Any]) -> tuple[str, ...]:
    """Return the parts of an object's class; none for none."""
    stated = properties.get("classification")
    if isinstance(stated, dict):
        names = stated.get("names") or [stated.get("name") or ""]
    else:
        names = [stated or ""]
    return tuple(part for name in names for part in split_class(str(name)))


def parts_of(geometry: Any) -> tuple[list[Ring], Ring]:
    """Return the rings (y, x) of a geometry, holes reversed, and its points (y, x)."""
    kind = geometry["type"] if geometry else ""
    polygons: list[Any] = []
    points: list[Any] = []
    if kind == "GeometryCollection":
        parts = [parts_of(one) for one in geometry["geometries"]]
        return [ring for rings, _ in parts for ring in rings], _pairs([])
    if kind in ("Polygon", "MultiPolygon"):
        polygons = geometry["coordinates"] if kind == "MultiPolygon" else [geometry["coordinates"]]
    elif kind in ("Point", "MultiPoint"):
        points = geometry["coordinates"] if kind == "MultiPoint" else [geometry["coordinates"]]
    # Lines show no cell.
    return [ring for polygon in polygons for ring in _polygon(polygon)], _pairs(points)


def _lines_of(geometry: Any) -> list[Ring]:
    kind = geometry["type"] if geometry else ""
    if kind == "GeometryCollection":
        return [line for one in geometry["geometries"] for line in _lines_of(one)]
    if kind in ("LineString", "MultiLineString"):
        lines = geometry["coordinates"]
        return [_pairs(line) for line in (lines if kind == "MultiLineString" else [lines])]
    return []


def _polygon(content: Any) -> list[Ring]:
    rings = []
    for index, coordinates in enumerate(content):
        ring = _pairs(coordinates)
        if len(ring) > 1 and (ring[0] == ring[-1]).all():
            ring = ring[:-1]
        if len(ring) < 3:
            raise ValueError(f"an outline of {len(ring)} points")
        y, x = (ring - ring[0]).T
        area = x[:-1] @ y[1:] - x[1:] @ y[:-1]
        # The first ring is the outline, the others are holes, whichever way they were drawn.
        rings.append(ring if (area >= 0) == (index == 0) else ring[::-1])
    return rings


def _pairs(content: Any) -> Ring:
    pairs = np.array([(float(y), float(x)) for x, y, *_ in content], np.float64).reshape(-1, 2)
    if not np.isfinite(pairs).all():
        raise ValueError("a coordinate is not finite")
    return pairs
