"""Corrections on tables of known cells: exact, from what was found, in any order."""

import numpy as np
import pandas as pd
import pytest

from histo.cells import validate_cells
from histo.edits import (
    Corrections,
    DrawnNucleus,
    Edit,
    correct_areas,
    correct_calls,
    correct_cells,
    inside,
    rows_of,
    without_removed,
)
from histo.errors import EditError
from histo.metrics import OD_EDGES, Histogram, SlideAreas, slide_metrics
from histo.panel import classify_cells, load_panel, resolve_thresholds

PANEL = load_panel("foxp3-dab")
SQUARE = [[0.0, 0], [0, 6], [6, 6], [6, 0]]


@pytest.fixture
def found(make_cells):
    """Ten cells 10 µm apart on a line, DAB OD 0.00 ... 0.45, the last one in a fold."""
    cells = make_cells(10, nucleus_dab_od_mean=np.arange(10) * 0.05)
    cells.loc[9, ["compartment", "flags"]] = ["excluded", "artefact"]
    return cells


@pytest.fixture
def draw(found):
    """Return a function that makes a drawn nucleus at a place, with a DAB OD."""

    def make(x_um, od, **row):
        measures = found.iloc[0].drop(["cell_id", "compartment", "flags"]).to_dict()
        return DrawnNucleus(
            np.add(SQUARE, [0, x_um]), measures | {"x_um": x_um, "nucleus_dab_od_mean": od} | row
        )

    return make


def edit(number, action, cells=(), /, **new):
    return Edit(number, "", "ann", action, tuple(cells), {}, new)


def made(number, action, cells, ids, nuclei):
    return edit(number, action, cells, cells=ids, nuclei=[one.to_json() for one in nuclei])


def numbers(cells, areas, corrections):
    """Return calls and metrics as a run gives them, with manual calls."""
    cuts = resolve_thresholds(cells, PANEL, {"foxp3": 0.12})
    called = correct_calls(classify_cells(cells, PANEL, cuts), corrections)
    validate_cells(called)
    metrics = slide_metrics(called, PANEL, cuts, areas)
    return called, {metric.name: metric for metric in metrics}


def test_no_edit_changes_nothing(found):
    nothing = Corrections.of([])
    assert not nothing
    assert correct_cells(found, nothing) is found
    assert correct_calls(found, nothing) is found
    areas = SlideAreas(1, 1)
    assert correct_areas(areas, nothing) is areas


def test_each_edit_does_what_it_says(found, draw):
    before = found.copy()
    corrections = Corrections.of(
        [
            edit(1, "delete", [2, 10]),
            made(2, "add", [11], [11], [draw(105, 0.3)]),
            made(3, "split", [4], [12, 13], [draw(28, 0.2), draw(32, 0.0)]),
            made(4, "merge", [6, 7], [14], [draw(55, 0.1)]),
            edit(5, "delete", [11]),
        ]
    )
    table = correct_cells(found, corrections)
    pd.testing.assert_frame_equal(found, before)
    assert table["cell_id"].tolist() == list(range(1, 15))
    out = dict(zip(table["cell_id"], table["compartment"] == "excluded", strict=True))
    assert [cell for cell, gone in out.items() if gone] == [2, 4, 6, 7, 10, 11]
    flags = dict(zip(table["cell_id"], table["flags"], strict=True))
    assert {cell: words for cell, words in flags.items() if words} == {
        2: "deleted",
        4: "replaced",
        6: "replaced",
        7: "replaced",
        10: "artefact;deleted",
        11: "drawn;deleted",
        12: "drawn",
        13: "drawn",
        14: "drawn",
    }
    assert table["x_um"].tolist()[10:] == [105, 28, 32, 55]
    assert table["nucleus_dab_od_mean"].dtype == np.float32
    assert dict(table.dtypes) == dict(found.dtypes)
    assert corrections.edited_cells == 9
    same = table.iloc[:10].drop(columns=["compartment", "flags"])
    pd.testing.assert_frame_equal(same, found.drop(columns=["compartment", "flags"]))


