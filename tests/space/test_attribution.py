import math

import numpy as np
import pytest
from scipy import stats

from histo.metrics import wilson_interval
from histo.space import association, block_numbers, share_interval, share_of_cells


@pytest.mark.parametrize(
    "tissue",
    [
        {},
        {"side_um": 2000, "clusters": 20},
        {"share": 0.1},
        pytest.param({"clusters": 150, "side_um": 4000}, marks=pytest.mark.slow),
        pytest.param({"spread": 1.0}, marks=pytest.mark.slow),
        pytest.param({"sigma_um": 100}, marks=pytest.mark.slow),
    ],
    ids=["ordinary", "small", "rare", "large", "all or none", "wide clusters"],
)
def test_intervals_hold_the_painted_truth_of_clustered_tissue(clustered, tissue):
    truth, inside, plain, widths, values = tissue.get("share", 0.35), 0, 0, [], []
    for seed in range(200):
        points, positive = clustered(seed, **tissue)
        found = share_of_cells(points, positive, np.ones(len(points), bool), seed=seed)
        low, high = wilson_interval(found.part, found.whole)
        inside += found.low <= truth <= found.high
        plain += low <= truth <= high
        widths.append(found.high - found.low)
        values.append(found.value)
    assert inside >= 0.93 * 200
    # Cells counted as independent are right far too seldom, and the honest width is known.
    assert plain < 0.85 * 200
    assert np.mean(widths) < 1.5 * 2 * 1.96 * np.std(values)


def test_the_interval_of_a_share_of_signal_holds_the_truth(clustered):
    """Cells differ in how much they hold, and source cells hold twice as much."""
    share, inside, plain = 0.35, 0, 0
    truth = 2 * share / (2 * share + 1 - share)
    for seed in range(200):
        points, source = clustered(seed, share=share)
        rng = np.random.default_rng(seed)
        amount = rng.lognormal(0, 0.8, len(points)) * np.where(source, 2, 1)
        every = np.ones(len(points), bool)
        found = share_of_cells(points, source, every, amount=amount, seed=seed)
        assert found.value == pytest.approx(amount[source].sum() / amount.sum())
        inside += found.low <= truth <= found.high
        low, high = wilson_interval(found.value * len(points), len(points))
        plain += low <= truth <= high
    assert inside >= 0.93 * 200
    assert plain < 0.85 * 200


def test_a_share_of_signal_that_cannot_be_known():
    points = np.random.default_rng(0).uniform(0, 5000, (500, 2))
    every = np.ones(500, bool)
    dark = share_of_cells(points, every, every, amount=np.zeros(500))
    assert math.isnan(dark.value)
    assert dark.unknown == "no signal"
    with pytest.raises(ValueError, match="one amount"):
        share_of_cells(points, every, every, amount=-np.ones(500))


def test_independent_cells_cost_little_width():
    widths = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        points, has = rng.uniform(0, 5000, (2000, 2)), rng.random(2000) < 0.3
        found = share_of_cells(points, has, np.ones(2000, bool))
        low, high = wilson_interval(found.part, found.whole)
        assert found.high - found.low >= (high - low) * 0.999
        widths.append((found.high - found.low) / (high - low))
    assert np.mean(widths) < 1.35


def test_only_cells_of_the_denominator_count():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 4000, (800, 2))
    part, whole = rng.random((2, 800)) < [[0.3], [0.5]]
    found = share_of_cells(points, part, whole)
    alone = share_of_cells(points[whole], part[whole], np.ones(whole.sum(), bool))
    assert found == alone
    assert (found.part, found.whole) == ((part & whole).sum(), whole.sum())


def test_what_cannot_be_known_is_said():
    points = np.random.default_rng(0).uniform(0, 5000, (500, 2))
    none, few, every = np.zeros(500, bool), np.arange(500) < 9, np.ones(500, bool)
    assert math.isnan(share_of_cells(points, every, none).value)
    assert share_of_cells(points, every, few).unknown == "fewer than 10 cells"
    assert share_of_cells(points, every, few).value == 1
    crowd = share_of_cells(points / 20, few, every)
    assert crowd.unknown == "cells in fewer than 6 blocks of 250 µm"
    assert math.isnan(crowd.low)
    assert association(points, few, every).unknown == "a label on fewer than 10 cells"
    assert association(points, every, every).unknown == "no block leaves anything to chance"
    known = share_of_cells(points, points[:, 0] < 2500, every)
    assert known.unknown == ""


