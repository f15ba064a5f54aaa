import numpy as np
import pytest
from scipy import stats

from histo.space import (
    DistanceMap,
    Nearest,
    nearest_distances,
    nearest_intervals,
    simulate_csr,
)


def test_distances_are_the_smallest_of_all():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 100, (80, 2)), rng.uniform(0, 100, (50, 2))
    expected = np.hypot(*(a[:, None] - b).T).min(axis=0)
    assert nearest_distances(a, b) == pytest.approx(expected)


def test_a_double_positive_cell_is_not_its_own_neighbour():
    rng = np.random.default_rng(1)
    points, ids = rng.uniform(0, 100, (70, 2)), np.arange(70)
    away = np.hypot(*(points[:50, None] - points[30:]).T).T
    away[ids[:50, None] == ids[30:]] = np.inf
    found = nearest_distances(points[:50], points[30:], same=(ids[:50], ids[30:]))
    assert found == pytest.approx(away.min(axis=1))


def test_cells_at_the_same_place_are_neighbours():
    assert nearest_distances([[1, 1]], [[1, 1]], same=([1], [2])) == [0]
    places = [[1, 1], [1, 1]]
    assert nearest_distances(places, places, same=([1, 2], [1, 2])).tolist() == [0, 0]


def test_without_others_there_is_no_distance():
    assert nearest_distances([[1, 1]], []) == [np.inf]
    assert nearest_distances([[1, 1]], [[1, 1]], same=([4], [4])) == [np.inf]
    assert nearest_distances([], [[1, 1]]).size == 0


def test_censored_cells_count_as_far_as_they_see():
    """The textbook case of Kaplan and Meier: 1, 2+, 3, 4+ and 5."""
    nearest = Nearest(np.array([1, 9, 3, 9, 5.0]), np.array([9, 2, 9, 4, 9.0]))
    assert nearest.censored == 2
    expected = [0, 0.2, 0.2, 1 - 0.8 * 2 / 3, 1 - 0.8 * 2 / 3, 1]
    assert nearest.share_within([0.5, 1, 2, 3, 4, 5]) == pytest.approx(expected)
    assert nearest.quantile([0.2, 0.25, 0.5, 1]).tolist() == [1, 3, 5, 5]


def test_shares_are_scipys_kaplan_meier():
    rng = np.random.default_rng(4)
    away, edge = rng.integers(1, 30, 200).astype(float), rng.integers(1, 40, 200).astype(float)
    lost = away > edge
    theirs = stats.ecdf(stats.CensoredData(uncensored=away[~lost], right=edge[lost])).cdf.evaluate(
        np.arange(1, 29)
    )
    assert Nearest(away, edge).share_within(np.arange(1, 29)) == pytest.approx(theirs, abs=1e-12)


def test_what_censoring_hides_is_unknown():
    nearest = Nearest(np.array([1, 9, 9, 9.0]), np.array([5, 2, 3, 4.0]))
    assert nearest.quantile([0.25, 0.5]).tolist()[0] == 1
    assert np.isnan(nearest.quantile([0.5])[0])
    assert nearest.share_within([2, 4]).tolist() == [0.25, 0.25]
    assert np.isnan(nearest.share_within([4.5])[0])


def test_no_neighbour_at_all_is_unknown_not_far():
    nearest = Nearest(np.full(20, np.inf), np.full(20, 50.0))
    assert nearest.censored == 20
    assert nearest.share_within([10]) == [0]
    assert np.isnan(nearest.quantile([0.5])[0])


def test_no_cells_give_nan():
    nearest = Nearest(np.empty(0), np.empty(0))
    assert np.isnan(nearest.share_within([10, 20])).all()
    assert np.isnan(nearest.quantile([0.5])).all()


@pytest.mark.parametrize(
    ("distances", "edge"), [([1, 2], [1]), ([-1], [1]), ([np.nan], [1]), ([1], [np.nan])]
)
def test_what_are_no_distances(distances, edge):
    with pytest.raises(ValueError, match="distance"):
        Nearest(np.array(distances, float), np.array(edge, float))


def test_the_median_is_that_of_tissue_without_an_edge(holed):
    """Of cells at random, median = sqrt(ln 2 / (pi density)); without censoring it is larger."""
    rng, distance = np.random.default_rng(3), DistanceMap.of(holed)
    found, naive = [], []
    for _ in range(100):
        a, b = simulate_csr(holed, 150, rng), simulate_csr(holed, 150, rng)
        away = nearest_distances(a, b)
        found.append(Nearest(away, distance.at(a)).quantile([0.5])[0])
        naive.append(np.median(away))
    truth = np.sqrt(np.log(2) / (np.pi * 150 / holed.area_um2))
    error = np.std(found) / np.sqrt(100)
    assert abs(np.mean(found) - truth) < 3 * error + 0.5
    assert np.mean(naive) > truth + 5 * error


def test_intervals_hold_the_truth_of_clustered_cells():
    """Cells in clusters of a Thomas process; truth from a hundred such tissues."""
    side, sigma = 3000.0, 40.0

    def tissue(seed):
        rng = np.random.default_rng(seed)
        parents = np.repeat(rng.uniform(0, side, (rng.poisson(70), 2)), 12, axis=0)
        points = (parents + rng.normal(0, sigma, parents.shape)) % side
        ids = np.arange(len(points))
        away = nearest_distances(points, points, same=(ids, ids))
        return points, Nearest(away, np.minimum(points, side - points).min(axis=1))

    truth = np.mean([t.quantile([0.5])[0] for _, t in map(tissue, range(1000, 1100))])
    shares = np.mean([t.share_within([20]) for _, t in map(tissue, range(1000, 1100))])
    hits = np.zeros(2)
    for seed in range(40):
        ends = nearest_intervals(*tissue(seed), quantiles=[0.5], radii_um=[20])
        hits += [ends.quantiles[0, 0] <= truth <= ends.quantiles[0, 1],
                 ends.shares[0, 0] <= shares <= ends.shares[0, 1]]  # fmt: skip
        assert ends.shares[0, 1] - ends.shares[0, 0] < 0.3
    assert (hits >= 36).all()


def test_few_cells_have_no_interval():
    points = np.random.default_rng(0).uniform(0, 3000, (9, 2))
    ends = nearest_intervals(points, Nearest(np.ones(9), np.full(9, 5.0)))
    assert np.isnan(ends.quantiles).all()
    assert np.isnan(ends.shares).all()
    # Enough cells, but all in one spot.
    crowd = np.random.default_rng(0).uniform(0, 100, (200, 2))
    assert np.isnan(nearest_intervals(crowd, Nearest(np.ones(200), np.full(200, 5.0))).shares).all()