def test_calls_in_the_table_are_made_anew(found, draw):
    corrections = Corrections.of([made(1, "add", [11], [11], [draw(105, 0.3)])])
    called, _ = numbers(found, SlideAreas(1e6, 1e6), Corrections())
    from_called = correct_cells(called, corrections)
    plain, _ = numbers(correct_cells(found, corrections), SlideAreas(1e6, 1e6), corrections)
    again, metrics = numbers(from_called, SlideAreas(1e6, 1e6), corrections)
    assert again["foxp3_positive"].tolist() == plain["foxp3_positive"].tolist()
    # OD 0.15 ... 0.40 reach 0.12, and so does the one that was drawn; the tenth lies in a fold.
    assert metrics["foxp3_count"].value == 7
    assert metrics["cell_count"].value == 10


def test_the_order_of_rows_does_not_matter(found):
    shuffled = found.sample(frac=1, random_state=3).reset_index(drop=True)
    corrections = Corrections.of([edit(1, "delete", [9, 3])])
    table = correct_cells(shuffled, corrections)
    assert sorted(table.loc[table["flags"] == "deleted", "cell_id"]) == [3, 9]


def test_an_empty_slide_can_get_cells(make_cells, draw):
    empty = make_cells(0)
    corrections = Corrections.of([made(1, "add", [1], [1], [draw(5, 0.3)])])
    table = correct_cells(empty, corrections)
    assert dict(table.dtypes) == dict(empty.dtypes)
    _, metrics = numbers(table, SlideAreas(1e6, 1e6), corrections)
    assert metrics["foxp3_count"].value == 1


def test_a_region_takes_its_cells_and_its_area_along(found, draw):
    # x from 15 to 45: cells 3, 4, 5 (20, 30, 40 µm), and what is drawn at 42 later.
    histogram = Histogram.of(np.repeat([0.1, 0.5], [600, 400]), OD_EDGES)
    part = Histogram.of(np.repeat([0.1, 0.5], [100, 300]), OD_EDGES)
    areas = SlideAreas(1e6, 8e5, 2e5, {"dab": histogram})
    removed = SlideAreas(3e5, 2e5, 1e5, {"dab": part})
    ring = [[-5.0, 15.0], [-5, 45], [5, 45], [5, 15]]
    corrections = Corrections.of(
        [
            edit(1, "exclude", polygon_um=ring, removed=removed.to_dict()),
            made(2, "add", [11], [11], [draw(42, 0.3)]),
        ]
    )
    table = correct_cells(found, corrections)
    assert table.loc[table["flags"].str.contains("excluded_region"), "cell_id"].tolist() == [
        3,
        4,
        5,
        11,
    ]
    less = correct_areas(areas, corrections)
    assert (less.tissue_um2, less.valid_um2, less.artefact_um2) == (7e5, 6e5, 1e5)
    assert less.histograms["dab"].total == 600
    called, metrics = numbers(table, less, corrections)
    # Nine found cells count, three lie in the region; of 0.15 ... 0.40, the last four are left.
    assert metrics["cell_count"].value == 6
    assert metrics["foxp3_count"].value == 4
    assert metrics["foxp3_density_per_mm2"].value == pytest.approx(1e6 * 4 / 6e5)
    assert metrics["foxp3_positive_area_percent"].value == pytest.approx(100 * 100 / 600)
    assert called.loc[called["cell_id"] == 11, "flags"].tolist() == ["drawn;excluded_region"]
    assert corrections.edited_cells == 1


@pytest.mark.parametrize(
    ("removed", "match"),
    [
        (SlideAreas(2e6, 1e5), "2,000,000 µm² of tissue, but only 1,000,000"),
        (SlideAreas(1e6, 9e5), "valid"),
        (SlideAreas(1e5, 1e5), "not measured in dab"),
        (SlideAreas(1e5, 1e5, 0, {"dab": Histogram(np.arange(3.0), np.array([1, 1]))}), "bins"),
    ],
)
def test_a_region_that_does_not_fit_is_refused(removed, match):
    areas = SlideAreas(1e6, 8e5, 2e5, {"dab": Histogram.of(np.zeros(9), OD_EDGES)})
    with pytest.raises(EditError, match=match):
        without_removed(areas, removed)


