"""From transmitted light to the amount of each stain."""

from histo.stain.density import optical_density, stain_concentrations, stain_residual
from histo.stain.estimate import WhitePoint, estimate_stains, estimate_white_point
from histo.stain.matrix import StainMatrix, load_stains, save_stains, stain_names
from histo.stain.qc import FLAG_TEXT, StainCheck, check_stains, explain
from histo.stain.regions import stains_from_regions

__all__ = [
    "FLAG_TEXT",
    "StainCheck",
    "StainMatrix",
    "WhitePoint",
    "check_stains",
    "estimate_stains",
    "estimate_white_point",
    "explain",
    "load_stains",
    "optical_density",
    "save_stains",
    "stain_concentrations",
    "stain_names",
    "stain_residual",
    "stains_from_regions",
]
