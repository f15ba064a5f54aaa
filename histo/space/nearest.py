"""Distances to the nearest neighbour, for cells that do not see beyond the window's edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from histo.space.blocks import MIN_CELLS, block_variance, share_interval
from histo.space.window import checked_points
from histo.threads import worker_count

__all__ = ["Nearest", "NearestIntervals", "nearest_distances", "nearest_intervals"]

Floats = npt.NDArray[np.float64]

#: Steps of distance in which blocks are summed up.
_STEPS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """Distances from cells to their nearest neighbour, and to the edge of the window.

    A cell that is nearer to the edge than to its neighbour is censored: a nearer one may lie
    beyond. Quantiles and shares are Kaplan-Meier estimates, which use a censored cell as far
    as it sees; a cell knows its neighbour when ``distances_um <= edge_um``.

    Parameters
    ----------
    distances_um : float64 (N,)
        To the nearest neighbour; infinite when there is none.
    edge_um : float64 (N,)
        To the window's edge.

    Raises
    ------
    ValueError
        If the two are not of the same cells, or a distance to a neighbour is negative.

    References
    ----------
    Baddeley, Gill (1997), Ann. Stat. 25:263: the estimator is ratio-unbiased in its hazard,
    and better than the reduced sample, which throws away all cells near the edge.

    Examples
    --------
    >>> nearest = Nearest(np.array([5.0, 8.0, 30.0, 12.0]), np.array([50.0, 50.0, 6.0, 50.0]))
    >>> nearest.censored, nearest.quantile([0.25, 0.5])
    (1, array([5., 8.]))
    """

    distances_um: Floats
    edge_um: Floats

    def __post_init__(self) -> None:
        for name in ("distances_um", "edge_um"):
            object.__setattr__(self, name, np.array(getattr(self, name), np.float64))
        if self.distances_um.ndim != 1 or self.distances_um.shape != self.edge_um.shape:
            raise ValueError(
                "there must be one distance to a neighbour and one to the edge for each cell, "
                f"got {self.distances_um.shape} and {self.edge_um.shape}."
            )
        if not (self.distances_um >= 0).all() or np.isnan(self.edge_um).any():
            raise ValueError("distances must be >= 0 and not NaN.")
        self.distances_um.setflags(write=False)
        self.edge_um.setflags(write=False)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which cells know their nearest neighbour, bool (N,)."""
        return (self.distances_um <= self.edge_um) & np.isfinite(self.distances_um)

    @property
    def seen_um(self) -> Floats:
        """How far each cell sees: to its neighbour or to the edge, float64 (N,)."""
        return np.maximum(np.minimum(self.distances_um, self.edge_um), 0)

    @property
    def censored(self) -> int:
        """How many cells do not know their nearest neighbour."""
        return int(np.count_nonzero(~self.known))

    def share_within(self, radii_um: npt.ArrayLike) -> Floats:
        """Return the share of cells with a neighbour within radii, float64 (R,).

        NaN beyond the distance that the furthest-seeing cell sees, where not all have found one.
        """
        radii = np.atleast_1d(np.asarray(radii_um, np.float64))
        times, shares = self._curve()
        if not times.size:
            return np.full(radii.size, np.nan)
        found = np.concatenate([[0.0], shares])[np.searchsorted(times, radii, side="right")]
        beyond = (radii > times[-1]) & (shares[-1] < 1)
        return np.where(beyond, np.nan, found)

    def quantile(self, shares: npt.ArrayLike) -> Floats:
        """Return the distances within which shares of the cells have a neighbour, float64 (Q,).

        NaN where censoring hides the quantile.
        """
        wanted = np.atleast_1d(np.asarray(shares, np.float64))
        times, reached = self._curve()
        at = np.searchsorted(reached, wanted - 1e-12, side="left")
        return np.append(times, np.nan)[at]

    def _curve(self) -> tuple[Floats, Floats]:
        """Return distances, ascending, and the share that found a neighbour up to each."""
        times, known = self.seen_um, self.known
        # At the same distance, those who find come before those who lose sight.
        order = np.lexsort((~known, times))
        times, known = times[order], known[order]
        at_risk = np.arange(times.size, 0, -1)
        return times, np.asarray(1 - np.cumprod(1 - known / at_risk), np.float64)


@dataclass(frozen=True, slots=True)
class NearestIntervals:
    """95 % intervals of quantiles and shares of nearest-neighbour distances.

    Attributes
    ----------
    quantiles : float64 (Q, 2)
        µm, low and high.
    shares : float64 (R, 2)
        0 ... 1.
    """

    quantiles: Floats
    shares: Floats


