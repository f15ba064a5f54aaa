"""The outlines of cells and nuclei, kept so that calls can be exported again without pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from histo.cells import Rings
from histo.errors import ResultError

__all__ = ["DRAWN_OUTLINES", "OutlineWriter", "Outlines", "Rings", "read_outlines"]

DRAWN_OUTLINES = "outlines_drawn.parquet"
"""The outlines of cells that a person drew, beside those that were found."""

_BATCH = 20_000
_PARTS = ("nucleus_x", "nucleus_y", "cell_x", "cell_y")
_SCHEMA = pa.schema(
    [("cell_id", pa.int64()), *((name, pa.list_(pa.int32())) for name in _PARTS)],
    metadata={
        "histo_outlines_version": "1",
        "unit": "tenths of a pixel of level 0, from its top left corner",
    },
)


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
    >>> square = Rings.of([[[1, 1], [1, 3], [3, 3], [3, 1]]])
    >>> with OutlineWriter(path, 2.0) as writer:
    ...     writer.add(np.array([5]), square, square)
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
        self._tiles: list[pa.Table] = []

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
        self,
        cell_ids: npt.NDArray[np.integer],
        nuclei: Rings,
        cells: Rings,
        *,
        origin: tuple[float, float] = (0, 0),
    ) -> None:
        """Add the outlines of the cells of one tile.

        Parameters
        ----------
        cell_ids : int (N,)
        nuclei, cells : Rings
            One ring a cell, of its nucleus and of the whole cell, in pixels of the analysis.
        origin : (float, float)
            Where (0, 0) of the rings lies on the slide (y, x), in the same pixels: the corner
            of the tile's crop.

        Raises
        ------
        ValueError
            If there are not as many rings as cells.
        """
        if not len(cell_ids) == len(nuclei) == len(cells):
            raise ValueError(
                f"one ring a cell is needed, got {len(nuclei)} of nuclei and {len(cells)} of "
                f"cells for {len(cell_ids)} cells."
            )
        columns = [pa.array(cell_ids, pa.int64())]
        for rings in (nuclei, cells):
            tenths = np.rint((rings.points + np.asarray(origin)) * self._scale).astype(np.int32)
            starts = pa.array(rings.starts, pa.int32())
            for axis in (1, 0):
                values = pa.array(np.ascontiguousarray(tenths[:, axis]))
                columns.append(pa.ListArray.from_arrays(starts, values))
        self._tiles.append(pa.table(columns, schema=_SCHEMA))
        if sum(len(tile) for tile in self._tiles) >= _BATCH:
            self._write()

    def close(self) -> None:
        """Write what is pending and end the file."""
        self._write()
        self._file.close()

    def _write(self) -> None:
        cells = pa.concat_tables(self._tiles).combine_chunks() if self._tiles else None
        if cells:
            self._file.write_table(cells)
        self._tiles.clear()


def read_outlines(path: str | Path) -> Iterator[Outlines]:
    """Read the outlines of a slide, some thousand cells at a time.

    Parameters
    ----------
    path : path
        The ``outlines.parquet`` of a result folder. Cells that a person drew
        (`DRAWN_OUTLINES` beside it) come last.

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
    drawn = path.with_name(DRAWN_OUTLINES)
    if path.name != DRAWN_OUTLINES and drawn.is_file():
        yield from read_outlines(drawn)


def _rings(batch: pa.RecordBatch, part: str) -> Rings:
    y, x = batch.column(f"{part}_y"), batch.column(f"{part}_x")
    points = np.stack([y.flatten().to_numpy(), x.flatten().to_numpy()], axis=1) / 10
    starts = y.offsets.to_numpy().astype(np.int64)
    return Rings(points, starts - starts[0])
