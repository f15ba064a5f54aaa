"""What was drawn in a Shapes layer, as polygons in µm."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["AREAS", "outline_um", "polygons_um"]

AREAS = ("rectangle", "polygon", "ellipse")
"""Kinds of shapes that enclose something."""

#: Corners of the polygon that stands for an ellipse: its area is right to 0.3 %.
_CORNERS = 48


def polygons_um(layer: Any) -> list[npt.NDArray[np.float64]]:
    """Return the areas of a Shapes layer; lines and paths enclose nothing and are left out.

    Parameters
    ----------
    layer : napari.layers.Shapes

    Returns
    -------
    list of float64 (N, 2)
        Vertices (y, x) in the viewer's coordinates.

    Examples
    --------
    >>> from napari.layers import Shapes
    >>> square = Shapes([[[0, 0], [0, 4], [4, 4], [4, 0]]], scale=(0.5, 0.5))
    >>> polygons_um(square)[0].tolist()
    [[0.0, 0.0], [0.0, 2.0], [2.0, 2.0], [2.0, 0.0]]
    """
    kinds = zip(layer.data, layer.shape_type, strict=True)
    return [outline_um(layer, shape, kind) for shape, kind in kinds if kind in AREAS]


def outline_um(layer: Any, shape: npt.NDArray[np.floating], kind: str) -> npt.NDArray[np.float64]:
    """Return the corners of one shape; of an ellipse, of which napari keeps the box, many.

    Parameters
    ----------
    layer : napari.layers.Shapes
    shape : float (N, 2)
        One of its ``data``.
    kind : str
        Its ``shape_type``.

    Returns
    -------
    float64 (N, 2)
        Corners (y, x) in the viewer's coordinates.
    """
    points = np.asarray(shape, np.float64)
    # One step for all corners: asking for each takes long where there are thousands.
    start = np.array(layer.data_to_world(np.zeros(points.shape[1])))
    axes = np.array([layer.data_to_world(axis) for axis in np.eye(points.shape[1])]) - start
    corners = (points @ axes + start)[:, -2:]
    return _ellipse(corners) if kind == "ellipse" else corners


def _ellipse(box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the ellipse within the four corners of a box, which may be turned."""
    middle = box.mean(axis=0)
    first, second = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
    return np.asarray(middle + np.cos(angle) * first + np.sin(angle) * second)
