"""The regions of a result as layers: compartments as labels, what was found in a lung as shapes."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from histo.errors import ResultError

__all__ = ["compartment_layer", "is_of_regions", "lung_layer", "region_layers"]

LayerData = tuple[Any, dict[str, Any], str]

#: What the metadata of these layers say that they show; see `Session.shapes_um`.
COMPARTMENTS, LUNG = "compartments", "lung"

_OPACITY = 0.25
#: Outlines are as thick as this part of what they go around, to be seen from afar.
_EDGE, _LEAST_EDGE_UM = 1 / 500, 3.0
_SMALLEST_LEVEL_PX = 512
#: Outlines follow the sides of pixels; corners closer to a line than this are left out.
_SMOOTH_PX = 0.75
#: More outlines than this slow the window down: the largest are shown.
_SHOWN_OUTLINES = 250


def is_of_regions(layer: Any) -> bool:
    """Tell whether a layer of a result shows its regions, not its cells."""
    return layer.metadata.get("histo", {}).get("drawn") in (COMPARTMENTS, LUNG)


def region_layers(folder: Path) -> list[LayerData]:
    """Return what a result knows of regions; nothing for most results.

    Parameters
    ----------
    folder : Path
        The result folder of one slide.

    Returns
    -------
    list of layer data tuples

    Raises
    ------
    histo.errors.ResultError
        If its files are damaged.
    """
    layers = []
    try:
        if (folder / "compartments.json").is_file():
            layers.append(compartment_layer(folder))
        if (folder / "lung.json").is_file() and (folder / "regions.geojson").is_file():
            layers.append(lung_layer(folder))
    except (OSError, KeyError, ValueError, TypeError, BadZipFile, EOFError, zlib.error) as error:
        raise ResultError(
            f"{folder.name}: its regions are damaged ({type(error).__name__}); run the slide again "
            "with --force."
        ) from error
    return layers


def compartment_layer(folder: Path) -> LayerData:
    """Return the compartments as labels: 0 where no cell counts, else 1 + the class's position.

    Parameters
    ----------
    folder : Path
        Holds ``compartments.json`` and ``compartments.npz``.
    """
    import pandas as pd

    about = json.loads((folder / "compartments.json").read_text(encoding="utf-8"))
    classes, um = [str(name) for name in about["classes"]], float(about["pixel_size_um"])
    # Only the codes: the shares of valid tissue are larger by far.
    with (folder / "compartments.npz").open("rb") as stream, np.load(stream) as stored:
        codes: npt.NDArray[np.uint8] = stored["codes"]
    levels = [codes, codes[::2, ::2]]
    while min(levels[-1].shape) > _SMALLEST_LEVEL_PX:
        levels.append(levels[-1][::2, ::2])
    settings = {
        "scale": (um, um),
        "translate": (um / 2, um / 2),
        "units": ("micrometer", "micrometer"),
        "name": f"{folder.name} compartments",
        "opacity": _OPACITY,
        "multiscale": True,
        "colormap": _colours(classes),
        # What the status bar says of a pixel.
        "features": pd.DataFrame({"index": range(len(classes) + 1), "compartment": ["", *classes]}),
        "metadata": _facts(folder, COMPARTMENTS),
    }
    return levels, settings, "labels"


def _colours(classes: list[str]) -> Any:
    from napari.utils.colormaps import CyclicLabelColormap

    from histo.results.annotations import class_colour

    # One for each of the codes, so that nothing repeats; see `layers.colours_of`.
    colours = np.zeros((256, 4), np.float32)
    for code, name in enumerate(classes, start=1):
        colours[code] = np.array([*class_colour(name), 255]) / 255
    return CyclicLabelColormap(name="compartments", colors=colours, background_value=0)


def lung_layer(folder: Path) -> LayerData:
    """Return lung, tubes and foci as outlines, the foci with their numbers.

    Parameters
    ----------
    folder : Path
        Holds ``regions.geojson`` in pixels of level 0, and ``manifest.json``.
    """
    import pandas as pd

    from histo.pipeline.files import level0_um

    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    scale = np.array(level0_um(manifest["slide"]))
    coarse = float((manifest.get("analysis") or {}).get("survey_pixel_size_um") or scale.mean())
    found = _outlines(folder / "regions.geojson", scale, _SMOOTH_PX * coarse)
    rings = [ring for ring, _, _ in found]
    names = [name for _, name, _ in found]
    edges = np.array([[*_colour(name), 255] for name in names]).reshape(-1, 4) / 255
    settings = {
        "shape_type": "path",
        "ndim": 2,
        "units": ("micrometer", "micrometer"),
        "name": f"{folder.name} regions",
        "opacity": 1.0,
        "face_color": "transparent",
        "edge_width": max(_LEAST_EDGE_UM, _EDGE * max(map(_extent, rings), default=0.0)),
        "features": pd.DataFrame({"class": names, "focus": [label for _, _, label in found]}),
        "text": {"string": "{focus}", "color": "#000000", "size": 14, "anchor": "center"},
        "metadata": _facts(folder, LUNG),
    }
    if rings:
        settings["edge_color"] = edges
    return rings, settings, "shapes"


def _colour(name: str) -> tuple[int, int, int]:
    from histo.results.annotations import class_colour

    return class_colour(name)


def _outlines(
    path: Path, scale: npt.NDArray[np.float64], smooth_um: float
) -> list[tuple[npt.NDArray[np.float64], str, str]]:
    """Return closed rings (y, x) in µm with class and the focus's number, largest first."""
    found = []
    content = json.loads(path.read_text(encoding="utf-8"))
    for feature in content["features"]:
        properties, geometry = feature["properties"], feature["geometry"]
        name = str(properties["classification"]["name"])
        label = str(properties.get("name", "")).removeprefix("Focus ")
        parts = geometry["coordinates"]
        polygons = parts if geometry["type"] == "MultiPolygon" else [parts]
        rings = [np.array(ring, np.float64)[:-1, ::-1] * scale for one in polygons for ring in one]
        rings.sort(key=_extent, reverse=True)
        found += [(ring, name, "" if number else label) for number, ring in enumerate(rings)]
    # Foci are never left out.
    found.sort(key=lambda one: (bool(one[2]), _extent(one[0])), reverse=True)
    return [(_smoothed(ring, smooth_um), *words) for ring, *words in found[:_SHOWN_OUTLINES]]


def _extent(ring: npt.NDArray[np.float64]) -> float:
    (height, width) = ring.max(axis=0) - ring.min(axis=0)
    return float(height + width)


def _smoothed(ring: npt.NDArray[np.float64], within_um: float) -> npt.NDArray[np.float64]:
    """Leave out corners that hardly matter, and close the ring."""
    import cv2

    corners = cv2.approxPolyDP(ring.astype(np.float32)[:, None], within_um, True)[:, 0]
    corners = corners if len(corners) > 2 else ring
    return np.concatenate([corners, corners[:1]]).astype(np.float64)


def _facts(folder: Path, shows: str) -> dict[str, Any]:
    return {"histo": {"result": folder.name, "folder": str(folder), "drawn": shows}}
