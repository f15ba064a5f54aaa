"""Regions of a section: a lung's lobes, air, large airways and vessels, and metastatic foci."""

from histo.region.burden import (
    Cavalieri,
    LungAreas,
    cavalieri,
    pool_areas,
    pooled_ratio,
    ratio_error,
    scattered_error,
)
from histo.region.foci import (
    SENSITIVITY_UM,
    SIZE_CLASSES,
    FociRules,
    Focus,
    Refused,
    count_by_class,
    foci_at_least,
    foci_table,
    focus_outlines,
    size_class,
)
from histo.region.judging import REASONS
from histo.region.lung import LUNG_CODES, LungSection, find_lung
from histo.region.tubes import TUBE_KINDS, Tube

__all__ = [
    "LUNG_CODES",
    "REASONS",
    "SENSITIVITY_UM",
    "SIZE_CLASSES",
    "TUBE_KINDS",
    "Cavalieri",
    "FociRules",
    "Focus",
    "LungAreas",
    "LungSection",
    "Refused",
    "Tube",
    "cavalieri",
    "count_by_class",
    "find_lung",
    "foci_at_least",
    "foci_table",
    "focus_outlines",
    "pool_areas",
    "pooled_ratio",
    "ratio_error",
    "scattered_error",
    "size_class",
]
