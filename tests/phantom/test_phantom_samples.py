"""The sample images are what their recipes paint, and their truth tables belong to them."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

FOLDER = Path(__file__).resolve().parents[2] / "sample_images"


def _load_script(name="paint"):
    spec = importlib.util.spec_from_file_location(f"sample_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


SCRIPT, LUNG = _load_script(), _load_script("paint_lung")
SAMPLES = {sample.file: sample for sample in SCRIPT.SAMPLES}


def test_the_folder_holds_the_samples_and_no_others():
    tables = {s.truth.name for s in SCRIPT.SAMPLES}
    assert {path.name for path in FOLDER.glob("*.tif")} == {*SAMPLES, LUNG.FILE}
    assert {path.name for path in FOLDER.glob("*.csv")} == {*tables, LUNG.TRUTH.name}


def test_every_panel_has_a_sample():
    from histo.phantom import PANEL_PLANES

    assert {sample.recipe.panel for sample in SCRIPT.SAMPLES} == set(PANEL_PLANES)
    assert all(sample.file.startswith(sample.recipe.panel) for sample in SCRIPT.SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_files_are_small_tiled_pyramids_with_a_pixel_size(name):
    path = FOLDER / name
    assert path.stat().st_size <= 1_000_000
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        assert len(series.levels) >= 2
        page = file.pages[0]
        assert page.is_tiled
        assert page.resolution == pytest.approx((1e4 / 0.5, 1e4 / 0.5))
        if "-if" in name:
            assert 'PhysicalSizeX="0.5"' in file.ome_metadata
            assert page.dtype == np.uint16


@pytest.mark.parametrize("name", ["foxp3-dab_edge.tif", "foxp3-rankl-if_margin.ome.tif"])
def test_repainting_gives_the_file_and_its_truth(name):
    sample = SAMPLES[name]
    phantom = SCRIPT.paint(sample)
    kept = pd.read_csv(sample.truth)
    now = SCRIPT.truth_table(phantom)
    assert len(now) == len(kept)
    assert now.columns.tolist() == kept.columns.tolist()
    for column in kept.columns:
        if kept[column].dtype.kind == "f":
            # Another processor may round a pixel on an outline to the other side.
            near = np.isclose(now[column], kept[column], rtol=0.02, atol=0.02, equal_nan=True)
            assert near.mean() > 0.99, column
        else:
            assert (now[column] == kept[column]).mean() > 0.999, column
    stored = tifffile.imread(FOLDER / name)
    if stored.ndim == 3 and "-if" in name:
        stored = stored.transpose(1, 2, 0)
    gap = np.abs(stored.astype(float) - phantom.image)
    assert gap.mean() < 3.0  # JPEG


def test_the_readme_states_the_true_numbers():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "CC0" in text
    for sample in SCRIPT.SAMPLES:
        truth = pd.read_csv(sample.truth)
        row = next(line for line in text.splitlines() if line.startswith(f"| `{sample.file}`"))
        cells = [part.strip() for part in row.strip("|").split("|")]
        assert int(cells[3]) == len(truth)
        for column, cell in (("foxp3_positive", cells[4]), ("rankl_positive", cells[5])):
            if column in truth:
                assert int(cell.split()[0]) == truth[column].sum()
            else:
                assert cell == "-"


def test_the_lung_is_what_its_recipe_paints():
    path = FOLDER / LUNG.FILE
    assert path.stat().st_size <= 1_500_000
    phantom = LUNG.paint()
    pd.testing.assert_frame_equal(pd.read_csv(LUNG.TRUTH), phantom.foci.round(2), check_dtype=False)
    stored = tifffile.imread(path)
    assert np.abs(stored.astype(float) - phantom.image).mean() < 5.0  # JPEG
