"""What every reader offers to the slide: levels cut into chunks that decode one by one."""

from __future__ import annotations

import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from xml.etree.ElementTree import ParseError

import numpy as np
from numpy.typing import NDArray

from histo.errors import SlideError
from histo.geometry import Region
from histo.slide.pixel_size import PixelSize

__all__ = [
    "DAMAGE",
    "Array",
    "ChunkCache",
    "ChunkKey",
    "Source",
    "SourceLevel",
    "check_size",
    "check_values",
    "is_bright",
    "native_dtype",
    "over_white",
    "read_level",
]

Array = NDArray[Any]
ChunkKey = tuple[int, int]

#: What third-party parsers and decoders raise on damaged content. They document none of it,
#: and each of these has been seen; nothing of our own code runs inside the guarded calls.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    ParseError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

#: Largest side and area of a level 0, and the most channels. The largest scans made are about
#: 4 x 10^10 pixels; a header that claims more is damaged or hostile.
MAX_SIDE_PX = 2**21
MAX_AREA_PX = 2**38
MAX_CHANNELS = 256

#: The largest piece that must be decoded in one go, in bytes.
MAX_CHUNK_BYTES = 2**29

#: float32 holds whole numbers up to here without loss.
_EXACT_FLOAT32 = 2**24


@dataclass(frozen=True, slots=True)
class SourceLevel:
    """One level of the pyramid, as it is stored.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) in pixels.
    chunk : tuple of int
        Height and width of the pieces that decode in one go; the first starts at (0, 0).
    downsample : float or None
        Against level 0 where the file states it; None: from the shapes.
    """

    shape: tuple[int, int]
    chunk: tuple[int, int]
    downsample: float | None = None


class Source(Protocol):
    """A file held open: TIFF, vendor format, OME-Zarr or a plain picture.

    ``read_chunks`` may be called from several threads at once, and yields arrays (Y, X, C) of
    ``dtype`` that cover exactly the part of the chunk inside the level, in any order.
    """

    kind: str
    dtype: np.dtype[Any]
    channel_names: tuple[str, ...]
    levels: tuple[SourceLevel, ...]
    pixel_size: PixelSize | None
    notes: tuple[str, ...]

    def read_chunks(self, level: int, keys: Sequence[ChunkKey]) -> Iterator[tuple[ChunkKey, Array]]:
        """Yield the decoded chunks."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class ChunkCache:
    """The chunks used last, up to a number of bytes; safe to use from several threads.

    Parameters
    ----------
    budget_bytes : int
        Chunks are dropped, the least recently used first, above this.

    Examples
    --------
    >>> cache = ChunkCache(100)
    >>> cache.put((0, 0, 0), np.zeros(60, np.uint8))
    >>> cache.put((0, 0, 1), np.zeros(60, np.uint8))
    >>> cache.get((0, 0, 0)) is None, cache.get((0, 0, 1)) is None
    (True, False)
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._held = 0
        self._chunks: OrderedDict[tuple[int, int, int], Array] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int, int]) -> Array | None:
        """Return a chunk, or None."""
        with self._lock:
            found = self._chunks.get(key)
            if found is not None:
                self._chunks.move_to_end(key)
            return found

    def put(self, key: tuple[int, int, int], chunk: Array) -> None:
        """Keep a chunk; one larger than the whole budget is not kept."""
        size = chunk.nbytes
        if size > self._budget:
            return
        with self._lock:
            previous = self._chunks.pop(key, None)
            if previous is not None:
                self._held -= previous.nbytes
            self._chunks[key] = chunk
            self._held += size
            while self._held > self._budget:
                _, dropped = self._chunks.popitem(last=False)
                self._held -= dropped.nbytes

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._chunks.clear()
            self._held = 0


