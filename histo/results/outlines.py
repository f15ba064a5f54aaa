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

__all__ = ["OutlineWriter", "Outlines", "Rings", "read_outlines"]

_BATCH = 20_000
_PARTS = ("nucleus_x", "nucleus_y", "cell_x", "cell_y")
_SCHEMA = pa.schema(
    [("cell_id", pa.int64()), *((name, pa.list_(pa.int32())) for name in _PARTS)],
    metadata={
        "histo_outlines_version": "1",
        "unit": "tenths of a pixel of level 0, from its top left corner",
    },
)

RingsById = Mapping[int, npt.NDArray[np.floating[Any]]]


@dataclass(frozen=True, slots=True)
class Rings:
    """Polygons that share one array of points.

    Parameters
    ----------
    points : float64 (P, 2)
        Vertices (y, x) of all rings, one ring after the other; the first vertex of a ring is
        not repeated at its end.
    starts : int64 (N + 1,)
        Where each ring starts, and the number of points.

    Examples
    --------
    >>> rings = Rings(np.array([[0.0, 0], [0, 2], [2, 2]]), np.array([0, 3]))
    >>> len(rings), rings[0].shape
    (1, (3, 2))
    """

    points: npt.NDArray[np.float64]
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> npt.NDArray[np.float64]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.points[self.starts[index] : self.starts[index + 1]]


@dataclass(frozen=True, slots=True)
class Outlines:
    """The outlines of some cells, in pixels of level 0 from its top left corner.

    Parameters
    ----------
    cell_ids : int64 (N,)
    nuclei, cells : Rings
        One ring a cell.
    """

    cell_ids: npt.NDArray[np.int64]
    nuclei: Rings
    cells: Rings


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
    >>> square = np.array([[1.0, 1], [1, 3], [3, 3], [3, 1], [1, 1]])
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
        self._points: tuple[list[npt.NDArray[np.int32]], ...] = ([], [])
        self._counts: tuple[list[int], ...] = ([], [])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(
        self, nuclei: RingsById, cells: RingsById, *, origin: tuple[float, float] = (0, 0)
    ) -> None:
        """Add the outlines of the cells of one tile.

        Parameters
        ----------
        nuclei, cells : mapping of int to float64 (V, 2)
            Ring (y, x) of each cell's nucleus and whole cell, by ``cell_id``, in pixels of the
            analysis; closed or open. A cell without a ring of its own is drawn as its nucleus.
        origin : (float, float)
            Where (0, 0) of the rings lies on the slide (y, x), in the same pixels: the corner
            of the tile's crop.
        """
        self._ids.extend(int(cell_id) for cell_id in nuclei)
        whole = [cells.get(cell_id, ring) for cell_id, ring in nuclei.items()]
        for part, rings in enumerate((list(nuclei.values()), whole)):
            opened = [r[:-1] if len(r) > 1 and (r[0] == r[-1]).all() else r for r in rings]
            if opened:
                points = (np.concatenate(opened) + np.asarray(origin)) * self._scale
                self._points[part].append(np.rint(points).astype(np.int32))
                self._counts[part].extend(len(ring) for ring in opened)
        if len(self._ids) >= _BATCH:
            self._write()

    def close(self) -> None:
        """Write what is pending and end the file."""
        if self._ids:
            self._write()
        self._file.close()

    def _write(self) -> None:
        columns = [pa.array(self._ids, pa.int64())]
        for rings, counts in zip(self._points, self._counts, strict=True):
            starts = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
            points = np.concatenate(rings)
            for axis in (1, 0):
                values = pa.array(np.ascontiguousarray(points[:, axis]))
                columns.append(pa.ListArray.from_arrays(starts, values))
            rings.clear()
            counts.clear()
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


def _rings(batch: pa.RecordBatch, part: str) -> Rings:
    y, x = batch.column(f"{part}_y"), batch.column(f"{part}_x")
    points = np.stack([y.flatten().to_numpy(), x.flatten().to_numpy()], axis=1) / 10
    starts = y.offsets.to_numpy().astype(np.int64)
    return Rings(points, starts - starts[0])
