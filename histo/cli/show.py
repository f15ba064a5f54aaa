"""What the commands print about slides, panels and models."""

from __future__ import annotations

import json as json_format
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from histo.cli.usage import UsageError, usage_problems

if TYPE_CHECKING:
    from histo.panel import Marker, Panel

__all__ = ["print_json", "print_table", "show_models", "show_panels", "show_slide"]

#: Tables that do not go to a terminal keep their lines whole.
_PAGE_WIDTH = 160


def print_json(content: Any) -> None:
    """Print JSON on stdout; NaN becomes null, since JSON has none.

    Examples
    --------
    >>> print_json({"density": float("nan"), "n": 3})
    {
      "density": null,
      "n": 3
    }
    """
    typer.echo(json_format.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()  # a number of numpy's
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, note: str = ""
) -> None:
    """Print a table on stdout; columns of numbers stand to the right.

    Parameters
    ----------
    title : str
    columns : sequence of str
    rows : iterable of sequences of str
    note : str
        Printed below.

    Examples
    --------
    >>> print_table("Cells", ["slide", "n"], [["a", "12"], ["b", "7"]])
    Cells
      slide    n
     ────────────
      a       12
      b        7
    """
    rows = [list(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        numbers = bool(rows) and all(_is_number(row[index]) for row in rows)
        table.add_column(
            escape(column),
            justify="right" if numbers else "left",
            no_wrap=numbers,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console = stdout_console()
    console.print(title, style="bold", markup=False, highlight=False)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        if line.strip():
            typer.echo(line.rstrip())
    if note:
        console.print(note, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def stdout_console() -> Console:
    """Return a console on stdout: as wide as the terminal, or a page elsewhere.

    Examples
    --------
    >>> stdout_console().width > 0
    True
    """
    console = Console()
    return console if console.is_terminal else Console(width=_PAGE_WIDTH)


def _is_number(text: str) -> bool:
    return not text or text[0].isdigit() or text in {"-", "?"} or text[0] in "+-−"


def show_slide(path: Path, *, json: bool) -> None:
    """Print what is known of a slide.

    Parameters
    ----------
    path : Path
    json : bool

    Raises
    ------
    UsageError
        If there is no such file.
    SlideError
        If it cannot be opened.
    """
    from histo.slide import open_slide

    if not path.exists():
        raise UsageError(f"{path}: no such file; check the path.")
    with open_slide(path) as slide:
        size = slide.pixel_size
        facts: dict[str, Any] = {
            "slide": slide.name,
            "path": str(path),
            "kind": slide.kind,
            "height_px": slide.shape[0],
            "width_px": slide.shape[1],
            "dtype": str(slide.dtype),
            "channels": list(slide.channel_names),
            "pixel_size_um": None if size is None else slide.pixel_size_um,
            "pixel_size_y_um": None if size is None else size.y_um,
            "pixel_size_x_um": None if size is None else size.x_um,
            "pixel_size_source": None if size is None else size.source,
            "levels": [
                {
                    "height_px": level.shape[0],
                    "width_px": level.shape[1],
                    "downsample": level.downsample,
                }
                for level in slide.levels
            ],
            "notes": list(slide.notes),
        }
    if json:
        print_json(facts)
        return
    print_table(f"{facts['slide']}  ({path})", ["", ""], _slide_rows(facts))


def _slide_rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    height, width, size = facts["height_px"], facts["width_px"], facts["pixel_size_um"]
    if size is None:
        size_text = "not in the file; give it with --pixel-size"
    else:
        size_text = f"{size:.4g} µm ({facts['pixel_size_source']})"
    rows = [
        ("kind", f"{facts['kind']}, {facts['dtype']}: {', '.join(facts['channels'])}"),
        ("size", f"{height} x {width} px (height x width)"),
        ("pixel size", size_text),
    ]
    if size is not None:
        millimetres = [
            px * side / 1000
            for px, side in ((height, facts["pixel_size_y_um"]), (width, facts["pixel_size_x_um"]))
        ]
        rows.append(("on the glass", f"{millimetres[0]:.3g} x {millimetres[1]:.3g} mm"))
    levels = ", ".join(
        f"{level['height_px']} x {level['width_px']} (1:{level['downsample']:.3g})"
        for level in facts["levels"]
    )
    rows.append(("levels", levels))
    if facts["notes"]:
        rows.append(("notes", ", ".join(note.replace("_", " ") for note in facts["notes"])))
    return rows


def show_panels(*, json: bool) -> None:
    """Print the built-in panels.

    Parameters
    ----------
    json : bool
    """
    from histo.panel import load_panel, panel_names

    loaded = [load_panel(name) for name in panel_names()]
    if json:
        print_json([panel.model_dump(mode="json") for panel in loaded])
        return
    print_table(
        "Panels",
        ["panel", "what it is for", "planes", "calls and cut-offs (1+, 2+, 3+)"],
        [
            [
                panel.name,
                panel.title,
                panel.stains or ", ".join(panel.channel_names),
                "\n".join(_marker_text(panel, marker) for marker in panel.markers) or "nuclei only",
            ]
            for panel in loaded
        ],
        note="A path to a TOML file of your own works as a panel too; docs/ says how to write one.",
    )


def _marker_text(panel: Panel, marker: Marker) -> str:
    values = marker.thresholds
    unit = "OD" if panel.quantity == "od" else "intensity"
    cut_offs = "automatic" if values is None else f"{unit} {', '.join(f'{v:g}' for v in values)}"
    if marker.threshold_source == "learned":
        cut_offs = "by the model; for numbers: " + cut_offs
    return f"{marker.name}: {marker.compartment} {marker.plane} {marker.statistic}, {cut_offs}"


def show_models(*, json: bool) -> None:
    """Print the models that come with histo.

    Parameters
    ----------
    json : bool
    """
    from histo.nuclei import list_models
    from histo.nuclei.model import list_region_models

    with usage_problems():
        cards, regions = list_models(), list_region_models()
    if json:
        shown = ("name", "version", "description", "licence", "sha256", "folder")
        print_json(
            [
                *(
                    {**{name: getattr(card, name) for name in shown}, "pixel_size_um": um}
                    for card, um in ((card, card.pixel_size_um) for card in cards)
                ),
                *({name: getattr(card, name) for name in shown} for card in regions),
            ]
        )
        return
    print_table(
        "Nuclei models",
        ["model", "version", "µm/px", "licence", "what it is"],
        [
            [card.name, card.version, f"{card.pixel_size_um:g}", card.licence, card.description]
            for card in cards
        ],
        note="A path to a folder with rdf.yaml works as a model too.",
    )
    if regions:
        print_table(
            "Region models, for --regions",
            ["model", "version", "licence", "what it is"],
            [[card.name, card.version, card.licence, card.description] for card in regions],
            note="One of your own tells your slides apart better: histo train-regions.",
        )
