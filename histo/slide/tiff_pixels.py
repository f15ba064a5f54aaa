"""From the bytes of one TIFF page to pixels: segments, sample order, colour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from histo.errors import SlideError
from histo.slide.source import (
    DAMAGE,
    MAX_CHUNK_BYTES,
    ChunkKey,
    check_values,
    over_white,
)

__all__ = ["Colour", "Plane", "channel_values", "jpeg_shape", "to_rgb"]

Array = NDArray[Any]

# TIFF tag values (TIFF 6.0, section 8 and Appendix A).
MINISWHITE, MINISBLACK, RGB, PALETTE, SEPARATED, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8
ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA = 1, 2
_JPEG, _OLD_JPEG = 7, 6
_JPEG2000 = (33003, 33004, 33005, 34712)

#: What slides are written with and whose decoders bound their output: none, CCITT, LZW, JPEG,
#: Deflate, PackBits, JPEG 2000, LZMA, Zstandard, WebP.
_COMPRESSIONS = (1, 2, 3, 4, 5, 7, 8, 32773, 32946, *_JPEG2000, 34925, 34926, 50000, 50001)

_EXPORT = "export it as TIFF with JPEG, LZW or Deflate compression."


class Plane:
    """One TIFF page (IFD): its segments, decoded one by one.

    Parameters
    ----------
    name : str
        Of the file, for messages.
    page : TiffPage or TiffFrame
        As tifffile found it.
    file_size : int
        Of the file that holds it, in bytes.

    Raises
    ------
    SlideError
        If the page cannot be decoded in bounded memory, or lies partly beyond the file's end.
    """

    def __init__(self, name: str, page: Any, file_size: int) -> None:
        self.name = name
        self._page = page
        frame = page.keyframe
        self.photometric = int(frame.photometric) if 262 in frame.tags else MINISBLACK
        self.dtype = np.dtype(frame.dtype) if frame.dtype is not None else None
        self.bits = frame.bitspersample
        self.samples = int(frame.samplesperpixel)
        self.extra = tuple(int(kind) for kind in frame.extrasamples)
        self.shape = (int(frame.imagelength), int(frame.imagewidth))
        self.separate = int(frame.planarconfig) == 2 and self.samples > 1
        self.compression = int(frame.compression)
        self._check_kind(frame)
        self.chunk = self._chunk_of(frame)
        self._grid = (-(-self.shape[0] // self.chunk[0]), -(-self.shape[1] // self.chunk[1]))
        self._memory: Array | None = None
        if not self._map(frame, file_size):
            self._check_segments(file_size)
            self._decode = frame.decode
            self._options: dict[str, Any] = {"_fullsize": False}
            if self.compression == _JPEG:
                self._options["jpegtables"] = page.jpegtables
                self._options["jpegheader"] = frame.jpegheader

    @property
    def file(self) -> Any:
        """The handle of the file that holds the page."""
        return self._page.parent.filehandle

    @property
    def colormap(self) -> Array | None:
        """The palette, uint16 (3, N), or None."""
        return self._page.keyframe.colormap  # type: ignore[no-any-return]

    def segments(self, keys: list[ChunkKey]) -> list[int]:
        """Return the indices of the segments of chunks, sample planes one after the other."""
        if self._memory is not None:
            return []
        planes = self.samples if self.separate else 1
        area = self._grid[0] * self._grid[1]
        return [
            plane * area + row * self._grid[1] + column
            for row, column in keys
            for plane in range(planes)
        ]

    def location(self, segment: int) -> tuple[int, int]:
        """Return the offset and the byte count of a segment."""
        return int(self._page.dataoffsets[segment]), int(self._page.databytecounts[segment])

    @property
    def has_holes(self) -> bool:
        """Whether segments are absent by design: byte count 0."""
        return self._memory is None and 0 in self._page.databytecounts

    def decode(self, key: ChunkKey, encoded: dict[int, bytes | None]) -> Array | None:
        """Return the samples of a chunk, (Y, X, S) as stored, or None when it is a hole."""
        y, x = key[0] * self.chunk[0], key[1] * self.chunk[1]
        height = min(self.chunk[0], self.shape[0] - y)
        width = min(self.chunk[1], self.shape[1] - x)
        if self._memory is not None:
            part = self._memory[:, y : y + height, x : x + width]
            stored = part[0] if not self.separate else part[..., 0].transpose(1, 2, 0)
            return stored.astype(stored.dtype.newbyteorder("="))
        segments = self.segments([key])
        absent = [segment for segment in segments if encoded.get(segment) is None]
        if len(absent) == len(segments):
            return None
        if absent and self.photometric not in (MINISWHITE, MINISBLACK, PALETTE):
            raise self._damaged("a tile lacks one of its colours")
        parts = []
        for segment in segments:
            data = encoded.get(segment)
            if data is None:
                parts.append(np.zeros((height, width, 1), self.dtype))
            else:
                parts.append(self._decode_segment(segment, data)[:height, :width])
        if any(part.shape[:2] != (height, width) for part in parts):
            raise self._damaged("a tile or strip holds too few pixels")
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)

    def _decode_segment(self, segment: int, data: bytes) -> Array:
        self._check_stream(data)
        try:
            decoded, _, _ = self._decode(data, segment, **self._options)
        except DAMAGE as error:
            raise self._damaged(_reason(error)) from error
        if decoded is None or decoded.ndim != 4 or decoded.shape[0] != 1:
            raise self._damaged("a tile or strip has another shape than the header says")
        return decoded[0]  # type: ignore[no-any-return]

    def _check_kind(self, frame: Any) -> None:
        """Refuse what no decoder at hand turns into pixels safely."""
        if self.dtype is None or not isinstance(self.bits, int):
            raise SlideError(
                f"{self.name}: has pixels of an unusual kind ({self.bits} bits per sample); "
                "export it with 8 or 16 bits per channel."
            )
        if self.compression == _OLD_JPEG:
            raise SlideError(
                f"{self.name}: uses the old-style JPEG compression that TIFF withdrew in 1995; "
                + _EXPORT
            )
        if self.compression not in _COMPRESSIONS:
            raise SlideError(
                f"{self.name}: is compressed in a way that is not read here "
                f"(TIFF compression {self.compression}); " + _EXPORT
            )
        if int(getattr(frame, "imagedepth", 1)) > 1:
            raise SlideError(f"{self.name}: holds a volume; export one plane of it.")

    def _chunk_of(self, frame: Any) -> tuple[int, int]:
        """Height and width of a tile or strip, checked for size."""
        if frame.is_tiled:
            chunk = int(frame.tilelength), int(frame.tilewidth)
        else:
            chunk = min(int(frame.rowsperstrip), self.shape[0]), self.shape[1]
        if chunk[0] < 1 or chunk[1] < 1:
            raise self._damaged(f"tiles or strips of {chunk[0]} x {chunk[1]} pixels")
        return chunk

    def _map(self, frame: Any, file_size: int) -> bool:
        """Map plain uncompressed pixels: no strip is too tall then. Return whether it fits."""
        plain = (
            self.compression == 1
            and int(frame.predictor) == 1
            and int(frame.fillorder) == 1
            and self.dtype is not None
            and self.bits == self.dtype.itemsize * 8
            and not frame.is_tiled
            and frame.is_contiguous
            and not frame.is_subsampled
        )
        if not plain or self.dtype is None:
            return False
        dtype = self.dtype.newbyteorder(self._page.parent.byteorder)
        planes, contiguous = (self.samples, 1) if self.separate else (1, self.samples)
        shape = (planes, *self.shape, contiguous)
        offset = int(self._page.dataoffsets[0])
        stop = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
        if offset <= 0 or stop > file_size:
            raise self._damaged(f"the pixels end at byte {stop}, the file at byte {file_size}")
        # Rows of a plain strip need no decoding: read them in squares.
        self.chunk = (512, 512)
        self._memory = np.memmap(self.file.path, dtype, "r", offset, shape)
        return True

    def _check_segments(self, file_size: int) -> None:
        """Refuse a page whose segments are too few, too large or beyond the file's end."""
        samples = 1 if self.separate else self.samples
        itemsize = self.dtype.itemsize if self.dtype is not None else 1
        size = self.chunk[0] * self.chunk[1] * samples * itemsize
        if size > MAX_CHUNK_BYTES:
            raise SlideError(
                f"{self.name}: one tile or strip holds {size / 1e9:.1f} GB when decoded; "
                "convert it to a TIFF with tiles."
            )
        expected = self._grid[0] * self._grid[1] * (self.samples if self.separate else 1)
        offsets = np.asarray(self._page.dataoffsets, dtype=np.uint64)
        counts = np.asarray(self._page.databytecounts, dtype=np.uint64)
        if len(offsets) < expected or len(counts) < expected:
            raise self._damaged(
                f"{min(len(offsets), len(counts))} of {expected} tiles or strips are listed"
            )
        present = counts > 0
        beyond = int((present & (offsets > file_size - np.minimum(counts, file_size))).sum())
        beyond += int((present & (offsets == 0)).sum())
        if beyond or not present.any():
            lost = beyond or expected
            raise self._damaged(f"{lost} of {expected} tiles or strips are missing")

    def _check_stream(self, data: bytes) -> None:
        """Refuse a JPEG or JPEG 2000 stream that is cut off or claims a larger picture.

        Their decoders fill what is missing with grey, and allocate what the stream claims.
        """
        if self.compression != _JPEG and self.compression not in _JPEG2000:
            return
        if self._options.get("jpegheader") is not None:
            return
        if data.rfind(b"\xff\xd9") < 0:
            raise self._damaged("a tile or strip is cut off")
        claimed = jpeg2000_shape(data) if self.compression != _JPEG else jpeg_shape(data)
        if claimed is None:
            raise self._damaged("a tile or strip is no picture")
        if claimed[0] * claimed[1] > 2 * self.chunk[0] * self.chunk[1] + 65536:
            raise self._damaged("a tile or strip claims to be larger than the header says")

    def _damaged(self, what: str) -> SlideError:
        return SlideError(
            f"{self.name}: is damaged or cut off ({what}); copy or export the file again."
        )


