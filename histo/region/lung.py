"""A lung section: its lobes, air, large airways and vessels, and its metastatic foci."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.region import shapes
from histo.region.airspace import Matter, find_lobes, find_matter
from histo.region.foci import FociRules, Focus, Refused, counts_as_focus, make_foci, merge_near
from histo.region.judging import Candidate, Reference, judge, measure_reference
from histo.region.tubes import Tube, find_tubes
from histo.stain import optical_density

__all__ = ["LUNG_CODES", "MAX_PIXEL_SIZE_UM", "LungSection", "find_lung"]

Mask = npt.NDArray[np.bool_]
Plane = npt.NDArray[np.float32]

LUNG_CODES = (
    "outside",
    "parenchyma",
    "airspace",
    "airway",
    "vessel",
    "airway or vessel",
    "lesion",
    "refused",
    "artefact",
)
"""What the codes of `LungSection.codes` mean. Airways and vessels with lumen and wall; refused are
lymphoid aggregates and blood in the lobes."""

MAX_PIXEL_SIZE_UM = 5.0
"""Coarser pixels do not show septa."""

_MIN_PIXEL_SIZE_UM = 2.0
_OPENING_UM = 10.0
_REACH_UM, _SMOOTH_UM = 9.0, 4.0
# Half of what a septum, a cleft between tumour cells and a knot of septa measure at most.
_SEPTUM_UM, _CLEFT_UM, _KNOT_UM = 6.0, 4.0, 12.0
# Above a half: blur widens matter, and septa leave a little at the border.
_BORDER = 0.57
# Gaps narrower than 24 µm and holes up to an alveolus belong to the lesion around them.
_GAP_UM, _MAX_HOLE_UM2 = 12.0, 2_500.0
_LARGE_UM = 40.0
_LOWEST_UM, _JUDGING_UM = 30.0, 2.0


@dataclass(frozen=True, slots=True, eq=False)
class LungSection:
    """What was found in a picture of a lung section.

    Attributes
    ----------
    pixel_size_um : float
        Of the maps.
    codes : uint8 (Y, X)
        Index into `LUNG_CODES`.
    labels : int32 (Y, X)
        `Focus.focus_id`, also of the foci that are too small to count; 0 elsewhere.
    foci : tuple of Focus
        Those that count, the largest first.
    small : tuple of Focus
        Those that are too small to count, down to 30 µm: for the sensitivity.
    refused : tuple of Refused
    tubes : tuple of Tube
        Large airways and vessels.
    rules : FociRules
    """

    pixel_size_um: float
    codes: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    foci: tuple[Focus, ...]
    small: tuple[Focus, ...]
    refused: tuple[Refused, ...]
    tubes: tuple[Tube, ...]
    rules: FociRules = field(default_factory=FociRules)

    def area_um2(self, *names: str) -> float:
        """Area of some of `LUNG_CODES`, µm²."""
        wanted = [LUNG_CODES.index(name) for name in names]
        counts = np.bincount(self.codes.ravel(), minlength=len(LUNG_CODES))
        return float(counts[wanted].sum()) * self.pixel_size_um**2

    @property
    def lobe_um2(self) -> float:
        """Area of the lobes with their air, without artefacts: the first denominator, µm²."""
        return self.area_um2(*LUNG_CODES[1:8])

    @property
    def parenchyma_um2(self) -> float:
        """Septa and lesions: the second denominator, µm².

        Without air, large airways and vessels, lymphoid aggregates and blood.
        """
        return self.area_um2("parenchyma", "lesion")

    @property
    def lesion_um2(self) -> float:
        """Area of the foci that count, µm²."""
        return float(sum(focus.area_um2 for focus in self.foci))

    def without(self, regions_um: Sequence[npt.ArrayLike]) -> LungSection:
        """Return the section as if there were nothing in some polygons.

        A focus half or more of which lies in them is left out whole, of others the rest counts;
        their nuclei are then those of the same share of the area.

        Parameters
        ----------
        regions_um : sequence of float (N, 2)
            Vertices (y, x) in µm.

        Returns
        -------
        LungSection
        """
        every = np.ones(self.codes.shape, bool)
        return self.keeping(shapes.without_regions(every, self.pixel_size_um, regions_um))

    def keeping(self, kept: Mask) -> LungSection:
        """Return the section as if there were something in a mask (Y, X) only; see `without`."""
        um = self.pixel_size_um
        before = np.bincount(self.labels.ravel(), minlength=2)
        left = np.bincount(self.labels[kept], minlength=len(before)) / np.maximum(before, 1)
        kept = kept & ((left > 0.5)[self.labels] | (self.labels == 0))
        every = [
            _cut(focus, float(left[focus.focus_id]))
            for focus in (*self.foci, *self.small)
            if left[focus.focus_id] > 0.5
        ]
        foci = tuple(focus for focus in every if counts_as_focus(focus, self.rules))
        small = tuple(focus for focus in every if not counts_as_focus(focus, self.rules))
        middle = [tuple(int(at / um) for at in (one.y_um, one.x_um)) for one in self.refused]
        refused = tuple(one for one, at in zip(self.refused, middle, strict=True) if kept[at])
        codes = np.where(kept, self.codes, 0).astype(np.uint8)
        labels = np.where(kept, self.labels, 0).astype(np.int32)
        return replace(self, codes=codes, labels=labels, foci=foci, small=small, refused=refused)


def _cut(focus: Focus, share: float) -> Focus:
    if share == 1:
        return focus
    nuclei = None if focus.nuclei is None else round(focus.nuclei * share)
    area, diameter = focus.area_um2 * share, focus.diameter_um * math.sqrt(share)
    return replace(focus, area_um2=area, diameter_um=diameter, nuclei=nuclei)


def find_lung(
    rgb: npt.NDArray[np.uint8],
    white_point: npt.ArrayLike,
    *,
    pixel_size_um: float,
    cells: pd.DataFrame | None = None,
    artefacts: Mask | None = None,
    rules: FociRules | None = None,
) -> LungSection:
    """Outline lobes, air, large airways and vessels, and metastatic foci.

    Solid is where the share of matter around a pixel lies half way or more between that of the
    slide's own alveolar parenchyma and 1. What is thin or part of a wall is opened away, decoys are
    refused with a reason. Nothing is fitted to a stain: red optical density stands for
    haematoxylin, its ratio to green tells eosin.

    Parameters
    ----------
    rgb : uint8 (Y, X, 3)
        The whole section at 1-5 µm/px; best at 2-4. Finer than 2 is averaged down inside.
    white_point : float (3,)
        Light through empty glass.
    pixel_size_um : float
    cells : DataFrame, optional
        With ``y_um``, ``x_um`` and ``nucleus_area_um2``: counts nuclei in foci and tells lymphoid
        aggregates by their nuclei.
    artefacts : bool (Y, X), optional
        Folds, pen, cover-slip edges; they leave the areas, and what lies in them is refused.
    rules : FociRules, optional

    Returns
    -------
    LungSection
        Its maps are as large as `rgb`, or smaller by a whole factor when that was averaged down.

    Raises
    ------
    ValueError
        When the picture is not uint8 (Y, X, 3), the pixel size not in (0, 5], or a shape differs.

    Examples
    --------
    >>> import numpy as np
    >>> glass = np.full((60, 80, 3), 243, np.uint8)
    >>> section = find_lung(glass, (243, 243, 243), pixel_size_um=4.0)
    >>> len(section.foci), section.lobe_um2
    (0, 0.0)
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"rgb must be uint8 (Y, X, 3), got {rgb.dtype} {rgb.shape}")
    if not (math.isfinite(pixel_size_um) and 0 < pixel_size_um <= MAX_PIXEL_SIZE_UM):
        raise ValueError(f"pixel_size_um must be above 0 and at most 5, got {pixel_size_um}")
    spoilt = np.zeros(rgb.shape[:2], bool) if artefacts is None else np.asarray(artefacts, bool)
    if spoilt.shape != rgb.shape[:2]:
        raise ValueError(f"artefacts is {spoilt.shape}, rgb {rgb.shape}: they must match")
    rgb, spoilt, um = _coarsened(rgb, spoilt, pixel_size_um)
    rules = rules or FociRules()
    od = optical_density(rgb, white_point)
    red, green = np.ascontiguousarray(od[..., 0]), np.ascontiguousarray(od[..., 1])
    matter = find_matter(od.mean(-1), um)
    lobes, other = find_lobes(matter, um)
    tubes, tube_codes, lumens = find_tubes(matter.mask, lobes, red, pixel_size_um=um)
    solid = _find_solid(matter, lobes, tube_codes > 0, lumens, um)
    septa = matter.mask & lobes & ~solid & (tube_codes == 0) & ~spoilt
    # On one scale whatever the pixel size, so that nuclei are as dark in both.
    sigma = math.sqrt(max(_JUDGING_UM**2 - um**2 / 12, 0.0)) / um
    red, green = shapes.blurred(red, sigma), shapes.blurred(green, sigma)
    reference = measure_reference(septa, red, green)
    planes = (red, green, matter.share, tube_codes > 0, spoilt)
    lesion, decoys, refused = _sort_out(solid, planes, reference, cells, um)
    refused = [*refused, *_outside(other, um)]
    labels = merge_near(lesion, rules.merge_um, pixel_size_um=um)
    labels = np.where(spoilt, 0, labels).astype(np.int32)  # artefacts leave the lobes as well
    every = make_foci(labels, pixel_size_um=um, cells=cells)
    foci = tuple(f for f in every if counts_as_focus(f, rules))
    small = tuple(f for f in every if not counts_as_focus(f, rules))
    refused += [_too_small(focus, rules) for focus in small]
    small = tuple(f for f in small if f.diameter_um >= _LOWEST_UM)
    counted = np.isin(labels, [f.focus_id for f in foci])
    codes = _encode(matter.mask, lobes, tube_codes, counted, decoys, spoilt)
    labels = np.where(np.isin(labels, [f.focus_id for f in (*foci, *small)]), labels, 0)
    return LungSection(
        um, codes, labels.astype(np.int32), foci, small, tuple(refused), tubes, rules
    )


