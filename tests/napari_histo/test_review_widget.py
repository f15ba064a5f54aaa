"""Reviewing in a real window: cut-offs by the mouse, edits by keys, and what stays on disk."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "plugins"))

pytestmark = [
    pytest.mark.gui,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(autouse=True)
def _own_settings(tmp_path):
    """Leave the settings of whoever runs the tests alone."""
    from qtpy.QtCore import QSettings

    former = QSettings.defaultFormat()
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    for scope in (QSettings.Scope.UserScope, QSettings.Scope.SystemScope):
        QSettings.setPath(QSettings.Format.IniFormat, scope, str(tmp_path / "settings"))
    QSettings.setPath(QSettings.Format.NativeFormat, QSettings.Scope.UserScope, str(tmp_path / "n"))
    yield
    QSettings.setDefaultFormat(former)


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1400, 900)
    return viewer


@pytest.fixture
def review(viewer, analysed, qtbot):
    """The widget beside the slide, with its result open."""
    from napari_histo.review import ReviewWidget

    widget = ReviewWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Review cells", area="right")
    widget._session.open_result(analysed[1])
    qtbot.waitUntil(lambda: widget.gallery.pending == 0 and len(widget.gallery.tiles) > 0)
    yield widget
    widget._release()


def choose(box, data):
    row = box.findData(data)
    box.setCurrentIndex(row)
    box.activated.emit(row)


def by_number(review, qtbot):
    """Leave the model's calls: cut-offs are optical densities then."""
    choose(review.cutoffs.source_box, "user")
    qtbot.waitUntil(lambda: review.cutoffs.thresholds.source == "user")


def drag(histogram, qtbot, line, value):
    from qtpy.QtCore import QPoint, Qt

    y = histogram.height() // 2
    start = QPoint(round(histogram.x_of(histogram.lines[line])), y)
    end = QPoint(round(histogram.x_of(value)), y)
    qtbot.mousePress(histogram, Qt.MouseButton.LeftButton, pos=start)
    for step in np.linspace(0, 1, 9)[1:]:
        qtbot.mouseMove(histogram, start + (end - start) * float(step))
    qtbot.mouseRelease(histogram, Qt.MouseButton.LeftButton, pos=end)


def press(viewer, key):
    """Press a key in the slide."""
    from qtpy.QtTest import QTest

    native = viewer.window._qt_viewer.canvas.native
    QTest.keyClick(native, key)


def metric(review, name):
    return next(one.value for one in review._session.review.metrics if one.name == name)


def test_the_histogram_shows_what_decides(review, qtbot):
    session, cutoffs = review._session, review.cutoffs
    valid = (session.review.cells["compartment"] != "excluded").sum()
    assert cutoffs.histogram.counts.sum() == valid
    assert cutoffs.histogram.lines == (0.25,), "the model's probability"
    by_number(review, qtbot)
    assert cutoffs.histogram.lines == session.review.thresholds["foxp3"].values
    assert cutoffs.deciding.column == "nucleus_dab_od_mean"


def test_numbers_follow_a_dragged_line(review, qtbot):
    by_number(review, qtbot)
    cutoffs = review.cutoffs
    before = metric(review, "foxp3_count")
    drag(cutoffs.histogram, qtbot, 0, 0.5)
    first = review._session.review.thresholds["foxp3"].values[0]
    assert first == pytest.approx(0.5, abs=0.02)
    cells = review._session.review.cells
    assert metric(review, "foxp3_count") == cells["foxp3_positive"].sum() < before
    strong = cells.loc[cells["foxp3_positive"], "nucleus_dab_od_mean"]
    assert strong.min() >= np.float32(first)
    # 2+ and 3+ keep the panel's ratios; boxes and words say the same.
    assert np.allclose(review._session.review.thresholds["foxp3"].values, first * np.arange(1, 4))
    assert [round(spin.value(), 3) for spin in cutoffs.spins] == [
        round(first * factor, 3) for factor in (1, 2, 3)
    ]
    assert f"{int(metric(review, 'foxp3_count'))} cells" in cutoffs.summary.text()
    assert "not saved" in review.title.text()


