"""Which pages of a TIFF are the slide: its levels, channels and their names."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from histo.errors import SlideError
from histo.slide.pixel_size import PixelSize, from_lengths, from_resolution

__all__ = ["Layout", "check_pages", "lay_out"]

#: Names that makers give to series that show the glass, the label or an overview.
_NOT_THE_SLIDE = ("label", "macro", "map", "thumbnail", "overview")

#: Pages of one size without any description are channels up to here, a stack above.
_MAX_UNNAMED_CHANNELS = 16

_MAX_PAGES = 20_000
_MAX_PLANES = 1_000_000


@dataclass(frozen=True, slots=True)
class Layout:
    """The pages of a slide.

    Parameters
    ----------
    levels : tuple of tuple
        For each level its pages, one a channel; a single page with colour samples else.
    names : tuple of str
        Channel names as stated; shorter than the channels when some are not.
    pixel_size : PixelSize or None
        As stated, unchecked.
    density : bool
        Whether the pixel size comes from resolution tags alone.
    microscopy : bool
        Whether a palette is only a display colour: OME-TIFF and ImageJ files.
    notes : tuple of str
        Doubts.
    """

    levels: tuple[tuple[Any, ...], ...]
    names: tuple[str, ...]
    pixel_size: PixelSize | None
    density: bool
    microscopy: bool
    notes: tuple[str, ...]


def check_pages(path: Path) -> None:
    """Walk the chain of pages, refusing one that has no end or no pages.

    Parameters
    ----------
    path : Path
        A classic TIFF or BigTIFF.

    Raises
    ------
    SlideError
        If the chain is longer than any slide's, runs in a circle, or has no first page.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(16)
        order = "little" if header[:2] == b"II" else "big"

        def number(data: bytes) -> int:
            return int.from_bytes(data, order)  # type: ignore[arg-type]

        big = number(header[2:4]) == 43
        count_bytes, entry_bytes, offset_bytes = (8, 20, 8) if big else (2, 12, 4)
        offset = number(header[8:16] if big else header[4:8])
        seen: set[int] = set()
        while 0 < offset < size and len(seen) <= _MAX_PAGES:
            if offset in seen:
                raise SlideError(
                    f"{path.name}: its list of pages runs in a circle; export the slide again."
                )
            file.seek(offset)
            entries = file.read(count_bytes)
            if len(entries) < count_bytes:
                break
            seen.add(offset)
            file.seek(min(number(entries), 2**16) * entry_bytes, 1)
            offset = number(file.read(offset_bytes))
    if not seen:
        raise SlideError(f"{path.name}: is cut off before its first page; copy the file again.")
    if len(seen) > _MAX_PAGES:
        raise SlideError(
            f"{path.name}: lists more than {_MAX_PAGES} pages; export the slide as one pyramid."
        )


def lay_out(tif: Any, name: str) -> Layout:
    """Find the slide among the pages of an open TIFF.

    Parameters
    ----------
    tif : tifffile.TiffFile
        The open file.
    name : str
        Of the file, for messages.

    Returns
    -------
    Layout

    Raises
    ------
    SlideError
        If there is no image, or the channels lie in files that are absent.
    """
    ome = _ome_tree(tif, name)
    candidates = [
        (index, series)
        for index, series in enumerate(tif.series)
        if "Y" in series.axes and "X" in series.axes and not _is_beside(series)
    ]
    if not candidates:
        raise SlideError(f"{name}: holds no image; export the slide again.")
    if tif.series[0].kind in ("svs", "qpi", "ndpi"):
        index, series = candidates[0]
    else:
        index, series = max(candidates, key=lambda pair: (_area(pair[1]), -pair[0]))
    levels = list(series.levels)
    if series.kind in ("generic", "shaped"):
        others = [other for _, other in candidates if other is not series]
        levels = sorted(levels + _plain_pyramid(series, others), key=_area, reverse=True)
    channels, notes = _channel_indices(series)
    picked = []
    for level in levels:
        pages = _pages(level, channels, name)
        if pages is not None:
            picked.append(pages)
    if not picked:
        raise SlideError(
            f"{name}: its pixels lie in other files that are not there; export it as one file."
        )
    size, density = _pixel_size(tif, series, ome, index)
    return Layout(
        levels=tuple(picked),
        names=_channel_names(tif, series, ome, (index, picked[0])),
        pixel_size=size,
        density=density,
        microscopy=series.kind in ("ome", "imagej"),
        notes=notes,
    )


def _is_beside(series: Any) -> bool:
    """Whether a series is a picture beside the slide: its name, or a mask (subfile type 4)."""
    word = (series.name or "").strip().lower()
    if series.kind != "ome":
        return word.startswith(_NOT_THE_SLIDE) or int(series.keyframe.subfiletype) & 4 != 0
    return any(re.search(rf"\b{part}\b", word) for part in _NOT_THE_SLIDE)


def _area(series: Any) -> int:
    return int(series.shape[series.axes.index("Y")]) * int(series.shape[series.axes.index("X")])


def _plain_pyramid(series: Any, others: list[Any]) -> list[Any]:
    """Return series that are whole reductions of the main one; tifffile joins only some."""
    height, width = series.keyframe.imagelength, series.keyframe.imagewidth
    found = []
    for other in others:
        frame = other.keyframe
        same_kind = (
            other.axes == series.axes
            and other.dtype == series.dtype
            and frame.photometric == series.keyframe.photometric
            and frame.samplesperpixel == series.keyframe.samplesperpixel
            and len(other.pages) == len(series.pages)
        )
        factor = round(height / frame.imagelength) if frame.imagelength else 0
        if not same_kind or factor < 2 or min(frame.imagelength, frame.imagewidth) < 2:
            continue
        fits = abs(frame.imagelength - height / factor) < 1 and (
            abs(frame.imagewidth - width / factor) < 1
        )
        if fits:
            found.append(other)
    return found


