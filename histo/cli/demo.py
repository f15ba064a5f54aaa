"""``histo demo``: the main job on the images that come with histo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

import histo
from histo.cli.progress import show_progress
from histo.cli.report import print_summary
from histo.cli.run import RunOptions, make_settings
from histo.cli.usage import UsageError, usage_problems

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
    with show_progress(Console(stderr=True), quiet=quiet) as progress:
        summary = merge_summaries(
            [
                analyze_folder(paths, out, make_settings(options), force=force, progress=progress)
                for options, paths in batches
            ]
        )
    print_summary(summary, json=json)
    if not json:
        typer.echo(
            f"The painted samples have known truth: see {samples_readme()}. {_IHC_NAME} is a real "
            f"section (colon, cytoplasmic DAB) whose pixel size is assumed: {IHC_PIXEL_SIZE_UM} µm."
        )
    return 1 if summary.failed else 0


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