def test_one_line_alone_gives_way_to_no_other(review, qtbot):
    by_number(review, qtbot)
    cutoffs = review.cutoffs
    cutoffs.follow_box.setChecked(False)
    cutoffs.spins[0].setValue(0.4)
    qtbot.waitUntil(lambda: review._session.review.thresholds["foxp3"].values[0] == 0.4)
    first, second, third = review._session.review.thresholds["foxp3"].values
    assert first < second < third
    cutoffs.spins[2].setValue(0.2)
    qtbot.waitUntil(lambda: review._session.review.thresholds["foxp3"].values[2] == 0.2)
    first, second, third = review._session.review.thresholds["foxp3"].values
    assert first < second < third == 0.2


def test_choices_by_name(review, qtbot):
    for source in ("panel", "auto", "learned"):
        choose(review.cutoffs.source_box, source)
        qtbot.waitUntil(lambda s=source: review._session.review.requests.get("foxp3") == s)
        shown = review._session.review.thresholds["foxp3"].source
        assert review.cutoffs.source_box.currentData() == shown


def test_many_moves_are_one_recount(review, qtbot):
    by_number(review, qtbot)
    told = []
    review._session.calls_changed.connect(lambda: told.append(1))
    for value in np.linspace(0.2, 0.6, 60):
        review.cutoffs.spins[0].setValue(float(value))
    qtbot.waitUntil(
        lambda: review._session.review.thresholds["foxp3"].values[0] == pytest.approx(0.6)
    )
    assert len(told) < 6


def test_the_gallery_lies_on_both_sides_of_the_threshold(review, qtbot):
    by_number(review, qtbot)
    review.cutoffs.spins[0].setValue(0.2)
    qtbot.waitUntil(lambda: review.cutoffs.first == 0.2)
    review._show_gallery()
    table = review._session.review.cells.set_index("cell_id")["nucleus_dab_od_mean"]
    values = [table[tile.cell_id] for tile in review.gallery.tiles]
    assert len(values) == 48
    assert values == sorted(values)
    assert sum(value < 0.2 for value in values) == 24
    qtbot.waitUntil(lambda: review.gallery.pending == 0)


def test_a_click_in_the_gallery_flies_to_the_cell(review, qtbot):
    from qtpy.QtCore import Qt

    tile = review.gallery.tiles[3]
    qtbot.mouseClick(
        review.gallery, Qt.MouseButton.LeftButton, pos=review.gallery.place_of(3).center()
    )
    session = review._session
    assert session.selected == tile.cell_id
    row = session.review.cells.set_index("cell_id").loc[tile.cell_id]
    y0, x0, y1, x1 = session.view_um()
    assert ((y0 + y1) / 2, (x0 + x1) / 2) == pytest.approx((row["y_um"], row["x_um"]))
    assert f"Cell {tile.cell_id:,}" in review.cells.words.text()


def test_pictures_show_the_slide_around_their_cell(review):
    cell = review.gallery.tiles[0].cell_id
    picture, outline = review._picture(cell)
    assert picture.shape == (48, 48, 3)
    assert picture.std() > 5
    centre = outline.mean(axis=0)
    assert np.abs(centre - 0.5).max() < 0.1, "the outline lies around the middle"


def test_without_the_slide_the_gallery_says_so(viewer, analysed, qtbot):
    from napari_histo.review import ReviewWidget

    slide, folder = analysed
    slide.unlink()
    widget = ReviewWidget(viewer)
    qtbot.addWidget(widget)
    widget._session.open_result(folder)
    assert "Open the slide too" in widget.gallery._note
    widget.cells.corrections.begin("add")
    assert widget.cells.corrections.mode == ""
    assert "Open the slide too" in widget.message.text()


