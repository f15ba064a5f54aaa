"""A blind recount in a real window: what is hidden, what a click does, what comes out."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))
pytest.importorskip("napari", reason="napari comes with the extra [napari]")

pytestmark = [
    pytest.mark.gui,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """The painted sample and its result, side by side."""
    from histo.pipeline import Settings, analyze_slide

    out = tmp_path_factory.mktemp("analysed")
    slide = out / "section 3.tif"
    shutil.copy(ROOT / "sample_images" / "foxp3-dab_infiltrate.tif", slide)
    analyze_slide(slide, Settings("foxp3-dab"), folder=out / "section 3")
    return out


@pytest.fixture
def widget(viewer, analysed, tmp_path, qtbot):
    from napari_histo.recount import RecountWidget
    from napari_histo.review import ReviewWidget

    folder = tmp_path / "section 3"
    shutil.copytree(analysed / "section 3", folder)
    viewer.open(analysed / "section 3.tif", plugin="napari-histo")
    viewer.window.add_dock_widget(ReviewWidget(viewer), name="Review", area="right")
    made = RecountWidget(viewer)
    viewer.window.add_dock_widget(made, name="Recount", area="right")
    made.session.open_result(folder)
    made.side.setValue(100)
    made.fields.setValue(6)
    return made


def positions(widget):
    """Return the software's positive cells, float64 (N, 2)."""
    cells = widget.session.review.cells
    kept = cells["foxp3_positive"].to_numpy(bool) & (cells["compartment"] != "excluded").to_numpy()
    return cells.loc[kept, ["y_um", "x_um"]].to_numpy()


def press(viewer, y_um, x_um, *, moved=0.0, modifiers=()):
    """Click on a place of the slide by napari's own mouse events."""
    from napari.utils.interactions import (
        mouse_move_callbacks,
        mouse_press_callbacks,
        mouse_release_callbacks,
    )

    class Event:
        button, handled, dims_displayed = 1, False, [0, 1]
        view_direction, up_direction = None, None
        is_dragging = False

    event = Event()
    event.modifiers, event.position, event.pos = modifiers, (y_um, x_um), np.array([0.0, 0.0])
    event.type = "mouse_press"
    mouse_press_callbacks(viewer, event)
    if moved:
        event.type, event.is_dragging, event.pos = "mouse_move", True, np.array([moved, 0.0])
        mouse_move_callbacks(viewer, event)
    event.type = "mouse_release"
    mouse_release_callbacks(viewer, event)


def test_nothing_of_the_software_is_seen_while_counting(widget, viewer):
    from qtpy.QtWidgets import QDockWidget

    before = {layer.name: layer.visible for layer in viewer.layers}
    review_dock = viewer.window.dock_widgets["Review"].parent()
    assert isinstance(review_dock, QDockWidget)
    assert review_dock.isVisible()
    widget.begin_button.click()
    seen = [layer.name for layer in viewer.layers if layer.visible]
    assert seen == ["section 3", "field", "marked cells"]
    assert not review_dock.isVisible()
    # What is made visible meanwhile is hidden again with the next field.
    result = next(layer for layer in viewer.layers if "result" in layer.metadata.get("histo", {}))
    result.visible = True
    widget.next.click()
    assert not result.visible
    # A click selects no cell.
    y, x = positions(widget)[0]
    press(viewer, y, x)
    assert widget.session.selected is None
    widget.interrupt.click()
    assert {layer.name: layer.visible for layer in viewer.layers} == before
    assert review_dock.isVisible()


def test_a_click_marks_and_a_click_on_a_mark_takes_it_away(widget, viewer):
    widget.begin_button.click()
    field = widget.recount.plan.fields[0]
    y, x = field.centre_um
    press(viewer, y, x)
    press(viewer, y + 15, x - 10)
    np.testing.assert_allclose(widget._layers.marks.data, [[y, x], [y + 15, x - 10]])
    assert widget.marked.text() == "Marked in this field: <b>2 positive</b>"
    press(viewer, y + 1, x + 1)
    np.testing.assert_allclose(widget._layers.marks.data, [[y + 15, x - 10]])
    press(viewer, y, x, moved=30)
    press(viewer, field.y_um - 5, x)
    assert len(widget._layers.marks.data) == 1, "a drag and a place outside mark nothing"
    stored = json.loads(widget.recount.path.read_text())["fields"][0]
    assert stored["clicks_um"] == [[y + 15, x - 10]]
    assert not stored["done"]
    widget.undo.click()
    assert len(widget._layers.marks.data) == 0
    widget.interrupt.click()


