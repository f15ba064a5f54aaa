"""Tables of cells that a person or a program made: positions, and perhaps calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.errors import AnnotationError
from histo.metrics.evaluation import CellSet
from histo.results.reader_calls import is_left_out, read_calls, split_class
from histo.results.spreadsheet import plain_name, read_spreadsheet

__all__ = ["read_points"]

#: Column names as they are after :func:`plain_name`; QuPath exports the second ones.
_UM = (("x_um", "y_um"), ("centroid_x_um", "centroid_y_um"))
_PX = (("x", "y"), ("x_px", "y_px"), ("centroid_x_px", "centroid_y_px"))
_CLASS = ("positive", "call", "class", "classification", "label")


def read_points(
    path: str | Path, *, pixel_size_um: float | None = None, marker: str | None = None
) -> tuple[CellSet, tuple[str, ...]]:
    r"""Read a table of cells: CSV, or the same with semicolons or tabs.

    Positions stand in the columns ``x_um``, ``y_um`` (or QuPath's ``Centroid X µm``), or in pixels
    in ``x``, ``y``; from the image's top left corner. Calls stand in ``<marker>_positive``,
    ``positive``, ``class``, ``classification`` or ``label``, in a reader's words (see
    :func:`histo.results.reader_calls.read_calls`).

    Parameters
    ----------
    path : path
    pixel_size_um : float, optional
        µm per pixel; needed for positions in pixels.
    marker : str, optional
        The marker that is looked at.

    Returns
    -------
    CellSet
        Without shapes.
    notes : tuple of str

    Raises
    ------
    AnnotationError
        If it is no such table, a position is missing, or the pixel size is.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "reader.csv"
    >>> _ = path.write_text("x,y,label\n10,20,positive\n30,40,negative\n")
    >>> cells, notes = read_points(path, pixel_size_um=0.5)
    >>> cells.centres_um.tolist(), cells.positive.tolist()
    ([[10.0, 5.0], [20.0, 15.0]], [True, False])
    """
    path = Path(path)
    table, decimal = read_spreadsheet(path)
    if decimal != ".":
        table = table.apply(lambda column: column.str.replace(decimal, ".", regex=False))
    columns = {plain_name(name): name for name in reversed(table.columns)}
    places, in_um = _place_columns(path.name, columns)
    if not in_um and pixel_size_um is None:
        raise AnnotationError(
            f"{path.name}: its columns x, y are in pixels, and it states no pixel size; give it "
            "with --pixel-size (µm per pixel), or name the columns x_um, y_um."
        )
    scale = 1.0 if in_um else float(pixel_size_um or 0)
    centres = np.stack([_numbers(path.name, table[name]) for name in places], axis=1) * scale
    name = _class_column(path.name, columns, marker)
    if name is None:
        return CellSet(centres), ()
    if _is_numbering(name, table[name]):
        return CellSet(centres), (f"the column {name} numbers the cells and calls none",)
    classes = [split_class(word) for word in table[name]]
    keep = np.array([not is_left_out(parts) for parts in classes], bool)
    kept = [parts for parts, kept in zip(classes, keep, strict=True) if kept]
    positive, notes = read_calls(kept, marker, file=path.name)
    return CellSet(centres[keep], positive), notes


def _place_columns(file: str, columns: dict[str, str]) -> tuple[tuple[str, str], bool]:
    """Return the columns of y and x, and whether they are in µm."""
    for pairs, in_um in ((_UM, True), (_PX, False)):
        for x, y in pairs:
            if x in columns and y in columns:
                return (columns[y], columns[x]), in_um
    raise AnnotationError(
        f"{file}: needs the columns x_um and y_um (or x and y, in pixels), found "
        f"{', '.join(list(reversed(columns.values()))[:8]) or 'none'}."
    )


def _numbers(file: str, column: pd.Series) -> npt.NDArray[np.float64]:
    values = np.asarray(pd.to_numeric(column.str.strip(), errors="coerce"), np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise AnnotationError(
            f"{file}: line {column.index[bad[0]]} has no number in the column {column.name} "
            f"({column.iloc[bad[0]]!r}); correct or remove it."
        )
    return values


def _class_column(file: str, columns: dict[str, str], marker: str | None) -> str | None:
    """Return the column that holds the calls."""
    called = [name for name in columns if name.endswith("_positive")]
    if marker is not None:
        own = f"{plain_name(marker)}_positive"
        if own in columns:
            return columns[own]
    elif len(called) == 1:
        return columns[called[0]]
    if marker is None and len(called) > 1:
        raise AnnotationError(
            f"{file}: has calls of several markers ({', '.join(reversed(called))}); choose one "
            "with --marker."
        )
    return next((columns[name] for name in _CLASS if name in columns), None)


def _is_numbering(name: str, words: pd.Series) -> bool:
    """Whether a column "label" counts the cells instead of calling them."""
    numbers = pd.to_numeric(words, errors="coerce")
    return (
        plain_name(name) == "label"
        and len(words) > 1
        and bool(numbers.notna().all())
        and bool(numbers.is_unique)
    )
