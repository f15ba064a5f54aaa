"""A result with its corrections: what was found is kept, what is shown is corrected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from histo.edits import (
    EDITS,
    Corrections,
    EditLog,
    correct_areas,
    correct_cells,
    edits_record,
)
from histo.errors import EditError, ResultError
from histo.metrics import Metric, SlideAreas
from histo.panel import Panel, Thresholds
from histo.panel.thresholds import Request
from histo.pipeline.compartments import Divided, place_in, read_divided
from histo.pipeline.files import FOUND, LABELS, LUNG_FILES, OUTLINES, VIEWS, WINDOW
from histo.pipeline.numbers import (
    call_and_count,
    threshold_flags,
    thresholds_record,
    without_threshold_flags,
)
from histo.pipeline.spatial import read_window, space_of
from histo.pipeline.writing import write_calls
from histo.results import (
    SlideResult,
    read_manifest,
    read_slide_result,
    result_folder,
    take_over,
)

__all__ = ["Corrected", "Found", "correct", "read_found", "rewrite_result", "set_edits_aside"]

#: What `FOUND` holds: a result of its own, with the machine's numbers.
_TABLES = ("cells.parquet", "areas.json", "metrics.json", "manifest.json")


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the machine found in a slide.

    Attributes
    ----------
    cells : DataFrame
        Without any edit; its calls are not to be used.
    areas : SlideAreas
    manifest : dict
        The present one, with the thresholds that hold.
    panel : Panel
    divided : Divided, optional
        The compartments, where the slide was divided.
    """

    cells: pd.DataFrame
    areas: SlideAreas
    manifest: dict[str, Any]
    panel: Panel
    divided: Divided | None = None

    def cells_with(self, corrections: Corrections) -> pd.DataFrame:
        """Return the cells with edits, before calls, each in its compartment.

        Raises
        ------
        EditError
            If the corrections do not belong to this result.
        """
        table = correct_cells(self.cells, corrections)
        return table if table is self.cells else place_in(table, self.divided)

    def parts_with(self, corrections: Corrections) -> Mapping[str, SlideAreas] | None:
        """Return the areas by compartment without excluded regions; None when not divided."""
        return None if self.divided is None else self.divided.areas_without(corrections.regions_um)


@dataclass(frozen=True, slots=True, eq=False)
class Corrected:
    """The numbers of a slide with its edits.

    Attributes
    ----------
    cells : DataFrame
        With calls.
    areas : SlideAreas
    thresholds : mapping of str to Thresholds
    metrics : tuple of Metric
    corrections : Corrections
    parts : mapping of str to SlideAreas, optional
        Areas by compartment.
    """

    cells: pd.DataFrame
    areas: SlideAreas
    thresholds: Mapping[str, Thresholds]
    metrics: tuple[Metric, ...]
    corrections: Corrections
    parts: Mapping[str, SlideAreas] | None = None


def read_found(folder: Path) -> Found:
    """Read what the machine found, whatever was edited since.

    Parameters
    ----------
    folder : Path
        The result folder of one slide.

    Returns
    -------
    Found

    Raises
    ------
    ResultError
        If the folder is not a complete result.

    Examples
    --------
    >>> read_found(Path("slides"))
    Traceback (most recent call last):
    ...
    histo.errors.ResultError: slides: not a result of histo (manifest.json is missing); ...
    """
    manifest = read_manifest(folder)
    result = read_slide_result(folder / FOUND if (folder / FOUND).is_dir() else folder)
    try:
        panel = Panel.model_validate(manifest["parameters"]["panel_content"])
        manifest["slide"]["name"]
    except (KeyError, TypeError, ValueError) as error:
        raise ResultError(
            f"{folder.name}: manifest.json does not hold the panel ({error}); run the slide again "
            "with --force."
        ) from error
    divided = read_divided(folder)
    return Found(place_in(result.cells, divided), result.areas, manifest, panel, divided)


