"""From what the network sees and what is measured to the probability that a nucleus is brown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Positivity", "fit_positivity", "log_odds", "od_shift", "settled_od"]

#: Probabilities of the network and optical densities are read within these bounds.
SUREST, FAINTEST_OD = 0.002, 0.005
#: What unmixing leaves on negative nuclei of ordinary slides, OD; a slide that leaves more or less
#: is brought to it. The network is sure that they are negative below this probability, and so
#: many of them have a median worth the name.
USUAL_OD, SURELY_NEGATIVE, ENOUGH = 0.045, 0.1, 30


def log_odds(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the logarithm of p / (1 - p), bounded.

    Examples
    --------
    >>> log_odds(np.array([0.5, 1.0])).round(2).tolist()
    [0.0, 6.21]
    """
    p = np.clip(probability.astype(np.float64), SUREST, 1 - SUREST)
    return np.log(p / (1 - p))


def od_shift(seen: NDArray[np.floating], dab_od_mean: NDArray[np.floating]) -> float:
    """Return what unmixing leaves too much on the negative nuclei of a slide, OD (base 10).

    Stain vectors that are a little off leave brown on every blue nucleus of a slide.

    Parameters
    ----------
    seen : floating (N,)
        Mean of the network's plane over each nucleus of the slide, 0-1.
    dab_od_mean : floating (N,)
        Mean DAB optical density of each.

    Returns
    -------
    float
        0 when the slide has few negative nuclei.

    Examples
    --------
    >>> round(od_shift(np.zeros(40), np.full(40, 0.16)), 3)
    0.115
    """
    negative = seen < SURELY_NEGATIVE
    if np.count_nonzero(negative) < ENOUGH:
        return 0.0
    return float(np.median(dab_od_mean[negative])) - USUAL_OD


def settled_od(dab_od_mean: NDArray[np.floating], shift: float) -> NDArray[np.float64]:
    """Return DAB densities of a slide's nuclei, shifted so that negative ones read as usual.

    Parameters
    ----------
    dab_od_mean : floating (N,)
        Mean DAB optical density of each nucleus.
    shift : float
        From `od_shift` over all nuclei of the slide.

    Returns
    -------
    float64 (N,)
        At least `FAINTEST_OD`.

    Examples
    --------
    >>> settled_od(np.array([0.16, 0.1]), 0.115).round(3).tolist()
    [0.045, 0.005]
    """
    return np.maximum(dab_od_mean.astype(np.float64) - shift, FAINTEST_OD)


@dataclass(frozen=True, slots=True)
class Positivity:
    """The probability that a nucleus is DAB-positive: a logistic function of two measures.

    The network sees texture, shape and surroundings: brown cytoplasm over a blue nucleus, pigment,
    the edge of a positive neighbour. The optical density says how strong the brown is, also where
    the network is unsure. Fitted with the weights, kept in the model's card.

    Attributes
    ----------
    intercept : float
    network : float
        Weight of the log odds of the network's mean probability over the nucleus.
    od : float
        Weight of the logarithm of the nucleus' mean DAB optical density (base 10), settled.

    References
    ----------
    Platt, Probabilistic outputs for support vector machines, Advances in Large Margin
    Classifiers (1999).

    Examples
    --------
    >>> positivity = Positivity(intercept=4.0, network=1.0, od=2.0)
    >>> print(positivity(np.array([0.05, 0.9]), np.array([0.02, 0.3])).round(2))
    [0.   0.98]
    """

    intercept: float
    network: float
    od: float

    def __call__(
        self,
        seen: NDArray[np.floating],
        dab_od_mean: NDArray[np.floating],
        *,
        shift: float | None = None,
    ) -> NDArray[np.float32]:
        """Return the probability of each nucleus of a slide, float32 (N,).

        Parameters
        ----------
        seen : floating (N,)
            Mean of the network's plane over the nucleus, 0-1.
        dab_od_mean : floating (N,)
            Mean DAB optical density of the nucleus.
        shift : float, optional
            The slide's `od_shift`; by default that of these nuclei, which are then all of it.
        """
        shift = od_shift(seen, dab_od_mean) if shift is None else shift
        log_od = np.log(settled_od(dab_od_mean, shift))
        z = self.intercept + self.network * log_odds(seen) + self.od * log_od
        return np.asarray(1 / (1 + np.exp(-z)), np.float32)


def fit_positivity(
    seen: NDArray[np.floating], dab_od_mean: NDArray[np.floating], truth: NDArray[np.bool_]
) -> Positivity:
    """Fit the probability to nuclei whose truth is known.

    Parameters
    ----------
    seen, dab_od_mean : floating (N,)
        As `Positivity` takes them.
    truth : bool (N,)

    Returns
    -------
    Positivity
        Of the greatest likelihood, with a ridge that keeps it finite.

    Raises
    ------
    ValueError
        If all nuclei are of one kind.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random(500) < 0.3
    >>> seen = np.clip(0.2 + 0.6 * truth + rng.normal(0, 0.1, 500), 0, 1)
    >>> fit = fit_positivity(seen, np.where(truth, 0.3, 0.05) + rng.uniform(0, 0.1, 500), truth)
    >>> bool(((fit(seen, np.where(truth, 0.35, 0.1)) > 0.5) == truth).mean() > 0.95)
    True
    """
    from scipy.optimize import minimize

    if truth.all() or not truth.any():
        raise ValueError("truth must hold positive and negative nuclei.")
    log_od = np.log(settled_od(dab_od_mean, od_shift(seen, dab_od_mean)))
    features = np.stack([np.ones(len(truth)), log_odds(seen), log_od], axis=1)
    sign = np.where(truth, 1.0, -1.0)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (features @ weights)
        pull = -sign / (1 + np.exp(np.clip(margin, -500, 500)))
        ridge = 1e-4 * np.array([0.0, 1.0, 1.0])
        value = np.logaddexp(0, -margin).mean() + ridge @ weights**2
        return float(value), features.T @ pull / len(sign) + 2 * ridge * weights

    found = minimize(loss, np.zeros(3), jac=True)
    return Positivity(*(float(value) for value in found.x))
