"""The empty glass of a bright-field picture, and optical density relative to it.

Shared by the tissue mask and by the search for artefacts. Works at a low level, where
one pixel spans 4 to 16 µm.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

__all__: list[str] = []

MIN_PIXEL_SIZE_UM = 4.0
MAX_TINT = 60.0
"""Grey levels between the channels above which a smooth area is stain, not tinted glass."""

_SMOOTH_OD, _SMOOTH_OD_MAX = 0.006, 0.015
_FALLBACK_WHITE = 245.0
_MIN_GLASS_FRACTION, _MIN_GLASS_PX = 0.003, 30
_MIN_FIT_FRACTION, _MAX_FIT_PX = 0.15, 40_000
_MAX_VIGNETTE_OD = 0.12
_GLASS_CHROMA_OD = 0.012
_MAX_SHADE_OD = 0.04
"""How much darker than the brightest pixels glass may be, before it must be something else."""


def check_rgb(rgb: npt.NDArray[np.uint8], pixel_size_um: float) -> None:
    """Raise ValueError unless `rgb` is uint8 (Y, X, 3) and the pixel size is positive."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"rgb must be uint8 (Y, X, 3), got {rgb.dtype} {rgb.shape}")
    check_pixel_size(pixel_size_um)


def check_pixel_size(pixel_size_um: float) -> None:
    """Raise ValueError unless the pixel size is positive and finite."""
    if not (np.isfinite(pixel_size_um) and pixel_size_um > 0):
        raise ValueError(f"pixel_size_um must be positive, got {pixel_size_um!r}")


def coarsen_factor(pixel_size_um: float, at_least_um: float = MIN_PIXEL_SIZE_UM) -> int:
    """Return how many pixels to average, so that one spans at least 4 µm, or as asked."""
    return max(1, int(np.ceil(at_least_um / pixel_size_um - 1e-6)))


def coarsen(image: npt.NDArray[np.generic], factor: int) -> npt.NDArray[np.float32]:
    """Return the area average over blocks, float32; the last blocks average what is there."""
    values = image.astype(np.float32)
    if factor == 1:
        return values
    pad = [(0, -size % factor) for size in image.shape[:2]] + [(0, 0)] * (image.ndim - 2)
    values = np.pad(values, pad, mode="edge")
    rows, columns = values.shape[0] // factor, values.shape[1] // factor
    blocks = values.reshape(rows, factor, columns, factor, *values.shape[2:])
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def refine(
    mask: npt.NDArray[np.generic], factor: int, shape: tuple[int, ...]
) -> npt.NDArray[np.generic]:
    """Repeat each pixel of a coarse mask; the inverse of `coarsen`."""
    full = mask.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.ascontiguousarray(full[: shape[0], : shape[1]])


