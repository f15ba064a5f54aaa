"""What is matter and what is air in a lung, how dense matter lies, and where the lobes are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo.region import shapes

__all__ = ["Matter", "find_lobes", "find_matter"]

Mask = npt.NDArray[np.bool_]
Plane = npt.NDArray[np.float32]

SHARE_UM = 10.0
"""Standard deviation of the window in which the share of matter is taken: a span of about 25 µm."""

_SOFT_UM, _DENSE_UM = 1.5, 6.0
_FIRST_CUT, _USUAL_CUT, _LEAST_CUT, _LARGEST_CUT = 0.2, 0.3, 0.13, 0.4
"""Where matter begins, between the light of empty air and that of dense tissue. Below a half: the
thinnest septa fill only part of a pixel, and cytoplasm is paler than nuclei."""
_SURELY_SOLID, _MIN_SOLID_PX = 0.85, 200

_MIN_DENSE_OD = 0.03
_CLOSING_UM, _SPUR_UM = 60.0, 25.0
_MAX_GAP_UM2, _MIN_LOBE_UM2 = 2e6, 5e4
_MIN_AIR = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Matter:
    """Matter and air.

    Attributes
    ----------
    mask : bool (Y, X)
        Where there is tissue rather than air or glass.
    share : float32 (Y, X)
        Its share around each pixel, in a Gaussian window of `SHARE_UM`.
    typical : float
        The share that alveolar parenchyma of this slide mostly has.
    dense_od : float
        Mean optical density of dense tissue on this slide.
    """

    mask: Mask
    share: Plane
    typical: float
    dense_od: float

    @property
    def solid(self) -> float:
        """Half way between parenchyma and solid tissue: the border of what is solid."""
        return float(np.clip((self.typical + 1) / 2, 0.52, 0.68))

    @property
    def loose(self) -> float:
        """Less than solid, but more than parenchyma has."""
        return float(self.typical + 0.4 * (1 - self.typical))

    @property
    def surely_solid(self) -> float:
        """What the middle of anything solid reaches."""
        return float(np.clip((self.typical + 3) / 4, 0.76, 0.84))


def find_matter(od: Plane, pixel_size_um: float) -> Matter:
    """Tell tissue from air by the slide's own light.

    Parameters
    ----------
    od : float32 (Y, X)
        Mean optical density of the three channels.
    pixel_size_um : float

    Returns
    -------
    Matter
        Nothing is matter on blank glass.
    """
    soft = shapes.blurred(od, _SOFT_UM / pixel_size_um)
    around = shapes.blurred(od, _DENSE_UM / pixel_size_um)
    # Glass around a small section must not hide the section.
    stained = around[around > _MIN_DENSE_OD / 2]
    dense = float(np.percentile(stained, 95)) if stained.size else 0.0
    if dense < _MIN_DENSE_OD:
        nothing = np.zeros(od.shape, bool)
        return Matter(nothing, np.zeros(od.shape, np.float32), 0.0, dense)
    mask = np.asarray(soft > _palest(soft, dense, pixel_size_um))
    share = shapes.blurred(mask.astype(np.float32), SHARE_UM / pixel_size_um)
    return Matter(mask, share, _typical(share), dense)


def _palest(soft: Plane, dense: float, pixel_size_um: float) -> float:
    """Return the optical density at which matter begins: half that of solid cytoplasm."""
    mask = soft > _FIRST_CUT * dense
    share = shapes.blurred(mask.astype(np.float32), SHARE_UM / pixel_size_um)
    # Clefts between cells are no matter, however solid the tissue around them.
    inside = soft[(share > _SURELY_SOLID) & (soft > 0.2 * dense)]
    if inside.size < _MIN_SOLID_PX:
        return _USUAL_CUT * dense
    pale = float(np.percentile(inside, 15)) / 2
    return float(np.clip(pale, _LEAST_CUT * dense, _LARGEST_CUT * dense))


def _typical(share: Plane) -> float:
    """Return the commonest share below what is solid; lesions and glass are left out."""
    values = share[(share > 0.04) & (share < 0.55)]
    if values.size < 100:
        return 0.0
    counts, edges = np.histogram(values, bins=51, range=(0.04, 0.55))
    smooth = np.convolve(counts, np.hanning(13), mode="same")
    at = int(smooth.argmax())
    return float(edges[at] + edges[at + 1]) / 2


def find_lobes(matter: Matter, pixel_size_um: float) -> tuple[Mask, Mask]:
    """Outline the lobes with their air.

    Gaps up to 120 µm and holes up to 2 mm² (bronchi) belong to the lobe. A piece without
    alveoli (less than 30 % of it air) is no lung.

    Parameters
    ----------
    matter : Matter
    pixel_size_um : float

    Returns
    -------
    lobes, other : bool (Y, X)
        Lung, and tissue that is none: lymph nodes, oesophagus, heart.
    """
    area = pixel_size_um**2
    whole = shapes.closed(matter.mask, _CLOSING_UM / pixel_size_um)
    whole = shapes.filled(whole, _MAX_GAP_UM2 / area)
    whole = shapes.opened(whole, _SPUR_UM / pixel_size_um)
    labels, areas = shapes.components(whole)
    solid = np.bincount(labels[matter.share > matter.solid], minlength=len(areas))
    airy = 1 - solid / np.maximum(areas, 1) >= _MIN_AIR
    is_lung = airy & (areas >= _MIN_LOBE_UM2 / area)
    is_lung[0] = False
    other = ~is_lung & (areas >= 2_500.0 / area)
    other[0] = False
    return np.asarray(is_lung[labels]), np.asarray(other[labels])
