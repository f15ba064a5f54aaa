import numpy as np
import pytest
from scipy import stats

from histo.space import csr_test, nulls, random_labelling, simulate_csr


def test_chance_is_seldom_called_significant():
    """P-values of labels at random are uniform, on clustered cells too."""
    rng = np.random.default_rng(0)
    found = []
    for seed in range(150):
        parents = np.repeat(rng.uniform(0, 600, (40, 2)), 6, axis=0)
        points = parents + rng.normal(0, 20, parents.shape)
        a, b = rng.random((2, len(points))) < [[0.2], [0.4]]
        test = random_labelling(points, a, b, radii_um=[15, 40], permutations=199, seed=seed)
        found.append([*test.p, test.p_overall])
    found = np.array(found)
    for column in found.T:
        assert stats.kstest(column, "uniform").pvalue > 0.01
    assert (found.min(axis=0) >= 1 / 200).all()


@pytest.mark.parametrize(("near", "word"), [(True, "attracts"), (False, "repels")])
def test_what_attracts_and_what_repels_is_found(near, word):
    rng = np.random.default_rng(5)
    points = rng.uniform(0, 1000, (2000, 2))
    a = np.arange(2000) < 150
    close = np.hypot(*(points[:, None] - points[:150]).T).min(axis=0) < 25
    b = (rng.random(2000) < np.where(close == near, 0.3, 0.03)) & ~a
    test = random_labelling(points, a, b, radii_um=[20, 60])
    assert test.p_overall == 0.001, word
    assert test.p[0] == 0.001
    assert (test.ratio[0] > 1.5) if near else (test.ratio[0] < 0.6)
    assert not test.low[0] <= test.observed[0] <= test.high[0]


def test_double_positive_cells_alone_are_no_neighbours():
    """Both labels sit on the same cells, which lie anywhere: no attraction between cells."""
    rng = np.random.default_rng(6)
    found = []
    for seed in range(60):
        points, both = rng.uniform(0, 500, (300, 2)), rng.random(300) < 0.3
        found.append(random_labelling(
            points, both, both, radii_um=[30], permutations=99, seed=seed
        ).p[0])  # fmt: skip
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_the_test_is_the_same_from_either_side_and_for_the_same_seed():
    rng = np.random.default_rng(1)
    points, a, b = rng.uniform(0, 500, (300, 2)), np.arange(300) < 40, np.arange(300) > 150
    one, other = (
        random_labelling(points, *labels, radii_um=[30], permutations=99)
        for labels in ((a, b), (b, a))
    )
    assert (one.observed, one.p) == (other.observed, other.p)


def test_around_many_cells_some_are_drawn(monkeypatch):
    rng = np.random.default_rng(2)
    points = rng.uniform(0, 1000, (1500, 2))
    left = points[:, 1] < 400
    whole = random_labelling(points, left, left, radii_um=[30], permutations=99)
    monkeypatch.setattr(nulls, "MAX_OUTER", 200)
    part = random_labelling(points, left, left, radii_um=[30], permutations=99)
    assert part.observed[0] < 0.5 * whole.observed[0]
    assert part.ratio[0] == pytest.approx(whole.ratio[0], rel=0.15)
    assert part.p[0] == whole.p[0] == 0.01


def test_labels_on_no_cell_give_nan():
    test = random_labelling(np.ones((5, 2)), np.zeros(5, bool), np.ones(5, bool), radii_um=[5, 9])
    assert np.isnan([*test.p, test.p_overall, *test.ratio]).all()
    # All cells have both: nothing is left to chance, and nothing is unusual.
    every = random_labelling(
        np.ones((5, 2)), np.ones(5, bool), np.ones(5, bool), radii_um=[5], permutations=19
    )
    assert (every.p[0], every.p_overall, every.ratio[0]) == (1, 1, 1)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="one label"):
        random_labelling(np.ones((3, 2)), np.ones(2, bool), np.ones(3, bool), radii_um=[5])
    with pytest.raises(ValueError, match="permutations"):
        random_labelling(
            np.ones((2, 2)), np.ones(2, bool), np.ones(2, bool), radii_um=[5], permutations=0
        )


def test_dropped_points_fill_the_window_evenly(holed):
    points = simulate_csr(holed, 40_000, np.random.default_rng(0))
    assert holed.contains(points).all()
    upper = points[:, 0] < holed.origin_um[0] + 4 * 100
    expected = np.count_nonzero(holed.mask[:100]) / np.count_nonzero(holed.mask)
    assert upper.mean() == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 40_000))
    with pytest.raises(ValueError, match="empty"):
        simulate_csr(type(holed)(np.zeros((2, 2), bool), 1.0), 3, np.random.default_rng(0))


def test_complete_randomness_is_told_from_clusters(holed):
    rng = np.random.default_rng(8)
    p = [
        csr_test(simulate_csr(holed, 80, rng), holed, [20, 40], simulations=39, seed=s).p_overall
        for s in range(40)
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.01
    parents = np.repeat(simulate_csr(holed, 20, rng), 6, axis=0)
    points = parents + rng.normal(0, 8, parents.shape)
    points = points[holed.contains(points)]
    test = csr_test(points, holed, [20, 40], simulations=199)
    assert test.p_overall == 0.005
    assert (test.observed > test.high).all()
    assert np.isnan(csr_test([[1100, 700]], holed, [20]).p_overall)
