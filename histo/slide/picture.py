"""PNG and JPEG: one level, decoded whole."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from histo.errors import SlideError
from histo.slide.pixel_size import PixelSize, believe, from_resolution
from histo.slide.source import DAMAGE, ChunkKey, SourceLevel, check_size, over_white
from histo.slide.tiff_pixels import jpeg_shape

__all__ = ["JPEG_MAGIC", "PNG_MAGIC", "PictureSource"]

Array = NDArray[Any]

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"

#: Pictures are decoded whole: pixels beyond this belong in a tiled TIFF.
_MAX_PIXELS = 2**27


class PictureSource:
    """A PNG or JPEG, decoded when it is first read.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    SlideError
        If it is damaged, cut off or too large to decode whole.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        data = path.read_bytes()
        is_png = data.startswith(PNG_MAGIC)
        shape = _png_shape(data) if is_png else jpeg_shape(data)
        if shape is None:
            raise self._damaged("no header")
        check_size(self._name, shape, 1)
        if shape[0] * shape[1] > _MAX_PIXELS:
            raise SlideError(
                f"{self._name}: holds {shape[0] * shape[1] / 1e6:.0f} million pixels in one piece; "
                "convert it to a TIFF with tiles and levels."
            )
        if not is_png and data.rfind(b"\xff\xd9") < 0:
            raise self._damaged("it is cut off")
        try:
            decoded = imagecodecs.png_decode(data) if is_png else imagecodecs.jpeg8_decode(data)
        except DAMAGE as error:
            raise self._damaged(str(error)) from error
        if not is_png and np.asarray(decoded).shape[2:] == (4,):
            raise SlideError(f"{self._name}: is a JPEG in CMYK, for print; save it as RGB.")
        notes: list[str] = []
        self._pixels = self._to_pixels(np.asarray(decoded), notes)
        self.dtype: np.dtype[Any] = self._pixels.dtype
        self.kind = "brightfield" if self._pixels.shape[2] == 3 else "channels"
        self.channel_names: tuple[str, ...] = (
            ("red", "green", "blue") if self.kind == "brightfield" else ("channel-1",)
        )
        self.levels: tuple[SourceLevel, ...] = (SourceLevel(self._pixels.shape[:2], (1024, 1024)),)
        stated = _png_size(data) if is_png else _jfif_size(data)
        self.pixel_size, doubts = believe(stated, density=True)
        self.notes = (*notes, *doubts)

    def read_chunks(self, level: int, keys: Sequence[ChunkKey]) -> Iterator[tuple[ChunkKey, Array]]:
        """Yield parts of the picture; see :class:`histo.slide.source.Source`."""
        height, width = self.levels[level].chunk
        for row, column in keys:
            yield (
                (row, column),
                self._pixels[
                    row * height : (row + 1) * height, column * width : (column + 1) * width
                ],
            )

    def close(self) -> None:
        """Let go of the pixels."""
        self._pixels = self._pixels[:0]

    def _to_pixels(self, decoded: Array, notes: list[str]) -> Array:
        """Bring grey, grey + alpha, RGB and RGBA of 8 or 16 bits to what the slide hands out."""
        if decoded.ndim == 2:
            decoded = decoded[..., np.newaxis]
        if decoded.dtype not in (np.uint8, np.uint16) or decoded.shape[2] > 4:
            raise self._damaged(f"pixels of type {decoded.dtype} {decoded.shape[2:]}")
        if decoded.shape[2] == 2:
            notes.append("alpha_dropped")
        if decoded.shape[2] <= 2:
            return np.ascontiguousarray(decoded[..., :1])
        if decoded.dtype == np.uint16:
            notes.append("colours_scaled_to_8_bit")
            decoded = ((decoded.astype(np.uint32) + 128) // 257).astype(np.uint8)
        if decoded.shape[2] == 3:
            return decoded
        notes.append("alpha_over_white")
        return over_white(decoded[..., :3], decoded[..., 3])

    def _damaged(self, what: str) -> SlideError:
        return SlideError(
            f"{self._name}: is damaged or cut off ({what[:120]}); copy or export the file again."
        )


def _png_shape(data: bytes) -> tuple[int, int] | None:
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return height, width


def _png_size(data: bytes) -> PixelSize | None:
    """Read the chunk pHYs: pixels per metre."""
    position = 8
    while position + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        if kind == b"IDAT":
            return None
        if kind == b"pHYs" and position + 17 <= len(data):
            x, y, unit = struct.unpack(">IIB", data[position + 8 : position + 17])
            return from_resolution(y, x, "m" if unit == 1 else None, "PNG pHYs")
        position += 12 + length
    return None


def _jfif_size(data: bytes) -> PixelSize | None:
    """Read the density of a JFIF header."""
    if data[2:4] != b"\xff\xe0" or data[6:11] != b"JFIF\0" or len(data) < 18:
        return None
    unit, x, y = struct.unpack(">BHH", data[13:18])
    return from_resolution(y, x, {1: "inch", 2: "cm"}.get(unit), "JFIF")
