"""Pictures of cells in a grid, each with its outline and value; they come in while one works."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QPointF, QRect, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import (
    QColor,
    QFont,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
)
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["Gallery", "Tile"]

_SIDE, _GAP, _LABEL = 66, 6, 15
#: So long a tick reads at most, before the window has its turn again.
_TICK_S = 0.012
_KEPT = 600


@dataclass(frozen=True, slots=True)
class Tile:
    """One cell of the gallery.

    Parameters
    ----------
    cell_id : int
    text : str
        Below its picture.
    rgb : (int, int, int)
        Colour of its call.
    """

    cell_id: int
    text: str
    rgb: tuple[int, int, int]


class Gallery(QWidget):
    """Cells in a grid.

    Parameters
    ----------
    parent : QWidget, optional
    """

    #: The ``cell_id`` that was clicked.
    clicked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tiles: tuple[Tile, ...] = ()
        self._split = 0
        self._selected: int | None = None
        self._note = ""
        self._load: (
            Callable[[int], tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]] | None] | None
        ) = None
        self._pictures: OrderedDict[int, tuple[QPixmap, QPolygonF]] = OrderedDict()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._read_some)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMouseTracking(True)

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The cells that are shown."""
        return self._tiles

    @property
    def pending(self) -> int:
        """How many pictures have not come in yet."""
        return sum(tile.cell_id not in self._pictures for tile in self._tiles)

    def show_from(
        self,
        load: Callable[[int], tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]] | None] | None,
        note: str = "",
    ) -> None:
        """Say where pictures come from.

        Parameters
        ----------
        load : callable, optional
            Gives for a ``cell_id`` a picture (uint8 (S, S, 3)) and the outline (float64 (N, 2)
            y, x as shares of its side); or None where there is no picture.
        note : str
            What is said when there is no source of pictures.
        """
        self._load, self._note = load, note
        self._pictures.clear()
        self._start()

    def show_tiles(self, tiles: Sequence[Tile], *, split: int = 0) -> None:
        """Show these cells.

        Parameters
        ----------
        tiles : sequence of Tile
        split : int
            The threshold lies before this one; a line is drawn there.
        """
        self._tiles, self._split = tuple(tiles), split
        self._fit()
        self._start()

    def select(self, cell_id: int | None) -> None:
        """Frame a cell."""
        self._selected = cell_id
        self.update()

    def _start(self) -> None:
        self.update()
        if self._load is not None and self.pending:
            self._timer.start(0)

    def _read_some(self) -> None:
        """Read pictures until the window wants its turn."""
        end = time.monotonic() + _TICK_S
        for tile in self._tiles:
            if tile.cell_id in self._pictures or self._load is None:
                continue
            loaded = self._load(tile.cell_id)
            picture, outline = (
                loaded if loaded is not None else (np.zeros((1, 1, 3), np.uint8), None)
            )
            self._pictures[tile.cell_id] = _pixmap(picture), _polygon(outline)
            if time.monotonic() > end:
                break
        shown = {tile.cell_id for tile in self._tiles}
        for cell in [one for one in self._pictures if one not in shown]:
            if len(self._pictures) <= _KEPT:
                break
            del self._pictures[cell]
        if self._load is None or not self.pending:
            self._timer.stop()
        self.update()

    # Where things lie

    @property
    def _columns(self) -> int:
        return max(1, (self.width() + _GAP) // (_SIDE + _GAP))

    def heightForWidth(self, width: int) -> int:  # noqa: N802 (Qt's name)
        """Return the height that the rows need."""
        columns = max(1, (width + _GAP) // (_SIDE + _GAP))
        rows = max(1, -(-len(self._tiles) // columns))
        return rows * (_SIDE + _LABEL + _GAP)

    def _fit(self) -> None:
        self.setFixedHeight(self.heightForWidth(max(self.width(), _SIDE)))

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Arrange the rows anew."""
        self._fit()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the size that Qt asks for."""
        return QSize(5 * (_SIDE + _GAP), 2 * (_SIDE + _LABEL + _GAP))

    def place_of(self, index: int) -> QRect:
        """Return the square of a tile."""
        row, column = divmod(index, self._columns)
        return QRect(column * (_SIDE + _GAP), row * (_SIDE + _LABEL + _GAP), _SIDE, _SIDE)

    # Painting and clicking

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Paint the tiles that are seen."""
        painter = QPainter(self)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            if self._load is None and self._note:
                painter.setPen(self.palette().windowText().color())
                flags = Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap
                painter.drawText(
                    QRectF(2, 2, self.width() - 4, self.height() - 4), int(flags), self._note
                )
                return
            font = QFont(self.font())
            font.setPointSizeF(max(font.pointSizeF() * 0.8, 7.0))
            painter.setFont(font)
            seen = event.rect() if event is not None else self.rect()
            for index, tile in enumerate(self._tiles):
                place = self.place_of(index)
                if place.adjusted(-_GAP, -_GAP, _GAP, _LABEL).intersects(seen):
                    self._paint_tile(painter, QRectF(place), tile)
                    if index == self._split and index:
                        self._paint_split(painter, place)
        finally:
            painter.end()

    def _paint_tile(self, painter: QPainter, place: QRectF, tile: Tile) -> None:
        colour = QColor(*tile.rgb)
        picture = self._pictures.get(tile.cell_id)
        if picture is None:
            painter.fillRect(place, QColor(128, 128, 128, 60))
        else:
            pixmap, outline = picture
            painter.drawPixmap(place, pixmap, QRectF(pixmap.rect()))
            painter.save()
            painter.setClipRect(place)
            painter.translate(place.topLeft())
            painter.scale(place.width(), place.height())
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for ink, width in ((QColor(0, 0, 0, 110), 3.0), (colour, 1.4)):
                pen = QPen(ink, width)
                pen.setCosmetic(True)
                painter.setPen(pen)
                painter.drawPolygon(outline)
            painter.restore()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        chosen = tile.cell_id == self._selected
        painter.setPen(QPen(QColor(0, 235, 255) if chosen else colour, 4.0 if chosen else 2.0))
        painter.drawRect(place.adjusted(1, 1, -1, -1))
        painter.setPen(self.palette().windowText().color())
        below = QRectF(place.left() - 3, place.bottom(), place.width() + 6, _LABEL)
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, tile.text)

    def _paint_split(self, painter: QPainter, place: QRect) -> None:
        x = place.left() - _GAP / 2
        painter.setPen(QPen(self.palette().windowText().color(), 2, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(x, place.top()), QPointF(x, place.bottom() + _LABEL))

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Tell which cell was clicked."""
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        at = event.position().toPoint()
        for index, tile in enumerate(self._tiles):
            if self.place_of(index).contains(at):
                self.clicked.emit(tile.cell_id)
                return


def _pixmap(rgb: npt.NDArray[np.uint8]) -> QPixmap:
    height, width = rgb.shape[:2]
    # The image looks into the array, so it is copied into the pixmap before that goes.
    image = QImage(rgb.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return QPixmap.fromImage(image.copy())


def _polygon(outline: npt.NDArray[np.float64] | None) -> QPolygonF:
    points = [] if outline is None else [QPointF(float(x), float(y)) for y, x in outline]
    return QPolygonF(points)
