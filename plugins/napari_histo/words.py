"""Names of columns, metrics and flags in the words of a reader."""

from __future__ import annotations

import math

__all__ = ["cell_doubts", "metric_group", "metric_title", "number", "quantity", "slide_doubt"]

_SCORES = {
    "count": "{} cells",
    "density_per_mm2": "{} cells per mm²",
    "percent": "{} of all cells",
    "h_score": "H-score (0-300)",
    "allred": "Allred score (0-8)",
    "irs": "IRS (0-12)",
    "positive_area_percent": "Positive area of tissue",
    "rejected_count": "Reach 1+, but not called",
    "ambiguous_percent": "{} in close contact",
}
_PARTS = {"area_mm2": "Area", "area_percent": "Share of the tissue"}
_BOTH = {"count": "{} and {} cells", "density_per_mm2": "{} and {} cells per mm²"}

_CELL_DOUBTS = {
    "small_nucleus": "small nucleus",
    "large_nucleus": "large nucleus",
    "oversized_nucleus": "nucleus too large for this marker",
    "elongated": "elongated nucleus",
    "pigment": "colour of pigment rather than stain",
    "contact": "pressed against its neighbours: the signal may be theirs",
    "drawn": "drawn by a reader",
    "deleted": "deleted by a reader",
    "replaced": "split or merged by a reader",
    "excluded_region": "in a region that a reader excluded",
    "blurred": "out of focus",
}
_MARKER_DOUBTS = {
    "cytoplasmic_signal": "{} is stronger in the cytoplasm than in the nucleus",
    "weak_call": "{} within 10 % of the threshold",
    "rejected": "{} above the threshold, but not called for size or shape",
    "not_measured": "{} could not be measured",
    "no_threshold": "{} has no threshold",
    "manual": "{} called by a reader",
}
_SLIDE_DOUBTS = {
    "no_tissue": "No tissue was found. Check that the slide is the right one.",
    "artefacts_above_10_percent": (
        "More than 10 % of the tissue lies in artefacts (pen, folds, blur) and is left out. Look "
        "at the overview: is what remains typical of the section?"
    ),
    "tissue_assumed": (
        "No glass is in view, so the whole field was taken for tissue. Gaps and lumens count as "
        "area: leave out regions that are none."
    ),
    "compartments_by_model": (
        "The compartments were found by a model. Look at their layer over the slide before their "
        "numbers are used."
    ),
    "coarse_pixels": (
        "The slide is scanned coarsely: small nuclei may be missed. Scan at 20x or more."
    ),
    "pixel_size_replaced": (
        "The pixel size given differs from the one that the file states. Is it meant for this "
        "slide?"
    ),
    "stains_estimated": (
        "The panel's stain colours did not fit, so they were estimated from this slide. Compare "
        "intensities between slides with care; check them in the widget Stains."
    ),
}


def metric_group(name: str, markers: tuple[str, ...], compartments: tuple[str, ...] = ()) -> str:
    """Return the heading that a metric stands under.

    Parameters
    ----------
    name : str
        Of the metric.
    markers : tuple of str
        The panel's.
    compartments : tuple of str
        Words of the compartments, where the slide is divided.

    Examples
    --------
    >>> metric_group("foxp3_h_score", ("foxp3",)), metric_group("cell_count", ("foxp3",))
    ('FOXP3', 'All cells')
    >>> metric_group("foxp3_given_rankl_percent", ("foxp3", "rankl"))
    'FOXP3 and RANKL'
    >>> metric_group("tumor_foxp3_count", ("foxp3",), ("tumor", "stroma"))
    'FOXP3 in tumor'
    """
    if (word := _compartment(name, markers, compartments)) is not None:
        rest = metric_group(name.removeprefix(f"{word}_"), markers)
        return f"{rest} in {word.replace('_', ' ')}"
    if (pair := _pair(name, markers)) is not None:
        return " and ".join(sorted(one.upper() for one in pair[:2]))
    marker = _marker(name, markers)
    return marker.upper() if marker else "All cells"


def metric_title(name: str, markers: tuple[str, ...], compartments: tuple[str, ...] = ()) -> str:
    """Return a metric's name in words.

    Examples
    --------
    >>> metric_title("foxp3_density_per_mm2", ("foxp3",)), metric_title("cell_count", ())
    ('FOXP3+ cells per mm²', 'Cells')
    >>> metric_title("foxp3_given_rankl_percent", ("foxp3", "rankl"))
    'FOXP3+ among RANKL+ cells'
    >>> metric_title("tumor_area_percent", (), ("tumor",))
    'Share of the tissue'
    """
    if (word := _compartment(name, markers, compartments)) is not None:
        rest = name.removeprefix(f"{word}_")
        return _PARTS.get(rest) or metric_title(rest, markers)
    if (pair := _pair(name, markers)) is not None:
        first, second, rest = f"{pair[0].upper()}+", f"{pair[1].upper()}+", pair[2]
        if rest == "given":
            return f"{first} among {second} cells"
        if rest == "share":
            return f"{pair[1].upper()} signal that lies in {first} cells"
        return _BOTH.get(rest, f"{{}} and {{}}: {rest}").format(first, second)
    marker = _marker(name, markers)
    if marker is not None:
        rest = name.removeprefix(f"{marker}_")
        return _SCORES.get(rest, rest.replace("_", " ").capitalize()).format(f"{marker.upper()}+")
    known = {"cell_count": "Cells", "cell_density_per_mm2": "Cells per mm²"}
    return known.get(name, name.replace("_", " ").capitalize())


