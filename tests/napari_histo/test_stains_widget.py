"""The widget Stains in a real window: a slide with known vectors, its own and drawn regions."""

import json
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tifffile

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))
pytest.importorskip("qtpy", reason="qtpy comes with the extra [napari]")

from napari_histo import stains as stains_module  # noqa: E402
from napari_histo.analyse import AnalyseWidget  # noqa: E402
from napari_histo.stains import StainsWidget  # noqa: E402

from histo.phantom import Appearance, Composition, Recipe, paint_phantom  # noqa: E402
from histo.stain import load_stains, stain_concentrations  # noqa: E402

pytestmark = [
    pytest.mark.gui,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

UM = 0.5
OWN = {"hematoxylin": (0.57, 0.73, 0.37), "dab": (0.33, 0.60, 0.73)}
#: Two patches of one stain each, beside the section: top, left, side in px.
PATCHES = {"hematoxylin": (40, 40, 60), "dab": (40, 160, 60)}


def unit(vector):
    return np.array(vector) / np.linalg.norm(vector)


def angle(a, b):
    return np.degrees(np.arccos(np.clip(unit(a) @ unit(b), -1, 1)))


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A painted section without noise, of other stains than the book's, on glass with patches."""
    look = Appearance(
        hematoxylin=tuple(unit(OWN["hematoxylin"])),
        dab=tuple(unit(OWN["dab"])),
        white_point=(243.0, 243.0, 241.0),
        optics=None,
    )
    recipe = Recipe("foxp3-dab", Composition(tumour=0.4), look)
    section = paint_phantom(recipe, 2, shape=(700, 700)).image
    whole = np.empty((1000, 900, 3), np.uint8)
    whole[:] = (243, 243, 241)
    whole[200:900, 100:800] = section
    rng = np.random.default_rng(0)
    for stain, (top, left, side) in PATCHES.items():
        amount = rng.uniform(0.3, 0.8, (side, side, 1))
        patch = np.array([243, 243, 241]) * 10 ** -(amount * unit(OWN[stain]))
        whole[top : top + side, left : left + side] = np.rint(patch)
    path = tmp_path_factory.mktemp("stained") / "batch 7.tif"
    per_cm = 1e4 / UM
    tifffile.imwrite(
        path, whole, photometric="rgb", tile=(256, 256), compression="zlib",
        resolution=(per_cm, per_cm), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


@pytest.fixture
def widget(viewer, slide, qtbot):
    viewer.open(slide, plugin="napari-histo")
    made = StainsWidget(viewer)
    viewer.window.add_dock_widget(made, name="Stains", area="right")
    yield made
    made.job.close()


def estimate(qtbot, widget):
    with qtbot.waitSignal(widget.job.ended, timeout=120_000) as ended:
        widget.bar.run.click()
    assert ended.args[0].status == "finished", ended.args[0]


def shown_at(layer, y, x):
    """Return the value of a preview where a place lies, in µm."""
    row, column = np.rint((np.array([y, x]) - layer.translate) / layer.scale).astype(int)
    return layer.data[row, column]


def draw(widget, stain):
    """Draw a square into the middle of a stain's patch."""
    widget._buttons[stain].click()
    layer = widget.session.viewer.layers.selection.active
    assert layer.mode == "add_polygon"
    top, left, side = PATCHES[stain]
    low, high = np.array([top + 5, left + 5]) * UM, np.array([top + side - 5, left + side - 5]) * UM
    square = [[low[0], low[1]], [low[0], high[1]], [high[0], high[1]], [high[0], low[1]]]
    layer.add([square], shape_type="polygon")
    layer.mode = "pan_zoom"


def test_a_slide_gives_its_vectors_within_a_few_degrees(widget, qtbot):
    estimate(qtbot, widget)
    report = widget.report
    for stain, vector in zip(report["stains"], report["vectors"], strict=True):
        assert angle(vector, OWN[stain]) < 5, stain
    book = load_stains("h-dab")
    for row in range(2):
        shown = float(widget.table.item(row, 2).text().removesuffix("°"))
        assert shown == pytest.approx(angle(report["vectors"][row], book.vectors[row]), abs=0.06)
    assert report["white_point"] == [243, 243, 241]
    assert widget.verdict.text().startswith("These vectors fit")
    assert "Haematoxylin and DAB lie" in widget.figures.text()
    assert widget.outcome.isVisible()


def test_regions_of_one_stain_give_its_vector(widget, qtbot):
    draw(widget, "hematoxylin")
    draw(widget, "dab")
    assert widget._buttons["dab"].text() == "Draw DAB  (1 region)"
    assert list(widget.drawn()) == ["hematoxylin", "dab"]
    estimate(qtbot, widget)
    for stain, vector in zip(widget.report["stains"], widget.report["vectors"], strict=True):
        # Exact but for the rounding to 8 bits.
        assert angle(vector, OWN[stain]) < 0.3, stain
    assert widget.report["passed"]


def test_one_region_and_the_rest_from_the_slide(widget, qtbot):
    draw(widget, "dab")
    assert widget._buttons["hematoxylin"].text() == "Draw Haematoxylin  (from the whole slide)"
    estimate(qtbot, widget)
    found = dict(zip(widget.report["stains"], widget.report["vectors"], strict=True))
    assert angle(found["dab"], OWN["dab"]) < 0.3
    assert angle(found["hematoxylin"], OWN["hematoxylin"]) < 5


def test_confused_regions_are_said_in_words(widget, qtbot):
    draw(widget, "hematoxylin")
    layer = widget.session.viewer.layers.selection.active
    top, left, side = (value * UM for value in PATCHES["dab"])
    layer.data = [[[top, left], [top, left + side], [top + side, left + side], [top + side, left]]]
    with qtbot.waitSignal(widget.job.ended, timeout=120_000):
        widget.bar.run.click()
    assert "check that the regions are of the stains" in widget.bar.message.text()
    assert not widget.outcome.isVisible()


def test_the_preview_is_each_stain_where_the_view_is(widget, viewer, qtbot):
    draw(widget, "hematoxylin")
    draw(widget, "dab")
    estimate(qtbot, widget)
    viewer.camera.zoom = 2
    viewer.camera.center = (0, 35, 95)
    widget.show_stains.click()
    qtbot.waitUntil(lambda: len(widget.preview._layers) == 2, timeout=5000)
    blue, brown = (widget.preview._layers[stain] for stain in ("hematoxylin", "dab"))
    assert (brown.name, brown.visible, blue.visible) == ("DAB alone (OD)", True, False)
    with tifffile.TiffFile(viewer.layers[0].metadata["histo"]["path"]) as file:
        whole = file.asarray()
    vectors = dict(zip(widget.report["stains"], widget.report["vectors"], strict=True))
    stains = type(load_stains("h-dab"))("own", tuple(vectors), list(vectors.values()))
    truth = stain_concentrations(whole, stains, (243, 243, 241))
    for stain, (top, left, side) in PATCHES.items():
        y, x = (top + side // 2 + 0.5) * UM, (left + side // 2 + 0.5) * UM
        for column, layer in enumerate((blue, brown)):
            value = shown_at(layer, y, x)
            expected = truth[top + side // 2, left + side // 2, column]
            assert value == pytest.approx(expected, abs=1e-5), stain
    # It follows the view.
    viewer.camera.zoom = 6
    viewer.camera.center = (0, 300, 250)
    qtbot.waitUntil(lambda: brown.translate[0] > 150, timeout=5000)
    y, x = 300.25, 250.25
    assert shown_at(brown, y, x) == pytest.approx(truth[600, 500, 1], abs=1e-5)
    widget.show_stains.click()
    assert [layer for layer in viewer.layers if "alone (OD)" in layer.name] == []


def test_the_preview_is_quick(widget, viewer, qtbot):
    estimate(qtbot, widget)
    widget.show_stains.click()
    qtbot.waitUntil(lambda: len(widget.preview._layers) == 2, timeout=5000)
    pieces = []
    unmix = widget.preview._unmix_some

    def timed():
        start = time.process_time()
        unmix()
        pieces.append(time.process_time() - start)

    widget.preview._next.timeout.disconnect()
    widget.preview._next.timeout.connect(timed)
    widget.preview._unmix_some = timed
    viewer.reset_view()
    qtbot.waitUntil(lambda: bool(pieces) and not widget.preview._work, timeout=5000)
    assert len(pieces) > 1, "more than one piece"
    assert min(pieces) < 0.05, "processor time of one piece"


def test_the_file_is_used_by_a_run(widget, qtbot, slide, tmp_path, monkeypatch, capsys):
    draw(widget, "hematoxylin")
    draw(widget, "dab")
    estimate(qtbot, widget)
    path = tmp_path / "batch-7.toml"
    monkeypatch.setattr(
        stains_module.QFileDialog, "getSaveFileName", staticmethod(lambda *_: (str(path), ""))
    )
    with qtbot.waitSignal(widget.saved):
        widget.save.click()
    assert "histo run --stains" in widget.file.text()
    analyse = AnalyseWidget(widget.session.viewer)
    widget.session.viewer.window.add_dock_widget(analyse, name="Analyse a slide")
    widget.use.click()
    assert analyse.form.settings()["stains"] == str(path)
    analyse.job.close()
    assert tomllib.loads(path.read_text())["stains"]["dab"]["vector"] == pytest.approx(
        list(unit(OWN["dab"])), abs=0.005
    )
    from histo.cli import main

    words = ["run", str(slide), "-o", str(tmp_path / "out"), "--panel", "foxp3-dab"]
    with pytest.raises(SystemExit) as end:
        main([*words, "--stains", str(path), "--quiet"])
    assert not end.value.code
    manifest = json.loads((tmp_path / "out" / "batch 7" / "manifest.json").read_text())
    found = dict(zip(widget.report["stains"], widget.report["vectors"], strict=True))
    assert manifest["stains"]["vectors"] == found
    assert manifest["stains"]["name"] == "batch-7"


def test_without_a_slide_it_says_so(viewer, qtbot):
    widget = StainsWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.bar.message.text() == "Open a slide first."
    assert not widget.bar.run.isEnabled()
    widget.job.close()


def test_three_stains_are_offered_for_three(widget):
    widget.panel.setCurrentIndex(widget.panel.findData("foxp3-dab+rankl-red"))
    widget.panel.activated.emit(widget.panel.currentIndex())
    assert list(widget._buttons) == ["hematoxylin", "dab", "red"]
