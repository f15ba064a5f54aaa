"""K, L and G against closed forms and plain sums over all pairs."""

import numpy as np
import pytest

from histo.space import (
    DistanceMap,
    Nearest,
    Overlap,
    Window,
    cross_k,
    l_function,
    nearest_distances,
    nearest_function,
    pair_correlation,
    simulate_csr,
)

RADII = np.array([10.0, 25.0, 50.0, 80.0])


def one_k(points, window, radii=RADII, overlap=None):
    ids = np.arange(len(points))
    return cross_k(points, points, radii, window=window, same=(ids, ids), overlap=overlap)


def uncorrected(points, window, radii):
    away = np.hypot(*(points[:, None] - points).T)
    pairs = np.array([(away <= r).sum() - len(points) for r in radii])
    return pairs * window.area_um2 / (len(points) * (len(points) - 1))


@pytest.mark.parametrize("name", ["disc", "holed"])
def test_the_overlap_is_counted_exactly(name, request):
    window = request.getfixturevalue(name)
    overlap = Overlap.of(window, 60.0)
    mask = np.pad(window.mask, 20)
    for dy, dx in [(0, 0), (3, -7), (-12, 15), (15, 15)]:
        shared = np.count_nonzero(mask & np.roll(mask, (dy, dx), (0, 1))) * 16
        assert overlap.at([[4 * dy, 4 * dx]])[0] == shared
    assert overlap.at([[0, 0]])[0] == window.area_um2


def test_the_overlap_of_a_tall_mask_is_summed_over_strips():
    mask = np.random.default_rng(0).random((2500, 40)) < 0.6
    overlap = Overlap.of(Window(mask, 1.0), 5.0)
    assert overlap.at([[4, 0]])[0] == np.count_nonzero(mask[4:] & mask[:-4])
    assert overlap.at([[-3, 2]])[0] == np.count_nonzero(mask[3:, :-2] & mask[:-3, 2:])


def test_between_pixels_the_overlap_is_exact_too(holed):
    """Moves by half a pixel are whole moves of a mask drawn twice as fine."""
    fine = Window(np.kron(holed.mask, np.ones((2, 2), bool)), 2.0)
    moves = [[2.0, 6.0], [10.0, -14.0], [-26.0, 0.0]]
    assert Overlap.of(holed, 40).at(moves) == pytest.approx(Overlap.of(fine, 40).at(moves))


def test_k_is_the_sum_over_all_pairs(holed):
    rng = np.random.default_rng(3)
    a, b = simulate_csr(holed, 60, rng), simulate_csr(holed, 90, rng)
    moves = (b[None] - a[:, None]).reshape(-1, 2)
    near = np.hypot(*moves.T) <= 50
    weights = 1 / Overlap.of(holed, 60).at(moves[near])
    expected = holed.area_um2**2 / (60 * 90) * weights.sum()
    assert cross_k(a, b, [50], window=holed)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["disc", "holed"])
def test_k_without_interaction_is_the_disc(name, request):
    window = request.getfixturevalue(name)
    rng, overlap = np.random.default_rng(1), Overlap.of(window, RADII[-1])
    truth = np.pi * RADII**2
    found, naive = [], []
    for _ in range(60):
        points = simulate_csr(window, 400, rng)
        found.append(one_k(points, window, overlap=overlap))
        naive.append(uncorrected(points, window, RADII))
    error = np.std(found, axis=0) / np.sqrt(60)
    assert (np.abs(np.mean(found, axis=0) - truth) < 3.5 * error).all()
    # Without the correction the same cells give far less at the larger radii.
    assert np.mean(naive, axis=0)[-1] < truth[-1] - 10 * error[-1]


def test_cross_k_without_interaction_is_the_disc(holed):
    rng, overlap = np.random.default_rng(2), Overlap.of(holed, 80)
    found = [
        cross_k(*(simulate_csr(holed, n, rng) for n in (300, 150)), RADII, window=holed,
                overlap=overlap)
        for _ in range(80)
    ]  # fmt: skip
    error = np.std(found, axis=0) / np.sqrt(80)
    assert (np.abs(np.mean(found, axis=0) - np.pi * RADII**2) < 3.5 * error).all()


