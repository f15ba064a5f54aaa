"""A look at how a slide is stained: vectors from the slide or from drawn regions, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from histo.errors import PanelError, StainError
from histo.geometry import Region
from histo.panel import Panel
from histo.pipeline.survey import sample_fields, survey_slide
from histo.slide import Slide
from histo.stain import (
    StainCheck,
    StainMatrix,
    WhitePoint,
    check_stains,
    estimate_stains,
    explain,
    load_stains,
    stains_from_regions,
)
from histo.stain.matrix import vector_angle

__all__ = ["StainReport", "report_stains"]

#: Drawn regions are read at about this pixel size, coarser where they are very large.
REGION_UM, REGION_PX = 0.5, 4_000_000
#: Vectors this close are the same for all that is measured.
SAME_DEG = 5.0

Polygons = Sequence[npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class StainReport:
    """Stain vectors of a slide, beside those of its panel.

    Parameters
    ----------
    found, panel : StainMatrix
        The vectors that were asked for, and the panel's.
    found_check, panel_check : StainCheck
        How either fits the slide.
    white_point : WhitePoint
    """

    found: StainMatrix
    panel: StainMatrix
    found_check: StainCheck
    panel_check: StainCheck
    white_point: WhitePoint

    @property
    def drift_deg(self) -> dict[str, float]:
        """Angle of each stain between the found vectors and the panel's, in degrees."""
        rows = zip(self.found.stains, self.found.vectors, self.panel.vectors, strict=True)
        return {stain: vector_angle(own, reference) for stain, own, reference in rows}

    def words(self) -> tuple[str, ...]:
        """Say whether the vectors fit, why not, and what to do, in sentences."""
        check, other = self.found_check, self.panel_check
        said = [f"{explain(flag)}" for flag in (*self.white_point.flags, *check.flags)]
        said = list(dict.fromkeys(said))
        same = max(self.drift_deg.values()) <= SAME_DEG
        if not check.passed:
            head = "These vectors do not fit the slide."
            if other.passed:
                head += " The panel's own do: keep those."
            return head, *said
        if same and other.passed:
            head = (
                "These vectors fit, and so do the panel's own, which differ by at most "
                f"{max(self.drift_deg.values()):.0f}°: keep the panel's, so that intensities can "
                "be compared with other slides."
            )
        elif other.passed:
            head = (
                "These vectors fit, and so do the panel's own. Use these only for all slides of "
                "the batch alike: intensities of the two cannot be compared."
            )
        else:
            head = (
                "These vectors fit, and the panel's own do not. Save them, and use the file for "
                "all slides of the batch."
            )
        return head, *said

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, lists and dicts, as JSON takes them; NaN becomes None."""
        return {
            "name": self.found.name,
            "stains": list(self.found.stains),
            "vectors": self.found.vectors.tolist(),
            "provisional": list(self.found.provisional),
            "flags": list(self.found.flags),
            "panel_vectors": self.panel.vectors.tolist(),
            "drift_deg": self.drift_deg,
            "angles": [[*pair, angle] for pair, angle in self.found.angles().items()],
            "passed": self.found_check.passed,
            "values": _plain(self.found_check.values),
            "panel_passed": self.panel_check.passed,
            "panel_values": _plain(self.panel_check.values),
            "white_point": self.white_point.value.tolist(),
            "white_point_source": self.white_point.source,
            "words": list(self.words()),
        }


def report_stains(
    slide: Slide,
    panel: Panel,
    *,
    regions: Mapping[str, Polygons] | None = None,
    stains: StainMatrix | None = None,
) -> StainReport:
    """Find out how a slide is stained, and whether that fits.

    Parameters
    ----------
    slide : Slide
    panel : Panel
        Names the stains and gives their vectors to start from.
    regions : mapping of str to sequence of float64 (N, 2), optional
        Polygons (y, x) in µm, by the stain that is alone in them. Stains without a region are
        estimated from the slide.
    stains : StainMatrix, optional
        Vectors to judge as they are, instead of finding some.

    Returns
    -------
    StainReport

    Raises
    ------
    PanelError
        If the panel is for fluorescence.
    StainError
        If there is no tissue, a region cannot be used, or stains cannot be told apart.
    SlideError
        If the slide cannot be read.
    ValueError
        If a region is of a stain that the panel does not have.
    """
    if panel.stains is None:
        raise PanelError(
            f"{panel.name}: is a panel of fluorescence channels, which are not unmixed; choose a "
            "bright-field panel."
        )
    reference = load_stains(panel.stains)
    survey = survey_slide(slide, panel, stains=str(panel.stains))
    white = survey.white_point
    fields = sample_fields(slide, survey.valid, survey.pixel_size_um).reshape(-1, 3)
    if white is None:
        raise PanelError(f"{slide.path.name}: is no bright-field slide; choose another panel.")
    stained = fields.min(-1) < 0.9 * white.value.min()
    if not stained.any():
        raise StainError(
            f"{slide.path.name}: no stained tissue was found, so there is nothing to estimate."
        )
    found = stains
    if found is None:
        found = reference
        if not regions or set(regions) != set(reference.stains):
            found = estimate_stains(fields[stained], reference, white.value)
        if regions:
            pixels = {name: _pixels(slide, shapes) for name, shapes in regions.items()}
            found = _with_regions(pixels, found, reference, white)
    checks = (check_stains(fields, one, white.value, stained) for one in (found, reference))
    found_check, panel_check = checks
    return StainReport(found, reference, found_check, panel_check, white)


def _with_regions(
    pixels: Mapping[str, npt.NDArray[np.uint8]],
    estimated: StainMatrix,
    reference: StainMatrix,
    white: WhitePoint,
) -> StainMatrix:
    """Take the stains of the regions from there, and the others as they were estimated."""
    drawn = stains_from_regions(pixels, reference, white.value)
    vectors = [
        (drawn if stain in pixels else estimated).vectors[row]
        for row, stain in enumerate(reference.stains)
    ]
    others = tuple(
        flag for flag in estimated.flags if not any(flag.endswith(f"_{name}") for name in pixels)
    )
    left = tuple(
        stain
        for stain in reference.provisional
        if stain in (drawn if stain in pixels else estimated).provisional
    )
    return StainMatrix(
        reference.name,
        reference.stains,
        np.array(vectors),
        provisional=left,
        flags=(*drawn.flags, *others),
    )


def _pixels(slide: Slide, polygons: Polygons) -> npt.NDArray[np.uint8]:
    """Return the pixels within polygons, uint8 (N, 3)."""
    um = slide.working_pixel_size(REGION_UM)
    parts = [np.zeros((0, 3), np.uint8)]
    for polygon in polygons:
        corners, size = np.asarray(polygon, np.float64), um
        while np.prod(np.ptp(corners, axis=0) / size) > REGION_PX:
            size *= 2
        (top, left), (bottom, right) = corners.min(axis=0) / size, corners.max(axis=0) / size
        shape = slide.grid_shape(size)
        y, x = max(0, math.floor(top)), max(0, math.floor(left))
        height = min(math.ceil(bottom), shape[0]) - y
        width = min(math.ceil(right), shape[1]) - x
        if height <= 0 or width <= 0:
            continue
        inside = np.zeros((height, width), np.uint8)
        # A pixel belongs to the polygon when its centre does.
        at = np.round((corners[:, ::-1] / size - (x, y) - 0.5) * 256).astype(np.int32)
        cv2.fillPoly(inside, [at], 1, shift=8)
        rgb = slide.read(Region(y, x, height, width), size)
        parts.append(np.asarray(rgb[inside > 0], np.uint8))
    return np.concatenate(parts)


def _plain(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
