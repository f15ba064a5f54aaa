"""Focus, judged tile by tile at the working resolution."""

import cv2
import numpy as np
import numpy.typing as npt

from histo.compiled import compiled
from histo.tissue.glass import check_rgb

__all__ = ["blurred_mask", "focus_map"]

BLURRED_BELOW = 0.21
"""Focus of tissue blurred by 2 µm (standard deviation); sharp fields stay above 0.3."""

MAX_PIXEL_SIZE_UM = 1.1

_FINE_UM, _COARSE_UM, _WINDOW_UM = 1.0, 4.0, 16.0
_MIN_CONTRAST_OD = 0.008


def focus_map(rgb: npt.NDArray[np.uint8], pixel_size_um: float) -> npt.NDArray[np.float32]:
    """Return how sharp a picture is around each pixel.

    The contrast of detail below 1 µm over the contrast of structure from 1 to 4 µm (the
    size of nuclei and their edges), both in optical density, in a Gaussian window of 16 µm.
    A ratio, so that pale and dark tissue compare. NaN where there is no structure to judge:
    glass, and homogeneous stroma.

    Parameters
    ----------
    rgb : uint8 (Y, X, 3)
        A tile at the working resolution, 1.1 µm/px or finer.
    pixel_size_um : float
        Size of a pixel, µm.

    Returns
    -------
    float32 (Y, X)
        0.3 to 1 in focus; 0.14 to 0.22 at a blur of 2 µm (standard deviation).

    Raises
    ------
    ValueError
        When `rgb` is not uint8 (Y, X, 3), or pixels are too coarse to show blur.

    References
    ----------
    The ratio of band energies follows Pertuz S et al. Analysis of focus measure operators
    for shape-from-focus. Pattern Recognition 2013;46:1415-1432.

    Examples
    --------
    >>> import cv2
    >>> import numpy as np
    >>> sharp = np.full((120, 120, 3), 240, np.uint8)
    >>> for x in range(10, 120, 20):
    ...     _ = cv2.circle(sharp, (x, 60), 6, (90, 80, 150), -1)
    >>> soft = cv2.GaussianBlur(sharp, (0, 0), 4)
    >>> bool(focus_map(sharp, 0.5)[60, 60] > 2 * focus_map(soft, 0.5)[60, 60])
    True
    """
    check_rgb(rgb, pixel_size_um)
    if pixel_size_um > MAX_PIXEL_SIZE_UM:
        raise ValueError(
            f"focus cannot be judged at {pixel_size_um} µm/px; read at {MAX_PIXEL_SIZE_UM} or finer"
        )
    if rgb.size == 0:
        return np.zeros(rgb.shape[:2], np.float32)
    means = np.maximum(np.arange(3 * 255 + 1, dtype=np.float32) / 3, 1.0)
    density = np.empty(rgb.shape[:2], np.float32)
    _look_up(rgb, np.asarray(-np.log10(means / 255.0), np.float32), density)
    fine = np.asarray(cv2.GaussianBlur(density, (0, 0), _FINE_UM / pixel_size_um), np.float32)
    coarse = density.copy()
    _blur_wide(coarse, _COARSE_UM / pixel_size_um)
    _square_differences(density, fine, coarse)
    for band in (density, fine):
        _blur_wide(band, _WINDOW_UM / pixel_size_um)
    _divide(density, fine)
    return density


def blurred_mask(rgb: npt.NDArray[np.uint8], pixel_size_um: float) -> npt.NDArray[np.bool_]:
    """Return where a tile is too blurred to measure nuclei.

    Where `focus_map` lies below 0.21: a blur of about 2 µm or more. Places without structure
    are never called blurred.

    Parameters
    ----------
    rgb : uint8 (Y, X, 3)
        A tile at the working resolution, 1.1 µm/px or finer, with a halo of 32 µm for the
        result not to depend on the tile's border.
    pixel_size_um : float
        Size of a pixel, µm.

    Returns
    -------
    bool (Y, X)

    Raises
    ------
    ValueError
        As `focus_map`.

    Examples
    --------
    >>> import numpy as np
    >>> bool(blurred_mask(np.full((50, 50, 3), 240, np.uint8), 0.5).any())
    False
    """
    # NaN compares false: no structure, no verdict.
    return np.asarray(focus_map(rgb, pixel_size_um) < BLURRED_BELOW, bool)


def _blur_wide(values: npt.NDArray[np.float32], sigma_px: float) -> None:
    """Apply two box filters in turn: nearly Gaussian, at a cost that sigma does not change."""
    side = 2 * round((np.sqrt(6.0 * sigma_px**2 + 1.0) - 1) / 2) + 1
    for _ in range(2):
        cv2.blur(values, (side, side), dst=values)


@compiled
def _look_up(
    rgb: npt.NDArray[np.uint8], table: npt.NDArray[np.float32], density: npt.NDArray[np.float32]
) -> None:
    """Fill in the optical density of the mean colour, from a table over the colours' sum."""
    for y in range(rgb.shape[0]):
        for x in range(rgb.shape[1]):
            density[y, x] = table[int(rgb[y, x, 0]) + int(rgb[y, x, 1]) + int(rgb[y, x, 2])]


@compiled
def _square_differences(
    density: npt.NDArray[np.float32], fine: npt.NDArray[np.float32], coarse: npt.NDArray[np.float32]
) -> None:
    """Turn density into the square of its detail, and ``fine`` into that of its structure."""
    for y in range(density.shape[0]):
        for x in range(density.shape[1]):
            detail, structure = density[y, x] - fine[y, x], fine[y, x] - coarse[y, x]
            density[y, x], fine[y, x] = detail * detail, structure * structure


@compiled
def _divide(detail: npt.NDArray[np.float32], structure: npt.NDArray[np.float32]) -> None:
    """Turn the mean square of the detail into the ratio of contrasts; NaN without structure."""
    zero = np.float32(0)
    for y in range(detail.shape[0]):
        for x in range(detail.shape[1]):
            # Running sums may leave a trace below zero.
            contrast = np.sqrt(max(structure[y, x], zero))
            ratio = np.sqrt(max(detail[y, x], zero)) / max(contrast, np.float32(1e-6))
            detail[y, x] = np.nan if contrast < _MIN_CONTRAST_OD else ratio
