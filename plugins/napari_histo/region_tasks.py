"""What the child process does for the widget Regions: other compartments, and a model for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histo.errors import PanelError, ResultError
from histo.pipeline.region_source import regions_record
from histo.pipeline.settings import Settings

if TYPE_CHECKING:
    from napari_histo.job import Report, Tell

__all__ = ["divide", "learn", "overall_part"]

#: Which part of all a stage begins at, and how much it takes, roughly: alone, and after learning.
_DIVIDING = {
    "compartments": (0.05, 0.6),
    "calls and metrics": (0.65, 0.3),
    "writing the table": (0.95, 0.05),
}
_LEARNING = {
    "reading slides": (0.02, 0.1),
    "learning to be judged": (0.12, 0.28),
    "learning from all": (0.4, 0.28),
    "writing": (0.68, 0.02),
}
_AFTER_LEARNING = 0.7


@dataclass(frozen=True, slots=True)
class _SameCells(Settings):
    """The settings of a finished run with other regions; nothing is looked up anew.

    Parameters
    ----------
    former : mapping
        ``parameters`` of the manifest.
    """

    former: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return the parameters of the run, with these regions."""
        kept = {name: value for name, value in self.former.items() if name != "regions"}
        regions = {} if self.regions is None else {"regions": dict(regions_record(self.regions))}
        return {**kept, **regions}


def divide(arguments: dict[str, Any], tell: Tell, report: Report) -> dict[str, Any]:
    """Divide a finished slide by drawn areas or by a region model; its cells and edits stay.

    Parameters
    ----------
    arguments : dict
        ``slide``, ``folder`` (its result), ``regions`` (a GeoJSON file or a model), and ``out``,
        the folder of results.
    tell, report : callable
        See `napari_histo.job`.

    Returns
    -------
    dict
        ``folder``.

    Raises
    ------
    HistoError
        If the slide, its result or the regions cannot be used.
    """
    tell("starting", 0.0)
    folder = Path(arguments["folder"])
    _renew(
        arguments["slide"],
        folder,
        arguments["regions"],
        lambda stage, part: tell(stage, overall_part(stage, part)),
    )
    return {"folder": str(folder)}


def learn(arguments: dict[str, Any], tell: Tell, report: Report) -> dict[str, Any]:
    """Teach a region model what was drawn, and divide the slide by it.

    Parameters
    ----------
    arguments : dict
        As for `divide`, without ``regions``; ``annotations`` of the slide; ``others``, triples of
        slide, result and annotations; ``model``, the folder of the new one; ``stains``, what it
        looks at beside the nuclei; ``steps``.
    tell, report : callable
        See `napari_histo.job`. Hands out "learnt" with the ``rows`` of the model: class, how many
        annotations, mm², Dice (None where none was held back), and how many were ``held``.

    Returns
    -------
    dict
        ``folder``, and ``model``.

    Raises
    ------
    HistoError
        If something cannot be used.
    """
    tell("starting", 0.0)
    from histo.pipeline.region_learning import RegionSettings, RegionTask, train_regions

    folder, model = Path(arguments["folder"]), arguments["model"]
    own = arguments["slide"], arguments["folder"], arguments["annotations"]
    tasks = [RegionTask(*map(Path, one)) for one in (own, *arguments["others"])]
    settings = RegionSettings(tuple(arguments["stains"]), steps=int(arguments["steps"]))
    _check(folder)
    training = train_regions(
        tasks,
        model,
        settings,
        progress=lambda stage, part: tell(stage, overall_part(stage, part, learns=True)),
    )
    rows = [
        [name, training.annotations[name], training.area_um2[name] / 1e6, training.scores.get(name)]
        for name in training.classes
    ]
    report("learnt", {"rows": rows, "held": training.held_back, "slides": len(tasks)})
    _renew(
        arguments["slide"],
        folder,
        str(model),
        lambda stage, part: tell(stage, overall_part(stage, part, learns=True)),
    )
    return {"folder": str(folder), "model": str(model)}


def overall_part(stage: str, part: float, *, learns: bool = False) -> float:
    """Return the part done of all from that of a stage, both 0-1.

    Examples
    --------
    >>> round(overall_part("compartments", 0.5), 3)
    0.35
    >>> round(overall_part("compartments", 0.5, learns=True), 3)
    0.805
    """
    if learns and stage in _LEARNING:
        start, share = _LEARNING[stage]
        return start + share * part
    start, share = _DIVIDING.get(stage, (0.0, 0.0))
    done = start + share * part
    return _AFTER_LEARNING + (1 - _AFTER_LEARNING) * done if learns else done


def _check(folder: Path) -> dict[str, Any]:
    """Return the manifest of a result that can be divided anew."""
    from histo.pipeline import can_renew
    from histo.results import read_manifest

    manifest = read_manifest(folder)
    try:
        former, sha256 = manifest["parameters"], manifest["input"]["sha256"]
        finds_its_own = former["panel_content"].get("regions") is not None
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultError(
            f"{folder.name}: manifest.json does not say how it was made ({error}); analyse the "
            "slide again."
        ) from error
    if finds_its_own:
        raise PanelError(
            f"{folder.name}: the panel {former['panel']} finds its own regions; analyse the slide "
            "with another panel to divide it."
        )
    if not can_renew(folder, _SameCells(former["panel"], former=former), sha256):
        raise ResultError(
            f"{folder.name}: was made by another version of histo; analyse the slide again, then "
            "divide it."
        )
    return manifest


def _renew(slide: str, folder: Path, regions: str, progress: Callable[[str, float], None]) -> None:
    """Divide a result anew, and write its row of the table of all slides."""
    from histo.batch import refresh_tables
    from histo.pipeline import renew_slide

    former = _check(folder)["parameters"]
    thresholds = {
        marker: tuple(request) if isinstance(request, list) else request
        for marker, request in former.get("thresholds", {}).items()
    }
    settings = _SameCells(
        former["panel"],
        thresholds=thresholds,
        model=former.get("model"),
        regions=regions,
        former=former,
    )
    renew_slide(slide, settings, folder=folder, progress=progress)
    progress("writing the table", 0.0)
    refresh_tables(folder.parent)
