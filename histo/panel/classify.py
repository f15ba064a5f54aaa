"""Calls: which cells are positive, how strongly, and with which doubts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.cells import RESIDUAL_COLUMN, measure_column
from histo.panel.definition import FLAG_WORDS, Marker, Panel, SizeLimits
from histo.panel.thresholds import Thresholds, deciding_values, marker_values

__all__ = ["accepts_call", "classify_cells"]

Bools = npt.NDArray[np.bool_]

WEAK_BAND = 0.10
"""A measure within this share of 1+ gives a weak call, either way."""

# ``manual`` is set by corrections; a call made anew is no longer the reader's.
_MARKER_WORDS = ("weak_call", "no_threshold", "not_measured", "rejected", "manual")


def classify_cells(
    cells: pd.DataFrame, panel: Panel, thresholds: Mapping[str, Thresholds]
) -> pd.DataFrame:
    """Call every cell for every marker of a panel.

    A cell is positive when its measure reaches 1+ (or, where the thresholds leave it to the
    model, when its probability reaches `LIKELY`) and no flag that the panel lists
    under ``rejects`` stands against it. 2+ and 3+ go by the measure either way. Flags about
    the nucleus, the contact and the pigment are set on cells that reach 1+ only; in general:

    ====================== =========================================================
    ``small_nucleus``      below ``size.min_diameter_um``
    ``large_nucleus``      above ``size.usual_diameter_um`` or ``usual_area_um2``
    ``oversized_nucleus``  above ``size.max_diameter_um``
    ``elongated``          eccentricity above ``size.max_eccentricity``
    ``pigment``            residual beyond ``pigment_residual_od``
    ``contact``            contact above ``contact_limit`` (cytoplasm or cell markers)
    ``cytoplasmic_signal`` a nuclear marker is stronger in the cytoplasm
    ``weak_call``          what decides is within 10 % of where 1+ begins, above or below
    ``rejected``           reaches 1+, but a flag of ``rejects`` removed the call
    ``not_measured``       the cell has no pixel in the marker's compartment: negative
    ``no_threshold``       the slide has no threshold for the marker: not called
    ====================== =========================================================

    The last four, and ``cytoplasmic_signal``, begin with the marker (``foxp3_weak_call``).
    ``<marker>_manual``, a call made by hand, is taken away: it has to be made again.

    Parameters
    ----------
    cells : DataFrame
        The cell table. Earlier calls of the panel's markers are replaced, and the words of
        this list; other words in ``flags`` stay.
    panel : Panel
    thresholds : mapping of marker to Thresholds

    Returns
    -------
    DataFrame
        A copy with ``<marker>_positive`` (bool), ``<marker>_grade`` (int8, 0-3) and
        ``flags``; the same for the same measures, however often it is called.

    Raises
    ------
    ValueError
        If a marker of the panel has no thresholds.
    ResultError
        If the table lacks a column that a call is made on.

    Examples
    --------
    >>> from histo.cells import empty_cells
    >>> from histo.panel import load_panel, resolve_thresholds
    >>> panel = load_panel("rankl-dab")
    >>> cells = empty_cells(["dab"])
    >>> called = classify_cells(cells, panel, resolve_thresholds(cells, panel))
    >>> called["rankl_grade"].dtype
    dtype('int8')
    """
    missing = [name for name in panel.marker_names if name not in thresholds]
    if missing:
        raise ValueError(f"thresholds has no entry for {', '.join(missing)}.")
    called: dict[str, npt.NDArray[np.generic]] = {}
    flags: dict[str, Bools] = {}
    for marker in panel.markers:
        grade, doubts = _call(cells, panel, marker, thresholds[marker.name])
        called[f"{marker.name}_positive"] = grade > 0
        called[f"{marker.name}_grade"] = grade
        for word, where in doubts.items():
            flags[word] = flags[word] | where if word in flags else where
    keep = [n for n in cells.columns if n not in called and n != "flags"]
    result = cells[keep].copy()
    for name, values in called.items():
        result[name] = values
    result["flags"] = _joined(_foreign_words(cells, panel), flags, result.index)
    return result


def accepts_call(cells: pd.DataFrame, panel: Panel, marker: Marker) -> Bools:
    """Tell which cells may be positive, whatever the threshold.

    Parameters
    ----------
    cells : DataFrame
    panel : Panel
    marker : Marker

    Returns
    -------
    bool (N,)
        False where a flag of the marker's ``rejects`` stands, or nothing was measured.

    Raises
    ------
    ResultError
        If the table lacks a column that the call is made on.

    Examples
    --------
    >>> from histo.cells import empty_cells
    >>> from histo.panel import load_panel
    >>> panel = load_panel("foxp3-dab")
    >>> accepts_call(empty_cells(["dab"]), panel, panel.markers[0]).shape
    (0,)
    """
    accepted = np.isfinite(marker_values(cells, panel, marker))
    doubts = _doubts(cells, panel, marker)
    for word in marker.rejects:
        if word in doubts:
            accepted &= ~doubts[word]
    return accepted


def _call(
    cells: pd.DataFrame, panel: Panel, marker: Marker, thresholds: Thresholds
) -> tuple[npt.NDArray[np.int8], dict[str, Bools]]:
    """Return grades and flags of one marker."""
    values, first = deciding_values(cells, panel, marker, thresholds)
    known = np.isfinite(values)
    prefix = f"{marker.name}_"
    flags = {f"{prefix}not_measured": ~known}
    if not thresholds.is_known:
        flags[f"{prefix}no_threshold"] = np.ones(len(cells), bool)
        return np.zeros(len(cells), np.int8), flags
    # Measures are float32: a threshold of 0.2 must be reached by a measure of 0.2.
    cuts = np.asarray(thresholds.values, dtype=np.float32)
    reaches = known & (values >= np.float32(first))
    strength = marker_values(cells, panel, marker)
    grade = reaches * (1 + np.searchsorted(cuts[1:], np.nan_to_num(strength), side="right"))
    accepted = accepts_call(cells, panel, marker)
    for word, where in _doubts(cells, panel, marker).items():
        name = prefix + word if word == "cytoplasmic_signal" else word
        flags[name] = where & reaches
    flags[f"{prefix}rejected"] = reaches & ~accepted
    flags[f"{prefix}weak_call"] = known & (np.abs(values - first) <= WEAK_BAND * first)
    return np.where(accepted, grade, 0).astype(np.int8), flags


def _doubts(cells: pd.DataFrame, panel: Panel, marker: Marker) -> dict[str, Bools]:
    """Return what stands against a positive call, whatever the threshold."""
    doubts: dict[str, Bools] = {}
    if marker.size is not None:
        doubts |= _size_doubts(cells, marker.size)
    if RESIDUAL_COLUMN in cells.columns:
        residual = np.abs(cells[RESIDUAL_COLUMN].to_numpy())
        doubts["pigment"] = residual > panel.pigment_residual_od
    if marker.compartment != "nucleus":
        doubts["contact"] = cells["contact_fraction"].to_numpy() > panel.contact_limit
    else:
        around = measure_column("cytoplasm", marker.plane, panel.quantity, "mean")
        within = measure_column("nucleus", marker.plane, panel.quantity, "mean")
        if around in cells.columns and within in cells.columns:
            doubts["cytoplasmic_signal"] = cells[around].to_numpy() > cells[within].to_numpy()
    return doubts


def _size_doubts(cells: pd.DataFrame, size: SizeLimits) -> dict[str, Bools]:
    diameter = cells["nucleus_diameter_um"].to_numpy()
    area = cells["nucleus_area_um2"].to_numpy()
    return {
        "small_nucleus": diameter < size.min_diameter_um,
        "large_nucleus": (diameter > size.usual_diameter_um) | (area > size.usual_area_um2),
        "oversized_nucleus": diameter > size.max_diameter_um,
        "elongated": cells["nucleus_eccentricity"].to_numpy() > size.max_eccentricity,
    }


def _foreign_words(cells: pd.DataFrame, panel: Panel) -> pd.Series:
    """Return the flags without the words that calls set."""
    if "flags" not in cells.columns:
        return pd.Series("", index=cells.index, dtype="str")
    own = set(FLAG_WORDS) | {
        f"{name}_{word}"
        for name in panel.marker_names
        for word in (*_MARKER_WORDS, "cytoplasmic_signal")
    }

    def kept(text: str) -> str:
        return ";".join(word for word in text.split(";") if word and word not in own)

    # Few combinations occur: each is taken apart once.
    texts = {text: kept(text) for text in cells["flags"].unique()}
    return cells["flags"].map(texts).astype("str")


def _joined(words: pd.Series, flags: Mapping[str, Bools], index: pd.Index) -> pd.Series:
    """Append the words of the flags that are set."""
    if not len(index):
        return pd.Series(index=index, dtype="str")
    code = np.zeros(len(index), np.int64)
    for bit, where in enumerate(flags.values()):
        code |= where.astype(np.int64) << bit
    names = list(flags)
    unique, which = np.unique(code, return_inverse=True)
    texts = np.array([_spell(names, int(bits)) for bits in unique], dtype=object)
    added = pd.Series(texts[which], index=index, dtype="str")
    if (words == "").all():
        return added
    between = np.where((words != "") & (added != ""), ";", "")
    return (words + pd.Series(between, index=index, dtype="str") + added).astype("str")


def _spell(names: Iterable[str], bits: int) -> str:
    return ";".join(name for bit, name in enumerate(names) if bits >> bit & 1)
