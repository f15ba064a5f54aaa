"""How well found cells agree with a reader's: sums of each image, and figures made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.metrics.agreement import bland_altman, lins_ccc, match_points
from histo.metrics.intervals import bootstrap_intervals
from histo.metrics.overlap import IOU_STEPS, shape_sums
from histo.metrics.shapes import Shapes, shape_overlap

__all__ = [
    "MIN_IMAGES",
    "RADII_UM",
    "CellSet",
    "Figure",
    "compare_cells",
    "figures_to_json",
    "image_figures",
    "pooled_figures",
]

#: Largest distance of a found cell from a true one that it stands for, in µm.
RADII_UM = (3.0, 4.0, 6.0)

#: Below this number of images no interval is given: resampling them would show next to nothing.
MIN_IMAGES = 5

Sums = Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class CellSet:
    """The cells that one side names on an image.

    Parameters
    ----------
    centres_um : float64 (N, 2)
        Positions (y, x) in µm from the image's top left corner.
    positive : bool (N,), optional
        Which are positive for the marker; None where nothing is called.
    shapes : LabelShapes or OutlineShapes, optional
        One shape a cell, in the same order; None where only points are known.

    Raises
    ------
    ValueError
        If the parts differ in length, or a position is not finite.

    Examples
    --------
    >>> cells = CellSet(np.array([[3.0, 4], [9, 9]]), np.array([True, False]))
    >>> len(cells), cells.take(np.array([1])).centres_um.tolist()
    (2, [[9.0, 9.0]])
    """

    centres_um: npt.NDArray[np.float64]
    positive: npt.NDArray[np.bool_] | None = None
    shapes: Shapes | None = None

    def __post_init__(self) -> None:
        centres = np.array(self.centres_um, np.float64).reshape(-1, 2)
        if not np.isfinite(centres).all():
            raise ValueError("centres_um must be finite.")
        centres.flags.writeable = False
        object.__setattr__(self, "centres_um", centres)
        if self.positive is not None:
            positive = np.array(self.positive, bool)
            positive.flags.writeable = False
            object.__setattr__(self, "positive", positive)
            if len(positive) != len(centres):
                raise ValueError(f"{len(centres)} cells, but {len(positive)} calls.")
        if self.shapes is not None and self.shapes.count != len(centres):
            raise ValueError(f"{len(centres)} cells, but {self.shapes.count} shapes.")

    def __len__(self) -> int:
        return len(self.centres_um)

    def take(self, rows: npt.NDArray[np.integer]) -> CellSet:
        """Return some of the cells, int (K,) of their rows, in the given order."""
        rows = np.asarray(rows, np.int64)
        return CellSet(
            self.centres_um[rows],
            None if self.positive is None else self.positive[rows],
            None if self.shapes is None else self.shapes.take(rows),
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of agreement.

    Parameters
    ----------
    name : str
        E.g. ``detection_f1_4um``; docs/evaluate.md explains each.
    value : float
        NaN where it is not defined.
    unit : str
        ``0-1``, ``ratio``, ``cells``, or ``-1-1`` (a correlation).
    low, high : float
        95 % bootstrap interval over images; NaN below five images, and for a single image.
    numerator, denominator : float
        What a ratio was made from; NaN for others.
    denominator_name : str
        What the denominator is, in words.
    images : int
        How many images it is made of.

    Examples
    --------
    >>> Figure("detection_f1_4um", 0.8, "0-1").images
    1
    """

    name: str
    value: float
    unit: str
    low: float = math.nan
    high: float = math.nan
    numerator: float = math.nan
    denominator: float = math.nan
    denominator_name: str = ""
    images: int = 1


