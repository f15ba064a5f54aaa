"""White point and stain vectors, estimated from a slide or a control region.

Vectors are estimated within bounds: a stain with too few pixels, or whose estimate drifts
implausibly far, keeps its reference vector, and a flag says so.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from histo.errors import StainError
from histo.stain.density import check_rgb, check_white_point, optical_density
from histo.stain.matrix import StainMatrix, vector_angle

__all__ = ["WhitePoint", "estimate_stains", "estimate_white_point"]

FALLBACK_WHITE = 255.0
MIN_BACKGROUND_PX = 200
MIN_STAIN_PX = 200
"""A vector from fewer pixels than this is noise."""

MIN_CHANNEL_OD, MAX_OD_NORM, GREY_ANGLE_DEG = 0.05, 1.0, 8.6
MIN_OD_NORM = 0.15
USUAL_DRIFT_DEG, USUAL_DRIFT_PROVISIONAL_DEG = 15.0, 20.0
MAX_DRIFT_DEG = 35.0
"""Haematoxylin of real sections lies up to 31° from the book vector; beyond this it is
another dye."""
_MAX_PIXELS = 200_000
_PURE_SHARE = 0.7
"""A pixel in which one stain holds this share of the sum counts as that stain's own."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class WhitePoint:
    """The light through empty glass.

    Parameters
    ----------
    value : float (3,)
        Intensity in red, green and blue; held as a read-only float64 copy.
    source : str
        ``"background"``, ``"fallback"``, or a word of the caller's such as ``"user"``.
    flags : tuple of str
        Doubts; see `histo.stain.explain`.

    Examples
    --------
    >>> WhitePoint((243, 242, 240), "user").value.tolist()
    [243.0, 242.0, 240.0]
    """

    value: npt.NDArray[np.float64]
    source: str
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        value = check_white_point(self.value).copy()
        value.setflags(write=False)
        object.__setattr__(self, "value", value)


def estimate_white_point(rgb: npt.NDArray[Any], background: npt.NDArray[np.bool_]) -> WhitePoint:
    """Estimate the white point from empty glass.

    The median of the background in each channel. When the background is too small, or
    does not look like glass (uneven, dark, or darker than much of the picture), the white
    point falls back to 255 and is flagged.

    Parameters
    ----------
    rgb : uint8 (Y, X, 3)
        The slide at a low level, about 8 µm/px.
    background : bool (Y, X)
        Where no tissue is.

    Returns
    -------
    WhitePoint

    Raises
    ------
    ValueError
        When the shapes do not match.

    Examples
    --------
    >>> import numpy as np
    >>> glass = np.full((40, 40, 3), (241, 243, 240), np.uint8)
    >>> estimate_white_point(glass, np.ones((40, 40), bool)).value.tolist()
    [241.0, 243.0, 240.0]
    >>> estimate_white_point(glass, np.zeros((40, 40), bool)).flags
    ('white_point_assumed',)
    """
    check_rgb(rgb)
    if background.shape != rgb.shape[:-1]:
        raise ValueError(f"background is {background.shape}, rgb {rgb.shape}: they must match")
    pixels = rgb[background.astype(bool)].astype(np.float32)
    fallback = np.full(3, FALLBACK_WHITE)
    if len(pixels) < MIN_BACKGROUND_PX:
        return WhitePoint(fallback, "fallback", ("white_point_assumed",))
    median = np.median(pixels, axis=0).astype(np.float64)
    if not _looks_like_glass(rgb, pixels, median):
        return WhitePoint(fallback, "fallback", ("white_point_assumed", "background_not_glass"))
    return WhitePoint(median, "background")


