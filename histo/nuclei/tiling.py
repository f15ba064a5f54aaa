"""A slide tile by tile: each cell is handed out exactly once.

A network shifts an outline by a pixel from one crop to the next, so that "the tile whose
core holds the centroid owns the cell" can lose a cell on a seam, or hand it out twice. Here
a tile offers every nucleus whose centroid lies in its core or within a small margin of it,
and what an earlier tile has already handed out is recognised by its pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histo.geometry import Region
from histo.nuclei.predict import NucleiModel, segment
from histo.tiles import Tile

__all__ = ["TileNuclei", "segment_tiles"]

#: A nucleus may be offered by a tile up to this far outside of its core, px.
MARGIN_PX = 8

#: Two nuclei are one when they share more than this part of the smaller one.
SAME_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class TileNuclei:
    """The nuclei of one tile.

    Attributes
    ----------
    tile : Tile
    image : array (Y, X, C)
        What was read, over the tile's crop.
    labels : int32 (Y, X)
        Every nucleus in the crop, those of neighbouring tiles too, numbered 1 ... N here.
    owned : int64 (M,)
        The labels that this tile contributes to the slide.
    ids : int64 (M,)
        Their numbers in the slide, from 1, without gaps over all tiles.
    """

    tile: Tile
    image: NDArray[np.generic]
    labels: NDArray[np.int32]
    owned: NDArray[np.int64]
    ids: NDArray[np.int64]


class _Seams:
    """Pixels of nuclei that were handed out close to a border of their tile's core."""

    def __init__(self) -> None:
        self._kept: list[tuple[Region, NDArray[np.int64]]] = []  # crop, (N, 3): y, x, number

    def forget_above(self, y: int) -> None:
        """Drop what no tile below row ``y`` can meet."""
        self._kept = [kept for kept in self._kept if kept[0].stop_y > y]

    def taken(self, crop: Region) -> NDArray[np.int64]:
        """Numbers of the nuclei handed out so far, over ``crop``: int64 (Y, X)."""
        canvas = np.zeros(crop.shape, np.int64)
        for other, pixels in self._kept:
            if other.intersect(crop).is_empty or not len(pixels):
                continue
            y, x = pixels[:, 0] - crop.y, pixels[:, 1] - crop.x
            inside = (y >= 0) & (x >= 0) & (y < crop.height) & (x < crop.width)
            canvas[y[inside], x[inside]] = pixels[inside, 2]
        return canvas

    def keep(self, tile: Tile, labels: NDArray[np.int32], numbers: NDArray[np.int64]) -> None:
        """Remember what reaches beyond the core's inner part; ``numbers``: id or 0 by label."""
        reach = tile.core.x - tile.crop.x + MARGIN_PX  # neighbours read this far into the core
        core_y, core_x = tile.core.slices_in(tile.crop)
        painted = numbers[labels]
        painted[core_y.start + reach : max(0, core_y.stop - reach), :][
            :, core_x.start + reach : max(0, core_x.stop - reach)
        ] = 0
        near = np.zeros(len(numbers), bool)
        near[labels[painted > 0]] = True
        y, x = np.nonzero(near[labels] & (numbers[labels] > 0))
        pixels = np.stack([y + tile.crop.y, x + tile.crop.x, numbers[labels[y, x]]], 1)
        self._kept.append((tile.crop, pixels))


