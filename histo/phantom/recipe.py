"""What a phantom shows (composition), how it is stained and scanned (appearance, optics)."""

from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np

from histo.stain import load_stains

Vector = tuple[float, float, float]

PANEL_PLANES: Final = MappingProxyType(
    {
        "foxp3-dab": {"nuclear": "hematoxylin", "foxp3": "dab"},
        "rankl-dab": {"nuclear": "hematoxylin", "rankl": "dab"},
        "foxp3-dab+rankl-red": {"nuclear": "hematoxylin", "foxp3": "dab", "rankl": "red"},
        "foxp3-rankl-if": {"nuclear": "dapi", "foxp3": "foxp3", "rankl": "rankl", "cd3": "cd3"},
        "he": {"nuclear": "hematoxylin", "eosin": "eosin"},
        "nuclei-if": {"nuclear": "dapi"},
    }
)
"""For each panel, the stain or channel that shows each role."""

GRADE_LEVELS: Final = (0.2, 0.4, 0.6)
"""Lower ends of 1+, 2+ and 3+ at ``dab_gain`` 1 (optical density; QuPath's defaults)."""


@cache
def _built_in(matrix: str, stain: str) -> Vector:
    stains = load_stains(matrix)
    red, green, blue = stains.vectors[stains.stains.index(stain)].tolist()
    return (red, green, blue)


def is_fluorescence(panel: str) -> bool:
    """Whether a panel is painted as fluorescence channels rather than as brightfield.

    Examples
    --------
    >>> is_fluorescence("foxp3-rankl-if"), is_fluorescence("he")
    (True, False)
    """
    return panel.endswith("-if")


@dataclass(frozen=True, slots=True)
class Optics:
    """Microscope, camera and file: what happens to light after the section.

    Parameters
    ----------
    blur_um
        Standard deviation of the point spread, µm.
    sharpen
        Strength of the scanner's unsharp mask; 0 leaves the image alone.
    contrast
        Gain of the distance to white; 1 keeps Beer-Lambert exact.
    noise
        Standard deviation of the sensor noise, grey levels; in fluorescence, a factor on the
        camera's shot and read noise.
    jpeg_quality
        1-100, or 0 for no compression.

    Examples
    --------
    >>> Optics(noise=0.0).noise
    0.0
    """

    blur_um: float = 0.35
    sharpen: float = 0.4
    contrast: float = 1.0
    noise: float = 1.2
    jpeg_quality: int = 88


@dataclass(frozen=True, slots=True)
class Appearance:
    """How a laboratory's section looks: stains, their strength, the light and the optics.

    Parameters
    ----------
    hematoxylin, dab, red, eosin
        Optical density directions (R, G, B); scaled to unit length when painted.
    white_point
        Light through glass, grey levels (R, G, B).
    nucleus_od
        Mean haematoxylin of a tumour nucleus, base-10 optical density.
    lymphocyte_ratio
        How much darker a lymphocyte is than a tumour nucleus.
    cytoplasm_od, fibre_od
        Haematoxylin of tumour cytoplasm and of collagen.
    chromatin
        Contrast of the chromatin texture, 0-1.
    rim
        How vesicular tumour nuclei are: dark rim, pale middle, 0-1.
    dab_gain
        Factor on every chromogen level; grade limits move with it.
    haze_od
        Unspecific chromogen on the tissue.
    eosin_od
        Eosin of tumour cytoplasm.
    optics
        None leaves the image noise free: exactly Beer-Lambert, rounded to 8 bits.

    Examples
    --------
    >>> Appearance(dab_gain=0.8).dab_gain
    0.8
    """

    hematoxylin: Vector = field(default_factory=lambda: _built_in("h-dab", "hematoxylin"))
    dab: Vector = field(default_factory=lambda: _built_in("h-dab", "dab"))
    red: Vector = field(default_factory=lambda: _built_in("h-dab-red", "red"))
    eosin: Vector = field(default_factory=lambda: _built_in("he", "eosin"))
    white_point: Vector = (243.0, 243.0, 241.0)
    nucleus_od: float = 0.42
    lymphocyte_ratio: float = 1.5
    cytoplasm_od: float = 0.08
    fibre_od: float = 0.07
    chromatin: float = 0.3
    rim: float = 0.5
    dab_gain: float = 1.0
    haze_od: float = 0.02
    eosin_od: float = 0.25
    optics: Optics | None = field(default_factory=Optics)