def test_keys_in_the_slide_edit_and_undo(review, viewer):
    from qtpy.QtCore import Qt

    session = review._session
    press(viewer, Qt.Key.Key_N)
    cell = session.selected
    assert cell is not None

    def call():
        table = session.review.cells.set_index("cell_id")
        return bool(table.at[cell, "foxp3_positive"])

    before = call()
    press(viewer, Qt.Key.Key_F)
    assert call() is not before
    press(viewer, Qt.Key.Key_U)
    assert call() is before
    press(viewer, Qt.Key.Key_R)
    assert call() is not before
    count = metric(review, "cell_count")
    press(viewer, Qt.Key.Key_D)
    assert metric(review, "cell_count") == count - 1
    assert session.selected is None
    press(viewer, Qt.Key.Key_U)
    assert metric(review, "cell_count") == count
    # The keys hold when a layer of the result is active, too.
    for layer in session.result_layers:
        viewer.layers.selection.active = layer
        session.select(None)
        press(viewer, Qt.Key.Key_N)
        assert session.selected == cell, layer
        press(viewer, Qt.Key.Key_B)


def test_keys_in_the_widget_do_not_take_the_name(review, qtbot):
    from qtpy.QtCore import Qt

    review.tabs.setCurrentIndex(1)
    review.edits.name.setFocus()
    review.edits.name.clear()
    qtbot.keyClicks(review.edits.name, "dr fun")
    qtbot.keyClick(review.edits.name, Qt.Key.Key_Return)
    assert review._session.review.reader == "dr fun"
    assert review._session.selected is None


def test_an_edit_is_saved_and_there_again(review, viewer, analysed, qtbot):
    from qtpy.QtCore import Qt

    _, folder = analysed
    table = folder.parent / "metrics.csv"
    table.write_text("slide\n", encoding="utf-8")  # of former numbers
    session = review._session
    review.edits.name.setText("Dr. Vogel")
    review.edits.name.editingFinished.emit()
    qtbot.mouseClick(review.cells.buttons["Next"], Qt.MouseButton.LeftButton)
    cell = session.selected
    before = bool(session.review.cells.set_index("cell_id").at[cell, "foxp3_positive"])
    qtbot.mouseClick(review.cells.buttons["Flip"], Qt.MouseButton.LeftButton)
    (line,) = (folder / "edits.jsonl").read_text(encoding="utf-8").splitlines()
    edit = json.loads(line)
    assert (edit["action"], edit["cells"], edit["who"]) == ("call", [cell], "Dr. Vogel")
    assert "Dr. Vogel" in review.edits.list.item(0).text()
    assert session.unsaved
    qtbot.mouseClick(review.save_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not session.unsaved, timeout=120_000)
    assert session.selected == cell
    count = metric(review, "foxp3_count")
    session.close_result()
    stored = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["metrics"]
    assert next(one["value"] for one in stored if one["name"] == "foxp3_count") == count
    assert pd.read_csv(table, encoding="utf-8-sig")["foxp3_count"].tolist() == [count]
    session.open_result(folder)
    assert bool(session.review.cells.set_index("cell_id").at[cell, "foxp3_positive"]) is not before


