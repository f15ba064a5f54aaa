"""TIFF in its kinds: compressions, colours, channels, pyramids, what lies beside the slide."""

import cv2
import numpy as np
import pytest
import tifffile

from histo.errors import SlideError
from histo.geometry import Region
from histo.slide import open_slide


def read_whole(path, **options):
    with open_slide(path, pixel_size_um=0.5, **options) as slide:
        return slide.read(Region(0, 0, *slide.shape), 0.5), slide


@pytest.fixture
def smooth() -> np.ndarray:
    """A picture of whole tiles that lossy compression keeps: uint8 (192, 320, 3)."""
    y, x = np.mgrid[:192, :320]
    return np.stack([x * 255 / 319, y * 255 / 191, 128 + 0 * x], -1).astype(np.uint8)


@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {"rowsperstrip": 17}, {}])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_lossless_layouts(tmp_path, texture, layout, planar, compression, bigtiff):
    stored = texture if planar == "contig" else texture.transpose(2, 0, 1)
    tifffile.imwrite(
        tmp_path / "a.tif",
        stored,
        photometric="rgb",
        planarconfig=planar,
        compression=compression,
        bigtiff=bigtiff,
        predictor=compression in ("lzw", "zlib"),
        **layout,
    )
    read, slide = read_whole(tmp_path / "a.tif")
    assert slide.kind == "brightfield"
    np.testing.assert_array_equal(read, texture)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("layout", [{"tile": (32, 32)}, {}])
def test_channels_keep_their_type_and_values(tmp_path, byteorder, dtype, layout):
    values = (np.random.default_rng(0).random((4, 70, 90)) * 250).astype(dtype)
    tifffile.imwrite(
        tmp_path / "a.tif",
        values,
        photometric="minisblack",
        metadata={"axes": "CYX"},
        byteorder=byteorder,
        ome=True,
        **layout,
    )
    read, slide = read_whole(tmp_path / "a.tif")
    assert (slide.kind, slide.dtype, read.dtype) == ("channels", dtype, dtype)
    assert slide.channel_names == ("channel-1", "channel-2", "channel-3", "channel-4")
    np.testing.assert_array_equal(read, values.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("compression", "arguments", "tolerance"),
    [
        ("jpeg", {"level": 95}, 4),
        ("webp", {"level": 95}, 8),
        ("jpeg2000", {}, 0),
        ("aperio_jp2000_rgb", {"level": 60}, 3),
    ],
)
def test_lossy_tiles(tmp_path, smooth, compression, arguments, tolerance):
    tifffile.imwrite(
        tmp_path / "a.tif",
        smooth,
        photometric="rgb",
        tile=(64, 64),
        compression=compression,
        compressionargs=arguments,
    )
    read, _ = read_whole(tmp_path / "a.tif")
    assert np.abs(read.astype(int) - smooth).max() <= tolerance


def test_jpeg_in_ycbcr(tmp_path, smooth):
    tifffile.imwrite(
        tmp_path / "a.tif",
        smooth,
        photometric="rgb",
        subsampling=(2, 2),
        tile=(64, 64),
        compression="jpeg",
    )
    read, _ = read_whole(tmp_path / "a.tif")
    assert np.abs(read.astype(int) - smooth).max() <= 6


def test_sixteen_bit_colours_are_scaled(tmp_path):
    stored = np.array([[[0, 32768, 65535]] * 20] * 20, np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb")
    read, slide = read_whole(tmp_path / "a.tif")
    assert read[0, 0].tolist() == [0, 128, 255]
    assert slide.notes == ("colours_scaled_to_8_bit",)


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha"])
def test_alpha_goes_over_white(tmp_path, extra):
    stored = np.zeros((20, 20, 4), np.uint8)
    stored[:10, :, 3] = 255
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=[extra])
    read, slide = read_whole(tmp_path / "a.tif")
    assert (read[:10] == 0).all()
    assert (read[10:] == 255).all()
    assert "alpha_over_white" in slide.notes


