"""The selected cell in words, and the buttons and keys that correct it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_histo.corrections import Corrections
from napari_histo.cutoffs import CutoffPanel
from napari_histo.session import Session
from napari_histo.words import cell_doubts, quantity

__all__ = ["CellPanel"]

_NONE = (
    "<i>No cell is selected. Click one in the slide or below the histogram, or press <b>N</b> for "
    "the one nearest to the threshold.</i>"
)


class CellPanel(QWidget):
    """Numbers and doubts of the selected cell; what can be done with it.

    Parameters
    ----------
    session : Session
    cutoffs : CutoffPanel
        Says which marker is reviewed.
    parent : QWidget, optional
    """

    def __init__(
        self, session: Session, cutoffs: CutoffPanel, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._cutoffs = session, cutoffs
        self.corrections = Corrections(session, lambda: cutoffs.marker, self)
        self._keyed: list[Any] = []
        self._order: tuple[tuple[int, float], Any] | None = None
        self._build()
        self.corrections.invited.connect(self._on_invited)
        self.corrections.busy_changed.connect(self._on_busy)
        session.selected_changed.connect(self._show)
        session.calls_changed.connect(self._show)
        session.review_changed.connect(self._on_review)
        cutoffs.marker_changed.connect(self._show)
        self._on_review()

    def _actions(self) -> list[tuple[str, str, str, Callable[[], None]]]:
        """List the buttons: name, key, what it does in a sentence, what it calls."""
        do = self.corrections
        return [
            (
                "Next",
                "N",
                "Go to the cell that is next nearest to the threshold.",
                partial(self.step, 1),
            ),
            ("Back", "B", "Go back to the cell before.", partial(self.step, -1)),
            (
                "Flip",
                "F",
                "Call the selected cell positive if negative, and the reverse.",
                do.flip,
            ),
            ("Delete", "D", "Take the selected cell away: it is no nucleus.", do.delete),
            (
                "Add",
                "A",
                "Click where a nucleus is missing; the model outlines it.",
                partial(do.begin, "add"),
            ),
            (
                "Split",
                "S",
                "Click inside each part of the selected nucleus, then Enter.",
                partial(do.begin, "split"),
            ),
            (
                "Merge",
                "M",
                "Click the pieces of one nucleus, then Enter.",
                partial(do.begin, "merge"),
            ),
            ("Undo", "U", "Take the last edit back.", do.undo),
            ("Redo", "R", "Do again what was undone.", do.redo),
        ]

    def _build(self) -> None:
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.invitation = QLabel()
        self.invitation.setWordWrap(True)
        self.invitation.setStyleSheet("font-weight: bold")
        self.invitation.hide()
        grid = QGridLayout()
        grid.setSpacing(4)
        self.buttons: dict[str, QPushButton] = {}
        for index, (name, key, tip, call) in enumerate(self._actions()):
            button = QPushButton(f"{name} ({key})")
            button.setToolTip(f"{tip} Key {key}.")
            button.clicked.connect(lambda checked=False, call=call: call())
            self.buttons[name] = button
            grid.addWidget(button, index // 5, index % 5)
            # While the focus is in this widget; in the slide the keys of the viewer hold.
            shortcut = QShortcut(QKeySequence(key), self.window_of_keys())
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(call)
        for name, tip, call in (
            (
                "Add drawn outline",
                "Make a nucleus of the polygon drawn last.",
                self.corrections.add_drawn,
            ),
            (
                "Exclude drawn region",
                "Leave the region drawn last out of every number.",
                self.corrections.exclude_drawn,
            ),
        ):
            button = QPushButton(name)
            button.setToolTip(f"{tip} Draw it in a Shapes layer of napari.")
            button.clicked.connect(lambda checked=False, call=call: call())
            self.buttons[name] = button
        below = QGridLayout()
        below.addWidget(self.buttons["Add drawn outline"], 0, 0)
        below.addWidget(self.buttons["Exclude drawn region"], 0, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.words)
        layout.addWidget(self.invitation)
        layout.addLayout(grid)
        layout.addLayout(below)

    def window_of_keys(self) -> QWidget:
        """Return the widget in which the single keys hold."""
        parent = self.parentWidget()
        return parent if parent is not None else self

    # Keys of the viewer

    def _on_review(self) -> None:
        self._unbind()
        if self._session.review is not None:
            self._bind()
        self.setEnabled(self._session.review is not None)
        self._show()

    def _bind(self) -> None:
        """Bind the keys in the slide; result layers have keys of their own, which give way."""
        for place in (self._session.viewer, *self._session.result_layers):
            for _, key, _, call in self._actions():
                place.bind_key(key, lambda _viewer, call=call: call(), overwrite=True)
            place.bind_key("Enter", lambda _viewer: self.corrections.finish(), overwrite=True)
            place.bind_key("Escape", lambda _viewer: self.corrections.stop(), overwrite=True)
            self._keyed.append(place)

    def _unbind(self) -> None:
        keys = [key for _, key, _, _ in self._actions()]
        for place in self._keyed:
            for key in (*keys, "Enter", "Escape"):
                place.bind_key(key, None)
        self._keyed.clear()

    def release(self) -> None:
        """Give the keys back and end the child process."""
        self.corrections.stop()
        self.corrections.job.close()
        self._unbind()

    # What is shown

    def _show(self) -> None:
        review, cell = self._session.review, self._session.selected
        can = review is not None
        self.buttons["Undo"].setEnabled(can and review.can_undo)  # type: ignore[union-attr]
        self.buttons["Redo"].setEnabled(can and review.can_redo)  # type: ignore[union-attr]
        for name in ("Flip", "Delete", "Split"):
            self.buttons[name].setEnabled(cell is not None)
        if review is None:
            self.words.setText("")
            return
        rows = review.cells[review.cells["cell_id"].to_numpy() == cell] if cell else ()
        self.words.setText(self._describe(rows.iloc[0]) if len(rows) else _NONE)

    def _describe(self, row: Any) -> str:
        review, marker = self._session.review, self._cutoffs.marker
        if review is None:
            return ""
        lines = []
        call = ""
        if marker is not None:
            grade = int(row[f"{marker}_grade"])
            call = f": <b>{marker.upper()} {f'{grade}+' if grade else 'negative'}</b>"
            columns = [review.panel.measurement(review.panel.marker(marker))]
            if "nucleus_positivity" in row.index:
                columns.append("nucleus_positivity")
            for column in columns:
                lines.append(f"{quantity(column)}: <b>{row[column]:.3g}</b>")
        lines.append(
            f"nucleus {row['nucleus_area_um2']:.0f} µm², diameter "
            f"{row['nucleus_diameter_um']:.1f} µm, at x {row['x_um']:,.0f}, y {row['y_um']:,.0f} µm"
        )
        if row["compartment"] == "excluded":
            lines.append("left out of all numbers")
        lines += cell_doubts(str(row["flags"]), tuple(review.panel.marker_names))
        return f"Cell {int(row['cell_id']):,}{call}<br>" + "<br>".join(lines)

    def _on_invited(self, sentence: str) -> None:
        self.invitation.setText(sentence)
        self.invitation.setVisible(bool(sentence))

    def _on_busy(self, busy: bool) -> None:
        if busy and self.corrections.mode:
            self.invitation.setText("Outlining…")
        elif not busy:
            self._on_invited(self.corrections.invitation)

    def step(self, forward: int) -> None:
        """Go to the next cell in the order of doubt, or back.

        Parameters
        ----------
        forward : int
            1 or -1.
        """
        review, deciding = self._session.review, self._cutoffs.deciding
        if review is None or deciding is None:
            return
        if self._order is None or self._order[0] != (id(deciding), self._cutoffs.first):
            key = (id(deciding), self._cutoffs.first)
            self._order = key, deciding.by_doubt(self._cutoffs.first)
        order = self._order[1]
        if not len(order):
            self._session.say("There is no threshold, so no cell is near it.")
            return
        at = (
            [] if self._session.selected is None else (order == self._session.selected).nonzero()[0]
        )
        place = 0 if not len(at) else int(at[0]) + forward
        self.go_to(int(order[max(0, min(place, len(order) - 1))]))

    def go_to(self, cell: int) -> None:
        """Select a cell and bring it to the middle of the window."""
        review = self._session.review
        if review is None:
            return
        row = review.cells[review.cells["cell_id"].to_numpy() == cell].iloc[0]
        self._session.fly_to(float(row["y_um"]), float(row["x_um"]))
        self._session.select(cell)