def correct(found: Found, corrections: Corrections, requests: Mapping[str, Request]) -> Corrected:
    """Apply corrections to what was found; make calls and metrics.

    Parameters
    ----------
    found : Found
    corrections : Corrections
    requests : mapping
        Thresholds asked for, by marker.

    Returns
    -------
    Corrected

    Raises
    ------
    EditError
        If the corrections do not belong to this result.
    PanelError
        If the panel has no marker that a threshold is asked for.
    """
    areas = correct_areas(found.areas, corrections)
    parts = found.parts_with(corrections)
    cells, thresholds, metrics = call_and_count(
        found.cells_with(corrections),
        found.panel,
        requests,
        areas,
        corrections=corrections,
        parts=parts,
    )
    return Corrected(cells, areas, thresholds, metrics, corrections, parts)


def rewrite_result(
    folder: Path, found: Found, corrected: Corrected, log: EditLog, manifest: Mapping[str, Any]
) -> SlideResult:
    """Replace the tables and pictures of a result in one step; pixels and edits are kept.

    Parameters
    ----------
    folder : Path
        The result folder of one slide.
    found : Found
    corrected : Corrected
    log : EditLog
        Whose edits in force are in ``corrected``.
    manifest : mapping
        The new one, but for thresholds, their flags and the edits, which are filled in.

    Returns
    -------
    SlideResult

    Raises
    ------
    ResultError
        If a file is missing, or the folder cannot be written to; it stays as it was.
    EditError
        If another program edited the slide meanwhile.
    """
    doubts = threshold_flags(corrected.thresholds, corrected.cells, found.panel)
    manifest = {
        **manifest,
        "flags": without_threshold_flags(manifest["flags"]) + list(doubts),
        "thresholds": thresholds_record(corrected.thresholds),
        # Results that no version with edits wrote hold an empty list.
        "edits": {**(manifest.get("edits") or {}), **edits_record(log.in_force)},
    }
    window = read_window(folder, corrected.corrections.regions_um)
    space = space_of(corrected.cells, found.panel, corrected.thresholds, window, found.divided)
    is_lung = found.panel.regions == "lung"
    logs = sorted(path.name for path in folder.glob("edits*.jsonl"))
    keep = [
        LABELS,
        OUTLINES,
        VIEWS,
        WINDOW,
        *(LUNG_FILES if is_lung else ()),
        *logs,
        *([FOUND] if corrected.corrections else []),
    ]
    with result_folder(folder, keep=keep) as partial:
        if corrected.corrections and not (partial / FOUND).is_dir():
            for name in _TABLES:
                take_over(folder / name, partial / FOUND / name)
        lung: tuple[Metric, ...] = ()
        if is_lung:
            from histo.pipeline.lung import correct_lung

            regions_um = corrected.corrections.regions_um
            lung = correct_lung(folder, partial, regions_um, manifest["slide"])
        metrics = (*corrected.metrics, *space, *lung)
        result = SlideResult(corrected.cells, metrics, corrected.areas, manifest)
        write_calls(
            partial,
            result,
            found.panel,
            corrected.thresholds,
            corrections=corrected.corrections,
            divided=found.divided,
        )
        if not log.is_current:
            raise EditError(
                f"{folder.name}: another program edited this slide while its result was written; "
                "run again (nothing was replaced)."
            )
    return result


def set_edits_aside(folder: Path, partial: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Keep the edits of a former result when the slide is analysed anew.

    Its cells are others, so that the edits cannot be applied; they are a person's work all the
    same, and stay as ``edits-<UTC time>.jsonl``.

    Parameters
    ----------
    folder : Path
        The former result, if there is one.
    partial : Path
        The new one, before it takes that place.

    Returns
    -------
    edits : dict
        For the new manifest: none in force, and under ``set_aside`` the names of such logs.
    flags : tuple of str
        ``edits_set_aside`` when edits were in force until now.
    """
    for path in folder.glob("edits-*.jsonl"):
        take_over(path, partial / path.name)
    flags: tuple[str, ...] = ()
    if (folder / EDITS).is_file() and (folder / EDITS).stat().st_size:
        aside = f"edits-{datetime.now(UTC):%Y%m%dT%H%M%S%f}Z.jsonl"
        take_over(folder / EDITS, partial / aside)
        flags = ("edits_set_aside",) if _holds_edits(folder) else ()
    names = sorted(path.name for path in partial.glob("edits-*.jsonl"))
    return {**edits_record(()), **({"set_aside": names} if names else {})}, flags


def _holds_edits(folder: Path) -> bool:
    try:
        return bool(EditLog(folder).in_force)
    except EditError:
        return True  # what cannot be read may be somebody's work
