"""Opening a slide: from a path to the reader that fits its content."""

from __future__ import annotations

import math
import os
from pathlib import Path

from histo.errors import SlideError
from histo.slide.picture import JPEG_MAGIC, PNG_MAGIC, PictureSource
from histo.slide.pixel_size import PLAUSIBLE_UM, PixelSize
from histo.slide.slide import Slide
from histo.slide.source import Source

__all__ = ["open_slide"]

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

#: Stated and given pixel sizes further apart than this are not the same, rounded.
_ROUNDING = 0.02

_FORMATS = "TIFF, OME-TIFF, SVS, NDPI, QPTIFF, SCN, MRXS, VMS, BIF, DICOM, OME-Zarr, PNG or JPEG"


def open_slide(path: str | os.PathLike[str], *, pixel_size_um: float | None = None) -> Slide:
    """Open a slide.

    Parameters
    ----------
    path : path-like
        A file, or the folder of an OME-Zarr image.
    pixel_size_um : float, optional
        Side of a pixel of level 0 in µm; overrides what the file states.

    Returns
    -------
    Slide
        Close it, or use it in a ``with`` block.

    Raises
    ------
    SlideError
        If the file is absent, unreadable, damaged, or no slide.
    ValueError
        If ``pixel_size_um`` is not between 0.05 and 100.

    Examples
    --------
    >>> import numpy as np, tempfile, tifffile
    >>> from histo.geometry import Region
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tifffile.imwrite(
    ...         f"{folder}/a.tif", np.full((64, 64, 3), 200, np.uint8), photometric="rgb",
    ...         resolution=(20000, 20000), resolutionunit="CENTIMETER")
    ...     with open_slide(f"{folder}/a.tif") as slide:
    ...         print(slide.pixel_size, slide.read(Region(0, 0, 8, 8), 1.0).shape)
    PixelSize(y_um=0.5, x_um=0.5, source='TIFF tags') (8, 8, 3)
    """
    given = Path(path)
    if pixel_size_um is not None:
        low, high = PLAUSIBLE_UM
        if not (math.isfinite(pixel_size_um) and low <= pixel_size_um <= high):
            raise ValueError(
                f"pixel_size_um must lie between {low} and {high} µm, got {pixel_size_um!r}."
            )
    source = _open_source(given)
    pixel_size, notes = source.pixel_size, source.notes
    if pixel_size_um is not None:
        stated = pixel_size
        pixel_size = PixelSize(float(pixel_size_um), float(pixel_size_um), "user")
        about_size = ("implausible_pixel_size", "anisotropic_pixels")
        notes = tuple(note for note in notes if note not in about_size)
        if stated is not None and _differs(stated, pixel_size):
            notes = (*notes, "pixel_size_replaced")
    return Slide(given, source, pixel_size, notes)


def _differs(stated: PixelSize, given: PixelSize) -> bool:
    """Say whether two pixel sizes are further apart than scanners round them."""
    return any(
        abs(a / b - 1) > _ROUNDING
        for a, b in ((stated.y_um, given.y_um), (stated.x_um, given.x_um))
    )


def _open_source(path: Path) -> Source:
    """Choose the reader by content; the suffix decides nothing but the message."""
    try:
        is_folder = path.is_dir()
        magic = b"" if is_folder else _first_bytes(path)
    except FileNotFoundError as error:
        raise SlideError(f"{path.name}: there is no such file; check the path {path}.") from error
    except PermissionError as error:
        raise SlideError(
            f"{path.name}: may not be read; ask for permission to read {path}."
        ) from error
    except (OSError, ValueError) as error:
        raise SlideError(
            f"{path.name}: cannot be opened ({error}); check the path and the disk."
        ) from error
    if is_folder:
        return _open_folder(path)
    if magic.startswith(_TIFF_MAGIC) or path.suffix.lower() == ".vsi":
        return _open_tiff(path)
    from histo.slide.vendor import OpenSlideSource, vendor_of

    if vendor_of(path) is not None:
        return OpenSlideSource(path)
    if magic.startswith((PNG_MAGIC, JPEG_MAGIC)):
        return PictureSource(path)
    if not magic:
        raise SlideError(f"{path.name}: is empty; copy the file again.")
    if b"DICM" in magic[128:132]:
        raise SlideError(
            f"{path.name}: is DICOM but no whole-slide image that OpenSlide reads; "
            "export the slide as DICOM WSI (VL Whole Slide Microscopy) or OME-TIFF."
        )
    raise SlideError(f"{path.name}: is no slide; give {_FORMATS}.")


def _first_bytes(path: Path) -> bytes:
    if not path.exists():
        raise FileNotFoundError(path)
    if not path.is_file():
        raise OSError("it is neither a file nor a folder")
    with path.open("rb") as file:
        return file.read(132)


def _open_tiff(path: Path) -> Source:
    """Read TIFF directly, but for the makers whose layouts OpenSlide knows better."""
    from histo.slide.tiff import TiffSource
    from histo.slide.vendor import OpenSlideSource, vendor_of

    if path.suffix.lower() == ".vsi":
        raise SlideError(
            f"{path.name}: VSI keeps its pixels in .ets files that are not read here; "
            "export the slide as OME-TIFF."
        )
    if vendor_of(path) is None:
        return TiffSource(path)
    try:
        return OpenSlideSource(path)
    except SlideError as refused:
        # Fluorescence scans of some makers are TIFF that OpenSlide leaves out.
        try:
            return TiffSource(path)
        except SlideError:
            raise refused from None


def _open_folder(path: Path) -> Source:
    from histo.slide.omezarr import ZarrSource, is_zarr

    if is_zarr(path):
        return ZarrSource(path)
    raise SlideError(f"{path.name}: is a folder and no OME-Zarr image; give a file in it.")
