"""What readers corrected by hand: the log of their edits, and applying it to a result.

The log of a slide (``edits.jsonl``) is append-only; its edits in force add up to
:class:`Corrections`, which are applied to what the machine found, never to what was corrected
before. So the same log gives the same table, in whatever steps it came about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from histo.edits.edit import ACTIONS, DrawnNucleus, Edit, polygon
from histo.edits.log import EDITS, EditLog, in_force
from histo.lazy import lazily

if TYPE_CHECKING:
    from histo.edits.apply import (
        correct_areas,
        correct_calls,
        correct_cells,
        drawn_row,
        inside,
        rows_of,
        without_removed,
    )
    from histo.edits.corrections import Corrections, edits_record

__all__ = [
    "ACTIONS",
    "EDITS",
    "Corrections",
    "DrawnNucleus",
    "Edit",
    "EditLog",
    "correct_areas",
    "correct_calls",
    "correct_cells",
    "drawn_row",
    "edits_record",
    "in_force",
    "inside",
    "polygon",
    "rows_of",
    "without_removed",
]

# Loaded when asked for: drawing a nucleus needs no tables.
_LAZY = {
    **dict.fromkeys(("Corrections", "edits_record"), "corrections"),
    **dict.fromkeys(
        (
            "correct_areas",
            "correct_calls",
            "correct_cells",
            "drawn_row",
            "inside",
            "rows_of",
            "without_removed",
        ),
        "apply",
    ),
}

__getattr__ = lazily(__name__, _LAZY)
