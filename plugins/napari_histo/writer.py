"""Save cells as a table in µm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["places_of", "write_cells"]


def places_of(data: Any, attributes: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Return where a layer's points lie, float64 (N, 2) y, x in the layer's unit.

    Parameters
    ----------
    data : float (N, D)
        Points, their last two axes y and x, in the layer's own coordinates.
    attributes : dict
        The layer's settings; ``scale`` and ``translate`` are used.

    Examples
    --------
    >>> places_of([[3.0, 4.0]], {"scale": (2, 2), "translate": (0, 1)}).tolist()
    [[6.0, 9.0]]
    """
    axes = np.shape(data)[-1] if np.size(data) else 2
    points = np.asarray(data, dtype=np.float64).reshape(-1, axes)[:, -2:]
    scale = np.asarray(attributes.get("scale", (1.0, 1.0)), dtype=np.float64)
    shift = np.asarray(attributes.get("translate", (0.0, 0.0)), dtype=np.float64)
    return points * scale[-2:] + shift[-2:]


def write_cells(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write a points layer as CSV: position in µm and all features.

    Parameters
    ----------
    path : str
        The ``.csv`` file.
    data : float (N, 2)
        Points (y, x), in the layer's own coordinates.
    attributes : dict
        The layer's settings; ``scale``, ``translate`` and ``features`` are used.

    Returns
    -------
    list of str
        The file, as napari asks for.

    Raises
    ------
    histo.errors.ResultError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "cells.csv"
    >>> _ = write_cells(str(path), np.array([[3.0, 4.0]]), {"scale": (2, 2)})
    >>> print(path.read_text(encoding="utf-8-sig").strip())
    x_um,y_um
    8.0,6.0
    """
    from histo.results import replace_file

    places = places_of(data, attributes)
    table = pd.DataFrame({"x_um": places[:, 1], "y_um": places[:, 0]})
    features = attributes.get("features")
    if features is not None and len(features) == len(table):
        kept = pd.DataFrame(features).drop(columns=["x_um", "y_um"], errors="ignore")
        table = pd.concat([table, kept.reset_index(drop=True)], axis=1)
    with replace_file(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8-sig")
    return [str(Path(path))]
