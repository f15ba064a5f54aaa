"""A slide keeps its result folder, and is hashed again only when its files change."""

import hashlib
import os

import pytest

from histo.batch.ledger import Ledger
from histo.errors import SlideError


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def write(path, content=b"pixels"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def finish(out, *slides):
    """Do what a batch does: name folders, hash, make results, save."""
    ledger = Ledger(out)
    names = ledger.folders(slides)
    for slide, name in zip(slides, names, strict=True):
        ledger.sha256(slide, name)
        write(out / name / "manifest.json")
        write(out / name / "metrics.json")
    ledger.save()
    return names


def test_hash_is_the_content_of_the_file(tmp_path, out):
    slide = write(tmp_path / "a.tif")
    assert Ledger(out).sha256(slide, "a") == hashlib.sha256(b"pixels").hexdigest()


def test_an_unchanged_slide_is_not_read_again(tmp_path, out):
    slide = write(tmp_path / "a.tif")
    finish(out, slide)
    status = slide.stat()
    # The same size and time: what the hash is remembered by. The bytes are not looked at.
    slide.write_bytes(b"PIXELS")
    os.utime(slide, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert Ledger(out).sha256(slide, "a") == hashlib.sha256(b"pixels").hexdigest()
    os.utime(slide, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    assert Ledger(out).sha256(slide, "a") == hashlib.sha256(b"PIXELS").hexdigest()


def test_a_slide_keeps_its_folder_when_another_of_its_name_joins(tmp_path, out):
    first, second = write(tmp_path / "m1/liver.tif", b"1"), write(tmp_path / "m2/liver.tif", b"2")
    assert finish(out, first) == ["liver"]
    assert finish(out, first, second) == ["liver", "m2_liver"]
    assert finish(out, second, first) == ["m2_liver", "liver"]


def test_another_slide_of_the_same_name_does_not_take_over_the_results(tmp_path, out):
    finish(out, write(tmp_path / "m1/liver.tif", b"1"))
    assert finish(out, write(tmp_path / "m2/liver.tif", b"2")) == ["m2_liver"]


def test_moved_slides_keep_their_folders(tmp_path, out):
    old = [write(tmp_path / f"old/m{i}/liver.tif", bytes([i])) for i in range(3)]
    names = finish(out, *old)
    new = [write(tmp_path / f"new/m{i}/liver.tif", bytes([i])) for i in range(3)]
    assert finish(out, *new) == names
    assert finish(out, *new) == names


def test_what_is_no_result_is_never_taken_for_one(tmp_path):
    # The pixels of an .mrxs file lie in a folder of its name, here beside the results.
    slide = write(tmp_path / "a.mrxs")
    write(tmp_path / "a" / "Data0000.dat")
    assert Ledger(tmp_path).folders([slide]) == [f"{tmp_path.name}_a"]


def test_an_mrxs_slide_has_changed_when_its_pixels_have(tmp_path, out):
    slide = write(tmp_path / "a.mrxs")
    pixels = write(tmp_path / "a" / "Data0000.dat", b"1")
    ledger = Ledger(out)
    before = ledger.sha256(slide, "a")
    pixels.write_bytes(b"22")
    assert ledger.sha256(slide, "a") != before


def test_a_damaged_ledger_costs_only_time(tmp_path, out):
    slide = write(tmp_path / "a.tif")
    finish(out, slide)
    for content in ("{", "[]", '{"a": 3}', '{"a": {"x": 1}}'):
        (out / ".histo-inputs.json").write_text(content)
        ledger = Ledger(out)
        assert ledger.folders([slide]) == ["a"]
        assert ledger.sha256(slide, "a") == hashlib.sha256(b"pixels").hexdigest()


def test_the_ledger_does_not_tell_where_slides_lie(tmp_path, out):
    finish(out, write(tmp_path / "Jane Doe" / "a.tif"))
    assert "Jane" not in (out / ".histo-inputs.json").read_text()


def test_a_slide_that_cannot_be_read_is_named(tmp_path, out):
    with pytest.raises(SlideError, match=r"gone\.tif"):
        Ledger(out).sha256(tmp_path / "gone.tif", "gone")
