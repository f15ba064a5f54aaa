"""What tells nests from stroma, as planes at 4 µm/px: how nuclei lie, how blue tissue is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.geometry import Region

__all__ = ["MAP_UM", "PLANES", "RegionMaps", "map_shape", "plane_list"]

Floats = npt.NDArray[np.float32]

MAP_UM = 4.0
"""Pixel size of the maps, µm."""

_DENSITY_UM = (8.0, 20.0, 45.0)
_MEAN_UM = (12.0, 30.0)
_SMOOTH_UM = 12.0
_TRAITS = ("log_area", "small", "eccentricity", "solidity", "blue")
#: Nuclei below this share of the slide's mean (of the logarithm) are small.
_SMALL = 0.7
#: A mean over fewer nuclei than this (in weight of the smoothing's middle) is drawn towards 0.
_FEW = 0.3
#: Smoothing reaches this many standard deviations; what lies farther adds nothing.
_TRUNCATE = 4.0
#: How far a pixel of the maps looks, px.
REACH_PX = int(_TRUNCATE * max(_DENSITY_UM) / MAP_UM + 0.5)

PLANES = (
    "nuclear",
    "nuclear_smooth",
    *(f"density_{um:g}um" for um in _DENSITY_UM),
    *(f"{trait}_{um:g}um" for um in _MEAN_UM for trait in (*_TRAITS, "area_spread")),
)
"""Names of the planes that every region model reads, in order."""


def plane_list(stains: Sequence[str] = ()) -> tuple[str, ...]:
    """Name the planes of a model that reads further stains or channels, too.

    Parameters
    ----------
    stains : sequence of str

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> plane_list(["cytokeratin"])[len(PLANES):]
    ('cytokeratin', 'cytokeratin_smooth')
    """
    return (*PLANES, *(name for stain in stains for name in (stain, f"{stain}_smooth")))


def map_shape(height_um: float, width_um: float) -> tuple[int, int]:
    """Return the size (Y, X) in pixels of the maps of a slide.

    Examples
    --------
    >>> map_shape(1000.0, 402.0)
    (250, 101)
    """
    return max(1, int(np.ceil(height_um / MAP_UM))), max(1, int(np.ceil(width_um / MAP_UM)))


@dataclass(frozen=True, slots=True, eq=False)
class RegionMaps:
    """The planes of a slide, drawn part by part, so that memory stays bounded.

    Everything is against the slide's own mean over its nuclei: how large nuclei are, how dark and
    how dense differs more between slides (section thickness, a pixel size that is a little wrong,
    stains) than between nests and stroma of one slide.

    Attributes
    ----------
    nuclear : float32 (Y, X)
        Nuclear stain at `MAP_UM`, 1 for the mean around nuclei.
    stains : mapping of str to float32 (Y, X)
        Further stains or channels, likewise.
    places : float64 (N, 2)
        Where nuclei lie, y and x in pixels of the maps.
    traits : mapping of str to float64 (N,)
        Of each nucleus, less their mean.
    spread : float
        How much log2 of the nuclei's area varies over the slide (standard deviation).
    density : float
        Nuclei per pixel around a nucleus, on average; 1 where there are none.

    Examples
    --------
    >>> from histo.cells import empty_cells
    >>> blank = np.zeros((20, 30), np.float32)
    >>> column = "nucleus_hematoxylin_od_mean"
    >>> maps = RegionMaps.of(empty_cells(["hematoxylin"]), blank, nuclear_column=column)
    >>> maps.draw().shape == (len(PLANES), 20, 30)
    True
    """

    nuclear: Floats
    stains: Mapping[str, Floats]
    places: npt.NDArray[np.float64]
    traits: Mapping[str, npt.NDArray[np.float64]]
    spread: float = 0.0
    density: float = 1.0

    @classmethod
    def of(
        cls,
        cells: pd.DataFrame,
        nuclear: Floats,
        *,
        nuclear_column: str,
        stains: Mapping[str, Floats] | None = None,
    ) -> Self:
        """Prepare the maps of a slide.

        Parameters
        ----------
        cells : DataFrame
            The cell table; cells excluded as artefacts take no part.
        nuclear : float32 (Y, X)
            Nuclear stain, OD (base 10) or intensity above background.
        nuclear_column : str
            Mean nuclear stain of a cell, such as ``nucleus_hematoxylin_od_mean``.
        stains : mapping of str to float32 (Y, X), optional

        Raises
        ------
        ValueError
            If the planes are not all of one shape (Y, X).
        """
        stains = dict(stains or {})
        if nuclear.ndim != 2 or any(plane.shape != nuclear.shape for plane in stains.values()):
            raise ValueError(
                f"nuclear and stains must be planes (Y, X) of one shape, got {nuclear.shape} and "
                f"{[plane.shape for plane in stains.values()]}."
            )
        counted = cells[(cells["compartment"] != "excluded").to_numpy()]
        places = counted[["y_um", "x_um"]].to_numpy(np.float64) / MAP_UM - 0.5
        traits, spread = _traits(counted, nuclear_column)
        whole = Region(0, 0, nuclear.shape[0], nuclear.shape[1])
        splat = _Splat(places, whole, whole.shape)
        crowd = _smooth(splat(np.ones(len(places))), _DENSITY_UM[-1])
        return cls(
            _against_mean(nuclear, places),
            {name: _against_mean(plane, places) for name, plane in stains.items()},
            places,
            traits,
            spread,
            _mean_at(crowd, places) or 1.0,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Size (Y, X) of the maps."""
        return self.nuclear.shape[0], self.nuclear.shape[1]

    @property
    def planes(self) -> tuple[str, ...]:
        """Names of the planes, in order."""
        return plane_list(tuple(self.stains))

    def draw(self, part: Region | None = None) -> Floats:
        """Draw the planes of a part of the slide.

        Parameters
        ----------
        part : Region, optional
            In pixels of the maps; by default everything.

        Returns
        -------
        float32 (P, Y, X)
            As `planes` names them: the nuclear stain as it is and smoothed; density of nuclei at
            three scales; the neighbourhood's mean of log2 of area, share of small nuclei,
            eccentricity, 5 (1 - solidity) and nuclear stain, and the spread of log area, at two
            scales; then the further stains. A part is equal to the same part of the whole.
        """
        whole = Region(0, 0, *self.shape)
        part = whole if part is None else part
        wide = part.expand(REACH_PX).clip(self.shape)
        maps = np.zeros((len(self.planes), wide.height, wide.width), np.float32)
        cut = wide.slices_in(whole)
        maps[0] = self.nuclear[cut]
        maps[1] = _smooth(maps[0], _SMOOTH_UM)
        index = len(PLANES)
        for plane in self.stains.values():
            maps[index] = plane[cut]
            maps[index + 1] = _smooth(maps[index], _SMOOTH_UM)
            index += 2
        self._draw_nuclei(maps, wide)
        return np.ascontiguousarray(maps[(slice(None), *part.slices_in(wide))])

    def _draw_nuclei(self, maps: Floats, part: Region) -> None:
        splat = _Splat(self.places, part, self.shape)
        if not splat.any:
            return
        count = splat(np.ones(len(self.places)))
        for index, um in enumerate(_DENSITY_UM, 2):
            maps[index] = _smooth(count, um) / np.float32(self.density)
        traits = {name: splat(values) for name, values in self.traits.items()}
        index = 2 + len(_DENSITY_UM)
        for um in _MEAN_UM:
            for plane in _means(traits, count, um, self.spread):
                maps[index] = plane
                index += 1


