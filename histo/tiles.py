"""Cut the plane into tiles: half-open cores that tile it exactly, each read with a halo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo.geometry import Region

__all__ = ["STRIDE_PX", "Tile", "tile_grid"]

#: Crops start and end on a multiple of this: the coarsest step of the networks, so that
#: a pixel is seen in the same phase whichever tile reads it.
STRIDE_PX = 32


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of work: what it owns, and what it reads.

    Parameters
    ----------
    core : Region
        The pixels that the tile owns; the cores of a grid are disjoint and fill the plane.
    crop : Region
        The pixels that the tile reads: the core with its halo. May reach out of the slide.

    Raises
    ------
    ValueError
        If the crop does not hold the core.

    Examples
    --------
    >>> tile = Tile(core=Region(0, 0, 64, 64), crop=Region(-16, -16, 96, 96))
    >>> tile.core.slices_in(tile.crop)
    (slice(16, 80, None), slice(16, 80, None))
    """

    core: Region
    crop: Region

    def __post_init__(self) -> None:
        if self.core.intersect(self.crop) != self.core:
            raise ValueError(f"The crop {self.crop} does not hold the core {self.core}.")


def tile_grid(
    shape: tuple[int, int],
    *,
    core_px: int,
    halo_px: int,
    mask: npt.NDArray[np.bool_] | None = None,
) -> tuple[Tile, ...]:
    """Cut a plane into tiles, in row-major order.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the plane in pixels.
    core_px : int
        Side of a core in pixels, a multiple of 32. The cores of the last row and column
        end with the plane.
    halo_px : int
        Pixels read around the core on every side, a multiple of 32, 0 or more. Not
        clipped: at the slide's edge the crop reaches out, and the slide pads. Where the
        last core ends between two multiples of 32, its crop is rounded up to the next.
    mask : bool (Y', X'), optional
        A picture of the whole plane at a lower resolution. Tiles whose core holds no True
        are left out, so blank glass costs nothing. A mask pixel counts for its neighbours
        too, so that rounding between the two resolutions never drops tissue.

    Returns
    -------
    tuple of Tile

    Raises
    ------
    ValueError
        If an extent is not positive, a side is not a multiple of 32, or the mask is not a
        two-dimensional boolean array at most as large as the plane.

    Examples
    --------
    >>> tiles = tile_grid((100, 64), core_px=64, halo_px=32)
    >>> [tile.core for tile in tiles]
    [Region(y=0, x=0, height=64, width=64), Region(y=64, x=0, height=36, width=64)]
    >>> tiles[1].crop
    Region(y=32, x=-32, height=128, width=128)
    """
    height, width = (_whole(value, "shape") for value in shape)
    core_px, halo_px = _whole(core_px, "core_px"), _whole(halo_px, "halo_px")
    if height < 1 or width < 1:
        raise ValueError(f"shape must be at least 1 x 1 pixel, got {height} x {width}.")
    if core_px < STRIDE_PX or core_px % STRIDE_PX:
        raise ValueError(f"core_px must be a positive multiple of {STRIDE_PX}, got {core_px}.")
    if halo_px < 0 or halo_px % STRIDE_PX:
        raise ValueError(f"halo_px must be a multiple of {STRIDE_PX}, 0 or more, got {halo_px}.")
    if mask is not None:
        _check_mask(mask, (height, width))

    tiles = []
    for y in range(0, height, core_px):
        for x in range(0, width, core_px):
            core = Region(y, x, min(core_px, height - y), min(core_px, width - x))
            if mask is None or _holds_tissue(core, mask, (height, width)):
                tiles.append(Tile(core, _crop(core, halo_px)))
    return tuple(tiles)


def _whole(value: int, name: str) -> int:
    if int(value) != value:
        raise ValueError(f"{name} must be in whole pixels, got {value!r}.")
    return int(value)


def _check_mask(mask: npt.NDArray[np.bool_], shape: tuple[int, int]) -> None:
    if mask.dtype != np.bool_ or mask.ndim != 2:
        raise ValueError(f"mask must be bool (Y, X), got {mask.dtype} {mask.shape}.")
    if 0 in mask.shape or mask.shape[0] > shape[0] or mask.shape[1] > shape[1]:
        raise ValueError(f"mask must be a smaller picture of the plane {shape}, got {mask.shape}.")


def _holds_tissue(core: Region, mask: npt.NDArray[np.bool_], shape: tuple[int, int]) -> bool:
    # A mask read from the slide ends up to one of its pixels beyond the plane, so its
    # pixels are a little larger than plane / mask: off by less than one mask pixel.
    rows = _mask_span(core.y, core.stop_y, mask.shape[0], shape[0])
    columns = _mask_span(core.x, core.stop_x, mask.shape[1], shape[1])
    return bool(mask[rows, columns].any())


def _mask_span(start: int, stop: int, mask_extent: int, extent: int) -> slice:
    first = start * mask_extent // extent
    last = -(-stop * mask_extent // extent)
    return slice(max(0, first - 1), min(mask_extent, last + 1))


def _crop(core: Region, halo_px: int) -> Region:
    crop = core.expand(halo_px)
    # The core and halo start on the stride already; only the far sides need rounding.
    height, width = (-(-side // STRIDE_PX) * STRIDE_PX for side in crop.shape)
    return Region(crop.y, crop.x, height, width)
