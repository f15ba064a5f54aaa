"""Optical density, and the unmixing of stains in it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from histo.compiled import compiled
from histo.stain.matrix import StainMatrix

__all__ = ["MAX_OD_8BIT", "optical_density", "stain_concentrations", "stain_residual"]

MAX_OD_8BIT = float(np.log10(255.0))
"""The darkest optical density that 8 bits can hold against a white point of 255 (2.41)."""


def optical_density(rgb: npt.NDArray[Any], white_point: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return the base-10 optical density of a bright-field picture.

    ``OD = max(0, -log10(max(I, 1) / I0))``: intensities below one grey level count as one,
    and pixels brighter than the white point as empty.

    Parameters
    ----------
    rgb : uint8, uint16 or floating (Y, X, 3), or (N, 3)
        Intensities, on the scale of `white_point`. uint8 is the fast path.
    white_point : float (3,)
        Intensity of light through empty glass, per channel.

    Returns
    -------
    float32, shape of `rgb`
        Optical density, base 10.

    Raises
    ------
    ValueError
        When the last axis is not red, green, blue, or the white point is not three
        positive numbers.

    References
    ----------
    Ruifrok AC, Johnston DA. Quantification of histochemical staining by color
    deconvolution. Anal Quant Cytol Histol 2001;23:291-299.

    Examples
    --------
    >>> import numpy as np
    >>> pixel = np.array([[[24, 240, 250]]], np.uint8)
    >>> np.allclose(optical_density(pixel, (240, 240, 240)), [1, 0, 0])
    True
    """
    return _mix(rgb, white_point, np.eye(3))


def stain_concentrations(
    rgb: npt.NDArray[Any],
    stains: StainMatrix,
    white_point: npt.ArrayLike,
    *,
    residual: bool = False,
) -> npt.NDArray[np.float32]:
    """Unmix a picture into the optical density of each stain.

    Least squares with the stain vectors as the basis. Negative values are kept: they say
    that the vectors do not fit the slide, and clipping them would bias every mean.

    Parameters
    ----------
    rgb : uint8, uint16 or floating (Y, X, 3), or (N, 3)
        Intensities, on the scale of `white_point`.
    stains : StainMatrix
        The S stains of the slide.
    white_point : float (3,)
        Intensity of light through empty glass, per channel.
    residual : bool
        Add `stain_residual` as a last plane; for two stains.

    Returns
    -------
    float32 (Y, X, S), or (N, S); with the residual one plane more
        Optical density, base 10, along each unit stain vector.

    Raises
    ------
    ValueError
        As `optical_density`; or when the residual is asked for without two stains.

    Examples
    --------
    >>> import numpy as np
    >>> from histo.stain import load_stains
    >>> stains = load_stains("h-dab")
    >>> od = 0.5 * stains.vectors[0] + 0.2 * stains.vectors[1]
    >>> rgb = (240 * 10 ** -od)[None, None]
    >>> np.allclose(stain_concentrations(rgb, stains, (240, 240, 240)), [0.5, 0.2])
    True
    """
    rows = [stains.unmixing, stains.residual_vector[None]] if residual else [stains.unmixing]
    return _mix(rgb, white_point, np.concatenate(rows))


def stain_residual(
    rgb: npt.NDArray[Any], stains: StainMatrix, white_point: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """Return the optical density that the stains leave unexplained.

    For two stains this is signed, along their cross product: neutral-brown pigment such as
    haemosiderin or carbon lies far from the plane of haematoxylin and DAB. Three stains
    explain every colour, so the residual is zero by construction and says nothing.

    Parameters
    ----------
    rgb : uint8, uint16 or floating (Y, X, 3), or (N, 3)
        Intensities, on the scale of `white_point`.
    stains : StainMatrix
        The stains of the slide.
    white_point : float (3,)
        Intensity of light through empty glass, per channel.

    Returns
    -------
    float32 (Y, X), or (N,)
        Optical density, base 10. Signed for two stains; the length of the unexplained
        vector, never negative, for one.

    Raises
    ------
    ValueError
        As `optical_density`.

    Examples
    --------
    >>> import numpy as np
    >>> from histo.stain import load_stains
    >>> grey = np.full((1, 1, 3), 60, np.uint8)
    >>> bool(abs(stain_residual(grey, load_stains("h-dab"), (240, 240, 240))[0, 0]) > 0.1)
    True
    """
    if len(stains.stains) == 3:
        check_rgb(rgb)
        return np.zeros(rgb.shape[:-1], np.float32)
    if len(stains.stains) == 2:
        return _mix(rgb, white_point, stains.residual_vector[None])[..., 0]
    left = np.eye(3) - stains.vectors.T @ stains.unmixing
    return np.asarray(np.linalg.norm(_mix(rgb, white_point, left), axis=-1), np.float32)


def _mix(
    rgb: npt.NDArray[Any], white_point: npt.ArrayLike, matrix: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Apply a (K, 3) matrix to every pixel's optical density, float32 (..., K)."""
    white = check_white_point(white_point)
    check_rgb(rgb)
    if rgb.dtype == np.uint8:
        # What every level of a channel adds to every plane: three sums of a table a pixel.
        levels = np.maximum(np.arange(256, dtype=np.float64), 1.0)
        density = np.maximum(0.0, -np.log10(levels[:, None] / white))
        table = (density[..., None] * matrix.T).astype(np.float32)
        mixed = np.empty((*rgb.shape[:-1], len(matrix)), np.float32)
        _add_up(np.ascontiguousarray(rgb).reshape(-1, 3), table, mixed.reshape(-1, len(matrix)))
        return mixed
    level = np.maximum(rgb.astype(np.float32), np.float32(1.0))
    density = np.maximum(np.float32(0), -np.log10(level / white.astype(np.float32)))
    return np.asarray(density @ matrix.T.astype(np.float32))


@compiled
def _add_up(
    rgb: npt.NDArray[np.uint8], table: npt.NDArray[np.float32], mixed: npt.NDArray[np.float32]
) -> None:
    """Fill in (N, K) from pixels (N, 3) and a table (256, 3, K)."""
    for pixel in range(rgb.shape[0]):
        red, green, blue = rgb[pixel, 0], rgb[pixel, 1], rgb[pixel, 2]
        for plane in range(table.shape[2]):
            mixed[pixel, plane] = (
                table[red, 0, plane] + table[green, 1, plane] + table[blue, 2, plane]
            )


def check_white_point(white_point: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the white point as float64 (3,), or raise ValueError."""
    white = np.asarray(white_point, np.float64)
    if white.shape != (3,) or not np.isfinite(white).all() or (white <= 0).any():
        raise ValueError(f"white_point must be three positive numbers, got {white_point!r}")
    return white


def check_rgb(rgb: npt.NDArray[Any]) -> None:
    """Raise ValueError unless `rgb` is (Y, X, 3) or (N, 3)."""
    if rgb.ndim not in (2, 3) or rgb.shape[-1] != 3:
        raise ValueError(f"rgb must be (Y, X, 3) or (N, 3), got shape {rgb.shape}")
