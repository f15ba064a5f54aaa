"""Whether the stains of a slide can be trusted, in numbers and in words."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.stain.density import (
    check_rgb,
    check_white_point,
    optical_density,
    stain_concentrations,
    stain_residual,
)
from histo.stain.matrix import StainMatrix, vector_angle

__all__ = ["FLAG_TEXT", "StainCheck", "check_stains", "explain"]

NEGATIVE_OD, MAX_NEGATIVE_FRACTION = -0.05, 0.05
MAX_RESIDUAL_FRACTION = 0.15
MAX_DRIFT_DEG = 10.0
MIN_ANGLE_DEG = 15.0
SATURATED_LEVEL, MAX_SATURATED_FRACTION = 4, 0.01
MIN_WHITE, MAX_WHITE_DIFFERENCE = 200.0, 20.0
_MAX_PIXELS = 2_000_000

FLAG_TEXT = {
    "no_tissue": "No tissue was found, so the stains could not be checked.",
    "negative_concentrations": (
        "More than 5 % of the tissue unmixes to a negative amount of a stain: the stain vectors "
        "do not fit this slide. Estimate them from a control, or from the slide."
    ),
    "large_residual": (
        "More than 15 % of the colour is explained by none of the stains: wrong stain vectors, "
        "pigment, or another stain on the slide."
    ),
    "stain_vector_drift": (
        "A stain's colour lies more than 10° from that of the batch: staining, section thickness "
        "or scanner differ, and intensities cannot be compared with the other slides."
    ),
    "stains_inseparable": (
        "Two stains lie less than 15° apart in colour, so that one is easily read as the other."
    ),
    "saturated_pixels": (
        "More than 1 % of the tissue is too dark for the scanner to tell amounts apart: intensity "
        "is underestimated there; percentages of positive cells are not affected."
    ),
    "dim_background": (
        "The empty glass is darker than 200 of 255: the lamp was low, or the background was "
        "taken from something other than glass."
    ),
    "tinted_background": (
        "The empty glass is not neutral (channels differ by more than 20): white balance was off. "
        "It is corrected for, but check that the background is really glass."
    ),
    "white_point_assumed": (
        "No empty glass was found, so white was taken as 255 in each channel: optical densities "
        "may be too high."
    ),
    "background_not_glass": (
        "What lies outside the tissue is uneven, dark or coloured and cannot be empty glass."
    ),
    "stain_vector_kept": (
        "The slide has too few pixels of this stain to estimate its colour, so the reference "
        "colour was kept."
    ),
    "stain_vector_rejected": (
        "The colour estimated for this stain was implausibly far from the reference colour, "
        "which was kept."
    ),
    "stain_vector_unusual": (
        "The colour of this stain lies far from the reference colour, but explains the slide much "
        "better, so it was used. Thresholds from other laboratories may not carry over."
    ),
    "stain_region_mixed": (
        "The region drawn for this stain holds more than one colour, so its vector lies between "
        "them. Draw it on this stain alone."
    ),
    "stain_vector_provisional": (
        "The colour of this stain is a guess that nothing on the slide confirmed: its intensities "
        "are not calibrated. Give a control, or a stain file of your own."
    ),
}
"""What each flag of this room means. Some carry a stain's name at the end."""

_NOT_FAILING = (
    "no_tissue",
    "white_point_assumed",
    "stain_vector_kept",
    "stain_vector_unusual",
    "stain_region_mixed",
)


@dataclasses.dataclass(frozen=True, slots=True)
class StainCheck:
    """The outcome of `check_stains`.

    Parameters
    ----------
    passed : bool
        Whether no flag makes the slide's stain metrics doubtful.
    flags : tuple of str
        What is wrong or worth knowing; see `explain`.
    values : dict of str to float
        The numbers behind the flags: ``negative_fraction``, ``residual_fraction``,
        ``saturated_fraction``, ``min_angle_deg``, ``condition_number``,
        ``vector_drift_deg``, ``white_min``, ``white_difference``. NaN where the check does
        not apply.
    """

    passed: bool
    flags: tuple[str, ...]
    values: dict[str, float]


def explain(flag: str) -> str:
    """Return what a flag means, in a sentence for the person who reads the results.

    Raises ValueError for a flag that this room does not know.

    Examples
    --------
    >>> explain("stain_vector_kept_dab")
    'dab: The slide has too few pixels of this stain ... the reference colour was kept.'
    """
    if flag in FLAG_TEXT:
        return FLAG_TEXT[flag]
    for word, text in FLAG_TEXT.items():
        if flag.startswith(f"{word}_"):
            return f"{flag.removeprefix(f'{word}_')}: {text}"
    raise ValueError(f"no stain flag is called {flag!r}")


