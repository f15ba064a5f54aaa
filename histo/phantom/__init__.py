"""Painted tissue whose truth is known: nuclei, markers, optical density, areas.

Two painters share one `Phantom`: `paint_phantom` makes fields that look like scanned sections,
`paint_measurement_phantom` makes flat, separated, noise-free discs for exact tests.
"""

from histo.phantom.examples import Example, paint_examples
from histo.phantom.lung import LUNG_KINDS, LungPhantom, LungRecipe, paint_lung, random_lung_recipe
from histo.phantom.measurement import paint_measurement_phantom
from histo.phantom.paint import paint_phantom
from histo.phantom.recipe import (
    PANEL_PLANES,
    Appearance,
    Composition,
    Optics,
    Recipe,
    is_fluorescence,
    random_appearance,
    random_composition,
    random_recipe,
)
from histo.phantom.truth import Phantom, summarize, true_h_score

__all__ = [
    "LUNG_KINDS",
    "PANEL_PLANES",
    "Appearance",
    "Composition",
    "Example",
    "LungPhantom",
    "LungRecipe",
    "Optics",
    "Phantom",
    "Recipe",
    "is_fluorescence",
    "paint_examples",
    "paint_lung",
    "paint_measurement_phantom",
    "paint_phantom",
    "random_appearance",
    "random_composition",
    "random_lung_recipe",
    "random_recipe",
    "summarize",
    "true_h_score",
]