def _compartment(name: str, markers: tuple[str, ...], compartments: tuple[str, ...]) -> str | None:
    """Return the compartment that a metric is of; None where it is of the whole slide."""
    return None if _marker(name, markers) else _marker(name, compartments)


def _marker(name: str, markers: tuple[str, ...]) -> str | None:
    fitting = [one for one in markers if name.startswith(f"{one}_")]
    return max(fitting, key=len, default=None)


def _pair(name: str, markers: tuple[str, ...]) -> tuple[str, str, str] | None:
    for one in markers:
        for other in markers:
            if name.startswith(f"{one}_and_{other}_"):
                return one, other, name.removeprefix(f"{one}_and_{other}_")
            if name == f"{one}_given_{other}_percent":
                return one, other, "given"
            if name == f"{one}_share_of_{other}_signal_percent":
                return one, other, "share"
    return None


def number(value: float, unit: str) -> str:
    """Write a metric's value with as many digits as it is worth.

    Examples
    --------
    >>> number(8.6423, "%"), number(1234.4, "cells/mm²"), number(25.63, "0-300")
    ('8.6 %', '1,234', '25.6')
    >>> number(float("nan"), "%")
    'not defined'
    """
    if math.isnan(value):
        return "not defined"
    if unit == "%":
        return f"{value:.1f} %"
    if unit == "cells":
        return f"{value:,.0f}"
    if unit == "mm²":
        return f"{value:,.3f}"
    if unit == "cells/mm²":
        return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
    return f"{value:.0f}" if unit in ("0-8", "0-12") else f"{value:,.1f}"


def quantity(column: str) -> str:
    """Name what a column of the cell table measures, with its unit.

    Examples
    --------
    >>> quantity("nucleus_dab_od_mean"), quantity("nucleus_positivity")
    ('DAB in the nucleus, mean optical density (OD)', 'Probability of a positive nucleus (model)')
    >>> quantity("cell_rankl_intensity_max")
    'RANKL in the cell, highest intensity (units of the slide)'
    """
    if column == "nucleus_positivity":
        return "Probability of a positive nucleus (model)"
    part, _, rest = column.partition("_")
    plane, _, statistic = rest.rpartition("_")
    how = {"mean": "mean", "max": "highest", "std": "spread of"}.get(statistic, statistic)
    names = {"red": "Red", "hematoxylin": "Haematoxylin", "eosin": "Eosin"}
    if plane.endswith("_od"):
        stain = plane.removesuffix("_od")
        what, unit = names.get(stain, stain.upper()), "optical density (OD)"
    elif plane.endswith("_intensity"):
        what, unit = plane.removesuffix("_intensity").upper(), "intensity (units of the slide)"
    else:
        return column
    return f"{what} in the {part}, {how} {unit}"


def cell_doubts(flags: str, markers: tuple[str, ...]) -> list[str]:
    """Return the flags of a cell in words.

    Examples
    --------
    >>> cell_doubts("small_nucleus;foxp3_weak_call", ("foxp3",))
    ['small nucleus', 'FOXP3 within 10 % of the threshold']
    """
    words = []
    for flag in filter(None, flags.split(";")):
        marker = _marker(flag, markers)
        rest = flag if marker is None else flag.removeprefix(f"{marker}_")
        known = _CELL_DOUBTS.get(flag) or (
            _MARKER_DOUBTS[rest].format(marker.upper())
            if marker is not None and rest in _MARKER_DOUBTS
            else None
        )
        words.append(known or flag.replace("_", " "))
    return words


_THRESHOLD_DOUBTS = {
    "threshold_unknown_": (
        "{} has no automatic threshold on this slide: give one by number under Review cells."
    ),
    "threshold_above_all_cells_": (
        "The automatic threshold of {} lies above every cell. Nobody carries it, or nearly "
        "everybody does: look at the gallery, and give one by number."
    ),
    "threshold_below_most_cells_": (
        "The automatic threshold of {} calls most cells positive; it rests on the few that are "
        "not. Look at the gallery."
    ),
}


def slide_doubt(flag: str) -> str:
    """Return what a flag of a slide means, and what to do.

    Examples
    --------
    >>> slide_doubt("threshold_unknown_foxp3")
    'FOXP3 has no automatic threshold on this slide: give one by number under Review cells.'
    >>> slide_doubt("sparse_tiles")
    'Sparse tiles.'
    """
    from histo.stain import explain

    if flag in _SLIDE_DOUBTS:
        return _SLIDE_DOUBTS[flag]
    for start, words in _THRESHOLD_DOUBTS.items():
        if flag.startswith(start):
            return words.format(flag.removeprefix(start).upper())
    try:
        return explain(flag)
    except ValueError:
        return f"{flag.replace('_', ' ').capitalize()}."
