"""Fields of view in fluorescence, painted so that every cell and call is known."""

import shutil
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import tifffile

from histo.panel import load_panel
from histo.pipeline import Settings, analyze_slide, recompute
from histo.pipeline.files import VIEWS
from histo.pipeline.pictures import _colours, _of_marker
from histo.pipeline.survey import survey_slide
from histo.results import read_manifest
from histo.slide import open_slide

UM, SPACING_UM, HAZE, NUCLEUS = 0.5, 11.0, 500.0, 700.0
PANEL = """name = "four"
title = "Four channels"
kind = "channels"
model = "nuclei-fluorescence"
nuclear_channel = "dapi"
cell_expansion_um = 1.0
channels = [{name="few"}, {name="most"}, {name="dapi"}, {name="none"}]
"""
MARKER = (
    '{{name="{0}", plane="{0}", compartment="nucleus", threshold_source="auto", auto_spreads=7}}'
)
MARKERS = ("few", "most", "none")


@dataclass
class Field:
    """Light of the channels, float32 (Y, X), and the cells: centres in µm, markers."""

    light: dict
    centres_um: np.ndarray
    positive: dict


def paint(height_um=240.0, width_um=300.0, seed=0):
    """Paint nuclei from edge to edge; ``few`` lights 10 % of them, ``most`` 85 %."""
    rng = np.random.default_rng(seed)
    rows, columns = np.arange(5, height_um - 4, SPACING_UM), np.arange(5, width_um - 4, SPACING_UM)
    centres = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    centres += rng.uniform(-1.5, 1.5, centres.shape)
    number = len(centres)
    positive = {"few": rng.random(number) < 0.1, "most": rng.random(number) < 0.85}
    positive["none"] = np.zeros(number, bool)
    level = {name: np.exp(rng.normal(0, 0.15, number)) * 100 for name in MARKERS}
    for name in MARKERS:
        level[name][positive[name]] *= 12 * np.exp(rng.normal(0, 0.3, positive[name].sum()))
    level["dapi"] = NUCLEUS * rng.uniform(0.7, 1.2, number)
    shape = round(height_um / UM), round(width_um / UM)
    light = {name: np.zeros(shape, np.float32) for name in level}
    for (y, x), radius in zip(centres / UM, rng.uniform(3.2, 4.2, number) / UM, strict=True):
        at = round(x * 16), round(y * 16)
        index = int(np.argmin(np.abs(centres / UM - (y, x)).sum(axis=1)))
        for name, picture in light.items():
            cv2.circle(picture, at, round(radius * 16), float(level[name][index]), -1, shift=4)
    return Field({n: cv2.GaussianBlur(p, (0, 0), 0.8) for n, p in light.items()}, centres, positive)


def save(path, planes, *, seed=1, noise=8.0):
    """Write channels with their noise as OME-TIFF."""
    rng = np.random.default_rng(seed)
    image = np.stack([p + rng.normal(0, noise, p.shape) for p in planes.values()])
    meta = {"axes": "CYX", "Channel": {"Name": list(planes)}}
    meta |= {f"PhysicalSize{side}": UM for side in "XY"}
    tifffile.imwrite(path, np.clip(image, 0, 65535).astype(np.uint16), ome=True, metadata=meta)
    return path


def surveyed(path, plane, **noise):
    with open_slide(save(path, {"dapi": plane}, **noise)) as slide:
        return survey_slide(slide, load_panel("nuclei-if"))


@pytest.fixture(scope="module")
def field():
    return paint()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, field):
    """A field that is tissue from edge to edge, analysed with a panel of three markers."""
    root = tmp_path_factory.mktemp("field")
    markers = ", ".join(MARKER.format(name) for name in MARKERS)
    (root / "four.toml").write_text(f"{PANEL}markers = [{markers}]\n", "utf-8")
    hazy = {name: HAZE + p if name == "dapi" else 100 + p for name, p in field.light.items()}
    slide = save(root / "field.ome.tif", hazy)
    return analyze_slide(slide, Settings(str(root / "four.toml")), folder=root / "out"), root


def test_a_field_without_glass_is_tissue_and_says_so(finished, field):
    result, _ = finished
    assert result.manifest["flags"][0] == "tissue_assumed"
    assert len(result.cells) == pytest.approx(len(field.centres_um), rel=0.05)
    assert result.areas.tissue_um2 == pytest.approx(240 * 300, rel=0.02)
    low, high = result.manifest["analysis"]["nuclear_range"]
    assert HAZE - 30 < low < HAZE + 0.2 * NUCLEUS
    assert HAZE + 0.7 * NUCLEUS < high < HAZE + 1.3 * NUCLEUS


