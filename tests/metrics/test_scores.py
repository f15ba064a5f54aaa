import numpy as np
import pytest

from histo.metrics import allred, count_grades, density_per_mm2, h_score, irs, positive_fraction

# Cells of grade 0, 1+, 2+, 3+; worked out by hand:
# percentage, H-score, Allred (proportion + intensity), IRS (percentage class x intensity).
BY_HAND = [
    ((100, 0, 0, 0), 0.0, 0.0, 0, 0),
    ((0, 100, 0, 0), 1.0, 100.0, 5 + 1, 4 * 1),
    ((0, 0, 100, 0), 1.0, 200.0, 5 + 2, 4 * 2),
    ((0, 0, 0, 100), 1.0, 300.0, 5 + 3, 4 * 3),
    ((70, 15, 10, 5), 0.3, 50.0, 3 + 1, 2 * 1),
    ((70, 5, 10, 15), 0.3, 70.0, 3 + 2, 2 * 2),
    # Proportion 1: above none, below 1 %.
    ((999, 1, 0, 0), 0.001, 0.1, 1 + 1, 1 * 1),
    ((1990, 0, 0, 19), 19 / 2009, 5700 / 2009, 1 + 3, 1 * 3),
    # Proportion 2: from 1 %.
    ((99, 1, 0, 0), 0.01, 1.0, 2 + 1, 1 * 1),
    # From 10 %: proportion 3, percentage class 2.
    ((901, 99, 0, 0), 0.099, 9.9, 2 + 1, 1 * 1),
    ((90, 10, 0, 0), 0.1, 10.0, 3 + 1, 2 * 1),
    # From 1/3: proportion 4; a third of 300 is exactly 100.
    ((201, 99, 0, 0), 0.33, 33.0, 3 + 1, 2 * 1),
    ((200, 100, 0, 0), 1 / 3, 100 / 3, 4 + 1, 2 * 1),
    # From 2/3: proportion 5.
    ((101, 199, 0, 0), 199 / 300, 19900 / 300, 4 + 1, 3 * 1),
    ((100, 200, 0, 0), 2 / 3, 200 / 3, 5 + 1, 3 * 1),
    # The gap of the IRS between 50 and 51 % belongs to the upper class.
    ((500, 500, 0, 0), 0.5, 50.0, 4 + 1, 2 * 1),
    ((499, 501, 0, 0), 0.501, 50.1, 4 + 1, 3 * 1),
    ((495, 505, 0, 0), 0.505, 50.5, 4 + 1, 3 * 1),
    # 80 % is still the third class, more is the fourth.
    ((200, 800, 0, 0), 0.8, 80.0, 5 + 1, 3 * 1),
    ((199, 801, 0, 0), 0.801, 80.1, 5 + 1, 4 * 1),
    # Intensity: a mean grade of exactly 5/3 is weak, of 7/3 moderate.
    ((0, 1, 2, 0), 1.0, 500 / 3, 5 + 1, 4 * 1),
    ((0, 1, 3, 0), 1.0, 175.0, 5 + 2, 4 * 2),
    ((0, 0, 2, 1), 1.0, 700 / 3, 5 + 2, 4 * 2),
    ((0, 0, 1, 1), 1.0, 250.0, 5 + 3, 4 * 3),
]


@pytest.mark.parametrize(("counts", "fraction", "h", "a", "i"), BY_HAND)
def test_by_hand(counts, fraction, h, a, i):
    assert positive_fraction(counts) == pytest.approx(fraction)
    assert h_score(counts) == pytest.approx(h)
    assert allred(counts) == a
    assert irs(counts) == i


def test_a_table_is_scored_row_by_row():
    table = np.array([row[0] for row in BY_HAND])
    for score, column in ((positive_fraction, 1), (h_score, 2), (allred, 3), (irs, 4)):
        np.testing.assert_allclose(score(table), [row[column] for row in BY_HAND])


def test_no_cells_have_no_ratio():
    for score in (positive_fraction, h_score, allred, irs):
        assert np.isnan(score([0, 0, 0, 0]))


def test_scores_that_cannot_be():
    rng = np.random.default_rng(0)
    table = rng.integers(0, 30, (5000, 4)) * rng.integers(0, 2, (5000, 4))
    table[:, 0] *= rng.choice([1, 500], 5000)
    table = table[table.sum(axis=1) > 0]
    assert set(np.unique(allred(table))) == {0, 2, 3, 4, 5, 6, 7, 8}
    assert set(np.unique(irs(table))) <= {0, 1, 2, 3, 4, 6, 8, 9, 12}


def test_counting_grades():
    assert count_grades(np.array([3, 3, 0, 1], np.int8)).tolist() == [1, 1, 0, 2]
    assert count_grades([]).tolist() == [0, 0, 0, 0]
    for bad in ([4], [-1]):
        with pytest.raises(ValueError, match="grades must be"):
            count_grades(bad)


def test_density():
    assert density_per_mm2(0, 1e6) == 0
    assert np.isnan(density_per_mm2(0, 0))
    with pytest.raises(ValueError, match="area_um2"):
        density_per_mm2(3, -1)


def test_counts_of_another_form():
    for bad in ([1, 2, 3], 5, [1, 2, 3, -4]):
        with pytest.raises(ValueError, match="cells of grade 0"):
            h_score(bad)