class Colour:
    """How the samples of a page become RGB.

    Parameters
    ----------
    plane : Plane
        Of level 0.
    name : str
        Of the file, for messages.

    Raises
    ------
    SlideError
        If there is no honest way.
    """

    def __init__(self, plane: Plane, name: str) -> None:
        self._name = name
        self.photometric = plane.photometric
        self.samples = plane.samples
        self.extra = plane.extra
        if self.photometric == RGB and self.samples == 4 and not self.extra:
            # A fourth sample that nobody explains is alpha, and what it hides is often black.
            self.extra = (UNASSOCIATED_ALPHA,)
        self.bits = int(plane.bits)
        self.jpeg = int(plane.compression) in (_JPEG, *_JPEG2000)
        self.palette = _palette(plane) if self.photometric == PALETTE else None
        notes = []
        if plane.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)) and not (
            self.photometric == PALETTE and plane.dtype == np.dtype(bool)
        ):
            raise SlideError(
                f"{name}: holds colours of type {plane.dtype}; export it with 8 bits per channel."
            )
        if self.bits > 8 and self.photometric != PALETTE:
            notes.append("colours_scaled_to_8_bit")
        if self.photometric in (SEPARATED, CIELAB, PALETTE):
            word = {SEPARATED: "cmyk", CIELAB: "lab", PALETTE: "palette"}[self.photometric]
            notes.append(f"{word}_converted_to_rgb")
        if self.alpha is not None:
            notes.append("alpha_over_white")
        self.notes = tuple(notes)

    @property
    def colours(self) -> int:
        """Number of samples before the extra ones."""
        return {PALETTE: 1, SEPARATED: 4}.get(self.photometric, 3)

    @property
    def alpha(self) -> int | None:
        """Index of the alpha sample, or None."""
        for index, kind in enumerate(self.extra[: max(0, self.samples - self.colours)]):
            if kind in (ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA):
                return self.colours + index
        return None

    def convert(self, stored: Array) -> Array:
        """Return uint8 (Y, X, 3) for stored samples (Y, X, S)."""
        if stored.shape[2] < self.colours:
            raise SlideError(
                f"{self._name}: has {stored.shape[2]} samples where its colours need "
                f"{self.colours}; export it as RGB."
            )
        if self.palette is not None:
            rgb = self.palette[np.minimum(stored[..., 0], len(self.palette) - 1).astype(np.intp)]
        else:
            rgb = to_rgb(
                _eight_bit(stored[..., : self.colours], self.bits), self.photometric, self.jpeg
            )
        if self.alpha is None:
            return np.ascontiguousarray(rgb)
        return over_white(
            rgb,
            _eight_bit(stored[..., self.alpha], self.bits),
            premultiplied=ASSOCIATED_ALPHA in self.extra,
        )


