"""All metrics of one slide, from its cell table and its areas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.metrics import scores
from histo.metrics.areas import SlideAreas
from histo.metrics.attribution import ambiguity_metric, attribution_metrics
from histo.metrics.calls import (
    ALL_CELLS,
    SENSITIVITY_FACTORS,
    VALID_AREA,
    Calls,
    marker_calls,
    scaled_cuts,
    with_sensitivity,
)
from histo.metrics.intervals import mean_interval, poisson_interval, wilson_interval
from histo.metrics.metric import Metric
from histo.panel import Marker, Panel, Thresholds

__all__ = ["marker_area_um2", "slide_metrics"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def slide_metrics(
    cells: pd.DataFrame, panel: Panel, thresholds: Mapping[str, Thresholds], areas: SlideAreas
) -> tuple[Metric, ...]:
    """Return every metric of a slide.

    Parameters
    ----------
    cells : DataFrame
        The cell table with its calls (:func:`histo.panel.classify_cells`). Cells whose
        compartment is ``excluded`` take no part.
    panel : Panel
    thresholds : mapping of marker to Thresholds
        Those that the calls were made with; the sensitivity ranges start from them.
    areas : SlideAreas

    Returns
    -------
    tuple of Metric
        Which metrics there are depends on the panel alone. No cells give counts and densities of
        0; a ratio without a denominator, a density in no area and a marker without a threshold
        give NaN.

    Raises
    ------
    ResultError
        If the table has no calls of a marker.
    ValueError
        If a marker of the panel has no thresholds.

    Examples
    --------
    >>> from histo.cells import empty_cells
    >>> from histo.panel import classify_cells, load_panel, resolve_thresholds
    >>> panel = load_panel("foxp3-dab")
    >>> cells = empty_cells(["hematoxylin", "dab"])
    >>> cuts = resolve_thresholds(cells, panel)
    >>> called = classify_cells(cells, panel, cuts)
    >>> metrics = slide_metrics(called, panel, cuts, SlideAreas(1e6, 1e6))
    >>> {m.name: m.value for m in metrics}["foxp3_density_per_mm2"]
    0.0
    """
    valid = cells[(cells["compartment"] != "excluded").to_numpy()]
    calls = {m.name: marker_calls(valid, panel, m, thresholds) for m in panel.markers}
    metrics = list(_count_metrics("cell", len(valid), areas))
    for marker in panel.markers:
        own = calls[marker.name]
        metrics += _marker_metrics(marker, own, areas)
        metrics.append(_positive_area(marker, own, areas))
        if marker.rejects:
            metrics.append(_rejected(marker, own))
        if marker.compartment != "nucleus":
            contact = valid["contact_fraction"].to_numpy() > panel.contact_limit
            metrics.append(ambiguity_metric(marker, own, contact))
    for pair in panel.attribution:
        signal = panel.marker(pair.signal)
        size = marker_area_um2(valid, signal) if panel.kind == "channels" else None
        metrics += attribution_metrics(
            pair, calls[pair.source], calls[pair.signal], areas=areas, signal_area_um2=size
        )
    return tuple(metrics)


def _count_metrics(name: str, count: float, areas: SlideAreas) -> tuple[Metric, Metric]:
    """Return count and density, with Garwood's interval."""
    low, high = poisson_interval(count)
    density, density_low, density_high = scores.density_per_mm2([count, low, high], areas.valid_um2)
    return (
        Metric(f"{name}_count", count, "cells", low, high),
        Metric(
            f"{name}_density_per_mm2",
            density,
            "cells/mm²",
            density_low,
            density_high,
            count,
            areas.valid_um2,
            VALID_AREA,
        ),
    )


