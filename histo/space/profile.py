"""Density of cells by their distance to a border, such as the tumour's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.metrics import density_per_mm2, poisson_interval
from histo.space.window import DistanceMap, Window, checked_points

__all__ = ["MARGIN_EDGES_UM", "margin_profile"]

MARGIN_EDGES_UM: npt.NDArray[np.float64] = np.arange(-500.0, 501.0, 100.0)
"""The invasive margin: 500 µm to either side of the tumour's border, in bands of 100 µm."""
MARGIN_EDGES_UM.setflags(write=False)


def margin_profile(
    points_um: npt.ArrayLike,
    border: DistanceMap,
    window: Window,
    *,
    edges_um: npt.ArrayLike = MARGIN_EDGES_UM,
) -> pd.DataFrame:
    """Return density in bands along a border, over each band's own valid area.

    Parameters
    ----------
    points_um : float (N, 2)
        y, x of cells; those outside of the window take no part.
    border : DistanceMap
        Positive inside of the tumour; see :meth:`DistanceMap.between`.
    window : Window
        Valid tissue, on the same pixels.
    edges_um : float (B + 1,)
        Ascending; a band holds its lower edge, not its upper one.

    Returns
    -------
    DataFrame
        A row a band: ``from_um``, ``to_um``, ``count``, ``area_um2``, ``density_per_mm2``, and
        the exact Poisson interval ``low``, ``high`` of the density; NaN without area.

    Raises
    ------
    ValueError
        If the edges do not ascend, or border and window are not on the same pixels.

    Notes
    -----
    A pixel that a band's edge runs through counts in part, as if the edge were straight and
    along an axis.

    References
    ----------
    Garwood (1936), Biometrika 28:437.

    Examples
    --------
    >>> tissue = Window(np.ones((4, 20), bool), 10.0)
    >>> tumour = Window(np.tile(np.arange(20) < 10, (4, 1)), 10.0)
    >>> border = DistanceMap.between(tumour, tissue)
    >>> bands = margin_profile([[20, 70], [20, 130]], border, tissue, edges_um=[-50, 0, 50])
    >>> bands[["count", "area_um2"]].to_numpy().tolist()
    [[1.0, 2000.0], [1.0, 2000.0]]
    """
    edges = np.asarray(edges_um, np.float64)
    if edges.ndim != 1 or edges.size < 2 or (np.diff(edges) <= 0).any():
        raise ValueError(f"edges_um must ascend, got {edges}.")
    same_pixels = (
        border.inner.shape == window.mask.shape
        and border.pixel_size_um == window.pixel_size_um
        and border.origin_um == window.origin_um
    )
    if not same_pixels:
        raise ValueError("border and window must be on the same pixels.")
    points = checked_points(points_um)
    points = points[window.contains(points)]
    count = _in_bands(border.at(points), edges)
    area = _band_areas(border.inner[window.mask], edges, window.pixel_size_um)
    ends = np.array([poisson_interval(int(n)) for n in count])
    return pd.DataFrame(
        {
            "from_um": edges[:-1],
            "to_um": edges[1:],
            "count": count,
            "area_um2": area,
            "density_per_mm2": _density(count, area),
            "low": _density(ends[:, 0], area),
            "high": _density(ends[:, 1], area),
        }
    )


def _in_bands(
    values: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Count the values in each half-open band."""
    band = np.searchsorted(edges, values, side="right")
    return np.bincount(band, minlength=edges.size + 1)[1 : edges.size]


def _band_areas(
    distances: npt.NDArray[np.float32], edges: npt.NDArray[np.float64], um: float
) -> npt.NDArray[np.float64]:
    """Return each band's area; a pixel spreads over its distance, half a pixel either way."""
    distances = np.sort(distances)
    pixels = np.zeros(edges.size)
    for index, edge in enumerate(edges):
        first, last = np.searchsorted(distances, [edge - um / 2, edge + um / 2])
        cut = distances[first:last].astype(np.float64)
        pixels[index] = first + ((edge - cut) / um + 0.5).sum()
    return np.asarray(np.diff(pixels) * um**2, np.float64)


def _density(count: npt.ArrayLike, area: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return cells/mm² band by band, NaN without area."""
    counts = np.asarray(count, np.float64)
    return np.array([float(density_per_mm2(n, a)) for n, a in zip(counts, area, strict=True)])
