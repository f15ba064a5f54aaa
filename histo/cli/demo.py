"""``histo demo``: the main job on the images that come with histo."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

import histo
from histo.cli.progress import show_progress
from histo.cli.report import print_summary
from histo.cli.run import RunOptions, make_settings
from histo.cli.show import print_table
from histo.cli.usage import UsageError, usage_problems

if TYPE_CHECKING:
    from histo.batch import BatchProgress, BatchSummary

__all__ = ["IHC_PIXEL_SIZE_UM", "run_demo", "sample_slides"]

_PACKAGE = Path(histo.__file__).resolve().parent
#: In a wheel the samples lie inside the package; in a checkout beside it.
_PLACES = (_PACKAGE / "_sample_images", _PACKAGE.parent / "sample_images")

#: scikit-image's section states no pixel size. Its round stromal nuclei are about 11 px long
#: and those of the crowded epithelium about 40 x 16 px: 5.5 and 20 x 8 µm at this value, as they
#: are in colon, to within about a fifth. It is recorded as given by the user.
IHC_PIXEL_SIZE_UM = 0.5
_IHC_NAME = "skimage_immunohistochemistry"
_IHC_PANEL = "rankl-dab"


def sample_slides() -> dict[str, list[Path]]:
    """List the painted sample images by panel; a sample's name begins with its panel's.

    Returns
    -------
    dict
        Panel name to paths; empty when the samples are not there.

    Examples
    --------
    >>> all(path.name.startswith(panel) for panel, paths in sample_slides().items()
    ...     for path in paths)
    True
    """
    from histo.batch import find_slides
    from histo.panel import panel_names

    folder = next((place for place in _PLACES if place.is_dir()), None)
    samples: dict[str, list[Path]] = {}
    if folder is None:
        return samples
    # The longest name first: foxp3-dab+rankl-red begins with foxp3-dab.
    names = sorted(panel_names(), key=len, reverse=True)
    for path in find_slides(folder):
        panel = next((name for name in names if path.name.startswith(name)), None)
        if panel is not None:
            samples.setdefault(panel, []).append(path)
    return dict(sorted(samples.items()))


def run_demo(out: Path, panels: Sequence[str], *, force: bool, json: bool, quiet: bool) -> int:
    """Analyse the samples, each with its panel, and print the metrics.

    Parameters
    ----------
    out : Path
    panels : sequence of str
        Only the samples of these panels; all when empty.
    force, json, quiet : bool

    Returns
    -------
    int
        0, or 1 when a sample failed.

    Raises
    ------
    UsageError
        If the samples are missing, a panel has none, or ``out`` cannot be written to.
    """
    from histo.batch import analyze_folder, merge_summaries
    from histo.results import check_writable

    with usage_problems():
        samples = sample_slides()
        check_writable(out)
    if not samples:
        raise UsageError("the sample images are missing; install histo again.")
    unknown = [panel for panel in panels if panel not in samples]
    if unknown:
        raise UsageError(
            f"no sample is of the panel {unknown[0]!r}; there are samples of {', '.join(samples)}."
        )
    batches = [
        (RunOptions(panel), paths)
        for panel, paths in samples.items()
        if not panels or panel in panels
    ]
    if not panels or _IHC_PANEL in panels:
        real = _save_real_section(out / "images")
        batches.append((RunOptions(_IHC_PANEL, IHC_PIXEL_SIZE_UM), [real]))
    total = sum(len(paths) for _, paths in batches)
    with show_progress(Console(stderr=True), quiet=quiet) as progress:
        summaries: list[BatchSummary] = []
        for options, paths in batches:
            before = sum(len(one.rows) + len(one.failed) for one in summaries)
            tell = None if progress is None else _renumbered(progress, before, total)
            settings = make_settings(options)
            summaries.append(analyze_folder(paths, out, settings, force=force, progress=tell))
    summary = merge_summaries(summaries)
    print_summary(summary, json=json)
    if not json:
        _print_truth(summary, [path for paths in samples.values() for path in paths])
    return 1 if summary.failed else 0


def _renumbered(progress: BatchProgress, before: int, total: int) -> BatchProgress:
    """Count the slides of several batches through."""
    return lambda event: progress(replace(event, index=before + event.index, total=total))


def _print_truth(summary: BatchSummary, samples: Sequence[Path]) -> None:
    """Print what was counted beside what was painted."""
    from histo.slide import slide_name

    truths = {slide_name(path): _painted(path) for path in samples}
    rows = []
    for row in summary.rows:
        truth = truths.get(row.facts["slide"])
        if truth:
            found = {metric.name: metric.value for metric in row.metrics}
            rows.append(
                [
                    row.facts["slide"],
                    *(
                        f"{found[name]:,.0f} / {truth[name]:,}" if name in truth else ""
                        for name in _COUNTS
                    ),
                ]
            )
    if rows:
        print_table(
            "Counted / painted (a score on painted images is no accuracy on tissue)",
            ["slide", "cells", "FOXP3+", "RANKL+", "foci"],
            rows,
        )
    typer.echo(
        f"{_IHC_NAME} is a real section (colon, cytoplasmic and membranous DAB); its pixel size "
        f"is assumed to be {IHC_PIXEL_SIZE_UM} µm. The painted samples: {samples_readme()}"
    )


_COUNTS = ("cell_count", "foxp3_count", "rankl_count", "lung_foci_count")


def _painted(sample: Path) -> dict[str, int]:
    """Count the nuclei and positive cells, or the foci, in a sample's truth table if it has one."""
    from histo.slide import slide_name

    table = sample.with_name(f"{slide_name(sample)}.truth.csv")
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8-sig", newline="") as stream:
        cells = list(csv.DictReader(stream))
    if cells and "focus_id" in cells[0]:
        return {"lung_foci_count": len(cells)}
    counts = {"cell_count": len(cells)}
    for marker in ("foxp3", "rankl"):
        column = f"{marker}_positive"
        if cells and column in cells[0]:
            counts[f"{marker}_count"] = sum(cell[column].lower() == "true" for cell in cells)
    return counts


def samples_readme() -> Path:
    """Return where the samples are described.

    Examples
    --------
    >>> samples_readme().name
    'README.md'
    """
    return next((place for place in _PLACES if place.is_dir()), _PLACES[-1]) / "README.md"


def _save_real_section(folder: Path) -> Path:
    """Write scikit-image's immunohistochemistry() as TIFF, once, without a pixel size."""
    import tifffile
    from skimage import data

    from histo.results import replace_file

    path = folder / f"{_IHC_NAME}.tif"
    if not path.is_file():
        with replace_file(path) as temporary:
            section = data.immunohistochemistry()  # type: ignore[no-untyped-call]
            tifffile.imwrite(temporary, section, photometric="rgb")
    return path
