"""Where tissue, nests, stroma, lumina and glass lie: maps on a 1 µm grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import ndtri

from histo.phantom.noise import Plane, smooth_noise, streamlines
from histo.phantom.recipe import Composition

GRID_UM = 1.0
"""Spacing of the layout's maps, µm: finer than any of their structures."""

_FAT_CELL_UM = 55.0
_CLEFT_UM = 5.0


@dataclass(frozen=True, slots=True)
class Vessel:
    """An ellipse with an open lumen; lengths in µm, angle in radians."""

    y_um: float
    x_um: float
    half_length_um: float
    half_width_um: float
    angle: float
    filled: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """Maps of a field at `GRID_UM`.

    Parameters
    ----------
    nest
        float32 (Y, X): roughly µm inside (positive) or outside (negative) of a tumour nest.
    tissue
        float32 (Y, X): µm inside the section's outline.
    opening
        float32 (Y, X): positive in fat, clefts and the lumina of vessels.
    infiltrate
        float32 (Y, X): 0-1, local density of lymphocytes.
    angle
        float32 (Y, X): direction of fibres and spindle nuclei, radians.
    fibres
        float32 (Y, X): collagen texture, zero mean and unit variance.
    vessels
        Those with an open lumen.
    """

    nest: Plane
    tissue: Plane
    opening: Plane
    infiltrate: Plane
    angle: Plane
    fibres: Plane
    vessels: tuple[Vessel, ...]


def _noise(rng: np.random.Generator, shape: tuple[int, int], scale_um: float) -> Plane:
    return smooth_noise(rng, shape, scale_um=scale_um, pixel_size_um=GRID_UM)


def _threshold(share: float) -> float:
    """Give the level that a standard normal exceeds with the given probability."""
    return float(ndtri(1 - np.clip(share, 1e-4, 1 - 1e-4)))


def _tissue_edge(rng: np.random.Generator, shape: tuple[int, int], glass: float) -> Plane:
    """Distance inside a frayed straight cut that leaves a share of the field bare."""
    angle = rng.uniform(0, 2 * np.pi)
    wave = 22 * _noise(rng, shape, 90) + 6 * _noise(rng, shape, 22) + 1.2 * _noise(rng, shape, 5)
    if glass <= 0:
        return np.full(shape, 1e3, np.float32)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    depth = y * np.float32(np.sin(angle)) + x * np.float32(np.cos(angle)) + wave
    return np.asarray(depth - np.quantile(depth, min(glass, 0.98)), np.float32)


def _fat(rng: np.random.Generator, shape: tuple[int, int], share: float, nest: Plane) -> Plane:
    """Adipocytes: round openings with thin septa, away from the nests."""
    region = _noise(rng, shape, 110)
    if share <= 0:
        return np.full(shape, -1e3, np.float32)
    n = max(8, round((shape[0] + 100) * (shape[1] + 100) / _FAT_CELL_UM**2))
    centres = rng.uniform(-50, 50 + np.array(shape), (n, 2))
    y, x = np.mgrid[: shape[0], : shape[1]]
    sway = np.stack([_noise(rng, shape, 25), _noise(rng, shape, 25)], -1) * 3
    near, _ = cKDTree(centres).query(np.stack([y, x], -1) + sway, k=2)
    septum = (near[..., 1] - near[..., 0]) / 2 - 2.2
    allowed = np.minimum((region - _threshold(share)) * 60, -nest - 12)
    return np.asarray(np.minimum(septum, allowed), np.float32)


def _draw_vessels(
    rng: np.random.Generator, shape: tuple[int, int], composition: Composition
) -> tuple[Vessel, ...]:
    n = int(rng.poisson(composition.vessels_per_mm2 * shape[0] * shape[1] / 1e6))
    vessels = []
    for _ in range(n):
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        long = float(np.exp(rng.normal(np.log(13), 0.5)))
        wide = long * float(rng.uniform(0.25, 0.8))
        angle = float(rng.uniform(0, np.pi))
        vessels.append(Vessel(float(y), float(x), long, wide, angle, bool(rng.random() < 0.4)))
    return tuple(vessels)


