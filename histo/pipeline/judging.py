"""How well a model finds the nuclei of fields whose truth is known, and if another is better."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo.metrics import bootstrap_intervals
from histo.metrics.evaluation import CellSet, Figure, compare_cells, image_figures
from histo.metrics.overlap import match_shapes
from histo.metrics.shapes import shape_overlap
from histo.nuclei.predict import NucleiModel, find_nuclei
from histo.pipeline.learning import Sample, cells_in

__all__ = ["HEADLINE", "SHOWN", "Judgement", "gain", "judge_model"]

#: The figure that says whether a model got better.
HEADLINE = "shape_f1_iou50"

#: The figures that are shown, in words.
SHOWN: Mapping[str, str] = {
    HEADLINE: "outlines: F1 at IoU 0.5",
    "detection_f1_4um": "detection: F1 within 4 µm",
    "count_ratio": "count bias: nuclei found / true",
    "positive_f1_4um": "positive nuclei: F1 within 4 µm",
}

#: Side of the squares that are drawn to see what chance does, and the least number of them.
SQUARE_UM, LEAST_SQUARES = 64.0, 5


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What a model is worth on some fields.

    Parameters
    ----------
    figures : tuple of Figure
        As `histo evaluate` gives them, pooled over the fields.
    squares : float64 (S, 3)
        For each square of the fields, always in the same order: true nuclei whose outline was
        found (IoU above 0.5), nuclei found, true nuclei.

    Examples
    --------
    >>> figures = (Figure("count_ratio", 1.1, "ratio"),)
    >>> Judgement(figures, np.zeros((0, 3))).value("count_ratio")
    1.1
    """

    figures: tuple[Figure, ...]
    squares: npt.NDArray[np.float64]

    def value(self, name: str) -> float:
        """Return a figure; NaN where it is not among them."""
        return next((one.value for one in self.figures if one.name == name), math.nan)


def judge_model(model: NucleiModel, samples: Iterable[Sample]) -> Judgement:
    """Score a model on fields, pooled over all of them.

    On either side those nuclei count whose centre lies where the field is known. Positive
    nuclei are those of the model's own plane, from one half on.

    Parameters
    ----------
    model : NucleiModel
    samples : iterable of Sample

    Returns
    -------
    Judgement

    References
    ----------
    Caicedo et al., Nat Methods 16:1247 (2019): F1 of nuclei at an IoU of 0.5.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from histo.nuclei import read_card
    >>> from histo.nuclei.network import NucleiNet
    >>> card = replace(read_card("nuclei-brightfield"), widths=(8, 16))
    >>> judge_model(NucleiModel(card, NucleiNet((8, 16))), []).figures
    ()
    """
    total: dict[str, float] = {}
    squares = [np.zeros((0, 3))]
    for sample in samples:
        found, truth = _both_sides(model, sample)
        for name, value in compare_cells(found, truth).items():
            total[name] = total.get(name, 0.0) + value
        squares.append(_squares(sample, found, truth))
    return Judgement(image_figures(total) if total else (), np.concatenate(squares))


def _both_sides(model: NucleiModel, sample: Sample) -> tuple[CellSet, CellSet]:
    """Return what the model finds in a field, and what is true."""
    field, um = sample.field, sample.pixel_size_um
    labels, brown = find_nuclei(field.rgb, model, pixel_size_um=um)
    if not field.classed.any():
        return cells_in(labels, field.known, um), cells_in(field.labels, field.known, um)
    found = cells_in(labels, field.known, um, brown)
    return found, cells_in(field.labels, field.known, um, field.positive)


def _squares(sample: Sample, found: CellSet, truth: CellSet) -> npt.NDArray[np.float64]:
    """Count by squares: true nuclei that were found, found ones, true ones; float64 (S, 3)."""
    rows, columns = (
        math.ceil(length * sample.pixel_size_um / SQUARE_UM) for length in sample.field.labels.shape
    )
    matched = np.zeros((0, 2), np.int64)
    if found.shapes is not None and truth.shapes is not None:
        matched = match_shapes(shape_overlap(found.shapes, truth.shapes))
    counts = []
    for centres in (truth.centres_um[matched[:, 1]], found.centres_um, truth.centres_um):
        row, column = (centres // SQUARE_UM).astype(int).T
        counts.append(np.bincount(row * columns + column, minlength=rows * columns))
    return np.stack(counts, axis=1).astype(np.float64)


def gain(before: Judgement, after: Judgement) -> tuple[float, float, float]:
    """Say by how much outlines got better from one model to the other on the same fields.

    Parameters
    ----------
    before, after : Judgement

    Returns
    -------
    value, low, high : float
        Difference of F1 at IoU 0.5, and its 95 % interval from drawing squares of tissue with
        replacement, the same ones for both; NaN for fewer than `LEAST_SQUARES` squares with
        nuclei.

    Raises
    ------
    ValueError
        If they are of different fields.

    References
    ----------
    Efron, Tibshirani, An Introduction to the Bootstrap (1993), chapter 8: paired data.

    Examples
    --------
    >>> counts = np.array([[3.0, 6, 6]] * 6)
    >>> gain(Judgement((), counts), Judgement((), counts + [1, 0, 0]))
    (0.16666666666666663, 0.16666666666666663, 0.16666666666666663)
    """
    if before.squares.shape != after.squares.shape:
        raise ValueError("before and after must be of the same fields.")
    used = (before.squares[:, 1:].sum(axis=1) + after.squares[:, 1:].sum(axis=1)) > 0
    old, new = before.squares[used], after.squares[used]

    def difference(drawn: npt.NDArray[np.intp]) -> list[float]:
        return [_f1(new[drawn]) - _f1(old[drawn])]

    value = difference(np.arange(len(old)))[0]
    if len(old) < LEAST_SQUARES:
        return value, math.nan, math.nan
    ((low, high),) = bootstrap_intervals(difference, len(old))
    return value, low, high


def _f1(squares: npt.NDArray[np.float64]) -> float:
    matched, found, true = squares.sum(axis=0).tolist()
    return 2 * matched / (found + true) if found + true else math.nan
