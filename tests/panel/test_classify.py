import numpy as np
import pandas as pd
import pytest

from histo.cells import validate_cells
from histo.errors import ResultError
from histo.panel import (
    Thresholds,
    accepts_call,
    classify_cells,
    load_panel,
    resolve_thresholds,
)

FOXP3, AROUND = "nucleus_dab_od_mean", "cytoplasm_dab_od_mean"
CUTS = {"foxp3": Thresholds((0.2, 0.4, 0.6), "user"), "rankl": Thresholds((0.2, 0.4, 0.6), "user")}


def test_grades_begin_at_their_thresholds(make_cells):
    od = [0.0, 0.19, 0.2, 0.39, 0.4, 0.6, 2.0, -0.3]
    called = classify_cells(make_cells(8, **{FOXP3: od}), load_panel("foxp3-dab"), CUTS)
    assert called["foxp3_grade"].tolist() == [0, 0, 1, 1, 2, 3, 3, 0]
    assert called["foxp3_positive"].tolist() == [g > 0 for g in called["foxp3_grade"]]
    validate_cells(called)


@pytest.mark.parametrize(
    ("column", "value", "word", "is_called"),
    [
        ("nucleus_diameter_um", 4.9, "small_nucleus", False),
        ("nucleus_diameter_um", 5.0, "", True),
        ("nucleus_diameter_um", 10.5, "large_nucleus", True),
        ("nucleus_diameter_um", 12.0, "large_nucleus", True),
        ("nucleus_diameter_um", 12.1, "large_nucleus;oversized_nucleus", False),
        ("nucleus_area_um2", 81, "large_nucleus", True),
        ("nucleus_eccentricity", 0.96, "elongated", False),
        (AROUND, 0.51, "foxp3_cytoplasmic_signal", True),
        ("nucleus_residual_od_mean", 0.2, "pigment", True),
        ("nucleus_residual_od_mean", -0.2, "pigment", True),
        ("contact_fraction", 0.9, "", True),
        (FOXP3, 0.21, "foxp3_weak_call", True),
        (FOXP3, 0.19, "foxp3_weak_call", False),
        (FOXP3, np.nan, "foxp3_not_measured", False),
    ],
)
def test_flags_of_a_nuclear_marker(make_cells, column, value, word, is_called):
    cells = make_cells(1, **({FOXP3: [0.5]} | {column: [value]}))
    called = classify_cells(cells, load_panel("foxp3-dab"), CUTS).iloc[0]
    words = [w for w in called["flags"].split(";") if w != "foxp3_rejected"]
    assert ";".join(words) == word
    assert called["foxp3_positive"] == is_called
    assert (called["foxp3_grade"] > 0) == is_called
    rejected = not is_called and column != FOXP3
    assert ("foxp3_rejected" in called["flags"]) == rejected


def test_a_negative_cell_of_any_size_is_not_flagged(make_cells):
    cells = make_cells(
        1, **{FOXP3: [0.05], "nucleus_diameter_um": [20], "nucleus_eccentricity": [0.99]}
    )
    assert classify_cells(cells, load_panel("foxp3-dab"), CUTS)["flags"].tolist() == [""]


def test_contact_is_for_signals_around_the_nucleus(make_cells):
    cells = make_cells(2, **{AROUND: [0.5, 0.05], "contact_fraction": [0.6, 0.6]})
    called = classify_cells(cells, load_panel("rankl-dab"), CUTS)
    assert called["flags"].tolist() == ["contact", ""]
    assert called["rankl_positive"].tolist() == [True, False]


def test_the_panel_says_what_removes_a_call(make_cells):
    panel = load_panel("rankl-dab")
    marker = panel.marker("rankl").model_copy(update={"rejects": ("contact",)})
    strict = panel.model_copy(update={"markers": (marker,)})
    cells = make_cells(2, **{AROUND: [0.5, 0.5], "contact_fraction": [0.6, 0.4]})
    assert classify_cells(cells, strict, CUTS)["rankl_positive"].tolist() == [False, True]
    assert accepts_call(cells, strict, marker).tolist() == [False, True]


def random_cells(make_cells, count=500):
    rng = np.random.default_rng(0)
    columns = {
        name: rng.uniform(0, 0.7, count)
        for name in (FOXP3, AROUND, "cytoplasm_red_od_mean", "contact_fraction")
    }
    columns["nucleus_diameter_um"] = rng.uniform(3, 14, count)
    columns["nucleus_eccentricity"] = rng.uniform(0.3, 1, count)
    columns["flags"] = np.where(rng.random(count) < 0.3, "edge;reviewed", "")
    return make_cells(count, stains=("hematoxylin", "dab", "red"), **columns)


def test_calls_recomputed_equal_calls_of_a_fresh_run(make_cells):
    panel, cells = load_panel("foxp3-dab+rankl-red"), random_cells(make_cells)
    low = classify_cells(cells, panel, resolve_thresholds(cells, panel))
    again = classify_cells(low, panel, CUTS)
    fresh = classify_cells(cells, panel, CUTS)
    assert not low.equals(fresh)
    pd.testing.assert_frame_equal(again, fresh)
    validate_cells(again)


def test_words_of_others_stay(make_cells):
    panel, cells = load_panel("foxp3-dab+rankl-red"), random_cells(make_cells)
    called = classify_cells(cells, panel, CUTS)
    assert (called["flags"].str.startswith("edge;reviewed") == (cells["flags"] != "")).all()
    assert not called["flags"].str.contains(";;").any()
    assert not called["flags"].str.endswith(";").any()


def test_the_input_stays(make_cells):
    cells = random_cells(make_cells)
    before = cells.copy()
    classify_cells(cells, load_panel("foxp3-dab+rankl-red"), CUTS)
    pd.testing.assert_frame_equal(cells, before)


def test_no_cells_and_no_markers(make_cells):
    for name in ("foxp3-dab", "rankl-dab", "he"):
        called = classify_cells(make_cells(0), load_panel(name), CUTS)
        validate_cells(called)
        assert len(called) == 0
    assert classify_cells(make_cells(3), load_panel("he"), {})["flags"].tolist() == ["", "", ""]


def test_what_is_missing_is_named(make_cells):
    panel = load_panel("foxp3-dab")
    with pytest.raises(ValueError, match="no entry for foxp3"):
        classify_cells(make_cells(2), panel, {})
    with pytest.raises(ResultError, match="no column nucleus_dab_od_mean"):
        classify_cells(make_cells(2, stains=("hematoxylin",)), panel, CUTS)