def check_stains(
    rgb: npt.NDArray[Any],
    stains: StainMatrix,
    white_point: npt.ArrayLike,
    tissue: npt.NDArray[np.bool_],
    *,
    batch: StainMatrix | None = None,
) -> StainCheck:
    """Check that stain vectors and white point fit a slide.

    Fails when more than 5 % of tissue pixels unmix below -0.05 OD; the mean absolute
    residual exceeds 15 % of the mean OD norm (two stains); a vector lies more than 10° from
    the batch; two stains are less than 15° apart; more than 1 % of the tissue is saturated
    (a channel at 4 or less of 255); the white point is below 200 or its channels differ by
    more than 20.

    Parameters
    ----------
    rgb : uint8 (Y, X, 3), or (N, 3)
        The slide, or tiles of it stacked; a few million pixels suffice.
    stains : StainMatrix
        The vectors in use.
    white_point : float (3,)
        The white point in use.
    tissue : bool (Y, X), or (N,)
        Where tissue is.
    batch : StainMatrix, optional
        Vectors of the batch to compare with.

    Returns
    -------
    StainCheck

    Raises
    ------
    ValueError
        When the shapes do not match, or `batch` names other stains.

    Examples
    --------
    >>> import numpy as np
    >>> from histo.stain import load_stains
    >>> stains = load_stains("h-dab")
    >>> rgb = 240 * 10 ** -(0.5 * np.broadcast_to(stains.vectors[0], (20, 20, 3)))
    >>> check_stains(rgb, stains, (240, 240, 240), np.ones((20, 20), bool)).passed
    True
    """
    check_rgb(rgb)
    white = check_white_point(white_point)
    if tissue.shape != rgb.shape[:-1]:
        raise ValueError(f"tissue is {tissue.shape}, rgb {rgb.shape}: they must match")
    pixels = rgb[tissue.astype(bool)]
    pixels = pixels[:: max(1, len(pixels) // _MAX_PIXELS)]
    values = _vector_values(stains, batch) | _pixel_values(pixels, stains, white)
    values["white_min"] = float(white.min())
    values["white_difference"] = float(np.ptp(white))
    flags: tuple[str, ...] = () if len(pixels) else ("no_tissue",)
    flags += _judge(values)
    flags += tuple(f"stain_vector_provisional_{stain}" for stain in stains.provisional)
    flags += stains.flags
    failing = [flag for flag in flags if not flag.startswith(_NOT_FAILING)]
    return StainCheck(not failing, flags, values)


def _vector_values(stains: StainMatrix, batch: StainMatrix | None) -> dict[str, float]:
    values = {
        "min_angle_deg": min(stains.angles().values(), default=float("nan")),
        "condition_number": stains.condition_number,
        "vector_drift_deg": float("nan"),
    }
    if batch is not None:
        if batch.stains != stains.stains:
            raise ValueError(f"batch has {batch.stains}, the slide {stains.stains}")
        pairs = zip(stains.vectors, batch.vectors, strict=True)
        values["vector_drift_deg"] = max(vector_angle(a, b) for a, b in pairs)
    return values


def _pixel_values(
    pixels: npt.NDArray[Any], stains: StainMatrix, white: npt.NDArray[np.float64]
) -> dict[str, float]:
    names = ("negative_fraction", "residual_fraction", "saturated_fraction")
    values = dict.fromkeys(names, float("nan"))
    if not len(pixels):
        return values
    negative = (stain_concentrations(pixels, stains, white) < NEGATIVE_OD).any(axis=-1)
    values["negative_fraction"] = float(negative.mean())
    values["saturated_fraction"] = float((pixels <= SATURATED_LEVEL).any(axis=-1).mean())
    if len(stains.stains) < 3:
        left = float(np.abs(stain_residual(pixels, stains, white)).mean())
        norm = float(np.linalg.norm(optical_density(pixels, white), axis=-1).mean())
        values["residual_fraction"] = left / norm if norm > 0 else 0.0
    return values


def _judge(values: dict[str, float]) -> tuple[str, ...]:
    # Comparisons with NaN are false: a check that does not apply never flags.
    rules = {
        "negative_concentrations": values["negative_fraction"] > MAX_NEGATIVE_FRACTION,
        "large_residual": values["residual_fraction"] > MAX_RESIDUAL_FRACTION,
        "stain_vector_drift": values["vector_drift_deg"] > MAX_DRIFT_DEG,
        "stains_inseparable": values["min_angle_deg"] < MIN_ANGLE_DEG,
        "saturated_pixels": values["saturated_fraction"] > MAX_SATURATED_FRACTION,
        "dim_background": values["white_min"] < MIN_WHITE,
        "tinted_background": values["white_difference"] > MAX_WHITE_DIFFERENCE,
    }
    return tuple(flag for flag, raised in rules.items() if raised)
