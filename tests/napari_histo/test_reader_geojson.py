"""GeoJSON of QuPath and of histo as layers, and layers as GeoJSON."""

import gzip
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histo.cells import Rings
from histo.errors import AnnotationError, ResultError
from histo.results import Outlines, read_outlines, read_qupath, write_geojson

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))

from napari_histo.geojson import (  # noqa: E402
    is_geojson,
    read_geojson,
    write_labels_geojson,
    write_points_geojson,
)
from napari_histo.reader import get_reader  # noqa: E402


def square(x, y, side=4.0):
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {"type": "Polygon", "coordinates": [ring]}


def feature(geometry, kind="detection", **properties):
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {"objectType": kind, **properties},
    }


def collection(path, features, **options):
    content = {"type": "FeatureCollection", "features": features}
    path.write_text(json.dumps(content, **options), encoding="utf-8")
    return path


CELLS = [
    {
        **feature(
            square(10, 20, 8),
            "cell",
            classification={"name": "Positive", "color": [250, 62, 62]},
            measurements={"Nucleus: DAB OD mean": 0.5, "Nucleus: Area µm^2": 16},
        ),
        "nucleusGeometry": square(12, 22),
    },
    feature(
        square(100, 40),
        "cell",
        classification={"names": ["FOXP3+", "RANKL+"], "color": [1, 2, 3]},
        measurements={"Nucleus: DAB OD mean": 0.25},
    ),
    feature(square(50, 60)),
    feature(square(0, 0, 500), "annotation", name="Tumour margin"),
]


@pytest.mark.parametrize("options", [{}, {"indent": 2}, {"separators": (",", ":")}])
def test_cells_in_all_ways_that_files_are_laid_out(tmp_path, options):
    found = read_qupath(collection(tmp_path / "a.geojson", CELLS, **options))
    order = np.argsort(found.centres[:, 1])
    np.testing.assert_allclose(found.centres[order], [[24, 14], [62, 52], [42, 102]])
    names = [found.classes[code] for code in found.codes[order]]
    assert names == ["Positive", "", "FOXP3+: RANKL+"]
    assert found.colours == {"Positive": (250, 62, 62), "FOXP3+: RANKL+": (1, 2, 3)}
    table = found.measurements.iloc[order]
    np.testing.assert_array_equal(table["Nucleus: DAB OD mean"], [0.5, np.nan, 0.25])
    np.testing.assert_array_equal(table["Nucleus: Area µm^2"], [16, np.nan, np.nan])
    (region,) = found.regions
    assert region.name == "Tumour margin"
    assert region.ring.shape == (4, 2)


def test_in_bulk_and_one_by_one_give_the_same(painted, tmp_path):
    path = write_geojson(
        tmp_path, painted.cells, read_outlines(painted.folder / "outlines.parquet"), slide="s"
    )
    bulk = read_qupath(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["features"][0]["properties"]["childObjects"] = []
    (tmp_path / "slow.geojson").write_text(json.dumps(content), encoding="utf-8")
    slow = read_qupath(tmp_path / "slow.geojson")
    np.testing.assert_allclose(bulk.centres, slow.centres, rtol=0, atol=1e-9)
    assert (bulk.classes, bulk.colours) == (slow.classes, slow.colours)
    np.testing.assert_array_equal(bulk.codes, slow.codes)
    pd.testing.assert_frame_equal(bulk.measurements, slow.measurements, check_dtype=False)
    # And they are where the run says: discs around their centroids.
    where = painted.cells.set_index("cell_id").loc[bulk.measurements["Cell ID"], ["y_um", "x_um"]]
    np.testing.assert_allclose(bulk.centres * 0.5, where, atol=1e-6)


def test_old_files_of_qupath(tmp_path):
    old = feature(
        square(0, 0),
        classification={"name": "Tumor", "colorRGB": -3670016},
        measurements=[{"name": "Nucleus: Area", "value": 30.5}],
    )
    del old["properties"]["objectType"]
    found = read_qupath(collection(tmp_path / "a.json", [{**old, "id": "PathDetectionObject"}]))
    assert found.classes == ("Tumor",)
    assert found.colours == {"Tumor": (200, 0, 0)}
    assert found.measurements["Nucleus: Area"].tolist() == [30.5]


def test_points_and_objects_within_objects(tmp_path):
    points = {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}
    parent = feature(square(0, 0, 90), "annotation", childObjects=[feature(square(4, 4))])
    many = feature(points, "annotation", classification={"name": "Negative"})
    found = read_qupath(collection(tmp_path / "a.geojson", [parent, many]))
    np.testing.assert_allclose(found.centres, [[6, 6], [2, 1], [4, 3]])
    assert [found.classes[code] for code in found.codes] == ["", "Negative", "Negative"]
    assert len(found.regions) == 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"type": "FeatureCollection", "features": [3',
        '{"type":"Feature","properties":{},"geometry":{"type":"Polygon","coordinates":[[[0,0],[1,1]]]}}',
        '{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[NaN,1]}}',
    ],
)
def test_what_is_no_geojson_is_one_sentence(tmp_path, text):
    path = tmp_path / "broken.geojson"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=r"^broken\.geojson: cannot be read as GeoJSON"):
        get_reader(str(path))(str(path))


