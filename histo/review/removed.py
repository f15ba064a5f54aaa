"""What excluding a part of a slide takes from its areas, on the very pixels of the run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo.geometry import Region
from histo.metrics import Histogram, SlideAreas
from histo.pipeline.measure import (
    CORE_PX,
    HALO_PX,
    Workplace,
    sharp_valid,
    stain_histograms,
    survey_lookup,
)
from histo.pipeline.reopening import Reopened
from histo.pipeline.survey import with_reach
from histo.review.masks import painted
from histo.tiles import tile_grid

__all__ = ["removed_areas"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def removed_areas(run: Reopened, polygon_um: Floats, without: Sequence[Floats]) -> SlideAreas:
    """Measure tissue, valid area and stain within a polygon.

    Parameters
    ----------
    run : Reopened
    polygon_um : float64 (N, 2)
        Corners (y, x), µm.
    without : sequence of float64 (N, 2)
        Polygons that were taken away before.

    Returns
    -------
    SlideAreas

    Notes
    -----
    The survey's pixels (about 4 µm) decide what lies within, for the areas and for the stain
    alike. Focus is judged in the tiles of the run, as its verdict there is part of the counts.
    """
    place = run.place
    within = _within(run, polygon_um)
    for one in without:
        within &= ~_within(run, one)
    counted = {
        name: Histogram(one.edges, np.zeros_like(one.counts))
        for name, one in run.histograms.items()
    }
    if counted and (within & place.survey.valid).any():
        _count(place, within, counted)
    return run.survey.areas(counted, within)


def _within(run: Reopened, polygon_um: Floats) -> Mask:
    """Return the survey's pixels in a polygon, bool (Y, X)."""
    um, shape = run.survey.pixel_size_um, run.survey.tissue.shape
    points = polygon_um / um
    # The survey's last row and column may reach beyond the slide: so does a polygon at its edge.
    slide = np.array(run.place.slide.grid_shape(run.place.pixel_size_um))
    edge = slide * run.place.pixel_size_um / um
    points = np.where(points >= edge - 0.5, np.maximum(points, shape), points)
    return painted([points], Region(0, 0, *shape)) > 0


def _count(place: Workplace, within: Mask, counted: dict[str, Histogram]) -> None:
    """Add the stain of all valid pixels within, tile by tile of the run."""
    um, survey = place.pixel_size_um, place.survey
    tiles = tile_grid(
        place.slide.grid_shape(um),
        core_px=CORE_PX,
        halo_px=HALO_PX,
        mask=with_reach(survey.valid, survey.pixel_size_um),
    )
    for tile in tiles:
        rows, columns = survey_lookup(tile.core, place)
        chosen = np.take(within[rows], columns, axis=1)
        if not chosen.any():
            continue
        image = place.slide.read(tile.crop, um)
        chosen &= sharp_valid(place, tile, image)[0]
        # Only what is counted is unmixed.
        some = tuple(np.flatnonzero(chosen.any(axis)) for axis in (1, 0))
        if not some[0].size:
            continue
        part = tuple(slice(int(one[0]), int(one[-1]) + 1) for one in some)
        planes = place.planes(image[tile.core.slices_in(tile.crop)][part])
        edges = next(iter(counted.values())).edges
        for name, one in stain_histograms(place, planes, edges, where=chosen[part]).items():
            counted[name] = counted[name] + one
