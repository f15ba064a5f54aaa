"""Cores tile the plane exactly; crops hold their halo; blank tiles cost nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histo.geometry import Region
from histo.tiles import STRIDE_PX, Tile, tile_grid

shapes = st.tuples(st.integers(1, 300), st.integers(1, 300))
cores = st.integers(1, 6).map(lambda k: k * STRIDE_PX)
halos = st.integers(0, 3).map(lambda k: k * STRIDE_PX)


@settings(max_examples=60, deadline=None)
@given(shape=shapes, core_px=cores, halo_px=halos)
def test_cores_cover_each_pixel_exactly_once(shape, core_px, halo_px):
    owners = np.zeros(shape, int)
    for tile in tile_grid(shape, core_px=core_px, halo_px=halo_px):
        assert tile.core.clip(shape) == tile.core
        owners[tile.core.slices()] += 1
    assert (owners == 1).all()


@settings(max_examples=60, deadline=None)
@given(shape=shapes, core_px=cores, halo_px=halos)
def test_crops_hold_the_halo_and_sit_on_the_stride(shape, core_px, halo_px):
    for tile in tile_grid(shape, core_px=core_px, halo_px=halo_px):
        wanted = tile.core.expand(halo_px)
        assert wanted.intersect(tile.crop) == wanted
        assert (tile.crop.y, tile.crop.x) == (wanted.y, wanted.x)
        assert all(value % STRIDE_PX == 0 for value in (tile.crop.y, tile.crop.x, *tile.crop.shape))
        assert tile.crop.height - wanted.height < STRIDE_PX
        assert tile.crop.width - wanted.width < STRIDE_PX


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(40, 400), st.integers(40, 400)),
    core_px=cores,
    downsample=st.floats(1.0, 37.5),
    spot=st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)),
)
def test_a_mask_never_drops_the_tile_under_its_only_tissue(shape, core_px, downsample, spot):
    # The mask as a slide gives it: pixels of one size, the last ones beyond the plane.
    mask = np.zeros([int(np.ceil(extent / downsample)) for extent in shape], bool)
    y, x = (int(extent * part) for extent, part in zip(shape, spot, strict=True))
    mask[int(y / downsample), int(x / downsample)] = True
    kept = tile_grid(shape, core_px=core_px, halo_px=32, mask=mask)
    assert any(
        tile.core.y <= y < tile.core.stop_y and tile.core.x <= x < tile.core.stop_x for tile in kept
    )


def test_blank_tiles_are_dropped_and_the_rest_keep_their_order():
    mask = np.zeros((64, 64), bool)
    mask[2:4, 60:62] = True
    mask[40, 10] = True
    everything = tile_grid((1024, 1024), core_px=256, halo_px=32)
    kept = tile_grid((1024, 1024), core_px=256, halo_px=32, mask=mask)
    assert [(tile.core.y, tile.core.x) for tile in kept] == [(0, 768), (512, 0)]
    assert set(kept) <= set(everything)
    assert not tile_grid((1024, 1024), core_px=256, halo_px=32, mask=np.zeros((8, 8), bool))


def test_order_is_row_major_and_repeatable():
    tiles = tile_grid((100, 120), core_px=64, halo_px=32)
    corners = [(tile.core.y, tile.core.x) for tile in tiles]
    assert corners == sorted(corners)
    assert tiles == tile_grid((100, 120), core_px=64, halo_px=32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0, 5)}, "at least 1 x 1"),
        ({"shape": (9.5, 5)}, "whole pixels"),
        ({"core_px": 50}, "core_px must be a positive multiple of 32, got 50"),
        ({"core_px": 0}, "core_px"),
        ({"halo_px": 8}, "halo_px must be a multiple of 32"),
        ({"halo_px": -32}, "halo_px"),
        ({"mask": np.ones((4, 4), np.uint8)}, "mask must be bool"),
        ({"mask": np.ones((4, 4, 3), bool)}, "mask must be bool"),
        ({"mask": np.ones((101, 4), bool)}, "smaller picture"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    given_arguments = {"shape": (100, 100), "core_px": 64, "halo_px": 32} | arguments
    with pytest.raises(ValueError, match=message):
        tile_grid(given_arguments.pop("shape"), **given_arguments)


def test_a_tile_whose_crop_misses_its_core_is_refused():
    with pytest.raises(ValueError, match="does not hold"):
        Tile(core=Region(0, 0, 10, 10), crop=Region(1, 0, 10, 10))
