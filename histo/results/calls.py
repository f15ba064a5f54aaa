"""The class and colour of each cell, the same in GeoJSON, pictures and viewers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["CallClass", "call_classes", "called_markers"]

Rgb = tuple[int, int, int]

# Okabe and Ito's palette, which red-green blind readers tell apart; the grades of one marker
# rise in darkness, so that they also survive a grey print.
NEGATIVE: Rgb = (0, 114, 178)
GRADES: tuple[Rgb, Rgb, Rgb] = (240, 228, 66), (240, 150, 0), (204, 51, 17)
POSITIVE: Rgb = GRADES[2]
FIRST_ONLY: Rgb = (240, 150, 0)
SECOND_ONLY: Rgb = (0, 158, 115)
SEVERAL: Rgb = (204, 0, 140)
EXCLUDED: Rgb = (140, 140, 140)


@dataclass(frozen=True, slots=True)
class CallClass:
    """One class of cells.

    Parameters
    ----------
    names : tuple of str
        What the cells of the class are, one name a positive marker: ``("FOXP3+", "RANKL 2+")``.
        Empty when the panel calls no marker.
    rgb : (int, int, int)
        Its colour, 0-255.

    References
    ----------
    Okabe M, Ito K. Color Universal Design (2008), https://jfly.uni-koeln.de/color/

    Examples
    --------
    >>> CallClass(("FOXP3+", "RANKL 2+"), (204, 0, 140)).label
    'FOXP3+ RANKL 2+'
    """

    names: tuple[str, ...]
    rgb: Rgb

    @property
    def label(self) -> str:
        """The name for a legend."""
        return " ".join(self.names) if self.names else "Nucleus"


def called_markers(cells: pd.DataFrame) -> tuple[str, ...]:
    """List the markers that a cell table has calls for, in the order of its columns.

    Parameters
    ----------
    cells : DataFrame
        The cell table.

    Returns
    -------
    tuple of str
        Every ``marker`` with a column ``<marker>_positive``.

    Examples
    --------
    >>> called_markers(pd.DataFrame({"cell_id": [1], "foxp3_positive": [True]}))
    ('foxp3',)
    """
    ending = "_positive"
    return tuple(str(c).removesuffix(ending) for c in cells.columns if str(c).endswith(ending))


def call_classes(
    cells: pd.DataFrame, *, graded: Collection[str] = ()
) -> tuple[npt.NDArray[np.intp], tuple[CallClass, ...]]:
    """Sort the cells into classes by their calls.

    One marker gives QuPath's own classes: Negative and Positive, or 1+, 2+, 3+ when it is
    graded. Several markers give one class for each combination. Excluded cells have their own.

    Parameters
    ----------
    cells : DataFrame
        The cell table, with calls.
    graded : collection of str
        Markers that are graded 1+, 2+, 3+; the others are positive or negative.

    Returns
    -------
    codes : intp (N,)
        The class of each cell, an index into ``classes``.
    classes : tuple of CallClass
        Those that occur, the faintest first, so that drawing in this order shows the strongest.

    Examples
    --------
    >>> table = pd.DataFrame({"foxp3_positive": [False, True], "foxp3_grade": [0, 1]})
    >>> codes, classes = call_classes(table)
    >>> codes.tolist(), [a.label for a in classes]
    ([0, 1], ['Negative', 'Positive'])
    """
    markers = called_markers(cells)
    # One number a cell: a digit 0-3 for each marker, base 4, above it the exclusion.
    key = np.zeros(len(cells), dtype=np.int64)
    for power, marker in enumerate(markers):
        positive = cells[f"{marker}_positive"].to_numpy(dtype=bool)
        digit = positive.astype(np.int64)
        if marker in graded and f"{marker}_grade" in cells:
            digit = cells[f"{marker}_grade"].to_numpy(dtype=np.int64) * positive
        key += digit * 4**power
    if "compartment" in cells:
        key[(cells["compartment"] == "excluded").to_numpy(dtype=bool)] = -1
    found, codes = np.unique(key, return_inverse=True)
    classes = tuple(_call_class(int(number), markers, graded) for number in found)
    return codes.astype(np.intp).reshape(-1), classes


def _call_class(key: int, markers: tuple[str, ...], graded: Collection[str]) -> CallClass:
    if key < 0:
        return CallClass(("Excluded",), EXCLUDED)
    grades = [key // 4**power % 4 for power in range(len(markers))]
    positive = [index for index, grade in enumerate(grades) if grade]
    if not positive:
        return CallClass(("Negative",) if markers else (), NEGATIVE)
    if len(markers) == 1 and markers[0] in graded:
        return CallClass((f"{grades[0]}+",), GRADES[grades[0] - 1])
    if len(markers) == 1:
        return CallClass(("Positive",), POSITIVE)
    names = tuple(
        f"{markers[i].upper()} {grades[i]}+" if markers[i] in graded else f"{markers[i].upper()}+"
        for i in positive
    )
    only = FIRST_ONLY if positive[0] == 0 else SECOND_ONLY
    return CallClass(names, SEVERAL if len(positive) > 1 else only)
