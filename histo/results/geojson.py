"""Cells as GeoJSON for QuPath, written as a stream."""

from __future__ import annotations

import gzip
import io
import json
import uuid
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.results.calls import CallClass, call_classes, called_markers
from histo.results.outlines import Outlines, Rings

__all__ = ["GEOJSON_NAMES", "measurement_name", "write_geojson"]

#: The names that :func:`write_geojson` gives: plain, and compressed for slides of many cells.
GEOJSON_NAMES = ("cells.geojson", "cells.geojson.gz")

# About 2 kB a cell: above this number the plain file would exceed 50 MB. QuPath opens both
# (compressed since 0.4.0).
_COMPRESS_ABOVE = 25_000

_STAINS = {"dab": "DAB", "hematoxylin": "Hematoxylin", "eosin": "Eosin", "red": "Red"}
_STATISTICS = {"mean": "mean", "max": "max", "std": "std dev"}
_SHAPES = {
    "nucleus_area_um2": "Nucleus: Area µm^2",
    "cell_area_um2": "Cell: Area µm^2",
    "nucleus_diameter_um": "Nucleus: Equivalent diameter µm",
    "nucleus_eccentricity": "Nucleus: Eccentricity",
    "nucleus_solidity": "Nucleus: Solidity",
    "contact_fraction": "Cell: Contact fraction",
    "nucleus_positivity": "Nucleus: Positive probability",
}


def measurement_name(column: str) -> str | None:
    """Translate a column of the cell table into the name that QuPath gives the measurement.

    Parameters
    ----------
    column : str
        A column of the cell table.

    Returns
    -------
    str or None
        None for columns that are not measurements.

    Examples
    --------
    >>> measurement_name("nucleus_dab_od_mean"), measurement_name("cytoplasm_cd8_intensity_std")
    ('Nucleus: DAB OD mean', 'Cytoplasm: CD8 std dev')
    """
    if column in _SHAPES:
        return _SHAPES[column]
    part, _, rest = column.partition("_")
    signal, _, statistic = rest.rpartition("_")
    if part not in ("nucleus", "cytoplasm", "cell") or statistic not in _STATISTICS:
        return None
    if signal.endswith("_od"):
        stain = signal.removesuffix("_od")
        return f"{part.title()}: {_STAINS.get(stain, stain.title())} OD {_STATISTICS[statistic]}"
    if signal.endswith("_intensity"):
        channel = signal.removesuffix("_intensity")
        return f"{part.title()}: {channel.upper()} {_STATISTICS[statistic]}"
    return None


def write_geojson(
    folder: str | Path,
    cells: pd.DataFrame,
    outlines: Iterator[Outlines],
    *,
    slide: str,
) -> Path:
    """Write ``cells.geojson`` (``.gz`` above 25,000 cells), which QuPath opens by drag and drop.

    One feature a cell: the cell's outline as ``geometry``, the nucleus' as
    ``nucleusGeometry``, both in pixels of level 0 from its top left corner, the call as the
    classification and QuPath's names for the measurements. Missing values are left out.

    Parameters
    ----------
    folder : path
        Where to write.
    cells : DataFrame
        The cell table, with calls.
    outlines : iterator of Outlines
        From :func:`read_outlines`; cells without an outline are left out.
    slide : str
        Name of the slide; with ``cell_id`` it gives the same identifier at every export.

    Returns
    -------
    pathlib.Path
        The file.

    References
    ----------
    QuPath 0.5, qupath.lib.io.QuPathTypeAdapters (objects as GeoJSON); RFC 7946.

    Examples
    --------
    >>> import tempfile
    >>> table = pd.DataFrame({"cell_id": [5], "foxp3_positive": [True], "foxp3_grade": [1]})
    >>> square = Rings(np.array([[2.0, 2], [2, 6], [6, 6], [6, 2]]), np.array([0, 4]))
    >>> outlines = iter([Outlines(np.array([5]), square, square)])
    >>> path = write_geojson(tempfile.mkdtemp(), table, outlines, slide="section")
    >>> json.loads(path.read_text())["features"][0]["properties"]["classification"]["name"]
    '1+'
    """
    compress = len(cells) > _COMPRESS_ABOVE
    path = Path(folder) / GEOJSON_NAMES[compress]
    with path.open("wb") as raw:
        if compress:
            # No name and no time in the header: the same cells give the same bytes.
            with gzip.GzipFile("", "wb", 1, raw, mtime=0) as stream:
                _write(stream, cells, outlines, slide)
        else:
            _write(raw, cells, outlines, slide)
    return path


