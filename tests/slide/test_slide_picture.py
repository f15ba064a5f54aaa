"""PNG and JPEG."""

import struct
import zlib

import imagecodecs
import numpy as np
import pytest

from histo.errors import SlideError
from histo.geometry import Region
from histo.slide import PixelSize, open_slide


def with_density(png: bytes, x: int, y: int, unit: int) -> bytes:
    """Insert a pHYs chunk behind the header of a PNG."""
    body = b"pHYs" + struct.pack(">IIB", x, y, unit)
    chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    return png[:33] + chunk + png[33:]


def test_png(tmp_path, texture):
    path = tmp_path / "a.png"
    png = imagecodecs.png_encode(texture)
    path.write_bytes(png)
    with open_slide(path) as slide:
        assert slide.pixel_size is None
        assert slide.kind == "brightfield"
        np.testing.assert_array_equal(slide.thumbnail(1000), texture)
    path.write_bytes(with_density(png, 2_000_000, 2_000_000, 1))
    with open_slide(path) as slide:
        assert slide.pixel_size == PixelSize(0.5, 0.5, "PNG pHYs")
        np.testing.assert_array_equal(slide.read(Region(0, 0, 300, 421), 0.5), texture)
    for density, unit, notes in ((11811, 1, ("implausible_pixel_size",)), (2_000_000, 0, ())):
        path.write_bytes(with_density(png, density, density, unit))
        with open_slide(path) as slide:
            assert slide.pixel_size is None
            assert slide.notes == notes


def test_png_kinds(tmp_path):
    path = tmp_path / "a.png"
    for shape, dtype, kind, channels in (
        ((9, 8), np.uint8, "channels", 1),
        ((9, 8), np.uint16, "channels", 1),
        ((9, 8, 2), np.uint8, "channels", 1),
        ((9, 8, 4), np.uint8, "brightfield", 3),
        ((9, 8, 3), np.uint16, "brightfield", 3),
    ):
        image = np.full(shape, np.iinfo(dtype).max, dtype)
        path.write_bytes(imagecodecs.png_encode(image))
        with open_slide(path, pixel_size_um=1.0) as slide:
            assert slide.kind == kind
            read = slide.read(Region(0, 0, 9, 8), 1.0)
            assert read.shape == (9, 8, channels)
            assert (read == np.iinfo(read.dtype).max).all()


def test_jpeg(tmp_path):
    grey = np.full((40, 50, 3), 120, np.uint8)
    path = tmp_path / "a.jpg"
    jpeg = bytearray(imagecodecs.jpeg8_encode(grey, level=95))
    path.write_bytes(jpeg)
    with open_slide(path) as slide:
        assert slide.pixel_size is None
        assert np.abs(slide.thumbnail(100).astype(int) - 120).max() <= 1
    jpeg[13:18] = struct.pack(">BHH", 2, 20000, 20000)
    path.write_bytes(jpeg)
    with open_slide(path) as slide:
        assert slide.pixel_size == PixelSize(0.5, 0.5, "JFIF")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_off(tmp_path, texture, share):
    for name, data in (
        ("a.png", imagecodecs.png_encode(texture)),
        ("a.jpg", imagecodecs.jpeg8_encode(texture)),
    ):
        (tmp_path / name).write_bytes(data[: int(len(data) * share)])
        with pytest.raises(SlideError, match=f"^{name}: is damaged or cut off"):
            open_slide(tmp_path / name)


def test_too_large_in_one_piece(tmp_path, texture):
    data = bytearray(imagecodecs.png_encode(texture))
    data[16:24] = struct.pack(">II", 60000, 60000)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SlideError, match="3600 million pixels in one piece; convert it to a TIFF"):
        open_slide(tmp_path / "a.png")


def test_cmyk_is_refused(tmp_path):
    cmyk = np.zeros((20, 20, 4), np.uint8)
    (tmp_path / "a.jpg").write_bytes(
        imagecodecs.jpeg8_encode(cmyk, colorspace="CMYK", outcolorspace="CMYK")
    )
    with pytest.raises(SlideError, match="is a JPEG in CMYK, for print; save it as RGB"):
        open_slide(tmp_path / "a.jpg")
