"""Who reviews, and the list of what was changed."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from qtpy.QtCore import QSettings
from qtpy.QtWidgets import (
    QFormLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_histo.session import Session

if TYPE_CHECKING:
    from histo.edits import Edit

__all__ = ["EditList", "reader_name"]

_SETTING = "reader"
_ACTIONS = {
    "call": "called",
    "delete": "deleted",
    "add": "added",
    "split": "split",
    "merge": "merged",
    "exclude": "region excluded",
}


def reader_name() -> str:
    """Return the name that stands in the log: the one given last, else the user's.

    Examples
    --------
    >>> bool(reader_name())
    True
    """
    name = str(QSettings("histo", "napari-histo").value(_SETTING, "") or "").strip()
    if name:
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user, as in some containers
        return "reader"


class EditList(QWidget):
    """The reader's name, and every edit in force, the newest first.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.name = QLineEdit(reader_name())
        self.name.setToolTip("Stands beside every edit in the log (edits.jsonl).")
        self.name.editingFinished.connect(self._on_name)
        self.list = QListWidget()
        self.list.setToolTip("Click an edit to go to its cell.")
        self.list.itemClicked.connect(self._on_clicked)
        self.count = QLabel()
        form = QFormLayout()
        form.addRow("Reader", self.name)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self.count)
        layout.addWidget(self.list, 1)
        self._shown: tuple[int, ...] | None = None
        session.review_changed.connect(self._on_review)
        session.calls_changed.connect(self._show)
        self._on_review()

    def _on_review(self) -> None:
        self._shown = None
        self._on_name()
        self._show()

    def _on_name(self) -> None:
        name = self.name.text().strip() or reader_name()
        self.name.setText(name)
        QSettings("histo", "napari-histo").setValue(_SETTING, name)
        if self._session.review is not None:
            self._session.review.reader = name

    def _show(self) -> None:
        review = self._session.review
        edits = review.edits if review is not None else ()
        numbers = tuple(edit.number for edit in edits)
        if numbers == self._shown:
            return
        self._shown = numbers
        self.list.clear()
        self.count.setText(
            f"{len(edits)} edits, the newest first. They are on disk as soon as they are made."
            if edits
            else "No edits yet."
        )
        for edit in reversed(edits):
            item = QListWidgetItem(_words(edit))
            item.setData(256, edit.made or edit.cells)
            self.list.addItem(item)

    def _on_clicked(self, item: QListWidgetItem) -> None:
        review, cells = self._session.review, item.data(256)
        if review is None or not cells:
            return
        row = review.cells[review.cells["cell_id"].to_numpy() == cells[0]].iloc[0]
        self._session.fly_to(float(row["y_um"]), float(row["x_um"]))
        self._session.select(int(cells[0]))


def _words(edit: Edit) -> str:
    what = _ACTIONS.get(edit.action, edit.action)
    if edit.action == "call":
        grade = edit.new["grade"]
        call = "as the cut-off says" if grade is None else f"{grade}+" if grade else "negative"
        what = f"{edit.new['marker'].upper()} {call}"
    cells = edit.cells or edit.made
    whom = f"cell {cells[0]:,}" if len(cells) == 1 else f"{len(cells):,} cells" if cells else ""
    return " · ".join(part for part in (what, whom, edit.who, edit.time[11:16]) if part)
