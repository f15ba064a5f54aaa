"""The floors above the cells: thresholds, calls, metrics. No pixel is needed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from histo.edits import Corrections, correct_calls
from histo.metrics import Metric, SlideAreas, compartment_metrics, slide_metrics
from histo.panel import Panel, Thresholds, classify_cells, resolve_thresholds
from histo.panel.thresholds import Request

__all__ = ["call_and_count", "threshold_flags", "thresholds_record"]


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


def threshold_flags(thresholds: Mapping[str, Thresholds]) -> tuple[str, ...]:
    """Return a flag for each marker whose automatic threshold could not be found."""
    return tuple(
        f"threshold_unknown_{name}" for name, cut in thresholds.items() if not cut.is_known
    )
