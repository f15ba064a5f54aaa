"""Second-order and nearest-neighbour functions of cells, corrected for the window's edge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from histo.space.nearest import Nearest
from histo.space.pairs import checked_radii, pair_sums
from histo.space.window import Window, checked_points
from histo.threads import worker_count

__all__ = ["Overlap", "cross_k", "l_function", "nearest_function", "pair_correlation"]

Floats = npt.NDArray[np.float64]

#: Rows of a mask that are transformed at a time.
_STRIP = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """The area that a window shares with itself when it is moved (set covariance).

    Parameters
    ----------
    area_um2 : float64 (2 L + 1, 2 L + 1)
        Of moves by -L ... L pixels down and right.
    pixel_size_um : float

    Notes
    -----
    Counts of pixels from the discrete Fourier transform, rounded: exact. Between whole pixels
    the area of a union of square pixels is the bilinear interpolation, so that it is exact
    there too.

    References
    ----------
    Ohser (1983), Math. Operationsforsch. Statist. 14:63.

    Examples
    --------
    >>> strip = Window(np.ones((1, 10), bool), 2.0)
    >>> Overlap.of(strip, 6.0).at([[0.0, 0.0], [0.0, 5.0], [1.0, 5.0]])
    array([40., 30., 15.])
    """

    area_um2: Floats
    pixel_size_um: float

    @classmethod
    def of(cls, window: Window, reach_um: float) -> Overlap:
        """Return the overlap for moves of up to ``reach_um``."""
        um = window.pixel_size_um
        reach = int(np.ceil(reach_um / um)) + 1
        found = [np.flatnonzero(window.mask.max(axis=axis)) for axis in (1, 0)]
        if not found[0].size:
            return cls(np.zeros((2 * reach + 1, 2 * reach + 1)), um)
        mask = window.mask[found[0][0] : found[0][-1] + 1, found[1][0] : found[1][-1] + 1]
        rows = min(_STRIP, len(mask))
        shape = tuple(
            fft.next_fast_len(size, real=True) for size in (rows + 2 * reach, mask.shape[1] + reach)
        )
        framed = np.pad(mask, ((reach, reach + rows), (0, 0)))
        product = np.zeros((shape[0], shape[1] // 2 + 1), np.complex128)
        threads = worker_count()
        for start in range(0, len(mask), rows):
            around = framed[start : start + rows + 2 * reach].astype(np.float64)
            own = around.copy()
            own[:reach] = own[reach + rows :] = 0
            moved = fft.rfft2(around, shape, workers=threads)
            product += np.conj(fft.rfft2(own, shape, workers=threads)) * moved
        shared = fft.irfft2(product, shape, workers=threads)
        moves = np.arange(-reach, reach + 1)
        return cls(np.rint(shared[np.ix_(moves, moves)]) * um**2, um)

    def at(self, moves_um: npt.ArrayLike) -> Floats:
        """Return the area shared at moves; float (N, 2), y and x in µm, within the reach."""
        middle = len(self.area_um2) // 2
        at = checked_points(moves_um) / self.pixel_size_um + middle
        corner = np.clip(np.floor(at).astype(int), 0, 2 * middle - 1)
        dy, dx = (at - corner).T
        y, x = corner.T
        area = self.area_um2
        top = area[y, x] * (1 - dx) + area[y, x + 1] * dx
        bottom = area[y + 1, x] * (1 - dx) + area[y + 1, x + 1] * dx
        return np.asarray(top * (1 - dy) + bottom * dy)


def cross_k(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    radii_um: npt.ArrayLike,
    *,
    window: Window,
    same: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    overlap: Overlap | None = None,
) -> Floats:
    """Return Ripley's K from cells A to cells B, with translation weights on the real mask.

    ``K(r) = |W|² / P * sum over pairs within r of 1 / |W ∩ (W + h)|``, h being the way from one
    to the other and P the number of pairs that A and B make. Without interaction, pi r².

    Parameters
    ----------
    a, b : float (N, 2), float (M, 2)
        y, x in µm, in the window.
    radii_um : float (R,)
        Ascending.
    window : Window
    same : (int (N,), int (M,)), optional
        Numbers of the cells, so that a cell in both makes no pair with itself. K of one type:
        the same points and numbers twice.
    overlap : Overlap, optional
        Of this window, as far as the largest radius or further; to compute it only once.

    Returns
    -------
    float64 (R,)
        µm²; NaN when there is no pair.

    Raises
    ------
    ValueError
        If a point lies outside of the window.

    References
    ----------
    Ohser, Stoyan (1981), Biom. J. 23:523. Baddeley, Rubak, Turner (2015), Spatial Point
    Patterns, 7.4.

    Examples
    --------
    >>> window = Window(np.ones((100, 100), bool), 10.0)
    >>> points = np.random.default_rng(0).uniform(0, 1000, (2000, 2))
    >>> ids = np.arange(2000)
    >>> k = cross_k(points, points, [50], window=window, same=(ids, ids))
    >>> abs(k[0] / (np.pi * 50**2) - 1) < 0.03
    np.True_
    """
    radii = checked_radii(radii_um)
    for points in (a, b):
        if not window.contains(points).all():
            raise ValueError("all points must lie in the window.")
    pairs = float(len(checked_points(a)) * len(checked_points(b)))
    if same is not None:
        pairs -= np.intersect1d(np.asarray(same[0]), np.asarray(same[1])).size
    if not pairs:
        return np.full(radii.size, np.nan)
    overlap = overlap or Overlap.of(window, float(radii[-1]))
    if (len(overlap.area_um2) // 2 - 1) * overlap.pixel_size_um < radii[-1] - 1e-9:
        raise ValueError("the overlap does not reach as far as the largest radius.")
    plane = overlap.area_um2, overlap.pixel_size_um
    sums = pair_sums(a, b, radii, same=same, overlap=plane)[1]
    return sums * (window.area_um2**2 / pairs)


def l_function(k_um2: npt.ArrayLike) -> Floats:
    """Return L = sqrt(K / pi), which is r without interaction.

    Parameters
    ----------
    k_um2 : float (R,)

    Returns
    -------
    float64 (R,)
        µm.

    References
    ----------
    Besag (1977), J. R. Stat. Soc. B 39:193.

    Examples
    --------
    >>> l_function([np.pi * 30**2])
    array([30.])
    """
    return np.sqrt(np.asarray(k_um2, np.float64) / np.pi)


def pair_correlation(k_um2: npt.ArrayLike, radii_um: npt.ArrayLike) -> Floats:
    """Return the pair correlation g in the rings between radii: how many times as many pairs.

    ``g = (K(r1) - K(r0)) / (pi (r1² - r0²))``, the first ring being a disc. 1 without
    interaction.

    Parameters
    ----------
    k_um2, radii_um : float (R,)

    Returns
    -------
    float64 (R,)

    References
    ----------
    Baddeley, Rubak, Turner (2015), Spatial Point Patterns, 7.6.

    Examples
    --------
    >>> pair_correlation(np.pi * np.array([100, 400.0]), [10, 20])
    array([1., 1.])
    """
    radii = checked_radii(radii_um)
    k = np.asarray(k_um2, np.float64)
    return np.diff(k, prepend=0.0) / (np.pi * np.diff(radii**2, prepend=0.0))


def nearest_function(
    nearest: Nearest, radii_um: npt.ArrayLike, *, correction: str = "kaplan-meier"
) -> Floats:
    """Return G(r), the share of cells that have their nearest neighbour within r.

    Without interaction, 1 - exp(-density pi r²).

    Parameters
    ----------
    nearest : Nearest
        Distances to the neighbour and to the edge.
    radii_um : float (R,)
    correction : {"kaplan-meier", "border"}
        Border (reduced sample): only cells further than r from the edge count. Kaplan-Meier
        uses all cells as far as they see.

    Returns
    -------
    float64 (R,)
        0 ... 1; NaN where no cell sees that far.

    Raises
    ------
    ValueError
        If there is no such correction.

    References
    ----------
    Baddeley, Gill (1997), Ann. Stat. 25:263.

    Examples
    --------
    >>> nearest = Nearest(np.array([5.0, 30.0]), np.array([50.0, 20.0]))
    >>> nearest_function(nearest, [10, 25])
    array([0.5, nan])
    >>> nearest_function(nearest, [10, 25], correction="border")
    array([0.5, 1. ])
    """
    radii = checked_radii(radii_um)
    if correction == "kaplan-meier":
        return nearest.share_within(radii)
    if correction != "border":
        raise ValueError(f'correction must be "kaplan-meier" or "border", got {correction}.')
    sees = nearest.edge_um[:, None] >= radii
    near = nearest.distances_um[:, None] <= radii
    seeing = sees.sum(axis=0)
    return np.where(seeing > 0, (sees & near).sum(axis=0) / np.maximum(seeing, 1), np.nan)
