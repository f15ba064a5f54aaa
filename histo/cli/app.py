"""The commands: their options and help. What they do is imported when one is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histo import __version__

__all__ = ["app"]

_EPILOG = (
    "Exit codes: 0 all is well; 1 some slides failed; 2 the command cannot start as given. "
    "For Research Use Only. Not for use in diagnostic procedures."
)

app = typer.Typer(
    name="histo",
    help="From stained tissue sections to numbers about FOXP3+ cells and RANKL.",
    epilog=_EPILOG,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program, and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Thresholds = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        metavar="MARKER=VALUE",
        help="Fix a cut-off: foxp3=0.15, rankl=0.2,0.4,0.6 (1+, 2+, 3+), "
        "foxp3=auto (from each slide), foxp3=learned (by the model, brown nuclei), foxp3=panel. "
        "Can be given several times.",
    ),
]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"histo {__version__}")
        raise typer.Exit


@app.callback()
def _histo(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command()
def run(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Slides, folders of slides, or patterns."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    panel: Annotated[
        str,
        typer.Option("--panel", "-p", help="What was stained: a name (histo panels) or a TOML."),
    ],
    pixel_size: Annotated[
        float | None,
        typer.Option(
            "--pixel-size",
            metavar="UM",
            help="Micrometres per pixel of all slides given, instead of what a file states.",
        ),
    ] = None,
    threshold: Thresholds = None,
    model: Annotated[
        str | None,
        typer.Option(help="The nuclei model: a name (histo models) or a folder."),
    ] = None,
    stains: Annotated[
        str | None,
        typer.Option(help="Stain vectors: a name, a TOML, or 'estimate' from each slide."),
    ] = None,
    region: Annotated[
        Path | None,
        typer.Option(
            metavar="GEOJSON", help="Analyse inside these polygons of QuPath only; one slide."
        ),
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL|GEOJSON",
            help="Divide the tissue into tumour, stroma ...: a region model (histo models), or "
            "annotations of QuPath (a file, or a folder of files named like the slides).",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Analyse finished slides again; corrections by hand are kept aside, not applied.",
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Analyse slides: cells, calls, and one table of metrics for all.

    Each slide gets a folder in OUT with its cells, metrics, pictures and what QuPath opens;
    OUT/metrics.csv holds one row a slide. Slides that are finished and unchanged are skipped,
    so the same command goes on where it stopped.

    **Examples**

    histo run sections/ -o results --panel foxp3-dab

    histo run 'mouse*/*.svs' -o results --panel rankl-dab --threshold rankl=0.2,0.4,0.6

    histo run field.tif -o results --panel foxp3-dab+rankl-red --pixel-size 0.5

    histo run slide.svs -o results --panel foxp3-dab --region tumour.geojson

    histo run sections/ -o results --panel foxp3-dab --regions annotations/
    """
    from histo.cli.run import RunOptions, run_slides

    options = RunOptions(
        panel=panel,
        pixel_size_um=pixel_size,
        thresholds=tuple(threshold or ()),
        model=model,
        stains=stains,
        region=region,
        regions=regions,
    )
    raise typer.Exit(run_slides(inputs, out, options, force=force, json=json, quiet=quiet))


