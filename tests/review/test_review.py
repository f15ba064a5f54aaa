"""Reviewing known cells: exact numbers, at once on disk, and the same when read again."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from histo.cells import validate_cells
from histo.edits import EDITS, EditLog
from histo.errors import EditError, PanelError, ResultError
from histo.metrics import OD_EDGES, Histogram, SlideAreas
from histo.review import Review

NO_DAB = {"dab": Histogram(OD_EDGES, np.zeros(OD_EDGES.size - 1, np.int64))}


def value(review, name):
    return next(metric.value for metric in review.metrics if metric.name == name)


def same(one, other):
    pd.testing.assert_frame_equal(one.cells, other.cells)
    assert one.metrics == other.metrics
    assert one.areas.to_dict() == other.areas.to_dict()
    assert one.thresholds == other.thresholds
    assert [edit.to_line() for edit in one.edits] == [edit.to_line() for edit in other.edits]
    assert (one.can_undo, one.can_redo) == (other.can_undo, other.can_redo)


@pytest.fixture
def review(grid):
    return Review.open(grid, reader="ann")


def test_what_is_opened_is_what_was_found(review, grid):
    assert (review.name, review.panel.name, review.folder) == ("grid", "foxp3-dab", grid)
    assert review.requests == {"foxp3": 0.12}
    assert review.thresholds["foxp3"].values == (0.12, 0.24, 0.36)
    # OD 0.12 ... 0.38 of 39 cells in 1 mm².
    assert value(review, "cell_count") == 39
    assert value(review, "foxp3_count") == 27
    assert value(review, "foxp3_density_per_mm2") == 27
    assert value(review, "foxp3_h_score") == pytest.approx(100 * (12 + 2 * 12 + 3 * 3) / 39)
    assert not any(metric.name == "edited_cell_count" for metric in review.metrics)
    assert (review.edits, review.can_undo, review.can_redo) == ((), False, False)
    assert review.is_saved
    assert not (grid / EDITS).exists()


def test_thresholds_follow_at_once_and_refuse_what_is_wrong(review, grid):
    review.set_thresholds({"foxp3": (0.2, 0.3, 0.4)})
    assert value(review, "foxp3_count") == 19
    assert review.requests == {"foxp3": [0.2, 0.3, 0.4]}
    assert not review.is_saved
    for request, error in (({"ki67": 0.2}, PanelError), ({"foxp3": (0.3, 0.2, 0.1)}, ValueError)):
        with pytest.raises(error):
            review.set_thresholds(request)
        assert value(review, "foxp3_count") == 19
    review.set_thresholds({})
    assert value(review, "foxp3_count") == 19
    review.set_thresholds({"foxp3": None})
    assert review.requests == {}
    assert review.thresholds["foxp3"].source == "panel"
    review.set_thresholds({"foxp3": np.float32(0.5)})
    assert review.requests == {"foxp3": 0.5}
    assert not (grid / EDITS).exists()


def test_a_manual_call_stands_against_a_changed_threshold(review):
    review.set_call([1, 2], "foxp3", 2)
    review.set_call(np.array([39]), "foxp3", 0)
    assert value(review, "foxp3_count") == 27 + 2 - 1
    assert value(review, "edited_cell_count") == 3
    for cut, by_machine in ((0.05, 33), (0.3, 8), (0.9, 0)):
        review.set_thresholds({"foxp3": cut})
        assert value(review, "foxp3_count") == by_machine + 2
    table = review.cells.set_index("cell_id")
    assert table.loc[[1, 2, 39], "foxp3_grade"].tolist() == [2, 2, 0]
    assert table.loc[1, "flags"] == "foxp3_manual"
    review.set_call([1, 39], "foxp3", None)
    assert value(review, "foxp3_count") == 1
    assert value(review, "edited_cell_count") == 1
    count = next(metric for metric in review.metrics if metric.name == "foxp3_count")
    assert (count.sensitivity_low, count.sensitivity_high) == (1, 1)


def test_deleting_splitting_and_merging_count_exactly(review, draw):
    review.delete([40, 1, 39, 39])
    assert value(review, "cell_count") == 37
    assert value(review, "foxp3_count") == 26
    review.split(30, [draw(34, 54, 0.0), draw(38, 54, 0.5)])
    assert value(review, "cell_count") == 38
    assert value(review, "foxp3_count") == 26
    review.merge([2, 3], draw(5, 20, 0.5))
    assert value(review, "cell_count") == 37
    assert value(review, "foxp3_count") == 27
    review.add([draw(60, 60, 0.2), draw(60, 70, 0.0)])
    assert value(review, "cell_count") == 39
    assert value(review, "foxp3_count") == 28
    assert value(review, "foxp3_percent") == pytest.approx(100 * 28 / 39)
    assert value(review, "edited_cell_count") == 3 + 3 + 3 + 2
    assert review.cells["cell_id"].tolist() == list(range(1, 46))
    validate_cells(review.cells)
    assert [edit.describe() for edit in review.edits] == [
        "delete of 3 cells by ann",
        "split of cell 30 by ann",
        "merge of 2 cells by ann",
        "add of 2 cells by ann",
    ]
    assert [edit.made for edit in review.edits] == [(), (41, 42), (43,), (44, 45)]
    assert review.edits[0].old == {"compartments": ["tissue", "tissue", "excluded"]}
    review.set_call([41], "foxp3", 3)
    review.delete([42])
    assert value(review, "foxp3_count") == 28


def test_an_excluded_region_takes_area_and_cells(review, draw):
    # Columns 1 and 2 of 8, rows 1 to 4 of 5: cells 1, 2, 9, 10, 17, 18, 25, 26.
    ring = [[0, 0], [0, 20], [40, 20], [40, 0]]
    dab = Histogram.of(np.repeat([0.05, 0.5], [200, 50]), OD_EDGES)
    review.exclude(ring, SlideAreas(2.5e5, 2e5, 5e4, {"dab": dab}))
    assert value(review, "cell_count") == 31
    # 0.12 ... 0.38 without 0.16, 0.17, 0.24, 0.25.
    assert value(review, "foxp3_count") == 23
    assert value(review, "foxp3_density_per_mm2") == pytest.approx(1e6 * 23 / 8e5)
    assert value(review, "foxp3_positive_area_percent") == pytest.approx(100 * 50 / 750)
    assert value(review, "edited_cell_count") == 0
    assert review.edits[0].old == {"cells_inside": 8}
    review.add([draw(10, 10)])
    assert value(review, "cell_count") == 31
    with pytest.raises(EditError, match="900,000 µm² of tissue, but only 850,000"):
        review.exclude([[50, 0], [50, 9], [60, 9]], SlideAreas(9e5, 1e5, 0, NO_DAB))
    assert len(review.edits) == 2
    review.undo()
    review.undo()
    assert value(review, "foxp3_density_per_mm2") == 27


def test_undo_and_redo_restore_exactly(review, grid, draw):
    steps = [Review.open(grid)]
    for step in (
        lambda: review.delete([12]),
        lambda: review.set_call([20, 21], "foxp3", 0),
        lambda: review.exclude([[0, 0], [0, 20], [40, 20]], SlideAreas(1e5, 1e5, 0, NO_DAB)),
        lambda: review.merge([30, 31], draw(35, 60)),
        lambda: review.set_call([41], "foxp3", 1),
    ):
        step()
        steps.append(Review.open(grid))
    for before in steps[-2::-1]:
        undone = review.undo()
        assert undone.number == len(before.edits) + 1
        pd.testing.assert_frame_equal(review.cells, before.cells)
        assert review.metrics == before.metrics
        assert review.areas.to_dict() == before.areas.to_dict()
        same(review, Review.open(grid))
    assert review.undo() is None
    for after in steps[1:]:
        redone = review.redo()
        assert redone.number == len(after.edits)
        pd.testing.assert_frame_equal(review.cells, after.cells)
        assert review.metrics == after.metrics
    assert review.redo() is None
    same(review, Review.open(grid))


def test_numbers_of_undone_nuclei_are_never_given_again(review, grid, draw):
    review.add([draw(60, 60)])
    review.undo()
    review.add([draw(60, 70)])
    assert review.edits[-1].made == (42,)
    again = Review.open(grid)
    again.undo()
    again.add([draw(60, 80)])
    assert again.edits[-1].made == (43,)
    assert not again.can_redo


def test_asking_for_what_is_so_already_is_no_edit(review, grid):
    review.delete([])
    review.set_call([3], "foxp3", None)
    assert not (grid / EDITS).exists()
    review.delete([3])
    review.set_call([4], "foxp3", 1)
    review.delete([3])
    review.set_call([4, 3], "foxp3", 1)
    assert len(review.edits) == 2


@pytest.mark.parametrize(
    ("step", "error", "match"),
    [
        (lambda review, draw: review.delete([3, 99]), ValueError, "has no cell 99"),
        (lambda review, draw: review.set_call([3], "foxp3", 4), ValueError, "got 4"),
        (lambda review, draw: review.set_call([3], "ki67", 1), PanelError, "ki67"),
        (lambda review, draw: review.set_call([0], "foxp3", 1), ValueError, "has no cell 0"),
        (lambda review, draw: review.split(3, [draw(5, 5)]), ValueError, "at least 2 parts"),
        (lambda review, draw: review.merge([3, 3], draw(5, 5)), ValueError, "at least 2 cells"),
        (lambda review, draw: review.split(8, [draw(5, 5)] * 2), EditError, "cell 8 is deleted"),
        (lambda review, draw: review.merge([8, 9], draw(5, 5)), EditError, "cell 8 is deleted"),
        (
            lambda review, draw: review.exclude([[0, 0], [1, 1]], SlideAreas(0, 0)),
            ValueError,
            "three finite points",
        ),
        (lambda review, draw: review.outline(99), ValueError, "has no cell 99"),
    ],
)
def test_what_cannot_be_done_changes_nothing(review, grid, draw, step, error, match):
    review.delete([8])
    before = (grid / EDITS).read_bytes()
    cells = review.cells
    with pytest.raises(error, match=match):
        step(review, draw)
    assert (grid / EDITS).read_bytes() == before
    assert review.cells is cells


def test_outlines_are_found_and_drawn_ones_known(review, draw):
    square = np.array([[-3.0, -3], [-3, 3], [3, 3], [3, -3]])
    for cell in (1, 17, 40):
        centre = review.cells.set_index("cell_id").loc[cell, ["y_um", "x_um"]].to_numpy(float)
        np.testing.assert_allclose(review.outline(cell), square + centre, atol=0.05)
    review.add([draw(60, 70)])
    np.testing.assert_array_equal(review.outline(41), np.add(square, [60, 70]))
    (review.folder / "outlines.parquet").unlink()
    fresh = Review.open(review.folder)
    with pytest.raises(ResultError, match=r"outlines\.parquet cannot be read"):
        fresh.outline(1)


def test_every_edit_is_on_disk_with_who_and_when(review, grid):
    review.set_call([7], "foxp3", 3)
    line = json.loads((grid / EDITS).read_text())
    assert (line["number"], line["who"], line["action"], line["cells"]) == (1, "ann", "call", [7])
    assert line["old"] == {"grades": [0]}
    assert line["new"] == {"marker": "foxp3", "grade": 3}
    assert line["time"].endswith("+00:00")
    review.undo()
    assert json.loads((grid / EDITS).read_text().splitlines()[1])["new"] == {"edit": 1}


def test_the_reader_is_named_by_the_environment(grid, monkeypatch):
    monkeypatch.setenv("HISTO_READER", "Dr. Bo")
    assert Review.open(grid).reader == "Dr. Bo"
    assert Review.open(grid, reader="ann").reader == "ann"
    monkeypatch.delenv("HISTO_READER")
    assert Review.open(grid).reader


def test_a_cut_off_line_is_told(review, grid):
    review.delete([3])
    review.delete([4])
    path = grid / EDITS
    path.write_bytes(path.read_bytes()[:-9])
    again = Review.open(grid)
    assert "line 2" in again.note
    assert value(again, "cell_count") == 38
    again.delete([5])
    assert not again.note
    assert value(Review.open(grid), "cell_count") == 37


def test_two_windows_on_one_slide_do_not_overwrite_each_other(review, grid):
    other = Review.open(grid, reader="bob")
    other.delete([3])
    with pytest.raises(EditError, match="another program has edited"):
        review.delete([4])
    assert value(review, "cell_count") == 39
    assert [edit.who for edit in Review.open(grid).edits] == ["bob"]
    other.delete([4])


def test_a_slide_that_was_analysed_anew_meanwhile_is_not_edited(review, grid):
    manifest = json.loads((grid / "manifest.json").read_text())
    manifest["created_utc"] = "2026-02-01T12:00:00+00:00"
    (grid / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EditError, match="analysed anew meanwhile"):
        review.delete([3])
    assert not (grid / EDITS).exists()


def test_edits_of_another_result_are_refused(review, grid):
    review.delete([3])
    text = (grid / EDITS).read_text().replace('"cells": [3]', '"cells": [3000]')
    (grid / EDITS).write_text(text)
    with pytest.raises(EditError, match="Cell 3000"):
        Review.open(grid)


def test_reviewing_loads_no_network(grid):
    code = (
        "import sys\nimport histo.review, histo.edits\n"
        "assert not {'numba', 'pandas', 'torch'} & set(sys.modules)\n"
        "review = histo.review.Review.open(sys.argv[1])\nreview.delete([3])\nreview.outline(4)\n"
        "assert not {'torch', 'openvino', 'napari'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(grid)], check=True, timeout=120)
    assert len(EditLog(grid).in_force) == 1


_KINDS = st.sampled_from(
    ["call", "delete", "add", "split", "merge", "exclude", "undo", "undo", "redo", "thresholds"]
)
_STEPS = st.lists(
    st.tuples(_KINDS, st.integers(1, 45), st.integers(1, 45), st.integers(-1, 3)),
    min_size=1,
    max_size=12,
)


def make_step(review, draw, step):
    """Make a step that may make no sense; then it must say so and change nothing."""
    kind, one, other, grade = step
    if kind == "call":
        review.set_call([one, other], "foxp3", None if grade < 0 else grade)
    elif kind == "delete":
        review.delete([one])
    elif kind == "add":
        review.add([draw(one, other, one / 90)])
    elif kind == "split":
        review.split(one, [draw(other, 3, 0.1), draw(other, 9, 0.4)])
    elif kind == "merge":
        review.merge([one, other], draw(other, one))
    elif kind == "exclude":
        ring = [[one, other], [one + 15, other], [one + 15, other + 15], [one, other + 15]]
        review.exclude(ring, SlideAreas(2e5, 2e5, 0, NO_DAB))
    elif kind == "thresholds":
        review.set_thresholds({"foxp3": one / 100})
    else:
        getattr(review, kind)()


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=_STEPS)
def test_any_edits_replay_from_disk_and_undo_to_the_start(make_grid, draw, steps):
    with tempfile.TemporaryDirectory() as place:
        folder = make_grid(Path(place) / "grid")
        start, review = Review.open(folder), Review.open(folder)
        for step in steps:
            before = review.cells, review.metrics, review.edits
            try:
                make_step(review, draw, step)
            except (EditError, ValueError):
                assert review.cells is before[0]
                assert (review.metrics, review.edits) == before[1:]
        validate_cells(review.cells)
        replayed = Review.open(folder)
        replayed.set_thresholds(review.requests)
        same(review, replayed)
        while review.undo():
            pass
        start.set_thresholds(review.requests)
        pd.testing.assert_frame_equal(review.cells, start.cells)
        assert review.metrics == start.metrics
        assert review.areas.to_dict() == start.areas.to_dict()
