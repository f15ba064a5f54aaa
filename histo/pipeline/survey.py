"""The first look at a slide, from afar: where tissue is, what spoils it, how it is stained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from histo.geometry import Region
from histo.metrics import Histogram, SlideAreas
from histo.panel import Panel
from histo.pipeline.drawn_region import DrawnRegion, Polygons
from histo.slide import Slide
from histo.stain import (
    StainCheck,
    StainMatrix,
    WhitePoint,
    check_stains,
    estimate_stains,
    estimate_white_point,
    load_stains,
)
from histo.tissue import (
    MIN_TISSUE_UM2,
    find_artefacts,
    nuclear_texture,
    tissue_mask,
    tissue_mask_channels,
)
from histo.tissue.texture import MAX_PIXEL_SIZE_UM

__all__ = ["Survey", "extent_in", "sample_fields", "survey_slide", "with_reach"]

#: Tissue is outlined at about this pixel size, coarser on slides beyond `MAX_SIDE_PX`.
SURVEY_UM = 4.0
MAX_SIDE_PX = 6000

#: Cells this close to the tissue's outline still count as in the tissue, and the soft rim of
#: an artefact reaches this far.
REACH_UM = 12.0

#: Stains are estimated and checked on this many fields of this side, at about `SAMPLE_UM`.
SAMPLE_FIELDS, SAMPLE_PX, SAMPLE_UM = 12, 384, 1.0

#: Fluorescence: where more than this share of what seems to be glass is full of nuclei, no glass
#: is in view.
NUCLEAR_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Survey:
    """What the first look found.

    Attributes
    ----------
    pixel_size_um : float
        Of the picture and the masks.
    picture : uint8 (Y, X, 3) or number (Y, X, C)
        The slide at that pixel size; (0, 0, C) in a survey that was read back from a result.
    tissue : bool (Y, X)
    artefacts : uint8 (Y, X)
        Codes of `histo.tissue.ARTEFACT_NAMES`; 0 is none.
    white_point, stains, stain_check
        None for fluorescence.
    nuclear_range : (float, float), optional
        Fluorescence: intensities of background and of a bright nucleus.
    dab_od_shift : float, optional
        What the stains leave too much of brown on negative nuclei, OD; known once all nuclei
        are measured, where the model's word on brown is used.
    region : DrawnRegion, optional
        Where the slide is analysed; ``tissue`` lies within it. None: everywhere.
    tissue_assumed : bool
        Fluorescence: no glass is in view to tell tissue from, but nuclei are everywhere, so all
        was taken for tissue.
    extent_px : (float, float), optional
        The slide's own extent (Y, X) in these pixels: the last row and column reach beyond it.
    """

    pixel_size_um: float
    picture: npt.NDArray[Any]
    tissue: npt.NDArray[np.bool_]
    artefacts: npt.NDArray[np.uint8]
    white_point: WhitePoint | None = None
    stains: StainMatrix | None = None
    stain_check: StainCheck | None = None
    nuclear_range: tuple[float, float] | None = None
    dab_od_shift: float | None = None
    region: DrawnRegion | None = None
    tissue_assumed: bool = False
    extent_px: tuple[float, float] | None = None

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Tissue without artefacts, bool (Y, X): the denominator of densities."""
        return np.asarray(self.tissue & (self.artefacts == 0))

    @property
    def share(self) -> npt.NDArray[np.float32]:
        """How much of each pixel lies on the slide and in the region, 0-1."""
        shape = self.tissue.shape
        rows, columns = (
            np.clip(extent - np.arange(n), 0, 1).astype(np.float32)
            for extent, n in zip(self.extent_px or shape, shape, strict=True)
        )
        share = np.outer(rows, columns)
        return share if self.region is None else share * self.region.coverage

    def areas(
        self, histograms: Mapping[str, Histogram], within: npt.NDArray[np.bool_] | None = None
    ) -> SlideAreas:
        """Return the areas of the tissue, of its part in the region, or within a mask (Y, X)."""
        share = self.share if within is None else self.share * within
        tissue, valid, spoilt = (
            float(share[mask].sum(dtype=float) * self.pixel_size_um**2)
            for mask in (self.tissue, self.valid, self.tissue & (self.artefacts > 0))
        )
        return SlideAreas(tissue, valid, spoilt, histograms)


