"""The long part of a run: tile by tile from pixels to cells, labels, outlines and areas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.cells import (
    POSITIVITY_COLUMN,
    Frame,
    Rings,
    empty_cells,
    expand_cells,
    measure_column,
    measure_expanded,
    trace_outlines,
    without_padding,
)
from histo.geometry import Region
from histo.metrics import OD_EDGES, Histogram, SlideAreas, intensity_edges
from histo.metrics.shapes import LabelShapes
from histo.nuclei import NucleiModel, TileNuclei, segment_tiles, virtual_hematoxylin
from histo.nuclei.positivity import od_shift
from histo.panel import Panel
from histo.pipeline.files import LABELS, OUTLINES
from histo.pipeline.survey import Survey, with_reach
from histo.results import LabelWriter, OutlineWriter
from histo.slide import Slide
from histo.stain import stain_concentrations
from histo.threads import in_order
from histo.tiles import Tile, tile_grid
from histo.tissue import ARTEFACT_NAMES, blurred_mask

__all__ = [
    "CORE_PX",
    "HALO_PX",
    "LABELS",
    "OUTLINES",
    "Workplace",
    "calls_brown",
    "measure_part",
    "measure_slide",
    "pixel_edges",
    "place_cells",
    "plane_names",
    "sharp_valid",
    "stain_histograms",
    "survey_lookup",
]

#: Side of a tile's core, and the halo around it that gives the network its surroundings, px.
#: The results do not depend on the core beyond a nucleus or two at seams; memory does.
CORE_PX, HALO_PX = 2048, 64

#: Focus can be judged at this pixel size and finer.
FOCUS_UM = 1.1


@dataclass(frozen=True, slots=True)
class Workplace:
    """What stays the same from tile to tile.

    Attributes
    ----------
    slide : Slide
    panel : Panel
    survey : Survey
    model : NucleiModel
    pixel_size_um : float
        Of the working grid.
    channels : tuple of int
        Fluorescence: positions of the panel's channels in the slide.
    """

    slide: Slide
    panel: Panel
    survey: Survey
    model: NucleiModel
    pixel_size_um: float
    channels: tuple[int, ...] = ()

    def planes(self, image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return what is measured: stains in OD and the residual, or the panel's channels."""
        if self.panel.kind == "channels":
            return np.asarray(image[..., list(self.channels)], np.float32)
        stains, white = self.survey.stains, self.survey.white_point
        if stains is None or white is None:
            raise ValueError("a bright-field survey holds stains and a white point.")
        return stain_concentrations(image, stains, white.value, residual=len(stains.stains) == 2)

    def draw(self, image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return the picture that the network reads, uint8 (Y, X, 3)."""
        if self.panel.kind != "channels":
            return np.asarray(image, np.uint8)
        low, high = self.survey.nuclear_range or (0.0, 1.0)
        names = self.panel.channel_names
        nuclear = self.channels[names.index(str(self.panel.nuclear_channel))]
        return virtual_hematoxylin(image[..., nuclear], low, high)


def plane_names(panel: Panel, survey: Survey) -> tuple[str, ...]:
    """Name the planes that are measured, in order."""
    if survey.stains is None:
        return panel.channel_names
    stains = survey.stains.stains
    return (*stains, "residual") if len(stains) == 2 else stains


def calls_brown(place: Workplace) -> bool:
    """Tell whether the model's word on brown nuclei applies to what is measured."""
    brown = place.panel.kind == "brightfield" and "dab" in plane_names(place.panel, place.survey)
    return brown and place.model.card.positivity is not None


@dataclass(frozen=True, slots=True)
class _Measured:
    """What one tile adds to the slide."""

    part: TileNuclei
    table: pd.DataFrame
    histograms: dict[str, Histogram]
    blurred: tuple[Any, npt.NDArray[np.bool_]]  # where on the survey's grid, and what
    outlines: tuple[Rings, Rings]  # of nuclei, of whole cells


def _measure_tile(place: Workplace, edges: npt.NDArray[np.float64], part: TileNuclei) -> _Measured:
    """Measure the cells of a tile and the stain of its core; several threads do so at once."""
    crop = part.tile.crop
    planes = place.planes(part.image)
    sharp, blurred = sharp_valid(place, part.tile, part.image)
    table, whole = measure_part(place, part.labels, planes, owned=part.owned, corner=crop)
    table["cell_id"] = part.ids
    if calls_brown(place):
        table[POSITIVITY_COLUMN] = part.positive  # the network's word alone, for now
    inside = planes[part.tile.core.slices_in(crop)]
    return _Measured(
        part,
        table,
        stain_histograms(place, inside, edges, where=sharp),
        blurred,
        (trace_outlines(part.labels, part.owned), trace_outlines(whole, part.owned)),
    )


def measure_part(
    place: Workplace,
    labels: npt.NDArray[np.int32],
    planes: npt.NDArray[np.float32],
    *,
    owned: npt.NDArray[np.integer],
    corner: Region,
) -> tuple[pd.DataFrame, npt.NDArray[np.int32]]:
    """Measure cells of a part of the slide.

    Parameters
    ----------
    place : Workplace
    labels : int32 (Y, X)
        Nuclei, those of neighbours too: they bound the cells.
    planes : float32 (Y, X, S)
        From `Workplace.planes`.
    owned : int (N,)
        Which labels to measure, ascending.
    corner : Region
        Where the arrays lie on the working grid.

    Returns
    -------
    DataFrame
        As `measure_cells` gives it.
    int32 (Y, X)
        Whole cells.
    """
    um = place.pixel_size_um
    shape = place.slide.grid_shape(um)
    frame = Frame(corner.y, corner.x, um, place.panel.quantity, slide_shape=shape)
    whole = without_padding(expand_cells(labels, place.panel.cell_expansion_um / um), frame)
    names = plane_names(place.panel, place.survey)
    return measure_expanded((labels, whole), planes, names, owned=owned, frame=frame), whole


def stain_histograms(
    place: Workplace,
    planes: npt.NDArray[np.float32],
    edges: npt.NDArray[np.float64],
    *,
    where: npt.NDArray[np.bool_],
) -> dict[str, Histogram]:
    """Count the pixels of every stain or channel by value; the residual is no stain."""
    return {
        name: Histogram.of(planes[..., index], edges, where=where)
        for index, name in enumerate(plane_names(place.panel, place.survey))
        if name != "residual"
    }


def sharp_valid(
    place: Workplace, tile: Tile, image: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.bool_], tuple[Any, npt.NDArray[np.bool_]]]:
    """Return which pixels of a core are valid and in focus, and what of the survey is blurred.

    Parameters
    ----------
    place : Workplace
        Its survey knows nothing of focus yet.
    tile : Tile
    image : array (Y, X, C)
        What was read, over the tile's crop.
    """
    core, crop = tile.core, tile.crop
    rows, columns = survey_lookup(core, place)
    valid = np.take(place.survey.valid[rows], columns, axis=1)
    at = np.ix_(np.unique(rows), np.unique(columns))
    blurred = np.zeros((at[0].size, at[1].size), bool)
    if place.panel.kind == "brightfield" and place.pixel_size_um <= FOCUS_UM and valid.any():
        # The step from tissue to the padding would pass for sharp detail.
        shown = crop.clip(place.slide.grid_shape(place.pixel_size_um))
        seen = np.asarray(image[shown.slices_in(crop)], np.uint8)
        soft = blurred_mask(seen, place.pixel_size_um)[core.slices_in(shown)]
        if soft.any():
            blurred = _block_means(soft, rows, columns) > 0.5
            valid = valid & ~soft
    if place.survey.region is not None and valid.any():
        valid = valid & place.survey.region.pixels(core, place.pixel_size_um)
    return valid, (at, blurred)


