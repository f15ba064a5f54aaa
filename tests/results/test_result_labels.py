"""The label pyramid: any tiling gives the same image, levels are exact, glass costs nothing."""

import json

import numpy as np
import pytest
import zarr

from histo.errors import ResultError
from histo.geometry import Region
from histo.results import LabelWriter, labels, open_labels


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks so small that painting writes back and reads again."""
    monkeypatch.setattr(labels, "_CHUNK", 16)
    monkeypatch.setattr(labels, "_CACHED_CHUNKS", 2)
    monkeypatch.setattr(labels, "_SMALLEST_SIDE", 16)


def painted(shape, seed=0):
    rng = np.random.default_rng(seed)
    image = np.zeros(shape, np.int32)
    for number in range(1, 40):
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        image[y : y + 7, x : x + 6] = number
    return image


def paint_tiles(path, image, core, halo):
    """Give each label to the tile that holds its first pixel."""
    numbers, first = np.unique(image, return_index=True)
    rows, columns = np.unravel_index(first, image.shape)
    with LabelWriter(path, image.shape, 0.5) as writer:
        for y in range(0, image.shape[0], core):
            for x in range(0, image.shape[1], core):
                crop = Region(y, x, core, core).expand(halo).clip(image.shape)
                mine = (rows // core == y // core) & (columns // core == x // core) & (numbers > 0)
                writer.paint(crop, image[crop.slices()], numbers[mine])


@pytest.mark.parametrize("core", [10, 24, 100])
def test_tiles_give_the_whole(tmp_path, small_chunks, core):
    image = painted((70, 53))
    paint_tiles(tmp_path / "n.ome.zarr", image, core, halo=8)
    np.testing.assert_array_equal(open_labels(tmp_path / "n.ome.zarr")[0][:], image)


def test_levels_take_every_second_pixel(tmp_path, small_chunks):
    image = painted((70, 53))
    paint_tiles(tmp_path / "n.ome.zarr", image, 24, halo=8)
    levels = open_labels(tmp_path / "n.ome.zarr")
    assert [level.shape for level in levels] == [(70, 53), (35, 27), (18, 14), (9, 7)]
    for step, level in enumerate(levels):
        np.testing.assert_array_equal(level[:], image[:: 2**step, :: 2**step])


def test_neighbours_are_not_erased(tmp_path):
    path = tmp_path / "n.ome.zarr"
    with LabelWriter(path, (4, 4), 0.5) as writer:
        writer.paint(Region(0, 0, 4, 4), np.full((4, 4), 1), np.array([1]))
        # Owns 2 only: its background and its picture of cell 1 are not painted, nor is the
        # part of 2 that lies over cell 1.
        writer.paint(Region(2, 2, 4, 4), np.full((4, 4), 2), np.array([2]))
    assert (open_labels(path)[0][:] == 1).all()


def test_only_owned_labels_are_painted(tmp_path):
    path = tmp_path / "n.ome.zarr"
    with LabelWriter(path, (2, 4), 0.5) as writer:
        writer.paint(Region(0, 0, 2, 4), np.array([[1, 2, 3, 0]] * 2), np.array([3, 1]))
        writer.paint(Region(0, 0, 2, 4), np.array([[9, 9, 9, 9]] * 2), np.array([], np.int64))
    assert open_labels(path)[0][:].tolist() == [[1, 0, 3, 0]] * 2


def test_parts_outside_of_the_slide_are_dropped(tmp_path):
    path = tmp_path / "n.ome.zarr"
    with LabelWriter(path, (3, 3), 0.5) as writer:
        writer.paint(Region(-2, -2, 4, 4), np.arange(1, 17).reshape(4, 4), np.arange(1, 17))
        writer.paint(Region(50, 50, 2, 2), np.ones((2, 2), int), np.array([1]))
    assert open_labels(path)[0][:].tolist() == [[11, 12, 0], [15, 16, 0], [0, 0, 0]]


def test_inputs_are_left_alone(tmp_path):
    image = painted((20, 20))
    before = image.copy()
    with LabelWriter(tmp_path / "n.ome.zarr", (20, 20), 0.5) as writer:
        writer.paint(Region(0, 0, 20, 20), image, np.arange(5))
    np.testing.assert_array_equal(image, before)


def test_glass_is_not_stored(tmp_path, small_chunks):
    path = tmp_path / "n.ome.zarr"
    with LabelWriter(path, (400, 400), 0.5) as writer:
        writer.paint(Region(100, 100, 50, 50), np.full((50, 50), 7), np.array([7]))
    stored = [
        sorted(
            (int(file.parent.name), int(file.name))
            for file in path.glob(f"labels/nuclei/{level}/c/*/*")
        )
        for level in range(6)
    ]
    assert stored[0] == [(y, x) for y in range(6, 10) for x in range(6, 10)]
    assert [len(chunks) for chunks in stored] == [16, 4, 4, 4, 1, 1]


def test_a_slide_without_cells_has_a_pyramid(tmp_path):
    path = tmp_path / "n.ome.zarr"
    with LabelWriter(path, (3000, 700), 0.5):
        pass
    levels = open_labels(path)
    assert [level.shape for level in levels] == [(3000, 700), (1500, 350), (750, 175), (375, 88)]
    assert not levels[-1][:].any()


def test_metadata_follow_ngff(tmp_path):
    path = tmp_path / "n.ome.zarr"
    with LabelWriter(path, (1500, 600), 0.5):
        pass
    root = zarr.open_group(str(path), mode="r")
    assert root["labels"].attrs["ome"] == {"version": "0.5", "labels": ["nuclei"]}
    ome = root["labels/nuclei"].attrs["ome"]
    assert ome["image-label"] == {"version": "0.5"}
    (multiscale,) = ome["multiscales"]
    assert [(a["name"], a["unit"]) for a in multiscale["axes"]] == [
        ("y", "micrometer"),
        ("x", "micrometer"),
    ]
    scales = [d["coordinateTransformations"][0]["scale"] for d in multiscale["datasets"]]
    assert scales == [[0.5, 0.5], [1.0, 1.0], [2.0, 2.0]]
    shifts = [d["coordinateTransformations"][1]["translation"] for d in multiscale["datasets"]]
    assert shifts == [[0.25, 0.25]] * 3
    (outer,) = root.attrs["ome"]["multiscales"]
    assert [d["path"] for d in outer["datasets"]] == [f"labels/nuclei/{i}" for i in range(3)]
    # Also readable as plain JSON, as other programs do.
    assert json.loads((path / "zarr.json").read_text())["zarr_format"] == 3


@pytest.mark.parametrize(("shape", "size"), [((0, 5), 0.5), ((5, 5), 0.0), ((5, 5), float("nan"))])
def test_bad_arguments(tmp_path, shape, size):
    with pytest.raises(ValueError, match="must be"):
        LabelWriter(tmp_path / "n.ome.zarr", shape, size)


def test_bad_painting(tmp_path):
    writer = LabelWriter(tmp_path / "n.ome.zarr", (5, 5), 0.5)
    with pytest.raises(ValueError, match="but the region is"):
        writer.paint(Region(0, 0, 2, 2), np.ones((3, 3), int), np.array([1]))
    writer.close()
    with pytest.raises(ValueError, match="after close"):
        writer.paint(Region(0, 0, 1, 1), np.ones((1, 1), int), np.array([1]))


def test_not_a_pyramid(tmp_path):
    (tmp_path / "other").mkdir()
    zarr.open_group(str(tmp_path / "group"), mode="w")
    for name in ("none", "other", "group"):
        with pytest.raises(ResultError, match=f"^{name}: not a label image"):
            open_labels(tmp_path / name)
