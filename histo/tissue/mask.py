"""Where the tissue is, at a low level."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from histo.tissue.glass import (
    channel_mean,
    check_pixel_size,
    check_rgb,
    coarsen,
    coarsen_factor,
    local_moments,
    refine,
    relative_density,
    span,
)

__all__ = ["MAX_HOLE_UM2", "MIN_TISSUE_UM2", "tissue_mask", "tissue_mask_channels"]

MAX_HOLE_UM2 = 10_000.0
"""Holes up to this area count as tissue: fat cells and small lumens, not airways."""

MIN_TISSUE_UM2 = 2_500.0
"""Islands below this area (50 µm square) are dust or stray cells, not a section."""

_SEED_CHROMA_OD, _WEAK_CHROMA_OD, _WEAK_OD = 0.012, 0.008, 0.03
_TEXTURE_OD, _SURE_CHROMA_OD = 0.006, 0.04
_MAX_NOISE_OD = 0.03
_SMOOTHING_UM, _CLOSING_UM = 3.0, 12.0


def tissue_mask(rgb: npt.NDArray[np.uint8], pixel_size_um: float) -> npt.NDArray[np.bool_]:
    """Return where tissue lies in a bright-field picture.

    Tissue is coloured or dark relative to the glass around it, once vignetting and the
    lamp's tint are divided out; it must hold some colour, which dust, shadows, bubbles and
    cover-slip edges lack. Blank glass gives no tissue; a picture without glass is all
    tissue. Holes up to 10,000 µm² (fat cells) are filled, islands below 2,500 µm² removed.

    Parameters
    ----------
    rgb : uint8 (Y, X, 3)
        A low level, 4-16 µm/px. Finer pictures are averaged down to 4 µm/px inside.
    pixel_size_um : float
        Size of a pixel, µm.

    Returns
    -------
    bool (Y, X)

    Raises
    ------
    ValueError
        When `rgb` is not uint8 (Y, X, 3) or the pixel size is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> slide = np.full((100, 100, 3), 243, np.uint8)
    >>> bool(tissue_mask(slide, 8.0).any())
    False
    >>> slide[20:80, 20:80] = (225, 205, 228)
    >>> bool(0.36 <= tissue_mask(slide, 8.0).mean() < 0.41)
    True
    """
    check_rgb(rgb, pixel_size_um)
    if rgb.size == 0:
        return np.zeros(rgb.shape[:2], bool)
    factor = coarsen_factor(pixel_size_um)
    size = pixel_size_um * factor
    density = relative_density(coarsen(rgb, factor))
    density = _smooth(density, size)
    chroma, mean = span(density), channel_mean(density)
    noise = _noise(chroma)
    weak = (chroma > _WEAK_CHROMA_OD + noise) | (mean > _WEAK_OD + noise)
    seeds = chroma > _SEED_CHROMA_OD + noise
    # A smear of dried stain has colour, but not the texture of cells and fibres.
    seeds &= (local_moments(mean, 5)[1] > _TEXTURE_OD) | (chroma > _SURE_CHROMA_OD)
    found = _hysteresis(weak, seeds)
    return np.asarray(refine(_tidy(found, size), factor, rgb.shape), bool)


def tissue_mask_channels(image: npt.NDArray[Any], pixel_size_um: float) -> npt.NDArray[np.bool_]:
    """Return where tissue lies in a fluorescence picture.

    A pixel is tissue when, in any channel, it stands clearly above that channel's dark
    background, whose level and noise are taken from the darkest mode. An empty slide gives
    no tissue. Holes and islands as in `tissue_mask`.

    Parameters
    ----------
    image : uint8, uint16 or floating (Y, X, C), or (Y, X)
        A low level, 4-16 µm/px; any number of channels, on any scale. NaN counts as dark.
    pixel_size_um : float
        Size of a pixel, µm.

    Returns
    -------
    bool (Y, X)

    Raises
    ------
    ValueError
        When `image` is not two- or three-dimensional or the pixel size is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> image = rng.normal(100, 4, (80, 80, 1)).astype(np.uint16)
    >>> bool(tissue_mask_channels(image, 8.0).any())
    False
    >>> image[20:60, 20:60] += 60
    >>> bool(0.25 <= tissue_mask_channels(image, 8.0).mean() < 0.28)
    True
    """
    if image.ndim not in (2, 3):
        raise ValueError(f"image must be (Y, X, C) or (Y, X), got shape {image.shape}")
    check_pixel_size(pixel_size_um)
    stack = image if image.ndim == 3 else image[..., None]
    shape = stack.shape[:2]
    if stack.size == 0:
        return np.zeros(shape, bool)
    factor = coarsen_factor(pixel_size_um)
    size = pixel_size_um * factor
    values = np.nan_to_num(coarsen(stack, factor), nan=0.0, posinf=0.0, neginf=0.0)
    found = np.zeros(values.shape[:2], bool)
    for channel in range(values.shape[2]):
        found |= _bright(_smooth(values[..., channel], size))
    return np.asarray(refine(_tidy(found, size), factor, shape), bool)


def _bright(values: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return what stands above the dark background of one channel."""
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.9)))
    if high <= low:
        return np.zeros(values.shape, bool)
    counts, edges = np.histogram(values, bins=256, range=(low, high))
    smooth = np.convolve(counts, np.hanning(23) / 11, mode="same")
    # The background is the lowest mode that holds a fair share of the tallest one.
    peaks = (smooth >= np.roll(smooth, 1)) & (smooth >= np.roll(smooth, -1))
    first = int(np.argmax(peaks & (smooth >= 0.3 * smooth.max())))
    dark = float(edges[first] + edges[first + 1]) / 2
    # Noise from below the mode is blind to what tissue adds above it; noise between
    # neighbours is blind to an uneven background.
    below = values[values <= dark]
    noise = 1.4826 * float(np.median(dark - below)) if below.size else 0.0
    steps = np.abs(np.diff(values, axis=1))[values[:, 1:] <= dark + 3.0 * noise]
    noise = max(noise, 1.4826 * float(np.median(steps)) if steps.size else 0.0, (high - low) / 512)
    threshold = dark + max(6.0 * noise, 0.04 * (high - dark), 0.1 * abs(dark))
    strong = values > dark + 2.0 * (threshold - dark)
    return _hysteresis(values > threshold, strong)


