"""Panels from TOML files."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from histo.errors import PanelError
from histo.panel.definition import Attribution, Channel, Marker, Panel, SizeLimits

__all__ = ["load_panel", "panel_names", "read_panel"]


def panel_names() -> tuple[str, ...]:
    """Return the names of the built-in panels.

    Examples
    --------
    >>> "foxp3-dab" in panel_names()
    True
    """
    folder = resources.files("histo.panel") / "panels"
    return tuple(
        sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))
    )


def load_panel(name_or_path: str | Path) -> Panel:
    """Load a built-in panel, or one from a TOML file.

    Parameters
    ----------
    name_or_path : str or path
        A name of :func:`panel_names`, or a path to a file.

    Returns
    -------
    Panel

    Raises
    ------
    PanelError
        If there is no such panel, or the file is wrong: one sentence with the file, the
        key, and what is allowed there.

    Examples
    --------
    >>> load_panel("rankl-dab").marker("rankl").compartment
    'cytoplasm'
    """
    if str(name_or_path) in panel_names():
        source = resources.files("histo.panel") / "panels" / f"{name_or_path}.toml"
        return read_panel(source.read_text("utf-8"), f"{name_or_path}.toml")
    path = Path(name_or_path)
    if not path.is_file():
        raise PanelError(
            f'There is no panel "{name_or_path}": the built-in ones are '
            f"{', '.join(panel_names())}, and a path to a TOML file works too."
        )
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PanelError(f"{path}: cannot be read as a panel ({error}).") from error
    return read_panel(text, str(path))


def read_panel(text: str, source: str) -> Panel:
    r"""Read a panel from the text of a TOML file.

    Parameters
    ----------
    text : str
    source : str
        Where the text comes from, for messages.

    Raises
    ------
    PanelError
        If the text is not TOML or not a panel.

    Examples
    --------
    >>> read_panel('name = "x"\ntitle = "X"\nkind = "brightfield"\nstain = "he"', "x.toml")
    Traceback (most recent call last):
    ...
    histo.errors.PanelError: x.toml: unknown key "stain"; allowed keys are attribution, ...
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PanelError(f"{source}: not a valid TOML file: {error}.") from error
    try:
        return Panel.model_validate(content)
    except ValidationError as error:
        raise PanelError(f"{source}: {_one_sentence(error, content)}.") from error


_MODELS: dict[str, type[BaseModel]] = {
    "markers": Marker,
    "channels": Channel,
    "attribution": Attribution,
    "size": SizeLimits,
}


def _one_sentence(error: ValidationError, content: dict[str, Any]) -> str:
    """Turn the first of pydantic's complaints into a sentence about the file."""
    problems = error.errors(include_url=False)
    # A misspelt key makes another one missing: name the misspelt one.
    first = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    where = first["loc"]
    key = _spell(where, content)
    if first["type"] == "extra_forbidden":
        return f"unknown key {key}; allowed keys are {', '.join(_allowed_keys(where))}"
    if first["type"] == "missing":
        return f"{key} is missing" if key.startswith("number") else f"the key {key} is missing"
    found = first.get("input")
    message = first["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
    if first["type"] == "literal_error":
        allowed = first.get("ctx", {}).get("expected", "").replace(" or ", ", ").replace("'", '"')
        return f"{key} is {_toml(found)}; allowed values are {allowed}"
    if first["type"] == "value_error" and isinstance(found, dict):
        return f"{key}: {message}" if where else message
    return f"{key} is {_toml(found)}: {message[:1].lower()}{message[1:]}"


def _allowed_keys(where: tuple[int | str, ...]) -> list[str]:
    parents = [part for part in where[:-1] if isinstance(part, str)]
    model = _MODELS.get(parents[-1], Panel) if parents else Panel
    return sorted(model.model_fields)


def _spell(where: tuple[int | str, ...], content: dict[str, Any]) -> str:
    """Name a place in the file: the marker by its name rather than by its number."""
    if not where:
        return "the panel"
    said, here = "", content
    place: list[str] = []
    for part in where[:-1]:
        here = _step(here, part)
        if isinstance(part, str):
            said = part
        elif isinstance(here, dict):
            label = here.get("name")
            place.append(f'{said}[{part}] ("{label}")' if label else f"{said}[{part}]")
            said = ""
    if said:
        place.append(said)
    last = where[-1]
    quoted = f'"{last}"' if isinstance(last, str) else f"number {last + 1}"
    return quoted + (f" in {'.'.join(place)}" if place else "")


def _step(here: Any, part: int | str) -> Any:
    if isinstance(here, dict):
        return here.get(part)
    if isinstance(here, list) and isinstance(part, int) and part < len(here):
        return here[part]
    return None


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)
