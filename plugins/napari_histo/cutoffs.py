"""Cut-offs of a marker: chosen by name, dragged in the histogram, or typed; calls follow live."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_histo.deciding import Deciding
from napari_histo.histogram import Histogram
from napari_histo.session import Session
from napari_histo.words import number, quantity

if TYPE_CHECKING:
    from histo.panel import Marker, Thresholds

__all__ = ["CutoffPanel"]

_SOURCES = {
    "panel": ("As the panel", "The numbers of the panel, the same for every slide."),
    "auto": ("From this slide", "Where the negative cells of this slide end."),
    "learned": ("By the model", "The model says which nuclei are positive, OD how strongly."),
    "user": ("By number", "Drag the lines, or type the numbers."),
}
_NAMES = ("1+", "2+", "3+")
_PROBABILITY = "nucleus_positivity"
_CLOSEST = 1.01  # a cut-off is at least this many times the one below


class CutoffPanel(QWidget):
    """Histogram and cut-offs of the marker that is reviewed.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    #: Another marker is reviewed.
    marker_changed = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._deciding: Deciding | None = None
        self._known: tuple[Any, ...] = ()
        self._wanted: tuple[float, float, float] | str | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._apply)
        self._build()
        session.review_changed.connect(self._on_review)
        session.calls_changed.connect(self._on_calls)
        self._on_review()

    def _build(self) -> None:
        self.marker_box = QComboBox()
        self.marker_box.setToolTip("The marker that is reviewed.")
        self.source_box = QComboBox()
        for source, (name, tip) in _SOURCES.items():
            self.source_box.addItem(name, source)
            self.source_box.setItemData(
                self.source_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole
            )
        self.histogram = Histogram()
        self.histogram.setToolTip(
            "Cells of the slide by what their call is made on; heights are square roots. "
            "Drag a line to move a cut-off."
        )
        self.spins = tuple(self._spin(index) for index in range(3))
        self.follow_box = QCheckBox("2+ and 3+ follow 1+")
        self.follow_box.setToolTip("Keep the ratios of the panel when 1+ is moved.")
        self.follow_box.setChecked(True)
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.summary.setTextFormat(Qt.TextFormat.RichText)
        self.note = QLabel()
        self.note.setWordWrap(True)
        choices = QHBoxLayout()
        choices.addWidget(QLabel("Marker"))
        choices.addWidget(self.marker_box, 1)
        choices.addWidget(QLabel("Cut-offs"))
        choices.addWidget(self.source_box, 1)
        numbers = QHBoxLayout()
        for name, spin in zip(_NAMES, self.spins, strict=True):
            numbers.addWidget(QLabel(name))
            numbers.addWidget(spin, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(choices)
        layout.addWidget(self.histogram, 1)
        layout.addLayout(numbers)
        layout.addWidget(self.follow_box)
        layout.addWidget(self.summary)
        layout.addWidget(self.note)
        self.marker_box.currentIndexChanged.connect(self._on_marker)
        self.source_box.activated.connect(self._on_source)
        self.histogram.moved.connect(self._on_moved)
        self.histogram.released.connect(self._on_released)

    def _spin(self, index: int) -> QDoubleSpinBox:
        spin = QDoubleSpinBox()
        spin.setKeyboardTracking(False)
        spin.setToolTip(f"{_NAMES[index]} begins here.")
        spin.valueChanged.connect(lambda value, index=index: self._on_moved(index, value))
        return spin

    @property
    def marker(self) -> str | None:
        """The marker that is reviewed; None without a result or a marker."""
        return self.marker_box.currentData()

    @property
    def thresholds(self) -> Thresholds | None:
        """The cut-offs of that marker."""
        review = self._session.review
        return None if review is None or self.marker is None else review.thresholds[self.marker]

    @property
    def deciding(self) -> Deciding | None:
        """What its calls are made on; None without a marker."""
        return self._deciding

    @property
    def first(self) -> float:
        """Where positive begins, in the unit of the histogram; NaN when nowhere."""
        from histo.panel import deciding_column

        cut = self.thresholds
        if cut is None:
            return math.nan
        panel = self._session.review.panel  # type: ignore[union-attr]
        return deciding_column(panel, self._marker, cut)[1]

    @property
    def _marker(self) -> Marker:
        return self._session.review.panel.marker(str(self.marker))  # type: ignore[union-attr]

    # What the session tells

    def _on_review(self) -> None:
        review = self._session.review
        self._known, self._deciding = (), None
        self.marker_box.blockSignals(True)
        self.marker_box.clear()
        for name in review.panel.marker_names if review is not None else ():
            self.marker_box.addItem(name.upper(), name)
        self.marker_box.blockSignals(False)
        self.setEnabled(self.marker is not None)
        self._on_marker()

    def _on_marker(self, index: int = 0) -> None:
        self._offer_sources()
        self._scale_spins()
        self._on_calls()
        self.marker_changed.emit()

    def _offer_sources(self) -> None:
        """Grey out what this marker cannot have."""
        from histo.errors import PanelError

        review = self._session.review
        possible = dict.fromkeys(_SOURCES, True)
        if review is not None and self.marker is not None:
            possible["panel"] = self._marker.thresholds is not None
            possible["learned"] = _PROBABILITY in review.cells
            try:
                review.panel.check_learned(self._marker)
            except PanelError:
                possible["learned"] = False
        model: Any = self.source_box.model()
        for row, source in enumerate(_SOURCES):
            model.item(row).setEnabled(possible[source])

    def _scale_spins(self) -> None:
        """Fit digits and steps of the boxes to the measure."""
        review = self._session.review
        if review is None or self.marker is None:
            return
        values = review.cells[review.panel.measurement(self._marker)].to_numpy(np.float64)
        finite = values[np.isfinite(values)]
        most = float(finite.max()) if len(finite) else 1.0
        fine = review.panel.quantity == "od" or most < 10
        for spin in self.spins:
            spin.blockSignals(True)
            spin.setDecimals(3 if fine else 0)
            spin.setSingleStep(0.005 if fine else max(1.0, round(most / 400)))
            spin.setRange(0.001 if fine else 1.0, 10.0 if fine else max(1e6, 10 * most))
            spin.blockSignals(False)

    def _on_calls(self) -> None:
        review, cut = self._session.review, self.thresholds
        if review is None or cut is None:
            self._show_nothing()
            return
        # Values only change with the edits, or when the model decides instead of a measure.
        known = (
            id(review),
            self.marker,
            cut.source == "learned",
            tuple(edit.number for edit in review.edits),
        )
        if known != self._known:
            self._known = known
            self._deciding = Deciding.of(review, str(self.marker))
            self._show_values()
        elif not self.histogram.is_held and self._lines()[-1:] > (self.histogram.highest,):
            self._show_values()
        self._show_cut(cut)

    def _show_nothing(self) -> None:
        self.histogram.show_values(np.zeros(0), highest=1.0, caption="")
        self.histogram.show_lines((), ())
        without = "The panel has no marker." if self._session.review is not None else ""
        self.summary.setText(without)
        self.note.clear()

    def _lines(self) -> tuple[float, ...]:
        cut = self.thresholds
        if cut is None or not cut.is_known:
            return ()
        return (self.first,) if cut.source == "learned" else cut.values

    def _show_values(self) -> None:
        if self._deciding is None:
            return
        lines = self._lines()
        learned = self._deciding.column == _PROBABILITY
        highest = 1.0 if learned else 1.25 * max(lines, default=0.0)
        self.histogram.show_values(
            self._deciding.values, highest=highest, caption=quantity(self._deciding.column)
        )

    def _show_cut(self, cut: Thresholds) -> None:
        from histo.results.calls import GRADES, NEGATIVE, POSITIVE

        lines, learned = self._lines(), cut.source == "learned"
        self.histogram.colours = (NEGATIVE, POSITIVE) if learned else (NEGATIVE, *GRADES)
        self.histogram.show_lines(
            lines, _NAMES[: len(lines)] if not learned else ("positive",), fixed=learned
        )
        self.source_box.setCurrentIndex(self.source_box.findData(cut.source))
        for spin, value in zip(self.spins, cut.values, strict=True):
            if not spin.hasFocus() or abs(spin.value() - value) > 10.0 ** -spin.decimals():
                spin.blockSignals(True)
                spin.setValue(0.0 if math.isnan(value) else value)
                spin.blockSignals(False)
        self.summary.setText(self._counted())
        notes = [f"<i>{cut.note}</i>"] if cut.note else []
        if learned:
            notes.append("The model decides what is positive; 2+ and 3+ go by optical density.")
        self.note.setText(" ".join(notes))
        self.note.setVisible(bool(notes))

    def _counted(self) -> str:
        review = self._session.review
        if review is None:
            return ""
        metrics = {metric.name: metric for metric in review.metrics}
        forms = {
            "count": "{} cells",
            "percent": "{}",
            "density_per_mm2": "{} per mm²",
            "h_score": "H-score {}",
        }
        parts = [
            form.format(number(metric.value, metric.unit))
            for ending, form in forms.items()
            if (metric := metrics.get(f"{self.marker}_{ending}")) is not None
        ]
        return f"<b>{str(self.marker).upper()}+</b>: " + " · ".join(parts)

    # What the reader does

    def _on_source(self, index: int) -> None:
        source = self.source_box.itemData(index)
        cut = self.thresholds
        if cut is None or source == cut.source:
            return
        if source == "user":
            self._wanted = cut.values if cut.is_known else self._middle()
        else:
            self._wanted = source
        self._timer.start(0)

    def _middle(self) -> tuple[float, float, float]:
        """Return cut-offs to begin with where there are none."""
        values = self._deciding.values if self._deciding is not None else np.zeros(0)
        low = float(np.quantile(values, 0.9)) if len(values) else 0.1
        return self._graded(max(low, self.spins[0].minimum()))

    def _graded(self, first: float) -> tuple[float, float, float]:
        one, two, three = (first * ratio for ratio in self._marker.ratios)
        return one, two, three

    def _on_moved(self, index: int, value: float) -> None:
        """Move one cut-off; the others follow, or give way."""
        cut = self.thresholds
        if cut is None:
            return
        values = [*(cut.values if cut.is_known else self._middle())]
        if isinstance(self._wanted, tuple):
            values = [*self._wanted]
        value = max(value, self.spins[index].minimum())
        if index == 0 and self.follow_box.isChecked():
            values = [*self._graded(value)]
        else:
            values[index] = value
            for above in range(index + 1, 3):
                values[above] = max(values[above], values[above - 1] * _CLOSEST)
            for below in range(index - 1, -1, -1):
                values[below] = min(values[below], values[below + 1] / _CLOSEST)
        self._wanted = (values[0], values[1], values[2])
        # The line follows at once; calls when the queue of mouse events is empty, so that the
        # drag never lags behind.
        if self.histogram.is_held:
            self.histogram.show_lines(self._wanted, _NAMES)
        self._timer.start(0)

    def _on_released(self) -> None:
        if self._timer.isActive():
            self._timer.stop()
            self._apply()
        self._known = ()
        self._on_calls()

    def _apply(self) -> None:
        """Make the calls that are wanted now; what was wanted meanwhile is passed over."""
        review, wanted = self._session.review, self._wanted
        self._wanted = None
        if review is None or wanted is None or self.marker is None:
            return
        review.set_thresholds({self.marker: wanted})
        self._session.refresh()