def _smooth(plane: Floats, um: float) -> Floats:
    sigma = um / MAP_UM
    size = 2 * int(_TRUNCATE * sigma + 0.5) + 1
    blurred = cv2.GaussianBlur(plane, (size, size), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float32)


def _mean_at(plane: Floats, places: npt.NDArray[np.float64]) -> float:
    """Return the mean of a plane at the nuclei; 0 without any."""
    if not len(places):
        return 0.0
    y, x = np.rint(places).astype(np.int64).T
    return float(plane[np.clip(y, 0, plane.shape[0] - 1), np.clip(x, 0, plane.shape[1] - 1)].mean())


def _against_mean(plane: Floats, places: npt.NDArray[np.float64]) -> Floats:
    """Divide a stain by its mean around nuclei."""
    level = _mean_at(_smooth(plane, _SMOOTH_UM), places)
    return np.asarray(plane / level if level > 0 else plane, np.float32)


def _traits(
    counted: pd.DataFrame, nuclear_column: str
) -> tuple[dict[str, npt.NDArray[np.float64]], float]:
    """Return what each nucleus is like against the slide's mean, and how sizes spread."""

    def centred(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        known = np.isfinite(values)
        middle = float(values[known].mean()) if known.any() else 0.0
        return np.where(known, values - middle, 0.0)

    log_area = centred(np.log2(np.maximum(counted["nucleus_area_um2"].to_numpy(np.float64), 4.0)))
    blue = counted[nuclear_column].to_numpy(np.float64)
    middle = float(np.nanmean(blue)) if np.isfinite(blue).any() else 0.0
    blue = np.nan_to_num(blue / middle - 1) if middle > 0 else np.zeros(len(counted))
    traits = {
        "log_area": log_area,
        "small": centred((log_area < np.log2(_SMALL)).astype(np.float64)),
        "eccentricity": centred(counted["nucleus_eccentricity"].to_numpy(np.float64)),
        "solidity": 5 * centred(1 - counted["nucleus_solidity"].to_numpy(np.float64)),
        "blue": np.clip(blue, -1, 2),
        "log_area_squared": log_area**2,
    }
    return traits, float(log_area.std()) if len(log_area) else 0.0


def _means(
    traits: Mapping[str, Floats], count: Floats, um: float, usual_spread: float
) -> list[Floats]:
    """Average traits over the nuclei around each pixel; 0 where there are none."""
    sigma = um / MAP_UM
    peak = 1.0 / (2 * np.pi * sigma**2)  # what one nucleus adds to the middle of its own blur
    weight = _smooth(count, um) + np.float32(_FEW * peak)
    means = {name: _smooth(plane, um) / weight for name, plane in traits.items()}
    variance = np.maximum(means["log_area_squared"] - means["log_area"] ** 2, 0)
    # Where there are hardly any nuclei, nothing is known: the usual.
    known = 1 - np.float32(_FEW * peak) / weight
    spread = (np.sqrt(variance) - np.float32(usual_spread)) * known
    return [*(means[name] for name in _TRAITS), spread]


class _Splat:
    """Adds values of cells to a part, each shared among the four pixels around its centre."""

    def __init__(
        self, places: npt.NDArray[np.float64], part: Region, whole: tuple[int, int]
    ) -> None:
        self._shape = part.height, part.width
        y, x = places.T
        top, left = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
        self._corners = []
        for dy in (0, 1):
            for dx in (0, 1):
                row = np.clip(top + dy, 0, whole[0] - 1) - part.y
                column = np.clip(left + dx, 0, whole[1] - 1) - part.x
                inside = (row >= 0) & (row < part.height) & (column >= 0) & (column < part.width)
                weight = np.abs(1 - dy - (y - top)) * np.abs(1 - dx - (x - left))
                at = row[inside] * part.width + column[inside]
                self._corners.append((at, weight[inside], inside))
        self.any = any(len(at) for at, _, _ in self._corners)

    def __call__(self, values: npt.NDArray[np.float64]) -> Floats:
        size = self._shape[0] * self._shape[1]
        total = sum(
            np.bincount(at, weight * values[inside], minlength=size)
            for at, weight, inside in self._corners
        )
        return np.asarray(total, np.float32).reshape(self._shape)