@dataclass(frozen=True, slots=True)
class Composition:
    """What tissue is painted; lengths in µm, fractions 0-1.

    Parameters
    ----------
    tumour
        Expected share of the tissue that is tumour nest.
    tumour_nucleus_um
        Mean diameter of tumour nuclei.
    nest_um
        Size of the nests.
    crowding
        How densely nuclei are packed: 1 touches and overlaps, 0 keeps them apart.
    lymphocytes
        Share of the stroma under lymphocyte infiltrate.
    stroma_cells
        Factor on the number of spindle nuclei.
    vessels_per_mm2
        Vessels and ducts with an open lumen.
    fat, glass
        Share of the stroma that is fat, share of the field that is bare glass.
    looseness
        How much of the stroma is clear space between fibres.
    foxp3_lymphocyte, foxp3_tumour
        Share of FOXP3+ nuclei among lymphocytes and among tumour cells.
    rankl_foxp3, rankl_lymphocyte, rankl_tumour, rankl_stroma
        Share of RANKL+ cells among FOXP3+ lymphocytes, other lymphocytes, tumour and stromal cells.
    debris_per_mm2
        Pigment grains and dirt, none of which is a cell.
    out_of_focus
        Share of nuclei that lie out of focus.
    pen
        Whether a felt pen's stroke runs along the section's outside.

    Examples
    --------
    >>> Composition(tumour=0.9).tumour
    0.9
    """

    tumour: float = 0.4
    tumour_nucleus_um: float = 10.0
    nest_um: float = 70.0
    crowding: float = 0.5
    lymphocytes: float = 0.3
    stroma_cells: float = 1.0
    vessels_per_mm2: float = 25.0
    fat: float = 0.0
    glass: float = 0.0
    looseness: float = 0.3
    foxp3_lymphocyte: float = 0.2
    foxp3_tumour: float = 0.0
    rankl_foxp3: float = 0.6
    rankl_lymphocyte: float = 0.1
    rankl_tumour: float = 0.25
    rankl_stroma: float = 0.05
    debris_per_mm2: float = 30.0
    out_of_focus: float = 0.07
    pen: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """A panel, the tissue to paint and the way it is stained and scanned.

    Raises
    ------
    ValueError
        When the panel is not one of `PANEL_PLANES`.

    Examples
    --------
    >>> Recipe("rankl-dab").composition.rankl_tumour
    0.25
    """

    panel: str
    composition: Composition = field(default_factory=Composition)
    appearance: Appearance = field(default_factory=Appearance)

    def __post_init__(self) -> None:
        if self.panel not in PANEL_PLANES:
            raise ValueError(f"panel must be one of {', '.join(PANEL_PLANES)}, got {self.panel!r}")


def random_optics(rng: np.random.Generator) -> Optics:
    """Draw a scanner: from soft and clean to over-sharpened and heavily compressed.

    Examples
    --------
    >>> import numpy as np
    >>> 0.2 < random_optics(np.random.default_rng(0)).blur_um < 0.6
    True
    """
    return Optics(
        blur_um=float(rng.uniform(0.22, 0.6)),
        sharpen=float(rng.choice([0.0, rng.uniform(0.1, 0.6), rng.uniform(0.6, 1.4)])),
        contrast=float(rng.choice([1.0, rng.uniform(0.9, 1.35)])),
        noise=float(rng.exponential(1.3)),
        jpeg_quality=int(rng.integers(55, 97)) if rng.random() < 0.85 else 0,
    )


def _jitter(rng: np.random.Generator, vector: Vector, spread: float) -> Vector:
    moved = np.clip(np.asarray(vector) + rng.normal(0, spread, 3), 0.02, None)
    moved /= np.linalg.norm(moved)
    return (float(moved[0]), float(moved[1]), float(moved[2]))


