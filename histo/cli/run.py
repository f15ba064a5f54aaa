"""``histo run`` and ``histo metrics``: options to a batch, and a batch to an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from histo.cli.progress import show_progress
from histo.cli.report import print_summary
from histo.cli.usage import UsageError, check_pixel_size, parse_thresholds, usage_problems
from histo.errors import PanelError

if TYPE_CHECKING:
    from histo.pipeline import Settings
    from histo.pipeline.drawn_region import Polygons

__all__ = ["RunOptions", "make_settings", "recompute_slides", "run_slides"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of ``histo run`` that say how slides are analysed, as they were typed.

    Parameters
    ----------
    panel : str
    pixel_size_um : float, optional
        µm per pixel.
    thresholds : tuple of str
        Each ``MARKER=VALUE``.
    model, stains : str, optional
    region : Path, optional
        GeoJSON of the part of the slide that is analysed.
    regions : str, optional
        What divides the tissue: a region model, or GeoJSON with classes.

    Examples
    --------
    >>> RunOptions("he").thresholds
    ()
    """

    panel: str
    pixel_size_um: float | None = None
    thresholds: tuple[str, ...] = ()
    model: str | None = None
    stains: str | None = None
    region: Path | None = None
    regions: str | None = None


def make_settings(options: RunOptions) -> Settings:
    """Check the options, as far as that is possible without a slide.

    Parameters
    ----------
    options : RunOptions

    Returns
    -------
    Settings

    Raises
    ------
    UsageError
        If the panel, the model, the stains, the regions, a threshold or the pixel size cannot
        be used.
    """
    from histo.nuclei import read_card
    from histo.panel import load_panel
    from histo.pipeline import Settings
    from histo.pipeline.region_source import is_drawn
    from histo.stain import load_stains

    thresholds = parse_thresholds(options.thresholds)
    check_pixel_size(options.pixel_size_um)
    with usage_problems():
        panel = load_panel(options.panel)
        for marker in thresholds:
            panel.marker(marker)
        read_card(options.model or panel.model)
        if options.stains is not None and options.stains != "estimate":
            load_stains(options.stains)
        if options.regions is not None:
            is_drawn(options.regions)
        settings = Settings(
            panel=options.panel,
            pixel_size_um=options.pixel_size_um,
            thresholds=thresholds,
            model=options.model,
            stains=options.stains,
            regions=options.regions,
        )
        settings.load_panel()
        return settings


def run_slides(
    inputs: Sequence[str],
    out: Path,
    options: RunOptions,
    *,
    force: bool,
    json: bool,
    quiet: bool,
) -> int:
    """Analyse slides and print what came of it.

    Parameters
    ----------
    inputs : sequence of str
    out : Path
    options : RunOptions
    force, json, quiet : bool

    Returns
    -------
    int
        0, or 1 when a slide failed.

    Raises
    ------
    UsageError
        If the command cannot start as given.
    """
    from histo.batch import analyze_folder, find_slides
    from histo.results import check_writable

    settings = make_settings(options)
    with usage_problems():
        slides = find_slides(inputs)
        check_writable(out)
        if options.region is not None:
            settings = replace(settings, region=_region_of(slides, options))
        if len(slides) > 1 and options.regions is not None and Path(options.regions).is_file():
            raise UsageError(
                f"--regions {options.regions} is of one slide, but {len(slides)} are given; name "
                "the folder that holds the annotations of each, named like the slides."
            )
    with show_progress(Console(stderr=True), quiet=quiet) as progress:
        summary = analyze_folder(slides, out, settings, force=force, progress=progress)
    print_summary(summary, json=json)
    return 1 if summary.failed else 0


def _region_of(slides: Sequence[Path], options: RunOptions) -> Polygons:
    """Read the region of the one slide."""
    from histo.pipeline.drawn_region import read_polygons
    from histo.slide import open_slide

    if len(slides) > 1:
        raise UsageError(
            f"--region is for one slide, but {len(slides)} are given; run them one by one, each "
            "with its region."
        )
    with open_slide(slides[0], pixel_size_um=options.pixel_size_um) as slide:
        return read_polygons(str(options.region), slide)


def recompute_slides(out: Path, options: Sequence[str], *, json: bool, quiet: bool) -> int:
    """Recompute the metrics of finished slides and print them.

    Parameters
    ----------
    out : Path
    options : sequence of str
        Thresholds as typed.
    json, quiet : bool

    Returns
    -------
    int
        0, or 1 when a slide failed.

    Raises
    ------
    UsageError
        If there is no result, or a threshold cannot be used.
    """
    from histo.batch import recompute_folder, result_folders
    from histo.results import check_writable

    thresholds = parse_thresholds(options)
    with usage_problems():
        folders = result_folders(out)
        check_writable(folders[0].parent)
    try:
        with show_progress(Console(stderr=True), quiet=quiet) as progress:
            summary = recompute_folder(out, thresholds, progress=progress)
    except PanelError as error:
        raise UsageError(str(error)) from error
    print_summary(summary, json=json)
    return 1 if summary.failed else 0
