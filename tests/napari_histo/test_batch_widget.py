"""A folder of slides in a real window, with a real child process."""

import sys
import warnings
from pathlib import Path

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


@pytest.fixture
def slides(tmp_path, paint_section):
    """Two sections and a file that is none."""
    folder = tmp_path / "slides"
    for name, seed in (("a", 1), ("c", 2)):
        paint_section(folder / f"{name}.tif", side_px=200, seed=seed)
    (folder / "b.tif").write_bytes(b"II*\0\x08\0\0\0")
    return folder


@pytest.fixture
def widget(make_napari_viewer, qtbot, tmp_path):
    from qtpy.QtCore import QSettings

    form, scope = QSettings.Format.IniFormat, QSettings.Scope.UserScope
    QSettings.setPath(form, scope, str(tmp_path / "config"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from napari_histo.batch import BatchWidget
        from npe2 import PluginManager, PluginManifest

        manager = PluginManager.instance()
        if "napari-histo" not in manager:
            manifest = ROOT / "plugins" / "napari_histo" / "napari.yaml"
            manager.register(PluginManifest.from_file(manifest))
        viewer = make_napari_viewer(show=True)
        made = BatchWidget(viewer)
        viewer.window.add_dock_widget(made, name="Run a folder")
    yield made
    made.job.close()


def text(widget, row, column):
    item = widget.table.item(row, column)
    return "" if item is None else item.text()


def look(qtbot, widget, folder):
    with qtbot.waitSignal(widget.job.ended, timeout=60_000):
        widget.folder.setText(str(folder))
        widget.folder.editingFinished.emit()


def click(qtbot, button):
    from qtpy.QtCore import Qt

    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_a_folder_runs_and_its_slides_open_meanwhile(widget, slides, qtbot):
    assert widget.bar.message.text() == "Choose a folder of slides."
    look(qtbot, widget, slides)
    assert [text(widget, row, 0) for row in range(3)] == ["a.tif", "b.tif", "c.tif"]
    assert {text(widget, row, 1) for row in range(3)} == {"waiting"}
    states = []
    widget.job.reported.connect(lambda *_: states.append([text(widget, r, 1) for r in range(3)]))
    with qtbot.waitSignal(widget.job.ended, timeout=180_000) as signal:
        click(qtbot, widget.bar.run)
        qtbot.waitUntil(lambda: text(widget, 0, 1) == "finished", timeout=120_000)
        assert widget.job.busy
        widget.table.cellDoubleClicked.emit(0, 0)
        opened = widget.session.review
    assert opened.name == "a"
    assert widget.session.slide_path == slides / "a.tif"
    assert signal.args[0].value == {"finished": 2, "skipped": 0, "failed": 1}
    assert "2 finished, 1 failed" in widget.bar.message.text()
    assert ["finding nuclei, 8%", "waiting", "waiting"] in states
    assert text(widget, 1, 1).startswith("failed: b.tif: ")
    assert widget.table.item(1, 1).toolTip().startswith("b.tif: ")
    table = pd.read_csv(slides / "histo_results" / "metrics.csv").set_index("slide")
    for row, name in ((0, "a"), (2, "c")):
        assert text(widget, row, 2) == f"{table.loc[name, 'cell_count']:,.0f}"
        assert text(widget, row, 3) == f"{table.loc[name, 'cell_density_per_mm2']:,.0f}"
        assert text(widget, row, 4) == f"{table.loc[name, 'foxp3_density_per_mm2']:,.0f}"
    widget.table.cellDoubleClicked.emit(1, 0)
    assert widget.bar.message.text().startswith("b.tif: ")

    with qtbot.waitSignal(widget.job.ended, timeout=60_000):
        click(qtbot, widget.bar.run)
    assert [text(widget, row, 1) for row in (0, 2)] == ["finished before"] * 2
    assert text(widget, 2, 2) == f"{table.loc['c', 'cell_count']:,.0f}"


def test_cancel_keeps_what_is_finished(widget, slides, qtbot):
    look(qtbot, widget, slides)
    with qtbot.waitSignal(widget.job.ended, timeout=180_000) as signal:
        click(qtbot, widget.bar.run)
        qtbot.waitUntil(lambda: "finding" in text(widget, 2, 1), timeout=120_000)
        click(qtbot, widget.bar.cancel)
    assert signal.args[0].status == "cancelled"
    assert text(widget, 0, 1) == "finished"
    assert text(widget, 2, 1) == "not run"
    left = {path.name for path in (slides / "histo_results").iterdir()}
    assert {name for name in left if "partial" in name} == set()
    assert "a" in left
    assert "c" not in left


def test_a_folder_without_slides_is_a_sentence(widget, tmp_path, qtbot):
    look(qtbot, widget, tmp_path / "nowhere")
    assert "no such file or folder" in widget.bar.message.text()
    assert widget.table.rowCount() == 0
    assert not widget.bar.run.isEnabled()