def _channel_indices(series: Any) -> tuple[list[int] | None, tuple[str, ...]]:
    """Linear indices of the pages that are channels; None for a single page; and notes."""
    page_dims = len(series.keyframe.shape)
    axes, shape = series.axes[:-page_dims], series.shape[:-page_dims]
    # Pages may lack axes of length 1 that the series has, and the other way round.
    if math.prod(shape) <= 1:
        return [0], ()
    notes = []
    channel_axis = axes.find("C")
    if channel_axis < 0 and "S" not in series.keyframe.axes:
        for position, letter in enumerate(axes):
            unknown = letter in "IQ" and 1 < shape[position] <= _MAX_UNNAMED_CHANNELS
            if unknown and series.keyframe.bitspersample > 1:
                channel_axis = position
                notes.append("pages_read_as_channels")
                break
    if any(size > 1 for position, size in enumerate(shape) if position != channel_axis):
        notes.append("first_plane_of_stack")
    if channel_axis < 0:
        return [0], tuple(notes)
    stride = math.prod(shape[channel_axis + 1 :])
    return [channel * stride for channel in range(shape[channel_axis])], tuple(notes)


def _pages(level: Any, channels: list[int] | None, name: str) -> tuple[Any, ...] | None:
    """Pick the pages of a level; None when the level lacks one."""
    pages = list(level.pages)
    needed = channels or [0]
    if len(pages) == 1 and max(needed) > 0:
        raise SlideError(
            f"{name}: holds several planes in one page; save it again as OME-TIFF, a plane a page."
        )
    if max(needed) >= len(pages):
        return None
    picked = tuple(pages[index] for index in needed)
    return None if any(page is None for page in picked) else picked


def _ome_tree(tif: Any, name: str) -> ElementTree.Element | None:
    """Parse OME-XML, refusing sizes that would exhaust memory further on."""
    text = tif.ome_metadata if tif.is_ome else None
    if not text:
        return None
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise SlideError(f"{name}: its OME-XML declares entities; export the slide again.")
    root = ElementTree.fromstring(text)
    for pixels in root.iter():
        if pixels.tag.rpartition("}")[2] == "Pixels":
            planes = math.prod(int(pixels.get(f"Size{axis}", "1")) for axis in "CZT")
            if not 0 < planes <= _MAX_PLANES:
                raise SlideError(
                    f"{name}: its OME-XML claims {planes} planes; export the slide again."
                )
    return root


def _ome_pixels(ome: ElementTree.Element | None, index: int) -> ElementTree.Element | None:
    """Return the Pixels element of the image with an index."""
    if ome is None:
        return None
    found = [node for node in ome.iter() if node.tag.rpartition("}")[2] == "Pixels"]
    return found[index] if index < len(found) else None


def _pixel_size(
    tif: Any, series: Any, ome: ElementTree.Element | None, index: int
) -> tuple[PixelSize | None, bool]:
    """Find the pixel size where this kind of file states it; and whether in density tags only."""
    pixels = _ome_pixels(ome, index)
    if pixels is not None:
        found = from_lengths(
            pixels.get("PhysicalSizeY"),
            pixels.get("PhysicalSizeX"),
            y_unit=pixels.get("PhysicalSizeYUnit", "µm"),
            x_unit=pixels.get("PhysicalSizeXUnit", "µm"),
            source="OME-XML",
        )
        if found is not None:
            return found, False
    frame = series.keyframe
    if series.kind == "svs":
        match = re.search(r"\bMPP\s*=\s*([0-9.,eE+-]+)", frame.description or "")
        side = match.group(1).replace(",", ".") if match else None
        return from_lengths(side, side, y_unit="um", x_unit="um", source="SVS header"), False
    x, y, unit = (frame.tags.valueof(code) for code in (282, 283, 296))
    if series.kind == "imagej":
        stated = str((tif.imagej_metadata or {}).get("unit", ""))
        return from_resolution(y, x, stated, "ImageJ"), True
    word = {2: "inch", 3: "cm"}.get(int(unit)) if isinstance(unit, int) else None
    source = "QPTIFF" if series.kind == "qpi" else "TIFF tags"
    return from_resolution(y, x, word, source), series.kind not in ("qpi", "ndpi")


def _channel_names(
    tif: Any,
    series: Any,
    ome: ElementTree.Element | None,
    where: tuple[int, tuple[Any, ...]],
) -> tuple[str, ...]:
    """Return the channel names as far as the file states them; empty text where it does not."""
    index, pages = where
    pixels = _ome_pixels(ome, index)
    if pixels is not None:
        nodes = [node for node in pixels if node.tag.rpartition("}")[2] == "Channel"]
        return tuple(node.get("Name") or node.get("Fluor") or "" for node in nodes)
    if series.kind == "qpi":
        return tuple(_qptiff_name(getattr(page, "description", "")) for page in pages)
    if series.kind == "imagej":
        labels = (tif.imagej_metadata or {}).get("Labels")
        if isinstance(labels, list) and len(labels) == len(pages):
            return tuple(str(label) for label in labels)
    return ()


def _qptiff_name(description: str) -> str:
    """Return the marker, or else the filter, that a QPTIFF page's description names."""
    for tag in ("Biomarker", "Name"):
        match = re.search(rf"<{tag}>([^<]*)</{tag}>", description or "")
        if match and match.group(1).strip():
            return match.group(1).strip()
    return ""
