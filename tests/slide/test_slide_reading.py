"""The slide's grid: levels, averages, padding, tiles against the whole, threads, closing."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile

from histo.errors import SlideError
from histo.geometry import Region
from histo.slide import Level, PixelSize, open_slide, slide_name


def halved(image: np.ndarray, times: int) -> np.ndarray:
    step = 2**times
    height, width = image.shape[0] // step * step, image.shape[1] // step * step
    blocks = image[:height, :width].reshape(height // step, step, width // step, step, 3)
    return blocks.mean((1, 3)).astype(np.uint8)


def test_level_0_comes_back_unchanged(write_pyramid, texture):
    with open_slide(write_pyramid([texture])) as slide:
        assert slide.kind == "brightfield"
        assert slide.shape == texture.shape[:2]
        assert slide.dtype == np.uint8
        assert slide.channel_names == ("red", "green", "blue")
        assert slide.levels == (Level((300, 421), 1.0),)
        assert slide.pixel_size == PixelSize(0.25, 0.25, "TIFF tags")
        assert slide.name == "pyramid"
        np.testing.assert_array_equal(slide.read(Region(0, 0, 300, 421), 0.25), texture)
        part = slide.read(Region(37, 101, 90, 200), 0.25)
        np.testing.assert_array_equal(part, texture[37:127, 101:301])


def test_reads_come_from_the_nearest_finer_level(write_pyramid):
    # Each level has its own grey, so a read tells where it came from.
    levels = [
        np.full((512 // s, 512 // s, 3), grey, np.uint8) for s, grey in ((1, 10), (2, 20), (8, 80))
    ]
    with open_slide(write_pyramid(levels)) as slide:
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 8.0]
        for size, grey in (
            (0.25, 10),
            (0.3, 10),
            (0.49, 10),
            (0.5, 20),
            (1.0, 20),
            (1.99, 20),
            (2.0, 80),
            (2.5, 80),
            (40.0, 80),
        ):
            pixel = slide.read(Region(0, 0, 1, 1), size)
            assert (pixel == grey).all(), (size, pixel)


def test_a_level_of_a_rounded_extent_has_a_whole_downsample(write_pyramid):
    full = np.full((301, 203, 3), 50, np.uint8)
    floor, ceil = np.full((150, 101, 3), 60, np.uint8), np.full((76, 51, 3), 70, np.uint8)
    with open_slide(write_pyramid([full, floor, ceil])) as slide:
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 4.0]
        assert slide.grid_shape(0.5) == (151, 102)
        whole = slide.read(Region(0, 0, 151, 102), 0.5)
        # The row that rounding cut off repeats the edge: it is tissue, not glass.
        assert (whole == 60).all()


@pytest.mark.parametrize("size", [0.25, 0.31, 0.5, 0.7, 1.0, 1.9, 3.3])
def test_tiles_equal_the_whole(write_pyramid, texture, size):
    with open_slide(write_pyramid([texture, halved(texture, 1)])) as slide:
        height, width = slide.grid_shape(size)
        whole = slide.read(Region(0, 0, height, width), size)
        tiled = np.zeros_like(whole)
        for y in range(0, height, 37):
            for x in range(0, width, 53):
                region = Region(y, x, min(37, height - y), min(53, width - x))
                tiled[region.slices()] = slide.read(region, size)
        np.testing.assert_array_equal(tiled, whole)


@pytest.mark.parametrize("size", [0.25, 0.4, 0.75, 1.3])
def test_averages_are_anchored_at_the_corner(write_pyramid, texture, size):
    with open_slide(write_pyramid([texture])) as slide:
        factor = size / 0.25
        height, width = slide.grid_shape(size)
        assert (height, width) == tuple(math.ceil(n / factor - 1e-9) for n in (300, 421))
        read = slide.read(Region(20, 30, 3, 3), size).astype(float)
        for i in range(3):
            for j in range(3):
                exact = integral(texture, (20 + i) * factor, (30 + j) * factor, factor)
                np.testing.assert_allclose(read[i, j], exact, atol=0.51)


def integral(image: np.ndarray, top: float, left: float, side: float) -> np.ndarray:
    """Mean of the image over a square with fractional corners."""

    def weights(low: float, length: int) -> np.ndarray:
        pixel = np.arange(length)
        return np.clip(np.minimum(low + side, pixel + 1) - np.maximum(low, pixel), 0, None)

    rows, columns = weights(top, image.shape[0]), weights(left, image.shape[1])
    return np.einsum("y,yxc,x->c", rows, image.astype(float), columns) / side**2


def test_outside_is_white(write_pyramid):
    black = np.zeros((100, 100, 3), np.uint8)
    with open_slide(write_pyramid([black])) as slide:
        read = slide.read(Region(-10, -20, 150, 160), 0.25)
        assert read[:10].min() == read[:, :20].min() == read[110:].min() == read[:, 120:].min()
        assert read[:10].min() == 255
        assert (read[10:110, 20:120] == 0).all()
        assert (slide.read(Region(1000, 1000, 5, 5), 0.25) == 255).all()
        assert slide.read(Region(0, 0, 0, 7), 0.25).shape == (0, 7, 3)
        # The last pixels average what is there, not the white beyond.
        assert (slide.read(Region(0, 0, *slide.grid_shape(0.7)), 0.7) == 0).all()


def test_channels_are_padded_with_zero(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        np.full((2, 50, 50), 900, np.uint16),
        metadata={"axes": "CYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
    )
    with open_slide(tmp_path / "a.ome.tif") as slide:
        read = slide.read(Region(-5, 0, 10, 10), 0.5)
        assert (read[:5] == 0).all()
        assert (read[5:] == 900).all()


def test_never_upsamples(write_pyramid, texture):
    with open_slide(write_pyramid([texture])) as slide:
        slide.read(Region(0, 0, 4, 4), 0.2476)
        with pytest.raises(
            SlideError, match=r"pyramid\.tif: 0\.24 µm .* holds 0\.25; ask for 0\.25"
        ):
            slide.read(Region(0, 0, 4, 4), 0.24)
        for wrong in (0, -1, math.nan, math.inf):
            with pytest.raises(ValueError, match="pixel_size_um"):
                slide.read(Region(0, 0, 4, 4), wrong)


def test_working_pixel_size(write_pyramid):
    levels = [np.zeros((512 // s, 512 // s, 3), np.uint8) for s in (1, 4)]
    with open_slide(write_pyramid(levels)) as slide:
        assert slide.working_pixel_size(0.5) == 0.5
        assert slide.working_pixel_size(0.52) == 0.5
        assert slide.working_pixel_size(0.62) == 0.62
        assert slide.working_pixel_size(1.05) == 1.0
        # 1.25 is five pixels of level 0, but would be read from level 1, where it is no whole.
        assert slide.working_pixel_size(1.25) == 1.25
        assert slide.working_pixel_size(0.1) == 0.25
    with open_slide(write_pyramid(levels), pixel_size_um=0.46) as slide:
        assert slide.working_pixel_size(0.5) == 0.46
        assert slide.working_pixel_size(1.0) == 0.92


def test_thumbnail(write_pyramid, texture):
    with open_slide(write_pyramid([texture], resolutionunit="NONE")) as slide:
        assert slide.pixel_size is None
        assert slide.thumbnail(10_000).shape == texture.shape
        small = slide.thumbnail(100)
        assert small.shape == (72, 100, 3)
        np.testing.assert_allclose(small.mean((0, 1)), texture.mean((0, 1)), atol=1)
        with pytest.raises(ValueError, match="max_side_px"):
            slide.thumbnail(0)


def test_missing_pixel_size(write_pyramid, texture):
    path = write_pyramid([texture], resolutionunit="NONE")
    with open_slide(path) as slide:
        message = (
            r"^pyramid\.tif: the file states no pixel size; give it with --pixel-size "
            r"\(µm per pixel\), for example --pixel-size 0\.5$"
        )
        with pytest.raises(SlideError, match=message):
            _ = slide.pixel_size_um
        for call in (
            lambda: slide.read(Region(0, 0, 1, 1), 0.5),
            lambda: slide.grid_shape(0.5),
            lambda: slide.working_pixel_size(0.5),
        ):
            with pytest.raises(SlideError, match="--pixel-size"):
                call()
    with open_slide(path, pixel_size_um=0.5) as slide:
        assert slide.pixel_size == PixelSize(0.5, 0.5, "user")
        np.testing.assert_array_equal(slide.read(Region(0, 0, 300, 421), 0.5), texture)
    for wrong in (0.0, -1.0, 1e9, math.nan):
        with pytest.raises(ValueError, match="pixel_size_um"):
            open_slide(path, pixel_size_um=wrong)


def test_pixel_size_that_is_given_overrides(write_pyramid, texture):
    with open_slide(write_pyramid([texture]), pixel_size_um=1.0) as slide:
        assert slide.pixel_size_um == 1.0
        assert slide.pixel_size.source == "user"


def test_anisotropic_pixels_are_read_on_a_square_grid(tmp_path):
    # A square of 20 x 20 µm in pixels of 0.5 x 1.0 µm (x, y).
    image = np.zeros((60, 120, 3), np.uint8)
    image[10:30, 20:60] = 200
    tifffile.imwrite(
        tmp_path / "a.tif",
        image,
        photometric="rgb",
        resolution=(20000, 10000),
        resolutionunit="CENTIMETER",
    )
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.notes == ("anisotropic_pixels",)
        assert slide.pixel_size_um == pytest.approx(math.sqrt(0.5))
        assert slide.grid_shape(2.0) == (30, 30)
        square = slide.read(Region(0, 0, 30, 30), 2.0)[..., 0]
        assert (square[5:15, 5:15] == 200).all()
        assert square.astype(int).sum() == 100 * 200
        assert slide.thumbnail(30).shape == (30, 30, 3)
        assert slide.read(Region(0, 0, 9, 9), slide.pixel_size_um).shape == (9, 9, 3)


def test_a_hair_of_anisotropy_does_not_resample(tmp_path, texture):
    tifffile.imwrite(
        tmp_path / "a.tif",
        texture,
        photometric="rgb",
        resolution=(20000, 20040),
        resolutionunit="CENTIMETER",
    )
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.notes == ()
        read = slide.read(Region(0, 0, 300, 421), slide.pixel_size_um)
        np.testing.assert_array_equal(read, texture)


def test_two_threads_read_the_same_as_one(write_pyramid, texture):
    path = write_pyramid([texture], compression="zlib")
    regions = [Region(y, x, 70, 70) for y in range(0, 230, 23) for x in range(0, 340, 31)]
    with open_slide(path) as slide, ThreadPoolExecutor(4) as pool:
        reads = list(pool.map(lambda region: slide.read(region, 0.25), regions))
    for region, read in zip(regions, reads, strict=True):
        np.testing.assert_array_equal(read, texture[region.slices()])


def test_what_was_read_is_the_callers(write_pyramid, texture):
    with open_slide(write_pyramid([texture])) as slide:
        slide.read(Region(0, 0, 64, 64), 0.25)[:] = 0
        np.testing.assert_array_equal(slide.read(Region(0, 0, 64, 64), 0.25), texture[:64, :64])


def test_closed(write_pyramid, texture):
    with open_slide(write_pyramid([texture])) as slide:
        pass
    slide.close()
    with pytest.raises(ValueError, match="closed"):
        slide.read(Region(0, 0, 1, 1), 0.25)
    with pytest.raises(ValueError, match="closed"):
        slide.thumbnail(10)


def test_names(tmp_path):
    for file, name in (
        ("a.svs", "a"),
        ("a.ome.tif", "a"),
        ("a.1.OME.TIFF", "a.1"),
        ("m.ome.zarr", "m"),
        ("no_suffix", "no_suffix"),
        ("x.y.ndpi", "x.y"),
    ):
        assert slide_name(tmp_path / file) == name
