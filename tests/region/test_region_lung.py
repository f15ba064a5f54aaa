"""Foci of painted lungs are found with their area, decoys are refused with a reason."""

from collections import Counter

import cv2
import numpy as np
import pytest

from histo.phantom import LungRecipe, paint_lung, random_lung_recipe
from histo.region import LUNG_CODES, REASONS, FociRules, find_lung
from histo.region.judging import Candidate, Reference, judge
from histo.region.lung import _without_septa

MOST = (320.0, 160.0, 90.0, 62.0)


def seen(phantom, um):
    """The phantom's picture at a coarser pixel size, by area averages."""
    times = round(um / phantom.pixel_size_um)
    height, width = (n // times * times for n in phantom.image.shape[:2])
    whole = np.ascontiguousarray(phantom.image[:height, :width])
    return cv2.resize(whole, (width // times, height // times), interpolation=cv2.INTER_AREA)


def looked_at(phantom, um=3.0, **options):
    return find_lung(seen(phantom, um), phantom.white_point, pixel_size_um=um, **options)


def matched(phantom, section):
    """Found area of each true focus (0: missed), and how many found ones are none."""
    um = section.pixel_size_um
    counted = {focus.focus_id: focus.area_um2 for focus in section.foci}
    found, hit = [], set()
    for truth in phantom.foci.itertuples():
        y, x = (phantom.foci_labels == truth.focus_id).nonzero()
        y, x = (y / um).astype(int), (x / um).astype(int)
        inside = (y < section.labels.shape[0]) & (x < section.labels.shape[1])
        ids = set(np.unique(section.labels[y[inside], x[inside]]).tolist()) & counted.keys()
        found.append(sum(counted[i] for i in ids))
        hit |= ids
    return np.array(found), len(counted.keys() - hit)


@pytest.fixture(scope="module")
def he():
    return paint_lung(LungRecipe((1800, 2100), "he", foci_um=MOST, airways=2, vessels=2), 3)


@pytest.fixture(scope="module")
def section(he):
    return looked_at(he)


def test_every_focus_is_found_with_its_area_and_nothing_else(he, section):
    area, false = matched(he, section)
    truth = he.foci["area_um2"].to_numpy()
    assert len(truth) == len(MOST)
    assert (area > 0).all()
    assert false == 0
    assert area.sum() == pytest.approx(truth.sum(), rel=0.02)
    assert [f.focus_id for f in section.foci] == list(range(1, len(MOST) + 1))
    assert section.lesion_um2 == pytest.approx(section.area_um2("lesion"))


def test_the_lobe_holds_its_air_and_nothing_beside_it(he, section):
    assert section.lobe_um2 == pytest.approx(float(he.lobe.sum()), rel=0.01)
    parts = section.area_um2("parenchyma", "lesion")
    assert section.parenchyma_um2 == parts < 0.5 * section.lobe_um2
    outside = [r for r in section.refused if r.reason == "outside"]
    assert len(outside) == 2
    for refused in outside:
        at = (int(refused.y_um), int(refused.x_um))
        assert he.of("outside")[at]


def test_airways_are_cut_out_with_their_walls(he, section):
    airway = he.of("airway")
    found = section.area_um2("airway", "airway or vessel", "vessel")
    assert found == pytest.approx(float((airway | he.of("vessel")).sum()), rel=0.3)
    assert section.area_um2("airway") == pytest.approx(float(airway.sum()), rel=0.1)
    for tube in section.tubes:
        assert (airway | he.of("vessel"))[int(tube.y_um), int(tube.x_um)]


@pytest.mark.parametrize("with_cells", [False, True])
def test_lymphoid_aggregates_and_blood_are_refused_with_their_reason(he, with_cells):
    section = looked_at(he, cells=he.cells if with_cells else None)
    kinds = he.kinds
    reasons = Counter(r.reason for r in section.refused)
    assert reasons["lymphoid"] == cv2.connectedComponents(he.of("lymphoid").astype(np.uint8))[0] - 1
    assert reasons["lymphoid"] >= 1
    assert reasons["blood"] == 1
    for refused in section.refused:
        assert refused.reason in REASONS
        assert refused.evidence
        if refused.reason == "lymphoid":
            at = kinds[int(refused.y_um), int(refused.x_um)]
            assert at == kinds[he.of("lymphoid")][0]
    assert section.area_um2("refused") > 0


def test_nuclei_in_foci_are_counted(he):
    section = looked_at(he, cells=he.cells)
    # A few nuclei of septa lie on the border.
    truth = he.foci["nuclei"].sum()
    assert sum(f.nuclei for f in section.foci) == pytest.approx(truth, rel=0.06)
    assert section.foci[0].nuclei_per_mm2 == pytest.approx(
        1e6 * section.foci[0].nuclei / section.foci[0].area_um2
    )


def test_artefacts_leave_the_areas_and_refuse_what_lies_in_them(he, section):
    spoilt = np.zeros(seen(he, 3.0).shape[:2], bool)
    largest = section.foci[0]
    y, x = int(largest.y_um / 3), int(largest.x_um / 3)
    spoilt[y - 75 : y + 75, x - 75 : x + 75] = True
    without = looked_at(he, artefacts=spoilt)
    assert len(without.foci) == len(section.foci) - 1
    assert "artefact" in {r.reason for r in without.refused}
    gone = section.lobe_um2 - without.lobe_um2
    assert gone == pytest.approx(float((spoilt & (section.codes > 0)).sum()) * 9)


def test_rules_decide_what_counts_and_the_rest_is_kept(he, section):
    strict = looked_at(he, rules=FociRules(min_diameter_um=100.0))
    assert [f.diameter_um >= 100 for f in strict.foci] == [True, True]
    assert len(strict.small) == 2
    assert sum(r.reason == "small" for r in strict.refused) == 2
    assert strict.lesion_um2 < section.lesion_um2
    by_nuclei = looked_at(he, rules=FociRules(min_diameter_um=1e4), cells=he.cells)
    assert len(by_nuclei.foci) == len(MOST)


def test_a_clean_lung_has_no_focus():
    clean = paint_lung(LungRecipe((1100, 1200), foci_um=(), lymphoid_um=()), 4)
    section = looked_at(clean)
    assert section.foci == ()
    assert section.lesion_um2 == 0.0


def test_fine_pictures_are_averaged_down(he, section):
    fine = find_lung(he.image, he.white_point, pixel_size_um=1.0)
    assert fine.pixel_size_um == 2.0
    assert fine.labels.shape == (he.image.shape[0] // 2, he.image.shape[1] // 2)
    assert fine.lesion_um2 == pytest.approx(section.lesion_um2, rel=0.03)


def test_a_focus_at_the_pictures_edge_is_marked(he, section):
    largest = section.foci[0]
    x = int(largest.x_um / 3)
    half = np.ascontiguousarray(seen(he, 3.0)[:, :x])
    cut = find_lung(half, he.white_point, pixel_size_um=3.0)
    assert [f.touches_edge for f in cut.foci].count(True) == 1
    assert not any(f.touches_edge for f in section.foci)


def test_glass_and_wrong_input():
    glass = np.full((80, 90, 3), 240, np.uint8)
    section = find_lung(glass, (240, 240, 240), pixel_size_um=4.0)
    assert section.foci == section.refused == section.tubes == ()
    assert section.codes.max() == LUNG_CODES.index("outside")
    for wrong in (
        {"rgb": glass.astype(float)},
        {"pixel_size_um": 6.0},
        {"pixel_size_um": 0.0},
        {"artefacts": np.zeros((2, 2), bool)},
    ):
        arguments = {"rgb": glass, "white_point": (240, 240, 240), "pixel_size_um": 4.0} | wrong
        with pytest.raises(ValueError, match=r"must be|must match"):
            find_lung(**arguments)


@pytest.mark.parametrize("um", [2.0, 3.0])
def test_cells_beyond_a_cleft_stay_and_septa_go(um):
    y, x = (np.mgrid[:120, :160] + 0.5) * um
    focus = np.hypot(y - 60 * um, x - 60 * um) < 50
    beyond = np.abs(y - 60 * um + 30) < 3  # parts an arc less than 20 µm thick
    septum = (np.abs(y - 60 * um) < 3) & (x > 60 * um)
    near = np.hypot(y - 60 * um, x - 60 * um) < 75
    kept = _without_septa((focus & ~beyond) | septum, near, um)
    arc = focus & (y < 60 * um - 33)
    assert kept[arc].mean() > 0.5  # its two corners are opened away
    assert (kept & ~focus).sum() < 0.02 * focus.sum()


@pytest.mark.parametrize(
    ("dark", "ratio", "reason"),
    [(1.2, 0.95, "lymphoid"), (0.95, 0.95, None), (1.2, 0.9, None), (0.95, 0.99, None)],
)
def test_the_darker_a_place_the_less_its_colour_must_say(dark, ratio, reason):
    disc = np.hypot(*(np.mgrid[:60, :60] - 29.5)) < 25
    red = np.where(disc, 0.3 * dark, 0).astype(np.float32)
    green = red / np.float32(0.8 * ratio)
    none = np.zeros(disc.shape, bool)
    place = Candidate(disc, red, green, disc.astype(np.float32), none, none, (0.0, 0.0), 3.0)
    assert judge(place, Reference(0.8, 0.3), None)[0] == reason


@pytest.mark.slow
@pytest.mark.parametrize("stain", ["he", "h-dab"])
def test_defaults_hold_over_many_sections(stain):
    found_area = true_area = 0.0
    for seed in range(300, 304):  # the benchmark lung_lesion.py takes many more
        phantom = paint_lung(random_lung_recipe(seed, stain=stain), seed)
        area, false = matched(phantom, looked_at(phantom, 2.0))
        assert (area > 0).all(), f"seed {seed} lacks a focus"
        assert false == 0, f"seed {seed} finds a decoy"
        found_area += area.sum()
        true_area += phantom.foci["area_um2"].sum()
    assert found_area == pytest.approx(true_area, rel=0.02)
