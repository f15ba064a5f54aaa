"""How well the software agrees with a reader who counted without seeing it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.errors import ResultError
from histo.metrics.agreement import bland_altman, lins_ccc, match_points
from histo.metrics.evaluation import MIN_IMAGES, Figure, figures_to_json
from histo.metrics.intervals import bootstrap_intervals
from histo.metrics.reliability import Estimate, cohens_kappa, icc_agreement
from histo.metrics.stratified import stratified_ratio, stratified_total
from histo.review.count_fields import CountField
from histo.review.recount import Recount

__all__ = ["MATCH_UM", "CountAgreement", "compare_recount", "explain_recount", "write_recount"]

#: A click stands for a cell of the software whose centre is no farther away: half a nucleus.
MATCH_UM = 4.0

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Counts of cells that the figures of a field are made of; columns of the table of fields.
_SUMS = (
    "both_positive",
    "only_reader",
    "only_software",
    "both_negative",
    "clicks_inner",
    "clicks_matched",
    "software_inner",
    "software_matched",
    "cells_clicked_inner",
    "cells_clicked_matched",
    "cells_inner",
    "cells_matched",
)


@dataclass(frozen=True, slots=True, eq=False)
class CountAgreement:
    """A recount beside what the software counted.

    Parameters
    ----------
    recount : Recount
    fields : DataFrame
        One row a counted field: place, stratum, weight, ``reader``, ``software``, and the cells
        that were paired.
    figures : tuple of Figure
        docs/recount.md explains each.
    """

    recount: Recount
    fields: pd.DataFrame
    figures: tuple[Figure, ...]

    def figure(self, name: str) -> Figure:
        """Return a figure by its name.

        Raises
        ------
        KeyError
            If it could not be computed.
        """
        for one in self.figures:
            if one.name == name:
                return one
        raise KeyError(name)


def compare_recount(recount: Recount, cells: pd.DataFrame) -> CountAgreement:
    """Compare what a reader counted with the software's calls.

    Parameters
    ----------
    recount : Recount
        Fields that are not finished are left out.
    cells : DataFrame
        The cell table with the calls to judge; they may be others than when the fields were
        drawn. Excluded cells do not count.

    Returns
    -------
    CountAgreement

    Raises
    ------
    ResultError
        If fewer than two fields are finished.
    ValueError
        If the table has no calls of the marker.
    """
    column = f"{recount.plan.marker}_positive"
    if column not in cells:
        raise ValueError(f"the cell table has no calls of {recount.plan.marker}.")
    counted = [index for index, done in enumerate(recount.done) if done]
    if len(counted) < 2:
        raise ResultError(
            f"{recount.path.name}: fewer than two fields are finished; count some more."
        )
    cells = cells[(cells["compartment"] != "excluded").to_numpy(bool)]
    places = cells[["y_um", "x_um"]].to_numpy(np.float64)
    positive = cells[column].to_numpy(bool)
    weights = recount.plan.weights
    rows = []
    for index in counted:
        field = recount.plan.fields[index]
        rows.append(
            {
                "field": index + 1,
                "y_um": field.y_um,
                "x_um": field.x_um,
                "side_um": field.side_um,
                "stratum": recount.plan.strata[field.stratum].name,
                "weight": float(weights[index]),
                "reader": int(recount.positive[index].sum()),
                "software": int(positive[field.contains(places)].sum()),
                **_pairs(field, recount, index, places=places, positive=positive),
            }
        )
    table = pd.DataFrame(rows)
    groups = np.array([recount.plan.fields[index].stratum for index in counted])
    figures = [
        *_count_figures(table),
        *_cell_figures(table, recount.both_classes),
        *_slide_figures(table, groups, recount),
    ]
    return CountAgreement(recount, table, tuple(figures))


def _pairs(
    field: CountField, recount: Recount, index: int, *, places: Floats, positive: Bools
) -> dict[str, int]:
    """Pair clicks with the software's cells, and count what became of either.

    Whoever lies within `MATCH_UM` of the border may have its partner outside: it can be a
    partner, but is not counted itself.
    """
    clicks, called = recount.clicks[index], recount.positive[index]
    inside = field.contains(places)
    places, positive = places[inside], positive[inside]
    inner_click = field.contains(clicks, inner_um=MATCH_UM)
    inner_cell = field.contains(places, inner_um=MATCH_UM)
    every = match_points(places, clicks, MATCH_UM)
    partner = np.full(len(places), -1)
    partner[every[:, 0]] = every[:, 1]
    reader = np.zeros(len(places), bool)
    reader[every[:, 0]] = called[every[:, 1]]
    # Who marks positive cells alone has called each other cell negative by passing it over.
    judged = inner_cell & ((partner >= 0) | (not recount.both_classes))
    own = match_points(places[positive], clicks[called], MATCH_UM)
    sums = dict.fromkeys(_SUMS, 0)
    sums["both_positive"] = int((judged & positive & reader).sum())
    sums["only_reader"] = int((judged & ~positive & reader).sum())
    sums["only_software"] = int((judged & positive & ~reader).sum())
    sums["both_negative"] = int((judged & ~positive & ~reader).sum())
    sums["clicks_inner"] = int(inner_click[called].sum())
    sums["clicks_matched"] = int(inner_click[called][own[:, 1]].sum())
    sums["software_inner"] = int(inner_cell[positive].sum())
    sums["software_matched"] = int(inner_cell[positive][own[:, 0]].sum())
    sums["cells_clicked_inner"] = int(inner_click.sum())
    sums["cells_clicked_matched"] = int(inner_click[every[:, 1]].sum())
    sums["cells_inner"] = int(inner_cell.sum())
    sums["cells_matched"] = int(inner_cell[every[:, 0]].sum())
    return sums


# -- figures ------------------------------------------------------------------------------


def _count_figures(table: pd.DataFrame) -> list[Figure]:
    counts = table[["software", "reader"]].to_numpy(np.float64)
    n = len(counts)
    icc = icc_agreement(counts)

    def values(drawn: npt.NDArray[np.intp]) -> list[float]:
        found, truth = counts[drawn].T
        limits = bland_altman(found, truth)
        return [
            lins_ccc(found, truth),
            limits.bias,
            limits.low,
            limits.high,
            limits.ratio,
            limits.ratio_low,
            limits.ratio_high,
        ]

    names = {
        "count_ccc": "-1-1",
        "count_bias": "cells",
        "count_limit_low": "cells",
        "count_limit_high": "cells",
        "count_bias_ratio": "ratio",
        "count_limit_low_ratio": "ratio",
        "count_limit_high_ratio": "ratio",
    }
    software, reader = (float(total) for total in counts.sum(axis=0))
    return [
        Figure("fields", n, "fields", images=n),
        Figure("reader_positive", reader, "cells", images=n),
        Figure("software_positive", software, "cells", images=n),
        Figure("icc_2_1", icc.value, "-1-1", icc.low, icc.high, images=n),
        *_bootstrapped(values, names, n),
    ]


def _cell_figures(table: pd.DataFrame, both_classes: bool) -> list[Figure]:
    sums = table[list(_SUMS)].to_numpy(np.float64)
    at = {name: index for index, name in enumerate(_SUMS)}
    n = len(sums)

    def values(drawn: npt.NDArray[np.intp]) -> list[float]:
        total = sums[drawn].sum(axis=0)
        one = {name: float(total[index]) for name, index in at.items()}
        a, b = one["both_positive"], one["only_reader"]
        c, d = one["only_software"], one["both_negative"]
        precision = _ratio(one["software_matched"], one["software_inner"])
        recall = _ratio(one["clicks_matched"], one["clicks_inner"])
        f1 = _both(one, "software_matched", "clicks_matched", "software_inner", "clicks_inner")
        found = _both(
            one, "cells_matched", "cells_clicked_matched", "cells_inner", "cells_clicked_inner"
        )
        return [
            cohens_kappa([[a, b], [c, d]]).value,
            _ratio(2 * a, 2 * a + b + c),
            _ratio(2 * d, 2 * d + b + c),
            precision,
            recall,
            f1,
            *([found] if both_classes else []),
        ]

    names = {
        "cell_kappa": "-1-1",
        "positive_agreement": "0-1",
        "negative_agreement": "0-1",
        "positive_precision_4um": "0-1",
        "positive_recall_4um": "0-1",
        "positive_f1_4um": "0-1",
        **({"detection_f1_4um": "0-1"} if both_classes else {}),
    }
    return list(_bootstrapped(values, names, n))


def _ratio(over: float, under: float) -> float:
    return over / under if under else math.nan


def _both(one: dict[str, float], *names: str) -> float:
    """Return F1 from what is matched of either side."""
    # Either side loses other partners to the border, so both are counted.
    matched, also, found, truth = (one[name] for name in names)
    return _ratio(matched + also, found + truth)


def _bootstrapped(
    values: Callable[[npt.NDArray[np.intp]], list[float]], names: dict[str, str], n: int
) -> list[Figure]:
    """Return figures with intervals from drawing fields; none for fewer than five fields."""
    intervals = [(math.nan, math.nan)] * len(names)
    if n >= MIN_IMAGES:
        intervals = bootstrap_intervals(values, n, resamples=1000)
    return [
        Figure(name, value, unit, low, high, images=n)
        for (name, unit), value, (low, high) in zip(
            names.items(), values(np.arange(n)), intervals, strict=True
        )
    ]


def _slide_figures(
    table: pd.DataFrame, groups: npt.NDArray[np.int64], recount: Recount
) -> list[Figure]:
    """Extrapolate from the drawn fields to all of the slide's."""
    sizes = [one.fields for one in recount.plan.strata]
    reader, software = table["reader"].to_numpy(float), table["software"].to_numpy(float)

    def figure(name: str, one: Estimate, unit: str) -> Figure:
        return Figure(name, one.value, unit, one.low, one.high, images=len(table))

    return [
        figure("slide_reader_positive", stratified_total(reader, groups, sizes), "cells"),
        figure("slide_software_positive", stratified_total(software, groups, sizes), "cells"),
        figure("slide_count_ratio", stratified_ratio(software, reader, groups, sizes), "ratio"),
    ]


