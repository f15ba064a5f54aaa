"""Other thresholds or compartments for a slide whose cells are there: nothing is found anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from histo.edits import Corrections, EditLog
from histo.errors import ResultError
from histo.pipeline.compartments import DIVIDED_FLAGS, divide_slide, place_in
from histo.pipeline.corrected import Found, correct, read_found, rewrite_result
from histo.pipeline.reopening import reopen
from histo.pipeline.settings import Settings, fingerprint_of
from histo.pipeline.spatial import read_window
from histo.results import SlideResult, read_manifest

__all__ = ["can_renew", "renew_slide"]

#: What may differ without a nucleus more or less.
_LATER = ("thresholds", "regions")


def can_renew(folder: str | Path, settings: Settings, input_sha256: str) -> bool:
    """Say whether a result holds the cells that these settings would find.

    Parameters
    ----------
    folder : path
        The result folder of one slide.
    settings : Settings
    input_sha256 : str
        Of the slide.

    Returns
    -------
    bool

    Examples
    --------
    >>> can_renew("no/such/folder", Settings("foxp3-dab"), "0" * 64)
    False
    """
    folder = Path(folder)
    try:
        manifest = read_manifest(folder)
        former, wanted = manifest["parameters"], settings.record()
        if fingerprint_of(former, input_sha256) != manifest["fingerprint"]:
            return False  # another slide, or another version of histo
        # Compared as fingerprints: what was read from JSON has lists for tuples.
        return fingerprint_of(_cells_of(former), "") == fingerprint_of(_cells_of(wanted), "")
    except (ResultError, KeyError, TypeError):
        return False


def _cells_of(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _LATER}


def renew_slide(
    path: str | Path,
    settings: Settings,
    *,
    folder: str | Path,
    progress: Callable[[str, float], None] | None = None,
) -> SlideResult:
    """Apply other thresholds or compartments to a result that :func:`can_renew`.

    Edits in force are applied, and stay. Pixels are read for compartments only.

    Parameters
    ----------
    path : path
        The slide.
    settings : Settings
    folder : path
        The result folder; it is replaced in one step.
    progress : callable, optional
        Takes the stage and the part done, 0-1.

    Returns
    -------
    SlideResult

    Raises
    ------
    ResultError
        If the result cannot be read, or the folder cannot be written.
    EditError
        If the edits cannot be read.
    AnnotationError, ModelError, PanelError, SlideError
        If compartments, thresholds or the slide cannot be used.
    """
    tell, folder = progress or (lambda stage, done: None), Path(folder)
    found, log = read_found(folder), EditLog(folder)
    record, former = settings.record(), found.manifest["parameters"]
    manifest = dict(found.manifest)
    requests = dict(settings.thresholds)
    edits = manifest.get("edits") or {}
    if _plain(record["thresholds"]) == _plain(former.get("thresholds", {})):
        requests = dict(edits.get("thresholds", requests))
    else:
        edits = {name: value for name, value in edits.items() if name != "thresholds"}
    if record.get("regions") != former.get("regions"):
        tell("compartments", 0.0)
        found = _divided_anew(found, path, settings, folder, tell)
    manifest["edits"], manifest["parameters"] = edits, record
    flags = [flag for flag in manifest["flags"] if flag not in DIVIDED_FLAGS]
    manifest.pop("compartments", None)
    if found.divided is not None:
        manifest["compartments"] = found.divided.record()
        flags += found.divided.flags
    manifest["flags"] = flags
    manifest["fingerprint"] = fingerprint_of(record, manifest["input"]["sha256"])
    tell("calls and metrics", 0.0)
    corrected = correct(found, Corrections.of(log.in_force), requests)
    return rewrite_result(folder, found, corrected, log, manifest)


def _plain(requests: Mapping[str, Any]) -> dict[str, Any]:
    """Return thresholds as JSON gives them back."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in requests.items()}


def _divided_anew(
    found: Found,
    path: str | Path,
    settings: Settings,
    folder: Path,
    tell: Callable[[str, float], None],
) -> Found:
    if settings.regions is None:
        return replace(found, divided=None, cells=place_in(found.cells, None))
    run = reopen(path, folder, model=settings.model)
    try:
        window = read_window(folder).mask
        place = run.as_surveyed()
        divided = divide_slide(place, found.cells, window, settings.regions, progress=tell)
    finally:
        run.place.slide.close()
    return replace(found, divided=divided, cells=place_in(found.cells, divided))
