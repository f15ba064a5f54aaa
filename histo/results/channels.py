"""Fluorescence channels as one colour picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histo.results.calls import Rgb
from histo.results.drawing import Image

__all__ = ["channel_colours", "show_channels"]

# With one or two markers, pairs that stay apart without red-green vision, and none of the calls'
# outlines drowns in them. More hues than these no red-green blind eye tells apart.
_NUCLEI: Rgb = (60, 90, 255)
_MARKERS: tuple[Rgb, ...] = (
    (255, 220, 0),
    (255, 0, 170),
    (0, 230, 230),
    (255, 70, 0),
    (60, 220, 60),
    (255, 255, 255),
)

#: With more markers than this their sum is white, and the strongest is shown instead.
_MOST_ADDED = 2

#: How strictly the strongest marker is shown: its light to this power, against the others'.
_STRICTNESS = 4


def channel_colours(count: int) -> tuple[Rgb, ...]:
    """Return the colours of a nuclear channel and the markers after it.

    Parameters
    ----------
    count : int
        Channels, the nuclei among them.

    Returns
    -------
    tuple of (int, int, int)
        Blue for the nuclei; those of six markers differ, a seventh has the first's again.

    Examples
    --------
    >>> channel_colours(2)
    ((60, 90, 255), (255, 220, 0))
    """
    markers = (_MARKERS[index % len(_MARKERS)] for index in range(count - 1))
    return (_NUCLEI, *markers)[:count]


def show_channels(
    image: npt.NDArray[np.number],
    limits: Sequence[tuple[float, float]],
    *,
    colours: Sequence[Rgb] | None = None,
) -> Image:
    """Draw channels as one picture, each in its own colour on black.

    Up to two markers are added to the nuclei. Of more, whose sum would be white nearly
    everywhere, each pixel shows the strongest, and the nuclei where no marker is bright.

    Parameters
    ----------
    image : number (Y, X, C)
        The channels; the first is that of the nuclei.
    limits : sequence of (float, float)
        For each channel the intensities drawn black and brightest.
    colours : sequence of (int, int, int), optional
        For each channel; by default those of `channel_colours`.

    Returns
    -------
    uint8 (Y, X, 3)

    Raises
    ------
    ValueError
        If there is not one pair of rising limits, and one colour, a channel.

    Examples
    --------
    >>> show_channels(np.array([[[0.0], [5.0], [10.0]]]), [(0, 10)])[0].tolist()
    [[0, 0, 0], [30, 45, 128], [60, 90, 255]]
    """
    colours = channel_colours(len(limits)) if colours is None else colours
    if image.ndim != 3 or image.shape[2] != len(limits) or len(colours) != len(limits):
        raise ValueError(
            f"expected {len(limits)} channels and colours, got an image of {image.shape} and "
            f"{len(colours)} colours."
        )
    light = np.empty(image.shape, np.float32)
    for channel, (low, high) in enumerate(limits):
        if not low < high:
            raise ValueError(f"limits must rise, got {low} to {high} for channel {channel}.")
        values = image[..., channel].astype(np.float32)
        light[..., channel] = np.clip((values - low) / (high - low), 0, 1)
    paints = np.array(colours, np.float32).reshape(-1, 3)
    if len(limits) - 1 > _MOST_ADDED:
        light = _strongest(light)
    return np.asarray(np.rint(np.minimum(light @ paints, 255)), dtype=np.uint8)


def _strongest(light: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Weigh markers so that the strongest shows, and the nuclei so that they fade below it."""
    nuclei, markers = light[..., :1], light[..., 1:]
    weights = markers**_STRICTNESS
    weights /= np.maximum(weights.sum(axis=-1, keepdims=True), 1e-12)
    brightest = markers.max(axis=-1, keepdims=True, initial=0)
    return np.concatenate([nuclei * (1 - brightest), weights * brightest], axis=-1)