def test_a_rounding_is_not_more_than_there_is():
    areas = without_removed(SlideAreas(1e6, 8e5), SlideAreas(1e6 + 1e-4, 8e5 + 1e-4))
    assert (areas.tissue_um2, areas.valid_um2) == (0, 0)


def test_manual_calls_stand_whatever_the_threshold(found):
    calls = {1: 2, 8: 0, 5: 1}
    corrections = Corrections(grades={"foxp3": calls})
    table = correct_cells(found, corrections)
    for cut in (0.05, 0.12, 0.3):
        cuts = resolve_thresholds(table, PANEL, {"foxp3": cut})
        machine = classify_cells(table, PANEL, cuts)
        called = correct_calls(machine, corrections)
        grades = dict(zip(called["cell_id"], called["foxp3_grade"], strict=True))
        assert {cell: int(grades[cell]) for cell in calls} == calls
        rest = ~called["cell_id"].isin(list(calls))
        assert called.loc[rest, "foxp3_grade"].tolist() == machine.loc[rest, "foxp3_grade"].tolist()
        assert (called["foxp3_positive"] == (called["foxp3_grade"] > 0)).all()
        marked = called["flags"].str.split(";").map(lambda words: "foxp3_manual" in words)
        assert sorted(called.loc[marked, "cell_id"]) == [1, 5, 8]
        validate_cells(called)


def test_sensitivity_moves_only_what_thresholds_decide(make_cells):
    # At 0.20: OD 0.10 is never reached, 0.19 from 0.95 down, 0.22 up to 1.1, 0.50 always.
    cells = make_cells(4, nucleus_dab_od_mean=np.array([0.1, 0.19, 0.22, 0.5]))
    cuts = resolve_thresholds(cells, PANEL, {"foxp3": (0.2, 1.0, 2.0)})

    def ranges(grades):
        called = correct_calls(classify_cells(cells, PANEL, cuts), Corrections(grades=grades))
        metrics = slide_metrics(called, PANEL, cuts, SlideAreas(1e6, 1e6))
        by_name = {metric.name: metric for metric in metrics}
        count, score = by_name["foxp3_count"], by_name["foxp3_h_score"]
        return (
            (count.sensitivity_low, count.value, count.sensitivity_high),
            (score.sensitivity_low, score.value, score.sensitivity_high),
        )

    assert ranges({}) == ((1, 2, 3), (25, 50, 75))
    assert ranges({"foxp3": {2: 0}}) == ((1, 2, 2), (25, 50, 50))
    assert ranges({"foxp3": {2: 0, 3: 3}}) == ((2, 2, 2), (100, 100, 100))
    assert ranges({"foxp3": {1: 3}}) == ((2, 3, 4), (100, 125, 150))


def test_a_rejected_cell_that_a_reader_calls_is_rejected_no_more(make_cells):
    cells = make_cells(3, nucleus_dab_od_mean=np.full(3, 0.5), nucleus_diameter_um=np.full(3, 20.0))
    corrections = Corrections(grades={"foxp3": {2: 3}})
    called, metrics = numbers(cells, SlideAreas(1e6, 1e6), corrections)
    assert metrics["foxp3_rejected_count"].value == 2
    assert metrics["foxp3_rejected_count"].sensitivity_high == 2
    assert metrics["foxp3_count"].value == 1
    assert metrics["foxp3_count"].sensitivity_low == 1
    assert "foxp3_rejected" in called.loc[0, "flags"].split(";")
    assert "foxp3_rejected" not in called.loc[1, "flags"].split(";")


