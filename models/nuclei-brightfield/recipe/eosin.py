"""What lies between the nuclei of H&E: cytoplasm cell by cell, fibres, red blood cells, glass."""

from __future__ import annotations

import cv2
import numpy as np
from layout import Layout
from skimage.segmentation import expand_labels
from textures import TextureBank, smooth_noise

from histo.nuclei.targets import border_distance

__all__ = ["eosin_tissue", "red_cells"]


def eosin_tissue(
    rng: np.random.Generator, bank: TextureBank, layout: Layout
) -> tuple[np.ndarray, np.ndarray]:
    """Paint OD of eosin and of haematoxylin outside of nuclei, float32 (S, S) each."""
    labels, side = layout.labels, len(layout.labels)
    nest = layout.nest if layout.nest is not None else np.full((side, side), 0.5, np.float32)
    kind = rng.choice(["granular", "clear", "purple"], p=[0.35, 0.2, 0.45])
    grain, cloud = bank.draw("grain", rng, side), bank.draw("cloud", rng, side)
    cells = _Cells(rng, labels, layout.diameter_px)
    if kind == "clear":
        cytoplasm = cells.walls * rng.uniform(0.2, 0.5) + cloud * rng.uniform(0, 0.12)
    else:
        cytoplasm = rng.uniform(0.12, 0.55) * (0.6 + rng.uniform(0.1, 0.9) * grain + 0.3 * cloud)
        cytoplasm = cytoplasm * cells.own
    purple = rng.uniform(0.06, 0.45) if kind == "purple" else rng.uniform(0, 0.06)
    bluish = purple * nest * (0.4 + rng.uniform(0.2, 1.1) * grain + 0.4 * cloud) * cells.own
    fibre = bank.draw("fibre", rng, side)
    stroma = rng.uniform(0.15, 0.7) * (0.4 + rng.uniform(0.2, 0.8) * fibre)
    bluish = bluish + rng.uniform(0, 0.1) * (1 - nest) * fibre
    pink = nest * cytoplasm + (1 - nest) * stroma
    glass = cells.clefts
    if rng.random() < 0.5:  # cracks along fibres and lumina, where glass shows
        crack = np.clip(3 * (smooth_noise(rng, (side, side), rng.uniform(8, 50)) - 1.2), 0, 1)
        glass = np.maximum(glass, crack * (labels == 0))
    return (pink * (1 - glass)).astype(np.float32), (bluish * (1 - glass)).astype(np.float32)


class _Cells:
    """Cells around nuclei: ``own`` strength of each one's cytoplasm, ``walls``, and ``clefts``.

    Each is float32 (S, S); clefts are 1 where cells have shrunk from each other or from their
    nucleus, and glass shows.
    """

    def __init__(self, rng: np.random.Generator, labels: np.ndarray, diameter_px: float) -> None:
        cells = expand_labels(labels, diameter_px * rng.uniform(0.8, 1.8))
        n = int(labels.max()) + 1
        own = rng.lognormal(0, rng.uniform(0.05, 0.4), n)
        own[0] = 1
        self.own = cv2.GaussianBlur(own[cells].astype(np.float32), (0, 0), rng.uniform(0.7, 2))
        border = border_distance(cells)
        self.walls = np.exp(-border / rng.uniform(0.8, 2.0)) * (cells > 0)
        self.clefts = np.zeros(labels.shape, np.float32)
        if rng.random() < 0.3:  # cells apart from each other, here and there
            where = smooth_noise(rng, labels.shape, 2 * diameter_px) > rng.uniform(-0.5, 1.5)
            width = rng.uniform(0.5, 2.5)
            self.clefts += np.clip(width - border, 0, 1) * (cells > 0) * where
        if rng.random() < 0.3:  # a clear halo around some nuclei
            shrunk = rng.random(n) < rng.choice([0.1, 0.4, 0.9])
            shrunk[0] = False
            outside = cv2.distanceTransform((labels == 0).astype(np.uint8), cv2.DIST_L2, 5)
            reach = diameter_px * rng.uniform(0.05, 0.3)
            halo = np.clip(reach + 0.5 - outside, 0, 1) * shrunk[cells] * rng.uniform(0.3, 1)
            self.clefts = np.maximum(self.clefts, halo)
        self.clefts = cv2.GaussianBlur(self.clefts * (labels == 0), (0, 0), rng.uniform(0.5, 1.2))


def red_cells(rng: np.random.Generator, labels: np.ndarray, diameter_px: float) -> np.ndarray:
    """Scatter red blood cells about a place outside of nuclei, float32 (S, S) of 0-1."""
    plane = np.zeros(labels.shape, np.float32)
    middle = rng.uniform(0, len(labels), 2)
    for _ in range(int(rng.integers(10, 120))):
        x, y = (int(v) for v in middle + rng.normal(0, 50, 2))
        radius = max(2, int(0.5 * diameter_px * rng.uniform(0.7, 1)))
        cv2.circle(plane, (x, y), radius, float(rng.uniform(0.6, 1)), -1)
    return cv2.GaussianBlur(plane * (labels == 0), (0, 0), 0.8)
