"""Compare predictions with truth, image by image, and all together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from histo.batch.pairs import ImagePair
from histo.errors import AnnotationError
from histo.metrics.evaluation import CellSet, Figure, compare_cells, image_figures, pooled_figures
from histo.metrics.shapes import Shapes
from histo.results import CellFile, read_cells, read_region

__all__ = ["Evaluation", "ImageEvaluation", "Scoring", "evaluate_pairs"]

#: Cells beyond a label image by more than this share do not belong to it.
_STRAY = 0.01

#: Below this share of matched cells, files that belong together are unlikely.
_HARDLY_ANY = 0.1

#: Fewer cells than this say little about their image.
_SOME = 10


@dataclass(frozen=True, slots=True)
class Scoring:
    """How predictions and truth are read and compared.

    Parameters
    ----------
    pixel_size_um, truth_pixel_size_um : float, optional
        µm per pixel of files that count in pixels; that of the truth where it differs.
    marker : str, optional
        The marker whose calls are compared.
    positives_only : bool
        The truth marks positive cells and nothing else: only found positive cells are compared.

    Examples
    --------
    >>> Scoring(pixel_size_um=0.5).truth_um
    0.5
    """

    pixel_size_um: float | None = None
    truth_pixel_size_um: float | None = None
    marker: str | None = None
    positives_only: bool = False

    @property
    def truth_um(self) -> float | None:
        """Pixel size of the truth, and of the region, in µm."""
        return self.truth_pixel_size_um or self.pixel_size_um


@dataclass(frozen=True, slots=True)
class ImageEvaluation:
    """The figures of one image.

    Parameters
    ----------
    name : str
    figures : tuple of Figure
    kinds : (str, str)
        What the predictions and the truth were read from.
    notes : tuple of str
        What should be known before the figures are used.

    Examples
    --------
    >>> ImageEvaluation("s1", (Figure("pq", 0.6, "0-1"),), ("GeoJSON", "table"), ()).name
    's1'
    """

    name: str
    figures: tuple[Figure, ...]
    kinds: tuple[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of all images.

    Parameters
    ----------
    pooled : tuple of Figure
    images : tuple of ImageEvaluation

    Examples
    --------
    >>> Evaluation((Figure("pq", 0.6, "0-1"),), ()).pooled[0].value
    0.6
    """

    pooled: tuple[Figure, ...]
    images: tuple[ImageEvaluation, ...]


def evaluate_pairs(pairs: Sequence[ImagePair], scoring: Scoring | None = None) -> Evaluation:
    r"""Compare the predictions of each image with its truth.

    With a region, only cells whose centre lies in it count, on either side; their shapes count
    whole.

    Parameters
    ----------
    pairs : sequence of ImagePair
    scoring : Scoring, optional

    Returns
    -------
    Evaluation

    Raises
    ------
    AnnotationError, ResultError, SlideError
        If a file cannot be read, or does not fit its partner. Nothing is scored then: a
        validation without some of its images would be another one.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> found = Path(tempfile.mkdtemp()) / "s1.csv"
    >>> _ = found.write_text("x_um,y_um\n10,10\n50,50\n")
    >>> evaluation = evaluate_pairs([ImagePair("s1", found, found)])
    >>> {figure.name: figure.value for figure in evaluation.pooled}["detection_f1_4um"]
    1.0
    """
    scoring = scoring or Scoring()
    sums, images = [], []
    for pair in pairs:
        found = read_cells(
            pair.predictions, pixel_size_um=scoring.pixel_size_um, marker=scoring.marker
        )
        truth = read_cells(pair.truth, pixel_size_um=scoring.truth_um, marker=scoring.marker)
        _check_fit(pair, found.cells, truth.cells)
        found, truth = _restricted(pair, scoring, found, truth)
        own = compare_cells(found.cells, truth.cells)
        notes = (
            *(f"predictions: {note}" for note in found.notes),
            *(f"truth: {note}" for note in truth.notes),
            *_doubts(own, found.cells, truth.cells),
            *_doubts_of_scope(pair, scoring, found.cells, truth.cells),
        )
        sums.append(own)
        kinds = found.kind, truth.kind
        images.append(ImageEvaluation(pair.name, image_figures(own), kinds, notes))
    return Evaluation(pooled_figures(sums), tuple(images))


