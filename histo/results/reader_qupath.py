"""Everything that is in a GeoJSON file of QuPath, to look at: cells by the hundred thousand."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

from histo.errors import AnnotationError
from histo.results.geojson_objects import FOUND, class_of, features_of, kind_of, parts_of

__all__ = ["QuPathObjects", "QuPathRegion", "read_qupath"]

Floats = npt.NDArray[np.float64]
Rgb = tuple[int, int, int]

_FEATURE = re.compile(rb'\{\s*"type"\s*:\s*"Feature"\s*,')
_CELL = re.compile(rb'"objectType"\s*:\s*"(?:cell|detection)"')
_NO_POLYGON = re.compile(rb'"type"\s*:\s*"(?:Multi|Geom|Point|Line)')
_NUCLEUS = b'"nucleusGeometry"'


@dataclass(frozen=True, slots=True, eq=False)
class QuPathRegion:
    """One area that was drawn.

    Parameters
    ----------
    ring : float64 (N, 2)
        Its outline (y, x), pixels of level 0.
    name : str
        Its name or class; empty for none.
    """

    ring: Floats
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class QuPathObjects:
    """What a file holds, in pixels of level 0.

    Parameters
    ----------
    centres : float64 (N, 2)
        Of cells (y, x): of their nucleus, where there is one.
    classes : tuple of str
        The classes that occur; ``""`` for none.
    codes : intp (N,)
        The class of each cell, an index into ``classes``.
    colours : dict of str to (int, int, int)
        Of the classes that state one, 0-255.
    measurements : DataFrame
        One row a cell.
    regions : tuple of QuPathRegion
    """

    centres: Floats
    classes: tuple[str, ...]
    codes: npt.NDArray[np.intp]
    colours: dict[str, Rgb]
    measurements: pd.DataFrame
    regions: tuple[QuPathRegion, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    centres: Floats
    names: list[str]
    measurements: pd.DataFrame


def read_qupath(path: str | Path) -> QuPathObjects:
    """Read the objects of a GeoJSON file of QuPath or histo, plain or gzipped.

    Parameters
    ----------
    path : path

    Returns
    -------
    QuPathObjects
        Annotated points are cells; annotated areas are regions.

    Raises
    ------
    AnnotationError
        If it is no such file.

    References
    ----------
    RFC 7946 (GeoJSON). QuPath 0.5, qupath.lib.io.QuPathTypeAdapters.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cells.geojson"
    >>> _ = path.write_text(json.dumps({"type": "Feature", "properties": {"classification":
    ...     {"name": "Positive"}}, "geometry": {"type": "Point", "coordinates": [40, 20]}}))
    >>> found = read_qupath(path)
    >>> found.centres.tolist(), found.classes
    ([[20.0, 40.0]], ('Positive',))
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        quick, rest = _sort(data)
        colours: dict[str, Rgb] = {}
        parts = [_in_bulk(quick, colours)] if quick else []
        others = (json.loads(one) for one in rest)
        cells, regions = _one_by_one(others, colours)
    except (
        OSError,
        EOFError,
        TypeError,
        ValueError,
        KeyError,
        AttributeError,
        IndexError,
    ) as error:
        raise AnnotationError(
            f"{path.name}: cannot be read as GeoJSON ({error}); export it again."
        ) from error
    parts += [cells] if len(cells.centres) or not parts else []
    names = [name for part in parts for name in part.names]
    codes, classes = pd.factorize(pd.Series(names, dtype=object))
    return QuPathObjects(
        np.concatenate([part.centres for part in parts]),
        tuple(str(one) for one in classes),
        np.asarray(codes, np.intp),
        colours,
        pd.concat([part.measurements for part in parts], ignore_index=True),
        tuple(regions),
    )


