"""Foci of metastasis: what counts as one, how large each is, and what was refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.region import shapes

__all__ = [
    "SENSITIVITY_UM",
    "SIZE_CLASSES",
    "FociRules",
    "Focus",
    "Refused",
    "count_by_class",
    "counts_as_focus",
    "foci_at_least",
    "foci_table",
    "focus_outlines",
    "make_foci",
    "merge_near",
    "size_class",
]

Labels = npt.NDArray[np.int32]

SIZE_CLASSES = ("<100", "100-250", "250-500", ">500")
"""Classes of equivalent diameter, µm: [0, 100), [100, 250), [250, 500], above."""

SENSITIVITY_UM = (30.0, 50.0, 100.0)
"""Smallest diameters with which count, area and burden are also given, µm."""


@dataclass(frozen=True, slots=True)
class FociRules:
    """What counts as a focus.

    Parameters
    ----------
    min_diameter_um : float
        Equivalent diameter from which a focus counts.
    min_nuclei : int
        A smaller one counts as well with this many nuclei in it, where cells are known.
    merge_um : float
        Foci nearer to each other than this are one.

    Raises
    ------
    ValueError
        If a length is negative or not finite, or `min_nuclei` below 1.

    Examples
    --------
    >>> FociRules().min_diameter_um
    50.0
    """

    min_diameter_um: float = 50.0
    min_nuclei: int = 10
    merge_um: float = 20.0

    def __post_init__(self) -> None:
        for name in ("min_diameter_um", "merge_um"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} must be finite and >= 0, got {getattr(self, name)}.")
        if self.min_nuclei < 1:
            raise ValueError(f"min_nuclei must be at least 1, got {self.min_nuclei}.")


@dataclass(frozen=True, slots=True)
class Focus:
    """One focus.

    Attributes
    ----------
    focus_id : int
        Its value in the label image, from 1, the largest first.
    y_um, x_um : float
        Centroid, from the top left corner of the slide.
    area_um2 : float
    diameter_um : float
        Of the circle of the same area.
    parts : int
        Islands that were merged into it.
    touches_edge : bool
        Whether the picture cuts it: its area is a lower bound.
    nuclei : int or None
        Nuclei in it; None without a cell table.
    """

    focus_id: int
    y_um: float
    x_um: float
    area_um2: float
    diameter_um: float
    parts: int
    touches_edge: bool
    nuclei: int | None = None

    @property
    def size_class(self) -> str:
        """One of `SIZE_CLASSES`."""
        return size_class(self.diameter_um)

    @property
    def nuclei_per_mm2(self) -> float:
        """Density of nuclei; NaN without a cell table."""
        return math.nan if self.nuclei is None else 1e6 * self.nuclei / self.area_um2


@dataclass(frozen=True, slots=True)
class Refused:
    """A solid place that is no focus, and why.

    Attributes
    ----------
    y_um, x_um : float
        Centroid.
    area_um2, diameter_um : float
    reason : str
        In a word or two, one of `histo.region.REASONS`.
    evidence : str
        The numbers behind it.
    """

    y_um: float
    x_um: float
    area_um2: float
    diameter_um: float
    reason: str
    evidence: str


def size_class(diameter_um: float) -> str:
    """Return the class of an equivalent diameter.

    Examples
    --------
    >>> [size_class(d) for d in (99.9, 100, 250, 500, 500.1)]
    ['<100', '100-250', '250-500', '250-500', '>500']
    """
    if diameter_um < 100:
        return SIZE_CLASSES[0]
    if diameter_um < 250:
        return SIZE_CLASSES[1]
    return SIZE_CLASSES[2] if diameter_um <= 500 else SIZE_CLASSES[3]


def merge_near(mask: npt.NDArray[np.bool_], merge_um: float, *, pixel_size_um: float) -> Labels:
    """Label the islands of a mask; those nearer than a distance share a label.

    Parameters
    ----------
    mask : bool (Y, X)
    merge_um : float
        Gap between two islands, from border to border.
    pixel_size_um : float

    Returns
    -------
    int32 (Y, X)
        From 1, the largest first; 0 outside.

    Examples
    --------
    >>> row = np.zeros((1, 20), bool)
    >>> row[0, [2, 3, 5, 15]] = True
    >>> merge_near(row, 2.0, pixel_size_um=1.0).max(), merge_near(row, 0.5, pixel_size_um=1.0).max()
    (np.int32(2), np.int32(3))
    """
    joined = mask
    if merge_um > 0:
        # Two borders that are nearer than the distance meet when both grow by half of it.
        joined = shapes.dilate(mask, merge_um / 2 / pixel_size_um)
    labels, _ = shapes.components(joined)
    labels = np.where(mask, labels, 0)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    order = np.argsort(-areas, kind="stable")
    order = order[areas[order] > 0]
    rank = np.zeros(len(areas), np.int32)
    rank[order] = np.arange(1, len(order) + 1)
    return np.asarray(rank[labels], np.int32)


def make_foci(
    labels: Labels, *, pixel_size_um: float, cells: pd.DataFrame | None = None
) -> tuple[Focus, ...]:
    """Measure labelled foci.

    Parameters
    ----------
    labels : int32 (Y, X)
        From 1; 0 outside.
    pixel_size_um : float
    cells : DataFrame, optional
        With ``y_um`` and ``x_um``, to count nuclei.

    Returns
    -------
    tuple of Focus
        By label.

    Examples
    --------
    >>> labels = np.zeros((20, 20), np.int32)
    >>> labels[5:15, 5:15] = 1
    >>> make_foci(labels, pixel_size_um=2.0)[0].area_um2
    400.0
    """
    top = int(labels.max()) if labels.size else 0
    count = np.bincount(labels.ravel(), minlength=top + 1)
    nuclei = None if cells is None else _nuclei_in(labels, cells, pixel_size_um)
    y, x = np.nonzero(labels)
    of = labels[y, x]
    rows = np.bincount(of, y, top + 1)
    columns = np.bincount(of, x, top + 1)
    cut = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    islands, _ = shapes.components(labels > 0)
    pairs = np.unique(np.stack([of, islands[y, x]]), axis=1)
    parts = np.bincount(pairs[0], minlength=top + 1)
    found = []
    for number in range(1, top + 1):
        if count[number] == 0:
            continue
        area = float(count[number]) * pixel_size_um**2
        found.append(
            Focus(
                number,
                float(rows[number] / count[number] + 0.5) * pixel_size_um,
                float(columns[number] / count[number] + 0.5) * pixel_size_um,
                area,
                math.sqrt(4 * area / math.pi),
                int(parts[number]),
                number in cut,
                None if nuclei is None else int(nuclei[number]),
            )
        )
    return tuple(found)


def _nuclei_in(labels: Labels, cells: pd.DataFrame, um: float) -> npt.NDArray[np.int64]:
    """Nuclei by label, int64 (N + 1,)."""
    y = np.floor(cells["y_um"].to_numpy(float) / um).astype(int)
    x = np.floor(cells["x_um"].to_numpy(float) / um).astype(int)
    inside = (y >= 0) & (x >= 0) & (y < labels.shape[0]) & (x < labels.shape[1])
    at = labels[y[inside], x[inside]]
    return np.bincount(at, minlength=int(labels.max()) + 1)


def counts_as_focus(focus: Focus, rules: FociRules) -> bool:
    """Whether a focus is large enough, or has enough nuclei."""
    enough = focus.nuclei is not None and focus.nuclei >= rules.min_nuclei
    return focus.diameter_um >= rules.min_diameter_um or enough


def foci_at_least(foci: Sequence[Focus], diameter_um: float) -> tuple[Focus, ...]:
    """Return the foci of at least an equivalent diameter.

    Examples
    --------
    >>> foci_at_least((), 50.0)
    ()
    """
    return tuple(focus for focus in foci if focus.diameter_um >= diameter_um)


def count_by_class(foci: Sequence[Focus]) -> Mapping[str, int]:
    """Return the number of foci of each of `SIZE_CLASSES`.

    Examples
    --------
    >>> count_by_class(())["<100"]
    0
    """
    classes = [focus.size_class for focus in foci]
    return {name: classes.count(name) for name in SIZE_CLASSES}


def foci_table(foci: Sequence[Focus]) -> pd.DataFrame:
    """Return the foci as a table, one row each.

    Returns
    -------
    DataFrame
        ``focus_id``, ``x_um``, ``y_um``, ``area_um2``, ``diameter_um``, ``size_class``, ``parts``,
        ``touches_edge``, ``nuclei``, ``nuclei_per_mm2`` (the last two NaN without cells).

    Examples
    --------
    >>> foci_table(()).empty
    True
    """
    columns = (
        "focus_id",
        "x_um",
        "y_um",
        "area_um2",
        "diameter_um",
        "size_class",
        "parts",
        "touches_edge",
        "nuclei",
        "nuclei_per_mm2",
    )
    rows = [[getattr(focus, name) for name in columns] for focus in foci]
    table = pd.DataFrame(rows, columns=list(columns))
    table["nuclei"] = table["nuclei"].astype(float)
    return table


def focus_outlines(
    labels: Labels, *, pixel_size_um: float
) -> dict[int, list[npt.NDArray[np.float64]]]:
    """Return the outer outlines of each focus, float64 (N, 2) y, x in µm, largest island first.

    Examples
    --------
    >>> labels = np.zeros((20, 20), np.int32)
    >>> labels[5:15, 5:15] = 1
    >>> len(focus_outlines(labels, pixel_size_um=2.0)[1])
    1
    """
    outlines: dict[int, list[npt.NDArray[np.float64]]] = {}
    for number in range(1, int(labels.max(initial=0)) + 1):
        mask = (labels == number).astype(np.uint8)
        found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        rings = sorted(found, key=cv2.contourArea, reverse=True)
        outlines[number] = [(r[:, 0, ::-1] + 0.5) * pixel_size_um for r in rings if len(r) > 2]
    return outlines
