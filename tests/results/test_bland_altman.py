"""The picture of counts: drawn for any counts, and the same each time."""

import numpy as np
import pytest

from histo.results import draw_bland_altman

NAMES = ["a", "b", "c"]


@pytest.mark.parametrize(
    "pairs",
    [
        [[12, 10], [18, 20], [33, 30]],
        [[10, 10], [20, 20], [30, 30]],
        [[0, 0], [0, 1], [3, 0]],
        [[100000, 20], [5, 90000], [1, 1]],
    ],
    ids=["usual", "equal", "zeros", "far apart"],
)
def test_any_counts_can_be_drawn(pairs):
    picture = draw_bland_altman({"cells": np.array(pairs)}, NAMES)
    assert picture.dtype == np.uint8
    assert picture.std() > 5


def test_two_kinds_of_counts_stand_side_by_side():
    counts = np.array([[12, 10], [18, 20], [33, 30]])
    one = draw_bland_altman({"cells": counts}, NAMES)
    two = draw_bland_altman({"cells": counts, "positive cells": counts // 2}, NAMES)
    assert two.shape[0] == one.shape[0]
    assert two.shape[1] > 1.7 * one.shape[1]
    assert (draw_bland_altman({"cells": counts}, NAMES) == one).all()


def test_images_without_a_count_are_left_out():
    counts = np.array([[12.0, 10], [18, 20], [33, 30]])
    fewer = np.insert(counts, 1, np.nan, axis=0)
    picture = draw_bland_altman({"cells": fewer}, ["a", "?", "b", "c"])
    assert (picture == draw_bland_altman({"cells": counts}, NAMES)).all()


def test_many_names_are_left_out():
    counts = np.random.default_rng(0).integers(50, 60, (30, 2))
    named = draw_bland_altman({"cells": counts}, [str(i) for i in range(30)])
    unnamed = draw_bland_altman({"cells": counts}, [""] * 30)
    assert (named == unnamed).all()