def survey_slide(
    slide: Slide, panel: Panel, *, stains: str | None = None, region: Polygons | None = None
) -> Survey:
    """Look at the whole slide once.

    White point and stains are those of the whole slide, whatever the region.

    Parameters
    ----------
    slide : Slide
    panel : Panel
    stains : str, optional
        Name or path of stain vectors instead of the panel's, or ``"estimate"`` to fit the
        panel's to the slide. By default the panel's are fitted only when they fail the check.
    region : tuple of polygons, optional
        Where tissue counts, vertices (y, x) in µm.

    Returns
    -------
    Survey

    Raises
    ------
    SlideError, StainError
        If the slide cannot be read, the region lies outside of it, or the stains cannot be used.
    """
    um = slide.working_pixel_size(SURVEY_UM)
    while max(slide.grid_shape(um)) > MAX_SIDE_PX:
        um *= 2
    drawn = None if region is None else DrawnRegion.on_slide(region, slide, um)
    picture = slide.read(Region(0, 0, *slide.grid_shape(um)), um)
    look = _survey_channels if panel.kind == "channels" else partial(_survey_stained, stains=stains)
    extent = extent_in(slide.shape, slide.pixel_size_yx_um, um)
    survey = replace(look(slide, panel, picture, um), extent_px=extent)
    if drawn is None:
        return survey
    return replace(survey, tissue=survey.tissue & (drawn.coverage > 0), region=drawn)


def extent_in(
    shape: Sequence[int], side_um: tuple[float, float], pixel_size_um: float
) -> tuple[float, float]:
    """Return the extent (Y, X) of a slide in pixels of another size, not rounded.

    Examples
    --------
    >>> extent_in((9, 16), (0.5, 0.5), 2.0)
    (2.25, 4.0)
    """
    return shape[0] * side_um[0] / pixel_size_um, shape[1] * side_um[1] / pixel_size_um


def _survey_stained(
    slide: Slide, panel: Panel, picture: npt.NDArray[Any], um: float, *, stains: str | None
) -> Survey:
    tissue = tissue_mask(picture, um)
    artefacts = find_artefacts(picture, um, tissue)
    tissue = _without_bridges(picture, tissue, artefacts, um)
    white = estimate_white_point(picture, ~tissue)
    fields = sample_fields(slide, tissue & (artefacts == 0), um)
    matrix, check = _settle_stains(fields.reshape(-1, 3), panel, white, wish=stains)
    return Survey(um, picture, tissue, artefacts, white, matrix, check)


def with_reach(mask: npt.NDArray[np.bool_], pixel_size_um: float) -> npt.NDArray[np.bool_]:
    """Return a mask grown by `REACH_UM`, bool (Y, X)."""
    steps = max(1, round(REACH_UM / pixel_size_um))
    # As scipy's binary_dilation, many times as fast; glass lies beyond the picture.
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    grown = cv2.dilate(mask.astype(np.uint8), cross, iterations=steps, borderValue=0)
    return np.asarray(grown > 0)


def _without_bridges(
    picture: npt.NDArray[np.uint8],
    tissue: npt.NDArray[np.bool_],
    artefacts: npt.NDArray[np.uint8],
    um: float,
) -> npt.NDArray[np.bool_]:
    """Find the tissue again as if artefacts were glass.

    A pen stroke beside a section looks like tissue and closes the glass between the two into
    a hole, which would be filled and counted as tissue.
    """
    spoilt = artefacts > 0
    if not spoilt.any():
        return tissue
    clean = picture.copy()
    glass = picture[~tissue]
    clean[with_reach(spoilt, um)] = np.median(glass, axis=0) if len(glass) else 245
    return np.asarray(tissue_mask(clean, um) | (tissue & spoilt))


def _settle_stains(
    pixels: npt.NDArray[np.uint8], panel: Panel, white: WhitePoint, *, wish: str | None
) -> tuple[StainMatrix, StainCheck]:
    """Take the stains asked for; without a wish, the panel's where they fit, else the slide's own.

    Scanners differ in colour so much that one set of vectors turns blue nuclei brown on one
    of them and brown ones blue on the next. Vectors estimated from the slide replace the
    panel's when those fail the check and the estimate leaves less unexplained.
    """
    asked_to_estimate = wish == "estimate"
    default = str(panel.stains)
    matrix = load_stains(default if wish is None or asked_to_estimate else wish)
    stained = pixels.min(-1) < 0.9 * white.value.min()
    check = check_stains(pixels, matrix, white.value, stained)
    if not stained.any():
        return matrix, check
    # Stains that the user names are taken as they are.
    doubtful = wish is None and (matrix.provisional or not check.passed)
    if asked_to_estimate or doubtful:
        own = estimate_stains(pixels[stained], matrix, white.value)
        own_check = check_stains(pixels, own, white.value, stained)
        if asked_to_estimate or matrix.provisional or _misfit(own_check) < _misfit(check):
            flags = (*own_check.flags, "stains_estimated") if doubtful else own_check.flags
            return own, replace(own_check, flags=flags)
    return matrix, check


