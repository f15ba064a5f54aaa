"""The frame of a field and the reader's marks in it: layers, and what the mouse does to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, Signal

from histo.review.count_fields import CountField
from napari_histo.session import Session

__all__ = ["CountLayers"]

Floats = npt.NDArray[np.float64]

_MARK_UM, _REACH_UM, _REACH_PX = 9.0, 4.0, 8.0
_MOVED_PX = 4
#: Orange and blue are told apart by everybody, and lie on neither stain.
_COLOURS = {True: (1.0, 0.76, 0.0, 1.0), False: (0.25, 0.75, 1.0, 1.0)}
_SHADE = (0.0, 0.0, 0.0, 0.55)
#: How far around the field the slide is shaded, in sides of it.
_SHADED = 4.0


class CountLayers(QObject):
    """A field to count in: a click marks a cell, a click on a mark takes it away.

    Parameters
    ----------
    session : Session
    both_classes : bool
        Whether Shift with a click marks a negative cell.
    parent : QObject, optional
    """

    #: The marks have changed.
    changed = Signal()

    def __init__(self, session: Session, both_classes: bool, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._both = session, both_classes
        self._field: CountField | None = None
        self._at: Floats = np.zeros((0, 2))
        self._positive = np.zeros(0, bool)
        viewer = session.viewer
        units = ("micrometer", "micrometer")
        facts = {"histo": {"recount": True}}
        self.frame = viewer.add_shapes(ndim=2, name="field", units=units, metadata=facts)
        self.marks = viewer.add_points(
            ndim=2,
            name="marked cells",
            size=_MARK_UM,
            face_color="transparent",
            border_width=0.16,
            units=units,
            metadata=facts,
        )
        # Marks are set by our clicks alone; a tool that was left on must not move them.
        self.frame.editable = self.marks.editable = False
        viewer.mouse_drag_callbacks.append(self._on_press)
        viewer.layers.selection.active = self.marks

    @property
    def layers(self) -> tuple[Any, Any]:
        """Frame and marks."""
        return self.frame, self.marks

    @property
    def clicks_um(self) -> Floats:
        """Marked cells (y, x), float64 (K, 2)."""
        return self._at

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Which of them are positive, bool (K,)."""
        return self._positive

    def show(self, field: CountField, clicks: Floats, positive: npt.NDArray[np.bool_]) -> None:
        """Show a field with what is marked in it, and bring it into view."""
        self._field, self._at, self._positive = field, clicks, positive
        top, left, side = field.y_um, field.x_um, field.side_um
        far = _SHADED * side
        boxes = [
            (top - far, left - far, top, left + side + far),
            (top + side, left - far, top + side + far, left + side + far),
            (top, left - far, top + side, left),
            (top, left + side, top + side, left + side + far),
            (top, left, top + side, left + side),
        ]
        corners = [np.array([[a, b], [a, d], [c, d], [c, b]]) for a, b, c, d in boxes]
        self.frame.data = []
        clear, edge = (0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0)
        self.frame.add(
            corners,
            shape_type="rectangle",
            face_color=[_SHADE] * 4 + [clear],
            edge_color=[clear] * 4 + [edge],
            edge_width=side / 150,
        )
        self.frame.selected_data = set()
        self._draw()
        self._session.fly_to(*field.centre_um, field_um=side * 1.08)

    def close(self) -> None:
        """Take the layers away."""
        viewer = self._session.viewer
        if viewer is None:
            return
        if self._on_press in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.remove(self._on_press)
        for layer in self.layers:
            if layer in viewer.layers:
                viewer.layers.remove(layer)

    def undo(self) -> None:
        """Take the last mark away."""
        if len(self._at):
            self._take_away(len(self._at) - 1)

    def click(self, y_um: float, x_um: float, *, positive: bool = True) -> None:
        """Mark a cell, or take away the mark that lies there; outside of the field, nothing."""
        if self._field is None or not self._field.contains([[y_um, x_um]])[0]:
            self._session.say("Only cells whose centre lies within the frame are counted.")
            return
        reach = max(_REACH_UM, _REACH_PX / float(self._session.viewer.camera.zoom))
        away = np.hypot(*(self._at - [y_um, x_um]).T)
        if len(away) and away.min() <= min(reach, 2 * _REACH_UM):
            self._take_away(int(away.argmin()))
            return
        self._at = np.append(self._at, [[y_um, x_um]], axis=0)
        self._positive = np.append(self._positive, positive)
        self._draw()
        self.changed.emit()

    def _take_away(self, index: int) -> None:
        self._at = np.delete(self._at, index, axis=0)
        self._positive = np.delete(self._positive, index)
        self._draw()
        self.changed.emit()

    def _draw(self) -> None:
        colours = np.array([_COLOURS[bool(one)] for one in self._positive]).reshape(-1, 4)
        self.marks.selected_data = set()
        self.marks.data = self._at
        if len(self._at):
            self.marks.border_color = colours
            self.marks.face_color = "transparent"
            self.marks.border_width = 0.16
            self.marks.size = _MARK_UM
        self.marks.selected_data = set()

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        """Tell a click from a drag, which moves the slide."""
        start = np.array(event.pos, np.float64)
        negative = self._both and "Shift" in event.modifiers
        yield
        while event.type == "mouse_move":
            if np.abs(np.array(event.pos, np.float64) - start).max() > _MOVED_PX:
                return
            yield
        if event.button == 1 and self._field is not None:
            y_um, x_um = (float(value) for value in event.position[-2:])
            self.click(y_um, x_um, positive=not negative)