# -- words and files ----------------------------------------------------------------------

#: Lower bounds of words for ICC.
_WORDS = ((0.9, "excellent"), (0.75, "good"), (0.5, "moderate"), (-1.0, "poor"))


def explain_recount(agreement: CountAgreement) -> tuple[str, ...]:
    """Say what the figures mean, in sentences.

    References
    ----------
    Koo, Li, A guideline of selecting and reporting intraclass correlation coefficients, J
    Chiropr Med 15:155 (2016): poor below 0.5, moderate to 0.75, good to 0.9; by the interval.
    """
    icc, ratio = agreement.figure("icc_2_1"), agreement.figure("slide_count_ratio")
    kappa, f1 = agreement.figure("cell_kappa"), agreement.figure("positive_f1_4um")
    words = []
    if math.isnan(icc.value):
        words.append("All counts are equal, so that agreement between fields cannot be judged.")
    else:
        words.append(f"Counts: {_span_of_words(icc)} agreement, ICC(2,1) {_shown(icc)}.")
    if not math.isnan(ratio.value):
        words.append(_bias_words(ratio))
    if not math.isnan(kappa.value):
        words.append(f"Cell by cell: kappa {_shown(kappa)}, F1 of positive cells {_shown(f1)}.")
    left = len(agreement.recount.done) - len(agreement.fields)
    if left:
        words.append(f"{left} field{'s are' if left > 1 else ' is'} not counted yet.")
    return tuple(words)


