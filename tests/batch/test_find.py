"""Files, folders and patterns become a list of slides: each once, in natural order."""

import os
import sys

import pytest

from histo.batch import find_slides
from histo.batch.find import natural_key
from histo.errors import SlideError


def plant(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def names(root, slides):
    return [slide.relative_to(root).as_posix() for slide in slides]


def test_a_folder_is_searched_in_natural_order_with_its_subfolders(tmp_path):
    plant(tmp_path, "s10.tif", "S2.SVS", "mouse10/a.tif", "mouse9/b.ome.tiff", "s1.png")
    assert names(tmp_path, find_slides(tmp_path)) == [
        "s1.png",
        "S2.SVS",
        "s10.tif",
        "mouse9/b.ome.tiff",
        "mouse10/a.tif",
    ]


def test_what_is_no_slide_is_left_out_of_a_folder(tmp_path):
    plant(
        tmp_path,
        "a.tif",
        ".hidden.tif",
        "._a.tif",
        "notes.txt",
        "table.xlsx",
        ".cache/b.tif",
        "out/a/manifest.json",
        "out/a/metrics.json",
        "out/a/overview.png",
        "out/a/nuclei.ome.zarr/zarr.json",
        "out/metrics.csv",
    )
    assert names(tmp_path, find_slides([tmp_path])) == ["a.tif"]


def test_a_slide_of_a_format_that_cannot_be_read_is_not_missing_in_silence(tmp_path):
    plant(tmp_path, "a.tif", "b.czi")
    assert names(tmp_path, find_slides(tmp_path)) == ["a.tif", "b.czi"]


def test_a_named_file_is_always_taken(tmp_path):
    plant(tmp_path, "scan.dat", ".hidden.tif")
    assert find_slides([tmp_path / "scan.dat"]) == [tmp_path / "scan.dat"]
    assert find_slides(tmp_path / ".hidden.tif") == [tmp_path / ".hidden.tif"]


def test_each_slide_is_taken_once(tmp_path):
    plant(tmp_path, "a.tif", "b.tif")
    slides = find_slides([tmp_path / "b.tif", tmp_path, str(tmp_path / "*.tif")])
    assert names(tmp_path, slides) == ["b.tif", "a.tif"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_links_are_followed_once_and_never_for_ever(tmp_path):
    plant(tmp_path, "in/a.tif", "elsewhere/b.tif")
    os.symlink(tmp_path / "in", tmp_path / "in" / "again")
    os.symlink(tmp_path / "elsewhere", tmp_path / "in" / "more")
    assert names(tmp_path, find_slides(tmp_path / "in")) == ["in/a.tif", "in/more/b.tif"]


def test_patterns_are_expanded_here_since_not_every_shell_does(tmp_path):
    plant(tmp_path, "x/s2.tif", "x/s10.tif", "x/s1.txt", "y/s3.tif", "out/s3/metrics.json")
    plant(tmp_path, "out/s3/manifest.json", "out/s3/overview.png")
    assert names(tmp_path, find_slides(str(tmp_path / "x" / "*"))) == ["x/s2.tif", "x/s10.tif"]
    assert names(tmp_path, find_slides(str(tmp_path / "[xy]"))) == [
        "x/s2.tif",
        "x/s10.tif",
        "y/s3.tif",
    ]
    assert names(tmp_path, find_slides(str(tmp_path / "**" / "*"))) == [
        "x/s2.tif",
        "x/s10.tif",
        "y/s3.tif",
    ]


def test_a_file_with_brackets_in_its_name_is_that_file(tmp_path):
    plant(tmp_path, "slide [1].tif", "slide 1.tif")
    slides = find_slides(str(tmp_path / "slide [1].tif"))
    assert names(tmp_path, slides) == ["slide [1].tif"]


def test_a_zarr_folder_counts_once(tmp_path):
    plant(tmp_path, "a.ome.zarr/zarr.json", "a.ome.zarr/0/c/0/0/0", "b/.zattrs", "b/0/0.0.tif")
    assert names(tmp_path, find_slides(tmp_path)) == ["a.ome.zarr", "b"]
    assert find_slides(tmp_path / "b") == [tmp_path / "b"]
    assert find_slides(str(tmp_path / "**" / "*")) == [tmp_path / "a.ome.zarr"]


def test_a_vms_file_and_its_images_count_once(tmp_path):
    plant(tmp_path, "s(0,0).jpg", "s_macro.jpg", "s_map2.jpg", "other.jpg")
    (tmp_path / "s.vms").write_text(
        "[Virtual Microscope Specimen]\nImageFile=s(0,0).jpg\n"
        "MapFile=s_map2.jpg\nMacroImage=s_macro.jpg\n"
    )
    assert names(tmp_path, find_slides(tmp_path)) == ["other.jpg", "s.vms"]


def test_an_mrxs_slide_counts_once(tmp_path):
    plant(tmp_path, "a.mrxs", "a/Slidedat.ini", "a/Data0000.dat")
    assert names(tmp_path, find_slides(tmp_path)) == ["a.mrxs"]


@pytest.mark.parametrize("kind", [b"UI\x0a\x00", b"\x0a\x00\x00\x00"], ids=["explicit", "implicit"])
def test_a_dicom_series_counts_once_by_its_finest_level(tmp_path, kind):
    def write(name, uid, size):
        header = b"\0" * 128 + b"DICM" + b"\x20\x00\x0e\x00" + kind + uid
        (tmp_path / name).write_bytes(header + b"\x20\x00\x10\x00SH\0\0" + b"\0" * size)

    write("level0.dcm", b"1.2.3.4.5", 5000)
    write("level1.dcm", b"1.2.3.4.5", 1000)
    write("label.dcm", b"1.2.3.4.5", 10)
    write("z.dcm", b"1.2.3.4.6", 10)
    (tmp_path / "nothing.dcm").write_bytes(b"not DICOM")
    assert names(tmp_path, find_slides(tmp_path)) == ["level0.dcm", "nothing.dcm", "z.dcm"]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("gone.tif", "no such file or folder; check the path"),
        ("gone*.tif", "no file matches this pattern"),
        ("*.txt", "matches 1 names, none of them an image"),
        ("empty", "no image in this folder or below it"),
    ],
)
def test_what_cannot_be_found_is_named(tmp_path, named, message):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SlideError, match=message):
        find_slides([tmp_path / named])


def test_nothing_asked_is_a_bad_argument():
    with pytest.raises(ValueError, match="at least one"):
        find_slides([])


def test_natural_order_takes_any_name():
    given = ["b", "10", "9a", "a10", "a9", "²", "A1"]
    assert sorted(given, key=natural_key) == ["9a", "10", "A1", "a9", "a10", "b", "²"]
