"""A painted lung section whose metastatic foci, tubes and areas are known."""

from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histo.phantom.lung_layout import (
    Blob,
    Mask,
    Tube,
    grow_foam,
    lobe_outline,
    outline_blob,
    place_structures,
)
from histo.phantom.noise import Plane, grain, smooth_noise
from histo.phantom.optics import capture, transmit
from histo.phantom.recipe import Appearance, Optics

__all__ = ["LUNG_KINDS", "LungPhantom", "LungRecipe", "paint_lung", "random_lung_recipe"]

LUNG_KINDS: Final = (
    "glass",
    "septum",
    "airspace",
    "airway",
    "vessel",
    "focus",
    "lymphoid",
    "pleura",
    "outside",
)
"""What the codes of `LungPhantom.kinds` mean; airways and vessels with lumen and wall."""

# Haematoxylin and eosin (optical density) of the ground of each kind, in H&E.
_GROUND: Final = {
    "septum": (0.09, 0.20),
    "airway": (0.15, 0.26),
    "vessel": (0.05, 0.34),
    "focus": (0.13, 0.28),
    "lymphoid": (0.16, 0.10),
    "pleura": (0.07, 0.24),
    "outside": (0.14, 0.30),
}
# Nuclei: half axes in µm, haematoxylin relative to a tumour nucleus.
_NUCLEI: Final = {
    "septum": (3.6, 2.3, 1.15),
    "airway": (3.6, 2.8, 1.2),
    "vessel": (4.0, 1.7, 1.0),
    "focus": (5.1, 4.2, 1.0),
    "lymphoid": (3.1, 2.8, 1.55),
    "pleura": (4.2, 1.6, 1.0),
}
_PITCH: Final = {"focus": 12.5, "lymphoid": 7.4, "airway": 8.5}


@dataclass(frozen=True, slots=True)
class LungRecipe:
    """What a lung section shows; lengths in µm.

    Parameters
    ----------
    extent_um
        Height and width of the picture.
    stain
        ``"he"`` or ``"h-dab"``, the latter with some brown nuclei in the foci.
    foci_um
        Equivalent diameter of each focus.
    lymphoid_um
        Equivalent diameter of each peribronchial or perivascular lymphoid aggregate.
    airways, vessels, filled_vessels
        Number of airways, of empty vessels, and of vessels filled with erythrocytes.
    alveolus_um
        Distance between the centres of alveoli.
    septum_um
        Thickness of alveolar septa.
    cleft_um
        Width of the clefts along which tumour cells part; the outline of a focus holds them.
    outside
        Whether a lymph node and a piece of oesophagus lie beside the lobe.
    appearance
        Stains, white point, levels and optics.

    Raises
    ------
    ValueError
        When the stain is unknown or the extent too small.
    """

    extent_um: tuple[int, int] = (2000, 2400)
    stain: str = "he"
    foci_um: tuple[float, ...] = (420.0, 220.0, 140.0, 100.0, 75.0)
    lymphoid_um: tuple[float, ...] = (150.0, 100.0)
    airways: int = 3
    vessels: int = 3
    filled_vessels: int = 1
    alveolus_um: float = 46.0
    septum_um: float = 4.0
    cleft_um: float = 2.6
    outside: bool = True
    appearance: Appearance = field(default_factory=Appearance)

    def __post_init__(self) -> None:
        if self.stain not in ("he", "h-dab"):
            raise ValueError(f'stain must be "he" or "h-dab", got {self.stain!r}')
        if min(self.extent_um) < 800:
            raise ValueError(f"extent_um must be at least 800 each way, got {self.extent_um}")


