"""The slide: a lazy pyramid read at any pixel size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from histo.errors import SlideError
from histo.geometry import Region
from histo.slide.pixel_size import PixelSize
from histo.slide.resample import area_average, source_span, whole_factor
from histo.slide.source import ChunkCache, Source, read_level

__all__ = ["Level", "Slide", "slide_name"]

Array = NDArray[Any]

#: How much finer than level 0 a request may be: a stated 0.499 is read at 0.495 as well.
FINER_SLACK = 0.01

#: How much coarser than the request a level may be: what rounding of a header explains.
_LEVEL_SLACK = 0.001

#: A working pixel size may leave the target by this share for the sake of whole factors.
_WORKING_RANGE = 0.10

#: Decoded samples held at once while a large area is averaged down.
_BLOCK_SAMPLES = 48_000_000

#: The most stored pixels that one call may decode; a minute's work.
_MAX_DECODE_PX = 2**32

_CACHE_BYTES = 128 * 2**20
_CACHE_MAX_BYTES = 512 * 2**20

_DOUBLE_SUFFIXES = (".ome.tif", ".ome.tiff", ".ome.btf", ".ome.tf8", ".ome.zarr")


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the pyramid.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) in pixels.
    downsample : float
        Pixels of level 0 per pixel of this level.
    """

    shape: tuple[int, int]
    downsample: float


