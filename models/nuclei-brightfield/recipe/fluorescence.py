"""Nuclear fluorescence for training: real fields and collages, drawn as haematoxylin."""

from __future__ import annotations

import cv2
import numpy as np
from layout import collage, take_tile
from render import Tile
from sources import Nucleus, Source, cut_nuclei
from textures import TextureBank
from tissue import packed

from histo.nuclei.drawing import virtual_hematoxylin
from histo.nuclei.targets import targets_of

__all__ = ["FluorescenceRenderer"]


class FluorescenceRenderer:
    """Draws tiles without end: cultures at any scale, tissue, and dense collages.

    Parameters
    ----------
    sources : list of Source
    seed : int
    side_px : int
        Side of a tile.
    """

    def __init__(self, sources: list[Source], *, seed: int, side_px: int = 256) -> None:
        self.rng = np.random.default_rng(seed)
        self.side_px = side_px
        self.fields = [s for s in sources if s.kind == "culture"]
        self.tissue = [s for s in sources if s.kind == "tissue"]
        self.nuclei: list[Nucleus] = cut_nuclei(sources)
        self.bank = TextureBank(self.rng)

    def draw(self) -> Tile:
        """Return the next tile."""
        rng = self.rng
        diameter = float(np.exp(rng.uniform(np.log(9), np.log(48))))
        kind = rng.choice(["field", "tissue", "collage", "packed"], p=[0.6, 0.1, 0.15, 0.15])
        if kind in ("collage", "packed"):
            lay = collage if kind == "collage" else packed
            layout = lay(rng, self.nuclei, self.side_px, min(diameter, 26))
            labels = layout.labels
            bright = rng.lognormal(0, rng.uniform(0.1, 0.6), int(labels.max()) + 1)
            bright[0] = 0
            grey = bright[labels] * layout.chroma + layout.overlap * 0.7
            grey = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), rng.uniform(0.4, 1.6))
            grey += rng.uniform(0, 0.35) * self.bank.draw("cloud", rng, self.side_px)
        else:
            choices = self.fields if kind == "field" else self.tissue
            source = choices[rng.integers(len(choices))]
            if kind == "field":  # most at a scale near their own
                own = source.diameter_px * np.exp(rng.normal(0, 0.35))
                diameter = own if rng.random() < 0.6 else diameter
            diameter = float(np.clip(diameter, 8, 70))
            image, labels = take_tile(rng, source, self.side_px, diameter)
            grey = (image[..., 2] if kind == "tissue" else image.max(-1)).astype(np.float32)
        rgb = self._expose(grey)
        return Tile(rgb, labels, targets_of(labels, np.zeros(labels.shape, np.float32)))

    def _expose(self, grey: np.ndarray) -> np.ndarray:
        """Gamma, uneven light, blur and noise of a camera; then as the software reads it."""
        rng = self.rng
        low, high = np.percentile(grey, (rng.uniform(2, 40), rng.uniform(98, 99.9)))
        signal = np.clip((grey - low) / max(high - low, 1e-3), 0, 3) ** rng.uniform(0.6, 1.5)
        if rng.random() < 0.3:
            light = self.bank.draw("cloud", rng, self.side_px)
            signal = signal * (1 - rng.uniform(0, 0.5) * light) + rng.uniform(0, 0.2) * light
        if rng.random() < 0.4:
            signal = cv2.GaussianBlur(signal.astype(np.float32), (0, 0), rng.uniform(0.5, 1.8))
        signal = signal + rng.normal(0, rng.uniform(0, 0.06), signal.shape)
        return virtual_hematoxylin(signal, 0, float(np.exp(rng.normal(0, 0.25))))
