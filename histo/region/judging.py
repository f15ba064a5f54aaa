"""Which solid places of a lung are metastasis, and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.region import shapes

__all__ = ["REASONS", "Candidate", "Reference", "judge", "measure_reference"]

Mask = npt.NDArray[np.bool_]
Plane = npt.NDArray[np.float32]

REASONS = {
    "lymphoid": "lymphoid aggregate: small dense nuclei almost without cytoplasm",
    "blood": "blood or muscle: hardly any nuclei",
    "wall": "wall of a large airway or vessel",
    "thin": "too thin for a focus: septa, pleura or a strand",
    "loose": "thickened septa with air between them",
    "small": "smaller than the least diameter, with too few nuclei",
    "artefact": "fold, pen or another artefact",
    "outside": "tissue without alveoli beside the lobes: lymph node, oesophagus, heart",
}
"""Why a solid place is refused: the word in the results, and what it means."""

# Where a cell table is given.
_LYMPHOCYTE_UM2, _PACKED, _CROWDED_PER_MM2 = 40.0, 0.38, 9_000.0
_EMPTY, _MIN_CELLS = 0.12, 8
# Where it is not: against the parenchyma of the same slide.
_EOSIN_RATIO = 0.85
_BLUE, _PINK, _DARK, _VERY_DARK, _PALE = 0.97, 0.7, 0.9, 1.0, 0.22
# Pale haematoxylin passes for a trace of eosin: the darker a place, the less colour must say.
_NEARLY_BLUE = 0.93
_MAX_LYMPHOID_UM = 500.0
# Half the thickness of walls and strands, and how much larger a place is than the disc within it.
_THIN_UM, _WALL_UM, _WALL_SHARE = 17.0, 28.0, 0.1
_STRANDS = ((28.0, 2.5), (40.0, 3.6))
_MIN_SHARE = 0.87


@dataclass(frozen=True, slots=True)
class Reference:
    """Colour of the parenchyma of a slide, to judge solid places by.

    Attributes
    ----------
    blue : float
        Mean red over mean green optical density: near 0.93 for haematoxylin alone, 0.07 for eosin.
    nuclear_od : float
        Red optical density that a tenth of the parenchyma's matter exceeds: its nuclei.
    """

    blue: float
    nuclear_od: float

    @property
    def has_eosin(self) -> bool:
        """Whether the counterstain is haematoxylin and eosin rather than haematoxylin alone."""
        return self.blue < _EOSIN_RATIO


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A solid place.

    Attributes
    ----------
    mask : bool (H, W)
        Of the part of the picture that holds it.
    red_od, green_od : float32 (H, W)
    share : float32 (H, W)
        Share of matter around each pixel.
    at_tubes : bool (H, W)
        Large airways and vessels with their walls.
    artefacts : bool (H, W)
    origin_um : (float, float)
        y, x of the part's top left corner.
    pixel_size_um : float
    """

    mask: Mask
    red_od: Plane
    green_od: Plane
    share: Plane
    at_tubes: Mask
    artefacts: Mask
    origin_um: tuple[float, float]
    pixel_size_um: float


def measure_reference(matter: Mask, red_od: Plane, green_od: Plane) -> Reference:
    """Measure the parenchyma.

    Parameters
    ----------
    matter : bool (Y, X)
        Septa: matter in the lobes, without solid places, large airways and vessels.
    red_od, green_od : float32 (Y, X)

    Returns
    -------
    Reference
    """
    red, green = red_od[matter], green_od[matter]
    if red.size < 100:
        return Reference(0.9, 0.3)
    blue = float(red.mean() / max(float(green.mean()), 1e-3))
    return Reference(blue, max(float(np.percentile(red, 90)), 1e-3))


def judge(
    candidate: Candidate, reference: Reference, cells: pd.DataFrame | None
) -> tuple[str | None, str]:
    """Judge one solid place.

    Parameters
    ----------
    candidate : Candidate
    reference : Reference
    cells : DataFrame, optional
        With ``y_um``, ``x_um`` and ``nucleus_area_um2``; where it is given, lymphoid aggregates
        and blood are told by their nuclei rather than by their colour.

    Returns
    -------
    reason : str or None
        One of `REASONS`, or None for metastasis.
    evidence : str
        The numbers behind it.
    """
    mask = candidate.mask
    spoilt = float(candidate.artefacts[mask].mean())
    if spoilt > 0.5:
        return "artefact", f"{100 * spoilt:.0f} % of it in artefacts"
    by_shape = _judge_shape(candidate)
    if by_shape is not None:
        return by_shape
    by_colour = _judge_colour(candidate, reference)
    by_cells = None if cells is None else _judge_cells(candidate, cells)
    # Nuclei decide, but for blood: the wall of a filled vessel has nuclei too.
    if by_cells is None or (by_cells[0] is None and by_colour[0] == "blood"):
        return by_colour
    return by_cells


