"""The table, the plots and the maps of a result, in a real window."""

import sys
from pathlib import Path

import numpy as np
import pytest

from histo.pipeline.spatial import read_window

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "plugins"))

pytestmark = [
    pytest.mark.gui,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture
def results(viewer, analysed):
    from napari_histo.results import ResultsWidget

    widget = ResultsWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Results", area="right")
    widget._session.open_result(analysed[1])
    return widget


def value(results, name):
    return next(one for one in results._session.review.metrics if one.name == name)


def test_every_metric_has_a_row_in_words(results):
    metrics = results._session.review.metrics
    assert set(results.table._rows) == {one.name for one in metrics}
    headings = [results.table.topLevelItem(i).text(0) for i in range(2)]
    assert headings == ["All cells", "FOXP3"]
    row = results.table._rows["foxp3_percent"]
    percent = value(results, "foxp3_percent")
    assert row.text(0) == "FOXP3+ of all cells"
    assert row.text(1) == f"{percent.value:.1f} %"
    assert row.text(2) == f"{percent.low:.1f} – {percent.high:.1f}"
    assert row.text(3) == f"{percent.numerator:,.0f} / {percent.denominator:,.0f}"


def test_numbers_follow_the_calls(results):
    session = results._session
    before = results.table.text_of("foxp3_count")
    session.review.set_thresholds({"foxp3": 0.5})
    session.refresh()
    count = value(results, "foxp3_count").value
    assert results.table.text_of("foxp3_count") == f"{count:,.0f}" != before
    assert "not saved" in results.title.text()


def test_flags_are_sentences_that_say_what_to_do(results):
    words = results.flags.text()
    assert "white_point_assumed" not in words
    assert "No empty glass was found" in words


def test_the_table_is_copied_with_tabs(results, qtbot):
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication

    qtbot.mouseClick(results.copy_button, Qt.MouseButton.LeftButton)
    lines = QApplication.clipboard().text().splitlines()
    assert len(lines) == 1 + len(results._session.review.metrics)
    assert len({line.count("\t") for line in lines}) == 1
    density = value(results, "foxp3_density_per_mm2")
    row = next(line.split("\t") for line in lines if "\tfoxp3_density_per_mm2\t" in line)
    assert float(row[2]) == pytest.approx(density.value)
    assert row[3] == "cells/mm²"
    results.table._rows["cell_count"].setSelected(True)
    qtbot.keyClick(results.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert len(QApplication.clipboard().text().splitlines()) == 2


def test_the_curve_runs_through_the_metric(results):
    results._session.review.set_thresholds({"foxp3": 0.2})
    results._session.refresh()
    results.tabs.setCurrentIndex(1)
    for ending in ("percent", "density_per_mm2", "h_score", "count"):
        results.curve_box.setCurrentIndex(results.curve_box.findData(ending))
        results.curve_box.activated.emit(0)
        curve = results.curve.values
        assert curve[20] == pytest.approx(value(results, f"foxp3_{ending}").value)
        assert (np.diff(curve) <= 1e-9).all(), "higher cut-offs never give more"
        sensitivity = value(results, f"foxp3_{ending}")
        assert curve[12] == pytest.approx(sensitivity.sensitivity_high)
        assert curve[28] == pytest.approx(sensitivity.sensitivity_low)


def test_a_density_map_lies_over_the_slide(results, viewer, qtbot):
    session = results._session
    results.density.map_box.setChecked(True)
    layer = viewer.layers[-1]
    cells = session.review.cells
    counted = cells["foxp3_positive"] & (cells["compartment"] != "excluded")
    um = layer.scale[0]
    total = float(layer.data.sum()) * (um / 1000) ** 2
    assert total == pytest.approx(counted.sum(), rel=0.25)  # evened out towards the edge
    assert layer.data.shape == read_window(session.review.folder).mask.shape
    np.testing.assert_allclose(layer.translate, um / 2)
    session.review.set_thresholds({"foxp3": 0.8})
    session.refresh()
    qtbot.waitUntil(lambda: float(layer.data.sum()) * (um / 1000) ** 2 < 0.9 * total)
    results.density.map_box.setChecked(False)
    assert layer not in viewer.layers


def test_hot_spots_are_counted_and_shown(results, viewer):
    session = results._session
    before = session.shapes_um()
    results.density.spot_box.setChecked(True)
    layer = viewer.layers[-1]
    (spot, *_) = results.density.spots
    cells = session.review.cells
    counted = cells[(cells["foxp3_positive"] & (cells["compartment"] != "excluded")).to_numpy()]
    away = np.hypot(counted["y_um"] - spot.y_um, counted["x_um"] - spot.x_um)
    assert spot.count == (away <= spot.radius_um).sum()
    assert f"{spot.count:,} cells" in results.density.words.text()
    assert len(layer.data) == len(results.density.spots)
    low, high = layer.data[0].min(axis=0), layer.data[0].max(axis=0)
    np.testing.assert_allclose((high - low) / 2, spot.radius_um, rtol=1e-3)
    assert len(session.shapes_um()) == len(before), "none that the reader drew"
    session.close_result()
    assert [type(one).__name__ for one in viewer.layers] == ["Image"]
