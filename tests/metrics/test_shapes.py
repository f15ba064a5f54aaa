"""Outlines and label images: the same pixels, the same centres, whatever they are kept in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histo.cells import cell_outlines
from histo.geometry import Region
from histo.metrics import shapes as module
from histo.metrics.overlap import shape_sums
from histo.metrics.shapes import LabelShapes, OutlineShapes, shape_overlap

HALF = (0.5, 0.5)


def discs(seed=0, count=40, shape=(150, 130)):
    """Paint discs of 3 to 8 px that may touch; of what is covered only whole rest is kept."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    for label in range(1, count + 1):
        cy, cx, r = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(3, 8)
        disc = (y - cy) ** 2 + (x - cx) ** 2 < r * r
        if not labels[disc].any():
            labels[disc] = label
    return labels


def outlined(labels, pixel_size_um=HALF):
    ids = np.unique(labels[labels > 0])
    rings = cell_outlines(labels, ids)
    size = np.array(pixel_size_um)
    return OutlineShapes.of([[rings[i][:-1] * size] for i in ids.tolist()], pixel_size_um)


@pytest.mark.parametrize("size", [HALF, (0.2506, 0.2506), (0.3, 0.7)])
def test_outlines_paint_the_pixels_that_they_were_traced_from(size):
    labels = discs()
    by_label, by_outline = LabelShapes.of(labels, size), outlined(labels, size)
    region = Region(0, 0, *labels.shape)
    for shapes in (by_label, by_outline):
        assert (shapes.on_grid(size).paint(region) == by_label.labels).all()
    overlap = shape_overlap(by_outline, by_label)
    assert (overlap.iou() == 1).all()
    assert overlap.found_areas.sum() == pytest.approx((labels > 0).sum() * size[0] * size[1])


def test_a_part_is_the_part_of_the_whole():
    labels = discs(1)
    for shapes in (LabelShapes.of(labels, HALF), outlined(labels)):
        whole = shapes.on_grid(HALF).paint(Region(0, 0, *labels.shape))
        for part in (Region(20, 30, 50, 40), Region(-5, -5, 30, 30), Region(140, 120, 40, 40)):
            painted = shapes.on_grid(HALF).paint(part)
            inside = part.clip(labels.shape)
            assert (painted[inside.slices_in(part)] == whole[inside.slices()]).all()
            painted[inside.slices_in(part)] = 0
            assert not painted.any()


def test_counting_in_parts_changes_nothing(monkeypatch):
    found, truth = outlined(discs(2)), LabelShapes.of(np.roll(discs(2), 1, 0), HALF)
    whole = shape_sums(shape_overlap(found, truth))
    monkeypatch.setattr(module, "_TILE_PX", 37)
    assert shape_sums(shape_overlap(found, truth)) == pytest.approx(whole)


def test_pixels_of_twice_the_size_give_four_times_the_area():
    labels = discs(3)
    pairs = [
        (LabelShapes.of(labels, (um, um)), outlined(np.roll(labels, 1, 1), (um, um)))
        for um in (0.5, 1.0)
    ]
    small, large = (shape_sums(shape_overlap(*pair)) for pair in pairs)
    for name, value in small.items():
        assert large[name] == pytest.approx(4 * value if name.endswith("um2") else value)


def test_labels_of_two_pixel_sizes_meet_on_the_finer():
    coarse = discs(4)
    fine = np.kron(coarse, np.ones((2, 2), np.int32))
    overlap = shape_overlap(LabelShapes.of(coarse, (1.0, 1.0)), LabelShapes.of(fine, HALF))
    assert (overlap.iou() == 1).all()


def test_a_hole_is_no_part_of_a_shape():
    outer = np.array([[0.0, 0], [0, 8], [8, 8], [8, 0]])
    hole = np.array([[2.0, 2], [6, 2], [6, 6], [2, 6]])  # the other way round
    shapes = OutlineShapes.of([[outer, hole]], (1.0, 1.0))
    painted = shapes.on_grid((1.0, 1.0)).paint(Region(0, 0, 8, 8))
    assert painted.sum() == 64 - 16
    assert shapes.contains(np.array([[1.0, 1], [4, 4], [9, 9]])).tolist() == [True, False, False]
    assert shapes.centres_um()[0] == pytest.approx([4, 4])
    shifted = OutlineShapes.of([[outer, hole + 1]], (1.0, 1.0)).centres_um()[0]
    assert shifted == pytest.approx([(64 * 4 - 16 * 5) / 48] * 2)


