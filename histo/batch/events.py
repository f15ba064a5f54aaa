"""What a batch tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["BatchEvent", "BatchProgress"]


@dataclass(frozen=True, slots=True)
class BatchEvent:
    """One piece of news about one slide.

    Parameters
    ----------
    slide : Path
        The slide.
    index, total : int
        Its place among the slides of the batch, from 1, and how many there are.
    status : str
        ``"running"``, then one of ``"finished"``, ``"skipped"``, ``"failed"``.
    stage : str
        What is being done, in a word or two; empty at the end.
    fraction : float
        Part of the slide that is done, 0 to 1.
    message : str
        At the end: what was found, or why it failed.
    folder : str
        The name of its result folder.

    Examples
    --------
    >>> BatchEvent(Path("a.tif"), 1, 3, "running", stage="nuclei", fraction=0.5).is_last
    False
    """

    slide: Path
    index: int
    total: int
    status: Literal["running", "finished", "skipped", "failed"]
    stage: str = ""
    fraction: float = 0.0
    message: str = ""
    folder: str = ""

    @property
    def is_last(self) -> bool:
        """Whether nothing more will be said about this slide."""
        return self.status != "running"


BatchProgress = Callable[[BatchEvent], None]