def to_rgb(samples: Array, photometric: int, is_jpeg: bool) -> Array:
    """Convert 8-bit samples of a TIFF colour space to RGB.

    Parameters
    ----------
    samples : uint8 (Y, X, S)
        RGB, YCbCr, CMYK or CIE L*a*b* (a and b as signed bytes).
    photometric : int
        The tag PhotometricInterpretation.
    is_jpeg : bool
        Whether the samples came out of a JPEG decoder, which resolves YCbCr itself.

    Returns
    -------
    uint8 (Y, X, 3)

    References
    ----------
    TIFF Revision 6.0 (Adobe 1992), sections 16, 21 and 23; YCbCr by ITU-R BT.601.

    Examples
    --------
    >>> to_rgb(np.array([[[0, 255, 255, 0]]], np.uint8), SEPARATED, False)
    array([[[255,   0,   0]]], dtype=uint8)
    """
    if photometric == SEPARATED:
        ink = 255 - samples[..., :4].astype(np.uint16)
        from_ink: Array = (ink[..., :3] * ink[..., 3:] + 127) // 255
        return from_ink.astype(np.uint8)
    if photometric == YCBCR and not is_jpeg:
        y, cb, cr = (samples[..., k].astype(np.float32) for k in range(3))
        cb, cr = cb - 128, cr - 128
        rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1)
        clipped: Array = np.clip(np.rint(rgb), 0, 255)
        return clipped.astype(np.uint8)
    if photometric == CIELAB:
        from skimage.color import lab2rgb

        lab = np.empty((*samples.shape[:2], 3), np.float32)
        lab[..., 0] = samples[..., 0] * (100 / 255)
        lab[..., 1:] = samples[..., 1:3].view(np.int8)
        # Lab white is the paper: with D65, the white of sRGB, it stays white.
        unit: Array = np.clip(lab2rgb(lab, illuminant="D65"), 0, 1)
        eight_bit: Array = np.rint(unit * 255)
        return eight_bit.astype(np.uint8)
    return samples[..., :3]


