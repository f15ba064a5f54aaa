"""Review cells: cut-offs that follow the mouse, cells near them, corrections by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from histo.errors import HistoError
from napari_histo.cell_panel import CellPanel
from napari_histo.crops import SIDE_UM, Crops
from napari_histo.cutoffs import CutoffPanel
from napari_histo.edit_list import EditList
from napari_histo.gallery import Gallery, Tile
from napari_histo.histogram import short_number
from napari_histo.leaving import Leaving, ask_to_save
from napari_histo.runner import Job, Outcome
from napari_histo.session import Session

if TYPE_CHECKING:
    import napari

    from histo.review import Review

__all__ = ["ReviewWidget"]

#: Cells of the gallery, half on either side of the threshold.
_CELLS = 48
_QUIET_MS = 120


class ReviewWidget(QWidget):
    """Where a pathologist looks over the calls of a slide.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self._session = Session.of(napari_viewer)
        self._session.asks_to_save = self._ask_to_save
        self._crops: Crops | None = None
        self._crops_of: tuple[Any, ...] = ()
        self._saver = Job(self)
        self._saver.ended.connect(self._on_saved)
        self._saved: Review | None = None
        self._leaving = Leaving(self, self._unsaved, self._save_now)
        self._quiet = QTimer(self)
        self._quiet.setSingleShot(True)
        self._quiet.timeout.connect(self._show_gallery)
        self._build()
        session = self._session
        session.review_changed.connect(self._on_review)
        session.slide_changed.connect(self._on_slide)
        session.calls_changed.connect(self._on_calls)
        session.selected_changed.connect(self._on_selected)
        session.said.connect(self._on_said)
        self._on_review()

    # Making

    def _build(self) -> None:
        session = self._session
        self.cutoffs = CutoffPanel(session)
        self.gallery = Gallery()
        self.cells = CellPanel(session, self.cutoffs, self)
        self.edits = EditList(session)
        tabs = QTabWidget()
        tabs.addTab(self._cells_page(), "Cells")
        tabs.addTab(self.edits, "Edits")
        self.tabs = tabs
        self.message = QLabel()
        self.message.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(self._head())
        layout.addWidget(self.cutoffs)
        layout.addWidget(tabs, 1)
        layout.addWidget(self.message)
        self.cutoffs.marker_changed.connect(self._on_marker)
        self.gallery.clicked.connect(self.cells.go_to)

    def _head(self) -> QVBoxLayout:
        self.title = QLabel()
        self.title.setTextFormat(Qt.TextFormat.RichText)
        self.title.setWordWrap(True)
        self.open_button = QPushButton("Open result…")
        self.open_button.setToolTip("Open the result folder of a slide.")
        self.save_button = QPushButton("Save")
        self.save_button.setToolTip("Write the numbers, tables and pictures of the result anew.")
        self.close_button = QPushButton("Close")
        self.close_button.setToolTip("Close the result.")
        self.outline_box = QCheckBox("Outlines only")
        self.outline_box.setToolTip("Show the borders of nuclei, so that the stain is seen.")
        self.outline_box.setChecked(True)
        row = QHBoxLayout()
        for widget in (self.open_button, self.save_button, self.close_button):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(self.outline_box)
        self.open_button.clicked.connect(self._open)
        self.save_button.clicked.connect(self._save)
        self.close_button.clicked.connect(self._session.close_result)
        self.outline_box.toggled.connect(self._session.outline_only)
        head = QVBoxLayout()
        head.addWidget(self.title)
        head.addLayout(row)
        return head

    def _cells_page(self) -> QWidget:
        self.gallery_title = QLabel()
        scroll = QScrollArea()
        scroll.setWidget(self.gallery)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setMinimumHeight(100)
        self.gallery_scroll = scroll
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.addWidget(self.gallery_title)
        layout.addWidget(scroll, 1)
        layout.addWidget(self.cells)
        return page

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """Return the size that Qt asks for."""
        return QSize(420, 820)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Watch the window that napari has put the widget into."""
        super().showEvent(event)
        self._leaving.watch()

    def event(self, event: QEvent | None) -> bool:
        """Let everything go when napari closes the widget: it takes it out of its dock."""
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._release()
        return bool(super().event(event))

    def _release(self) -> None:
        self._leaving.release()
        self.cells.release()
        self._saver.close()
        self._quiet.stop()
        self._close_crops()
        if self._session.asks_to_save == self._ask_to_save:
            self._session.asks_to_save = None

    # What the session tells

    def _on_review(self) -> None:
        review = self._session.review
        for widget in (self.save_button, self.close_button, self.outline_box):
            widget.setEnabled(review is not None)
        if self.outline_box.isChecked():
            self._session.outline_only(True)
        self.tabs.setEnabled(review is not None)
        self.message.clear()
        self._open_crops()
        self._on_calls()

    def _on_slide(self) -> None:
        self._open_crops()
        self._show_gallery()

    def _on_marker(self) -> None:
        self._show_gallery()

    def _on_calls(self) -> None:
        review = self._session.review
        if review is None:
            self.title.setText("Open the result of a slide, or drop its folder on the window.")
        else:
            star = " — <i>not saved</i>" if self._session.unsaved else ""
            self.title.setText(f"<b>{review.name}</b> · {review.panel.title}{star}")
            self.tabs.setTabText(1, f"Edits ({len(review.edits)})" if review.edits else "Edits")
        # Cells of the gallery are chosen anew when the cut-off has come to rest.
        self._quiet.start(_QUIET_MS)

    def _on_selected(self) -> None:
        self.gallery.select(self._session.selected)

    def _on_said(self, sentence: str) -> None:
        self.message.setText(sentence)

    # The gallery

    def _open_crops(self) -> None:
        """Open the slide for the gallery; once a slide."""
        review, path = self._session.review, self._session.reviewed_slide
        wanted = (id(review), path)
        if wanted == self._crops_of:
            return
        self._crops_of = wanted
        self._close_crops()
        note = "Open the slide too: the cells are shown from its pixels."
        if review is not None and path is not None:
            size = review.manifest.get("slide", {}).get("pixel_size_um")
            try:
                self._crops = Crops(path, review.panel, pixel_size_um=size)
            except HistoError as error:
                note = str(error)
        self.gallery.show_from(self._picture if self._crops is not None else None, note)

    def _close_crops(self) -> None:
        if self._crops is not None:
            self._crops.close()
            self._crops = None

    def _picture(self, cell: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]] | None:
        review = self._session.review
        if review is None or self._crops is None:
            return None
        row = review.cells[review.cells["cell_id"].to_numpy() == cell]
        if not len(row):
            return None
        y, x = (float(row[name].iloc[0]) for name in ("y_um", "x_um"))
        try:
            picture, corner = self._crops.read(y, x)
            return picture, (review.outline(cell) - corner) / SIDE_UM
        except HistoError as error:
            self._session.say(str(error))
            return None

    def _show_gallery(self) -> None:
        review, deciding = self._session.review, self.cutoffs.deciding
        marker = self.cutoffs.marker
        if review is None or deciding is None or marker is None:
            self.gallery_title.clear()
            self.gallery.show_tiles(())
            return
        first = self.cutoffs.first
        ids = deciding.nearest(first, _CELLS)
        self.gallery_title.setText(
            f"Nearest to the threshold ({short_number(first)}), by value"
            if len(ids)
            else "There is no threshold yet."
        )
        split = self._below(ids)
        self.gallery.show_tiles(self._tiles(ids), split=split)
        self.gallery.select(self._session.selected)
        middle = self.gallery.place_of(split).center()
        self.gallery_scroll.ensureVisible(middle.x(), middle.y(), 0, self.gallery_scroll.height())

    def _tiles(self, ids: npt.NDArray[np.int64]) -> list[Tile]:
        from histo.results.calls import GRADES, NEGATIVE

        review, deciding = self._session.review, self.cutoffs.deciding
        if review is None or deciding is None:
            return []
        where = np.flatnonzero(np.isin(review.cells["cell_id"].to_numpy(), ids))
        part = review.cells.iloc[where].set_index("cell_id")
        tiles = []
        for cell in ids.tolist():
            grade = int(part.at[cell, f"{self.cutoffs.marker}_grade"])
            hand = "✎ " if f"{self.cutoffs.marker}_manual" in part.at[cell, "flags"] else ""
            text = f"{hand}{short_number(float(part.at[cell, deciding.column]))}"
            tiles.append(Tile(cell, text, GRADES[grade - 1] if grade else NEGATIVE))
        return tiles

    def _below(self, ids: npt.NDArray[np.int64]) -> int:
        deciding = self.cutoffs.deciding
        if deciding is None or not len(ids):
            return 0
        middle = int(np.searchsorted(deciding.values, self.cutoffs.first))
        return min(middle, len(ids) // 2 if middle >= _CELLS // 2 else middle)

    # What the reader does

    def _open(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Open the result folder of a slide")
        if folder:
            try:
                self._session.open_result(folder)
            except HistoError as error:
                self._session.say(str(error))

    def _save(self) -> None:
        """Save in a child process: pictures and tables of many cells take minutes."""
        review = self._session.review
        if review is None or self._saver.busy:
            return
        thresholds = {name: review.requests.get(name) for name in review.panel.marker_names}
        self._saver.start(
            "save",
            {"folder": str(review.folder), "thresholds": thresholds, "reader": review.reader},
        )
        self._saved = review
        self.save_button.setText("Saving…")
        self.save_button.setEnabled(False)

    def _on_saved(self, outcome: Outcome) -> None:
        review = self._session.review
        self.save_button.setText("Save")
        self.save_button.setEnabled(review is not None)
        if outcome.status != "finished":
            self._session.say(outcome.message)
        elif review is not None and review is self._saved:
            try:
                self._session.reload()
                self._session.say(f"{review.name} is saved.")
            except HistoError as error:
                self._session.say(str(error))
        self._saved = None

    def _unsaved(self) -> str:
        review = self._session.review
        return review.name if review is not None and self._session.unsaved else ""

    def _save_now(self) -> bool:
        if self._saver.busy:
            self._session.say("The result is being saved; close the window when that is done.")
            return False
        try:
            self._session.save()
        except HistoError as error:
            self._session.say(str(error))
            return False
        return True

    def _ask_to_save(self) -> bool:
        review = self._session.review
        name = review.name if review is not None else ""
        answer = ask_to_save(self, name, may_stay=False)
        return bool(answer == QMessageBox.StandardButton.Save)