def test_of_overlapping_shapes_the_smaller_is_on_top_in_any_order():
    large = np.array([[0.0, 0], [0, 9], [9, 9], [9, 0]])
    small = np.array([[3.0, 3], [3, 5], [5, 5], [5, 3]])
    for first, second, on_top in ((large, small, 2), (small, large, 1)):
        painter = OutlineShapes.of([[first], [second]], (1.0, 1.0)).on_grid((1.0, 1.0))
        assert (painter.paint(Region(0, 0, 9, 9))[3:5, 3:5] == on_top).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), px=st.sampled_from([0.25, 0.37, 1.0]))
def test_any_polygon_is_painted_as_its_pixel_centres_say(seed, px):
    rng = np.random.default_rng(seed)
    ring = rng.uniform(1, 19, (rng.integers(3, 9), 2))  # crosses itself more often than not
    shapes = OutlineShapes.of([[ring * px]], (px, px))
    painted = shapes.on_grid((px, px)).paint(Region(0, 0, 20, 20)) > 0
    centres = np.stack(np.meshgrid(np.arange(20), np.arange(20), indexing="ij"), -1) + 0.5
    inside = shapes.contains(centres.reshape(-1, 2) * px).reshape(20, 20)
    assert (painted != inside).sum() == 0


def test_centres_are_those_of_the_pixels_and_far_from_the_corner_too():
    labels = discs(5)
    by_label, by_outline = LabelShapes.of(labels, HALF), outlined(labels)
    assert by_outline.centres_um() == pytest.approx(by_label.centres_um(), abs=0.05)
    away = OutlineShapes.of([[np.array([[0.0, 0], [0, 2], [2, 2], [2, 0]]) + 1e7]], HALF)
    assert away.centres_um()[0] == pytest.approx([1e7 + 1] * 2, abs=1e-6)


def test_flat_and_missing_outlines():
    line = np.array([[1.0, 1], [1, 3], [1, 5]])
    shapes = OutlineShapes.of([[line], []], (1.0, 1.0))
    assert shapes.centres_um()[0].tolist() == [1, 3]
    assert np.isnan(shapes.centres_um()[1]).all()
    assert not shapes.on_grid((1.0, 1.0)).paint(Region(0, 0, 9, 9)).any()
    empty = OutlineShapes.of([], (1.0, 1.0))
    sums = shape_sums(shape_overlap(empty, empty))
    assert sums["shapes_found"] == sums["true_um2"] == 0


def test_some_of_the_shapes_in_another_order():
    labels = discs(6)
    rows = np.array([5, 0, 3])
    for shapes in (LabelShapes.of(labels, HALF), outlined(labels)):
        taken = shapes.take(rows)
        assert taken.count == 3
        assert taken.centres_um() == pytest.approx(shapes.centres_um()[rows])
        whole = shapes.on_grid(HALF).paint(Region(0, 0, *labels.shape))
        part = taken.on_grid(HALF).paint(Region(0, 0, *labels.shape))
        for new, row in enumerate(rows.tolist(), 1):
            assert ((part == new) == (whole == row + 1)).all()


def test_points_in_labels():
    shapes = LabelShapes.of(np.array([[0, 1], [0, 0]]), (2.0, 2.0))
    points = np.array([[1.0, 3], [1, 1], [1, 4.1], [-0.1, 3]])
    assert shapes.contains(points).tolist() == [True, False, False, False]


def test_inputs_are_not_changed():
    labels = discs(7)
    before = labels.copy()
    LabelShapes.of(labels, HALF).take(np.array([1]))
    assert (labels == before).all()


def test_bad_arguments():
    with pytest.raises(ValueError, match="2-D"):
        LabelShapes.of(np.zeros((2, 2, 2), int), HALF)
    with pytest.raises(ValueError, match="above 0"):
        LabelShapes.of(np.zeros((2, 2), int), (0.0, 0.5))
    with pytest.raises(ValueError, match="do not fit"):
        OutlineShapes(np.zeros((3, 2)), np.array([0, 2]), np.array([0]), 1, HALF)
    with pytest.raises(ValueError, match="above 0"):
        OutlineShapes.of([], (0.5, 0.0))
