"""Corrected cells become lessons, and lessons a model, in real windows and real children."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
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

FIELD = np.array([[20.0, 20], [20, 140], [140, 140], [140, 20]])


@pytest.fixture(scope="module")
def analysed(tmp_path_factory, paint_section):
    """A painted section of 160 µm, and its result beside it."""
    from histo.pipeline import Settings, analyze_slide

    root = tmp_path_factory.mktemp("laboratory")
    slide = paint_section(root / "section.tif", side_px=320, seed=5)
    analyze_slide(slide, Settings("foxp3-dab"), folder=root / "out" / "section")
    return root


@pytest.fixture
def widget(viewer, analysed, tmp_path):
    from napari_histo.improve import ImproveWidget

    shutil.copytree(analysed, tmp_path / "laboratory")
    viewer.open(tmp_path / "laboratory" / "section.tif", plugin="napari-histo")
    made = ImproveWidget(viewer)
    viewer.window.add_dock_widget(made, name="Improve", area="right")
    made.session.open_result(tmp_path / "laboratory" / "out" / "section")
    yield made
    made.job.close()


def add_field(widget, field=FIELD):
    widget.draw.click()
    layer = widget.session.viewer.layers.selection.active
    assert layer.mode == "add_rectangle"
    layer.add([field], shape_type="rectangle")
    widget.add.click()


def inside(widget):
    """Return the cells whose centre lies in the field."""
    cells = widget.session.review.cells
    places = cells[["y_um", "x_um"]].to_numpy()
    return cells[((places >= 20) & (places < 140)).all(axis=1)]


def test_fields_become_a_lesson_with_the_edits_in_it(widget):
    cells = inside(widget)
    widget.session.review.delete(cells["cell_id"].iloc[:3].tolist())
    widget.session.refresh()
    add_field(widget)
    texts = [widget.table.item(0, column).text() for column in range(4)]
    assert texts == ["section.tif", "1", str(len(cells) - 3), "3"]
    truth = Path(widget.folder.text()) / "section.geojson"
    content = json.loads(truth.read_text())
    kinds = [one["properties"]["objectType"] for one in content["features"]]
    assert kinds.count("annotation") == 1
    assert kinds.count("detection") >= len(cells) - 3
    assert f"{len(cells) - 3} nuclei of 1 slide" in widget.total.text()


def test_the_lessons_of_a_folder_are_there_the_next_day(widget, viewer):
    from napari_histo.improve import ImproveWidget

    add_field(widget)
    folder = widget.session.review.folder
    widget.session.close_result()
    assert "every nucleus is right here" not in [layer.name for layer in viewer.layers]
    assert widget.result.text() == "Open a result first."
    again = ImproveWidget(viewer)
    viewer.window.add_dock_widget(again, name="Again")
    again.session.open_result(folder)
    assert again.table.rowCount() == 1
    again.draw.click()
    layer = viewer.layers.selection.active
    np.testing.assert_allclose(layer.data[0], FIELD, atol=0.01)
    again.table.selectRow(0)
    again.remove.click()
    assert again.table.rowCount() == 0
    assert again.bar.message.text() == "Add lessons with at least 30 nuclei."
    assert not again.bar.run.isEnabled()
    again.job.close()


def test_a_field_without_nuclei_is_said(widget):
    add_field(widget, FIELD + 5000)
    assert "there is no nucleus in the drawn fields" in widget.message.text()
    assert widget.table.rowCount() == 0


def test_a_name_that_is_no_folder_is_refused(widget):
    add_field(widget)
    assert widget.bar.run.isEnabled()
    widget.name.setText("a/b")
    assert not widget.bar.run.isEnabled()
    widget.name.setText("ours")
    assert widget.bar.run.isEnabled()


@pytest.mark.slow
def test_training_is_told_step_by_step_and_judged_in_words(widget, tiny_model, qtbot):
    from napari_histo.analyse import AnalyseWidget

    from histo.nuclei import read_card

    add_field(widget)
    widget.model.take(str(tiny_model))
    widget.steps = 3
    stages = []
    widget.job.progressed.connect(lambda stage, part: stages.append((stage, part)))
    with qtbot.waitSignal(widget.job.ended, timeout=400_000) as ended:
        widget.bar.run.click()
    assert ended.args[0].status == "finished", ended.args[0]
    parts = [part for _, part in stages]
    assert any(stage.startswith("learning") for stage, _ in stages)
    assert all(0 <= part <= 1 for part in parts)
    folder = Path(widget.value["folder"])
    assert folder == Path(widget.folder.text()) / "models" / "our-nuclei"
    assert read_card(folder).name == "our-nuclei"
    assert widget.verdict.text().split(":")[0] in ("Better", "Perhaps better", "Not better")
    titles = [widget.scores.item(row, 0).text() for row in range(widget.scores.rowCount())]
    assert titles[0] == "outlines: F1 at IoU 0.5"
    training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert widget.value["learnt"] == training["learnt"]["nuclei"]
    assert str(folder) in widget.about.text()
    analyse = AnalyseWidget(widget.session.viewer)
    widget.session.viewer.window.add_dock_widget(analyse, name="Analyse a slide")
    widget.use.click()
    assert analyse.form.settings()["model"] == str(folder)
    analyse.job.close()
    if pictures := os.environ.get("HISTO_SCREENSHOTS"):
        widget.session.viewer.screenshot(f"{pictures}/improve.png", canvas_only=False)
    # The same name again: what is there is not replaced.
    with qtbot.waitSignal(widget.job.ended, timeout=400_000) as ended:
        widget.bar.run.click()
    assert ended.args[0].status == "failed"
    assert "choose another name" in widget.bar.message.text()


@pytest.mark.slow
def test_a_training_can_be_stopped(widget, tiny_model, qtbot):
    add_field(widget)
    widget.model.take(str(tiny_model))
    with qtbot.waitSignal(widget.job.progressed, timeout=200_000):
        widget.bar.run.click()
    with qtbot.waitSignal(widget.job.ended, timeout=200_000) as ended:
        widget.bar.cancel.click()
    assert ended.args[0].status == "cancelled"
    assert "to go on from there" in widget.bar.message.text()
    assert not (Path(widget.folder.text()) / "models" / "our-nuclei").exists()