def _sort(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Cut the file into cells that are plain polygons, and all else, whose order plays no part."""
    starts = [match.start() for match in _FEATURE.finditer(data)]
    if len(starts) < 2 or b'"childObjects"' in data:
        return [], [data]
    quick, rest = [], []
    end = data.rfind(b"}", 0, data.rfind(b"]")) + 1
    for start, stop in zip(starts, [*starts[1:], end], strict=True):
        one = data[start:stop].rstrip().removesuffix(b",")
        about = one.rfind(b'"properties"')
        if not _CELL.search(one, max(about, 0)) or _NO_POLYGON.search(one):
            rest.append(one)
            continue
        # Half of the numbers are outlines of whole cells, of which nothing is shown.
        nucleus = one.find(_NUCLEUS, 0, max(about, 0))
        quick.append(one if nucleus < 0 else b"{" + one[nucleus:])
    return quick, rest


def _in_bulk(features: Sequence[bytes], colours: dict[str, Rgb]) -> _Cells:
    """Read cells as columns: a tenth of the time that Python objects would take."""
    lines = b"\n".join(features)
    options = pa_json.ParseOptions(newlines_in_values=b"\n" in features[0])
    reading = pa_json.ReadOptions(block_size=1 << 24)
    try:
        table = pa_json.read_json(pa.BufferReader(lines), reading, options).combine_chunks()
        return _columns(table, colours)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, KeyError):
        # One that is unlike the others: all of them in the slow way.
        return _one_by_one((json.loads(one) for one in features), colours)[0]


def _columns(table: pa.Table, colours: dict[str, Rgb]) -> _Cells:
    centres = np.full((len(table), 2), np.nan)
    for column in ("geometry", "nucleusGeometry"):
        if column in table.column_names:
            geometry = _whole(table[column])
            given = geometry.is_valid().to_numpy(zero_copy_only=False)
            centres[given] = _centroids(pc.struct_field(geometry, "coordinates").drop_null())
    if not np.isfinite(centres).all():
        raise ValueError("a cell without an outline")
    properties = _whole(table["properties"])
    names = [""] * len(table)
    if "classification" in properties.type.names:
        names = _names(pc.struct_field(properties, "classification"), colours)
    measurements = pd.DataFrame(index=range(len(table)))
    if "measurements" in properties.type.names:
        values = pc.struct_field(properties, "measurements")
        if not pa.types.is_struct(values.type):
            raise ValueError("measurements of another kind")
        columns = dict(zip(values.type.names, values.flatten(), strict=True))
        measurements = pa.table(columns).to_pandas() if columns else measurements
    return _Cells(centres, names, measurements)


def _names(stated: Any, colours: dict[str, Rgb]) -> list[str]:
    """Return the class of each cell; Python looks at one cell of each class only."""
    if not pa.types.is_struct(stated.type):
        raise ValueError("classes of another kind")
    known = [name for name in ("name", "names") if name in stated.type.names]
    parts = [pc.struct_field(stated, name) for name in known]
    words = [pc.binary_join(one, ": ") if pa.types.is_list(one.type) else one for one in parts]
    keys = pc.coalesce(*words, "") if words else pa.array([""] * len(stated))
    codes = keys.dictionary_encode().indices.to_numpy()
    _, first = np.unique(codes, return_index=True)
    classes = np.array(
        [_class_and_colour({"classification": stated[int(row)].as_py()}, colours) for row in first],
        dtype=object,
    )
    return list(classes[codes])


def _whole(column: pa.ChunkedArray) -> Any:
    chunks = column.combine_chunks()
    return chunks.chunk(0) if isinstance(chunks, pa.ChunkedArray) else chunks


def _centroids(polygons: Any) -> Floats:
    """Return the centroid (y, x) of the ring of each polygon."""
    of_polygon, rings = polygons.offsets.to_numpy(), polygons.values
    of_ring, points = rings.offsets.to_numpy().astype(np.int64), rings.values
    of_point = points.offsets.to_numpy()
    if not (np.diff(of_point) == 2).all() or not (np.diff(of_polygon) == 1).all():
        raise ValueError("points of other than two numbers, or a hole")
    flat = points.values.to_numpy(zero_copy_only=False)[of_point[0] : of_point[-1]]
    return _ring_centres(flat.reshape(-1, 2)[:, ::-1].astype(np.float64), of_ring - of_ring[0])


def _ring_centres(points: Floats, starts: npt.NDArray[np.int64]) -> Floats:
    """Return the centroid of each ring, one ring after the other, closed or open.

    References
    ----------
    Bourke, Calculating the area and centroid of a polygon (1988).
    """
    lengths = np.diff(starts)
    if (lengths < 3).any():
        raise ValueError("an outline of fewer than three points")
    first = points[starts[:-1]]
    # From a point of the ring: far from the origin the products would lose digits.
    here = points - np.repeat(first, lengths, axis=0)
    ahead = np.concatenate([here[1:], here[:1]])
    ahead[starts[1:] - 1] = 0.0
    cross = here[:, 1] * ahead[:, 0] - ahead[:, 1] * here[:, 0]
    area = np.add.reduceat(cross, starts[:-1])
    centres = first.copy()
    for axis in (0, 1):
        weighted = np.add.reduceat(cross * (here[:, axis] + ahead[:, axis]), starts[:-1])
        centres[:, axis] += weighted / np.where(area == 0, np.inf, 3 * area)
    return centres


def _one_by_one(
    contents: Iterator[Any], colours: dict[str, Rgb]
) -> tuple[_Cells, list[QuPathRegion]]:
    centres: list[Floats] = [np.zeros((0, 2))]
    names: list[str] = []
    measurements: list[dict[str, Any]] = []
    regions: list[QuPathRegion] = []
    for feature in (one for content in contents for one in features_of(content)):
        properties = feature.get("properties") or {}
        name = _class_and_colour(properties, colours)
        rings, points = parts_of(feature.get("nucleusGeometry") or feature.get("geometry"))
        if kind_of(feature, properties) not in FOUND and rings:
            stated = str(properties.get("name") or name)
            regions += [QuPathRegion(ring, stated) for ring in rings]
            continue
        places = points
        if rings:
            places = _ring_centres(rings[0], np.array([0, len(rings[0])]))
        centres.append(places)
        names += [name] * len(places)
        measurements += [_measurements(properties)] * len(places)
    cells = _Cells(np.concatenate(centres), names, pd.DataFrame(measurements))
    return cells, regions


def _measurements(properties: dict[str, Any]) -> dict[str, Any]:
    stated = properties.get("measurements") or {}
    if isinstance(stated, list):  # QuPath up to 0.3
        return {str(one["name"]): one.get("value") for one in stated}
    return dict(stated)


def _class_and_colour(properties: dict[str, Any], colours: dict[str, Rgb]) -> str:
    """Return the class of an object, and note the colour that it states."""
    name = ": ".join(class_of(properties))
    stated = properties.get("classification")
    if name and name not in colours and isinstance(stated, dict):
        colour, packed = stated.get("color"), stated.get("colorRGB")
        if colour:
            colours[name] = (int(colour[0]), int(colour[1]), int(colour[2]))
        elif packed is not None:  # QuPath up to 0.3: Java's signed ARGB
            number = int(packed) & 0xFFFFFF
            colours[name] = (number >> 16, number >> 8 & 255, number & 255)
    return name
