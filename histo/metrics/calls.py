"""One marker's calls, and how they change with its thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.errors import ResultError
from histo.metrics.metric import Metric
from histo.panel import Marker, Panel, Thresholds, accepts_call

__all__ = [
    "ALL_CELLS",
    "SENSITIVITY_FACTORS",
    "VALID_AREA",
    "Calls",
    "marker_calls",
    "scaled_cuts",
    "with_sensitivity",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SENSITIVITY_FACTORS: Floats = np.linspace(0.8, 1.2, 9)
"""All thresholds of a marker are multiplied by each of these."""
SENSITIVITY_FACTORS.setflags(write=False)

ALL_CELLS = "cells in valid tissue"
VALID_AREA = "valid tissue area, µm²"


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """One marker's calls on the valid cells, and how they change with the thresholds.

    Attributes
    ----------
    values : float64 (N,)
        The measure that is called on; NaN where nothing was measured.
    accepted : bool (N,)
        Cells that may be positive: no flag removes their call.
    grades : int64 (N,)
        The calls, 0 ... 3.
    levels : int64 (N,)
        At how many of :data:`SENSITIVITY_FACTORS` the cell is positive; the smallest
        factors come first.
    thresholds : float64 (3,)
        1+, 2+, 3+; NaN when the slide has none.
    """

    values: Floats
    accepted: npt.NDArray[np.bool_]
    grades: Ints
    levels: Ints
    thresholds: Floats

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Which cells are positive."""
        return self.grades > 0

    @property
    def are_known(self) -> bool:
        """Whether the numbers mean something: there is a threshold, or there is no cell."""
        return self.grades.size == 0 or not bool(np.isnan(self.thresholds[0]))

    def curve(self) -> Ints:
        """Return the cells of grade 0 ... 3 at each factor, int64 (F, 4)."""
        reached = np.sort(self.values[self.accepted])
        cuts = scaled_cuts(self.thresholds)
        at_least = reached.size - np.searchsorted(reached, cuts, side="left")
        whole = np.full((SENSITIVITY_FACTORS.size, 1), self.values.size)
        cumulative = np.concatenate([whole, at_least, np.zeros_like(whole)], axis=1)
        return -np.diff(cumulative, axis=1)


def marker_calls(
    cells: pd.DataFrame, panel: Panel, marker: Marker, thresholds: Mapping[str, Thresholds]
) -> Calls:
    """Return one marker's calls from the cell table.

    Raises
    ------
    ResultError
        If the table does not hold them.
    ValueError
        If there are no thresholds of the marker.
    """
    column = f"{marker.name}_grade"
    if column not in cells.columns:
        raise ResultError(
            f"The cell table has no column {column}: its cells were not called for panel "
            f"{panel.name}; run the slide again with this panel."
        )
    if marker.name not in thresholds:
        raise ValueError(f"thresholds has no entry for {marker.name}.")
    accepted = accepts_call(cells, panel, marker)
    values = cells[panel.measurement(marker)].to_numpy(dtype=np.float64)
    cuts = np.array(thresholds[marker.name].values, dtype=np.float64)
    levels = np.searchsorted(scaled_cuts(cuts)[:, 0], values, side="right")
    return Calls(
        values=values,
        accepted=accepted,
        grades=cells[column].to_numpy(dtype=np.int64),
        levels=np.where(accepted, levels, 0),
        thresholds=cuts,
    )


def scaled_cuts(thresholds: Floats) -> Floats:
    """Return the thresholds at every factor, float64 (F, 3).

    Rounded as the measures are, which are float32: see :func:`histo.panel.classify_cells`.
    """
    scaled = SENSITIVITY_FACTORS[:, None] * thresholds
    return scaled.astype(np.float32).astype(np.float64)


def with_sensitivity(metric: Metric, values: npt.ArrayLike) -> Metric:
    """Return the metric with the range of its values, its own among them."""
    joined = np.append(np.asarray(values, dtype=np.float64), metric.value)
    joined = joined[np.isfinite(joined)]
    if joined.size == 0:
        return metric
    return replace(
        metric, sensitivity_low=float(joined.min()), sensitivity_high=float(joined.max())
    )
