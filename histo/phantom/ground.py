"""Painting all that is not a nucleus: cytoplasm, membranes, collagen, haze, blood, dirt."""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from histo.phantom.layout import GRID_UM, Layout, Vessel
from histo.phantom.noise import Plane, enlarge, grain, smooth_noise
from histo.phantom.population import KINDS
from histo.phantom.recipe import Appearance, Composition

_REACH_UM: Final = {
    "tumour": 6.5,
    "lymphocyte": 1.4,
    "fibroblast": 1.8,
    "endothelial": 1.2,
    "macrophage": 4.0,
}


@dataclass(frozen=True, slots=True)
class Terrain:
    """The layout at the pixels of the image; all (Y, X).

    Parameters
    ----------
    matter
        float32, 0 in the open, 1 in tissue, with soft borders.
    nest
        float32, share of tumour nest, with soft borders.
    fibres
        float32, collagen texture, zero mean and unit variance.
    tissue
        bool, inside the section and outside fat, clefts and lumina.
    """

    matter: Plane
    nest: Plane
    fibres: Plane
    tissue: NDArray[np.bool_]


def resolve_terrain(layout: Layout, shape: tuple[int, int], pixel_size_um: float) -> Terrain:
    """Bring the layout's maps to the pixels of the image."""
    factor = GRID_UM / pixel_size_um
    opening = enlarge(np.minimum(layout.tissue, -layout.opening), shape, factor)
    nest = enlarge(layout.nest, shape, factor)
    return Terrain(
        matter=np.clip(opening / np.float32(1.2) + np.float32(0.5), 0, 1),
        nest=np.clip(nest / np.float32(2.0) + np.float32(0.5), 0, 1),
        fibres=enlarge(layout.fibres, shape, factor),
        tissue=opening > 0,
    )


@dataclass(frozen=True, slots=True)
class Cytoplasm:
    """Cells around nuclei.

    Parameters
    ----------
    cell_labels
        int32 (Y, X), the nucleus's number over nucleus and cytoplasm.
    border
        float32 (Y, X), 1 where two cells or a cell and its surroundings meet.
    seams
        float32 (Y, X), 1 where the territories of neighbouring nuclei meet.
    """

    cell_labels: NDArray[np.int32]
    border: Plane
    seams: Plane


def _borders(labels: NDArray[np.int32]) -> Plane:
    edge = np.zeros(labels.shape, np.float32)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edge[:, 1:][across] = 1
    edge[:, :-1][across] = 1
    edge[1:][down] = 1
    edge[:-1][down] = 1
    return edge