def test_a_region_is_excluded_and_a_cell_added_split_and_merged(review, viewer, analysed, qtbot):
    """All that needs the child process, in one: it loads the model once."""
    session, corrections = review._session, review.cells.corrections
    cells = session.review.cells
    inner = cells[cells["x_um"].between(60, 260) & cells["y_um"].between(60, 260)]
    largest = inner.sort_values("nucleus_area_um2").iloc[-1]
    cell = int(largest["cell_id"])
    total = metric(review, "cell_count")

    def settled(number):
        qtbot.waitUntil(
            lambda: len(session.review.edits) == number and not corrections.job.busy,
            timeout=180_000,
        )

    # A nucleus is deleted, and comes back by a click.
    session.select(cell)
    corrections.delete()
    corrections.begin("add")
    assert "Click where a nucleus is missing" in review.cells.invitation.text()
    session.takes_click(float(largest["y_um"]), float(largest["x_um"]))
    settled(2)
    corrections.stop()
    assert metric(review, "cell_count") == total
    new = session.selected
    assert new > cells["cell_id"].max()
    assert session.cell_at(float(largest["y_um"]), float(largest["x_um"])) == new
    row = session.review.cells.set_index("cell_id").loc[new]
    assert row["nucleus_area_um2"] == pytest.approx(largest["nucleus_area_um2"], rel=0.05)

    # It is split in two, by clicks left and right of its middle.
    outline = session.review.outline(new)
    middle = outline.mean(axis=0)
    offset = (outline[np.argmax(np.linalg.norm(outline - middle, axis=1))] - middle) * 0.5
    corrections.begin("split")
    for place in (middle + offset, middle - offset):
        session.takes_click(*place)
    corrections.finish()
    settled(3)
    assert metric(review, "cell_count") == total + 1
    parts = session.review.edits[-1].made
    assert session.cell_at(*(middle + offset)) in parts

    # And merged again.
    session.select(None)
    corrections.begin("merge")
    for place in (middle + offset, middle - offset):
        session.takes_click(*place)
    assert session.nuclei.data[0].codes.marked == tuple(corrections._picked)
    corrections.finish()
    settled(4)
    assert metric(review, "cell_count") == total

    # A quarter is left out.
    viewer.add_shapes([np.array([[0, 0], [0, 160], [160, 160], [160, 0]])], shape_type="polygon")
    area = session.review.areas.valid_um2
    review.cells.buttons["Exclude drawn region"].click()
    settled(5)
    taken = area - session.review.areas.valid_um2
    assert 0.4 * 160**2 < taken <= 160**2
    assert metric(review, "cell_count") < total


def test_an_outline_over_a_cell_that_is_there_is_no_second_cell(review, viewer):
    session, corrections = review._session, review.cells.corrections
    cell = session.review.cells.iloc[0]
    middle = np.array([cell["y_um"], cell["x_um"]])
    corners = middle + np.array([[-6, -6], [-6, 6], [6, 6], [6, -6]])
    viewer.add_shapes([corners], shape_type="polygon")
    corrections.add_drawn()
    assert "is there already" in viewer.status
    assert not corrections.job.busy
    assert not session.review.edits


def test_the_window_asks_before_it_closes_over_unsaved_work(review, viewer, analysed, qtbot):
    from napari_histo.leaving import Leaving
    from qtpy.QtGui import QCloseEvent
    from qtpy.QtWidgets import QMessageBox

    button, asked = QMessageBox.StandardButton, []
    window, session = viewer.window._qt_window, review._session

    def answer(with_button):
        Leaving.ask = staticmethod(lambda parent, name: asked.append(name) or with_button)

    answer(button.Cancel)
    session.review.delete([int(session.review.cells["cell_id"].iloc[0])])
    assert session.unsaved
    assert not window.close()
    assert window.isVisible()
    assert session.unsaved
    # What napari does once the window may close is its own affair: the event alone is sent.
    answer(button.Save)
    before = (analysed[1] / "metrics.json").read_bytes()
    assert not review._leaving.eventFilter(window, QCloseEvent())
    assert not session.unsaved
    assert (analysed[1] / "metrics.json").read_bytes() != before
    assert not review._leaving.eventFilter(window, QCloseEvent())
    assert asked == [session.review.name] * 2


def test_closing_the_widget_gives_the_keys_back(review, viewer, qtbot):
    from qtpy.QtCore import Qt

    assert any(str(key) == "N" for key in viewer.keymap)
    viewer.window.remove_dock_widget(review)
    assert not any(str(key) == "N" for key in viewer.keymap)
    assert review._session.asks_to_save is None
    press(viewer, Qt.Key.Key_N)
    assert review._session.selected is None
