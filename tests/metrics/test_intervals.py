import math

import numpy as np
import pytest
from scipy import stats

from histo.metrics import (
    bootstrap_intervals,
    mean_interval,
    poisson_interval,
    ratio_interval,
    wilson_interval,
)


@pytest.mark.parametrize("n", [1, 2, 10, 47, 5000])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_is_scipys(n, confidence):
    for k in {0, 1, n // 3, n - 1, n}:
        theirs = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
        assert wilson_interval(k, n, confidence=confidence) == pytest.approx(
            (theirs.low, theirs.high), abs=1e-12
        )


@pytest.mark.parametrize("count", [0, 1, 3, 10, 49, 1000, 250_000])
def test_poisson_covers_exactly(count):
    low, high = poisson_interval(count)
    if count:
        assert stats.poisson.sf(count - 1, low) == pytest.approx(0.025, rel=1e-6)
        assert low == pytest.approx(stats.chi2.ppf(0.025, 2 * count) / 2)
    else:
        assert low == 0
    assert stats.poisson.cdf(count, high) == pytest.approx(0.025, rel=1e-6)
    assert high == pytest.approx(stats.chi2.ppf(0.975, 2 * count + 2) / 2)


def test_intervals_of_nothing():
    assert all(map(math.isnan, wilson_interval(0, 0)))
    assert all(map(math.isnan, mean_interval(0, 0, 0, largest=3)))
    assert all(map(math.isnan, ratio_interval(math.nan, 0.1, fallback_n=3)))


def test_mean_interval_of_a_yes_or_no_is_wilsons():
    for k, n in ((0, 20), (1, 20), (7, 20), (20, 20)):
        expected = [3 * bound for bound in wilson_interval(k, n)]
        assert mean_interval(3 * k, 9 * k, n, largest=3) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "shares", [(0.7, 0.15, 0.1, 0.05), (0.95, 0.03, 0.01, 0.01), (0.1, 0.2, 0.3, 0.4)]
)
def test_mean_interval_covers_as_often_as_it_says(shares):
    rng = np.random.default_rng(1)
    truth = np.arange(4) @ np.array(shares)
    inside = 0
    for counts in rng.multinomial(300, shares, size=2000):
        low, high = mean_interval(counts @ np.arange(4), counts @ np.arange(4) ** 2, 300, largest=3)
        assert 0 <= low <= high <= 3
        inside += low <= truth <= high
    assert 0.935 < inside / 2000 < 0.975


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="successes <= total"):
        wilson_interval(5, 4)
    with pytest.raises(ValueError, match="count must be"):
        poisson_interval(-1)
    with pytest.raises(ValueError, match="is not within"):
        mean_interval(10, 10, 2, largest=3)
    for confidence in (0, 1, 95):
        with pytest.raises(ValueError, match="confidence"):
            poisson_interval(3, confidence=confidence)
        with pytest.raises(ValueError, match="confidence"):
            wilson_interval(0, 0, confidence=confidence)


def test_bootstrap_of_a_mean_is_about_the_normal_interval():
    values = np.random.default_rng(5).normal(10, 2, 200)
    ((low, high),) = bootstrap_intervals(lambda drawn: [values[drawn].mean()], 200)
    reach = 1.96 * values.std() / math.sqrt(200)
    assert (low, high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.05)


def test_bootstrap_is_the_same_each_time_and_knows_what_is_undefined():
    values = np.array([1.0, 2, 4, 8, 16])

    def statistics(drawn):
        return [values[drawn].sum(), math.nan, 3.0]

    first, again = (bootstrap_intervals(statistics, 5, resamples=300) for _ in range(2))
    assert first[0] == again[0]
    assert all(map(math.isnan, first[1]))
    assert first[2] == (3, 3)
    narrow = bootstrap_intervals(statistics, 5, resamples=300, confidence=0.5)
    assert first[0][0] < narrow[0][0] < narrow[0][1] < first[0][1]
    with pytest.raises(ValueError, match="n must be 1"):
        bootstrap_intervals(statistics, 0)
    with pytest.raises(ValueError, match="confidence"):
        bootstrap_intervals(statistics, 5, confidence=2)
