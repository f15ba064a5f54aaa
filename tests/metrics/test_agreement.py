"""Matching and concordance against cases that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from histo.metrics.agreement import f1_score, lins_ccc, match_points


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
    assert len(pairs) == (distance[i, j] <= 3.0).sum()
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
    assert (distance[pairs[:, 0], pairs[:, 1]] <= 3.0).all()


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
