"""What a run leaves in a result folder, beside its tables, and where its pixels lie."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from zipfile import BadZipFile

from histo.errors import ResultError

__all__ = [
    "COMPARTMENT_FILES",
    "COMPARTMENT_PICTURE",
    "FOUND",
    "LABELS",
    "LUNG_FILES",
    "OUTLINES",
    "VIEWS",
    "WINDOW",
    "level0_um",
    "reading",
]

LABELS, OUTLINES, VIEWS = "nuclei.ome.zarr", "outlines.parquet", "views.npz"

WINDOW = "window.npz"
"""Where cells can be: valid tissue, as far out as cells are counted."""

COMPARTMENT_FILES = ("compartments.npz", "compartments.json", "regions.geojson")
"""What a division into compartments adds: masks, areas, annotations for QuPath."""

COMPARTMENT_PICTURE = "compartments.png"

LUNG_FILES = ("lung.json", "foci.csv", "regions.geojson", "lung.png", "lung_maps.npz")
"""What a panel for lungs adds: areas, foci, annotations for QuPath, a picture, and its maps."""

FOUND = "found"
"""Where an edited result keeps the cells and areas as the machine found them."""


def level0_um(slide: Mapping[str, Any]) -> tuple[float, float]:
    """Return the pixel size (y, x) of level 0 in µm.

    Parameters
    ----------
    slide : mapping
        ``slide`` of the manifest.

    Returns
    -------
    tuple of 2 float

    Examples
    --------
    >>> level0_um({"pixel_size_um": 0.5, "pixel_size_y_um": None, "pixel_size_x_um": None})
    (0.5, 0.5)
    """
    mean = slide["pixel_size_um"]
    return (
        float(slide.get("pixel_size_y_um") or mean),
        float(slide.get("pixel_size_x_um") or mean),
    )


@contextmanager
def reading(name: str, what: str) -> Iterator[None]:
    """Turn what a damaged file of a result raises into a sentence.

    Parameters
    ----------
    name : str
        Of the result.
    what : str
        What is wrong, as the sentence goes on.

    Raises
    ------
    ResultError

    Examples
    --------
    >>> with reading("section 7", "its window is damaged"):
    ...     float("nothing")
    Traceback (most recent call last):
    ...
    histo.errors.ResultError: section 7: its window is damaged (ValueError); run the slide ...
    """
    try:
        yield
    except (OSError, KeyError, ValueError, TypeError, BadZipFile, EOFError, zlib.error) as error:
        raise ResultError(
            f"{name}: {what} ({type(error).__name__}); run the slide again with --force."
        ) from error
