"""The compartments of the open result as a small table: area, share, density of each marker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem

from napari_histo.words import number

if TYPE_CHECKING:
    from histo.metrics import Metric
    from histo.review import Review

__all__ = ["CompartmentTable", "class_icon", "compartment_rows"]

_ICON_PX = 12
#: Densities of several markers need more width than there is: they are scrolled.
_WIDEST_PX = 400


def compartment_rows(
    classes: Sequence[str], metrics: Sequence[Metric], markers: Sequence[str]
) -> list[list[str]]:
    """Return what the table says, one row a compartment.

    Parameters
    ----------
    classes : sequence of str
        As they are shown.
    metrics : sequence of Metric
        Of the slide.
    markers : sequence of str

    Returns
    -------
    list of list of str
        Name, mm², share, and for each marker the density per mm² with its interval.

    Examples
    --------
    >>> from histo.metrics import Metric
    >>> of_tumor = [Metric("tumor_area_mm2", 1.5, "mm²"), Metric("tumor_area_percent", 75.0, "%"),
    ...     Metric("tumor_foxp3_density_per_mm2", 12.0, "cells/mm²", low=8.2, high=17.0)]
    >>> compartment_rows(["Tumor"], of_tumor, ["foxp3"])
    [['Tumor', '1.500', '75.0 %', '12.0 (8.2–17.0)']]
    """
    from histo.region.compartments import class_word

    known = {metric.name: metric for metric in metrics}
    rows = []
    for name in classes:
        word = class_word(name)
        area, share = known.get(f"{word}_area_mm2"), known.get(f"{word}_area_percent")
        row = [
            name,
            "" if area is None else f"{area.value:.3f}",
            "" if share is None else number(share.value, "%"),
        ]
        row += [_density(known.get(f"{word}_{marker}_density_per_mm2")) for marker in markers]
        rows.append(row)
    return rows


def _density(metric: Metric | None) -> str:
    if metric is None:
        return ""
    value = number(metric.value, metric.unit)
    if math.isnan(metric.low) or math.isnan(metric.high):
        return value
    return f"{value} ({number(metric.low, metric.unit)}–{number(metric.high, metric.unit)})"


def class_icon(name: str) -> QIcon:
    """Return a square in the colour of a class."""
    from histo.results.annotations import class_colour

    square = QPixmap(_ICON_PX, _ICON_PX)
    square.fill(QColor(*class_colour(name)))
    return QIcon(square)


class CompartmentTable(QTableWidget):
    """Shows the compartments of a result; as high as it has rows."""

    def __init__(self) -> None:
        super().__init__(0, 3)
        self.verticalHeader().hide()
        self.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.setHorizontalScrollMode(QTableWidget.ScrollMode.ScrollPerPixel)
        self.setToolTip("The densities with their 95 % interval; all metrics stand in 'Results'.")

    def show_review(self, review: Review | None) -> None:
        """Show the compartments of a result; nothing where it was not divided."""
        about = {} if review is None else review.manifest.get("compartments") or {}
        markers = () if review is None else review.panel.marker_names
        metrics = () if review is None else review.metrics
        rows = compartment_rows(about.get("classes", ()), metrics, markers)
        titles = ["Compartment", "mm²", "Share", *(f"{one.upper()}+ per mm²" for one in markers)]
        self.setColumnCount(len(titles))
        self.setHorizontalHeaderLabels(titles)
        self.setRowCount(len(rows))
        for row, texts in enumerate(rows):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if column:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                else:
                    item.setIcon(class_icon(text))
                self.setItem(row, column, item)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(False)
        self.resizeColumnsToContents()
        width = header.length() + 4
        self.setMinimumWidth(min(width, _WIDEST_PX))
        heights = sum(self.rowHeight(row) for row in range(len(rows)))
        bar = self.horizontalScrollBar().sizeHint().height() if width > _WIDEST_PX else 0
        self.setFixedHeight(heights + header.sizeHint().height() + bar + 4)
        self.setVisible(bool(rows))