def test_none_and_all_have_an_interval_that_is_not_empty():
    points = np.random.default_rng(0).uniform(0, 5000, (500, 2))
    every = np.ones(500, bool)
    none = share_of_cells(points, ~every, every)
    assert (none.low, none.value) == (0, 0)
    assert 0.01 < none.high < 0.3
    everyone = share_of_cells(points, every, every)
    assert (everyone.value, everyone.high) == (1, 1)
    assert everyone.low == pytest.approx(1 - none.high)


def test_the_interval_of_a_share():
    # A variance of independent cells and many degrees of freedom: Wilson's.
    exact = share_interval(0.3, 0.3 * 0.7 / 400, n=400, degrees=1e9)
    assert exact == pytest.approx(wilson_interval(120, 400), abs=1e-5)
    # A variance below that of independent cells is not believed.
    assert share_interval(0.3, 1e-9, n=400, degrees=1e9) == pytest.approx(exact)
    few = share_interval(0.3, 0.3 * 0.7 / 400, n=400, degrees=5)
    assert few[1] - few[0] > 1.2 * (exact[1] - exact[0])
    assert all(map(math.isnan, share_interval(0.3, math.nan, n=400, degrees=5)))


def test_blocks_are_numbered_without_gaps():
    assert block_numbers([[0, 0], [0, 5000], [99, 99], [100, 0]], 100).tolist() == [0, 1, 0, 2]
    assert block_numbers([], 100).size == 0
    with pytest.raises(ValueError, match="side_um"):
        block_numbers([[0, 0]], 0)


def test_chance_is_seldom_called_an_association():
    """Both labels are frequent on the left: a gradient, not an association."""
    rng, within, across = np.random.default_rng(1), [], []
    for seed in range(100):
        points = rng.uniform(0, 2000, (1200, 2))
        rise = 0.05 + 0.7 * points[:, 1] / 2000
        a, b = rng.random((2, 1200)) < rise
        within.append(association(points, a, b, permutations=199, seed=seed).p)
        across.append(association(points, a, b, block_um=1e6, permutations=199, seed=seed).p)
    assert np.mean(np.array(within) <= 0.05) < 0.1
    assert np.mean(np.array(across) <= 0.05) > 0.9


def test_in_one_block_it_is_fishers_test():
    rng = np.random.default_rng(3)
    points, a = rng.uniform(0, 100, (120, 2)), rng.random(120) < 0.4
    b = rng.random(120) < np.where(a, 0.45, 0.25)
    found = association(points, a, b, block_um=1e6, permutations=5000)
    both, expected = (a & b).sum(), a.sum() * b.sum() / 120
    counts = np.arange(121)
    chance = stats.hypergeom(120, a.sum(), b.sum()).pmf(counts)
    exact = chance[np.abs(counts - expected) >= abs(both - expected) - 1e-9].sum()
    assert found.p == pytest.approx(exact, abs=0.02)
    assert (found.observed, found.expected) == (both, pytest.approx(expected))


def test_a_true_association_is_found_either_way():
    rng = np.random.default_rng(4)
    points, a = rng.uniform(0, 2000, (3000, 2)), rng.random(3000) < 0.2
    for shares in ((0.5, 0.1), (0.02, 0.3)):
        b = rng.random(3000) < np.where(a, *shares)
        found = association(points, a, b)
        assert found.p == 0.001
        assert (found.ratio > 1.5) == (shares[0] > shares[1])


def test_wrong_arguments():
    with pytest.raises(ValueError, match="one label"):
        share_of_cells(np.ones((3, 2)), np.ones(2, bool), np.ones(3, bool))
    with pytest.raises(ValueError, match="permutations"):
        association(np.ones((3, 2)), np.ones(3, bool), np.ones(3, bool), permutations=0)
