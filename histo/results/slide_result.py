"""The tables of one slide's result, and the table of all slides."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from histo.cells import validate_cells
from histo.errors import ResultError
from histo.metrics import Metric, SlideAreas, metrics_from_json, metrics_to_json
from histo.results.folder import replace_file

__all__ = [
    "SlideResult",
    "read_manifest",
    "read_slide_result",
    "write_metrics_csv",
    "write_slide_result",
]

SCHEMA_VERSION = 1
_FORMAT = "histo slide result"
_VERSION_KEY = b"histo_schema_version"
_THRESHOLDS_KEY = b"histo_thresholds"


@dataclass(frozen=True, slots=True, eq=False)
class SlideResult:
    """All numbers of one slide.

    Parameters
    ----------
    cells : DataFrame
        The cell table, one row a cell, with calls (see :data:`histo.cells.SCHEMA`).
    metrics : tuple of Metric
    areas : SlideAreas
        What the metrics are divided by, with the stain histograms of the valid tissue.
    manifest : dict
        Where the numbers come from (see :func:`histo.results.make_manifest`).
    """

    cells: pd.DataFrame
    metrics: tuple[Metric, ...]
    areas: SlideAreas
    manifest: dict[str, Any]


def write_slide_result(folder: str | Path, result: SlideResult) -> None:
    """Write ``cells.parquet``, ``metrics.json``, ``areas.json`` and ``manifest.json``.

    Parameters
    ----------
    folder : path
        The partial folder of :func:`histo.results.result_folder` (or one of the caller's own).
    result : SlideResult

    Raises
    ------
    ResultError
        If the cell table does not keep to its schema, or the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> from histo.cells import empty_cells
    >>> folder = Path(tempfile.mkdtemp())
    >>> metrics = (Metric("cell_count", 0, "cells"),)
    >>> areas = SlideAreas(2e6, 1.8e6, 2e5)
    >>> write_slide_result(folder, SlideResult(empty_cells(["dab"]), metrics, areas, {}))
    >>> read_slide_result(folder).metrics[0].value
    0.0
    """
    folder = Path(folder)
    validate_cells(result.cells)
    _write_cells(folder / "cells.parquet", result.cells, result.manifest.get("thresholds", {}))
    _write_json(folder / "metrics.json", {"metrics": metrics_to_json(result.metrics)})
    _write_json(folder / "areas.json", result.areas.to_dict())
    # Last: a folder with a manifest is complete.
    head = {"format": _FORMAT, "schema_version": SCHEMA_VERSION}
    _write_json(folder / "manifest.json", {**head, **_plain(result.manifest)})


def read_slide_result(folder: str | Path) -> SlideResult:
    """Read what :func:`write_slide_result` wrote.

    Parameters
    ----------
    folder : path
        The result folder of one slide.

    Returns
    -------
    SlideResult

    Raises
    ------
    ResultError
        If the folder is missing, incomplete, not one of ours, or of another schema version.

    Examples
    --------
    >>> read_slide_result("slides")
    Traceback (most recent call last):
    ...
    histo.errors.ResultError: slides: not a result of histo (manifest.json is missing); ...
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    metrics = metrics_from_json(_read_json(folder / "metrics.json").get("metrics", ()))
    areas = SlideAreas.from_dict(_read_json(folder / "areas.json"))
    return SlideResult(_read_cells(folder / "cells.parquet"), metrics, areas, manifest)


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Read the manifest of a result folder, and nothing else.

    Raises
    ------
    ResultError
        If the folder is not one of ours, or of another schema version.
    """
    folder = Path(folder)
    if not (folder / "manifest.json").is_file():
        raise ResultError(
            f"{folder.name}: not a result of histo (manifest.json is missing); name the folder "
            "of one slide inside the output folder of `histo run`."
        )
    manifest = _read_json(folder / "manifest.json")
    if manifest.get("format") != _FORMAT:
        raise ResultError(
            f"{folder.name}: manifest.json is not of histo (its format is "
            f"{manifest.get('format')!r}); name the folder of one slide."
        )
    version = manifest.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ResultError(
            f"{folder.name}: written with schema version {version}, this histo reads version "
            f"{SCHEMA_VERSION}; run the slide again, or use the histo that wrote it."
        )
    return manifest


def write_metrics_csv(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one row a slide, in one step.

    Parameters
    ----------
    path : path
        The ``.csv`` file, UTF-8 with a byte order mark (so that Excel reads µ and ²).
    rows : iterable of mapping
        Column to value. The columns are those of all rows, in the order in which they
        first appear; a row's missing ones and NaN are left empty.

    Raises
    ------
    ResultError
        If it cannot be written; a former file stays.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "metrics.csv"
    >>> write_metrics_csv(path, [{"slide": "a", "cell_count": 3}, {"slide": "b", "h_score": 80.5}])
    >>> print(path.read_text(encoding="utf-8-sig"))
    slide,cell_count,h_score
    a,3,
    b,,80.5
    """
    rows = list(rows)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (
        replace_file(path) as temporary,
        temporary.open("w", encoding="utf-8-sig", newline="") as stream,
    ):
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell_text(value) for name, value in row.items()})


def _cell_text(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.10g}" if isinstance(value, float) else value


def _write_cells(path: Path, cells: pd.DataFrame, thresholds: Mapping[str, Any]) -> None:
    """Write the cell table; the thresholds of its calls stay with it, as file metadata."""
    table = pa.Table.from_pandas(cells.reset_index(drop=True), preserve_index=False)
    version = {
        _VERSION_KEY: str(SCHEMA_VERSION).encode(),
        _THRESHOLDS_KEY: json.dumps(_plain(thresholds)).encode(),
    }
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **version})
    pq.write_table(table, path, compression="zstd")


def _read_cells(path: Path) -> pd.DataFrame:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ResultError(
            f"{path.parent.name}: cells.parquet cannot be read ({error}); run the slide again "
            "with --force."
        ) from error
    if (table.schema.metadata or {}).get(_VERSION_KEY) != str(SCHEMA_VERSION).encode():
        raise ResultError(
            f"{path.parent.name}: cells.parquet is not of this version of histo; run the slide "
            "again with --force."
        )
    cells: pd.DataFrame = table.to_pandas()
    validate_cells(cells)
    return cells


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    words = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(words + "\n", encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultError(
            f"{path.parent.name}: {path.name} cannot be read ({error}); run the slide again "
            "with --force."
        ) from error
    if not isinstance(content, dict):
        raise ResultError(
            f"{path.parent.name}: {path.name} does not hold an object; run the slide again "
            "with --force."
        )
    return content


def _plain(value: Any) -> Any:
    """Return a value as JSON takes it: arrays as lists, NaN and infinities as null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return value.name
    return value
