"""Regions: draw compartments, divide the open result by them, or teach a model to find them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QGroupBox, QLabel, QPushButton, QVBoxLayout, QWidget

from histo.errors import HistoError
from histo.slide import slide_name
from napari_histo.drawn_regions import DrawnRegions
from napari_histo.region_checks import other_tasks, score_words, stains_of, why_not
from napari_histo.region_forms import BY_DRAWN, BY_LEARNING, BY_MODEL, DivideBox, DrawBox
from napari_histo.region_table import CompartmentTable
from napari_histo.regions_file import DrawnRegion, read_drawn, write_drawn
from napari_histo.run_bar import RunBar
from napari_histo.runner import Job, Outcome
from napari_histo.scrolled import scrolled
from napari_histo.session import Session

__all__ = ["RegionsWidget"]

_FILES = "GeoJSON (*.geojson *.json *.geojson.gz)"


class RegionsWidget(QWidget):
    """Draws regions with classes, and divides the tissue of the open result.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.session = Session.of(napari_viewer)
        self.job = Job(self)
        self.drawn = DrawnRegions(self.session)
        self.draw_box, self.divide_box = DrawBox(self.drawn), DivideBox()
        self.bar = RunBar(self.job, title="Divide")
        self.table = CompartmentTable()
        self._slide: Path | None = None  # chosen by hand
        self._on: str | None = None  # the slide that the drawn regions lie on
        self._files: set[Path] = set()  # hold what is drawn, or were read into it
        self._kept: dict[str, tuple[tuple[DrawnRegion, ...], set[Path]]] = {}
        self._divided: Path | None = None
        self._lay_out()
        self._connect()
        self._on_review()

    # The form

    def _lay_out(self) -> None:
        self.title = QLabel()
        self.title.setWordWrap(True)
        self.find_button = QPushButton("Choose the slide's file…")
        self.learnt = QLabel()
        self.learnt.setWordWrap(True)
        self.learnt.hide()
        self.shown = QGroupBox("3  Compartments")
        self.none = QLabel("The open result is not divided.")
        below = QVBoxLayout(self.shown)
        below.addWidget(self.learnt)
        below.addWidget(self.none)
        below.addWidget(self.table)
        inner = self.divide_box.layout()
        if inner is not None:
            inner.addWidget(self.bar)
        layout = QVBoxLayout()
        for part in (self.title, self.find_button, self.draw_box, self.divide_box, self.shown):
            layout.addWidget(part)
        layout.addStretch(1)
        self.area = scrolled(self, layout)

    def _connect(self) -> None:
        self.find_button.clicked.connect(self._on_find)
        self.draw_box.tool_chosen.connect(self.draw)
        self.draw_box.relabel.clicked.connect(self._on_relabel)
        self.draw_box.delete.clicked.connect(self._on_delete)
        self.draw_box.load.clicked.connect(self._on_load)
        self.draw_box.save.clicked.connect(self._on_save)
        self.divide_box.changed.connect(self._check)
        self.divide_box.annotations.changed.connect(self._on_folder)
        self.drawn.changed.connect(self._check)
        self.bar.asked.connect(self.run)
        self.job.reported.connect(self._on_report)
        self.job.ended.connect(self._on_ended)
        self.session.review_changed.connect(self._on_review)
        self.session.slide_changed.connect(self._on_slide)
        self.session.calls_changed.connect(self._on_calls)

    # What is open

    @property
    def slide(self) -> Path | None:
        """The file of the slide that the open result is of; None when it is not known."""
        return self.session.reviewed_slide or self._slide

    def _on_review(self) -> None:
        if not isalive(self):
            return
        review = self.session.review
        self._slide = None
        self.learnt.hide()
        if review is not None:
            results = Path(review.folder).parent
            self.divide_box.annotations.put(results / "annotations")
            self.divide_box.model_folder.put(results / "region-model")
            if (results / "region-model" / "rdf.yaml").is_file():
                self.divide_box.model.offer_own(str(results / "region-model"))
            self.divide_box.offer_stains(stains_of(review))
        self._on_slide()
        self._on_calls()

    def _on_slide(self) -> None:
        if not isalive(self):
            return
        review, path = self.session.review, self.session.slide_path
        self._turn_to(review.name if review is not None else slide_name(path) if path else "")
        self._on_folder()

    def _turn_to(self, name: str) -> None:
        """Put away what was drawn on another slide, and take out what was drawn on this one."""
        if name == self._on:
            return
        if self._on is not None:
            self._kept[self._on] = self.drawn.regions, self._files
            regions, self._files = self._kept.pop(name, ((), set()))
            self.drawn.restart(regions)
        self._on = name

    def _on_calls(self) -> None:
        if isalive(self):
            self.table.show_review(self.session.review)
            self.none.setVisible(self.table.rowCount() == 0)

    def _on_folder(self) -> None:
        """Look for other annotated slides."""
        self.divide_box.offer_others(len(self._others()))
        self._check()

    def _others(self) -> list[tuple[Path, Path, Path]]:
        review, folder = self.session.review, self.divide_box.annotations.value
        if review is None or folder is None or self.slide is None:
            return []
        return other_tasks(folder, Path(review.folder).parent, self.slide)

    # Drawing

    def draw(self, tool: str) -> None:
        """Let the reader draw; what was drawn on this slide before is there again."""
        problem = self.draw_box.problem()
        if not self._on:
            problem = "Open a slide or a result first: drop it onto the window."
        if problem:
            self.bar.say(problem, wrong=True)
            return
        if self.drawn.layer is None and not self.drawn.regions:
            self._take_up()
        self.drawn.use(self.draw_box.name)
        self.drawn.draw(tool)

    def _take_up(self) -> None:
        """Go on from the annotations of this slide, where there are some."""
        path = self._own_file()
        if self.session.review is not None and path is not None and path.is_file():
            self.load(path)

    def _own_file(self) -> Path | None:
        folder = self.divide_box.annotations.value
        return None if folder is None or not self._on else folder / f"{self._on}.geojson"

    def _on_relabel(self) -> None:
        if problem := self.draw_box.problem():
            self.bar.say(problem, wrong=True)
        elif not self.drawn.relabel(self.draw_box.name):
            self._say_select()

    def _on_delete(self) -> None:
        if not self.drawn.delete():
            self._say_select()

    def _say_select(self) -> None:
        layer = self.drawn.layer
        if layer is not None:
            self.session.viewer.layers.selection.active = layer
            layer.mode = "select"
        self.bar.say("Click a shape first, or drag around several; then press again.")

    # Files

    def _level0_um(self) -> tuple[float, float]:
        """Return the pixel size of level 0, which GeoJSON counts in."""
        from histo.pipeline.files import level0_um

        if self.session.review is not None:
            return level0_um(self.session.review.manifest["slide"])
        for layer in self.session.viewer.layers:
            facts = layer.metadata.get("histo", {})
            size = facts.get("pixel_size_yx_um")
            if size and facts.get("path") == str(self.session.slide_path):
                return float(size[0]), float(size[1])
        raise HistoError(
            "GeoJSON counts in pixels, and the open slide does not state their size: open its "
            "result, which does."
        )

    def load(self, path: Path) -> None:
        """Add the annotations of a GeoJSON file to what is drawn."""
        try:
            self.drawn.add(read_drawn(path, self._level0_um()))
        except HistoError as error:
            self.bar.say(str(error), wrong=True)
            return
        self._files.add(path.absolute())
        self.bar.say(f"{path.name} is loaded.")

    def save(self, path: Path) -> bool:
        """Write what is drawn as GeoJSON; say whether that went well."""
        try:
            write_drawn(path, self.drawn.regions, self._level0_um())
        except HistoError as error:
            self.bar.say(str(error), wrong=True)
            return False
        self._files.add(path.absolute())
        self.bar.say(f"{path.name} is saved.")
        return True

    def _on_load(self) -> None:
        if not self._on:
            self.bar.say("Open the slide or its result first.", wrong=True)
            return
        start = str(self.divide_box.annotations.value or "")
        if path := QFileDialog.getOpenFileName(self, "Load annotations", start, _FILES)[0]:
            self.load(Path(path))

    def _on_save(self) -> None:
        start = str(self._own_file() or f"{self._on}.geojson")
        if path := QFileDialog.getSaveFileName(self, "Save what is drawn", start, _FILES)[0]:
            whole = path if path.lower().endswith((".geojson", ".json")) else f"{path}.geojson"
            self.save(Path(whole))

    def _on_find(self) -> None:
        path = QFileDialog.getOpenFileName(self, "The slide that the result is of")[0]
        if path:
            self.take_slide(Path(path))

    def take_slide(self, path: Path) -> None:
        """Open the slide that the result is of, wherever it lies and whatever it is called now."""
        from napari_histo.reader import read_slide

        try:
            layers = read_slide(path)
        except HistoError as error:
            self.bar.say(str(error), wrong=True)
            return
        self._slide = path.absolute()
        for data, settings, _ in layers:
            layer = self.session.viewer.add_image(data, **settings)
            self.session.viewer.layers.move(self.session.viewer.layers.index(layer), 0)
        self._on_folder()

    # Dividing

    def _check(self) -> None:
        if isalive(self):
            review, slide = self.session.review, self.slide
            words = f"<b>{self._on}</b>" if self._on else "<b>No slide is open</b>"
            if review is not None and review.edits:
                words += f", {len(review.edits)} edits, which stay"
            self.title.setText(words)
            self.find_button.setVisible(review is not None and slide is None)
            self.bar.set_problem(self._problem())

    def _problem(self) -> str:
        return why_not(self.session.review, self.slide, self.drawn, self.divide_box)

    def run(self) -> None:
        """Divide the open result, in the child process, as the form says."""
        review, slide, box = self.session.review, self.slide, self.divide_box
        if self._problem() or review is None or slide is None:
            self._check()
            return
        path = self._own_file()
        if box.way != BY_MODEL and (path is None or not self._store(path)):
            return
        folder = Path(review.folder)
        arguments: dict[str, Any] = {
            "slide": str(slide),
            "folder": str(folder),
            "out": str(folder.parent),
        }
        if box.way == BY_LEARNING:
            others = self._others() if box.others.isChecked() else []
            arguments |= {
                "annotations": str(path),
                "others": [[str(part) for part in one] for one in others],
                "model": str(box.model_folder.value),
                "stains": box.stains,
                "steps": box.steps.value(),
            }
        else:
            arguments["regions"] = str(path) if box.way == BY_DRAWN else box.model.value
        try:
            self.job.start("learn" if box.way == BY_LEARNING else "divide", arguments)
        except HistoError as error:
            self.bar.say(str(error), wrong=True)
            return
        self._divided = folder
        self.learnt.hide()
        self.bar.begin()

    def _store(self, path: Path) -> bool:
        """Write the annotations of this slide; never over what somebody else wrote."""
        if path.exists() and path.absolute() not in self._files:
            self.bar.say(
                f"{path.name} is there already, and is not what is drawn here: load it, or choose "
                "another folder for the annotations.",
                wrong=True,
            )
            return False
        return self.save(path)

    def _on_report(self, name: str, value: dict[str, Any]) -> None:
        if name != "learnt":
            return
        self.learnt.setText(score_words(value))
        self.learnt.show()
        self.divide_box.model.take(str(self.divide_box.model_folder.value))

    def _on_ended(self, outcome: Outcome) -> None:
        if outcome.status != "finished":
            return
        review = self.session.review
        if review is None or Path(review.folder) != self._divided:
            self.bar.say(f"{self._divided.name if self._divided else ''} is divided: open it.")
            return
        try:
            self.session.reload()
            self.session.show_regions()
        except HistoError as error:
            self.bar.say(str(error), wrong=True)
            return
        self.bar.say("Divided. Cells and edits are as they were.")
        QTimer.singleShot(0, self._reveal)

    def _reveal(self) -> None:
        if isalive(self):
            self.area.ensureWidgetVisible(self.table)
