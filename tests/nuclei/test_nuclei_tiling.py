"""Seams: each cell exactly once, whatever the tiles."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from histo.geometry import Region
from histo.nuclei import load_model, segment_tiles
from histo.nuclei.tiling import _offered, _Seams, _sums
from histo.phantom import Composition, Recipe, paint_phantom
from histo.tiles import Tile, tile_grid


@pytest.fixture(scope="module")
def field():
    return paint_phantom(
        Recipe("foxp3-dab", Composition()), 11, shape=(640, 640), pixel_size_um=0.5
    )


def cells_of(image, core_px):
    """Centroids and areas of every cell that the tiles hand out, and the painted label image."""
    height, width = image.shape[:2]

    def read(region):
        out = np.full((*region.shape, 3), 255, np.uint8)
        inside = region.clip((height, width))
        out[inside.slices_in(region)] = image[inside.slices()]
        return out

    tiles = tile_grid((height, width), core_px=core_px, halo_px=64)
    canvas = np.zeros((height, width), np.int64)
    ids = []
    for part in segment_tiles(read, tiles, load_model("nuclei-brightfield")):
        number = np.zeros(int(part.labels.max()) + 1, np.int64)
        number[part.owned] = part.ids
        inside = part.tile.crop.clip((height, width))
        new = number[part.labels][inside.slices_in(part.tile.crop)]
        there = canvas[inside.slices()]
        assert not (new.astype(bool) & there.astype(bool)).any(), "a pixel was handed out twice"
        there[new > 0] = new[new > 0]
        ids.append(part.ids)
    ids = np.concatenate(ids)
    assert ids.tolist() == list(range(1, len(ids) + 1))
    y, x = np.nonzero(canvas)
    own = canvas[y, x]
    areas = np.bincount(own, minlength=len(ids) + 1)[1:]
    centres = np.stack([np.bincount(own, v, len(ids) + 1)[1:] for v in (y, x)], 1)
    return centres / np.maximum(areas, 1)[:, None], areas


@pytest.mark.slow
@pytest.mark.parametrize("core_px", [128, 224])
def test_tiled_equals_whole(field, core_px):
    whole, whole_areas = cells_of(field.image, 640)
    tiled, tiled_areas = cells_of(field.image, core_px)
    assert len(whole) > 150
    assert abs(len(tiled) - len(whole)) <= 0.01 * len(whole)
    distance, nearest = cKDTree(whole).query(tiled)
    same = distance < 1.0
    assert same.mean() > 0.98
    assert len(np.unique(nearest[same])) == same.sum(), "two cells stand for one"
    ratio = tiled_areas[same] / whole_areas[nearest[same]]
    # The network sees further than the halo reaches: a pixel here and there.
    assert np.median(np.abs(ratio - 1)) < 0.01
    assert np.mean(np.abs(ratio - 1) < 0.1) > 0.97


def disc_tile(tile, centre, radius=6):
    """Labels of one disc as a tile's crop shows it."""
    y, x = np.mgrid[tile.crop.y : tile.crop.stop_y, tile.crop.x : tile.crop.stop_x]
    return (np.hypot(y - centre[0], x - centre[1]) <= radius).astype(np.int32)


def sums_of(labels):
    return _sums(labels, np.zeros(labels.shape, np.float32))[0]


def hand_out(tiles, labels_of):
    """Walk the tiles as `segment_tiles` does, with given labels; count what is handed out."""
    seams, total = _Seams(), 0
    for tile in tiles:
        labels = labels_of(tile)
        owned = seams.claim(tile, labels, sums_of(labels))
        total += len(owned)
        seams.keep(tile, labels, owned)
    return total


@pytest.mark.parametrize(
    "centre", [(40, 62), (40, 63.6), (40, 64.4), (63.9, 64.1), (20, 20), (90, 70)]
)
def test_a_cell_on_a_seam_is_handed_out_once(centre):
    tiles = tile_grid((128, 128), core_px=64, halo_px=32)
    assert hand_out(tiles, lambda tile: disc_tile(tile, centre)) == 1


@pytest.mark.parametrize("shift", [-3, 3])
def test_a_cell_that_moves_between_crops_is_neither_lost_nor_doubled(shift):
    # The left tile sees it beyond the seam, the right one before it (or the other way round).
    tiles = tile_grid((64, 128), core_px=64, halo_px=32)

    def moved(tile):
        return disc_tile(tile, (32, 64 + (shift if tile.core.x == 0 else -shift)))

    assert hand_out(tiles, moved) == 1


def test_two_cells_on_a_seam_are_two():
    tiles = tile_grid((64, 128), core_px=64, halo_px=32)

    def pair(tile):
        first, second = disc_tile(tile, (32, 58), 5), disc_tile(tile, (32, 70), 5)
        return np.where(first > 0, 1, second * 2).astype(np.int32)

    assert hand_out(tiles, pair) == 2


def test_a_cell_that_one_crop_splits_is_not_counted_again():
    tiles = tile_grid((64, 128), core_px=64, halo_px=32)

    def split(tile):
        labels = disc_tile(tile, (32, 64), 8)
        if tile.core.x:
            rows = np.arange(tile.crop.y, tile.crop.stop_y)[:, None]
            labels = np.where((labels > 0) & (rows >= 32), 2, labels).astype(np.int32)
        return labels

    assert hand_out(tiles, split) == 1


def test_no_tiles_no_cells():
    def read(region: Region):
        raise AssertionError("nothing is to be read")

    assert list(segment_tiles(read, (), load_model("nuclei-brightfield"))) == []


def test_offered_reaches_a_little_beyond_the_core():
    tile = Tile(Region(0, 0, 64, 64), Region(-32, -32, 128, 128))
    assert _offered(tile, sums_of(disc_tile(tile, (30, 70), 4))).tolist() == [1]
    assert _offered(tile, sums_of(disc_tile(tile, (30, 76), 4))).tolist() == []


def test_the_number_of_workers_changes_nothing(field, monkeypatch):
    import histo.threads

    found = {}
    for workers in (1, 2, 5):
        monkeypatch.setattr(histo.threads, "worker_count", lambda n=workers: n)
        found[workers] = cells_of(field.image[:384, :384], 128)
    for workers in (2, 5):
        for one, other in zip(found[1], found[workers], strict=True):
            np.testing.assert_array_equal(one, other)


def test_each_nucleus_has_the_networks_word_on_its_brown(field):
    model = load_model("nuclei-brightfield")
    image = field.image[:256, :256]
    (part,) = segment_tiles(
        lambda region: image, tile_grid((256, 256), core_px=256, halo_px=0), model
    )
    plane = model.predict(image)[..., 2]
    for label, mean in list(zip(part.owned, part.positive, strict=True))[:20]:
        assert mean == pytest.approx(plane[part.labels == label].mean(), abs=1e-4)


def test_an_error_while_reading_surfaces_and_leaves_no_thread():
    import threading

    def read(region):
        raise OSError("the disk went away")

    before = threading.active_count()
    tiles = tile_grid((256, 256), core_px=64, halo_px=32)
    with pytest.raises(OSError, match="disk went away"):
        list(segment_tiles(read, tiles, load_model("nuclei-brightfield")))
    assert threading.active_count() == before
