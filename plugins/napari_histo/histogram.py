"""A histogram whose cut-offs are drawn lines that can be dragged."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_histo.plot import Plot

__all__ = ["Histogram", "axis_ticks", "bar_heights", "short_number"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 20, 38
_BINS = 110
_GRAB_PX = 7


def bar_heights(
    values: npt.NDArray[np.floating], highest: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Count values in equal bins.

    Parameters
    ----------
    values : float (N,)
        Finite.
    highest : float
        The axis reaches at least to here.

    Returns
    -------
    edges : float64 (B + 1,)
        From 0, or below when many values are negative, to the value that 99.5 % lie below.
    counts : int64 (B,)
        The outer bins also hold what lies beyond.

    Examples
    --------
    >>> edges, counts = bar_heights(np.array([0.1, 0.2, 9.0]), 0.5)
    >>> float(edges[0]), int(counts.sum())
    (0.0, 3)
    """
    low, high = 0.0, highest
    if len(values):
        part_low, part_high = np.quantile(values, (0.005, 0.995))
        low, high = min(low, float(part_low)), max(high, float(part_high))
    high = max(high, low + 1e-9)
    edges = np.linspace(low, high, int(np.clip(len(values) / 8, 20, _BINS)) + 1)
    # Equal bins need no search.
    places = ((values - low) * ((len(edges) - 1) / (high - low))).astype(np.int64)
    counts = np.bincount(np.clip(places, 0, len(edges) - 2), minlength=len(edges) - 1)
    return edges, counts


