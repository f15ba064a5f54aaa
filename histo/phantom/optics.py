"""From optical density to what the scanner wrote, and from intensity to camera counts."""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from histo.phantom.noise import Plane
from histo.phantom.recipe import Optics

FULL_SCALE: Final = 2000.0
"""Camera counts of a level of 1."""

CAMERA_OFFSET: Final = 100.0
"""Camera counts without light."""


def transmit(od: Plane, vectors: ArrayLike, white_point: ArrayLike) -> Plane:
    """Light that passes a stained section: ``I0 * 10 ** -(od @ vectors)``.

    Parameters
    ----------
    od
        float32 (Y, X, S), base-10 optical density of each stain.
    vectors
        (S, 3), optical density of each stain per channel (R, G, B).
    white_point
        (3,), light through glass, grey levels.

    Returns
    -------
    float32 (Y, X, 3), grey levels.

    Examples
    --------
    >>> import numpy as np
    >>> light = transmit(np.full((1, 1, 1), 1.0, np.float32), [[1.0, 0.5, 0.0]], [250, 250, 250])
    >>> light.round().tolist()
    [[[25.0, 79.0, 250.0]]]
    """
    total = od @ np.asarray(vectors, np.float32)
    total *= np.float32(-np.log(10.0))
    return np.asarray(np.asarray(white_point, np.float32) * np.exp(total), np.float32)


def capture(
    light: Plane, optics: Optics | None, rng: np.random.Generator, *, pixel_size_um: float
) -> NDArray[np.uint8]:
    """Scan an image: blur, sharpen, stretch, add noise, compress, round to 8 bits.

    Parameters
    ----------
    light
        float32 (Y, X, 3), grey levels.
    optics
        None only rounds.
    rng
        Source of the sensor's noise.
    pixel_size_um
        Pixel size, µm.

    Returns
    -------
    uint8 (Y, X, 3)
    """
    image: Any = light
    if optics is None:
        return np.asarray(np.clip(np.rint(image), 0, 255), np.uint8)
    if optics.blur_um > 0:
        image = cv2.GaussianBlur(image, (0, 0), max(optics.blur_um / pixel_size_um, 0.25))
    if optics.sharpen > 0:
        image = image + optics.sharpen * (image - cv2.GaussianBlur(image, (0, 0), 1.2))
    if optics.contrast != 1.0:
        image = 255.0 - (255.0 - image) * optics.contrast
    if optics.noise > 0:
        image = image + np.float32(optics.noise) * rng.standard_normal(image.shape, np.float32)
    out = np.asarray(np.clip(np.rint(image), 0, 255), np.uint8)
    if optics.jpeg_quality > 0:
        quality = [cv2.IMWRITE_JPEG_QUALITY, optics.jpeg_quality]
        _, packed = cv2.imencode(".jpg", out[..., ::-1], quality)
        decoded = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        out = np.ascontiguousarray(np.asarray(decoded, np.uint8)[..., ::-1])
    return out


def count_photons(
    signal: Plane, optics: Optics | None, rng: np.random.Generator, *, pixel_size_um: float
) -> NDArray[np.uint16]:
    """Record fluorescence: blur, offset, shot and read noise, 16 bits.

    Parameters
    ----------
    signal
        float32 (Y, X, C), camera counts.
    optics
        None only rounds. `Optics.noise` scales shot and read noise alike.
    rng
        Source of the noise.
    pixel_size_um
        Pixel size, µm.

    Returns
    -------
    uint16 (Y, X, C)
    """
    image: Any = signal
    if optics is not None:
        sigma = max(optics.blur_um / pixel_size_um, 0.25)
        image = cv2.GaussianBlur(image, (0, 0), sigma).reshape(signal.shape)
        # Of a 12-bit camera: about 15 electrons a count, and one count of read noise.
        variance = np.maximum(image - np.float32(CAMERA_OFFSET), 0) / np.float32(15) + 1
        grains = rng.standard_normal(image.shape, np.float32)
        image = image + np.float32(optics.noise) * np.sqrt(variance) * grains
    return np.asarray(np.clip(np.rint(image), 0, 65535), np.uint16)
