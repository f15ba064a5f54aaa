"""Smooth random fields on physical scales, so that a field looks the same at any pixel size."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

# Mean over all phases of the squared cubic B-spline weights: the value at 0 of the spline of
# degree 7, 151/315. It brings the interpolated noise back to unit variance.
_SPLINE_POWER = 151 / 315


def _spline_weights(count: int, step: float) -> Plane:
    """Weights (count, knots) of cubic B-splines at ``(i + 0.5) * step`` knots from the start."""
    at = (np.arange(count) + 0.5) * step
    knot = np.floor(at).astype(np.int64)
    t = at - knot
    # The number of knots follows from the extent alone, never from the pixel size.
    weights = np.zeros((count, int(np.ceil(round(count * step, 6))) + 3), np.float32)
    parts = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for shift, part in enumerate(parts):
        weights[np.arange(count), knot + shift] = part / 6
    return weights


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], *, scale_um: float, pixel_size_um: float
) -> Plane:
    """Gaussian noise of zero mean and unit variance, smooth over a given length.

    Parameters
    ----------
    rng
        Source of randomness.
    shape
        (Y, X), pixels.
    scale_um
        Distance between independent values, µm.
    pixel_size_um
        Pixel size. The same seed and extent give the same field at another pixel size.

    Returns
    -------
    float32 (Y, X)

    Examples
    --------
    >>> import numpy as np
    >>> fine = smooth_noise(np.random.default_rng(0), (40, 40), scale_um=5, pixel_size_um=0.5)
    >>> coarse = smooth_noise(np.random.default_rng(0), (20, 20), scale_um=5, pixel_size_um=1.0)
    >>> bool(np.abs(fine.reshape(20, 2, 20, 2).mean((1, 3)) - coarse).max() < 0.02)
    True
    """
    step = pixel_size_um / scale_um
    rows, columns = _spline_weights(shape[0], step), _spline_weights(shape[1], step)
    knots = rng.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    field = rows @ knots @ columns.T / np.float32(_SPLINE_POWER)
    return np.asarray(field, np.float32)


def grain(rng: np.random.Generator, shape: tuple[int, int], *, sigma_px: float) -> Plane:
    """Fine isotropic texture of zero mean and unit variance: blurred white noise."""
    white = rng.standard_normal(shape, dtype=np.float32)
    soft = np.asarray(cv2.GaussianBlur(white, (0, 0), max(sigma_px, 0.3)), np.float32)
    return soft / max(float(soft.std()), 1e-6)


def streamlines(texture: Plane, angle: Plane, *, length_px: float) -> Plane:
    """Smear a texture along a flow field (line integral convolution), as collagen runs.

    Parameters
    ----------
    texture
        float32 (Y, X).
    angle
        float32 (Y, X), direction of the flow in radians from +x towards +y (down); turned by pi
        it is the same.
    length_px
        Length over which the texture is averaged, to each side.

    Returns
    -------
    float32 (Y, X), zero mean and unit variance.

    References
    ----------
    Cabral B, Leedom LC. Imaging vector fields using line integral convolution.
    SIGGRAPH 1993.
    """
    step = 1.5
    x: Any
    y: Any
    dx, dy = np.cos(angle) * np.float32(step), np.sin(angle) * np.float32(step)
    grid_y, grid_x = np.mgrid[: texture.shape[0], : texture.shape[1]].astype(np.float32)
    total = texture.copy()
    for sign in (1.0, -1.0):
        x, y = grid_x.copy(), grid_y.copy()
        last_x: Any = sign * dx
        last_y: Any = sign * dy
        for _ in range(max(1, round(length_px / step))):
            move_x = cv2.remap(dx, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            move_y = cv2.remap(dy, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            # A flow has no sign: go on, never back.
            turn = np.where(move_x * last_x + move_y * last_y < 0, np.float32(-1), np.float32(1))
            last_x, last_y = move_x * turn, move_y * turn
            x, y = x + last_x, y + last_y
            total += cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    total -= total.mean()
    return np.asarray(total / max(float(total.std()), 1e-6), np.float32)


def enlarge(coarse: Plane, shape: tuple[int, int], factor: float) -> Plane:
    """Resample a coarse map to finer pixels (``factor`` fine pixels a coarse one) and crop."""
    size = (round(coarse.shape[1] * factor), round(coarse.shape[0] * factor))
    fine = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), np.float32)
    return np.ascontiguousarray(fine[: shape[0], : shape[1]])
