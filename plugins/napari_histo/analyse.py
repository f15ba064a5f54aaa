"""Analyse the slide that is open, whole or in part, and see its cells appear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.compat import isalive
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QVBoxLayout, QWidget

from histo.errors import HistoError
from napari_histo.live_cells import LiveCells
from napari_histo.run_bar import RunBar
from napari_histo.runner import Job, Outcome
from napari_histo.session import Session
from napari_histo.settings_form import OutputFolder, SettingsForm, SlideFacts

__all__ = ["AnalyseWidget"]

_WHOLE, _SHAPES, _VIEW = "the whole slide", "the drawn shapes", "what is seen now"


class AnalyseWidget(QWidget):
    """Settings, region and output folder of a run; its progress; at the end its result opens.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.session = Session.of(napari_viewer)
        self.job = Job(self)
        self.facts: SlideFacts | None = None
        self._slide: Path | None = None
        self._slide_problem = ""
        self._live: LiveCells | None = None
        self.slide_label = QLabel()
        self.slide_label.setWordWrap(True)
        self.form = SettingsForm()
        self.region = QComboBox()
        self.region.addItems([_WHOLE, _SHAPES, _VIEW])
        self.region.setToolTip(
            "Only cells whose centre lies in the region are counted, and only tissue within.\n"
            "Shapes: draw in a Shapes layer (rectangle, ellipse, polygon) and select it."
        )
        self.output = OutputFolder()
        self.anew = QCheckBox("Analyse again even if nothing has changed")
        self.bar = RunBar(self.job)
        self._lay_out()
        self.form.changed.connect(self._check)
        self.output.changed.connect(self._check)
        self.bar.asked.connect(self.run)
        self.job.reported.connect(self._on_report)
        self.job.ended.connect(self._on_ended)
        self.session.slide_changed.connect(self._on_slide)
        self._on_slide()

    def _lay_out(self) -> None:
        self.form.add_row("Region", self.region)
        self.form.add_row("Results in", self.output)
        layout = QVBoxLayout(self)
        layout.addWidget(self.slide_label)
        layout.addWidget(self.form)
        layout.addWidget(self.anew)
        layout.addWidget(self.bar)
        layout.addStretch(1)

    def run(self) -> None:
        """Start the run as the form says; says in a sentence why it cannot."""
        try:
            if problem := self._problem():
                raise HistoError(problem)
            settings = {**self.form.settings(), "region": self._region()}
            arguments = {
                "slide": str(self._slide),
                "out": self.output.value,
                "settings": settings,
                "force": self.anew.isChecked(),
            }
            self.job.start("analyse", arguments)
        except HistoError as error:
            self.bar.say(str(error), wrong=True)
            return
        self.bar.begin()
        self._live = LiveCells(self.session.viewer, scale=1 / self._um_per_unit())

    def _on_slide(self) -> None:
        if not isalive(self):
            return
        path = self.session.slide_path
        if path is not None and path == self._slide:
            return
        self._slide, self.facts, self._slide_problem = path, None, ""
        if path is None:
            self._slide_problem = "Open a slide: drop it onto the window."
            self.slide_label.setText("<b>No slide is open</b>")
        else:
            self.slide_label.setText(f"<b>{path.name}</b>")
            self.slide_label.setToolTip(str(path))
            self.output.set_slides(path.parent)
            try:
                self.facts = SlideFacts.of(path)
            except HistoError as error:
                self._slide_problem = str(error)
        self.form.set_slide(self.facts)
        self._check()

    def _problem(self) -> str:
        if self._slide_problem or self.form.problem():
            return self._slide_problem or self.form.problem()
        return "" if self.output.value else "Choose a folder for the results."

    def _check(self) -> None:
        self.bar.set_problem(self._problem())

    def _um_per_unit(self) -> float:
        """Return the µm of the run per unit of the viewer: the slide may be shown otherwise."""
        given = self.form.pixel_size.value()
        shown = (self.facts.pixel_size_um if self.facts else None) or 1.0
        return given / shown if given else 1.0

    def _region(self) -> list[list[list[float]]] | None:
        scale = self._um_per_unit()
        if self.region.currentText() == _SHAPES:
            shapes = self.session.shapes_um()
            if not shapes:
                raise HistoError(
                    "No shape is drawn: add a Shapes layer (the polygon above the list of layers), "
                    "draw around the tissue that is meant, and run again."
                )
            return [(shape * scale).tolist() for shape in shapes]
        if self.region.currentText() == _VIEW:
            y0, x0, y1, x1 = (value * scale for value in self.session.view_um())
            return [[[y0, x0], [y0, x1], [y1, x1], [y1, x0]]]
        return None

    def _on_report(self, name: str, value: dict[str, Any]) -> None:
        if name == "cells" and self._live is not None:
            self._live.add(value["y_um"], value["x_um"])

    def _on_ended(self, outcome: Outcome) -> None:
        if self._live is not None:
            self._live.remove()
            self._live = None
        if outcome.status != "finished" or outcome.value is None:
            return
        try:
            self.session.open_result(outcome.value["folder"])
        except HistoError as error:
            self.bar.say(str(error), wrong=True)
            return
        if outcome.value["status"] == "skipped":
            self.bar.say("Nothing has changed since the last run: its result is open.")
        else:
            self.bar.say("Finished: the result is open.")