def read_level(source: Source, cache: ChunkCache, level: int, region: Region) -> Array:
    """Return a region of a stored level at its own pixels.

    Parameters
    ----------
    source : Source
        The open file.
    cache : ChunkCache
        Of this source only.
    level : int
        Index of the level.
    region : Region
        In pixels of the level, inside it.

    Returns
    -------
    ndarray
        ``source.dtype``, (Y, X, C).
    """
    height, width = source.levels[level].chunk
    out = np.empty((*region.shape, len(source.channel_names)), source.dtype)
    missing: list[ChunkKey] = []

    def place(key: ChunkKey, chunk: Array) -> None:
        covered = Region(key[0] * height, key[1] * width, *chunk.shape[:2])
        common = covered.intersect(region)
        out[common.slices_in(region)] = chunk[common.slices_in(covered)]

    if region.is_empty:
        return out
    for row in range(region.y // height, (region.stop_y - 1) // height + 1):
        for column in range(region.x // width, (region.stop_x - 1) // width + 1):
            chunk = cache.get((level, row, column))
            if chunk is None:
                missing.append((row, column))
            else:
                place((row, column), chunk)
    for key, chunk in source.read_chunks(level, missing):
        cache.put((level, *key), chunk)
        place(key, chunk)
    return out


def check_size(name: str, shape: tuple[int, int], channels: int) -> None:
    """Refuse extents that no slide has.

    Parameters
    ----------
    name : str
        Of the file, for the message.
    shape : tuple of int
        (Y, X) of level 0.
    channels : int
        Number of channels or samples.

    Raises
    ------
    SlideError
        If a side is 0, or a side, the area or the number of channels is beyond any slide.

    Examples
    --------
    >>> check_size("a.tif", (2**31, 10), 3)
    Traceback (most recent call last):
    ...
    histo.errors.SlideError: a.tif: claims 2147483648 x 10 pixels with 3 channels, ...
    """
    height, width = shape
    if height < 1 or width < 1:
        raise SlideError(f"{name}: holds no pixels ({height} x {width}); export the slide again.")
    too_large = max(height, width) > MAX_SIDE_PX or height * width > MAX_AREA_PX
    if too_large or not 1 <= channels <= MAX_CHANNELS:
        raise SlideError(
            f"{name}: claims {height} x {width} pixels with {channels} channels, which no slide "
            "has; the header is damaged, export the slide again."
        )


def native_dtype(name: str, stored: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which channels of a stored type are handed out.

    Parameters
    ----------
    name : str
        Of the file, for the message.
    stored : dtype
        As in the file.

    Returns
    -------
    dtype
        uint8, uint16 or float32, which holds the stored values without loss (float64 is rounded
        to float32; whole numbers are checked by :func:`check_values`).

    Raises
    ------
    SlideError
        If the values are complex or of no numeric type.

    Examples
    --------
    >>> native_dtype("a.tif", np.dtype("int16"))
    dtype('float32')
    """
    if stored.kind == "b" or stored == np.uint8:
        return np.dtype(np.uint8)
    if stored.kind == "u" and stored.itemsize == 2:
        return np.dtype(np.uint16)
    if stored.kind in "uif":
        return np.dtype(np.float32)
    raise SlideError(
        f"{name}: holds values of type {stored}, which are no intensities; "
        "export it with 8 or 16 bits per channel."
    )


def check_values(name: str, values: Array, dtype: np.dtype[Any]) -> Array:
    """Return ``values`` as ``dtype``, refusing whole numbers that float32 cannot hold.

    Parameters
    ----------
    name : str
        Of the file, for the message.
    values : ndarray
        As stored.
    dtype : dtype
        From :func:`native_dtype`.

    Returns
    -------
    ndarray
        Of ``dtype`` and the same shape.

    Raises
    ------
    SlideError
        If a whole number beyond 2^24 would change.

    Examples
    --------
    >>> check_values("a.tif", np.array([-3], np.int8), np.dtype("float32"))
    array([-3.], dtype=float32)
    """
    if values.dtype.kind in "iu" and values.dtype.itemsize > 2 and values.size:
        low, high = int(values.min()), int(values.max())
        if max(-low, high) > _EXACT_FLOAT32:
            raise SlideError(
                f"{name}: holds whole numbers up to {max(-low, high)}, more than a 32-bit float "
                "keeps exactly; export it with 16 bits per channel."
            )
    return values.astype(dtype, copy=False)


def is_bright(pixels: Array) -> bool:
    """Whether three channels without names are the colours of a brightfield slide.

    Some converters write RGB as three anonymous channels. Light that passes through glass is
    bright in all three somewhere; fluorescence is dark in at least one nearly everywhere.

    Parameters
    ----------
    pixels : uint8 (Y, X, 3)
        A part of the coarsest level.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_bright(np.full((4, 4, 3), 230, np.uint8)), is_bright(np.zeros((4, 4, 3), np.uint8))
    (True, False)
    """
    return bool(np.percentile(pixels.min(axis=2), 75) > 64)


def over_white(rgb: Array, alpha: Array, *, premultiplied: bool = False) -> Array:
    """Lay colours with an alpha channel over white.

    Parameters
    ----------
    rgb : uint8 (Y, X, 3)
        Colours.
    alpha : uint8 (Y, X)
        0 transparent ... 255 opaque.
    premultiplied : bool
        Whether the colours were multiplied by alpha already.

    Returns
    -------
    uint8 (Y, X, 3)

    Examples
    --------
    >>> over_white(np.zeros((1, 1, 3), np.uint8), np.array([[51]], np.uint8))
    array([[[204, 204, 204]]], dtype=uint8)
    """
    if alpha.size == 0 or alpha.min() == 255:
        return np.ascontiguousarray(rgb)
    share = alpha.astype(np.uint16)[..., np.newaxis]
    colour = rgb.astype(np.uint16)
    weighted = colour * 255 if premultiplied else colour * share
    mixed = (weighted.astype(np.uint32) + 255 * (255 - share.astype(np.uint32)) + 127) // 255
    clipped: Array = np.minimum(mixed, 255)
    return clipped.astype(np.uint8)