def _judge_shape(candidate: Candidate) -> tuple[str, str] | None:
    """Refuse walls, strands and places that are not solid."""
    um, mask = candidate.pixel_size_um, candidate.mask
    depth = float(shapes.distance(np.pad(mask, 1)).max()) * um
    rim = mask & ~shapes.erode(mask, 1.01)
    leaning = float(shapes.dilate(candidate.at_tubes, 8.0 / um)[rim].mean())
    if leaning > _WALL_SHARE and depth < _WALL_UM:
        return "wall", f"{2 * depth:.0f} µm thick, {100 * leaning:.0f} % of its border at a tube"
    length = float(mask.sum()) * um**2 / (np.pi * max(depth, um) ** 2)
    strand = any(depth < limit and length > longest for limit, longest in _STRANDS)
    if depth < _THIN_UM or strand:
        return "thin", f"{2 * depth:.0f} µm thick, {length:.1f} times the disc within it"
    share = float(np.percentile(candidate.share[mask], 95))
    if share < _MIN_SHARE:
        return "loose", f"{100 * share:.0f} % matter where it is densest"
    return None


def _judge_cells(candidate: Candidate, cells: pd.DataFrame) -> tuple[str | None, str] | None:
    """Judge by nuclei; None where there are too few to say anything."""
    um, mask = candidate.pixel_size_um, candidate.mask
    y = np.floor((cells["y_um"].to_numpy(float) - candidate.origin_um[0]) / um).astype(int)
    x = np.floor((cells["x_um"].to_numpy(float) - candidate.origin_um[1]) / um).astype(int)
    inside = (y >= 0) & (x >= 0) & (y < mask.shape[0]) & (x < mask.shape[1])
    inside[inside] = mask[y[inside], x[inside]]
    area = float((mask & ~candidate.artefacts).sum()) * um**2  # cells in artefacts are not there
    sizes = cells["nucleus_area_um2"].to_numpy(float)[inside]
    density = 1e6 * len(sizes) / area
    if len(sizes) < _MIN_CELLS:
        return None
    middle, packed = float(np.median(sizes)), float(sizes.sum()) / area
    evidence = f"{density:.0f} nuclei per mm², median {middle:.0f} µm², {100 * packed:.0f} % nuclei"
    if packed < _EMPTY:
        return "blood", evidence
    if middle < _LYMPHOCYTE_UM2 and (packed > _PACKED or density > _CROWDED_PER_MM2):
        return "lymphoid", evidence
    return None, evidence


def _judge_colour(candidate: Candidate, reference: Reference) -> tuple[str | None, str]:
    """Judge by haematoxylin and eosin against the slide's own parenchyma.

    A tumour of crowded dark cells looks like lymphocytes from afar: colour alone refuses only what
    lies at a large airway or vessel, or is small and as dark as nuclei are throughout.
    """
    red, green = candidate.red_od[candidate.mask], candidate.green_od[candidate.mask]
    blue = float(red.mean() / max(float(green.mean()), 1e-3)) / reference.blue
    dark = float(np.median(red)) / reference.nuclear_od
    evidence = f"haematoxylin over eosin {blue:.2f}, nuclear density {dark:.2f} of the septa's"
    area = float(candidate.mask.sum()) * candidate.pixel_size_um**2
    beside = (
        candidate.mask & shapes.dilate(candidate.at_tubes, 8.0 / candidate.pixel_size_um)
    ).any()
    crowded = dark > (_DARK if beside else _VERY_DARK)
    small = np.sqrt(4 * area / np.pi) < _MAX_LYMPHOID_UM
    least = _NEARLY_BLUE if dark > _VERY_DARK else _BLUE
    if crowded and small and (blue > least or not reference.has_eosin):
        return "lymphoid", evidence
    if dark < _PALE or (reference.has_eosin and blue < _PINK):
        return "blood", evidence
    return None, evidence
