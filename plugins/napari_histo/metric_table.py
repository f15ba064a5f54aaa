"""The metrics of a slide as a table to read and to copy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtGui import QBrush, QColor, QGuiApplication, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from histo.metrics import Metric
from napari_histo.words import metric_group, metric_title, number

__all__ = ["MetricTable"]

_HEAD = ("", "Value", "95 % interval", "n / N", "±20 % cut-offs")
_TIPS = (
    "",
    "",
    "Of the counting: it holds for cells that are found and called right, and for this section.",
    "What the number is made from.",
    "Smallest and largest value while all cut-offs go from 0.8 to 1.2 times theirs. A wide range "
    "means that the cut-off decides the number.",
)


class MetricTable(QTreeWidget):
    """Metrics under the heading of their marker.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setColumnCount(len(_HEAD))
        self.setHeaderLabels(list(_HEAD))
        head = self.headerItem()
        for column, tip in enumerate(_TIPS):
            if head is not None and tip:
                head.setToolTip(column, tip)
        self.setRootIsDecorated(False)
        self.setIndentation(10)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header = self.header()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            header.setStretchLastSection(False)
        self._rows: dict[str, QTreeWidgetItem] = {}
        self._names: tuple[str, ...] = ()
        self._metrics: tuple[Metric, ...] = ()
        self._markers: tuple[str, ...] = ()
        self._parts: tuple[str, ...] = ()

    def show_metrics(
        self,
        metrics: Sequence[Metric],
        markers: tuple[str, ...],
        compartments: tuple[str, ...] = (),
    ) -> None:
        """Show metrics; the rows stay when only their numbers change.

        Parameters
        ----------
        metrics : sequence of Metric
        markers : tuple of str
            The panel's.
        compartments : tuple of str
            Words of the compartments, where the slide is divided.
        """
        self._metrics, self._markers, self._parts = tuple(metrics), markers, compartments
        names = tuple(metric.name for metric in metrics)
        if names != self._names:
            self._names = names
            self._make_rows()
        for metric in metrics:
            row = self._rows[metric.name]
            for column, text in enumerate(_texts(metric), start=1):
                if row.text(column) != text:
                    row.setText(column, text)

    def _make_rows(self) -> None:
        self.clear()
        self._rows.clear()
        groups: dict[str, QTreeWidgetItem] = {}
        for metric in self._metrics:
            heading = metric_group(metric.name, self._markers, self._parts)
            if heading not in groups:
                group = QTreeWidgetItem([heading])
                font = self.font()
                font.setBold(True)
                group.setFont(0, font)
                group.setFlags(Qt.ItemFlag.ItemIsEnabled)
                self.addTopLevelItem(group)
                group.setFirstColumnSpanned(True)
                groups[heading] = group
            row = QTreeWidgetItem([metric_title(metric.name, self._markers, self._parts)])
            row.setToolTip(0, metric.name)
            for column in range(1, len(_HEAD)):
                row.setTextAlignment(
                    column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                )
            row.setForeground(4, QBrush(QColor(150, 150, 150)))
            if metric.denominator_name:
                row.setToolTip(3, f"N: {metric.denominator_name}")
            groups[heading].addChild(row)
            self._rows[metric.name] = row
        self.expandAll()

    def text_of(self, name: str) -> str:
        """Return the value of a metric as it stands in the table."""
        return self._rows[name].text(1)

    def copied(self, *, selected: bool = False) -> str:
        """Return the table as text, columns parted by tabs, numbers in full.

        Parameters
        ----------
        selected : bool
            Only the rows that are selected.
        """
        lines = ["\t".join(("metric", "name", "value", "unit", "low", "high", "n", "N",
                            "N is", "at cut-offs -20..+20 %, low", "high"))]  # fmt: skip
        for metric in self._metrics:
            if selected and not self._rows[metric.name].isSelected():
                continue
            numbers = (metric.low, metric.high, metric.numerator, metric.denominator)
            lines.append(
                "\t".join(
                    (
                        metric_title(metric.name, self._markers, self._parts),
                        metric.name,
                        _plain(metric.value),
                        metric.unit,
                        *map(_plain, numbers),
                        metric.denominator_name,
                        _plain(metric.sensitivity_low),
                        _plain(metric.sensitivity_high),
                    )
                )
            )
        return "\n".join(lines) + "\n"

    def copy(self) -> None:
        """Put the selected rows, or all when none is, onto the clipboard."""
        board = QGuiApplication.clipboard()
        if board is not None:
            board.setText(self.copied(selected=bool(self.selectedItems())))

    def keyPressEvent(self, event: object) -> None:  # noqa: N802 (Qt's name)
        """Copy with Ctrl+C."""
        if event.matches(QKeySequence.StandardKey.Copy):  # type: ignore[attr-defined]
            self.copy()
        else:
            super().keyPressEvent(event)  # type: ignore[arg-type]


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.10g}"


def _texts(metric: Metric) -> tuple[str, str, str, str]:
    def pair(low: float, high: float) -> str:
        if math.isnan(low) or math.isnan(high):
            return ""
        first, second = number(low, metric.unit), number(high, metric.unit)
        return f"{first.removesuffix(' %')} – {second.removesuffix(' %')}"

    made = ""
    if metric.unit == "0-300" and metric.denominator > 0:
        made = f"{metric.denominator:,.0f}"
    elif not math.isnan(metric.numerator) and metric.denominator > 0:
        made = f"{metric.numerator:,.0f} / {metric.denominator:,.0f}"
        if "µm²" in metric.denominator_name:
            made = f"{metric.numerator:,.0f} / {metric.denominator / 1e6:,.3f} mm²"
            if metric.unit == "%":
                made = f"{metric.numerator / 1e6:,.3f} / {metric.denominator / 1e6:,.3f} mm²"
    return (
        number(metric.value, metric.unit),
        pair(metric.low, metric.high),
        made,
        pair(metric.sensitivity_low, metric.sensitivity_high),
    )
