"""Tissue divided into compartments: which pixel belongs to which, and how much of each is valid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from histo.region.shapes import without_regions

__all__ = ["NECROSIS", "OTHER", "TUMOR", "Compartments", "class_word"]

TUMOR = "tumor"
"""The compartment whose border is the invasive margin."""

NECROSIS = "necrosis"
"""A compartment whose edge is no invasive margin."""

OTHER = "Other"
"""Tissue that no annotation covers."""

_ALIKE = {
    "necrotic": NECROSIS,
    "tumour": TUMOR,
    "tumor_nest": TUMOR,
    "tumour_nest": TUMOR,
    "tumor_nests": TUMOR,
}
#: Words that the cell table keeps for something else.
_TAKEN = ("excluded", "tissue", "")


def class_word(name: str) -> str:
    """Return how a class of QuPath is called in tables.

    Parameters
    ----------
    name : str

    Returns
    -------
    str
        Lower case, words joined by underscores.

    Raises
    ------
    ValueError
        If nothing is left of it, or the word means something else in the cell table.

    Examples
    --------
    >>> class_word("Tumour"), class_word("Invasive front (2)")
    ('tumor', 'invasive_front_2')
    """
    word = re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")
    word = _ALIKE.get(word, word)
    if word in _TAKEN or not word[0].isalpha():
        raise ValueError(
            f"a compartment cannot be called {name!r}; give it another class, such as Tumor, "
            "Stroma or Necrosis."
        )
    return word


@dataclass(frozen=True, slots=True, eq=False)
class Compartments:
    """A division of the tissue.

    Parameters
    ----------
    classes : tuple of str
        As they are shown, such as ``("Tumor", "Stroma")``.
    codes : uint8 (Y, X)
        0 where no cell counts, else 1 + the class's position.
    share : float32 (Y, X)
        How much of each pixel is valid tissue, 0-1.
    pixel_size_um : float
        Pixel (0, 0) lies in the slide's top left corner.

    Raises
    ------
    ValueError
        If the two differ in shape, a code has no class, or two classes have one word.

    Examples
    --------
    >>> codes = np.array([[1, 1, 2, 0]], np.uint8)
    >>> halves = Compartments(("Tumor", "Stroma"), codes, np.ones((1, 4), np.float32), 4.0)
    >>> halves.areas_um2().tolist(), halves.at([[1.0, 9.0], [1.0, 14.0], [1.0, 99.0]]).tolist()
    ([32.0, 16.0], [2, 0, 0])
    >>> halves.words, halves.mask("tumor").sum()
    (('tumor', 'stroma'), np.int64(2))
    """

    classes: tuple[str, ...]
    codes: npt.NDArray[np.uint8]
    share: npt.NDArray[np.float32]
    pixel_size_um: float

    def __post_init__(self) -> None:
        if self.codes.shape != self.share.shape or self.codes.ndim != 2:
            raise ValueError(
                f"codes and share must be (Y, X) alike, got {self.codes.shape} and "
                f"{self.share.shape}."
            )
        if self.codes.size and int(self.codes.max()) > len(self.classes):
            raise ValueError(f"code {self.codes.max()} has no class in {self.classes}.")
        if len(set(self.words)) < len(self.classes):
            raise ValueError(f"two classes of {', '.join(self.classes)} are alike; rename one.")

    @property
    def words(self) -> tuple[str, ...]:
        """How the classes are called in tables."""
        return tuple(class_word(name) for name in self.classes)

    def mask(self, word: str) -> npt.NDArray[np.bool_]:
        """Return the pixels of a class, by its word, bool (Y, X)."""
        return np.asarray(self.codes == self.words.index(word) + 1)

    def at(self, points_um: npt.ArrayLike) -> npt.NDArray[np.uint8]:
        """Return the codes at points (y, x in µm), uint8 (N,); 0 beyond the pixels."""
        points = np.asarray(points_um, np.float64).reshape(-1, 2)
        index = np.floor(points / self.pixel_size_um).astype(np.int64)
        inside = ((index >= 0) & (index < self.codes.shape)).all(axis=1)
        found = np.zeros(len(points), np.uint8)
        found[inside] = self.codes[index[inside, 0], index[inside, 1]]
        return found

    def areas_um2(self) -> npt.NDArray[np.float64]:
        """Return the valid area of each class, float64 (K,), µm²."""
        sums = np.bincount(
            self.codes.ravel(), self.share.ravel().astype(np.float64), len(self.classes) + 1
        )
        return np.asarray(sums[1:] * self.pixel_size_um**2, np.float64)

    def without(self, regions_um: Sequence[npt.ArrayLike]) -> Self:
        """Return the same without the pixels whose centres lie in polygons.

        Parameters
        ----------
        regions_um : sequence of float (N, 2)
            Vertices (y, x), µm.
        """
        if not len(regions_um):
            return self
        kept = without_regions(np.ones(self.codes.shape, bool), self.pixel_size_um, regions_um)
        return replace(
            self,
            codes=np.where(kept, self.codes, 0).astype(np.uint8),
            share=np.where(kept, self.share, 0).astype(np.float32),
        )