def _check_fit(pair: ImagePair, found: CellSet, truth: CellSet) -> None:
    """Refuse sides of different images, as far as a label image tells."""
    sizes = [None if one.shapes is None else one.shapes.extent_um for one in (found, truth)]
    if sizes[0] is not None and sizes[1] is not None:
        pixel = max(*_pixel(found.shapes), *_pixel(truth.shapes))
        if max(abs(a - b) for a, b in zip(*sizes, strict=True)) > pixel:
            raise AnnotationError(
                f"{pair.name}: the label images are {_size(sizes[0])} (predictions) and "
                f"{_size(sizes[1])} (truth); check --pixel-size and --truth-pixel-size, and that "
                "both show the same image."
            )
        return
    for size, other, file in zip(
        sizes, (truth, found), (pair.predictions, pair.truth), strict=True
    ):
        if size is not None and len(other):
            outside = ((other.centres_um < 0) | (other.centres_um > size)).any(axis=1).mean()
            if outside > _STRAY:
                raise AnnotationError(
                    f"{pair.name}: {outside:.0%} of the other side's cells lie outside of "
                    f"{file.name}, which is {_size(size)}; check --pixel-size and "
                    "--truth-pixel-size, and that both show the same image."
                )


def _pixel(shapes: Shapes | None) -> tuple[float, float]:
    return (0.0, 0.0) if shapes is None else shapes.pixel_size_um


def _size(extent_um: tuple[float, float]) -> str:
    return f"{extent_um[0]:.1f} x {extent_um[1]:.1f} µm"


def _restricted(
    pair: ImagePair, scoring: Scoring, found: CellFile, truth: CellFile
) -> tuple[CellFile, CellFile]:
    """Keep the cells in the region, and the positive ones where only these are compared."""
    region = None
    if pair.region is not None:
        region = read_region(pair.region, pixel_size_um=scoring.truth_um)
    kept = []
    for file, is_truth in ((found, False), (truth, True)):
        cells = file.cells
        if region is not None:
            cells = cells.take(np.flatnonzero(region.contains(cells.centres_um)))
        if scoring.positives_only:
            if cells.positive is None and not is_truth:
                raise AnnotationError(
                    f"{pair.predictions.name}: calls no cell positive or negative, which "
                    "--positives-only needs."
                )
            if cells.positive is not None:
                cells = cells.take(np.flatnonzero(cells.positive))
            cells = replace(cells, positive=None)
        kept.append(replace(file, cells=cells))
    return kept[0], kept[1]


def _doubts(sums: dict[str, float], found: CellSet, truth: CellSet) -> Iterator[str]:
    """Say what makes it doubtful that both sides show the same image."""
    if len(truth) == 0:
        yield "the truth has no cell here: recall is not defined"
    fewer = min(len(found), len(truth))
    if fewer >= _SOME and sums["matched_6um"] < _HARDLY_ANY * fewer:
        yield (
            "hardly any cell has a partner within 6 µm: check the pixel sizes, and that both "
            "sides show the same image"
        )


def _doubts_of_scope(
    pair: ImagePair, scoring: Scoring, found: CellSet, truth: CellSet
) -> Iterator[str]:
    """Say where one side speaks of more cells than the other."""
    if scoring.positives_only or len(truth) == 0:
        return
    if pair.region is None and len(truth) >= _SOME:
        low, high = truth.centres_um.min(axis=0) - 10, truth.centres_um.max(axis=0) + 10
        beyond = int(((found.centres_um < low) | (found.centres_um > high)).any(axis=1).sum())
        if beyond > max(_SOME, 0.05 * len(found)):
            yield (
                f"{beyond} of {len(found)} found cells lie outside of the rectangle that holds "
                "all true ones; where only a part was annotated, give it with --region"
            )
    if truth.positive is not None and truth.positive.all() and not _all_positive(found):
        yield (
            "the truth marks positive cells only: detection figures mean nothing; use "
            "--positives-only"
        )
    if (found.positive is None) != (truth.positive is None):
        side, hint = "predictions call", ""
        if truth.positive is None:
            side, hint = "truth calls", "; if it marks positive cells alone, use --positives-only"
        yield f"the {side} no cell positive or negative: no figure of positive cells{hint}"


def _all_positive(cells: CellSet) -> bool:
    return cells.positive is not None and bool(cells.positive.all())
