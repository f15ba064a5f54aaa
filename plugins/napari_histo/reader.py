"""Open slides and result folders as layers, all in µm from the slide's top left corner."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["get_reader", "read_result", "read_slide"]

LayerData = tuple[Any, dict[str, Any], str]
Paths = str | Sequence[str]

_COLOURS = ("bop blue", "yellow", "magenta", "cyan", "gray")
_POINT_SIZE_UM = 4.0
# napari maps labels to given colours up to this number without further packages; larger slides
# keep its own colours.
_MOST_COLOURED = 65_000


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """Tell napari how to open a path, or that it is none of ours.

    Parameters
    ----------
    path : str or sequence of str
        A slide, an OME-Zarr folder, or the result folder of a slide.

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
    return _read_slide_of if place.is_file() else None


def _is_zarr2(place: Path) -> bool:
    return (place / ".zattrs").is_file() or (place / ".zgroup").is_file()


def _read_result_of(path: Paths) -> list[LayerData]:
    return read_result(path if isinstance(path, str) else path[0])


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
        "metadata": {"histo": {"slide": slide.name, "pixel_size_um": size if known else None}},
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
        ``nuclei`` (multiscale labels), ``negative cells`` (hidden) and ``positive cells``.
        The points carry the cell table's columns as features.

    Raises
    ------
    histo.errors.ResultError
        If the folder is not a result of histo.
    """
    from histo.results import open_labels, read_slide_result

    folder = Path(folder)
    result = read_slide_result(folder)
    layers: list[LayerData] = []
    pyramid = folder / "nuclei.ome.zarr"
    if pyramid.is_dir():
        settings = {
            **_placed(_label_pixel_size(pyramid), "micrometer"),
            "name": f"{folder.name} nuclei",
            "opacity": 0.4,
        }
        largest = int(result.cells["cell_id"].max()) if len(result.cells) else 0
        if largest <= _MOST_COLOURED:
            settings["colormap"] = _call_colours(result.cells)
        layers.append((open_labels(pyramid), settings, "labels"))
    return layers + _points(folder.name, result.cells)


def _call_colours(cells: Any) -> Any:
    """Colour each nucleus by its call; labels without a row in the table stay unseen."""
    from napari.utils.colormaps import DirectLabelColormap

    from histo.results import call_classes

    codes, classes = call_classes(cells)
    colours = [np.array([*one.rgb, 255]) / 255 for one in classes]
    by_id = {
        cell_id: colours[code]
        for cell_id, code in zip(cells["cell_id"].tolist(), codes.tolist(), strict=True)
    }
    return DirectLabelColormap(color_dict={None: np.zeros(4), 0: np.zeros(4), **by_id})


def _points(name: str, cells: Any) -> list[LayerData]:
    from histo.results import call_classes

    codes, classes = call_classes(cells)
    words = np.array([one.label for one in classes] or [""], dtype=object)
    colours = np.array([[*one.rgb, 255] for one in classes] or [[0] * 4]) / 255
    quiet = np.isin(words, ["Negative", "Excluded"])[codes]
    layers: list[LayerData] = []
    for title, chosen, visible in (
        ("negative cells", quiet, False),
        ("positive cells" if quiet.any() or len(classes) > 1 else "cells", ~quiet, True),
    ):
        if not chosen.any():
            continue
        part = cells[chosen]
        settings = {
            "name": f"{name} {title}",
            "features": part.assign(call=words[codes[chosen]]).reset_index(drop=True),
            "face_color": colours[codes[chosen]],
            "border_color": "black",
            "border_width": 0.08,
            "size": _POINT_SIZE_UM,
            "units": ("micrometer", "micrometer"),
            "visible": visible,
            "metadata": {"histo": {"result": name}},
        }
        layers.append((part[["y_um", "x_um"]].to_numpy(), settings, "points"))
    return layers


def _placed(pixel_size_um: float, unit: str) -> dict[str, Any]:
    """Put the corner of pixel (0, 0) at the origin; napari places its centre."""
    return {
        "scale": (pixel_size_um, pixel_size_um),
        "translate": (pixel_size_um / 2, pixel_size_um / 2),
        "units": (unit, unit),
    }


def _label_pixel_size(pyramid: Path) -> float:
    import zarr

    metadata: Any = zarr.open_group(str(pyramid), mode="r").attrs["ome"]
    transforms = metadata["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    return float(transforms[0]["scale"][0])


def _contrast(image: npt.NDArray[Any]) -> tuple[float, float]:
    low, high = np.percentile(image, (1, 99.8))
    return float(low), float(max(high, low + 1e-6))