def _offered(tile: Tile, labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Labels whose centroid lies in the core or within the margin of it."""
    y, x = np.nonzero(labels)
    if not len(y):
        return np.zeros(0, np.int64)
    of = labels[y, x]
    area = np.bincount(of)
    middle_y, middle_x = (np.bincount(of, at) / np.maximum(area, 1) + 0.5 for at in (y, x))
    middle_y += tile.crop.y
    middle_x += tile.crop.x
    reach = tile.core.expand(MARGIN_PX)
    inside = (middle_y >= reach.y) & (middle_y < reach.stop_y)
    inside &= (middle_x >= reach.x) & (middle_x < reach.stop_x)
    inside &= area > 0
    inside[0] = False
    return np.flatnonzero(inside).astype(np.int64)


def _not_taken(
    labels: NDArray[np.int32], offered: NDArray[np.int64], taken: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Leave out what an earlier tile has handed out."""
    there = taken > 0
    both = there & (labels > 0)
    if not both.any():
        return offered
    # Numbers of one neighbourhood lie close together: count from the lowest one.
    lowest = int(taken[there].min())
    areas, taken_areas = np.bincount(labels.ravel()), np.bincount(taken[there] - lowest)
    pairs = labels[both].astype(np.int64) * len(taken_areas) + (taken[both] - lowest)
    pair, shared = np.unique(pairs, return_counts=True)
    label, other = np.divmod(pair, len(taken_areas))
    same = shared > SAME_SHARE * np.minimum(areas[label], taken_areas[other])
    left = np.ones(len(areas), bool)
    left[label[same]] = False
    return offered[left[offered]]


def _without_overlap(
    labels: NDArray[np.int32], owned: NDArray[np.int64], taken: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Where two nuclei overlap by a few pixels, the earlier one keeps them."""
    is_owned = np.zeros(int(labels.max()) + 1, bool)
    is_owned[owned] = True
    lost = (taken > 0) & is_owned[labels]
    if not lost.any():
        return labels, owned
    labels = np.where(lost, np.int32(0), labels)
    left = np.bincount(labels.ravel(), minlength=len(is_owned)) > 0
    return labels, owned[left[owned]]


def _inside(
    labels: NDArray[np.int32], crop: Region, shape: tuple[int, int] | None
) -> NDArray[np.int32]:
    """Take out what lies beyond the slide: the padding is no tissue."""
    part = crop if shape is None else crop.clip(shape)
    if part == crop:
        return labels
    kept = np.zeros_like(labels)
    kept[part.slices_in(crop)] = labels[part.slices_in(crop)]
    return kept


def segment_tiles(
    read: Callable[[Region], NDArray[np.generic]],
    tiles: Sequence[Tile],
    model: NucleiModel,
    *,
    draw: Callable[[NDArray[np.generic]], NDArray[np.uint8]] | None = None,
    pixel_size_um: float | None = None,
    shape: tuple[int, int] | None = None,
) -> Iterator[TileNuclei]:
    """Find the nuclei of a slide, tile by tile, each exactly once.

    Parameters
    ----------
    read : callable
        ``read(region)`` returns the slide's pixels over a region of the working grid.
    tiles : sequence of Tile
        In row-major order, as `histo.tiles.tile_grid` makes them.
    model : NucleiModel
    draw : callable, optional
        Turns what was read into uint8 RGB (for fluorescence, `virtual_hematoxylin`).
    pixel_size_um : float, optional
        Of the working grid, by default the model's.
    shape : (int, int), optional
        Extent of the slide on the working grid (Y, X); what the network sees in the padding
        beyond it is dropped.

    Yields
    ------
    TileNuclei
        In the order of ``tiles``. The next tile is read while this one is at work.

    Examples
    --------
    >>> from histo.nuclei import load_model
    >>> from histo.tiles import tile_grid
    >>> blank = lambda region: np.full((*region.shape, 3), 245, np.uint8)
    >>> tiles = tile_grid((100, 100), core_px=64, halo_px=32)
    >>> sum(len(t.ids) for t in segment_tiles(blank, tiles, load_model("nuclei-brightfield")))
    0
    """
    seams = _Seams()
    next_id = 1
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read, tiles[0].crop) if tiles else None
        for index, tile in enumerate(tiles):
            if ahead is None:
                return
            image = ahead.result()
            more = index + 1 < len(tiles)
            ahead = pool.submit(read, tiles[index + 1].crop) if more else None
            rgb = draw(image) if draw else image
            labels = segment(rgb, model, pixel_size_um=pixel_size_um)  # type: ignore[arg-type]
            labels = _inside(labels, tile.crop, shape)
            seams.forget_above(tile.crop.y)
            taken = seams.taken(tile.crop)
            owned = _not_taken(labels, _offered(tile, labels), taken)
            labels, owned = _without_overlap(labels, owned, taken)
            ids = np.arange(next_id, next_id + len(owned), dtype=np.int64)
            next_id += len(owned)
            numbers = np.zeros(int(labels.max()) + 1, np.int64)
            numbers[owned] = ids
            seams.keep(tile, labels, numbers)
            yield TileNuclei(tile, image, labels, owned, ids)
