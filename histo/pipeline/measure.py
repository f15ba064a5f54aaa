"""The long part of a run: tile by tile from pixels to cells, labels, outlines and areas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from histo.nuclei import NucleiModel, TileNuclei, segment_tiles, virtual_hematoxylin
from histo.panel import Panel
from histo.pipeline.survey import Survey, with_reach
from histo.results import LabelWriter, OutlineWriter
from histo.slide import Slide
from histo.stain import stain_concentrations
from histo.threads import in_order
from histo.tiles import tile_grid
from histo.tissue import ARTEFACT_NAMES, blurred_mask

__all__ = ["LABELS", "OUTLINES", "Workplace", "measure_slide", "plane_names"]

#: Side of a tile's core, and the halo around it that gives the network its surroundings, px.
#: The results do not depend on the core beyond a nucleus or two at seams; memory does.
CORE_PX, HALO_PX = 2048, 64

LABELS, OUTLINES = "nuclei.ome.zarr", "outlines.parquet"

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


def _calls_brown(place: Workplace, names: Sequence[str]) -> bool:
    """Tell whether the model's word on brown nuclei applies to what is measured."""
    brown = place.panel.kind == "brightfield" and "dab" in names
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
    names, crop, um = plane_names(place.panel, place.survey), part.tile.crop, place.pixel_size_um
    planes = place.planes(part.image)
    sharp, blurred = _judge_focus(place, part)
    inside = part.tile.core.slices_in(crop)
    shape = place.slide.grid_shape(um)
    frame = Frame(crop.y, crop.x, um, place.panel.quantity, slide_shape=shape)
    whole = without_padding(expand_cells(part.labels, place.panel.cell_expansion_um / um), frame)
    table = measure_expanded((part.labels, whole), planes, names, owned=part.owned, frame=frame)
    table["cell_id"] = part.ids
    if _calls_brown(place, names):
        table[POSITIVITY_COLUMN] = part.positive  # the network's word alone, for now
    return _Measured(
        part,
        table,
        {
            name: Histogram.of(planes[inside][..., index], edges, where=sharp)
            for index, name in enumerate(names)
            if name != "residual"
        },
        blurred,
        (trace_outlines(part.labels, part.owned), trace_outlines(whole, part.owned)),
    )


def _judge_focus(
    place: Workplace, part: TileNuclei
) -> tuple[npt.NDArray[np.bool_], tuple[Any, npt.NDArray[np.bool_]]]:
    """Return which pixels of a core are valid and in focus, and what of the survey is blurred."""
    core, crop = part.tile.core, part.tile.crop
    rows, columns = _survey_lookup(core, place)
    valid = np.take(place.survey.valid[rows], columns, axis=1)
    at = np.ix_(np.unique(rows), np.unique(columns))
    blurred = np.zeros((at[0].size, at[1].size), bool)
    if place.panel.kind == "brightfield" and place.pixel_size_um <= FOCUS_UM and valid.any():
        # The step from tissue to the padding would pass for sharp detail.
        shown = crop.clip(place.slide.grid_shape(place.pixel_size_um))
        image = np.asarray(part.image[shown.slices_in(crop)], np.uint8)
        soft = blurred_mask(image, place.pixel_size_um)[core.slices_in(shown)]
        if soft.any():
            blurred = _block_means(soft, rows, columns) > 0.5
            valid = valid & ~soft
    return valid, (at, blurred)


