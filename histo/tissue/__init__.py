"""Where tissue lies on a slide, and what spoils parts of it."""

from histo.tissue.artefacts import ARTEFACT_NAMES, find_artefacts
from histo.tissue.focus import blurred_mask, focus_map
from histo.tissue.mask import MAX_HOLE_UM2, MIN_TISSUE_UM2, tissue_mask, tissue_mask_channels
from histo.tissue.texture import nuclear_texture

__all__ = [
    "ARTEFACT_NAMES",
    "MAX_HOLE_UM2",
    "MIN_TISSUE_UM2",
    "blurred_mask",
    "find_artefacts",
    "focus_map",
    "nuclear_texture",
    "tissue_mask",
    "tissue_mask_channels",
]
