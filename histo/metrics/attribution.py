"""Which cells a signal comes from."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from histo.metrics import scores
from histo.metrics.areas import SlideAreas
from histo.metrics.calls import (
    SENSITIVITY_FACTORS,
    VALID_AREA,
    Calls,
    with_sensitivity,
)
from histo.metrics.intervals import poisson_interval, ratio_interval, wilson_interval
from histo.metrics.metric import Metric
from histo.panel import Attribution, Marker

__all__ = ["ambiguity_metric", "attribution_metrics", "signal_amounts"]

Floats = npt.NDArray[np.float64]


def attribution_metrics(
    pair: Attribution,
    source: Calls,
    signal: Calls,
    *,
    areas: SlideAreas,
    signal_area_um2: Floats | None = None,
) -> list[Metric]:
    """Return who makes a signal: double positives, and the shares either way.

    Parameters
    ----------
    pair : Attribution
        Names of the markers.
    source, signal : Calls
        Of the same cells.
    areas : SlideAreas
    signal_area_um2 : float64 (N,), optional
        Area of each cell's compartment that holds the signal. With it, the source cells'
        share of the summed signal is returned too; for signals that add up, so not for
        chromogens.

    Returns
    -------
    list of Metric
        The sensitivity ranges move the thresholds of both markers, each on its own.
    """
    a, b = pair.source, pair.signal
    names = (
        (f"{a}_and_{b}_count", "cells"),
        (f"{a}_and_{b}_density_per_mm2", "cells/mm²"),
        (f"{a}_given_{b}_percent", "%"),
        (f"{b}_given_{a}_percent", "%"),
    )
    share_name = f"{a}_share_of_{b}_signal_percent"
    if not (source.are_known and signal.are_known):
        metrics = [Metric(name, math.nan, unit) for name, unit in names]
        return metrics + (
            [Metric(share_name, math.nan, "%")] if signal_area_um2 is not None else []
        )
    both = int(np.count_nonzero(source.positive & signal.positive))
    n_source, n_signal = (int(np.count_nonzero(c.positive)) for c in (source, signal))
    table = _table(source, signal)
    joint = table[1:, 1:]
    low, high = poisson_interval(both)
    per_mm2 = scores.density_per_mm2([both, low, high], areas.valid_um2)
    metrics = [
        with_sensitivity(Metric(names[0][0], both, "cells", low, high), joint),
        with_sensitivity(
            Metric(names[1][0], *_with_unit(per_mm2), both, areas.valid_um2, VALID_AREA),
            scores.density_per_mm2(joint, areas.valid_um2),
        ),
        with_sensitivity(
            _share(names[2][0], both, n_signal, f"{b}+ cells"), _percent(joint, table[:1, 1:])
        ),
        with_sensitivity(
            _share(names[3][0], both, n_source, f"{a}+ cells"), _percent(joint, table[1:, :1])
        ),
    ]
    if signal_area_um2 is not None:
        metrics.append(_share_of_signal(share_name, b, source, signal, signal_area_um2))
    return metrics


def ambiguity_metric(marker: Marker, calls: Calls, contact: npt.NDArray[np.bool_]) -> Metric:
    """Return the share of positive cells whose signal may be a neighbour's.

    Parameters
    ----------
    marker : Marker
        Of cytoplasm or whole cell.
    calls : Calls
    contact : bool (N,)
        Cells that touch others along much of their border.
    """
    name = f"{marker.name}_ambiguous_percent"
    if not calls.are_known:
        return Metric(name, math.nan, "%")
    positive = calls.positive
    metric = _share(
        name,
        int(np.count_nonzero(positive & contact)),
        int(np.count_nonzero(positive)),
        f"{marker.name}+ cells",
    )
    return with_sensitivity(
        metric, _percent(_at_factors(calls.levels[contact]), _at_factors(calls.levels))
    )


def signal_amounts(signal: Calls, area_um2: Floats) -> Floats:
    """Return how much signal each cell holds.

    Parameters
    ----------
    signal : Calls
    area_um2 : float64 (N,)
        Of the compartment that holds the signal.

    Returns
    -------
    float64 (N,)
        Mean above the median of the negative cells, times area; 0 or more.
    """
    negative = signal.strength[~signal.positive & np.isfinite(signal.strength)]
    background = float(np.median(negative)) if negative.size else 0.0
    amount = np.maximum(signal.strength - background, 0) * area_um2
    return np.where(np.isfinite(amount), amount, 0.0)


def _share_of_signal(
    name: str, signal_name: str, source: Calls, signal: Calls, area_um2: Floats
) -> Metric:
    """Return the source cells' share of the signal of all signal-positive cells.

    Each cell's signal is its mean above background times its area; the background is
    the median of the negative cells.
    """
    amount = signal_amounts(signal, area_um2)
    made = amount[signal.positive]
    of_source = source.positive[signal.positive]
    total, part = float(made.sum()), float(made[of_source].sum())
    share = part / total if total > 0 else math.nan
    n = made.size
    variance = 0.0
    if n > 1 and total > 0:
        variance = n / (n - 1) * float((made**2 * (of_source - share) ** 2).sum()) / total**2
    low, high = ratio_interval(share, variance, fallback_n=n)
    metric = Metric(
        name,
        100 * share,
        "%",
        100 * low,
        100 * high,
        part,
        total,
        f"summed {signal_name} intensity above background of {signal_name}+ cells, times µm²",
    )
    table = _table(source, signal, weights=amount)
    return with_sensitivity(metric, _percent(table[1:, 1:], table[:1, 1:]))


def _table(source: Calls, signal: Calls, weights: Floats | None = None) -> Floats:
    """Sum the cells that are positive at each pair of factors.

    Returns
    -------
    float64 (F + 1, F + 1)
        Row i + 1, column j + 1: source positive at factor i, signal at factor j. In
        row 0 and column 0 the source, or the signal, may be anything.
    """
    steps = SENSITIVITY_FACTORS.size + 1
    where = source.levels * steps + signal.levels
    cells = np.bincount(where, weights=weights, minlength=steps * steps).reshape(steps, steps)
    # Positive at factor i means a level above i: sums from the far corner.
    return np.cumsum(np.cumsum(cells[::-1, ::-1], axis=0), axis=1)[::-1, ::-1].astype(np.float64)


def _at_factors(levels: npt.NDArray[np.int64]) -> Floats:
    """Count the cells that are positive at each factor."""
    at_level = np.bincount(levels, minlength=SENSITIVITY_FACTORS.size + 1)
    return np.cumsum(at_level[::-1])[::-1][1:].astype(np.float64)


def _share(name: str, part: int, whole: int, whole_name: str) -> Metric:
    low, high = wilson_interval(part, whole)
    value = 100 * part / whole if whole else math.nan
    return Metric(name, value, "%", 100 * low, 100 * high, part, whole, whole_name)


def _with_unit(values: Floats) -> tuple[float, str, float, float]:
    return float(values[0]), "cells/mm²", float(values[1]), float(values[2])


def _percent(part: Floats, whole: Floats) -> Floats:
    part, whole = np.broadcast_arrays(part, whole)
    return np.asarray(100 * np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan))
