"""Where the pixel size comes from, and what is not believed."""

import numpy as np
import pytest
import tifffile

from histo.slide import PixelSize, open_slide
from histo.slide.pixel_size import believe, from_lengths, from_resolution, unit_in_um

RGB = np.full((20, 30, 3), 180, np.uint8)
GREY = np.full((20, 30), 180, np.uint8)


@pytest.mark.parametrize(
    ("options", "expected", "notes"),
    [
        ({"resolution": (20000, 20000), "resolutionunit": 3}, (0.5, "TIFF tags"), ()),
        ({"resolution": (50800, 50800), "resolutionunit": 2}, (0.5, "TIFF tags"), ()),
        ({"resolution": (72, 72), "resolutionunit": 2}, None, ("implausible_pixel_size",)),
        ({"resolution": (96, 96), "resolutionunit": 2}, None, ("implausible_pixel_size",)),
        ({"resolution": (150, 150), "resolutionunit": 2}, None, ("implausible_pixel_size",)),
        ({"resolution": (300, 300), "resolutionunit": 2}, None, ("implausible_pixel_size",)),
        ({"resolution": (1200, 1200), "resolutionunit": 2}, None, ("implausible_pixel_size",)),
        ({"resolution": (20000, 20000), "resolutionunit": 1}, None, ()),
        ({"resolution": (0, 0), "resolutionunit": 3}, None, ()),
        ({}, None, ()),
    ],
)
def test_tiff_tags(tmp_path, options, expected, notes):
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", metadata=None, **options)
    with open_slide(tmp_path / "a.tif") as slide:
        if expected is None:
            assert slide.pixel_size is None
        else:
            assert slide.pixel_size == PixelSize(
                pytest.approx(expected[0]), pytest.approx(expected[0]), expected[1]
            )
        assert slide.notes == notes


@pytest.mark.parametrize(
    ("size", "unit", "expected"),
    [
        (0.5, "µm", 0.5),
        (500, "nm", 0.5),
        (0.0005, "mm", 0.5),
        (0.5, None, 0.5),
        (0.5, "pixel", None),
        (5e6, "nm", None),
        (0.001, "µm", None),
    ],
)
def test_ome_xml(tmp_path, size, unit, expected):
    metadata = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size}
    if unit:
        metadata |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY, metadata=metadata)
    with open_slide(tmp_path / "a.ome.tif") as slide:
        if expected is None:
            assert slide.pixel_size is None
        else:
            assert slide.pixel_size.source == "OME-XML"
            assert slide.pixel_size_um == pytest.approx(expected)


@pytest.mark.parametrize(("y", "expected"), [(0.502, (0.501, 0.501)), (0.6, (0.6, 0.5))])
def test_sides_are_those_that_pixels_are_read_in(tmp_path, y, expected):
    physical = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": y}
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY, metadata=physical)
    with open_slide(tmp_path / "a.ome.tif") as slide:
        assert slide.pixel_size_yx_um == pytest.approx(expected, rel=1e-5)
        um = slide.working_pixel_size(1.0)
        grid, sides = slide.grid_shape(um), slide.pixel_size_yx_um
        for count, extent, side in zip(grid, slide.shape, sides, strict=True):
            assert abs(count * um - extent * side) <= um


def test_a_pixel_size_that_replaces_another_has_a_flag(tmp_path):
    physical = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "a.ome.tif", GREY, metadata=physical)
    with open_slide(tmp_path / "a.ome.tif", pixel_size_um=0.25) as slide:
        assert slide.notes == ("pixel_size_replaced",)
    with open_slide(tmp_path / "a.ome.tif", pixel_size_um=0.503) as slide:
        assert slide.notes == ()


def test_ome_xml_beats_the_tags(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        GREY,
        resolution=(10000, 10000),
        resolutionunit=3,
        metadata={"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25},
    )
    with open_slide(tmp_path / "a.ome.tif") as slide:
        assert slide.pixel_size == PixelSize(0.25, 0.25, "OME-XML")


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [
        ("um", 4, 0.25),
        ("micron", 4, 0.25),
        ("\\u00B5m", 4, 0.25),
        ("mm", 4000, 0.25),
        ("nm", 0.004, 0.25),
        ("pixel", 4, None),
        ("inch", 72, None),
    ],
)
def test_imagej(tmp_path, unit, per_unit, expected):
    tifffile.imwrite(
        tmp_path / "a.tif",
        GREY,
        imagej=True,
        resolution=(per_unit, per_unit),
        metadata={"unit": unit},
    )
    with open_slide(tmp_path / "a.tif") as slide:
        if expected is None:
            assert slide.pixel_size is None
        else:
            assert slide.pixel_size.source == "ImageJ"
            assert slide.pixel_size_um == pytest.approx(expected)


def test_svs_header(tmp_path):
    for stated, expected in (("|MPP = 0.2520", 0.252), ("", None)):
        tifffile.imwrite(
            tmp_path / "a.svs",
            RGB,
            photometric="rgb",
            metadata=None,
            tile=(16, 16),
            resolution=(72, 72),
            resolutionunit=2,
            description=f"Aperio Image Library v12\n30x20 (16x16)|AppMag = 40{stated}",
        )
        with open_slide(tmp_path / "a.svs") as slide:
            # The objective is never turned into a pixel size.
            assert slide.pixel_size == (
                PixelSize(expected, expected, "SVS header") if expected else None
            )


def test_believe_and_units():
    assert believe(None) == (None, ())
    assert believe(PixelSize(0.5, 0.51, "x"))[1] == ("anisotropic_pixels",)
    assert believe(PixelSize(0.5, 0.504, "x"))[1] == ()
    assert believe(PixelSize(30, 30, "x"))[0] is not None
    assert believe(PixelSize(30, 30, "x"), density=True)[0] is None
    assert believe(PixelSize(0.04, 0.5, "x"))[0] is None
    assert unit_in_um("μm") == unit_in_um("µm") == 1.0
    assert unit_in_um("furlong") is None
    assert from_resolution((1, 0), (1, 0), "cm", "x") is None
    assert from_lengths("half", "1", y_unit="um", x_unit="um", source="x") is None
    assert PixelSize(0.25, 1.0, "x").mean_um == 0.5
