"""A folder for each slide: named after it, never shared, and the same at the next run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from histo.slide import slide_name

__all__ = ["RESERVED_NAMES", "distinct_names"]

#: Names that the results of a batch use themselves.
RESERVED_NAMES = frozenset(
    {"metrics.csv", "metrics_long.csv", "failures.json", "animals.csv", "animals.json"}
)

# Windows allows none of these in names, and no dot or blank at the end.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def distinct_names(slides: Sequence[Path], taken: Collection[str] = ()) -> list[str]:
    """Name a result folder for each slide.

    The slide's own name, where no other slide has it. Slides of one name in several folders
    get the names of these folders in front; slides of one name in one folder their suffix
    behind. Upper and lower case do not make two names, since on Windows and macOS they do not
    make two folders.

    Parameters
    ----------
    slides : sequence of Path
        Different slides.
    taken : collection of str
        Names that are in use for other slides.

    Returns
    -------
    list of str
        One name a slide, in their order; it depends on the paths only.

    Examples
    --------
    >>> distinct_names([Path("m1/liver.tif"), Path("m2/liver.tif"), Path("m2/lung.svs")])
    ['m1_liver', 'm2_liver', 'lung']
    >>> distinct_names([Path("liver.tif"), Path("liver.svs")])
    ['liver_tif', 'liver_svs']
    """
    used = {name.casefold() for name in (*taken, *RESERVED_NAMES)}
    plain = [_clean(slide_name(slide)) for slide in slides]
    counts = Counter(name.casefold() for name in plain)
    names: list[str] = []
    for name in plain:
        unique = counts[name.casefold()] == 1 and name.casefold() not in used
        names.append(name if unique else "")
    used |= {name.casefold() for name in names if name}
    for index, slide in enumerate(slides):
        if not names[index]:
            rivals = [
                other
                for other, name in zip(slides, plain, strict=True)
                if other != slide and name.casefold() == plain[index].casefold()
            ]
            names[index] = _longer_name(slide, plain[index], rivals, used)
            used.add(names[index].casefold())
    return names


def _longer_name(slide: Path, plain: str, rivals: Sequence[Path], used: Collection[str]) -> str:
    if any(rival.parent == slide.parent for rival in rivals):
        plain = _clean(slide.name.replace(".", "_"))
        rivals = [rival for rival in rivals if rival.name.casefold() == slide.name.casefold()]
    parents = [part for part in slide.parent.parts if part not in {slide.anchor, ".", ".."}]
    for depth in range(len(parents) + 1):
        name = _clean("_".join((*parents[len(parents) - depth :], plain)))
        shared = any(_tail(rival, depth) == _tail(slide, depth) for rival in rivals)
        if not shared and name.casefold() not in used:
            return name
    number = 2
    while f"{plain}_{number}".casefold() in used:
        number += 1
    return f"{plain}_{number}"


def _tail(path: Path, depth: int) -> tuple[str, ...]:
    parts = [part.casefold() for part in path.parent.parts]
    return tuple(parts[len(parts) - depth :]) if depth else ()


def _clean(name: str) -> str:
    return _FORBIDDEN.sub("_", name).strip(" .") or "slide"
