"""The tables of all slides: one row a slide, and one row a slide and metric."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from histo.batch.find import is_result_folder, natural_key
from histo.errors import ResultError
from histo.metrics import Metric, metrics_from_json, metrics_row, metrics_to_json
from histo.results import read_manifest, replace_file, write_metrics_csv

__all__ = ["Failure", "SlideRow", "Tables", "read_slide_row", "refresh_tables"]

_FAILURES, _METRICS = "failures.json", "metrics.csv"


@dataclass(frozen=True, slots=True)
class Failure:
    """A slide that could not be analysed.

    Parameters
    ----------
    folder : str
        The name of its result folder, had it worked.
    file : str
        The slide's file name.
    error : str
        One sentence: what was found, and what to do.
    traceback : str
        Where the program failed, when it was its own fault; empty otherwise.
    step : {"run", "metrics"}
        What was being done. What failed in ``run`` has no numbers to recompute.

    Examples
    --------
    >>> Failure("liver", "liver.tif", "liver.tif: is empty; copy the file again.").columns()
    {'slide': 'liver', 'file': 'liver.tif', 'status': 'failed', 'error': 'liver.tif: is empty; ...'}
    """

    folder: str
    file: str
    error: str
    traceback: str = ""
    step: str = "run"

    def columns(self) -> dict[str, Any]:
        """Return its row of ``metrics.csv``: no number, since a failed slide is missing."""
        return {"slide": self.folder, "file": self.file, "status": "failed", "error": self.error}


@dataclass(frozen=True, slots=True)
class SlideRow:
    """A finished slide: what it is, and its metrics.

    Parameters
    ----------
    facts : dict
        ``slide`` (the result folder's name), ``file``, ``status``, ``error``, ``panel``,
        ``pixel_size_um``, ``pixel_size_source``, ``flags``, and for each marker
        ``<marker>_threshold_1`` to ``_3`` and ``<marker>_threshold_source``.
    metrics : tuple of Metric

    Examples
    --------
    >>> row = SlideRow({"slide": "liver"}, (Metric("cell_count", 3, "cells"),))
    >>> row.columns()["cell_count"]
    3.0
    """

    facts: Mapping[str, Any]
    metrics: tuple[Metric, ...]

    def columns(self) -> dict[str, Any]:
        """Return the row of ``metrics.csv``; each share says what it is a share of."""
        columns: dict[str, Any] = {**self.facts, **metrics_row(self.metrics)}
        for metric in self.metrics:
            if metric.denominator_name:
                columns[f"{metric.name}_denominator_name"] = metric.denominator_name
        return columns


def read_slide_row(folder: Path) -> SlideRow:
    """Read the row of one slide from its result folder; the cells are not loaded.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    SlideRow

    Raises
    ------
    ResultError
        If the folder is not a complete result.

    Examples
    --------
    >>> read_slide_row(Path("slides"))
    Traceback (most recent call last):
    ...
    histo.errors.ResultError: slides: not a result of histo (manifest.json is missing); ...
    """
    manifest = read_manifest(folder)
    try:
        content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        metrics = metrics_from_json(content["metrics"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ResultError(
            f"{folder.name}: metrics.json cannot be read ({error}); run the slide again "
            "with --force."
        ) from error
    slide = manifest.get("slide", {})
    facts = {
        "slide": folder.name,
        "file": manifest.get("input", {}).get("file", ""),
        "status": "ok",
        "error": "",
        "panel": manifest.get("parameters", {}).get("panel", ""),
        "pixel_size_um": slide.get("pixel_size_um"),
        "pixel_size_source": slide.get("pixel_size_source"),
        "flags": ";".join(manifest.get("flags", ())),
        **_cut_offs(manifest.get("thresholds", {})),
    }
    return SlideRow(facts, metrics)


def _cut_offs(thresholds: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cut-offs that the calls were made with, by column."""
    columns: dict[str, Any] = {}
    for marker, cut in thresholds.items():
        for grade, value in enumerate(cut["values"], 1):
            columns[f"{marker}_threshold_{grade}"] = value
        columns[f"{marker}_threshold_source"] = cut["source"]
    return columns


@dataclass(slots=True)
class Tables:
    """All slides of a folder of results, finished and failed; written after each slide.

    Parameters
    ----------
    out : Path
        The folder of results; what is in it is read.

    Examples
    --------
    >>> import tempfile
    >>> out = Path(tempfile.mkdtemp())
    >>> tables = Tables(out)
    >>> tables.fail(Failure("liver", "liver.tif", "liver.tif: is empty."))
    >>> tables.write()
    >>> print((out / "metrics.csv").read_text(encoding="utf-8-sig"), end="")
    slide,file,status,error
    liver,liver.tif,failed,liver.tif: is empty.
    """

    out: Path
    rows: dict[str, SlideRow] = field(init=False, default_factory=dict)
    failures: dict[str, Failure] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for folder in self.out.iterdir():
            if not folder.name.startswith(".") and is_result_folder(folder):
                try:
                    self.rows[folder.name] = read_slide_row(folder)
                except ResultError as error:
                    self.failures[folder.name] = Failure(folder.name, "", str(error))
        self.failures |= _read_failures(self.out / _FAILURES)

    def finish(self, folder: Path) -> SlideRow:
        """Take in the result of a slide; return its row."""
        row = read_slide_row(folder)
        self.rows[folder.name] = row
        self.failures.pop(folder.name, None)
        return row

    def fail(self, failure: Failure) -> None:
        """Take in a failure; an older result of this slide no longer counts."""
        self.failures[failure.folder] = failure

    def write(self) -> None:
        """Write ``metrics.csv``, ``metrics_long.csv`` and ``failures.json``.

        Raises
        ------
        ResultError
            If they cannot be written; the former ones stay.
        """
        names = sorted({*self.rows, *self.failures}, key=natural_key)
        finished = [self.rows[name] for name in names if name not in self.failures]
        every = [self.failures.get(name) or self.rows[name] for name in names]
        # Finished slides settle the order of the columns; a failure has only the first ones.
        columns = dict.fromkeys(name for row in finished for name in row.columns())
        write_metrics_csv(
            self.out / _METRICS,
            [{**dict.fromkeys(columns), **row.columns()} for row in every],
        )
        write_metrics_csv(
            self.out / "metrics_long.csv",
            [
                {"slide": row.facts["slide"], "panel": row.facts["panel"], **_renamed(entry)}
                for row in finished
                for entry in metrics_to_json(row.metrics)
            ],
        )
        self._write_failures(names)

    def _write_failures(self, names: list[str]) -> None:
        path = self.out / _FAILURES
        if not self.failures:
            path.unlink(missing_ok=True)
            return
        content = [
            {
                "slide": failure.folder,
                "file": failure.file,
                "error": failure.error,
                "step": failure.step,
                "traceback": failure.traceback,
            }
            for failure in (self.failures[name] for name in names if name in self.failures)
        ]
        with replace_file(path) as temporary:
            text = json.dumps(content, indent=2, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")


def _renamed(entry: dict[str, Any]) -> dict[str, Any]:
    return {"metric": entry["name"], **{k: v for k, v in entry.items() if k != "name"}}


def _read_failures(path: Path) -> dict[str, Failure]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            entry["slide"]: Failure(
                entry["slide"],
                entry["file"],
                entry["error"],
                entry.get("traceback", ""),
                entry.get("step", "run"),
            )
            for entry in content
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}  # absent or damaged: the failed slides are tried again anyway


def refresh_tables(out: Path) -> None:
    """Bring the tables of a folder of results up to date, after one of its slides was reviewed.

    Parameters
    ----------
    out : Path
        Where there is no ``metrics.csv`` yet, none is made.

    Raises
    ------
    ResultError
        If they cannot be written; the former ones stay.

    Examples
    --------
    >>> import tempfile
    >>> out = Path(tempfile.mkdtemp())
    >>> refresh_tables(out)
    >>> list(out.iterdir())
    []
    """
    if (out / _METRICS).is_file():
        Tables(out).write()
