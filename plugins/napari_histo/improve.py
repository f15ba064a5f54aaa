"""Correct and improve: corrected cells of some slides become lessons, and a new model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from histo.errors import HistoError
from histo.nuclei import list_models
from napari_histo.handing import hand_to_forms
from napari_histo.polygons import polygons_um
from napari_histo.run_bar import RunBar
from napari_histo.runner import Job, Outcome
from napari_histo.scrolled import scrolled
from napari_histo.session import Session
from napari_histo.settings_form import Choice

__all__ = ["ImproveWidget"]

#: Which slide a lesson is of stands in this file beside the lessons.
_LIST = "lessons.json"
_LAYER = "every nucleus is right here"
_LEAST, _GOOD = 30, 300
_FITS, _FAILS = "color: #3fae6a; font-weight: bold", "color: #e8a33d; font-weight: bold"


class ImproveWidget(QWidget):
    """Collects fields of corrected nuclei, trains a model with them, and says if it is better.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    #: A model was made: its folder.
    trained = Signal(str)

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.session = Session.of(napari_viewer)
        self.job = Job(self)
        self.lessons: list[dict[str, Any]] = []
        self.value: dict[str, Any] | None = None
        #: Only so many steps, however many minutes there are.
        self.steps: int | None = None
        self.bar = RunBar(self.job, title="Train")
        self._layer: Any = None
        self._lay_out()
        self.bar.asked.connect(self.train)
        self.job.ended.connect(self._on_ended)
        self.session.review_changed.connect(self._on_review)
        self.session.slide_changed.connect(self._on_review)
        self._on_review()

    # -- the form -------------------------------------------------------------------------

    def _lay_out(self) -> None:
        layout = QVBoxLayout()
        boxes = self._fields_box(), self._lessons_box(), self._train_box(), self._result_box()
        for part in boxes:
            layout.addWidget(part)
        layout.addStretch(1)
        self.area = scrolled(self, layout)

    def _fields_box(self) -> QGroupBox:
        box = QGroupBox("1  Correct cells, and mark fields")
        self.result = QLabel()
        self.result.setWordWrap(True)
        hint = QLabel(
            "Correct with 'Review cells'. Then draw around places where every nucleus has the "
            "right outline, and nothing else has one."
        )
        hint.setWordWrap(True)
        self.draw, self.add = QPushButton("Draw a field"), QPushButton("Add to the lessons")
        self.draw.setToolTip("Rectangles, or any other shape of the layer's controls.")
        self.add.setToolTip("Write the nuclei of the fields; replaces those of this slide.")
        self.message = QLabel()
        self.message.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.draw)
        row.addWidget(self.add)
        inner = QVBoxLayout(box)
        for part in (self.result, hint):
            inner.addWidget(part)
        inner.addLayout(row)
        inner.addWidget(self.message)
        self.message.hide()
        self.draw.clicked.connect(self._on_draw)
        self.add.clicked.connect(self._on_add)
        return box

    def _lessons_box(self) -> QGroupBox:
        box = QGroupBox("2  Lessons")
        self.folder, self.browse = QLineEdit(), QToolButton()
        self.folder.setToolTip("GeoJSON files, one a slide; QuPath opens them, too.")
        self.browse.setText("…")
        self.table = QTableWidget(0, 4)
        self.table.setHorizontalHeaderLabels(["Slide", "Fields", "Nuclei", "Edited"])
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setMinimumHeight(110)
        self.total = QLabel()
        self.total.setWordWrap(True)
        self.remove = QPushButton("Remove")
        self.remove.setToolTip("Take the selected slides out of the list; the files stay.")
        place = QHBoxLayout()
        place.addWidget(QLabel("Folder"))
        place.addWidget(self.folder)
        place.addWidget(self.browse)
        row = QHBoxLayout()
        row.addWidget(self.total, 1)
        row.addWidget(self.remove)
        inner = QVBoxLayout(box)
        inner.addLayout(place)
        inner.addWidget(self.table)
        inner.addLayout(row)
        self.browse.clicked.connect(self._on_browse)
        self.folder.editingFinished.connect(self._load)
        self.remove.clicked.connect(self._on_remove)
        return box

    def _train_box(self) -> QGroupBox:
        box = QGroupBox("3  Train")
        self.model = Choice(self._ask_model, "from a folder…")
        self.model.setToolTip("Begin with the shipped one, with all cells, old and new.")
        self.model.offer(
            [(card.name, card.name) for card in list_models() if card.reads == "brightfield"]
        )
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0.5, 600)
        self.minutes.setDecimals(1)
        self.minutes.setValue(5)
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("Of learning; reading and scoring come on top.")
        self.name = QLineEdit("our-nuclei")
        self.name.setToolTip("Folder of the new model, beside the lessons.")
        form = QFormLayout()
        for title, part in (
            ("Start from", self.model),
            ("Time", self.minutes),
            ("Name", self.name),
        ):
            form.addRow(title, part)
        inner = QVBoxLayout(box)
        inner.addLayout(form)
        inner.addWidget(self.bar)
        self.name.textChanged.connect(self._check)
        return box

    def _result_box(self) -> QWidget:
        self.outcome = QWidget()
        self.verdict, self.about = QLabel(), QLabel()
        for label in (self.verdict, self.about):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.scores = QTableWidget(0, 3)
        self.scores.setHorizontalHeaderLabels(
            ["On nuclei it did not learn from", "Before", "After"]
        )
        self.scores.verticalHeader().hide()
        self.scores.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        header = self.scores.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.use = QPushButton("Use it in the open forms")
        self.use.setToolTip("Chooses it under Model in 'Analyse a slide' and 'Run a folder'.")
        inner = QVBoxLayout(self.outcome)
        inner.setContentsMargins(0, 0, 0, 0)
        for part in (self.verdict, self.scores, self.about, self.use):
            inner.addWidget(part)
        self.use.clicked.connect(self._on_use)
        self.outcome.hide()
        return self.outcome

    # -- fields ---------------------------------------------------------------------------

    def _on_review(self) -> None:
        review = self.session.review
        slide = self.session.reviewed_slide
        if review is None:
            words = "Open a result first."
        elif slide is None:
            words = f"{review.name}: open its slide, too, which is learned from."
        else:
            edits = len(review.edits)
            words = f"<b>{review.name}</b>, {edits} edit{'s' * (edits != 1)}"
        self.result.setText(words)
        for button in (self.draw, self.add):
            button.setEnabled(review is not None and slide is not None)
        if review is not None and not self.folder.text():
            self.folder.setText(str(Path(review.folder).parent / "corrected"))
            self._load()
        self._drop_layer()
        self._check()

    def _drop_layer(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None and layer in self.session.viewer.layers:
            self.session.viewer.layers.remove(layer)

    def _on_draw(self) -> None:
        viewer = self.session.viewer
        if self._layer is None or self._layer not in viewer.layers:
            self._layer = viewer.add_shapes(
                ndim=2,
                name=_LAYER,
                edge_color="#ffffff",
                face_color="transparent",
                edge_width=1.5,
                units=("micrometer", "micrometer"),
                metadata={"histo": {"lesson": True}},
            )
            self._draw_former()
        viewer.layers.selection.active = self._layer
        self._layer.mode = "add_rectangle"

    def _draw_former(self) -> None:
        """Draw the fields that the lesson of this slide has already."""
        review = self.session.review
        if review is None:
            return
        from histo.pipeline.files import level0_um
        from histo.review.lessons import read_fields

        try:
            former = read_fields(self._truth(review.name), level0_um(review.manifest["slide"]))
        except HistoError as error:
            self.say(str(error))
            return
        if former:
            self._layer.add(former, shape_type="polygon")

    def _truth(self, name: str) -> Path:
        return Path(self.folder.text()) / f"{name}.geojson"

    def _on_add(self) -> None:
        from histo.review.lessons import write_lesson

        review, slide = self.session.review, self.session.reviewed_slide
        if review is None or slide is None:
            return
        drawn = self._layer is not None and self._layer in self.session.viewer.layers
        fields = polygons_um(self._layer) if drawn else self.session.shapes_um()
        try:
            done = write_lesson(review, fields, self._truth(review.name))
        except HistoError as error:
            self.say(str(error))
            return
        entry = {
            "slide": str(slide),
            "truth": done.truth.name,
            "fields": done.fields,
            "nuclei": done.nuclei,
            "edits": done.edits,
        }
        self.lessons = [one for one in self.lessons if one["truth"] != entry["truth"]]
        self.lessons.append(entry)
        self._store()
        self.say(f"{done.nuclei} nuclei of {review.name} are written to {done.truth.name}.")
        if drawn:
            self._layer.mode = "pan_zoom"

    def say(self, sentence: str) -> None:
        """Show a sentence below the buttons."""
        self.message.setText(sentence)
        self.message.setVisible(bool(sentence))

    # -- lessons --------------------------------------------------------------------------

    def _on_browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the lessons", self.folder.text())
        if folder:
            self.folder.setText(folder)
            self._load()

    def _load(self) -> None:
        """Read the list of the folder; lessons whose file is gone are left out."""
        folder = Path(self.folder.text())
        try:
            known = json.loads((folder / _LIST).read_text(encoding="utf-8"))
            self.lessons = [one for one in known if (folder / one["truth"]).is_file()]
        except (OSError, ValueError, TypeError, KeyError):
            self.lessons = []
        self._show_lessons()

    def _store(self) -> None:
        from histo.results import replace_file

        try:
            with replace_file(Path(self.folder.text()) / _LIST) as temporary:
                temporary.write_text(json.dumps(self.lessons, indent=1) + "\n", encoding="utf-8")
        except HistoError as error:
            self.say(str(error))
        self._show_lessons()

    def _on_remove(self) -> None:
        rows = {index.row() for index in self.table.selectionModel().selectedRows()}
        self.lessons = [one for row, one in enumerate(self.lessons) if row not in rows]
        self._store()

    def _show_lessons(self) -> None:
        self.table.setRowCount(len(self.lessons))
        for row, one in enumerate(self.lessons):
            texts = (Path(one["slide"]).name, *(str(one[k]) for k in ("fields", "nuclei", "edits")))
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(one["slide"])
                self.table.setItem(row, column, item)
        nuclei = sum(one["nuclei"] for one in self.lessons)
        words = f"{nuclei} nuclei of {len(self.lessons)} slide{'s' * (len(self.lessons) != 1)}"
        if nuclei < _LEAST:
            words += f"; at least {_LEAST} are needed"
        elif nuclei < _GOOD or len(self.lessons) < 4:
            words += f"; {_GOOD} of four slides or more teach better"
        self.total.setText(words)
        self._check()

    def _check(self) -> None:
        problem = ""
        missing = [one for one in self.lessons if not Path(one["slide"]).exists()]
        name = self.name.text().strip()
        if sum(one["nuclei"] for one in self.lessons) < _LEAST:
            problem = f"Add lessons with at least {_LEAST} nuclei."
        elif missing:
            problem = f"{Path(missing[0]['slide']).name} is no longer where it was; remove it."
        elif not name or name != Path(name).name or name.startswith("."):
            problem = "Give the new model a name that can be that of a folder."
        self.bar.set_problem(problem)

    # -- training -------------------------------------------------------------------------

    def _ask_model(self) -> str:
        return QFileDialog.getExistingDirectory(self, "The folder of a model")

    def train(self) -> None:
        """Train in the child process."""
        folder = Path(self.folder.text())
        arguments = {
            "lessons": [[one["slide"], str(folder / one["truth"])] for one in self.lessons],
            "out": str(folder / "models"),
            "name": self.name.text().strip(),
            "settings": {
                "model": self.model.value,
                "minutes": self.minutes.value(),
                "steps": self.steps,
            },
        }
        try:
            self.job.start("train", arguments)
        except HistoError as error:
            self.bar.say(str(error), wrong=True)
            return
        self.outcome.hide()
        self.bar.begin()

    def _on_ended(self, outcome: Outcome) -> None:
        if outcome.status == "cancelled":
            self.bar.say("Stopped. Train again with the same lessons to go on from there.")
        if outcome.status != "finished" or outcome.value is None:
            return
        self.value = value = outcome.value
        self.bar.say("")
        self.verdict.setText(value["words"])
        self.verdict.setStyleSheet(_FITS if value["better"] else _FAILS)
        self.scores.setRowCount(len(value["rows"]))
        for row, texts in enumerate(value["rows"]):
            for column, text in enumerate(texts):
                self.scores.setItem(row, column, QTableWidgetItem(text))
        rows = sum(self.scores.rowHeight(row) for row in range(self.scores.rowCount()))
        header = self.scores.horizontalHeader().sizeHint().height()
        self.scores.setFixedHeight(rows + header + 4)
        notes = "".join(f"<br>{note}" for note in value["notes"])
        self.about.setText(
            f"Learned from {value['learnt']} nuclei, judged on {value['held']} others.{notes}<br>"
            f"The model: {value['folder']}"
        )
        self.outcome.show()
        QTimer.singleShot(0, lambda: self.area.ensureWidgetVisible(self.use))
        self.trained.emit(value["folder"])

    def _on_use(self) -> None:
        if self.value is None:
            return
        taken = hand_to_forms(self.session, "model", self.value["folder"])
        words = f"Chosen in {', '.join(taken)}." if taken else (
            "Open 'Analyse a slide', and choose the folder under Model."
        )  # fmt: skip
        self.bar.say(words)