def test_cells_are_points_and_areas_shapes_in_micrometres(painted, tmp_path):
    (tmp_path / "section 7.tif").write_bytes(painted.slide.read_bytes())
    path = collection(tmp_path / "section 7.geojson", CELLS)
    points, shapes = get_reader(str(path))([str(path)])
    assert (points[2], shapes[2]) == ("points", "shapes")
    places = points[0][np.argsort(points[0][:, 1])]
    np.testing.assert_allclose(places, [[12, 7], [31, 26], [21, 51]])
    assert points[1]["units"] == ("micrometer", "micrometer")
    assert points[1]["name"] == "section 7 cells"
    rows = points[1]["features"]["class"].tolist()
    np.testing.assert_allclose(
        points[1]["face_color"][rows.index("Positive")], np.array([250, 62, 62, 255]) / 255
    )
    assert np.array(shapes[0][0]).max() == 250
    assert shapes[1]["features"]["name"].tolist() == ["Tumour margin"]


def test_without_a_slide_they_are_in_pixels_and_it_is_said(tmp_path):
    path = collection(tmp_path / "alone.geojson", CELLS[:1])
    with pytest.warns(UserWarning, match="no slide tells their size, so it is shown in pixels"):
        ((places, settings, _),) = read_geojson(path)
    assert settings["units"] == ("pixel", "pixel")
    np.testing.assert_allclose(places, [[24, 14]])


def test_an_empty_file_is_an_empty_layer(tmp_path):
    path = collection(tmp_path / "none.geojson", [])
    with pytest.warns(UserWarning, match="shown in pixels"):
        ((places, _, kind),) = read_geojson(path)
    assert (places.shape, kind) == ((0, 2), "points")


def test_a_result_tells_the_pixel_size_of_its_own_file(painted, tmp_path):
    write_geojson(
        tmp_path, painted.cells, read_outlines(painted.folder / "outlines.parquet"), slide="s"
    )
    manifest = {"slide": {"pixel_size_um": 0.5, "pixel_size_y_um": 0.5, "pixel_size_x_um": 0.25}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    ((places, settings, _),) = read_geojson(tmp_path / "cells.geojson")
    assert settings["name"] == f"{tmp_path.name} cells"
    np.testing.assert_allclose(places[0], [10.25, 5.125], atol=1e-6)


def test_only_geojson_is_taken_among_json(tmp_path):
    other = tmp_path / "package.json"
    other.write_text('{"name": "x"}')
    assert not is_geojson(other)
    assert get_reader(str(other)) is None
    assert is_geojson(collection(tmp_path / "a.json", CELLS))
    packed = tmp_path / "a.geojson.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.json").read_bytes()))
    assert len(read_qupath(packed).centres) == 3
    assert get_reader(str(packed)) is not None


def test_points_are_saved_as_detections_and_open_again(tmp_path):
    features = pd.DataFrame(
        {"call": ["1+", "Negative"], "nucleus_dab_od_mean": [0.3, np.nan], "flags": ["", "x"]}
    )
    attributes = {
        "scale": (1.0, 1.0),
        "translate": (0.0, 0.0),
        "units": ("micrometer", "micrometer"),
        "features": features,
        "metadata": {"histo": {"cells": "s", "pixel_size_yx_um": (0.5, 0.25)}},
    }
    places = np.array([[10.0, 20], [30, 40]])
    (saved,) = write_points_geojson(str(tmp_path / "p.geojson"), places, attributes)
    found = read_qupath(saved)
    np.testing.assert_allclose(found.centres * [0.5, 0.25], places)
    assert [found.classes[code] for code in found.codes] == ["1+", "Negative"]
    table = found.measurements["nucleus_dab_od_mean"]
    np.testing.assert_array_equal(table, [0.3, np.nan])
    kinds = [f["properties"]["objectType"] for f in json.loads(Path(saved).read_text())["features"]]
    assert kinds == ["detection"] * 2


