"""The measurement phantom: known areas, optical densities and grades, at every pixel size."""

import numpy as np
import pytest

from histo.phantom import PANEL_PLANES, Appearance, Optics, paint_measurement_phantom, true_h_score
from histo.stain import StainMatrix, stain_concentrations

PIXEL_SIZES = (0.25, 0.5, 1.0)
BRIGHTFIELD = [panel for panel in PANEL_PLANES if not panel.endswith("-if")]
MARKERS = ("foxp3", "rankl", "cd3")


@pytest.mark.parametrize("panel", PANEL_PLANES)
def test_areas_and_grades_do_not_depend_on_the_pixel_size(panel):
    fine, *others = (
        paint_measurement_phantom(panel, 3, extent_um=(120, 150), pixel_size_um=px)
        for px in PIXEL_SIZES
    )
    for other in others:
        assert other.tissue_area_um2 == fine.tissue_area_um2
        for column in ("nucleus_area_um2", "cell_area_um2", "x_um", "y_um"):
            np.testing.assert_allclose(other.cells[column], fine.cells[column], atol=1e-9)
        for column in fine.cells.filter(like="_grade"):
            assert (other.cells[column] == fine.cells[column]).all()


def test_averaging_the_fine_phantom_gives_the_coarse_one():
    fine = paint_measurement_phantom("rankl-dab", 1, pixel_size_um=0.25)
    coarse = paint_measurement_phantom("rankl-dab", 1, pixel_size_um=1.0)
    side = coarse.image.shape[0]
    averaged = fine.image.reshape(side, 4, side, 4, 3).mean((1, 3))
    assert (averaged == coarse.image).all()


@pytest.mark.parametrize("panel", BRIGHTFIELD)
def test_optical_density_is_recovered_within_eight_bit_rounding(panel):
    phantom = paint_measurement_phantom(panel, 5, extent_um=(120, 120))
    stains = StainMatrix("painted", phantom.names, phantom.vectors)
    found = stain_concentrations(phantom.image, stains, phantom.white_point)
    # Half a grey level at the darkest channel, spread by the unmixing.
    darkest = float(phantom.image.min())
    slack = np.log10(1 + 0.5 / darkest) * np.linalg.norm(np.linalg.pinv(phantom.vectors), 1)
    assert slack < 0.1
    assert np.abs(found - phantom.planes).max() < 1.05 * slack
    # Rounding cancels over the cells: the mean is far better than a pixel.
    assert np.abs(found.mean((0, 1)) - phantom.planes.mean((0, 1))).max() < 0.004


def test_planes_hold_the_level_of_each_cell():
    phantom = paint_measurement_phantom("foxp3-dab+rankl-red", 2)
    cells = phantom.cells
    np.testing.assert_allclose(cells["nucleus_dab_mean"], cells["foxp3_level"], atol=1e-6)
    np.testing.assert_allclose(cells["cytoplasm_red_mean"], cells["rankl_level"], atol=1e-6)
    assert (cells["cytoplasm_dab_mean"] == 0).all()


def test_grades_are_balanced_and_follow_the_cutoffs():
    phantom = paint_measurement_phantom("foxp3-dab+rankl-red", 2)
    for marker in ("foxp3", "rankl"):
        grade = phantom.cells[f"{marker}_grade"]
        counts = np.bincount(grade, minlength=4)
        assert counts.max() - counts.min() <= 1
        by_level = np.searchsorted(phantom.cutoffs, phantom.cells[f"{marker}_level"], "right")
        assert (by_level == grade).all()
        assert true_h_score(phantom.cells, marker) == pytest.approx(100 * grade.mean())


def test_every_combination_of_two_markers_occurs():
    cells = paint_measurement_phantom("foxp3-dab+rankl-red", 0).cells
    assert len(set(zip(cells["foxp3_positive"], cells["rankl_positive"], strict=True))) == 4


def test_cells_lie_apart_inside_the_tissue():
    phantom = paint_measurement_phantom("foxp3-dab", 8, pixel_size_um=1.0)
    assert not phantom.cells["touches_border"].any()
    assert phantom.tissue[phantom.cell_labels > 0].all()
    around = np.pad(phantom.cell_labels, 1)
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        neighbour = np.roll(around, shift, (0, 1))
        touching = (around > 0) & (neighbour > 0) & (around != neighbour)
        assert not touching.any()


def test_optics_of_the_appearance_are_left_out():
    blurred = Appearance(optics=Optics(blur_um=2.0, noise=20.0))
    sharp = Appearance(optics=None)
    one, other = (paint_measurement_phantom("he", appearance=look) for look in (blurred, sharp))
    assert (one.image == other.image).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"panel": "ki67"}, "panel must be one of foxp3-dab"),
        ({"panel": "he", "pixel_size_um": 0.3}, "1 / a whole number, got 0.3"),
        ({"panel": "he", "pixel_size_um": 2.0}, "1 / a whole number"),
        ({"panel": "he", "pixel_size_um": -1.0}, "1 / a whole number"),
        ({"panel": "he", "extent_um": (20, 300)}, "extent_um must be at least 60"),
        ({"panel": "he", "extent_um": (100, 5000)}, "at most 8192 px"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        paint_measurement_phantom(**arguments)
