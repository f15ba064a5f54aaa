"""Adding up what was painted: optical density of each stain, or counts of each channel."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from histo.phantom.ground import Ground, Terrain, paint_blood, paint_debris, paint_ghosts
from histo.phantom.layout import GRID_UM, Layout
from histo.phantom.noise import Plane, enlarge, smooth_noise
from histo.phantom.nuclei import PaintedNuclei
from histo.phantom.optics import CAMERA_OFFSET, FULL_SCALE
from histo.phantom.recipe import PANEL_PLANES, Recipe

CONTAMINANTS: Final = {
    "pigment": (0.577, 0.577, 0.577),
    "erythrocyte": (0.43, 0.49, 0.76),
    "pen": (0.83, 0.46, 0.31),
}
"""Optical density directions of what is not a stain: grains, haemoglobin in IHC, ink."""


@dataclass(frozen=True, slots=True)
class Field:
    """What is needed to mix the stains of one field."""

    recipe: Recipe
    layout: Layout
    terrain: Terrain
    ground: Ground
    px: float


def _pen(rng: np.random.Generator, field: Field) -> Plane:
    """Paint a felt pen's stroke along the outside of the section, optical density."""
    shape = field.terrain.matter.shape
    tissue = field.layout.tissue
    # A hand is steadier than the section's frayed edge.
    steady = np.asarray(cv2.GaussianBlur(tissue, (0, 0), 35 / GRID_UM), np.float32)
    away = enlarge(steady, shape, GRID_UM / field.px)
    rough = smooth_noise(rng, shape, scale_um=3, pixel_size_um=field.px)
    wash = smooth_noise(rng, shape, scale_um=40, pixel_size_um=field.px)
    cover = np.clip((18 - np.abs(away + 60) + 0.4 * rough) / 2, 0, 1)
    return np.asarray(cover * np.maximum(0.9 + 0.15 * wash + 0.03 * rough, 0.2), np.float32)


def mix_brightfield(
    rng: np.random.Generator, field: Field, nuclei: PaintedNuclei, markers: dict[str, Plane]
) -> dict[str, Plane]:
    """Optical density of each stain."""
    look, comp, ground = field.recipe.appearance, field.recipe.composition, field.ground
    shape, px = nuclei.labels.shape, field.px
    streams = rng.spawn(5)
    roles = PANEL_PLANES[field.recipe.panel]
    # Cytoplasm lies over and under the nucleus too, thinner than beside it.
    clear = 1 - 0.5 * (nuclei.labels > 0)
    blue = look.cytoplasm_od * ground.cytoplasm + look.fibre_od * ground.collagen
    ghosts = paint_ghosts(streams[0], field.terrain, look, pixel_size_um=px)
    planes = {"hematoxylin": nuclei.nuclear + (blue + ghosts) * clear}
    haze = smooth_noise(streams[1], shape, scale_um=35, pixel_size_um=px)
    brown = look.haze_od * np.maximum(1 + 0.5 * haze, 0) * ground.matter
    for role in ("foxp3", "rankl"):
        if role in roles:
            planes[roles[role]] = brown + markers[role]
    blood = paint_blood(streams[2], field.layout.vessels, shape, px)
    if "eosin" in roles:
        pink = 1.0 * ground.cytoplasm + 0.85 * ground.collagen
        planes["eosin"] = look.eosin_od * (pink * (1 - 0.35 * (nuclei.labels > 0)) + 2.2 * blood)
    elif blood.any():
        planes["erythrocyte"] = 0.22 * blood
    debris = paint_debris(streams[3], shape, comp, px)
    if debris.any():
        planes["pigment"] = debris
    if comp.pen:
        planes["pen"] = _pen(streams[4], field)
    return {name: np.asarray(plane, np.float32) for name, plane in planes.items()}


def mix_fluorescence(
    rng: np.random.Generator, field: Field, nuclei: PaintedNuclei, markers: dict[str, Plane]
) -> dict[str, Plane]:
    """Camera counts of each channel, with autofluorescence and out-of-focus light."""
    ground, px = field.ground, field.px
    auto = 0.35 * ground.collagen + 0.25 * ground.cytoplasm
    planes: dict[str, Plane] = {}
    for role, channel in PANEL_PLANES[field.recipe.panel].items():
        signal = nuclei.nuclear if role == "nuclear" else markers[role]
        haze = np.asarray(cv2.GaussianBlur(signal, (0, 0), 5.0 / px), np.float32)
        strength = rng.uniform(0.02, 0.07)
        counts = (signal + 0.12 * haze + strength * auto) * FULL_SCALE + CAMERA_OFFSET
        planes[channel] = np.asarray(counts, np.float32)
    return planes
