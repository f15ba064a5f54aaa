"""Files that are absent, cut off, hostile or no slides: one clear SlideError, soon."""

import os
import struct
import sys
import time

import numpy as np
import pytest
import tifffile

from histo.errors import SlideError
from histo.geometry import Region
from histo.slide import open_slide


def open_and_read(path):
    with open_slide(path, pixel_size_um=0.5) as slide:
        slide.thumbnail(64)
        return slide.read(Region(0, 0, *slide.shape), 0.5)


def verdict(path) -> str:
    """Return "read" or "refused"; any other exception is the test's failure."""
    try:
        open_and_read(path)
    except SlideError as error:
        return "refused" if str(error).startswith(f"{path.name}: ") else str(error)
    return "read"


def write_texture(path, texture, **options):
    settings = {"photometric": "rgb", "tile": (64, 64), "compression": "zlib"} | options
    tifffile.imwrite(path, texture, **settings)
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"only words", "is no slide; give TIFF"),
        ("a.svs", b"IJrE" * 50, "is no slide; give TIFF"),
        ("a.tif", b"", "is empty"),
        ("a.tif", b"II*\0", "cut off before its first page"),
        ("a.tif", b"II*\0\xff\xff\xff\xff", "cut off before its first page"),
        ("a.dcm", b"\0" * 128 + b"DICM", "is DICOM but no whole-slide image"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "is damaged or cut off"),
        ("a.jpg", b"\xff\xd8\xff", "is damaged or cut off"),
        ("a.vsi", b"II*\0" + bytes(60), "VSI keeps its pixels in .ets files"),
    ],
)
def test_no_slides(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SlideError, match=f"^{name}: .*{message}"):
        open_slide(tmp_path / name)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(SlideError, match=r"^no\.tif: there is no such file; check the path"):
        open_slide(tmp_path / "no.tif")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SlideError, match=r"^folder: is a folder and no OME-Zarr image"):
        open_slide(tmp_path / "folder")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_a_link_in_a_circle(tmp_path):
    os.symlink(tmp_path / "b.tif", tmp_path / "a.tif")
    os.symlink(tmp_path / "a.tif", tmp_path / "b.tif")
    with pytest.raises(SlideError, match=r"^a\.tif: "):
        open_slide(tmp_path / "a.tif")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_unreadable(tmp_path, texture):
    path = write_texture(tmp_path / "a.tif", texture)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    with pytest.raises(SlideError, match="may not be read; ask for permission"):
        open_slide(path)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg", "jpeg2000"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.995])
@pytest.mark.parametrize("tile", [(64, 64), None])
def test_cut_off_anywhere(tmp_path, texture, compression, share, tile):
    if compression == "jpeg2000" and tile is None:
        tile = (128, 128)
    path = write_texture(tmp_path / "a.tif", texture, compression=compression, tile=tile)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(SlideError, match=r"^a\.tif: .*(copy|export) "):
        open_and_read(path)


@pytest.mark.parametrize("compression", ["zlib", "lzw", "jpeg", "jpeg2000"])
def test_a_hole_of_zeros_is_not_silently_read(tmp_path, texture, compression):
    # An interrupted copy leaves the length right and the rest zero.
    path = write_texture(tmp_path / "a.tif", texture, compression=compression)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        offset, count = page.dataoffsets[3], page.databytecounts[3]
    data = bytearray(path.read_bytes())
    data[offset + count // 2 : offset + count] = bytes(count - count // 2)
    path.write_bytes(data)
    with pytest.raises(SlideError, match=r"^a\.tif: is damaged or cut off"):
        open_and_read(path)


def patch_tag(path, code: int, value: int) -> None:
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[0].tags[code].overwrite(value)


@pytest.mark.parametrize(("code", "value"), [(256, 2**31), (257, 2**31), (257, 2**32 - 1)])
def test_a_header_that_claims_too_much(tmp_path, texture, code, value):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        texture,
        photometric="rgb",
        tile=(64, 64),
        bigtiff=True,
        metadata=None,
        compression="zlib",
    )
    patch_tag(path, code, value)
    start = time.perf_counter()
    with pytest.raises(SlideError, match=r"^a\.tif: claims .* which no slide has"):
        open_slide(path)
    assert time.perf_counter() - start < 5


