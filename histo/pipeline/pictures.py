"""Pictures with the calls drawn, and the pixels they are drawn from.

The pixels (the slide from afar, some fields, squares around some cells) are kept in the result
folder, so that changed calls can be drawn again without the slide.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd
from skimage.draw import polygon2mask

from histo.edits import DrawnNucleus
from histo.errors import ResultError
from histo.geometry import Region
from histo.metrics import Metric
from histo.panel import Panel, Thresholds, deciding_column
from histo.pipeline.files import COMPARTMENT_PICTURE, LABELS, OUTLINES, VIEWS
from histo.pipeline.spatial import read_window, tumor_border
from histo.results import (
    Caption,
    GalleryCell,
    SlideResult,
    channel_colours,
    choose_cells,
    draw_compartments,
    draw_field,
    draw_gallery,
    draw_overview,
    measurement_name,
    open_labels,
    read_outlines,
    show_channels,
    write_png,
)

if TYPE_CHECKING:
    from histo.pipeline.compartments import Divided
    from histo.pipeline.measure import Workplace
    from histo.results.calls import Rgb

__all__ = ["VIEWS", "draw_divided", "draw_pictures", "key_numbers", "save_views"]

#: Side of the overview at most, of a field, and of the square around a cell.
OVERVIEW_PX, FIELD_UM, CELL_UM = 1600, 256.0, 24.0

#: Cells whose squares are kept, for each marker.
KEPT_CELLS = 240


@dataclass(frozen=True, slots=True)
class _Shown:
    """Turns what the slide holds into a picture for the eye.

    Attributes
    ----------
    channels : tuple of int
        Positions in the slide, the nuclear one first; empty for stained sections.
    names : tuple of str
        What the panel calls them.
    limits : tuple of (float, float)
        Intensities drawn black and brightest.
    """

    channels: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    limits: tuple[tuple[float, float], ...] = ()

    def __call__(self, image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        if not self.channels:
            return np.asarray(image, np.uint8)
        limits = self.limits
        if len(limits) > 3:
            # Of many markers only the bright part is told apart; haze would cover the nuclei.
            limits = (limits[0], *((low + 0.1 * (high - low), high) for low, high in limits[1:]))
        return show_channels(image[..., list(self.channels)], limits)

    def apart(self, image: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return the channels side by side, uint8 (Y, X, C); a stained section as it is."""
        if not self.channels:
            return np.asarray(image, np.uint8)
        low, high = np.array(self.limits, np.float32).T
        light = (image[..., list(self.channels)].astype(np.float32) - low) / (high - low)
        return np.asarray(np.rint(255 * np.clip(light, 0, 1)), np.uint8)


def _eye(place: Workplace) -> _Shown:
    if place.panel.kind == "brightfield":
        return _Shown()
    first = place.panel.channel_names.index(str(place.panel.nuclear_channel))
    order = (first, *(k for k in range(len(place.channels)) if k != first))
    tissue = place.survey.picture[place.survey.tissue]
    tissue = tissue if len(tissue) else place.survey.picture.reshape(-1, tissue.shape[-1])
    limits = []
    for k in order:
        low, high = (float(v) for v in np.percentile(tissue[:, place.channels[k]], (5, 99.8)))
        limits.append((low, max(high, low + 1e-6)))
    return _Shown(
        tuple(place.channels[k] for k in order),
        tuple(place.panel.channel_names[k] for k in order),
        tuple(limits),
    )


def save_views(
    folder: Path, place: Workplace, cells: pd.DataFrame, thresholds: dict[str, Thresholds]
) -> None:
    """Read the pixels that the pictures need and write them to `VIEWS`.

    Parameters
    ----------
    folder : Path
    place : Workplace
    cells : DataFrame
        With calls.
    thresholds : dict of str to Thresholds
    """
    eye, survey, um = _eye(place), place.survey, place.pixel_size_um
    overview = eye(place.slide.thumbnail(OVERVIEW_PX))
    whole_um = place.slide.shape[1] * place.slide.pixel_size_um
    field = _field_region(place, cells)
    squares, kept = _squares(place, cells, thresholds, eye)
    views: dict[str, Any] = {
        "overview": overview,
        "overview_um": np.float64(whole_um / overview.shape[1]),
        "tissue": survey.tissue,
        "artefacts": survey.artefacts,
        "field": eye(place.slide.read(field, um)),
        "field_at": np.array([field.y, field.x], np.int64),
        "pixel_size_um": np.float64(um),
        "level0_um": np.array(place.slide.pixel_size_yx_um),
        "cell_ids": kept,
        "squares": squares,
        "channels": np.array(eye.names, np.str_),
    }
    np.savez_compressed(folder / VIEWS, **views)


