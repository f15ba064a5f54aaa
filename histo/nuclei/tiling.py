"""A slide tile by tile: each cell is handed out exactly once.

A network shifts an outline by a pixel from one crop to the next, so that "the tile whose
core holds the centroid owns the cell" can lose a cell on a seam, or hand it out twice. Here
a tile offers every nucleus whose centroid lies in its core or within a small margin of it,
and what an earlier tile has already handed out is recognised by its pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histo.compiled import compiled
from histo.geometry import Region
from histo.nuclei.predict import NucleiModel, find_nuclei
from histo.threads import in_order
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
    positive : float32 (M,)
        Mean over each of them of the network's probability of brown, 0-1.
    """

    tile: Tile
    image: NDArray[np.generic]
    labels: NDArray[np.int32]
    owned: NDArray[np.int64]
    ids: NDArray[np.int64]
    positive: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a tile handed out within reach of later tiles."""

    crop: Region
    pixels: NDArray[np.int32]  # (P, 2): y, x on the slide, nucleus by nucleus
    starts: NDArray[np.int64]  # (N + 1,): where each nucleus starts


class _Seams:
    """Hands out nuclei, and remembers those close to a border of their tile's core."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []

    def claim(
        self, tile: Tile, labels: NDArray[np.int32], sums: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the labels that the tile contributes, int64 (M,).

        What an earlier tile has handed out is left out; where two nuclei overlap by a few
        pixels, the earlier one keeps them: they are taken out of ``labels``.
        """
        crop = tile.crop
        # No tile from here on can meet what lies above.
        self._kept = [kept for kept in self._kept if kept.crop.stop_y > crop.y]
        near = [kept for kept in self._kept if not kept.crop.intersect(crop).is_empty]
        offered = _offered(tile, sums)
        area, taken, shared = sums[:, 0].copy(), np.zeros(len(sums), bool), np.zeros(len(sums), int)
        for kept in near:
            _find_same(labels, (crop.y, crop.x), kept.pixels, kept.starts, (area, shared, taken))
        owned = offered[~taken[offered]]
        mine = np.zeros(len(sums), bool)
        mine[owned] = True
        for kept in near:
            _give_up(labels, (crop.y, crop.x), kept.pixels, (area, mine))
        return owned[area[owned] > 0]

    def keep(self, tile: Tile, labels: NDArray[np.int32], owned: NDArray[np.int64]) -> None:
        """Remember the pixels of nuclei that the crops of later tiles may show."""
        reach = tile.core.x - tile.crop.x + MARGIN_PX  # neighbours read this far into the core
        core = tile.core.slices_in(tile.crop)
        corner = max(0, core[0].stop - reach), max(0, core[1].stop - reach)
        # By label where its next pixel goes; -1: not kept.
        place = np.full(int(labels.max(initial=0)) + 1, -1)
        place[owned] = 0
        _count_strips(labels, corner, place)
        starts = np.concatenate([[0], np.cumsum(place[owned])])
        place[owned] = starts[:-1]
        pixels = np.empty((int(starts[-1]), 2), np.int32)
        _fill_strips(labels, corner, place, pixels)
        pixels += np.array([tile.crop.y, tile.crop.x], np.int32)
        self._kept.append(_Kept(tile.crop, pixels, starts))


def _offered(tile: Tile, sums: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels whose centroid lies in the core or within the margin of it."""
    area = sums[:, 0]
    y, x = (sums[:, axis] / np.maximum(area, 1) + 0.5 for axis in (1, 2))
    reach = tile.core.expand(MARGIN_PX)
    inside = (y + tile.crop.y >= reach.y) & (y + tile.crop.y < reach.stop_y)
    inside &= (x + tile.crop.x >= reach.x) & (x + tile.crop.x < reach.stop_x)
    return np.flatnonzero(inside & (area > 0))


def _sums(
    labels: NDArray[np.int32], positive: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return by label the number of its pixels and the sums of their y and x, int64 (N, 3).

    And the mean of ``positive``, float32 (N,).
    """
    count = int(labels.max(initial=0)) + 1
    sums, brown = np.zeros((count, 3), np.int64), np.zeros(count)
    _add_up(labels, positive, sums, brown)
    return sums, (brown / np.maximum(sums[:, 0], 1)).astype(np.float32)


@compiled
def _add_up(
    labels: NDArray[np.int32],
    positive: NDArray[np.float32],
    sums: NDArray[np.int64],
    brown: NDArray[np.float64],
) -> None:
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label:
                sums[label, 0] += 1
                sums[label, 1] += y
                sums[label, 2] += x
                brown[label] += positive[y, x]


@compiled
def _find_same(
    labels: NDArray[np.int32],
    origin: tuple[int, int],
    pixels: NDArray[np.int32],
    starts: NDArray[np.int64],
    counts: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]],
) -> None:
    """Mark as taken the labels that share enough pixels with one of the nuclei."""
    area, shared, taken = counts
    for nucleus in range(len(starts) - 1):
        size = 0
        for pixel in pixels[starts[nucleus] : starts[nucleus + 1]]:
            y, x = pixel[0] - origin[0], pixel[1] - origin[1]
            if 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]:
                size += 1
                shared[labels[y, x]] += 1
        for pixel in pixels[starts[nucleus] : starts[nucleus + 1]]:
            y, x = pixel[0] - origin[0], pixel[1] - origin[1]
            if 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]:
                label = labels[y, x]
                if label and shared[label] > SAME_SHARE * min(area[label], size):
                    taken[label] = True
                shared[label] = 0


@compiled
def _give_up(
    labels: NDArray[np.int32],
    origin: tuple[int, int],
    pixels: NDArray[np.int32],
    counts: tuple[NDArray[np.int64], NDArray[np.bool_]],
) -> None:
    """Take pixels that were handed out before from the labels that are ``mine``."""
    area, mine = counts
    for pixel in pixels:
        y, x = pixel[0] - origin[0], pixel[1] - origin[1]
        if 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] and mine[labels[y, x]]:
            area[labels[y, x]] -= 1
            labels[y, x] = 0


@compiled
def _count_strips(
    labels: NDArray[np.int32], corner: tuple[int, int], place: NDArray[np.int64]
) -> None:
    """Count the pixels below and right of the corner, by label where ``place`` is not -1."""
    for y in range(labels.shape[0]):
        for x in range(0 if y >= corner[0] else corner[1], labels.shape[1]):
            if place[labels[y, x]] >= 0:
                place[labels[y, x]] += 1


@compiled
def _fill_strips(
    labels: NDArray[np.int32],
    corner: tuple[int, int],
    place: NDArray[np.int64],
    pixels: NDArray[np.int32],
) -> None:
    """List those pixels, each at the place that its label has come to."""
    for y in range(labels.shape[0]):
        for x in range(0 if y >= corner[0] else corner[1], labels.shape[1]):
            at = place[labels[y, x]]
            if at >= 0:
                pixels[at, 0], pixels[at, 1] = y, x
                place[labels[y, x]] += 1


def _clear_padding(
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
) -> Generator[TileNuclei, None, None]:
    """Find the nuclei of a slide, tile by tile, each exactly once.

    Parameters
    ----------
    read : callable
        ``read(region)`` returns the slide's pixels over a region of the working grid; several
        threads call it, and ``draw`` and the model, at once.
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
        In the order of ``tiles``. The next tiles are at work meanwhile, one a core.

    Examples
    --------
    >>> from histo.nuclei import load_model
    >>> from histo.tiles import tile_grid
    >>> blank = lambda region: np.full((*region.shape, 3), 245, np.uint8)
    >>> tiles = tile_grid((100, 100), core_px=64, halo_px=32)
    >>> sum(len(t.ids) for t in segment_tiles(blank, tiles, load_model("nuclei-brightfield")))
    0
    """

    def find(tile: Tile) -> tuple[Any, NDArray[np.int32], NDArray[np.int64], NDArray[np.float32]]:
        image = read(tile.crop)
        rgb: Any = draw(image) if draw else image
        labels, positive = find_nuclei(rgb, model, pixel_size_um=pixel_size_um)
        labels = _clear_padding(labels, tile.crop, shape)
        return image, labels, *_sums(labels, positive)

    seams = _Seams()
    next_id = 1
    with closing(in_order(find, tiles)) as found:
        for tile, (image, labels, sums, positive) in zip(tiles, found, strict=True):
            owned = seams.claim(tile, labels, sums)
            seams.keep(tile, labels, owned)
            ids = np.arange(next_id, next_id + len(owned), dtype=np.int64)
            next_id += len(owned)
            yield TileNuclei(tile, image, labels, owned, ids, positive[owned])
