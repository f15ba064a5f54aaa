"""Cells and regions to compare, from whatever file they are in; told by what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from histo.errors import AnnotationError
from histo.metrics.evaluation import CellSet
from histo.metrics.shapes import OutlineShapes, Shapes
from histo.results.calls import called_markers
from histo.results.outlines import read_outlines
from histo.results.reader_geojson import read_geojson_cells, read_geojson_region
from histo.results.reader_labels import read_label_image, read_mask
from histo.results.reader_points import read_points
from histo.results.slide_result import read_slide_result

__all__ = ["CellFile", "read_cells", "read_region"]

_OUTLINES = "outlines.parquet"
_IMAGE_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\x89PNG", b"\xff\xd8\xff")


@dataclass(frozen=True, slots=True)
class CellFile:
    """The cells of one file, and what should be known of them.

    Parameters
    ----------
    cells : CellSet
    kind : str
        ``histo result``, ``GeoJSON``, ``label image`` or ``table``.
    notes : tuple of str
        What was left out or taken for something.

    Examples
    --------
    >>> CellFile(CellSet(np.array([[1.0, 2.0]])), "table").notes
    ()
    """

    cells: CellSet
    kind: str
    notes: tuple[str, ...] = ()


def read_cells(
    path: str | Path, *, pixel_size_um: float | None = None, marker: str | None = None
) -> CellFile:
    r"""Read the cells of an image.

    Parameters
    ----------
    path : path
        A result folder of histo; GeoJSON of QuPath, plain or gzipped; a label image (TIFF or
        PNG); or a table of points (CSV).
    pixel_size_um : float, optional
        µm per pixel, where coordinates are pixels and the file states none. A result folder is
        in µm and does not use it.
    marker : str, optional
        The marker whose calls are read; needed where there are several.

    Returns
    -------
    CellFile

    Raises
    ------
    AnnotationError, ResultError, SlideError
        If it cannot be read, or its pixel size is not known.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "reader.csv"
    >>> _ = path.write_text("x_um,y_um\n10,20\n")
    >>> read_cells(path).kind, len(read_cells(path).cells)
    ('table', 1)
    """
    path = Path(path)
    if path.is_dir():
        return _read_result(path, marker)
    start = _start(path)
    if start.startswith(_IMAGE_MAGIC):
        shapes = read_label_image(path, pixel_size_um=pixel_size_um)
        return CellFile(CellSet(shapes.centres_um(), None, shapes), "label image")
    if _is_json(start):
        cells, notes = read_geojson_cells(path, pixel_size_um=pixel_size_um, marker=marker)
        return CellFile(cells, "GeoJSON", notes)
    cells, notes = read_points(path, pixel_size_um=pixel_size_um, marker=marker)
    return CellFile(cells, "table", notes)


def read_region(path: str | Path, *, pixel_size_um: float | None = None) -> Shapes:
    """Read the region of an image that is looked at.

    Parameters
    ----------
    path : path
        A mask (TIFF or PNG; inside is not 0), or polygons as GeoJSON.
    pixel_size_um : float, optional
        µm per pixel, where the file states none.

    Returns
    -------
    LabelShapes or OutlineShapes

    Raises
    ------
    AnnotationError, SlideError
        If it cannot be read, or its pixel size is not known.

    Examples
    --------
    >>> read_region("nothing.png")
    Traceback (most recent call last):
    ...
    histo.errors.AnnotationError: nothing.png: there is no such file; check the path.
    """
    path = Path(path)
    start = _start(path)
    if start.startswith(_IMAGE_MAGIC):
        return read_mask(path, pixel_size_um=pixel_size_um)
    if _is_json(start):
        return read_geojson_region(path, pixel_size_um=pixel_size_um)
    raise AnnotationError(
        f"{path.name}: is no region; give a mask image (TIFF, PNG) or polygons as GeoJSON."
    )


def _start(path: Path) -> bytes:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "there is no such file"
        raise AnnotationError(f"{path.name}: {what}; check the path.")
    with path.open("rb") as stream:
        start = stream.read(64)
    if not start:
        raise AnnotationError(f"{path.name}: is empty; copy or export the file again.")
    return start


def _is_json(start: bytes) -> bool:
    return start.startswith(b"\x1f\x8b") or start.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"{", b"[")


def _read_result(folder: Path, marker: str | None) -> CellFile:
    """Read a result folder: centres and calls from the cell table, shapes from the outlines."""
    result = read_slide_result(folder)
    cells = result.cells[(result.cells["compartment"] != "excluded").to_numpy(bool)]
    notes = []
    left = len(result.cells) - len(cells)
    if left:
        notes.append(
            "left out as in the metrics (in artefacts, or taken out by hand): "
            f"{left} of {len(result.cells)} cells"
        )
    centres = cells[["y_um", "x_um"]].to_numpy(np.float64)
    positive = None
    if (called := _marker_of(folder, cells, marker)) is not None:
        positive = cells[f"{called}_positive"].to_numpy(bool)
    shapes = None
    if (folder / _OUTLINES).is_file():
        slide = result.manifest["slide"]
        mean = slide["pixel_size_um"]
        size = slide.get("pixel_size_y_um") or mean, slide.get("pixel_size_x_um") or mean
        shapes = _nuclei(folder / _OUTLINES, cells["cell_id"].to_numpy(), size)
    else:
        notes.append(f"{_OUTLINES} is missing: scored by positions alone")
    return CellFile(CellSet(centres, positive, shapes), "histo result", tuple(notes))


def _marker_of(folder: Path, cells: pd.DataFrame, marker: str | None) -> str | None:
    markers = called_markers(cells)
    if marker is not None:
        if marker.casefold() not in markers:
            raise AnnotationError(
                f"{folder.name}: has no calls of the marker {marker!r}, but of "
                f"{', '.join(markers) or 'none'}; choose another --marker."
            )
        return marker.casefold()
    if len(markers) > 1:
        raise AnnotationError(
            f"{folder.name}: has calls of several markers ({', '.join(markers)}); choose one with "
            "--marker."
        )
    return markers[0] if markers else None


def _nuclei(path: Path, cell_ids: np.ndarray, size_um: tuple[float, float]) -> OutlineShapes:
    """Return the outline of each cell's nucleus, in the order of the cells."""
    rows = pd.Index(cell_ids)
    found: list[tuple[np.ndarray, ...]] = [(np.zeros((0, 2)), *np.zeros((2, 0), np.int64))]
    for batch in read_outlines(path):
        found.append(
            (batch.nuclei.points, np.diff(batch.nuclei.starts), rows.get_indexer(batch.cell_ids))
        )
    points, lengths, owner = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(owner, kind="stable")
    order = order[owner[order] >= 0]
    everything = OutlineShapes(
        points * np.asarray(size_um),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.arange(len(lengths)),
        len(lengths),
        size_um,
    ).take(order)
    return OutlineShapes(everything.points, everything.starts, owner[order], len(cell_ids), size_um)
