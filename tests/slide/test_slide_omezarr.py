"""OME-Zarr 0.4 and 0.5."""

import numpy as np
import pytest
import zarr

from histo.errors import SlideError
from histo.geometry import Region
from histo.slide import PixelSize, open_slide

AXES = [
    {"name": "t", "type": "time"},
    {"name": "c", "type": "channel"},
    {"name": "z", "type": "space", "unit": "micrometer"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]


def write_zarr(path, image, *, version="0.5", names=None, colours=None, levels=3):
    """Write (C, Y, X) as t c z y x with levels by striding, at 0.5 µm per pixel."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    datasets = []
    for level in range(levels):
        step = 2**level
        data = image[:, ::step, ::step][np.newaxis, :, np.newaxis]
        array = group.create_array(
            str(level), shape=data.shape, dtype=data.dtype, chunks=(1, 1, 1, 50, 60)
        )
        array[:] = data
        scale = [1.0, 1.0, 1.0, 0.5 * step, 0.5 * step]
        datasets.append(
            {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        )
    meta = {"multiscales": [{"axes": AXES, "datasets": datasets, "version": version}]}
    if names or colours:
        count = len(image)
        meta["omero"] = {
            "channels": [
                {"label": name, "color": colour}
                for name, colour in zip(
                    names or [""] * count, colours or ["FFFFFF"] * count, strict=True
                )
            ]
        }
    group.attrs.update({"ome": {**meta, "version": version}} if version == "0.5" else meta)
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_channels(tmp_path, version):
    image = np.random.default_rng(0).integers(1, 60000, (2, 300, 421), dtype=np.uint16)
    path = write_zarr(tmp_path / "m.ome.zarr", image, version=version, names=["DAPI", "FOXP3"])
    with open_slide(path) as slide:
        assert slide.name == "m"
        assert slide.kind == "channels"
        assert slide.channel_names == ("DAPI", "FOXP3")
        assert slide.pixel_size == PixelSize(0.5, 0.5, "OME-Zarr")
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 4.0]
        for level in slide.levels:
            step = int(level.downsample)
            read = slide.read(Region(0, 0, *level.shape), 0.5 * step)
            np.testing.assert_array_equal(read, image[:, ::step, ::step].transpose(1, 2, 0))
        read = slide.read(Region(-3, 400, 70, 40), 0.5)
        np.testing.assert_array_equal(read[3:, :21], image[:, :67, 400:].transpose(1, 2, 0))
        assert (read[:3] == 0).all()


def test_three_bright_channels_are_rgb(tmp_path):
    bright = np.random.default_rng(0).integers(150, 256, (3, 100, 120), dtype=np.uint8)
    primary = ["FF0000", "00FF00", "0000FF"]
    with open_slide(write_zarr(tmp_path / "a.zarr", bright, colours=primary)) as slide:
        assert slide.kind == "brightfield"
        assert "three_channels_read_as_rgb" in slide.notes
        read = slide.read(Region(0, 0, 100, 120), 0.5)
        np.testing.assert_array_equal(read, bright.transpose(1, 2, 0))
    with open_slide(write_zarr(tmp_path / "b.zarr", bright // 8, colours=primary)) as slide:
        assert slide.kind == "channels"


def test_the_first_of_several_images(tmp_path):
    root = zarr.open_group(tmp_path / "r.zarr", mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    for name in ("0", "1"):
        write_zarr(tmp_path / "r.zarr" / name, np.ones((1, 64, 64), np.uint8), version="0.4")
    with open_slide(tmp_path / "r.zarr") as slide:
        assert slide.shape == (64, 64)
        assert "first_image_of_several" in slide.notes


def test_no_image_and_damage(tmp_path):
    zarr.open_group(tmp_path / "e.zarr", mode="w")
    with pytest.raises(SlideError, match=r"^e\.zarr: is a Zarr folder without a multiscale image"):
        open_slide(tmp_path / "e.zarr")
    path = write_zarr(tmp_path / "d.zarr", np.full((1, 100, 120), 7, np.uint8))
    chunk = next(file for file in (path / "0" / "c").rglob("*") if file.is_file())
    chunk.write_bytes(b"broken")
    with (
        open_slide(path) as slide,
        pytest.raises(SlideError, match=r"^d\.zarr: cannot be read as OME-Zarr"),
    ):
        slide.read(Region(0, 0, 100, 120), 0.5)
    (path / "zarr.json").write_text("{}")
    with pytest.raises(SlideError, match=r"^d\.zarr: "):
        open_slide(path)
