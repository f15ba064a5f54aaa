"""OME-Zarr multiscale images, NGFF versions 0.4 and 0.5."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from histo.errors import SlideError
from histo.slide.pixel_size import PixelSize, believe, from_lengths
from histo.slide.source import (
    DAMAGE,
    MAX_CHUNK_BYTES,
    ChunkKey,
    SourceLevel,
    check_size,
    check_values,
    is_bright,
    native_dtype,
)
from histo.slide.tiff import name_channels

__all__ = ["ZarrSource", "is_zarr"]

Array = NDArray[Any]

_TILE_PX = 512
_PRIMARY_COLOURS = ("FF0000", "00FF00", "0000FF")


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr group.

    Parameters
    ----------
    path : Path
        A folder.

    Returns
    -------
    bool
    """
    return (path / ".zgroup").is_file() or (path / "zarr.json").is_file()


class ZarrSource:
    """An OME-Zarr image held open.

    Parameters
    ----------
    path : Path
        The folder.

    Raises
    ------
    SlideError
        If it holds no multiscale image, or is damaged.

    References
    ----------
    Moore et al., OME-NGFF specification 0.4 and 0.5, https://ngff.openmicroscopy.org
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        try:
            self._prepare(path)
        except DAMAGE as error:
            raise self._damaged(error) from error

    def _prepare(self, path: Path) -> None:
        group, meta, notes = _image_group(zarr.open_group(path, mode="r"), self._name)
        multiscale = meta["multiscales"][0]
        arrays = [group[str(entry["path"])] for entry in multiscale["datasets"]]
        self._axes = _axes(multiscale, arrays[0].ndim, self._name)
        if any(array.ndim != len(self._axes) for array in arrays):
            raise SlideError(f"{self._name}: its levels differ in their axes; export it again.")
        y, x, c = (self._axes.find(letter) for letter in "yxc")
        shapes = [(int(array.shape[y]), int(array.shape[x])) for array in arrays]
        channels = int(arrays[0].shape[c]) if c >= 0 else 1
        for shape in shapes:
            check_size(self._name, shape, channels)
        if any(
            size > 1
            for letter, size in zip(self._axes, arrays[0].shape, strict=True)
            if letter not in "yxc"
        ):
            notes.append("first_plane_of_stack")
        self._arrays = arrays
        scales = [_scale(multiscale, entry, len(self._axes)) for entry in multiscale["datasets"]]
        self.levels = tuple(
            SourceLevel(shape, self._chunk(array, y, x), _downsample(scale, scales[0], y, x))
            for shape, array, scale in zip(shapes, arrays, scales, strict=True)
        )
        self.pixel_size, doubts = believe(_pixel_size(multiscale, scales[0], y, x))
        names, colours = _omero(meta)
        self.kind = "channels"
        self.channel_names: tuple[str, ...] = name_channels(names, channels)
        self.dtype: np.dtype[Any] = native_dtype(self._name, np.dtype(arrays[0].dtype))
        if channels == 3 and self.dtype == np.uint8 and colours in ((), _PRIMARY_COLOURS):
            # NGFF has no word for RGB.
            self._mark_brightfield(notes)
        self.notes = (*notes, *doubts)

    def read_chunks(self, level: int, keys: Sequence[ChunkKey]) -> Iterator[tuple[ChunkKey, Array]]:
        """Yield the decoded chunks; see :class:`histo.slide.source.Source`."""
        for key in keys:
            try:
                chunk = self._read(level, key)
            except DAMAGE as error:
                raise self._damaged(error) from error
            if self.kind == "brightfield" and not chunk.any():
                # A chunk that was never written reads as 0; no tissue is that black.
                chunk = np.full_like(chunk, 255)
            yield key, chunk

    def close(self) -> None:
        """Let go of the arrays."""
        self._arrays = []

    def _read(self, level: int, key: ChunkKey) -> Array:
        height, width = self.levels[level].chunk
        picks = {
            "y": slice(key[0] * height, (key[0] + 1) * height),
            "x": slice(key[1] * width, (key[1] + 1) * width),
            "c": slice(None),
        }
        stored = np.asarray(self._arrays[level][tuple(picks.get(a, 0) for a in self._axes)])
        kept = [letter for letter in self._axes if letter in picks]
        if "c" not in kept:
            stored, kept = stored[..., np.newaxis], [*kept, "c"]
        ordered = stored.transpose([kept.index(letter) for letter in "yxc"])
        return np.ascontiguousarray(check_values(self._name, ordered, self.dtype))

    def _chunk(self, array: Any, y: int, x: int) -> tuple[int, int]:
        """Whole Zarr chunks, about 512 pixels to a side."""
        stored = array.chunks
        size = math.prod(stored) * np.dtype(array.dtype).itemsize
        if size > MAX_CHUNK_BYTES:
            raise SlideError(
                f"{self._name}: one chunk holds {size / 1e9:.1f} GB; write it with smaller chunks."
            )
        height, width = (
            -(-min(_TILE_PX, array.shape[axis]) // stored[axis]) * stored[axis] for axis in (y, x)
        )
        return int(height), int(width)

    def _mark_brightfield(self, notes: list[str]) -> None:
        last = len(self.levels) - 1
        shape, chunk = self.levels[last].shape, self.levels[last].chunk
        middle = (shape[0] // 2 // chunk[0], shape[1] // 2 // chunk[1])
        if is_bright(self._read(last, middle)):
            self.kind = "brightfield"
            self.channel_names = ("red", "green", "blue")
            notes.append("three_channels_read_as_rgb")

    def _damaged(self, error: BaseException) -> SlideError:
        text = str(error).strip().splitlines()
        detail = text[0][:120] if text and text[0] else type(error).__name__
        return SlideError(
            f"{self._name}: cannot be read as OME-Zarr ({detail}); copy or export it again."
        )


def _image_group(root: Any, name: str) -> tuple[Any, dict[str, Any], list[str]]:
    """Find the first multiscale image: the root itself, or "0" where the root lists several."""
    for group, notes in ((root, []), (root.get("0"), ["first_image_of_several"])):
        if group is None or not hasattr(group, "attrs"):
            continue
        attributes = dict(group.attrs)
        meta = attributes.get("ome", attributes)
        if isinstance(meta, dict) and meta.get("multiscales"):
            several = bool(notes) and root.get("1") is not None
            return group, meta, notes if several else []
    raise SlideError(
        f"{name}: is a Zarr folder without a multiscale image; give the folder of one image."
    )


def _axes(multiscale: dict[str, Any], ndim: int, name: str) -> str:
    stated = multiscale.get("axes")
    if stated is None:
        axes = "tczyx"[-ndim:]
    else:
        axes = "".join(str(a.get("name") if isinstance(a, dict) else a)[:1].lower() for a in stated)
    if len(axes) != ndim or len(set(axes)) != ndim or not {"y", "x"} <= set(axes):
        raise SlideError(
            f"{name}: has axes that are not read here ({axes}); export it as t c z y x."
        )
    return axes


def _scale(multiscale: dict[str, Any], entry: dict[str, Any], ndim: int) -> list[float]:
    """Multiply the scales of a level and of the whole image."""
    total = [1.0] * ndim
    for holder in (entry, multiscale):
        for transform in holder.get("coordinateTransformations", ()):
            factors = transform.get("scale")
            if transform.get("type") == "scale" and isinstance(factors, list):
                total = [a * float(b) for a, b in zip(total, factors, strict=True)]
    return total


def _downsample(scale: list[float], full: list[float], y: int, x: int) -> float | None:
    ratio = math.sqrt(scale[y] / full[y] * scale[x] / full[x])
    return ratio if ratio > 1.0 else None


def _pixel_size(multiscale: dict[str, Any], scale: list[float], y: int, x: int) -> PixelSize | None:
    stated = multiscale.get("axes") or []
    units = [a.get("unit") if isinstance(a, dict) else None for a in stated] or [None] * len(scale)
    return from_lengths(scale[y], scale[x], y_unit=units[y], x_unit=units[x], source="OME-Zarr")


def _omero(meta: dict[str, Any]) -> tuple[list[str], tuple[str, ...]]:
    """Channel labels and display colours, as far as stated."""
    omero = meta.get("omero")
    channels = omero.get("channels", []) if isinstance(omero, dict) else []
    labels = [str(channel.get("label") or "") for channel in channels]
    return labels, tuple(str(channel.get("color") or "").upper() for channel in channels)
