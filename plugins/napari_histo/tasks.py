"""What the child process does for the widgets that run analyses: thin calls of ``histo.batch``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from histo.errors import HistoError

if TYPE_CHECKING:
    import pandas as pd

    from histo.batch import BatchEvent
    from histo.pipeline import Settings
    from napari_histo.job import Report, Tell

__all__ = ["analyse", "batch", "clear", "overall_part", "settings_from", "slides"]

#: Which part of the time of a slide a stage begins at, and how much it takes, roughly.
_STAGES = {
    "reading": (0.0, 0.03),
    "looking for tissue": (0.03, 0.05),
    "finding nuclei": (0.08, 0.84),
    "calls and metrics": (0.92, 0.02),
    "writing": (0.94, 0.02),
    "drawing pictures": (0.96, 0.04),
}


def overall_part(stage: str, fraction: float) -> float:
    """Return the part done of a slide from the part done of a stage, both 0-1.

    Examples
    --------
    >>> overall_part("finding nuclei", 0.5)
    0.5
    """
    start, share = _STAGES.get(stage, (0.0, 0.0))
    return start + share * fraction


def settings_from(content: dict[str, Any]) -> Settings:
    """Return settings from what a form gave, as JSON.

    Parameters
    ----------
    content : dict
        The arguments of `histo.pipeline.Settings`; lists stand for tuples.

    Raises
    ------
    HistoError
        If the region is none.
    """
    from histo.pipeline import Settings

    thresholds = {
        marker: tuple(request) if isinstance(request, list) else request
        for marker, request in content.get("thresholds", {}).items()
    }
    try:
        return Settings(**{**content, "thresholds": thresholds})
    except ValueError as error:
        raise HistoError(f"The settings cannot be used: {error}") from error


def analyse(arguments: dict[str, Any], tell: Tell, report: Report) -> dict[str, Any]:
    """Analyse one slide; hands out "cells": ``y_um`` and ``x_um`` of each tile.

    Parameters
    ----------
    arguments : dict
        ``slide``, ``out`` (the folder of results), ``settings``, and ``force``.
    tell, report : callable
        See `napari_histo.job`.

    Returns
    -------
    dict
        ``folder`` of the result, and ``status``: "finished", or "skipped" when it was there.

    Raises
    ------
    HistoError
        If it failed.
    """
    tell("starting", 0.0)
    from histo.batch import analyze_folder

    out, slide = Path(arguments["out"]), arguments["slide"]

    def progress(event: BatchEvent) -> None:
        if not event.is_last:
            tell(event.stage, overall_part(event.stage, event.fraction))

    def on_cells(table: pd.DataFrame) -> None:
        places = table[["y_um", "x_um"]].round(1)
        report("cells", {name: places[name].tolist() for name in places})

    summary = analyze_folder(
        [slide],
        out,
        settings_from(arguments["settings"]),
        force=bool(arguments.get("force")),
        progress=progress,
        on_cells=on_cells,
    )
    for failure in summary.failed:
        error = HistoError(failure.error)
        error.add_note(failure.traceback)
        raise error
    folder = out / str(summary.rows[0].facts["slide"])
    return {"folder": str(folder), "status": "skipped" if summary.skipped else "finished"}


def slides(arguments: dict[str, Any], tell: Tell, report: Report) -> dict[str, Any]:
    """List the slides of a ``folder``.

    Returns
    -------
    dict
        ``slides``: their paths.

    Raises
    ------
    HistoError
        If there is none.
    """
    tell("looking for slides", 0.0)
    from histo.batch import find_slides

    return {"slides": [str(path) for path in find_slides(arguments["folder"])]}


def batch(arguments: dict[str, Any], tell: Tell, report: Report) -> dict[str, Any]:
    """Analyse slides one after the other; hands out "slide" for each piece of news.

    Parameters
    ----------
    arguments : dict
        ``slides``, ``out``, ``settings``, and ``force``.
    tell, report : callable
        See `napari_histo.job`. A report "slide" has its ``row``, from 0, ``status``, ``stage``,
        ``part``, ``message``, ``folder`` and, when it is finished, ``metrics``: name to value.

    Returns
    -------
    dict
        How many are ``finished``, ``skipped`` and ``failed``.
    """
    tell("starting", 0.0)
    from histo.batch import analyze_folder
    from histo.batch.tables import read_slide_row

    out = Path(arguments["out"])
    counts = {"finished": 0, "skipped": 0, "failed": 0}

    def progress(event: BatchEvent) -> None:
        part = 1.0 if event.is_last else overall_part(event.stage, event.fraction)
        folder = out / event.folder
        news: dict[str, Any] = {
            "row": event.index - 1,
            "status": event.status,
            "stage": event.stage,
            "part": part,
            "message": event.message,
            "folder": str(folder),
        }
        if event.status in ("finished", "skipped"):
            metrics = read_slide_row(folder).metrics
            news["metrics"] = {metric.name: metric.value for metric in metrics}
        if event.is_last:
            counts[event.status] += 1
        report("slide", news)
        tell(f"slide {event.index} of {event.total}", (event.index - 1 + part) / event.total)

    analyze_folder(
        arguments["slides"],
        out,
        settings_from(arguments["settings"]),
        force=bool(arguments.get("force")),
        progress=progress,
    )
    return dict(counts)


def clear(arguments: dict[str, Any], tell: Tell, report: Report) -> dict[str, Any]:
    """Delete what the killed process ``pid`` left half written in the folder ``out``."""
    from histo.results import clear_leftovers

    clear_leftovers(arguments["out"], arguments["pid"])
    return {}
