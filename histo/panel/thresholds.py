"""Cut-offs of the calls: the panel's, the slide's own, or the user's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.cells import POSITIVITY_COLUMN
from histo.errors import ResultError
from histo.panel.definition import Marker, Panel
from histo.panel.populations import (
    MIN_CELLS,
    above_spill,
    leans_left,
    negative_population,
    valley,
)

__all__ = [
    "Thresholds",
    "auto_threshold",
    "deciding_column",
    "deciding_values",
    "parse_threshold",
    "resolve_thresholds",
]

Request = str | float | Sequence[float]

WORDS = ("auto", "learned", "panel")
"""What can be asked for instead of a number."""

LIKELY = 0.25
"""Where the model decides, a cell is positive from this probability on.

Below one half, since the model is too careful on real sections: faint nuclei that readers call
positive get 0.2 to 0.5 from it (docs/validation.md has the reliability)."""

_MIN_NEGATIVE_SHARE = 0.2

_ALMOST_NONE = 0.001
"""Where no more of the cells reach a threshold, it may be that of a marker most of them carry."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The cut-offs of one marker, and where they come from.

    Parameters
    ----------
    values : tuple of 3 float
        1+, 2+, 3+ begin here; OD (base 10) or the slide's intensity units. All NaN when
        there is none: then nothing is called.
    source : {"panel", "auto", "user", "learned"}
        ``learned``: the model decides which cells are positive, and the values only how strong.
    note : str
        What the automatic choice saw, or why it was not taken; may be empty.

    Raises
    ------
    ValueError
        If the values do not ascend above 0 (and are not all NaN).

    Examples
    --------
    >>> Thresholds((0.2, 0.4, 0.6), "panel").is_known
    True
    """

    values: tuple[float, float, float]
    source: str
    note: str = ""

    def __post_init__(self) -> None:
        if self.source not in (*WORDS, "user"):
            raise ValueError(
                f"source must be one of {', '.join(WORDS)}, user, got {self.source!r}."
            )
        if not all(math.isnan(value) for value in self.values):
            _check_ascending(self.values)

    @property
    def is_known(self) -> bool:
        """Whether there is a cut-off at all."""
        return not math.isnan(self.values[0])


def parse_threshold(text: str) -> tuple[str, Request]:
    """Read a threshold as given on a command line.

    Parameters
    ----------
    text : str
        ``foxp3=0.15`` (1+; 2+ and 3+ keep the panel's ratios), ``foxp3=0.1,0.3,0.5``,
        ``foxp3=auto``, ``foxp3=learned`` or ``foxp3=panel``.

    Returns
    -------
    marker : str
    request : "auto", "learned", "panel", float or tuple of 3 float
        For :func:`resolve_thresholds`.

    Raises
    ------
    ValueError
        If the text has another form.

    Examples
    --------
    >>> parse_threshold("foxp3=0.1,0.3,0.5")
    ('foxp3', (0.1, 0.3, 0.5))
    """
    marker, sign, given = (part.strip() for part in text.partition("="))
    example = "write e.g. foxp3=0.15, foxp3=0.1,0.3,0.5 or foxp3=auto"
    if not (marker and sign and given):
        raise ValueError(f'"{text}" is not MARKER=THRESHOLD; {example}.')
    marker = marker.lower()
    if given.lower() in WORDS:
        return marker, given.lower()
    try:
        values = tuple(float(part) for part in given.split(","))
    except ValueError:
        raise ValueError(f'"{text}": "{given}" is not a number; {example}.') from None
    if len(values) not in (1, 3):
        raise ValueError(
            f'"{text}" gives {len(values)} numbers, expected one (1+) or three (1+, 2+, 3+); '
            f"{example}."
        )
    _check_ascending(values, text)
    return marker, values[0] if len(values) == 1 else values


def resolve_thresholds(
    cells: pd.DataFrame, panel: Panel, requested: Mapping[str, Request] | None = None
) -> dict[str, Thresholds]:
    """Settle the cut-offs of every marker of a panel for one slide.

    Parameters
    ----------
    cells : DataFrame
        The slide's cell table; excluded cells take no part.
    panel : Panel
    requested : mapping of marker to "auto", "learned", "panel", one number or three, optional
        What is not asked for follows the panel. One number is 1+; 2+ and 3+ keep the
        panel's ratios.

    Returns
    -------
    dict of str to Thresholds

    Raises
    ------
    PanelError
        If a marker asked for is not in the panel, or the model cannot call it.
    ResultError
        If the table lacks the column that an automatic threshold is made on.
    ValueError
        If numbers do not ascend above 0, or a word is none of ``auto``, ``learned``, ``panel``.

    Examples
    --------
    >>> from histo.cells import empty_cells
    >>> from histo.panel import load_panel
    >>> panel = load_panel("foxp3-dab")
    >>> resolve_thresholds(empty_cells(["dab"]), panel, {"foxp3": 0.2})["foxp3"].values
    (0.2, 0.4, 0.6)
    """
    requested = dict(requested or {})
    for name in requested:
        panel.marker(name)
    return {
        marker.name: _resolve(cells, panel, marker, requested.get(marker.name))
        for marker in panel.markers
    }


def _resolve(
    cells: pd.DataFrame, panel: Panel, marker: Marker, request: Request | None
) -> Thresholds:
    note = ""
    if request is None:
        request = marker.threshold_source
        if request == "learned" and POSITIVITY_COLUMN not in cells.columns:
            request = "panel"
            note = "the model that found the cells makes no calls; the panel's threshold is used"
    if not isinstance(request, str):
        values = (request,) if isinstance(request, int | float) else tuple(request)
        if len(values) not in (1, 3):
            raise ValueError(f"{marker.name}: expected one threshold or three, got {len(values)}.")
        _check_ascending(values, marker.name)
        return Thresholds(_graded(values, marker), "user")
    if request not in WORDS:
        raise ValueError(
            f'{marker.name}: the threshold "{request}" is neither {", ".join(WORDS)} nor a number.'
        )
    if request == "learned":
        panel.check_learned(marker)
        return Thresholds(marker.thresholds or (1.0, 2.0, 3.0), "learned")
    if request == "panel" and marker.thresholds is not None:
        return Thresholds(marker.thresholds, "panel", note)
    value, note = auto_threshold(
        valid_values(cells, panel, marker),
        spreads=marker.auto_spreads,
        limits=marker.auto_limits,
        compress=panel.quantity == "intensity",
    )
    if value is not None:
        return Thresholds(_graded((value,), marker), "auto", note)
    if marker.thresholds is not None:
        return Thresholds(marker.thresholds, "panel", f"{note}; the panel's threshold is used")
    nothing = (math.nan, math.nan, math.nan)
    return Thresholds(nothing, "auto", f"{note}; give a threshold to have cells called")


def valid_values(cells: pd.DataFrame, panel: Panel, marker: Marker) -> npt.NDArray[np.float64]:
    """Return the marker's measure of the cells outside of artefacts, without NaN."""
    values = marker_values(cells, panel, marker)[(cells["compartment"] != "excluded").to_numpy()]
    return values[np.isfinite(values)]


def marker_values(cells: pd.DataFrame, panel: Panel, marker: Marker) -> npt.NDArray[np.float64]:
    """Return the measure of every cell that the marker's calls are made on.

    Raises
    ------
    ResultError
        If the table does not have it.
    """
    column = panel.measurement(marker)
    if column not in cells.columns:
        raise ResultError(
            f"The cell table has no column {column}, which panel {panel.name} calls "
            f"{marker.name} on; run the slide again with this panel."
        )
    return cells[column].to_numpy(dtype=np.float64)


def deciding_column(panel: Panel, marker: Marker, thresholds: Thresholds) -> tuple[str, float]:
    """Name the column that decides whether a cell is positive, and from where on it is.

    Parameters
    ----------
    panel : Panel
    marker : Marker
    thresholds : Thresholds

    Returns
    -------
    column : str
        The marker's measure or, where the model decides, its probability.
    first : float
        Positive from here on; NaN when there is no threshold.

    Examples
    --------
    >>> from histo.panel import load_panel
    >>> panel = load_panel("foxp3-dab")
    >>> cuts = (0.12, 0.24, 0.36)
    >>> deciding_column(panel, panel.markers[0], Thresholds(cuts, "panel"))
    ('nucleus_dab_od_mean', 0.12)
    >>> deciding_column(panel, panel.markers[0], Thresholds(cuts, "learned"))
    ('nucleus_positivity', 0.25)
    """
    if thresholds.source == "learned":
        return POSITIVITY_COLUMN, LIKELY
    return panel.measurement(marker), thresholds.values[0]


def deciding_values(
    cells: pd.DataFrame, panel: Panel, marker: Marker, thresholds: Thresholds
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the values of `deciding_column`, float64 (N,), and from where on they are positive.

    Raises
    ------
    ResultError
        If the table does not have them.

    Examples
    --------
    >>> from histo.cells import empty_cells
    >>> from histo.panel import load_panel
    >>> panel = load_panel("foxp3-dab")
    >>> cut = Thresholds((0.12, 0.24, 0.36), "panel")
    >>> deciding_values(empty_cells(["dab"]), panel, panel.markers[0], cut)[1]
    0.12
    """
    column, first = deciding_column(panel, marker, thresholds)
    if column != POSITIVITY_COLUMN:
        return marker_values(cells, panel, marker), first
    if column not in cells.columns:
        raise ResultError(
            f"The cell table has no column {column}, which learned calls of {marker.name} are made "
            "on: they come from a model that makes none; run the slide again with another model, "
            "or give a threshold."
        )
    return cells[column].to_numpy(dtype=np.float64), first


def auto_threshold(
    values: npt.NDArray[np.floating],
    *,
    spreads: float,
    limits: tuple[float, float] | None = None,
    compress: bool = False,
) -> tuple[float | None, str]:
    """Find where the negative cells of a slide end.

    The mode of the cells (middle of their shortest quarter) is taken for that of the negative
    ones, their left side for its spread, since positive cells lie on the right; the
    threshold lies ``spreads`` above. When many cells lie far below the mode, the mode is
    that of positive cells, and the search goes on below it. When hardly a cell reaches the
    threshold, most may carry the marker: it then lies in the valley below them, where there is
    one (`histo.panel.populations.valley`); where there is none, and the long side of the cells
    lies below their middle, there is no threshold.

    Parameters
    ----------
    values : float (N,)
        One measure a cell, finite.
    spreads : float
        Distance from the mode, in standard deviations of the negative cells.
    limits : tuple of 2 float, optional
        A threshold above the second is not believed, one below the first is raised to it.
    compress : bool
        Work on ``log1p(value / median)``: intensities have a long tail, and this makes the result
        follow a change of gain. The threshold is then raised to a fifth of the way from the
        mode to the upper quartile of the cells above it: less is light spilt by a neighbour.

    Returns
    -------
    threshold : float, or None
        None when there are fewer than 100 cells, no spread, or no negative cells.
    note : str
        What was found.

    References
    ----------
    Bickel, Frühwirth (2006), On a fast, robust estimator of the mode, Comput. Stat. Data
    Anal. 50:3500 (half-sample mode; two halvings here, which varies less).
    Rousseeuw, Croux (1993), Alternatives to the median absolute deviation, JASA 88:1273
    (0.6745, the third quartile of the normal distribution).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> od = np.concatenate([rng.normal(0.03, 0.02, 900), rng.normal(0.4, 0.1, 100)])
    >>> threshold, note = auto_threshold(od, spreads=4)
    >>> 0.09 < threshold < 0.13
    True
    """
    ascending: npt.NDArray[np.float64] = np.sort(np.asarray(values, dtype=np.float64))
    if ascending.size < MIN_CELLS:
        return None, f"{ascending.size} cells are too few for an automatic threshold"
    even, unit = ascending, 1.0
    if compress:
        ascending = np.maximum(ascending, 0)
        unit = float(np.median(ascending[ascending > 0])) if ascending[-1] > 0 else 1.0
        even = np.log1p(ascending / unit)
    mode, spread = negative_population(even)
    if spread <= 0:
        return None, "the cells do not vary, so there is no automatic threshold"
    few_negative = bool(np.mean(even <= mode + 2 * spread) < _MIN_NEGATIVE_SHARE)
    threshold = mode + spreads * spread
    if compress:
        mode, threshold = float(np.expm1(mode)) * unit, float(np.expm1(threshold)) * unit
        threshold = above_spill(ascending, mode, threshold)
    note = f"mode of negative cells {mode:.3g}, {len(ascending)} cells"
    if few_negative or np.mean(ascending >= threshold) <= _ALMOST_NONE:
        border = valley(ascending, compress=compress)
        if border is not None:
            threshold = border
            note = f"valley between few negative and many positive cells, {len(ascending)} cells"
        elif few_negative or leans_left(ascending):
            return None, (
                f"no population of negative cells stands out (lowest mode {mode:.3g}, "
                f"{len(ascending)} cells)"
            )
    if limits is not None and threshold > limits[1]:
        return None, f"the automatic threshold {threshold:.3g} is implausible ({note})"
    if limits is not None and threshold < limits[0]:
        return limits[0], f"{note}; raised from {threshold:.3g} to the panel's lower limit"
    return (threshold, note) if threshold > 0 else (None, f"no threshold above 0 ({note})")


def _graded(values: Sequence[float], marker: Marker) -> tuple[float, float, float]:
    if len(values) == 3:
        return float(values[0]), float(values[1]), float(values[2])
    first, second, third = (round(float(values[0]) * ratio, 12) for ratio in marker.ratios)
    return first, second, third


def _check_ascending(values: Sequence[float], what: str = "thresholds") -> None:
    ascending = all(a < b for a, b in itertools.pairwise(values))
    if not (ascending and values[0] > 0 and all(math.isfinite(value) for value in values)):
        raise ValueError(
            f"{what}: thresholds must be above 0 and ascend, got "
            f"{', '.join(f'{value:g}' for value in values)}."
        )
