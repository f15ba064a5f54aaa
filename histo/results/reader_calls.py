"""What a reader's words say about a cell: positive, negative, or nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from histo.errors import AnnotationError

__all__ = ["is_left_out", "read_calls", "split_class"]

_POSITIVE = frozenset("positive pos + yes true 1 2 3 1+ 2+ 3+ 1.0 2.0 3.0".split())
_NEGATIVE = frozenset("negative neg - − no false 0 0+ 0.0".split())
_OF_MARKER = re.compile(r"(?P<marker>.*\w)[\s_]*(?P<call>\+|-|−|positive|negative|pos|neg)")


def split_class(name: str) -> tuple[str, ...]:
    """Split the name of a class of QuPath into its parts.

    Examples
    --------
    >>> split_class("Tumor: Positive"), split_class("  ")
    (('Tumor', 'Positive'), ())
    """
    return tuple(part.strip() for part in name.split(":") if part.strip())


def is_left_out(parts: Iterable[str]) -> bool:
    """Say whether a class means that the cell does not count: in an artefact, or to be ignored.

    References
    ----------
    QuPath documentation, Classes: "Ignore*", and all names that end with a star.

    Examples
    --------
    >>> is_left_out(("Ignore*",)), is_left_out(("Excluded",)), is_left_out(("Tumor",))
    (True, True, False)
    """
    return any(part.endswith("*") or part.casefold() == "excluded" for part in parts)


def read_calls(
    classes: Sequence[tuple[str, ...]], marker: str | None = None, *, file: str = "the table"
) -> tuple[npt.NDArray[np.bool_] | None, tuple[str, ...]]:
    """Read which cells are positive.

    Words are ``positive``, ``pos``, ``+``, ``yes``, ``true``, the grades ``1+``, ``2+``, ``3+``
    (or 1, 2, 3) and their opposites, in upper or lower case, alone or behind a marker's name:
    ``FOXP3+``, ``foxp3_negative``.

    Parameters
    ----------
    classes : sequence of tuple of str
        For each cell the parts of its class; empty for none.
    marker : str, optional
        The marker that is looked at; needed where words name several.
    file : str
        Where the words stand, for messages.

    Returns
    -------
    positive : bool (N,) or None
        None when no word calls a cell. A cell without such a word is not positive where others
        have one.
    notes : tuple of str
        What should be known about it.

    Raises
    ------
    AnnotationError
        If the words name several markers and none is chosen.

    Examples
    --------
    >>> read_calls([("Tumor", "Positive"), ("2+",), ("Negative",)])[0].tolist()
    [True, True, False]
    >>> read_calls([("FOXP3+", "RANKL+"), ("RANKL+",)], "foxp3")[0].tolist()
    [True, False]
    >>> read_calls([("Tumor",), ()])[0] is None
    True
    """
    wanted = None if marker is None else marker.casefold()
    said = {parts: [_call(part) for part in parts] for parts in set(classes)}
    calls = [call for words in said.values() for call in words if call is not None]
    if not calls:
        return None, ()
    markers = sorted({name for name, _ in calls if name})
    if wanted is None and len(markers) > 1:
        raise AnnotationError(
            f"{file}: its classes name several markers ({', '.join(markers)}); choose one with "
            "--marker."
        )
    heard = {
        parts: [is_positive for name, is_positive in filter(None, words) if _is_of(name, wanted)]
        for parts, words in said.items()
    }
    notes = []
    if wanted and markers and wanted not in markers:
        notes.append(f"no class names {marker}; they name {', '.join(markers)}")
    silent = Counter(parts for parts in classes if not any(filter(None, said[parts])))
    if silent:
        named = ", ".join(sorted({": ".join(parts) or "no class" for parts in silent})[:4])
        notes.append(
            f"{sum(silent.values())} of {len(classes)} cells have no word for positive or negative "
            f"({named}) and count as not positive"
        )
    return np.array([any(heard[parts]) for parts in classes], bool), tuple(notes)


def _is_of(name: str, wanted: str | None) -> bool:
    """Whether a call is about the marker: of no marker by name, of it, or of the only one."""
    return not name or wanted is None or name == wanted


def _call(part: str) -> tuple[str, bool] | None:
    """Return the marker (or nothing) and the call that a word stands for."""
    word = part.strip().casefold()
    if word in _POSITIVE or word in _NEGATIVE:
        return "", word in _POSITIVE
    match = _OF_MARKER.fullmatch(word)
    return (match["marker"], match["call"] in _POSITIVE) if match else None
