"""Hands a model or stain vectors to the forms of the widgets that run analyses."""

from __future__ import annotations

from typing import Any

from napari_histo.session import Session

__all__ = ["hand_to_forms"]


def hand_to_forms(session: Session, field: str, path: str) -> list[str]:
    """Choose a file or folder in every form that is open.

    Parameters
    ----------
    session : Session
    field : {"model", "stains"}
    path : str

    Returns
    -------
    list of str
        Names of the widgets that took it.
    """
    # Older napari do not tell which widgets are docked; the user chooses the file there.
    docked: dict[str, Any] = dict(getattr(session.viewer.window, "dock_widgets", {}))
    taken = []
    for name, widget in docked.items():
        choice = getattr(getattr(widget, "form", None), field, None)
        if choice is not None and hasattr(choice, "take"):
            choice.take(path)
            taken.append(name)
    return taken
