"""Large airways and vessels: lumens with a closed wall."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from histo.region import shapes

__all__ = ["TUBE_KINDS", "Tube", "find_tubes"]

Mask = npt.NDArray[np.bool_]
Plane = npt.NDArray[np.float32]

TUBE_KINDS = ("airway", "vessel", "airway or vessel")

_ALVEOLUS_UM = 22.0
_MIN_LUMEN_UM2 = 3_000.0
_SEARCH_UM, _STEP_UM, _USUAL_WALL_UM = 45.0, 3.0, 18.0
_TOUCH_UM, _MIN_CLOSED = 7.0, 0.9
_THICK_UM, _THIN_CLOSED, _MIN_SOLIDITY = 11.0, 0.58, 0.8
_EPITHELIUM, _PALE = 1.0, 0.9


@dataclass(frozen=True, slots=True)
class Tube:
    """A large airway or vessel.

    Attributes
    ----------
    kind : str
        One of `TUBE_KINDS`; ``"airway or vessel"`` where wall and colour do not agree.
    y_um, x_um : float
        The middle of its lumen.
    lumen_um2 : float
    wall_um : float
        Thickness of its wall.
    """

    kind: str
    y_um: float
    x_um: float
    lumen_um2: float
    wall_um: float


def find_tubes(
    matter: Mask, lobes: Mask, nuclear_od: Plane, *, pixel_size_um: float
) -> tuple[tuple[Tube, ...], npt.NDArray[np.uint8], Mask]:
    """Find lumens larger than alveoli whose wall is closed.

    An airway has a thick wall that takes haematoxylin (epithelium), a vessel a pale one. Alveolar
    ducts and sacs open into their neighbours: their wall is not closed. A vessel whose wall takes
    no stain cannot be told from them and stays air.

    Parameters
    ----------
    matter, lobes : bool (Y, X)
    nuclear_od : float32 (Y, X)
        Red optical density: haematoxylin, hardly any eosin.
    pixel_size_um : float

    Returns
    -------
    tubes : tuple of Tube
    codes : uint8 (Y, X)
        Lumen and wall: 1 + index into `TUBE_KINDS`; 0 elsewhere.
    lumens : bool (Y, X)
    """
    um = pixel_size_um
    codes = np.zeros(matter.shape, np.uint8)
    lumens = np.zeros(matter.shape, bool)
    air = lobes & ~matter
    wide = shapes.opened(air, _ALVEOLUS_UM / um)
    labels, areas = shapes.components(wide)
    level = float(np.mean(nuclear_od[matter & lobes])) if (matter & lobes).any() else 1.0
    found = []
    _, _, boxes, _ = cv2.connectedComponentsWithStats(wide.astype(np.uint8))
    margin = int(np.ceil((_SEARCH_UM + 6) / um))
    for number in np.flatnonzero(areas >= _MIN_LUMEN_UM2 / um**2).tolist():
        if number == 0:
            continue
        x, y, w, h = (int(v) for v in boxes[number, :4])
        box = (
            slice(max(0, y - margin), y + h + margin),
            slice(max(0, x - margin), x + w + margin),
        )
        lumen = labels[box] == number
        away = shapes.distance(~lumen) * um
        # The lumen fills its corners up to the wall.
        lumen = lumen | ((away > 0) & (away < _TOUCH_UM) & air[box])
        wall_um = _wall_thickness(matter[box], away)
        if wall_um is None or (wall_um < _THICK_UM and not _smooth(lumen, matter[box], away)):
            continue
        wall = matter[box] & (away > 0) & (away <= wall_um + 3.0)
        kind = _kind(wall_um, float(nuclear_od[box][wall].mean()) / level)
        codes[box][(lumen | wall) & lobes[box]] = 1 + TUBE_KINDS.index(kind)
        lumens[box] |= lumen & lobes[box]
        where = np.argwhere(lumen)
        middle = (where.mean(0) + (box[0].start, box[1].start) + 0.5) * um
        found.append(
            Tube(kind, float(middle[0]), float(middle[1]), float(len(where) * um**2), wall_um)
        )
    return tuple(found), codes, lumens


def _wall_thickness(matter: Mask, away: Plane) -> float | None:
    """Thickness of the wall around a lumen, µm, or None where it is not closed."""
    ring = (away > 0) & (away <= 3.0)
    near = shapes.dilate(matter, 2.0)
    if not ring.any() or near[ring].mean() < _MIN_CLOSED:
        return None
    thickness = 0.0
    for inner in np.arange(0.0, _SEARCH_UM, _STEP_UM):
        band = (away > inner) & (away <= inner + _STEP_UM)
        if band.any():
            if inner >= _TOUCH_UM and matter[band].mean() < 0.6:
                break
            thickness = float(inner + _STEP_UM)
    # Solid tissue all around hides where the wall ends.
    return min(thickness, _SEARCH_UM) if thickness < 36.0 else _USUAL_WALL_UM


def _smooth(lumen: Mask, matter: Mask, away: Plane) -> bool:
    """Whether a lumen with a thin wall is round and closed enough for a vessel."""
    ring = (away > 0) & (away <= 3.5)
    points = np.argwhere(lumen)[:, ::-1].astype(np.int32)
    hull = float(cv2.contourArea(cv2.convexHull(points)))
    return bool(matter[ring].mean() >= _THIN_CLOSED and lumen.sum() >= _MIN_SOLIDITY * hull)


def _kind(wall_um: float, blue: float) -> str:
    """Kind of a tube from its wall: its thickness, and its haematoxylin against all matter's."""
    if blue < _PALE:
        return "vessel"
    return "airway" if wall_um >= _THICK_UM and blue >= _EPITHELIUM else "airway or vessel"
