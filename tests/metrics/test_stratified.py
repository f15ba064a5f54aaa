"""Totals from strata: right on average over every sample that can be drawn."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from histo.metrics.stratified import stratified_ratio, stratified_total

POPULATION = [[0, 0, 1, 0, 2], [4, 9, 7, 12]]
SIZES = [5, 4]


def samples(drawn=(2, 3)):
    """Yield every sample: counts and strata."""
    choices = [combinations(values, n) for values, n in zip(POPULATION, drawn, strict=True)]
    for parts in product(*choices):
        counts = np.concatenate(parts)
        yield counts, np.repeat([0, 1], drawn)


def student(counts, strata):
    """Return the quantile of Student's distribution with Satterthwaite's degrees of freedom."""
    parts = []
    for stratum, size in enumerate(SIZES):
        own = counts[strata == stratum]
        parts.append((size * (size - len(own)) * own.var(ddof=1) / len(own), len(own) - 1))
    freedom = sum(g for g, _ in parts) ** 2 / sum(g**2 / f for g, f in parts if g)
    return stats.t.ppf(0.975, freedom)


def test_the_total_and_its_variance_are_unbiased():
    found = [stratified_total(counts, strata, SIZES) for counts, strata in samples()]
    totals = np.array([one.value for one in found])
    assert totals.mean() == pytest.approx(sum(map(sum, POPULATION)))
    reaches = np.array([(one.high - one.low) / 2 for one in found])
    students = np.array([student(*sample) for sample in samples()])
    assert ((reaches / students) ** 2).mean() == pytest.approx(totals.var(), rel=1e-6)


def test_a_slide_that_is_counted_whole_has_no_error():
    counts, strata = np.concatenate(POPULATION), np.repeat([0, 1], SIZES)
    whole = stratified_total(counts, strata, SIZES)
    assert (whole.value, whole.low, whole.high) == (35, 35, 35)


def test_one_field_of_a_stratum_gives_no_interval():
    one = stratified_total([3, 5, 7], [0, 1, 1], SIZES)
    assert one.value == 3 * 5 + 6 * 4
    assert np.isnan(one.low)
    assert np.isnan(stratified_total([3, 5], [0, 0], SIZES).value), "a stratum without any"


def test_fields_without_spread_give_no_interval():
    none = stratified_total([0, 0, 0], [0, 0, 0], [2000])
    assert none.value == 0
    assert np.isnan([none.low, none.high]).all(), "none in 3 of 2,000 fields is not surely none"
    reader = np.array([2.0, 0, 10, 20])
    ratio = stratified_ratio(0.8 * reader, reader, [0, 0, 1, 1], [50, 10])
    assert ratio.value == pytest.approx(0.8)
    assert np.isnan(stratified_ratio([1, 2], [0, 0], [0, 0], [9]).value)


def test_the_ratio_is_covered_by_its_interval():
    rng, hits = np.random.default_rng(1), 0
    for _ in range(300):
        reader = np.concatenate([rng.poisson(5, 15), rng.poisson(20, 15)])
        software = rng.binomial(reader, 0.9)
        ratio = stratified_ratio(software, reader, np.repeat([0, 1], 15), [400, 60])
        hits += ratio.low <= 0.9 <= ratio.high
    assert hits / 300 > 0.9


def test_what_cannot_be():
    with pytest.raises(ValueError, match="more fields were drawn"):
        stratified_total([1, 2], [0, 0], [1])
    with pytest.raises(ValueError, match="one stratum a count"):
        stratified_total([1, 2], [0], [1])
    with pytest.raises(ValueError, match=r"0 \.\.\. 0"):
        stratified_total([1, 2], [0, 1], [1])
