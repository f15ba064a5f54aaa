"""Splitting touching nuclei, on painted distance planes of known truth."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.segmentation import watershed

from histo.metrics.overlap import label_overlap, match_shapes
from histo.nuclei import split_nuclei
from histo.nuclei.targets import targets_of
from histo.phantom import Composition, Recipe, paint_phantom


def discs(centres, radii, shape=(96, 128)):
    """Paint discs: foreground, and each disc's own distance to its border over its radius."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    depth = np.zeros(shape, np.float32)
    for (cy, cx), radius in zip(centres, radii, strict=True):
        depth = np.maximum(depth, 1 - np.hypot(y - cy, x - cx) / radius)
    depth = np.clip(depth, 0, 1).astype(np.float32)
    return (depth > 0).astype(np.float32), depth


def by_scikit_image(foreground, distance, saddle):
    """Split with scikit-image's watershed, basin pairs joined one by one; none are dropped."""
    smooth = cv2.GaussianBlur(distance, (0, 0), 1.0)
    mask = foreground > 0.5
    tops = mask & (smooth > 0.15) & (smooth >= ndimage.maximum_filter(smooth, 5))
    basins = watershed(-smooth, ndimage.label(tops, np.ones((3, 3)))[0], mask=mask)
    summit = ndimage.maximum(smooth, basins, np.arange(basins.max() + 1))
    parent = np.arange(basins.max() + 1)
    for side in (np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]):
        a, b, *heights = (plane[part] for plane in (basins, smooth) for part in side)
        edge = (a != b) & (a > 0) & (b > 0)
        high = np.minimum(*heights) > saddle * np.minimum(summit[a], summit[b])
        for one, other in zip(a[edge & high], b[edge & high], strict=True):
            parent[parent == parent[other]] = parent[one]
    return parent[basins]


def agreement(found, truth):
    """F1 at an IoU of 0.5."""
    overlap = label_overlap(found, truth)
    areas = len(overlap.found_areas) + len(overlap.truth_areas)
    return 2 * len(match_shapes(overlap)) / areas


@pytest.fixture(scope="module")
def dense():
    """Labels of dense tissue, and what a perfect network says of them."""
    labels = paint_phantom(Recipe("foxp3-dab", Composition()), 3, shape=(512, 512)).labels
    return labels, targets_of(labels, np.zeros(labels.shape, bool))


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_dense_tissue_comes_apart_as_with_scikit_image(dense, noise):
    labels, targets = dense
    rng = np.random.default_rng(4)

    def blurred(plane):
        rough = cv2.GaussianBlur(rng.normal(0, 1, plane.shape).astype(np.float32), (0, 0), 1.5)
        return cv2.GaussianBlur(plane, (0, 0), 1.0) + np.float32(4 * noise) * rough

    foreground, distance = blurred(targets[0]), blurred(targets[1])
    found = split_nuclei(foreground, distance, min_area_px=20)
    reference = by_scikit_image(foreground, distance, 0.75)
    reference[(np.bincount(reference.ravel()) < 20)[reference]] = 0
    assert found.max() > 300
    assert agreement(found, reference) > 0.99
    assert agreement(found, labels) > 0.98


def test_one_label_a_disc_with_its_area():
    foreground, depth = discs([(20, 20), (60, 90)], [8, 14])
    labels = split_nuclei(foreground, depth)
    assert labels.dtype == np.int32
    assert np.unique(labels).tolist() == [0, 1, 2]
    areas = sorted(np.bincount(labels.ravel())[1:])
    assert areas == sorted([(foreground[:40, :40] > 0).sum(), (foreground[40:] > 0).sum()])


@pytest.mark.parametrize("gap", [1.5, 1.7, 1.9])
@pytest.mark.parametrize("radius", [6, 10, 16])
def test_touching_discs_are_apart_whatever_their_size(gap, radius):
    foreground, depth = discs([(48, 40), (48, 40 + gap * radius)], [radius, radius])
    assert split_nuclei(foreground, depth).max() == 2


def test_a_dent_does_not_split_a_nucleus():
    foreground, depth = discs([(48, 50), (48, 54)], [14, 14])
    assert split_nuclei(foreground, depth).max() == 1


def test_foreground_without_a_summit_is_kept():
    foreground = np.zeros((40, 40), np.float32)
    foreground[10:20, 10:20] = 1
    labels = split_nuclei(foreground, np.zeros_like(foreground))
    assert labels.max() == 1
    assert (labels > 0).sum() == 100


def test_small_ones_are_dropped_and_numbers_have_no_gaps():
    foreground, depth = discs([(20, 20), (20, 60), (60, 60)], [3, 10, 9])
    labels = split_nuclei(foreground, depth, min_area_px=40)
    assert np.unique(labels).tolist() == [0, 1, 2]


def test_nothing_is_zero_labels():
    empty = np.zeros((16, 16), np.float32)
    assert split_nuclei(empty, empty).max() == 0


def test_planes_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        split_nuclei(np.zeros((4, 4), np.float32), np.zeros((4, 5), np.float32))


@settings(max_examples=15, deadline=None)
@given(turns=st.integers(0, 3), flip=st.booleans(), seed=st.integers(0, 100))
def test_turning_the_picture_changes_no_count(turns, flip, seed):
    rng = np.random.default_rng(seed)
    centres = [
        (y + rng.uniform(-4, 4), x + rng.uniform(-4, 4))
        for y in (20, 50, 80)
        for x in (20, 60, 100)
    ]
    foreground, depth = discs(centres, rng.uniform(6, 16, 9))

    def turned(plane):
        plane = np.rot90(plane, turns)
        return np.ascontiguousarray(plane[:, ::-1] if flip else plane)

    assert (
        split_nuclei(turned(foreground), turned(depth)).max()
        == split_nuclei(foreground, depth).max()
    )


def test_inputs_stay_as_they_were():
    foreground, depth = discs([(20, 20)], [9])
    before = foreground.copy(), depth.copy()
    split_nuclei(foreground, depth)
    np.testing.assert_array_equal(foreground, before[0])
    np.testing.assert_array_equal(depth, before[1])