def test_palette_cmyk_and_inverted_grey(tmp_path):
    colormap = np.zeros((3, 256), np.uint16)
    colormap[0, 7], colormap[2, 9] = 65535, 65535
    stored = np.array([[7, 9]] * 4, np.uint8)
    tifffile.imwrite(tmp_path / "p.tif", stored, photometric="palette", colormap=colormap)
    read, slide = read_whole(tmp_path / "p.tif")
    assert read[0].tolist() == [[255, 0, 0], [0, 0, 255]]
    assert "palette_converted_to_rgb" in slide.notes

    cmyk = np.array([[[0, 255, 255, 0], [0, 0, 0, 255], [0, 0, 0, 0]]] * 4, np.uint8)
    tifffile.imwrite(tmp_path / "c.tif", cmyk, photometric="separated")
    read, slide = read_whole(tmp_path / "c.tif")
    assert read[0].tolist() == [[255, 0, 0], [0, 0, 0], [255, 255, 255]]

    tifffile.imwrite(tmp_path / "w.tif", np.full((4, 4), 10, np.uint8), photometric="miniswhite")
    read, slide = read_whole(tmp_path / "w.tif")
    assert slide.kind == "channels"
    assert (read == 245).all()


def test_lab_white_is_white(tmp_path):
    lab = np.zeros((4, 4, 3), np.uint8)
    lab[..., 0] = 255
    tifffile.imwrite(tmp_path / "a.tif", lab, photometric="cielab")
    read, _ = read_whole(tmp_path / "a.tif")
    assert read.min() >= 254


def test_values_that_do_not_fit_are_refused(tmp_path):
    for dtype in (np.int8, np.int16, np.int32):
        tifffile.imwrite(tmp_path / "a.tif", np.array([[-3, 100]] * 4, dtype))
        read, slide = read_whole(tmp_path / "a.tif")
        assert slide.dtype == np.float32
        assert read[0, :, 0].tolist() == [-3, 100]
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 4), 2**25, np.uint32))
    with pytest.raises(SlideError, match=r"a\.tif: holds whole numbers up to 33554432"):
        read_whole(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 4), np.complex64))
    with pytest.raises(SlideError, match="complex64"):
        open_slide(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4, 4, 3), np.uint32), photometric="rgb")
    with pytest.raises(SlideError, match="uint32; export it with 8 bits"):
        open_slide(tmp_path / "a.tif")


def test_sparse_tiles_are_white_in_brightfield(tmp_path):
    path = tmp_path / "a.tif"
    tiles = [np.zeros((64, 64, 3), np.uint8) if k != 2 else None for k in range(4)]
    options = {"shape": (128, 128, 3), "dtype": np.uint8, "photometric": "rgb", "tile": (64, 64)}
    tifffile.imwrite(path, iter(tiles), compression="zlib", **options)
    read, slide = read_whole(path)
    assert (read[64:, :64] == 255).all()
    assert (read[:64] == 0).all()
    assert "sparse_tiles" in slide.notes
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[0].tags[324].overwrite((0, 0, 0, 0))
        tif.pages[0].tags[325].overwrite((0, 0, 0, 0))
    with pytest.raises(SlideError, match="4 of 4 tiles or strips are missing"):
        open_slide(path)


def write_ome(path, planes: np.ndarray, names: list[str] | None, levels: int, **options) -> None:
    """Write an OME-TIFF with levels in SubIFDs, as bioformats2raw and QuPath do."""
    metadata = {"axes": "YXS" if planes.shape[-1] == 3 else "CYX", "PhysicalSizeX": 0.25}
    metadata |= (
        {"PhysicalSizeY": 0.25, "Channel": {"Name": names}} if names else {"PhysicalSizeY": 0.25}
    )
    axis = slice(None, None, 1)
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(planes, subifds=levels - 1, metadata=metadata, tile=(64, 64), **options)
        for level in range(1, levels):
            step = 2**level
            small = planes[axis, ::step, ::step] if names else planes[::step, ::step]
            tif.write(small, subfiletype=1, tile=(64, 64), **options)


