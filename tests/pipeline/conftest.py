"""Painted sections on disk, analysed once for all tests that look at them."""

import pytest
import tifffile

from histo.phantom import Composition, Recipe, paint_phantom
from histo.pipeline import Settings, analyze_slide

PIXEL_UM = 0.5


@pytest.fixture(scope="session")
def save_rgb():
    """Return a function that writes an RGB picture as TIFF, with or without its pixel size."""

    def save(path, image, *, pixel_size_um=PIXEL_UM):
        size = {}
        if pixel_size_um is not None:
            per_cm = 1e4 / pixel_size_um
            size = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(path, image, photometric="rgb", **size)
        return path

    return save


@pytest.fixture(scope="session")
def section():
    """Paint a section with a stretch of bare glass, so that the white point can be measured."""
    return paint_phantom(Recipe("foxp3-dab", Composition(glass=0.2)), 21, shape=(640, 640))


@pytest.fixture(scope="session")
def analysed(tmp_path_factory, save_rgb, section):
    """The section's file, its result folder (not to be changed) and its result."""
    root = tmp_path_factory.mktemp("section")
    path = save_rgb(root / "section.tif", section.image)
    result = analyze_slide(path, Settings("foxp3-dab"), folder=root / "section")
    return path, root / "section", result
