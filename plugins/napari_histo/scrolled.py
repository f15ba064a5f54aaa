"""A form that scrolls where the window is too low for it, and is never cut off sideways."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QLayout, QScrollArea, QVBoxLayout, QWidget

__all__ = ["Scrolled", "scrolled"]


class Scrolled(QScrollArea):
    """Scrolls up and down; as wide as its content needs, also when that changes.

    Parameters
    ----------
    content : QLayout
    """

    def __init__(self, content: QLayout) -> None:
        super().__init__()
        self._inner = QWidget()
        self._inner.setLayout(content)
        self._inner.installEventFilter(self)
        self.setWidget(self._inner)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 (Qt's name)
        """Follow the content when it asks for another size."""
        if watched is self._inner and event.type() == QEvent.Type.LayoutRequest:
            self._fit()
        return False

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 (Qt's name)
        """Give wrapped texts the height that they need at this width."""
        super().resizeEvent(event)
        self._fit()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the size of the content."""
        return self._inner.sizeHint()

    def _fit(self) -> None:
        bar = self.verticalScrollBar().sizeHint().width()
        self.setMinimumWidth(self._inner.minimumSizeHint().width() + bar)
        # Qt's least height does not know of texts that wrap.
        self._inner.setMinimumHeight(self._inner.heightForWidth(self.viewport().width()))


def scrolled(widget: QWidget, content: QLayout) -> Scrolled:
    """Fill a widget with a layout that scrolls.

    Parameters
    ----------
    widget : QWidget
        Without a layout yet.
    content : QLayout

    Returns
    -------
    Scrolled
    """
    area = Scrolled(content)
    outer = QVBoxLayout(widget)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(area)
    return area
