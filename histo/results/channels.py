"""Fluorescence channels as one colour picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo.results.drawing import Image

__all__ = ["show_channels"]

# Nuclei blue, then yellow, magenta, cyan, white: pairs that stay apart without red-green vision,
# and none of the calls' outlines drowns in them.
_COLOURS = np.array(
    [(60, 90, 255), (255, 220, 0), (255, 0, 170), (0, 230, 230), (255, 255, 255)], np.float32
)


def show_channels(image: npt.NDArray[np.number], limits: Sequence[tuple[float, float]]) -> Image:
    """Mix channels into a picture, each in its own colour on black.

    Parameters
    ----------
    image : number (Y, X, C)
        The channels; the first is drawn blue: give it the nuclei.
    limits : sequence of (float, float)
        For each channel the intensities drawn black and brightest.

    Returns
    -------
    uint8 (Y, X, 3)

    Raises
    ------
    ValueError
        If there is not one pair of rising limits a channel.

    Examples
    --------
    >>> show_channels(np.array([[[0.0], [5.0], [10.0]]]), [(0, 10)])[0].tolist()
    [[0, 0, 0], [30, 45, 128], [60, 90, 255]]
    """
    if image.ndim != 3 or image.shape[2] != len(limits):
        raise ValueError(f"expected {len(limits)} channels, got an image of {image.shape}.")
    mixed = np.zeros((*image.shape[:2], 3), np.float32)
    for channel, (low, high) in enumerate(limits):
        if not low < high:
            raise ValueError(f"limits must rise, got {low} to {high} for channel {channel}.")
        light = np.clip((image[..., channel].astype(np.float32) - low) / (high - low), 0, 1)
        mixed += light[..., None] * _COLOURS[channel % len(_COLOURS)]
    return np.asarray(np.rint(np.minimum(mixed, 255)), dtype=np.uint8)
