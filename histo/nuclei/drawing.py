"""Draw a fluorescence channel so that a network for stained sections can read it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["virtual_hematoxylin"]


def virtual_hematoxylin(nuclear: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    """Draw a nuclear fluorescence channel as haematoxylin, so that one network reads both.

    Parameters
    ----------
    nuclear : any number (Y, X)
        The channel (DAPI, Hoechst, ...).
    low, high : float
        Intensities of background and of a bright nucleus; the same for all of a slide.

    Returns
    -------
    uint8 (Y, X, 3)

    Raises
    ------
    ValueError
        If high is not above low.

    References
    ----------
    Beer-Lambert with the haematoxylin vector of Ruifrok and Johnston,
    Anal Quant Cytol Histol 23:291 (2001).

    Examples
    --------
    >>> virtual_hematoxylin(np.array([[0, 500]], np.uint16), 0, 500)[0, 0].tolist()
    [245, 245, 245]
    """
    if not high > low:
        raise ValueError(f"high must be above low, got low={low} and high={high}.")
    amount = np.clip((nuclear.astype(np.float32) - low) / (high - low), 0, 1.3) * 0.8
    vector = np.array([0.650, 0.704, 0.286], np.float32)
    rgb = 245.0 * 10 ** (-amount[..., None] * vector)
    return np.asarray(np.round(rgb), np.uint8)
