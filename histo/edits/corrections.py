"""What the edits in force amount to, whatever order they came in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.edits.edit import DrawnNucleus, Edit, polygon
from histo.errors import EditError, ResultError
from histo.metrics import SlideAreas

__all__ = ["Corrections", "edits_record"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _none() -> Ints:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """All that readers changed in a slide.

    Parameters
    ----------
    deleted, replaced : int64 (N,)
        ``cell_id``, ascending: cells that are none, and cells that others were drawn for.
    drawn : mapping of int to DrawnNucleus
        The new cells by ``cell_id``, ascending.
    regions_um : tuple of float64 (N, 2)
        Polygons (y, x) that are left out, µm.
    removed : tuple of SlideAreas
        What each of them takes away from the areas.
    grades : mapping of str to mapping of int to int
        Marker, ``cell_id``, grade 0-3: calls that no threshold changes.

    Examples
    --------
    >>> edits = [Edit(1, "", "ann", "delete", (7, 3)), Edit(2, "", "ann", "delete", (5,))]
    >>> Corrections.of(edits).deleted.tolist(), bool(Corrections())
    ([3, 5, 7], False)
    """

    deleted: Ints = field(default_factory=_none)
    replaced: Ints = field(default_factory=_none)
    drawn: Mapping[int, DrawnNucleus] = field(default_factory=dict)
    regions_um: tuple[Floats, ...] = ()
    removed: tuple[SlideAreas, ...] = ()
    grades: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, edits: Iterable[Edit]) -> Corrections:
        """Sum up edits in force.

        Parameters
        ----------
        edits : iterable of Edit
            In the order in which they were made: the last call of a cell holds.

        Raises
        ------
        EditError
            If an edit does not hold what belongs to it.
        """
        deleted: set[int] = set()
        replaced: set[int] = set()
        drawn: dict[int, DrawnNucleus] = {}
        regions: list[Floats] = []
        removed: list[SlideAreas] = []
        grades: dict[str, dict[int, int]] = {}
        for edit in edits:
            try:
                if edit.action == "call":
                    _call(edit, grades.setdefault(edit.new["marker"], {}))
                elif edit.action == "delete":
                    deleted.update(edit.cells)
                elif edit.action == "exclude":
                    regions.append(polygon(edit.new["polygon_um"], "polygon_um"))
                    removed.append(SlideAreas.from_dict(edit.new["removed"]))
                else:
                    replaced.update(() if edit.action == "add" else edit.cells)
                    nuclei = [DrawnNucleus.from_json(content) for content in edit.new["nuclei"]]
                    drawn |= dict(zip(edit.made, nuclei, strict=True))
            except (KeyError, TypeError, ValueError, AttributeError, ResultError) as error:
                raise EditError(
                    f"Edit {edit.number} ({edit.describe()}) cannot be read ({error}); restore "
                    "edits.jsonl from a copy, or rename it to go on without its edits."
                ) from error
        return cls(
            np.array(sorted(deleted), np.int64),
            np.array(sorted(replaced), np.int64),
            dict(sorted(drawn.items())),
            tuple(regions),
            tuple(removed),
            {marker: dict(sorted(calls.items())) for marker, calls in grades.items() if calls},
        )

    def __bool__(self) -> bool:
        """Whether anything is changed."""
        return bool(self.changes_cells or self.removed or self.grades)

    @property
    def changes_cells(self) -> bool:
        """Whether anything but calls and areas is changed."""
        return bool(self.deleted.size or self.replaced.size or self.drawn or self.regions_um)

    @property
    def edited_cells(self) -> int:
        """How many cells were taken out, drawn or called by hand; those of regions aside."""
        calls = [list(cells) for cells in self.grades.values()]
        parts = [self.deleted, self.replaced, np.array(list(self.drawn), np.int64)]
        parts += [np.array(cells, np.int64) for cells in calls]
        return int(np.unique(np.concatenate(parts)).size)


def _call(edit: Edit, calls: dict[int, int]) -> None:
    for cell in edit.cells:
        if edit.new["grade"] is None:
            calls.pop(cell, None)
        else:
            calls[cell] = int(edit.new["grade"])


def edits_record(edits: Iterable[Edit]) -> dict[str, Any]:
    """Say for the manifest how many edits are in force, and whose.

    Parameters
    ----------
    edits : iterable of Edit
        Those in force.

    Returns
    -------
    dict
        ``count``, ``by_action``, ``readers``, and ``last_number`` and ``last_utc`` (None
        without edits).

    Examples
    --------
    >>> edits_record([Edit(1, "2026-01-31T12:00:00Z", "ann", "delete", (7,))])["by_action"]
    {'delete': 1}
    """
    edits = tuple(edits)
    actions = [edit.action for edit in edits]
    return {
        "count": len(edits),
        "by_action": {action: actions.count(action) for action in sorted(set(actions))},
        "readers": sorted({edit.who for edit in edits}),
        "last_number": edits[-1].number if edits else None,
        "last_utc": edits[-1].time if edits else None,
    }
