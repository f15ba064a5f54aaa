"""Painted tissue: its truth agrees with its pixels, and it depends on recipe and seed alone."""

from dataclasses import replace

import numpy as np
import pytest

from histo.phantom import (
    PANEL_PLANES,
    Appearance,
    Composition,
    Optics,
    Recipe,
    is_fluorescence,
    paint_phantom,
    random_recipe,
    summarize,
    true_h_score,
)
from histo.stain import optical_density

PANELS = list(PANEL_PLANES)
TISSUE = Composition(tumour=0.5, lymphocytes=0.5)
NO_OPTICS = Appearance(optics=None)


@pytest.fixture(scope="module")
def duplex():
    return paint_phantom(Recipe("foxp3-dab+rankl-red", TISSUE), 5, shape=(400, 440))


@pytest.mark.parametrize("panel", PANELS)
def test_shapes_and_types(panel):
    phantom = paint_phantom(Recipe(panel, TISSUE), 1, shape=(130, 150))
    channels = len(phantom.names) if is_fluorescence(panel) else 3
    assert phantom.image.shape == (130, 150, channels)
    assert phantom.image.dtype == (np.uint16 if is_fluorescence(panel) else np.uint8)
    assert set(PANEL_PLANES[panel].values()) <= set(phantom.names)
    assert phantom.planes.shape == (130, 150, len(phantom.names))
    assert not phantom.image.flags.writeable
    for role in PANEL_PLANES[panel]:
        if role not in ("nuclear", "eosin"):
            assert f"{role}_positive" in phantom.cells


