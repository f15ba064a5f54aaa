import json

import numpy as np
import pytest

from histo.errors import ResultError
from histo.metrics import OD_EDGES, Histogram, SlideAreas, intensity_edges


@pytest.mark.parametrize("edges", [OD_EDGES, np.array([-1.0, 0.0, 0.1, 0.5, 2.0])])
def test_counts_are_numpys_and_the_rest_is_in_the_outer_bins(edges):
    values = np.random.default_rng(0).normal(0.3, 0.8, (50, 40)).astype(np.float32)
    values[0, 0] = np.nan
    histogram = Histogram.of(values, edges)
    kept = np.clip(values[np.isfinite(values)].astype(float), edges[0], edges[-1])
    expected = np.histogram(kept, edges)[0]
    # A value on an edge may fall on either side of it in another rounding.
    assert np.abs(histogram.counts - expected).sum() <= 4
    assert histogram.total == values.size - 1


def test_whole_numbers_find_their_bins_exactly():
    values = np.random.default_rng(0).integers(0, 4000, 10_000).astype(np.uint16)
    edges = intensity_edges(4000.0, bins=50)
    histogram = Histogram.of(values, edges)
    assert np.array_equal(histogram.counts, np.histogram(values, edges)[0])


def test_pixels_at_a_threshold_are_what_pixels_say():
    values = np.random.default_rng(1).gamma(2, 0.1, 200_000)
    histogram = Histogram.of(values, OD_EDGES)
    for cut in (0.1, 0.1234, 0.3, 0.36):
        assert histogram.at_least(cut) == pytest.approx((values >= cut).sum(), rel=0.003)
    assert histogram.at_least(-9) == histogram.total
    assert histogram.at_least(9) == 0
    assert np.isnan(histogram.at_least(np.nan))
    assert histogram.at_least(np.array([0.1, 0.2])).shape == (2,)


def test_tiles_add_up():
    values = np.random.default_rng(2).normal(0.2, 0.1, 1000)
    parts = Histogram.of(values[:300], OD_EDGES) + Histogram.of(values[300:], OD_EDGES)
    assert np.array_equal(parts.counts, Histogram.of(values, OD_EDGES).counts)
    with pytest.raises(ValueError, match="different edges"):
        parts + Histogram(np.array([0.0, 1.0]), np.array([1]))


def test_histograms_are_read_only_copies():
    counts = np.zeros(600, np.int64)
    histogram = Histogram(OD_EDGES, counts)
    counts[0] = 5
    assert histogram.total == 0
    with pytest.raises(ValueError, match="read-only"):
        histogram.counts[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        OD_EDGES[0] = 1


@pytest.mark.parametrize(
    ("edges", "counts"), [([0, 1], [1, 2]), ([1, 0], [1]), ([0, 1], [-1]), ([[0, 1]], [1])]
)
def test_histograms_that_are_none(edges, counts):
    with pytest.raises(ValueError, match="histogram"):
        Histogram(np.array(edges, float), np.array(counts))


def test_intensity_edges_are_fine_near_zero():
    edges = intensity_edges(65535.0)
    assert edges[0] == 0
    assert edges[-1] == 65535
    assert edges[1] < 1
    assert (np.diff(edges, 2) > -1e-9).all()
    with pytest.raises(ValueError, match="largest"):
        intensity_edges(0)


def test_areas_survive_json():
    areas = SlideAreas(3.5e6, 3e6, 5e5, {"dab": Histogram.of(np.arange(9) / 10, OD_EDGES)})
    again = SlideAreas.from_dict(json.loads(json.dumps(areas.to_dict())))
    assert again.to_dict() == areas.to_dict()
    assert again.histograms["dab"].total == 9


@pytest.mark.parametrize("content", [{}, {"tissue_um2": 1}, None, [1]])
def test_areas_that_are_none(content):
    with pytest.raises(ResultError, match="areas cannot be read"):
        SlideAreas.from_dict(content)


def test_areas_are_not_negative():
    with pytest.raises(ValueError, match="valid_um2"):
        SlideAreas(1, -1, 0)
    with pytest.raises(ValueError, match="tissue_um2"):
        SlideAreas(float("nan"), 1, 0)
