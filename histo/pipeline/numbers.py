"""The floors above the cells: thresholds, calls, metrics. No pixel is needed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from histo.edits import Corrections, correct_calls
from histo.metrics import Metric, SlideAreas, compartment_metrics, slide_metrics
from histo.panel import Panel, Thresholds, classify_cells, resolve_thresholds
from histo.panel.thresholds import Request, valid_values

__all__ = [
    "THRESHOLD_FLAGS",
    "call_and_count",
    "threshold_flags",
    "thresholds_record",
    "without_threshold_flags",
]

UNKNOWN, ABOVE_ALL, BELOW_MOST = THRESHOLD_FLAGS = (
    "threshold_unknown_",
    "threshold_above_all_cells_",
    "threshold_below_most_cells_",
)
"""How the flags of thresholds begin; the marker's name follows."""


def call_and_count(
    cells: pd.DataFrame,
    panel: Panel,
    requested: Mapping[str, Request],
    areas: SlideAreas,
    *,
    corrections: Corrections | None = None,
    parts: Mapping[str, SlideAreas] | None = None,
) -> tuple[pd.DataFrame, dict[str, Thresholds], tuple[Metric, ...]]:
    """Make the calls and the metrics of a slide.

    Parameters
    ----------
    cells : DataFrame
        Measured cells; former calls are replaced.
    panel : Panel
    requested : mapping
        Thresholds asked for, by marker.
    areas : SlideAreas
    corrections : Corrections, optional
        Calls made by hand. Cells and areas are corrected already.
    parts : mapping of str to SlideAreas, optional
        Areas by compartment; with them the metrics of each compartment follow.

    Returns
    -------
    tuple
        The cell table with calls, the thresholds used, the metrics; with corrections,
        ``edited_cell_count`` is the last of them.

    Raises
    ------
    EditError
        If a cell that was called by hand is not in the table.
    """
    thresholds = resolve_thresholds(cells, panel, requested)
    called = classify_cells(cells, panel, thresholds)
    if corrections:
        called = correct_calls(called, corrections)
    metrics = slide_metrics(called, panel, thresholds, areas)
    if parts:
        metrics += compartment_metrics(called, panel, thresholds, parts)
    if corrections:
        metrics += (Metric("edited_cell_count", corrections.edited_cells, "cells"),)
    return called, thresholds, metrics


def thresholds_record(thresholds: Mapping[str, Thresholds]) -> dict[str, Any]:
    """Return thresholds as JSON takes them."""
    return {
        name: {"values": list(cut.values), "source": cut.source, "note": cut.note}
        for name, cut in thresholds.items()
    }


def threshold_flags(
    thresholds: Mapping[str, Thresholds], cells: pd.DataFrame, panel: Panel
) -> tuple[str, ...]:
    """Return a flag for each marker whose automatic threshold is missing or doubtful.

    Automatic thresholds are made for markers that fewer than half of the cells carry. One that
    no cell reaches may be that of a marker nobody carries, or nearly everybody; one that most
    cells reach rests on the few that do not.

    Parameters
    ----------
    thresholds : mapping of str to Thresholds
    cells : DataFrame
        The cell table.
    panel : Panel

    Returns
    -------
    tuple of str
        `THRESHOLD_FLAGS`, each with the marker's name at its end.
    """
    flags = []
    for name, cut in thresholds.items():
        if not cut.is_known:
            flags.append(UNKNOWN + name)
        elif cut.source == "auto":
            values = valid_values(cells, panel, panel.marker(name))
            reached = int((values >= cut.values[0]).sum())
            if values.size and not reached:
                flags.append(ABOVE_ALL + name)
            elif 2 * reached > values.size:
                flags.append(BELOW_MOST + name)
    return tuple(flags)


def without_threshold_flags(flags: Iterable[str]) -> list[str]:
    """Return a slide's flags without those of :func:`threshold_flags`.

    Examples
    --------
    >>> without_threshold_flags(["coarse_pixels", "threshold_above_all_cells_cy5"])
    ['coarse_pixels']
    """
    return [flag for flag in flags if not flag.startswith(THRESHOLD_FLAGS)]
