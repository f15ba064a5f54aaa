"""Other thresholds on finished slides: from the cell table, without a pixel of the slide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from histo.errors import ResultError
from histo.panel import Panel
from histo.panel.thresholds import Request
from histo.pipeline.measure import LABELS, OUTLINES
from histo.pipeline.numbers import call_and_count, threshold_flags, thresholds_record
from histo.pipeline.pictures import VIEWS
from histo.pipeline.settings import fingerprint_of
from histo.pipeline.writing import write_calls
from histo.results import SlideResult, read_slide_result, result_folder

__all__ = ["recompute"]


def recompute(folder: str | Path, thresholds: Mapping[str, Request]) -> SlideResult:
    """Make calls, metrics and pictures of a finished slide anew, with other thresholds.

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
    PanelError
        If the panel has no such marker.
    """
    folder = Path(folder)
    former = read_slide_result(folder)
    manifest = dict(former.manifest)
    try:
        panel = Panel.model_validate(manifest["parameters"]["panel_content"])
        manifest["slide"]["name"]
    except (KeyError, TypeError, ValueError) as error:
        raise ResultError(
            f"{folder.name}: manifest.json does not hold the panel ({error}); run the slide again "
            "with --force."
        ) from error
    cells, cuts, metrics = call_and_count(former.cells, panel, thresholds, former.areas)
    known = [flag for flag in manifest["flags"] if not flag.startswith("threshold_unknown_")]
    manifest["flags"] = known + list(threshold_flags(cuts))
    manifest["thresholds"] = thresholds_record(cuts)
    manifest["parameters"] = {
        **manifest["parameters"],
        "thresholds": dict(sorted(thresholds.items())),
    }
    manifest["fingerprint"] = fingerprint_of(manifest["parameters"], manifest["input"]["sha256"])
    result = SlideResult(cells, metrics, former.areas, manifest)
    with result_folder(folder, keep=[LABELS, OUTLINES, VIEWS]) as partial:
        write_calls(partial, result, panel, cuts)
    return result
