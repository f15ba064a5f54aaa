import numpy as np
import pytest

from histo.metrics import poisson_interval
from histo.space import DistanceMap, Window, margin_profile, simulate_csr


@pytest.fixture
def halves():
    """1 x 2 mm of tissue, its left half tumour, with a hole in either half."""
    tissue = np.ones((250, 500), bool)
    tissue[100:150, 100:125] = False
    tissue[100:150, 300:350] = False
    tumour = tissue.copy()
    tumour[:, 250:] = False
    whole = Window(tissue, 4.0)
    return whole, DistanceMap.between(Window(tumour, 4.0), whole)


def test_bands_have_their_own_area(halves):
    whole, border = halves
    bands = margin_profile([], border, whole)
    assert bands["area_um2"].sum() == pytest.approx(1e6 - 200 * 200)
    full = np.full(10, 1e5)
    # The holes: 200 µm high, 500-600 µm inside (beyond all bands) and 200-400 µm outside.
    full[[1, 2]] -= 200 * 100
    assert bands["area_um2"].tolist() == pytest.approx(full.tolist())
    assert (bands["from_um"].iloc[0], bands["to_um"].iloc[-1]) == (-500, 500)


def test_cells_are_counted_in_their_band(halves):
    whole, border = halves
    places = [[500, 999], [500, 1001], [20, 1149], [20, 1450], [20, 601], [450, 1250], [500, 1501]]
    bands = margin_profile(places, border, whole).set_index("from_um")
    # The fifth is 399 µm inside; the sixth lies in a hole; the last beyond the last band.
    assert bands["count"].to_dict() == {
        -500: 1, -400: 0, -300: 0, -200: 1, -100: 1, 0: 1, 100: 0, 200: 0, 300: 1, 400: 0
    }  # fmt: skip
    row = bands.loc[-200]
    assert row["density_per_mm2"] == pytest.approx(1 / 0.1)
    assert (row["low"], row["high"]) == pytest.approx(np.array(poisson_interval(1)) / 0.1)


def test_even_cells_are_even_along_the_border(halves):
    whole, border = halves
    points = simulate_csr(whole, 40_000, np.random.default_rng(0))
    bands = margin_profile(points, border, whole, edges_um=np.arange(-300, 301, 50))
    truth = 40_000 / (whole.area_um2 / 1e6)
    inside = (bands["low"] <= truth) & (truth <= bands["high"])
    assert inside.sum() >= 11


def test_a_band_without_area_has_no_density(halves):
    whole, border = halves
    bands = margin_profile([], border, whole, edges_um=[2000, 2100])
    assert bands[["density_per_mm2", "low", "high"]].isna().all(axis=None)
    assert bands["count"].tolist() == [0]


def test_wrong_arguments(halves):
    whole, border = halves
    with pytest.raises(ValueError, match="must ascend"):
        margin_profile([], border, whole, edges_um=[0, 0])
    with pytest.raises(ValueError, match="same pixels"):
        margin_profile([], border, Window(whole.mask, 2.0))