def _looks_like_glass(
    rgb: npt.NDArray[Any],
    pixels: npt.NDArray[np.float32],
    median: npt.NDArray[np.float64],
) -> bool:
    spread = 1.4826 * np.median(np.abs(pixels - median.astype(np.float32)), axis=0)
    # Glass is the brightest thing on a slide: a background darker than a twentieth of the
    # picture is pale tissue, mounting medium or a shadow.
    bright = np.percentile(rgb.reshape(-1, 3)[:: max(1, rgb.size // 3_000_000)], 95, axis=0)
    return bool(
        spread.max() <= 10.0
        and median.min() >= 100.0
        and np.ptp(median) <= 60.0
        and (bright - median).max() <= 25.0
    )


def estimate_stains(
    rgb: npt.NDArray[Any], reference: StainMatrix, white_point: npt.ArrayLike
) -> StainMatrix:
    """Estimate stain vectors from the pixels of a slide or of a control region.

    Two stains: the method of Macenko in base-10 optical density with the exclusions of
    QuPath, on equal numbers of pixels that lie nearer to either reference vector, so that
    a sparse stain is not outvoted. Three stains: the purest pixels of each stain, found
    and averaged in turns. One stain: the mean direction.

    A stain with too few pixels of its own keeps the reference vector, with the flag
    ``stain_vector_kept_<stain>``. An estimate that leaves the reference by more than 15°
    (20° for a provisional stain) is taken, with the flag ``stain_vector_unusual_<stain>``,
    when it leaves at most half as much of the colour unexplained; otherwise, or beyond 35°,
    the reference stays, with the flag ``stain_vector_rejected_<stain>``.

    Parameters
    ----------
    rgb : uint8 (Y, X, 3), or (N, 3)
        Tissue, at any resolution at which stains show apart (2 µm/px or finer for nuclei).
    reference : StainMatrix
        Where to start from, and what to keep in doubt.
    white_point : float (3,)
        Intensity of light through empty glass.

    Returns
    -------
    StainMatrix
        Same stains in the same order. `provisional` holds those not estimated.

    Raises
    ------
    ValueError
        As `optical_density`.

    References
    ----------
    Macenko M et al. A method for normalizing histology slides for quantitative analysis.
    IEEE ISBI 2009:1107-1110. Exclusions: Bankhead P et al. QuPath, Sci Rep 2017;7:16878.

    Examples
    --------
    >>> import numpy as np
    >>> from histo.stain import load_stains
    >>> reference = load_stains("h-dab")
    >>> rng = np.random.default_rng(1)
    >>> amount = rng.uniform(0.2, 0.8, (4000, 1))
    >>> own = np.array([[0.60, 0.74, 0.30], [0.30, 0.56, 0.77]])
    >>> rgb = 240 * 10 ** -(amount * own[rng.integers(0, 2, 4000)])
    >>> found = estimate_stains(rgb, reference, (240, 240, 240))
    >>> np.abs(found.vectors - own / np.linalg.norm(own, axis=1)[:, None]).max().round(2)
    np.float64(0.0)
    """
    density = _usable_density(rgb, white_point)
    if len(reference.stains) == 2:
        found = _estimate_two(density, reference)
    else:
        found = _estimate_pure(density, reference)
    return _accept(found, reference, density)


def _usable_density(rgb: npt.NDArray[Any], white_point: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the pixels whose colour tells about a stain, float64 (N, 3)."""
    check_rgb(rgb)
    pixels = rgb.reshape(-1, 3)
    pixels = pixels[:: max(1, len(pixels) // (5 * _MAX_PIXELS))]
    density = optical_density(pixels, white_point).astype(np.float64)
    norm = np.linalg.norm(density, axis=1)
    # Dark pixels are near the floor of 8 bits, pale ones are noise; grey ones are pigment,
    # dust or an even mixture, and name no stain.
    grey = density.sum(axis=1) / np.sqrt(3.0) >= np.cos(np.radians(GREY_ANGLE_DEG)) * norm
    good = (norm >= MIN_OD_NORM) & (norm <= MAX_OD_NORM) & ~grey
    good &= (density >= MIN_CHANNEL_OD).all(axis=1)
    density = density[good]
    return np.asarray(density[:: max(1, len(density) // _MAX_PIXELS)])


def _shares(
    density: npt.NDArray[np.float64], vectors: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the share of each stain in each pixel, float64 (N, S); negatives count as 0."""
    amounts = np.maximum(density @ np.linalg.pinv(vectors), 0.0)
    return np.asarray(amounts / np.maximum(amounts.sum(axis=1, keepdims=True), 1e-6))


def _estimate_two(
    density: npt.NDArray[np.float64], reference: StainMatrix
) -> dict[str, npt.NDArray[np.float64]]:
    """Estimate both vectors, or the one of the stain that is there."""
    shares = _shares(density, reference.vectors)
    groups = [density[shares[:, s] >= _PURE_SHARE] for s in range(2)]
    counts = [len(group) for group in groups]
    if min(counts) < MIN_STAIN_PX:
        return {
            stain: _mean_direction(group)
            for stain, group in zip(reference.stains, groups, strict=True)
            if len(group) >= MIN_STAIN_PX
        }
    size = min(*counts, _MAX_PIXELS // 4)
    rng = np.random.default_rng(0)
    balanced = np.concatenate([g[rng.choice(len(g), size, replace=False)] for g in groups])
    # Eigenvectors of the uncentred second moment: by Beer-Lambert the plane of two stains
    # passes through the origin.
    _, axes = np.linalg.eigh(balanced.T @ balanced)
    first = axes[:, 2] * np.sign(axes[:, 2].sum())
    second = axes[:, 1]
    angles = np.arctan2(balanced @ second, balanced @ first)
    low, high = np.percentile(angles, (1, 99))
    ends = [np.cos(a) * first + np.sin(a) * second for a in (low, high)]
    as_is = sum(vector_angle(e, v) for e, v in zip(ends, reference.vectors, strict=True))
    swapped = sum(vector_angle(e, v) for e, v in zip(ends[::-1], reference.vectors, strict=True))
    ends = ends if as_is <= swapped else ends[::-1]
    return dict(zip(reference.stains, ends, strict=True))


def _estimate_pure(
    density: npt.NDArray[np.float64], reference: StainMatrix
) -> dict[str, npt.NDArray[np.float64]]:
    """Average the purest pixels of each stain, in turns with the unmixing."""
    vectors = np.array(reference.vectors)
    found: dict[str, npt.NDArray[np.float64]] = {}
    for _ in range(6):
        shares = _shares(density, vectors)
        found = {}
        for s, stain in enumerate(reference.stains):
            own = np.flatnonzero(shares[:, s] >= _PURE_SHARE)
            if len(own) < MIN_STAIN_PX:
                continue
            # The purest quarter: the rest leans towards its neighbours and pulls the mean.
            count = max(MIN_STAIN_PX, len(own) // 4)
            purest = own[np.argsort(shares[own, s], kind="stable")[-count:]]
            direction = _mean_direction(density[purest])
            if vector_angle(direction, reference.vectors[s]) <= MAX_DRIFT_DEG:
                vectors[s] = direction
            found[stain] = direction
    return found


def _mean_direction(density: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the robust mean of directions, a unit vector."""
    unit = density / np.linalg.norm(density, axis=1, keepdims=True)
    median = np.median(unit, axis=0)
    return np.asarray(median / np.linalg.norm(median))


def _misfit(density: npt.NDArray[np.float64], vectors: npt.NDArray[np.float64]) -> float:
    """Return the share of optical density that no mixture of the stains explains."""
    amounts = np.maximum(density @ np.linalg.pinv(vectors), 0.0)
    left = np.linalg.norm(density - amounts @ vectors, axis=1).sum()
    return float(left / max(np.linalg.norm(density, axis=1).sum(), 1e-9))


def _accept(
    found: dict[str, npt.NDArray[np.float64]],
    reference: StainMatrix,
    density: npt.NDArray[np.float64],
) -> StainMatrix:
    """Take the plausible vectors over, keep the reference for the others, and say so."""
    usual, unusual = np.array(reference.vectors), np.array(reference.vectors)
    outcome: dict[str, str] = {}
    for s, stain in enumerate(reference.stains):
        if stain not in found:
            outcome[stain] = "kept"
            continue
        provisional = stain in reference.provisional
        limit = USUAL_DRIFT_PROVISIONAL_DEG if provisional else USUAL_DRIFT_DEG
        drift = vector_angle(found[stain], reference.vectors[s])
        if drift <= limit:
            usual[s] = unusual[s] = found[stain]
        elif drift <= MAX_DRIFT_DEG:
            unusual[s] = found[stain]
            outcome[stain] = "unusual"
        else:
            outcome[stain] = "rejected"
    if "unusual" in outcome.values():
        if _misfit(density, unusual) <= 0.5 * _misfit(density, usual):
            usual = unusual
        else:
            outcome = {k: "rejected" if v == "unusual" else v for k, v in outcome.items()}
    provisional_left = (s for s in reference.provisional if outcome.get(s) in ("kept", "rejected"))
    try:
        return StainMatrix(
            reference.name,
            reference.stains,
            usual,
            provisional=tuple(provisional_left),
            flags=tuple(f"stain_vector_{how}_{stain}" for stain, how in outcome.items()),
        )
    except StainError:
        # Estimated vectors that fell together are worse than the reference ones.
        refused = tuple(f"stain_vector_rejected_{stain}" for stain in reference.stains)
        return dataclasses.replace(reference, flags=refused)