def axis_ticks(low: float, high: float, most: int) -> npt.NDArray[np.float64]:
    """Return round numbers within a range, at most ``most`` or one more.

    Examples
    --------
    >>> axis_ticks(0.0, 1.0, 5).tolist()
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = max(high - low, 1e-12) / max(most, 1)
    magnitude = 10.0 ** np.floor(np.log10(span))
    step = magnitude * next(m for m in (1, 2, 5, 10) if m * magnitude >= span * (1 - 1e-9))
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return np.round(np.arange(int(first), int(last) + 1) * step, 12)


def short_number(value: float) -> str:
    """Write an OD with three digits, an intensity with none behind the point.

    Examples
    --------
    >>> short_number(0.12345), short_number(1234.5), short_number(float("nan"))
    ('0.123', '1,234', '-')
    """
    if not np.isfinite(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.0f}"


class Histogram(Plot):
    """Bars in the colours of the calls; the lines between them can be dragged.

    Heights are square roots of the counts, so that few positive cells are seen beside many
    negative ones; the last bar also holds the highest 0.5 %.

    Parameters
    ----------
    parent : QWidget, optional
    """

    #: A line (from 0) is dragged to a value.
    moved = Signal(int, float)
    #: A line was let go.
    released = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colours = [QColor(128, 128, 128)]
        self._edges = np.linspace(0, 1, 2)
        self._counts = np.zeros(1, np.int64)
        self._lines: tuple[float, ...] = ()
        self._names: tuple[str, ...] = ()
        self._caption = ""
        self._fixed = False
        self._held: int | None = None
        self.setMinimumHeight(150)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the size that Qt asks for."""
        return QSize(360, 170)

    def show_values(
        self, values: npt.NDArray[np.floating], *, highest: float, caption: str
    ) -> None:
        """Show the distribution of some values.

        Parameters
        ----------
        values : float (N,)
            Finite.
        highest : float
            The axis reaches at least to here.
        caption : str
            What is measured, with its unit.
        """
        self._edges, self._counts = bar_heights(values, highest)
        self._caption = caption
        self.update()

    def show_lines(
        self, lines: Sequence[float], names: Sequence[str], *, fixed: bool = False
    ) -> None:
        """Draw the cut-offs, rising; ``fixed`` ones cannot be dragged."""
        self._lines, self._names = tuple(lines), tuple(names)
        self._fixed = fixed
        self.update()

    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        """Of what lies below the first line, between it and the second, and so on."""
        return tuple((one.red(), one.green(), one.blue()) for one in self._colours)

    @colours.setter
    def colours(self, colours: Sequence[tuple[int, int, int]]) -> None:
        self._colours = [QColor(*rgb) for rgb in colours]
        self.update()

    @property
    def is_held(self) -> bool:
        """Whether a line is being dragged."""
        return self._held is not None

    @property
    def lines(self) -> tuple[float, ...]:
        """Where the cut-offs lie."""
        return self._lines

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Cells of each bar."""
        return self._counts

    @property
    def highest(self) -> float:
        """Where the axis ends."""
        return float(self._edges[-1])

    def x_of(self, value: float) -> float:
        """Return where a value lies, in pixels from the left of the widget."""
        area = self._area()
        low, high = self._edges[0], self._edges[-1]
        return float(area.left() + (value - low) / (high - low) * area.width())

    def _value_at(self, x: float) -> float:
        area = self._area()
        low, high = self._edges[0], self._edges[-1]
        share = np.clip((x - area.left()) / max(area.width(), 1), 0, 1)
        return float(low + share * (high - low))

    def _area(self) -> QRectF:
        return QRectF(
            _LEFT,
            _TOP,
            max(self.width() - _LEFT - _RIGHT, 1),
            max(self.height() - _TOP - _BOTTOM, 1),
        )

    # Painting

    def paint(self, painter: QPainter) -> None:
        """Paint bars, axes and lines."""
        self._paint_axes(painter)
        self._paint_bars(painter)
        self._paint_lines(painter)

    def _paint_axes(self, painter: QPainter) -> None:
        area = self._area()
        metrics = painter.fontMetrics()
        most = max(int(self._counts.max()), 1)
        for count in self._count_ticks(most):
            y = area.bottom() - np.sqrt(count / most) * area.height()
            painter.setPen(QPen(self.ink(35), 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(self.ink(190))
            box = QRectF(0, y - 8, area.left() - 5, 16)
            painter.drawText(
                box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"{count:,}"
            )
        painter.setPen(QPen(self.ink(120), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        low, high = float(self._edges[0]), float(self._edges[-1])
        for value in axis_ticks(low, high, max(int(area.width() / 55), 2)):
            x = self.x_of(float(value))
            painter.setPen(QPen(self.ink(120), 1))
            painter.drawLine(QPointF(x, area.bottom()), QPointF(x, area.bottom() + 4))
            painter.setPen(self.ink(190))
            box = QRectF(x - 40, area.bottom() + 4, 80, 15)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, f"{value:,.10g}")
        painter.setPen(self.ink())
        box = QRectF(area.left(), area.bottom() + 18, area.width(), 18)
        text = metrics.elidedText(self._caption, Qt.TextElideMode.ElideRight, int(area.width()))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    @staticmethod
    def _count_ticks(most: int) -> list[int]:
        """Return round counts whose square roots lie well apart."""
        ticks: list[int] = []
        for share in (0.06, 0.25, 0.56, 1.0):
            count = most * share
            magnitude = 10 ** int(np.floor(np.log10(max(count, 1))))
            rounded = int(count / magnitude) * magnitude
            if rounded >= 1 and rounded not in ticks:
                ticks.append(rounded)
        return ticks

    def _paint_bars(self, painter: QPainter) -> None:
        area = self._area()
        most = max(int(self._counts.max()), 1)
        width = area.width() / len(self._counts)
        gap = 0.5 if width > 3 else 0.0
        bars = [
            QRectF(area.left() + index * width, area.bottom() - height, width - gap, height)
            for index, height in enumerate(np.sqrt(self._counts / most) * area.height())
            if height > 0
        ]
        # A bar that a line crosses has both colours: each colour is painted between two lines.
        bounds = [area.left(), *(self.x_of(line) for line in self._lines), area.right()]
        painter.setPen(Qt.PenStyle.NoPen)
        for index, (left, right) in enumerate(itertools.pairwise(bounds)):
            clip = QRectF(left, area.top() - 1, max(right - left, 0), area.height() + 2)
            painter.setClipRect(clip)
            painter.setBrush(self._colours[min(index, len(self._colours) - 1)])
            painter.drawRects([bar for bar in bars if bar.intersects(clip)])
        painter.setClipping(False)

    def _paint_lines(self, painter: QPainter) -> None:
        area = self._area()
        metrics = painter.fontMetrics()
        free_from = -1e9
        for index, line in enumerate(self._lines):
            x = self.x_of(min(line, self.highest))
            style = Qt.PenStyle.DashLine if self._fixed else Qt.PenStyle.SolidLine
            held = index == self._held
            painter.setPen(QPen(self.ink(), 2.4 if held else 1.4, style))
            painter.drawLine(QPointF(x, area.top() - 3), QPointF(x, area.bottom()))
            if not self._fixed:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(self.ink())
                painter.drawEllipse(QPointF(x, area.top() - 1), 4, 4)
            text = f"{self._names[index]} {short_number(line)}"
            width = metrics.horizontalAdvance(text)
            left = min(max(x - width / 2, free_from), self.width() - width - 2.0)
            if left >= free_from:
                painter.setPen(self.ink())
                painter.drawText(QPointF(left, metrics.ascent() + 0.0), text)
                free_from = left + width + 6

    # The mouse

    def _line_at(self, x: float) -> int | None:
        if self._fixed or not self._lines:
            return None
        away = [abs(self.x_of(line) - x) for line in self._lines]
        nearest = int(np.argmin(away))
        return nearest if away[nearest] <= _GRAB_PX else None

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Take the line below the mouse."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._held = self._line_at(event.position().x())
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Move the line, or show that it could be moved."""
        if event is None:
            return
        x = event.position().x()
        if self._held is not None:
            self.moved.emit(self._held, self._value_at(x))
        else:
            over = self._line_at(x) is not None
            self.setCursor(Qt.CursorShape.SizeHorCursor if over else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Let the line go."""
        if self._held is not None:
            self._held = None
            self.update()
            self.released.emit()
