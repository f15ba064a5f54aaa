"""A slide and a result folder as histo writes them, painted here."""

import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from histo.cells import empty_cells, trace_outlines
from histo.geometry import Region
from histo.metrics import SlideAreas
from histo.results import (
    LabelWriter,
    OutlineWriter,
    SlideResult,
    result_folder,
    write_slide_result,
)

ROOT = Path(__file__).resolve().parents[2]
PIXEL_SIZE_UM = 0.5


@pytest.fixture(autouse=True)
def _nobody_asks(request, monkeypatch):
    """Windows of tests close without a question, which would wait for ever."""
    if request.node.get_closest_marker("gui") is None:
        return
    monkeypatch.syspath_prepend(str(ROOT / "plugins"))
    from napari_histo.leaving import Leaving
    from qtpy.QtWidgets import QMessageBox

    discard = QMessageBox.StandardButton.Discard
    monkeypatch.setattr(Leaving, "ask", staticmethod(lambda parent, name: discard))


@pytest.fixture
def viewer(make_napari_viewer):
    """A real window in which napari knows the plugin."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from npe2 import PluginManager, PluginManifest

        manager = PluginManager.instance()
        if "napari-histo" not in manager:
            manager.register(PluginManifest.from_file(ROOT / "plugins/napari_histo/napari.yaml"))
        return make_napari_viewer(show=True)


@dataclass(frozen=True)
class Painted:
    """Where the files lie, and what is in them."""

    slide: Path
    folder: Path
    labels: np.ndarray
    cells: pd.DataFrame


@pytest.fixture(scope="session")
def painted(tmp_path_factory):
    """Discs on a grid, every third one brown; slide and result."""
    out = tmp_path_factory.mktemp("painted")
    shape = (1400, 1800)
    labels = np.zeros(shape, np.int32)
    y, x = np.mgrid[:40, :40]
    disc = (y - 20) ** 2 + (x - 20) ** 2 < 9**2
    rows = []
    for number, (top, left) in enumerate(
        ((t, c) for t in range(0, shape[0], 40) for c in range(0, shape[1], 40)), start=1
    ):
        labels[top : top + 40, left : left + 40][disc] = number
        rows.append((number, (left + 20.5) * PIXEL_SIZE_UM, (top + 20.5) * PIXEL_SIZE_UM))
    grade = np.array([0 if row[0] % 3 else row[0] % 4 for row in rows], np.int8)
    rgb = np.full((*shape, 3), (238, 232, 235), np.uint8)
    colour = np.array([(120, 130, 190), (190, 150, 110), (150, 100, 60), (90, 50, 25)], np.uint8)
    inside = labels > 0
    rgb[inside] = colour[grade[labels[inside] - 1]]
    write_slide(out / "section 7.tif", rgb)
    cells = cell_table(rows, grade)
    folder = out / "results" / "section 7"
    with result_folder(folder) as partial:
        with LabelWriter(partial / "nuclei.ome.zarr", shape, PIXEL_SIZE_UM) as writer:
            writer.paint(Region(0, 0, *shape), labels, cells["cell_id"].to_numpy())
        with OutlineWriter(partial / "outlines.parquet", 1.0) as writer:
            rings = trace_outlines(labels, cells["cell_id"].to_numpy())
            writer.add(cells["cell_id"].to_numpy(), rings, rings)
        write_slide_result(partial, SlideResult(cells, (), SlideAreas(6e5, 6e5), {}))
    return Painted(out / "section 7.tif", folder, labels, cells)


def write_slide(path, rgb):
    per_cm = 1e4 / PIXEL_SIZE_UM
    tifffile.imwrite(
        path,
        rgb,
        photometric="rgb",
        tile=(256, 256),
        compression="zlib",
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
    )


def cell_table(rows, grade):
    template = empty_cells(["hematoxylin", "dab"], markers=["foxp3"])
    table = {name: np.zeros(len(rows), dtype) for name, dtype in template.dtypes.items()
             if name not in ("compartment", "flags")}  # fmt: skip
    table["cell_id"], table["x_um"], table["y_um"] = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    table["foxp3_grade"], table["foxp3_positive"] = grade, grade > 0
    cells = pd.DataFrame(table)
    cells["compartment"] = pd.Series(["tissue"] * len(rows), dtype="str")
    cells["flags"] = pd.Series([""] * len(rows), dtype="str")
    return cells[list(template.columns)]


@pytest.fixture(scope="session")
def analysed_once(tmp_path_factory):
    """A part of the sample slide, and its result; tests get copies."""
    from histo.pipeline import Settings, analyze_slide

    out = tmp_path_factory.mktemp("analysed")
    whole = tifffile.imread(ROOT / "sample_images" / "foxp3-dab_infiltrate.tif")
    slide = out / "part of section.tif"
    write_slide(slide, whole[100:740, 200:840])
    analyze_slide(slide, Settings(panel="foxp3-dab"), folder=out / "results" / slide.stem)
    return out


@pytest.fixture
def analysed(analysed_once, tmp_path):
    """A slide and its result, to be changed at will: paths of both."""
    place = tmp_path / "analysed"
    shutil.copytree(analysed_once, place)
    return place / "part of section.tif", place / "results" / "part of section"
