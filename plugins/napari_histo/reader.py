"""Open slides and result folders as layers, all in µm from the slide's top left corner."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    pass

__all__ = ["get_reader", "read_result", "read_slide"]

LayerData = tuple[Any, dict[str, Any], str]
Paths = str | Sequence[str]

_COLOURS = ("bop blue", "yellow", "magenta", "cyan", "gray")


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """Tell napari how to open a path, or that it is none of ours.

    Parameters
    ----------
    path : str or sequence of str
        A slide, an OME-Zarr folder, the result folder of a slide, or GeoJSON of QuPath.

    Returns
    -------
    callable or None
        What reads it into layers.

    Examples
    --------
    >>> get_reader("/nowhere") is None
    True
    """
    if not isinstance(path, str):
        return get_reader(path[0]) if len(path) == 1 else None
    place = Path(path)
    if (place / "manifest.json").is_file() and (place / "cells.parquet").is_file():
        return _read_result_of
    if place.is_dir():
        return _read_slide_of if (place / "zarr.json").is_file() or _is_zarr2(place) else None
    if not place.is_file():
        return None
    if place.name.lower().endswith((".json", ".geojson", ".gz")):
        from napari_histo.geojson import is_geojson

        return _read_geojson_of if is_geojson(place) else None
    return _read_slide_of


def _is_zarr2(place: Path) -> bool:
    return (place / ".zattrs").is_file() or (place / ".zgroup").is_file()


def _read_result_of(path: Paths) -> list[LayerData]:
    return read_result(path if isinstance(path, str) else path[0])


def _read_geojson_of(path: Paths) -> list[LayerData]:
    from napari_histo.geojson import read_geojson

    return read_geojson(path if isinstance(path, str) else path[0])


def _read_slide_of(path: Paths) -> list[LayerData]:
    return read_slide(path if isinstance(path, str) else path[0])


def read_slide(path: str | Path, *, pixel_size_um: float | None = None) -> list[LayerData]:
    """Open a slide lazily: one RGB layer, or one layer a channel.

    Parameters
    ----------
    path : path
    pixel_size_um : float, optional
        Overrides the pixel size that the file states, in micrometres.

    Returns
    -------
    list of layer data tuples
        Multiscale image layers. A slide without a pixel size is shown in pixels.

    Raises
    ------
    histo.errors.SlideError
        If it is not a slide that histo reads.
    """
    from histo.slide import open_slide
    from napari_histo.pyramid import slide_levels

    slide = open_slide(path, pixel_size_um=pixel_size_um)
    known = slide.pixel_size is not None
    if not known:
        slide.close()
        warnings.warn(
            f"{Path(path).name}: the file states no pixel size, so it is shown in pixels.",
            stacklevel=2,
        )
        slide = open_slide(path, pixel_size_um=1.0)
    size = slide.pixel_size_um
    common: dict[str, Any] = {
        **_placed(size, "micrometer" if known else "pixel"),
        "multiscale": True,
        "metadata": {
            "histo": {
                "slide": slide.name,
                "path": str(Path(path).absolute()),
                "pixel_size_um": size if known else None,
                "pixel_size_yx_um": slide.pixel_size_yx_um if known else None,
            }
        },
    }
    if slide.kind == "brightfield":
        (levels,) = slide_levels(slide, size)
        return [(levels, {**common, "name": slide.name, "rgb": True}, "image")]
    layers: list[LayerData] = []
    pyramids = slide_levels(slide, size, channels=range(len(slide.channel_names)))
    for index, (channel, levels) in enumerate(zip(slide.channel_names, pyramids, strict=True)):
        settings = {
            **common,
            "name": f"{slide.name} {channel}",
            "colormap": _COLOURS[min(index, len(_COLOURS) - 1)],
            "blending": "additive",
            "contrast_limits": _contrast(np.asarray(levels[-1])),
        }
        layers.append((levels, settings, "image"))
    return layers


def read_result(folder: str | Path) -> list[LayerData]:
    """Open a slide's result: nuclei as labels, cells as points in the colour of their call.

    Parameters
    ----------
    folder : path
        The result folder of one slide.

    Returns
    -------
    list of layer data tuples
        ``nuclei`` (multiscale labels) and ``positive cells``, points that carry the cell
        table's columns as features; see :mod:`napari_histo.layers`.

    Raises
    ------
    histo.errors.ResultError
        If the folder is not a result of histo.
    """
    from histo.results import read_slide_result
    from napari_histo.layers import folder_layers

    folder = Path(folder)
    return folder_layers(folder, read_slide_result(folder).cells)


def _placed(pixel_size_um: float, unit: str) -> dict[str, Any]:
    """Put the corner of pixel (0, 0) at the origin; napari places its centre."""
    return {
        "scale": (pixel_size_um, pixel_size_um),
        "translate": (pixel_size_um / 2, pixel_size_um / 2),
        "units": (unit, unit),
    }


def _contrast(image: npt.NDArray[Any]) -> tuple[float, float]:
    low, high = np.percentile(image, (1, 99.8))
    return float(low), float(max(high, low + 1e-6))
