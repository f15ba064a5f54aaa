"""One change that a person made to what the machine found."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ACTIONS", "DrawnNucleus", "Edit"]

Floats = npt.NDArray[np.float64]

CHANGES = ("call", "delete", "add", "split", "merge", "exclude")
"""What changes cells or areas, and can be undone."""

ACTIONS = (*CHANGES, "undo", "redo", "thresholds")
"""What a line of the log can record."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnNucleus:
    """A nucleus that a person drew, or had drawn, with its measures.

    Parameters
    ----------
    outline_um : float64 (N, 2)
        Vertices (y, x) of its outline, in µm from the top left corner of level 0; the first
        is not repeated at the end.
    row : mapping of str to float
        The measured columns of the cell table, as :func:`histo.cells.measure_cells` gives them
        (``x_um``, ``nucleus_area_um2``, ``nucleus_dab_od_mean``...), and ``nucleus_positivity``
        where the table has it. Its ``compartment`` and ``flags`` are kept (``tissue`` and none
        when it has none), ``cell_id`` is passed over.
    cell_outline_um : float64 (M, 2), optional
        The outline of its whole cell; by default that of the nucleus.

    Raises
    ------
    ValueError
        If an outline has fewer than three points, or a point or the position is not finite.

    Examples
    --------
    >>> square = [[0, 0], [0, 6], [6, 6], [6, 0]]
    >>> nucleus = DrawnNucleus(square, {"y_um": 3.0, "x_um": 3.0, "nucleus_area_um2": 36.0})
    >>> nucleus.outline_um.shape, nucleus.row["x_um"]
    ((4, 2), 3.0)
    """

    outline_um: Floats
    row: Mapping[str, Any]
    cell_outline_um: Floats | None = field(default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "outline_um", polygon(self.outline_um, "outline_um"))
        if self.cell_outline_um is not None:
            whole = polygon(self.cell_outline_um, "cell_outline_um")
            object.__setattr__(self, "cell_outline_um", whole)
        row = {
            str(name): value.item() if hasattr(value, "item") else value
            for name, value in self.row.items()
        }
        for name in ("y_um", "x_um", "nucleus_area_um2"):
            if not (isinstance(row.get(name), int | float) and math.isfinite(row[name])):
                raise ValueError(f"a drawn nucleus needs {name}, got {row.get(name)!r}.")
        object.__setattr__(self, "row", MappingProxyType(row))

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and numbers, as JSON takes them; NaN becomes None."""
        content: dict[str, Any] = {
            "outline_um": self.outline_um.tolist(),
            "row": {name: _plain(value) for name, value in self.row.items()},
        }
        if self.cell_outline_um is not None:
            content["cell_outline_um"] = self.cell_outline_um.tolist()
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> DrawnNucleus:
        """Return what :meth:`to_json` gave.

        Raises
        ------
        ValueError
            If it is something else.
        """
        row = {n: math.nan if v is None else v for n, v in content["row"].items()}
        return cls(content["outline_um"], row, content.get("cell_outline_um"))


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """One line of the log.

    Parameters
    ----------
    number : int
        Of the line, from 1.
    time : str
        UTC, ISO 8601.
    who : str
        The reader's name.
    action : str
        ``call``, ``delete``, ``add``, ``split``, ``merge``, ``exclude``; ``undo`` and ``redo`` of
        an earlier one; ``thresholds``, which is recorded only.
    cells : tuple of int
        The ``cell_id`` of every cell that it changes or takes out; in ``add``, of the new ones.
        Empty in ``exclude``, where the polygon says it.
    old : mapping
        What was there: ``grades`` (call), ``compartments`` (delete, split, merge),
        ``cells_inside`` (exclude: how many counted before), ``thresholds``.
    new : mapping
        What holds now: ``marker`` and ``grade`` (call); ``cells`` and ``nuclei`` (add, split,
        merge); ``polygon_um`` and ``removed`` (exclude); ``edit``, the number of the edit that
        is taken back or done again (undo, redo); ``thresholds``.

    Raises
    ------
    ValueError
        If the action is none of these, or ``new`` lacks what belongs to it.

    Examples
    --------
    >>> Edit(1, "2026-01-31T12:00:00Z", "ann", "delete", (7,)).describe()
    'delete of cell 7 by ann'
    """

    number: int
    time: str
    who: str
    action: str
    cells: tuple[int, ...] = ()
    old: Mapping[str, Any] = field(default_factory=dict)
    new: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"action must be one of {', '.join(ACTIONS)}, got {self.action!r}.")
        lacking = [name for name in _NEEDED[self.action] if name not in self.new]
        if lacking:
            raise ValueError(f"{self.action} lacks {', '.join(lacking)}.")

    @property
    def made(self) -> tuple[int, ...]:
        """The ``cell_id`` of the nuclei that it draws."""
        return tuple(self.new["cells"]) if self.action in ("add", "split", "merge") else ()

    def describe(self) -> str:
        """Say in a few words what it is, for a list or a status line."""
        what = ""
        if len(self.cells) == 1:
            what = f" of cell {self.cells[0]}"
        elif self.cells:
            what = f" of {len(self.cells):,} cells"
        elif self.action == "exclude":
            what = " of a region"
        elif self.action in ("undo", "redo"):
            what = f" of edit {self.new['edit']}"
        return f"{self.action}{what} by {self.who}"

    def to_line(self) -> str:
        """Return the line of the log, with its end."""
        content = {
            "number": self.number,
            "time": self.time,
            "who": self.who,
            "action": self.action,
            "cells": list(self.cells),
            "old": dict(self.old),
            "new": dict(self.new),
        }
        return json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Edit:
        """Return what :meth:`to_line` gave.

        Raises
        ------
        ValueError
            If it is something else.
        """
        content = json.loads(line)
        try:
            return cls(
                int(content["number"]),
                str(content["time"]),
                str(content["who"]),
                str(content["action"]),
                tuple(int(cell) for cell in content["cells"]),
                dict(content["old"]),
                dict(content["new"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error


_NEEDED: dict[str, tuple[str, ...]] = {
    "call": ("marker", "grade"),
    "delete": (),
    "add": ("cells", "nuclei"),
    "split": ("cells", "nuclei"),
    "merge": ("cells", "nuclei"),
    "exclude": ("polygon_um", "removed"),
    "undo": ("edit",),
    "redo": ("edit",),
    "thresholds": ("thresholds",),
}


def polygon(points_um: npt.ArrayLike, name: str) -> Floats:
    """Return vertices as a read-only float64 (N, 2) without a repeated last one.

    Raises
    ------
    ValueError
        If there are fewer than three, or one is not finite.

    Examples
    --------
    >>> polygon([[0, 0], [0, 1], [1, 1], [0, 0]], "outline_um").shape
    (3, 2)
    """
    points = np.array(points_um, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"{name} must be (N, 2) of y, x in µm, got shape {points.shape}.")
    if len(points) > 1 and (points[0] == points[-1]).all():
        points = points[:-1].copy()
    if len(points) < 3 or not np.isfinite(points).all():
        raise ValueError(f"{name} needs at least three finite points, got {len(points)}.")
    points.setflags(write=False)
    return points


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
