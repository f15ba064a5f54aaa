"""Where the lobe, its alveoli, tubes, foci and decoys of a painted lung section lie."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from histo.phantom.noise import Plane, smooth_noise

__all__ = ["Blob", "Tube", "grow_foam", "lobe_outline", "outline_blob", "place_structures"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tube:
    """An airway or a vessel, cut: lengths in µm, angle in radians."""

    kind: str
    y_um: float
    x_um: float
    lumen_um: tuple[float, float]
    wall_um: float
    angle: float

    @property
    def reach_um(self) -> float:
        """Radius of the circle that holds it."""
        return max(self.lumen_um) + self.wall_um


@dataclass(frozen=True, slots=True)
class Blob:
    """A solid structure: a focus or a lymphoid aggregate; `radius_um` of the circle as large."""

    kind: str
    y_um: float
    x_um: float
    radius_um: float

    @property
    def reach_um(self) -> float:
        """Radius of the circle that holds it."""
        return 1.35 * self.radius_um + 4.0


def _cells_around(
    rng: np.random.Generator, shape: tuple[int, int], pitch: float
) -> NDArray[np.int64]:
    """Centres (N, 2) of a jittered hexagonal grid, whole pixels, row after row."""
    rows = np.arange(0, shape[0] + pitch, pitch * 0.866)
    columns = np.arange(0, shape[1] + pitch, pitch)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    x = x + (np.arange(len(rows)) % 2)[:, None] * pitch / 2
    at = np.stack([y, x], -1).reshape(-1, 2)
    at = at + rng.normal(0, pitch * 0.16, at.shape)
    return np.asarray(np.clip(np.rint(at), 0, np.array(shape) - 1), np.int64)


def grow_foam(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    pitch_um: float,
    joined: float = 0.3,
    broken: float = 0.15,
) -> Plane:
    """Distance to the nearest septum of an alveolar foam, on a 1 µm grid.

    Parameters
    ----------
    rng
        Source of randomness.
    shape
        (Y, X), µm.
    pitch_um
        Distance between the centres of neighbouring alveoli.
    joined
        Share of the alveoli that open into their neighbour.
    broken
        Share of the septa that is missing.

    Returns
    -------
    float32 (Y, X), µm from the middle of the nearest septum.

    Examples
    --------
    >>> foam = grow_foam(np.random.default_rng(0), (90, 120), pitch_um=40)
    >>> foam.shape, bool(foam.min() == 0)
    ((90, 120), True)
    """
    centres = _cells_around(rng, shape, pitch_um)
    seeds = np.ones(shape, np.uint8)
    seeds[centres[:, 0], centres[:, 1]] = 0
    _, cells = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    group = np.arange(int(cells.max()) + 1)
    opens = rng.random(len(group)) < joined
    opens[[0, -1]] = False
    # Labels run along the rows, so the next label is a neighbour.
    group[opens] = group[np.flatnonzero(opens) + 1]
    grid_y, grid_x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    sway = [2.2 * smooth_noise(rng, shape, scale_um=14, pixel_size_um=1.0) for _ in range(2)]
    moved = cv2.remap(
        group[cells].astype(np.float32),
        grid_x + sway[0],
        grid_y + sway[1],
        cv2.INTER_NEAREST,
        borderMode=cv2.BORDER_REFLECT,
    )
    septum = np.zeros(shape, bool)
    septum[:, 1:] |= moved[:, 1:] != moved[:, :-1]
    septum[1:] |= moved[1:] != moved[:-1]
    gaps = smooth_noise(rng, shape, scale_um=16, pixel_size_um=1.0)
    septum &= gaps < np.quantile(gaps[::7, ::7], 1 - broken)
    septum.flat[0] = True
    free = (~septum).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(free, cv2.DIST_L2, 5), np.float32)


def lobe_outline(rng: np.random.Generator, shape: tuple[int, int], *, margin_um: float) -> Mask:
    """Draw a smooth oblong lobe on glass, bool (Y, X) on a 1 µm grid."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    angle = np.arctan2(y - shape[0] / 2, x - shape[1] / 2)
    bend = sum(
        rng.normal(0, 0.05 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in range(1, 6)
    )
    v = (y - shape[0] / 2) / (shape[0] / 2 - margin_um)
    u = (x - shape[1] / 2) / (shape[1] / 2 - margin_um)
    # Between an ellipse and a rectangle, as lobes are.
    return np.asarray((np.abs(u) ** 2.6 + np.abs(v) ** 2.6) ** (1 / 2.6) < 0.94 + bend)


def outline_blob(rng: np.random.Generator, blob: Blob, shape: tuple[int, int]) -> Mask:
    """Draw the irregular outline of a blob as large as its circle, bool (Y, X) on a 1 µm grid."""
    reach = int(np.ceil(1.7 * blob.radius_um)) + 6
    side = np.arange(-reach, reach + 1)
    angle = np.arctan2(side[:, None], side[None])
    radius = np.hypot(side[:, None], side[None])
    wave = sum(
        rng.normal(0, 0.13 / k**0.8) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
        for k in range(2, 8)
    )
    rough = smooth_noise(rng, radius.shape, scale_um=11, pixel_size_um=1.0) * 1.8
    depth = np.clip(1 + wave, 0.65, 1.4) * blob.radius_um + rough - radius
    # Shift the outline until as many pixels lie inside as in the circle.
    wanted = round(np.pi * blob.radius_um**2)
    level = np.partition(depth.ravel(), -wanted)[-wanted]
    small = depth >= level
    count, parts, stats, _ = cv2.connectedComponentsWithStats(small.astype(np.uint8))
    if count > 2:
        small = parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    whole = np.zeros(shape, bool)
    top, left = int(blob.y_um) - reach, int(blob.x_um) - reach
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + len(side), shape[0]), min(left + len(side), shape[1])
    whole[y0:y1, x0:x1] = small[y0 - top : y1 - top, x0 - left : x1 - left]
    return whole


