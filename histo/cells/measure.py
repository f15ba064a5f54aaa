"""Position, shape and stain of every cell of a tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.cells.expand import as_labels, expand_cells
from histo.cells.pixels import CellPixels, read_pixels
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
    found = read_pixels(as_labels(labels), as_labels(cells), image, owned.astype(np.int32))
    table: dict[str, object] = {
        "cell_id": owned.astype(np.int64),
        **_place_and_shape(found, frame),
    }
    for plane, name in enumerate(names):
        table |= _plane_columns(found, plane, name, frame.quantity)
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


def _place_and_shape(found: CellPixels, frame: Frame) -> dict[str, npt.NDArray[np.floating]]:
    """Return position and shape of the nuclei, area and contact of the cells.

    References
    ----------
    Hu (1962), IRE Trans. Inf. Theory 8:179. The 1/12 is the second moment of a pixel, a unit
    square, about its own centre: with it a single pixel is not a point.
    """
    # Whole numbers below 2**53 are exact: differences are taken of these, so that the
    # result does not depend on where in the array a cell lies.
    area, y, x, yy, xx, yx = found.moments.T
    central_yy, central_xx = ((area * s - t * t) / area**2 + 1 / 12 for s, t in ((yy, y), (xx, x)))
    central_yx = (area * yx - y * x) / area**2
    middle = (central_yy + central_xx) / 2
    spread = np.sqrt(((central_yy - central_xx) / 2) ** 2 + central_yx**2)
    area_um2 = area * frame.pixel_size_um**2
    single = {
        "nucleus_area_um2": area_um2,
        "cell_area_um2": found.size.sum(axis=1) * frame.pixel_size_um**2,
        "nucleus_diameter_um": np.sqrt(4 * area_um2 / np.pi),
        "nucleus_eccentricity": np.sqrt(np.clip(1 - (middle - spread) / (middle + spread), 0, 1)),
        "nucleus_solidity": area / found.convex_area,
        "contact_fraction": found.sides[:, 1] / np.maximum(found.sides[:, 0], 1),
    }
    # Pixel (i, j) covers [i, i + 1) x [j, j + 1): its centre lies half a pixel further.
    return {
        "x_um": (x / area + frame.x + 0.5) * frame.pixel_size_um,
        "y_um": (y / area + frame.y + 0.5) * frame.pixel_size_um,
        **{name: values.astype(np.float32) for name, values in single.items()},
    }


def _plane_columns(
    found: CellPixels, plane: int, name: str, quantity: str
) -> dict[str, npt.NDArray[np.float32]]:
    """Return mean, max and std of one plane in nucleus, cytoplasm and cell.

    References
    ----------
    Chan, Golub, LeVeque (1983), Algorithms for computing the sample variance, Am. Stat. 37:242
    (the whole cell from its two parts).
    """
    size = found.size.astype(np.float64)
    mean, highest, squares = (v[..., plane] for v in (found.mean, found.highest, found.squares))
    if name == "residual":
        return {RESIDUAL_COLUMN: mean[:, 0].astype(np.float32)}
    total = size.sum(axis=1)
    # The nucleus is never empty, the cytoplasm may be.
    step = np.where(size[:, 1] > 0, mean[:, 1] - mean[:, 0], 0.0)
    joined = squares.sum(axis=1) + step**2 * size[:, 0] * size[:, 1] / total
    with np.errstate(invalid="ignore"):
        std = np.sqrt(squares / size)
    rows = {
        "nucleus": (mean[:, 0], highest[:, 0], std[:, 0]),
        "cytoplasm": (mean[:, 1], highest[:, 1], std[:, 1]),
        "cell": (
            mean[:, 0] + step * size[:, 1] / total,
            np.fmax(highest[:, 0], highest[:, 1]),
            np.sqrt(joined / total),
        ),
    }
    return {
        measure_column(where, name, quantity, what): rows[where][k].astype(np.float32)
        for where in COMPARTMENTS
        for k, what in enumerate(STATISTICS)
    }
