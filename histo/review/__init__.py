"""Reviewing a result: thresholds and cells changed by hand, live, with every edit on disk."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from histo.review.review import Review

__all__ = ["Review"]

# Loaded when asked for: a viewer that only might review stays quick.
_HOMES = {"Review": "histo.review.review"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
