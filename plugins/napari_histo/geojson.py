"""Cells of QuPath as layers, and layers as cells for QuPath; GeoJSON counts in pixels."""

from __future__ import annotations

import glob
import gzip
import json
import re
import shutil
import sys
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from histo.results import QuPathObjects

__all__ = ["is_geojson", "read_geojson", "write_labels_geojson", "write_points_geojson"]

LayerData = tuple[Any, dict[str, Any], str]
Pair = tuple[float, float]

_SUFFIXES = (".geojson.gz", ".geojson", ".json")
_POINT_SIZE_UM = 5.0
_POINT_SIZE_PX = 10.0
_EDGE_UM = 2.0
_GREY, _AREA = (140, 140, 140), (255, 232, 60)


def is_geojson(path: Path) -> bool:
    """Tell whether a file is GeoJSON: by its name, and a plain .json by how it begins."""
    name = path.name.lower()
    if not name.endswith(_SUFFIXES):
        return False
    if not name.endswith(".json"):
        return True
    with path.open("rb") as stream:
        start = stream.read(4096)
    return re.search(rb'"(Feature|FeatureCollection)"', start) is not None


def read_geojson(path: str | Path) -> list[LayerData]:
    """Open cells and areas that were exported from QuPath or by histo.

    Parameters
    ----------
    path : path
        Plain or gzipped.

    Returns
    -------
    list of layer data tuples
        Cells as points in the colour of their class, with their measurements; areas as shapes.
        In µm where the pixel size is known from the slide, else in pixels.

    Raises
    ------
    histo.errors.AnnotationError
        If it cannot be read.
    """
    from histo.results import read_qupath

    path = Path(path)
    found = read_qupath(path)
    size = _pixel_size(path)
    if size is None:
        warnings.warn(
            f"{path.name}: GeoJSON counts in pixels and no slide tells their size, so it is shown "
            "in pixels; open the slide first.",
            stacklevel=2,
        )
    name = _stem(path)
    common = {
        "units": ("pixel" if size is None else "micrometer",) * 2,
        "metadata": {"histo": {"cells": name, "pixel_size_yx_um": size}},
    }
    scale = np.array(size or (1.0, 1.0))
    layers: list[LayerData] = []
    if len(found.centres) or not found.regions:
        layers.append(_points(found, name, scale, common))
    if found.regions:
        layers.append(_shapes(found, name, scale, common))
    return layers


def _points(
    found: QuPathObjects, name: str, scale: npt.NDArray[np.float64], common: dict[str, Any]
) -> LayerData:
    stated = [found.colours.get(one) or _colour_of(one) for one in found.classes]
    palette = np.array([[*rgb, 255] for rgb in stated] or [[*_GREY, 255]]) / 255
    words = np.array(found.classes or [""], dtype=object)
    features = found.measurements.copy(deep=False)
    features.insert(0, "class", words[found.codes] if len(found.codes) else [])
    settings = {
        **common,
        "name": f"{name} cells",
        "features": features,
        "face_color": palette[found.codes] if len(found.codes) else "gray",
        "border_color": "black",
        "border_width": 0.08,
        "size": _POINT_SIZE_PX if common["units"][0] == "pixel" else _POINT_SIZE_UM,
    }
    return found.centres * scale, settings, "points"


def _shapes(
    found: QuPathObjects, name: str, scale: npt.NDArray[np.float64], common: dict[str, Any]
) -> LayerData:
    import pandas as pd

    edges = [found.colours.get(one.name, _AREA) for one in found.regions]
    settings = {
        **common,
        "name": f"{name} areas",
        "shape_type": "polygon",
        "features": pd.DataFrame({"name": [one.name for one in found.regions]}),
        "face_color": "transparent",
        "edge_color": np.array([[*rgb, 255] for rgb in edges]) / 255,
        "edge_width": _EDGE_UM,
    }
    return [one.ring * scale for one in found.regions], settings, "shapes"


def _colour_of(name: str) -> tuple[int, int, int]:
    """Return the colour that a class without one has in histo's pictures."""
    import pandas as pd

    from histo.results import call_classes

    grade = {"negative": 0, "1+": 1, "2+": 2, "3+": 3, "positive": 3}.get(name.casefold())
    if grade is None:
        return _GREY
    cell = pd.DataFrame({"m_positive": [grade > 0], "m_grade": [grade]})
    return call_classes(cell)[1][0].rgb


def _stem(path: Path) -> str:
    """Return the file's name without its ending; that of its folder for a result of histo."""
    if (path.parent / "manifest.json").is_file():
        return path.parent.name
    name = path.name
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _pixel_size(path: Path) -> Pair | None:
    """Return the pixel size (y, x) of the image that a file belongs to, µm."""
    if (path.parent / "manifest.json").is_file():
        slide = json.loads((path.parent / "manifest.json").read_text("utf-8")).get("slide", {})
        mean = slide.get("pixel_size_um")
        if mean:
            return slide.get("pixel_size_y_um") or mean, slide.get("pixel_size_x_um") or mean
    return _of_open_slide(_stem(path)) or _of_slide_beside(path)


