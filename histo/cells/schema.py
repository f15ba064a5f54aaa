"""The columns of the cell table, which are a contract."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from histo.errors import ResultError

__all__ = [
    "COMPARTMENTS",
    "POSITIVITY_COLUMN",
    "QUANTITIES",
    "RESIDUAL_COLUMN",
    "SCHEMA",
    "STATISTICS",
    "Column",
    "empty_cells",
    "measure_column",
    "validate_cells",
]

COMPARTMENTS = ("nucleus", "cytoplasm", "cell")
STATISTICS = ("mean", "max", "std")
QUANTITIES = ("od", "intensity")
RESIDUAL_COLUMN = "nucleus_residual_od_mean"
"""What the stain vectors leave unexplained (optional); large in pigment."""

POSITIVITY_COLUMN = "nucleus_positivity"
"""The model's probability that a nucleus is DAB-positive (optional; bright field)."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MEASURE = re.compile(r"(nucleus|cytoplasm|cell)_(.+)_(od|intensity)_(mean|max|std)")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the cell table.

    Attributes
    ----------
    dtype : str
        What pandas calls the type; ``str`` stands for any of its text types.
    unit : str
        Empty when the quantity has none.
    meaning : str
    """

    dtype: str
    unit: str
    meaning: str


SCHEMA: dict[str, Column] = {
    "cell_id": Column("int64", "", "unique in the slide, from 1"),
    "x_um": Column("float64", "µm", "nucleus centroid, right of the top left corner of level 0"),
    "y_um": Column("float64", "µm", "nucleus centroid, below the top left corner of level 0"),
    "nucleus_area_um2": Column("float32", "µm²", "area of the nucleus"),
    "cell_area_um2": Column("float32", "µm²", "area of nucleus and cytoplasm"),
    "nucleus_diameter_um": Column("float32", "µm", "of the circle of the nucleus's area"),
    "nucleus_eccentricity": Column("float32", "", "0 circle ... 1 line"),
    "nucleus_solidity": Column("float32", "", "area / convex area"),
    "contact_fraction": Column("float32", "", "share of the border that touches another cell"),
    "compartment": Column(
        "str", "", "tissue, or a compartment; excluded (in an artefact, or by hand)"
    ),
    "flags": Column("str", "", "words joined by ;"),
}
"""The columns that every cell table has, in order; measures stand before ``compartment``."""


def measure_column(compartment: str, stain: str, quantity: str, statistic: str) -> str:
    """Name the column of one measure.

    Parameters
    ----------
    compartment : {"nucleus", "cytoplasm", "cell"}
    stain : str
        Stain or channel, lower case, e.g. ``dab``.
    quantity : {"od", "intensity"}
    statistic : {"mean", "max", "std"}

    Raises
    ------
    ValueError
        If a part is not one of these, or the stain's name would not read as one name.

    Examples
    --------
    >>> measure_column("nucleus", "dab", "od", "mean")
    'nucleus_dab_od_mean'
    """
    for value, allowed, what in (
        (compartment, COMPARTMENTS, "compartment"),
        (quantity, QUANTITIES, "quantity"),
        (statistic, STATISTICS, "statistic"),
    ):
        if value not in allowed:
            raise ValueError(f"{what} must be one of {', '.join(allowed)}, got {value!r}.")
    if not _NAME.fullmatch(stain):
        raise ValueError(
            f"a stain's name is lower-case letters, digits and single underscores, got {stain!r}."
        )
    return f"{compartment}_{stain}_{quantity}_{statistic}"


def empty_cells(
    names: Sequence[str], *, quantity: str = "od", markers: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the cell table of a slide without cells: no rows, every column, the right types.

    Parameters
    ----------
    names : sequence of str
        Stains or channels; ``residual`` adds the one column that it has.
    quantity : {"od", "intensity"}
    markers : sequence of str
        Markers whose calls the table holds.

    Returns
    -------
    DataFrame

    Examples
    --------
    >>> cells = empty_cells(["hematoxylin", "dab"], markers=["foxp3"])
    >>> len(cells), cells["foxp3_grade"].dtype
    (0, dtype('int8'))
    """
    columns = {name: column.dtype for name, column in SCHEMA.items()}
    tail = {name: columns.pop(name) for name in ("compartment", "flags")}
    for stain in names:
        for compartment in COMPARTMENTS:
            for statistic in STATISTICS:
                name = measure_column(compartment, stain, quantity, statistic)
                if stain != "residual" or name == RESIDUAL_COLUMN:
                    columns[name] = "float32"
    columns["compartment"] = tail["compartment"]
    for marker in markers:
        columns[f"{marker}_positive"] = "bool"
        columns[f"{marker}_grade"] = "int8"
    columns["flags"] = tail["flags"]
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in columns.items()})