def _span_of_words(icc: Figure) -> str:
    if math.isnan(icc.low):
        return _word(icc.value)
    low, high = _word(icc.low), _word(icc.high)
    return low if low == high else f"{low} to {high}"


def _word(value: float) -> str:
    return next(word for bound, word in _WORDS if value >= bound)


def _bias_words(ratio: Figure) -> str:
    change = ratio.value - 1
    sure = ratio.low > 1 or ratio.high < 1
    how = "more" if change > 0 else "fewer"
    said = f"Bias: the software counts {abs(change):.0%} {how} positive cells than the reader"
    if abs(change) < 0.005:
        said = "Bias: the software counts as many positive cells as the reader"
    if math.isnan(ratio.low):
        return f"{said}."
    chance = "" if sure else "; chance can explain that"
    return f"{said} (software / reader {_shown(ratio)}{chance})."


def _shown(figure: Figure) -> str:
    if math.isnan(figure.low):
        return f"{figure.value:.2f}"
    return f"{figure.value:.2f} [{figure.low:.2f} to {figure.high:.2f}]"


def write_recount(
    agreement: CountAgreement, folder: str | Path, *, about: dict[str, Any] | None = None
) -> tuple[Path, Path, Path]:
    """Write the table of fields (CSV), the figures (JSON) and Bland and Altman's picture (PNG).

    Parameters
    ----------
    agreement : CountAgreement
    folder : path
        Where to; the names begin like that of the recount.
    about : dict, optional
        What else to record, such as thresholds and model.

    Returns
    -------
    csv, json, png : Path

    Raises
    ------
    ResultError
        If they cannot be written.
    """
    from histo.results import replace_file, write_metrics_csv, write_png

    recount = agreement.recount
    stem = Path(folder) / recount.path.stem
    csv, figures, png = (stem.with_name(f"{stem.name}-{end}") for end in _ENDS)
    write_metrics_csv(csv, agreement.fields.to_dict("records"))  # type: ignore[arg-type]
    content = {
        "slide": recount.slide,
        "marker": recount.plan.marker,
        "reader": recount.reader,
        "started": recount.started,
        "match_um": MATCH_UM,
        "side_um": recount.plan.side_um,
        "seed": recount.plan.seed,
        "both_classes": recount.both_classes,
        "fields_counted": len(agreement.fields),
        "fields_planned": len(recount.plan.fields),
        **(about or {}),
        "words": list(explain_recount(agreement)),
        "figures": figures_to_json(agreement.figures),
    }
    with replace_file(figures) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    write_png(png, draw_recount(agreement))
    return csv, figures, png


_ENDS = ("fields.csv", "agreement.json", "agreement.png")


def draw_recount(agreement: CountAgreement) -> npt.NDArray[np.uint8]:
    """Draw the software's counts over the reader's, field by field; uint8 (Y, X, 3)."""
    from histo.results import draw_bland_altman

    counts = agreement.fields[["software", "reader"]].to_numpy(np.float64)
    names = [str(number) for number in agreement.fields["field"]]
    marker = agreement.recount.plan.marker.upper()
    return draw_bland_altman({f"{marker}+ cells": counts}, names, of="fields")