def _of_open_slide(name: str | None = None) -> Pair | None:
    """Return the pixel size of the open slide of a name, else of the one opened last."""
    # Without a window there is no viewer to ask, and nothing to import.
    viewer = sys.modules["napari"].current_viewer() if "napari" in sys.modules else None
    facts = [layer.metadata.get("histo", {}) for layer in viewer.layers] if viewer else []
    slides = [one for one in facts if "path" in one and one.get("pixel_size_um")]
    named = [one for one in slides if one.get("slide") == name]
    for one in (*named, *reversed(slides)):
        size = float(one["pixel_size_um"])
        return one.get("pixel_size_yx_um") or (size, size)
    return None


def _of_slide_beside(path: Path) -> Pair | None:
    from histo.errors import SlideError
    from histo.slide import open_slide

    stem = _stem(path)
    for other in sorted(path.parent.glob(f"{glob.escape(stem)}.*")):
        if other == path or is_geojson(other):
            continue
        try:
            with open_slide(other) as slide:
                return slide.pixel_size_yx_um
        except SlideError:
            continue
    return None


def write_points_geojson(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a points layer as point detections for QuPath.

    Parameters
    ----------
    path : str
        The ``.geojson`` file.
    data : float (N, 2)
        Points (y, x), in the layer's own coordinates.
    attributes : dict
        The layer's settings. The feature ``call`` or ``class`` becomes the class, numbers
        become measurements.

    Returns
    -------
    list of str
        The file, as napari asks for.

    Raises
    ------
    histo.errors.ResultError
        If the pixel size is not known, or the file cannot be written.
    """
    from histo.results import replace_file
    from napari_histo.writer import places_of

    pixels = places_of(data, attributes) / _pixel_size_of_layer(attributes, Path(path).name)
    features = _objects(pixels, attributes)
    with replace_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write('{"type":"FeatureCollection","features":[\n')
        stream.write(",\n".join(features))
        stream.write("\n]}\n")
    return [str(Path(path))]


def _pixel_size_of_layer(attributes: dict[str, Any], file: str) -> npt.NDArray[np.float64]:
    from histo.errors import ResultError

    if all(str(unit) == "pixel" for unit in attributes.get("units") or ("pixel",)):
        return np.ones(2)
    facts = attributes.get("metadata", {}).get("histo", {})
    size = facts.get("pixel_size_yx_um")
    if size is None and "folder" in facts:
        size = _pixel_size(Path(facts["folder"]) / "cells.geojson")
    size = size or _of_open_slide()
    if size is None:
        raise ResultError(
            f"{file}: GeoJSON counts in pixels, and no open slide tells their size; open the "
            "slide first, or save as CSV in µm."
        )
    return np.asarray(size, np.float64)


def _objects(pixels: npt.NDArray[np.float64], attributes: dict[str, Any]) -> list[str]:
    import pandas as pd

    table = pd.DataFrame(attributes.get("features"))
    if len(table) != len(pixels):
        table = pd.DataFrame(index=range(len(pixels)))
    column = next((name for name in ("call", "class") if name in table), None)
    words = [""] * len(table) if column is None else table[column].astype(str).tolist()
    numbers = table.select_dtypes("number")
    rows = numbers.to_dict("records") if len(numbers.columns) else [{}] * len(table)
    objects = []
    for (y, x), word, row in zip(pixels.tolist(), words, rows, strict=True):
        properties: dict[str, Any] = {"objectType": "detection"}
        if word:
            properties["classification"] = {"name": word}
        # NaN is not JSON.
        values = {str(key): value for key, value in row.items() if np.isfinite(value)}
        if values:
            properties["measurements"] = values
        one = {
            "type": "Feature",
            "id": str(uuid.uuid4()),
            "geometry": {"type": "Point", "coordinates": [round(x, 3), round(y, 3)]},
            "properties": properties,
        }
        objects.append(json.dumps(one, ensure_ascii=False, separators=(",", ":")))
    return objects


def write_labels_geojson(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write the cells of a result, with outlines and calls, for QuPath.

    Parameters
    ----------
    path : str
        The ``.geojson`` file.
    data : array
        The labels; what is written comes from the result folder.
    attributes : dict
        The layer's settings; ``metadata`` names the folder.

    Returns
    -------
    list of str
        The file, as napari asks for.

    Raises
    ------
    histo.errors.ResultError
        If the layer is not of a result of histo, or the file cannot be written.
    """
    from histo.errors import ResultError
    from histo.results import GEOJSON_NAMES, replace_file

    folder = attributes.get("metadata", {}).get("histo", {}).get("folder")
    stored = [Path(folder) / name for name in GEOJSON_NAMES] if folder else []
    source = next((one for one in stored if one.is_file()), None)
    if source is None:
        raise ResultError(
            f"{Path(path).name}: only the nuclei of a result of histo can be saved for QuPath; "
            "open the result folder, and select its nuclei."
        )
    with replace_file(path) as temporary, temporary.open("wb") as stream:
        if source.suffix == ".gz":
            with gzip.open(source, "rb") as packed:
                shutil.copyfileobj(packed, stream)
        else:
            with source.open("rb") as plain:
                shutil.copyfileobj(plain, stream)
    return [str(Path(path))]
