"""Compartments: words for tables, areas, points, and what is taken out by hand."""

import numpy as np
import pytest

from histo.region.compartments import Compartments, class_word


@pytest.fixture
def two():
    codes = np.zeros((6, 8), np.uint8)
    codes[:, :4], codes[:, 4:7] = 1, 2
    share = np.ones((6, 8), np.float32)
    share[0] = 0.5
    return Compartments(("Tumor", "Stroma"), codes, share, 4.0)


def test_areas_count_valid_tissue_only(two):
    assert two.areas_um2().tolist() == [(4 * 5 + 2) * 16, (3 * 5 + 1.5) * 16]


def test_points_lie_where_their_pixel_lies(two):
    assert two.at([[0, 0], [23.9, 15.9], [23.9, 16], [5, 30], [5, 33], [-1, 3]]).tolist() == [
        1, 1, 2, 0, 0, 0,
    ]  # fmt: skip


def test_regions_taken_out_leave_area_and_points(two):
    left = two.without([[[0, 0], [0, 8], [24, 8], [24, 0]]])
    assert left.areas_um2().tolist() == [(2 * 5 + 1) * 16, (3 * 5 + 1.5) * 16]
    assert left.at([[10.0, 4.0]]).tolist() == [0]
    assert two.without([]) is two


@pytest.mark.parametrize("name", ["excluded", "Tissue", "…", "3rd"])
def test_names_that_mean_something_else_are_refused(name):
    with pytest.raises(ValueError, match="give it another class"):
        class_word(name)


def test_classes_must_differ(two):
    with pytest.raises(ValueError, match="alike"):
        Compartments(("Tumor", "tumour"), two.codes, two.share, 4.0)
    with pytest.raises(ValueError, match="has no class"):
        Compartments(("Tumor",), two.codes, two.share, 4.0)
    with pytest.raises(ValueError, match="alike"):
        Compartments(("Tumor", "Stroma"), two.codes, two.share[:3], 4.0)
