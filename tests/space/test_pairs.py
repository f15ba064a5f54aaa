import numpy as np
import pytest

from histo.space import pairs
from histo.space.pairs import CellGrid, count_near, count_permuted_pairs, pair_sums


def brute(a, b):
    return np.hypot(a[:, None, 0] - b[:, 0], a[:, None, 1] - b[:, 1])


@pytest.mark.parametrize("extent", [50, 400, 3000])
def test_counts_are_those_of_all_pairs(extent):
    rng = np.random.default_rng(extent)
    a, b = rng.uniform(-50, extent, (120, 2)), rng.uniform(0, extent + 200, (310, 2))
    radii = [0.5, 7, 40, 90]
    away = brute(a, b)
    assert pair_sums(a, b, radii)[0].tolist() == [(away <= r).sum() for r in radii]
    assert count_near(a, b, 40).tolist() == (away <= 40).sum(axis=1).tolist()


def test_a_pair_at_exactly_a_radius_counts():
    y, x = np.mgrid[:20, :20]
    lattice = np.column_stack([y.ravel(), x.ravel()]) * 3.0
    radii = np.array([3, 6, 9, 15])
    away = brute(lattice, lattice)
    expected = [(away <= r).sum() - 400 for r in radii]
    ids = np.arange(400)
    assert pair_sums(lattice, lattice, radii, same=(ids, ids))[0].tolist() == expected


def test_a_cell_of_both_types_makes_no_pair_with_itself():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (60, 2))
    ids_a, ids_b = np.arange(40), np.arange(20, 60)
    away = brute(points[:40], points[20:])
    away[ids_a[:, None] == ids_b] = np.inf
    found = pair_sums(points[:40], points[20:], [10, 30], same=(ids_a, ids_b))[0]
    assert found.tolist() == [(away <= r).sum() for r in (10, 30)]


def test_no_cells_make_no_pairs():
    assert pair_sums([], [[1, 1]], [5])[0].tolist() == [0]
    assert count_near([[1, 1]], [], 5).tolist() == [0]


@pytest.mark.parametrize("radii", [[], [0, 1], [2, 1], [1, np.inf], [-1]])
def test_radii_ascend(radii):
    with pytest.raises(ValueError, match="radii must ascend"):
        pair_sums([[0, 0]], [[0, 0]], radii)


def test_a_few_cells_on_a_large_slide_need_few_squares():
    assert CellGrid.of([[0, 0], [5e4, 5e4]], 5.0).starts.size < 1000


def test_permuted_labels_make_as_many_pairs_as_expected():
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 500, (400, 2))
    outer, inner = np.arange(400) < 60, (np.arange(400) >= 30) & (np.arange(400) < 180)
    radii = [20, 60]
    observed, drawn = count_permuted_pairs(
        points, radii, outer=outer, inner=inner, permutations=4000, seed=3
    )
    away = brute(points, points) + np.diag(np.full(400, np.inf))
    assert observed.tolist() == [(away[outer][:, inner] <= r).sum() for r in radii]
    # Two different cells carry the labels: all ways but those where one carries both.
    chance = (60 * 150 - 30) / (400 * 399)
    expected = np.array([(away <= r).sum() * chance for r in radii])
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - expected) < 4 * error).all()


def test_permutations_are_those_of_plain_shuffling():
    rng = np.random.default_rng(2)
    points, label = rng.uniform(0, 300, (200, 2)), np.arange(200) < 25
    close = brute(points, points) <= 50
    np.fill_diagonal(close, False)
    plain = [close[np.ix_(p, p)].sum() for p in (rng.permutation(200)[:25] for _ in range(3000))]
    drawn = count_permuted_pairs(points, [50], outer=label, inner=label, permutations=3000, seed=0)[
        1
    ]
    assert drawn.mean() == pytest.approx(np.mean(plain), rel=0.02)
    assert drawn.std() == pytest.approx(np.std(plain), rel=0.06)


def test_draws_do_not_depend_on_the_number_of_threads(monkeypatch):
    rng = np.random.default_rng(4)
    points, label = rng.uniform(0, 300, (200, 2)), np.arange(200) < 50

    def draw(workers):
        in_order = pairs.in_order
        with monkeypatch.context() as patch:
            patch.setattr(pairs, "in_order", lambda f, items: in_order(f, items, workers=workers))
            return count_permuted_pairs(
                points, [30], outer=label, inner=~label, permutations=50, seed=9
            )[1].ravel()

    assert draw(1).tolist() == draw(3).tolist()
    assert len(set(draw(1))) > 5