def test_table_agrees_with_the_labels(duplex):
    cells, px = duplex.cells, duplex.pixel_size_um
    ids, counts = np.unique(duplex.labels[duplex.labels > 0], return_counts=True)
    assert ids.tolist() == cells["cell_id"].tolist() == list(range(1, len(cells) + 1))
    np.testing.assert_allclose(cells["nucleus_area_um2"], counts * px**2)
    assert (cells["nucleus_area_um2"] >= 5.0).all()
    whole = np.bincount(duplex.cell_labels.ravel(), minlength=len(cells) + 1)[1:]
    np.testing.assert_allclose(cells["cell_area_um2"], whole * px**2)
    middle = cells.iloc[len(cells) // 2]
    y, x = np.nonzero(duplex.labels == middle["cell_id"])
    assert middle["y_um"] == pytest.approx((y.mean() + 0.5) * px)
    assert middle["x_um"] == pytest.approx((x.mean() + 0.5) * px)


def test_a_cell_contains_its_nucleus(duplex):
    nucleus = duplex.labels > 0
    assert (duplex.cell_labels[nucleus] == duplex.labels[nucleus]).all()


def test_means_are_those_of_the_planes(duplex):
    dab = duplex.plane("dab")
    for row in duplex.cells.iloc[[0, 40, -1]].itertuples():
        inside = duplex.labels == row.cell_id
        assert row.nucleus_dab_mean == pytest.approx(dab[inside].mean(), rel=1e-5)


def test_painted_levels_show_in_the_planes(duplex):
    """In-focus cells that nothing overlaps carry the level they were given, plus haze."""
    cells = duplex.cells.query("in_focus and not touches_border and foxp3_positive")
    # Brown cytoplasm does not exist in this panel: what differs is overlap and haze.
    gap = cells["nucleus_dab_mean"] - cells["foxp3_level"]
    assert len(cells) > 10
    assert gap.median() == pytest.approx(0.02, abs=0.03)
    ring = duplex.cells.query("rankl_positive and cytoplasm_red_mean == cytoplasm_red_mean")
    ratio = ring["cytoplasm_red_mean"] / ring["rankl_level"]
    assert ratio.median() == pytest.approx(1.0, abs=0.25)
    assert np.corrcoef(ring["cytoplasm_red_mean"], ring["rankl_level"])[0, 1] > 0.85


def test_negative_nuclei_stay_below_the_first_cutoff(duplex):
    cells = duplex.cells.query("not foxp3_positive")
    assert (cells["nucleus_dab_mean"] < duplex.cutoffs[0]).mean() > 0.97


def test_grades_follow_levels_and_cutoffs(duplex):
    for marker in ("foxp3", "rankl"):
        level, grade = duplex.cells[f"{marker}_level"], duplex.cells[f"{marker}_grade"]
        assert (np.searchsorted(duplex.cutoffs, level, "right") == grade).all()
        assert ((grade > 0) == duplex.cells[f"{marker}_positive"]).all()
        counts = np.bincount(grade, minlength=4)
        by_definition = 100 * (counts[1] + 2 * counts[2] + 3 * counts[3]) / len(grade)
        assert true_h_score(duplex.cells, marker) == pytest.approx(by_definition)


def test_gain_moves_levels_and_cutoffs_together():
    faint = Recipe("foxp3-dab", TISSUE, Appearance(dab_gain=0.5))
    phantom = paint_phantom(faint, 2, shape=(200, 200))
    assert phantom.cutoffs == (0.1, 0.2, 0.3)
    level = phantom.cells["foxp3_level"]
    assert (np.searchsorted(phantom.cutoffs, level, "right") == phantom.cells["foxp3_grade"]).all()


def test_summary_counts_what_the_table_holds(duplex):
    true = summarize(duplex)
    assert true["cells"] == len(duplex.cells)
    assert true["foxp3_positive"] == duplex.cells["foxp3_positive"].sum() > 0
    assert true["tissue_mm2"] == pytest.approx(duplex.tissue.sum() * 0.25e-6)
    assert true["rankl_positive_per_mm2"] == pytest.approx(
        true["rankl_positive"] / true["tissue_mm2"]
    )


@pytest.mark.parametrize("panel", ["foxp3-dab", "rankl-dab", "foxp3-dab+rankl-red", "he"])
def test_without_optics_the_image_is_beer_lambert(panel):
    phantom = paint_phantom(Recipe(panel, TISSUE, NO_OPTICS), 3, shape=(160, 160))
    painted = phantom.planes @ phantom.vectors
    light = phantom.white_point * 10.0**-painted
    assert np.abs(phantom.image - light).max() <= 0.5 + 1e-3
    clear = phantom.image.min(-1) > 25
    found = optical_density(phantom.image, phantom.white_point)
    assert np.abs(found - painted)[clear].max() < np.log10(1 + 0.5 / 25) + 1e-3


def test_without_optics_counts_are_the_planes():
    phantom = paint_phantom(Recipe("foxp3-rankl-if", TISSUE, NO_OPTICS), 3, shape=(120, 120))
    assert np.abs(phantom.image - phantom.planes).max() <= 0.5


@pytest.mark.parametrize("panel", PANELS)
def test_same_seed_same_phantom_other_seed_other_phantom(panel):
    recipe = Recipe(panel, TISSUE)
    one, again, other = (paint_phantom(recipe, seed, shape=(96, 96)) for seed in (7, 7, 8))
    assert (one.image == again.image).all()
    assert (one.labels == again.labels).all()
    assert one.cells.equals(again.cells)
    assert not np.array_equal(one.labels, other.labels)


def test_panels_of_one_seed_show_the_same_tissue():
    a, b = (paint_phantom(Recipe(p, TISSUE), 4, shape=(200, 200)) for p in ("he", "foxp3-dab"))
    assert (a.labels == b.labels).all()


def test_optics_do_not_change_the_truth():
    sharp = Recipe("foxp3-dab", TISSUE, NO_OPTICS)
    rough = replace(sharp, appearance=Appearance(optics=Optics(1.0, 1.0, 1.2, 5.0, 40)))
    one, other = (paint_phantom(recipe, 6, shape=(150, 150)) for recipe in (sharp, rough))
    assert one.cells.equals(other.cells)
    assert (one.image != other.image).any()


def test_the_same_extent_shows_the_same_cells_at_another_pixel_size():
    recipe = Recipe("foxp3-dab", TISSUE)
    fine, middle, coarse = (
        paint_phantom(recipe, 9, shape=(side, side), pixel_size_um=200 / side)
        for side in (800, 400, 200)
    )
    for other, tolerance in ((middle, 0.01), (coarse, 0.03)):
        assert len(other.cells) == pytest.approx(len(fine.cells), rel=tolerance)
        true, found = summarize(fine), summarize(other)
        assert found["foxp3_positive"] == pytest.approx(true["foxp3_positive"], abs=1)
        assert found["tissue_mm2"] == pytest.approx(true["tissue_mm2"], rel=0.01)
        area = other.cells["nucleus_area_um2"].sum()
        assert area == pytest.approx(fine.cells["nucleus_area_um2"].sum(), rel=0.01)


def test_positive_fractions_follow_the_composition():
    tissue = Composition(tumour=0.0, lymphocytes=1.0, foxp3_lymphocyte=0.3, rankl_foxp3=1.0)
    cells = paint_phantom(Recipe("foxp3-dab+rankl-red", tissue), 1, shape=(500, 500)).cells
    lymphocytes = cells.query("kind == 'lymphocyte'")
    n = len(lymphocytes)
    assert n > 500
    assert abs(lymphocytes["foxp3_positive"].mean() - 0.3) < 4 * np.sqrt(0.21 / n)
    assert not cells.query("kind != 'lymphocyte'")["foxp3_positive"].any()
    assert lymphocytes.query("foxp3_positive")["rankl_positive"].all()


def test_sizes_are_those_of_cells():
    whole = paint_phantom(Recipe("he", TISSUE), 3, shape=(500, 500)).cells.query(
        "not touches_border"
    )
    diameter = 2 * np.sqrt(whole["nucleus_area_um2"] / np.pi)
    by_kind = diameter.groupby(whole["kind"]).median()
    assert 5.5 < by_kind["lymphocyte"] < 7.0
    assert 8.0 < by_kind["tumour"] < 11.5


def test_glass_is_white_and_empty():
    recipe = Recipe("foxp3-dab", Composition(glass=0.5, debris_per_mm2=0.0), NO_OPTICS)
    phantom = paint_phantom(recipe, 2, shape=(240, 240))
    assert 0.3 < phantom.tissue.mean() < 0.6
    glass = ~phantom.tissue & (phantom.labels == 0)
    white = np.abs(phantom.image.astype(float) - phantom.white_point).max(-1) <= 1
    assert white[glass].mean() > 0.85
    assert phantom.tissue[phantom.labels > 0].mean() > 0.97


def test_pen_and_pigment_are_no_cells():
    tissue = Composition(glass=0.5, pen=True, debris_per_mm2=300.0)
    with_dirt = paint_phantom(Recipe("foxp3-dab", tissue), 2, shape=(300, 300))
    clean = paint_phantom(
        Recipe("foxp3-dab", replace(tissue, pen=False, debris_per_mm2=0.0)), 2, shape=(300, 300)
    )
    assert {"pen", "pigment"} <= set(with_dirt.names)
    assert (with_dirt.plane("pen") > 0.3).mean() > 0.01
    assert (with_dirt.labels == clean.labels).all()


def test_an_empty_field_has_no_cells():
    bare = Composition(glass=1.0)
    phantom = paint_phantom(Recipe("rankl-dab", bare), 1, shape=(64, 64))
    assert len(phantom.cells) == 0
    assert np.isnan(true_h_score(phantom.cells, "rankl"))
    assert summarize(phantom)["rankl_positive"] == 0
    assert np.isnan(summarize(phantom)["rankl_positive_fraction"])


def test_random_recipes_paint_in_every_panel():
    rng = np.random.default_rng(0)
    for panel in PANELS:
        for _ in range(3):
            recipe = random_recipe(panel, rng)
            phantom = paint_phantom(recipe, int(rng.integers(1 << 30)), shape=(96, 96))
            assert np.isfinite(phantom.planes).all()
            assert len(phantom.cells) == phantom.labels.max()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixel_size_um": 0.01}, "pixel_size_um must lie in 0.1-2, got 0.01"),
        ({"pixel_size_um": float("nan")}, "pixel_size_um must lie"),
        ({"shape": (8, 100)}, "at least 16 x 16"),
        ({"shape": (10_000, 10_000)}, "at most 64 megapixels"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        paint_phantom(Recipe("he"), 0, **options)


def test_an_unknown_panel_is_named():
    with pytest.raises(ValueError, match=r"panel must be one of .*, got 'ki67'"):
        Recipe("ki67")


def test_an_unknown_plane_is_named(duplex):
    with pytest.raises(ValueError, match="name must be one of hematoxylin, dab, red"):
        duplex.plane("eosin")