class Slide:
    """An open slide; made by :func:`histo.slide.open_slide`, closed by ``with``.

    Reading is safe from several threads. Label and macro images are never exposed.

    Parameters
    ----------
    path : Path
        The file.
    source : Source
        Its reader.
    pixel_size : PixelSize or None
        Of level 0.
    notes : tuple of str
        Doubts worth a flag.
    """

    def __init__(
        self, path: Path, source: Source, pixel_size: PixelSize | None, notes: tuple[str, ...]
    ) -> None:
        self._path = path
        self._source = source
        self._pixel_size = pixel_size
        self._notes = notes
        self._closed = False
        self._levels, self._stored = _levels(source)
        self._cache = ChunkCache(_cache_bytes(source))

    @property
    def path(self) -> Path:
        """The file, as it was given."""
        return self._path

    @property
    def name(self) -> str:
        """File name without suffixes."""
        return slide_name(self._path)

    @property
    def kind(self) -> str:
        """``"brightfield"`` (uint8 RGB) or ``"channels"``."""
        return self._source.kind

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of level 0 in pixels."""
        return self._levels[0].shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels that :meth:`read` returns: uint8, uint16 or float32."""
        return self._source.dtype

    @property
    def channel_names(self) -> tuple[str, ...]:
        """``("red", "green", "blue")`` for brightfield, else the names of the channels."""
        return self._source.channel_names

    @property
    def levels(self) -> tuple[Level, ...]:
        """The stored levels, finest first."""
        return self._levels

    @property
    def pixel_size(self) -> PixelSize | None:
        """Size of a pixel of level 0 and its source; None when the file states none."""
        return self._pixel_size

    @property
    def pixel_size_um(self) -> float:
        """Geometric mean of the sides of a pixel of level 0, in µm.

        Raises
        ------
        SlideError
            If the file states no (plausible) pixel size and none was given.
        """
        if self._pixel_size is None:
            raise SlideError(
                f"{self._path.name}: the file states no pixel size; give it with --pixel-size "
                "(µm per pixel), for example --pixel-size 0.5"
            )
        return self._pixel_size.mean_um

    @property
    def pixel_size_yx_um(self) -> tuple[float, float]:
        """Height and width of a pixel of level 0, in the µm that `read` counts in.

        Sides that differ by less than a hundredth are taken for square.

        Raises
        ------
        SlideError
            As for `pixel_size_um`.
        """
        if self._pixel_size is None:
            return (self.pixel_size_um,) * 2  # says what is missing
        return self._sides()

    @property
    def notes(self) -> tuple[str, ...]:
        """Doubts worth a flag, for example ``"anisotropic_pixels"``."""
        return self._notes

    def grid_shape(self, pixel_size_um: float) -> tuple[int, int]:
        """Return the extent of the whole slide in pixels of a size.

        Parameters
        ----------
        pixel_size_um : float
            Side of a pixel in µm.

        Returns
        -------
        tuple of int
            (Y, X), rounded up.

        Raises
        ------
        SlideError
            If the slide has no pixel size, or a coarser one.
        ValueError
            If the size is not positive and finite.
        """
        return self._grid(self._scales(pixel_size_um))

    def read(self, region: Region, pixel_size_um: float) -> Array:
        """Return the pixels of a region at a pixel size, averaged from the nearest finer level.

        Parameters
        ----------
        region : Region
            In pixels of ``pixel_size_um``; pixel (0, 0) starts at the slide's top left corner.
        pixel_size_um : float
            Side of a pixel in µm.

        Returns
        -------
        ndarray
            uint8 (Y, X, 3), outside of the slide white (255); or the slide's type (Y, X, C),
            outside 0.

        Raises
        ------
        SlideError
            If the slide has no pixel size, or a coarser one; if the file is damaged there.
        ValueError
            If the size is not positive and finite, or the slide is closed.
        """
        return self._read(region, self._scales(pixel_size_um))

    def thumbnail(self, max_side_px: int) -> Array:
        """Return the whole slide at no more than a number of pixels; needs no pixel size.

        Parameters
        ----------
        max_side_px : int
            Longest side. A slide that is smaller is returned at its own size.

        Returns
        -------
        ndarray
            As :meth:`read`.

        Raises
        ------
        ValueError
            If the side is below 1, or the slide is closed.
        SlideError
            If the file is damaged.
        """
        if max_side_px < 1:
            raise ValueError(f"max_side_px must be 1 or more, got {max_side_px}.")
        sides = self._sides()
        smaller = min(sides)
        extents = [length * side / smaller for length, side in zip(self.shape, sides, strict=True)]
        scale = max(1.0, max(extents) / max_side_px)
        scales = (scale * smaller / sides[0], scale * smaller / sides[1])
        return self._read(Region(0, 0, *self._grid(scales)), scales)

    def working_pixel_size(self, target_um: float) -> float:
        """Return a pixel size near the target that is cheap and exact to read.

        Parameters
        ----------
        target_um : float
            Wanted side of a pixel in µm.

        Returns
        -------
        float
            A whole multiple of a level's pixel size within 10 % of the target, the nearest;
            the target when there is none; the slide's own when that is coarser.

        Raises
        ------
        SlideError
            If the slide has no pixel size.
        ValueError
            If the target is not positive and finite.
        """
        _check_positive("target_um", target_um)
        own = self.pixel_size_um
        if own >= target_um:
            return own
        candidates = []
        for index, level in enumerate(self._levels):
            size = own * level.downsample
            multiple = max(1, round(target_um / size))
            wanted = own * (level.downsample * multiple)
            within = abs(wanted - target_um) <= _WORKING_RANGE * target_um
            if within and self._level_for(wanted / own) == index:
                candidates.append(wanted)
        return min(candidates, key=lambda size: abs(size - target_um), default=target_um)

    def close(self) -> None:
        """Close the file; reading afterwards raises ValueError."""
        if not self._closed:
            self._closed = True
            self._source.close()
            self._cache.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        size = "unknown" if self._pixel_size is None else f"{self._pixel_size.mean_um:.4g}"
        return (
            f"Slide({self._path.name!r}, {self.kind}, {self.shape[0]} x {self.shape[1]} px, "
            f"{len(self._levels)} levels, {size} µm/px)"
        )

    def _sides(self) -> tuple[float, float]:
        """Height and width of a pixel of level 0: µm, or ratios when unknown."""
        if self._pixel_size is None:
            return 1.0, 1.0
        if not self._pixel_size.is_anisotropic:
            return self._pixel_size.mean_um, self._pixel_size.mean_um
        return self._pixel_size.y_um, self._pixel_size.x_um

    def _scales(self, pixel_size_um: float) -> tuple[float, float]:
        """Pixels of level 0 per requested pixel along y and x."""
        _check_positive("pixel_size_um", pixel_size_um)
        own = self.pixel_size_um
        if pixel_size_um < own * (1 - FINER_SLACK):
            raise SlideError(
                f"{self._path.name}: {pixel_size_um:.4g} µm per pixel was asked for, and the slide "
                f"holds {own:.4g}; ask for {own:.4g} or more, or scan it at a higher magnification."
            )
        sides = self._sides()
        return pixel_size_um / sides[0], pixel_size_um / sides[1]

    def _grid(self, scales: tuple[float, float]) -> tuple[int, int]:
        """Extent of the slide in output pixels, rounded up."""
        height, width = (
            max(1, math.ceil(length / whole_factor(scale, length) - 1e-6))
            for length, scale in zip(self.shape, scales, strict=True)
        )
        return height, width

    def _level_for(self, scale: float) -> int:
        """Index of the coarsest level that is no coarser than the request."""
        fitting = [
            index
            for index, level in enumerate(self._levels)
            if level.downsample <= scale * (1 + _LEVEL_SLACK)
        ]
        return max(fitting, key=lambda index: self._levels[index].downsample, default=0)

    def _read(self, region: Region, scales: tuple[float, float]) -> Array:
        """Average a region of output pixels from its level, block by block."""
        if self._closed:
            raise ValueError(f"{self._path.name}: the slide is closed.")
        fill = 255 if self.kind == "brightfield" else 0
        inner = region.clip(self._grid(scales))
        index = self._level_for(min(scales))
        level = self._levels[index]
        lengths = (
            _virtual_length(self.shape[0], level.shape[0], level.downsample),
            _virtual_length(self.shape[1], level.shape[1], level.downsample),
        )
        factors = (
            whole_factor(scales[0] / level.downsample, lengths[0]),
            whole_factor(scales[1] / level.downsample, lengths[1]),
        )
        decoded = inner.height * factors[0] * inner.width * factors[1]
        if decoded > _MAX_DECODE_PX:
            raise SlideError(
                f"{self._path.name}: {decoded / 1e9:.1f} gigapixels would have to be decoded in "
                "one read, as the file holds no smaller level; convert it to a pyramidal TIFF."
            )
        out = np.full((*region.shape, len(self.channel_names)), fill, self.dtype)
        for block in _blocks(inner, factors, len(self.channel_names)):
            y0, y1 = source_span(block.y, block.stop_y, factors[0], lengths[0])
            x0, x1 = source_span(block.x, block.stop_x, factors[1], lengths[1])
            stored = self._read_level(index, Region(y0, x0, y1 - y0, x1 - x0))
            out[block.slices_in(region)] = area_average(
                stored, (y0, x0), (block.y, block.x), block.shape, factors=factors, lengths=lengths
            )
        return out

    def _read_level(self, index: int, region: Region) -> Array:
        """Read stored pixels; past the level's end (a rounded-off level) the edge is repeated."""
        height, width = self._levels[index].shape
        y, x = min(region.y, height - 1), min(region.x, width - 1)
        rows, columns = min(region.stop_y, height), min(region.stop_x, width)
        inside = Region(y, x, max(rows - y, 1), max(columns - x, 1))
        stored = read_level(self._source, self._cache, self._stored[index], inside)
        if inside == region:
            return stored
        padding = [(0, region.height - inside.height), (0, region.width - inside.width), (0, 0)]
        return np.pad(stored, padding, mode="edge")


