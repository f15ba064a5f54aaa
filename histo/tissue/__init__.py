"""Where tissue lies on a slide, and what spoils parts of it."""

from histo.tissue.mask import MAX_HOLE_UM2, MIN_TISSUE_UM2, tissue_mask, tissue_mask_channels

__all__ = ["MAX_HOLE_UM2", "MIN_TISSUE_UM2", "tissue_mask", "tissue_mask_channels"]
