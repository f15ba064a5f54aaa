"""The review of one slide's result: live in memory, every edit on disk at once."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.edits import (
    Corrections,
    DrawnNucleus,
    Edit,
    EditLog,
    correct_areas,
    edits_record,
    inside,
    polygon,
)
from histo.errors import EditError
from histo.metrics import Metric, SlideAreas
from histo.panel import Panel, Thresholds
from histo.panel.thresholds import Request
from histo.pipeline.corrected import Corrected, Found, read_found, rewrite_result
from histo.pipeline.files import OUTLINES, level0_um
from histo.pipeline.numbers import call_and_count
from histo.results import read_manifest
from histo.review.outlines import NucleusOutlines
from histo.review.requests import plain_request, stored_requests

__all__ = ["READER", "Review"]

READER = "HISTO_READER"
"""The environment variable that names who edits; by default the user of the computer."""

Cells = Iterable[int] | npt.NDArray[np.integer]


class Review:
    """A slide's result that a person looks through and corrects.

    Each edit is on disk (``edits.jsonl`` in the result folder) before its method returns; cells
    and metrics follow in memory. When a method raises, nothing has changed. :meth:`save`
    writes tables, pictures and GeoJSON.

    Parameters
    ----------
    folder : path
        The result folder of one slide.
    reader : str, optional
        Who edits; by default ``HISTO_READER`` of the environment, or the user of the computer.

    Attributes
    ----------
    folder : Path
    reader : str
    note : str
        What was found wrong with the log of edits and passed over; empty when all is well.

    Raises
    ------
    ResultError
        If the folder is not a complete result.
    EditError
        If its edits cannot be read, or belong to another result.

    Examples
    --------
    >>> Review.open("slides")
    Traceback (most recent call last):
    ...
    histo.errors.ResultError: slides: not a result of histo (manifest.json is missing); ...
    """

    def __init__(self, folder: str | Path, *, reader: str | None = None) -> None:
        self.folder = Path(folder)
        self.reader = reader or os.environ.get(READER, "") or _user()
        self._found: Found = read_found(self.folder)
        self._log = EditLog(self.folder)
        self.note = self._log.note
        self._requests = stored_requests(self.manifest)
        self._outlines = NucleusOutlines(self.folder / OUTLINES, level0_um(self.manifest["slide"]))
        corrections = Corrections.of(self._log.in_force)
        self._table = self._found.cells_with(corrections)
        areas = correct_areas(self._found.areas, corrections)
        parts = self._found.parts_with(corrections)
        self._now = self._counted(self._table, areas, parts, corrections, self._requests)

    @classmethod
    def open(cls, folder: str | Path, *, reader: str | None = None) -> Review:
        """Open the result folder of one slide; see the class."""
        return cls(folder, reader=reader)

    @property
    def name(self) -> str:
        """The slide's name."""
        return str(self.manifest["slide"]["name"])

    @property
    def panel(self) -> Panel:
        """The panel that the slide was analysed with."""
        return self._found.panel

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as it was saved last."""
        return self._found.manifest

    @property
    def cells(self) -> pd.DataFrame:
        """The cell table with calls and edits; deleted cells stay, excluded and flagged."""
        return self._now.cells

    @property
    def areas(self) -> SlideAreas:
        """The areas without excluded regions."""
        return self._now.areas

    @property
    def thresholds(self) -> dict[str, Thresholds]:
        """The cut-offs that the calls are made with."""
        return dict(self._now.thresholds)

    @property
    def requests(self) -> dict[str, Request]:
        """What the thresholds were asked to be; markers that are not named follow the panel."""
        return dict(self._requests)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of the corrected slide."""
        return self._now.metrics

    @property
    def corrections(self) -> Corrections:
        """What the edits in force amount to."""
        return self._now.corrections

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits in force, in the order in which they were made."""
        return self._log.in_force

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._log.in_force)

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit that was taken back and nothing done since."""
        return bool(self._log.undone)

    @property
    def is_saved(self) -> bool:
        """Whether the tables and pictures on disk hold the edits and thresholds."""
        record = edits_record(self._log.in_force)
        stored = self.manifest.get("edits") or edits_record(())
        same = all(stored.get(name) == value for name, value in record.items())
        return same and self._requests == stored_requests(self.manifest)

    def outline(self, cell_id: int) -> npt.NDArray[np.float64]:
        """Return the outline of a nucleus, float64 (N, 2): y, x in µm.

        Raises
        ------
        ValueError
            If there is no such cell.
        ResultError
            If the outlines cannot be read.
        """
        drawn = self.corrections.drawn.get(int(cell_id))
        if drawn is not None:
            return drawn.outline_um
        self._known([cell_id])
        return self._outlines.of(int(cell_id))

    def set_thresholds(self, requests: Mapping[str, Request | None]) -> None:
        """Call and count with other thresholds; cells called by hand stay as they are.

        Parameters
        ----------
        requests : mapping of str to request
            As for :func:`histo.panel.resolve_thresholds`; None is what the panel says. Markers
            that are not named keep theirs.

        Raises
        ------
        PanelError
            If the panel has no such marker, or the model cannot call it.
        ValueError
            If numbers do not ascend above 0.
        """
        wanted = dict(self._requests)
        for marker, request in requests.items():
            self.panel.marker(marker)
            wanted.pop(marker, None)
            if request is not None:
                wanted[marker] = plain_request(request)
        parts = self._now.parts
        self._now = self._counted(self._table, self.areas, parts, self.corrections, wanted)
        self._requests = wanted

    def set_call(self, cell_ids: Cells, marker: str, grade: int | None) -> None:
        """Call cells by hand: no threshold changes them.

        Deleted and replaced cells, and those that are called so already, are passed over.

        Parameters
        ----------
        cell_ids : iterable of int
        marker : str
        grade : int, or None
            0 negative, 1-3; None takes manual calls back: as the threshold says.

        Raises
        ------
        PanelError
            If the panel has no such marker.
        ValueError
            If there is no such cell, or the grade is not 0-3.
        EditError
            If the edit cannot be stored.
        """
        self.panel.marker(marker)
        if grade is not None and grade not in (0, 1, 2, 3):
            raise ValueError(f"grade must be 0, 1, 2, 3 or None, got {grade!r}.")
        grade = None if grade is None else int(grade)
        former = self.corrections.grades.get(marker, {})
        cells = [cell for cell in self._living(cell_ids) if former.get(cell) != grade]
        old = {"grades": self._values(cells, f"{marker}_grade")}
        self._edit("call", cells, old=old, new={"marker": marker, "grade": grade})

    def delete(self, cell_ids: Cells) -> None:
        """Take out what is no cell; those that are out already are passed over.

        Parameters
        ----------
        cell_ids : iterable of int

        Raises
        ------
        ValueError
            If there is no such cell.
        EditError
            If the edit cannot be stored.
        """
        cells = self._living(cell_ids)
        self._edit("delete", cells, old={"compartments": self._values(cells, "compartment")})

    def add(self, nuclei: Sequence[DrawnNucleus]) -> None:
        """Add nuclei that were not found.

        Parameters
        ----------
        nuclei : sequence of DrawnNucleus
            They get new numbers, above all that were ever given.

        Raises
        ------
        EditError
            If a nucleus lacks a measure, or the edit cannot be stored.
        """
        new = self._made(nuclei)
        self._edit("add", new["cells"], new=new)

    def split(self, cell_id: int, parts: Sequence[DrawnNucleus]) -> None:
        """Replace a cell by several.

        Parameters
        ----------
        cell_id : int
        parts : sequence of DrawnNucleus
            At least two.

        Raises
        ------
        ValueError
            If there is no such cell, or fewer than two parts.
        EditError
            If the cell is out already, a part lacks a measure, or the edit cannot be stored.
        """
        if len(parts) < 2:
            raise ValueError(f"a split needs at least 2 parts, got {len(parts)}.")
        self._replace("split", [cell_id], parts)

    def merge(self, cell_ids: Cells, whole: DrawnNucleus) -> None:
        """Replace several cells by one.

        Parameters
        ----------
        cell_ids : iterable of int
            At least two.
        whole : DrawnNucleus

        Raises
        ------
        ValueError
            If there is no such cell, or fewer than two.
        EditError
            If a cell is out already, the whole lacks a measure, or the edit cannot be stored.
        """
        cells = self._known(cell_ids)
        if len(cells) < 2:
            raise ValueError(f"a merge needs at least 2 cells, got {len(cells)}.")
        self._replace("merge", cells, [whole])

    def exclude(self, polygon_um: npt.ArrayLike, removed: SlideAreas) -> None:
        """Leave out a region: its cells, and its area.

        Parameters
        ----------
        polygon_um : float (N, 2)
            Vertices (y, x) in µm. Cells whose centroid lies in it are excluded, also those that
            are drawn there later.
        removed : SlideAreas
            What it takes away: of tissue that is not left out already.

        Raises
        ------
        ValueError
            If there are fewer than three vertices.
        EditError
            If it takes away more than there is, or the edit cannot be stored.
        """
        ring = polygon(polygon_um, "polygon_um")
        counted = self.cells[(self.cells["compartment"] != "excluded").to_numpy()]
        within = int(inside(ring, counted[["y_um", "x_um"]].to_numpy()).sum())
        new = {"polygon_um": ring.tolist(), "removed": removed.to_dict()}
        self._store("exclude", (), old={"cells_inside": within}, new=new)

    def undo(self) -> Edit | None:
        """Take back the last edit; return it, or None when there is none."""
        if not self.can_undo:
            return None
        last = self._log.in_force[-1]
        self._store("undo", last.cells, new={"edit": last.number}, changed=last)
        return last

    def redo(self) -> Edit | None:
        """Make again the edit that was taken back last; return it, or None."""
        if not self.can_redo:
            return None
        last = self._log.undone[-1]
        self._store("redo", last.cells, new={"edit": last.number}, changed=last)
        return last

    def save(self) -> None:
        """Write calls, metrics, GeoJSON and pictures into the result folder, in one step.

        Changed thresholds are recorded in the log. The fingerprint of the run stays, so that the
        same ``histo run`` passes the slide over and keeps what was reviewed.

        Raises
        ------
        ResultError
            If the folder cannot be written to; it stays as it was.
        EditError
            If another program edited the slide meanwhile.
        """
        self._check_same_result()
        stored = stored_requests(self.manifest)
        if self._requests != stored:
            self._log.append(
                self._line(
                    "thresholds", (), old={"thresholds": stored}, new={"thresholds": self.requests}
                )
            )
        edits = {**(self.manifest.get("edits") or {}), "thresholds": self.requests}
        if self._requests == self.manifest["parameters"].get("thresholds", {}):
            del edits["thresholds"]
        manifest = {**self.manifest, "edits": edits}
        result = rewrite_result(self.folder, self._found, self._now, self._log, manifest)
        self._found = replace(self._found, manifest=result.manifest)

    def _edit(
        self,
        action: str,
        cells: Sequence[int],
        *,
        old: Mapping[str, Any] | None = None,
        new: Mapping[str, Any] | None = None,
    ) -> None:
        if cells:
            self._store(action, tuple(cells), old=old, new=new)

    def _replace(self, action: str, cell_ids: Cells, nuclei: Sequence[DrawnNucleus]) -> None:
        cells = self._known(cell_ids)
        gone = set(cells) - set(self._living(cells))
        if gone:
            raise EditError(
                f"{self.folder.name}: cell {min(gone)} is deleted or replaced already; choose "
                "another, or undo."
            )
        old = {"compartments": self._values(cells, "compartment")}
        self._store(action, tuple(cells), old=old, new=self._made(nuclei))

    def _store(
        self,
        action: str,
        cells: tuple[int, ...],
        *,
        old: Mapping[str, Any] | None = None,
        new: Mapping[str, Any] | None = None,
        changed: Edit | None = None,
    ) -> None:
        """Work out what follows from an edit, write it to the log, and only then hold it true."""
        edit = self._line(action, cells, old=old or {}, new=new or {})
        corrections = Corrections.of(self._log.after(edit))
        table, areas, parts = self._table, self.areas, self._now.parts
        if (changed or edit).action != "call":
            table = self._found.cells_with(corrections)
            areas = correct_areas(self._found.areas, corrections)
            parts = self._found.parts_with(corrections)
        after = self._counted(table, areas, parts, corrections, self._requests)
        self._check_same_result()
        self._log.append(edit)
        self._table, self._now, self.note = table, after, ""

    def _line(
        self,
        action: str,
        cells: tuple[int, ...],
        *,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
    ) -> Edit:
        time = datetime.now(UTC).isoformat(timespec="seconds")
        return Edit(self._log.next_number, time, self.reader, action, cells, old, new)

    def _counted(
        self,
        table: pd.DataFrame,
        areas: SlideAreas,
        parts: Mapping[str, SlideAreas] | None,
        corrections: Corrections,
        requests: Mapping[str, Request],
    ) -> Corrected:
        cells, thresholds, metrics = call_and_count(
            table,
            self.panel,
            requests,
            areas,
            corrections=corrections,
            parts=parts,
        )
        return Corrected(cells, areas, thresholds, metrics, corrections, parts)

    def _check_same_result(self) -> None:
        """Refuse an edit of cells that are no longer those on disk."""
        now = read_manifest(self.folder)
        if any(now.get(key) != self.manifest.get(key) for key in ("created_utc", "fingerprint")):
            raise EditError(
                f"{self.folder.name}: the slide was analysed anew meanwhile; open its result again."
            )

    def _made(self, nuclei: Sequence[DrawnNucleus]) -> dict[str, Any]:
        """Return drawn nuclei and their numbers, as an edit holds them."""
        given = [cell for edit in self._log.lines for cell in edit.made]
        found = self._found.cells["cell_id"].to_numpy()
        first = max([0, *given, int(found.max()) if found.size else 0]) + 1
        return {
            "cells": list(range(first, first + len(nuclei))),
            "nuclei": [nucleus.to_json() for nucleus in nuclei],
        }

    def _known(self, cell_ids: Cells) -> list[int]:
        """Return cells once each, ascending."""
        wanted = np.unique(np.fromiter(cell_ids, np.int64))
        missing = wanted[~np.isin(wanted, self.cells["cell_id"].to_numpy())]
        if missing.size:
            raise ValueError(f"{self.folder.name} has no cell {missing[0]}.")
        return [int(cell) for cell in wanted]

    def _living(self, cell_ids: Cells) -> list[int]:
        """Return those that are neither deleted nor replaced."""
        gone = {*self.corrections.deleted.tolist(), *self.corrections.replaced.tolist()}
        return [cell for cell in self._known(cell_ids) if cell not in gone]

    def _values(self, cells: Sequence[int], column: str) -> list[Any]:
        """Return what a column says of cells, in their order; JSON takes it."""
        chosen = self.cells[self.cells["cell_id"].isin(cells).to_numpy()]
        values: list[Any] = chosen.set_index("cell_id")[column].loc[list(cells)].tolist()
        return values


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"  # no such name on this computer