def _marker_metrics(marker: Marker, calls: Calls, areas: SlideAreas) -> list[Metric]:
    """Return what is counted and scored of one marker, with sensitivity ranges."""
    name, n = marker.name, calls.grades.size
    if not calls.are_known:
        nothing = _scored(name, np.zeros(4, np.int64), areas)
        return [Metric(m.name, math.nan, m.unit) for m in nothing]
    metrics = _scored(name, scores.count_grades(calls.grades), areas)
    if n == 0:
        return metrics
    curve = calls.curve()
    positive = curve[:, 1:].sum(axis=1)
    ranges = (
        positive,
        scores.density_per_mm2(positive, areas.valid_um2),
        100 * scores.positive_fraction(curve),
        scores.h_score(curve),
        scores.allred(curve),
        scores.irs(curve),
    )
    return [
        with_sensitivity(metric, values) for metric, values in zip(metrics, ranges, strict=True)
    ]


def _scored(name: str, counts: Ints, areas: SlideAreas) -> list[Metric]:
    n, positive = int(counts.sum()), int(counts[1:].sum())
    graded = float(counts @ np.arange(4))
    made_of: tuple[float, float, str] = (positive, n, ALL_CELLS)
    low, high = wilson_interval(positive, n)
    percent = float(100 * scores.positive_fraction(counts))
    mean_low, mean_high = mean_interval(graded, float(counts @ np.arange(4) ** 2), n, largest=3)
    h_score = float(scores.h_score(counts))
    return [
        *_count_metrics(name, positive, areas),
        Metric(f"{name}_percent", percent, "%", 100 * low, 100 * high, *made_of),
        Metric(
            f"{name}_h_score",
            h_score,
            "0-300",
            100 * mean_low,
            100 * mean_high,
            100 * graded,
            n,
            ALL_CELLS,
        ),
        _ordinal(f"{name}_allred", scores.allred(counts), "0-8", made_of),
        _ordinal(f"{name}_irs", scores.irs(counts), "0-12", made_of),
    ]


def _ordinal(name: str, value: Floats, unit: str, made_of: tuple[float, float, str]) -> Metric:
    """Return a score that has classes and so no interval."""
    return Metric(name, float(value), unit, math.nan, math.nan, *made_of)


def _positive_area(marker: Marker, calls: Calls, areas: SlideAreas) -> Metric:
    """Return the share of valid tissue whose pixels reach the positive-pixel threshold."""
    name = f"{marker.name}_positive_area_percent"
    histogram = areas.histograms.get(marker.plane)
    cut = marker.positive_pixel or calls.thresholds[0]
    if histogram is None or histogram.total == 0 or areas.valid_um2 == 0 or np.isnan(cut):
        empty = Metric(name, math.nan, "%", denominator_name=VALID_AREA)
        return replace(empty, denominator=areas.valid_um2)
    share = histogram.at_least(cut) / histogram.total
    metric = Metric(
        name,
        100 * share,
        "%",
        numerator=share * areas.valid_um2,
        denominator=areas.valid_um2,
        denominator_name=VALID_AREA,
    )
    return with_sensitivity(
        metric, 100 * histogram.at_least(cut * SENSITIVITY_FACTORS) / histogram.total
    )


def _rejected(marker: Marker, calls: Calls) -> Metric:
    """Return how many cells reach 1+ but are not called, for size, shape or another flag."""
    name = f"{marker.name}_rejected_count"
    if not calls.are_known:
        return Metric(name, math.nan, "cells")
    rejected = ~calls.accepted & ~calls.manual & np.isfinite(calls.values)
    values = np.sort(calls.values[rejected])
    count = values.size - np.searchsorted(values, np.float32(calls.first), side="left")
    at_factors = values.size - np.searchsorted(values, scaled_cuts(calls.first), side="left")
    return with_sensitivity(Metric(name, float(count), "cells"), at_factors)


def marker_area_um2(cells: pd.DataFrame, marker: Marker) -> Floats:
    """Return the area of each cell's compartment that a marker is measured in, float64 (N,)."""
    nucleus = cells["nucleus_area_um2"].to_numpy(dtype=np.float64)
    whole = cells["cell_area_um2"].to_numpy(dtype=np.float64)
    areas: dict[str, Floats] = {"nucleus": nucleus, "cytoplasm": whole - nucleus, "cell": whole}
    return areas[marker.compartment]
