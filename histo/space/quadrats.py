"""Cells in squares of tissue: whether two types share them, and where many are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi
from scipy import stats

from histo.space.window import Window, checked_points

__all__ = ["HotQuadrats", "Quadrats", "hot_quadrats", "morisita_horn"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: Fewer quadrats have no spread to compare with.
_MIN_QUADRATS = 30


@dataclass(frozen=True, slots=True, eq=False)
class Quadrats:
    """Squares that cover a window.

    Parameters
    ----------
    side_um : float
    origin_um : (float, float)
        y, x of the first square's corner: the window's own.
    area_um2 : float64 (R, C)
        Valid area in each square: of the mask's pixels, those cut by a side in part.
    kept : bool (R, C)
        Squares that lie in the tissue by enough of their area.

    Examples
    --------
    >>> tissue = Window(np.ones((10, 25), bool), 10.0)
    >>> squares = Quadrats.of(tissue, 100.0)
    >>> squares.area_um2, squares.kept
    (array([[10000., 10000.,  5000.]]), array([[ True,  True,  True]]))
    """

    side_um: float
    origin_um: tuple[float, float]
    area_um2: Floats
    kept: Bools

    @classmethod
    def of(cls, window: Window, side_um: float, *, min_valid: float = 0.5) -> Quadrats:
        """Lay squares over a window.

        Parameters
        ----------
        window : Window
        side_um : float
            At least a pixel.
        min_valid : float
            Squares with a smaller part of their area in the window are dropped.

        Raises
        ------
        ValueError
            If the side is below a pixel.
        """
        if not side_um >= window.pixel_size_um:
            raise ValueError(f"side_um must be at least a pixel, got {side_um}.")
        sums = np.pad(window.mask, ((1, 0), (1, 0))).cumsum(0, dtype=np.float64).cumsum(1)
        cuts = [_cuts(size, side_um / window.pixel_size_um) for size in window.mask.shape]
        # Between whole pixels the sum over a corner is linear along either axis.
        for axis, cut in enumerate(cuts):
            low = np.minimum(cut.astype(np.int64), sums.shape[axis] - 2)
            part = np.expand_dims(cut - low, 1 - axis)
            sums = sums.take(low, axis) * (1 - part) + sums.take(low + 1, axis) * part
        area = np.diff(np.diff(sums, axis=0), axis=1) * window.pixel_size_um**2
        return cls(side_um, window.origin_um, area, area >= min_valid * side_um**2 * (1 - 1e-9))

    def count(self, points_um: npt.ArrayLike) -> Ints:
        """Count the points in each square, int64 (R, C); those beyond are not counted."""
        at = (checked_points(points_um) - np.asarray(self.origin_um)) / self.side_um
        at = np.floor(at).astype(np.int64)
        rows, columns = self.area_um2.shape
        at = at[((at >= 0) & (at < (rows, columns))).all(axis=1)]
        counts = np.bincount(at[:, 0] * columns + at[:, 1], minlength=rows * columns)
        return counts.reshape(rows, columns)


@dataclass(frozen=True, slots=True, eq=False)
class HotQuadrats:
    """Where cells are denser than elsewhere in the tissue.

    Attributes
    ----------
    z : float64 (R, C)
        Getis-Ord Gi*; NaN in squares that are dropped.
    q : float64 (R, C)
        Smallest false-discovery rate at which the square counts as hot; NaN likewise.
    """

    z: Floats
    q: Floats

    def hot(self, rate: float = 0.05) -> Bools:
        """Return the hot squares at a false-discovery rate, bool (R, C)."""
        return self.q <= rate


def morisita_horn(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return how much two types share squares: 0 never together, 1 in the same proportions.

    ``2 sum(a b) / ((sum a² / A² + sum b² / B²) A B)``, A and B being the sums of a and b.

    Parameters
    ----------
    a, b : int (...)
        Cells in the same squares.

    Returns
    -------
    float
        NaN when there are no cells of either type.

    Raises
    ------
    ValueError
        If the two are not of the same squares.

    Notes
    -----
    With few cells a square, chance keeps types apart that mix perfectly, and the index falls
    below 1: compare slides with like numbers of cells only.

    References
    ----------
    Horn (1966), Am. Nat. 100:419. Maley et al. (2015), Breast Cancer Res. 17:131 (of
    lymphocytes and tumour cells).

    Examples
    --------
    >>> morisita_horn([1, 2, 0], [2, 4, 0]), morisita_horn([1, 0], [0, 1])
    (1.0, 0.0)
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape:
        raise ValueError(f"both must be of the same squares, got {first.shape}, {second.shape}.")
    total_a, total_b = first.sum(), second.sum()
    if total_a == 0 or total_b == 0:
        return float("nan")
    share_a, share_b = first / total_a, second / total_b
    return float(2 * (share_a * share_b).sum() / ((share_a**2).sum() + (share_b**2).sum()))


def hot_quadrats(quadrats: Quadrats, counts: npt.ArrayLike) -> HotQuadrats:
    """Find squares in whose neighbourhood cells are denser than in the tissue as a whole.

    Getis-Ord Gi* of the density in valid area, over a square and the eight around it. One-sided
    p-values of the Pearson III distribution that has the mean, variance and skewness of Gi*
    when the squares are shuffled; the normal distribution gives several times as many false
    alarms, since counts are skewed. Corrected by Benjamini and Hochberg, which holds for
    neighbourhoods that overlap.

    Parameters
    ----------
    quadrats : Quadrats
    counts : int (R, C)
        Cells in each square.

    Returns
    -------
    HotQuadrats
        All NaN when fewer than 30 squares are kept or all are equal.

    Notes
    -----
    Where a neighbourhood holds fewer than about ten cells on average, choose larger squares.

    References
    ----------
    Ord, Getis (1995), Geogr. Anal. 27:286. Sugden, Smith, Jones (2000), J. R. Stat. Soc.
    B 62:787 (skewness of sums drawn without replacement). Benjamini, Yekutieli (2001), Ann.
    Stat. 29:1165.
    Caldas de Castro, Singer (2006), Geogr. Anal. 38:180 (false discoveries of Gi*).

    Examples
    --------
    >>> squares = Quadrats.of(Window(np.ones((100, 100), bool), 10.0), 100.0)
    >>> counts = np.ones((10, 10), int)
    >>> counts[:3, :3] = 50
    >>> hot = hot_quadrats(squares, counts).hot()
    >>> hot[1, 1], hot[5, 5]
    (np.True_, np.False_)
    """
    kept = quadrats.kept
    nothing = HotQuadrats(np.full(kept.shape, np.nan), np.full(kept.shape, np.nan))
    n = int(np.count_nonzero(kept))
    density = np.where(kept, np.asarray(counts) / np.where(kept, quadrats.area_um2, 1), 0.0)
    if n < _MIN_QUADRATS or np.ptp(density[kept]) == 0:
        return nothing
    around = np.ones((3, 3))
    neighbours = ndi.convolve(kept.astype(np.float64), around, mode="constant")
    sums = ndi.convolve(density, around, mode="constant")
    mean, spread = density[kept].mean(), density[kept].std()
    k = neighbours[kept]
    z, q = nothing.z, nothing.q
    z[kept] = (sums[kept] - mean * k) / (spread * np.sqrt((n * k - k**2) / (n - 1)))
    skewness = float((((density[kept] - mean) / spread) ** 3).mean())
    skew = skewness * np.sqrt(n - 1) * (n - 2 * k) / ((n - 2) * np.sqrt(k * (n - k)))
    q[kept] = stats.false_discovery_control(stats.pearson3.sf(z[kept], skew))
    return HotQuadrats(z, q)


def _cuts(size: int, side_px: float) -> Floats:
    """Return where squares begin and end along an axis, in pixels within the mask."""
    count = int(np.ceil(size / side_px - 1e-9))
    return np.asarray(np.minimum(np.arange(count + 1) * side_px, size), np.float64)
