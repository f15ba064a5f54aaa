"""Scores of outlines against phantoms that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from histo.metrics.evaluation import image_figures
from histo.metrics.overlap import (
    OverlapCount,
    label_overlap,
    match_shapes,
    rank_labels,
    shape_sums,
)


def scores(found, truth):
    sums = shape_sums(label_overlap(np.atleast_2d(found), np.atleast_2d(truth)))
    return {figure.name: figure.value for figure in image_figures({"found": 0, "true": 0, **sums})}


#: Three true nuclei of 4, 4 and 2 pixels; found ones of 3, 4 and 1. IoU 3/4 and 3/5; the third
#: nucleus is missed, the third find false.
TRUTH = np.array([1, 1, 1, 1, 0, 2, 2, 2, 2, 0, 0, 3, 3])
FOUND = np.array([1, 1, 1, 0, 0, 0, 2, 2, 2, 2, 4, 0, 0])


def test_a_phantom_counted_by_hand():
    values = scores(FOUND, TRUTH)
    assert values["shape_f1_iou50"] == pytest.approx(2 * 2 / (3 + 3))
    assert values["shape_ap_iou50"] == pytest.approx(2 / (2 + 1 + 1))
    assert values["sq"] == pytest.approx((3 / 4 + 3 / 5) / 2)
    assert values["rq"] == pytest.approx(2 / 3)
    assert values["pq"] == pytest.approx((3 / 4 + 3 / 5) / (2 + 1 / 2 + 1 / 2))
    assert values["pq"] == pytest.approx(values["sq"] * values["rq"])
    # Intersections 3 + 3; unions 4 + 5, the missed nucleus 2, the false one 1.
    assert values["aji"] == pytest.approx(6 / 12)
    assert values["dice"] == pytest.approx(2 * 6 / (8 + 10))


def test_a_pair_on_the_threshold_is_not_above_it():
    values = scores(FOUND, TRUTH)
    # IoU 3/5 counts up to 0.55, and 3/4 up to 0.70.
    matched = {50: 2, 55: 2, 60: 1, 65: 1, 70: 1, 75: 0, 80: 0, 85: 0, 90: 0}
    for step, pairs in matched.items():
        assert values[f"shape_f1_iou{step}"] == pytest.approx(2 * pairs / 6)
    mean = sum(2 * pairs / 6 for pairs in matched.values()) / 9
    assert values["shape_f1_mean_iou50_90"] == pytest.approx(mean)
    # One half is no match, so that each shape has one partner at most.
    assert scores([1, 1, 0], [0, 1, 1])["shape_f1_iou50"] == 0
    assert scores([1, 1], [1, 0])["shape_f1_iou50"] == 0


def test_aji_lets_two_nuclei_take_one_prediction():
    values = scores([1, 1, 1, 1, 1, 1], [1, 1, 1, 2, 2, 2])
    assert values["aji"] == pytest.approx((3 + 3) / (6 + 6))
    assert values["pq"] == 0
    assert values["dice"] == 1


def test_aji_takes_the_largest_iou_not_the_largest_overlap():
    # The wide find shares 2 pixels of the nucleus but covers 8; the narrow one shares 1 of 1.
    truth = [0, 0, 0, 0, 0, 1, 1, 1]
    found = [1, 1, 1, 1, 1, 1, 1, 2]
    assert scores(found, truth)["aji"] == pytest.approx(1 / (3 + 7))


def test_nothing_found_and_nothing_there():
    none, some = np.zeros((4, 4), int), np.eye(4, dtype=int)
    for found, truth in ((none, some), (some, none)):
        values = scores(found, truth)
        assert values["pq"] == values["aji"] == values["dice"] == values["shape_ap_iou50"] == 0
        assert np.isnan(values["sq"])
    assert all(np.isnan(v) for name, v in scores(none, none).items() if "cells" not in name)


label_images = arrays(np.int32, (7, 9), elements=st.integers(0, 6))


@settings(max_examples=60, deadline=None)
@given(labels=label_images)
def test_prediction_equal_to_truth_scores_one(labels):
    values = scores(labels, labels)
    for name, value in values.items():
        if "cells" not in name and not name.startswith(("detection", "count")):
            assert np.isnan(value) if not labels.any() else value == 1, name


def has_ties(overlap):
    """Whether a nucleus has two best finds: either may be taken, the other counts as false."""
    for row in np.unique(overlap.truth):
        iou = overlap.iou()[overlap.truth == row]
        if np.isclose(iou, iou.max()).sum() > 1:
            return True
    return False


@settings(max_examples=60, deadline=None)
@given(found=label_images, truth=label_images, seed=st.integers(0, 99))
def test_numbering_turning_and_halves_change_nothing(found, truth, seed):
    overlap = label_overlap(found, truth)
    assume(not has_ties(overlap))
    sums = shape_sums(overlap)
    names = np.append(0, 1 + np.random.default_rng(seed).permutation(6) * 1000)
    assert shape_sums(label_overlap(names[found], truth)) == pytest.approx(sums)
    assert shape_sums(label_overlap(np.rot90(found), np.rot90(truth))) == pytest.approx(sums)
    ranked = rank_labels(found), rank_labels(truth)
    parts = OverlapCount(ranked[0][1], ranked[1][1])
    for half in (slice(None, 3), slice(3, None)):
        parts.add(ranked[0][0][half], ranked[1][0][half])
    assert shape_sums(parts.overlap()) == sums
    fourfold = shape_sums(parts.overlap(4.0))
    assert fourfold["common_um2"] == pytest.approx(4 * sums["common_um2"])
    assert fourfold["iou_sum"] == pytest.approx(sums["iou_sum"])


@settings(max_examples=60, deadline=None)
@given(found=label_images, truth=label_images)
def test_sums_are_those_of_the_definitions(found, truth):
    """Pairs, IoU and AJI as loops over masks."""
    sums = shape_sums(label_overlap(found, truth))
    ids = [[(labels == i) for i in range(1, 7) if (labels == i).any()] for labels in (found, truth)]
    iou = np.array([[(f & t).sum() / (f | t).sum() for f in ids[0]] for t in ids[1]])
    iou = iou.reshape(len(ids[1]), len(ids[0]))
    assert sums["matched_iou50"] == (iou > 0.5).sum()
    assert sums["iou_sum"] == pytest.approx(iou[iou > 0.5].sum())
    common, union, taken = 0, 0, set()
    for row, t in enumerate(ids[1]):
        order = [(iou[row, k], (f & t).sum(), k) for k, f in enumerate(ids[0])]
        best = max(order, default=(0, 0, -1))
        if best[0] == 0:
            union += t.sum()
            continue
        common += best[1]
        union += (ids[0][best[2]] | t).sum()
        taken.add(best[2])
    left = sum(f.sum() for k, f in enumerate(ids[0]) if k not in taken)
    if not has_ties(label_overlap(found, truth)):
        assert (sums["jaccard_common_um2"], sums["jaccard_union_um2"]) == (common, union + left)


def test_ranks():
    large = np.array([[0, 2**40], [7, 7]])
    assert rank_labels(large)[0].tolist() == [[0, 2], [1, 1]]
    assert rank_labels(np.zeros((2, 2), np.uint8))[1] == 0
    with pytest.raises(ValueError, match="0 or more, got -3"):
        rank_labels(np.array([[-3]]))


def test_bad_arguments():
    with pytest.raises(ValueError, match="differ in size"):
        label_overlap(np.zeros((2, 2), int), np.zeros((2, 3), int))
    overlap = label_overlap(FOUND[None], TRUTH[None])
    for iou in (0.3, 1.0, float("nan")):
        with pytest.raises(ValueError, match="iou must be"):
            match_shapes(overlap, iou)
