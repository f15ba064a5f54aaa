"""Analysing the open slide in a real window, with a real child process."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))

pytest.importorskip("napari", reason="napari comes with the extra [napari]")

pytestmark = [
    pytest.mark.gui,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*states no pixel size:UserWarning"),
]


@pytest.fixture
def slide(tmp_path, paint_section):
    return paint_section(tmp_path / "slides" / "section.tif", side_px=320, seed=3)


@pytest.fixture
def settings_file(tmp_path):
    """What is remembered goes here and not to the user's own settings."""
    from qtpy.QtCore import QSettings

    form, scope = QSettings.Format.IniFormat, QSettings.Scope.UserScope
    QSettings.setPath(form, scope, str(tmp_path / "config"))


@pytest.fixture
def viewer(settings_file, viewer):
    return viewer


@pytest.fixture
def make_widget(viewer, qtbot):
    from napari_histo.analyse import AnalyseWidget

    made = []

    def make():
        widget = AnalyseWidget(viewer)
        viewer.window.add_dock_widget(widget, name="Analyse a slide")
        made.append(widget)
        return widget

    yield make
    for widget in made:
        widget.job.close()


def click(qtbot, button):
    from qtpy.QtCore import Qt

    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def run(qtbot, widget):
    with qtbot.waitSignal(widget.job.ended, timeout=120_000) as signal:
        click(qtbot, widget.bar.run)
        assert widget.job.busy, widget.bar.message.text()
    return signal.args[0]


def choose(choice, value):
    choice.setCurrentIndex(choice.findData(value))
    choice.activated.emit(choice.currentIndex())


def test_a_run_shows_its_cells_and_opens_the_result(viewer, make_widget, slide, qtbot):
    viewer.open(slide, plugin="napari-histo")
    widget = make_widget()
    assert widget.output.value == str(slide.parent / "histo_results")
    assert "from the file (TIFF tags)" in widget.form.pixel_hint.text()
    seen, said = [], []
    widget.job.reported.connect(
        lambda *_: seen.append(len(viewer.layers["cells found so far"].data))
    )
    widget.job.progressed.connect(lambda *_: said.append(widget.bar.message.text()))
    opened = []
    widget.session.review_changed.connect(lambda: opened.append(widget.session.review))
    outcome = run(qtbot, widget)
    assert outcome.status == "finished", outcome.message
    folder = slide.parent / "histo_results" / "section"
    assert outcome.value == {"folder": str(folder), "status": "finished"}
    table = json.loads((folder / "metrics.json").read_text())["metrics"]
    (count,) = [one["value"] for one in table if one["name"] == "cell_count"]
    assert seen[-1] >= count > 50
    assert any(text.startswith("Finding nuclei") for text in said)
    assert "cells found so far" not in viewer.layers
    assert opened[-1].name == "section"
    assert widget.bar.message.text() == "Finished: the result is open."
    again = run(qtbot, widget)
    assert again.value["status"] == "skipped"
    assert "Nothing has changed" in widget.bar.message.text()


def test_a_drawn_shape_and_a_threshold_reach_the_result(viewer, make_widget, slide, qtbot):
    viewer.open(slide, plugin="napari-histo")
    widget = make_widget()
    widget.region.setCurrentIndex(1)
    click(qtbot, widget.bar.run)
    assert widget.bar.message.text().startswith("No shape is drawn")
    corners = np.array([[20.0, 30], [20, 130], [90, 130], [90, 30]])
    viewer.add_shapes([corners], shape_type="polygon")
    row = widget.form._rows["foxp3"]
    choose(row.choice, "number")
    assert "Enter the number" in widget.bar.message.text()
    assert not widget.bar.run.isEnabled()
    row.number.setText("0.2, 0.3; 0.5")
    outcome = run(qtbot, widget)
    assert outcome.status == "finished", outcome.message
    manifest = json.loads((Path(outcome.value["folder"]) / "manifest.json").read_text())
    np.testing.assert_allclose(manifest["parameters"]["region_um"], [corners])
    assert manifest["parameters"]["thresholds"] == {"foxp3": [0.2, 0.3, 0.5]}


def test_what_cannot_run_is_said_before(viewer, make_widget, slide, tmp_path, paint_section, qtbot):
    widget = make_widget()
    assert widget.bar.message.text() == "Open a slide: drop it onto the window."
    assert not widget.bar.run.isEnabled()
    viewer.open(slide, plugin="napari-histo")
    assert widget.bar.run.isEnabled()
    choose(widget.form.panel, "foxp3-rankl-if")
    assert "section.tif: the panel foxp3-rankl-if needs fluorescence" in widget.bar.message.text()
    assert not widget.bar.run.isEnabled()
    choose(widget.form.panel, "he")
    assert widget.bar.run.isEnabled()
    fluorescence = paint_section(tmp_path / "if.ome.tif", panel="foxp3-rankl-if")
    viewer.open(fluorescence, plugin="napari-histo")
    assert widget.form.panel.value == "foxp3-rankl-if", "a panel that fits its kind"
    assert widget.bar.run.isEnabled()
    assert not widget.form.stains.isEnabled()