def measure_slide(
    place: Workplace,
    folder: Path,
    *,
    progress: Callable[[str, float], None],
    on_cells: Callable[[pd.DataFrame], None] | None = None,
) -> tuple[pd.DataFrame, SlideAreas, Survey]:
    """Find and measure every cell; labels and outlines are written on the way.

    Parameters
    ----------
    place : Workplace
    folder : Path
        Gets `LABELS` and `OUTLINES`.
    progress : callable
        Takes a stage and the part done, 0-1.
    on_cells : callable, optional
        Takes the rows of each tile that has cells, as soon as they are measured.

    Returns
    -------
    tuple
        The cell table without calls, the areas, and the survey with what the tiles showed to
        be out of focus.
    """
    um, slide = place.pixel_size_um, place.slide
    names = plane_names(place.panel, place.survey)
    shape = slide.grid_shape(um)
    near = with_reach(place.survey.valid, place.survey.pixel_size_um)
    if place.survey.region is not None:
        near &= place.survey.region.coverage > 0
    tiles = tile_grid(shape, core_px=CORE_PX, halo_px=HALO_PX, mask=near)
    y_um, x_um = slide.pixel_size_yx_um
    scale = (um / y_um, um / x_um)
    tables = [_empty(place, names)]
    histograms: dict[str, Histogram] = {}
    blurred = np.zeros(place.survey.tissue.shape, bool)
    progress("finding nuclei", 0.0)
    with (
        LabelWriter(folder / LABELS, shape, um) as labels,
        OutlineWriter(folder / OUTLINES, scale) as outlines,
        closing(
            segment_tiles(
                lambda region: slide.read(region, um),
                tiles,
                place.model,
                draw=place.draw,
                pixel_size_um=um,
                shape=shape,
            )
        ) as found,
        closing(
            in_order(partial(_measure_tile, place, pixel_edges(place)), _in_region(place, found))
        ) as measured,
    ):
        for number, tile in enumerate(measured, 1):
            part, crop = tile.part, tile.part.tile.crop
            tables.append(tile.table)
            if on_cells is not None and len(tile.table):
                on_cells(tile.table)
            for name, new in tile.histograms.items():
                old = histograms.get(name)
                histograms[name] = new if old is None else old + new
            blurred[tile.blurred[0]] |= tile.blurred[1]
            labels.paint(crop, part.labels, part.owned, part.ids)
            outlines.add(part.ids, *tile.outlines, origin=(crop.y, crop.x))
            progress("finding nuclei", number / len(tiles))
    tables = [table for table in tables if len(table)] or tables[:1]
    cells = pd.concat(tables, ignore_index=True)
    survey = _with_blur(place.survey, blurred)
    positivity = place.model.card.positivity
    if positivity is not None and calls_brown(place):
        od = cells[measure_column("nucleus", "dab", "od", "mean")].to_numpy()
        seen = cells[POSITIVITY_COLUMN].to_numpy()
        survey = replace(survey, dab_od_shift=od_shift(seen, od))
        cells[POSITIVITY_COLUMN] = positivity(seen, od, shift=survey.dab_od_shift)
    return place_cells(cells, survey), survey.areas(histograms), survey


