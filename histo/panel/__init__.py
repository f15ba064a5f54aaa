"""Panels: what a slide was stained for, and how its cells are called."""

from histo.panel.classify import accepts_call, classify_cells
from histo.panel.definition import (
    FLAG_WORDS,
    Attribution,
    Channel,
    Marker,
    Panel,
    SizeLimits,
)
from histo.panel.load import load_panel, panel_names, read_panel
from histo.panel.thresholds import (
    Thresholds,
    auto_threshold,
    deciding_column,
    deciding_values,
    parse_threshold,
    resolve_thresholds,
)

__all__ = [
    "FLAG_WORDS",
    "Attribution",
    "Channel",
    "Marker",
    "Panel",
    "SizeLimits",
    "Thresholds",
    "accepts_call",
    "auto_threshold",
    "classify_cells",
    "deciding_column",
    "deciding_values",
    "load_panel",
    "panel_names",
    "parse_threshold",
    "read_panel",
    "resolve_thresholds",
]
