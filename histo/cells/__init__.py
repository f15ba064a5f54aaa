"""Cells: from nuclei to whole cells, their measures, and the table that holds them."""

from histo.cells.expand import expand_cells
from histo.cells.measure import Frame, measure_cells, measure_expanded, without_padding
from histo.cells.outlines import cell_outlines
from histo.cells.schema import (
    COMPARTMENTS,
    QUANTITIES,
    RESIDUAL_COLUMN,
    SCHEMA,
    STATISTICS,
    Column,
    empty_cells,
    measure_column,
    validate_cells,
)

__all__ = [
    "COMPARTMENTS",
    "QUANTITIES",
    "RESIDUAL_COLUMN",
    "SCHEMA",
    "STATISTICS",
    "Column",
    "Frame",
    "cell_outlines",
    "empty_cells",
    "expand_cells",
    "measure_cells",
    "measure_column",
    "measure_expanded",
    "validate_cells",
    "without_padding",
]
