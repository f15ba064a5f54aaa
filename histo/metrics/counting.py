"""Counting values in bins."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from histo.compiled import compiled

__all__ = ["count_values"]


@compiled
def count_values(
    values: npt.NDArray[Any],
    where: npt.NDArray[np.bool_],
    edges: npt.NDArray[np.float64],
    step: float,
    counts: npt.NDArray[np.int64],
) -> None:
    """Add values to the counts of their bins, those beyond to the outer bins, NaN to none.

    Parameters
    ----------
    values : number (Y, X)
    where : bool (Y, X)
        Which values count.
    edges : float64 (B + 1,)
        Ascending.
    step : float
        Width of the bins where all are equal, else 0.
    counts : int64 (B,)
        Changed in place.

    Examples
    --------
    >>> counts = np.zeros(2, np.int64)
    >>> edges = np.array([0.0, 1.0, 5.0])
    >>> count_values(np.array([[0.5, 1.0, 9.0]]), np.ones((1, 3), bool), edges, 0.0, counts)
    >>> counts
    array([1, 2])
    """
    last = counts.size - 1
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            value = float(values[y, x])
            if not where[y, x] or np.isnan(value):
                continue
            if step > 0:
                place = np.floor((value - edges[0]) / step)
                place = min(max(place, 0), last)
            else:
                place, above = 0, last + 1
                while above - place > 1:
                    middle = (place + above) // 2
                    if edges[middle] <= value:
                        place = middle
                    else:
                        above = middle
            counts[int(place)] += 1
