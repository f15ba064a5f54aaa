import math

import numpy as np
import pytest
from scipy import stats

from histo.space import Quadrats, Window, hot_quadrats, morisita_horn, simulate_csr


def test_areas_are_those_of_the_mask_cut_by_the_sides():
    mask = np.random.default_rng(0).random((37, 53)) < 0.7
    quadrats = Quadrats.of(Window(mask, 3.0), 25.0)
    assert quadrats.area_um2.sum() == pytest.approx(mask.sum() * 9)
    assert quadrats.area_um2.shape == (5, 7)
    # The same mask in pixels of a third of a µm, where squares of 25 µm are whole.
    fine = np.kron(mask, np.ones((3, 3), bool))
    fine = np.pad(fine, ((0, 125 - 111), (0, 175 - 159)))
    expected = fine.reshape(5, 25, 7, 25).sum(axis=(1, 3))
    assert quadrats.area_um2 == pytest.approx(expected)


def test_squares_mostly_outside_are_dropped():
    mask = np.ones((20, 35), bool)
    mask[:10, :10] = False
    mask[4:6, :10] = True
    quadrats = Quadrats.of(Window(mask, 10.0), 100.0)
    assert quadrats.kept.tolist() == [[False, True, True, True], [True, True, True, True]]
    assert Quadrats.of(Window(mask, 10.0), 100.0, min_valid=0.6).kept[0, 3] == False  # noqa: E712
    with pytest.raises(ValueError, match="at least a pixel"):
        Quadrats.of(Window(mask, 10.0), 5.0)


def test_cells_are_counted_in_half_open_squares():
    quadrats = Quadrats.of(Window(np.ones((20, 30), bool), 10.0, (50.0, 0.0)), 100.0)
    counts = quadrats.count([[50, 0], [149.9, 99.9], [150, 100], [249, 299], [49, 5], [250, 5]])
    assert counts.tolist() == [[2, 0, 0], [0, 1, 1]]


def test_morisita_horn_by_hand():
    a, b = np.array([10, 0, 5, 5]), np.array([2, 2, 4, 2])
    # Shares 0.5, 0, 0.25, 0.25 and 0.2, 0.2, 0.4, 0.2.
    expected = 2 * (0.1 + 0 + 0.1 + 0.05) / (0.375 + 0.28)
    assert morisita_horn(a, b) == pytest.approx(expected)
    assert morisita_horn(3 * a, b) == pytest.approx(expected)
    assert morisita_horn(a, a) == pytest.approx(1)
    assert math.isnan(morisita_horn(a, 0 * a))
    with pytest.raises(ValueError, match="same squares"):
        morisita_horn(a, b[:2])


def test_cells_that_mix_share_squares_and_cells_apart_do_not(square):
    rng = np.random.default_rng(0)
    quadrats = Quadrats.of(square, 200.0)
    a, b = simulate_csr(square, 3000, rng), simulate_csr(square, 2000, rng)
    assert morisita_horn(quadrats.count(a), quadrats.count(b)) > 0.97
    left, right = a[a[:, 1] < 480], b[b[:, 1] > 620]
    assert morisita_horn(quadrats.count(left), quadrats.count(right)) == 0


def test_getis_ord_is_its_formula(holed):
    rng = np.random.default_rng(1)
    quadrats = Quadrats.of(holed, 60.0)
    counts = rng.poisson(20 * quadrats.area_um2 / 3600)
    z = hot_quadrats(quadrats, counts).z
    at = np.argwhere(quadrats.kept)
    value = (counts / np.where(quadrats.kept, quadrats.area_um2, 1))[quadrats.kept]
    w = (np.abs(at[:, None] - at).max(axis=2) <= 1).astype(float)
    n, mean, spread = len(value), value.mean(), value.std()
    top = w @ value - mean * w.sum(axis=1)
    bottom = spread * np.sqrt((n * (w**2).sum(axis=1) - w.sum(axis=1) ** 2) / (n - 1))
    assert z[quadrats.kept] == pytest.approx(top / bottom)
    assert np.isnan(z[~quadrats.kept]).all()


def test_hot_squares_are_found_and_few_others():
    window = Window(np.ones((1000, 1000), bool), 4.0)
    quadrats, rng = Quadrats.of(window, 200.0), np.random.default_rng(2)
    even_alarms, wrong, found = 0, [], []
    for _ in range(60):
        even = simulate_csr(window, 1600, rng)
        even_alarms += hot_quadrats(quadrats, quadrats.count(even)).hot().any()
        spot = 2000 + rng.uniform(-300, 300, (250, 2))
        hot = hot_quadrats(quadrats, quadrats.count(np.vstack([even, spot]))).hot()
        middle = np.zeros_like(hot)
        middle[7:13, 7:13] = True  # squares whose neighbourhood reaches into the spot
        found.append(hot[9:11, 9:11].mean())
        wrong.append((hot & ~middle).sum() / max(hot.sum(), 1))
    assert even_alarms <= 8  # of 60, at a rate of 0.05
    assert np.mean(found) > 0.98
    assert np.mean(wrong) < 0.05


def test_too_little_tissue_has_no_hot_squares(square):
    few = Quadrats.of(square, 200.0)
    assert np.isnan(hot_quadrats(few, np.arange(25).reshape(5, 5)).z).all()
    many = Quadrats.of(square, 100.0)
    assert not hot_quadrats(many, np.full((10, 10), 3)).hot().any()


def test_p_values_are_those_of_shuffled_squares():
    """Skewed counts: the share of shuffles at least as hot is what the distribution says."""
    rng = np.random.default_rng(3)
    quadrats = Quadrats.of(Window(np.ones((150, 150), bool), 10.0), 100.0)
    counts = rng.poisson(rng.gamma(0.5, 4, (15, 15)))
    found = hot_quadrats(quadrats, counts)
    at = np.unravel_index(np.argsort(found.z[1:-1, 1:-1], axis=None)[-3], (13, 13))
    z = found.z[1:-1, 1:-1][at]
    shuffled = np.array([rng.choice(counts.ravel(), 9, replace=False).sum() for _ in range(40_000)])
    hotter = (shuffled >= z * shuffled.std() + 9 * counts.mean() - 0.5).mean()
    skew = ((counts - counts.mean()) ** 3).mean() / counts.std() ** 3
    skew *= np.sqrt(224) * (225 - 18) / (223 * np.sqrt(9 * (225 - 9)))
    assert stats.skew(shuffled) == pytest.approx(skew, abs=0.05)
    assert stats.pearson3.sf(z, skew) == pytest.approx(hotter, rel=0.35)
    assert stats.norm.sf(z) < 0.6 * hotter
    # All p-values at once, by the step-up rule.
    p = np.sort(found.q, axis=None)
    assert (np.diff(p) >= 0).all()
    assert 0 < p[0] <= p[-1] <= 1