def _misfit(check: StainCheck) -> float:
    """How much of the colour the vectors leave unexplained, or explain by less than nothing."""
    values = check.values
    return values["negative_fraction"] + float(np.nan_to_num(values.get("residual_fraction", 0.0)))


def _survey_channels(slide: Slide, panel: Panel, picture: npt.NDArray[Any], um: float) -> Survey:
    at = panel.channel_names.index(str(panel.nuclear_channel))
    nuclear = panel.resolve_channels(slide.channel_names)[at]
    tissue = tissue_mask_channels(picture, um)
    assumed = _is_tissue_too(slide, tissue, um, channel=nuclear)
    if assumed:
        tissue = np.ones_like(tissue)
    fields = sample_fields(slide, tissue, um, channel=nuclear)
    return Survey(
        um,
        picture,
        tissue,
        np.zeros(tissue.shape, np.uint8),
        nuclear_range=_nuclear_range(picture[..., nuclear], tissue, fields),
        tissue_assumed=assumed,
    )


def _is_tissue_too(slide: Slide, tissue: npt.NDArray[np.bool_], um: float, *, channel: int) -> bool:
    """Tell whether what was taken for glass is full of nuclei.

    From afar a field that is tissue from edge to edge looks like an empty one: its darkest mode
    is that of the tissue. Nuclei show at about 1 µm/px.
    """
    fine_um = slide.working_pixel_size(SAMPLE_UM)
    if fine_um > MAX_PIXEL_SIZE_UM:
        return False
    # What bright tissue sheds around it is no texture of the glass.
    outside = ~with_reach(with_reach(tissue, um), um)
    seen_px = nuclei_px = 0
    for place in dict.fromkeys(_places(slide, outside, um)):
        where = place.sample(outside, fine_um / um)
        field = slide.read(place, fine_um)[..., channel]
        seen_px += int(where.sum())
        nuclei_px += int(nuclear_texture(field, fine_um, where=where).sum())
    return nuclei_px > max(NUCLEAR_SHARE * seen_px, MIN_TISSUE_UM2 / fine_um**2)


def _nuclear_range(
    picture: npt.NDArray[Any], tissue: npt.NDArray[np.bool_], fields: npt.NDArray[Any]
) -> tuple[float, float]:
    """Return the intensities of background and of a bright nucleus."""
    background = picture[~tissue]
    if background.size < 64:
        # Without glass, the darkest twentieth is what lies between nuclei.
        background = np.sort(picture, axis=None)[: max(1, picture.size // 20)]
    low = float(np.median(background))
    bright = fields[fields > low] if fields.size else picture
    high = float(np.percentile(bright, 97)) if bright.size else low + 1
    return low, max(high, low + 1e-6 * max(1.0, abs(low)) + 1e-9)


def sample_fields(
    slide: Slide,
    valid: npt.NDArray[np.bool_],
    pixel_size_um: float,
    *,
    channel: int | None = None,
) -> npt.NDArray[Any]:
    """Read some fields spread evenly over the tissue, always the same ones.

    Parameters
    ----------
    slide : Slide
    valid : bool (Y, X)
        Where to look, at ``pixel_size_um``.
    pixel_size_um : float
        Of ``valid``.
    channel : int, optional
        Return this channel only.

    Returns
    -------
    array (N, H, W, C), or (N, H, W) with ``channel``
        At about 1 µm/px; N is 0 when there is no tissue. Fields of a small slide are as
        large as the slide.
    """
    um = slide.working_pixel_size(SAMPLE_UM)
    fields = [slide.read(place, um) for place in _places(slide, valid, pixel_size_um)]
    if fields:
        stack = np.stack(fields)
    else:
        sides = (min(SAMPLE_PX, n) for n in slide.grid_shape(um))
        stack = np.zeros((0, *sides, len(slide.channel_names)), slide.dtype)
    return stack if channel is None else stack[..., channel]


def _places(slide: Slide, valid: npt.NDArray[np.bool_], pixel_size_um: float) -> list[Region]:
    """Return where fields lie around pixels of `valid`, spread evenly, at about `SAMPLE_UM`."""
    um = slide.working_pixel_size(SAMPLE_UM)
    shape = slide.grid_shape(um)
    height, width = (min(SAMPLE_PX, n) for n in shape)
    at = np.argwhere(valid)
    if not len(at):
        return []
    places = []
    for index in np.unique(np.linspace(0, len(at) - 1, SAMPLE_FIELDS).astype(int)):
        y, x = ((at[index] + 0.5) * pixel_size_um / um).astype(int)
        y = int(np.clip(y - height // 2, 0, shape[0] - height))
        x = int(np.clip(x - width // 2, 0, shape[1] - width))
        places.append(Region(y, x, height, width))
    return places
