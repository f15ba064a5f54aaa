"""What holds for every test: no window without a display, and few threads."""

import importlib.util
import os
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")


def _why_no_window() -> str | None:
    if importlib.util.find_spec("napari") is None:
        return "napari is not installed"
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        return "there is no display; run under xvfb-run"
    return None


def pytest_collection_modifyitems(items):
    reason = _why_no_window()
    if reason is None:
        return
    for item in items:
        if item.get_closest_marker("gui"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def paint_section():
    """Return a function that paints a small section and saves it as TIFF."""
    import tifffile

    from histo.phantom import Recipe, paint_phantom

    def paint(path, *, panel="foxp3-dab", seed=1, side_px=160, pixel_size_um=0.5):
        phantom = paint_phantom(Recipe(panel), seed, shape=(side_px, side_px))
        path.parent.mkdir(parents=True, exist_ok=True)
        image, options = phantom.image, {"photometric": "rgb"}
        if panel.endswith("-if"):
            image = image.transpose(2, 0, 1)
            options = {
                "photometric": "minisblack",
                "ome": True,
                "metadata": {"axes": "CYX", "Channel": {"Name": list(phantom.names)}},
            }
        if pixel_size_um is not None:
            per_cm = 1e4 / pixel_size_um
            options |= {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
            if options.get("ome"):
                options["metadata"] |= {
                    "PhysicalSizeX": pixel_size_um,
                    "PhysicalSizeXUnit": "µm",
                    "PhysicalSizeY": pixel_size_um,
                    "PhysicalSizeYUnit": "µm",
                }
        tifffile.imwrite(path, image, **options)
        return path

    return paint


@pytest.fixture
def make_cells():
    """Build a cell table; columns not given are 0 or those of an ordinary lymphocyte."""
    import numpy as np
    import pandas as pd

    from histo.cells import empty_cells

    def make(count, *, stains=("hematoxylin", "dab"), quantity="od", **columns):
        empty = empty_cells(list(stains), quantity=quantity)
        values = {name: np.zeros(count) for name in empty.columns}
        values |= {
            "cell_id": np.arange(1, count + 1),
            "x_um": np.arange(count) * 10.0,
            "nucleus_diameter_um": np.full(count, 7.0),
            "nucleus_area_um2": np.full(count, 38.5),
            "cell_area_um2": np.full(count, 120.0),
            "nucleus_eccentricity": np.full(count, 0.4),
            "nucleus_solidity": np.full(count, 0.95),
            "compartment": np.full(count, "tissue"),
            "flags": np.full(count, ""),
        }
        values |= columns
        frame = pd.DataFrame(values)
        return frame.astype(dict(empty.dtypes)).astype(
            {name: "float32" for name in columns if name not in empty.columns}
        )

    return make


@pytest.fixture
def make_result(make_cells):
    """Write a result folder whose nuclei are those of a label image; nothing is analysed."""
    import numpy as np

    from histo.cells import trace_outlines
    from histo.metrics import SlideAreas
    from histo.metrics.shapes import LabelShapes
    from histo.results import (
        OutlineWriter,
        SlideResult,
        read_outlines,
        write_geojson,
        write_slide_result,
    )

    def make(folder, labels, *, pixel_size_um=0.5, positive=None, **columns):
        folder.mkdir(parents=True)
        ids = np.unique(labels[labels > 0])
        centres = LabelShapes.of(labels, (pixel_size_um, pixel_size_um)).centres_um()
        if positive is not None:
            columns |= {"foxp3_positive": positive, "foxp3_grade": positive.astype(np.int8)}
        places = {"cell_id": ids, "y_um": centres[:, 0], "x_um": centres[:, 1]}
        cells = make_cells(len(ids), **places, **columns)
        cells = cells.astype({c: bool for c in cells if c.endswith("_positive")})
        cells = cells.astype({c: "int8" for c in cells if c.endswith("_grade")})
        with OutlineWriter(folder / "outlines.parquet", 1.0) as writer:
            rings = trace_outlines(labels, ids)
            writer.add(ids, rings, rings)
        slide = {"name": folder.name, "pixel_size_um": pixel_size_um}
        write_geojson(folder, cells, read_outlines(folder / "outlines.parquet"), slide=folder.name)
        write_slide_result(folder, SlideResult(cells, (), SlideAreas(1, 1), {"slide": slide}))
        return folder

    return make


@pytest.fixture(scope="session")
def make_lung_result():
    """Write the result folder of a lung section from its areas; nothing is analysed."""
    import json

    from histo.cells import empty_cells
    from histo.metrics import SlideAreas
    from histo.metrics.lung import lung_metrics
    from histo.results import SlideResult, write_slide_result

    def make(folder, areas, *, panel="lung-he", file=None, flags=()):
        folder.mkdir(parents=True)
        (folder / "lung.json").write_text(json.dumps({"areas": areas.to_dict(), "refused": []}))
        manifest = {
            "input": {"file": file or f"{folder.name}.tif"},
            "parameters": {"panel": panel},
            "slide": {"name": folder.name, "pixel_size_um": 0.5},
            "flags": list(flags),
        }
        cells = empty_cells(["hematoxylin", "eosin"])
        slide_areas = SlideAreas(areas.lobe_um2, areas.lobe_um2)
        result = SlideResult(cells, lung_metrics(areas), slide_areas, manifest)
        write_slide_result(folder, result)
        return folder

    return make


@pytest.fixture
def make_nuclei():
    """Paint a label image of round nuclei that do not touch."""
    import numpy as np

    def make(count=12, *, seed=0, shape=(160, 200)):
        rng = np.random.default_rng(seed)
        labels = np.zeros(shape, np.int32)
        y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
        label = 0
        while label < count:
            middle, radius = rng.uniform(9, np.array(shape) - 9), rng.uniform(5, 8)
            away = np.hypot(y - middle[0], x - middle[1])
            if not labels[away < radius + 2].any():
                label += 1
                labels[away < radius] = label
        return labels

    return make


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A model of few weights that has learned for some seconds: it finds many nuclei badly."""
    import numpy as np
    import torch

    from histo.nuclei import read_card
    from histo.nuclei.targets import targets_of
    from histo.nuclei.training import Trainer, falling_rate
    from histo.nuclei.writing import derive_card, write_model
    from histo.phantom import paint_examples

    rng, steps = np.random.default_rng(0), 50
    tiles = [tile for _ in range(8) for tile in paint_examples(rng, side_px=128)]
    trainer = Trainer((8, 16, 24), rate=1e-2, warm_up=10)
    for step in range(steps):
        drawn = [tiles[index] for index in rng.integers(len(tiles), size=4)]
        x = torch.from_numpy(np.stack([tile.rgb for tile in drawn]).transpose(0, 3, 1, 2)) / 255
        y = np.stack([targets_of(tile.labels, tile.positive) for tile in drawn])
        trainer.learn(x, torch.from_numpy(y), rate=falling_rate(1e-2, step / steps))
    card = derive_card(read_card("nuclei-brightfield"), name="tiny", version="0.1.0")
    card["weights"]["pytorch_state_dict"]["architecture"]["kwargs"]["widths"] = [8, 16, 24]
    card["config"]["histo"] |= {"threshold": 0.5}
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_model(folder, card, trainer.average.state_dict())
    return folder


@pytest.fixture(scope="session")
def save_annotations():
    """Return a function that writes labels as QuPath exports detections, with areas drawn."""
    import json

    from histo.cells import trace_outlines

    def feature(kind, ring, name):
        ring = [[float(x), float(y)] for y, x in ring]
        properties = {"objectType": kind}
        if name:
            properties["classification"] = {"name": name}
        geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        return {"type": "Feature", "geometry": geometry, "properties": properties}

    def save(path, labels, *, classes=None, areas=(), kind="detection"):
        """``classes``: label to name; ``areas``: (name, top, left, bottom, right) in px."""
        import numpy as np

        ids = np.unique(labels[labels > 0])
        rings = trace_outlines(labels, ids)
        features = [
            feature(kind, rings[index], (classes or {}).get(int(label)))
            for index, label in enumerate(ids)
        ]
        for name, top, left, bottom, right in areas:
            ring = [(top, left), (top, right), (bottom, right), (bottom, left)]
            features.append(feature("annotation", ring, name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return path

    return save