@dataclass(frozen=True, slots=True, eq=False)
class LungPhantom:
    """A painted section and its truth, at 1 µm/px.

    Parameters
    ----------
    image
        uint8 (Y, X, 3).
    kinds
        uint8 (Y, X), index into `LUNG_KINDS`.
    foci_labels
        int32 (Y, X), `focus_id` of the table, 0 elsewhere.
    foci
        One row a focus: ``focus_id``, ``y_um``, ``x_um``, ``area_um2``, ``diameter_um``,
        ``nuclei``.
    cells
        One row a nucleus: ``cell_id``, ``y_um``, ``x_um``, ``nucleus_area_um2``,
        ``nucleus_eccentricity``, ``kind``.
    white_point
        float64 (3,).
    """

    image: NDArray[np.uint8]
    kinds: NDArray[np.uint8]
    foci_labels: NDArray[np.int32]
    foci: pd.DataFrame
    cells: pd.DataFrame
    white_point: NDArray[np.float64]
    pixel_size_um: float = 1.0

    @property
    def lobe(self) -> Mask:
        """The lobe with its airspace, tubes and foci, bool (Y, X)."""
        code = LUNG_KINDS.index
        return np.asarray((self.kinds != code("glass")) & (self.kinds != code("outside")))

    def of(self, kind: str) -> Mask:
        """Where one of `LUNG_KINDS` is, bool (Y, X)."""
        return np.asarray(self.kinds == LUNG_KINDS.index(kind))


def paint_lung(recipe: LungRecipe, seed: int = 0) -> LungPhantom:
    """Paint a section of a lung lobe at 1 µm/px.

    Parameters
    ----------
    recipe
        What it shows and how it is stained.
    seed
        The same seed and recipe give the same picture.

    Returns
    -------
    LungPhantom
        With no more foci than asked for; fewer when the lobe has no room.

    Examples
    --------
    >>> recipe = LungRecipe((900, 900), foci_um=(120.0,), lymphoid_um=(), airways=0, outside=False)
    >>> section = paint_lung(recipe)
    >>> len(section.foci), bool(abs(section.foci.diameter_um[0] - 120) < 2)
    (1, True)
    """
    rng = np.random.default_rng(seed)
    shape = recipe.extent_um
    lobe = lobe_outline(rng, shape, margin_um=180.0 if recipe.outside else 90.0)
    tubes, blobs = place_structures(rng, lobe, _draw_tubes(rng, recipe), _draw_blobs(recipe))
    kinds, solid, labels = _lay_out(rng, recipe, lobe, blobs)
    tube_parts = [(tube, *_cut_tube(rng, tube, shape)) for tube in tubes]
    for tube, lumen, wall in tube_parts:
        whole = (lumen | wall) & (labels == 0)
        kinds[whole] = LUNG_KINDS.index("airway" if tube.kind == "airway" else "vessel")
        solid[whole] = (wall | (lumen & (tube.kind == "filled")))[whole]
    nuclei = _scatter_nuclei(rng, kinds, solid)
    cells = _tabulate_cells(nuclei)
    blood = np.zeros(shape, bool)
    for tube, lumen, _ in tube_parts:
        if tube.kind == "filled":
            blood |= lumen
    cells = cells[~blood[cells.y_um.astype(int), cells.x_um.astype(int)]].reset_index(drop=True)
    cells.insert(0, "cell_id", np.arange(1, len(cells) + 1))
    planes = _paint_planes(rng, recipe, kinds, solid & ~blood, cells)
    if blood.any():
        discs = np.maximum(1 + 0.35 * grain(rng, shape, sigma_px=2.2), 0.2)
        level = (0.03, 0.46) if recipe.stain == "he" else (0.03, 0.06)
        for plane, amount in enumerate(level):
            planes[..., plane][blood] = (amount * discs)[blood]
    look = recipe.appearance
    second = look.eosin if recipe.stain == "he" else look.dab
    vectors = np.array([look.hematoxylin, second])
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    light = transmit(planes, vectors, look.white_point)
    image = capture(light, look.optics, rng, pixel_size_um=1.0)
    foci = _tabulate_foci(labels, cells)
    return LungPhantom(image, kinds, labels, foci, cells, np.asarray(look.white_point, np.float64))


