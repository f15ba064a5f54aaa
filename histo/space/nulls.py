"""What chance would give: labels dealt out among the cells, or cells dropped on the tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo.space.functions import Overlap, cross_k, l_function
from histo.space.pairs import checked_radii, count_permuted_pairs
from histo.space.window import Window, checked_points

__all__ = ["MAX_OUTER", "RadiusTest", "csr_test", "random_labelling", "simulate_csr"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MAX_OUTER = 10_000
"""Around so many cells pairs are counted; of more, so many are drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class RadiusTest:
    """A statistic at several radii, and what chance gives.

    Attributes
    ----------
    radii_um : float64 (R,)
    observed, expected : float64 (R,)
        ``expected`` is the mean over chance.
    low, high : float64 (R,)
        Between them lie 95 % of chance, at each radius on its own.
    p : float64 (R,)
        Two-sided, at each radius on its own: (b + 1) / (B + 1), b of B draws being at least
        as far from the mean.
    p_overall : float
        For all radii at once, by the largest deviation in standard deviations.
    """

    radii_um: Floats
    observed: Floats
    expected: Floats
    low: Floats
    high: Floats
    p: Floats
    p_overall: float

    @property
    def ratio(self) -> Floats:
        """Observed over expected, float64 (R,); NaN where nothing is expected."""
        some = self.expected > 0
        return np.where(some, self.observed / np.where(some, self.expected, 1), np.nan)


def random_labelling(
    points_um: npt.ArrayLike,
    a: Bools,
    b: Bools,
    *,
    radii_um: npt.ArrayLike,
    permutations: int = 999,
    seed: int = 0,
) -> RadiusTest:
    """Test whether cells A have more or fewer cells B near them than labels at random would.

    The statistic is the number of pairs of a cell A and another cell B within r. The cells
    stay where they are and the labels are permuted among them, both labels of a cell
    together. So neither the density of cells, nor the tissue's shape, nor how often one cell
    carries both labels matters, and no edge correction is needed.

    Parameters
    ----------
    points_um : float (N, 2)
        All cells that might carry a label, such as lymphoid cells in one compartment; y, x.
    a, b : bool (N,)
        Which are A, and B; the same twice to see whether one type clusters.
    radii_um : float (R,)
        Ascending.
    permutations : int
        999 or more for a p-value to report.
    seed : int

    Returns
    -------
    RadiusTest
        Of pairs. NaN where either label is on no cell.

    Raises
    ------
    ValueError
        If the labels are not one a cell.

    Notes
    -----
    When both labels are on more than `MAX_OUTER` cells, pairs are counted around a random
    `MAX_OUTER` of the rarer: the test stays exact and loses little.

    References
    ----------
    Davison, Hinkley (1997), Bootstrap Methods and their Application, 4.3 (p-value); Myllymäki
    et al. (2017), J. R. Stat. Soc. B 79:381 (overall test by studentised deviation).

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> points = generator.uniform(0, 1000, (500, 2))
    >>> left = points[:, 1] < 300
    >>> random_labelling(points, left, left, radii_um=[50]).p
    array([0.001])
    """
    points, radii = checked_points(points_um), checked_radii(radii_um)
    a, b = np.asarray(a, bool), np.asarray(b, bool)
    if a.shape != (len(points),) or b.shape != a.shape:
        raise ValueError("there must be one label of either kind for each cell.")
    if permutations < 1:
        raise ValueError(f"permutations must be 1 or more, got {permutations}.")
    if not a.any() or not b.any():
        nothing = np.full(radii.size, np.nan)
        return RadiusTest(radii, nothing, nothing, nothing, nothing, nothing, float("nan"))
    outer, inner = (a, b) if np.count_nonzero(a) <= np.count_nonzero(b) else (b, a)
    if np.count_nonzero(outer) > MAX_OUTER:
        drawn = np.random.default_rng([seed, 1]).choice(
            np.flatnonzero(outer), MAX_OUTER, replace=False
        )
        outer = np.zeros_like(outer)
        outer[drawn] = True
    observed, drawn_counts = count_permuted_pairs(
        points, radii, outer=outer, inner=inner, permutations=permutations, seed=seed
    )
    return _against(radii, observed.astype(np.float64), drawn_counts.astype(np.float64))


