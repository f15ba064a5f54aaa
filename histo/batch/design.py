"""The table of a study's design: which slide is of which animal, and where it lay in it."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pandas as pd

from histo.errors import AnnotationError
from histo.results.spreadsheet import plain_name, read_spreadsheet

__all__ = ["DISTANCES_UM", "Design", "DesignRow", "read_design"]

DISTANCES_UM = (1.0, 20_000.0)
"""Distances between sections that can be meant, µm: a value below is one in mm."""

_NEEDED, _OPTIONAL = ("slide", "animal"), ("section", "distance_um", "group")


@dataclass(frozen=True, slots=True)
class DesignRow:
    """What a design says of one slide.

    Parameters
    ----------
    line : int
        Of the file.
    slide, animal : str
    section : float, optional
        The section's number: its place among those of the animal.
    distance_um : float, optional
        From this section to the next.
    group : str
        Empty where none is given.

    Examples
    --------
    >>> DesignRow(2, "m1_s1", "m1").section is None
    True
    """

    line: int
    slide: str
    animal: str
    section: float | None = None
    distance_um: float | None = None
    group: str = ""


@dataclass(frozen=True, slots=True)
class Design:
    """The slides of a study by animal.

    Parameters
    ----------
    file : str
        The table's file name, for messages.
    rows : tuple of DesignRow
        In the order of the file.

    Examples
    --------
    >>> design = Design("design.csv", (DesignRow(2, "a", "m1"), DesignRow(3, "b", "m1")))
    >>> {animal: len(rows) for animal, rows in design.by_animal().items()}
    {'m1': 2}
    """

    file: str
    rows: tuple[DesignRow, ...]

    @property
    def has_groups(self) -> bool:
        """Whether any slide has a group."""
        return any(row.group for row in self.rows)

    def by_animal(self) -> dict[str, list[DesignRow]]:
        """Return the rows of each animal: animals as they first appear, sections by number."""
        animals: dict[str, list[DesignRow]] = {}
        for row in self.rows:
            animals.setdefault(row.animal, []).append(row)
        return {name: sorted(rows, key=_place) for name, rows in animals.items()}


def read_design(path: str | Path) -> Design:
    r"""Read and check a design.

    Columns ``slide`` and ``animal``; where there are, ``section``, ``distance_um`` and ``group``.
    Others are passed over. What separates columns may be a comma, a semicolon or a tab, and
    numbers may have a decimal comma where that is no separator.

    Parameters
    ----------
    path : path

    Returns
    -------
    Design

    Raises
    ------
    AnnotationError
        If it is no such table, a slide is named twice or has no animal, a number is none, an
        animal has two groups or only some section numbers, or two sections have one number.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "design.csv"
    >>> _ = path.write_text("Slide;Animal;Section;Distance (µm)\na;m1;2;300\nb;m1;1;300\n")
    >>> [row.slide for row in read_design(path).by_animal()["m1"]]
    ['b', 'a']
    """
    path = Path(path)
    table, decimal = read_spreadsheet(path)
    columns = {plain_name(str(name)): name for name in reversed(table.columns)}
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise AnnotationError(
            f"{path.name}: has no column {' and none '.join(missing)} (found "
            f"{', '.join(str(name) for name in table.columns[:8])}); the first line names the "
            f"columns {', '.join(_NEEDED)}, and if you like {', '.join(_OPTIONAL)}."
        )
    known = [name for name in (*_NEEDED, *_OPTIONAL) if name in columns]
    texts = table[[columns[name] for name in known]].set_axis(known, axis=1)
    rows = tuple(
        _row(path.name, line, {str(k): str(v) for k, v in cells.items()}, decimal)
        for line, cells in zip(texts.index.tolist(), texts.to_dict("records"), strict=True)
    )
    if not rows:
        raise AnnotationError(f"{path.name}: names no slide; give each slide a line.")
    design = Design(path.name, rows)
    _check_names(design)
    for animal, ones in design.by_animal().items():
        _check_animal(path.name, animal, ones)
    return design


def _place(row: DesignRow) -> float:
    return math.inf if row.section is None else row.section


def _row(file: str, line: int, cells: dict[str, str], decimal: str) -> DesignRow:
    words = {k: unicodedata.normalize("NFC", v).strip() for k, v in cells.items()}
    for name in _NEEDED:
        if not words[name]:
            raise AnnotationError(
                f"{file}: line {line} names no {name}; fill in the cell or remove the line."
            )

    def number(name: str) -> float | None:
        text = words.get(name, "")
        if not text:
            return None
        value = float(pd.to_numeric(text.replace(decimal, "."), errors="coerce"))
        if not math.isfinite(value):
            raise AnnotationError(
                f"{file}: line {line} has no number in the column {name} ({text!r}); correct it, "
                "or leave the cell empty."
            )
        return value

    distance = number("distance_um")
    low, high = DISTANCES_UM
    if distance is not None and not low <= distance <= high:
        raise AnnotationError(
            f"{file}: line {line} has a distance of {distance:g} µm, which cannot be; it is from "
            f"one section to the next in micrometres, {low:g} to {high:g}."
        )
    return DesignRow(
        line, words["slide"], words["animal"], number("section"), distance, words.get("group", "")
    )


def _check_names(design: Design) -> None:
    """Refuse a slide that is named twice, and names that differ in case alone."""
    seen: dict[str, DesignRow] = {}
    for row in design.rows:
        other = seen.setdefault(row.slide, row)
        if other is not row:
            raise AnnotationError(
                f"{design.file}: lines {other.line} and {row.line} are both of the slide "
                f"{row.slide}; keep one."
            )
    _check_spelling(design, "animal", lambda row: row.animal)
    _check_spelling(design, "group", lambda row: row.group)


def _check_spelling(design: Design, what: str, name: Callable[[DesignRow], str]) -> None:
    spelt: dict[str, DesignRow] = {}
    for row in design.rows:
        other = spelt.setdefault(name(row).casefold(), row)
        if name(other) != name(row):
            raise AnnotationError(
                f"{design.file}: lines {other.line} and {row.line} name the {what}s "
                f"{name(other)} and {name(row)}, which differ in case alone; write them alike."
            )


def _check_animal(file: str, animal: str, rows: list[DesignRow]) -> None:
    groups = _distinct(row.group for row in rows)
    if len(groups) > 1:
        raise AnnotationError(
            f"{file}: the animal {animal} is in the groups "
            f"{' and '.join(group or '(none)' for group in groups)}; give it one."
        )
    numbered = [row for row in rows if row.section is not None]
    if numbered and len(numbered) < len(rows):
        bare = next(row for row in rows if row.section is None)
        raise AnnotationError(
            f"{file}: line {bare.line} has no section, though other slides of the animal {animal} "
            "have; number all of them or none."
        )
    for one, two in pairwise(numbered):
        if one.section == two.section:
            raise AnnotationError(
                f"{file}: lines {one.line} and {two.line} are both section {one.section:g} of the "
                f"animal {animal}; keep one, or number them apart."
            )


def _distinct(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
