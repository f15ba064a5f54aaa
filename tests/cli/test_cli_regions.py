"""``--regions`` and ``histo train-regions``: from strokes to compartments, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import tifffile

from histo.phantom import Composition, Recipe, paint_phantom
from histo.results import read_manifest, read_slide_result

UM = 0.5
SHAPE = (1024, 1024)


def write_slide(path, seed):
    # Nests of carcinoma in stroma, as wide as such nests are.
    painted = paint_phantom(
        Recipe("foxp3-dab", Composition(tumour=0.5, nest_um=80.0)), seed, shape=SHAPE
    )
    per_cm = 1e4 / UM
    size = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, painted.image, photometric="rgb", **size)
    return painted


def write_strokes(path, nests, seed, each=6):
    """Draw short lines well within nests and well outside of them, as a person would."""
    from scipy import ndimage as ndi

    rng, features = np.random.default_rng(seed), []
    for name, mask in (("Tumor", nests), ("Stroma", ~nests)):
        deep = ndi.distance_transform_edt(mask)
        ys, xs = np.nonzero(deep > min(25, 0.6 * deep.max()))
        for index in rng.integers(len(ys), size=each):
            y, x = int(ys[index]), int(xs[index])
            line = [[x, y]]
            for _ in range(12):
                step = rng.normal(0, 8, 2)
                ny, nx = np.clip([line[-1][1] + step[0], line[-1][0] + step[1]], 0, 1023)
                if mask[int(ny), int(nx)]:
                    line.append([float(nx), float(ny)])
            if len(line) > 1:
                features.append(
                    {
                        "type": "Feature",
                        "geometry": {"type": "LineString", "coordinates": line},
                        "properties": {
                            "objectType": "annotation",
                            "classification": {"name": name},
                        },
                    }
                )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    """Two analysed slides, strokes on the first."""
    from histo.pipeline import Settings, analyze_slide

    root = tmp_path_factory.mktemp("laboratory")
    nests = {}
    for seed, name in ((3, "a"), (9, "b")):
        slide = root / "slides" / f"{name}.tif"
        nests[name] = np.asarray(write_slide(slide, seed).nests)
        analyze_slide(slide, Settings("foxp3-dab"), folder=root / "results" / name)
    write_strokes(root / "strokes" / "a.geojson", nests["a"], 1)
    return root, nests


def dice(folder, nests):
    """Compare the cells' compartments with what was painted."""
    cells = read_slide_result(folder).cells
    cells = cells[cells["compartment"] != "excluded"]
    at = (cells[["y_um", "x_um"]].to_numpy() / UM).astype(int)
    true = nests[at[:, 0], at[:, 1]]
    said = (cells["compartment"] == "tumor").to_numpy()
    return 2 * (true & said).sum() / (true.sum() + said.sum())


@pytest.mark.slow
def test_a_few_strokes_divide_this_slide_and_another(histo, laboratory, tmp_path):
    root, nests = laboratory
    results, model = tmp_path / "results", tmp_path / "my-regions"
    shutil.copytree(root / "results", results)
    words = ("train-regions", root / "slides", root / "strokes", "-r", results, "-o", model)
    done = histo(*words, "--steps", "60")
    assert done.code == 0, done.err
    assert "b.tif" in done.err  # has no strokes
    assert "Use it: histo run" in done.out
    report = json.loads((model / "regions.json").read_text())
    assert report["classes"] == ["Tumor", "Stroma"]
    assert report["held_back_annotations"] >= 2
    assert min(report["dice_on_held_back"].values()) > 0.7
    assert "| Tumor |" in (model / "README.md").read_text()
    run = ("run", root / "slides", "-o", results, "--panel", "foxp3-dab", "--regions", model)
    assert histo(*run).code == 0
    for name in ("a", "b"):
        assert dice(results / name, nests[name]) > 0.8
        manifest = read_manifest(results / name)
        assert manifest["compartments"]["source"]["name"] == "my-regions"
        assert "compartments_by_model" in manifest["flags"]
    before = (results / "a" / "manifest.json").stat().st_mtime_ns
    assert histo(*run).code == 0
    assert (results / "a" / "manifest.json").stat().st_mtime_ns == before  # nothing to do
    assert histo(*words).code == 2  # there is a model already


def test_annotations_of_each_slide_from_a_folder(histo, laboratory, tmp_path):
    root, _ = laboratory
    results = tmp_path / "results"
    shutil.copytree(root / "results", results)
    words = ("run", root / "slides", "-o", results, "--panel", "foxp3-dab", "--regions")
    done = histo(*words, root / "strokes")
    assert done.code == 1
    assert "holds no b.geojson" in done.out + done.err
    assert "tumor_area_mm2" in (results / "metrics.csv").read_text("utf-8-sig")
    assert {"tumor", "stroma", "other"} <= set(
        read_slide_result(results / "a").cells["compartment"]
    )
    one = histo(*words, root / "strokes" / "a.geojson")
    assert one.code == 2
    assert "is of one slide, but 2 are given" in one.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--regions", "nowhere"), "no region model and no annotations of that name"),
        (("--regions", "nuclei-brightfield"), "is a model for nuclei"),
    ],
)
def test_run_refuses_regions_that_are_none(histo, laboratory, tmp_path, words, said):
    root, _ = laboratory
    slide = root / "slides" / "a.tif"
    done = histo("run", slide, "-o", tmp_path / "out", "--panel", "foxp3-dab", *words)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_train_regions_refuses_in_words(histo, laboratory, tmp_path):
    root, _ = laboratory
    slide, strokes = root / "slides" / "a.tif", root / "strokes" / "a.geojson"
    given = ("train-regions", slide, strokes, "-o", tmp_path / "m")
    done = histo(*given, "-r", tmp_path)
    assert done.code == 2
    assert "holds no result of a.tif" in done.err
    content = json.loads(strokes.read_text())
    content["features"] = [
        one for one in content["features"] if one["properties"]["classification"]["name"] == "Tumor"
    ]
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    given = ("train-regions", slide, tmp_path / "a.geojson", "-o", tmp_path / "m")
    done = histo(*given, "-r", root / "results")
    assert done.code == 1
    assert "Only the class Tumor was drawn" in done.err
    given = ("train-regions", slide, strokes, "-o", tmp_path / "m", "-r", root / "results")
    done = histo(*given, "--channel", "cytokeratin")
    assert done.code == 1
    assert "the region model reads 'cytokeratin'" in done.err
    assert histo(*given, "--steps", "0").code == 2
    assert not (tmp_path / "m").exists()
