"""The panel for lungs: foci in every file of the result, and again without the slide."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from histo.cli.demo import sample_slides
from histo.errors import ResultError
from histo.metrics import OD_EDGES, Histogram, SlideAreas
from histo.pipeline import Settings, analyze_slide, recompute
from histo.pipeline.lung import correct_lung, read_lung_areas
from histo.results import read_region
from histo.review import Review

STAINS = ("hematoxylin", "eosin")


@pytest.fixture(scope="module")
def sample():
    return sample_slides()["lung-he"][0]


@pytest.fixture(scope="module")
def result(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lung") / "section"
    return folder, analyze_slide(sample, Settings("lung-he"), folder=folder)


def values(result):
    return {metric.name: metric.value for metric in result.metrics}


def test_every_painted_focus_is_found_with_its_area_and_nothing_else(result, sample):
    folder, run = result
    truth = pd.read_csv(sample.with_name("lung-he_section.truth.csv"))
    foci = pd.read_csv(folder / "foci.csv", encoding="utf-8-sig")
    assert len(foci) == len(truth)
    for true in truth.itertuples():
        away = np.hypot(foci["x_um"] - true.x_um, foci["y_um"] - true.y_um)
        assert away.min() < 10
        assert foci["area_um2"][away.idxmin()] == pytest.approx(true.area_um2, rel=0.1)
    found = values(run)
    assert found["lung_foci_count"] == len(truth)
    assert found["lung_foci_area_mm2"] * 1e6 == pytest.approx(truth["area_um2"].sum(), rel=0.02)
    burden = 100 * found["lung_foci_area_mm2"] / found["lung_lobe_area_mm2"]
    assert found["lung_burden_percent"] == pytest.approx(burden)
    reasons = {one["reason"] for one in json.loads((folder / "lung.json").read_text())["refused"]}
    assert {"lymphoid", "outside"} <= reasons


def test_annotations_hold_the_areas_of_the_metrics(result):
    folder, run = result
    features = json.loads((folder / "regions.geojson").read_text())["features"]
    kinds = [one["properties"]["classification"]["name"] for one in features]
    assert kinds.count("Metastasis") == values(run)["lung_foci_count"]
    assert {"Lung", "Metastasis"} <= set(kinds)
    assert len({one["id"] for one in features}) == len(features)

    def area(feature):
        shape = feature["geometry"]
        several = shape["type"] == "MultiPolygon"
        total = 0.0
        for polygon in shape["coordinates"] if several else [shape["coordinates"]]:
            for number, ring in enumerate(polygon):
                x, y = np.array(ring).T
                size = abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2
                total += -size if number else size
        return total

    for feature in features:  # a pixel of the slide is 1 µm² here
        measured = feature["properties"]["measurements"]["Area µm^2"]
        assert area(feature) == pytest.approx(measured, rel=1e-3)
    assert read_region(folder / "regions.geojson", pixel_size_um=1.0).count > 4


def test_other_numbers_keep_the_lung(result):
    folder, run = result
    before = (folder / "regions.geojson").read_bytes(), (folder / "lung.png").read_bytes()
    again = recompute(folder, {})
    assert values(again) == pytest.approx(values(run), nan_ok=True)
    assert before == (
        (folder / "regions.geojson").read_bytes(),
        (folder / "lung.png").read_bytes(),
    )


def test_a_region_left_out_takes_its_foci_along(result, tmp_path):
    folder, run = result
    copy = tmp_path / "section"
    shutil.copytree(folder, copy)
    foci = pd.read_csv(copy / "foci.csv", encoding="utf-8-sig")
    first, before = foci.iloc[0], values(run)
    half = 0.8 * first.diameter_um
    y, x = first.y_um, first.x_um
    square = [
        [y - half, x - half],
        [y - half, x + half],
        [y + half, x + half],
        [y + half, x - half],
    ]
    review = Review.open(copy, reader="ann")
    none = {name: Histogram(OD_EDGES, np.zeros(OD_EDGES.size - 1, np.int64)) for name in STAINS}
    review.exclude(square, SlideAreas(1.0, 1.0, 0.0, none))
    after = values(recompute(copy, {}))
    assert after["lung_foci_count"] == before["lung_foci_count"] - 1
    left = before["lung_foci_area_mm2"] - first.area_um2 / 1e6
    assert after["lung_foci_area_mm2"] == pytest.approx(left)
    lobe = before["lung_lobe_area_mm2"] - after["lung_lobe_area_mm2"]
    assert first.area_um2 / 1e6 < lobe < 1.05 * (2 * half) ** 2 / 1e6
    assert len(pd.read_csv(copy / "foci.csv", encoding="utf-8-sig")) == len(foci) - 1
    assert len(read_lung_areas(copy).foci_um2) == len(foci) - 1  # what animals are pooled from
    Review.open(copy, reader="ann").undo()
    assert values(recompute(copy, {})) == pytest.approx(before, nan_ok=True)


def test_a_save_that_fails_changes_nothing(result, tmp_path, monkeypatch):
    from histo.pipeline import corrected
    from histo.pipeline.files import LUNG_FILES

    copy = tmp_path / "section"
    shutil.copytree(result[0], copy)
    review = Review.open(copy, reader="ann")
    none = {name: Histogram(OD_EDGES, np.zeros(OD_EDGES.size - 1, np.int64)) for name in STAINS}
    corners = [[0, 0], [0, 900], [900, 900], [900, 0]]
    review.exclude(corners, SlideAreas(1.0, 1.0, 0.0, none))
    before = {name: (copy / name).read_bytes() for name in (*LUNG_FILES, "metrics.json")}

    def fail(*args, **kwargs):
        raise ResultError("the disk is full")

    monkeypatch.setattr(corrected, "write_calls", fail)
    with pytest.raises(ResultError, match="full"):
        recompute(copy, {})
    assert before == {name: (copy / name).read_bytes() for name in before}


def test_a_region_to_analyse_holds_its_own_foci_only(result, sample, tmp_path):
    folder, run = result
    foci = pd.read_csv(folder / "foci.csv", encoding="utf-8-sig")
    first, half = foci.iloc[0], 0.8 * foci["diameter_um"][0]
    y, x = first.y_um, first.x_um
    square = [
        (y - half, x - half),
        (y - half, x + half),
        (y + half, x + half),
        (y + half, x - half),
    ]
    here = analyze_slide(sample, Settings("lung-he", region=(square,)), folder=tmp_path / "part")
    found = values(here)
    assert found["lung_foci_count"] == 1
    assert found["lung_foci_area_mm2"] * 1e6 == pytest.approx(first.area_um2, rel=0.01)
    assert found["lung_lobe_area_mm2"] < values(run)["lung_lobe_area_mm2"] / 2


def test_a_result_without_maps_says_so_only_when_a_region_is_left_out(result, tmp_path):
    copy = tmp_path / "section"
    shutil.copytree(result[0], copy)
    (copy / "lung_maps.npz").unlink()
    assert values(recompute(copy, {})) == pytest.approx(values(result[1]), nan_ok=True)
    with pytest.raises(ResultError, match="--force"):
        correct_lung(copy, copy, [np.zeros((3, 2))], {})


def test_the_foci_are_printed(result, capsys):
    from histo.batch import recompute_folder
    from histo.cli.report import print_summary

    print_summary(recompute_folder(result[0], {}), json=False)
    printed = capsys.readouterr().out
    assert "Metastases in the lung" in printed
    assert any(line.split()[:2] == ["section", "4"] for line in printed.splitlines())


def test_a_lost_file_is_named(result, tmp_path):
    copy = tmp_path / "section"
    shutil.copytree(result[0], copy)
    (copy / "lung.json").write_text("{}")
    with pytest.raises(ResultError, match="its lung is missing or damaged"):
        recompute(copy, {})
