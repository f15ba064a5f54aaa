"""Position, shape and stain of every cell of a tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.cells import shape
from histo.cells.expand import expand_cells
from histo.cells.schema import (
    COMPARTMENTS,
    QUANTITIES,
    RESIDUAL_COLUMN,
    STATISTICS,
    empty_cells,
    measure_column,
)
from histo.geometry import Region

__all__ = ["Frame", "measure_cells", "measure_expanded", "without_padding"]

Floats = npt.NDArray[np.float64]
_Int = TypeVar("_Int", bound=np.integer[Any])


@dataclass(frozen=True, slots=True)
class Frame:
    """Where an array lies on the slide, and what its values are.

    Parameters
    ----------
    y, x : int
        Top left pixel of the array on the slide's grid at ``pixel_size_um``, in pixels
        (negative in the padding outside of the slide).
    pixel_size_um : float
        Pixel size of the array, in µm.
    quantity : {"od", "intensity"}
        Optical density (base 10), or fluorescence in the slide's own units.
    slide_shape : tuple of 2 int, optional
        Size (Y, X) of the slide on the same grid. What lies outside is padding, and belongs to
        no cell.

    Raises
    ------
    ValueError
        If the pixel size is not positive or the quantity is not one of the two.

    Examples
    --------
    >>> Frame(0, 1024, 0.5)
    Frame(y=0, x=1024, pixel_size_um=0.5, quantity='od', slide_shape=None)
    """

    y: int
    x: int
    pixel_size_um: float
    quantity: str = "od"
    slide_shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.pixel_size_um) and self.pixel_size_um > 0):
            raise ValueError(f"pixel_size_um must be > 0 µm, got {self.pixel_size_um!r}.")
        if self.quantity not in QUANTITIES:
            raise ValueError(
                f"quantity must be one of {', '.join(QUANTITIES)}, got {self.quantity!r}."
            )


def without_padding(labels: npt.NDArray[_Int], frame: Frame) -> npt.NDArray[_Int]:
    """Return labels with 0 outside of the slide; the same array when nothing lies there.

    Parameters
    ----------
    labels : int (Y, X)
    frame : Frame

    Returns
    -------
    int (Y, X)

    Examples
    --------
    >>> without_padding(np.ones((2, 3), int), Frame(0, -1, 0.5, slide_shape=(2, 9)))
    array([[0, 1, 1],
           [0, 1, 1]])
    """
    if frame.slide_shape is None:
        return labels
    whole = Region(frame.y, frame.x, *labels.shape)
    inside = whole.clip(frame.slide_shape)
    if inside == whole:
        return labels
    kept = np.zeros_like(labels)
    part = inside.slices_in(whole)
    kept[part] = labels[part]
    return kept


def measure_cells(
    labels: npt.NDArray[np.integer],
    image: npt.NDArray[np.floating],
    names: Sequence[str],
    *,
    owned: npt.NDArray[np.integer],
    frame: Frame,
    expansion_um: float,
) -> pd.DataFrame:
    """Measure the cells of a tile.

    Parameters
    ----------
    labels : int (Y, X)
        Nuclei; 0 is background. Neighbours that the tile does not own must be present:
        they bound the cells.
    image : float32 (Y, X, S)
        Stain concentrations in OD (base 10), or fluorescence; finite.
    names : sequence of S str
        Stains or channels in the image. A plane named ``residual`` gives one column only,
        ``nucleus_residual_od_mean``.
    owned : int (N,)
        Which labels to measure.
    frame : Frame
        Where the arrays lie on the slide.
    expansion_um : float
        How far a cell reaches beyond its nucleus, in µm; neighbours bound it.

    Returns
    -------
    DataFrame
        The columns of :data:`histo.cells.SCHEMA` and the measures, one row an owned label in
        ascending order. A compartment without a pixel (no room for cytoplasm) is NaN. ``max``
        is the plain maximum, ``std`` the population standard deviation.

    Raises
    ------
    ValueError
        If shapes, names or owned labels do not fit each other.

    Examples
    --------
    >>> labels = np.zeros((20, 20), int)
    >>> labels[8:12, 8:12] = 7
    >>> image = np.full((20, 20, 1), 0.25, np.float32)
    >>> cells = measure_cells(
    ...     labels, image, ["dab"], owned=np.array([7]), frame=Frame(0, 100, 0.5), expansion_um=2
    ... )
    >>> cells[["cell_id", "x_um", "y_um", "nucleus_area_um2", "nucleus_dab_od_mean"]]
       cell_id  x_um  y_um  nucleus_area_um2  nucleus_dab_od_mean
    0        7  55.0   5.0               4.0                 0.25
    """
    cells = without_padding(expand_cells(labels, expansion_um / frame.pixel_size_um), frame)
    return measure_expanded((labels, cells), image, names, owned=owned, frame=frame)


def measure_expanded(
    masks: tuple[npt.NDArray[np.integer], npt.NDArray[np.int32]],
    image: npt.NDArray[np.floating],
    names: Sequence[str],
    *,
    owned: npt.NDArray[np.integer],
    frame: Frame,
) -> pd.DataFrame:
    """Measure cells whose outlines are known: `measure_cells` without the expansion.

    Parameters
    ----------
    masks : (int (Y, X), int32 (Y, X))
        Nuclei, and whole cells with the same numbers as `expand_cells` and then
        `without_padding` give them.
    image, names, owned, frame
        As `measure_cells` takes them.

    Returns
    -------
    DataFrame
        As `measure_cells` returns it.

    Raises
    ------
    ValueError
        If shapes, names or owned labels do not fit each other.

    Examples
    --------
    >>> nuclei = np.zeros((20, 20), int)
    >>> nuclei[8:12, 8:12] = 7
    >>> image = np.full((20, 20, 1), 0.25, np.float32)
    >>> cells = expand_cells(nuclei, 4)
    >>> frame = Frame(0, 100, 0.5)
    >>> table = measure_expanded((nuclei, cells), image, ["dab"], owned=np.array([7]), frame=frame)
    >>> float(table["nucleus_area_um2"].iloc[0])
    4.0
    """
    labels, cells = masks
    owned = _check(labels, image, names, owned)
    if cells.shape != labels.shape:
        raise ValueError(f"cells must be as large as nuclei {labels.shape}, got {cells.shape}.")
    if owned.size == 0:
        return empty_cells(names, quantity=frame.quantity)
    number = _renumber(cells, owned)
    flat = np.flatnonzero(number.ravel())
    index = number.ravel()[flat].astype(np.intp) - 1
    is_nucleus = labels.ravel()[flat] > 0
    columns = _shape_columns(labels, cells, number, (flat, index, is_nucleus), frame)
    cell_area = np.bincount(index, minlength=owned.size) * frame.pixel_size_um**2
    table: dict[str, object] = {
        "cell_id": owned.astype(np.int64),
        "x_um": columns.pop("x_um"),
        "y_um": columns.pop("y_um"),
        "nucleus_area_um2": columns.pop("nucleus_area_um2"),
        "cell_area_um2": cell_area.astype(np.float32),
        **columns,
    }
    # Nucleus and cytoplasm in one pass: parts 0 ... N-1 are nuclei, N ... 2N-1 cytoplasms.
    part = index + np.where(is_nucleus, 0, owned.size)
    pixels = image.reshape(-1, len(names))[flat]
    for plane, name in enumerate(names):
        table |= _plane_columns(pixels[:, plane], part, owned.size, name, frame.quantity)
    frame_of_cells = pd.DataFrame(table)
    frame_of_cells["compartment"] = pd.Series("tissue", index=frame_of_cells.index, dtype="str")
    frame_of_cells["flags"] = pd.Series("", index=frame_of_cells.index, dtype="str")
    return frame_of_cells


def _check(
    labels: npt.NDArray[np.integer],
    image: npt.NDArray[np.floating],
    names: Sequence[str],
    owned: npt.NDArray[np.integer],
) -> npt.NDArray[np.integer]:
    if image.ndim != 3 or image.shape[:2] != labels.shape or image.shape[2] != len(names):
        raise ValueError(
            f"image must be (Y, X, S) over labels {labels.shape} with one plane for each of "
            f"{', '.join(names)}; got {image.shape}."
        )
    if len(set(names)) < len(names):
        raise ValueError(f"names must differ, got {', '.join(names)}.")
    unique = np.unique(np.asarray(owned))
    if unique.size < np.size(owned) or (unique.size and unique[0] < 1):
        raise ValueError("owned must list labels > 0, each once.")
    return unique


def _renumber(
    cells: npt.NDArray[np.int32], owned: npt.NDArray[np.integer]
) -> npt.NDArray[np.int32]:
    """Give the owned cells the numbers 1 ... N in order, everything else 0."""
    highest = int(cells.max())
    present = owned[owned <= highest]
    positive = cells[cells > 0] if highest > 4 * cells.size else None
    if positive is not None:
        # Numbers far into a large slide: a table over them all would be larger than the tile.
        lowest = int(positive.min())
    else:
        lowest = 1
    table = np.zeros(highest - lowest + 2, np.int32)
    table[present - lowest + 1] = np.arange(1, present.size + 1, dtype=np.int32)
    number = table[np.maximum(cells - (lowest - 1), 0)]
    found = np.zeros(owned.size + 1, bool)
    found[number.ravel()] = True
    if present.size < owned.size or not found[1:].all():
        missing = np.setdiff1d(owned, cells)
        raise ValueError(f"owned label {missing[0]} is not in labels.")
    return number


def _shape_columns(
    labels: npt.NDArray[np.integer],
    cells: npt.NDArray[np.int32],
    number: npt.NDArray[np.int32],
    pixels: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.bool_]],
    frame: Frame,
) -> dict[str, npt.NDArray[np.floating]]:
    """Return position and shape of the nuclei, and contact of the cells."""
    flat, index, is_nucleus = pixels
    count = int(number.max())
    of = index[is_nucleus]
    y, x = np.divmod(flat[is_nucleus], labels.shape[1])
    m = shape.moments(of, y, x, count)
    row_end = _row_ends(labels, flat[is_nucleus])
    convex = shape.convex_area(of[row_end], y[row_end], x[row_end], count)
    area_um2 = m.area * frame.pixel_size_um**2
    single = {
        "nucleus_area_um2": area_um2,
        "nucleus_diameter_um": np.sqrt(4 * area_um2 / np.pi),
        "nucleus_eccentricity": shape.eccentricity(m),
        "nucleus_solidity": m.area / convex,
        "contact_fraction": shape.contact_fraction(cells, number, count),
    }
    # Pixel (i, j) covers [i, i + 1) x [j, j + 1): its centre lies half a pixel further.
    return {
        "x_um": (m.x + frame.x + 0.5) * frame.pixel_size_um,
        "y_um": (m.y + frame.y + 0.5) * frame.pixel_size_um,
        **{name: values.astype(np.float32) for name, values in single.items()},
    }


def _row_ends(labels: npt.NDArray[np.integer], flat: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Tell which of these pixels begin or end a run of their label within a row."""
    end = np.ones(labels.shape, bool)
    same = labels[:, 1:-1] == labels[:, :-2]
    same &= labels[:, 1:-1] == labels[:, 2:]
    end[:, 1:-1] = ~same
    return end.ravel()[flat]


