"""Analyse a folder of slides, and look at what is finished while the rest runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from histo.errors import HistoError
from histo.panel import load_panel
from napari_histo.run_bar import RunBar
from napari_histo.runner import Job, Outcome
from napari_histo.session import Session
from napari_histo.settings_form import OutputFolder, SettingsForm

__all__ = ["BatchWidget"]

_SLIDE, _STATE, _CELLS, _DENSITY = range(4)
_COLUMNS = ("Slide", "State", "Cells", "Cells/mm²")


class BatchWidget(QWidget):
    """A table with a row a slide; double click a finished one to see it.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.session = Session.of(napari_viewer)
        self.job = Job(self)
        self.slides: list[str] = []
        self.folders: dict[int, str] = {}
        self._doing = ""
        self._markers: tuple[str, ...] = ()
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("a folder of slides")
        self.browse = QToolButton()
        self.browse.setText("…")
        self.browse.setToolTip("Choose the folder of slides.")
        self.form = SettingsForm()
        self.form.set_slide(None)
        self.output = OutputFolder()
        self.anew = QCheckBox("Analyse finished slides again")
        self.table = QTableWidget(0, len(_COLUMNS))
        self.bar = RunBar(self.job, title="Run all")
        self._lay_out()
        self.browse.clicked.connect(self._ask)
        self.folder.editingFinished.connect(self.look)
        self.form.changed.connect(self._check)
        self.output.changed.connect(self._check)
        self.bar.asked.connect(self.run)
        self.table.cellDoubleClicked.connect(lambda row, _: self.open_row(row))
        self.job.reported.connect(self._on_report)
        self.job.ended.connect(self._on_ended)
        self._check()

    def _lay_out(self) -> None:
        folder = QWidget()
        row = QHBoxLayout(folder)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.folder)
        row.addWidget(self.browse)
        self.form.add_row("Slides in", folder, first=True)
        self.form.add_row("Results in", self.output)
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setToolTip("Double click a finished slide to see it with its result.")
        self.table.verticalHeader().hide()
        self.table.setMinimumSize(400, 140)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        for column, width in ((_SLIDE, 100), (_STATE, 110)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            header.resizeSection(column, width)
        self.table.setWordWrap(False)
        layout = QVBoxLayout(self)
        layout.addWidget(self.form)
        layout.addWidget(self.anew)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.bar)

    def look(self) -> None:
        """List the slides of the folder that is entered."""
        folder = self.folder.text().strip()
        if not folder or self.job.busy:
            return
        self.output.set_slides(Path(folder))
        self._start("slides", {"folder": folder})

    def run(self) -> None:
        """Run all slides of the table; says in a sentence why it cannot."""
        if problem := self._problem():
            self.bar.say(problem, wrong=True)
            return
        self._markers = load_panel(self.form.panel.value).marker_names
        self._fill()
        self._start(
            "batch",
            {
                "slides": self.slides,
                "out": self.output.value,
                "settings": self.form.settings(),
                "force": self.anew.isChecked(),
            },
        )

    def open_row(self, row: int) -> None:
        """Open the slide of a row with its result, or say why there is none."""
        if row not in self.folders:
            self.bar.say(self.table.item(row, _STATE).toolTip() or "Not finished yet.")
            return
        viewer, path = self.session.viewer, self.slides[row]
        try:
            shown = [one.metadata.get("histo", {}).get("path") for one in viewer.layers]
            for layer, other in zip(viewer.layers, shown, strict=True):
                if other is not None:
                    layer.visible = other == path
            if path not in shown:
                viewer.open(path, plugin="napari-histo")
            self.session.open_result(self.folders[row])
        except HistoError as error:
            self.bar.say(str(error), wrong=True)

    def _start(self, task: str, arguments: dict[str, Any]) -> None:
        try:
            self.job.start(task, arguments)
        except HistoError as error:
            self.bar.say(str(error), wrong=True)
            return
        self._doing = task
        self.bar.begin()

    def _problem(self) -> str:
        if not self.slides:
            return "Choose a folder of slides."
        return self.form.problem() or ("" if self.output.value else "Choose a results folder.")

    def _check(self) -> None:
        self.bar.set_problem(self._problem())

    def _ask(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Slides", self.folder.text())
        if chosen:
            self.folder.setText(chosen)
            self.look()

    def _fill(self) -> None:
        """Show every slide as waiting."""
        titles = [*_COLUMNS, *(f"{marker.upper()}+/mm²" for marker in self._markers)]
        self.folders = {}
        self.table.clearContents()
        self.table.setColumnCount(len(titles))
        self.table.setHorizontalHeaderLabels(titles)
        self.table.setRowCount(len(self.slides))
        for row, path in enumerate(self.slides):
            self._set(row, _SLIDE, Path(path).name, path)
            self._set(row, _STATE, "waiting")

    def _set(self, row: int, column: int, text: str, tip: str = "") -> None:
        item = self.table.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            self.table.setItem(row, column, item)
        item.setText(text)
        item.setToolTip(tip)
        if column >= _CELLS:
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def _on_report(self, name: str, news: dict[str, Any]) -> None:
        if name != "slide":
            return
        row, status, message = news["row"], news["status"], news["message"]
        if status == "running":
            self._set(row, _STATE, f"{news['stage']}, {news['part']:.0%}")
            return
        words = {
            "finished": "finished",
            "skipped": "finished before",
            "failed": f"failed: {message}",
        }
        self._set(row, _STATE, words[status], message)
        if status == "failed":
            return
        self.folders[row] = news["folder"]
        metrics = news["metrics"]
        names = ["cell_count", "cell_density_per_mm2"]
        names += [f"{marker}_density_per_mm2" for marker in self._markers]
        for column, metric in enumerate(names, _CELLS):
            value = metrics.get(metric)
            known = value is not None and not math.isnan(
                value
            )  # without tissue there is no density
            self._set(row, column, f"{value:,.0f}" if known else "")

    def _on_ended(self, outcome: Outcome) -> None:
        doing, self._doing = self._doing, ""
        if doing == "slides":
            self.slides = [] if outcome.value is None else outcome.value["slides"]
            self._fill()
            if self.slides:
                self.bar.say("")
            self._check()
            return
        for row in range(self.table.rowCount()):
            item = self.table.item(row, _STATE)
            if row not in self.folders and not item.text().startswith("failed"):
                item.setText("not run")
        if outcome.status == "finished" and outcome.value is not None:
            parts = [f"{count} {word}" for word, count in outcome.value.items() if count]
            self.bar.say(f"{', '.join(parts)}. The table of all slides is metrics.csv.")
