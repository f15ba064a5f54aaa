"""``histo animals``: sections to animals, and animals to the screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from histo.cli.numbers import number_text, range_text, value_text
from histo.cli.show import print_json, print_table
from histo.cli.usage import UsageError, usage_problems

if TYPE_CHECKING:
    from histo.batch import Animal, AnimalTable, GroupSummary

__all__ = ["print_animals", "show_animals"]


def show_animals(
    results: Path, design: Path, out: Path | None, *, section_distance_um: float | None, json: bool
) -> int:
    r"""Pool the lung sections of each animal, write the tables and print them.

    Parameters
    ----------
    results, design : Path
    out : Path, optional
        The folder of results itself by default.
    section_distance_um : float, optional
        For animals of which the design does not say.
    json : bool

    Returns
    -------
    int
        0, or 1 when a slide of the design has no lung to be measured.

    Raises
    ------
    UsageError
        If the command cannot start as given.
    ResultError
        If the tables cannot be written.

    Examples
    --------
    >>> show_animals(Path("."), Path("d.csv"), None, section_distance_um=0.3, json=False)
    Traceback (most recent call last):
    ...
    histo.cli.usage.UsageError: --section-distance 0.3 cannot be: ...
    """
    # Only now: what reads and computes takes a second to load.
    from histo.batch import (
        DISTANCES_UM,
        animals_record,
        pool_animals,
        read_design,
        write_animals,
    )
    from histo.results import check_writable

    low, high = DISTANCES_UM
    if section_distance_um is not None and not low <= section_distance_um <= high:
        raise UsageError(
            f"--section-distance {section_distance_um:g} cannot be: it is from one section to "
            f"the next in micrometres, {low:g} to {high:g}."
        )
    if not design.is_file():
        raise UsageError(
            f"{design}: no such file; give the table that says which slide is of which animal."
        )
    out = results if out is None else out
    with usage_problems():
        table = pool_animals(results, read_design(design), section_distance_um=section_distance_um)
        check_writable(out)
    record = animals_record(table, design, section_distance_um=section_distance_um)
    paths = write_animals(out, table, record)
    if json:
        print_json(record)
    else:
        print_animals(table)
        typer.echo(f"All numbers: {', '.join(str(path) for path in paths)}")
        typer.echo(record["notice"])
    return 1 if table.missing else 0


def print_animals(table: AnimalTable) -> None:
    """Print the animals, their groups, and what should be known of them.

    Parameters
    ----------
    table : AnimalTable

    Examples
    --------
    >>> from histo.batch import AnimalTable, Design
    >>> print_animals(AnimalTable(Design("design.csv", ()), (), ("s7", "s8")))
    Metastases in the lung, by animal
      animal   sections   foci   per section   per cm²   burden, %
     ──────────────────────────────────────────────────────────────
    Left out, since design.csv does not name them: s7, s8.
    """
    from histo.batch import summarize_groups

    has_groups = table.design.has_groups
    volumes = any(animal.estimate == "volume" for animal in table.animals)
    columns = [
        "animal",
        *(["group"] if has_groups else []),
        *("sections", "foci", "per section", "per cm²", "burden, %"),
        *(["lung, mm³", "metastasis, mm³", "its CE, %"] if volumes else []),
    ]
    print_table(
        "Metastases in the lung, by animal",
        columns,
        [
            [
                animal.name,
                *([animal.group or "(none)"] if has_groups else []),
                *_animal_cells(animal),
                *(_volume_cells(animal) if volumes else []),
            ]
            for animal in table.animals
        ],
    )
    groups = summarize_groups(table)
    if groups:
        print_table(
            "By group; no test is made",
            ("group", "animals", "sections each", "median burden, % (range)", "incidence"),
            [_group_cells(group) for group in groups],
            note=_group_note(groups),
        )
    if table.missing:
        print_table(
            "Missing: these slides are in no number",
            ("slide", "animal", "why"),
            [[one.row.slide, one.row.animal, one.why] for one in table.missing],
        )
    for animal in table.animals:
        if animal.notes:
            typer.echo(f"{animal.name}: {'; '.join(animal.notes)}.")
    flags: dict[str, list[str]] = {}
    for section in (one for animal in table.animals for one in animal.sections):
        for flag in section.flags:
            flags.setdefault(flag.replace("_", " "), []).append(section.row.slide)
    if flags:
        words = "; ".join(f"{flag} ({_first(slides)})" for flag, slides in flags.items())
        typer.echo(f"Look at these slides before their numbers are used: {words}.")
    if table.without_row:
        names = ", ".join(table.without_row)
        typer.echo(f"Left out, since {table.design.file} does not name them: {names}.")
    for note in table.notes:
        typer.echo(note)


def _first(slides: Sequence[str], most: int = 5) -> str:
    more = f" and {len(slides) - most} more" if len(slides) > most else ""
    return ", ".join(slides[:most]) + more


def _animal_cells(animal: Animal) -> list[str]:
    metrics = {metric.name: metric for metric in animal.metrics}
    whole, missing = len(animal.sections), len(animal.missing)
    return [
        f"{whole - missing} of {whole}" if missing else f"{whole}",
        *(
            number_text(metrics.get(name)) or "-"
            for name in (
                "lung_foci_count",
                "lung_foci_per_section",
                "lung_foci_per_cm2",
                "lung_burden_percent",
            )
        ),
    ]


def _volume_cells(animal: Animal) -> list[str]:
    errors = sorted(
        animal.value(f"metastasis_volume_ce_{kind}_percent") for kind in ("m0", "scattered")
    )
    return [
        value_text(animal.value("lung_volume_mm3")),
        value_text(animal.value("metastasis_volume_mm3")),
        range_text(errors[0], errors[1]) or "-",
    ]


def _group_cells(group: GroupSummary) -> Sequence[str]:
    low, high = group.sections
    burden = value_text(group.median_burden_percent)
    spread = range_text(*group.burden_range_percent)
    hits, total = group.incidence.numerator, group.incidence.denominator
    return [
        group.group or "(none)",
        f"{group.animals}",
        f"{low}" if low == high else f"{low}-{high}",
        f"{burden} ({spread})" if group.animals > 1 else burden,
        f"{hits:.0f} / {total:.0f}",
    ]


def _group_note(groups: Iterable[GroupSummary]) -> str:
    lost = [
        f"{one.without_numbers} of {one.group or '(none)'}" for one in groups if one.without_numbers
    ]
    return f"Animals without numbers are not counted: {', '.join(lost)}." if lost else ""