def _write(
    stream: io.BufferedIOBase | gzip.GzipFile,
    cells: pd.DataFrame,
    outlines: Iterator[Outlines],
    slide: str,
) -> None:
    codes, classes = call_classes(cells)
    index = pd.Index(cells["cell_id"].to_numpy())
    measurements = _Measurements(cells)
    classifications = [_classification(one) for one in classes]
    space = uuid.uuid5(uuid.NAMESPACE_URL, f"histo:{slide}")
    stream.write(b'{"type":"FeatureCollection","features":[')
    separator = "\n"
    for batch in outlines:
        rows = index.get_indexer(batch.cell_ids)
        features = []
        for row, nucleus, cell, values in zip(
            rows.tolist(),
            _polygons(batch.nuclei),
            _polygons(batch.cells),
            measurements.texts(rows),
            strict=True,
        ):
            if row < 0 or not cell:
                continue
            name = uuid.uuid5(space, str(index[row]))
            inner = f'"nucleusGeometry":{nucleus},' if nucleus else ""
            features.append(
                f'{{"type":"Feature","id":"{name}","geometry":{cell},{inner}'
                f'"properties":{{"objectType":"cell",{classifications[codes[row]]}'
                f'"measurements":{{{values}}}}}}}'
            )
        if features:
            stream.write((separator + ",\n".join(features)).encode())
            separator = ",\n"
    stream.write(b"\n]}\n")


def _polygons(rings: Rings) -> Iterator[str]:
    """Yield each ring as a closed polygon (x, y); nothing for fewer than three points."""
    flat = rings.points[:, ::-1].ravel()
    whole = bool((flat == np.rint(flat)).all())
    numbers = flat.astype(np.int64).tolist() if whole else flat.tolist()
    starts = (2 * rings.starts).tolist()
    for start, stop in pairwise(starts):
        ring = numbers[start:stop] + numbers[start : start + 2]
        yield _template(len(ring) // 2, whole) % tuple(ring) if len(ring) > 6 else ""


@cache
def _template(points: int, whole: bool) -> str:
    pair = "[%d,%d]" if whole else "[%.1f,%.1f]"
    return '{"type":"Polygon","coordinates":[[' + ",".join([pair] * points) + "]]}"


def _classification(one: CallClass) -> str:
    if not one.names:
        return ""
    named: dict[str, Any] = (
        {"name": one.names[0]} if len(one.names) == 1 else {"names": list(one.names)}
    )
    return f'"classification":{json.dumps({**named, "color": list(one.rgb)})},'


class _Measurements:
    """The measurements of the cells, formatted a batch of rows at a time."""

    def __init__(self, cells: pd.DataFrame) -> None:
        columns = {"cell_id": "Cell ID"}
        for column in cells.columns:
            name = measurement_name(str(column))
            if name is not None:
                columns[str(column)] = name
        for marker in called_markers(cells):
            if f"{marker}_grade" in cells:
                columns[f"{marker}_grade"] = f"{marker.upper()} grade"
        keys = [json.dumps(name, ensure_ascii=False) for name in columns.values()]
        self._columns = [cells[column].to_numpy() for column in columns]
        self._parts = [
            f"{key.replace('%', '%%')}:{'%d' if column.dtype.kind in 'iu' else '%.5g'}"
            for key, column in zip(keys, self._columns, strict=True)
        ]

    def texts(self, rows: npt.NDArray[np.intp]) -> Iterator[str]:
        """Yield the inside of each row's ``measurements``; nothing for rows below 0."""
        chosen = [column[np.maximum(rows, 0)] for column in self._columns]
        template = ",".join(self._parts)
        finite = np.logical_and.reduce([np.isfinite(values) for values in chosen])
        for row, complete, values in zip(
            rows.tolist(),
            finite.tolist(),
            zip(*(column.tolist() for column in chosen), strict=True),
            strict=True,
        ):
            if row < 0:
                yield ""
            elif complete:
                yield template % values
            else:
                # NaN is not JSON; a measurement that is left out is missing in QuPath too.
                pairs = zip(self._parts, values, strict=True)
                yield ",".join(part % value for part, value in pairs if np.isfinite(value))