def test_a_bomb_in_one_strip(tmp_path):
    # 40000 x 40000 bytes of zeros pack into 1.6 MB; nobody may unpack them at once.
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 40000), np.uint8), compression="zlib", rowsperstrip=64)
    patch_tag(path, 257, 40000)
    patch_tag(path, 278, 40000)
    with pytest.raises(SlideError, match=r"one tile or strip holds 1\.6 GB"):
        open_slide(path)


def test_a_picture_larger_than_its_tile(tmp_path, texture):
    path = write_texture(tmp_path / "a.tif", texture, compression="jpeg", tile=(64, 64))
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].dataoffsets[0]
    data = bytearray(path.read_bytes())
    frame = data.index(b"\xff\xc0", offset)
    data[frame + 5 : frame + 9] = struct.pack(">HH", 65000, 65000)
    path.write_bytes(data)
    with pytest.raises(SlideError, match="claims to be larger than the header says"):
        open_and_read(path)


def test_pages_in_a_circle_and_without_end(tmp_path):
    entry = struct.pack("<HHII", 256, 4, 1, 16)
    circle = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 1) + entry + struct.pack("<I", 8)
    (tmp_path / "a.tif").write_bytes(circle)
    with pytest.raises(SlideError, match="runs in a circle"):
        open_slide(tmp_path / "a.tif")
    chain = b"II*\0" + struct.pack("<I", 8)
    for index in range(21_000):
        chain += struct.pack("<H", 1) + entry + struct.pack("<I", 8 + 18 * (index + 1))
    (tmp_path / "b.tif").write_bytes(chain)
    with pytest.raises(SlideError, match="lists more than 20000 pages"):
        open_slide(tmp_path / "b.tif")


def test_metadata_that_claims_too_much(tmp_path):
    xml = (
        '<?xml version="1.0"?>{}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
        'SizeX="16" SizeY="16" SizeZ="{}" SizeC="1" SizeT="{}"><TiffData/></Pixels></Image></OME>'
    )
    entities = '<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;&b;&b;&b;">]>'
    for text, message in (
        (xml.format("", 2**30, 2**20), "claims 1125899906842624 planes"),
        (xml.format(entities, 1, 1), "declares entities"),
        (xml.format("", 1, 1).replace("</Pixels>", ""), "cannot be read as TIFF"),
    ):
        tifffile.imwrite(
            tmp_path / "a.tif", np.zeros((16, 16), np.uint8), description=text, metadata=None
        )
        start = time.perf_counter()
        with pytest.raises(SlideError, match=message):
            open_slide(tmp_path / "a.tif")
        assert time.perf_counter() - start < 5


def test_imagej_that_claims_too_many_planes(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((16, 16), np.uint8),
        description="ImageJ=1.53\nimages=900000000\nchannels=900000000\nhyperstack=true\n",
        metadata=None,
    )
    start = time.perf_counter()
    assert verdict(tmp_path / "a.tif") in ("read", "refused")
    assert time.perf_counter() - start < 5


def test_a_compression_that_is_not_read(tmp_path, texture):
    path = write_texture(tmp_path / "a.tif", texture)
    patch_tag(path, 259, 52479)
    with pytest.raises(SlideError, match=r"TIFF compression 52479\); export it as TIFF"):
        open_slide(path)
    patch_tag(path, 259, 6)
    with pytest.raises(SlideError, match="old-style JPEG"):
        open_slide(path)


def test_random_damage_never_escapes(tmp_path, texture):
    path = write_texture(tmp_path / "a.tif", texture[:100, :120], compression="jpeg")
    clean = path.read_bytes()
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(150):
        data = bytearray(clean)
        for place in rng.integers(0, min(len(data), 3000), 4):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        refused += verdict(path) == "refused"
    assert refused > 10
