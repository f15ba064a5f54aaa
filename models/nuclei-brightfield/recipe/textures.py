"""Procedural textures: clouds, fibres, grain and membranes, made once and cropped at random."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import cKDTree

__all__ = ["TextureBank", "smooth_noise"]


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> np.ndarray:
    """Gaussian noise correlated over ``scale_px``, float32 (Y, X); unit variance as drawn."""
    small = [max(2, int(n / scale_px) + 3) for n in shape]
    noise = rng.normal(size=small).astype(np.float32)
    return cv2.resize(noise, shape[::-1], interpolation=cv2.INTER_CUBIC)


def _unit(texture: np.ndarray) -> np.ndarray:
    low, high = np.percentile(texture, (2, 98))
    return np.clip((texture - low) / (high - low + 1e-6), 0, 1.3).astype(np.float32)


class TextureBank:
    """Textures of 512 x 512 px scaled to 0-1, from which crops are drawn.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of every random number.
    each : int
        How many textures of each kind are kept.
    """

    side_px = 512

    def __init__(self, rng: np.random.Generator, *, each: int = 14) -> None:
        makers = {
            "cloud": self._cloud,
            "fibre": self._fibre,
            "grain": self._grain,
            "membrane": self._membrane,
        }
        self._textures = {
            kind: [_unit(make(rng)) for _ in range(each)] for kind, make in makers.items()
        }

    def draw(self, kind: str, rng: np.random.Generator, side_px: int) -> np.ndarray:
        """Return a random crop, turned and flipped at random: float32 (side, side)."""
        texture = self._textures[kind][rng.integers(len(self._textures[kind]))]
        zoom = rng.uniform(0.7, 1.6)
        size = min(self.side_px, int(side_px / zoom))
        y, x = rng.integers(0, self.side_px - size + 1, 2)
        crop = np.rot90(texture[y : y + size, x : x + size], rng.integers(4))
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        return cv2.resize(np.ascontiguousarray(crop), (side_px, side_px))

    def _cloud(self, rng: np.random.Generator) -> np.ndarray:
        shape = (self.side_px, self.side_px)
        scales = 2.0 ** np.arange(2, 7)
        gain = rng.uniform(0.4, 1.1)
        return sum(smooth_noise(rng, shape, s) * s**gain for s in scales)

    def _grain(self, rng: np.random.Generator) -> np.ndarray:
        shape = (self.side_px, self.side_px)
        return smooth_noise(rng, shape, rng.uniform(1.5, 4)) + 0.6 * smooth_noise(
            rng, shape, rng.uniform(3, 8)
        )

    def _fibre(self, rng: np.random.Generator) -> np.ndarray:
        # Noise smeared along a slowly turning direction: a cheap line integral convolution.
        shape = (self.side_px, self.side_px)
        angle = rng.uniform(0, np.pi) + rng.uniform(0.3, 1.4) * smooth_noise(rng, shape, 130)
        dy, dx = np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)
        noise = smooth_noise(rng, shape, rng.uniform(1.5, 5))
        yy, xx = np.mgrid[: self.side_px, : self.side_px].astype(np.float32)
        total = noise.copy()
        for sign in (-1.0, 1.0):
            y, x = yy.copy(), xx.copy()
            for _ in range(int(rng.integers(8, 18))):
                vy = cv2.remap(dy, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
                vx = cv2.remap(dx, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
                y, x = y + sign * 1.8 * vy, x + sign * 1.8 * vx
                total += cv2.remap(noise, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        bundles = smooth_noise(rng, shape, 60)
        return total * (1 + 0.5 * bundles) + total.std() * 0.6 * bundles

    def _membrane(self, rng: np.random.Generator) -> np.ndarray:
        # Edges of a warped Voronoi pattern: cell borders without nuclei.
        shape = (self.side_px, self.side_px)
        spacing = rng.uniform(14, 34)
        points = rng.uniform(0, self.side_px, (int((self.side_px / spacing) ** 2), 2))
        grid = np.stack(np.mgrid[: self.side_px : 2, : self.side_px : 2], -1).reshape(-1, 2)
        warp = np.stack([smooth_noise(rng, shape, 20)[::2, ::2].ravel() for _ in range(2)], -1)
        distances, _ = cKDTree(points).query(grid + 3 * warp, k=2)
        edge = np.exp(-(distances[:, 1] - distances[:, 0]) / rng.uniform(2, 5))
        half = edge.reshape(self.side_px // 2, -1).astype(np.float32)
        return cv2.resize(half, shape) + 0.4 * smooth_noise(rng, shape, 8)