def measure_slide(
    place: Workplace, folder: Path, *, progress: Callable[[str, float], None]
) -> tuple[pd.DataFrame, SlideAreas, Survey]:
    """Find and measure every cell; labels and outlines are written on the way.

    Parameters
    ----------
    place : Workplace
    folder : Path
        Gets `LABELS` and `OUTLINES`.
    progress : callable
        Takes a stage and the part done, 0-1.

    Returns
    -------
    tuple
        The cell table without calls, the areas, and the survey with what the tiles showed to
        be out of focus.
    """
    um, slide = place.pixel_size_um, place.slide
    names = plane_names(place.panel, place.survey)
    shape = slide.grid_shape(um)
    tiles = tile_grid(
        shape,
        core_px=CORE_PX,
        halo_px=HALO_PX,
        mask=with_reach(place.survey.valid, place.survey.pixel_size_um),
    )
    size = slide.pixel_size
    scale = (um / size.y_um, um / size.x_um) if size is not None else (1.0, 1.0)
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
        closing(in_order(partial(_measure_tile, place, _edges(place)), found)) as measured,
    ):
        for number, tile in enumerate(measured, 1):
            part, crop = tile.part, tile.part.tile.crop
            tables.append(tile.table)
            for name, new in tile.histograms.items():
                old = histograms.get(name)
                histograms[name] = new if old is None else old + new
            blurred[tile.blurred[0]] |= tile.blurred[1]
            labels.paint(crop, part.labels, part.owned, part.ids)
            outlines.add(part.ids, *tile.outlines, origin=(crop.y, crop.x))
            progress("finding nuclei", number / len(tiles))
    tables = [table for table in tables if len(table)] or tables[:1]
    cells = pd.concat(tables, ignore_index=True)
    positivity = place.model.card.positivity
    if positivity is not None and _calls_brown(place, names):
        od = cells[measure_column("nucleus", "dab", "od", "mean")].to_numpy()
        cells[POSITIVITY_COLUMN] = positivity(cells[POSITIVITY_COLUMN].to_numpy(), od)
    survey = _with_blur(place.survey, blurred)
    return _place_cells(cells, survey), _areas(survey, histograms), survey


def _empty(place: Workplace, names: Sequence[str]) -> pd.DataFrame:
    """Return the table of a slide without cells, all its columns in it."""
    table = empty_cells(names, quantity=place.panel.quantity)
    if _calls_brown(place, names):
        table[POSITIVITY_COLUMN] = np.zeros(0, np.float32)
    return table


def _with_blur(survey: Survey, blurred: npt.NDArray[np.bool_]) -> Survey:
    """Return the survey with what is out of focus marked."""
    blur = ARTEFACT_NAMES.index("blur")
    spoilt = np.where(blurred & (survey.artefacts == 0), blur, survey.artefacts)
    return replace(survey, artefacts=spoilt.astype(np.uint8))


def _areas(survey: Survey, histograms: dict[str, Histogram]) -> SlideAreas:
    pixel_um2 = survey.pixel_size_um**2
    spoiled = survey.tissue & (survey.artefacts > 0)
    return SlideAreas(
        tissue_um2=float(survey.tissue.sum() * pixel_um2),
        valid_um2=float(survey.valid.sum() * pixel_um2),
        artefact_um2=float(spoiled.sum() * pixel_um2),
        histograms=histograms,
    )


def _edges(place: Workplace) -> npt.NDArray[np.float64]:
    if place.panel.kind == "brightfield":
        return OD_EDGES
    dtype = place.slide.dtype
    largest = (
        float(np.iinfo(dtype).max)
        if dtype.kind in "ui"
        else float(max(1.0, np.nanmax(place.survey.picture) * 4))
    )
    return intensity_edges(largest)


def _survey_lookup(
    core: Region, place: Workplace
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the survey's row of each row of a core, and its column of each column."""
    scale = place.pixel_size_um / place.survey.pixel_size_um
    rows, columns = (
        np.minimum(((np.arange(start, start + length) + 0.5) * scale).astype(np.int64), extent - 1)
        for start, length, extent in (
            (core.y, core.height, place.survey.tissue.shape[0]),
            (core.x, core.width, place.survey.tissue.shape[1]),
        )
    )
    return rows, columns


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


def _place_cells(cells: pd.DataFrame, survey: Survey) -> pd.DataFrame:
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