def test_a_missing_pixel_size_is_asked_for(viewer, make_widget, tmp_path, paint_section, qtbot):
    bare = paint_section(tmp_path / "bare.tif", pixel_size_um=None, side_px=200)
    viewer.open(bare, plugin="napari-histo")
    widget = make_widget()
    assert "bare.tif: the file states no pixel size" in widget.bar.message.text()
    assert not widget.bar.run.isEnabled()
    widget.form.pixel_size.setValue(0.5)
    viewer.add_shapes([[[0, 0], [0, 200], [100, 200], [100, 0]]], shape_type="polygon")
    widget.region.setCurrentIndex(1)
    outcome = run(qtbot, widget)
    assert outcome.status == "finished", outcome.message
    manifest = json.loads((Path(outcome.value["folder"]) / "manifest.json").read_text())
    assert manifest["slide"]["pixel_size_source"] == "user"
    # The slide is shown in pixels; the region is kept in µm.
    assert manifest["parameters"]["region_um"][0][2] == [50.0, 100.0]


def test_cancel_and_a_slide_that_disappears(viewer, make_widget, slide, qtbot):
    viewer.open(slide, plugin="napari-histo")
    widget = make_widget()
    with qtbot.waitSignal(widget.job.ended, timeout=60_000) as signal:
        click(qtbot, widget.bar.run)
        qtbot.waitUntil(lambda: "tissue" in widget.bar.message.text(), timeout=60_000)
        assert not widget.bar.run.isEnabled()
        click(qtbot, widget.bar.cancel)
        assert widget.bar.message.text().startswith("Stopping")
    assert signal.args[0].status == "cancelled"
    assert widget.bar.message.text() == "Stopped. Former results are as they were."
    left = [path.name for path in (slide.parent / "histo_results").iterdir()]
    assert left == [".histo-inputs.json"]
    slide.unlink()
    outcome = run(qtbot, widget)
    assert outcome.status == "failed"
    assert "section.tif: no such file" in outcome.message
    assert widget.bar.message.text() == outcome.message
    assert widget.bar.run.isEnabled()


def test_the_output_folder_is_remembered_for_a_folder_of_slides(qtbot, settings_file, tmp_path):
    from napari_histo.settings_form import OutputFolder

    for chosen in ("", str(tmp_path / "elsewhere")):
        output = OutputFolder()
        qtbot.addWidget(output)
        output.set_slides(tmp_path / "a")
        assert output.value == str(tmp_path / "a" / "histo_results")
        output.path.setText(chosen or output.value)
        output.path.editingFinished.emit()
    again = OutputFolder()
    qtbot.addWidget(again)
    again.set_slides(tmp_path / "a")
    assert again.value == str(tmp_path / "elsewhere")
    again.set_slides(tmp_path / "b")
    assert again.value == str(tmp_path / "b" / "histo_results")


def test_live_cells_are_thinned_out_and_scaled(viewer):
    from napari_histo import live_cells
    from napari_histo.live_cells import LiveCells

    slide = viewer.add_image(np.zeros((20, 20)), name="slide")
    cells = LiveCells(viewer, scale=2.0)
    cells.add([10.0], [20.0])
    layer = viewer.layers["cells found so far"]
    assert layer.data_to_world(layer.data[0]) == (20.0, 40.0)
    assert set(viewer.layers.selection) == {slide}, "what is worked with stays selected"
    many = np.linspace(0, 10, 2 * live_cells.MOST_SHOWN).tolist()
    cells.add(many, many)
    assert live_cells.MOST_SHOWN / 2 < len(layer.data) <= live_cells.MOST_SHOWN
    viewer.layers.remove(layer)
    cells.add([1.0], [1.0])
    cells.remove()
    assert list(viewer.layers) == [slide], "a layer that the user took away stays away"


def test_a_broken_slide_is_a_sentence(viewer, make_widget, tmp_path, qtbot):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.full((300, 300, 3), 200, np.uint8),
        photometric="rgb",
        resolution=(2e4, 2e4),
        resolutionunit="CENTIMETER",
    )
    viewer.open(path, plugin="napari-histo")
    path.write_bytes(b"II*\0")
    widget = make_widget()
    assert widget.bar.message.text().startswith("a.tif: ")
    assert not widget.bar.run.isEnabled()


def test_the_region_is_what_is_drawn_or_seen(viewer, make_widget, slide):
    viewer.open(slide, plugin="napari-histo")
    widget = make_widget()
    assert widget._region() is None
    widget.region.setCurrentIndex(1)
    viewer.add_shapes([[[20, 40], [20, 80], [60, 80], [60, 40]]], shape_type="ellipse")
    (ellipse,) = widget._region()
    np.testing.assert_allclose(np.hypot(*(np.array(ellipse) - (40, 60)).T), 20)
    widget.region.setCurrentIndex(2)
    y0, x0, y1, x1 = widget.session.view_um()
    assert widget._region() == [[[y0, x0], [y0, x1], [y1, x1], [y1, x0]]]
    assert y0 < 40 < y1
    assert x0 < 60 < x1