def channel_values(plane: Plane, stored: Array, dtype: np.dtype[Any], name: str) -> Array:
    """Return stored samples as intensities: larger is brighter.

    Parameters
    ----------
    plane : Plane
        The page they come from.
    stored : ndarray (Y, X, S)
        As decoded.
    dtype : dtype
        Of the result.
    name : str
        Of the file, for messages.

    Returns
    -------
    ndarray (Y, X, S)
    """
    values = check_values(name, stored, dtype)
    if plane.photometric == MINISWHITE and values.dtype.kind == "u":
        values = values.dtype.type(2 ** int(plane.bits) - 1) - values
    return values


def jpeg_shape(data: bytes) -> tuple[int, int] | None:
    """Return (Y, X) as a JPEG stream claims it, or None when there is no frame header.

    Parameters
    ----------
    data : bytes
        The stream.

    Returns
    -------
    tuple of int or None

    Examples
    --------
    >>> jpeg_shape(bytes.fromhex("ffd8 ffc0 0011 08 0020 0010 03"))
    (32, 16)
    """
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return (
                int.from_bytes(data[position + 5 : position + 7], "big"),
                int.from_bytes(data[position + 7 : position + 9], "big"),
            )
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


def jpeg2000_shape(data: bytes) -> tuple[int, int] | None:
    """Return (Y, X) as a JPEG 2000 stream claims it, or None when there is no size marker.

    Parameters
    ----------
    data : bytes
        A codestream, bare or in a JP2 box.

    Returns
    -------
    tuple of int or None
    """
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(data) < start + 24:
        return None
    sizes = [int.from_bytes(data[start + 8 + 4 * k : start + 12 + 4 * k], "big") for k in range(4)]
    width, height, left, top = sizes
    return max(height - top, 0), max(width - left, 0)


def _palette(plane: Plane) -> Array:
    """Return the palette as uint8 (N, 3)."""
    colormap = plane.colormap
    if colormap is None:
        raise SlideError(f"{plane.name}: has a palette image without palette; export it as RGB.")
    table = np.asarray(colormap)
    # The tag holds 16-bit colours; some writers put 8-bit ones there.
    return (table >> 8 if table.max(initial=0) > 255 else table).astype(np.uint8).T


def _eight_bit(samples: Array, bits: int) -> Array:
    """Scale unsigned samples of a bit depth to 8 bits."""
    if bits == 8:
        return samples
    peak = 2**bits - 1
    scaled: Array = (samples.astype(np.uint32) * 255 + peak // 2) // peak
    return scaled.astype(np.uint8)


def _reason(error: BaseException) -> str:
    """Return the first line of a decoder's complaint."""
    text = str(error).strip().splitlines()
    return text[0][:120] if text and text[0] else type(error).__name__