def test_ome_tiff_with_sub_ifds_and_channels(tmp_path):
    planes = np.random.default_rng(0).integers(0, 60000, (4, 512, 512), dtype=np.uint16)
    names = ["DAPI", "FOXP3", "RANKL", "RANKL"]
    write_ome(tmp_path / "a.ome.tif", planes, names, 4, photometric="minisblack")
    with open_slide(tmp_path / "a.ome.tif") as slide:
        assert slide.channel_names == ("DAPI", "FOXP3", "RANKL", "RANKL-2")
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 4.0, 8.0]
        assert slide.pixel_size.source == "OME-XML"
        for level in slide.levels:
            step = int(level.downsample)
            read = slide.read(Region(0, 0, *level.shape), 0.25 * step)
            np.testing.assert_array_equal(read, planes[:, ::step, ::step].transpose(1, 2, 0))


def test_ome_tiff_in_rgb(tmp_path, texture):
    write_ome(tmp_path / "a.ome.tif", texture, None, 2, photometric="rgb")
    with open_slide(tmp_path / "a.ome.tif") as slide:
        assert slide.kind == "brightfield"
        assert len(slide.levels) == 2
        np.testing.assert_array_equal(slide.read(Region(0, 0, 300, 421), 0.25), texture)


def test_the_first_of_z_and_t(tmp_path):
    stack = np.arange(2 * 3 * 2 * 8 * 8, dtype=np.uint16).reshape(2, 3, 2, 8, 8)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "TZCYX"})
    read, slide = read_whole(tmp_path / "a.ome.tif")
    assert slide.notes == ("first_plane_of_stack",)
    np.testing.assert_array_equal(read, stack[0, 0].transpose(1, 2, 0))


def test_imagej_channels_in_one_block(tmp_path):
    stack = np.arange(3 * 16 * 16, dtype=np.uint16).reshape(3, 16, 16)
    tifffile.imwrite(
        tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "CYX", "Labels": ["a", "b", "c"]}
    )
    read, slide = read_whole(tmp_path / "a.tif")
    assert slide.channel_names == ("a", "b", "c")
    np.testing.assert_array_equal(read, stack.transpose(1, 2, 0))


def test_pages_without_description_are_channels_or_a_stack(tmp_path):
    for count, channels, note in (
        (3, 3, "pages_read_as_channels"),
        (40, 1, "first_plane_of_stack"),
    ):
        planes = np.random.default_rng(0).integers(0, 255, (count, 32, 32), dtype=np.uint8)
        with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
            for plane in planes:
                tif.write(plane, metadata=None, photometric="minisblack")
        read, slide = read_whole(tmp_path / "a.tif")
        assert len(slide.channel_names) == channels
        assert note in slide.notes
        np.testing.assert_array_equal(read, planes[:channels].transpose(1, 2, 0))


def test_a_pyramid_of_plain_pages(tmp_path):
    # No subfile types, no description; a picture of other proportions lies beside it.
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for side, grey in ((400, 10), (200, 20), (100, 30)):
            tif.write(
                np.full((side, side * 2, 3), grey, np.uint8), metadata=None, photometric="rgb"
            )
        tif.write(np.full((90, 250, 3), 99, np.uint8), metadata=None, photometric="rgb")
    with open_slide(tmp_path / "a.tif") as slide:
        assert [level.downsample for level in slide.levels] == [1.0, 2.0, 4.0]


def test_qptiff(tmp_path):
    planes = np.random.default_rng(0).integers(0, 255, (2, 128, 256), dtype=np.uint8)

    def about(name: str, kind: str) -> str:
        return (
            '<?xml version="1.0" encoding="utf-16"?><PerkinElmer-QPI-ImageDescription>'
            f"<ImageType>{kind}</ImageType><Name>{name}</Name>"
            "</PerkinElmer-QPI-ImageDescription>"
        )

    options = {"metadata": None, "resolution": (20000, 20000), "resolutionunit": 3}
    with tifffile.TiffWriter(tmp_path / "a.qptiff") as tif:
        for name, plane in zip(("DAPI", "Opal 570"), planes, strict=True):
            tif.write(
                plane,
                tile=(64, 64),
                description=about(name, "FullResolution"),
                software="PerkinElmer-QPI",
                **options,
            )
        thumbnail = np.zeros((32, 64, 3), np.uint8)
        tif.write(thumbnail, description=about("", "Thumbnail"), photometric="rgb", **options)
        for name, plane in zip(("DAPI", "Opal 570"), planes, strict=True):
            tif.write(
                cv2.resize(plane, (128, 64)),
                tile=(64, 64),
                description=about(name, "ReducedResolution"),
                **options,
            )
    with open_slide(tmp_path / "a.qptiff") as slide:
        assert slide.channel_names == ("DAPI", "Opal 570")
        assert slide.pixel_size.source == "QPTIFF"
        assert slide.pixel_size_um == pytest.approx(0.5)
        assert [level.downsample for level in slide.levels] == [1.0, 2.0]
        read = slide.read(Region(0, 0, 128, 256), 0.5)
        np.testing.assert_array_equal(read, planes.transpose(1, 2, 0))


