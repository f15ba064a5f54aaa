"""ICC and kappa against published tables, and against what they must be."""

import numpy as np
import pytest

from histo.metrics.reliability import cohens_kappa, icc_agreement

# Shrout and Fleiss (1979), table 2: six targets, four judges.
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
# Cohen (1960), table 1, as counts of 100; Fleiss, Levin, Paik (2003), table 18.1.
COHEN = [[25, 13, 12], [12, 2, 16], [3, 15, 2]]
FLEISS = [[75, 1, 4], [5, 4, 1], [0, 0, 10]]


def test_icc_of_the_published_example():
    icc = icc_agreement(JUDGES)
    assert icc.value == pytest.approx(0.29, abs=0.005)
    # The interval that the package psych of R gives for it: 0.019 to 0.761.
    assert icc.low == pytest.approx(0.019, abs=0.001)
    assert icc.high == pytest.approx(0.761, abs=0.001)


def test_icc_is_the_share_of_the_variance_that_targets_have():
    rng = np.random.default_rng(2)
    targets, raters = rng.normal(0, 3, (20_000, 1)), np.array([[0.0, 2.0]])
    ratings = targets + raters + rng.normal(0, 1, (20_000, 2))
    # Variances: targets 9, raters 2 (of two values 2 apart), rest 1.
    assert icc_agreement(ratings).value == pytest.approx(9 / 12, abs=0.01)


def test_the_interval_of_icc_covers():
    rng, hits = np.random.default_rng(3), 0
    for _ in range(400):
        ratings = rng.normal(0, 2, (25, 1)) + rng.normal(0, 1, (25, 2))
        icc = icc_agreement(ratings)
        hits += icc.low <= 0.8 <= icc.high
    assert 0.92 <= hits / 400 <= 0.98


def test_icc_falls_with_a_bias_that_correlation_does_not_see():
    counts = np.array([2.0, 5, 9, 14, 20])
    assert icc_agreement(np.stack([counts, counts], 1)).value == 1
    biased = icc_agreement(np.stack([counts, counts + 6], 1))
    assert 0 < biased.low < biased.value < 0.8


def test_icc_without_spread_is_not_defined():
    assert np.isnan(icc_agreement([[3, 3], [3, 3]]).value)
    assert np.isnan(icc_agreement([[3, 4]]).value)
    with pytest.raises(ValueError, match="two raters at least"):
        icc_agreement([[3], [4]])
    with pytest.raises(ValueError, match="missing"):
        icc_agreement([[3, np.nan], [4, 4]])


@pytest.mark.parametrize(("table", "value"), [(COHEN, -0.09), (FLEISS, 0.68)])
def test_kappa_of_published_tables(table, value):
    assert cohens_kappa(table).value == pytest.approx(value, abs=0.005)


@pytest.mark.parametrize("table", [COHEN, FLEISS, [[20, 5], [10, 15]]])
def test_the_interval_of_kappa_is_that_of_the_delta_method(table):
    """An independent way to the same standard error: the gradient, by small steps."""
    counts = np.array(table, float)
    n, p = counts.sum(), counts / counts.sum()

    def kappa(shares):
        chance = shares.sum(1) @ shares.sum(0)
        return (np.trace(shares) / shares.sum() - chance / shares.sum() ** 2) / (
            1 - chance / shares.sum() ** 2
        )

    step = 1e-6
    slope = np.zeros_like(p)
    for at in np.ndindex(p.shape):
        moved = p.copy()
        moved[at] += step
        slope[at] = (kappa(moved) - kappa(p)) / step
    variance = ((slope**2 * p).sum() - (slope * p).sum() ** 2) / n
    found = cohens_kappa(table)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.sqrt(variance), rel=1e-3)


def test_kappa_at_its_ends():
    assert cohens_kappa([[4, 0], [0, 6]]).value == 1
    assert cohens_kappa([[9, 9], [9, 9]]).value == 0
    assert np.isnan(cohens_kappa([[10, 0], [0, 0]]).value)
    assert np.isnan(cohens_kappa([[0, 0], [0, 0]]).value)
    with pytest.raises(ValueError, match="square"):
        cohens_kappa([[1, 2, 3], [4, 5, 6]])
    with pytest.raises(ValueError, match="counts"):
        cohens_kappa([[1, -2], [4, 5]])
