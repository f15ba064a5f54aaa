import numpy as np
import pytest

from histo.space import DistanceMap, Window


def test_points_belong_to_half_open_pixels():
    window = Window(np.array([[True, False], [False, True]]), 2.0, (10.0, 20.0))
    places = [[10, 20], [11.99, 21.99], [10, 22], [12, 22], [13.99, 23.99], [14, 23], [9.99, 21]]
    assert window.contains(places).tolist() == [True, True, False, True, True, False, False]
    assert window.area_um2 == 8


def test_a_window_keeps_its_own_mask():
    mask = np.ones((2, 2), bool)
    window = Window(mask, 1.0)
    mask[0, 0] = False
    assert window.mask.all()
    with pytest.raises(ValueError, match="read-only"):
        window.mask[0, 0] = False


@pytest.mark.parametrize("mask", [np.ones(3, bool), np.ones((2, 2)), np.ones((0, 2), bool)])
def test_what_is_no_mask(mask):
    with pytest.raises(ValueError, match="mask must be bool"):
        Window(mask, 1.0)


def test_distance_to_straight_edges_is_exact_between_pixels_too():
    mask = np.zeros((40, 60), bool)
    mask[10:30] = True
    distance = DistanceMap.of(Window(mask, 4.0))
    y = np.linspace(1, 78, 200)  # from 39 µm outside of the upper edge to the ridge
    found = distance.at(np.column_stack([y, np.full(y.size, 121.0)]))
    assert found == pytest.approx(y - 40, abs=1e-4)


def test_the_end_of_the_mask_is_an_edge():
    distance = DistanceMap.of(Window(np.ones((50, 50), bool), 2.0, (7.0, 9.0)))
    assert distance.at([[7.0, 59.0], [9.0, 59.0], [7.5, 59.0]]) == pytest.approx([0, 2, 0.5])


def test_distance_to_a_circle(disc):
    rng = np.random.default_rng(0)
    points = rng.uniform(20, 1020, (4000, 2))
    truth = 500 - np.hypot(*(points - 520).T)
    found = DistanceMap.of(disc).at(points)
    # The circle is drawn in pixels of 4 µm: nearer by a quarter of one on average.
    nearer = (truth - found) * np.sign(truth)
    assert np.abs(nearer).max() < 4
    assert 0 < nearer.mean() < 1.5


def test_distance_is_that_to_the_nearest_pixel(holed):
    distance = DistanceMap.of(holed)
    padded = np.pad(holed.mask, 1)
    inside, outside = np.argwhere(padded), np.argwhere(~padded)
    drawn = np.random.default_rng(0).choice(len(inside), 200, replace=False)
    nearest = [np.hypot(*(outside - at).T).min() for at in inside[drawn]]
    found = distance.at((inside[drawn] - 0.5) * 4 + holed.origin_um)
    assert found == pytest.approx((np.array(nearest) - 0.5) * 4, abs=1e-3)


def test_the_border_of_a_tumour_is_where_tissue_follows():
    tissue = np.zeros((30, 100), bool)
    tissue[:, 20:] = True
    tumour = np.zeros_like(tissue)
    tumour[:, 20:60] = True
    whole, inner = Window(tissue, 10.0), Window(tumour, 10.0)
    distance = DistanceMap.between(inner, whole)
    # Glass at 200 µm is no border; the one at 600 µm is.
    assert distance.at([[150, 205], [150, 595], [150, 700]]) == pytest.approx([395, 5, -100])
    with pytest.raises(ValueError, match="same pixels"):
        DistanceMap.between(inner, Window(tissue, 5.0))


def test_without_a_border_distances_are_infinite():
    whole = Window(np.ones((5, 5), bool), 1.0)
    assert DistanceMap.between(whole, whole).at([[2.2, 2.7]])[0] == np.inf
    nothing = Window(np.zeros((5, 5), bool), 1.0)
    assert DistanceMap.of(nothing).at([[2.2, 2.7]])[0] == -np.inf