def _coarsened(
    rgb: npt.NDArray[np.uint8], spoilt: Mask, um: float
) -> tuple[npt.NDArray[np.uint8], Mask, float]:
    """Average down by a whole factor until a pixel spans about 2 µm; leftover rows are dropped."""
    factor = max(1, math.floor(_MIN_PIXEL_SIZE_UM / um + 0.25))
    if factor == 1:
        return rgb, spoilt, um
    height, width = (n // factor * factor for n in spoilt.shape)
    size = (width // factor, height // factor)
    small = cv2.resize(rgb[:height, :width], size, interpolation=cv2.INTER_AREA)
    blocks = spoilt[:height, :width].reshape(size[1], factor, size[0], factor)
    return np.asarray(small, np.uint8), np.asarray(blocks.any(axis=(1, 3))), um * factor


def _find_solid(matter: Matter, lobes: Mask, tubes: Mask, lumens: Mask, um: float) -> Mask:
    """Solid places in the lobes, down to their border; walls, septa and pleura opened away."""
    room = lobes & ~tubes
    coarse = shapes.opened((matter.share > matter.solid) & room, _OPENING_UM / um)
    coarse = shapes.holding(coarse, matter.share > matter.surely_solid)
    if not coarse.any():
        return coarse
    # The window blunts corners: near a solid place matter itself shows the border.
    near = shapes.dilate(coarse, _REACH_UM / um) & room
    fine = _without_septa(matter.mask, near, um)
    whole = shapes.holding(fine | coarse, coarse)
    whole |= _loose_growth(matter, whole, room, um)
    whole = shapes.closed(whole, _GAP_UM / um)
    whole = shapes.filled(whole, _MAX_HOLE_UM2 / um**2) & ~lumens & room
    smooth = shapes.blurred(whole.astype(np.float32), _SMOOTH_UM / um) > _BORDER
    return shapes.holding(smooth & room, coarse)


def _without_septa(matter: Mask, near: Mask, um: float) -> Mask:
    """Matter without the septa that end there; what only a cleft parts from the rest stays.

    A row of cells beyond a cleft is as thin as a knot of septa: clefts are bridged once the septa
    are gone, and before the knots are opened away.
    """
    thick = shapes.opened(matter & near, _SEPTUM_UM / um)
    bridged = shapes.closed(thick, _CLEFT_UM / um)
    return shapes.opened(bridged & near, _KNOT_UM / um)


def _loose_growth(matter: Matter, solid: Mask, room: Mask, um: float) -> Mask:
    """Where a large lesion goes on along the septa: less than solid, but far above parenchyma."""
    large = shapes.opened(solid, _LARGE_UM / um)
    if not large.any():
        return large
    large = shapes.holding(solid, large)
    looser = (matter.share > matter.loose) & room
    # The blurred rim of what is solid is no growth: growth is wider than that.
    beyond = shapes.opened(looser & ~shapes.dilate(solid, 4.0 / um), _OPENING_UM / um)
    joined = shapes.holding(shapes.dilate(beyond, 6.0 / um) & looser | large, large)
    return np.asarray(joined)


def _sort_out(
    solid: Mask,
    planes: tuple[Plane, Plane, Plane, Mask, Mask],
    reference: Reference,
    cells: pd.DataFrame | None,
    um: float,
) -> tuple[Mask, Mask, list[Refused]]:
    """Judge every solid place: metastasis, decoys that leave the parenchyma, reasons."""
    red, green, share, tubes, spoilt = planes
    lesion, decoys = np.zeros(solid.shape, bool), np.zeros(solid.shape, bool)
    refused = []
    count, labels, stats, centres = cv2.connectedComponentsWithStats(solid.astype(np.uint8))
    for number in range(1, count):
        x, y, w, h = (int(v) for v in stats[number, :4])
        pad = math.ceil(12.0 / um)
        box = (slice(max(0, y - pad), y + h + pad), slice(max(0, x - pad), x + w + pad))
        mask = labels[box] == number
        part = Candidate(
            mask,
            red[box],
            green[box],
            share[box],
            tubes[box],
            spoilt[box],
            (box[0].start * um, box[1].start * um),
            um,
        )
        reason, evidence = judge(part, reference, cells)
        if reason is None:
            lesion[box] |= mask
            continue
        if reason in ("lymphoid", "blood"):
            decoys[box] |= mask
        area = float(stats[number, cv2.CC_STAT_AREA]) * um**2
        at = (centres[number] + 0.5) * um
        refused.append(_refusal(at[1], at[0], area, reason, evidence))
    return lesion, decoys, refused


def _refusal(y_um: float, x_um: float, area: float, reason: str, evidence: str) -> Refused:
    return Refused(float(y_um), float(x_um), area, math.sqrt(4 * area / math.pi), reason, evidence)


def _outside(other: Mask, um: float) -> list[Refused]:
    """Tissue beside the lobes, one refusal a piece."""
    count, _, stats, centres = cv2.connectedComponentsWithStats(other.astype(np.uint8))
    found = []
    for number in range(1, count):
        area = float(stats[number, cv2.CC_STAT_AREA]) * um**2
        x, y = (centres[number] + 0.5) * um
        found.append(_refusal(y, x, area, "outside", "less than 30 % of it is air"))
    return found


def _too_small(focus: Focus, rules: FociRules) -> Refused:
    nuclei = "" if focus.nuclei is None else f", {focus.nuclei} nuclei"
    evidence = f"{focus.diameter_um:.0f} µm of {rules.min_diameter_um:g}{nuclei}"
    return _refusal(focus.y_um, focus.x_um, focus.area_um2, "small", evidence)


def _encode(
    matter: Mask,
    lobes: Mask,
    tube_codes: npt.NDArray[np.uint8],
    lesion: Mask,
    decoys: Mask,
    spoilt: Mask,
) -> npt.NDArray[np.uint8]:
    """Put the maps together; a later one wins."""
    codes = np.zeros(matter.shape, np.uint8)
    codes[lobes] = np.where(matter, 1, 2)[lobes]
    tubes = (tube_codes > 0) & lobes
    codes[tubes] = tube_codes[tubes] + 2
    codes[decoys] = LUNG_CODES.index("refused")
    codes[lesion] = LUNG_CODES.index("lesion")
    codes[spoilt & lobes] = LUNG_CODES.index("artefact")
    return codes
