"""TIFF in its kinds: plain, BigTIFF, OME-TIFF, SVS, QPTIFF, ImageJ."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from histo.errors import SlideError
from histo.slide.pixel_size import believe
from histo.slide.source import DAMAGE, ChunkKey, SourceLevel, check_size, is_bright, native_dtype
from histo.slide.tiff_layout import Layout, check_pages, lay_out
from histo.slide.tiff_pixels import (
    CIELAB,
    MINISBLACK,
    MINISWHITE,
    PALETTE,
    RGB,
    SEPARATED,
    YCBCR,
    Colour,
    Plane,
    channel_values,
)

__all__ = ["TiffSource", "name_channels"]

Array = NDArray[Any]

#: Segments read from the file in one pass.
_BATCH = 64


class TiffSource:
    """A TIFF held open.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    SlideError
        If it is damaged, cut off, or holds no slide.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        check_pages(path)
        self._lock = threading.Lock()
        try:
            self._tif = tifffile.TiffFile(path)
        except DAMAGE as error:
            raise _unreadable(path.name, error) from error
        self._pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "slide")
        self._files: list[Any] = []
        try:
            self._prepare()
        except DAMAGE as error:
            self.close()
            raise _unreadable(path.name, error) from error
        except SlideError:
            self.close()
            raise

    def _prepare(self) -> None:
        """Lay out the pages and check every level."""
        layout = lay_out(self._tif, self._name)
        frame = layout.levels[0][0].keyframe
        shape = int(frame.imagelength), int(frame.imagewidth)
        check_size(self._name, shape, len(layout.levels[0]) * int(frame.samplesperpixel))
        for page in (page for pages in layout.levels for page in pages):
            # The other files of a set are closed once their pages are known.
            if page.parent.filehandle.closed:
                page.parent.filehandle.open()
                self._files.append(page.parent.filehandle)
        self._planes = [
            [Plane(self._name, page, int(page.parent.filehandle.size)) for page in pages]
            for pages in layout.levels
        ]
        first = self._planes[0][0]
        for planes in self._planes:
            if len({(plane.shape, plane.chunk, plane.samples) for plane in planes}) > 1:
                raise SlideError(
                    f"{self._name}: its channels are stored in different ways; "
                    "export the slide as OME-TIFF."
                )
        self.levels = tuple(
            SourceLevel(planes[0].shape, planes[0].chunk) for planes in self._planes
        )
        self.pixel_size, doubts = believe(layout.pixel_size, density=layout.density)
        self._colour = _colour(first, len(self._planes[0]), layout, self._name)
        notes = [*layout.notes, *doubts]
        if self._colour is not None:
            self.kind = "brightfield"
            self.dtype: np.dtype[Any] = np.dtype(np.uint8)
            self.channel_names: tuple[str, ...] = ("red", "green", "blue")
            notes += self._colour.notes
        else:
            self.kind = "channels"
            self.dtype = native_dtype(self._name, first.dtype or np.dtype(object))
            if first.dtype == np.float64:
                notes.append("values_rounded_to_32_bit")
            count = len(self._planes[0]) * first.samples
            self.channel_names = name_channels(layout.names, count)
            words = {name.strip().lower() for name in layout.names} - {"", "red", "green", "blue"}
            if count == 3 and self.dtype == np.uint8 and not words and self._is_bright():
                self.kind = "brightfield"
                self.channel_names = ("red", "green", "blue")
                notes.append("three_channels_read_as_rgb")
        if int(frame.tags.valueof(274, 1) or 1) not in (0, 1):
            notes.append("orientation_tag_ignored")
        if any(plane.has_holes for plane in self._planes[0]):
            notes.append("sparse_tiles")
        self.notes = tuple(notes)

    def read_chunks(self, level: int, keys: Sequence[ChunkKey]) -> Iterator[tuple[ChunkKey, Array]]:
        """Yield the decoded chunks; see :class:`histo.slide.source.Source`."""
        planes = self._planes[level]
        for start in range(0, len(keys), _BATCH):
            batch = list(keys[start : start + _BATCH])
            encoded = [self._fetch(plane, batch) for plane in planes]

            def build(
                key: ChunkKey, encoded: list[dict[int, bytes | None]] = encoded
            ) -> tuple[ChunkKey, Array]:
                return key, self._build(planes, key, encoded)

            yield from map(build, batch) if len(batch) == 1 else self._pool.map(build, batch)

    def close(self) -> None:
        """Close the file and end the decoding threads."""
        self._pool.shutdown()
        self._planes = []
        for file in self._files:
            file.close()
        self._tif.close()

    def _is_bright(self) -> bool:
        """Look at the middle of the coarsest level."""
        last = self.levels[-1]
        middle = (last.shape[0] // 2 // last.chunk[0], last.shape[1] // 2 // last.chunk[1])
        return is_bright(next(self.read_chunks(len(self.levels) - 1, [middle]))[1])

    def _fetch(self, plane: Plane, keys: list[ChunkKey]) -> dict[int, bytes | None]:
        """Read the encoded segments of chunks; None for a hole."""
        segments = plane.segments(keys)
        if not segments:
            return {}
        places = [plane.location(segment) for segment in segments]
        try:
            found = plane.file.read_segments(
                [offset for offset, _ in places],
                [count for _, count in places],
                segments,
                lock=self._lock,
            )
            encoded = {index: data for data, index in found}
        except DAMAGE as error:
            raise _unreadable(self._name, error) from error
        for segment, (_, count) in zip(segments, places, strict=True):
            data = encoded.get(segment)
            if count and (data is None or len(data) < count):
                raise SlideError(
                    f"{self._name}: ended while it was read; copy or export the file again."
                )
        return encoded

    def _build(
        self, planes: list[Plane], key: ChunkKey, encoded: list[dict[int, bytes | None]]
    ) -> Array:
        """Decode a chunk of every plane and bring it to the slide's type."""
        stored = [plane.decode(key, data) for plane, data in zip(planes, encoded, strict=True)]
        if self._colour is not None:
            if stored[0] is None:
                return self._hole(planes[0], key, 3, 255)
            return self._colour.convert(stored[0])
        parts = [
            self._hole(plane, key, plane.samples, 255 if self.kind == "brightfield" else 0)
            if values is None
            else channel_values(plane, values, self.dtype, self._name)
            for plane, values in zip(planes, stored, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)

    def _hole(self, plane: Plane, key: ChunkKey, samples: int, value: int) -> Array:
        """Return a chunk that was never written: one value, which takes no memory."""
        height = min(plane.chunk[0], plane.shape[0] - key[0] * plane.chunk[0])
        width = min(plane.chunk[1], plane.shape[1] - key[1] * plane.chunk[1])
        return np.broadcast_to(self.dtype.type(value), (height, width, samples))


def name_channels(names: Sequence[str], count: int) -> tuple[str, ...]:
    """Return one unique name a channel, "channel-1" ... where none is stated.

    Parameters
    ----------
    names : sequence of str
        As stated; may be shorter, empty or repeated.
    count : int
        Number of channels.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> name_channels(["DAPI", "", "DAPI"], 4)
    ('DAPI', 'channel-2', 'DAPI-2', 'channel-4')
    """
    if len(names) > count:
        names = names[:count]
    stated = [name.strip() for name in names] + [""] * (count - len(names))
    unique: list[str] = []
    for index, name in enumerate(stated, 1):
        base = name or f"channel-{index}"
        candidate, copy = base, 2
        while candidate in unique:
            candidate, copy = f"{base}-{copy}", copy + 1
        unique.append(candidate)
    return tuple(unique)


def _colour(first: Plane, planes: int, layout: Layout, name: str) -> Colour | None:
    """Return the way to RGB, or None when the pages are channels."""
    coloured = first.photometric in (RGB, YCBCR, SEPARATED, CIELAB)
    if first.photometric == PALETTE and not layout.microscopy and planes == 1:
        coloured = True
    if not coloured:
        if first.photometric not in (MINISWHITE, MINISBLACK, PALETTE):
            raise SlideError(
                f"{name}: uses colours that are not read here "
                f"(TIFF photometric interpretation {first.photometric}); export it as RGB."
            )
        return None
    if planes > 1:
        raise SlideError(
            f"{name}: holds {planes} colour images side by side; export one of them as RGB."
        )
    return Colour(first, name)


def _unreadable(name: str, error: BaseException) -> SlideError:
    text = str(error).strip().splitlines()
    detail = text[0][:120] if text and text[0] else type(error).__name__
    return SlideError(f"{name}: cannot be read as TIFF ({detail}); copy or export the file again.")
