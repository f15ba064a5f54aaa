"""The metrics of a slide once more, for each compartment of its tissue."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from histo.metrics.areas import SlideAreas
from histo.metrics.metric import Metric
from histo.metrics.slide import slide_metrics
from histo.panel import Panel, Thresholds

__all__ = ["compartment_metrics"]


def compartment_metrics(
    cells: pd.DataFrame,
    panel: Panel,
    thresholds: Mapping[str, Thresholds],
    areas: Mapping[str, SlideAreas],
) -> tuple[Metric, ...]:
    """Return area and metrics of each compartment.

    Parameters
    ----------
    cells : DataFrame
        The cell table with its calls; ``compartment`` names where each cell lies.
    panel : Panel
    thresholds : mapping of marker to Thresholds
        Those that the calls were made with.
    areas : mapping of str to SlideAreas
        By compartment, in the order of the result.

    Returns
    -------
    tuple of Metric
        For each compartment ``<compartment>_area_mm2``, ``<compartment>_area_percent`` of the
        valid tissue, and every metric of :func:`slide_metrics` as ``<compartment>_<name>``, its
        denominator that of the compartment.

    Examples
    --------
    >>> from histo.cells import empty_cells
    >>> from histo.panel import classify_cells, load_panel, resolve_thresholds
    >>> panel = load_panel("foxp3-dab")
    >>> cells = empty_cells(["hematoxylin", "dab"])
    >>> cuts = resolve_thresholds(cells, panel)
    >>> called = classify_cells(cells, panel, cuts)
    >>> parts = {"tumor": SlideAreas(3e6, 3e6), "stroma": SlideAreas(1e6, 1e6)}
    >>> metrics = compartment_metrics(called, panel, cuts, parts)
    >>> [(m.name, m.value) for m in metrics if m.name.startswith("stroma_area")]
    [('stroma_area_mm2', 1.0), ('stroma_area_percent', 25.0)]
    """
    total = sum(one.valid_um2 for one in areas.values())
    metrics: list[Metric] = []
    for word, own in areas.items():
        share = 100 * own.valid_um2 / total if total > 0 else math.nan
        metrics += [
            Metric(f"{word}_area_mm2", own.valid_um2 / 1e6, "mm²"),
            Metric(
                f"{word}_area_percent",
                share,
                "%",
                numerator=own.valid_um2,
                denominator=total,
                denominator_name="valid tissue area in all compartments, µm²",
            ),
        ]
        inside = cells[(cells["compartment"] == word).to_numpy()]
        for metric in slide_metrics(inside, panel, thresholds, own):
            words = f"{metric.denominator_name}, {word}" if metric.denominator_name else ""
            metrics.append(replace(metric, name=f"{word}_{metric.name}", denominator_name=words))
    return tuple(metrics)