def simulate_csr(window: Window, count: int, generator: np.random.Generator) -> Floats:
    """Drop points on a window, each anywhere with equal probability.

    Parameters
    ----------
    window : Window
    count : int
    generator : numpy.random.Generator

    Returns
    -------
    float64 (count, 2)
        y, x in µm.

    Raises
    ------
    ValueError
        If the window is empty.

    Examples
    --------
    >>> window = Window(np.array([[False, True]]), 4.0)
    >>> bool(window.contains(simulate_csr(window, 9, np.random.default_rng(0))).all())
    True
    """
    pixels = np.flatnonzero(window.mask)
    if not pixels.size:
        raise ValueError("the window is empty.")
    drawn = generator.choice(pixels, count)
    corner = np.stack(np.unravel_index(drawn, window.mask.shape), axis=1)
    # A hair inside, so that rounding never puts a point beyond its pixel.
    within = generator.uniform(1e-6, 1 - 1e-6, (count, 2))
    return np.asarray(window.origin_um) + (corner + within) * window.pixel_size_um


def csr_test(
    points_um: npt.ArrayLike,
    window: Window,
    radii_um: npt.ArrayLike,
    *,
    simulations: int = 999,
    seed: int = 0,
) -> RadiusTest:
    """Test whether cells lie as if dropped at random on the tissue.

    Parameters
    ----------
    points_um : float (N, 2)
        y, x, in the window.
    window : Window
    radii_um : float (R,)
    simulations : int
        Each has as many points.
    seed : int

    Returns
    -------
    RadiusTest
        Of L(r), µm. NaN with fewer than two cells.

    Notes
    -----
    Tissue is not even, and cells are not points: nearly every real pattern fails this test.
    Random labelling is the question that matters.

    References
    ----------
    Ripley (1977), J. R. Stat. Soc. B 39:172.

    Examples
    --------
    >>> window = Window(np.ones((50, 50), bool), 10.0)
    >>> points = simulate_csr(window, 100, np.random.default_rng(1))
    >>> csr_test(points, window, [20, 40], simulations=99).p_overall > 0.05
    True
    """
    points, radii = checked_points(points_um), checked_radii(radii_um)
    overlap = Overlap.of(window, float(radii[-1]))
    ids = np.arange(len(points))

    def statistic(places: Floats) -> Floats:
        k = cross_k(places, places, radii, window=window, same=(ids, ids), overlap=overlap)
        return l_function(k)

    observed = statistic(points)
    if len(points) < 2:
        nothing = np.full(radii.size, np.nan)
        return RadiusTest(radii, nothing, nothing, nothing, nothing, nothing, float("nan"))
    generator = np.random.default_rng(seed)
    drawn = [statistic(simulate_csr(window, len(points), generator)) for _ in range(simulations)]
    return _against(radii, observed, np.array(drawn))


def _against(radii: Floats, observed: Floats, drawn: Floats) -> RadiusTest:
    """Compare with draws, the observed being one more draw: so the p-values are exact."""
    everything = np.vstack([observed, drawn])
    away = np.abs(everything - everything.mean(axis=0))
    spread = everything.std(axis=0)
    furthest = np.where(spread > 0, away / np.where(spread > 0, spread, 1), 0).max(axis=1)
    # Equal counts on either side of the mean must not differ by rounding.
    p = (away >= away[0] * (1 - 1e-9)).mean(axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return RadiusTest(
        radii,
        observed,
        drawn.mean(axis=0),
        low,
        high,
        p,
        float((furthest >= furthest[0] * (1 - 1e-9)).mean()),
    )
