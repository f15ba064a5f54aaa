"""Tissue laid out as it grows: nests of evenly spaced cells, stroma along its fibres, lymphocytes.

Single nuclei thrown at random overlap more, and are spaced less evenly, than those of an
epithelium: a network trained on them alone breaks pale nuclei up and joins neighbours.
"""

from __future__ import annotations

import cv2
import numpy as np
from layout import Layout, shaped
from sources import Nucleus
from textures import smooth_noise

__all__ = ["packed"]

EPITHELIAL, SPINDLE, LYMPHOCYTE = 1, 2, 3


def packed(
    rng: np.random.Generator, nuclei: list[Nucleus], side_px: int, diameter_px: float
) -> Layout:
    """Lay out nests, stroma and lymphocytes; an epithelial nucleus is ``diameter_px`` wide."""
    shape = (side_px, side_px)
    level = rng.choice([-3.0, -0.4, 0.3, 3.0], p=[0.3, 0.35, 0.2, 0.15])
    nest = smooth_noise(rng, shape, rng.uniform(40, 150)) > level
    flow = rng.uniform(0, np.pi) + rng.uniform(0.2, 1.2) * smooth_noise(rng, shape, 120)
    canvas = _Canvas(side_px, nest, nuclei)
    canvas.epithelium(rng, diameter_px)
    canvas.stroma(rng, diameter_px, flow)
    canvas.lymphocytes(rng, diameter_px)
    soft = cv2.GaussianBlur(nest.astype(np.float32), (0, 0), 2.5)
    # The last nuclei may lie wholly under others.
    kinds = np.array([0, *canvas.kinds], np.int8)[: int(canvas.labels.max()) + 1]
    return Layout(
        canvas.labels, canvas.chroma, canvas.overlap, None, diameter_px, nest=soft, kinds=kinds
    )


class _Canvas:
    """The planes of a layout while nuclei are put down one by one."""

    def __init__(self, side_px: int, nest: np.ndarray, nuclei: list[Nucleus]) -> None:
        self.side_px, self.nest, self.nuclei = side_px, nest, nuclei
        self.labels = np.zeros((side_px, side_px), np.int32)
        self.chroma = np.ones((side_px, side_px), np.float32)
        self.overlap = np.zeros((side_px, side_px), np.float32)
        self.kinds: list[int] = []

    def epithelium(self, rng: np.random.Generator, diameter_px: float) -> None:
        """Jittered hexagons; crowded ones touch, columnar ones are long and in parallel."""
        spacing = diameter_px * rng.choice([1.08, 1.3, 1.7, 2.3], p=[0.25, 0.35, 0.25, 0.15])
        spacing *= rng.uniform(0.92, 1.12)
        jitter = spacing * rng.uniform(0.08, 0.3)
        columnar = rng.random() < 0.25
        along = rng.uniform(0, np.pi)
        spread = rng.uniform(0.06, 0.28)
        empty = rng.uniform(0, 0.3)
        rows = np.arange(-spacing, self.side_px + spacing, spacing * 0.87)
        for number, y in enumerate(rows):
            shift = spacing / 2 * (number % 2)
            for x in np.arange(-spacing, self.side_px + spacing, spacing) + shift:
                if rng.random() < empty:
                    continue
                cy, cx = y + rng.normal(0, jitter), x + rng.normal(0, jitter)
                if not self._in_nest(cy, cx):
                    continue
                stretch = rng.uniform(1.3, 2.2) if columnar else 1 + abs(rng.normal(0, 0.22))
                angle = along + rng.normal(0, 0.3) if columnar else rng.uniform(0, np.pi)
                size = diameter_px * np.exp(rng.normal(0, spread))
                self._put(rng, (cy, cx), size, (stretch, angle), EPITHELIAL)

    def stroma(self, rng: np.random.Generator, diameter_px: float, flow: np.ndarray) -> None:
        """Spindle nuclei along the fibres, some end to end or side by side."""
        free = float((~self.nest).mean())
        density = rng.choice([0.03, 0.1, 0.25]) * rng.uniform(0.5, 1.5)
        count = int(density * free * self.side_px**2 / (0.5 * diameter_px**2))
        for _ in range(min(count, 250)):
            cy, cx = rng.uniform(-6, self.side_px + 6, 2)
            if self._in_nest(cy, cx):
                continue
            at = tuple(int(np.clip(v, 0, self.side_px - 1)) for v in (cy, cx))
            angle = -flow[at] + rng.normal(0, 0.2)
            size = diameter_px * rng.uniform(0.55, 1.0)
            self._put(rng, (cy, cx), size, (rng.uniform(1.6, 4.5), angle), SPINDLE)

    def lymphocytes(self, rng: np.random.Generator, diameter_px: float) -> None:
        """Small, round and dark; alone or in dense crowds, in nests and stroma alike."""
        size = diameter_px * rng.uniform(0.55, 0.85)
        for _ in range(int(rng.choice([0, 1, 3]))):
            count = int(rng.integers(3, 60))
            middle = rng.uniform(0, self.side_px, 2)
            spread = size * np.sqrt(count) * rng.uniform(0.45, 1.1)
            for cy, cx in middle + rng.normal(0, spread, (count, 2)):
                own = size * rng.uniform(0.85, 1.15)
                self._put(rng, (cy, cx), own, (rng.uniform(1, 1.3), 0.0), LYMPHOCYTE)

    def _in_nest(self, y: float, x: float) -> bool:
        at = (int(np.clip(v, 0, self.side_px - 1)) for v in (y, x))
        return bool(self.nest[tuple(at)])

    def _put(
        self,
        rng: np.random.Generator,
        centre: tuple[float, float],
        diameter_px: float,
        form: tuple[float, float],
        kind: int,
    ) -> None:
        """Put a nucleus down unless it would hide too much of another."""
        nucleus = self.nuclei[rng.integers(len(self.nuclei))]
        mask, texture = shaped(rng, nucleus, diameter_px, *form)
        y, x = (int(c - n / 2) for c, n in zip(centre, mask.shape, strict=True))
        y0, x0 = max(0, y), max(0, x)
        y1, x1 = min(self.side_px, y + mask.shape[0]), min(self.side_px, x + mask.shape[1])
        if y1 <= y0 or x1 <= x0:
            return
        part = mask[y0 - y : y1 - y, x0 - x : x1 - x]
        there = self.labels[y0:y1, x0:x1]
        covered = part & (there > 0)
        if covered.sum() > 0.15 * max(1, part.sum()):
            return
        self.kinds.append(kind)
        # Cells of one layer give way to each other; what comes later lies on top.
        over = kind == LYMPHOCYTE or rng.random() < 0.3
        if over:
            self.overlap[y0:y1, x0:x1][covered] = rng.uniform(0.2, 0.7)
        painted = part if over else part & ~covered
        there[painted] = len(self.kinds)
        crop = texture[y0 - y : y1 - y, x0 - x : x1 - x]
        self.chroma[y0:y1, x0:x1][painted] = np.clip(crop, 0.4, 2)[painted]
