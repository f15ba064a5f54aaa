"""Other thresholds on finished slides: from the cell table, without a pixel of the slide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from histo.edits import Corrections, EditLog
from histo.panel.thresholds import Request
from histo.pipeline.corrected import correct, read_found, rewrite_result
from histo.pipeline.settings import fingerprint_of
from histo.results import SlideResult

__all__ = ["recompute"]


def recompute(folder: str | Path, thresholds: Mapping[str, Request]) -> SlideResult:
    """Make calls, metrics and pictures of a finished slide anew, with other thresholds.

    Edits in force (:mod:`histo.edits`) are applied.

    Parameters
    ----------
    folder : path
        The result folder of one slide; it is replaced in one step.
    thresholds : mapping of str to request
        Cut-offs by marker. Markers that are not named follow their panel.

    Returns
    -------
    SlideResult

    Raises
    ------
    ResultError
        If the folder is not a complete result, or cannot be written.
    EditError
        If the edits cannot be read, or do not belong to the result.
    PanelError
        If the panel has no such marker.
    """
    folder = Path(folder)
    found, log = read_found(folder), EditLog(folder)
    corrected = correct(found, Corrections.of(log.in_force), thresholds)
    manifest = dict(found.manifest)
    manifest["parameters"] = {
        **manifest["parameters"],
        "thresholds": dict(sorted(thresholds.items())),
    }
    # Thresholds of a review give way to those asked for now.
    edits = manifest.get("edits") or {}
    manifest["edits"] = {name: value for name, value in edits.items() if name != "thresholds"}
    manifest["fingerprint"] = fingerprint_of(manifest["parameters"], manifest["input"]["sha256"])
    return rewrite_result(folder, found, corrected, log, manifest)