def random_lung_recipe(seed: int, *, stain: str) -> LungRecipe:
    """Draw a section: other foci, decoys, alveoli, stain strength, colours, light and scanner.

    Parameters
    ----------
    seed
        The same seed gives the same recipe.
    stain
        ``"he"`` or ``"h-dab"``.

    Returns
    -------
    LungRecipe
        Its foci have equivalent diameters from 56 to 450 µm.

    Examples
    --------
    >>> min(random_lung_recipe(3, stain="he").foci_um) >= 56
    True
    """
    rng = np.random.default_rng(seed)
    look = Appearance()
    light = float(rng.uniform(225, 250))
    blue = np.asarray(look.hematoxylin) * np.exp(rng.normal(0, 0.06, 3))
    red, green, violet = (blue / np.linalg.norm(blue)).tolist()
    tint = rng.uniform(-3, 3, 3).tolist()
    optics = Optics(
        blur_um=float(rng.uniform(0.3, 0.8)),
        noise=float(rng.uniform(0.8, 3.0)),
        jpeg_quality=int(rng.integers(70, 95)),
    )
    appearance = Appearance(
        hematoxylin=(red, green, violet),
        white_point=(light + tint[0], light + tint[1], light + tint[2]),
        nucleus_od=float(rng.uniform(0.32, 0.55)),
        eosin_od=float(rng.uniform(0.18, 0.34)),
        haze_od=float(rng.uniform(0.01, 0.05)),
        optics=optics,
    )
    foci = np.exp(rng.uniform(np.log(56), np.log(450), int(rng.integers(3, 7))))
    lymphoid = rng.uniform(80, 190, int(rng.integers(1, 4)))
    return LungRecipe(
        stain=stain,
        foci_um=tuple(np.sort(foci)[::-1].tolist()),
        lymphoid_um=tuple(lymphoid.tolist()),
        airways=int(rng.integers(2, 5)),
        vessels=int(rng.integers(2, 5)),
        filled_vessels=int(rng.integers(0, 3)),
        alveolus_um=float(rng.uniform(38, 56)),
        septum_um=float(rng.uniform(3.0, 5.5)),
        cleft_um=float(rng.uniform(1.5, 6.0)),
        appearance=appearance,
    )


def _draw_tubes(rng: np.random.Generator, recipe: LungRecipe) -> list[Tube]:
    """Sizes of the airways and vessels, largest first; they have no place yet."""
    counts = {"airway": recipe.airways, "vessel": recipe.vessels, "filled": recipe.filled_vessels}
    reach = {
        "airway": (55.0, 150.0, 17.0),
        "vessel": (40.0, 90.0, 8.0),
        "filled": (35.0, 60.0, 8.0),
    }
    tubes = []
    for kind, count in counts.items():
        low, high, wall = reach[kind]
        for _ in range(count):
            long = float(rng.uniform(low, high))
            wide = long * float(rng.uniform(0.5, 0.9))
            thick = wall * float(rng.uniform(0.8, 1.2))
            tubes.append(Tube(kind, 0, 0, (long, wide), thick, float(rng.uniform(0, np.pi))))
    return tubes


def _draw_blobs(recipe: LungRecipe) -> list[Blob]:
    foci = [Blob("focus", 0, 0, d / 2) for d in recipe.foci_um]
    return foci + [Blob("lymphoid", 0, 0, d / 2) for d in recipe.lymphoid_um]


