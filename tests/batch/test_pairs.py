"""Which file belongs to which slide."""

import pytest

from histo.batch.pairs import pair_files
from histo.errors import AnnotationError


@pytest.fixture
def place(tmp_path):
    """Return a function that makes empty files, and result folders where a name ends in a slash."""

    def make(folder, *names):
        for name in names:
            path = tmp_path / folder / name
            (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                (path / "manifest.json").touch()
                (path / "cells.parquet").touch()
            else:
                path.touch()
        return tmp_path / folder

    return make


@pytest.mark.parametrize(
    "name",
    [
        "mouse.3.geojson",
        "mouse.3.geojson.gz",
        "mouse.3_labels.tif",
        "mouse.3-mask.png",
        "mouse.3.truth.csv",
        "mouse.3.ome.tiff",
        "mouse.3.svs.geojson",
        "mouse.3_Points.tsv",
    ],
)
def test_names_of_one_slide(place, name):
    pairing = pair_files(place("found", "mouse.3/"), place("truth", name))
    (pair,) = pairing.pairs
    assert (pair.name, pair.truth.name, pair.region) == ("mouse.3", name, None)


def test_what_has_no_partner_is_listed_in_natural_order(place):
    found = place(
        "found", "s1/", "s2/", "s10.csv", "metrics.csv", "animals.csv", "notes.docx", ".s4.csv"
    )
    truth = place("truth", "s1.csv", "s3.csv", "readme.md")
    pairing = pair_files(found, truth)
    assert [pair.name for pair in pairing.pairs] == ["s1"]
    assert pairing.lonely_predictions == ("s2", "s10.csv")
    assert pairing.lonely_truth == ("s3.csv",)


def test_two_files_need_no_common_name(place):
    found, truth = place("a", "x.csv") / "x.csv", place("b", "y.csv") / "y.csv"
    (pair,) = pair_files(found, truth).pairs
    assert (pair.name, pair.predictions, pair.truth) == ("x", found, truth)


def test_a_result_folder_is_one_side(place):
    found, truth = place("a", "s1/") / "s1", place("b", "y.csv") / "y.csv"
    assert pair_files(found, truth).pairs[0].name == "s1"


def test_regions(place):
    found, truth = place("a", "s1.csv", "s2.csv"), place("b", "s1.csv", "s2.csv")
    one = place("c", "roi.png") / "roi.png"
    assert [pair.region for pair in pair_files(found, truth, one).pairs] == [one, one]
    many = place("d", "s1_roi.png", "s2.geojson", "s2.csv")
    regions = [pair.region.name for pair in pair_files(found, truth, many).pairs]
    assert regions == ["s1_roi.png", "s2.geojson"]
    with pytest.raises(AnnotationError, match="holds no region for s2"):
        pair_files(found, truth, place("e", "s1.png"))
    with pytest.raises(AnnotationError, match="is a folder; give the region of this image"):
        pair_files(found / "s1.csv", truth / "s1.csv", many)


def test_what_cannot_be_paired_says_why(place, tmp_path):
    found, truth = place("a", "s1.csv"), place("b", "t1.csv", "t2.csv")
    with pytest.raises(AnnotationError, match=r"s1\.csv against t1\.csv, t2\.csv; name them alike"):
        pair_files(found, truth)
    with pytest.raises(AnnotationError, match=r"a is a folder of files and .*t1\.csv is not"):
        pair_files(found, truth / "t1.csv")
    with pytest.raises(AnnotationError, match=r"s1\.csv and s1\.geojson are both of s1; keep one"):
        pair_files(place("c", "s1.csv", "s1.geojson"), found)
    with pytest.raises(AnnotationError, match="gone: no such file or folder"):
        pair_files(tmp_path / "gone", truth)
    with pytest.raises(AnnotationError, match=r"roi\.png: no such file"):
        pair_files(found, found, tmp_path / "roi.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnnotationError, match=r"s1\.csv against no file"):
        pair_files(found, tmp_path / "empty")
