"""One marker's calls, and how they change with its thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.errors import ResultError
from histo.metrics.metric import Metric
from histo.panel import Marker, Panel, Thresholds, accepts_call, deciding_values

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
        What decides whether a cell is positive: the marker's measure or, where the model
        decides, its probability; NaN where nothing was measured.
    strength : float64 (N,)
        What decides between 1+, 2+ and 3+: the marker's measure.
    accepted : bool (N,)
        Cells that may be positive: no flag removes their call.
    manual : bool (N,)
        Cells that a reader called (flag ``<marker>_manual``): no threshold changes their grade.
    grades : int64 (N,)
        The calls, 0 ... 3.
    levels : int64 (N,)
        At how many of :data:`SENSITIVITY_FACTORS` the cell is positive; the smallest
        factors come first.
    first : float
        ``values`` count as positive from here on; NaN when the slide has no threshold.
    thresholds : float64 (3,)
        1+, 2+, 3+ of ``strength``; NaN when the slide has none.
    """

    values: Floats
    strength: Floats
    accepted: npt.NDArray[np.bool_]
    manual: npt.NDArray[np.bool_]
    grades: Ints
    levels: Ints
    first: float
    thresholds: Floats

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Which cells are positive."""
        return self.grades > 0

    @property
    def are_known(self) -> bool:
        """Whether the numbers mean something: there is a threshold, or there is no cell."""
        return self.grades.size == 0 or not bool(np.isnan(self.first))

    def curve(self, factors: Floats = SENSITIVITY_FACTORS) -> Ints:
        """Return the cells of grade 0 ... 3 at each factor, int64 (F, 4)."""
        moved = self.accepted & ~self.manual
        values, strength = self.values[moved], self.strength[moved]
        counts = np.zeros((factors.size, 4), np.int64)
        for row, first, cuts in zip(
            counts,
            scaled_cuts(self.first, factors),
            scaled_cuts(self.thresholds, factors),
            strict=True,
        ):
            reached = strength[values >= first]
            row[1:] = reached.size, *(np.count_nonzero(reached >= cut) for cut in cuts[1:])
            row[1:3] -= row[2:]
        counts += np.bincount(self.grades[self.manual], minlength=4)
        counts[:, 0] = self.values.size - counts[:, 1:].sum(axis=1)
        return counts


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
    accepted, manual = accepts_call(cells, panel, marker), _manual(cells, marker)
    grades = cells[column].to_numpy(dtype=np.int64)
    values, first = deciding_values(cells, panel, marker, thresholds[marker.name])
    levels = np.where(accepted, np.searchsorted(scaled_cuts(first), values, side="right"), 0)
    levels[manual] = np.where(grades[manual] > 0, SENSITIVITY_FACTORS.size, 0)
    return Calls(
        values=values,
        strength=cells[panel.measurement(marker)].to_numpy(dtype=np.float64),
        accepted=accepted,
        manual=manual,
        grades=grades,
        levels=levels,
        first=first,
        thresholds=np.array(thresholds[marker.name].values, dtype=np.float64),
    )


def _manual(cells: pd.DataFrame, marker: Marker) -> npt.NDArray[np.bool_]:
    """Tell which cells a reader called, by their flags."""
    word = f"{marker.name}_manual"
    # Few combinations of flags occur: each is taken apart once.
    texts = [text for text in cells["flags"].unique() if word in text.split(";")]
    if not texts:
        return np.zeros(len(cells), np.bool_)
    return cells["flags"].isin(texts).to_numpy(dtype=np.bool_)


def scaled_cuts(thresholds: Floats | float, factors: Floats = SENSITIVITY_FACTORS) -> Floats:
    """Return the thresholds at every factor, float64 (F,) of one or (F, 3) of three.

    Rounded as the measures are, which are float32: see :func:`histo.panel.classify_cells`.
    """
    scaled = np.multiply.outer(factors, thresholds)
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
