"""Nuclei to learn from, corrected or drawn in QuPath, and the areas in which all are annotated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from histo.metrics.evaluation import CellSet
from histo.metrics.shapes import OutlineShapes
from histo.results.geojson_objects import DrawnObject, read_objects
from histo.results.reader_calls import is_left_out, read_calls

__all__ = ["AnnotatedNuclei", "read_geojson_nuclei"]

#: Classes of annotations that mark an area in which every nucleus is annotated.
AREA_CLASSES = ("region*", "region", "training")
#: A larger annotation is a piece of tissue, not a nucleus (a circle of 36 µm), µm².
LARGEST_UM2 = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedNuclei:
    """What a GeoJSON file says of nuclei.

    Parameters
    ----------
    nuclei : CellSet
        With shapes.
    complete : OutlineShapes or None
        Where every nucleus is annotated; None where no such area was drawn.
    ignored : OutlineShapes or None
        Objects of the class ``Excluded`` or ``Ignore*``, and of other classes with a star.
    notes : tuple of str
        What was left out or taken for something.

    Examples
    --------
    >>> nothing = CellSet(np.zeros((0, 2)), None, OutlineShapes.of([], (1.0, 1.0)))
    >>> AnnotatedNuclei(nothing, None, None).notes
    ()
    """

    nuclei: CellSet
    complete: OutlineShapes | None
    ignored: OutlineShapes | None
    notes: tuple[str, ...] = ()


def read_geojson_nuclei(
    path: str | Path, *, pixel_size_um: float, marker: str | None = None
) -> AnnotatedNuclei:
    """Read nuclei to learn from, plain or gzipped.

    Nuclei are cells (by their nucleus), detections, and annotations with an outline: QuPath draws
    what a program has missed as an annotation. One that is drawn over the centre of a cell or
    detection takes its place.

    Parameters
    ----------
    path : path
    pixel_size_um : float
        µm per pixel of the image that the coordinates belong to.
    marker : str, optional
        The marker whose calls are read; needed where classes name several.

    Returns
    -------
    AnnotatedNuclei
        Annotations of the class ``Region*`` (one of QuPath's own), ``Region`` or ``Training``
        are areas in which every nucleus is annotated; others above `LARGEST_UM2` are left out.

    Raises
    ------
    AnnotationError
        If it is no such file, or classes name several markers and none is chosen.

    References
    ----------
    QuPath documentation, Classes: names that end with a star are not counted.

    Examples
    --------
    >>> import json, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "reader.geojson"
    >>> def square(side, name):
    ...     corners = [[0, 0], [side, 0], [side, side], [0, side]]
    ...     return {"geometry": {"type": "Polygon", "coordinates": [corners]},
    ...             "properties": {"objectType": "annotation", "classification": {"name": name}}}
    >>> _ = path.write_text(json.dumps([square(90, "Region*"), square(4, "Positive")]))
    >>> read = read_geojson_nuclei(path, pixel_size_um=2.0)
    >>> read.complete.box_um(), read.nuclei.centres_um.tolist(), read.nuclei.positive.tolist()
    ((0.0, 0.0, 180.0, 180.0), [[4.0, 4.0]], [True])
    """
    path = Path(path)
    objects = list(read_objects(path))
    outlined = [one for one in objects if one.rings]
    complete = [one for one in outlined if _is_area(one)]
    rest = [one for one in outlined if not _is_area(one)]
    ignored = [one for one in rest if is_left_out(one.name)]
    others = [one for one in rest if not is_left_out(one.name)]
    drawn = [one for one in others if one.kind == "annotation"]
    small = [one for one in drawn if _area_px2(one) * pixel_size_um**2 <= LARGEST_UM2]
    found = [one for one in others if one.kind in ("cell", "detection")]
    kept = _not_below(found, small, pixel_size_um)
    nuclei = [*kept, *small]
    positive, said = read_calls([one.name for one in nuclei], marker, file=path.name)
    shapes = _shapes(nuclei, pixel_size_um)
    notes = {
        "drawn as annotations, and taken for nuclei": len(small) if found else 0,
        "cells or detections replaced by a nucleus drawn over them": len(found) - len(kept),
        f"annotations above {LARGEST_UM2:g} µm² left out": len(drawn) - len(small),
        "objects without an outline left out": len(objects) - len(outlined),
        "cells without a nucleus taken by the whole outline": _bare(kept),
    }
    return AnnotatedNuclei(
        CellSet(shapes.centres_um(), positive, shapes),
        _shapes(complete, pixel_size_um) if complete else None,
        _shapes(ignored, pixel_size_um) if ignored else None,
        (*(f"{count} {words}" for words, count in notes.items() if count), *said),
    )


def _is_area(one: DrawnObject) -> bool:
    return one.kind == "annotation" and any(part.casefold() in AREA_CLASSES for part in one.name)


def _area_px2(one: DrawnObject) -> float:
    """Return the area of an object; holes run the other way round and count against it."""
    corners = ((ring[:, 0], ring[:, 1], np.roll(ring, -1, axis=0).T) for ring in one.rings)
    return abs(sum(float(y @ after[1] - x @ after[0]) for y, x, after in corners)) / 2


def _not_below(
    found: Sequence[DrawnObject], drawn: Sequence[DrawnObject], pixel_size_um: float
) -> list[DrawnObject]:
    """Return what was found and not drawn anew."""
    below = _shapes(drawn, pixel_size_um).contains(_shapes(found, pixel_size_um).centres_um())
    return [one for one, is_below in zip(found, below.tolist(), strict=True) if not is_below]


def _bare(found: Sequence[DrawnObject]) -> int:
    """Count cells without a nucleus among cells that have one."""
    bare = sum(not one.has_nucleus for one in found)
    return bare if bare < len(found) else 0


def _shapes(objects: Sequence[DrawnObject], pixel_size_um: float) -> OutlineShapes:
    rings = [[ring * pixel_size_um for ring in one.rings] for one in objects]
    return OutlineShapes.of(rings, (pixel_size_um, pixel_size_um))
