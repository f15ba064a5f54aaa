"""Hides what the software found, so that a reader counts without seeing it."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QDockWidget

from napari_histo.session import Session

__all__ = ["Blind"]

#: Widgets that show calls or numbers.
_TELLING = ("napari_histo.review", "napari_histo.results", "napari_histo.analyse")


class Blind:
    """While it is on, only slides and the reader's own layers are seen.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._own: tuple[Any, ...] = ()
        self._hidden: list[Any] = []
        self._docks: list[QDockWidget] = []
        self.is_on = False

    def begin(self, own: tuple[Any, ...]) -> None:
        """Hide everything but slides and these layers."""
        self.end()
        viewer = self._session.viewer
        self._own, self.is_on = own, True
        self._session.select(None)
        self._session.takes_click = _ignore
        for layer in viewer.layers:
            self._hide(layer)
        viewer.layers.events.inserted.connect(self._on_inserted)
        # Older napari do not tell which widgets are docked; then only layers are hidden.
        for widget in dict(getattr(viewer.window, "dock_widgets", {})).values():
            if type(widget).__module__ in _TELLING and (dock := _dock_of(widget)) is not None:
                if dock.isVisible():
                    dock.hide()
                    self._docks.append(dock)

    def check(self) -> None:
        """Hide again what was made visible meanwhile."""
        for layer in self._session.viewer.layers if self.is_on else ():
            self._hide(layer)

    def end(self) -> None:
        """Show again what was hidden."""
        if not self.is_on:
            return
        self.is_on = False
        if self._session.takes_click is _ignore:
            self._session.takes_click = None
        hidden, self._hidden = self._hidden, []
        docks, self._docks = self._docks, []
        viewer = self._session.viewer
        if viewer is None:
            return
        viewer.layers.events.inserted.disconnect(self._on_inserted)
        for layer in hidden:
            if layer in viewer.layers:
                layer.visible = True
        for dock in docks:
            dock.show()

    def _on_inserted(self, event: Any) -> None:
        self._hide(event.value)

    def _hide(self, layer: Any) -> None:
        is_slide = "slide" in layer.metadata.get("histo", {})
        if layer.visible and not is_slide and layer not in self._own:
            layer.visible = False
            if layer not in self._hidden:
                self._hidden.append(layer)


def _ignore(y_um: float, x_um: float) -> None:
    """Take a click, and select no cell by it."""


def _dock_of(widget: Any) -> QDockWidget | None:
    place = getattr(widget, "native", widget)
    while place is not None and not isinstance(place, QDockWidget):
        place = place.parentWidget()
    return place
