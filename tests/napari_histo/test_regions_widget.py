"""Regions that are drawn, saved, divided by and learned from, in a real window."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))
pytest.importorskip("napari", reason="napari comes with the extra [napari]")

from napari_histo.regions_file import HOLE, DrawnRegion, read_drawn, write_drawn  # noqa: E402

pytestmark = [
    pytest.mark.gui,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

LEFT = np.array([[0.0, 0], [0, 160], [320, 160], [320, 0]])
TOP_RIGHT = np.array([[0.0, 170], [0, 320], [150, 320], [150, 170]])


@pytest.fixture
def widget(viewer, analysed):
    from napari_histo.regions import RegionsWidget

    made = RegionsWidget(viewer)
    viewer.window.add_dock_widget(made, name="Regions", area="right")
    made.session.open_result(analysed[1])
    yield made
    made.job.close()


def draw(widget, name, corners, tool="polygon"):
    """Draw as the mouse would: the layer is told of a shape that grows."""
    widget.draw_box.classes.setCurrentText(name)
    widget.draw_box.tools[tool].click()
    kind = "path" if tool == "stroke" else "polygon"
    widget.drawn.layer.add([np.asarray(corners, float)], shape_type=kind)


def finished(widget, qtbot):
    """Press the button, and wait for the child process."""
    stages = []
    widget.job.progressed.connect(lambda stage, part: stages.append((stage, part)))
    with qtbot.waitSignal(widget.job.ended, timeout=300_000) as ended:
        widget.bar.run.click()
    assert ended.args[0].status == "finished", ended.args[0]
    assert all(0 <= part <= 1 for _, part in stages)
    return [stage for stage, _ in stages]


def compartments(session):
    return next(one for one in session.result_layers if one.name.endswith("compartments"))


def test_shapes_get_the_class_that_is_chosen_and_its_colour(widget):
    draw(widget, "Tumor", LEFT)
    draw(widget, "Stroma", [[200, 200], [220, 300], [230, 310]], tool="stroke")
    layer = widget.drawn.layer
    assert layer.name == "Drawn regions"
    assert layer.mode == "add_path"
    assert layer.features["class"].tolist() == ["Tumor", "Stroma"]
    np.testing.assert_allclose(layer.edge_color[:, :3] * 255, [(200, 0, 0), (150, 200, 150)])
    assert layer.edge_width == [3.0, 12.0], "a stroke is as wide as what it teaches"
    assert widget.draw_box.counts.text() == "Tumor: 1 area\nStroma: 1 stroke"
    layer.selected_data = {0}
    draw(widget, "Germinal centre", TOP_RIGHT)
    assert layer.features["class"].tolist() == ["Tumor", "Stroma", "Germinal centre"]


def test_the_mouse_draws_a_lasso(widget, viewer):
    """What napari itself sends while one drags."""
    widget.draw_box.classes.setCurrentText("Necrosis")
    widget.draw_box.tools["lasso"].click()
    layer = widget.drawn.layer
    assert viewer.layers.selection.active is layer
    assert layer.mode == "add_polygon_lasso"
    layer._is_creating = True
    layer.add(np.array([[10.0, 10], [10, 90], [90, 90], [90, 10], [10, 10]]), shape_type="path",
              gui=True)  # fmt: skip
    layer._moving_value = (0, 4)
    layer._finish_drawing()
    (one,) = widget.drawn.regions
    assert (one.name, one.is_area, len(one.points_um)) == ("Necrosis", True, 4)
    # Two corners are no area: napari drops the shape, and its row must go, too.
    widget.draw("polygon")
    layer._is_creating = True
    layer.add(np.array([[10.0, 10], [10, 90]]), shape_type="path", gui=True)
    layer._moving_value = (1, 1)
    layer._finish_drawing()
    assert len(widget.drawn.regions) == len(layer.features) == 1


def test_steps_are_taken_back_one_by_one(widget):
    draw(widget, "Tumor", LEFT)
    draw(widget, "Stroma", TOP_RIGHT)
    widget.draw_box.relabel.click()
    assert widget.bar.message.text().startswith("Click a shape first")
    assert widget.drawn.layer.mode == "select"
    widget.draw_box.classes.setCurrentText("Necrosis")
    widget.drawn.layer.selected_data = {1}
    widget.draw_box.relabel.click()
    assert [one.name for one in widget.drawn.regions] == ["Tumor", "Necrosis"]
    widget.drawn.layer.selected_data = {0}
    widget.draw_box.delete.click()
    assert widget.draw_box.counts.text() == "Necrosis: 1 area"
    expected = [["Tumor", "Necrosis"], ["Tumor", "Stroma"], ["Tumor"], []]
    for names in expected:
        widget.draw_box.undo.click()
        assert [one.name for one in widget.drawn.regions] == names
        assert widget.drawn.layer.features["class"].tolist() == names
    assert not widget.draw_box.undo.isEnabled()
    assert not widget.bar.run.isEnabled()


def test_a_removed_layer_can_be_had_back(widget, viewer):
    draw(widget, "Tumor", LEFT)
    viewer.layers.remove(widget.drawn.layer)
    assert widget.draw_box.counts.text() == "Nothing is drawn."
    widget.draw_box.undo.click()
    assert "Drawn regions" in viewer.layers
    np.testing.assert_allclose(widget.drawn.layer.data[0], LEFT)


def test_a_new_widget_takes_up_what_a_closed_one_left(widget, viewer):
    from napari_histo.regions import RegionsWidget

    draw(widget, "Tumor", LEFT)
    again = RegionsWidget(viewer)
    viewer.window.add_dock_widget(again, name="Again")
    assert again.draw_box.counts.text() == "Tumor: 1 area"
    draw(again, "Stroma", TOP_RIGHT)
    assert [one.name for one in again.drawn.regions] == ["Tumor", "Stroma"]
    again.job.close()


def test_a_class_that_is_none_is_refused(widget):
    widget.draw_box.classes.setCurrentText("tissue")
    widget.draw_box.tools["polygon"].click()
    assert "cannot be called 'tissue'" in widget.bar.message.text()
    assert widget.drawn.layer is None


def test_what_is_drawn_is_saved_and_loaded(widget, tmp_path):
    from histo.results.reader_classes import read_classes

    draw(widget, "Tumor", LEFT)
    draw(widget, "Stroma", [[200.0, 200], [220, 300]], tool="stroke")
    path = tmp_path / "mine.geojson"
    assert widget.save(path)
    areas = read_classes(path, (0.5, 0.5))
    assert [one.name for one in areas] == ["Tumor", "Stroma"]
    # 0.5 µm per pixel: the file counts in pixels.
    ring = json.loads(path.read_text())["features"][0]["geometry"]["coordinates"][0]
    assert ring[2] == [320, 640]
    before = widget.drawn.regions
    widget.drawn.restart()
    widget.load(path)
    assert [(one.name, one.is_area) for one in widget.drawn.regions] == [
        (one.name, one.is_area) for one in before
    ]
    np.testing.assert_allclose(widget.drawn.layer.data[1], [[200, 200], [220, 300]])
    widget.draw_box.undo.click()
    assert not widget.drawn.regions


def test_holes_stay_holes(tmp_path):
    path = tmp_path / "holed.geojson"
    drawn = [
        DrawnRegion("Tumor", LEFT),
        DrawnRegion("Stroma", TOP_RIGHT),
        DrawnRegion(HOLE, LEFT / 4 + 10),
    ]
    write_drawn(path, drawn, (0.25, 0.5))
    content = json.loads(path.read_text())["features"]
    assert [len(one["geometry"]["coordinates"]) for one in content] == [2, 1]
    again = read_drawn(path, (0.25, 0.5))
    assert [one.name for one in again] == ["Tumor", HOLE, "Stroma"]
    np.testing.assert_allclose(
        sorted(again[1].points_um.tolist()), sorted((LEFT / 4 + 10).tolist())
    )


def test_what_is_missing_is_said(widget, analysed, tmp_path):
    assert widget.bar.message.text() == "Draw some areas first, or load annotations."
    draw(widget, "Stroma", [[200, 200], [220, 300]], tool="stroke")
    assert widget.bar.message.text().startswith("Strokes alone divide little")
    widget.divide_box.ways["learning"].setChecked(True)
    assert widget.bar.message.text().startswith("Draw at least two classes")
    widget.divide_box.ways["model"].setChecked(True)
    if not widget.divide_box.model.value:
        assert widget.bar.message.text() == "Choose the folder of a region model."
    # Of another slide: what is drawn on this one is put away.
    viewer = widget.session.viewer
    moved = tmp_path / "elsewhere" / "renamed.tif"
    moved.parent.mkdir()
    shutil.move(analysed[0], moved)
    widget.session.close_result()
    viewer.layers.remove("part of section")
    assert widget.bar.message.text().startswith("Open a result")
    assert not widget.drawn.regions
    widget.session.open_result(analysed[1])
    assert [one.name for one in widget.drawn.regions] == ["Stroma"], "it is there again"
    assert widget.find_button.isVisible()
    assert "choose the slide's file above" in widget.bar.message.text()
    widget.take_slide(moved)
    assert widget.slide == moved
    assert not widget.find_button.isVisible()


def test_annotations_of_others_are_not_written_over(widget):
    path = widget.divide_box.annotations.value / "part of section.geojson"
    write_drawn(path, [DrawnRegion("Tumor", TOP_RIGHT)], (0.5, 0.5))
    # What was drawn on this slide before is there again.
    draw(widget, "Stroma", LEFT)
    assert [one.name for one in widget.drawn.regions] == ["Tumor", "Stroma"]
    other = widget.divide_box.annotations.value.parent / "others"
    write_drawn(other / path.name, [DrawnRegion("Tumor", TOP_RIGHT)], (0.5, 0.5))
    widget.divide_box.annotations.put(other)
    widget.bar.run.click()
    assert "is there already" in widget.bar.message.text()
    assert not widget.job.busy


@pytest.mark.slow
def test_the_tissue_is_divided_by_what_is_drawn_and_then_by_what_was_learned(
    widget, viewer, analysed, qtbot
):
    """One window, two child processes: drawn, then learned from it."""
    session, folder = widget.session, analysed[1]
    cell = int(session.review.cells["cell_id"].iloc[0])
    session.review.delete([cell])
    session.review.set_thresholds({"foxp3": 0.3})
    session.refresh()
    count = len(session.review.cells)
    draw(widget, "Tumor", LEFT)
    draw(widget, "Stroma", TOP_RIGHT)
    stages = finished(widget, qtbot)
    assert "compartments" in stages
    assert (folder.parent / "annotations" / "part of section.geojson").is_file()
    review, layer = session.review, compartments(session)
    assert review.manifest["compartments"]["classes"] == ["Tumor", "Stroma", "Other"]
    assert len(review.cells) == count
    assert [edit.cells for edit in review.edits] == [(cell,)]
    assert review.thresholds["foxp3"].values[0] == 0.3
    assert session.unsaved, "the cut-off that was not saved is still there, and not saved"
    # Codes lie where they were drawn, below the nuclei, in the colours of the classes.
    codes, um = np.asarray(layer.data[0]), layer.scale[0]
    at = {
        (y, x): int(codes[int(y / um), int(x / um)]) for y, x in ((80, 80), (80, 240), (240, 240))
    }
    tissue = {place: code for place, code in at.items() if code}
    assert tissue.items() <= {(80, 80): 1, (80, 240): 2, (240, 240): 3}.items()
    assert tissue
    assert viewer.layers.index(layer) < viewer.layers.index(session.nuclei)
    np.testing.assert_allclose(layer.translate, um / 2)
    assert layer.opacity == 0.25
    tumor = tuple((np.argwhere(codes == 1)[len(codes)] + 0.5) * um)
    session.fly_to(*tumor)
    qtbot.waitUntil(lambda: "compartment: Tumor" in str(layer.get_status(tumor, world=True)))
    assert not layer.editable
    # The table follows the review.
    table = widget.table
    assert [table.item(row, 0).text() for row in range(3)] == ["Tumor", "Stroma", "Other"]
    metric = next(one for one in review.metrics if one.name == "tumor_area_mm2")
    assert table.item(0, 1).text() == f"{metric.value:.3f}"
    assert "–" in table.item(0, 3).text()
    learn(widget, qtbot, folder)


def learn(widget, qtbot, folder):
    widget.drawn.layer.selected_data = {0, 1}
    widget.draw_box.delete.click()
    for name, x in (("Tumor", 40), ("Tumor", 80), ("Stroma", 240), ("Stroma", 280)):
        draw(widget, name, [[40.0, x], [280, x]], tool="stroke")
    widget.divide_box.ways["learning"].setChecked(True)
    widget.divide_box.steps.setValue(3)
    stages = finished(widget, qtbot)
    assert "learning from all" in stages
    model = folder.parent / "region-model"
    assert json.loads((model / "regions.json").read_text())["annotations"] == {
        "Tumor": 2,
        "Stroma": 2,
    }
    assert "held back" in widget.learnt.text()
    assert "Tumor 0." in widget.learnt.text() or "Tumor 1." in widget.learnt.text()
    source = widget.session.review.manifest["compartments"]["source"]
    assert (source["kind"], source["name"]) == ("model", "region-model")
    shown = [one for one in widget.session.result_layers if one.name.endswith("compartments")]
    assert len(shown) == 1
    # A result that was divided shows it when it is opened, and its model is offered.
    widget.session.asks_to_save = None
    widget.session.close_result()
    widget.session.open_result(folder)
    assert len(widget.session.result_layers) == 3
    assert widget.session.nuclei is not compartments(widget.session)
    assert str(model) == widget.divide_box.model.value


def test_a_lung_shows_its_foci_with_their_numbers(tmp_path):
    from napari_histo.region_layers import region_layers

    from histo.results import Annotation, write_annotations

    manifest = {"slide": {"name": "lung", "pixel_size_um": 0.5}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert region_layers(tmp_path) == []
    found = [
        Annotation("Lung", "", [[LEFT, LEFT[::-1] / 4 + 10]]),
        Annotation("Metastasis", "Focus 7", [[LEFT / 8 + 40]]),
    ]
    (tmp_path / "lung.json").write_text("{}")
    write_annotations(tmp_path / "regions.geojson", found, (0.5, 0.5), slide="lung")
    ((rings, settings, kind),) = region_layers(tmp_path)
    assert kind == "shapes"
    assert settings["features"]["class"].tolist() == ["Metastasis", "Lung", "Lung"]
    assert settings["features"]["focus"].tolist() == ["7", "", ""]
    np.testing.assert_allclose(rings[0].max(axis=0), (LEFT / 8 + 40).max(axis=0))


def test_damaged_compartments_are_said(tmp_path):
    from napari_histo.region_layers import region_layers

    from histo.errors import ResultError

    about = {"classes": ["Tumor"], "pixel_size_um": 4.0}
    (tmp_path / "compartments.json").write_text(json.dumps(about))
    (tmp_path / "compartments.npz").write_bytes(b"nothing")
    with pytest.raises(ResultError, match="its regions are damaged"):
        region_layers(tmp_path)
