"""Where a person annotated every nucleus, and what is to be ignored, from QuPath's GeoJSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from histo.metrics.shapes import OutlineShapes
from histo.results.reader_geojson import _Object, _objects

__all__ = ["AnnotatedAreas", "read_geojson_areas"]

#: Classes of annotations that mark an area in which every nucleus is annotated.
AREA_CLASSES = ("region*", "region", "training")


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedAreas:
    """Areas of a GeoJSON file.

    Parameters
    ----------
    complete : OutlineShapes or None
        Where every nucleus is annotated; None where no such area was drawn.
    ignored : OutlineShapes or None
        Objects of the class ``Ignore*``, and of other classes with a star.

    Examples
    --------
    >>> AnnotatedAreas(None, None).complete is None
    True
    """

    complete: OutlineShapes | None
    ignored: OutlineShapes | None


def read_geojson_areas(path: str | Path, *, pixel_size_um: float) -> AnnotatedAreas:
    """Read the areas among the objects of a GeoJSON file, plain or gzipped.

    Parameters
    ----------
    path : path
    pixel_size_um : float
        µm per pixel of the image that the coordinates belong to.

    Returns
    -------
    AnnotatedAreas
        Annotations of the class ``Region*`` (one of QuPath's own), ``Region`` or ``Training``
        are areas in which every nucleus is annotated.

    Raises
    ------
    AnnotationError
        If it is no such file.

    References
    ----------
    QuPath documentation, Classes: names that end with a star are not counted.

    Examples
    --------
    >>> import json, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "reader.geojson"
    >>> square = [[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]]
    >>> _ = path.write_text(json.dumps({"type": "Feature", "geometry": {"type": "Polygon",
    ...     "coordinates": square}, "properties": {"classification": {"name": "Region*"}}}))
    >>> areas = read_geojson_areas(path, pixel_size_um=2.0)
    >>> areas.complete.box_um(), areas.ignored
    ((0.0, 0.0, 18.0, 18.0), None)
    """
    objects = [one for one in _objects(Path(path)) if one.rings]
    complete = [one for one in objects if one.kind == "annotation" and _is_area(one.name)]
    ignored = [one for one in objects if one not in complete and _has_star(one.name)]
    return AnnotatedAreas(_shapes(complete, pixel_size_um), _shapes(ignored, pixel_size_um))


def _is_area(name: Iterable[str]) -> bool:
    return any(part.casefold() in AREA_CLASSES for part in name)


def _has_star(name: Iterable[str]) -> bool:
    return any(part.endswith("*") for part in name)


def _shapes(objects: list[_Object], pixel_size_um: float) -> OutlineShapes | None:
    if not objects:
        return None
    rings = [[ring * pixel_size_um for ring in one.rings] for one in objects]
    return OutlineShapes.of(rings, (pixel_size_um, pixel_size_um))