def _vessel_maps(
    vessels: tuple[Vessel, ...], shape: tuple[int, int], wobble: Plane
) -> tuple[Plane, Plane]:
    """Signed distance inside the nearest lumen, and the direction of its wall."""
    inside = np.full(shape, -1e3, np.float32)
    wall = np.zeros(shape, np.float32)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    for vessel in vessels:
        c, s = np.float32(np.cos(vessel.angle)), np.float32(np.sin(vessel.angle))
        dy, dx = y - np.float32(vessel.y_um), x - np.float32(vessel.x_um)
        u = (dx * c + dy * s) / np.float32(vessel.half_length_um)
        v = (dy * c - dx * s) / np.float32(vessel.half_width_um)
        rho = np.hypot(u, v) + 0.12 * wobble
        depth = np.asarray((1 - rho) * vessel.half_width_um, np.float32)
        nearer = depth > inside
        wall = np.where(nearer, np.arctan2(v, u) + np.pi / 2 + vessel.angle, wall)
        inside = np.maximum(inside, depth)
    return inside, wall.astype(np.float32)


def lay_out(rng: np.random.Generator, extent_um: tuple[float, float], comp: Composition) -> Layout:
    """Lay out a field of tissue.

    Parameters
    ----------
    rng
        Source of randomness.
    extent_um
        Height and width of the field, µm.
    comp
        What the tissue consists of.

    Returns
    -------
    Layout

    Examples
    --------
    >>> import numpy as np
    >>> layout = lay_out(np.random.default_rng(0), (100, 150), Composition(tumour=0.5))
    >>> layout.nest.shape
    (100, 150)
    """
    shape = (int(np.ceil(extent_um[0] / GRID_UM)), int(np.ceil(extent_um[1] / GRID_UM)))
    streams = rng.spawn(7)
    potential = _noise(streams[0], shape, comp.nest_um)
    potential = potential + 0.25 * _noise(streams[0], shape, comp.nest_um / 3.5)
    slope = 1.6 / comp.nest_um  # typical gradient of the potential, per µm
    nest = (potential / np.float32(1.03) - np.float32(_threshold(comp.tumour))) / np.float32(slope)
    vessels = _draw_vessels(streams[1], shape, comp)
    lumen, wall = _vessel_maps(vessels, shape, _noise(streams[1], shape, 8))

    # Sections shrink: slits open along the border of the nests.
    patch = _noise(streams[2], shape, 45)
    cleft = (patch - 0.8) * 6 - np.abs(nest + _CLEFT_UM / 2) + _noise(streams[2], shape, 9)
    opening = np.maximum(lumen, np.minimum(cleft, _CLEFT_UM))
    opening = np.maximum(opening, _fat(streams[3], shape, comp.fat, nest))

    angle = _flow(streams[4], potential, nest)
    near_wall = np.clip(1 + lumen / 12, 0, 1)
    angle = np.where(near_wall > 0.3, wall, angle).astype(np.float32)
    fibrils = streamlines(_noise(streams[5], shape, 1.0), angle, length_px=12)
    bundles = streamlines(_noise(streams[5], shape, 3.0), angle, length_px=24)
    fibres = (fibrils + bundles) / np.float32(np.sqrt(2))

    clouds = _noise(streams[6], shape, 55) + 0.5 * _noise(streams[6], shape, 18)
    # Infiltrates gather at the border of the nests.
    clouds = clouds + 0.5 * np.exp(-np.abs(nest + 15) / 20)
    infiltrate = np.clip((clouds / 1.12 - _threshold(comp.lymphocytes)) / 0.6, 0, 1)
    tissue = _tissue_edge(streams[6], shape, comp.glass)
    return Layout(
        nest=np.asarray(nest, np.float32),
        tissue=tissue,
        opening=np.asarray(opening, np.float32),
        infiltrate=np.asarray(infiltrate, np.float32),
        angle=angle,
        fibres=fibres,
        vessels=vessels,
    )


def _flow(rng: np.random.Generator, potential: Plane, nest: Plane) -> NDArray[np.float32]:
    """Direction of the fibres: one grain that bends slowly, laid around the nests.

    Directions have no sign, so they are blended as doubled angles.
    """
    shape = potential.shape
    grain = rng.uniform(0, np.pi) + 0.8 * _noise(rng, shape, 130) + 0.22 * _noise(rng, shape, 18)
    gy, gx = np.gradient(potential)
    around = np.arctan2(gx, -gy)
    hold = 0.9 * np.exp(-np.abs(nest) / 14)
    east = (1 - hold) * np.cos(2 * grain) + hold * np.cos(2 * around)
    south = (1 - hold) * np.sin(2 * grain) + hold * np.sin(2 * around)
    return np.asarray(np.arctan2(south, east) / 2, np.float32)
