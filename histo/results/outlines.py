"""The outlines of cells and nuclei, kept so that calls can be exported again without pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from histo.errors import ResultError

__all__ = ["OutlineWriter", "Outlines", "read_outlines"]

_BATCH = 20_000
_PARTS = ("nucleus_x", "nucleus_y", "cell_x", "cell_y")
_SCHEMA = pa.schema(
    [("cell_id", pa.int64()), *((name, pa.list_(pa.int32())) for name in _PARTS)],
    metadata={
        "histo_outlines_version": "1",
        "unit": "tenths of a pixel of level 0, from its top left corner",
    },
)

Rings = Mapping[int, npt.NDArray[np.floating[Any]]]


@dataclass(frozen=True, slots=True)
class Outlines:
    """The outlines of some cells, in pixels of level 0.

    Parameters
    ----------
    cell_ids : int64 (N,)
    nuclei, cells : list of float64 (V, 2)
        Rings (y, x), the first vertex not repeated; empty where there is no outline.
    """

    cell_ids: npt.NDArray[np.int64]
    nuclei: list[npt.NDArray[np.float64]]
    cells: list[npt.NDArray[np.float64]]


class OutlineWriter:
    """Collect outlines tile by tile into one Parquet file.

    Parameters
    ----------
    path : path
        The new file.
    scale : float or (float, float)
        Pixels of level 0 for one pixel of the rings (y, x): the pixel size of the analysis
        divided by that of level 0.

    Raises
    ------
    ValueError
        If the scale is not positive.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "outlines.parquet"
    >>> square = np.array([[1.0, 1.0], [1.0, 3.0], [3.0, 3.0], [3.0, 1.0]])
    >>> with OutlineWriter(path, 2.0) as writer:
    ...     writer.add({5: square}, {5: square})
    >>> batch = next(read_outlines(path))
    >>> batch.cell_ids.tolist(), batch.nuclei[0].tolist()
    ([5], [[2.0, 2.0], [2.0, 6.0], [6.0, 6.0], [6.0, 2.0]])
    """

    def __init__(self, path: str | Path, scale: float | tuple[float, float]) -> None:
        self._scale = np.broadcast_to(np.asarray(scale, dtype=np.float64), (2,)) * 10
        if not (self._scale > 0).all():
            raise ValueError(f"scale must be above 0, got {scale}.")
        encoding = {f"{name}.list.element": "DELTA_BINARY_PACKED" for name in _PARTS}
        self._file = pq.ParquetWriter(
            path,
            _SCHEMA,
            compression="zstd",
            use_dictionary=False,
            column_encoding={"cell_id": "DELTA_BINARY_PACKED", **encoding},
        )
        self._ids: list[int] = []
        self._rings: tuple[list[npt.NDArray[np.int32]], ...] = ([], [])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, nuclei: Rings, cells: Rings) -> None:
        """Add the outlines of cells.

        Parameters
        ----------
        nuclei, cells : mapping of int to float64 (V, 2)
            Ring (y, x) of each cell's nucleus and whole cell, by ``cell_id``, in pixels of the
            analysis from the slide's top left corner. A cell without a ring of its own is
            drawn as its nucleus.
        """
        for cell_id, ring in nuclei.items():
            self._ids.append(int(cell_id))
            for store, points in zip(self._rings, (ring, cells.get(cell_id, ring)), strict=True):
                scaled = np.asarray(points, dtype=np.float64).reshape(-1, 2) * self._scale
                store.append(np.rint(scaled).astype(np.int32))
        if len(self._ids) >= _BATCH:
            self._write()

    def close(self) -> None:
        """Write what is pending and end the file."""
        if self._ids:
            self._write()
        self._file.close()

    def _write(self) -> None:
        columns = [pa.array(self._ids, pa.int64())]
        for rings in self._rings:
            offsets = np.concatenate([[0], np.cumsum([len(ring) for ring in rings])])
            points = np.concatenate(rings)
            for axis in (1, 0):
                values = pa.array(np.ascontiguousarray(points[:, axis]))
                columns.append(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values))
            rings.clear()
        self._file.write_table(pa.table(columns, schema=_SCHEMA))
        self._ids.clear()


def read_outlines(path: str | Path) -> Iterator[Outlines]:
    """Read the outlines of a slide, some thousand cells at a time.

    Parameters
    ----------
    path : path
        The ``outlines.parquet`` of a result folder.

    Yields
    ------
    Outlines

    Raises
    ------
    ResultError
        If the file is missing or not one of ours.
    """
    path = Path(path)
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ResultError(
            f"{path.name}: the outlines cannot be read ({error}); analyse the slide again."
        ) from error
    with file:
        if file.schema_arrow.names != _SCHEMA.names:
            raise ResultError(
                f"{path.name}: expected the columns {', '.join(_SCHEMA.names)}, "
                f"found {', '.join(file.schema_arrow.names)}; analyse the slide again."
            )
        for batch in file.iter_batches(batch_size=_BATCH):
            ids = batch.column("cell_id").to_numpy()
            yield Outlines(ids, _rings(batch, "nucleus"), _rings(batch, "cell"))


def _rings(batch: pa.RecordBatch, part: str) -> list[npt.NDArray[np.float64]]:
    columns = batch.column(f"{part}_y"), batch.column(f"{part}_x")
    points = np.stack([column.flatten().to_numpy() for column in columns], axis=1) / 10
    offsets = columns[0].offsets.to_numpy()
    return np.split(points, (offsets - offsets[0])[1:-1])
