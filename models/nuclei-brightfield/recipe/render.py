"""Virtual staining: a layout of nuclei becomes an RGB tile through Beer-Lambert and a scanner.

Every tile carries exact truth. What varies, and why, was chosen by looking at real
immunohistochemistry beside the rendered tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from eosin import eosin_tissue, red_cells
from layout import KINDS, Layout, collage, from_source, label_means, take_tile
from skimage.segmentation import expand_labels
from sources import Source, cut_nuclei
from textures import TextureBank, smooth_noise
from tissue import packed

from histo.nuclei.targets import border_distance, targets_of
from histo.phantom import paint_examples

__all__ = ["Renderer", "Tile"]

# Unit-free OD directions (R, G, B). Haematoxylin runs from purple to the cyan-blue of many
# scanners, DAB from yellow brown to near black.
HEMATOXYLIN = np.array(
    [[0.65, 0.70, 0.29], [0.55, 0.76, 0.33], [0.76, 0.60, 0.25], [0.84, 0.50, 0.20]]
)
# In H&E nuclei hold eosin as well, and scanners show them purple.
PURPLE = np.array([[0.65, 0.70, 0.29], [0.55, 0.76, 0.33], [0.56, 0.72, 0.41], [0.46, 0.77, 0.44]])
DAB = np.array([[0.27, 0.57, 0.78], [0.38, 0.57, 0.73], [0.48, 0.58, 0.66], [0.24, 0.50, 0.83]])
RED = np.array([[0.21, 0.85, 0.48], [0.12, 0.90, 0.42], [0.25, 0.78, 0.58]])
EOSIN = np.array([[0.09, 0.97, 0.18], [0.17, 0.93, 0.32], [0.22, 0.80, 0.56], [0.26, 0.78, 0.48]])

#: What tiles are drawn from, and how often.
MIX = {
    "packed": 0.31,
    "tissue": 0.17,
    "collage": 0.12,
    "culture": 0.04,
    "histology": 0.15,
    "phantom": 0.17,
    "blank": 0.04,
}
#: Ingredients that can be left out to see what they are worth, besides the names of `MIX`.
INGREDIENTS = (
    "faint_brown",  # weakly positive nuclei with little blue left, some out of focus
    "crescents",  # brown on one side of a nucleus only
    "clumps",  # coarse chromatin
    "vesicular",  # pale nuclei with a rim and nucleoli
    "defocus",  # nuclei above or below the focal plane
    "blue_tissue",  # cytoplasm and stroma that take haematoxylin
    "brown_tissue",  # brown in cytoplasm, membranes and between cells
    "bodies",  # cytoplasm of single cells, blue and brown
    "dark_fibres",  # stroma as blue as nuclei
    "rims",  # a darker or paler line where nuclei end, and between those that touch
    "chromatin",  # nuclei cut out of sections stained with haematoxylin, beside fluorescent ones
    "eosin_between",  # eosin painted between nuclei of sections that have haematoxylin alone
    "specks",  # pigment and dirt
    "tissue_eosin",  # cytoplasm and stroma of real H&E: granular, clear, purple; fibres; blood
    "scanner",  # stretched contrast, sharpening, saturation
)

#: Mean nuclear DAB OD from which a rendered nucleus is truly positive, and below which negative.
POSITIVE_OD, NEGATIVE_OD = 0.10, 0.05


@dataclass(slots=True)
class Tile:
    """``rgb`` uint8 (S, S, 3), ``labels`` int32 (S, S), ``targets`` float32 (5, S, S).

    ``dab`` float32 (S, S): the brown that was painted, OD, in nuclei and elsewhere; or None.
    """

    rgb: np.ndarray
    labels: np.ndarray
    targets: np.ndarray
    dab: np.ndarray | None = None


def _direction(rng: np.random.Generator, choices: np.ndarray, jitter: float) -> np.ndarray:
    weights = rng.dirichlet(np.full(len(choices), 0.6))
    vector = np.maximum(weights @ choices + rng.normal(0, jitter, 3), 0.02)
    return vector / np.linalg.norm(vector)


def _blur(image: np.ndarray, sigma_px: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), sigma_px) if sigma_px > 0.2 else image


class Renderer:
    """Draws stained tiles without end.

    Parameters
    ----------
    sources : list of Source
    seed : int
    side_px : int
        Side of a tile.
    without : set of str
        Names of `MIX` and `INGREDIENTS` to leave out.
    """

    def __init__(
        self,
        sources: list[Source],
        *,
        seed: int,
        side_px: int = 256,
        without: frozenset[str] = frozenset(),
    ) -> None:
        unknown = without - {*MIX, *INGREDIENTS}
        if unknown:
            raise ValueError(f"No ingredient is called {', '.join(sorted(unknown))}.")
        self.rng = np.random.default_rng(seed)
        self.side_px = side_px
        self.without = without
        self.mix = {kind: part for kind, part in MIX.items() if kind not in without}
        self.nuclei = cut_nuclei(sources)
        self.stained_nuclei = cut_nuclei(sources, kind="histology")
        self.by_kind = {
            kind: [s for s in sources if s.kind == kind]
            for kind in ("culture", "tissue", "histology")
        }
        self.bank = TextureBank(self.rng)
        self._painted: list[Tile] = []

    def draw(self) -> Tile:
        """Return the next tile."""
        rng = self.rng
        parts = np.array(list(self.mix.values()))
        kind = str(rng.choice(list(self.mix), p=parts / parts.sum()))
        if kind == "phantom":
            return self._phantom()
        diameter = float(np.exp(rng.uniform(np.log(8.5), np.log(28))))
        if kind == "histology":
            return self._histology(diameter)
        layout = self._layout(kind, diameter)
        if rng.random() < (0.42 if kind == "packed" else 0.22):
            return self._he(layout)
        return self._ihc(layout)

    def draw_ihc(self) -> Tile:
        """Return the next tile that is stained brown and blue."""
        while True:
            kind = str(
                self.rng.choice([k for k in self.mix if k in ("packed", "tissue", "collage")])
            )
            diameter = float(np.exp(self.rng.uniform(np.log(8.5), np.log(28))))
            tile = self._ihc(self._layout(kind, diameter))
            if tile.labels.any():
                return tile

    def _has(self, ingredient: str, chance: float) -> bool:
        """Toss a coin for an ingredient; the same number of draws with and without it."""
        return bool(self.rng.random() < chance) and ingredient not in self.without

    def _phantom(self) -> Tile:
        """Cut a quarter of a painted section, with nests, stroma, vessels and lymphocytes."""
        if not self._painted:
            self._painted = [
                self._finish(tile.rgb, tile.labels, tile.positive)
                for tile in paint_examples(self.rng, side_px=self.side_px)
            ]
        return self._painted.pop()

    def _source(self, kind: str) -> Source:
        choices = self.by_kind[kind]
        return choices[self.rng.integers(len(choices))]

    def _layout(self, kind: str, diameter_px: float) -> Layout:
        rng, side = self.rng, self.side_px
        if kind in ("collage", "packed"):
            lay = collage if kind == "collage" else packed
            stained = self._has("chromatin", 0.5)
            nuclei = self.stained_nuclei if stained else self.nuclei
            layout = lay(rng, nuclei, side, diameter_px)
            layout.stained = stained
            return layout
        if kind == "blank":
            empty = np.zeros((side, side), np.float32)
            return Layout(empty.astype(np.int32), empty + 1, empty, None, diameter_px)
        return from_source(rng, self._source(kind), side, diameter_px)

    # -- planes of stain --------------------------------------------------------------

    def _nuclear(self, layout: Layout, distance: np.ndarray, strength: float) -> np.ndarray:
        """Haematoxylin OD inside nuclei: amplitude, chromatin, rim, nucleoli, focus."""
        rng, labels = self.rng, layout.labels
        n = int(labels.max()) + 1
        amplitude = strength * rng.lognormal(0, rng.uniform(0.1, 0.45), n)
        kinds = layout.kinds if layout.kinds is not None else np.zeros(n, np.int8)
        darker = np.ones(len(KINDS))
        darker[2:] = rng.uniform(1.0, 2.0, 2)  # spindles and lymphocytes hold dense chromatin
        amplitude = np.maximum(amplitude * darker[kinds], 0.07)
        amplitude[0] = 0
        # Real chromatin needs less painting.
        contrast = rng.uniform(0.4, 1.2) if layout.stained else rng.uniform(0, 0.9)
        painted = 0.4 if layout.stained else 1.0
        body = 1 + contrast * (layout.chroma - 1)
        grain = self.bank.draw("grain", rng, self.side_px) - 0.5
        body *= 1 + rng.uniform(0, 0.9) * painted * grain
        # Dark grains of chromatin, holes nearly as pale as glass.
        if self._has("clumps", 0.35 * painted):
            clumps = self.bank.draw("grain", rng, self.side_px) - rng.uniform(0.35, 0.6)
            clumped = (rng.random(n) < rng.choice([0.4, 1]))[labels]
            body *= np.where(clumped, np.clip(1 + rng.uniform(0.8, 2) * clumps, 0.3, 2), 1)
        if self._has("rims", 0.4):  # a thin dark membrane, or a pale slit between neighbours
            body *= 1 + rng.uniform(-0.4, 0.5) * np.exp(-distance / rng.uniform(0.7, 1.4))
        # Vesicular nuclei: a dark rim, a pale middle, dark nucleoli.
        share = rng.choice([0, 0.3, 0.9]) * self._has("vesicular", painted)
        share = share * np.array([1, 1.3, 0.4, 0.1])[kinds]
        vesicular = (rng.random(n) < share) * rng.uniform(0.2, 1, n)
        rim_px = max(1.0, rng.uniform(0.05, 0.11) * layout.diameter_px)
        rim = np.exp(-distance / rim_px)
        body *= 1 + vesicular[labels] * (1.3 * rim - rng.uniform(0.35, 0.65))
        body += self._nucleoli(labels, distance, vesicular, layout.diameter_px)
        if rng.random() < 0.5:
            spots = self.bank.draw("grain", rng, self.side_px)
            body += vesicular[labels] * 1.2 * np.clip(spots - 0.85, 0, 0.4) * (rim < 0.5)
        planes = amplitude[labels] * np.clip(body, 0.25, 2.2) + layout.overlap * strength * (
            labels > 0
        )
        # Some nuclei lie out of the focal plane.
        sharp = _blur(planes.astype(np.float32), rng.uniform(0.3, 0.9))
        if self._has("defocus", 0.5):
            # Spindles of the stroma lie at all heights of the section.
            share = rng.uniform(0.05, 0.5) * np.where(kinds == 2, 1.8, 1.0)
            away = (rng.random(n) < share)[labels]
            soft = _blur(planes.astype(np.float32), rng.uniform(1, 2.4))
            sharp = np.where(away, soft, sharp)
        return sharp

    def _nucleoli(
        self, labels: np.ndarray, distance: np.ndarray, share: np.ndarray, diameter_px: float
    ) -> np.ndarray:
        """One to three dark dots deep inside some of the pale nuclei."""
        rng = self.rng
        plane = np.zeros(labels.shape, np.float32)
        deep = np.argwhere(distance > 0.22 * diameter_px)
        count = int((share > 0.3).sum() * rng.uniform(0.3, 2))
        if not len(deep) or not count:
            return plane
        radius = max(1, round(diameter_px * rng.uniform(0.04, 0.09)))
        for y, x in deep[rng.integers(len(deep), size=count)]:
            if share[labels[y, x]] > 0.3:
                cv2.circle(plane, (int(x), int(y)), radius, float(rng.uniform(0.4, 1.3)), -1)
        return _blur(plane, 0.6)

    def _positive(
        self, layout: Layout, distance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nuclear DAB: OD plane, how much haematoxylin stays, and the mean OD of each nucleus."""
        rng, labels = self.rng, layout.labels
        n = int(labels.max()) + 1
        share = rng.choice([0, 0.03, 0.12, 0.35, 0.8], p=[0.24, 0.22, 0.24, 0.18, 0.12])
        level = rng.uniform(0.15, 1.1) * rng.lognormal(0, rng.uniform(0.2, 0.8), n)
        faint = self._has("faint_brown", 0.4)
        if faint:
            weak = rng.random(n) < rng.choice([0.4, 0.9])
            level = np.where(weak, rng.uniform(0.07, 0.3) * rng.lognormal(0, 0.4, n), level)
        level = np.clip(level, 0.05, 2.0) * (rng.random(n) < share)
        level[0] = 0
        body = 1 + rng.uniform(0, 0.7) * (layout.chroma - 1)
        body *= 1 + rng.uniform(0, 0.9) * (self.bank.draw("grain", rng, self.side_px) - 0.5)
        body *= 1 + rng.uniform(-0.5, 0.6) * np.exp(-distance / (0.12 * layout.diameter_px + 1))
        if self._has("crescents", 0.3):  # one side of the nucleus only
            side = np.clip(0.5 + 2.5 * smooth_noise(rng, labels.shape, layout.diameter_px), 0, 1)
            partial = (rng.random(n) < rng.uniform(0.1, 0.6))[labels]
            body = np.where(partial, body * side, body)
        plane = (level[labels] * np.clip(body, 0.05, 2)).astype(np.float32)
        means = label_means(plane, labels)
        keep = 1 - np.clip(level, 0, 1) * rng.uniform(0, 0.9)
        if faint:
            keep = np.where(level > 0, np.minimum(keep, rng.uniform(0.05, 0.8, n)), keep)
        sharp = _blur(plane, rng.uniform(0.4, 1.2))
        if faint and rng.random() < 0.5:  # above or below the focal plane
            away = (rng.random(n) < rng.uniform(0.1, 0.6))[labels]
            sharp = np.where(away, _blur(plane, rng.uniform(1.2, 2.8)), sharp)
        return sharp, keep[labels], means

    def _surroundings(self, layout: Layout) -> np.ndarray:
        """Cytoplasm, fibres and haze between nuclei, 0-1, without nuclei in it."""
        rng, side = self.rng, self.side_px
        plane = np.zeros((side, side), np.float32)
        if layout.structure is not None and rng.random() < 0.8:
            mix = rng.dirichlet([1, 0.5])
            plane += rng.uniform(0.4, 1) * (layout.structure @ mix)
        if rng.random() < 0.7:
            region = np.clip(
                0.5 + 1.2 * smooth_noise(rng, (side, side), rng.uniform(60, 200)), 0, 1
            )
            plane += rng.uniform(0.2, 1) * self.bank.draw("fibre", rng, side) * region
        if rng.random() < 0.6:
            plane += rng.uniform(0.1, 0.8) * self.bank.draw("cloud", rng, side)
        if rng.random() < 0.25:
            plane += rng.uniform(0.1, 0.7) * self.bank.draw("membrane", rng, side)
        if layout.nest is not None:  # an epithelium is denser than its stroma, or paler
            plane *= 1 + rng.uniform(-0.8, 0.8) * layout.nest
            plane += rng.uniform(0, 0.5) * layout.nest
        if self._has("bodies", 0.5):
            plane += self._cell_bodies(layout) * rng.uniform(0.3, 1)
        if rng.random() < 0.3:  # ghosts: cells cut beside their nucleus, blobs that are none
            plane += self._ghosts(layout.diameter_px) * rng.uniform(0.3, 1)
        if rng.random() < 0.35:  # lumina, fat, cracks: glass shows through
            holes = smooth_noise(rng, (side, side), rng.uniform(20, 90)) > rng.uniform(0.5, 1.3)
            plane *= 1 - _blur(holes.astype(np.float32), 1.0) * (layout.labels == 0)
        return np.clip(plane, 0, 1.5)

    def _cell_bodies(self, layout: Layout) -> np.ndarray:
        """Cytoplasm around some nuclei, with a border and grain of its own."""
        rng, labels = self.rng, layout.labels
        n = int(labels.max()) + 1
        if n == 1:
            return np.zeros(labels.shape, np.float32)
        reach = max(2, int(layout.diameter_px * rng.uniform(0.2, 0.8)))
        cells = expand_labels(labels, reach)
        level = rng.uniform(0.3, 1, n) * (rng.random(n) < rng.choice([0.15, 0.5, 1]))
        level[0] = 0
        plane = _blur(level[cells].astype(np.float32), rng.uniform(0.6, 2))
        grain = self.bank.draw("grain" if rng.random() < 0.5 else "cloud", rng, self.side_px)
        plane *= 0.6 + 0.8 * grain * rng.random()
        if rng.random() < 0.4:
            rim = np.exp(-border_distance(cells) / 1.6) * (cells > 0)
            plane *= 0.5 + rng.uniform(0.5, 2.5) * rim
        return plane

    def _dark_fibres(self) -> np.ndarray:
        """Bundles of stroma and vessel walls that take up as much blue as nuclei do."""
        rng, side = self.rng, self.side_px
        region = np.clip(smooth_noise(rng, (side, side), rng.uniform(70, 180)) - 0.2, 0, 1)
        # Long streaks with soft ends: short ones would look like nuclei out of focus.
        fibre = np.clip(self.bank.draw("fibre", rng, side) - rng.uniform(0.2, 0.5), 0, 1)
        return _blur(region * fibre * rng.uniform(0.8, 2.2), rng.uniform(0.5, 2))

    def _ghosts(self, diameter_px: float) -> np.ndarray:
        rng, side = self.rng, self.side_px
        plane = np.zeros((side, side), np.float32)
        for _ in range(int(rng.integers(3, 30))):
            centre = tuple(int(v) for v in rng.integers(0, side, 2))
            axes = tuple(int(max(2, v)) for v in diameter_px * rng.uniform(0.5, 1.6, 2))
            value = float(rng.uniform(0.2, 0.9))
            cv2.ellipse(plane, centre, axes, float(rng.uniform(0, 180)), 0, 360, value, -1)
        plane = _blur(plane, rng.uniform(1.5, 5))
        return plane * (0.5 + self.bank.draw("cloud", rng, side))

    def _specks(self, labels: np.ndarray, od: np.ndarray) -> np.ndarray:
        """Pigment and dirt: neutral brown or black, never a nucleus."""
        rng = self.rng
        plane = np.zeros(labels.shape, np.float32)
        for _ in range(int(rng.integers(1, 9))):
            y, x = (int(v) for v in rng.integers(0, self.side_px, 2))
            for _ in range(int(rng.integers(1, 9))):
                dy, dx = (int(v) for v in rng.normal(0, 5, 2))
                radius = int(rng.integers(1, 4))
                cv2.circle(plane, (x + dx, y + dy), radius, float(rng.uniform(0.4, 2)), -1)
        plane *= labels == 0
        colour = np.array([1, rng.uniform(0.95, 1.15), rng.uniform(1, 1.5)])
        return od + _blur(plane, rng.uniform(0.3, 0.9))[..., None] * colour / np.sqrt(3)

    # -- stained tiles ----------------------------------------------------------------

    def _ihc(self, layout: Layout) -> Tile:
        rng, labels = self.rng, layout.labels
        distance = border_distance(labels)
        hem = self._nuclear(
            layout, distance, strength=float(np.exp(rng.uniform(np.log(0.12), np.log(0.75))))
        )
        dab, keep, means = self._positive(layout, distance)
        hem *= keep
        around = self._surroundings(layout)
        inside = rng.uniform(0.2, 1)  # cytoplasm above and below the nucleus tints it too
        shade = np.where(labels > 0, inside, 1).astype(np.float32)
        blue = rng.choice([0.03, 0.1, 0.25, 0.45], p=[0.25, 0.35, 0.27, 0.13]) * rng.uniform(0.3, 1)
        strongest = max(0.1, float(np.median(hem[labels > 0])) if (labels > 0).any() else 0.3)
        blue *= self._has("blue_tissue", 1)
        hem = hem + np.minimum(around * blue, 0.85 * strongest) * shade
        if self._has("dark_fibres", 0.1):
            hem = hem + self._dark_fibres() * strongest * (labels == 0)
        hem += rng.uniform(0, 0.06)
        cytoplasmic = rng.random() if self._has("brown_tissue", 1) else 1.0
        brown = np.zeros_like(dab)
        if cytoplasmic < 0.45:
            single = self._has("bodies", 0.6)
            marked = self._cell_bodies(layout) if single else self._surroundings(layout)
            brown = marked * rng.choice([0.1, 0.3, 0.6]) * rng.uniform(0.4, 1.3)
        elif cytoplasmic < 0.65:
            brown = around * rng.uniform(0, 0.2)
        brown = brown * np.where(labels > 0, rng.uniform(0.05, 0.7), 1)
        dab = dab + brown
        od = hem[..., None] * _direction(rng, HEMATOXYLIN, 0.03)
        od = od + dab[..., None] * _direction(rng, DAB, 0.03)
        if self._has("bodies", 0.15):
            red = self._cell_bodies(layout) * rng.uniform(0.2, 1.2)
            red *= np.where(labels > 0, rng.uniform(0.05, 0.8), 1)
            od = od + red[..., None] * _direction(rng, RED, 0.03)
        if self._has("specks", 0.3):
            od = self._specks(labels, od)
        positive = np.interp(means, [NEGATIVE_OD, POSITIVE_OD], [0, 1]).astype(np.float32)
        tile = self._finish(self._scan(od), labels, positive[labels])
        tile.dab = dab
        return tile

    def _he(self, layout: Layout) -> Tile:
        rng, labels = self.rng, layout.labels
        distance = border_distance(labels)
        hem = self._nuclear(layout, distance, strength=float(rng.uniform(0.15, 0.85)))
        blue = _direction(rng, PURPLE, 0.04)
        od = hem[..., None] * blue + self._tissue_od(layout, blue)
        return self._finish(self._scan(od), labels, np.zeros(labels.shape, np.float32))

    def _tissue_od(self, layout: Layout, blue: np.ndarray) -> np.ndarray:
        """OD of what lies around nuclei in H&E, (S, S, 3); ``blue`` is haematoxylin's colour."""
        rng, labels = self.rng, layout.labels
        if self._has("tissue_eosin", 0.75):
            pink, bluish = eosin_tissue(rng, self.bank, layout)
        else:
            pink = self._surroundings(layout) * rng.uniform(0.15, 0.6) + rng.uniform(0, 0.12)
            bluish = self._surroundings(layout) * rng.choice([0.02, 0.08, 0.2])
        if rng.random() < 0.25:
            blood = red_cells(rng, labels, layout.diameter_px)
            pink = np.maximum(pink, blood * rng.uniform(0.3, 0.8))
        shade = np.where(labels > 0, rng.uniform(0.2, 0.9), 1).astype(np.float32)
        red = _direction(rng, EOSIN, 0.04)
        return (bluish * shade)[..., None] * blue + (pink * shade)[..., None] * red

    def _histology(self, diameter_px: float) -> Tile:
        """Take a real stained field, its stains re-coloured."""
        rng = self.rng
        image, labels = take_tile(rng, self._source("histology"), self.side_px, diameter_px)
        glass = np.maximum(np.percentile(image, 99, axis=(0, 1)), 120)
        od = np.clip(-np.log10(np.maximum(image, 1) / glass), 0, 2)
        if rng.random() < 0.6:
            pair = np.stack([HEMATOXYLIN[0], EOSIN[1]])
            pair /= np.linalg.norm(pair, axis=1, keepdims=True)
            amounts = np.clip(od @ np.linalg.pinv(pair), -0.1, None)
            residual = od - amounts @ pair
            new = np.stack([_direction(rng, HEMATOXYLIN, 0.03), _direction(rng, EOSIN, 0.05)])
            scale = np.array([rng.uniform(0.5, 1.3), rng.uniform(0.1, 1.4)])
            od = np.clip((amounts * scale) @ new + 0.6 * residual, 0, None)
        else:
            od = od * rng.uniform(0.6, 1.3)
        if self._has("eosin_between", 0.6):  # most of these fields hold haematoxylin alone
            ones = np.ones(labels.shape, np.float32)
            layout = Layout(labels, ones, 0 * ones, None, diameter_px)
            od = od + self._tissue_od(layout, HEMATOXYLIN[0])
        return self._finish(self._scan(od), labels, np.zeros(labels.shape, np.float32))

    # -- scanner and truth ------------------------------------------------------------

    def _scan(self, od: np.ndarray) -> np.ndarray:
        """Optics, tone curve, sharpening, noise and JPEG of a scanner."""
        rng = self.rng
        white = rng.uniform(222, 255) * (1 + rng.normal(0, 0.018, 3))
        rgb = (white * 10 ** -np.clip(od, 0, 2.6)).astype(np.float32)
        rgb = _blur(rgb, rng.uniform(0, 1.1))
        if self._has("scanner", 0.35):  # contrast stretched until the background burns out
            gain = rng.uniform(1.05, 1.6)
            rgb = (rgb - 255) * gain + 255 + rng.uniform(0, 22)
        if self._has("scanner", 0.3):
            grey = rgb.mean(-1, keepdims=True)
            rgb = grey + (rgb - grey) * rng.uniform(0.6, 1.5)
        if self._has("scanner", 0.45):
            rgb = rgb + rng.uniform(0.3, 1.6) * (rgb - _blur(rgb, rng.uniform(0.8, 2)))
        noise = rng.uniform(0, 5)
        grain = rng.normal(0, 1, rgb.shape).astype(np.float32)
        rgb = rgb + noise * (_blur(grain, 0.6) * 1.6 if rng.random() < 0.5 else grain)
        image = np.clip(rgb, 0, 255).astype(np.uint8)
        if rng.random() < 0.6:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))]
            image = cv2.imdecode(cv2.imencode(".jpg", image[..., ::-1], quality)[1], 1)[..., ::-1]
        return np.ascontiguousarray(image)

    def _finish(self, rgb: np.ndarray, labels: np.ndarray, positive: np.ndarray) -> Tile:
        return Tile(rgb, labels, targets_of(labels, positive))
