"""From the sections of an animal to its burden: pooled ratios, volumes and their error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.errors import ResultError
from histo.region.lung import LungSection

__all__ = [
    "Cavalieri",
    "LungAreas",
    "cavalieri",
    "pool_areas",
    "pooled_ratio",
    "ratio_error",
    "scattered_error",
]

_ALPHA = {0: 1 / 12, 1: 1 / 240}


@dataclass(frozen=True, slots=True)
class LungAreas:
    """The areas of one section that burden is made from; what a result stores.

    Parameters
    ----------
    lobe_um2 : float
        Lobes with their air.
    parenchyma_um2 : float
        Septa and lesions, without air, large airways and vessels.
    foci_um2 : tuple of float
        Area of each focus that counts.
    small_um2 : tuple of float
        Of those too small to count, from 30 µm on.
    edge_count : int
        Foci that count and that the picture cuts.
    refused_count : int
        Solid places that are no foci.

    Raises
    ------
    ValueError
        If an area is negative or not finite.

    Examples
    --------
    >>> LungAreas(2e7, 5e6, (1e5, 2e4)).lesion_um2
    120000.0
    """

    lobe_um2: float
    parenchyma_um2: float
    foci_um2: tuple[float, ...] = ()
    small_um2: tuple[float, ...] = ()
    edge_count: int = 0
    refused_count: int = 0

    def __post_init__(self) -> None:
        for name in ("foci_um2", "small_um2"):
            object.__setattr__(self, name, tuple(float(a) for a in getattr(self, name)))
        for area in (self.lobe_um2, self.parenchyma_um2, *self.foci_um2, *self.small_um2):
            if not (math.isfinite(area) and area >= 0):
                raise ValueError(f"an area must be finite and >= 0 µm², got {area}.")

    @classmethod
    def of(cls, section: LungSection) -> LungAreas:
        """Take the areas of a section."""
        return cls(
            section.lobe_um2,
            section.parenchyma_um2,
            tuple(f.area_um2 for f in section.foci),
            tuple(f.area_um2 for f in section.small),
            sum(f.touches_edge for f in section.foci),
            len(section.refused),
        )

    @property
    def lesion_um2(self) -> float:
        """Area of the foci that count."""
        return math.fsum(self.foci_um2)

    def at_least(self, diameter_um: float) -> tuple[float, ...]:
        """Return the areas of all foci of at least an equivalent diameter, small ones too."""
        least = math.pi / 4 * diameter_um**2
        return tuple(a for a in (*self.foci_um2, *self.small_um2) if a >= least)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, as JSON takes them."""
        return {
            "lobe_um2": self.lobe_um2,
            "parenchyma_um2": self.parenchyma_um2,
            "foci_um2": list(self.foci_um2),
            "small_um2": list(self.small_um2),
            "edge_count": self.edge_count,
            "refused_count": self.refused_count,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> LungAreas:
        """Return what :meth:`to_dict` gave.

        Raises
        ------
        ResultError
            If it is something else.
        """
        try:
            return cls(
                float(content["lobe_um2"]),
                float(content["parenchyma_um2"]),
                tuple(content["foci_um2"]),
                tuple(content["small_um2"]),
                int(content["edge_count"]),
                int(content["refused_count"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ResultError(
                f"The lung's areas cannot be read ({error}); run the slide again."
            ) from error


def pool_areas(sections: Sequence[LungAreas]) -> LungAreas:
    """Return the sums over the sections of an animal.

    Examples
    --------
    >>> pool_areas([LungAreas(1e6, 2e5, (1e4,)), LungAreas(3e6, 8e5)]).lobe_um2
    4000000.0
    """
    return LungAreas(
        math.fsum(s.lobe_um2 for s in sections),
        math.fsum(s.parenchyma_um2 for s in sections),
        tuple(a for s in sections for a in s.foci_um2),
        tuple(a for s in sections for a in s.small_um2),
        sum(s.edge_count for s in sections),
        sum(s.refused_count for s in sections),
    )


def pooled_ratio(parts: Sequence[float], wholes: Sequence[float]) -> float:
    """Return the sum of parts over the sum of wholes; NaN without a whole.

    Never the mean of the sections' own ratios, in which a small section would weigh as much as a
    large one.

    Examples
    --------
    >>> pooled_ratio([1.0, 0.0], [2.0, 8.0])
    0.1
    """
    whole = math.fsum(wholes)
    return math.fsum(parts) / whole if whole > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Cavalieri:
    """A volume from parallel sections.

    Attributes
    ----------
    volume_um3 : float
    ce : float
        Coefficient of error: standard error over the volume; NaN for fewer than three sections
        or no area at all.
    smoothness : int
        Class m of the area function for which `ce` holds, 0 or 1.
    sections : int
    """

    volume_um3: float
    ce: float
    smoothness: int
    sections: int


def cavalieri(areas_um2: npt.ArrayLike, spacing_um: float, *, smoothness: int) -> Cavalieri:
    r"""Estimate a volume from equidistant sections: V = t (A_1 + ... + A_n).

    The variance is :math:`t^2 \alpha(m) (3 a - 4 b + c)` with :math:`a = \sum A_i^2`,
    :math:`b = \sum A_i A_{i+1}`, :math:`c = \sum A_i A_{i+2}` and :math:`\alpha = 1/12` for
    smoothness m = 0, 1/240 for m = 1. Areas are taken as measured without noise.

    Parameters
    ----------
    areas_um2 : float (n,)
        In the order of the sections; those without the structure between and beyond are 0 and
        belong in the list.
    spacing_um : float
        From a section to the next; the first must lie at random within it.
    smoothness : int
        0 for an area that begins, ends or jumps abruptly (foci of metastasis), 1 for one that
        changes smoothly (a whole lung). 0 gives the larger, safer error.

    Returns
    -------
    Cavalieri

    Raises
    ------
    ValueError
        If there is no section, an area is negative or not finite, the spacing is not positive or
        the smoothness is neither 0 nor 1.

    References
    ----------
    Gundersen HJG, Jensen EB. The efficiency of systematic sampling in stereology and its
    prediction. J Microsc 1987;147:229-263.
    Gundersen HJG, Jensen EBV, Kieu K, Nielsen J. The efficiency of systematic sampling in
    stereology - reconsidered. J Microsc 1999;193:199-211.

    Examples
    --------
    >>> round(cavalieri([1.0, 2.0, 3.0], 10.0, smoothness=1).ce, 4)
    0.0388
    """
    areas = np.asarray(areas_um2, np.float64)
    if areas.ndim != 1 or not areas.size or not np.isfinite(areas).all() or (areas < 0).any():
        raise ValueError("areas_um2 must be a list of finite areas >= 0, at least one.")
    if not (math.isfinite(spacing_um) and spacing_um > 0):
        raise ValueError(f"spacing_um must be finite and above 0, got {spacing_um}.")
    total, error = float(areas.sum()), _error_of_sum(areas, smoothness)
    ce = error / total if areas.size >= 3 and total > 0 else math.nan
    return Cavalieri(spacing_um * total, ce, smoothness, int(areas.size))


def ratio_error(parts_um2: npt.ArrayLike, wholes_um2: npt.ArrayLike, *, smoothness: int) -> float:
    r"""Return the coefficient of error of a share of a volume, from equidistant sections.

    The share is the sum of the parts over the sum of the wholes, :math:`r`. Parts and wholes rise
    and fall together: the variance is that of the sum of what is left, :math:`p_i - r w_i`, by the
    same formula as in :func:`cavalieri`. That is the variance of a ratio to first order.

    Parameters
    ----------
    parts_um2, wholes_um2 : float (n,)
        Areas in the order of the sections.
    smoothness : int
        0 or 1, as in :func:`cavalieri`.

    Returns
    -------
    float
        Standard error over the share; NaN for fewer than three sections or without parts.

    Raises
    ------
    ValueError
        If the two have different lengths, or the smoothness is neither 0 nor 1.

    References
    ----------
    Cochran WG. Sampling Techniques, 3rd edition, section 2.11. Wiley, 1977.

    Examples
    --------
    >>> ratio_error([1.0, 2.0, 1.0], [10.0, 20.0, 10.0], smoothness=0)
    0.0
    """
    parts, wholes = np.asarray(parts_um2, np.float64), np.asarray(wholes_um2, np.float64)
    if parts.ndim != 1 or parts.shape != wholes.shape:
        raise ValueError(f"one part a whole is needed, got {parts.shape} and {wholes.shape}.")
    total = float(parts.sum())
    left = np.asarray(parts - pooled_ratio(parts.tolist(), wholes.tolist()) * wholes)
    error = _error_of_sum(left, smoothness)
    return error / total if parts.size >= 3 and total > 0 else math.nan


def scattered_error(foci_um2: Sequence[float]) -> float:
    r"""Return the coefficient of error of a sum over foci that lie at random, each cut once.

    Small foci are met by chance, each by one section at most; then the areas of neighbouring
    sections do not depend on each other, and the formula of :func:`cavalieri`, which takes them
    for a smooth curve, gives half of the true error. The variance of a sum of a random number of
    independent areas is estimated without bias by the sum of their squares (Campbell's theorem).
    Where sections cut the same foci again and again it gives too much.

    Parameters
    ----------
    foci_um2 : sequence of float
        The area of each focus, of all sections.

    Returns
    -------
    float
        Standard error over the sum; NaN without a focus.

    References
    ----------
    Kingman JFC. Poisson Processes, section 3.2. Oxford, 1993.

    Examples
    --------
    >>> scattered_error([1e4] * 25)
    0.2
    """
    total = math.fsum(foci_um2)
    return math.sqrt(math.fsum(a * a for a in foci_um2)) / total if total > 0 else math.nan


def _error_of_sum(values: npt.NDArray[np.float64], smoothness: int) -> float:
    """Return the standard error of the sum of a systematic series."""
    if smoothness not in _ALPHA:
        raise ValueError(f"smoothness must be 0 or 1, got {smoothness}.")
    a, b, c = (float((values[k:] * values[: values.size - k]).sum()) for k in (0, 1, 2))
    return math.sqrt(max(_ALPHA[smoothness] * (3 * a - 4 * b + c), 0.0))
