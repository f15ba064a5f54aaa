"""How a number stands in a table on the screen: as many digits as it deserves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histo.metrics import Metric

__all__ = ["number_text", "range_text", "value_text", "with_interval"]


def value_text(value: float) -> str:
    """Write a number; "-" where there is none.

    Examples
    --------
    >>> [value_text(value) for value in (1234.5, 3.14159, 0.01234, 2.0, math.nan)]
    ['1,234', '3.1', '0.012', '2', '-']
    """
    if math.isnan(value):
        return "-"
    if value == 0 or abs(value) >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2g}"


def range_text(low: float, high: float) -> str:
    """Write two bounds; nothing where one is missing.

    Examples
    --------
    >>> range_text(0.62, 8.8), range_text(math.nan, 1.0)
    ('0.62-8.8', '')
    """
    return "" if math.isnan(low) or math.isnan(high) else f"{value_text(low)}-{value_text(high)}"


def number_text(metric: Metric | None) -> str:
    """Write the value of a metric; nothing where there is no such metric.

    Examples
    --------
    >>> number_text(None)
    ''
    """
    return "" if metric is None else value_text(metric.value)


def with_interval(metric: Metric | None) -> str:
    """Write a metric with its interval, where it has one.

    Examples
    --------
    >>> from histo.metrics import Metric
    >>> with_interval(Metric("cell_count", 3, "cells", 0.62, 8.8))
    '3 [0.62-8.8]'
    """
    if metric is None:
        return ""
    interval = range_text(metric.low, metric.high)
    return f"{value_text(metric.value)} [{interval}]" if interval else value_text(metric.value)
