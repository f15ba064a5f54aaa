"""Scanner formats that OpenSlide reads: MRXS, VMS, NDPI, SCN, BIF, DICOM and more."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openslide
from numpy.typing import NDArray

from histo.errors import SlideError
from histo.slide.pixel_size import believe, from_lengths
from histo.slide.source import DAMAGE, ChunkKey, SourceLevel, check_size, over_white

__all__ = ["VENDORS", "OpenSlideSource", "vendor_of"]

Array = NDArray[Any]

#: OpenSlide's names of the formats that are left to it; plain and Aperio TIFF are read directly.
VENDORS = (
    "dicom",
    "hamamatsu",
    "leica",
    "mirax",
    "philips",
    "sakura",
    "trestle",
    "ventana",
    "zeiss",
)

#: OpenSlide places reads on level 0, which some levels do not divide: every stored pixel always
#: comes from the same square, so that all reads agree.
_CHUNK_PX = 512


def vendor_of(path: Path) -> str | None:
    """Return OpenSlide's name for the format of a file, or None when it is none of ours.

    Parameters
    ----------
    path : Path
        A file.

    Returns
    -------
    str or None
        One of ``VENDORS``.
    """
    try:
        found = openslide.OpenSlide.detect_format(path)
    except (openslide.OpenSlideError, *DAMAGE):
        return None
    return found if found in VENDORS else None


class OpenSlideSource:
    """A slide held open by OpenSlide: brightfield RGB.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    SlideError
        If OpenSlide cannot open it.
    """

    kind = "brightfield"
    channel_names: tuple[str, ...] = ("red", "green", "blue")

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        try:
            self._slide = openslide.OpenSlide(path)
        except (openslide.OpenSlideError, *DAMAGE) as error:
            raise self._damaged(error) from error
        try:
            shapes = [(height, width) for width, height in self._slide.level_dimensions]
            check_size(self._name, shapes[0], 3)
        except SlideError:
            self._slide.close()
            raise
        self._downsamples = tuple(float(value) for value in self._slide.level_downsamples)
        self.levels = tuple(
            SourceLevel(shape, (_CHUNK_PX, _CHUNK_PX), downsample)
            for shape, downsample in zip(shapes, self._downsamples, strict=True)
        )
        properties = self._slide.properties
        stated = from_lengths(
            properties.get(openslide.PROPERTY_NAME_MPP_Y),
            properties.get(openslide.PROPERTY_NAME_MPP_X),
            y_unit="um",
            x_unit="um",
            source="OpenSlide",
        )
        self.pixel_size, self.notes = believe(stated)
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "slide")

    def read_chunks(self, level: int, keys: Sequence[ChunkKey]) -> Iterator[tuple[ChunkKey, Array]]:
        """Yield the decoded chunks; see :class:`histo.slide.source.Source`."""
        for start in range(0, len(keys), 16):
            batch = keys[start : start + 16]
            yield from self._pool.map(lambda key: (key, self._read(level, key)), batch)

    def close(self) -> None:
        """Close the file and end the reading threads."""
        self._pool.shutdown()
        self._slide.close()

    def _read(self, level: int, key: ChunkKey) -> Array:
        shape = self.levels[level].shape
        y, x = key[0] * _CHUNK_PX, key[1] * _CHUNK_PX
        size = (min(_CHUNK_PX, shape[1] - x), min(_CHUNK_PX, shape[0] - y))
        place = (round(x * self._downsamples[level]), round(y * self._downsamples[level]))
        try:
            image = self._slide.read_region(place, level, size)
        except (openslide.OpenSlideError, *DAMAGE) as error:
            raise self._damaged(error) from error
        rgba = np.asarray(image)
        return over_white(rgba[..., :3], rgba[..., 3])

    def _damaged(self, error: BaseException) -> SlideError:
        # OpenSlide's messages repeat the path.
        detail = str(error).strip().splitlines()[0][-160:] if str(error).strip() else "no reason"
        return SlideError(
            f"{self._name}: OpenSlide cannot read it ({detail}); copy the slide again with all "
            "its files, or export it as OME-TIFF."
        )
