"""How a number changes when all cut-offs of a marker are moved together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPainterPath, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_histo.histogram import axis_ticks
from napari_histo.plot import Plot

__all__ = ["Curve"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 12, 38
_LINE = QColor(86, 180, 233)


class Curve(Plot):
    """A metric against the cut-offs, as multiples of those in use.

    Parameters
    ----------
    parent : QWidget, optional
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._factors: npt.NDArray[np.float64] = np.zeros(0)
        self._values: npt.NDArray[np.float64] = np.zeros(0)
        self._name = ""
        self.setMinimumHeight(150)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the size that Qt asks for."""
        return QSize(360, 180)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """What is drawn."""
        return self._values

    def show_curve(
        self, factors: npt.NDArray[np.float64], values: npt.NDArray[np.float64], name: str
    ) -> None:
        """Show a curve.

        Parameters
        ----------
        factors : float64 (F,)
            Of all cut-offs; rising.
        values : float64 (F,)
        name : str
            Of what is drawn, with its unit.
        """
        self._factors, self._values, self._name = factors, values, name
        self.update()

    def paint(self, painter: QPainter) -> None:
        """Paint axes, the band of the sensitivity range, and the curve."""
        if np.isfinite(self._values).any():
            self._paint(painter)
            return
        painter.setPen(self.ink())
        painter.drawText(
            QRectF(self.rect()), Qt.AlignmentFlag.AlignCenter, "There is no cut-off to move."
        )

    def _paint(self, painter: QPainter) -> None:
        area = QRectF(_LEFT, _TOP, self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM)
        low, high = float(self._factors[0]), float(self._factors[-1])
        top = max(float(np.nanmax(self._values)) * 1.08, 1e-9)

        def point(factor: float, value: float) -> QPointF:
            return QPointF(
                area.left() + (factor - low) / (high - low) * area.width(),
                area.bottom() - value / top * area.height(),
            )

        band = QRectF(point(0.8, top), point(1.2, 0.0))
        painter.fillRect(band, self.ink(28))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for value in axis_ticks(0.0, top, max(int(area.height() / 32), 2)):
            at = point(low, float(value))
            painter.setPen(QPen(self.ink(35), 1))
            painter.drawLine(at, QPointF(area.right(), at.y()))
            painter.setPen(self.ink(190))
            painter.drawText(QRectF(0, at.y() - 8, area.left() - 6, 16), right, f"{value:,.10g}")
        for factor in axis_ticks(low, high, 6):
            at = point(float(factor), 0.0)
            painter.setPen(self.ink(190))
            box = QRectF(at.x() - 30, area.bottom() + 4, 60, 15)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, f"{factor:.2g} ×")
        painter.setPen(QPen(self.ink(120), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.setPen(QPen(self.ink(200), 1.2, Qt.PenStyle.DashLine))
        painter.drawLine(point(1.0, 0.0), point(1.0, top))
        path = QPainterPath(point(self._factors[0], self._values[0]))
        for factor, value in zip(self._factors[1:], self._values[1:], strict=True):
            path.lineTo(point(float(factor), float(value)))
        painter.setPen(QPen(_LINE, 2.2))
        painter.drawPath(path)
        painter.setPen(self.ink())
        box = QRectF(area.left(), area.bottom() + 19, area.width(), 18)
        caption = f"{self._name} when all cut-offs are multiplied; grey: 0.8 to 1.2"
        text = painter.fontMetrics().elidedText(
            caption, Qt.TextElideMode.ElideRight, int(area.width())
        )
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
