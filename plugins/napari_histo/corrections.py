"""Corrections of single cells: what the keys and buttons do to the review."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, Signal

from histo.errors import HistoError
from napari_histo.drafting import nuclei_from
from napari_histo.layers import GONE, drawn_ids, with_flag
from napari_histo.runner import Job, Outcome
from napari_histo.session import Session

if TYPE_CHECKING:
    from histo.review import Review

__all__ = ["Corrections"]

Floats = npt.NDArray[np.float64]

_INVITATIONS = {
    "add": "Click where a nucleus is missing; the model outlines it. Esc ends.",
    "split": "Click inside each part of the selected nucleus, then press Enter. Esc ends.",
    "merge": "Click each nucleus that belongs to one, then press Enter. Esc ends.",
}


class Corrections(QObject):
    """Changes cells of the open result; outlines are drafted in a child process.

    Parameters
    ----------
    session : Session
    marker : callable
        Gives the marker whose calls are flipped, or None.
    parent : QObject, optional
    """

    #: Clicks are collected now, or no more: what the reader should do, empty for nothing.
    invited = Signal(str)
    #: The child process is at work, or no more.
    busy_changed = Signal(bool)

    def __init__(
        self,
        session: Session,
        marker: Callable[[], str | None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._marker = session, marker
        self._mode = ""
        self._points: list[tuple[float, float]] = []
        self._picked: list[int] = []
        self._then: Callable[[Review, dict[str, Any]], None] | None = None
        self._asked: Review | None = None
        self.job = Job(self)
        self.job.ended.connect(self._on_ended)
        session.review_changed.connect(self.stop)

    @property
    def mode(self) -> str:
        """What clicks are collected for: ``add``, ``split``, ``merge``, or nothing."""
        return self._mode

    @property
    def invitation(self) -> str:
        """What the reader should do with the mouse now; empty for nothing."""
        done = {"split": len(self._points), "merge": len(self._picked)}.get(self._mode, 0)
        marked = f"{done} marked. " if done else ""
        return marked + _INVITATIONS[self._mode] if self._mode else ""

    # What is done at once

    def flip(self) -> None:
        """Call the selected cell positive when it is negative, and the reverse."""
        review, cell, marker = self._session.review, self._session.selected, self._marker()
        if review is None or marker is None or not self._has_selected():
            return
        row = review.cells.loc[review.cells["cell_id"].to_numpy() == cell].iloc[0]
        grade = 0
        if not row[f"{marker}_positive"]:
            strength = float(row[review.panel.measurement(review.panel.marker(marker))])
            # NaN reaches nothing.
            grade = 1 + sum(strength >= cut for cut in review.thresholds[marker].values[1:])
        with self._told():
            review.set_call([int(cell)], marker, grade)  # type: ignore[arg-type]
            call = f"{grade}+" if grade else "negative"
            self._changed(f"Cell {cell} is {marker.upper()} {call} now.")

    def delete(self) -> None:
        """Take the selected cell away: it is none."""
        review, cell = self._session.review, self._session.selected
        if review is None or not self._has_selected():
            return
        with self._told():
            review.delete([int(cell)])  # type: ignore[arg-type]
            self._session.select(None)
            self._changed(f"Cell {cell} is deleted.")

    def undo(self) -> None:
        """Take the last edit back."""
        review = self._session.review
        if review is None or not review.can_undo:
            self._session.say("There is no edit to undo.")
            return
        with self._told():
            edit = review.undo()
            self._changed("" if edit is None else f"Undone: {edit.describe()}.")

    def redo(self) -> None:
        """Do again what was undone last."""
        review = self._session.review
        if review is None or not review.can_redo:
            self._session.say("There is no edit to do again.")
            return
        with self._told():
            edit = review.redo()
            self._changed("" if edit is None else f"Done again: {edit.describe()}.")

    # What needs clicks

    def begin(self, mode: str) -> None:
        """Collect clicks.

        Parameters
        ----------
        mode : {"add", "split", "merge"}
        """
        if self._session.review is None:
            return
        if self._mode == mode or self._slide_missing():
            self.stop()
            return
        if mode == "split" and not self._has_selected():
            return
        self.stop()
        self._mode = mode
        if mode == "merge" and self._session.selected is not None:
            self._picked = [self._session.selected]
        self._session.takes_click = self._on_click
        self.invited.emit(self.invitation)
        if not self.job.busy:
            # The model loads while the reader looks for the place.
            self._ask({"do": "open"}, None)

    def stop(self) -> None:
        """Collect no more clicks."""
        if not self._mode:
            return
        self._mode, self._points, self._picked = "", [], []
        self._session.takes_click = None
        self._session.mark(() if self._session.selected is None else (self._session.selected,))
        self.invited.emit("")

    def finish(self) -> None:
        """Do with the clicks what they were collected for."""
        review, cell = self._session.review, self._session.selected
        if review is None:
            return
        if self._mode == "split" and cell is not None:
            if len(self._points) < 2:
                self._session.say("Click inside two parts or more, then press Enter.")
                return
            outline = review.outline(cell)
            request = {"do": "split", "outline_um": _plain(outline), "points_um": self._points}
            self._draft(request, lambda now, value: now.split(cell, nuclei_from(value)))
        elif self._mode == "merge":
            if len(self._picked) < 2:
                self._session.say("Click two nuclei or more, then press Enter.")
                return
            cells = [*self._picked]
            outlines = [_plain(review.outline(one)) for one in cells]
            self._draft(
                {"do": "merge", "outlines_um": outlines},
                lambda now, value: now.merge(cells, nuclei_from(value)[0]),
            )

    def _on_click(self, y_um: float, x_um: float) -> None:
        if self._mode == "add":
            there = self._session.cell_at(y_um, x_um)
            if there is not None:
                self._session.say(f"Cell {there} is there already.")
                return
            self._draft({"do": "at", "point_um": [y_um, x_um]}, self._add)
        elif self._mode == "split":
            if self._session.cell_at(y_um, x_um) != self._session.selected:
                self._session.say("This click lies beside the selected nucleus.")
                return
            self._points.append((y_um, x_um))
            self.invited.emit(self.invitation)
        elif self._mode == "merge":
            cell = self._session.cell_at(y_um, x_um)
            if cell is None:
                return
            if cell in self._picked:
                self._picked.remove(cell)
            else:
                self._picked.append(cell)
            self._session.mark(self._picked)
            self.invited.emit(self.invitation)

    # What needs a drawn shape

    def add_drawn(self) -> None:
        """Add the nucleus whose outline was drawn last."""
        polygon, review = self._drawn(), self._session.review
        if polygon is None or review is None:
            return
        from histo.edits import inside

        alive = review.cells[~with_flag(review.cells, *GONE)]
        below = alive["cell_id"].to_numpy()[inside(polygon, alive[["y_um", "x_um"]].to_numpy())]
        if len(below):
            self._session.say(f"Cell {below[0]} is there already: delete it (D), then add this.")
            return
        self._draft({"do": "within", "polygon_um": _plain(polygon)}, self._add)

    def exclude_drawn(self) -> None:
        """Leave the region that was drawn last out of every metric."""
        review, polygon = self._session.review, self._drawn()
        if review is None or polygon is None:
            return
        without = [edit.new["polygon_um"] for edit in review.edits if edit.action == "exclude"]
        request = {"do": "areas", "polygon_um": _plain(polygon), "without": without}

        def exclude(now: Review, value: dict[str, Any]) -> None:
            from histo.metrics import SlideAreas

            now.exclude(polygon, SlideAreas.from_dict(value["areas"]))

        self._draft(request, exclude)

    def _drawn(self) -> Floats | None:
        shapes = [one for one in self._session.shapes_um() if len(one) > 2]
        if not shapes:
            self._session.say("Draw a polygon in a Shapes layer first (button New shapes layer).")
            return None
        return shapes[-1]

    def _add(self, review: Review, value: dict[str, Any]) -> None:
        before = set(drawn_ids(review.cells))
        review.add(nuclei_from(value))
        new = [cell for cell in drawn_ids(review.cells) if cell not in before]
        self._session.refresh()
        self._session.select(new[-1] if new else None)

    # The child process

    def _draft(
        self, request: dict[str, Any], then: Callable[[Review, dict[str, Any]], None]
    ) -> None:
        if self._slide_missing():
            return
        if self.job.busy and self._then is not None:
            self._session.say("The last outline is still being drawn; wait a moment.")
            return
        if self.job.busy:
            # It still loads: what is asked for follows.
            self._waiting = request, then
            self._session.say("The model is being loaded; the outline follows.")
            self.busy_changed.emit(True)
            return
        self._ask(request, then)

    _waiting: tuple[dict[str, Any], Callable[[Any, dict[str, Any]], None]] | None = None

    def _ask(
        self,
        request: dict[str, Any],
        then: Callable[[Review, dict[str, Any]], None] | None,
    ) -> None:
        review, slide = self._session.review, self._session.reviewed_slide
        if review is None or slide is None:
            return
        gone = review.cells["cell_id"].to_numpy()[with_flag(review.cells, *GONE)].tolist()
        added = [_plain(review.outline(cell)) for cell in drawn_ids(review.cells)]
        facts = {"slide": str(slide), "folder": str(review.folder), "gone": gone, "added": added}
        self._then, self._asked = then, review
        with self._told():
            self.job.ask("draft", {**facts, **request})
            self.busy_changed.emit(then is not None)

    def _on_ended(self, outcome: Outcome) -> None:
        then, self._then = self._then, None
        waiting, self._waiting = self._waiting, None
        review = self._session.review
        self.busy_changed.emit(False)
        if review is None or review is not self._asked:
            return
        if outcome.status == "failed":
            self._session.say(outcome.message)
        elif outcome.value is not None and then is not None:
            with self._told():
                then(review, outcome.value)
                if self._mode in ("split", "merge"):
                    self._session.select(None)
                    self.stop()
                last = review.edits[-1].describe() if review.edits else ""
                notes = " ".join(str(note) for note in outcome.value.get("notes", ()))
                self._changed(f"Done: {last}. {notes}".strip())
        if waiting is not None and outcome.status == "finished":
            self._ask(*waiting)

    # Small things

    def _has_selected(self) -> bool:
        if self._session.selected is None:
            self._session.say("Select a cell first: click it in the slide or in the gallery.")
            return False
        return True

    def _slide_missing(self) -> bool:
        if self._session.reviewed_slide is not None:
            return False
        self._session.say("Open the slide too: outlines are made from its pixels.")
        return True

    def _changed(self, sentence: str) -> None:
        self._session.refresh()
        self._session.selected_changed.emit()
        if sentence:
            self._session.say(sentence)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say what went wrong instead of raising it into the window."""
        try:
            yield
        except HistoError as error:
            self._session.say(str(error))


def _plain(outline: Floats) -> list[list[float]]:
    return [[float(y), float(x)] for y, x in outline]
