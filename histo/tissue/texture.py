"""Nuclei in a fluorescence channel, known by their size: tissue where no glass is in view."""

import itertools
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from histo.tissue.glass import check_pixel_size

__all__ = ["nuclear_texture"]

MAX_PIXEL_SIZE_UM = 1.5

_SCALES_UM = (1.0, 2.0, 4.0)
_WINDOW_UM = 50.0

_NUCLEAR = 0.8
"""White noise lies at 0.25, noise with a grain of 1 µm (standard deviation) at 0.6, real tissue
at 1.1 to 1.8, painted nuclei as dense as they can lie at 1.3."""

_LEAST_CONTRAST, _LEAST_STEP = 0.002, 0.5
"""Standard deviations that nobody would see: relative to the level; of whole numbers."""

_MAX_FIT_PX = 20_000


def nuclear_texture(
    image: npt.NDArray[np.number[Any]],
    pixel_size_um: float,
    *,
    where: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.bool_]:
    """Return where a nuclear channel shows nuclei, however bright it is between them.

    Noise varies most from pixel to pixel and ever less over larger distances; nuclei vary over
    their own size. So the variance between Gaussians of 2 and 4 µm is compared with that between
    1 and 2 µm, in a square of 50 µm: a ratio, so that neither gain nor offset nor the strength
    of the noise matters. Uneven light is levelled first. A speck of dust counts like a nucleus,
    but for its own square only.

    Parameters
    ----------
    image : number (Y, X)
        The nuclear channel. NaN counts as dark.
    pixel_size_um : float
        Size of a pixel, µm; 1.5 or finer, or nuclei cannot be told from noise.
    where : bool (Y, X), optional
        Judge these pixels only, by themselves: nothing is found elsewhere. Bright tissue more
        than 16 µm away does not matter.

    Returns
    -------
    bool (Y, X)

    Raises
    ------
    ValueError
        When `image` is not two-dimensional, `where` has another shape, or the pixel size is not
        positive or too coarse.

    References
    ----------
    Variance by scale as in Lindeberg T. Feature detection with automatic scale selection. Int J
    Comput Vis 1998;30:79-116; white noise loses three quarters of it with each doubling.

    Examples
    --------
    >>> import cv2
    >>> import numpy as np
    >>> field = np.random.default_rng(0).normal(500, 10, (200, 200)).astype(np.float32)
    >>> bool(nuclear_texture(field, 1.0).any())
    False
    >>> for y in range(10, 200, 12):
    ...     for x in range(10 + y % 5, 200, 12):
    ...         _ = cv2.circle(field, (x, y), 4, 540, -1)
    >>> bool(nuclear_texture(field, 1.0).all())
    True
    """
    if image.ndim != 2:
        raise ValueError(f"image must be (Y, X), got shape {image.shape}")
    check_pixel_size(pixel_size_um)
    if pixel_size_um > MAX_PIXEL_SIZE_UM:
        raise ValueError(f"pixels of {pixel_size_um:g} µm are too coarse to show nuclei")
    where = np.ones(image.shape, bool) if where is None else where
    if where.shape != image.shape:
        raise ValueError(f"where must have the shape of image {image.shape}, got {where.shape}")
    if not where.any():
        return np.zeros(image.shape, bool)
    values = np.nan_to_num(image.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    level = abs(float(np.median(values[where])))
    even = _levelled(values, where)
    blurred = [cv2.GaussianBlur(even, (0, 0), scale / pixel_size_um) for scale in _SCALES_UM]
    side = max(3, round(_WINDOW_UM / pixel_size_um))
    weight = where.astype(np.float32)
    total = np.maximum(cv2.blur(weight, (side, side)), 1e-6)
    fine, nuclear = (
        cv2.blur(weight * (a - b) ** 2, (side, side)) / total
        for a, b in itertools.pairwise(blurred)
    )
    whole_numbers = np.issubdtype(image.dtype, np.integer)
    least = max(_LEAST_CONTRAST * level, _LEAST_STEP if whole_numbers else 0.0)
    found = (nuclear > _NUCLEAR * fine) & (nuclear > least**2)
    return np.asarray(found & where, bool)


def _levelled(
    values: npt.NDArray[np.float32], where: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Return the picture without the second-order surface that fits most of it best."""
    at = np.flatnonzero(where)
    at = at[:: max(1, at.size // _MAX_FIT_PX)]
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in values.shape)
    rows, columns = np.divmod(at, values.shape[1])
    heights = values.flat[at]
    middle = np.median(heights)
    reach = 4.0 * np.median(np.abs(heights - middle))
    powers = [(i, j) for i in range(3) for j in range(3 - i)]
    terms = np.stack([y[rows] ** i * x[columns] ** j for i, j in powers], axis=1)
    weights = np.linalg.lstsq(terms, np.clip(heights, middle - reach, middle + reach), rcond=None)[
        0
    ]
    surface = sum(
        weight * np.outer(y**i, x**j) for weight, (i, j) in zip(weights, powers, strict=True)
    )
    return np.asarray(values - surface, np.float32)
