"""What the plots of the widgets share: a quiet font, and ink that suits the theme."""

from __future__ import annotations

from qtpy.QtGui import QColor, QFont, QPainter, QPaintEvent
from qtpy.QtWidgets import QWidget

__all__ = ["Plot"]


class Plot(QWidget):
    """A widget that paints itself; each kind of plot says what in ``paint(painter)``."""

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Set the painter up, and paint."""
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            font = QFont(self.font())
            font.setPointSizeF(max(font.pointSizeF() * 0.82, 7.0))
            painter.setFont(font)
            self.paint(painter)
        finally:
            painter.end()

    def paint(self, painter: QPainter) -> None:
        """Paint axes and data."""
        raise NotImplementedError

    def ink(self, alpha: int = 255) -> QColor:
        """Return the colour of the theme's text, more or less transparent."""
        ink = QColor(self.palette().windowText().color())
        ink.setAlpha(alpha)
        return ink
