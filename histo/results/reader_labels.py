"""Label images and masks that a person or a program made."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from histo.errors import AnnotationError
from histo.geometry import Region
from histo.metrics.shapes import LabelShapes
from histo.slide import open_slide

__all__ = ["read_label_image", "read_mask"]

Pair = tuple[float, float]


def read_label_image(path: str | Path, *, pixel_size_um: float | None = None) -> LabelShapes:
    """Read a label image: one channel in which each cell has a number, and background is 0.

    Parameters
    ----------
    path : path
        TIFF or PNG.
    pixel_size_um : float, optional
        µm per pixel, where the file states none.

    Returns
    -------
    LabelShapes

    Raises
    ------
    AnnotationError
        If it is a picture or a mask, or its pixel size is not known or stated differently.
    SlideError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile, tifffile
    >>> path = Path(tempfile.mkdtemp()) / "labels.tif"
    >>> tifffile.imwrite(path, np.array([[0, 1, 1], [0, 0, 2]], np.int32))
    >>> read_label_image(path, pixel_size_um=0.5).centres_um().tolist()
    [[0.25, 1.0], [0.75, 1.25]]
    """
    path = Path(path)
    values, size = _read(path, pixel_size_um)
    if values.shape[2] > 1:
        raise AnnotationError(
            f"{path.name}: holds {values.shape[2]} channels, a picture; a label image has one "
            "channel with a number for each cell."
        )
    labels = values[..., 0]
    if labels.dtype.kind == "f":
        whole = np.rint(labels)
        if not np.isfinite(labels).all() or (whole != labels).any() or (whole < 0).any():
            raise AnnotationError(
                f"{path.name}: holds values that number no cells (fractions or below 0); save "
                "the instance numbers as whole numbers, background 0."
            )
        labels = whole.astype(np.int64)
    shapes = LabelShapes.of(labels, size)
    if shapes.count == 1 and ndimage.label(shapes.labels)[1] > 1:
        raise AnnotationError(
            f"{path.name}: is a mask (one value, {labels.max()}, in several pieces); a label "
            "image has a number for each cell."
        )
    return shapes


def read_mask(path: str | Path, *, pixel_size_um: float | None = None) -> LabelShapes:
    """Read a mask of a region as one shape: what is not 0 is inside.

    Parameters
    ----------
    path : path
        TIFF or PNG; of several channels any counts.
    pixel_size_um : float, optional
        µm per pixel, where the file states none.

    Returns
    -------
    LabelShapes

    Raises
    ------
    AnnotationError
        If its pixel size is not known or stated differently, or nothing is inside.
    SlideError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile, tifffile
    >>> path = Path(tempfile.mkdtemp()) / "roi.tif"
    >>> tifffile.imwrite(path, np.array([[0, 255], [0, 255]], np.uint8))
    >>> read_mask(path, pixel_size_um=10).contains(np.array([[5.0, 5], [5, 15]])).tolist()
    [False, True]
    """
    path = Path(path)
    values, size = _read(path, pixel_size_um)
    inside = (values != 0).any(axis=2)
    if not inside.any():
        raise AnnotationError(f"{path.name}: is empty (all 0); a region mask is not 0 inside.")
    return LabelShapes.of(inside.astype(np.int32), size)


def _read(path: Path, pixel_size_um: float | None) -> tuple[npt.NDArray[Any], Pair]:
    """Return the pixels as stored, (Y, X, C), and the size of one (y, x) in µm."""
    with path.open("rb") as stream:
        if stream.read(3) == b"\xff\xd8\xff":
            raise AnnotationError(
                f"{path.name}: is a JPEG, which changes the numbers of labels; save it as TIFF or "
                "PNG."
            )
    with open_slide(path) as slide:
        stated = slide.pixel_size
    if stated is None and pixel_size_um is None:
        raise AnnotationError(
            f"{path.name}: states no pixel size; give it with --pixel-size (µm per pixel)."
        )
    size = (pixel_size_um or 0.0,) * 2 if stated is None else (stated.y_um, stated.x_um)
    if pixel_size_um and not math.isclose(math.sqrt(math.prod(size)), pixel_size_um, rel_tol=0.01):
        raise AnnotationError(
            f"{path.name}: states {size[0]:.4g} µm per pixel, but {pixel_size_um:.4g} was given; "
            "correct the file, or give each side its own with --pixel-size and --truth-pixel-size."
        )
    # Read at a size of one, so that no pixel is averaged with another.
    with open_slide(path, pixel_size_um=1.0) as slide:
        values = slide.read(Region(0, 0, *slide.shape), 1.0)
    return values, size
