"""What a finished batch prints: a table of metrics, what failed, and where the results are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from histo.cli.numbers import number_text, range_text, with_interval
from histo.cli.show import print_json, print_table, stdout_console

if TYPE_CHECKING:
    from histo.batch import BatchSummary
    from histo.batch.tables import SlideRow
    from histo.metrics import Metric

__all__ = ["print_summary", "summary_content"]

_NOTICE = "For Research Use Only. Not for use in diagnostic procedures."


def print_summary(summary: BatchSummary, *, json: bool) -> None:
    """Print what came of a batch on stdout.

    Parameters
    ----------
    summary : BatchSummary
    json : bool
        Print JSON and nothing else.
    """
    if json:
        print_json(summary_content(summary))
        return
    if summary.rows:
        # Intervals need about 110 columns; they are in the files anyway.
        wide = stdout_console().width >= _WIDE
        title = "Metrics [95 % interval]" if wide else "Metrics (intervals are in the files)"
        print_table(title, _COLUMNS, _metric_rows(summary.rows, intervals=wide))
    shares = list(_share_rows(summary.rows))
    if shares:
        print_table("Which cells the signal comes from", _SHARE_COLUMNS, shares)
    lungs = list(_lung_rows(summary.rows))
    if lungs:
        print_table("Metastases in the lung [95 % interval]", _LUNG_COLUMNS, lungs)
    if summary.failed:
        print_table(
            "Failed: these slides have no numbers",
            ["slide", "why"],
            [[failure.folder, failure.error] for failure in summary.failed],
        )
    flagged = [row for row in summary.rows if row.facts["flags"]]
    if flagged:
        print_table(
            "Look at these before their numbers are used",
            ["slide", "flags"],
            [
                [row.facts["slide"], row.facts["flags"].replace("_", " ").replace(";", ", ")]
                for row in flagged
            ],
        )
    corrected = [text for row in summary.rows if (text := _edits_text(row))]
    if corrected:
        typer.echo(f"With the corrections of a reader: {', '.join(corrected)}.")
    skipped = f", {len(summary.skipped)} of them skipped as unchanged" if summary.skipped else ""
    typer.echo(
        f"{len(summary.rows)} slides finished{skipped}, {len(summary.failed)} failed. "
        f"All numbers: {summary.out / 'metrics.csv'}"
    )
    if summary.rows:
        first = summary.out / summary.rows[0].facts["slide"]
        typer.echo(f"Pictures with the calls drawn: {first / 'overview.png'}, and so on.")
    typer.echo(_NOTICE)


def _edits_text(row: SlideRow) -> str:
    """Name a corrected slide and how many of its cells were edited."""
    for metric in row.metrics:
        if metric.name == "edited_cell_count":
            cells = f"{metric.value:,.0f} cells" if metric.value else "regions left out"
            return f"{row.facts['slide']} ({cells})"
    return ""


def summary_content(summary: BatchSummary) -> dict[str, Any]:
    """Return a batch's outcome as JSON takes it.

    Parameters
    ----------
    summary : BatchSummary

    Returns
    -------
    dict
        ``out``, ``metrics_csv``, ``notice``, and ``slides``: one object a slide, with
        ``status`` ``finished``, ``skipped`` or ``failed``.
    """
    from histo.metrics import metrics_to_json

    out = summary.out.absolute()
    finished = [
        {
            **row.facts,
            "status": "skipped" if row.facts["slide"] in summary.skipped else "finished",
            "folder": out / row.facts["slide"],
            "metrics": metrics_to_json(row.metrics),
        }
        for row in summary.rows
    ]
    failed = [
        {"slide": failure.folder, "file": failure.file, "status": "failed", "error": failure.error}
        for failure in summary.failed
    ]
    return {
        "out": out,
        "metrics_csv": out / "metrics.csv",
        "notice": _NOTICE,
        "slides": [*finished, *failed],
    }


_COLUMNS = (
    "slide",
    "cells",
    "marker",
    "positive",
    "per mm²",
    "% cells",
    "H-score",
    "% area",
)
_WIDE = 110


def _metric_rows(rows: Iterable[SlideRow], *, intervals: bool) -> Iterable[Sequence[str]]:
    show = with_interval if intervals else number_text
    for row in rows:
        metrics = {metric.name: metric for metric in row.metrics}
        markers = [name.removesuffix("_h_score") for name in metrics if name.endswith("_h_score")]
        first = [row.facts["slide"], number_text(metrics.get("cell_count"))]
        if not markers:
            density = show(metrics.get("cell_density_per_mm2"))
            yield [*first, "(nuclei)", first[1], density, "", "", ""]
        for index, marker in enumerate(markers):
            yield [
                *(first if index == 0 else ("", "")),
                marker,
                number_text(metrics.get(f"{marker}_count")),
                show(metrics.get(f"{marker}_density_per_mm2")),
                show(metrics.get(f"{marker}_percent")),
                number_text(metrics.get(f"{marker}_h_score")),
                number_text(metrics.get(f"{marker}_positive_area_percent")),
            ]


_BY_BLOCKS = "_blocks_percent"
_SHARE_COLUMNS = ("slide", "share", "n / N", "% [95 %]", "cut-off x 0.8 ... 1.2")


def _share_rows(rows: Iterable[SlideRow]) -> Iterable[Sequence[str]]:
    for row in rows:
        by_name = {metric.name: metric for metric in row.metrics}
        for name, metric in by_name.items():
            if name.endswith(_BY_BLOCKS):
                continue
            if "_given_" in name or "_share_of_" in name:
                # Neighbouring cells are alike: the interval that allows for it is shown.
                blocks = by_name.get(name.removesuffix("_percent") + _BY_BLOCKS, metric)
                yield [
                    row.facts["slide"],
                    _in_words(metric.name),
                    _ratio(metric),
                    with_interval(blocks),
                    range_text(metric.sensitivity_low, metric.sensitivity_high),
                ]


_LUNG_COLUMNS = ("slide", "foci", "per cm²", "from 100 µm on", "lung, mm²", "burden, %")


def _lung_rows(rows: Iterable[SlideRow]) -> Iterable[Sequence[str]]:
    for row in rows:
        metrics = {metric.name: metric for metric in row.metrics}
        if "lung_foci_count" in metrics:
            yield [
                row.facts["slide"],
                with_interval(metrics["lung_foci_count"]),
                with_interval(metrics["lung_foci_per_cm2"]),
                number_text(metrics["lung_foci_count_from_100um"]),
                number_text(metrics["lung_lobe_area_mm2"]),
                number_text(metrics["lung_burden_percent"]),
            ]


def _in_words(name: str) -> str:
    part, _, whole = name.removesuffix("_percent").partition("_given_")
    if whole:
        return f"{part}+ among {whole}+ cells"
    part, _, whole = part.partition("_share_of_")
    return f"{part}+ cells' share of the {whole.replace('_', ' ')}"


def _ratio(metric: Metric) -> str:
    whole = metric.numerator, metric.denominator
    if not all(float(value).is_integer() for value in whole):
        return ""  # sums of signal, not counts
    return f"{metric.numerator:,.0f} / {metric.denominator:,.0f}"
