"""Which cells carry which marker, and how strongly: the truth before it is painted."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from histo.phantom.nuclei import NuclearStain
from histo.phantom.population import KINDS, Population
from histo.phantom.recipe import GRADE_LEVELS, PANEL_PLANES, Recipe, is_fluorescence

_MOST_GRADE: Final = 1.5  # upper end of 3+, optical density at gain 1
_NUCLEAR_RATIO: Final = {"fibroblast": 1.1, "endothelial": 1.2, "macrophage": 0.8, "tumour": 1.0}


@dataclass(frozen=True, slots=True)
class Calls:
    """Painted truth of one marker: float64 level and int8 grade, (N,)."""

    level: NDArray[np.float64]
    grade: NDArray[np.int8]

    def take(self, indices: NDArray[np.int64]) -> "Calls":
        """Return the calls of some cells."""
        return Calls(self.level[indices], self.grade[indices])


def _draw_calls(
    rng: np.random.Generator, share: NDArray[np.float64], gain: float, mood: NDArray[np.float64]
) -> Calls:
    """Grades and levels of cells that are positive with the given probabilities.

    `mood` (N,), a standard normal that varies smoothly, makes neighbours alike.
    """
    n = share.size
    # A standard normal made of mood and chance: neighbours agree, the share stays what it is.
    luck = 0.75 * mood + 0.66 * rng.standard_normal(n) if mood.any() else rng.standard_normal(n)
    positive = luck > ndtri(1 - np.clip(share, 0, 1))
    grade = np.clip(np.rint(2.0 + 0.45 * rng.standard_normal(n) + 0.6 * mood), 1, 3).astype(np.int8)
    grade[~positive] = 0
    low = np.array([0.0, *GRADE_LEVELS]) * 1.08
    high = np.array([0.0, GRADE_LEVELS[1], GRADE_LEVELS[2], _MOST_GRADE]) * 0.95
    level = low[grade] + (high - low)[grade] * rng.random(n)
    return Calls(level * gain, grade)


def draw_markers(
    rng: np.random.Generator, pop: Population, recipe: Recipe, mood: NDArray[np.float64]
) -> dict[str, Calls]:
    """Draw FOXP3, RANKL and CD3 of every cell, as far as the panel shows them.

    Parameters
    ----------
    rng
        Source of randomness.
    pop
        The nuclei.
    recipe
        Panel, shares of positive cells, gain.
    mood
        float64 (N,), a standard normal that varies smoothly over the field: neighbours alike.
    """
    comp, roles = recipe.composition, PANEL_PLANES[recipe.panel]
    tumour = pop.kind == KINDS.index("tumour")
    lymphocyte = pop.kind == KINDS.index("lymphocyte")
    share = np.where(lymphocyte, comp.foxp3_lymphocyte, np.where(tumour, comp.foxp3_tumour, 0.0))
    streams = rng.spawn(3)
    gain = 1.0 if is_fluorescence(recipe.panel) else recipe.appearance.dab_gain
    foxp3 = _draw_calls(streams[0], share, gain, np.zeros(len(pop)))
    treg = lymphocyte & (foxp3.grade > 0)
    rankl_share = np.where(tumour, comp.rankl_tumour, comp.rankl_stroma)
    rankl_share = np.where(lymphocyte, comp.rankl_lymphocyte, rankl_share)
    rankl_share = np.where(treg, comp.rankl_foxp3, rankl_share)
    rankl = _draw_calls(streams[1], rankl_share, gain, mood)
    # T cells: all Tregs and most other lymphocytes carry CD3.
    t_cell = lymphocyte & (treg | (streams[2].random(len(pop)) < 0.65))
    cd3 = _draw_calls(streams[2], t_cell.astype(float), gain, np.zeros(len(pop)))
    return {k: v for k, v in (("foxp3", foxp3), ("rankl", rankl), ("cd3", cd3)) if k in roles}


def draw_nuclear_stain(
    rng: np.random.Generator, pop: Population, recipe: Recipe, calls: dict[str, Calls]
) -> NuclearStain:
    """Draw how strongly each nucleus takes haematoxylin and the nuclear marker.

    Parameters
    ----------
    rng
        Source of randomness.
    pop
        The nuclei.
    recipe
        Panel and appearance.
    calls
        Painted calls by marker.
    """
    look, n = recipe.appearance, len(pop)
    ratio = np.array([_NUCLEAR_RATIO.get(kind, look.lymphocyte_ratio) for kind in KINDS])
    level = look.nucleus_od * ratio[pop.kind] * np.exp(0.32 * rng.standard_normal(n) - 0.05)
    marker = calls["foxp3"].level if "foxp3" in calls else np.zeros(n)
    covered = rng.uniform(0.2, 0.8, n)
    if not is_fluorescence(recipe.panel):
        # Strong chromogen keeps haematoxylin out of the nucleus.
        level = np.where(marker > 0, level * covered, level)
    in_focus = rng.random(n) >= recipe.composition.out_of_focus
    level = np.where(in_focus, level, level * 0.85)
    return NuclearStain(level, marker, in_focus, look.chromatin, look.rim)
