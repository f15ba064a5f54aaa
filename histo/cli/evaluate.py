"""``histo evaluate``: files to a comparison, and a comparison to the screen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from histo.cli.show import print_json, print_table
from histo.cli.usage import check_pixel_size, usage_problems

if TYPE_CHECKING:
    from histo.batch import Evaluation, Pairing
    from histo.metrics.evaluation import Figure

__all__ = ["EvaluateOptions", "evaluate_files", "print_evaluation"]

_NOTICE = "For Research Use Only. Not for use in diagnostic procedures."


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """The options of ``histo evaluate`` that say how files are compared, as they were typed.

    Parameters
    ----------
    pixel_size_um, truth_pixel_size_um : float, optional
        µm per pixel.
    region : Path, optional
    marker : str, optional
    positives_only : bool

    Examples
    --------
    >>> EvaluateOptions(0.5).positives_only
    False
    """

    pixel_size_um: float | None = None
    truth_pixel_size_um: float | None = None
    region: Path | None = None
    marker: str | None = None
    positives_only: bool = False


def evaluate_files(
    predictions: Path, truth: Path, out: Path, options: EvaluateOptions, *, json: bool
) -> int:
    r"""Compare files, write the figures and print them.

    Parameters
    ----------
    predictions, truth : Path
        Two files, or two folders.
    out : Path
    options : EvaluateOptions
    json : bool

    Returns
    -------
    int
        0.

    Raises
    ------
    UsageError
        If the command cannot start as given.
    AnnotationError, ResultError, SlideError
        If a file cannot be read, or does not fit its partner.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> _ = (place / "a.csv").write_text("x_um,y_um\n10,20\n")
    >>> options = EvaluateOptions()
    >>> evaluate_files(place / "a.csv", place / "a.csv", place / "out", options, json=False)
    Agreement
      figure                          value                         made of
    ...
    For Research Use Only. Not for use in diagnostic procedures.
    0
    """
    check_pixel_size(options.pixel_size_um)
    check_pixel_size(options.truth_pixel_size_um, "--truth-pixel-size")
    # Only now: what reads and computes takes a second to load.
    from histo.batch import (
        Scoring,
        evaluate_pairs,
        evaluation_record,
        pair_files,
        write_evaluation,
    )
    from histo.results import check_writable

    with usage_problems():
        pairing = pair_files(predictions, truth, options.region)
        check_writable(out)
    scoring = Scoring(
        options.pixel_size_um,
        options.truth_pixel_size_um,
        options.marker,
        options.positives_only,
    )
    evaluation = evaluate_pairs(pairing.pairs, scoring)
    record = evaluation_record(evaluation, pairing, scoring)
    paths = write_evaluation(out, evaluation, record)
    if json:
        print_json(record)
        return 0
    print_evaluation(evaluation, pairing, positives_only=options.positives_only)
    typer.echo(f"All figures: {', '.join(str(path) for path in paths)}")
    typer.echo(_NOTICE)
    return 0


def print_evaluation(
    evaluation: Evaluation, pairing: Pairing, *, positives_only: bool = False
) -> None:
    """Print the figures, pooled and by image, and what should be known of them.

    Parameters
    ----------
    evaluation : Evaluation
    pairing : Pairing
    positives_only : bool
        Only positive cells were compared; the title says so.

    Examples
    --------
    >>> from histo.batch import Evaluation, Pairing
    >>> from histo.metrics.evaluation import Figure
    >>> pooled = (Figure("pq", 0.61, "0-1", images=5), Figure("dice", 0.8, "0-1", images=5))
    >>> print_evaluation(Evaluation(pooled, ()), Pairing((), ("s3.csv",)))
    Agreement, 0 images pooled
      figure           value    made of
     ───────────────────────────────────
      outlines: PQ     0.610   5 images
      outlines: Dice   0.800   5 images
    Not scored, predictions without truth: s3.csv
    """
    from histo.metrics.evaluation import MIN_IMAGES

    images = evaluation.images
    title = "Agreement of positive cells" if positives_only else "Agreement"
    title += "" if len(images) == 1 else f", {len(images)} images pooled"
    rows = list(_pooled_rows(evaluation.pooled))
    intervals = any(row[2] for row in rows)
    fewest = min(figure.images for figure in evaluation.pooled)
    columns = ["figure", "value", "95 % over images", "made of"]
    if not intervals:
        columns, rows = columns[:2] + columns[3:], [row[:2] + row[3:] for row in rows]
    note = f"Intervals need {MIN_IMAGES} images or more." if fewest < MIN_IMAGES else ""
    print_table(title, columns, rows, note=note)
    if len(images) > 1:
        names = [name for name in _IMAGE_COLUMNS if any(_has(name, one.figures) for one in images)]
        print_table(
            "By image",
            ["image", *(_IMAGE_COLUMNS[name] for name in names)],
            [[one.name, *_image_cells(names, one.figures)] for one in images],
        )
    for side, lonely in (
        ("predictions without truth", pairing.lonely_predictions),
        ("truth without predictions", pairing.lonely_truth),
    ):
        if lonely:
            typer.echo(f"Not scored, {side}: {', '.join(lonely)}")
    for one in images:
        for words in one.notes:
            typer.echo(f"{one.name}: {words}.")


#: What is printed, with its words; the files hold the rest.
_POOLED = {
    "detection_f1_3um": "detection F1 within 3 µm",
    "detection_f1_4um": "detection F1 within 4 µm",
    "detection_f1_6um": "detection F1 within 6 µm",
    "detection_precision_4um": "detection precision within 4 µm",
    "detection_recall_4um": "detection recall within 4 µm",
    "count_ratio": "count, found / true",
    "shape_f1_iou50": "outlines: F1 at IoU 0.5",
    "shape_f1_mean_iou50_90": "outlines: F1, mean of IoU 0.5-0.9",
    "shape_ap_iou50": "outlines: AP at IoU 0.5",
    "pq": "outlines: PQ",
    "sq": "outlines: SQ",
    "rq": "outlines: RQ",
    "aji": "outlines: AJI",
    "dice": "outlines: Dice",
    "positive_f1_3um": "positive cells: F1 within 3 µm",
    "positive_f1_4um": "positive cells: F1 within 4 µm",
    "positive_f1_6um": "positive cells: F1 within 6 µm",
    "positive_precision_4um": "positive cells: precision within 4 µm",
    "positive_recall_4um": "positive cells: recall within 4 µm",
    "positive_count_ratio": "positive cells: count, found / true",
    "count_ccc": "Lin's CCC of counts",
    "positive_count_ccc": "Lin's CCC of positive counts",
}

#: Ratios of areas, and of sums of IoU.
_NO_COUNTS = {"shape_f1_mean_iou50_90", "pq", "sq", "aji", "dice"}

#: Bias, and its limits, as they stand in one row.
_LIMITS = {
    "count_bias_ratio": ("count_limit_{}_ratio", "counts, found / true: mean (limits)"),
    "count_bias": ("count_limit_{}", "counts, found - true: mean (limits)"),
    "positive_count_bias_ratio": (
        "positive_count_limit_{}_ratio",
        "positive counts, found / true: mean (limits)",
    ),
    "positive_count_bias": (
        "positive_count_limit_{}",
        "positive counts, found - true: mean (limits)",
    ),
}

_IMAGE_COLUMNS = {
    "count_ratio": "found / true",
    "detection_f1_4um": "F1 4 µm",
    "detection_f1_6um": "F1 6 µm",
    "shape_f1_iou50": "F1 IoU 0.5",
    "pq": "PQ",
    "aji": "AJI",
    "dice": "Dice",
    "positive_count_ratio": "positive found / true",
    "positive_f1_4um": "positive F1 4 µm",
    "positive_f1_6um": "positive F1 6 µm",
}


def _pooled_rows(figures: Iterable[Figure]) -> Iterable[list[str]]:
    named = {figure.name: figure for figure in figures}
    for name, words in _POOLED.items():
        if name in named:
            figure = named[name]
            yield [words, _text(figure.value), _range(figure.low, figure.high), _parts(figure)]
    for name, (pattern, words) in _LIMITS.items():
        if name in named:
            figure = named[name]
            low, high = (named[pattern.format(end)].value for end in ("low", "high"))
            value = f"{_text(figure.value)} ({_range(low, high)})"
            yield [words, value, _range(figure.low, figure.high), f"{figure.images} images"]


def _has(name: str, figures: Iterable[Figure]) -> bool:
    return any(figure.name == name for figure in figures)


def _image_cells(names: Sequence[str], figures: Iterable[Figure]) -> Iterable[str]:
    named = {figure.name: figure for figure in figures}
    for name in names:
        figure = named.get(name)
        if figure is None:
            yield ""
        elif figure.unit == "ratio":
            yield f"{figure.numerator:,.0f} / {figure.denominator:,.0f}"
        else:
            yield _text(figure.value)


def _parts(figure: Figure) -> str:
    """Say what a ratio was made of, where that are counts."""
    if figure.name in _NO_COUNTS or math.isnan(figure.denominator):
        return f"{figure.images} images" if figure.images > 1 else ""
    twice = 2 if "_f1_" in figure.name or figure.name == "rq" else 1
    over = f"{figure.numerator / twice:,.0f}"
    over = f"2 x {over}" if twice == 2 else over
    return f"{over} / {figure.denominator:,.0f} {figure.denominator_name}"


def _range(low: float, high: float) -> str:
    """Write two bounds; with "to", since either may be negative."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"{_text(low)} to {_text(high)}"


def _text(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
