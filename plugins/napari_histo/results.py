"""Results: every number of the slide that is open, live; what to doubt; plots and maps."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_histo.curve import Curve
from napari_histo.density_panel import DensityPanel
from napari_histo.histogram import Histogram
from napari_histo.metric_table import MetricTable
from napari_histo.session import Session
from napari_histo.words import metric_title, quantity, slide_doubt

if TYPE_CHECKING:
    import napari

    from histo.review import Review

__all__ = ["ResultsWidget"]

_FACTORS = np.linspace(0.5, 1.5, 41)
_CURVES = ("percent", "density_per_mm2", "h_score", "count")
_QUIET_MS = 120


class ResultsWidget(QWidget):
    """The numbers of the result that is open.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self._session = Session.of(napari_viewer)
        self._quiet = QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.timeout.connect(self._show_plots)
        self._build()
        self._session.review_changed.connect(self._on_review)
        self._session.calls_changed.connect(self._on_calls)
        self._on_review()

    def _build(self) -> None:
        self.title = QLabel()
        self.title.setTextFormat(Qt.TextFormat.RichText)
        self.title.setWordWrap(True)
        self.table = MetricTable()
        self.copy_button = QPushButton("Copy table")
        self.copy_button.setToolTip(
            "Copy the selected rows, or all, for a spreadsheet (text with tabs). Ctrl+C."
        )
        self.copy_button.clicked.connect(self.table.copy)
        self.flags = QLabel()
        self.flags.setTextFormat(Qt.TextFormat.RichText)
        self.flags.setWordWrap(True)
        self.flags.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.density = DensityPanel(self._session)
        numbers = QWidget()
        column = QVBoxLayout(numbers)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.table, 1)
        row = QHBoxLayout()
        row.addWidget(self.copy_button)
        row.addStretch(1)
        column.addLayout(row)
        column.addWidget(self.flags)
        self.tabs = QTabWidget()
        self.tabs.addTab(numbers, "Numbers")
        self.tabs.addTab(self._plots_page(), "Cut-offs")
        self.tabs.addTab(self.density, "Density")
        self.tabs.currentChanged.connect(lambda index: self._show_plots())
        notice = QLabel("For Research Use Only. Not for use in diagnostic procedures.")
        notice.setWordWrap(True)
        notice.setStyleSheet("color: gray")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self.title)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(notice)

    def _plots_page(self) -> QWidget:
        self.marker_box = QComboBox()
        self.curve_box = QComboBox()
        self.curve_box.setToolTip("What is drawn against the cut-offs.")
        self.curve = Curve()
        self.curve.setToolTip(
            "If the curve is steep at 1, the cut-off decides the number: look at the cells near "
            "it under Review cells."
        )
        self.histogram = Histogram()
        self.marker_box.activated.connect(self._on_marker)
        self.curve_box.activated.connect(lambda index: self._show_plots())
        form = QFormLayout()
        form.addRow("Marker", self.marker_box)
        form.addRow("Number", self.curve_box)
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.addLayout(form)
        layout.addWidget(self.curve, 1)
        layout.addWidget(self.histogram, 1)
        return page

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the size that Qt asks for."""
        return QSize(580, 760)

    # What the session tells

    def _on_review(self) -> None:
        review = self._session.review
        self.tabs.setEnabled(review is not None)
        self.marker_box.clear()
        for name in review.panel.marker_names if review is not None else ():
            self.marker_box.addItem(name.upper(), name)
        self._on_marker()
        self._on_calls()

    def _on_marker(self, index: int = 0) -> None:
        chosen = self.curve_box.currentIndex()
        self.curve_box.clear()
        marker = self.marker_box.currentData()
        for ending in _CURVES if marker else ():
            self.curve_box.addItem(metric_title(f"{marker}_{ending}", (marker,)), ending)
        self.curve_box.setCurrentIndex(max(chosen, 0))
        self._show_plots()

    def _on_calls(self) -> None:
        review = self._session.review
        if review is None:
            self.title.setText(
                "Open a result: drop its folder on the window, or open it under Review cells."
            )
            self.table.show_metrics((), ())
            self.flags.clear()
        else:
            self.title.setText(self._heading(review))
            markers = tuple(review.panel.marker_names)
            self.table.show_metrics(review.metrics, markers, _compartments(review))
            self.flags.setText(_flags(review))
        self._quiet.start(_QUIET_MS)

    def _heading(self, review: Review) -> str:
        text = f"<b>{escape(review.name)}</b> · {escape(review.panel.title)}"
        if review.edits:
            text += f" · {len(review.edits)} edits"
        return text + (" — <i>not saved</i>" if self._session.unsaved else "")

    # Plots

    def _show_plots(self) -> None:
        """Draw what is seen of the plots; the others wait until they are."""
        review, marker = self._session.review, self.marker_box.currentData()
        if review is None or not marker or self.tabs.currentIndex() != 1:
            return
        self._show_curve(review, marker)
        self._show_histogram(review, marker)

    def _show_curve(self, review: Review, marker: str) -> None:
        from histo.metrics import density_per_mm2, h_score, positive_fraction
        from histo.metrics.calls import marker_calls

        valid = review.cells[(review.cells["compartment"] != "excluded").to_numpy()]
        calls = marker_calls(valid, review.panel, review.panel.marker(marker), review.thresholds)
        ending = str(self.curve_box.currentData())
        if not calls.are_known or not calls.grades.size:
            self.curve.show_curve(_FACTORS, np.full(_FACTORS.size, np.nan), "")
            return
        counts = calls.curve(_FACTORS)
        positive = counts[:, 1:].sum(axis=1)
        values = {
            "count": lambda: positive.astype(np.float64),
            "density_per_mm2": lambda: density_per_mm2(positive, review.areas.valid_um2),
            "percent": lambda: 100 * positive_fraction(counts),
            "h_score": lambda: h_score(counts),
        }[ending]()
        unit = " (%)" if ending == "percent" else ""
        title = metric_title(f"{marker}_{ending}", (marker,)) + unit
        self.curve.show_curve(_FACTORS, np.asarray(values, np.float64), title)

    def _show_histogram(self, review: Review, marker: str) -> None:
        from histo.results.calls import GRADES, NEGATIVE

        cut = review.thresholds[marker]
        column = review.panel.measurement(review.panel.marker(marker))
        values = review.cells[column].to_numpy(np.float64)
        values = values[
            (review.cells["compartment"] != "excluded").to_numpy() & np.isfinite(values)
        ]
        lines = cut.values if cut.is_known else ()
        learned = cut.source == "learned"
        # The model decides on positive, OD only from 2+ on.
        self.histogram.colours = (
            ((128, 128, 128), GRADES[1], GRADES[2]) if learned else (NEGATIVE, *GRADES)
        )
        self.histogram.show_values(
            values, highest=1.25 * max(lines, default=0.0), caption=quantity(column)
        )
        names = ("1+", "2+", "3+")
        kept = slice(1, 3) if learned else slice(0, 3)
        self.histogram.show_lines(lines[kept], names[kept], fixed=True)


def _compartments(review: Review) -> tuple[str, ...]:
    from histo.region.compartments import class_word

    about = review.manifest.get("compartments") or {}
    return tuple(class_word(name) for name in about.get("classes", ()))


def _flags(review: Review) -> str:
    """Return the doubts about the slide in words."""
    from histo.pipeline.numbers import threshold_flags, without_threshold_flags

    flags = without_threshold_flags(review.manifest.get("flags", ()))
    flags += threshold_flags(review.thresholds, review.cells, review.panel)
    if not flags:
        return "No flags: nothing speaks against these numbers."
    lines = [f"⚠ {escape(slide_doubt(flag))}" for flag in flags]
    return "<b>Before you use the numbers</b><br>" + "<br>".join(lines)
