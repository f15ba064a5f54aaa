"""What was drawn in a Shapes layer, as polygons in µm."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["polygons_um"]

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
    found = []
    for shape, kind in zip(layer.data, layer.shape_type, strict=True):
        if kind not in ("rectangle", "polygon", "ellipse"):
            continue
        corners = np.array([layer.data_to_world(corner) for corner in shape], np.float64)[:, -2:]
        found.append(_ellipse(corners) if kind == "ellipse" else corners)
    return found


def _ellipse(box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the ellipse within the four corners of a box, which may be turned."""
    middle = box.mean(axis=0)
    first, second = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
    return np.asarray(middle + np.cos(angle) * first + np.sin(angle) * second)
