"""Areas of a slide, and how much of them is how strongly stained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.errors import ResultError

__all__ = ["OD_EDGES", "Histogram", "SlideAreas", "intensity_edges"]

OD_EDGES: npt.NDArray[np.float64] = np.round(np.arange(-100, 501) * 0.005, 3)
"""Bins of 0.005 OD (base 10) from -0.5 to 2.5; 8-bit images end at 2.41."""
OD_EDGES.setflags(write=False)


def intensity_edges(largest: float, *, bins: int = 1024) -> npt.NDArray[np.float64]:
    """Return bin edges for fluorescence: fine near 0, wide at the top.

    Parameters
    ----------
    largest : float
        The largest intensity to tell apart; the slide's units.
    bins : int

    Returns
    -------
    float64 (bins + 1,)
        From 0 to ``largest``, equal steps of ``log1p(1000 * value / largest)``.

    Raises
    ------
    ValueError
        If ``largest`` is not above 0 or there is no bin.

    Examples
    --------
    >>> intensity_edges(65535.0, bins=2).round(0)
    array([    0.,  2008., 65535.])
    """
    if not (np.isfinite(largest) and largest > 0) or bins < 1:
        raise ValueError(f"largest must be > 0 and bins >= 1, got {largest} and {bins}.")
    edges = np.expm1(np.linspace(0, np.log1p(1000.0), bins + 1)) * (largest / 1000.0)
    edges[-1] = largest
    return edges


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How many pixels have which value.

    Parameters
    ----------
    edges : float64 (B + 1,)
        Ascending; OD (base 10) or intensity. Values beyond are in the outer bins.
    counts : int64 (B,)
        Pixels.

    Raises
    ------
    ValueError
        If the edges do not ascend, or the counts are negative or of another number.

    Examples
    --------
    >>> h = Histogram.of(np.array([0.1, 0.2, 0.35, 0.9]), OD_EDGES)
    >>> h.total, h.at_least(0.3)
    (4, 2.0)
    """

    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        edges = np.array(self.edges, dtype=np.float64)
        counts = np.array(self.counts, dtype=np.int64)
        if edges.ndim != 1 or counts.shape != (edges.size - 1,) or (np.diff(edges) <= 0).any():
            raise ValueError(
                "a histogram needs ascending edges and one count fewer, got "
                f"{edges.shape} edges and {counts.shape} counts."
            )
        if (counts < 0).any():
            raise ValueError("a histogram's counts must be >= 0.")
        edges.setflags(write=False)
        counts.setflags(write=False)
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "counts", counts)

    @classmethod
    def of(
        cls,
        values: npt.NDArray[Any],
        edges: npt.NDArray[np.float64],
        *,
        where: npt.NDArray[np.bool_] | None = None,
    ) -> Histogram:
        """Count values; those beyond the edges go to the outer bins, NaN nowhere.

        Parameters
        ----------
        values : float or int, any shape
        edges : float64 (B + 1,)
        where : bool, shape of ``values``, optional
            Which values count; by default all.

        Raises
        ------
        ValueError
            If ``where`` has another shape.
        """
        # Loads numba, which reading a result does not need.
        from histo.metrics.counting import count_values

        values = np.atleast_1d(values)
        where = np.ones(values.shape, np.bool_) if where is None else where
        if where.shape != values.shape:
            raise ValueError(f"where must be {values.shape} like the values, got {where.shape}.")
        edges = np.asarray(edges, dtype=np.float64)
        counts = np.zeros(edges.size - 1, np.int64)
        step = (edges[-1] - edges[0]) / counts.size
        # Equal bins need no search; OD histograms are taken of every pixel of a slide.
        equal = np.allclose(np.diff(edges), step, rtol=1e-6, atol=0)
        if values.size:
            rows = (-1, values.shape[-1])
            count_values(
                values.reshape(rows), where.reshape(rows), edges, step if equal else 0.0, counts
            )
        return cls(edges, counts)

    @property
    def total(self) -> int:
        """All pixels."""
        return int(self.counts.sum())

    def at_least(self, threshold: npt.ArrayLike) -> Any:
        """Return how many pixels reach a threshold, by linear interpolation within its bin.

        Parameters
        ----------
        threshold : float (...)

        Returns
        -------
        float or float64 (...)
            Pixels; NaN for a NaN threshold.
        """
        below = np.concatenate([[0], np.cumsum(self.counts)])
        threshold = np.asarray(threshold, dtype=np.float64)
        above = self.total - np.interp(threshold, self.edges, below)
        return float(above) if above.ndim == 0 else above

    def __add__(self, other: Histogram) -> Histogram:
        """Join the histograms of two tiles.

        Raises
        ------
        ValueError
            If their edges differ.
        """
        if not np.array_equal(self.edges, other.edges):
            raise ValueError("histograms with different edges cannot be added.")
        return Histogram(self.edges, self.counts + other.counts)


@dataclass(frozen=True, slots=True)
class SlideAreas:
    """The areas that densities and percentages are of.

    Parameters
    ----------
    tissue_um2 : float
        All tissue, µm².
    valid_um2 : float
        Tissue outside of artefacts: the denominator of every density.
    artefact_um2 : float
        Tissue in artefacts.
    histograms : mapping of str to Histogram
        Valid tissue's pixels by value, for each stain or channel.

    Raises
    ------
    ValueError
        If an area is negative or not finite.

    Examples
    --------
    >>> areas = SlideAreas(2e6, 1.8e6, 2e5, {"dab": Histogram.of(np.zeros(9), OD_EDGES)})
    >>> SlideAreas.from_dict(areas.to_dict()).valid_um2
    1800000.0
    """

    tissue_um2: float
    valid_um2: float
    artefact_um2: float = 0.0
    histograms: Mapping[str, Histogram] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("tissue_um2", "valid_um2", "artefact_um2"):
            value = float(getattr(self, name))
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and >= 0 µm², got {value}.")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "histograms", dict(self.histograms))

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, lists and dicts, as JSON takes them."""
        return {
            "tissue_um2": self.tissue_um2,
            "valid_um2": self.valid_um2,
            "artefact_um2": self.artefact_um2,
            "histograms": {
                name: {"edges": h.edges.tolist(), "counts": h.counts.tolist()}
                for name, h in self.histograms.items()
            },
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SlideAreas:
        """Return what :meth:`to_dict` gave.

        Raises
        ------
        ResultError
            If it is something else.
        """
        try:
            return cls(
                float(content["tissue_um2"]),
                float(content["valid_um2"]),
                float(content["artefact_um2"]),
                {
                    name: Histogram(np.array(h["edges"], float), np.array(h["counts"], np.int64))
                    for name, h in content["histograms"].items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ResultError(
                f"The slide's areas cannot be read ({error}); run the slide again."
            ) from error