def test_label_and_macro_are_never_exposed(tmp_path, texture):
    about = "Aperio Image Library v12\n"
    with tifffile.TiffWriter(tmp_path / "a.svs") as tif:
        common = {"photometric": "rgb", "metadata": None}
        tif.write(texture, tile=(64, 64), description=about + "421x300|MPP = 0.25", **common)
        tif.write(
            np.full((64, 64, 3), 1, np.uint8), description=about + "421x300 -> 64x64", **common
        )
        tif.write(
            np.full((500, 500, 3), 2, np.uint8),
            subfiletype=1,
            description=about + "label 500x500",
            **common,
        )
        tif.write(
            np.full((700, 900, 3), 3, np.uint8),
            subfiletype=9,
            description=about + "macro 900x700",
            **common,
        )
    with open_slide(tmp_path / "a.svs") as slide:
        assert slide.shape == (300, 421)
        assert len(slide.levels) == 1
        np.testing.assert_array_equal(slide.read(Region(0, 0, 300, 421), 0.25), texture)


def test_orientation_is_left_as_stored(tmp_path, texture):
    tifffile.imwrite(
        tmp_path / "a.tif", texture, photometric="rgb", extratags=[(274, 3, 1, 6, True)]
    )
    read, slide = read_whole(tmp_path / "a.tif")
    assert slide.notes == ("orientation_tag_ignored",)
    np.testing.assert_array_equal(read, texture)


def test_rgb_in_three_anonymous_channels(tmp_path):
    bright = np.random.default_rng(0).integers(150, 256, (3, 90, 80), dtype=np.uint8)
    for planes, names, kind in (
        (bright, None, "brightfield"),
        (bright, ["Red", "Green", "Blue"], "brightfield"),
        (bright, ["DAPI", "FOXP3", "CD3"], "channels"),
        (bright // 8, None, "channels"),
    ):
        write_ome(tmp_path / "a.ome.tif", planes, names, 1, photometric="minisblack")
        read, slide = read_whole(tmp_path / "a.ome.tif")
        assert slide.kind == kind
        assert ("three_channels_read_as_rgb" in slide.notes) == (kind == "brightfield")
        np.testing.assert_array_equal(read, planes.transpose(1, 2, 0))


def test_ome_tiff_in_two_files(tmp_path):
    planes = np.random.default_rng(0).integers(0, 255, (2, 40, 50), dtype=np.uint8)
    data = "".join(
        f'<TiffData FirstC="{c}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="c{c}.ome.tif">urn:uuid:{c}</UUID></TiffData>'
        for c in range(2)
    )
    for c, plane in enumerate(planes):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{c}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            'DimensionOrder="XYCZT" Type="uint8" SizeX="50" SizeY="40" SizeC="2" SizeZ="1" '
            f'SizeT="1">{data}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            tmp_path / f"c{c}.ome.tif",
            plane,
            description=xml,
            metadata=None,
            compression="zlib",
            rowsperstrip=7,
        )
    read, _ = read_whole(tmp_path / "c0.ome.tif")
    np.testing.assert_array_equal(read, planes.transpose(1, 2, 0))
    (tmp_path / "c1.ome.tif").unlink()
    with pytest.raises(SlideError, match="pixels lie in other files that are not there"):
        open_slide(tmp_path / "c0.ome.tif")
