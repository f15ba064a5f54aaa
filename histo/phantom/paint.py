"""Paint a field of tissue that looks real and whose truth is known exactly."""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histo.phantom.calls import Calls, draw_markers, draw_nuclear_stain
from histo.phantom.ground import paint_ground, paint_marker, resolve_terrain, surround
from histo.phantom.layout import GRID_UM, lay_out
from histo.phantom.mix import CONTAMINANTS, Field, mix_brightfield, mix_fluorescence
from histo.phantom.noise import Plane, smooth_noise
from histo.phantom.nuclei import PaintedNuclei, paint_nuclei
from histo.phantom.optics import capture, count_photons, transmit
from histo.phantom.population import KINDS, Population, populate
from histo.phantom.recipe import GRADE_LEVELS, Recipe, is_fluorescence
from histo.phantom.truth import Phantom, tabulate

_LEAST_NUCLEUS_UM2: Final = 5.0
_MOST_PIXELS: Final = 64_000_000


def _sample(plane: Plane, pop: Population) -> NDArray[np.float64]:
    """Read a map of the layout at the nuclei."""
    y = np.clip((pop.y_um / GRID_UM).astype(int), 0, plane.shape[0] - 1)
    x = np.clip((pop.x_um / GRID_UM).astype(int), 0, plane.shape[1] - 1)
    return np.asarray(plane[y, x], np.float64)


def _drop_slivers(
    labels: NDArray[np.int32], pixel_size_um: float
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Find the nuclei that count and renumber the labels 1...N.

    What is left of a covered nucleus counts only when a reader would see it.
    """
    seen = np.bincount(labels.ravel()) * pixel_size_um**2 >= _LEAST_NUCLEUS_UM2
    seen[0] = False
    kept = np.flatnonzero(seen)
    number = np.zeros(seen.size, np.int32)
    number[kept] = np.arange(1, kept.size + 1)
    return kept - 1, number[labels]


def _add_truth(
    cells: pd.DataFrame,
    pop: Population,
    calls: dict[str, Calls],
    in_focus: NDArray[np.bool_],
) -> pd.DataFrame:
    """Extend the measured table with kinds and painted calls."""
    table = cells.assign(kind=np.array(KINDS)[pop.kind].astype(object), in_focus=in_focus)
    for marker, call in calls.items():
        table[f"{marker}_level"] = call.level
        table[f"{marker}_grade"] = call.grade
        table[f"{marker}_positive"] = call.grade > 0
    first = ["cell_id", "kind"]
    return table[[*first, *(column for column in table.columns if column not in first)]]


def _light(
    recipe: Recipe, names: tuple[str, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give unit stain vectors (S, 3) and the white point (3,); empty for fluorescence."""
    if is_fluorescence(recipe.panel):
        return np.zeros((0, 3)), np.zeros(0)
    rows = [
        CONTAMINANTS[name] if name in CONTAMINANTS else getattr(recipe.appearance, name)
        for name in names
    ]
    vectors = np.asarray(rows, np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, np.asarray(recipe.appearance.white_point, np.float64)


def paint_phantom(
    recipe: Recipe, seed: int, *, shape: tuple[int, int] = (512, 512), pixel_size_um: float = 0.5
) -> Phantom:
    """Paint a field that looks like a scanned section, with its exact truth.

    Parameters
    ----------
    recipe
        Panel, tissue, stain and scanner.
    seed
        Same recipe, seed, shape and pixel size: same phantom. The tissue and its cells
        depend on the extent in µm only, so the same extent at another pixel size shows the
        same cells.
    shape
        (Y, X), pixels.
    pixel_size_um
        0.1-2 µm.

    Returns
    -------
    Phantom

    Raises
    ------
    ValueError
        When the shape or the pixel size is out of range.

    Examples
    --------
    >>> phantom = paint_phantom(Recipe("foxp3-dab"), 1, shape=(128, 128))
    >>> phantom.image.shape, phantom.image.dtype.name
    ((128, 128, 3), 'uint8')
    >>> bool((phantom.cells["nucleus_area_um2"] > 0).all())
    True
    """
    if not 0.1 <= pixel_size_um <= 2:
        raise ValueError(f"pixel_size_um must lie in 0.1-2, got {pixel_size_um}")
    if min(shape) < 16 or shape[0] * shape[1] > _MOST_PIXELS:
        raise ValueError(f"shape must be at least 16 x 16 and at most 64 megapixels, got {shape}")
    px = pixel_size_um
    streams = np.random.default_rng(seed).spawn(11)
    comp = recipe.composition
    layout = lay_out(streams[0], (shape[0] * px, shape[1] * px), comp)
    pop = populate(streams[1], layout, comp)
    mood = smooth_noise(streams[2], layout.nest.shape, scale_um=40, pixel_size_um=GRID_UM)
    calls = draw_markers(streams[3], pop, recipe, _sample(mood, pop))
    stain = draw_nuclear_stain(streams[4], pop, recipe, calls)
    nuclei = paint_nuclei(streams[5], pop, stain, shape=shape, pixel_size_um=px)
    kept, labels = _drop_slivers(nuclei.labels, px)
    pop, calls = pop.take(kept), {marker: call.take(kept) for marker, call in calls.items()}
    nuclei = PaintedNuclei(labels, nuclei.nuclear, nuclei.marker)

    terrain = resolve_terrain(layout, shape, px)
    cytoplasm = surround(streams[6], labels, pop.kind, terrain, pixel_size_um=px)
    ground = paint_ground(streams[7], terrain, cytoplasm, comp, pixel_size_um=px)
    markers: dict[str, Plane] = {"foxp3": nuclei.marker}
    for role, membrane in (("rankl", 1.0), ("cd3", 2.5)):
        if role in calls:
            markers[role] = paint_marker(
                streams[8],
                cytoplasm,
                labels,
                calls[role].level,
                pixel_size_um=px,
                membrane=membrane,
            )
    mix = mix_fluorescence if is_fluorescence(recipe.panel) else mix_brightfield
    mixed = mix(streams[9], Field(recipe, layout, terrain, ground, px), nuclei, markers)
    names, planes = tuple(mixed), np.stack(list(mixed.values()), -1)
    cells = tabulate(labels, cytoplasm.cell_labels, planes, names, pixel_size_um=px)
    cells = _add_truth(cells, pop, calls, stain.in_focus[kept])
    vectors, white = _light(recipe, names)
    optics, light = recipe.appearance.optics, streams[10]
    image = (
        count_photons(planes, optics, light, pixel_size_um=px)
        if is_fluorescence(recipe.panel)
        else capture(transmit(planes, vectors, white), optics, light, pixel_size_um=px)
    )
    gain = 1.0 if is_fluorescence(recipe.panel) else recipe.appearance.dab_gain
    low, middle, high = (gain * limit for limit in GRADE_LEVELS)
    return Phantom(
        image=image,
        labels=labels,
        cell_labels=cytoplasm.cell_labels,
        cells=cells,
        tissue=terrain.tissue,
        nests=terrain.nest > 0.5,
        planes=planes,
        names=names,
        vectors=vectors,
        white_point=white,
        cutoffs=(low, middle, high),
        pixel_size_um=px,
        panel=recipe.panel,
    )
