"""What the pooling of animals leaves behind: one row an animal, and JSON with all of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from histo.batch.animals import Animal, AnimalTable, GroupSummary, Section, summarize_groups
from histo.batch.tables import SlideRow
from histo.metrics import metrics_to_json
from histo.results import (
    RESEARCH_USE,
    input_record,
    replace_file,
    software_record,
    write_metrics_csv,
)

__all__ = ["ANIMALS_CSV", "ANIMALS_JSON", "animals_record", "write_animals"]

ANIMALS_CSV, ANIMALS_JSON = "animals.csv", "animals.json"

_PARTS = ("_low", "_high")


def animals_record(
    table: AnimalTable, design: Path, *, section_distance_um: float | None = None
) -> dict[str, Any]:
    """Return the animals as JSON takes them, with what they were made from.

    Parameters
    ----------
    table : AnimalTable
    design : Path
        The file of the design, for its hash.
    section_distance_um : float, optional
        As it was given to `pool_animals`.

    Returns
    -------
    dict
        ``animals`` with their sections and metrics, ``groups``, ``without_row``, ``notes``; names
        of files, but no folder, since names of folders may identify a patient.

    Raises
    ------
    SlideError
        If the design cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from histo.batch.design import Design
    >>> path = Path(tempfile.mkdtemp()) / "design.csv"
    >>> _ = path.write_text("slide,animal")
    >>> record = animals_record(AnimalTable(Design("design.csv", ()), ()), path)
    >>> record["design"]["file"], record["animals"]
    ('design.csv', [])
    """
    return {
        "notice": RESEARCH_USE,
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": software_record(),
        "design": input_record(design),
        "section_distance_um": section_distance_um,
        "animals": [_animal(animal) for animal in table.animals],
        "groups": [_group(one) for one in summarize_groups(table)],
        "without_row": list(table.without_row),
        "notes": list(table.notes),
    }


def write_animals(out: str | Path, table: AnimalTable, record: Mapping[str, Any]) -> list[Path]:
    """Write ``animals.csv`` and ``animals.json``.

    Parameters
    ----------
    out : path
        A folder; it is made.
    table : AnimalTable
    record : mapping
        From :func:`animals_record`.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    ResultError
        If the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> from histo.batch.design import Design
    >>> table = AnimalTable(Design("design.csv", ()), ())
    >>> [path.name for path in write_animals(tempfile.mkdtemp(), table, {})]
    ['animals.csv', 'animals.json']
    """
    paths = [Path(out) / ANIMALS_CSV, Path(out) / ANIMALS_JSON]
    write_metrics_csv(paths[0], _rows(table))
    with replace_file(paths[1]) as temporary:
        words = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(words + "\n", encoding="utf-8")
    return paths


def _rows(table: AnimalTable) -> list[dict[str, Any]]:
    """Return one row an animal; one that has no numbers has empty cells."""
    rows = [SlideRow(_facts(animal, table), animal.metrics).columns() for animal in table.animals]
    names = dict.fromkeys(name for row in rows for name in row)
    # Bounds that no animal has would only make the table wide.
    shown = [name for name in names if not name.endswith(_PARTS) or _has_number(rows, name)]
    return [{name: row.get(name) for name in shown} for row in rows]


def _facts(animal: Animal, table: AnimalTable) -> dict[str, Any]:
    return {
        "animal": animal.name,
        **({"group": animal.group} if table.design.has_groups else {}),
        "estimate": animal.estimate,
        "sections_missing": len(animal.missing),
        "distance_um": animal.distance_um,
        "note": "; ".join(animal.notes),
    }


def _has_number(rows: Iterable[Mapping[str, Any]], name: str) -> bool:
    return any(not math.isnan(row.get(name, math.nan)) for row in rows)


def _animal(animal: Animal) -> dict[str, Any]:
    return {
        "animal": animal.name,
        "group": animal.group,
        "estimate": animal.estimate,
        "distance_um": animal.distance_um,
        "notes": list(animal.notes),
        "sections": [_section(one) for one in animal.sections],
        "metrics": metrics_to_json(animal.metrics),
    }


def _section(section: Section) -> dict[str, Any]:
    areas = section.areas
    return {
        "slide": section.row.slide,
        "section": section.row.section,
        "result": section.result,
        "status": "missing" if areas is None else "ok",
        "why": section.why,
        "panel": section.panel,
        "flags": list(section.flags),
        "lung_lobe_area_mm2": None if areas is None else areas.lobe_um2 / 1e6,
        "lung_foci_area_mm2": None if areas is None else areas.lesion_um2 / 1e6,
        "lung_foci_count": None if areas is None else len(areas.foci_um2),
    }


def _group(group: GroupSummary) -> dict[str, Any]:
    def plain(value: float) -> float | None:
        return None if math.isnan(value) else value

    return {
        "group": group.group,
        "animals": group.animals,
        "animals_without_numbers": group.without_numbers,
        "sections": list(group.sections),
        "median_burden_percent": plain(group.median_burden_percent),
        "burden_range_percent": [plain(value) for value in group.burden_range_percent],
        "incidence": metrics_to_json([group.incidence])[0],
    }
