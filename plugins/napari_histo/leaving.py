"""A question before napari's window closes over work that is on no disk yet."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from weakref import ref

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMainWindow, QMessageBox, QWidget

__all__ = ["Leaving", "ask_to_save"]

_BUTTONS = QMessageBox.StandardButton


def ask_to_save(parent: QWidget, name: str, *, may_stay: bool) -> QMessageBox.StandardButton:
    """Ask what becomes of changed numbers: Save, Discard and, where one may stay, Cancel."""
    buttons = _BUTTONS.Save | _BUTTONS.Discard
    return QMessageBox.question(
        parent,
        "Not saved",
        f"The numbers and pictures of {name} lack what was changed. Save them?",
        buttons | _BUTTONS.Cancel if may_stay else buttons,
        _BUTTONS.Save,
    )


class Leaving(QObject):
    """Asks when the window of a widget is about to close: save, discard, or stay.

    Parameters
    ----------
    widget : QWidget
        Its window is watched once `watch` was called.
    unsaved : callable
        Returns the name of what is not saved, or nothing.
    save : callable
        Saves it before it returns; says whether that worked.
    """

    #: Asks the question; returns one of Save, Discard and Cancel.
    ask: Callable[[QWidget, str], QMessageBox.StandardButton] = staticmethod(
        partial(ask_to_save, may_stay=True)
    )

    def __init__(
        self, widget: QWidget, unsaved: Callable[[], str], save: Callable[[], bool]
    ) -> None:
        super().__init__(widget)
        self._widget, self._unsaved, self._save = widget, unsaved, save
        # Not kept alive: a window that knows its widgets and is known by them would never go.
        self._window: ref[QWidget] | None = None

    def watch(self) -> None:
        """Watch the main window that the widget is in by now."""
        window = self._widget.window()
        if isinstance(window, QMainWindow) and window is not self._watched():
            self.release()
            window.installEventFilter(self)
            self._window = ref(window)

    def _watched(self) -> QWidget | None:
        return None if self._window is None else self._window()

    def release(self) -> None:
        """Watch no window any more."""
        window = self._watched()
        if window is not None:
            with suppress(RuntimeError):  # Qt may have deleted the window already
                window.removeEventFilter(self)
        self._window = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 (Qt's name)
        """Keep the window open when the reader wants to stay."""
        if event.type() != QEvent.Type.Close or watched is not self._watched():
            return False
        name = self._unsaved()
        answer = self.ask(self._widget, name) if name else _BUTTONS.Discard
        stays = answer == _BUTTONS.Cancel or (answer == _BUTTONS.Save and not self._save())
        if stays:
            event.ignore()
        return stays
