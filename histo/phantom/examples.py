"""Painted sections as examples to teach a network with."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from histo.phantom.paint import paint_phantom
from histo.phantom.recipe import random_recipe

#: What is painted, and how often.
EXAMPLE_PANELS: Final = MappingProxyType(
    {"foxp3-dab": 0.45, "rankl-dab": 0.2, "foxp3-dab+rankl-red": 0.1, "he": 0.25}
)
#: Pixel sizes are drawn from this range, µm: a network shall bear one that is a little wrong.
EXAMPLE_UM: Final = (0.32, 0.75)


@dataclass(frozen=True, slots=True)
class Example:
    """A painted tile with its truth.

    Parameters
    ----------
    rgb
        uint8 (S, S, 3).
    labels
        int32 (S, S), nuclei, 0 is background.
    positive
        float32 (S, S), 1 inside nuclei with nuclear DAB.

    Examples
    --------
    >>> tile = paint_examples(np.random.default_rng(1), side_px=64)[0]
    >>> tile.rgb.shape, tile.labels.shape, tile.positive.shape
    ((64, 64, 3), (64, 64), (64, 64))
    """

    rgb: NDArray[np.uint8]
    labels: NDArray[np.int32]
    positive: NDArray[np.float32]


def paint_examples(rng: np.random.Generator, *, side_px: int = 256) -> list[Example]:
    """Paint a random bright-field section and cut it into its quarters.

    Parameters
    ----------
    rng
        Draws panel, tissue, stain, scanner and pixel size.
    side_px
        Side of a tile, px.

    Returns
    -------
    list of Example
        Four of them.

    Examples
    --------
    >>> len(paint_examples(np.random.default_rng(1), side_px=32))
    4
    """
    panel = str(rng.choice(list(EXAMPLE_PANELS), p=list(EXAMPLE_PANELS.values())))
    painted = paint_phantom(
        random_recipe(panel, rng),
        int(rng.integers(2**31)),
        shape=(2 * side_px, 2 * side_px),
        pixel_size_um=float(rng.uniform(*EXAMPLE_UM)),
    )
    positive = np.zeros(int(painted.labels.max(initial=0)) + 1, np.float32)
    if "foxp3_positive" in painted.cells:
        positive[painted.cells["cell_id"]] = painted.cells["foxp3_positive"]
    examples = []
    for row, column in np.ndindex(2, 2):
        part = (
            slice(row * side_px, (row + 1) * side_px),
            slice(column * side_px, (column + 1) * side_px),
        )
        labels = np.ascontiguousarray(painted.labels[part], np.int32)
        rgb = np.ascontiguousarray(painted.image[part], np.uint8)
        examples.append(Example(rgb, labels, positive[labels]))
    return examples