def _cut_tube(rng: np.random.Generator, tube: Tube, shape: tuple[int, int]) -> tuple[Mask, Mask]:
    """Lumen and wall of a tube, bool (Y, X) each."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    dy, dx = y - np.float32(tube.y_um), x - np.float32(tube.x_um)
    c, s = np.float32(np.cos(tube.angle)), np.float32(np.sin(tube.angle))
    u, v = dx * c + dy * s, dy * c - dx * s
    long, wide = tube.lumen_um
    turn = np.arctan2(v / wide, u / long)
    waves = sum(
        rng.normal(0, 0.05) * np.cos(k * turn + np.float32(rng.uniform(0, 2 * np.pi)))
        for k in (2, 3, 5)
    )
    lumen = np.asarray(np.hypot(u / long, v / wide) < 1 + waves)
    away = cv2.distanceTransform((~lumen).astype(np.uint8), cv2.DIST_L2, 5)
    return lumen, np.asarray((away > 0) & (away <= tube.wall_um))


def _lay_out(
    rng: np.random.Generator, recipe: LungRecipe, lobe: Mask, blobs: list[Blob]
) -> tuple[NDArray[np.uint8], Mask, NDArray[np.int32]]:
    """Codes of the kinds, where there is any matter, and the labels of the foci."""
    shape, code = lobe.shape, LUNG_KINDS.index
    foam = grow_foam(rng, shape, pitch_um=recipe.alveolus_um)
    thick = (
        recipe.septum_um / 2 * (1 + 0.25 * smooth_noise(rng, shape, scale_um=9, pixel_size_um=1))
    )
    septum = foam <= np.maximum(thick, 0.8)
    kinds = np.where(lobe, np.where(septum, code("septum"), code("airspace")), 0).astype(np.uint8)
    depth = cv2.distanceTransform(lobe.astype(np.uint8), cv2.DIST_L2, 5)
    kinds[lobe & (depth <= 5)] = code("pleura")
    solid = (kinds == code("septum")) | (kinds == code("pleura"))
    labels = np.zeros(shape, np.int32)
    # Tumour cells part along thin clefts; the outline holds them.
    clefts = grow_foam(rng, shape, pitch_um=55.0, broken=0.6) <= recipe.cleft_um / 2
    for blob in blobs:
        mask = outline_blob(rng, blob, shape) & lobe
        kinds[mask] = code(blob.kind)
        solid[mask] = ~clefts[mask] if blob.kind == "focus" else True
        if blob.kind == "focus":
            labels[mask] = labels.max() + 1
    if recipe.outside:
        corners = ((95.0, 120.0, 70.0), (shape[0] - 90.0, shape[1] - 110.0, 65.0))
        for y_um, x_um, radius in corners:
            mask = outline_blob(rng, Blob("outside", y_um, x_um, radius), shape)
            mask &= cv2.distanceTransform((~lobe).astype(np.uint8), cv2.DIST_L2, 5) > 25
            kinds[mask], solid[mask] = code("outside"), True
    return kinds, solid, labels


def _scatter_nuclei(
    rng: np.random.Generator, kinds: NDArray[np.uint8], solid: Mask
) -> list[tuple[str, float, float, float, float, float]]:
    """Nuclei as (kind, y, x, half axis, half axis, angle)."""
    found = []
    for kind, (long, wide, _) in _NUCLEI.items():
        here = kinds == LUNG_KINDS.index(kind)
        if kind in _PITCH:
            room = cv2.distanceTransform(here.astype(np.uint8), cv2.DIST_L2, 5)
            pitch = _PITCH[kind]
            rows, columns = (
                np.arange(0, kinds.shape[0], pitch * 0.87),
                np.arange(0, kinds.shape[1], pitch),
            )
            y, x = np.meshgrid(rows, columns, indexing="ij")
            x = x + (np.arange(len(rows)) % 2)[:, None] * pitch / 2
            at = np.stack([y, x], -1).reshape(-1, 2) + rng.normal(0, pitch * 0.15, (y.size, 2))
            at = np.clip(at, 0, np.array(kinds.shape) - 1)
            index = tuple(at.astype(int).T)
            at = at[(room[index] > 0.75 * wide) & solid[index]]
        else:
            where = np.argwhere(here & solid)
            count = int(len(where) / (16.0 if kind == "vessel" else 11.0) / 4.5)
            at = where[rng.permutation(len(where))[:count]] + rng.random((count, 2))
        size = np.exp(rng.normal(0, 0.1, len(at)))
        turn = rng.uniform(0, np.pi, len(at))
        for (cy, cx), s, t in zip(at.tolist(), size.tolist(), turn.tolist(), strict=True):
            found.append((kind, cy, cx, long * s, wide * s, t))
    return found


def _tabulate_cells(nuclei: list[tuple[str, float, float, float, float, float]]) -> pd.DataFrame:
    table = pd.DataFrame(nuclei, columns=["kind", "y_um", "x_um", "long_um", "wide_um", "angle"])
    table["nucleus_area_um2"] = np.pi * table.long_um * table.wide_um
    table["nucleus_eccentricity"] = np.sqrt(1 - (table.wide_um / table.long_um) ** 2)
    return table


def _paint_planes(
    rng: np.random.Generator,
    recipe: LungRecipe,
    kinds: NDArray[np.uint8],
    solid: Mask,
    cells: pd.DataFrame,
) -> Plane:
    """Optical density of haematoxylin and of eosin or DAB, float32 (Y, X, 2)."""
    shape, look = kinds.shape, recipe.appearance
    he = recipe.stain == "he"
    ground = np.zeros((len(LUNG_KINDS), 2), np.float32)
    for kind, (blue, pink) in _GROUND.items():
        share = look.eosin_od / 0.25
        ground[LUNG_KINDS.index(kind)] = (blue, pink * share) if he else (0.75 * blue, look.haze_od)
    patchy = 1 + 0.16 * smooth_noise(rng, shape, scale_um=7, pixel_size_um=1.0)
    patchy = np.maximum(patchy + 0.12 * grain(rng, shape, sigma_px=0.8), 0.2)
    planes = ground[kinds] * (patchy * solid)[..., None].astype(np.float32)
    nuclei = np.zeros(shape, np.float32)
    brown = np.zeros(shape, np.float32)
    positive = rng.random(len(cells)) < 0.08
    sizes = ["x_um", "y_um", "long_um", "wide_um", "angle"]
    drawn = zip(
        cells["kind"], cells[sizes].to_numpy(float).tolist(), positive.tolist(), strict=True
    )
    for kind, (x, y, long, wide, angle), stained in drawn:
        level = look.nucleus_od * _NUCLEI[kind][2] * float(rng.uniform(0.8, 1.2))
        centre, axes = (round(x * 16), round(y * 16)), (round(long * 16), round(wide * 16))
        turn = float(np.degrees(angle))
        cv2.ellipse(nuclei, centre, axes, turn, 0, 360, level, cv2.FILLED, cv2.LINE_8, 4)
        if stained and not he and kind == "focus":
            cv2.ellipse(brown, centre, axes, turn, 0, 360, 0.5, cv2.FILLED, cv2.LINE_8, 4)
    nuclei *= np.maximum(1 + 0.15 * grain(rng, shape, sigma_px=0.9), 0.3)
    planes[..., 0] = np.maximum(planes[..., 0], nuclei)
    if he:
        planes[..., 1] *= np.where(nuclei > 0, 0.6, 1.0)
    planes[..., 1] += brown
    return np.asarray(cv2.GaussianBlur(planes, (0, 0), 0.5), np.float32)


def _tabulate_foci(labels: NDArray[np.int32], cells: pd.DataFrame) -> pd.DataFrame:
    rows = []
    tumour = cells[cells.kind == "focus"]
    inside = labels[tumour.y_um.astype(int), tumour.x_um.astype(int)]
    for number in range(1, int(labels.max()) + 1):
        y, x = np.nonzero(labels == number)
        rows.append(
            {
                "focus_id": number,
                "y_um": y.mean() + 0.5,
                "x_um": x.mean() + 0.5,
                "area_um2": float(len(y)),
                "diameter_um": float(np.sqrt(4 * len(y) / np.pi)),
                "nuclei": int((inside == number).sum()),
            }
        )
    columns = ["focus_id", "y_um", "x_um", "area_um2", "diameter_um", "nuclei"]
    return pd.DataFrame(rows, columns=columns)
