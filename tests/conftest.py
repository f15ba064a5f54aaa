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
