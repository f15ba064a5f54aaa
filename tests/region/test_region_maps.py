"""Maps of a slide: a part is equal to the same part of the whole, and says what it should."""

import numpy as np
import pytest

from histo.geometry import Region
from histo.region.maps import MAP_UM, PLANES, RegionMaps, map_shape, plane_list

COLUMN = "nucleus_hematoxylin_od_mean"


@pytest.fixture
def maps(make_cells):
    rng = np.random.default_rng(4)
    shape, count = (150, 210), 4000
    cells = make_cells(
        count,
        y_um=rng.uniform(0, shape[0] * MAP_UM, count),
        x_um=rng.uniform(0, shape[1] * MAP_UM, count),
        nucleus_area_um2=rng.uniform(12, 90, count),
        nucleus_hematoxylin_od_mean=rng.uniform(0.2, 0.8, count),
    )
    stain = rng.random((2, *shape)).astype(np.float32)
    return RegionMaps.of(cells, stain[0], nuclear_column=COLUMN, stains={"eosin": stain[1]})


@pytest.mark.parametrize(
    "part", [Region(0, 0, 60, 70), Region(57, 90, 40, 33), Region(149, 0, 1, 9)]
)
def test_a_part_equals_the_whole(maps, part):
    whole = maps.draw()
    # Blurs may sum in another order: float32's last digits.
    assert np.allclose(maps.draw(part), whole[(slice(None), *part.slices())], atol=2e-6)


def test_density_is_against_the_slides_own(maps):
    whole = maps.draw()
    for plane in whole[2:5]:  # even tissue: as dense everywhere as around a nucleus
        assert plane.mean() == pytest.approx(1, rel=0.1)
    assert maps.density == pytest.approx(4000 / (150 * 210), rel=0.1)


def test_another_scale_stain_or_pixel_size_changes_nothing(make_cells):
    rng, shape, count = np.random.default_rng(2), (90, 90), 1500
    places = rng.uniform(0, 90 * MAP_UM, (2, count))
    area, od = rng.uniform(20, 90, count), rng.uniform(0.2, 0.8, count)
    stain = rng.uniform(0.1, 0.4, shape).astype(np.float32)

    def draw(size, dark):
        cells = make_cells(
            count,
            y_um=places[0],
            x_um=places[1],
            nucleus_area_um2=area * size,
            nucleus_hematoxylin_od_mean=od * dark,
        )
        return RegionMaps.of(cells, stain * np.float32(dark), nuclear_column=COLUMN).draw()

    assert np.allclose(draw(1.0, 1.0), draw(0.7, 0.5), atol=1e-4)


def test_planes_have_names(maps):
    assert maps.planes == (*PLANES, "eosin", "eosin_smooth") == plane_list(["eosin"])
    assert len(maps.draw()) == len(maps.planes)
    assert np.array_equal(maps.draw()[maps.planes.index("eosin")], maps.stains["eosin"])
    assert maps.stains["eosin"].mean() == pytest.approx(1, rel=0.02)


def test_traits_are_means_of_the_neighbourhood(make_cells):
    left = np.arange(400) % 2 == 0
    cells = make_cells(
        400,
        y_um=np.repeat(np.arange(20), 20) * 20.0,
        x_um=np.where(left, 100.0, 700.0) + np.tile(np.arange(20), 20) * 5,
        nucleus_area_um2=np.where(left, 20.0, 70.0),
        nucleus_eccentricity=np.where(left, 0.1, 0.9),
    )
    shape = map_shape(400.0, 900.0)
    planes = RegionMaps.of(cells, np.zeros(shape, np.float32), nuclear_column=COLUMN).draw()
    at = {name: plane for name, plane in zip(PLANES, planes, strict=True)}
    here, there = (50, 37), (50, 187)
    half = np.log2(70 / 20) / 2
    assert at["log_area_30um"][here] == pytest.approx(-half, abs=0.1)
    assert at["log_area_30um"][there] == pytest.approx(half, abs=0.1)
    assert at["small_30um"][here] == pytest.approx(0.5, abs=0.05)
    assert at["small_30um"][there] == pytest.approx(-0.5, abs=0.05)
    assert at["eccentricity_12um"][here] == pytest.approx(-0.4, abs=0.05)
    assert at["eccentricity_12um"][there] == pytest.approx(0.4, abs=0.05)
    assert at["area_spread_30um"][here] == pytest.approx(-half, abs=0.15)


def test_excluded_cells_take_no_part(make_cells):
    cells = make_cells(30, y_um=np.full(30, 60.0), compartment=np.full(30, "excluded"))
    maps = RegionMaps.of(cells, np.zeros((40, 90), np.float32), nuclear_column=COLUMN)
    assert not maps.draw().any()


def test_planes_of_other_shapes_are_refused(make_cells):
    with pytest.raises(ValueError, match="one shape"):
        RegionMaps.of(
            make_cells(1),
            np.zeros((4, 4), np.float32),
            nuclear_column=COLUMN,
            stains={"eosin": np.zeros((4, 5), np.float32)},
        )