@app.command()
def metrics(
    out: Annotated[
        Path,
        typer.Argument(help="The output folder of histo run, or the folder of one slide in it."),
    ],
    threshold: Thresholds = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Recompute calls and metrics with other thresholds; no pixel is read.

    Markers that are not named go back to their panel's thresholds: those given to histo run, or
    saved in napari, are dropped.

    **Examples**

    histo metrics results --threshold foxp3=0.2

    histo metrics results/slide_1 --threshold rankl=auto --json
    """
    from histo.cli.run import recompute_slides

    raise typer.Exit(recompute_slides(out, tuple(threshold or ()), json=json, quiet=quiet))


@app.command()
def evaluate(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="What was found: a result folder, GeoJSON of QuPath, a label image (TIFF, PNG), a "
            "CSV of points; or a folder of such."
        ),
    ],
    truth: Annotated[
        Path, typer.Argument(help="What is true, in any of the same forms; a file or a folder.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the figures.")] = Path(
        "evaluation"
    ),
    pixel_size: Annotated[
        float | None,
        typer.Option(
            "--pixel-size",
            metavar="UM",
            help="Micrometres per pixel, for files that count in pixels and do not say.",
        ),
    ] = None,
    truth_pixel_size: Annotated[
        float | None,
        typer.Option("--truth-pixel-size", metavar="UM", help="The same of TRUTH, if it differs."),
    ] = None,
    region: Annotated[
        Path | None,
        typer.Option(
            help="Score inside only: a mask image, GeoJSON polygons, or a folder with one an image."
        ),
    ] = None,
    marker: Annotated[
        str | None, typer.Option(help="Whose calls to compare, where there are several.")
    ] = None,
    positives_only: Annotated[
        bool,
        typer.Option("--positives-only", help="TRUTH marks the positive cells and no others."),
    ] = False,
    json: Json = False,
) -> None:
    """Compare found cells with a reader's, to validate on your own slides.

    Two folders are paired by the slides' names. OUT gets evaluation.csv, evaluation.json and, for
    several images, bland_altman.png.

    **Examples**

    histo evaluate results truth --region regions -o evaluation --pixel-size 0.25

    histo evaluate results/slide_1 slide_1.geojson --pixel-size 0.25 --region roi.geojson

    histo evaluate found.geojson foxp3.csv --pixel-size 0.5 --positives-only
    """
    from histo.cli.evaluate import EvaluateOptions, evaluate_files

    options = EvaluateOptions(pixel_size, truth_pixel_size, region, marker, positives_only)
    raise typer.Exit(evaluate_files(predictions, truth, out, options, json=json))


@app.command()
def animals(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="A folder of results with lungs.")
    ],
    design: Annotated[
        Path,
        typer.Argument(
            metavar="DESIGN.CSV",
            help="A table with the columns slide and animal, and if you like section (its "
            "number), distance_um (to the next section) and group.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the tables.  [default: RESULTS]"),
    ] = None,
    section_distance: Annotated[
        float | None,
        typer.Option(
            "--section-distance",
            metavar="UM",
            help="Micrometres from a section to the next, where the table is silent.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Pool the lung sections of each animal: burden, foci, and volumes by Cavalieri.

    OUT gets animals.csv, one row an animal, and animals.json. Areas and counts are summed before
    they are divided. A slide that failed or has no result is named and is no zero.

    **Examples**

    histo animals results design.csv

    histo animals results design.csv --section-distance 300 -o pooled
    """
    from histo.cli.animals import show_animals

    code = show_animals(results, design, out, section_distance_um=section_distance, json=json)
    raise typer.Exit(code)


@app.command()
def train(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="SLIDES TRUTH | SLIDE=TRUTH...",
            help="A folder of slides and a folder of annotations, paired by the slides' names; or "
            "each slide with its annotations.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the new model.")],
    model: Annotated[
        str, typer.Option(help="The model to start from: a name (histo models) or a folder.")
    ] = "nuclei-brightfield",
    minutes: Annotated[float, typer.Option(help="Time to learn.")] = 5.0,
    pixel_size: Annotated[
        float | None,
        typer.Option(
            "--pixel-size",
            metavar="UM",
            help="Micrometres per pixel of all slides given, instead of what a file states.",
        ),
    ] = None,
    marker: Annotated[
        str | None,
        typer.Option(help="Whose classes say which nuclei are positive, where there are several."),
    ] = None,
    positivity: Annotated[
        bool,
        typer.Option(
            help="Learn from the classes Positive and Negative, too; not where the stain is "
            "cytoplasmic."
        ),
    ] = True,
    held_back: Annotated[
        float, typer.Option("--held-back", help="Share of the nuclei to be judged on, not learned.")
    ] = 0.25,
    seed: Annotated[int, typer.Option(help="Chooses what is held back.")] = 1,
    force: Annotated[
        bool, typer.Option("--force", help="Start anew; replace a model made before.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Teach the nuclei model of stained sections with your own corrected cells, in minutes.

    TRUTH is GeoJSON of QuPath (cells, detections, and what was drawn beside or over them), a
    label image of the size of the slide, or a result folder. In GeoJSON, an annotation of the
    class Region* (or Training) marks an area in which every nucleus is outlined: draw one, so
    that missing outlines teach what is no nucleus. Without one, gaps between outlines that are
    narrower than 40 µm count as complete, and nothing else is learned from. A label image counts
    as complete everywhere.

    Some fields are held back; both models are scored on them, and the scores stand in the new
    model's README.md. Ctrl-C stops early and keeps what was learned; the same command goes on.

    **Examples**

    histo train slides/ corrected/ -o my-model

    histo train a.svs=a.geojson b.svs=b.geojson -o my-model --minutes 10

    histo run slides/ -o results --panel foxp3-dab --model my-model
    """
    from histo.cli.train import TrainOptions, train_model

    options = TrainOptions(model, minutes, pixel_size, marker, positivity, held_back, seed)
    raise typer.Exit(train_model(inputs, out, options, force=force, json=json, quiet=quiet))


@app.command("train-regions")
def train_regions(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="SLIDES ANNOTATIONS | SLIDE=ANNOTATIONS...",
            help="A folder of slides and a folder of GeoJSON, paired by the slides' names; or each "
            "slide with its GeoJSON.",
        ),
    ],
    results: Annotated[
        Path,
        typer.Option("--results", "-r", help="The output folder of histo run for these slides."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the new model.")],
    channel: Annotated[
        list[str] | None,
        typer.Option(
            help="A stain or channel to look at beside the nuclei, such as cytokeratin or eosin."
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="A region model of the same classes to go on from, such as compartments."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="How long to learn; 300 take about a minute.")] = 300,
    seed: Annotated[int, typer.Option(help="Chooses the order of learning.")] = 1,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Teach tumour, stroma and what else you drew, from a few strokes or areas, in a minute.

    In QuPath or napari, draw areas, brush strokes or lines over clear examples and set their
    class (Tumor, Stroma, Necrosis, or your own); what you leave undrawn is not learned from. A
    quarter of the annotations is held back to say how well it does. It looks at how nuclei lie,
    their size and shape and the nuclear stain; at markers only with --channel.

    **Examples**

    histo train-regions slides/ strokes/ --results results -o my-regions

    histo train-regions a.svs=a.geojson -r results -o my-regions --channel cytokeratin

    histo run slides/ -o results --panel foxp3-dab --regions my-regions
    """
    from histo.cli.train_regions import TrainRegionsOptions, train_region_model

    options = TrainRegionsOptions(results, tuple(channel or ()), start, steps, seed)
    raise typer.Exit(train_region_model(inputs, out, options, force=force, json=json, quiet=quiet))


@app.command()
def info(
    slide: Annotated[Path, typer.Argument(help="A slide.")],
    json: Json = False,
) -> None:
    """Tell what is known of a slide: size, pixel size and its source, levels, channels.

    **Example**

    histo info slide.svs
    """
    from histo.cli.show import show_slide

    show_slide(slide, json=json)


@app.command()
def panels(json: Json = False) -> None:
    """List the panels: what each looks for, and where its cut-offs lie.

    **Example**

    histo panels
    """
    from histo.cli.show import show_panels

    show_panels(json=json)


@app.command()
def models(json: Json = False) -> None:
    """List the models for nuclei (--model) and for regions (--regions), with version and licence.

    **Example**

    histo models
    """
    from histo.cli.show import show_models

    show_models(json=json)


@app.command()
def demo(
    panel: Annotated[
        list[str] | None, typer.Argument(help="Only the samples of these panels.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "demo_results"
    ),
    force: Annotated[bool, typer.Option("--force", help="Redo what is finished.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Analyse the sample images that come with histo, and say where the pictures are.

    They are painted, with known truth, but for one real section from scikit-image.

    **Examples**

    histo demo

    histo demo rankl-dab -o somewhere
    """
    from histo.cli.demo import run_demo

    raise typer.Exit(run_demo(out, tuple(panel or ()), force=force, json=json, quiet=quiet))
