"""A drawn region: what is counted in it, over which area, and what is refused."""

import json
import threading

import numpy as np
import pandas as pd
import pytest

from histo.batch import analyze_folder
from histo.cli import main
from histo.errors import AnnotationError, Cancelled, SlideError
from histo.metrics.shapes import OutlineShapes
from histo.pipeline import Settings, analyze_slide, fingerprint, measure
from histo.pipeline.drawn_region import DrawnRegion, read_polygons
from histo.results import open_labels, read_outlines
from histo.slide import open_slide

# The section is 640 px of 0.5 µm: 320 µm. y, x in µm; edges between the survey's pixels.
SQUARE = ((90.5, 60.3), (90.5, 261.1), (233.3, 261.1), (233.3, 60.3))
TRIANGLE = ((30.0, 20.0), (60.0, 300.0), (300.0, 150.0))


def polygon_area_um2(polygon):
    y, x = np.array(polygon).T
    return abs(y @ np.roll(x, -1) - x @ np.roll(y, -1)) / 2


def inside(cells, polygon):
    shapes = OutlineShapes.of([[np.array(polygon)]], (1.0, 1.0))
    return shapes.contains(cells[["y_um", "x_um"]].to_numpy())


@pytest.fixture(scope="module")
def restricted(tmp_path_factory, analysed):
    path, _, _ = analysed
    folder = tmp_path_factory.mktemp("region") / "section"
    settings = Settings("foxp3-dab", region=(TRIANGLE,))
    return folder, analyze_slide(path, settings, folder=folder)


def test_cells_are_those_whose_centroid_lies_in_the_region(analysed, restricted):
    _, _, whole = analysed
    folder, result = restricted
    expected = whole.cells[inside(whole.cells, TRIANGLE)].reset_index(drop=True)
    assert 50 < len(expected) < 0.6 * len(whole.cells)
    # Neighbours outside bound a cell as before, so that every measure is the same.
    for column in ("x_um", "y_um", "nucleus_area_um2", "cell_area_um2", "cell_dab_od_mean"):
        np.testing.assert_array_equal(result.cells[column], expected[column], column)
    assert result.cells["cell_id"].tolist() == list(range(1, len(expected) + 1))
    labels = np.asarray(open_labels(folder / "nuclei.ome.zarr")[0])
    assert np.array_equal(np.unique(labels[labels > 0]), result.cells["cell_id"])
    outlined = [batch.cell_ids for batch in read_outlines(folder / "outlines.parquet")]
    assert np.array_equal(np.concatenate(outlined), result.cells["cell_id"])


def test_area_and_density_are_of_the_region(analysed, restricted):
    _, _, whole = analysed
    _, result = restricted
    assert result.areas.tissue_um2 < whole.areas.tissue_um2
    metrics = {metric.name: metric for metric in result.metrics}
    counted = (result.cells["compartment"] == "tissue").sum()
    density = metrics["cell_density_per_mm2"]
    assert density.value == pytest.approx(counted / (result.areas.valid_um2 / 1e6))
    pixels = result.areas.histograms["dab"].total
    assert pixels * 0.25 == pytest.approx(result.areas.valid_um2, rel=0.02)
    assert "region_only" in result.manifest["flags"]


@pytest.mark.parametrize("polygon", [SQUARE, TRIANGLE])
def test_the_area_of_a_polygon_is_exact_to_a_part_of_the_surveys_pixel(polygon):
    region = DrawnRegion.of((polygon,), (80, 80), 4.0)
    border = 4 * 200 * 0.25
    assert region.coverage.sum() * 16 == pytest.approx(polygon_area_um2(polygon), abs=border)
    assert ((region.coverage > 0) & (region.coverage < 1)).any()


def test_overlapping_polygons_count_once(tmp_path, analysed):
    shifted = tuple((y + 20, x) for y, x in SQUARE)
    both = DrawnRegion.of((SQUARE, shifted), (80, 80), 4.0).coverage
    one = DrawnRegion.of((SQUARE,), (80, 80), 4.0).coverage
    added = 20 * (261.1 - 60.3) / 16
    assert both.max() == 1
    assert both.sum() - one.sum() == pytest.approx(added, rel=0.02)


def test_tiles_outside_are_never_read(tmp_path, analysed, monkeypatch):
    monkeypatch.setattr(measure, "CORE_PX", 128)
    path, _, _ = analysed
    seen = []
    tile_grid = measure.tile_grid

    def watched(*arguments, **options):
        seen.extend(tile_grid(*arguments, **options))
        return tuple(seen)

    monkeypatch.setattr(measure, "tile_grid", watched)
    corner = ((5.0, 5.0), (5.0, 40.0), (40.0, 40.0), (40.0, 5.0))
    rows = []
    result = analyze_slide(
        path,
        Settings("foxp3-dab", region=(corner,)),
        folder=tmp_path / "corner",
        on_cells=rows.append,
    )
    assert [(tile.core.y, tile.core.x) for tile in seen] == [(0, 0)]
    assert result.cells["x_um"].between(5, 40).all()
    assert pd.concat(rows)["cell_id"].tolist() == result.cells["cell_id"].tolist()