def test_micrometres_without_a_slide_are_refused_and_pixels_are_not(tmp_path):
    target = str(tmp_path / "p.geojson")
    with pytest.raises(ResultError, match="no open slide tells their size"):
        write_points_geojson(target, np.ones((1, 2)), {"units": ("micrometer", "micrometer")})
    write_points_geojson(target, [[3.0, 4.0]], {"units": ("pixel", "pixel")})
    np.testing.assert_array_equal(read_qupath(target).centres, [[3, 4]])
    write_points_geojson(target, np.zeros((0, 2)), {"units": ("pixel", "pixel")})
    assert len(read_qupath(target).centres) == 0


@pytest.mark.parametrize("packed", [False, True])
def test_the_nuclei_of_a_result_are_saved_with_outlines(painted, tmp_path, packed):
    folder = tmp_path / "section 7"
    folder.mkdir()
    rows = read_outlines(painted.folder / "outlines.parquet")
    path = write_geojson(folder, painted.cells, rows, slide="section 7")
    expected = path.read_bytes()
    if packed:
        path.with_name("cells.geojson.gz").write_bytes(gzip.compress(expected))
        path.unlink()
    attributes = {"metadata": {"histo": {"result": "section 7", "folder": str(folder)}}}
    (saved,) = write_labels_geojson(str(tmp_path / "out.geojson"), None, attributes)
    assert Path(saved).read_bytes() == expected
    with pytest.raises(ResultError, match="only the nuclei of a result of histo"):
        write_labels_geojson(str(tmp_path / "out.geojson"), None, {"metadata": {}})


def test_many_cells_open_in_seconds(painted, tmp_path):
    """A ratio, as machines differ: columns are read several times faster than Python objects."""
    batch = next(read_outlines(painted.folder / "outlines.parquet"))
    count = len(batch.cell_ids)
    cells = pd.concat(
        [painted.cells.assign(cell_id=painted.cells["cell_id"] + k * count) for k in range(12)]
    )
    batches = (
        Outlines(
            batch.cell_ids + k * count,
            Rings(batch.nuclei.points + k, batch.nuclei.starts),
            Rings(batch.cells.points + k, batch.cells.starts),
        )
        for k in range(12)
    )
    path = write_geojson(tmp_path, cells, batches, slide="s")
    read_qupath(path)  # the libraries are loaded now
    seconds = []
    for read in (read_qupath, lambda one: json.loads(one.read_bytes())):
        start = time.process_time()
        assert read(path)
        seconds.append(time.process_time() - start)
    assert seconds[0] < 1.5 * seconds[1], "all of it, against the bare JSON in Python objects"


def test_opening_cells_loads_nothing_heavy(tmp_path):
    collection(tmp_path / "a.geojson", CELLS)
    script = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from napari_histo.geojson import read_geojson\n"
        f"read_geojson({str(tmp_path / 'a.geojson')!r})\n"
        "heavy = {'torch', 'numba', 'openvino', 'matplotlib', 'skimage', 'napari', 'qtpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}", "PATH": ""},
    )
    assert run.stdout.strip() == "[]"


@pytest.mark.gui
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_cells_lie_over_the_open_slide(make_napari_viewer, painted, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from npe2 import PluginManager, PluginManifest

        manager = PluginManager.instance()
        if "napari-histo" not in manager:
            manager.register(
                PluginManifest.from_file(ROOT / "plugins" / "napari_histo" / "napari.yaml")
            )
        viewer = make_napari_viewer(show=True)
    viewer.open(painted.slide, plugin="napari-histo")
    path = collection(tmp_path / "drawn elsewhere.geojson", CELLS)
    points, shapes = viewer.open(path, plugin="napari-histo")
    np.testing.assert_allclose(points.data[np.argsort(points.data[:, 1])][0], [12, 7])
    assert points.features["class"].tolist()
    assert [len(one) for one in shapes.data] == [4]
    (saved,) = points.save(str(tmp_path / "again.geojson"), plugin="napari-histo")
    again = read_qupath(saved)
    np.testing.assert_allclose(np.sort(again.centres[:, 1]), [14, 52, 102])