def _smooth(values: npt.NDArray[np.float32], pixel_size_um: float) -> npt.NDArray[np.float32]:
    sigma = max(0.6, _SMOOTHING_UM / pixel_size_um)
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), np.float32)


def _noise(chroma: npt.NDArray[np.float32]) -> float:
    """Return how far the chroma of glass strays: three times its spread, bounded."""
    glass = chroma[chroma < _SEED_CHROMA_OD + _MAX_NOISE_OD]
    if glass.size < 0.05 * chroma.size:
        return 0.0
    low, middle = np.percentile(glass, (5, 25))
    return float(np.clip(3.0 * (middle - low) - 0.006, 0.0, _MAX_NOISE_OD))


def _hysteresis(weak: npt.NDArray[np.bool_], seeds: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the islands of `weak` that hold a seed."""
    count, islands = cv2.connectedComponents(weak.astype(np.uint8), connectivity=8)
    keep = np.zeros(count, bool)
    keep[np.unique(islands[seeds & weak])] = True
    keep[0] = False
    return np.asarray(keep[islands], bool)


def _tidy(mask: npt.NDArray[np.bool_], pixel_size_um: float) -> npt.NDArray[np.bool_]:
    """Close thin gaps, fill small holes, drop small islands."""
    radius = max(1, round(_CLOSING_UM / pixel_size_um))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    padded = np.pad(mask.astype(np.uint8), radius, mode="edge")
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)[radius:-radius, radius:-radius]
    area = pixel_size_um**2
    without = drop_small(closed > 0, MIN_TISSUE_UM2 / area)
    return ~drop_small(~without, MAX_HOLE_UM2 / area, connectivity=4)


def drop_small(
    mask: npt.NDArray[np.bool_], area_px: float, *, connectivity: int = 8
) -> npt.NDArray[np.bool_]:
    """Return the mask without islands below an area in pixels."""
    _, islands, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=connectivity
    )
    keep = stats[:, cv2.CC_STAT_AREA] >= area_px
    keep[0] = False
    return np.asarray(keep[islands], bool)
