"""From the sections of a folder of results to the lungs of animals."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Literal

import numpy as np

from histo.batch.design import Design, DesignRow
from histo.batch.find import SLIDE_SUFFIXES, is_result_folder, natural_key
from histo.batch.run import result_folders
from histo.batch.tables import Tables
from histo.errors import ResultError
from histo.metrics import Metric
from histo.metrics.lung import animal_lung_metrics, incidence_metric
from histo.pipeline.files import LUNG_FILES
from histo.pipeline.lung import read_lung_areas
from histo.region import LungAreas
from histo.slide import slide_name

__all__ = ["Animal", "AnimalTable", "GroupSummary", "Section", "pool_animals", "summarize_groups"]

Estimate = Literal["none", "index", "pooled", "volume"]

#: Sections from end to end of a lung begin and end small; above this share of the largest, and
#: they may be a slab of it (an ellipsoid's are at 0.56 for three sections, 0.36 for five).
_SLAB = 0.7


@dataclass(frozen=True, slots=True)
class Section:
    """A slide of the design, and what is known of it.

    Parameters
    ----------
    row : DesignRow
    result : str
        The name of its result folder; empty when there is none.
    areas : LungAreas, optional
        None when it is missing.
    why : str
        Why it is missing; empty otherwise.
    panel : str
    flags : tuple of str
        Of its result.

    Examples
    --------
    >>> Section(DesignRow(2, "s1", "m1"), why="no result").areas is None
    True
    """

    row: DesignRow
    result: str = ""
    areas: LungAreas | None = None
    why: str = ""
    panel: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Animal:
    """An animal: its sections pooled.

    Parameters
    ----------
    name, group : str
        The group is empty where none is given.
    sections : tuple of Section
        In their order; those that are missing too.
    estimate : {"none", "index", "pooled", "volume"}
        No section has a lung; one section, an index; several without volumes; several with.
    distance_um : float, optional
        Between sections, where there are volumes.
    notes : tuple of str
        What limits the numbers.
    metrics : tuple of Metric
        Of `histo.metrics.lung.animal_lung_metrics`; empty where the estimate is "none".

    Examples
    --------
    >>> Animal("m1", "", (), "none", None, (), ()).value("lung_burden_percent")
    nan
    """

    name: str
    group: str
    sections: tuple[Section, ...]
    estimate: Estimate
    distance_um: float | None
    notes: tuple[str, ...]
    metrics: tuple[Metric, ...]

    @property
    def missing(self) -> tuple[Section, ...]:
        """The sections without numbers."""
        return tuple(one for one in self.sections if one.areas is None)

    def value(self, name: str) -> float:
        """Return the value of a metric; NaN where the animal does not have it."""
        return next((metric.value for metric in self.metrics if metric.name == name), math.nan)


@dataclass(frozen=True, slots=True)
class AnimalTable:
    """All animals of a design.

    Parameters
    ----------
    design : Design
    animals : tuple of Animal
        As they first appear in the design.
    without_row : tuple of str
        Result folders of lungs, and slides that failed, which the design does not name.
    notes : tuple of str
        What limits the numbers of all.

    Examples
    --------
    >>> AnimalTable(Design("design.csv", ()), ()).missing
    ()
    """

    design: Design
    animals: tuple[Animal, ...]
    without_row: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[Section, ...]:
        """The sections without numbers, of all animals."""
        return tuple(one for animal in self.animals for one in animal.missing)


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """The animals of a group.

    Parameters
    ----------
    group : str
        Empty for animals without one.
    animals : int
        With numbers.
    without_numbers : int
        Animals none of whose sections has a lung; in none of the other numbers.
    sections : tuple of int
        Fewest and most sections of an animal.
    median_burden_percent : float
    burden_range_percent : tuple of float
        Of the animals' pooled burdens, smallest and largest.
    incidence : Metric
    """

    group: str
    animals: int
    without_numbers: int
    sections: tuple[int, int]
    median_burden_percent: float
    burden_range_percent: tuple[float, float]
    incidence: Metric


def pool_animals(
    results: str | Path, design: Design, *, section_distance_um: float | None = None
) -> AnimalTable:
    """Pool the lung sections of each animal: sums first, then ratios and volumes.

    A slide that failed, or has no result, is missing and never a zero: burdens are those of the
    sections that are there, and there are no volumes.

    Parameters
    ----------
    results : path
        The output folder of `histo run`.
    design : Design
        A slide is named by its result folder or its file, with or without suffix.
    section_distance_um : float, optional
        From a section to the next, for animals of which the design does not say.

    Returns
    -------
    AnimalTable

    Raises
    ------
    ResultError
        If the folder holds no results, none that the design names, or a name fits several.
    ValueError
        If the distance is not positive.

    Examples
    --------
    >>> pool_animals("no/such/folder", Design("design.csv", ()))
    Traceback (most recent call last):
    ...
    histo.errors.ResultError: no/such/folder: holds no result of histo; ...
    """
    distance = section_distance_um
    if distance is not None and not (math.isfinite(distance) and distance > 0):
        raise ValueError(f"section_distance_um must be finite and above 0, got {distance}.")
    results = Path(results)
    result_folders(results)
    if is_result_folder(results):
        raise ResultError(
            f"{results}: is the result of one slide; name the folder above, which holds the "
            "results of all."
        )
    tables = Tables(results)
    found = _match(design, results, tables)
    sections = {row: _section(row, found.get(row), results, tables) for row in design.rows}
    animals = tuple(
        _animal(name, [sections[row] for row in rows], distance)
        for name, rows in design.by_animal().items()
    )
    named = set(found.values())
    lungs = (name for name in tables.rows if (results / name / LUNG_FILES[0]).is_file())
    others = {*lungs, *tables.failures} - named
    return AnimalTable(
        design,
        animals,
        tuple(sorted(others, key=natural_key)),
        tuple(_notes_on_all(sections.values())),
    )


def summarize_groups(table: AnimalTable) -> tuple[GroupSummary, ...]:
    """Describe the groups of a design, without a test: an animal weighs as much as any other.

    Parameters
    ----------
    table : AnimalTable

    Returns
    -------
    tuple of GroupSummary
        As they first appear; empty where the design has no groups.

    Examples
    --------
    >>> summarize_groups(AnimalTable(Design("design.csv", ()), ()))
    ()
    """
    if not table.design.has_groups:
        return ()
    groups: dict[str, list[Animal]] = {}
    for animal in table.animals:
        groups.setdefault(animal.group, []).append(animal)
    return tuple(_group(name, animals) for name, animals in groups.items())


def _match(design: Design, results: Path, tables: Tables) -> dict[DesignRow, str]:
    """Return the result, finished or failed, of each row that has one."""
    files = {name: str(row.facts["file"]) for name, row in tables.rows.items()}
    files |= {name: failure.file for name, failure in tables.failures.items()}
    found: dict[DesignRow, str] = {}
    owners: dict[str, DesignRow] = {}
    for row in design.rows:
        fits = _fitting(row.slide, files)
        if len(fits) > 1:
            raise ResultError(
                f"{design.file}: line {row.line}: {row.slide} fits the results "
                f"{_listed(fits)}; write the name of one of these folders."
            )
        for name in fits:
            other = owners.setdefault(name, row)
            if other is not row:
                raise ResultError(
                    f"{design.file}: lines {other.line} and {row.line} ({other.slide}, "
                    f"{row.slide}) both fit the result {name}; keep one, or write the names of "
                    "the folders."
                )
            found[row] = name
    if not found:
        raise ResultError(
            f"{design.file}: none of its slides ({_listed(row.slide for row in design.rows)}) has "
            f"a result in {results.name or results} ({_listed(sorted(files, key=natural_key))}); "
            "name the slides as the folders there."
        )
    return found


def _fitting(slide: str, files: dict[str, str]) -> list[str]:
    """Return the results that a name can mean, by the strictest reading that fits any."""
    last = PureWindowsPath(slide).name
    bare = slide_name(Path(last)) if Path(last).suffix.lower() in SLIDE_SUFFIXES else last
    readings = (
        [name for name in files if _same(name, slide, case=True)],
        [name for name in files if _same(name, slide)],
        [name for name, file in files.items() if file and _same(file, last)],
        [name for name in files if _same(name, bare)],
        [name for name, file in files.items() if file and _same(slide_name(Path(file)), bare)],
    )
    return sorted(next((fits for fits in readings if fits), []), key=natural_key)


def _same(one: str, two: str, *, case: bool = False) -> bool:
    one, two = (unicodedata.normalize("NFC", word) for word in (one, two))
    return one == two if case else one.casefold() == two.casefold()


def _listed(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _section(row: DesignRow, name: str | None, results: Path, tables: Tables) -> Section:
    if name is None:
        why = f"has no result in {results.name or results}; correct its name, or run it"
        return Section(row, why=why)
    failure = tables.failures.get(name)
    if failure is not None:
        return Section(row, name, why=f"failed: {failure.error.rstrip('.')}")
    facts = tables.rows[name].facts
    panel, flags = str(facts["panel"]), tuple(filter(None, str(facts["flags"]).split(";")))
    try:
        areas = _read_areas(results / name, panel)
    except ResultError as error:
        return Section(row, name, None, str(error), panel, flags)
    return Section(row, name, areas, "", panel, flags)


def _read_areas(folder: Path, panel: str) -> LungAreas:
    path = folder / LUNG_FILES[0]
    if not path.is_file():
        raise ResultError(f"is no lung (panel {panel}); run it with --panel lung-he")
    try:
        return read_lung_areas(folder)
    except ResultError as error:
        raise ResultError(f"has a damaged {path.name}; run it again with --force") from error


def _animal(name: str, sections: list[Section], option_um: float | None) -> Animal:
    areas = [one.areas for one in sections if one.areas is not None]
    group, ones = sections[0].row.group, tuple(sections)
    notes = []
    missing = [one.row.slide for one in sections if one.areas is None]
    if missing:
        notes.append(f"{len(missing)} of {len(sections)} sections missing: {_listed(missing)}")
    bare = [one.row.slide for one in sections if one.areas and not one.areas.lobe_um2]
    if bare:
        notes.append(f"no lung found in {_listed(bare)}")
    if len(bare) == len(areas):
        return Animal(name, group, ones, "none", None, tuple(notes), ())
    if missing and not any(one.foci_um2 for one in areas):
        notes.append("no metastasis seen, but not all sections were looked at")
    if len(areas) == 1:
        notes.append("one section: an index, not a volume")
        return Animal(name, group, ones, "index", None, tuple(notes), animal_lung_metrics(areas))
    distance, why = _distance(sections, option_um)
    if distance is None:
        notes.append(f"no volume: {why}")
        return Animal(name, group, ones, "pooled", None, tuple(notes), animal_lung_metrics(areas))
    notes += _notes_on_volume(sections, [one.lobe_um2 for one in areas], distance)
    metrics = animal_lung_metrics(areas, spacing_um=distance)
    return Animal(name, group, ones, "volume", distance, tuple(notes), metrics)


def _distance(sections: Sequence[Section], option_um: float | None) -> tuple[float | None, str]:
    """Return the distance between the sections, or None and why Cavalieri cannot be used."""
    given = sorted({one.row.distance_um for one in sections if one.row.distance_um is not None})
    distance = given[0] if given else option_um
    if distance is None:
        return None, "the distance between the sections is not known"
    if len(given) > 1:
        words = " and ".join(f"{one:g}" for one in given)
        return None, f"it needs one distance between all sections, not {words} µm"
    steps = _steps(sections)
    if steps and not np.allclose(steps, steps[0], rtol=1e-6):
        return None, f"the sections {_numbers(sections)} are not evenly spaced"
    if any(one.areas is None for one in sections):
        return None, "it needs all sections"
    return distance, ""


def _steps(sections: Sequence[Section]) -> list[float]:
    """Return by how much the number rises from a section to the next."""
    numbers = [one.row.section for one in sections if one.row.section is not None]
    return np.diff(numbers).tolist() if len(numbers) == len(sections) else []


def _numbers(sections: Sequence[Section]) -> str:
    return _listed((f"{one.row.section:g}" for one in sections), most=8)


def _notes_on_volume(
    sections: Sequence[Section], lobes_um2: Sequence[float], distance_um: float
) -> list[str]:
    notes, steps = [], _steps(sections)
    if steps and not math.isclose(steps[0], 1, rel_tol=1e-6):
        numbers = _numbers(sections)
        notes.append(f"sections {numbers} taken as neighbours {distance_um:g} µm apart")
    if len(lobes_um2) == 2:
        notes.append("two sections: no coefficient of error")
    elif min(lobes_um2[0], lobes_um2[-1]) > _SLAB * max(lobes_um2):
        thickness_mm = len(lobes_um2) * distance_um / 1000
        notes.append(
            "the first and the last section are nearly as large as the largest: unless they lie "
            f"at the ends of the lung, the volumes are of a slab of {thickness_mm:g} mm"
        )
    return notes


def _notes_on_all(sections: Iterable[Section]) -> list[str]:
    panels = Counter(one.panel for one in sections if one.areas is not None)
    if len(panels) < 2:
        return []
    words = ", ".join(f"{name}: {count}" for name, count in panels.items())
    return [f"The sections were analysed with different panels ({words}); compare like with like."]


def _group(name: str, animals: Sequence[Animal]) -> GroupSummary:
    known = [animal for animal in animals if animal.metrics]
    burdens = np.array([animal.value("lung_burden_percent") for animal in known])
    counts = [len(animal.sections) - len(animal.missing) for animal in known]
    return GroupSummary(
        name,
        len(known),
        len(animals) - len(known),
        (min(counts, default=0), max(counts, default=0)),
        float(np.median(burdens)) if known else math.nan,
        (float(burdens.min()), float(burdens.max())) if known else (math.nan, math.nan),
        incidence_metric([animal.value("lung_metastasis_present") > 0 for animal in known]),
    )
