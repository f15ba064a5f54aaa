"""Blind recount: the reader counts random fields without seeing what the software found."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from histo.errors import HistoError
from napari_histo.blind import Blind
from napari_histo.session import Session

if TYPE_CHECKING:
    from histo.metrics.evaluation import Figure
    from histo.review.count_agreement import CountAgreement
    from histo.review.recount import Recount
    from napari_histo.count_layers import CountLayers

__all__ = ["RecountWidget"]

_FIELDS = 30
#: The figures that are shown: name, title, and what it means.
_SHOWN = (
    ("reader_positive", "Counted by the reader", "Positive cells in all counted fields."),
    ("software_positive", "Counted by the software", "In the same fields."),
    ("icc_2_1", "ICC(2,1)", "Agreement of counts: 1 is full; above 0.9 excellent, 0.75 good."),
    ("count_ccc", "Lin's concordance", "1 when all pairs of counts are equal."),
    ("count_bias", "Mean difference", "Software less reader, cells a field."),
    ("count_limit_low", "95 % of differences from", "Lower limit of agreement, cells a field."),
    ("count_limit_high", "                to", "Upper limit of agreement, cells a field."),
    ("count_bias_ratio", "Mean ratio", "Software / reader, geometric mean over fields."),
    ("count_limit_low_ratio", "95 % of ratios from", "Lower limit of agreement, as a ratio."),
    ("count_limit_high_ratio", "                to", "Upper limit of agreement, as a ratio."),
    ("cell_kappa", "Cohen's kappa", "Positive or negative, cell by cell; 0 is chance."),
    ("positive_precision_4um", "Precision of positive cells", "How many found ones are right."),
    ("positive_recall_4um", "Recall of positive cells", "How many of the reader's are found."),
    ("positive_f1_4um", "F1 of positive cells", "Both in one; paired within 4 µm."),
    ("detection_f1_4um", "F1 of all cells", "Whether cells are found at all."),
    (
        "slide_count_ratio",
        "Ratio in the whole slide",
        "Software / reader, by the strata's weights.",
    ),
)


class RecountWidget(QWidget):
    """Sets up a recount, leads through its fields, and shows how well the two agree.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.session = Session.of(napari_viewer)
        self.blind = Blind(self.session)
        self.recount: Recount | None = None
        self.agreement: CountAgreement | None = None
        self.index = 0
        self._layers: CountLayers | None = None
        self.pages = QStackedWidget()
        self.message = QLabel()
        self.message.setWordWrap(True)
        for page in (self._set_up_page(), self._count_page(), self._result_page()):
            self.pages.addWidget(page)
        layout = QVBoxLayout(self)
        layout.addWidget(self.pages)
        layout.addWidget(self.message)
        self.session.review_changed.connect(self._on_review)
        self._on_review()

    # -- the pages ------------------------------------------------------------------------

    def _set_up_page(self) -> QWidget:
        self.result = QLabel()
        self.result.setWordWrap(True)
        self.marker, self.former = QComboBox(), QComboBox()
        self.reader = QLineEdit()
        self.reader.setToolTip("Who counts; stands in the names of the files.")
        self.fields = QSpinBox()
        self.fields.setRange(2, 500)
        self.fields.setValue(_FIELDS)
        self.fields.setToolTip("Thirty give an ICC of 0.9 an interval of about 0.80 to 0.95.")
        self.side = QDoubleSpinBox()
        self.side.setRange(20, 2000)
        self.side.setDecimals(0)
        self.side.setSingleStep(25)
        self.side.setSuffix(" µm")
        self.side.setToolTip(
            "Side of a field. Suggested: such that a usual field holds about fifteen\n"
            "positive cells, at most 400 µm."
        )
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setValue(1)
        self.seed.setToolTip("The same number draws the same fields: for a second reader.")
        self.both = QCheckBox("Mark negative cells, too (Shift + click)")
        self.both.setToolTip(
            "Takes longer; shows also how many cells are found at all. Else each cell of the\n"
            "software that is passed over counts as called negative."
        )
        self.begin_button = QPushButton("Begin blind recount")
        self.continue_button = QPushButton("Continue")
        form = QFormLayout()
        for title, part in (
            ("Result", self.result),
            ("Marker", self.marker),
            ("Reader", self.reader),
            ("Fields", self.fields),
            ("Side", self.side),
            ("Seed", self.seed),
        ):
            form.addRow(title, part)
        self.former_row = QWidget()
        row = QHBoxLayout(self.former_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.former, 1)
        row.addWidget(self.continue_button)
        self.former_title = QLabel("Recounts of this slide")
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        for part in (self.both, self.begin_button, self.former_title, self.former_row):
            layout.addWidget(part)
        layout.addStretch(1)
        self.begin_button.clicked.connect(self._on_begin)
        self.continue_button.clicked.connect(self._on_continue)
        self.former.currentIndexChanged.connect(self._on_former)
        self.marker.currentIndexChanged.connect(self._suggest_side)
        return page

    def _count_page(self) -> QWidget:
        self.progress, self.hint, self.marked = QLabel(), QLabel(), QLabel()
        self.hint.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.back, self.next = QPushButton("Back (B)"), QPushButton("Next field (N)")
        self.undo, self.again = QPushButton("Undo last mark"), QPushButton("To the field")
        self.again.setToolTip("Bring the whole field into view again.")
        self.interrupt = QPushButton("Interrupt")
        self.interrupt.setToolTip("Everything is saved already; go on later with Continue.")
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.progress, self.bar, self.hint, self.marked):
            layout.addWidget(part)
        for pair in ((self.back, self.next), (self.undo, self.again)):
            row = QHBoxLayout()
            for button in pair:
                row.addWidget(button)
            layout.addLayout(row)
        layout.addWidget(self.interrupt)
        layout.addStretch(1)
        self.back.clicked.connect(lambda: self._step(-1))
        self.next.clicked.connect(lambda: self._step(1))
        self.undo.clicked.connect(lambda: self._layers and self._layers.undo())
        self.again.clicked.connect(self._show_field)
        self.interrupt.clicked.connect(self.stop)
        return page

    def _result_page(self) -> QWidget:
        self.words, self.picture, self.saved = QLabel(), QLabel(), QLabel()
        for label in (self.words, self.saved):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["", "Value", "95 % interval"])
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.table.setMinimumHeight(240)
        self.export = QPushButton("Save elsewhere…")
        self.export.setToolTip("Counts of each field (CSV), figures (JSON), the picture (PNG).")
        self.close_button = QPushButton("Close")
        buttons = QHBoxLayout()
        buttons.addWidget(self.export)
        buttons.addWidget(self.close_button)
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.words)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.picture)
        layout.addWidget(self.saved)
        layout.addLayout(buttons)
        self.export.clicked.connect(self._on_export)
        self.close_button.clicked.connect(self._to_set_up)
        return page

    # -- set up ---------------------------------------------------------------------------

    def _on_review(self) -> None:
        """Another result is open, or none: a recount that was going on is interrupted."""
        self._leave()
        review = self.session.review
        self.result.setText("none; open a result first" if review is None else review.name)
        self.marker.clear()
        if review is not None:
            self.marker.addItems([name.upper() for name in review.panel.marker_names])
            self.reader.setText(self.reader.text() or review.reader)
        self._suggest_side()
        self._to_set_up()

    def _to_set_up(self) -> None:
        self.pages.setCurrentIndex(0)
        self.say("")
        review, found = self.session.review, []
        if review is not None:
            from histo.review.recount import find_recounts

            found = find_recounts(review.folder)
        self.former.clear()
        for one in found:
            words = f"{one.reader}, {one.started[:10]}: {sum(one.done)} of {len(one.done)} fields"
            self.former.addItem(f"{words}, {one.plan.marker.upper()}", one)
        for part in (self.former_title, self.former_row):
            part.setVisible(bool(found))
        self.begin_button.setEnabled(review is not None and self.marker.count() > 0)
        self._on_former()

    def _on_former(self, index: int = 0) -> None:
        one = self.former.currentData()
        self.continue_button.setText(
            "Results" if one is not None and one.is_complete else "Continue"
        )

    def _suggest_side(self, index: int = 0) -> None:
        review = self.session.review
        if review is None or self.marker.count() == 0:
            return
        from histo.review.count_fields import suggest_side_um

        marker = self.marker.currentText().lower()
        self.side.setValue(suggest_side_um(review.cells, marker, review.areas.valid_um2))

    def _on_begin(self) -> None:
        try:
            self.begin()
        except HistoError as error:
            self.say(str(error))

    def begin(self) -> None:
        """Draw fields, and start to count.

        Raises
        ------
        HistoError
            If the tissue has too few fields, or the result folder cannot be written to.
        """
        from histo.review.count_fields import plan_recount, valid_tissue
        from histo.review.recount import Recount

        review = self.session.review
        if review is None:
            return
        valid, um = valid_tissue(review.folder, without_um=review.corrections.regions_um)
        plan = plan_recount(
            review.cells,
            valid,
            um,
            marker=self.marker.currentText().lower(),
            fields=(self.fields.value(), self.side.value()),
            seed=self.seed.value(),
        )
        self._count(
            Recount.begin(
                review.folder,
                plan,
                reader=self.reader.text().strip() or "reader",
                slide=review.name,
                both_classes=self.both.isChecked(),
            )
        )

    def _on_continue(self) -> None:
        one: Recount | None = self.former.currentData()
        if one is not None and one.is_complete:
            self.recount = one
            self._compare()
        elif one is not None:
            self._count(one)

    # -- counting -------------------------------------------------------------------------

    def _count(self, recount: Recount) -> None:
        from napari_histo.count_layers import CountLayers

        self.recount, self.index = recount, recount.next_field
        viewer = self.session.viewer
        self._layers = CountLayers(self.session, recount.both_classes, self)
        self._layers.changed.connect(self._on_marked)
        self.blind.begin(self._layers.layers)
        viewer.bind_key("N", lambda _: self._step(1), overwrite=True)
        viewer.bind_key("B", lambda _: self._step(-1), overwrite=True)
        marker = recount.plan.marker.upper()
        hint = f"Click each {marker}+ cell within the frame; click a mark to take it away."
        if recount.both_classes:
            hint += f" Shift + click marks a {marker}- cell."
        self.hint.setText(hint + " Drag moves the slide, the wheel zooms.")
        self.bar.setRange(0, len(recount.done))
        self.pages.setCurrentIndex(1)
        self.say("")
        self._show_field()

    def _show_field(self) -> None:
        if self.recount is None or self._layers is None:
            return
        self.blind.check()
        at = self.index
        self._layers.show(
            self.recount.plan.fields[at], self.recount.clicks[at], self.recount.positive[at]
        )
        number = len(self.recount.done)
        self.progress.setText(
            f"<b>Field {at + 1} of {number}</b>, {sum(self.recount.done)} finished"
        )
        self.bar.setValue(sum(self.recount.done))
        self.back.setEnabled(at > 0)
        self.next.setText("Finish (N)" if at == number - 1 else "Next field (N)")
        self._show_marked()

    def _show_marked(self) -> None:
        if self._layers is None or self.recount is None:
            return
        positive, number = int(self._layers.positive.sum()), len(self._layers.positive)
        words = f"{positive} positive"
        if self.recount.both_classes:
            words += f", {number - positive} negative"
        self.marked.setText(f"Marked in this field: <b>{words}</b>")
        self.undo.setEnabled(number > 0)

    def _on_marked(self) -> None:
        self._keep(done=self.recount is not None and self.recount.done[self.index])
        self._show_marked()

    def _keep(self, *, done: bool) -> None:
        """Write what is marked in the field."""
        if self.recount is None or self._layers is None:
            return
        try:
            self.recount.mark(self.index, self._layers.clicks_um, self._layers.positive, done=done)
        except HistoError as error:
            self.say(str(error))

    def _step(self, by: int) -> None:
        recount = self.recount
        if recount is None or self._layers is None or self.index + by < 0:
            return
        self._keep(done=by > 0 or recount.done[self.index])
        if self.index + by < len(recount.done):
            self.index += by
            self._show_field()
        elif recount.is_complete:
            self._leave()
            self._compare()
        else:
            self.index = recount.next_field
            self._show_field()
            self.say("This field is not finished yet.")

    def stop(self) -> None:
        """Leave the recount; it can be continued."""
        self._leave()
        self._to_set_up()

    def _leave(self) -> None:
        layers, self._layers = self._layers, None
        if layers is None:
            return
        layers.close()
        layers.deleteLater()
        self.blind.end()
        viewer = self.session.viewer
        if viewer is not None:
            for key in ("N", "B"):
                viewer.bind_key(key, None)

    # -- what came out --------------------------------------------------------------------

    def _compare(self) -> None:
        """Compare with the calls of now, and write the tables beside the recount."""
        from histo.review.count_agreement import compare_recount, explain_recount

        review, recount = self.session.review, self.recount
        if review is None or recount is None:
            return
        try:
            self.agreement = compare_recount(recount, review.cells)
            paths = self._write(recount.path.parent)
        except HistoError as error:
            self._to_set_up()
            self.say(str(error))
            return
        head, *rest = explain_recount(self.agreement)
        self.words.setText("<br>".join([f"<b>{head}</b>", *rest]))
        rows = [one for one in _SHOWN if any(f.name == one[0] for f in self.agreement.figures)]
        self.table.setRowCount(len(rows))
        for row, (name, title, meaning) in enumerate(rows):
            for column, text in enumerate((title, *_numbers(self.agreement.figure(name)))):
                item = QTableWidgetItem(text)
                item.setToolTip(meaning)
                self.table.setItem(row, column, item)
        self.picture.setPixmap(_pixmap(paths[2]))
        self.saved.setText(f"Saved in the result folder: {', '.join(path.name for path in paths)}")
        self.pages.setCurrentIndex(2)

    def _write(self, folder: Path) -> tuple[Path, Path, Path]:
        from histo.review.count_agreement import write_recount

        review = self.session.review
        if review is None or self.agreement is None:
            raise HistoError("No result is open; open the one that was counted.")
        marker = self.agreement.recount.plan.marker
        about = {
            "thresholds": [
                v if math.isfinite(v) else None for v in review.thresholds[marker].values
            ],
            "threshold_source": review.thresholds[marker].source,
            "model": review.manifest.get("model", {}),
            "panel": review.panel.name,
        }
        return write_recount(self.agreement, folder, about=about)

    def _on_export(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Save the recount")
        if not folder:
            return
        try:
            paths = self._write(Path(folder))
        except HistoError as error:
            self.say(str(error))
            return
        self.saved.setText(f"Saved in {folder}: {', '.join(path.name for path in paths)}")

    def say(self, sentence: str) -> None:
        """Show a sentence below the page."""
        self.message.setText(sentence)
        self.message.setVisible(bool(sentence))

    def hideEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Show again what was hidden when the widget is closed while counting."""
        if self._layers is not None and not event.spontaneous():
            self._leave()
            self.pages.setCurrentIndex(0)
        super().hideEvent(event)


def _numbers(figure: Figure) -> tuple[str, str]:
    """Write value and interval, counts without digits."""
    whole = figure.name.endswith("_positive")
    form = ",.0f" if whole else ".1f" if figure.unit == "cells" else ".2f"
    if math.isnan(figure.value):
        return "not defined", ""
    value = f"{figure.value:{form}}"
    if math.isnan(figure.low):
        return value, ""
    return value, f"{figure.low:{form}} to {figure.high:{form}}"


def _pixmap(path: Path) -> QPixmap:
    """Read a picture at a size that fits a dock."""
    image = QImage(str(path))
    return QPixmap.fromImage(
        image.scaledToWidth(min(image.width(), 460), Qt.TransformationMode.SmoothTransformation)
    )
