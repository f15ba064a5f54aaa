"""What decides whether the cells of a slide are positive, in rising order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from histo.review import Review

__all__ = ["Deciding"]


@dataclass(frozen=True, slots=True, eq=False)
class Deciding:
    """The values of the cells outside of artefacts that a marker's calls are made on.

    Parameters
    ----------
    column : str
        Of the cell table: a measure, or the model's probability.
    values : float64 (N,)
        Rising.
    cell_ids : int64 (N,)
        The cells that they belong to.

    Examples
    --------
    >>> some = Deciding("nucleus_dab_od_mean", np.array([0.1, 0.2, 0.3, 0.9]), np.arange(1, 5))
    >>> some.nearest(0.25, 2).tolist(), some.by_doubt(0.25)[:2].tolist()
    ([2, 3], [2, 3])
    """

    column: str
    values: npt.NDArray[np.float64]
    cell_ids: npt.NDArray[np.int64]

    @classmethod
    def of(cls, review: Review, marker: str) -> Deciding:
        """Return the values of a marker, whatever its thresholds are."""
        from histo.panel import deciding_column

        panel, cells = review.panel, review.cells
        column, _ = deciding_column(panel, panel.marker(marker), review.thresholds[marker])
        values = cells[column].to_numpy(np.float64)
        valid = np.isfinite(values) & (cells["compartment"] != "excluded").to_numpy()
        values, ids = values[valid], cells["cell_id"].to_numpy(np.int64)[valid]
        order = np.argsort(values, kind="stable")
        return cls(column, values[order], ids[order])

    def nearest(self, first: float, count: int) -> npt.NDArray[np.int64]:
        """Return the cells nearest to a threshold, half on either side, rising.

        Parameters
        ----------
        first : float
        count : int
        """
        if not np.isfinite(first):
            return self.cell_ids[:0]
        middle, half = int(np.searchsorted(self.values, first)), count // 2
        return self.cell_ids[max(0, middle - half) : middle + half]

    def by_doubt(self, first: float) -> npt.NDArray[np.int64]:
        """Return all cells, those nearest to a threshold first."""
        if not np.isfinite(first):
            return self.cell_ids[:0]
        return self.cell_ids[np.argsort(np.abs(self.values - first), kind="stable")]
