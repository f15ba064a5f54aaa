"""Train the model compartments: ``python train.py DATA``, about half an hour on two cores.

DATA holds mif_lung_foxp3/: multiplex fluorescence of lung cancer with tumour and stroma. Each
field is rendered as brown-and-blue and as pink-and-blue sections of several looks (by the
renderer of nuclei-brightfield); other sections are painted by histo.phantom. Each goes through
histo like a slide, and the model learns from the maps of what histo found. Scored on each slide
with a model that was not trained on it; then trained on everything, to be shipped (``--out``).
Sections are kept in ``--work``, so a stopped run goes on.
"""

# ruff: noqa: E402  (the renderer lies beside another model)

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import tifffile
from scipy import ndimage as ndi

RECIPES = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(RECIPES / "nuclei-brightfield" / "recipe"))

from layout import from_source
from render import Renderer
from sources import Source, _diameter, _smooth_masks, load_sources

from histo.nuclei import load_model
from histo.panel import load_panel
from histo.phantom import Composition, Recipe, paint_phantom
from histo.pipeline.measure import Workplace, measure_slide
from histo.pipeline.region_maps import slide_maps
from histo.pipeline.survey import survey_slide
from histo.region.learning import RegionLesson, learn_regions, new_network
from histo.region.maps import MAP_UM, PLANES
from histo.region.model import RegionModel, write_region_model
from histo.slide import open_slide

UM, SIDE = 0.5, 1344
CLASSES = ("Tumor", "Stroma")
PAINTED = 24
ABOUT = {
    "name": "compartments",
    "version": "0.1.0",
    "description": "Tumour nests and stroma from how nuclei lie, their shape, and the blue.",
    "license": "BSD-3-Clause",
}


def fields(data: Path) -> dict[str, tuple[Source, np.ndarray]]:
    """Return name -> (field, what it is: 1 tumour, 2 stroma, 3 background)."""
    found = {}
    for file in sorted((data / "mif_lung_foxp3").glob("Set*_tissue_x80.png")):
        stem = str(file).removesuffix("_tissue_x80.png")
        image = np.ascontiguousarray(cv2.imread(stem + "_composite.jpg")[..., ::-1])
        labels = _smooth_masks(tifffile.imread(stem + "_nuclei.tif").astype(np.int32))
        tissue = cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(np.int32) // 80 + 1
        found[Path(stem).name] = Source("tissue", image, labels, _diameter(labels)), tissue
    return found


def draw(renderer: Renderer, source: Source, tissue: np.ndarray, seed: int, *, he: bool):
    """Return a section (RGB) of a field, and what is where."""
    looks = []
    for labels in (source.labels, tissue):
        one = Source(source.kind, source.image, labels, source.diameter_px)
        looks.append(from_source(np.random.default_rng(seed), one, SIDE, source.diameter_px))
    layout, where = looks[0], looks[1].labels
    layout.nest = (where == 1).astype(np.float32)
    renderer.rng = np.random.default_rng(seed + 1000)
    tile = renderer._he(layout) if he else renderer._ihc(layout)
    return tile.rgb, where


