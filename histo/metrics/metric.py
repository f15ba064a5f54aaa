"""One number of a slide, with all that is needed to judge it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from histo.errors import ResultError

__all__ = ["Metric", "metrics_from_json", "metrics_row", "metrics_to_json"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a slide.

    Parameters
    ----------
    name : str
        E.g. ``foxp3_density_per_mm2``.
    value : float
        NaN when there is no denominator or no threshold.
    unit : str
        ``cells``, ``cells/mm²``, ``%``, ``0-300``, ``0-8`` or ``0-12``.
    low, high : float
        95 % confidence interval; NaN where none is defined.
    numerator, denominator : float
        What the value was made from; NaN where it is not a ratio.
    denominator_name : str
        What the denominator is, in words; empty where there is none.
    sensitivity_low, sensitivity_high : float
        Smallest and largest value while the marker's thresholds go from 0.8 to 1.2 times
        theirs; NaN where no threshold takes part.

    Examples
    --------
    >>> Metric("cell_count", 3, "cells").value
    3.0
    """

    name: str
    value: float
    unit: str
    low: float = math.nan
    high: float = math.nan
    numerator: float = math.nan
    denominator: float = math.nan
    denominator_name: str = ""
    sensitivity_low: float = math.nan
    sensitivity_high: float = math.nan

    def __post_init__(self) -> None:
        for name in _NUMBERS:
            object.__setattr__(self, name, float(getattr(self, name)))

    def __eq__(self, other: object) -> bool:
        """Compare; NaN equals NaN, so that what was read back equals what was written."""
        if not isinstance(other, Metric):
            return NotImplemented
        return all(
            a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))
            for a, b in ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        )

    def __hash__(self) -> int:
        return hash((self.name, self.unit))


_NUMBERS = (
    "value",
    "low",
    "high",
    "numerator",
    "denominator",
    "sensitivity_low",
    "sensitivity_high",
)


def metrics_row(metrics: Iterable[Metric]) -> dict[str, float]:
    """Return the metrics as one flat row of a table.

    Each gives five columns: ``<name>``, ``<name>_low``, ``<name>_high``,
    ``<name>_sensitivity_low`` and ``<name>_sensitivity_high``, NaN where there is none, so that the
    slides of one panel have the same columns.

    Parameters
    ----------
    metrics : iterable of Metric

    Returns
    -------
    dict of str to float

    Examples
    --------
    >>> list(metrics_row([Metric("cell_count", 3, "cells", low=0.6, high=8.8)]))[:3]
    ['cell_count', 'cell_count_low', 'cell_count_high']
    """
    row: dict[str, float] = {}
    for metric in metrics:
        row[metric.name] = metric.value
        for part in ("low", "high", "sensitivity_low", "sensitivity_high"):
            row[f"{metric.name}_{part}"] = getattr(metric, part)
    return row


def metrics_to_json(metrics: Iterable[Metric]) -> list[dict[str, Any]]:
    """Return the metrics as JSON takes them; NaN and infinities become None.

    Parameters
    ----------
    metrics : iterable of Metric

    Returns
    -------
    list of dict

    Examples
    --------
    >>> metrics_to_json([Metric("foxp3_percent", float("nan"), "%")])[0]["value"] is None
    True
    """
    return [
        {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(metric).items()
        }
        for metric in metrics
    ]


def metrics_from_json(content: Iterable[Mapping[str, Any]]) -> tuple[Metric, ...]:
    """Return what :func:`metrics_to_json` gave.

    Parameters
    ----------
    content : iterable of mapping

    Returns
    -------
    tuple of Metric

    Raises
    ------
    ResultError
        If it is something else.

    Examples
    --------
    >>> metrics_from_json(metrics_to_json([Metric("cell_count", 3, "cells")]))[0].name
    'cell_count'
    """
    try:
        return tuple(_metric_of(entry) for entry in content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultError(f"The metrics cannot be read ({error}); run the slide again.") from error


def _metric_of(entry: Mapping[str, Any]) -> Metric:
    known = {f.name for f in fields(Metric)}
    if set(entry) != known:
        raise ValueError(f"keys {', '.join(sorted(set(entry) ^ known))} do not fit")
    values: dict[str, Any] = {k: math.nan if v is None else v for k, v in entry.items()}
    return Metric(**values)
