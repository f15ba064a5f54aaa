"""One slide through the whole path: what is written, what is refused, and in which words."""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile

import histo
from histo.errors import PanelError, SlideError
from histo.nuclei import read_card
from histo.pipeline import Settings, analyze_slide, writing
from histo.results import open_labels, read_slide_result

SAMPLES = Path(__file__).resolve().parents[2] / "sample_images"

FILES = {
    "areas.json",
    "cells.geojson",
    "cells.parquet",
    "field.png",
    "gallery_foxp3.png",
    "manifest.json",
    "metrics.json",
    "nuclei.ome.zarr",
    "outlines.parquet",
    "overview.png",
    "views.npz",
    "window.npz",
}
FOXP3 = Settings("foxp3-dab")


def test_the_folder_is_complete_and_reads_back(analysed):
    _, folder, result = analysed
    assert {path.name for path in folder.iterdir()} == FILES
    stored = read_slide_result(folder)
    assert stored.cells.equals(result.cells)
    # Two NaN are not equal: compare as text.
    assert repr(stored.metrics) == repr(result.metrics)


def test_the_manifest_says_where_the_numbers_come_from(analysed):
    path, folder, _ = analysed
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["input"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    card = read_card("nuclei-brightfield")
    assert manifest["model"] == {
        "name": card.name,
        "version": card.version,
        "sha256": hashlib.sha256(card.weights.read_bytes()).hexdigest(),
    }
    slide = manifest["slide"]
    assert slide["pixel_size_um"] == pytest.approx(0.5)
    assert slide["pixel_size_source"] == "TIFF tags"
    assert slide["shape_px"] == [640, 640]
    stains = manifest["stains"]
    assert list(stains["vectors"]) == ["hematoxylin", "dab"]
    for vector in stains["vectors"].values():
        assert np.linalg.norm(vector) == pytest.approx(1)
    # The painted light is (243, 243, 241).
    np.testing.assert_allclose(stains["white_point"], [243, 243, 241], atol=3)
    assert manifest["thresholds"]["foxp3"]["values"] == [0.12, 0.24, 0.36]
    assert manifest["thresholds"]["foxp3"]["source"] == "learned"
    assert manifest["analysis"]["working_pixel_size_um"] == pytest.approx(0.5)
    assert manifest["edits"]["count"] == 0
    assert histo.__version__ in json.dumps(manifest["software"])
    assert len(manifest["fingerprint"]) == 64


def test_no_file_of_the_result_names_a_folder(analysed):
    path, folder, _ = analysed
    for name in ("manifest.json", "metrics.json", "areas.json", "cells.geojson"):
        text = (folder / name).read_text(encoding="utf-8")
        assert str(path.parent) not in text, name
        assert path.parent.name not in text.replace(path.stem, ""), name


def test_progress_runs_from_nothing_to_all(tmp_path, paint_section):
    told = []
    analyze_slide(
        paint_section(tmp_path / "a.tif"),
        FOXP3,
        folder=tmp_path / "a",
        progress=lambda stage, part: told.append((stage, part)),
    )
    assert all(0 <= part <= 1 for _, part in told)
    finding = [part for stage, part in told if stage == "finding nuclei"]
    assert finding[0] == 0
    assert finding[-1] == 1
    assert finding == sorted(finding)


def test_a_slide_without_tissue_has_no_cells_and_is_no_failure(tmp_path, save_rgb):
    noise = np.random.default_rng(0).normal(0, 1, (300, 260, 3))
    path = save_rgb(tmp_path / "empty.tif", np.uint8(np.clip(243 + noise, 0, 255)))
    result = analyze_slide(path, FOXP3, folder=tmp_path / "empty")
    metrics = {metric.name: metric.value for metric in result.metrics}
    assert len(result.cells) == 0
    assert "no_tissue" in result.manifest["flags"]
    assert metrics["cell_count"] == 0
    assert metrics["foxp3_count"] == 0
    # Without area there is no density, and without cells no fraction.
    for name in ("cell_density_per_mm2", "foxp3_density_per_mm2", "foxp3_percent", "foxp3_h_score"):
        assert math.isnan(metrics[name]), name
    assert {path.name for path in (tmp_path / "empty").iterdir()} == FILES
    labels = open_labels(tmp_path / "empty" / "nuclei.ome.zarr")[0]
    assert labels.shape == (300, 260)
    assert not np.asarray(labels).any()
    assert json.loads((tmp_path / "empty" / "cells.geojson").read_text())["features"] == []


def test_a_very_small_slide(tmp_path, paint_section):
    path = paint_section(tmp_path / "tiny.tif", side_px=40)
    result = analyze_slide(path, FOXP3, folder=tmp_path / "tiny")
    assert len(result.cells) == int(
        np.asarray(open_labels(tmp_path / "tiny/nuclei.ome.zarr")[0]).max()
    )
    assert (result.cells[["x_um", "y_um"]].to_numpy() <= 20).all()


def test_no_cell_reaches_beyond_the_slide(analysed):
    _, folder, result = analysed
    features = json.loads((folder / "cells.geojson").read_text(encoding="utf-8"))["features"]
    assert len(features) == len(result.cells) > 400
    for feature in features:
        for key in ("geometry", "nucleusGeometry"):
            ring = np.array(feature[key]["coordinates"][0], float)
            assert ring.min() >= 0, key
            assert ring.max() <= 640, key


def test_rgb_for_a_fluorescence_panel_is_refused(tmp_path, paint_section):
    path = paint_section(tmp_path / "rgb.tif")
    with pytest.raises(PanelError, match=r"rgb\.tif.*needs fluorescence channels.*RGB"):
        analyze_slide(path, Settings("foxp3-rankl-if"), folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_channels_for_a_brightfield_panel_are_refused(tmp_path, paint_section):
    path = paint_section(tmp_path / "if.ome.tif", panel="foxp3-rankl-if")
    with pytest.raises(PanelError, match=r"if\.ome\.tif.*bright-field.*4 channel.*uint16"):
        analyze_slide(path, FOXP3, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_channels_that_the_panel_does_not_find_are_refused(tmp_path, paint_section):
    path = paint_section(tmp_path / "dapi.ome.tif", panel="nuclei-if")
    with pytest.raises(PanelError, match="foxp3"):
        analyze_slide(path, Settings("foxp3-rankl-if"), folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pixels_too_coarse_for_nuclei_are_refused(tmp_path, paint_section):
    path = paint_section(tmp_path / "coarse.tif", pixel_size_um=2.0)
    with pytest.raises(SlideError, match=r"coarse\.tif.*2 µm.*too coarse"):
        analyze_slide(path, FOXP3, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_pixel_size_names_the_option(tmp_path, paint_section):
    path = paint_section(tmp_path / "bare.tif", pixel_size_um=None)
    with pytest.raises(SlideError, match=r"bare\.tif.*--pixel-size"):
        analyze_slide(path, FOXP3, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    given = Settings("foxp3-dab", pixel_size_um=0.5)
    result = analyze_slide(path, given, folder=tmp_path / "out")
    assert result.manifest["slide"]["pixel_size_source"] == "user"


def test_an_unknown_panel_is_refused_before_the_slide_is_opened(tmp_path):
    with pytest.raises(PanelError, match="no-such-panel"):
        analyze_slide(tmp_path / "absent.tif", Settings("no-such-panel"), folder=tmp_path / "out")


def test_a_run_that_breaks_leaves_nothing(tmp_path, paint_section, monkeypatch):
    path = paint_section(tmp_path / "in" / "a.tif")

    def broken(*_args, **_kwargs):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(writing, "draw_pictures", broken)
    with pytest.raises(RuntimeError, match="in the middle"):
        analyze_slide(path, FOXP3, folder=tmp_path / "out" / "a")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_run_that_breaks_leaves_the_former_result(tmp_path, paint_section, monkeypatch):
    path = paint_section(tmp_path / "in" / "a.tif")
    analyze_slide(path, FOXP3, folder=tmp_path / "out" / "a")
    before = (tmp_path / "out" / "a" / "manifest.json").read_bytes()

    def interrupt(stage, part):
        if stage == "finding nuclei" and part == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyze_slide(path, FOXP3, folder=tmp_path / "out" / "a", progress=interrupt)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a"]
    assert (tmp_path / "out" / "a" / "manifest.json").read_bytes() == before


def test_a_pen_stroke_is_out_of_every_denominator(section, tmp_path, save_rgb):
    image = section.image[:512, :512].copy()
    rows = slice(200, 260)
    image[rows] = (image[rows] * np.array([0.15, 0.35, 0.9])).astype(np.uint8)  # blue ink
    path = save_rgb(tmp_path / "pen.tif", image)
    result = analyze_slide(path, FOXP3, folder=tmp_path / "pen")
    cells = result.cells
    under = cells["y_um"].between(106, 124).to_numpy()
    clear = (~cells["y_um"].between(90, 140)).to_numpy()
    spoilt = cells["flags"].str.contains("artefact").to_numpy()
    assert spoilt[under].all()
    assert spoilt[clear].mean() < 0.02
    assert result.areas.artefact_um2 > 0
    assert result.areas.valid_um2 + result.areas.artefact_um2 == pytest.approx(
        result.areas.tissue_um2
    )


def test_fluorescence_keeps_the_slides_intensities(tmp_path, paint_section):
    path = paint_section(tmp_path / "if.ome.tif", panel="foxp3-rankl-if", side_px=256)
    result = analyze_slide(path, Settings("foxp3-rankl-if"), folder=tmp_path / "if")
    assert len(result.cells) > 20
    image = tifffile.imread(path)
    dapi = result.cells["nucleus_dapi_intensity_mean"]
    assert dapi.between(image[0].min(), image[0].max()).all()
    assert "stains" not in result.manifest
    low, high = result.manifest["analysis"]["nuclear_range"]
    assert 0 <= low < high <= image[0].max()


def test_glass_between_section_and_pen_is_no_tissue(tmp_path):
    """The pen's stroke closes the glass beside it into a hole, which must not be filled."""
    result = analyze_slide(
        SAMPLES / "foxp3-dab_edge.tif", Settings("foxp3-dab"), folder=tmp_path / "edge"
    )
    # Painted: 0.2057 mm² without lumina; the mask fills small ones.
    assert result.areas.valid_um2 / 1e6 == pytest.approx(0.2057, rel=0.06)
    assert result.areas.artefact_um2 > 0
