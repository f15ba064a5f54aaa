import numpy as np
import pytest

from histo.space import Window, density_map, find_hotspots, simulate_csr

RADIUS = np.sqrt(0.25e6 / np.pi)


@pytest.fixture(scope="module")
def section():
    """3 x 4 mm, with a hole."""
    mask = np.ones((375, 500), bool)
    mask[100:160, 100:180] = False
    return Window(mask, 8.0, (200.0, 0.0))


def test_the_first_disc_is_the_fullest_of_all_and_none_overlap(section):
    rng = np.random.default_rng(0)
    points = np.vstack([simulate_csr(section, 900, rng), rng.normal([2000, 2500], 90, (120, 2))])
    points = points[section.contains(points)]
    away = np.hypot(*(points[:, None] - points).T)
    counts = (away <= RADIUS).sum(axis=0)
    spots = find_hotspots(points, section, most=5)
    assert spots[0].count == counts.max()
    assert [s.count for s in spots] == sorted((s.count for s in spots), reverse=True)
    centres = np.array([(s.y_um, s.x_um) for s in spots])
    apart = np.hypot(*(centres[:, None] - centres).T) + np.diag(np.full(5, np.inf))
    assert apart.min() >= 2 * RADIUS
    # The second is the fullest of those that do not overlap the first.
    free = np.hypot(*(points - centres[0]).T) >= 2 * RADIUS
    assert spots[1].count == counts[free].max()
    assert np.hypot(*(centres[0] - [2000, 2500])) < 200


def test_a_disc_is_clipped_to_valid_tissue_and_says_its_area(section):
    corner, side, middle = (
        find_hotspots([place], section)[0] for place in ([200, 0], [200, 2000], [2500, 3000])
    )
    assert corner.area_um2 == pytest.approx(0.25e6 / 4, rel=0.01)
    assert side.area_um2 == pytest.approx(0.25e6 / 2, rel=0.01)
    assert middle.area_um2 == 0.25e6
    assert corner.density_per_mm2 == pytest.approx(16, rel=0.01)
    # Beside the hole: one straight side of it cuts a segment off.
    beside = find_hotspots([[1240, 1540]], section)[0]
    height = 100.0
    angle = np.arccos(height / RADIUS)
    segment = RADIUS**2 * (angle - np.sin(angle) * np.cos(angle))
    assert beside.area_um2 == pytest.approx(0.25e6 - segment, rel=0.01)


def test_no_cells_no_hotspots(section):
    assert find_hotspots([], section) == []
    assert find_hotspots([[0, 0]], section) == []  # outside of the window
    with pytest.raises(ValueError, match="area_mm2"):
        find_hotspots([], section, area_mm2=0)
    with pytest.raises(ValueError, match="most"):
        find_hotspots([], section, most=0)


def test_hotspots_do_not_depend_on_the_order_of_cells(section):
    rng = np.random.default_rng(4)
    points = simulate_csr(section, 300, rng)
    assert find_hotspots(points, section) == find_hotspots(rng.permutation(points), section)


def test_even_tissue_is_even_up_to_its_edge(holed):
    places = (np.argwhere(holed.mask) + 0.5) * 4 + holed.origin_um
    found = density_map(places, holed, sigma_um=30)
    assert found[holed.mask] == pytest.approx(1e6 / 16, rel=1e-4)
    assert np.isnan(found[~holed.mask]).all()


def test_a_lone_cell_is_a_gaussian(square):
    found = density_map([[502, 502]], square, sigma_um=40)
    assert found[125, 125] == pytest.approx(1e6 / (2 * np.pi * 40**2), rel=2e-3)
    assert found[125, 135] / found[125, 125] == pytest.approx(np.exp(-0.5), rel=1e-3)
    assert found.sum() * 16 / 1e6 == pytest.approx(1, rel=1e-3)
    with pytest.raises(ValueError, match="sigma_um"):
        density_map([], square, sigma_um=1)