def random_appearance(rng: np.random.Generator) -> Appearance:
    """Draw a laboratory and a scanner from wide ranges, for training.

    Parameters
    ----------
    rng
        Source of randomness; the same state gives the same appearance.

    Examples
    --------
    >>> import numpy as np
    >>> one = random_appearance(np.random.default_rng(1))
    >>> one == random_appearance(np.random.default_rng(1))
    True
    """
    # Haematoxylin runs from violet (Harris) to cyan blue (Mayer on a contrasty scanner).
    bases: tuple[Vector, ...] = ((0.650, 0.704, 0.286), (0.70, 0.66, 0.28), (0.80, 0.55, 0.22))
    eosins: tuple[Vector, ...] = ((0.093, 0.954, 0.283), _built_in("he", "eosin"))
    light = rng.uniform(212, 254) if rng.random() < 0.7 else 254.0
    tint = np.clip(light * (1 + rng.normal(0, 0.015, 3)), 190, 255)
    strength = float(np.exp(rng.normal(np.log(0.42), 0.35)))
    return Appearance(
        hematoxylin=_jitter(rng, bases[int(rng.integers(3))], 0.04),
        dab=_jitter(rng, _built_in("h-dab", "dab"), 0.04),
        red=_jitter(rng, _built_in("h-dab-red", "red"), 0.04),
        eosin=_jitter(rng, eosins[int(rng.integers(2))], 0.05),
        white_point=(float(tint[0]), float(tint[1]), float(tint[2])),
        nucleus_od=float(np.clip(strength, 0.16, 0.95)),
        lymphocyte_ratio=float(rng.uniform(1.05, 1.9)),
        cytoplasm_od=float(np.clip(strength * rng.uniform(0.05, 0.55), 0.01, 0.3)),
        fibre_od=float(np.clip(strength * rng.uniform(0.05, 0.45), 0.01, 0.25)),
        chromatin=float(rng.uniform(0.05, 0.6)),
        rim=float(rng.uniform(0.0, 1.0)),
        dab_gain=float(np.exp(rng.normal(0.0, 0.25))),
        haze_od=float(max(0.0, rng.normal(0.015, 0.03))),
        eosin_od=float(rng.uniform(0.1, 0.5)),
        optics=random_optics(rng),
    )


def random_composition(rng: np.random.Generator) -> Composition:
    """Draw a piece of tissue: from bare stroma to solid tumour, follicle, fat or edge.

    Examples
    --------
    >>> import numpy as np
    >>> 0 <= random_composition(np.random.default_rng(0)).tumour <= 1
    True
    """
    return Composition(
        tumour=float(rng.uniform(0.0, 0.95)),
        tumour_nucleus_um=float(rng.uniform(7.5, 14.0)),
        nest_um=float(rng.uniform(40, 120)),
        crowding=float(rng.uniform(0.0, 1.0)),
        lymphocytes=float(rng.beta(1.0, 2.0)),
        stroma_cells=float(rng.uniform(0.3, 2.0)),
        vessels_per_mm2=float(rng.uniform(0, 60)),
        fat=float(rng.uniform(0.2, 0.7)) if rng.random() < 0.15 else 0.0,
        glass=float(rng.uniform(0.05, 0.6)) if rng.random() < 0.2 else 0.0,
        looseness=float(rng.uniform(0.0, 0.8)),
        foxp3_lymphocyte=float(rng.choice([0.0, 0.05, 0.2, 0.6])),
        foxp3_tumour=float(rng.choice([0.0, 0.0, 0.05, 0.2, 0.6])),
        rankl_foxp3=float(rng.uniform(0, 1)),
        rankl_lymphocyte=float(rng.uniform(0, 0.5)),
        rankl_tumour=float(rng.choice([0.0, 0.2, 0.6, 1.0])),
        rankl_stroma=float(rng.choice([0.0, 0.1, 0.4])),
        debris_per_mm2=float(rng.exponential(40)),
        out_of_focus=float(rng.uniform(0, 0.35)),
    )


def random_recipe(panel: str, rng: np.random.Generator) -> Recipe:
    """Draw tissue, stain and scanner for one training tile of a panel.

    Examples
    --------
    >>> import numpy as np
    >>> random_recipe("he", np.random.default_rng(0)).panel
    'he'
    """
    return Recipe(panel, random_composition(rng), random_appearance(rng))
