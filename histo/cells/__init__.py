"""Cells: from nuclei to whole cells, their measures, and the table that holds them.

The columns of the table are known at once; what computes loads numba, on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from histo.cells.schema import (
    COMPARTMENTS,
    POSITIVITY_COLUMN,
    QUANTITIES,
    RESIDUAL_COLUMN,
    SCHEMA,
    STATISTICS,
    Column,
    empty_cells,
    measure_column,
    validate_cells,
)
from histo.lazy import lazily

if TYPE_CHECKING:
    from histo.cells.expand import expand_cells
    from histo.cells.measure import Frame, measure_cells, measure_expanded, without_padding
    from histo.cells.outlines import Rings, cell_outlines, trace_outlines

__all__ = [
    "COMPARTMENTS",
    "POSITIVITY_COLUMN",
    "QUANTITIES",
    "RESIDUAL_COLUMN",
    "SCHEMA",
    "STATISTICS",
    "Column",
    "Frame",
    "Rings",
    "cell_outlines",
    "empty_cells",
    "expand_cells",
    "measure_cells",
    "measure_column",
    "measure_expanded",
    "trace_outlines",
    "validate_cells",
    "without_padding",
]

_LAZY = {
    "Frame": "measure",
    "Rings": "outlines",
    "cell_outlines": "outlines",
    "expand_cells": "expand",
    "measure_cells": "measure",
    "measure_expanded": "measure",
    "trace_outlines": "outlines",
    "without_padding": "measure",
}

__getattr__ = lazily(__name__, _LAZY)
