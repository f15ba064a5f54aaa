import numpy as np
import pytest
from scipy import ndimage

from histo.cells import expand_cells


def scattered(shape, count, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    for label in range(1, count + 1):
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        labels[y : y + 4, x : x + rng.integers(1, 6)] = label
    return labels


@pytest.mark.parametrize("distance", [0.5, 1, 2.3, 7, 15, 15.9, 16, 40.5, 500])
@pytest.mark.parametrize("shape", [(60, 80), (1, 50), (50, 1), (130, 7)])
def test_every_pixel_goes_to_a_nearest_nucleus(distance, shape):
    labels = scattered(shape, 6)
    cells = expand_cells(labels, distance)
    to_any = ndimage.distance_transform_edt(labels == 0)
    assert np.array_equal(cells > 0, to_any <= distance)
    for label in np.unique(labels[labels > 0]):
        to_this = ndimage.distance_transform_edt(labels != label)
        mine = cells == label
        np.testing.assert_allclose(to_this[mine], to_any[mine], atol=1e-9)
    assert np.array_equal(cells[labels > 0], labels[labels > 0])


def test_a_crop_gives_what_the_whole_gives():
    labels = scattered((200, 200), 60)
    whole = expand_cells(labels, 9)
    crop = expand_cells(labels[37:161, 51:173], 9)
    assert np.array_equal(crop[20:-20, 20:-20], whole[57:141, 71:153])


def test_nothing_to_expand():
    assert expand_cells(np.zeros((5, 6), np.int32), 3).sum() == 0
    assert expand_cells(np.zeros((0, 6), np.int32), 3).shape == (0, 6)


def test_the_input_stays():
    labels = scattered((40, 40), 5)
    before = labels.copy()
    assert expand_cells(labels, 0) is not labels
    expand_cells(labels, 5)
    assert np.array_equal(labels, before)


@pytest.mark.parametrize("distance", [-1, np.nan, np.inf])
def test_a_distance_that_is_none(distance):
    with pytest.raises(ValueError, match="distance_px"):
        expand_cells(np.zeros((4, 4), int), distance)


@pytest.mark.parametrize("labels", [np.zeros((4, 4)), np.zeros((2, 4, 4), int)])
def test_labels_that_are_none(labels):
    with pytest.raises(ValueError, match="2-D array of whole numbers"):
        expand_cells(labels, 1)