def lesson(rgb: np.ndarray, where: np.ndarray, *, panel_name: str) -> RegionLesson:
    """Take a section through histo as far as the cell table, and draw its maps."""
    panel = load_panel(panel_name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "section.tif"
        tifffile.imwrite(file, rgb, photometric="rgb", tile=(256, 256))
        with open_slide(file, pixel_size_um=UM) as slide:
            survey = survey_slide(slide, panel)
            place = Workplace(slide, panel, survey, load_model(panel.model), UM)
            cells, _, survey = measure_slide(place, Path(folder), progress=lambda *_: None)
            maps = slide_maps(place, cells).draw()
    # The class that fills more than half of a map's pixel; else it is not known.
    step = round(MAP_UM / UM)
    shape = where.shape[0] // step, where.shape[1] // step
    blocks = where[: shape[0] * step, : shape[1] * step].reshape(shape[0], step, shape[1], step)
    known = np.zeros(shape, np.uint8)
    for value in (1, 2):
        known[(blocks == value).mean((1, 3)) > 0.6] = value
    return RegionLesson(maps[:, : shape[0], : shape[1]], known)


def sections(data: Path, work: Path, looks: int) -> dict[str, list[RegionLesson]]:
    """Render and measure every field in several looks; those that are there are read."""
    work.mkdir(parents=True, exist_ok=True)
    sources = load_sources(data)
    renderer = Renderer(sources, seed=1, side_px=SIDE)
    lessons: dict[str, list[RegionLesson]] = {}
    for number, (name, (source, tissue)) in enumerate(fields(data).items()):
        for look in range(looks):
            file, he = work / f"{name}-{look}.npz", look % 3 == 2
            if not file.exists():
                rgb, where = draw(renderer, source, tissue, 100 * number + look, he=he)
                cv2.imwrite(str(file.with_suffix(".jpg")), rgb[..., ::-1])
                one = lesson(rgb, where, panel_name="he" if he else "foxp3-dab")
                np.savez_compressed(file, maps=one.maps.astype(np.float16), classes=one.classes)
                print(file.name, flush=True)
            with np.load(file) as kept:
                one = RegionLesson(kept["maps"].astype(np.float32), kept["classes"])
            lessons.setdefault(name, []).append(one)
    return lessons


def painted(work: Path) -> list[RegionLesson]:
    """Paint sections of many compositions and measure them; those that are there are read."""
    lessons = []
    for number in range(PAINTED):
        file, rng = work / f"painted-{number}.npz", np.random.default_rng(number)
        panel = ("foxp3-dab", "rankl-dab", "he")[number % 3]
        if not file.exists():
            mix = Composition(
                tumour=float(rng.uniform(0.25, 0.65)), nest_um=float(rng.uniform(40, 120))
            )
            one = paint_phantom(Recipe(panel, mix), 500 + number, shape=(1024, 1024))
            where = np.where(one.nests, 1, 2) * one.tissue
            learnt = lesson(one.image, where, panel_name=panel)
            np.savez_compressed(file, maps=learnt.maps.astype(np.float16), classes=learnt.classes)
            print(file.name, flush=True)
        with np.load(file) as kept:
            lessons.append(RegionLesson(kept["maps"].astype(np.float32), kept["classes"]))
    return lessons


def score(model: RegionModel, lessons: list[RegionLesson]) -> list[float]:
    """Return Dice by class, pooled over sections, where the truth is known."""
    sums = np.zeros((len(CLASSES), 2))
    for one in lessons:
        known = one.classes > 0
        likely = [ndi.gaussian_filter(p, 6.0 / MAP_UM) for p in model.probabilities(one.maps)]
        found = np.argmax(likely, 0) + 1
        for index in range(len(CLASSES)):
            a, b = (found == index + 1) & known, one.classes == index + 1
            sums[index] += 2 * (a & b).sum(), a.sum() + b.sum()
    return (sums[:, 0] / sums[:, 1]).tolist()


def taught(lessons: list[RegionLesson], steps: int) -> RegionModel:
    """Train on sections."""
    net = learn_regions(lessons, new_network(len(PLANES), len(CLASSES)), steps=steps)
    return RegionModel("trial", "0", "", CLASSES, (), net)


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder that holds mif_lung_foxp3/ and dsb2018/")
    parser.add_argument("--work", type=Path, default=Path("sections"))
    parser.add_argument("--looks", type=int, default=4, help="sections rendered of each field")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--out", type=Path, help="folder of the model trained on everything")
    options = parser.parse_args()
    rendered, drawn = sections(options.data, options.work, options.looks), painted(options.work)
    print("| scored on | trained on | Dice tumour | Dice stroma |\n|---|---|---|---|")
    for held_out in ("Set4", "Set8"):
        own = [one for name, ones in rendered.items() if name[:4] != held_out for one in ones]
        for title, extra in (("other slide", []), ("other slide and painted sections", drawn[:18])):
            model = taught([*own, *extra], options.steps)
            for name, ones in rendered.items():
                if name[:4] == held_out:
                    tumour, stroma = score(model, ones)
                    print(f"| {name} | {title} | {tumour:.2f} | {stroma:.2f} |", flush=True)
            if extra:
                tumour, stroma = score(model, drawn[18:])
                print(
                    f"| painted, other seeds | {title} | {tumour:.2f} | {stroma:.2f} |", flush=True
                )
    if options.out is not None:
        everything = [*(one for ones in rendered.values() for one in ones), *drawn]
        net = taught(everything, options.steps).net
        print(write_region_model(options.out, net, CLASSES, about=ABOUT))


if __name__ == "__main__":
    main()