def test_the_region_is_part_of_fingerprint_and_manifest(restricted):
    _, result = restricted
    kept = result.manifest["parameters"]["region_um"]
    assert kept == [[list(corner) for corner in TRIANGLE]]
    json.dumps(kept)
    plain, drawn = Settings("foxp3-dab"), Settings("foxp3-dab", region=[np.array(TRIANGLE)])
    assert drawn == Settings("foxp3-dab", region=(TRIANGLE,))
    assert fingerprint(plain, "0") != fingerprint(drawn, "0")
    assert "region_um" not in plain.record()


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ([], "there is no polygon"),
        ([[(0, 0), (5, 5)]], "polygon 1 has no area"),
        ([TRIANGLE, [(0, 0), (0, 9), (0, 4)]], "polygon 2 has no area"),
        ([[(0, 0), (0, float("nan")), (9, 9)]], "must be finite"),
        ([[1, 2, 3]], r"\(N, 2\)"),
    ],
)
def test_what_is_no_region_is_refused(region, words):
    with pytest.raises(ValueError, match=words):
        Settings("foxp3-dab", region=region)


def test_a_region_outside_of_the_slide_is_refused(tmp_path, analysed):
    path, _, _ = analysed
    far = tuple((y + 5000, x) for y, x in SQUARE)
    with pytest.raises(SlideError, match=r"section\.tif: the region .* outside .* 320 x 320 µm"):
        analyze_slide(path, Settings("foxp3-dab", region=(far,)), folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def save_polygon(path, *rings):
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in rings]}
    feature = {"type": "Feature", "geometry": geometry, "properties": {"objectType": "annotation"}}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def box(x, y, side):
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]


def test_polygons_of_qupath_with_a_hole(tmp_path, analysed):
    path, _, _ = analysed
    file = save_polygon(tmp_path / "roi.geojson", box(100, 40, 400), box(200, 140, 100))
    with open_slide(path) as slide:
        polygons = read_polygons(file, slide)
        assert len(polygons) == 1
        region = DrawnRegion.on_slide(polygons, slide, 4.0)
        expected = (400**2 - 100**2) * 0.25
        assert region.coverage.sum() * 16 == pytest.approx(expected, rel=0.01)
        points = np.array([[25.0, 60], [95, 125], [15, 60]])
        assert region.contains(points).tolist() == [True, False, False]
        (tmp_path / "line.geojson").write_text('{"geometry": {"type": "Point"}}')
        with pytest.raises(AnnotationError, match="cannot be read"):
            read_polygons(tmp_path / "line.geojson", slide)


def run_command(*words):
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return end.value.code


def test_the_command_takes_a_region_for_one_slide(tmp_path, analysed, capsys):
    path, _, whole = analysed
    file = save_polygon(tmp_path / "roi.geojson", box(100, 40, 400))
    options = ("--panel", "foxp3-dab", "--region", file, "-o", tmp_path / "out", "-q")
    assert run_command("run", path, *options) == 0
    manifest = json.loads((tmp_path / "out" / "section" / "manifest.json").read_text())
    assert manifest["parameters"]["region_um"][0][1] == [20.0, 250.0]
    cells = pd.read_parquet(tmp_path / "out" / "section" / "cells.parquet")
    square = ((20, 50), (20, 250), (220, 250), (220, 50))
    assert len(cells) == inside(whole.cells, square).sum()
    (tmp_path / "copy.tif").write_bytes(path.read_bytes())
    assert run_command("run", path, tmp_path / "copy.tif", *options) == 2
    assert "--region is for one slide" in capsys.readouterr().err


def stop_at(stage_wanted):
    def progress(stage, part):
        if stage == stage_wanted and part > 0:
            raise Cancelled

    return progress


def test_stopping_leaves_no_folder_and_no_thread(tmp_path, analysed):
    path, _, _ = analysed
    threads = threading.active_count()
    with pytest.raises(Cancelled):
        analyze_slide(
            path,
            Settings("foxp3-dab"),
            folder=tmp_path / "out" / "section",
            progress=stop_at("finding nuclei"),
        )
    assert list((tmp_path / "out").iterdir()) == []
    assert threading.active_count() == threads


def test_stopping_a_batch_is_no_failure_of_a_slide(tmp_path, analysed):
    path, _, _ = analysed

    def progress(event):
        if event.stage == "finding nuclei":
            raise Cancelled

    with pytest.raises(Cancelled):
        analyze_folder(path, tmp_path / "out", Settings("foxp3-dab"), progress=progress)
    assert not [p for p in (tmp_path / "out").iterdir() if not p.name.startswith(".histo-inputs")]