def nearest_distances(
    from_um: npt.ArrayLike,
    to_um: npt.ArrayLike,
    *,
    same: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
) -> Floats:
    """Return the distance from each cell to the nearest of others.

    Parameters
    ----------
    from_um, to_um : float (N, 2), float (M, 2)
        y, x.
    same : (int (N,), int (M,)), optional
        Numbers of the cells: a cell that is in both is no neighbour of itself.

    Returns
    -------
    float64 (N,)
        µm; infinite when there is no other cell.

    Examples
    --------
    >>> nearest_distances([[0, 0], [0, 9]], [[0, 4]])
    array([4., 5.])
    >>> nearest_distances([[0, 0], [0, 9]], [[0, 0], [0, 9]], same=([1, 2], [1, 2]))
    array([9., 9.])
    """
    start, end = checked_points(from_um), checked_points(to_um)
    if not len(start) or not len(end):
        return np.full(len(start), np.inf)
    tree = cKDTree(end)
    if same is None:
        return np.asarray(tree.query(start, workers=worker_count())[0], np.float64)
    ids, others = (np.asarray(numbers, np.int64) for numbers in same)
    if ids.shape != (len(start),) or others.shape != (len(end),):
        raise ValueError("there must be one number for each cell.")
    away, which = tree.query(start, k=2, workers=worker_count())
    # Where there is no second neighbour, the tree gives infinity and the number M.
    is_self = np.append(others, -1)[which[:, 0]] == ids
    second_is_self = np.append(others, -1)[which[:, 1]] == ids
    found = np.where(is_self, away[:, 1], away[:, 0])
    return np.where(is_self & second_is_self & np.isfinite(away[:, 1]), np.inf, found)


def nearest_intervals(
    points_um: npt.ArrayLike,
    nearest: Nearest,
    *,
    quantiles: npt.ArrayLike = (0.25, 0.5, 0.75),
    radii_um: npt.ArrayLike = (10.0, 20.0, 30.0),
    seed: int = 0,
) -> NearestIntervals:
    """Return intervals that respect that neighbouring cells are alike.

    The share within a distance varies as in a bootstrap of blocks of tissue
    (:func:`histo.space.block_variance`); a quantile's interval is where the share's interval
    around it is reached (Woodruff).

    Parameters
    ----------
    points_um : float (N, 2)
        y, x of the cells.
    nearest : Nearest
        Of these cells.
    quantiles : float (Q,)
    radii_um : float (R,)
    seed : int

    Returns
    -------
    NearestIntervals
        NaN where it cannot be known: fewer than `MIN_CELLS` cells, or too few blocks.

    References
    ----------
    Woodruff (1952), JASA 47:635. Lahiri (2003), Resampling Methods for Dependent Data, 12.

    Examples
    --------
    >>> points = np.random.default_rng(0).uniform(0, 4000, (900, 2))
    >>> ids = np.arange(900)
    >>> away = nearest_distances(points, points, same=(ids, ids))
    >>> ends = nearest_intervals(points, Nearest(away, np.full(900, np.inf)))
    >>> bool(ends.quantiles[1, 0] < np.median(away) < ends.quantiles[1, 1])
    True
    """
    points = checked_points(points_um)
    wanted = np.atleast_1d(np.asarray(quantiles, np.float64))
    radii = np.atleast_1d(np.asarray(radii_um, np.float64))
    nothing = NearestIntervals(np.full((wanted.size, 2), np.nan), np.full((radii.size, 2), np.nan))
    if len(points) < MIN_CELLS:
        return nothing
    middles = nearest.quantile(wanted)
    at = np.concatenate([middles, radii])
    shares = nearest.share_within(np.nan_to_num(at, nan=0.0))
    variance, degrees = _variance_of_shares(points, nearest, at, seed)
    if not degrees:
        return nothing
    ends = np.array(
        [
            share_interval(share, own, n=len(points), degrees=degrees)
            if np.isfinite(share) and np.isfinite(own) and np.isfinite(place)
            else (np.nan, np.nan)
            for share, own, place in zip(shares, variance, at, strict=True)
        ]
    )
    of_quantiles = np.full((wanted.size, 2), np.nan)
    for row, (low, high) in enumerate(ends[: wanted.size]):
        if np.isfinite(low):
            of_quantiles[row] = nearest.quantile([low, high])
    return NearestIntervals(of_quantiles, ends[wanted.size :])


def _variance_of_shares(
    points: Floats, nearest: Nearest, at: Floats, seed: int
) -> tuple[Floats, float]:
    """Return the variance of the share within each distance, and its degrees of freedom."""
    seen, known = nearest.seen_um, nearest.known
    asked = at[np.isfinite(at)]
    edges = np.unique(np.concatenate([np.quantile(seen, np.linspace(0, 1, _STEPS)), asked]))
    step = np.searchsorted(edges, seen, side="left")
    column = np.searchsorted(edges, np.nan_to_num(at, nan=0.0), side="left")

    def sums_in(block: npt.NDArray[np.int64], count: int) -> Floats:
        """Sum up those who found, and those who lost sight, in each block and step."""
        flat = (block * 2 + ~known) * edges.size + step
        return np.bincount(flat, minlength=count * 2 * edges.size).reshape(count, -1).astype(float)

    def statistic(sums: Floats) -> Floats:
        found, lost = np.split(sums, 2, axis=1)
        at_risk = np.cumsum((found + lost)[:, ::-1], axis=1)[:, ::-1]
        still = np.cumprod(1 - found / np.maximum(at_risk, 1), axis=1)
        return np.asarray(1 - still[:, column], np.float64)

    return block_variance(points, sums_in, statistic, seed=seed)
