"""Space: where cells are in the tissue, and to whom they are near."""

from histo.space.attribution import Association, Share, association, share_of_cells
from histo.space.blocks import (
    BLOCK_SIDES_UM,
    MIN_BLOCKS,
    MIN_CELLS,
    block_numbers,
    block_variance,
    share_interval,
)
from histo.space.functions import (
    Overlap,
    cross_k,
    l_function,
    nearest_function,
    pair_correlation,
)
from histo.space.hotspots import Hotspot, density_map, find_hotspots
from histo.space.nearest import (
    Nearest,
    NearestIntervals,
    nearest_distances,
    nearest_intervals,
)
from histo.space.nulls import RadiusTest, csr_test, random_labelling, simulate_csr
from histo.space.profile import MARGIN_EDGES_UM, margin_profile
from histo.space.quadrats import HotQuadrats, Quadrats, hot_quadrats, morisita_horn
from histo.space.slide import space_metrics
from histo.space.window import DistanceMap, Window

__all__ = [
    "BLOCK_SIDES_UM",
    "MARGIN_EDGES_UM",
    "MIN_BLOCKS",
    "MIN_CELLS",
    "Association",
    "DistanceMap",
    "HotQuadrats",
    "Hotspot",
    "Nearest",
    "NearestIntervals",
    "Overlap",
    "Quadrats",
    "RadiusTest",
    "Share",
    "Window",
    "association",
    "block_numbers",
    "block_variance",
    "cross_k",
    "csr_test",
    "density_map",
    "find_hotspots",
    "hot_quadrats",
    "l_function",
    "margin_profile",
    "morisita_horn",
    "nearest_distances",
    "nearest_function",
    "nearest_intervals",
    "pair_correlation",
    "random_labelling",
    "share_interval",
    "share_of_cells",
    "simulate_csr",
    "space_metrics",
]