def figures_to_json(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Return figures as JSON takes them; NaN becomes None.

    Examples
    --------
    >>> figures_to_json([Figure("pq", math.nan, "0-1")])[0]["value"] is None
    True
    """
    return [
        {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(figure).items()
        }
        for figure in figures
    ]


def compare_cells(
    found: CellSet, truth: CellSet, *, radii_um: Sequence[float] = RADII_UM
) -> dict[str, float]:
    """Return the sums that the figures of one image are ratios of; images are pooled by adding.

    Cells are matched one to one by the distance of their centres. Positive cells are matched
    with positive cells alone, since what is counted are positive cells: one that is called on
    the wrong neighbour is a false and a missed one.

    Parameters
    ----------
    found, truth : CellSet
        Of the same image.
    radii_um : sequence of float
        Largest distances of a pair, in µm.

    Returns
    -------
    dict of str to float
        ``found``, ``true`` (cells) and ``matched_<radius>um``; the same of positive cells as
        ``positive_...`` where both sides have calls; those of
        :func:`histo.metrics.overlap.shape_sums` where both have shapes.

    Examples
    --------
    >>> found = CellSet(np.array([[0.0, 0], [50, 50]]))
    >>> sums = compare_cells(found, CellSet(np.array([[0.0, 3.5]])))
    >>> sums["found"], sums["true"], sums["matched_3um"], sums["matched_4um"]
    (2.0, 1.0, 0.0, 1.0)
    """
    sums = _point_sums("", found.centres_um, truth.centres_um, radii_um)
    if found.positive is not None and truth.positive is not None:
        called, true = found.centres_um[found.positive], truth.centres_um[truth.positive]
        sums |= _point_sums("positive_", called, true, radii_um)
    if found.shapes is not None and truth.shapes is not None:
        sums |= shape_sums(shape_overlap(found.shapes, truth.shapes))
    return sums


def _point_sums(
    group: str,
    found: npt.NDArray[np.float64],
    truth: npt.NDArray[np.float64],
    radii_um: Sequence[float],
) -> dict[str, float]:
    sums = {f"{group}found": float(len(found)), f"{group}true": float(len(truth))}
    for radius in radii_um:
        pairs = match_points(found, truth, radius)
        sums[f"{group}matched_{radius:g}um"] = float(len(pairs))
    return sums


@dataclass(frozen=True, slots=True)
class _Ratio:
    """A figure that is one weighted sum over another."""

    name: str
    over: Mapping[str, float]
    under: Mapping[str, float]
    under_name: str
    unit: str = "0-1"

    def of(self, sums: Sums) -> tuple[float, float, float]:
        """Return value, numerator and denominator; NaN for a ratio of nothing."""
        over, under = (
            math.fsum(weight * sums[name] for name, weight in part.items())
            for part in (self.over, self.under)
        )
        return over / under if under else math.nan, over, under

    def fits(self, sums: Sums) -> bool:
        """Whether an image has what the figure is made of."""
        return all(name in sums for name in (*self.over, *self.under))


def _point_ratios(group: str, prefix: str, what: str) -> Iterator[_Ratio]:
    found, true = f"{group}found", f"{group}true"
    for radius in RADII_UM:
        matched, end = f"{group}matched_{radius:g}um", f"{radius:g}um"
        yield _Ratio(f"{prefix}_precision_{end}", {matched: 1}, {found: 1}, f"{what}cells found")
        yield _Ratio(f"{prefix}_recall_{end}", {matched: 1}, {true: 1}, f"true {what}cells")
        both = {found: 1.0, true: 1.0}
        yield _Ratio(f"{prefix}_f1_{end}", {matched: 2}, both, f"{what}cells found + true")
    count = "count_ratio" if not group else "positive_count_ratio"
    yield _Ratio(count, {found: 1}, {true: 1}, f"true {what}cells", "ratio")


def _shape_ratios() -> Iterator[_Ratio]:
    both, words = {"shapes_found": 1.0, "shapes_true": 1.0}, "shapes found + true"
    for step in IOU_STEPS:
        yield _Ratio(f"shape_f1_iou{step}", {f"matched_iou{step}": 2}, both, words)
    steps = {f"matched_iou{step}": 2.0 for step in IOU_STEPS}
    each = {name: float(len(IOU_STEPS)) for name in both}
    yield _Ratio("shape_f1_mean_iou50_90", steps, each, f"{words}, at each IoU")
    either = {**both, "matched_iou50": -1.0}
    yield _Ratio("shape_ap_iou50", {"matched_iou50": 1}, either, "pairs + false + missed shapes")
    yield _Ratio("pq", {"iou_sum": 2}, both, words)
    yield _Ratio("sq", {"iou_sum": 1}, {"matched_iou50": 1}, "matched shapes")
    yield _Ratio("rq", {"matched_iou50": 2}, both, words)
    union = {"jaccard_union_um2": 1.0}
    yield _Ratio("aji", {"jaccard_common_um2": 1}, union, "µm² of the union")
    areas = {"found_um2": 1.0, "true_um2": 1.0}
    yield _Ratio("dice", {"common_um2": 2}, areas, "µm² found + true")


_RATIOS = (
    *_point_ratios("", "detection", ""),
    *_point_ratios("positive_", "positive", "positive "),
    *_shape_ratios(),
)

#: Counts that are figures themselves.
_COUNTS = {
    "cells_found": "found",
    "cells_true": "true",
    "positive_cells_found": "positive_found",
    "positive_cells_true": "positive_true",
}


def image_figures(sums: Sums) -> tuple[Figure, ...]:
    """Return the figures of one image.

    Parameters
    ----------
    sums : mapping of str to float
        From :func:`compare_cells`.

    Returns
    -------
    tuple of Figure
        Counts first, then ratios; those for which the image has nothing are left out.

    Examples
    --------
    >>> figures = image_figures({"found": 10, "true": 12, "matched_4um": 8})
    >>> [(figure.name, round(figure.value, 3)) for figure in figures if "4um" in figure.name]
    [('detection_precision_4um', 0.8), ('detection_recall_4um', 0.667), ('detection_f1_4um', 0.727)]
    """
    return pooled_figures([sums])


def pooled_figures(images: Sequence[Sums], *, resamples: int = 2000) -> tuple[Figure, ...]:
    """Return the figures of several images together.

    Ratios are pooled: the sums of all images are added before they are divided, so that an
    image counts as much as its cells. From two images on, concordance and limits of agreement
    of the counts follow; from five on, every figure has an interval that comes from drawing
    images, with replacement.

    Parameters
    ----------
    images : sequence of mapping
        From :func:`compare_cells`, one an image.
    resamples : int
        How often images are drawn.

    Returns
    -------
    tuple of Figure
        A figure is made of the images that have what it needs.

    References
    ----------
    Kirillov et al., CVPR (2019): pq = sq * rq. Caicedo et al., Nat Methods 16:1247 (2019): the
    average precision of one IoU, pairs / (pairs + false + missed). Lin, Biometrics 45:255
    (1989). Bland, Altman, Lancet 327:307 (1986).

    Examples
    --------
    >>> images = [{"found": n + 1, "true": n, "matched_4um": n} for n in (9, 19, 29)]
    >>> figures = {figure.name: figure for figure in pooled_figures(images)}
    >>> figures["detection_f1_4um"].value == 2 * 57 / (57 + 60), figures["count_bias"].value
    (True, 1.0)
    """
    figures = [
        Figure(name, math.fsum(sums[key] for sums in having), "cells", images=len(having))
        for name, key in _COUNTS.items()
        if (having := [sums for sums in images if key in sums])
    ]
    for ratio in _RATIOS:
        having = [sums for sums in images if ratio.fits(sums)]
        if having:
            figures.append(_pooled_ratio(ratio, having, resamples))
    for prefix, group in (("", ""), ("positive_", "positive_")):
        having = [sums for sums in images if f"{group}found" in sums]
        if len(having) > 1:
            counts = np.array([[sums[f"{group}found"], sums[f"{group}true"]] for sums in having])
            figures += _agreement(prefix, counts, resamples)
    return tuple(figures)


def _pooled_ratio(ratio: _Ratio, images: Sequence[Sums], resamples: int) -> Figure:
    parts = np.array([ratio.of(sums)[1:] for sums in images])
    over, under = parts.sum(axis=0).tolist()

    def value(drawn: npt.NDArray[np.intp]) -> list[float]:
        total = parts[drawn].sum(axis=0)
        return [total[0] / total[1] if total[1] else math.nan]

    ((low, high),) = _intervals(value, len(images), 1, resamples)
    pooled = over / under if under else math.nan
    unit, name = ratio.unit, ratio.under_name
    return Figure(ratio.name, pooled, unit, low, high, over, under, name, len(images))


#: Units of the figures that compare the counts of several images, in order.
_AGREEMENT = {
    "count_ccc": "-1-1",
    "count_bias": "cells",
    "count_limit_low": "cells",
    "count_limit_high": "cells",
    "count_bias_ratio": "ratio",
    "count_limit_low_ratio": "ratio",
    "count_limit_high_ratio": "ratio",
}


def _agreement(prefix: str, counts: npt.NDArray[np.float64], resamples: int) -> Iterator[Figure]:
    """Yield concordance, bias and limits of agreement of counts, float64 (images, 2)."""

    def values(drawn: npt.NDArray[np.intp]) -> list[float]:
        found, truth = counts[drawn].T
        return [lins_ccc(found, truth), *astuple(bland_altman(found, truth))]

    n = len(counts)
    intervals = _intervals(values, n, len(_AGREEMENT), resamples)
    all_images = values(np.arange(n))
    for (name, unit), value, (low, high) in zip(
        _AGREEMENT.items(), all_images, intervals, strict=True
    ):
        yield Figure(f"{prefix}{name}", value, unit, low, high, images=n)


def _intervals(
    values: Callable[[npt.NDArray[np.intp]], list[float]], images: int, count: int, resamples: int
) -> list[tuple[float, float]]:
    if images < MIN_IMAGES:
        return [(math.nan, math.nan)] * count
    return bootstrap_intervals(values, images, resamples=resamples)
