"""Reviewing a result: thresholds and cells changed by hand, live, with every edit on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histo.lazy import lazily

if TYPE_CHECKING:
    from histo.review.review import Review

__all__ = ["Review"]

# Loaded when asked for: a viewer that only might review stays quick.
__getattr__ = lazily(__name__, {"Review": "review"})
