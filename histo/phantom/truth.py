"""The phantom and its truth."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Phantom:
    """A painted field and everything that is true about it.

    Parameters
    ----------
    image
        uint8 (Y, X, 3) for brightfield, uint16 (Y, X, C) for fluorescence.
    labels
        int32 (Y, X), nuclei, 0 is background; the numbers are ``cells.cell_id``.
    cell_labels
        int32 (Y, X), nucleus with its cytoplasm.
    cells
        One row a nucleus, numbered 1...N: ``cell_id``, ``kind``, ``x_um``, ``y_um``,
        ``nucleus_area_um2``, ``cell_area_um2``, ``in_focus``, ``touches_border``;
        ``<marker>_level``, ``<marker>_grade``, ``<marker>_positive`` as painted;
        ``nucleus_<plane>_mean`` and ``cytoplasm_<plane>_mean`` measured on `planes`.
    tissue
        bool (Y, X): inside the section, without fat, clefts and the lumina of vessels.
    nests
        bool (Y, X): nests of tumour, openings within them too.
    planes
        float32 (Y, X, S): base-10 optical density of each stain before optics, or camera
        counts above zero of each channel.
    names
        Names of the planes (stains, then painted contaminants such as ``pigment``; channels).
    vectors
        float64 (S, 3), unit optical density per channel (R, G, B); empty for fluorescence.
    white_point
        float64 (3,), grey levels; empty for fluorescence.
    cutoffs
        Lower ends of grades 1+, 2+, 3+ in the units of ``<marker>_level``.
    pixel_size_um
        Pixel size, µm.
    panel
        Name of the panel.

    Examples
    --------
    >>> from histo.phantom import paint_measurement_phantom
    >>> phantom = paint_measurement_phantom("foxp3-dab")
    >>> phantom.names, phantom.plane("dab").shape
    (('hematoxylin', 'dab'), (512, 512))
    """

    image: NDArray[np.uint8] | NDArray[np.uint16]
    labels: NDArray[np.int32]
    cell_labels: NDArray[np.int32]
    cells: pd.DataFrame
    tissue: NDArray[np.bool_]
    nests: NDArray[np.bool_]
    planes: NDArray[np.float32]
    names: tuple[str, ...]
    vectors: NDArray[np.float64]
    white_point: NDArray[np.float64]
    cutoffs: tuple[float, float, float]
    pixel_size_um: float
    panel: str

    def __post_init__(self) -> None:
        arrays = (self.labels, self.cell_labels, self.tissue, self.nests, self.planes)
        for array in (self.image, *arrays, self.vectors, self.white_point):
            array.setflags(write=False)

    @property
    def tissue_area_um2(self) -> float:
        """Area of the tissue, µm²."""
        return float(self.tissue.sum()) * self.pixel_size_um**2

    def plane(self, name: str) -> NDArray[np.float32]:
        """One stain or channel, float32 (Y, X).

        Raises
        ------
        ValueError
            When the phantom has no plane of this name.
        """
        if name not in self.names:
            raise ValueError(f"name must be one of {', '.join(self.names)}, got {name!r}")
        return self.planes[..., self.names.index(name)]


def true_h_score(cells: pd.DataFrame, marker: str) -> float:
    """H-score of the painted grades: ``100 (n1 + 2 n2 + 3 n3) / n``; NaN without cells.

    Parameters
    ----------
    cells
        Truth table with the column ``<marker>_grade``.
    marker
        Such as ``"rankl"``.

    Examples
    --------
    >>> import pandas as pd
    >>> true_h_score(pd.DataFrame({"rankl_grade": [0, 1, 2, 3]}), "rankl")
    150.0

    References
    ----------
    McCarty KS et al. Arch Pathol Lab Med 109:716 (1985).
    """
    if cells.empty:
        return float("nan")
    return 100.0 * float(cells[f"{marker}_grade"].sum()) / len(cells)


def summarize(phantom: Phantom) -> dict[str, float]:
    """Numbers that an analysis of the phantom should find.

    Returns
    -------
    dict
        ``cells``, ``tissue_mm2`` and, for each marker, ``<marker>_positive``,
        ``<marker>_positive_fraction``, ``<marker>_positive_per_mm2``, ``<marker>_h_score``.

    Examples
    --------
    >>> from histo.phantom import paint_measurement_phantom
    >>> true = summarize(paint_measurement_phantom("rankl-dab"))
    >>> true["cells"], true["rankl_h_score"]
    (64.0, 150.0)
    """
    cells = phantom.cells
    area_mm2 = phantom.tissue_area_um2 / 1e6
    out: dict[str, float] = {"cells": float(len(cells)), "tissue_mm2": area_mm2}
    for column in cells.columns:
        if not column.endswith("_positive"):
            continue
        marker = column.removesuffix("_positive")
        positive = float(cells[column].sum())
        out[column] = positive
        out[f"{column}_fraction"] = positive / len(cells) if len(cells) else float("nan")
        out[f"{column}_per_mm2"] = positive / area_mm2 if area_mm2 else float("nan")
        out[f"{marker}_h_score"] = true_h_score(cells, marker)
    return out


def tabulate(
    labels: NDArray[np.int32],
    cell_labels: NDArray[np.int32],
    planes: NDArray[np.float32],
    names: tuple[str, ...],
    *,
    pixel_size_um: float,
) -> pd.DataFrame:
    """Measure what is painted, nucleus by nucleus.

    Parameters
    ----------
    labels, cell_labels
        int32 (Y, X), numbered 1...N without gaps.
    planes
        float32 (Y, X, S).
    names
        S names.
    pixel_size_um
        Pixel size, µm.

    Returns
    -------
    DataFrame
        ``cell_id``, ``x_um``, ``y_um``, ``nucleus_area_um2``, ``cell_area_um2``,
        ``touches_border`` and the means of every plane; the mean over a cytoplasm without
        pixels is NaN.
    """
    n = int(labels.max(initial=0)) + 1
    y, x = np.nonzero(labels)
    ids = labels[y, x]
    area = np.bincount(ids, minlength=n)[1:]
    border = np.zeros(n, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        border[edge] = True
    table = pd.DataFrame(
        {
            "cell_id": np.arange(1, n, dtype=np.int64),
            "x_um": (np.bincount(ids, x, n)[1:] / area + 0.5) * pixel_size_um,
            "y_um": (np.bincount(ids, y, n)[1:] / area + 0.5) * pixel_size_um,
            "nucleus_area_um2": area * pixel_size_um**2,
            "cell_area_um2": np.bincount(cell_labels.ravel(), minlength=n)[1:] * pixel_size_um**2,
            "touches_border": border[1:],
        }
    )
    ring = (cell_labels > 0) & (labels == 0)
    ring_ids = cell_labels[ring]
    ring_area = np.bincount(ring_ids, minlength=n)[1:].astype(float)
    for s, name in enumerate(names):
        plane = planes[..., s]
        table[f"nucleus_{name}_mean"] = np.bincount(ids, plane[y, x], n)[1:] / area
        total = np.bincount(ring_ids, plane[ring], n)[1:]
        mean = np.full(n - 1, np.nan)
        np.divide(total, ring_area, out=mean, where=ring_area > 0)
        table[f"cytoplasm_{name}_mean"] = mean
    return table
