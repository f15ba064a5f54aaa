"""Which shapes of two sets lie over each other: what every score of outlines is made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "IOU_STEPS",
    "Overlap",
    "OverlapCount",
    "label_overlap",
    "match_shapes",
    "rank_labels",
    "shape_sums",
]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: The IoU above which a shape counts as found, from lenient to strict, in percent.
IOU_STEPS = (50, 55, 60, 65, 70, 75, 80, 85, 90)

#: Less than the distance of two different ratios of areas of up to 10^8 pixels to a step of IoU:
#: rounding never lifts a pair that is exactly on the threshold above it.
_ON_THE_STEP = 1e-10

#: Labels up to about the number of pixels are ranked by a table, larger ones by sorting.
_FEW = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """The overlapping pairs of two sets of shapes, and the areas of all.

    Parameters
    ----------
    found, truth : int64 (K,)
        Row of either shape of each pair that shares area.
    common : float64 (K,)
        The area that the pair shares, in µm² (or pixels: one unit throughout).
    found_areas, truth_areas : float64 (N,), float64 (M,)
        Areas of all shapes, in the same unit; 0 for a shape too small for a pixel.

    Examples
    --------
    >>> label_overlap(np.array([[1, 1, 0]]), np.array([[0, 2, 2]])).iou().round(3).tolist()
    [0.333]
    """

    found: Ints
    truth: Ints
    common: Floats
    found_areas: Floats
    truth_areas: Floats

    def iou(self) -> Floats:
        """Return intersection over union of each pair, float64 (K,)."""
        both = self.found_areas[self.found] + self.truth_areas[self.truth]
        return np.asarray(self.common / (both - self.common), np.float64)


class OverlapCount:
    """Count the overlap of two label images part by part; disjoint parts add up to the whole.

    Parameters
    ----------
    found, truth : int
        How many shapes there are on either side.

    Examples
    --------
    >>> count = OverlapCount(1, 2)
    >>> for part in (np.array([[1, 1]]), np.array([[1, 0]])):
    ...     count.add(part, np.array([[0, 2]]))
    >>> count.overlap().common.tolist(), count.overlap().found_areas.tolist()
    ([1.0], [3.0])
    """

    def __init__(self, found: int, truth: int) -> None:
        self._found, self._truth = found, truth
        self._codes: list[Ints] = []
        self._counts: list[Ints] = []

    def add(self, found: npt.NDArray[np.integer], truth: npt.NDArray[np.integer]) -> None:
        """Count one part.

        Parameters
        ----------
        found, truth : int (Y, X)
            Labels from 1 to the number of shapes; 0 is background.

        Raises
        ------
        ValueError
            If the sizes differ.
        """
        if found.shape != truth.shape:
            raise ValueError(f"the labels differ in size: {found.shape} and {truth.shape}.")
        used = (found > 0) | (truth > 0)
        codes = found[used].astype(np.int64) * (self._truth + 1) + truth[used]
        codes, counts = np.unique(codes, return_counts=True)
        self._codes.append(codes)
        self._counts.append(counts.astype(np.int64))

    def overlap(self, pixel_area: float = 1.0) -> Overlap:
        """Return what has been counted.

        Parameters
        ----------
        pixel_area : float
            Area of a pixel: with it in µm², so are the areas.

        Returns
        -------
        Overlap
        """
        none = np.zeros(0, np.int64)
        codes, place = np.unique(np.concatenate([*self._codes, none]), return_inverse=True)
        counts = np.bincount(place, weights=np.concatenate([*self._counts, none])) * pixel_area
        found, truth = np.divmod(codes, self._truth + 1)
        pair = (found > 0) & (truth > 0)
        areas = [
            np.bincount(rows, weights=counts, minlength=size + 1)[1:].astype(np.float64)
            for rows, size in ((found, self._found), (truth, self._truth))
        ]
        common = counts[pair].astype(np.float64)
        return Overlap(found[pair] - 1, truth[pair] - 1, common, *areas)


def label_overlap(found: npt.NDArray[np.integer], truth: npt.NDArray[np.integer]) -> Overlap:
    """Return the overlap of two label images, in pixels.

    Parameters
    ----------
    found, truth : int (Y, X)
        Instance numbers, 0 is background. They need not be consecutive; rows follow their
        order.

    Returns
    -------
    Overlap

    Raises
    ------
    ValueError
        If the sizes differ.

    Examples
    --------
    >>> overlap = label_overlap(np.array([[7, 7, 0, 9]]), np.array([[3, 3, 3, 0]]))
    >>> overlap.found_areas.tolist(), overlap.truth_areas.tolist(), overlap.common.tolist()
    ([2.0, 1.0], [3.0], [2.0])
    """
    found_rows, found_count = rank_labels(found)
    truth_rows, truth_count = rank_labels(truth)
    count = OverlapCount(found_count, truth_count)
    count.add(found_rows, truth_rows)
    return count.overlap()


def rank_labels(labels: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.int32], int]:
    """Return the labels of an image numbered from 1, in their order.

    Parameters
    ----------
    labels : int (Y, X)
        0 is background.

    Returns
    -------
    ranked : int32 (Y, X)
    count : int
        How many labels there are.

    Raises
    ------
    ValueError
        If a label is negative.

    Examples
    --------
    >>> rank_labels(np.array([[0, 9, 4]]))
    (array([[0, 2, 1]], dtype=int32), 2)
    """
    labels = np.asarray(labels)
    if labels.size and labels.min() < 0:
        raise ValueError(f"labels must be 0 or more, got {labels.min()}.")
    if labels.max(initial=0) > _FEW + 4 * labels.size:
        ids, place = np.unique(np.append(labels.ravel(), 0), return_inverse=True)
        return place[:-1].reshape(labels.shape).astype(np.int32), len(ids) - 1
    present = np.bincount(labels.ravel(), minlength=1) > 0
    present[0] = False
    ranks = np.where(present, np.cumsum(present), 0).astype(np.int32)
    return ranks[labels], int(ranks.max())


def match_shapes(overlap: Overlap, iou: float = 0.5) -> Ints:
    """Pair found with true shapes whose intersection over union is above a threshold.

    Parameters
    ----------
    overlap : Overlap
    iou : float
        At least 0.5: above one half each shape has one partner at most, so that no assignment
        has to be solved.

    Returns
    -------
    int64 (K, 2)
        Row of the found and of the true shape of each pair.

    Raises
    ------
    ValueError
        If the threshold is below 0.5 or not below 1.

    References
    ----------
    Kirillov et al., Panoptic segmentation, CVPR (2019), section 4.1: unique matching above 0.5.

    Examples
    --------
    >>> labels = np.array([[1, 1, 1, 0]])
    >>> match_shapes(label_overlap(labels, np.array([[0, 1, 1, 0]]))).tolist()
    [[0, 0]]
    >>> match_shapes(label_overlap(labels, np.array([[0, 1, 1, 1]]))).tolist()
    []
    """
    if not 0.5 <= iou < 1:
        raise ValueError(f"iou must be 0.5 or more and below 1, got {iou}.")
    above = overlap.iou() > iou + _ON_THE_STEP
    return np.stack([overlap.found[above], overlap.truth[above]], axis=1)


def shape_sums(overlap: Overlap) -> dict[str, float]:
    """Return the sums that the scores of outlines are ratios of; images are pooled by adding.

    Parameters
    ----------
    overlap : Overlap
        Areas in µm².

    Returns
    -------
    dict of str to float
        ``shapes_found``, ``shapes_true``: how many there are. ``matched_iou50`` ...
        ``matched_iou90``: pairs above that IoU. ``iou_sum``: IoU summed over the pairs above
        0.5. ``jaccard_common_um2``, ``jaccard_union_um2``: of the aggregated Jaccard index.
        ``common_um2``, ``found_um2``, ``true_um2``: area covered by both, and by either.

    References
    ----------
    Kirillov et al., CVPR (2019): panoptic quality. Kumar et al., IEEE Trans Med Imaging 36:1550
    (2017): aggregated Jaccard index, in the form that the MoNuSeg challenge distributes: each
    true nucleus takes the prediction of the largest IoU, which others may have taken too, and
    predictions that none took count in the union. Dice, Ecology 26:297 (1945).

    Examples
    --------
    >>> sums = shape_sums(label_overlap(np.array([[1, 1, 0, 2]]), np.array([[1, 1, 1, 0]])))
    >>> sums["matched_iou50"], round(sums["iou_sum"], 3), sums["jaccard_union_um2"]
    (1.0, 0.667, 4.0)
    """
    iou = overlap.iou()
    sums = {
        "shapes_found": float(len(overlap.found_areas)),
        "shapes_true": float(len(overlap.truth_areas)),
    }
    for step in IOU_STEPS:
        sums[f"matched_iou{step}"] = float(len(match_shapes(overlap, step / 100)))
    sums["iou_sum"] = float(iou[iou > 0.5 + _ON_THE_STEP].sum())
    sums["jaccard_common_um2"], sums["jaccard_union_um2"] = _jaccard_sums(overlap, iou)
    sums["common_um2"] = float(overlap.common.sum())
    sums["found_um2"] = float(overlap.found_areas.sum())
    sums["true_um2"] = float(overlap.truth_areas.sum())
    return sums


def _jaccard_sums(overlap: Overlap, iou: Floats) -> tuple[float, float]:
    """Return intersection and union of the aggregated Jaccard index."""
    # Of equal IoU the larger intersection, so that the numbering of the labels plays no part.
    order = np.lexsort((-overlap.common, -iou, overlap.truth))
    first = np.flatnonzero(np.diff(overlap.truth[order], prepend=-1))
    best = order[first]
    common = float(overlap.common[best].sum())
    untouched = np.ones(len(overlap.found_areas), bool)
    untouched[overlap.found[best]] = False
    taken = float(overlap.found_areas[overlap.found[best]].sum())
    union = float(overlap.truth_areas.sum()) + taken - common
    return common, union + float(overlap.found_areas[untouched].sum())