def validate_cells(cells: pd.DataFrame) -> None:
    """Check a cell table against the schema.

    Columns beyond the schema are left alone; those whose names follow its patterns
    (measures, calls) must have its types.

    Parameters
    ----------
    cells : DataFrame
        One row a cell.

    Raises
    ------
    ResultError
        If a column is missing or of another type, a cell has no position or number, a number
        occurs twice, or a call contradicts its grade.

    Examples
    --------
    >>> validate_cells(empty_cells(["dab"]))
    >>> validate_cells(empty_cells(["dab"]).drop(columns="x_um"))
    Traceback (most recent call last):
    ...
    histo.errors.ResultError: The cell table has no column x_um; it was not written by histo ...
    """
    missing = [name for name in SCHEMA if name not in cells.columns]
    if missing:
        raise ResultError(
            f"The cell table has no column {', '.join(missing)}; it was not written by histo or "
            "was altered, so run the slide again."
        )
    for name in cells.columns:
        expected = _expected_dtype(str(name))
        if expected is not None and not _is(cells[name], expected):
            raise ResultError(
                f"The cell table's column {name} holds {cells[name].dtype}, expected {expected}; "
                "it was not written by histo or was altered, so run the slide again."
            )
    _check_values(cells)


def _expected_dtype(name: str) -> str | None:
    if name in SCHEMA:
        return SCHEMA[name].dtype
    if _MEASURE.fullmatch(name) or name == POSITIVITY_COLUMN:
        return "float32"
    if name.endswith("_positive"):
        return "bool"
    return "int8" if name.endswith("_grade") else None


def _is(column: pd.Series, dtype: str) -> bool:
    if dtype == "str":
        # An empty column read from a file of another program may be of plain objects.
        return bool(pd.api.types.is_string_dtype(column.dtype))
    return str(column.dtype) == dtype


def _check_values(cells: pd.DataFrame) -> None:
    number = cells["cell_id"].to_numpy()
    if number.size and number.min() < 1:
        raise ResultError(f"The cell table's cell_id starts from 1, found {number.min()}.")
    unique, counts = np.unique(number, return_counts=True)
    if unique.size < number.size:
        raise ResultError(f"The cell table holds cell_id {unique[counts > 1][0]} more than once.")
    for name in ("x_um", "y_um", "nucleus_area_um2"):
        bad = ~np.isfinite(cells[name].to_numpy())
        if bad.any():
            raise ResultError(f"The cell table's cell {number[bad][0]} has no {name}.")
    for name in (str(n) for n in cells.columns if str(n).endswith("_grade")):
        grade = cells[name].to_numpy()
        wrong = (grade < 0) | (grade > 3)
        call = name.removesuffix("_grade") + "_positive"
        if call in cells.columns:
            wrong |= (grade > 0) != cells[call].to_numpy()
        if wrong.any():
            raise ResultError(
                f"The cell table's {name} of cell {number[wrong][0]} is {grade[wrong][0]}, which "
                "is not a grade of 0-3 that agrees with its call."
            )
