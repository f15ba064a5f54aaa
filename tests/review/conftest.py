"""A result folder of known cells, without pixels; and one of an analysed section, with all."""

import shutil

import numpy as np
import pytest


@pytest.fixture
def grid_cells(make_cells):
    """Forty cells 10 µm apart, eight a row; DAB OD 0.00 ... 0.39; the last one in a fold."""
    place = np.arange(40)
    cells = make_cells(
        40,
        nucleus_dab_od_mean=place / 100,
        y_um=place // 8 * 10.0 + 5,
        x_um=place % 8 * 10.0 + 5,
    )
    cells.loc[39, ["compartment", "flags"]] = ["excluded", "artefact"]
    return cells


@pytest.fixture
def make_grid(grid_cells):
    """Write a result folder of the grid; called at 0.12, its tissue is 1 mm²."""
    from histo.metrics import OD_EDGES, Histogram, SlideAreas
    from histo.panel import load_panel
    from histo.pipeline.numbers import call_and_count, thresholds_record
    from histo.results import OutlineWriter, Rings, SlideResult, write_slide_result

    def make(folder):
        folder.mkdir(parents=True)
        panel, requests = load_panel("foxp3-dab"), {"foxp3": 0.12}
        dab = Histogram.of(np.repeat([0.05, 0.5], [900, 100]), OD_EDGES)
        areas = SlideAreas(1.1e6, 1e6, 1e5, {"dab": dab})
        cells, cuts, metrics = call_and_count(grid_cells, panel, requests, areas)
        square = np.array([[-3.0, -3], [-3, 3], [3, 3], [3, -3]])
        rings = Rings.of(square + at for at in cells[["y_um", "x_um"]].to_numpy())
        # 0.25 µm a pixel from top to bottom, 0.5 µm from left to right.
        with OutlineWriter(folder / "outlines.parquet", (4.0, 2.0)) as writer:
            writer.add(cells["cell_id"].to_numpy(), rings, rings)
        manifest = {
            "created_utc": "2026-01-31T12:00:00+00:00",
            "input": {"sha256": "0" * 64},
            "slide": {
                "name": "grid",
                "pixel_size_um": 0.375,
                "pixel_size_y_um": 0.25,
                "pixel_size_x_um": 0.5,
            },
            "parameters": {"panel_content": panel.model_dump(mode="json"), "thresholds": requests},
            "thresholds": thresholds_record(cuts),
            "flags": [],
            "edits": [],
        }
        write_slide_result(folder, SlideResult(cells, metrics, areas, manifest))
        return folder

    return make


@pytest.fixture
def grid(make_grid, tmp_path):
    """The result folder of the grid."""
    return make_grid(tmp_path / "grid")


@pytest.fixture
def draw(grid_cells):
    """Return a function that makes a drawn nucleus of 6 x 6 µm at a place, with a DAB OD."""
    from histo.edits import DrawnNucleus

    def make(y_um, x_um, od=0.3):
        measures = grid_cells.iloc[0].drop(["cell_id", "compartment", "flags"]).to_dict()
        ring = np.add([[-3.0, -3], [-3, 3], [3, 3], [3, -3]], [y_um, x_um])
        return DrawnNucleus(
            ring, measures | {"y_um": y_um, "x_um": x_um, "nucleus_dab_od_mean": od}
        )

    return make


@pytest.fixture(scope="session")
def analysed_once(tmp_path_factory, paint_section):
    """A painted section of 128 µm, and its result folder; neither is to be changed."""
    from histo.pipeline import Settings, analyze_slide

    root = tmp_path_factory.mktemp("reviewed")
    slide = paint_section(root / "section.tif", side_px=256, seed=5)
    analyze_slide(slide, Settings("foxp3-dab"), folder=root / "out" / "section")
    return slide, root / "out"


@pytest.fixture
def section(analysed_once, tmp_path):
    """The slide, and a copy of its result folder."""
    slide, out = analysed_once
    shutil.copytree(out, tmp_path / "out")
    return slide, tmp_path / "out" / "section"