def test_calls_of_rare_and_of_common_markers(finished, field):
    result, _ = finished
    cells = result.cells
    away = np.linalg.norm(
        cells[["y_um", "x_um"]].to_numpy()[:, None] - field.centres_um[None], axis=2
    )
    nearest = away.argmin(axis=1)
    sure = away.min(axis=1) < 2
    assert sure.mean() > 0.95
    for name in MARKERS:
        called = cells[f"{name}_positive"].to_numpy(bool)[sure]
        assert np.mean(called == field.positive[name][nearest[sure]]) > 0.97, name
    assert "valley" in result.manifest["thresholds"]["most"]["note"]
    assert result.manifest["flags"][1:] == [
        "threshold_below_most_cells_most",
        "threshold_above_all_cells_none",
    ]


def test_flags_of_thresholds_are_made_anew(finished, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(finished[1] / "out", folder)
    before = read_manifest(folder)["flags"]
    recompute(folder, {"most": 300.0, "none": 500.0})
    assert read_manifest(folder)["flags"] == ["tissue_assumed"]
    recompute(folder, {})
    assert read_manifest(folder)["flags"] == before


def test_a_gallery_shows_nuclei_and_its_own_marker_alone(finished):
    folder = finished[1] / "out"
    with np.load(folder / VIEWS) as stored:
        views = dict(stored)
    colours = _colours(views)
    assert list(colours) == ["dapi", "few", "most", "none"]
    assert views["squares"].shape[-1] == 4
    for name in MARKERS:
        shown = _of_marker(views, colours, name)
        assert shown["channels"].tolist() == ["dapi", name]
        others = [k for k, other in enumerate(colours) if other not in ("dapi", name)]
        dark = {**views, "squares": views["squares"].copy()}
        dark["squares"][..., others] = 0
        assert np.array_equal(_of_marker(dark, colours, name)["squares"], shown["squares"])
        unlit = {**views, "squares": views["squares"].copy()}
        unlit["squares"][..., list(colours).index(name)] = 0
        assert (_of_marker(unlit, colours, name)["squares"] != shown["squares"]).any()
    assert _of_marker(views, colours, "dapi")["channels"].tolist() == ["dapi"]


def test_results_whose_squares_are_pictures_are_still_drawn(finished, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(finished[1] / "out", folder)
    with np.load(folder / VIEWS) as stored:
        views = dict(stored)
    del views["channels"]
    views["squares"] = np.ascontiguousarray(views["squares"][..., :3])
    np.savez_compressed(folder / VIEWS, **views)
    recompute(folder, {"most": 300.0})
    assert cv2.imread(str(folder / "gallery_most.png")) is not None


@pytest.mark.parametrize(("level", "noise"), [(500, 15), (5, 2), (0, 0), (20000, 100)])
def test_an_empty_field_stays_empty(tmp_path, level, noise):
    found = surveyed(tmp_path / "empty.ome.tif", np.full((700, 900), float(level)), noise=noise)
    assert not found.tissue.any()
    assert not found.tissue_assumed


def test_an_empty_field_under_uneven_light_stays_empty(tmp_path):
    y, x = np.mgrid[-1:1:700j, -1:1:900j]
    found = surveyed(tmp_path / "empty.ome.tif", 3000 * (1 - 0.2 * (y**2 + x**2)), noise=5)
    assert not found.tissue_assumed


@pytest.mark.parametrize("haze", [100.0, 500.0])
@pytest.mark.parametrize("glass", [0.15, 0.5, 0.85])
def test_tissue_beside_glass_is_outlined(tmp_path, haze, glass):
    light = paint(300, 500).light["dapi"]
    edge = round(glass * light.shape[1])
    plane = np.where(np.arange(light.shape[1]) >= edge, haze + light, 100.0)
    found = surveyed(tmp_path / "half.ome.tif", plane)
    assert not found.tissue_assumed
    columns = np.arange(found.tissue.shape[1]) * found.pixel_size_um / UM
    truth = np.broadcast_to(columns >= edge, found.tissue.shape)
    assert (found.tissue & truth).sum() / (found.tissue | truth).sum() > 0.85
    assert found.nuclear_range[0] == pytest.approx(100, abs=10)


def test_a_region_drawn_in_a_field_without_glass(tmp_path, field):
    path = save(tmp_path / "field.ome.tif", {"dapi": HAZE + field.light["dapi"]})
    square = np.array([[50.0, 50], [50, 150], [150, 150], [150, 50]])
    result = analyze_slide(path, Settings("nuclei-if", region=[square]), folder=tmp_path / "out")
    assert {"tissue_assumed", "region_only"} <= set(result.manifest["flags"])
    assert result.areas.tissue_um2 == pytest.approx(1e4, rel=0.02)