def test_pairs_of_markers_take_manual_calls_as_fixed(make_cells):
    panel = load_panel("foxp3-dab+rankl-red")
    cells = make_cells(
        4,
        stains=("hematoxylin", "dab", "red"),
        nucleus_dab_od_mean=np.array([0.0, 0.5, 0.5, 0.0]),
        cytoplasm_red_od_mean=np.array([0.0, 0.5, 0.0, 0.13]),
    )
    cuts = resolve_thresholds(cells, panel, {"foxp3": 0.2, "rankl": 0.12})
    machine = classify_cells(cells, panel, cuts)
    by_hand = correct_calls(machine, Corrections(grades={"foxp3": {4: 1}, "rankl": {3: 2}}))
    assert by_hand.loc[2, "flags"].split(";").count("rankl_manual") == 1
    metrics = {m.name: m for m in slide_metrics(by_hand, panel, cuts, SlideAreas(1e6, 1e6))}
    both = metrics["foxp3_and_rankl_count"]
    # Cells 2 and 3 always; cell 4 while 0.13 reaches the cut-off of 0.12 x 0.8 ... 1.05.
    assert (both.sensitivity_low, both.value, both.sensitivity_high) == (2, 3, 3)


def test_the_last_call_of_a_cell_holds_and_none_takes_it_back():
    edits = [
        edit(1, "call", [1, 2], marker="foxp3", grade=1),
        edit(2, "call", [2, 3], marker="foxp3", grade=0),
        edit(3, "call", [1], marker="foxp3", grade=None),
    ]
    assert Corrections.of(edits).grades == {"foxp3": {2: 0, 3: 0}}
    assert Corrections.of(edits).edited_cells == 2
    assert not Corrections.of([*edits, edit(4, "call", [2, 3], marker="foxp3", grade=None)])


def test_classifying_anew_forgets_manual_calls(found):
    called, _ = numbers(found, SlideAreas(1, 1), Corrections(grades={"foxp3": {1: 2}}))
    cuts = resolve_thresholds(called, PANEL, {"foxp3": 0.12})
    again = classify_cells(called, PANEL, cuts)
    pd.testing.assert_frame_equal(again, classify_cells(found, PANEL, cuts))


@pytest.mark.parametrize(
    ("corrections", "match"),
    [
        (Corrections(deleted=np.array([99])), "Cell 99 was edited, but is not"),
        (Corrections(replaced=np.array([0])), "Cell 0 was edited"),
    ],
)
def test_edits_of_another_result_are_refused(found, corrections, match):
    with pytest.raises(EditError, match=match):
        correct_cells(found, corrections)


def test_calls_of_another_result_are_refused(found):
    called, _ = numbers(found, SlideAreas(1, 1), Corrections())
    with pytest.raises(EditError, match="Cell 77"):
        correct_calls(called, Corrections(grades={"foxp3": {77: 1}}))
    with pytest.raises(EditError, match="no such marker"):
        correct_calls(called, Corrections(grades={"ki67": {1: 1}}))


def test_a_nucleus_that_was_not_measured_is_refused(found, draw):
    bare = DrawnNucleus(SQUARE, {"y_um": 1.0, "x_um": 1.0, "nucleus_area_um2": 30.0})
    with pytest.raises(EditError, match=r"not measured \(cell_area_um2"):
        correct_cells(found, Corrections(drawn={11: bare}))


def test_a_damaged_edit_is_named(draw):
    bad = edit(6, "add", [11], cells=[11], nuclei=[{"outline_um": SQUARE}])
    with pytest.raises(EditError, match=r"Edit 6 \(add of cell 11 by ann\) cannot be read"):
        Corrections.of([bad])


def test_points_in_a_polygon_with_a_bay():
    ring = np.array([[0.0, 0], [0, 10], [10, 10], [10, 6], [4, 6], [4, 4], [10, 4], [10, 0]])
    points = np.array([[5.0, 2], [5, 5], [5, 8], [2, 5], [-1, 5], [11, 2]])
    assert inside(ring, points).tolist() == [True, False, True, True, False, False]


def test_rows_of_nothing():
    assert rows_of(np.array([1, 2]), []).size == 0
    with pytest.raises(EditError, match="Cell 1"):
        rows_of(np.zeros(0, np.int64), [1])
