"""Names of a room that are loaded on first use, so that what is not needed costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazily"]


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a module's ``__getattr__`` (PEP 562).

    Parameters
    ----------
    package : str
        ``__name__`` of the room.
    homes : mapping of str to str
        Each public name, and the module of the room that it comes from.

    Returns
    -------
    callable
        Raises `AttributeError` for other names.

    Examples
    --------
    >>> lazily("histo", {"Region": "geometry"})("Region").__name__
    'Region'
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return load
