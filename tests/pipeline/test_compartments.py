"""A slide in compartments: exact where they are drawn, kept and renewed with its edits."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from histo.errors import AnnotationError, PanelError, ResultError
from histo.pipeline import Settings, analyze_slide, can_renew, recompute, renew_slide
from histo.pipeline.compartments import read_divided
from histo.pipeline.spatial import read_window
from histo.results import (
    Annotation,
    mask_rings,
    read_manifest,
    read_slide_result,
    sha256_file,
    write_annotations,
)
from histo.review import Review

PANEL = "foxp3-dab"


def values(result):
    return {metric.name: metric.value for metric in result.metrics}


def draw(path, section, name="Tumor", *extra):
    """Write the painted nests as a person would have drawn them."""
    rings = mask_rings(np.asarray(section.nests), section.pixel_size_um)
    annotations = [Annotation(name, "", rings), *extra]
    write_annotations(path, annotations, (section.pixel_size_um,) * 2, slide="section")
    return path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, section):
    return draw(tmp_path_factory.mktemp("drawn") / "section.geojson", section)


@pytest.fixture(scope="module")
def divided(analysed, drawn, tmp_path_factory):
    """The section, divided by its painted nests; not to be changed."""
    path, folder, _ = analysed
    copy = tmp_path_factory.mktemp("divided") / "section"
    shutil.copytree(folder, copy)
    return path, copy, renew_slide(path, Settings(PANEL, regions=str(drawn)), folder=copy)


@pytest.fixture
def copy(divided, tmp_path):
    shutil.copytree(divided[1], tmp_path / "section")
    return tmp_path / "section"


def test_areas_are_those_that_were_painted(divided, section):
    found = values(divided[2])
    nests = np.asarray(section.nests & section.tissue)
    true = nests.sum() * section.pixel_size_um**2 / 1e6
    # 4 µm pixels, and tissue as the survey outlines it: lumina count where they are small.
    assert found["tumor_area_mm2"] == pytest.approx(true, rel=0.06)
    whole = divided[2].areas.valid_um2 / 1e6
    assert found["tumor_area_mm2"] + found["other_area_mm2"] == pytest.approx(whole, rel=1e-6)


def test_cells_lie_where_the_drawing_says(divided, section):
    cells = divided[2].cells
    counted = cells[cells["compartment"] != "excluded"]
    at = (counted[["y_um", "x_um"]].to_numpy() / section.pixel_size_um).astype(int)
    inside = section.nests[at[:, 0], at[:, 1]]
    said = (counted["compartment"] == "tumor").to_numpy()
    assert (inside == said).mean() > 0.97  # but for those on a pixel of the border
    found = values(divided[2])
    assert found["tumor_cell_count"] == said.sum()
    assert found["tumor_cell_count"] + found["other_cell_count"] == found["cell_count"]
    for part in ("tumor", "other"):
        own = counted[counted["compartment"] == part]
        assert found[f"{part}_foxp3_count"] == own["foxp3_positive"].sum()
        area = found[f"{part}_area_mm2"]
        assert found[f"{part}_foxp3_density_per_mm2"] == pytest.approx(
            own["foxp3_positive"].sum() / area
        )


def test_stain_of_the_parts_is_that_of_the_whole(divided):
    parts = [one.histograms["dab"] for one in read_divided(divided[1]).areas.values()]
    whole = divided[2].areas.histograms["dab"]
    joined = sum(part.counts for part in parts)
    assert joined.sum() == pytest.approx(whole.total, rel=0.02)
    for cut in (0.05, 0.2, 0.5):
        share = sum(part.at_least(cut) for part in parts) / joined.sum()
        assert share == pytest.approx(whole.at_least(cut) / whole.total, abs=0.002)


def test_dividing_with_the_run_or_after_it_is_the_same(divided, drawn, tmp_path):
    path, _, after = divided
    settings = Settings(PANEL, regions=str(drawn))
    at_once = analyze_slide(path, settings, folder=tmp_path / "section")
    pd.testing.assert_frame_equal(at_once.cells, after.cells)
    assert at_once.metrics == after.metrics
    assert at_once.manifest["fingerprint"] == after.manifest["fingerprint"]
    assert at_once.manifest["compartments"] == after.manifest["compartments"]
    assert at_once.manifest["flags"] == after.manifest["flags"]


def test_the_margin_has_its_metrics(divided):
    found = {metric.name: metric for metric in divided[2].metrics}
    bands = [m for name, m in found.items() if name.startswith("foxp3_margin_")]
    assert len(bands) == 10
    positive = found["foxp3_count"].value
    assert sum(m.numerator for m in bands) <= positive
    assert found["foxp3_in_tumor_percent"].value == pytest.approx(
        100 * found["tumor_foxp3_count"].value / positive, abs=3
    )
    assert np.isfinite(found["foxp3_depth_in_tumor_median_um"].value)
    assert found["foxp3_to_tumor_cell_median_um"].value > 0


def test_annotations_and_pictures_are_written(divided):
    folder = divided[1]
    features = json.loads((folder / "regions.geojson").read_text())["features"]
    names = [one["properties"]["classification"]["name"] for one in features]
    assert names == ["Tumor", "Other"]
    areas = [one["properties"]["measurements"]["Area µm^2"] / 1e6 for one in features]
    found = values(divided[2])
    assert areas == pytest.approx([found["tumor_area_mm2"], found["other_area_mm2"]], abs=1e-6)
    assert (folder / "compartments.png").stat().st_size > 10_000
    source = read_manifest(folder)["compartments"]["source"]
    assert (source["kind"], source["name"]) == ("drawn", "section.geojson")
    assert "compartments_by_model" not in read_manifest(folder)["flags"]


def test_other_thresholds_need_no_slide(divided, copy):
    again = recompute(copy, {})
    assert again.metrics == divided[2].metrics
    other = recompute(copy, {"foxp3": 0.4})
    assert values(other)["other_foxp3_count"] < values(again)["other_foxp3_count"]
    assert values(other)["tumor_area_mm2"] == values(again)["tumor_area_mm2"]


def test_edits_stay_and_have_their_compartment(divided, copy, drawn):
    review = Review.open(copy, reader="ann")
    cells = review.cells
    inside = cells[cells["compartment"] == "tumor"]
    before = {m.name: m.value for m in review.metrics}
    review.delete(inside["cell_id"].head(3))
    after = {m.name: m.value for m in review.metrics}
    assert after["tumor_cell_count"] == before["tumor_cell_count"] - 3
    assert after["other_cell_count"] == before["other_cell_count"]
    settings = Settings(PANEL, thresholds={"foxp3": 0.3}, regions=str(drawn))
    result = renew_slide(divided[0], settings, folder=copy)
    assert values(result)["tumor_cell_count"] == before["tumor_cell_count"] - 3
    assert values(result)["edited_cell_count"] == 3
    assert "edits_set_aside" not in result.manifest["flags"]
    assert Review.open(copy).can_undo


def test_a_region_taken_out_leaves_its_compartment(copy):
    from histo.metrics import SlideAreas

    review = Review.open(copy, reader="ann")
    areas = read_divided(copy).areas
    half = [[0, 0], [0, 1000], [160, 1000], [160, 0]]
    review.exclude(half, SlideAreas(1.0, 1.0, 0.0, {n: h for n, h in _nothing().items()}))
    after = {m.name: m.value for m in review.metrics}
    for word in ("tumor", "other"):
        assert after[f"{word}_area_mm2"] < areas[word].valid_um2 / 1e6
        assert np.isnan(after[f"{word}_foxp3_positive_area_percent"])
        assert np.isfinite(after[f"{word}_foxp3_density_per_mm2"])


def _nothing():
    from histo.metrics import OD_EDGES, Histogram

    empty = np.zeros(OD_EDGES.size - 1, np.int64)
    return {name: Histogram(OD_EDGES, empty) for name in ("hematoxylin", "dab")}


def test_regions_can_be_taken_away_again(divided, copy, analysed):
    result = renew_slide(divided[0], Settings(PANEL), folder=copy)
    assert result.metrics == analysed[2].metrics
    assert set(result.cells["compartment"]) <= {"tissue", "excluded"}
    assert not (copy / "compartments.npz").exists()
    assert not (copy / "compartments.png").exists()
    assert "compartments" not in read_manifest(copy)


def test_only_the_same_cells_are_renewed(divided, copy, drawn):
    sha256 = sha256_file(divided[0])
    assert can_renew(copy, Settings(PANEL), sha256)
    assert can_renew(copy, Settings(PANEL, thresholds={"foxp3": 0.3}), sha256)
    assert not can_renew(copy, Settings(PANEL, pixel_size_um=0.25), sha256)
    assert not can_renew(copy, Settings("he"), sha256)
    assert not can_renew(copy, Settings(PANEL), "0" * 64)


def test_a_margin_ends_at_necrosis(divided, section, copy, tmp_path):
    square = np.array([[0.0, 0], [0, 120], [120, 120], [120, 0]])
    dead = Annotation("Necrosis", "", [[square]])
    path = draw(tmp_path / "dead.geojson", section, "Tumour", dead)
    result = renew_slide(divided[0], Settings(PANEL, regions=str(path)), folder=copy)
    found = values(result)
    assert {"tumor_area_mm2", "necrosis_area_mm2", "other_area_mm2"} <= found.keys()
    bands = [m for m in result.metrics if m.name.startswith("foxp3_margin_")]
    # Bands reach 500 µm to either side: all living tissue, and none of the dead.
    window, own = read_window(copy), read_divided(copy).compartments
    living = np.count_nonzero(window.mask & ~own.mask("necrosis")) * window.pixel_size_um**2
    assert sum(m.denominator for m in bands) == pytest.approx(living, rel=0.01)
    assert living < 0.95 * window.area_um2


def test_what_cannot_be_used_is_said(divided, copy, tmp_path, section):
    path = divided[0]
    far = draw(tmp_path / "far.geojson", section)
    content = json.loads(far.read_text())
    for feature in content["features"]:
        corners = [[9e5, 9e5], [9e5 + 9, 9e5], [9e5, 9e5 + 9]]
        feature["geometry"] = {"type": "Polygon", "coordinates": [corners]}
    far.write_text(json.dumps(content))
    before = (copy / "metrics.json").read_bytes()
    with pytest.raises(AnnotationError, match="no annotation lies on the tissue"):
        renew_slide(path, Settings(PANEL, regions=str(far)), folder=copy)
    with pytest.raises(AnnotationError, match="no region model and no annotations"):
        Settings(PANEL, regions="nowhere").record()
    with pytest.raises(PanelError, match="finds its own regions"):
        Settings("lung-he", regions=str(far)).load_panel()
    named = draw(tmp_path / "named.geojson", section, "Tissue")
    with pytest.raises(AnnotationError, match="give it another class"):
        renew_slide(path, Settings(PANEL, regions=str(named)), folder=copy)
    assert (copy / "metrics.json").read_bytes() == before


@pytest.mark.parametrize("name", ["compartments.npz", "compartments.json"])
def test_damaged_compartments_are_refused(copy, name):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ResultError, match="compartments are damaged"):
        recompute(copy, {})
    assert read_slide_result(copy).metrics


def test_fluorescence_is_divided_too_and_a_channel_can_say_where(paint_section, tmp_path):
    from histo.pipeline.region_learning import RegionSettings, RegionTask, train_regions

    slide = paint_section(tmp_path / "if.tif", panel="foxp3-rankl-if", seed=4, side_px=360)
    halves = []
    for name, left in (("Tumor", 0.0), ("Stroma", 90.0)):
        corners = [[0, left], [0, left + 80], [180, left + 80], [180, left]]
        halves.append(Annotation(name, "", [[np.array(corners)]]))
    drawn = tmp_path / "if.geojson"
    write_annotations(drawn, halves, (0.5, 0.5), slide="if")
    settings = Settings("foxp3-rankl-if", regions=str(drawn))
    at_once = analyze_slide(slide, settings, folder=tmp_path / "at_once")
    analyze_slide(slide, Settings("foxp3-rankl-if"), folder=tmp_path / "later")
    later = renew_slide(slide, settings, folder=tmp_path / "later")
    assert later.metrics == at_once.metrics
    found = values(later)
    assert found["tumor_cell_count"] > 0
    assert found["stroma_cell_count"] > 0
    assert "stroma_rankl_positive_area_percent" in found
    task = RegionTask(slide, tmp_path / "later", drawn)
    taught = train_regions([task], tmp_path / "m", RegionSettings(("rankl",), steps=3))
    assert taught.classes == ("Tumor", "Stroma")
    by_model = Settings("foxp3-rankl-if", regions=str(tmp_path / "m"))
    result = renew_slide(slide, by_model, folder=tmp_path / "later")
    assert values(result)["tumor_area_mm2"] + values(result)["stroma_area_mm2"] > 0.02
    with pytest.raises(PanelError, match="the region model reads 'rankl'"):
        analyze_slide(
            slide, Settings("nuclei-if", regions=by_model.regions), folder=tmp_path / "no"
        )