def slide_name(path: Path) -> str:
    """Return the name of a slide: its file name without suffixes.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    str

    Examples
    --------
    >>> slide_name(Path("mouse.3_FOXP3.ome.tif")), slide_name(Path("a.b.svs"))
    ('mouse.3_FOXP3', 'a.b')
    """
    lowered = path.name.lower()
    for suffix in _DOUBLE_SUFFIXES:
        if lowered.endswith(suffix):
            return path.name[: -len(suffix)] or path.name
    return path.stem


def _levels(source: Source) -> tuple[tuple[Level, ...], tuple[int, ...]]:
    """Give each stored level its downsample, whole where the shapes allow it, and its index."""
    full = source.levels[0].shape
    levels, indices = [Level(full, 1.0)], [0]
    for index, stored in enumerate(source.levels[1:], 1):
        ratios = (full[0] / stored.shape[0], full[1] / stored.shape[1])
        stated = stored.downsample or math.sqrt(ratios[0] * ratios[1])
        whole = max(1, round(stated))
        # A level of floor or ceil of the extent over a whole number was made by that number.
        fits = all(abs(stored.shape[a] - full[a] / whole) < 1.0 for a in (0, 1))
        downsample = float(whole) if fits else stated
        if downsample > levels[-1].downsample:
            levels.append(Level(stored.shape, downsample))
            indices.append(index)
    return tuple(levels), tuple(indices)


def _virtual_length(full: int, stored: int, downsample: float) -> int:
    """Extent of the level in its pixels, counting the pixel that rounding down cut off."""
    return max(stored, math.ceil(full / downsample - 1e-6))


def _cache_bytes(source: Source) -> int:
    """Bytes that hold what two neighbouring rows of reads share: wide strips need more."""
    level = source.levels[0]
    if level.chunk[1] < level.shape[1]:
        return _CACHE_BYTES
    row = level.shape[1] * len(source.channel_names) * source.dtype.itemsize
    return int(min(max(row * 2048, _CACHE_BYTES), _CACHE_MAX_BYTES))


def _blocks(inner: Region, factors: tuple[float, float], channels: int) -> list[Region]:
    """Cut output pixels into blocks whose stored pixels fit in memory at once."""
    if inner.is_empty:
        return []
    row_samples = inner.width * factors[0] * factors[1] * channels
    height = min(inner.height, max(1, int(_BLOCK_SAMPLES / row_samples)))
    width = inner.width
    if row_samples > _BLOCK_SAMPLES:
        width = max(1, int(_BLOCK_SAMPLES / (factors[0] * factors[1] * channels)))
    return [
        Region(y, x, min(height, inner.stop_y - y), min(width, inner.stop_x - x))
        for y in range(inner.y, inner.stop_y, height)
        for x in range(inner.x, inner.stop_x, width)
    ]


def _check_positive(name: str, value: float) -> None:
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{name} must be a positive number of µm, got {value!r}.")
