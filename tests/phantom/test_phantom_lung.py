"""The painted lung: its truth agrees with its pixels, and it depends on recipe and seed alone."""

from dataclasses import replace

import numpy as np
import pytest

from histo.phantom import LUNG_KINDS, Appearance, LungRecipe, paint_lung, random_lung_recipe
from histo.stain import optical_density

SMALL = LungRecipe(
    (1100, 1200),
    foci_um=(180.0, 70.0),
    lymphoid_um=(90.0,),
    airways=1,
    vessels=1,
    filled_vessels=0,
    outside=False,
)


@pytest.fixture(scope="module")
def phantom():
    return paint_lung(SMALL, 2)


def test_same_seed_same_picture(phantom):
    again = paint_lung(SMALL, 2)
    assert (again.image == phantom.image).all()
    assert again.foci.equals(phantom.foci)
    assert (paint_lung(SMALL, 3).image != phantom.image).any()


def test_foci_have_the_area_that_was_asked_for(phantom):
    assert phantom.foci["diameter_um"].tolist() == pytest.approx([180, 70], abs=1.0)
    for row in phantom.foci.itertuples():
        assert (phantom.foci_labels == row.focus_id).sum() == row.area_um2
    assert ((phantom.foci_labels > 0) == phantom.of("focus")).all()


def test_the_table_of_cells_agrees_with_the_map(phantom):
    cells = phantom.cells
    assert cells["cell_id"].tolist() == list(range(1, len(cells) + 1))
    there = phantom.kinds[cells.y_um.astype(int), cells.x_um.astype(int)]
    for kind in ("focus", "lymphoid", "airway"):
        rows = (cells["kind"] == kind).to_numpy()
        assert rows.any()
        assert (there[rows] == LUNG_KINDS.index(kind)).all()
    tumour = cells[cells["kind"] == "focus"]
    assert phantom.foci["nuclei"].sum() == len(tumour)
    small = cells[cells["kind"] == "lymphoid"]
    assert small.nucleus_area_um2.median() < 0.6 * tumour.nucleus_area_um2.median()


def test_air_and_glass_are_clear_and_foci_dense():
    clear = paint_lung(replace(SMALL, appearance=Appearance(optics=None)), 1)
    od = optical_density(clear.image, clear.white_point).mean(-1)
    assert np.median(od[clear.of("glass")]) == 0
    assert np.median(od[clear.of("airspace")]) == 0
    assert 0.15 < od[clear.of("focus")].mean() < 0.4
    air = clear.of("airspace").sum() / clear.lobe.sum()
    assert 0.55 < air < 0.9


def test_brown_nuclei_only_in_h_dab_and_only_in_foci():
    brown = paint_lung(replace(SMALL, stain="h-dab"), 1)
    rgb = brown.image.astype(int)
    strong = (rgb[..., 0] - rgb[..., 2] > 25) & (rgb.min(-1) < 120)
    near = strong & ~brown.of("focus")
    assert strong.sum() > 200
    assert near.sum() < 0.05 * strong.sum()


def test_wrong_recipes_are_refused():
    with pytest.raises(ValueError, match="stain"):
        LungRecipe(stain="pas")
    with pytest.raises(ValueError, match="extent_um"):
        LungRecipe((700, 2000))


def test_random_recipes_differ_by_seed_only():
    one, other = (random_lung_recipe(5, stain=s) for s in ("he", "h-dab"))
    assert one.foci_um == other.foci_um
    assert random_lung_recipe(6, stain="he") != one
