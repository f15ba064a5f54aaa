"""A slide as napari's multiscale data: levels that read only what is looked at."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.geometry import Region
from histo.slide import Slide

__all__ = ["SlideLevel", "slide_levels"]

_SMALLEST_SIDE = 1024
# Levels up to this size are read once and kept: napari asks for the coarsest again and again.
_KEPT_PIXELS = 1 << 22


class SlideLevel:
    """One level of a slide; indexing reads from the file.

    Parameters
    ----------
    slide : Slide
    pixel_size_um : float
        Pixel size of the level, in micrometres.
    channel : int, optional
        One channel of a fluorescence slide. Without it the level is RGB.

    Examples
    --------
    >>> import tempfile, tifffile
    >>> from pathlib import Path
    >>> from histo.slide import open_slide
    >>> path = Path(tempfile.mkdtemp()) / "white.tif"
    >>> tifffile.imwrite(path, np.full((50, 60, 3), 255, np.uint8), photometric="rgb")
    >>> with open_slide(path, pixel_size_um=0.5) as slide:
    ...     level = SlideLevel(slide, 1.0)
    ...     level.shape, level[10:12, 5:9].shape
    ((25, 30, 3), (2, 4, 3))
    """

    def __init__(self, slide: Slide, pixel_size_um: float, *, channel: int | None = None) -> None:
        self._slide = slide
        self._pixel_size_um = pixel_size_um
        self._channel = channel
        grid = slide.grid_shape(pixel_size_um)
        self.shape: tuple[int, ...] = grid if channel is not None else (*grid, 3)
        self.dtype = slide.dtype
        self._kept: npt.NDArray[Any] | None = None
        self._lock = threading.Lock()
        self.keeper: object = None

    @property
    def ndim(self) -> int:
        """Number of axes: 3 for RGB, 2 for a channel."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """Read a part; the first two axes take slices or whole numbers."""
        keys = key if isinstance(key, tuple) else (key,)
        if Ellipsis in keys:
            gap = keys.index(Ellipsis)
            missing = self.ndim - (len(keys) - 1)
            keys = (*keys[:gap], *[slice(None)] * missing, *keys[gap + 1 :])
        keys = (*keys, *[slice(None)] * (self.ndim - len(keys)))
        spans, inner = zip(
            *(_span(one, length) for one, length in zip(keys[:2], self.shape, strict=False)),
            strict=True,
        )
        part = self._read(Region(spans[0][0], spans[1][0], spans[0][1], spans[1][1]))
        result: npt.NDArray[Any] = part[(*inner, *keys[2:])]
        return result

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        """Read all of it."""
        return np.asarray(self[:], dtype=dtype)

    def _read(self, region: Region) -> npt.NDArray[Any]:
        if self.shape[0] * self.shape[1] > _KEPT_PIXELS:
            return self._read_file(region)
        with self._lock:
            if self._kept is None:
                self._kept = self._read_file(Region(0, 0, self.shape[0], self.shape[1]))
        return self._kept[region.slices()]

    def _read_file(self, region: Region) -> npt.NDArray[Any]:
        pixels = self._slide.read(region, self._pixel_size_um)
        return pixels if self._channel is None else pixels[..., self._channel]


class _Keeper:
    """Closes a slide when the last of its levels is let go; napari tells nobody."""

    def __init__(self, slide: Slide) -> None:
        self._slide = slide

    def __del__(self) -> None:
        self._slide.close()


def slide_levels(
    slide: Slide, pixel_size_um: float, *, channels: Sequence[int | None] = (None,)
) -> list[list[SlideLevel]]:
    """Return levels of a slide, each half as fine as the one before, down to about 1024 px.

    Parameters
    ----------
    slide : Slide
        It is closed when the last of the levels is let go.
    pixel_size_um : float
        Pixel size of the finest level, in micrometres.
    channels : sequence of int or None
        Channels of a fluorescence slide; None stands for RGB.

    Returns
    -------
    list of list of SlideLevel
        For each channel its levels, finest first.
    """
    keeper = _Keeper(slide)
    pyramids = []
    for channel in channels:
        size = pixel_size_um
        levels = [SlideLevel(slide, size, channel=channel)]
        while max(levels[-1].shape[:2]) > _SMALLEST_SIDE:
            size *= 2
            levels.append(SlideLevel(slide, size, channel=channel))
        for level in levels:
            level.keeper = keeper
        pyramids.append(levels)
    return pyramids


def _span(key: Any, length: int) -> tuple[tuple[int, int], Any]:
    """Return what to read of an axis (start, count), and how to index what was read."""
    if isinstance(key, slice):
        start, stop, step = key.indices(length)
        if step < 1:
            raise IndexError("a slide's level is read forward only.")
        return (start, max(0, stop - start)), slice(None, None, step)
    index = int(key)
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of bounds for {length} pixels.")
    return (index % length, 1), 0
