"""Regions as annotations for QuPath: outlines with holes, classes, measurements."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from histo.results.folder import replace_file

__all__ = ["Annotation", "class_colour", "mask_rings", "write_annotations"]

Floats = npt.NDArray[np.float64]
#: A polygon: its outer ring, then its holes, float64 (N, 2) y, x in µm.
Polygon = list[Floats]

#: Colours that QuPath gives these classes, or that suit its own.
_COLOURS = {
    "Tumor": (200, 0, 0),
    "Stroma": (150, 200, 150),
    "Necrosis": (50, 50, 50),
    "Other": (200, 200, 200),
    "Metastasis": (225, 0, 100),
    "Lung": (0, 122, 90),
    "Airway": (86, 180, 233),
    "Vessel": (230, 159, 0),
    "Airway or vessel": (160, 160, 160),
}
#: For classes that have no colour of their own, in turn.
_FURTHER = ((0, 158, 115), (86, 180, 233), (160, 90, 160), (230, 159, 0), (120, 120, 120))


def class_colour(name: str) -> tuple[int, int, int]:
    """Return the colour of a class, red, green, blue; always the same for a name.

    Examples
    --------
    >>> class_colour("Tumor"), class_colour("tumour") == class_colour("Tumor")
    ((200, 0, 0), True)
    """
    shown = name.strip().capitalize().replace("Tumour", "Tumor")
    return _COLOURS.get(shown, _FURTHER[sum(shown.encode()) % len(_FURTHER)])


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """A region with a name.

    Parameters
    ----------
    kind : str
        Its class, such as ``"Metastasis"``.
    name : str
        Shown beside it; may be empty.
    polygons : list of list of float64 (N, 2)
        Each an outer ring and its holes, y, x in µm.
    measurements : mapping of str to float
    """

    kind: str
    name: str
    polygons: list[Polygon]
    measurements: Mapping[str, float] = field(default_factory=dict)


def mask_rings(mask: npt.NDArray[np.bool_], pixel_size_um: float) -> list[Polygon]:
    """Return the outlines of a mask, along the sides of its pixels.

    Parameters
    ----------
    mask : bool (Y, X)
    pixel_size_um : float

    Returns
    -------
    list of polygons
        An outer ring and its holes each, float64 (N, 2) y, x in µm from the mask's corner.

    Examples
    --------
    >>> mask = np.zeros((6, 6), bool)
    >>> mask[1:3, 1:5] = True
    >>> ring = mask_rings(mask, 2.0)[0][0]
    >>> ring.min(axis=0).tolist(), ring.max(axis=0).tolist()
    ([2.0, 2.0], [6.0, 10.0])
    """
    fine = np.repeat(np.repeat(np.pad(mask, 1).astype(np.uint8), 2, 0), 2, 1)
    rings, tree = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if tree is None:
        return []
    polygons: list[Polygon] = []
    for index, (_, _, hole, parent) in enumerate(tree[0].tolist()):
        if parent >= 0:
            continue
        whole, inner = [_ring(rings[index], pixel_size_um)], hole
        while inner >= 0:
            whole.append(_ring(rings[inner], pixel_size_um))
            inner = tree[0][inner][0]
        polygons.append(whole)
    return polygons


def _ring(contour: npt.NDArray[Any], um: float) -> Floats:
    """Return a contour of the doubled mask as a ring in µm, along the sides of its pixels."""
    points = contour[:, 0, ::-1].astype(np.float64)
    # Contours run through the mask's own pixels, around holes too. In the doubled mask those at
    # the upper and left side lie at even places, and the others, at odd ones, belong one further.
    points += points % 2
    return np.asarray((points / 2 - 1) * um)


def write_annotations(
    path: str | Path,
    annotations: Sequence[Annotation],
    level0_um: tuple[float, float],
    *,
    slide: str,
) -> None:
    """Write annotations as GeoJSON, in pixels of level 0.

    Parameters
    ----------
    path : path
    annotations : sequence of Annotation
    level0_um : (float, float)
        Pixel size (y, x) of level 0, µm.
    slide : str
        Name of the slide: the same region gets the same identifier at every export.

    References
    ----------
    QuPath 0.5, qupath.lib.io.QuPathTypeAdapters; RFC 7946.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "regions.geojson"
    >>> square = np.array([[0.0, 0], [0, 4], [4, 4], [4, 0]])
    >>> write_annotations(path, [Annotation("Lung", "", [[square]])], (0.5, 0.5), slide="a")
    >>> feature = json.loads(path.read_text())["features"][0]
    >>> feature["geometry"]["coordinates"][0][2], feature["properties"]["objectType"]
    ([8.0, 8.0], 'annotation')
    """
    scale = np.asarray(level0_um, np.float64)
    features = [
        _feature(one, scale, f"{slide}/{number}/{one.kind}")
        for number, one in enumerate(annotations)
        if one.polygons
    ]
    content = {"type": "FeatureCollection", "features": features}
    with replace_file(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _feature(one: Annotation, scale: Floats, key: str) -> dict[str, Any]:
    polygons = [[_closed(ring / scale) for ring in polygon] for polygon in one.polygons]
    several = len(polygons) > 1
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, key)),
        "geometry": {
            "type": "MultiPolygon" if several else "Polygon",
            "coordinates": polygons if several else polygons[0],
        },
        "properties": {
            "objectType": "annotation",
            **({"name": one.name} if one.name else {}),
            "classification": {"name": one.kind, "color": list(class_colour(one.kind))},
            "measurements": {name: round(v, 3) for name, v in one.measurements.items()},
        },
    }


def _closed(ring: Floats) -> list[list[float]]:
    points = np.round(ring[:, ::-1], 2)
    return [*points.tolist(), points[0].tolist()]