def test_k_of_a_thomas_process(holed):
    """K = pi r² + (1 - exp(-r² / (4 sigma²))) / density of parents."""
    rng, overlap = np.random.default_rng(5), Overlap.of(holed, 80)
    parents_per_um2, mean, sigma = 1.5e-4, 8, 15.0
    extent = np.array(holed.mask.shape) * 4 + 200.0
    found = []
    for _ in range(120):
        parents = rng.uniform(0, 1, (rng.poisson(parents_per_um2 * extent.prod()), 2)) * extent
        cells = np.repeat(parents, rng.poisson(mean, len(parents)), axis=0)
        cells = cells + rng.normal(0, sigma, cells.shape) + holed.origin_um - 100
        found.append(one_k(cells[holed.contains(cells)], holed, overlap=overlap))
    truth = np.pi * RADII**2 + (1 - np.exp(-(RADII**2) / (4 * sigma**2))) / parents_per_um2
    error = np.std(found, axis=0) / np.sqrt(120)
    # The estimator is unbiased as a ratio only: allow for 1 %.
    assert (np.abs(np.mean(found, axis=0) - truth) < 3.5 * error + 0.01 * truth).all()
    assert (truth > 1.1 * np.pi * RADII**2).all()


def test_k_does_not_depend_on_where_or_which_way_tissue_lies(holed):
    points = simulate_csr(holed, 300, np.random.default_rng(0))
    straight = one_k(points, holed)
    turned = Window(holed.mask.T, 4.0, holed.origin_um[::-1])
    assert one_k(points[:, ::-1], turned) == pytest.approx(straight, rel=1e-9)
    moved = Window(holed.mask, 4.0)
    assert one_k(points - holed.origin_um, moved) == pytest.approx(straight, rel=1e-6)


def test_twice_the_pixel_size_is_four_times_k(holed):
    points = simulate_csr(holed, 300, np.random.default_rng(0)) - holed.origin_um
    small, large = (one_k(points * f, Window(holed.mask, 4.0 * f), RADII * f) for f in (1, 2))
    assert large == pytest.approx(4 * small, rel=1e-9)


def test_k_of_too_few_cells_is_nothing(square):
    assert np.isnan(one_k(np.array([[5.0, 5.0]]), square)).all()
    assert np.isnan(cross_k([], [[5, 5]], [10], window=square)).all()


def test_k_wants_cells_in_the_window(square):
    with pytest.raises(ValueError, match="in the window"):
        cross_k([[-5, 5]], [[5, 5]], [10], window=square)
    with pytest.raises(ValueError, match="does not reach"):
        one_k(np.ones((2, 2)), square, overlap=Overlap.of(square, 30))


def test_l_and_g_of_no_interaction():
    assert l_function(np.pi * RADII**2) == pytest.approx(RADII)
    assert pair_correlation(np.pi * RADII**2, RADII) == pytest.approx(np.ones(4))


@pytest.mark.parametrize("correction", ["border", "kaplan-meier"])
@pytest.mark.parametrize("name", ["disc", "holed"])
def test_nearest_function_without_interaction(name, correction, request):
    window = request.getfixturevalue(name)
    rng, distance = np.random.default_rng(4), DistanceMap.of(window)
    radii, found, naive = np.array([5.0, 10, 20, 35]), [], []
    for _ in range(120):
        a, b = simulate_csr(window, 200, rng), simulate_csr(window, rng.poisson(400), rng)
        away = nearest_distances(a, b)
        nearest = Nearest(away, distance.at(a))
        found.append(nearest_function(nearest, radii, correction=correction))
        naive.append((away[:, None] <= radii).mean(axis=0))
    truth = 1 - np.exp(-400 / window.area_um2 * np.pi * radii**2)
    error = np.std(found, axis=0) / np.sqrt(120)
    # The distance to an edge drawn in pixels of 4 µm is itself half a µm off.
    assert (np.abs(np.mean(found, axis=0) - truth) < 3.5 * error + 0.006).all()
    assert np.mean(naive, axis=0)[-1] < truth[-1] - 5 * error[-1]


def test_corrections_of_the_nearest_function_have_names():
    with pytest.raises(ValueError, match="correction must be"):
        nearest_function(Nearest(np.ones(1), np.ones(1)), [1], correction="none")
