"""The class and colour of each cell, the same in GeoJSON, pictures and viewers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["CallClass", "call_classes", "called_markers"]

Rgb = tuple[int, int, int]

# After Okabe and Ito: red-green blind readers tell them apart. The grades darken from yellow to
# magenta, so that they also survive a grey print; plain red would drown in brown chromogen.
NEGATIVE: Rgb = (0, 114, 178)
GRADES: tuple[Rgb, Rgb, Rgb] = (255, 232, 60), (255, 135, 0), (225, 0, 100)
POSITIVE: Rgb = GRADES[2]
FIRST_ONLY: Rgb = (255, 135, 0)
SECOND_ONLY: Rgb = (0, 158, 115)
SEVERAL: Rgb = (225, 0, 100)
EXCLUDED: Rgb = (140, 140, 140)


@dataclass(frozen=True, slots=True)
class CallClass:
    """One class of cells.

    Parameters
    ----------
    names : tuple of str
        What the cells of the class are, one name a positive marker: ``("FOXP3+", "RANKL+")``.
        Empty when the panel calls no marker.
    rgb : (int, int, int)
        Its colour, 0-255.

    References
    ----------
    Okabe M, Ito K. Color Universal Design (2008), https://jfly.uni-koeln.de/color/

    Examples
    --------
    >>> CallClass(("FOXP3+", "RANKL+"), (204, 0, 140)).label
    'FOXP3+ RANKL+'
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
    cells: pd.DataFrame,
) -> tuple[npt.NDArray[np.intp], tuple[CallClass, ...]]:
    """Sort the cells into classes by their calls.

    One marker gives QuPath's own classes: Negative, 1+, 2+ and 3+ (Positive when the table has
    no grades). Several markers give one class for each combination of positive ones. Excluded
    cells have their own.

    Parameters
    ----------
    cells : DataFrame
        The cell table, with calls.

    Returns
    -------
    codes : intp (N,)
        The class of each cell, an index into ``classes``.
    classes : tuple of CallClass
        Those that occur, the faintest first, so that drawing in this order shows the strongest.

    Examples
    --------
    >>> table = pd.DataFrame({"rankl_positive": [False, True], "rankl_grade": [0, 2]})
    >>> codes, classes = call_classes(table)
    >>> codes.tolist(), [one.label for one in classes]
    ([0, 1], ['Negative', '2+'])
    """
    markers = called_markers(cells)
    graded = len(markers) == 1 and f"{markers[0]}_grade" in cells
    if graded:
        key = cells[f"{markers[0]}_grade"].to_numpy(dtype=np.int64)
    else:
        key = np.zeros(len(cells), dtype=np.int64)
        for bit, marker in enumerate(markers):
            key |= cells[f"{marker}_positive"].to_numpy(dtype=np.int64) << bit
    if "compartment" in cells:
        excluded = (cells["compartment"] == "excluded").to_numpy(dtype=bool)
        key = np.where(excluded, -1, key)
    found, codes = np.unique(key, return_inverse=True)
    classes = tuple(
        CallClass((f"{number}+",), GRADES[number - 1])
        if graded and number > 0
        else _combination(number, markers)
        for number in found.tolist()
    )
    return codes.astype(np.intp).reshape(-1), classes


def _combination(bits: int, markers: tuple[str, ...]) -> CallClass:
    """Return the class of the markers whose bits are set; -1 stands for excluded cells."""
    if bits < 0:
        return CallClass(("Excluded",), EXCLUDED)
    positive = [index for index in range(len(markers)) if bits >> index & 1]
    if not positive:
        return CallClass(("Negative",) if markers else (), NEGATIVE)
    if len(markers) == 1:
        return CallClass(("Positive",), POSITIVE)
    only = FIRST_ONLY if positive[0] == 0 else SECOND_ONLY
    names = tuple(f"{markers[index].upper()}+" for index in positive)
    return CallClass(names, SEVERAL if len(positive) > 1 else only)