def test_shift_marks_a_negative_cell(widget, viewer):
    widget.both.setChecked(True)
    widget.begin_button.click()
    y, x = widget.recount.plan.fields[0].centre_um
    press(viewer, y, x)
    press(viewer, y + 20, x, modifiers=("Shift",))
    assert widget._layers.positive.tolist() == [True, False]
    assert widget.marked.text() == "Marked in this field: <b>1 positive, 1 negative</b>"
    widget.interrupt.click()


def test_the_field_fills_the_view(widget, viewer, qapp):
    widget.begin_button.click()
    qapp.processEvents()
    field = widget.recount.plan.fields[0]
    y0, x0, y1, x1 = widget.session.view_um()
    assert y0 <= field.y_um
    assert x0 <= field.x_um
    assert y1 >= field.y_um + 100
    assert x1 >= field.x_um + 100
    assert min(y1 - y0, x1 - x0) < 130
    widget.interrupt.click()


def test_a_reader_who_sees_what_the_software_sees_agrees(widget, viewer):
    truth = positions(widget)
    widget.begin_button.click()
    number = len(widget.recount.plan.fields)
    assert number == 6
    for index in range(number):
        assert widget.progress.text().startswith(f"<b>Field {index + 1} of 6</b>")
        field = widget.recount.plan.fields[index]
        for y, x in truth[field.contains(truth)]:
            press(viewer, y + 0.5, x)
        if index == 2:  # goes away, and comes back another day
            widget.interrupt.click()
            assert "2 of 6 fields" in widget.former.currentText()
            assert widget.continue_button.text() == "Continue"
            widget.continue_button.click()
            assert widget.index == 2
            assert len(widget._layers.marks.data) == field.contains(truth).sum()
        widget.next.click()
    assert widget.pages.currentIndex() == 2
    for name in ("icc_2_1", "count_ccc", "cell_kappa", "positive_f1_4um"):
        assert widget.agreement.figure(name).value == pytest.approx(1), name
    titles = [widget.table.item(row, 0).text() for row in range(widget.table.rowCount())]
    assert widget.table.item(titles.index("ICC(2,1)"), 1).text() == "1.00"
    assert "excellent agreement" in widget.words.text()
    assert not widget.picture.pixmap().isNull()
    folder = widget.session.review.folder
    stem = widget.recount.path.stem
    table = pd.read_csv(folder / f"{stem}-fields.csv")
    assert table["reader"].equals(table["software"])
    assert table["reader"].sum() == sum(
        one.contains(truth).sum() for one in widget.recount.plan.fields
    )
    content = json.loads((folder / f"{stem}-agreement.json").read_text(encoding="utf-8"))
    assert content["panel"] == "foxp3-dab"
    assert len(content["thresholds"]) == 3
    assert (folder / f"{stem}-agreement.png").is_file()
    widget.close_button.click()
    assert widget.continue_button.text() == "Results"
    if folder_of_pictures := os.environ.get("HISTO_SCREENSHOTS"):
        widget.continue_button.click()
        viewer.screenshot(f"{folder_of_pictures}/recount_result.png", canvas_only=False)


def test_keys_go_on_and_back(widget, viewer, qtbot):
    widget.begin_button.click()
    keys = {str(key): function for key, function in viewer.keymap.items()}
    assert {"N", "B"} <= set(keys)
    viewer.keymap[next(key for key in viewer.keymap if str(key) == "N")](viewer)
    assert widget.index == 1
    viewer.keymap[next(key for key in viewer.keymap if str(key) == "B")](viewer)
    assert widget.index == 0
    assert widget.recount.done == [True, *[False] * 5]
    widget.interrupt.click()
    assert not {"N", "B"} & {str(key) for key in viewer.keymap}


def test_a_result_that_is_closed_ends_the_counting(widget, viewer):
    widget.begin_button.click()
    widget.session.close_result()
    assert widget.pages.currentIndex() == 0
    assert not widget.begin_button.isEnabled()
    assert "field" not in [layer.name for layer in viewer.layers]
    assert widget.result.text().startswith("none")


def test_too_large_fields_are_said(widget):
    widget.side.setValue(600)
    widget.begin_button.click()
    assert "Fewer than two fields of 600 µm" in widget.message.text()
    assert widget.pages.currentIndex() == 0