def _field_region(place: Workplace, cells: pd.DataFrame) -> Region:
    """Choose the field with the most positive cells (without markers: the most cells)."""
    um = place.pixel_size_um
    shape = place.slide.grid_shape(um)
    side = round(FIELD_UM / um)
    height, width = min(side, shape[0]), min(side, shape[1])
    valid = cells[(cells["compartment"] != "excluded").to_numpy()]
    for name in place.panel.marker_names:
        positive = valid[valid[f"{name}_positive"].to_numpy(bool)]
        if len(positive):
            valid = positive
            break
    if not len(valid):
        return Region((shape[0] - height) // 2, (shape[1] - width) // 2, height, width)
    y, x = valid["y_um"].to_numpy() / um, valid["x_um"].to_numpy() / um
    bins = (y // (side / 2)).astype(int), (x // (side / 2)).astype(int)
    counts = np.zeros((bins[0].max() + 2, bins[1].max() + 2))
    np.add.at(counts, bins, 1)
    sums = counts[:-1, :-1] + counts[1:, :-1] + counts[:-1, 1:] + counts[1:, 1:]
    row, column = np.unravel_index(int(np.argmax(sums)), sums.shape)
    top = int(np.clip(row * side / 2, 0, shape[0] - height))
    left = int(np.clip(column * side / 2, 0, shape[1] - width))
    return Region(top, left, height, width)


def _squares(
    place: Workplace, cells: pd.DataFrame, thresholds: dict[str, Thresholds], eye: _Shown
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    um = place.pixel_size_um
    side = round(CELL_UM / um)
    chosen: list[int] = []
    for marker in place.panel.markers:
        column, first = deciding_column(place.panel, marker, thresholds[marker.name])
        groups = choose_cells(
            cells, marker.name, column=column, threshold=first, each=KEPT_CELLS // 4
        )
        chosen += [int(i) for ids in groups.values() for i in ids]
    kept = np.unique(np.array(chosen, np.int64))
    at = cells.set_index("cell_id").loc[kept, ["y_um", "x_um"]].to_numpy() / um
    squares = np.zeros((len(kept), side, side, len(eye.channels) or 3), np.uint8)
    # Row by row of the slide, so that neighbouring squares share decoded tiles.
    for index in np.lexsort((at[:, 1], at[:, 0] // 512)):
        y, x = (round(float(v)) - side // 2 for v in at[index])
        squares[index] = eye.apart(place.slide.read(Region(y, x, side, side), um))
    return squares, kept


def draw_pictures(
    folder: Path,
    cells: pd.DataFrame,
    panel: Panel,
    *,
    thresholds: dict[str, Thresholds],
    caption: Caption,
    drawn: Mapping[int, DrawnNucleus] | None = None,
) -> None:
    """Draw overview.png, field.png and a gallery for each marker, from `VIEWS`.

    Parameters
    ----------
    folder : Path
        The result folder; holds `VIEWS`, labels and outlines.
    cells : DataFrame
        With calls.
    panel : Panel
    thresholds : dict of str to Thresholds
    caption : Caption
        Title, key numbers and flags.
    drawn : mapping of int to DrawnNucleus, optional
        Nuclei that are not among the labels, by ``cell_id``.

    Raises
    ------
    ResultError
        If `VIEWS`, the labels or the outlines are missing or damaged.
    """
    views = _read_views(folder / VIEWS)
    colours = _colours(views)
    caption = replace(caption, channels=colours)
    overview = draw_overview(
        views["overview"],
        cells,
        pixel_size_um=float(views["overview_um"]),
        tissue=views["tissue"],
        artefacts=views["artefacts"],
        caption=caption,
    )
    write_png(folder / "overview.png", overview)
    um, (y, x) = float(views["pixel_size_um"]), views["field_at"]
    height, width = views["field"].shape[:2]
    labels = np.array(open_labels(folder / LABELS)[0][y : y + height, x : x + width], np.int64)
    for cell, nucleus in (drawn or {}).items():
        _paint(labels, cell, nucleus.outline_um / um - (y, x))
    field = draw_field(
        views["field"],
        labels,
        cells,
        pixel_size_um=um,
        title=caption.title,
        channels=colours,
    )
    write_png(folder / "field.png", field)
    for marker in panel.markers:
        cut = thresholds[marker.name]
        column, first = deciding_column(panel, marker, cut)
        shown = _of_marker(views, colours, marker.plane)
        rows = _gallery_rows(folder, cells, shown, marker.name, column=column, first=first)
        cuts = (first,) if cut.source == "learned" else cut.values
        values = cells.loc[(cells["compartment"] != "excluded").to_numpy(), column].to_numpy()
        picture = draw_gallery(
            rows,
            values,
            thresholds=cuts if cut.is_known else (),
            quantity=measurement_name(column) or column,
            title=f"{caption.title}: {marker.name.upper()}",
            channels={name: colours[name] for name in shown["channels"].tolist()},
        )
        write_png(folder / f"gallery_{marker.name}.png", picture)


def draw_divided(
    folder: Path,
    result: SlideResult,
    divided: Divided,
    regions_um: Sequence[npt.NDArray[np.float64]],
) -> None:
    """Draw compartments.png, from `VIEWS`.

    Parameters
    ----------
    folder : Path
        The result folder; holds `VIEWS` and the window.
    result : SlideResult
    divided : Divided
    regions_um : sequence of float64 (N, 2)
        Polygons (y, x in µm) that were excluded by hand.

    Raises
    ------
    ResultError
        If `VIEWS` or the window is missing or damaged.
    """
    border = tumor_border(divided, read_window(folder, regions_um))
    picture = draw_compartments(
        _read_views(folder / VIEWS)["overview"],
        divided.compartments.without(regions_um),
        result.cells,
        border_um=None if border is None else border.inner,
        metrics=result.metrics,
        title=f"{result.manifest['slide']['name']} · {divided.source['name']}",
    )
    write_png(folder / COMPARTMENT_PICTURE, picture)


def _paint(labels: npt.NDArray[np.int64], cell: int, ring: npt.NDArray[np.float64]) -> None:
    """Paint the pixels whose centres lie in a ring (y, x in pixels of the labels)."""
    low = np.maximum(np.floor(ring.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(ring.max(axis=0)).astype(int), labels.shape)
    if (low >= high).any():
        return
    part = labels[low[0] : high[0], low[1] : high[1]]
    part[polygon2mask(part.shape, ring - low - 0.5)] = cell  # type: ignore[no-untyped-call]


def _read_views(path: Path) -> dict[str, Any]:
    try:
        # Opened here: numpy leaves a damaged file open.
        with path.open("rb") as stream, np.load(stream) as stored:
            return {name: stored[name] for name in stored.files}
    except (FileNotFoundError, BadZipFile, EOFError, ValueError, zlib.error) as error:
        raise ResultError(
            f"{path.name}: the pixels that the pictures are drawn from are missing or damaged "
            f"({type(error).__name__}); run the slide again with --force."
        ) from error


def _colours(views: Mapping[str, Any]) -> dict[str, Rgb]:
    """Return the colour of each channel; none for stained sections, and for results of old."""
    names = views["channels"].tolist() if "channels" in views else []
    return dict(zip(names, channel_colours(len(names)), strict=True))


def _of_marker(views: dict[str, Any], colours: Mapping[str, Rgb], plane: str) -> dict[str, Any]:
    """Return the views with squares that show the nuclei and one marker, and nothing else.

    Stained sections show what the eye sees, and so do results that keep no channels apart.
    """
    if not colours:
        return {**views, "channels": np.array([], np.str_)}
    names = list(colours)
    picked = [0, names.index(plane)] if names.index(plane) else [0]
    squares = views["squares"]
    flat = squares[..., picked].reshape(1, -1, len(picked))
    paints = [colours[names[k]] for k in picked]
    # Nuclei at 60 %: a faint marker on them is still seen.
    mixed = show_channels(flat, [(0, 425), (0, 255)][: len(picked)], colours=paints)
    shown = np.array([names[k] for k in picked], np.str_)
    return {**views, "squares": mixed.reshape(*squares.shape[:3], 3), "channels": shown}


def _gallery_rows(
    folder: Path,
    cells: pd.DataFrame,
    views: dict[str, Any],
    marker: str,
    *,
    column: str,
    first: float,
) -> dict[str, list[GalleryCell]]:
    """Choose among the cells whose squares were kept."""
    um = float(views["pixel_size_um"])
    place = {int(cell): index for index, cell in enumerate(views["cell_ids"])}
    kept = cells[cells["cell_id"].isin(views["cell_ids"])]
    groups = choose_cells(kept, marker, column=column, threshold=first)
    wanted = {int(i) for ids in groups.values() for i in ids}
    rings = _rings(folder, wanted)
    table = kept.set_index("cell_id")
    values, grades = (table[name].to_dict() for name in (column, f"{marker}_grade"))
    half = views["squares"].shape[1] // 2
    rows: dict[str, list[GalleryCell]] = {}
    for name, ids in groups.items():
        rows[name] = []
        for cell in (int(i) for i in ids):
            corner = np.round(table.loc[cell, ["y_um", "x_um"]].to_numpy(float) / um) - half
            rows[name].append(
                GalleryCell(
                    cell,
                    float(values[cell]),
                    int(grades[cell]),
                    views["squares"][place[cell]],
                    rings[cell] * views["level0_um"] / um - corner,
                )
            )
    return rows


def _rings(folder: Path, wanted: set[int]) -> dict[int, npt.NDArray[np.float64]]:
    found: dict[int, npt.NDArray[np.float64]] = {}
    for batch in read_outlines(folder / OUTLINES):
        for index, cell in enumerate(batch.cell_ids):
            if int(cell) in wanted:
                found[int(cell)] = batch.nuclei[index]
    if missing := wanted - found.keys():
        raise ResultError(
            f"{folder.name}: {OUTLINES} lacks the cell {min(missing)}; run the slide again with "
            "--force."
        )
    return found


def key_numbers(
    metrics: tuple[Metric, ...], panel: Panel, thresholds: Mapping[str, Thresholds]
) -> tuple[tuple[str, str], ...]:
    """Return the numbers that stand beside the overview: a name, and its value with unit.

    Parameters
    ----------
    metrics : tuple of Metric
    panel : Panel
    thresholds : mapping of str to Thresholds

    Returns
    -------
    tuple of (str, str)
    """
    by_name = {metric.name: metric for metric in metrics}

    def shown(name: str, form: str = ",.0f") -> str:
        metric = by_name.get(name)
        if metric is None or metric.value != metric.value:
            return "not defined"
        text = f"{metric.value:{form}}"
        if metric.low == metric.low and metric.low != metric.high:
            text += f" [{metric.low:{form}} to {metric.high:{form}}]"
        return text

    lines = [("Cells", shown("cell_count")), ("Cells / mm²", shown("cell_density_per_mm2"))]
    for marker in panel.markers:
        title, name = marker.name.upper(), marker.name
        cut = thresholds[name]
        values = " / ".join(f"{v:.3g}" for v in cut.values) if cut.is_known else "unknown"
        lines += [
            (f"{title}+ cells", shown(f"{name}_count")),
            (f"{title}+ / mm²", shown(f"{name}_density_per_mm2", ",.1f")),
            (f"{title}+ %", shown(f"{name}_percent", ".1f")),
            (f"{title} H-score", shown(f"{name}_h_score", ".0f")),
            (f"{title} cut-offs", f"{values} ({cut.source})"),
        ]
    if "edited_cell_count" in by_name:
        lines.append(("Cells edited by hand", shown("edited_cell_count")))
    return tuple(lines)