def surround(
    rng: np.random.Generator,
    labels: NDArray[np.int32],
    kind: NDArray[np.int64],
    terrain: Terrain,
    *,
    pixel_size_um: float,
) -> Cytoplasm:
    """Give each nucleus its cytoplasm: the pixels nearest to it, within the reach of its kind.

    Parameters
    ----------
    rng
        Source of the irregular borders.
    labels
        int32 (Y, X), 1 + index into `kind`.
    kind
        int64 (N,), index into the kinds of cell.
    terrain
        Tumour cells stay in their nest, all cells stay on tissue.
    pixel_size_um
        Pixel size, µm.
    """
    shape = labels.shape
    if not labels.any():
        none = np.zeros(shape, np.float32)
        return Cytoplasm(np.zeros(shape, np.int32), none, none)
    free = (labels == 0).astype(np.uint8)
    distance: Any
    index: Any
    distance, index = cv2.distanceTransformWithLabels(
        free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    lookup = np.zeros(int(index.max()) + 1, np.int32)
    lookup[index[free == 0]] = labels[free == 0]
    territory = lookup[index]
    reach = np.array([0.0, *(_REACH_UM[KINDS[k]] for k in kind)], np.float32)
    ragged = 0.35 * smooth_noise(rng, shape, scale_um=3.0, pixel_size_um=pixel_size_um)
    near = distance * np.float32(pixel_size_um) + ragged * (free > 0) < reach[territory]
    tumour = np.array([False, *(kind == KINDS.index("tumour"))])[territory]
    inside = near & terrain.tissue & (~tumour | (terrain.nest > 0.5))
    cells = np.where(inside | (labels > 0), territory, 0).astype(np.int32)
    return Cytoplasm(cells, _borders(cells), _borders(territory))


def paint_marker(
    rng: np.random.Generator,
    cytoplasm: Cytoplasm,
    labels: NDArray[np.int32],
    level: NDArray[np.float64],
    *,
    pixel_size_um: float,
    membrane: float = 1.0,
) -> Plane:
    """Paint a granular cytoplasmic and membranous marker.

    Parameters
    ----------
    rng
        Source of the granules.
    cytoplasm
        The cells.
    labels
        int32 (Y, X), their nuclei.
    level
        float64 (N,), the mean over each cell's cytoplasm.
    pixel_size_um
        Pixel size, µm.
    membrane
        How much stronger the marker is on the cell's border.

    Returns
    -------
    float32 (Y, X)
        The nucleus shows a third of the level: cytoplasm above and below it.
    """
    cells = cytoplasm.cell_labels
    out = np.zeros(cells.shape, np.float32)
    if not (level > 0).any():
        return out
    coarse = smooth_noise(rng, cells.shape, scale_um=2.2, pixel_size_um=pixel_size_um)
    granules = grain(rng, cells.shape, sigma_px=0.4 / pixel_size_um)
    sheet = np.asarray(cv2.GaussianBlur(cytoplasm.border, (0, 0), 0.35 / pixel_size_um))
    raw = np.maximum(0.8 + 0.3 * granules + 0.25 * coarse, 0.1) + np.float32(membrane) * sheet
    ring = (cells > 0) & (labels == 0)
    n = level.size + 1
    total = np.bincount(cells[ring], raw[ring], n)
    count = np.bincount(cells[ring], minlength=n)
    mean = np.where(count > 0, total / np.maximum(count, 1), 1.0)
    scale = np.concatenate([[0.0], level]) / np.maximum(mean, 1e-6)
    out[ring] = (raw * scale.astype(np.float32)[cells])[ring]
    over = 0.33 * np.maximum(1 + 0.35 * granules, 0.1)
    on_nucleus = labels > 0
    out[on_nucleus] = (over * np.concatenate([[0.0], level]).astype(np.float32)[cells])[on_nucleus]
    return np.asarray(cv2.GaussianBlur(out, (0, 0), 0.3 / pixel_size_um), np.float32)


@dataclass(frozen=True, slots=True)
class Ground:
    """Density of the tissue between the nuclei; float32 (Y, X), 1 is its nominal strength.

    Parameters
    ----------
    cytoplasm
        Of the tumour nests and around other cells.
    collagen
        Fibres of the stroma, with clear gaps.
    matter
        Anything at all, for haze and autofluorescence.
    """

    cytoplasm: Plane
    collagen: Plane
    matter: Plane


def paint_ground(
    rng: np.random.Generator,
    terrain: Terrain,
    cytoplasm: Cytoplasm,
    comp: Composition,
    *,
    pixel_size_um: float,
) -> Ground:
    """Paint cytoplasm and stroma.

    Parameters
    ----------
    rng
        Source of randomness.
    terrain, cytoplasm
        Where the nests, the stroma and the cells are.
    comp
        Says how loose the stroma is.
    pixel_size_um
        Pixel size, µm.
    """
    shape, px = terrain.matter.shape, pixel_size_um
    slow = smooth_noise(rng, shape, scale_um=22, pixel_size_um=px)
    patchy = smooth_noise(rng, shape, scale_um=4.5, pixel_size_um=px)
    fine = grain(rng, shape, sigma_px=0.5 / px)
    froth = smooth_noise(rng, shape, scale_um=1.8, pixel_size_um=px)
    body = np.maximum(1 + 0.3 * slow + 0.3 * patchy + 0.3 * froth + 0.2 * fine, 0.05)
    # Vacuoles and shrinkage: here and there light passes.
    body = body * (1 - np.float32(0.8) * np.clip((patchy + 0.6 * froth - 1.7) / 0.4, 0, 1))
    # Neighbouring tumour cells part along pale lines.
    seams = np.asarray(cv2.GaussianBlur(cytoplasm.seams, (0, 0), 0.45 / px), np.float32)
    nest_body = body * (1 - np.float32(0.3) * np.clip(seams, 0, 1))
    other = (cytoplasm.cell_labels > 0) & (terrain.nest < 0.5)
    rim = np.asarray(cv2.GaussianBlur(other.astype(np.float32), (0, 0), 0.5 / px), np.float32)
    strands = terrain.fibres + np.float32(0.45) * slow
    # Loose stroma: the weakest strands give way to clear ground.
    gap = np.float32(-1.9 + 2.2 * comp.looseness)
    firm = np.clip((strands - gap) / np.float32(0.5), 0, 1)
    collagen = firm * np.maximum(1 + 0.55 * strands + 0.2 * fine, 0.12)
    nest = terrain.nest * terrain.matter
    stroma = (1 - terrain.nest) * terrain.matter
    return Ground(
        cytoplasm=np.asarray(nest * nest_body + stroma * rim * 0.7 * body, np.float32),
        collagen=np.asarray(stroma * collagen, np.float32),
        matter=np.asarray(nest + stroma * (0.35 + 0.65 * firm), np.float32),
    )


def paint_ghosts(
    rng: np.random.Generator, terrain: Terrain, look: Appearance, *, pixel_size_um: float
) -> Plane:
    """Faint blurred shadows of nuclei far out of focus: haematoxylin that no reader counts."""
    shape, px = terrain.matter.shape, pixel_size_um
    n = int(rng.poisson(220 * shape[0] * shape[1] * px**2 / 1e6))
    plane = np.zeros(shape, np.float32)
    for y, x, size, turn, strength in rng.random((n, 5)).tolist():
        centre = (int(x * shape[1]), int(y * shape[0]))
        axes = (max(1, int((3 + 3 * size) / px)), max(1, int((2 + 1.5 * size) / px)))
        level = look.nucleus_od * (0.06 + 0.14 * strength)
        cv2.ellipse(plane, centre, axes, 180 * turn, 0, 360, level, cv2.FILLED)
    plane = np.asarray(cv2.GaussianBlur(plane, (0, 0), 1.8 / px), np.float32)
    return plane * terrain.matter


def paint_blood(
    rng: np.random.Generator, vessels: tuple[Vessel, ...], shape: tuple[int, int], px: float
) -> Plane:
    """Erythrocytes in the filled vessels: 6-7 µm discs, paler in the middle; 1 is full strength."""
    plane = np.zeros(shape, np.float32)
    for vessel in vessels:
        n = int(vessel.half_length_um * vessel.half_width_um * np.pi / 45)
        spots = rng.random((min(n, 150), 4))
        if not vessel.filled:
            continue
        c, s = np.cos(vessel.angle), np.sin(vessel.angle)
        for where, turn, size, tone in spots.tolist():
            rho, phi = np.sqrt(where) * 0.85, 2 * np.pi * turn
            u = rho * vessel.half_length_um * np.cos(phi)
            v = rho * vessel.half_width_um * np.sin(phi)
            y = int((vessel.y_um + u * s + v * c) / px)
            x = int((vessel.x_um + u * c - v * s) / px)
            radius = max(1, round((2.7 + 0.7 * size) / px))
            cv2.circle(plane, (x, y), radius, 0.7 + 0.5 * tone, cv2.FILLED)
            cv2.circle(plane, (x, y), max(1, radius // 3), 0.45 + 0.3 * tone, cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), 0.5 / px), np.float32)


def paint_debris(
    rng: np.random.Generator, shape: tuple[int, int], comp: Composition, px: float
) -> Plane:
    """Clusters of neutral dark grains (carbon, haemosiderin, dirt), optical density."""
    plane = np.zeros(shape, np.float32)
    n = int(rng.poisson(comp.debris_per_mm2 * shape[0] * shape[1] * px**2 / 1e6))
    for _ in range(n):
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        grains = int(rng.integers(1, 8))
        for dy, dx, size, tone in rng.random((grains, 4)).tolist():
            centre = (int(x + (dx - 0.5) * 7 / px), int(y + (dy - 0.5) * 7 / px))
            axes = (max(1, int((0.4 + size) / px)), max(1, int((0.3 + 0.6 * size) / px)))
            cv2.ellipse(plane, centre, axes, 360 * dx, 0, 360, 0.5 + tone, cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), 0.3 / px), np.float32)