def relative_density(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return base-10 optical density relative to the glass around, float32 (Y, X, 3).

    Vignetting and the tint of the lamp are divided out. Negative where a pixel is brighter
    than the glass.
    """
    log = -np.log10(np.maximum(image, 1.0)).astype(np.float32)
    seeds = _glass_seeds(image, log)
    if seeds.sum() < max(_MIN_GLASS_PX, _MIN_GLASS_FRACTION * seeds.size):
        # Tissue from wall to wall: nothing here shows the light of the lamp.
        bright = np.percentile(thinned(image), 99.9, axis=0)
        white = np.maximum(bright, _FALLBACK_WHITE).astype(np.float32)
        return np.asarray(log + np.log10(white), np.float32)
    return np.asarray(log - _glass_surface(log, seeds), np.float32)


def span(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the largest minus the smallest of three channels, float32 (Y, X)."""
    red, green, blue = (image[..., i] for i in range(3))
    high = np.maximum(np.maximum(red, green), blue)
    return np.asarray(high - np.minimum(np.minimum(red, green), blue), np.float32)


def channel_mean(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean of three channels, float32 (Y, X)."""
    return np.asarray((image[..., 0] + image[..., 1] + image[..., 2]) / 3, np.float32)


def thinned(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return evenly spaced pixels, (N, 3), enough for a percentile."""
    pixels = image.reshape(-1, 3)
    return pixels[:: max(1, len(pixels) // 200_000)]


def local_moments(
    values: npt.NDArray[np.float32], side: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return mean and standard deviation over a square around each pixel."""
    mean = cv2.blur(values, (side, side))
    square = cv2.blur(values * values, (side, side))
    spread = np.sqrt(np.maximum(square - mean * mean, 0.0))
    return np.asarray(mean, np.float32), np.asarray(spread, np.float32)


def _glass_seeds(
    image: npt.NDArray[np.float32], log: npt.NDArray[np.float32]
) -> npt.NDArray[np.bool_]:
    """Return the pixels that are smooth, near neutral and among the brightest such."""
    local, spread = local_moments(channel_mean(log), 5)
    limit = float(np.clip(2.5 * np.percentile(spread, 5), _SMOOTH_OD, _SMOOTH_OD_MAX))
    seeds = (spread < limit) & (span(image) < MAX_TINT) & (image > 100).all(axis=2)
    if not seeds.any():
        return np.asarray(seeds)
    # Glass is the brightest smooth thing; tissue that happens to be smooth is darker.
    white = np.percentile(local[seeds], 10)
    # A lamp that fades to the corners stays neutral: what changes colour is pale tissue.
    lamp = _densest(log[seeds & (local < white + 0.02)])
    brightest = np.percentile(thinned(log), 0.5, axis=0)
    if (lamp - brightest).max() > _MAX_SHADE_OD:
        return np.zeros(seeds.shape, bool)
    seeds &= (local < white + _MAX_VIGNETTE_OD) & (span(log - lamp) < _GLASS_CHROMA_OD)
    return np.asarray(seeds)


def _glass_surface(
    log: npt.NDArray[np.float32], seeds: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Return the log intensity of the glass, float32 (1, 1, 3) or (Y, X, 3)."""
    y, x = np.nonzero(seeds)
    # Some ten thousand pixels fix six numbers; millions only take time.
    some = slice(None, None, max(1, len(y) // _MAX_FIT_PX))
    y, x = y[some], x[some]
    glass = log[y, x].astype(np.float64)
    center = _densest(glass)
    near = np.abs(glass - center).max(axis=1) < 0.02
    flat = np.median(glass[near], axis=0) if near.any() else center
    if seeds.mean() < _MIN_FIT_FRACTION:
        return np.asarray(flat, np.float32)[None, None]
    rows, columns = log.shape[:2]
    basis = _quadratic(y / max(rows - 1, 1), x / max(columns - 1, 1))
    keep = np.ones(len(y), bool)
    weights: npt.NDArray[Any] = np.zeros((6, 3))
    for _ in range(6):
        weights, *_ = np.linalg.lstsq(basis[keep], glass[keep], rcond=None)
        left = (glass - basis @ weights).mean(axis=1)
        # One-sided: tissue that slipped in is darker than glass, never brighter.
        spread = max(1.4826 * float(np.median(np.abs(left[keep]))), 0.002)
        kept = (left < 2.0 * spread) & (left > -4.0 * spread)
        if kept.sum() < 0.3 * len(y):
            break
        keep = kept
    surface = np.empty(log.shape, np.float32)
    along = np.linspace(0, 1, columns)
    for row, down in enumerate(np.linspace(0, 1, rows)):
        surface[row] = _quadratic(np.full(columns, down), along) @ weights
    low, high = flat - _MAX_VIGNETTE_OD, flat + _MAX_VIGNETTE_OD
    return np.clip(surface, low.astype(np.float32), high.astype(np.float32))


def _densest(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the most common colour, (3,): a coarse mode over 0.01 OD bins."""
    values = values[:: max(1, len(values) // _MAX_FIT_PX)]
    bins, counts = np.unique(np.round(values / 0.01).astype(int), axis=0, return_counts=True)
    return np.asarray(bins[counts.argmax()] * 0.01, np.float32)


def _quadratic(y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.stack([np.ones_like(y), y, x, y * x, y * y, x * x], axis=1)
