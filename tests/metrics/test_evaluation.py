"""Figures of agreement: by hand, pooled, with intervals, and all explained in the documents."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histo.metrics.evaluation import (
    MIN_IMAGES,
    CellSet,
    compare_cells,
    figures_to_json,
    image_figures,
    pooled_figures,
)
from histo.metrics.shapes import LabelShapes

DOCS = Path(__file__).resolve().parents[2] / "docs"
HALF = (0.5, 0.5)


def values(figures):
    return {figure.name: figure.value for figure in figures}


def cells(*places, positive=None, labels=None):
    shapes = None if labels is None else LabelShapes.of(labels, HALF)
    calls = None if positive is None else np.array(positive, bool)
    return CellSet(np.array(places, float).reshape(-1, 2), calls, shapes)


#: Four finds, five true cells. Within 3 µm one pair, within 4 two, within 6 three.
FOUND = cells((10, 10), (50, 50), (90, 90), (200, 200), positive=[1, 1, 0, 0])
TRUE = cells((12, 10), (50, 53.5), (90, 95.5), (300, 300), (400, 400), positive=[1, 0, 0, 1, 0])


def test_detection_by_hand():
    figures = values(image_figures(compare_cells(FOUND, TRUE)))
    for radius, pairs in ((3, 1), (4, 2), (6, 3)):
        assert figures[f"detection_precision_{radius}um"] == pairs / 4
        assert figures[f"detection_recall_{radius}um"] == pairs / 5
        assert figures[f"detection_f1_{radius}um"] == 2 * pairs / 9
    assert figures["count_ratio"] == 4 / 5
    assert (figures["cells_found"], figures["cells_true"]) == (4, 5)


def test_positive_cells_are_matched_with_positive_cells_alone():
    figures = values(image_figures(compare_cells(FOUND, TRUE)))
    # Two are called, two are true; (50, 50) lies on a negative cell and the other true one is far.
    assert figures["positive_precision_4um"] == figures["positive_recall_4um"] == 0.5
    assert figures["positive_count_ratio"] == 1
    uncalled = cells(*TRUE.centres_um)
    assert not any("positive" in name for name in compare_cells(FOUND, uncalled))


def test_points_meet_masks_at_their_centres():
    labels = np.zeros((40, 40), int)
    labels[10:20, 10:20] = 7  # centre at 7.5 µm
    shapes = LabelShapes.of(labels, HALF)
    masks = CellSet(shapes.centres_um(), None, shapes)
    sums = compare_cells(masks, cells((7.5, 10.0)))
    assert (sums["matched_3um"], sums["found"], sums["true"]) == (1, 1, 1)
    assert "shapes_found" not in sums


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999), count=st.integers(1, 40))
def test_prediction_equal_to_truth_is_one_everywhere(seed, count):
    rng = np.random.default_rng(seed)
    labels = np.zeros((120, 120), np.int32)
    for label in range(1, count + 1):
        y, x = rng.integers(0, 112, 2)
        part = labels[y : y + 8, x : x + 8]
        part[part == 0] = label
    shapes = LabelShapes.of(labels, HALF)
    positive = rng.random(shapes.count) < 0.5
    positive[0] = True
    same = CellSet(shapes.centres_um(), positive, shapes)
    sums = compare_cells(same, same)
    for figure in image_figures(sums):
        assert figure.value == 1 or figure.unit == "cells", figure
    pooled = values(pooled_figures([sums] * 2 + [compare_cells(same.take([0]), same.take([0]))]))
    assert pooled["count_bias"] == 0
    assert pooled["count_bias_ratio"] == 1
    assert pooled["count_ccc"] == 1 or shapes.count == 1


def test_sides_swapped_swap_precision_and_recall_and_nothing_else():
    one, other = (
        values(image_figures(compare_cells(*pair))) for pair in ((FOUND, TRUE), (TRUE, FOUND))
    )
    assert one["detection_precision_4um"] == other["detection_recall_4um"]
    assert one["detection_f1_4um"] == other["detection_f1_4um"]
    assert one["count_ratio"] == pytest.approx(1 / other["count_ratio"])


def test_moving_both_sides_changes_nothing():
    moved = [CellSet(side.centres_um[:, ::-1] + 1234.5, side.positive) for side in (FOUND, TRUE)]
    assert compare_cells(*moved) == compare_cells(FOUND, TRUE)


def test_pooled_is_not_the_mean_of_images():
    images = [
        {"found": 10.0, "true": 10.0, "matched_4um": 10.0},
        {"found": 90.0, "true": 90.0, "matched_4um": 45.0},
    ]
    figures = {figure.name: figure for figure in pooled_figures(images)}
    f1 = figures["detection_f1_4um"]
    assert f1.value == pytest.approx(2 * 55 / 200)
    assert (f1.numerator, f1.denominator, f1.images) == (110, 200, 2)
    assert f1.denominator_name == "cells found + true"


def test_intervals_from_five_images_on():
    rng = np.random.default_rng(2)
    images = [
        {"found": float(n), "true": float(n + rng.integers(-9, 9)), "matched_4um": float(n // 2)}
        for n in rng.integers(50, 150, 8)
    ]
    few = pooled_figures(images[: MIN_IMAGES - 1])
    assert all(math.isnan(figure.low) for figure in few)
    for figure in pooled_figures(images):
        if figure.name.startswith("cells"):
            continue
        assert figure.low <= figure.value <= figure.high, figure
        assert figure.low < figure.high


def test_agreement_of_counts_over_images():
    images = [{"found": f, "true": t} for f, t in ((12.0, 10.0), (18.0, 20.0), (33.0, 30.0))]
    figures = values(pooled_figures(images))
    assert figures["count_bias"] == 1
    assert figures["count_limit_high"] == pytest.approx(1 + 1.96 * 7**0.5)
    assert figures["count_bias_ratio"] == pytest.approx((1.2 * 0.9 * 1.1) ** (1 / 3))
    assert 0.9 < figures["count_ccc"] < 1
    assert not any(name.startswith("count_b") for name in values(pooled_figures(images[:1])))


def test_images_that_lack_shapes_or_calls_count_where_they_can():
    labels = np.ones((4, 4), int)
    with_shape = cells((1, 1), positive=[True], labels=labels)
    images = [compare_cells(with_shape, with_shape), compare_cells(FOUND, cells((10, 10)))]
    figures = {figure.name: figure for figure in pooled_figures(images)}
    assert figures["pq"].images == figures["positive_f1_4um"].images == 1
    assert figures["detection_f1_4um"].images == 2


def test_a_ratio_of_nothing_is_undefined_and_null():
    figures = image_figures(compare_cells(cells(), cells()))
    assert all(math.isnan(figure.value) for figure in figures if figure.unit == "0-1")
    assert {entry["value"] for entry in figures_to_json(figures)} == {0.0, None}


def test_cells_are_checked_and_kept():
    places = np.array([[1.0, 2]])
    one = CellSet(places)
    places[0] = 9
    assert one.centres_um.tolist() == [[1, 2]]
    with pytest.raises(ValueError, match="read-only"):
        one.centres_um[0] = 3
    with pytest.raises(ValueError, match="finite"):
        cells((np.nan, 1))
    with pytest.raises(ValueError, match="1 cells, but 2 calls"):
        cells((1, 1), positive=[True, False])
    with pytest.raises(ValueError, match="2 cells, but 1 shapes"):
        cells((1, 1), (2, 2), labels=np.ones((2, 2), int))


def test_every_figure_is_explained():
    same = cells((1, 1), positive=[True], labels=np.ones((4, 4), int))
    page = (DOCS / "evaluate.md").read_text("utf-8")
    for figure in pooled_figures([compare_cells(same, same)] * 2):
        generic = re.sub(r"_\dum$", "_<r>um", figure.name)
        generic = re.sub(r"f1_iou\d\d$", "f1_iou<t>", generic)
        generic = generic.removeprefix("positive_") if "count" in generic else generic
        row = re.search(rf"^\|[^|]*`({figure.name}|{generic})`.*$", page, re.MULTILINE)
        assert row, f"docs/evaluate.md lacks {figure.name}"
        assert figure.unit in row[0], figure
