"""Matching and concordance against cases that can be counted by hand."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from histo.metrics import agreement
from histo.metrics.agreement import bland_altman, f1_score, lins_ccc, match_points


def test_one_to_one():
    found = np.array([[0.0, 0], [0, 1], [10, 10]])
    truth = np.array([[0.0, 0.4], [30, 30]])
    assert match_points(found, truth, 3).tolist() == [[0, 0]]


def test_more_pairs_beat_shorter_pairs():
    # The nearest pair alone would leave the other two points unmatched.
    found, truth = np.array([[0.0, 0], [0, 3]]), np.array([[0.0, 2], [0, 5]])
    assert sorted(map(tuple, match_points(found, truth, 2.5).tolist())) == [(0, 0), (1, 1)]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(0, 25), m=st.integers(0, 25))
def test_as_many_pairs_as_the_dense_assignment(seed, n, m):
    rng = np.random.default_rng(seed)
    found, truth = rng.uniform(0, 20, (n, 2)), rng.uniform(0, 20, (m, 2))
    pairs = match_points(found, truth, 3.0)
    distance = np.linalg.norm(found[:, None] - truth[None], axis=-1).reshape(n, m)
    i, j = linear_sum_assignment(np.where(distance <= 3.0, distance, 1e6))
    best = distance[i, j][distance[i, j] <= 3.0]
    assert len(pairs) == len(best)
    assert distance[pairs[:, 0], pairs[:, 1]].sum() == pytest.approx(best.sum())
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
    assert (distance[pairs[:, 0], pairs[:, 1]] <= 3.0).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(1, 25), m=st.integers(1, 25))
def test_large_groups_are_paired_as_small_ones_are(seed, n, m):
    rng = np.random.default_rng(seed)
    # Whole numbers: many distances are equal, and some are 0.
    found, truth = (rng.integers(0, 12, (count, 2)).astype(float) for count in (n, m))
    as_table = match_points(found, truth, 3.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "_DENSE", 0)
        as_list = match_points(found, truth, 3.0)
    assert len(as_list) == len(as_table)
    assert len(set(as_list[:, 0])) == len(set(as_list[:, 1])) == len(as_list)
    lengths = [
        np.linalg.norm(found[pairs[:, 0]] - truth[pairs[:, 1]], axis=1).sum()
        for pairs in (as_table, as_list)
    ]
    assert lengths[0] == pytest.approx(lengths[1])


def test_dense_tissue_with_one_group_of_thousands_is_paired():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(70), np.arange(70)), -1).reshape(-1, 2) * 5.0
    pairs = match_points(grid + rng.normal(0, 0.5, grid.shape), grid, 6.0)
    assert len(pairs) == 4900
    assert (pairs[:, 0] == pairs[:, 1]).all()


def test_nothing_matches_nothing():
    assert match_points(np.zeros((0, 2)), np.zeros((3, 2)), 1).shape == (0, 2)
    assert np.isnan(f1_score(0, 0, 0))
    with pytest.raises(ValueError, match="above 0"):
        match_points(np.zeros((1, 2)), np.zeros((1, 2)), 0)


def test_ccc_sees_shift_and_scale_that_pearson_does_not():
    a = np.array([1.0, 2, 3, 4])
    assert lins_ccc(a, a) == 1
    assert lins_ccc(a, 2 * a) < 0.7
    assert lins_ccc(a, a + 5) < 0.2
    assert lins_ccc(a, -a + 5) < -0.99
    assert np.isnan(lins_ccc([1], [1]))
    with pytest.raises(ValueError, match="pairs"):
        lins_ccc([1, 2], [1, 2, 3])


def test_bland_and_altman_by_hand():
    # Differences 2, -2, 3: mean 1, variance (1 + 9 + 4) / 2.
    limits = bland_altman([12, 18, 33], [10, 20, 30])
    assert limits.bias == 1
    assert (limits.low, limits.high) == pytest.approx((1 - 1.96 * 7**0.5, 1 + 1.96 * 7**0.5))
    logs = np.log([1.2, 0.9, 1.1])
    assert limits.ratio == pytest.approx(math.exp(logs.mean()))
    assert limits.ratio_high == pytest.approx(math.exp(logs.mean() + 1.96 * logs.std(ddof=1)))


def test_ratios_do_not_depend_on_the_size_of_the_counts_and_turn_with_the_sides():
    a, b = np.array([12, 18, 33.0]), np.array([10, 20, 30.0])
    assert bland_altman(9 * a, 9 * b).ratio_low == pytest.approx(bland_altman(a, b).ratio_low)
    assert bland_altman(b, a).ratio == pytest.approx(1 / bland_altman(a, b).ratio)
    assert bland_altman(b, a).bias == -bland_altman(a, b).bias


def test_counts_of_zero_get_one_half():
    limits = bland_altman([0, 3], [1, 3])
    assert limits.ratio == pytest.approx(math.sqrt(0.5 / 1.5))
    assert limits.bias == -0.5


def test_agreement_of_one_image_is_not_defined():
    assert all(math.isnan(value) for value in astuple(bland_altman([3], [4])))
    with pytest.raises(ValueError, match="pairs"):
        bland_altman([1, 2], [1])
    with pytest.raises(ValueError, match="0 or more"):
        bland_altman([1, -2], [1, 2])
