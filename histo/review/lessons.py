"""Corrected nuclei of a review as annotations, from which a model learns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.edits import inside
from histo.errors import AnnotationError
from histo.pipeline.files import level0_um
from histo.results import replace_file
from histo.review.review import Review

__all__ = ["LessonSummary", "read_fields", "write_lesson"]

#: Nuclei whose centre lies so far outside of a field may still reach into it.
REACH_UM = 15.0
#: What a person has decided about a cell shows in one of these words.
_EDITED = ("drawn", "deleted", "replaced")
#: These are no nuclei any more.
_GONE = ("deleted", "replaced")

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LessonSummary:
    """What was written.

    Parameters
    ----------
    truth : Path
        The GeoJSON file.
    fields : int
    nuclei : int
        Those whose centre lies in a field.
    edits : int
        Cells in the fields that were drawn, deleted, split, merged or called by hand.

    Examples
    --------
    >>> LessonSummary(Path("s1.geojson"), 2, 140, 12).nuclei
    140
    """

    truth: Path
    fields: int
    nuclei: int
    edits: int


def write_lesson(
    review: Review, fields_um: Sequence[npt.ArrayLike], truth: str | Path
) -> LessonSummary:
    """Write the nuclei in fields in which every nucleus is right, as `histo train` reads them.

    Nuclei as they are after all edits become detections, with the classes ``Positive`` and
    ``Negative`` where the panel has a marker that shows as DAB in nuclei; the fields become
    annotations of the class ``Region*``; cells in artefacts and regions left out by hand become
    ``Ignore*``. QuPath opens the file, too.

    Parameters
    ----------
    review : Review
    fields_um : sequence of float64 (N, 2)
        Polygons (y, x) in µm.
    truth : path
        The ``.geojson`` file; replaced when it exists.

    Returns
    -------
    LessonSummary

    Raises
    ------
    AnnotationError
        If there is no field, or no nucleus in them.
    ResultError
        If the outlines cannot be read, or the file cannot be written.
    """
    fields = [np.array(one, np.float64).reshape(-1, 2) for one in fields_um]
    if not fields:
        raise AnnotationError(
            f"{review.name}: no field is drawn; draw one around nuclei that are all right."
        )
    cells = review.cells
    places = cells[["y_um", "x_um"]].to_numpy(np.float64)
    within = _within(places, fields)
    gone = _has(cells, _GONE)
    counted = within & ~gone
    if not counted.any():
        raise AnnotationError(f"{review.name}: there is no nucleus in the drawn fields.")
    near = _near(places, fields) & ~gone
    to_px = 1.0 / np.array(level0_um(review.manifest["slide"]))
    left_out = (cells["compartment"] == "excluded").to_numpy(bool)
    classes = _classes(review, cells)
    features = [
        _feature(
            "detection",
            review.outline(int(cell)) * to_px,
            "Ignore*" if out else name,
        )
        for cell, out, name in zip(
            cells["cell_id"].to_numpy()[near], left_out[near], classes[near], strict=True
        )
    ]
    features += [_feature("annotation", field * to_px, "Region*") for field in fields]
    features += [
        _feature("annotation", region * to_px, "Ignore*")
        for region in review.corrections.regions_um
    ]
    content = {"type": "FeatureCollection", "features": features}
    with replace_file(truth) as temporary:
        temporary.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
    manual = tuple(f"{name}_manual" for name in review.panel.marker_names)
    edited = within & _has(cells, (*_EDITED, *manual))
    return LessonSummary(Path(truth), len(fields), int(counted.sum()), int(edited.sum()))


def _within(places: Floats, fields: Sequence[Floats]) -> Bools:
    found = np.zeros(len(places), bool)
    for field in fields:
        found |= inside(field, places)
    return found


def _near(places: Floats, fields: Sequence[Floats]) -> Bools:
    """Return what lies in the box around a field or not far from it."""
    near = np.zeros(len(places), bool)
    for field in fields:
        low, high = field.min(axis=0) - REACH_UM, field.max(axis=0) + REACH_UM
        near |= ((places >= low) & (places <= high)).all(axis=1)
    return near


def _has(cells: pd.DataFrame, words: Sequence[str]) -> Bools:
    """Return the cells that carry one of these flags."""
    flags = ";" + cells["flags"].astype(str) + ";"
    found = np.zeros(len(cells), bool)
    for word in words:
        found |= flags.str.contains(f";{word};", regex=False).to_numpy(bool)
    return found


def _classes(review: Review, cells: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return the class of each nucleus; empty where no marker shows as DAB in nuclei."""
    nuclear = [m.name for m in review.panel.markers if (m.compartment, m.plane) == _NUCLEAR_DAB]
    if not nuclear:
        return np.full(len(cells), "", object)
    positive = cells[f"{nuclear[0]}_positive"].to_numpy(bool)
    return np.where(positive, "Positive", "Negative").astype(object)


_NUCLEAR_DAB = ("nucleus", "dab")


def _feature(kind: str, ring_px: Floats, name: str) -> dict[str, Any]:
    ring = [[round(float(x), 2), round(float(y), 2)] for y, x in ring_px]
    properties: dict[str, Any] = {"objectType": kind}
    if name:
        properties["classification"] = {"name": name}
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": properties,
    }


def read_fields(truth: str | Path, level0_um: tuple[float, float]) -> list[Floats]:
    """Return the fields of a lesson that was written before, to be drawn again.

    Parameters
    ----------
    truth : path
        The ``.geojson`` file.
    level0_um : (float, float)
        Height and width of a pixel of level 0, µm.

    Returns
    -------
    list of float64 (N, 2)
        Polygons (y, x) in µm; empty when there is no such file.

    Raises
    ------
    AnnotationError
        If the file cannot be read.

    Examples
    --------
    >>> read_fields("/nowhere.geojson", (0.5, 0.5))
    []
    """
    truth = Path(truth)
    if not truth.is_file():
        return []
    try:
        features = json.loads(truth.read_text(encoding="utf-8"))["features"]
        rings = [
            one["geometry"]["coordinates"][0][:-1]
            for one in features
            if one["properties"].get("classification", {}).get("name") == "Region*"
        ]
        return [np.array(ring, np.float64)[:, ::-1] * level0_um for ring in rings]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise AnnotationError(
            f"{truth.name}: cannot be read as a lesson ({error}); delete it and draw the fields "
            "again."
        ) from error
