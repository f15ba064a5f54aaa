"""Automatic thresholds of markers that most cells carry."""

import numpy as np
import pytest

from histo.panel import auto_threshold, load_panel, resolve_thresholds
from histo.panel.populations import leans_left, valley


def mixture(positive, *, ratio, spread=0.4, count=1000, seed=0):
    """Draw intensities of a share of positive cells, `ratio` times as bright; and which are."""
    rng = np.random.default_rng(seed)
    many = round(count * positive)
    dark = 100 * np.exp(rng.normal(0, 0.15, count - many))
    lit = 100 * ratio * np.exp(rng.normal(0, spread, many))
    return np.concatenate([dark, lit]), np.arange(count) >= count - many


@pytest.mark.parametrize("count", [500, 5000])
@pytest.mark.parametrize("ratio", [5, 10, 30])
@pytest.mark.parametrize("positive", [0.0, 0.05, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_any_share_of_positive_cells_is_found(positive, ratio, count):
    values, truth = mixture(positive, ratio=ratio, count=count)
    threshold, _ = auto_threshold(values, spreads=7, compress=True)
    assert np.mean((values >= threshold) != truth) < 0.03


def test_optical_density_of_many_positive_cells():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0.03, 0.015, 80), rng.normal(0.5, 0.08, 720)])
    threshold, note = auto_threshold(values, spreads=4, limits=(0.05, 0.4))
    assert 0.08 < threshold < 0.3
    assert note == "valley between few negative and many positive cells, 800 cells"


@pytest.mark.parametrize("gain", [1 / 65535, 12.5])
def test_the_valley_follows_the_gain(gain):
    values, _ = mixture(0.85, ratio=8)
    threshold, _ = auto_threshold(values, spreads=7, compress=True)
    scaled, _ = auto_threshold(gain * values, spreads=7, compress=True)
    assert scaled == pytest.approx(gain * threshold, rel=1e-9)


UNIMODAL = {
    "normal": lambda rng, n: rng.normal(100, 15, n),
    "log-normal": lambda rng, n: 100 * np.exp(rng.normal(0, 0.6, n)),
    "gamma": lambda rng, n: rng.gamma(2, 50, n),
    "uniform": lambda rng, n: rng.uniform(10, 100, n),
    "exponential": lambda rng, n: rng.exponential(50, n),
    "heavy tails": lambda rng, n: np.maximum(0, 500 + 50 * rng.standard_t(3, n)),
    "long left side": lambda rng, n: np.maximum(0, 1000 - rng.gamma(2, 100, n)),
    "half at zero": lambda rng, n: np.maximum(0, rng.normal(0, 50, n)),
}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", UNIMODAL)
def test_one_population_has_no_valley(name, compress):
    rng = np.random.default_rng(2)
    for count in (100, 400, 3000):
        for _ in range(20):
            assert valley(np.sort(UNIMODAL[name](rng, count)), compress=compress) is None


def test_modes_that_differ_by_less_than_twice_are_one_population():
    values, _ = mixture(0.7, ratio=1.7, spread=0.05)
    assert valley(np.sort(values), compress=True) is None
    assert valley(np.sort(values)) is not None


def most_lit(rng):
    """Draw cells of which nearly all carry a marker, the others anywhere below."""
    dim = 330 * np.exp(-rng.exponential(0.5, 60))
    return np.concatenate([dim, 330 * np.exp(rng.normal(0, 0.1, 440))])


def test_negative_cells_never_lean_left_and_common_markers_without_a_valley_do():
    rng = np.random.default_rng(3)
    for name in ("normal", "log-normal", "gamma", "exponential"):
        assert not any(leans_left(np.sort(UNIMODAL[name](rng, 300))) for _ in range(50)), name
    threshold, note = auto_threshold(most_lit(rng), spreads=7, compress=True)
    assert threshold is None
    assert "no population of negative cells stands out (lowest mode 3" in note


def test_cells_that_lean_left_below_a_reached_threshold_are_left_alone():
    """A sparse marker keeps its threshold, whatever the shape of the negative cells."""
    rng = np.random.default_rng(4)
    values = np.concatenate([1000 - rng.gamma(2, 100, 970), rng.normal(40_000, 3000, 30)])
    threshold, _ = auto_threshold(values, spreads=7, compress=True)
    assert 1000 < threshold < 30_000


def test_a_marker_without_negative_cells_has_no_threshold(make_cells):
    panel = load_panel("foxp3-rankl-if")
    lit = most_lit(np.random.default_rng(5))
    column = panel.measurement(panel.marker("foxp3"))
    cells = make_cells(500, stains=panel.channel_names, quantity="intensity", **{column: lit})
    found = resolve_thresholds(cells, panel, {"foxp3": "auto"})["foxp3"]
    assert not found.is_known
    assert "give a threshold" in found.note


@pytest.mark.parametrize("values", [np.zeros(200), np.full(200, 7.0), np.r_[np.zeros(150), 1.0]])
def test_cells_that_do_not_vary_have_no_valley(values):
    assert valley(np.sort(values), compress=True) is None
    assert valley(np.sort(values)) is None
