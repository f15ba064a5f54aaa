"""The outline of one nucleus at a time, from the outlines of a million."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from histo.errors import ResultError

__all__ = ["NucleusOutlines"]

#: Groups of some 20,000 cells that stay in memory; neighbours on the slide share one.
_KEPT_GROUPS = 4


class NucleusOutlines:
    """Finds the outlines of nuclei in a result's ``outlines.parquet``.

    The file is open only while it is read: a result that is saved meanwhile can take its place.

    Parameters
    ----------
    path : Path
    size_um : tuple of 2 float
        Pixel size (y, x) of level 0, µm.
    """

    def __init__(self, path: Path, size_um: tuple[float, float]) -> None:
        self._path, self._size_um = path, np.array(size_um)
        self._ids: npt.NDArray[np.int64] | None = None
        self._rows: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._starts: npt.NDArray[np.int64] = np.zeros(1, np.int64)
        self._groups: dict[int, pa.Table] = {}

    def of(self, cell_id: int) -> npt.NDArray[np.float64]:
        """Return the outline of a nucleus, float64 (N, 2): y, x in µm.

        Raises
        ------
        ResultError
            If the file cannot be read, or holds no such cell.
        """
        try:
            if self._ids is None:
                self._index()
            row = self._row_of(cell_id)
            group = int(np.searchsorted(self._starts, row, side="right")) - 1
            table, at = self._group(group), row - int(self._starts[group])
            tenths = [table[name][at].values.to_numpy() for name in ("nucleus_y", "nucleus_x")]
        except (OSError, pa.ArrowInvalid, KeyError) as error:
            raise ResultError(
                f"{self._path.parent.name}: {self._path.name} cannot be read ({error}); run the "
                "slide again with --force."
            ) from error
        return np.asarray(np.stack(tenths, axis=1) / 10 * self._size_um, np.float64)

    def _index(self) -> None:
        with pq.ParquetFile(self._path) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            ids = file.read(columns=["cell_id"])["cell_id"].to_numpy()
        self._starts = np.cumsum([0, *sizes])
        self._rows = np.argsort(ids, kind="stable")
        self._ids = ids[self._rows]

    def _row_of(self, cell_id: int) -> int:
        ids = self._ids if self._ids is not None else np.zeros(0, np.int64)
        at = int(np.searchsorted(ids, cell_id))
        if at == len(ids) or ids[at] != cell_id:
            raise ResultError(
                f"{self._path.parent.name}: {self._path.name} lacks the cell {cell_id}; run the "
                "slide again with --force."
            )
        return int(self._rows[at])

    def _group(self, group: int) -> pa.Table:
        if group not in self._groups:
            with pq.ParquetFile(self._path) as file:
                table = file.read_row_group(group, columns=["nucleus_y", "nucleus_x"])
            if len(self._groups) >= _KEPT_GROUPS:
                del self._groups[next(iter(self._groups))]
            self._groups[group] = table
        return self._groups[group]
