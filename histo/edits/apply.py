"""Corrections on the table, the areas and the calls of a slide; always from what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from skimage.measure import points_in_poly

from histo.edits.corrections import Corrections
from histo.edits.edit import DrawnNucleus
from histo.errors import EditError
from histo.metrics import Histogram, SlideAreas
from histo.results import called_markers

__all__ = [
    "correct_areas",
    "correct_calls",
    "correct_cells",
    "drawn_row",
    "inside",
    "rows_of",
    "without_removed",
]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Areas come from sums over pixels in another order: they agree to this share of the tissue.
_ROUNDING = 1e-6


def correct_cells(found: pd.DataFrame, corrections: Corrections) -> pd.DataFrame:
    """Return the cell table with edits, before calls.

    Cells are never dropped: deleted, replaced and left-out ones get the compartment
    ``excluded`` and a flag (``deleted``, ``replaced``, ``excluded_region``), drawn ones become new
    rows with the flag ``drawn``.

    Parameters
    ----------
    found : DataFrame
        What the machine found; calls in it are passed over.
    corrections : Corrections

    Returns
    -------
    DataFrame
        ``found`` itself when no cell is changed.

    Raises
    ------
    EditError
        If a cell that was edited is not in the table, or a drawn nucleus lacks a measure.

    Examples
    --------
    >>> from histo.cells import empty_cells
    >>> cells = empty_cells(["dab"])
    >>> correct_cells(cells, Corrections()) is cells
    True
    """
    if not corrections.changes_cells:
        return found
    table = found.drop(columns=_call_columns(found))
    if corrections.drawn:
        rows = [drawn_row(table, cell, one) for cell, one in corrections.drawn.items()]
        added = pd.DataFrame(rows, columns=table.columns).astype(dict(table.dtypes))
        # An empty table would lend its types to nobody.
        table = pd.concat([table, added], ignore_index=True) if len(table) else added
    ids = table["cell_id"].to_numpy()
    compartment, flags = table["compartment"].copy(), table["flags"].copy()
    within = np.zeros(len(table), np.bool_)
    places = table[["y_um", "x_um"]].to_numpy() if corrections.regions_um else np.empty((0, 2))
    for region in corrections.regions_um:
        within |= inside(region, places)
    for word, where in (
        ("drawn", rows_of(ids, list(corrections.drawn))),
        ("deleted", rows_of(ids, corrections.deleted)),
        ("replaced", rows_of(ids, corrections.replaced)),
        ("excluded_region", np.flatnonzero(within)),
    ):
        if where.size:
            flags.iloc[where] = _with_word(flags.iloc[where], word)
            if word != "drawn":
                compartment.iloc[where] = "excluded"
    return table.assign(compartment=compartment, flags=flags)


def correct_areas(areas: SlideAreas, corrections: Corrections) -> SlideAreas:
    """Return the areas without the regions that were left out.

    Parameters
    ----------
    areas : SlideAreas
        Of the slide as found.
    corrections : Corrections

    Returns
    -------
    SlideAreas

    Raises
    ------
    EditError
        If a region takes away more than there is, or lacks a stain.

    Examples
    --------
    >>> taken = Corrections(removed=(SlideAreas(2e5, 1e5, 1e5),))
    >>> correct_areas(SlideAreas(1e6, 9e5, 1e5), taken)
    SlideAreas(tissue_um2=800000.0, valid_um2=800000.0, artefact_um2=0.0, histograms={})
    """
    for removed in corrections.removed:
        areas = without_removed(areas, removed)
    return areas


def without_removed(areas: SlideAreas, removed: SlideAreas) -> SlideAreas:
    """Return areas less what one region takes away.

    Raises
    ------
    EditError
        If it takes away more than there is, or lacks a stain.

    Examples
    --------
    >>> without_removed(SlideAreas(1e6, 1e6), SlideAreas(4e5, 4e5)).valid_um2
    600000.0
    """
    parts = []
    for name in ("tissue_um2", "valid_um2", "artefact_um2"):
        whole, part = getattr(areas, name), getattr(removed, name)
        if part > whole + _ROUNDING * max(areas.tissue_um2, 1.0):
            raise EditError(
                f"The region holds {part:,.0f} µm² of {name.removesuffix('_um2')}, but only "
                f"{whole:,.0f} µm² are left on the slide; measure what is not left out already."
            )
        parts.append(max(whole - part, 0.0))
    histograms = {}
    for name, whole in areas.histograms.items():
        part = removed.histograms.get(name)
        if part is None and removed.valid_um2 > 0:
            raise EditError(f"The region was not measured in {name}; measure it again.")
        histograms[name] = whole if part is None else _less(whole, part, name)
    return SlideAreas(parts[0], parts[1], parts[2], histograms)


def correct_calls(called: pd.DataFrame, corrections: Corrections) -> pd.DataFrame:
    """Return the table with the calls that were made by hand.

    ``<marker>_positive`` and ``<marker>_grade`` are the reader's, the flag ``<marker>_manual`` is
    added, and ``<marker>_rejected`` and ``<marker>_weak_call``, which speak of the threshold,
    are taken away.

    Parameters
    ----------
    called : DataFrame
        From :func:`histo.panel.classify_cells`; not changed.
    corrections : Corrections

    Returns
    -------
    DataFrame

    Raises
    ------
    EditError
        If a cell or marker that was called is not in the table.

    Examples
    --------
    >>> table = pd.DataFrame({"cell_id": [4], "foxp3_positive": [False]})
    >>> table = table.assign(foxp3_grade=np.zeros(1, np.int8), flags="foxp3_weak_call")
    >>> by_hand = correct_calls(table, Corrections(grades={"foxp3": {4: 2}}))
    >>> by_hand["foxp3_grade"].tolist(), by_hand["flags"].tolist()
    ([2], ['foxp3_manual'])
    """
    if not corrections.grades:
        return called
    ids, flags = called["cell_id"].to_numpy(), called["flags"].copy()
    columns: dict[str, npt.NDArray[np.generic]] = {}
    for marker, calls in corrections.grades.items():
        if f"{marker}_grade" not in called.columns:
            raise EditError(
                f"There are calls of {marker} made by hand, but the panel has no such marker; "
                "the edits belong to another result."
            )
        where = rows_of(ids, list(calls))
        grade = called[f"{marker}_grade"].to_numpy().copy()
        grade[where] = np.fromiter(calls.values(), np.int8, len(calls))
        columns[f"{marker}_grade"] = grade
        columns[f"{marker}_positive"] = grade > 0
        words = flags.iloc[where]
        for gone in ("rejected", "weak_call"):
            words = _without_word(words, f"{marker}_{gone}")
        flags.iloc[where] = _with_word(words, f"{marker}_manual")
    return called.assign(**columns, flags=flags)


def drawn_row(table: pd.DataFrame, cell_id: int, nucleus: DrawnNucleus) -> dict[str, object]:
    """Return a drawn nucleus as a row of a cell table without calls.

    Raises
    ------
    EditError
        If it lacks a measure that the table has.

    Examples
    --------
    >>> from histo.cells import empty_cells
    >>> square = [[0, 0], [0, 6], [6, 6], [6, 0]]
    >>> nucleus = DrawnNucleus(square, {"y_um": 3.0, "x_um": 3.0, "nucleus_area_um2": 36.0})
    >>> drawn_row(empty_cells([]), 9, nucleus)
    Traceback (most recent call last):
    ...
    histo.errors.EditError: A drawn nucleus was not measured (cell_area_um2, ... are missing); ...
    """
    given = {"compartment": "tissue", "flags": "", **nucleus.row, "cell_id": int(cell_id)}
    lacking = [str(name) for name in table.columns if name not in given]
    if lacking:
        raise EditError(
            f"A drawn nucleus was not measured ({', '.join(lacking)} are missing); measure it with "
            "the panel and the stains of the result."
        )
    return {str(name): given[str(name)] for name in table.columns}


def inside(polygon_um: Floats, points_um: Floats) -> Bools:
    """Tell which points lie in a polygon.

    Parameters
    ----------
    polygon_um : float64 (N, 2)
        Vertices (y, x).
    points_um : float64 (K, 2)

    Returns
    -------
    bool (K,)

    Examples
    --------
    >>> square = np.array([[0.0, 0], [0, 4], [4, 4], [4, 0]])
    >>> inside(square, np.array([[1.0, 1], [5, 1]])).tolist()
    [True, False]
    """
    low, high = polygon_um.min(axis=0), polygon_um.max(axis=0)
    near = np.flatnonzero(((points_um >= low) & (points_um <= high)).all(axis=1))
    within = np.zeros(len(points_um), np.bool_)
    within[near] = points_in_poly(points_um[near], polygon_um)  # type: ignore[no-untyped-call]
    return within


def rows_of(ids: Ints, wanted: Sequence[int] | Ints) -> npt.NDArray[np.intp]:
    """Return the row of each wanted cell.

    Raises
    ------
    EditError
        If a cell is not there.

    Examples
    --------
    >>> rows_of(np.array([5, 2, 9]), [2, 5]).tolist()
    [1, 0]
    """
    wanted = np.asarray(wanted, np.int64)
    if not wanted.size:
        return np.zeros(0, np.intp)
    # Cells are numbered as they are found, so that sorting is seldom needed.
    order = None if (np.diff(ids) > 0).all() else np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids, wanted, sorter=order), max(len(ids) - 1, 0))
    rows = at if order is None else order[at]
    missing = wanted[ids[rows] != wanted] if len(ids) else wanted
    if missing.size:
        raise EditError(
            f"Cell {missing[0]} was edited, but is not in the cell table; the edits belong to "
            "another result."
        )
    return rows


def _call_columns(cells: pd.DataFrame) -> list[str]:
    names = [f"{m}_{part}" for m in called_markers(cells) for part in ("positive", "grade")]
    return [name for name in names if name in cells.columns]


def _less(whole: Histogram, part: Histogram, name: str) -> Histogram:
    if not np.array_equal(whole.edges, part.edges):
        raise EditError(f"The region was measured in {name} with other bins; measure it again.")
    # Decoding a lossy slide in other portions moves a pixel over a bin's edge now and then.
    return Histogram(whole.edges, np.maximum(whole.counts - part.counts, 0))


def _with_word(flags: pd.Series, word: str) -> pd.Series:
    # Few combinations occur: each is put together once.
    texts = {text: f"{text};{word}" if text else word for text in flags.unique()}
    return flags.map(texts).astype(flags.dtype)


def _without_word(flags: pd.Series, word: str) -> pd.Series:
    texts = {
        text: ";".join(one for one in text.split(";") if one != word) for text in flags.unique()
    }
    return flags.map(texts).astype(flags.dtype)
