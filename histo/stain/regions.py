"""Stain vectors from regions in which a reader says that there is one stain alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.errors import StainError
from histo.stain.density import check_rgb, optical_density
from histo.stain.estimate import MAX_DRIFT_DEG, MIN_OD_NORM, MIN_STAIN_PX, USUAL_DRIFT_DEG
from histo.stain.matrix import StainMatrix, vector_angle
from histo.stain.qc import SATURATED_LEVEL

__all__ = ["MIXED_DEG", "stains_from_regions"]

MIXED_DEG = 12.0
"""Pixels of one stain scatter by 3-6° about its vector; half of them beyond this is a mixture."""


def stains_from_regions(
    regions: Mapping[str, npt.NDArray[Any]], reference: StainMatrix, white_point: npt.ArrayLike
) -> StainMatrix:
    """Measure stain vectors in regions that hold one stain each.

    The vector of a stain is the median of its pixels' unit optical density vectors. Pixels that
    are nearly empty (norm below 0.15) or saturated (a channel at 4 or less of 255) are left out.
    Unlike `estimate_stains`, dark and greyish pixels count: the reader has said what they are.

    Parameters
    ----------
    regions : mapping of str to uint8 (N, 3) or (Y, X, 3)
        Pixels by the name of the stain. Stains of `reference` that are not named keep its vector.
    reference : StainMatrix
        Which stains there are, and what to keep in doubt.
    white_point : float (3,)
        Intensity of light through empty glass.

    Returns
    -------
    StainMatrix
        Same stains in the same order. Flags: ``stain_vector_kept_<stain>`` where fewer than 200
        pixels are left; ``stain_vector_unusual_<stain>`` beyond 15° from the reference;
        ``stain_vector_rejected_<stain>`` beyond 35°, or nearer to another stain of the reference,
        which is kept then: it is another dye, or two regions were confused;
        ``stain_region_mixed_<stain>`` where half of the pixels lie more than 12° from the median.

    Raises
    ------
    StainError
        If no region can be used, or the vectors cannot be told apart.
    ValueError
        If a region is of a stain that `reference` does not have, or is no RGB.

    References
    ----------
    Ruifrok AC, Johnston DA. Anal Quant Cytol Histol 2001;23:291-299: vectors from single-stained
    regions.

    Examples
    --------
    >>> import numpy as np
    >>> from histo.stain import load_stains
    >>> own = np.array([0.30, 0.55, 0.78])
    >>> amount = np.linspace(0.3, 0.9, 500)[:, None]
    >>> region = 240 * 10 ** -(amount * own / np.linalg.norm(own))
    >>> found = stains_from_regions({"dab": region}, load_stains("h-dab"), (240, 240, 240))
    >>> found.vectors[1].round(3).tolist(), found.flags
    ([0.3, 0.55, 0.78], ())
    """
    if unknown := sorted(set(regions) - set(reference.stains)):
        raise ValueError(
            f"regions of {', '.join(unknown)}, but the stains are {', '.join(reference.stains)}."
        )
    vectors, flags, measured = np.array(reference.vectors), [], set()
    for row, stain in enumerate(reference.stains):
        if stain not in regions:
            continue
        unit = _directions(regions[stain], white_point)
        if len(unit) < MIN_STAIN_PX:
            flags.append(f"stain_vector_kept_{stain}")
            continue
        median = np.median(unit, axis=0)
        median /= np.linalg.norm(median)
        angles = [vector_angle(median, vector) for vector in reference.vectors]
        drift = angles[row]
        if drift > MAX_DRIFT_DEG or drift > min(angles):
            flags.append(f"stain_vector_rejected_{stain}")
            continue
        vectors[row] = median
        measured.add(stain)
        if drift > USUAL_DRIFT_DEG:
            flags.append(f"stain_vector_unusual_{stain}")
        if np.median(np.degrees(np.arccos(np.clip(unit @ median, -1, 1)))) > MIXED_DEG:
            flags.append(f"stain_region_mixed_{stain}")
    if not measured:
        raise StainError(_nothing(regions, flags))
    return StainMatrix(
        reference.name,
        reference.stains,
        vectors,
        provisional=tuple(stain for stain in reference.provisional if stain not in measured),
        flags=tuple(flags),
    )


def _directions(rgb: npt.NDArray[Any], white_point: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the unit optical density vectors of the pixels that show a colour, (N, 3)."""
    check_rgb(rgb)
    pixels = rgb.reshape(-1, 3)
    density = optical_density(pixels, white_point).astype(np.float64)
    norm = np.linalg.norm(density, axis=1)
    good = (norm >= MIN_OD_NORM) & (pixels > SATURATED_LEVEL).all(axis=1)
    return np.asarray(density[good] / norm[good, None])


def _nothing(regions: Mapping[str, npt.NDArray[Any]], flags: list[str]) -> str:
    if not regions:
        return "No region of a stain was given; draw at least one, in which there is one stain."
    far = [flag.rpartition("_")[2] for flag in flags if "_rejected_" in flag]
    if far:
        return (
            f"{', '.join(far)}: the colour in the region is nearer to that of another stain, or "
            f"more than {MAX_DRIFT_DEG:.0f}° off; check that the regions are of the stains that "
            "they are named for."
        )
    return (
        f"The regions hold fewer than {MIN_STAIN_PX} stained pixels that are not saturated; draw "
        "larger ones, on the stain itself."
    )