def _plane_columns(
    values: npt.NDArray[np.floating],
    part: npt.NDArray[np.intp],
    count: int,
    name: str,
    quantity: str,
) -> dict[str, npt.NDArray[np.float32]]:
    """Return mean, max and std of one plane in nucleus, cytoplasm and cell."""
    size = np.bincount(part, minlength=2 * count).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(part, weights=values, minlength=2 * count) / size
    if name == "residual":
        return {RESIDUAL_COLUMN: mean[:count].astype(np.float32)}
    highest = np.full(2 * count, -np.inf, values.dtype)
    np.maximum.at(highest, part, values)
    highest[size == 0] = np.nan
    # Deviations from the part's own mean: a difference of large squares would lose digits.
    deviation = values - mean[part]
    squares: Floats = np.zeros(2 * count)
    squares += np.bincount(part, weights=deviation * deviation, minlength=2 * count)
    size, mean, squares = (a.reshape(2, -1) for a in (size, mean, squares))
    whole = _whole_cell(size, mean, squares, highest.reshape(2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        std = np.sqrt(squares / size)
    rows = {
        "nucleus": (mean[0], highest[:count], std[0]),
        "cytoplasm": (mean[1], highest[count:], std[1]),
        "cell": whole,
    }
    return {
        measure_column(where, name, quantity, what): rows[where][k].astype(np.float32)
        for where in COMPARTMENTS
        for k, what in enumerate(STATISTICS)
    }


def _whole_cell(
    size: Floats, mean: Floats, squares: Floats, highest: npt.NDArray[np.floating]
) -> tuple[Floats, npt.NDArray[np.floating], Floats]:
    """Join nucleus (row 0, never empty) and cytoplasm (row 1) into the whole cell.

    References
    ----------
    Chan, Golub, LeVeque (1983), Algorithms for computing the sample variance, Am. Stat. 37:242.
    """
    total = size.sum(axis=0)
    step = np.where(size[1] > 0, mean[1] - mean[0], 0.0)
    joined = mean[0] + step * size[1] / total
    spread = squares.sum(axis=0) + step**2 * size[0] * size[1] / total
    return joined, np.fmax(highest[0], highest[1]), np.sqrt(spread / total)