def place_structures(
    rng: np.random.Generator, lobe: Mask, tubes: list[Tube], blobs: list[Blob]
) -> tuple[list[Tube], list[Blob]]:
    """Give every tube and blob a place in the lobe, none nearer than 25 µm to another.

    Lymphoid aggregates lean on a tube. What finds no place is left out.

    Parameters
    ----------
    rng
        Source of randomness.
    lobe
        bool (Y, X) on a 1 µm grid.
    tubes, blobs
        Their positions are replaced.
    """
    depth = cv2.distanceTransform(lobe.astype(np.uint8), cv2.DIST_L2, 5)
    taken: list[tuple[float, float, float]] = []
    inside = np.argwhere(depth[::8, ::8] > 0) * 8

    def fits(y: float, x: float, reach: float, gap: float) -> bool:
        if not (0 <= y < lobe.shape[0] and 0 <= x < lobe.shape[1]):
            return False
        apart = all(np.hypot(y - b, x - a) > reach + r + gap for b, a, r in taken)
        return bool(depth[int(y), int(x)] > reach + 12 and apart)

    def throw(reach: float) -> tuple[float, float] | None:
        for y, x in rng.permutation(inside)[:4000].tolist():
            if fits(y, x, reach, 25.0):
                taken.append((y, x, reach))
                return float(y), float(x)
        return None

    placed_tubes, placed_blobs = [], []
    leaning = [b for b in blobs if b.kind == "lymphoid"]
    for tube in sorted(tubes, key=lambda t: -t.reach_um):
        place = throw(tube.reach_um)
        if place is None:
            continue
        placed_tubes.append(Tube(tube.kind, *place, tube.lumen_um, tube.wall_um, tube.angle))
        if leaning:
            blob = leaning[-1]
            # Along the short axis the wall is near: the aggregate touches it.
            way = min(tube.lumen_um) + tube.wall_um + 0.9 * blob.radius_um
            turn = tube.angle + np.pi / 2
            y, x = place[0] + way * np.sin(turn), place[1] + way * np.cos(turn)
            own = taken.pop()
            if fits(y, x, blob.reach_um, 25.0):
                leaning.pop()
                placed_blobs.append(Blob(blob.kind, float(y), float(x), blob.radius_um))
                taken.append((y, x, blob.reach_um))
            taken.append(own)
    for blob in sorted((b for b in blobs if b.kind == "focus"), key=lambda b: -b.radius_um):
        place = throw(blob.reach_um)
        if place is not None:
            placed_blobs.append(Blob(blob.kind, *place, blob.radius_um))
    return placed_tubes, placed_blobs