def _in_region(place: Workplace, found: Iterable[TileNuclei]) -> Iterator[TileNuclei]:
    """Leave out nuclei whose centroid lies outside of the region, and number the others anew.

    What is left out stays in the labels of its tile: it still bounds its neighbours' cells.
    """
    region = place.survey.region
    if region is None:
        yield from found
        return
    first = 1
    for part in found:
        size = place.pixel_size_um
        corner = np.array([part.tile.crop.y, part.tile.crop.x]) * size
        within = region.contains(
            LabelShapes.of(
                np.where(np.isin(part.labels, part.owned), part.labels, 0), (size, size)
            ).centres_um()
            + corner
        )
        ids = np.arange(first, first + np.count_nonzero(within), dtype=np.int64)
        first += len(ids)
        yield replace(part, owned=part.owned[within], ids=ids, positive=part.positive[within])


def _empty(place: Workplace, names: Sequence[str]) -> pd.DataFrame:
    """Return the table of a slide without cells, all its columns in it."""
    table = empty_cells(names, quantity=place.panel.quantity)
    if calls_brown(place):
        table[POSITIVITY_COLUMN] = np.zeros(0, np.float32)
    return table


def _with_blur(survey: Survey, blurred: npt.NDArray[np.bool_]) -> Survey:
    """Return the survey with what is out of focus marked."""
    blur = ARTEFACT_NAMES.index("blur")
    spoilt = np.where(blurred & (survey.artefacts == 0), blur, survey.artefacts)
    return replace(survey, artefacts=spoilt.astype(np.uint8))


def pixel_edges(place: Workplace) -> npt.NDArray[np.float64]:
    """Return the bin edges of the histograms of a slide's stains or channels."""
    if place.panel.kind == "brightfield":
        return OD_EDGES
    dtype = place.slide.dtype
    largest = (
        float(np.iinfo(dtype).max)
        if dtype.kind in "ui"
        else float(max(1.0, np.nanmax(place.survey.picture) * 4))
    )
    return intensity_edges(largest)


def survey_lookup(
    core: Region, place: Workplace
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the survey's row of each row of a core, and its column of each column."""
    survey = place.survey
    height, width = survey.tissue.shape
    return core.on_grid(place.pixel_size_um / survey.pixel_size_um, (height, width))


def _block_means(
    mask: npt.NDArray[np.bool_], rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Average a mask over the pixels that share a survey's pixel, float64 (Y', X')."""
    starts = tuple(np.unique(index, return_index=True)[1] for index in (rows, columns))
    sums = np.add.reduceat(np.add.reduceat(mask, starts[0], dtype=np.int64), starts[1], axis=1)
    sizes = tuple(
        np.diff(np.append(start, len(index)))
        for start, index in zip(starts, (rows, columns), strict=True)
    )
    return np.asarray(sums / np.outer(*sizes))


def place_cells(cells: pd.DataFrame, survey: Survey) -> pd.DataFrame:
    """Say which cells lie in valid tissue; others are excluded, and flagged why."""
    cells = cells.copy()
    shape = survey.tissue.shape
    y = np.clip((cells["y_um"].to_numpy() / survey.pixel_size_um).astype(int), 0, shape[0] - 1)
    x = np.clip((cells["x_um"].to_numpy() / survey.pixel_size_um).astype(int), 0, shape[1] - 1)
    tissue = with_reach(survey.tissue, survey.pixel_size_um)
    outside, spoiled = ~tissue[y, x], survey.artefacts[y, x] > 0
    cells["compartment"] = np.where(outside | spoiled, "excluded", "tissue")
    words = np.where(spoiled, "artefact", np.where(outside, "outside_tissue", ""))
    cells["flags"] = words
    return cells.astype({"compartment": "str", "flags": "str"})
