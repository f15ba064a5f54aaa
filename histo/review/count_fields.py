"""Random fields to count in, drawn by how densely the software finds positive cells in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo.errors import ResultError
from histo.pipeline.files import reading
from histo.region.shapes import without_regions
from histo.results.slide_result import read_manifest

__all__ = [
    "CountField",
    "RecountPlan",
    "Stratum",
    "plan_recount",
    "suggest_side_um",
    "valid_tissue",
]

#: Positive cells that a field should hold on average, where there are any: enough that counts
#: differ between fields by more than chance, few enough to be counted in a minute.
AIM_POSITIVE = 15
#: Smaller fields are ruled by what lies on their border; in larger ones a nucleus is too small on
#: a screen to be judged.
SMALLEST_UM, LARGEST_UM, STEP_UM = 100.0, 400.0, 25.0
#: A field lies in valid tissue when this share of it does.
LEAST_VALID = 0.9

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CountField:
    """A square in which a reader counts.

    Parameters
    ----------
    y_um, x_um : float
        Its top left corner, µm from that of the slide.
    side_um : float
    stratum : int
        Index of its stratum in the plan.

    Examples
    --------
    >>> CountField(100, 200, 50, 0).contains(np.array([[100.0, 249.9], [150, 200]])).tolist()
    [True, False]
    """

    y_um: float
    x_um: float
    side_um: float
    stratum: int

    @property
    def centre_um(self) -> tuple[float, float]:
        """Its middle (y, x) in µm."""
        return self.y_um + self.side_um / 2, self.x_um + self.side_um / 2

    def contains(self, points_um: npt.ArrayLike, *, inner_um: float = 0.0) -> Bools:
        """Say which points (y, x) lie in it, bool (N,); ``inner_um`` from its border or more."""
        points = np.asarray(points_um, np.float64).reshape(-1, 2)
        low = np.array([self.y_um, self.x_um]) + inner_um
        return np.asarray(
            ((points >= low) & (points < low + self.side_um - 2 * inner_um)).all(axis=1)
        )


@dataclass(frozen=True, slots=True)
class Stratum:
    """Fields of the slide that were drawn from together.

    Parameters
    ----------
    name : str
        In words: ``none``, ``few``, ``some``, ``many`` positive cells.
    fields : int
        How many there are in the slide.
    low, high : int
        Least and largest count of positive cells in them, as the software counted.
    """

    name: str
    fields: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class RecountPlan:
    """Which fields are counted, and in which order.

    Parameters
    ----------
    marker : str
    side_um : float
        Of a field.
    seed : int
        Chose the fields.
    fields : tuple of CountField
        In the order in which they are shown, at random.
    strata : tuple of Stratum

    Examples
    --------
    >>> one, all_of_them = CountField(0, 0, 100, 0), Stratum("all", 8, 0, 9)
    >>> plan = RecountPlan("foxp3", 100.0, 1, (one,), (all_of_them,))
    >>> plan.weights.tolist()
    [8.0]
    """

    marker: str
    side_um: float
    seed: int
    fields: tuple[CountField, ...]
    strata: tuple[Stratum, ...]

    @property
    def weights(self) -> Floats:
        """How many fields of the slide each drawn one stands for, float64 (N,)."""
        groups = np.array([one.stratum for one in self.fields], np.int64)
        drawn = np.bincount(groups, minlength=len(self.strata))
        there = np.array([one.fields for one in self.strata], np.float64)
        return np.asarray(there[groups] / drawn[groups])


def valid_tissue(folder: str | Path, *, without_um: Sequence[Floats] = ()) -> tuple[Bools, float]:
    """Return where a result's tissue is free of artefacts.

    Parameters
    ----------
    folder : path
        The result folder of one slide.
    without_um : sequence of float64 (N, 2)
        Polygons (y, x) that were left out by hand, µm.

    Returns
    -------
    bool (Y, X)
    float
        Its pixel size in µm; pixel (0, 0) lies in the slide's top left corner.

    Raises
    ------
    ResultError
        If it is no result, or what was kept of the slide is missing.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    with reading(folder.name, "where its tissue lies is missing or damaged"):
        um = float(manifest["analysis"]["survey_pixel_size_um"])
        with (folder / "views.npz").open("rb") as stream, np.load(stream) as stored:
            valid = np.asarray(stored["tissue"] & (stored["artefacts"] == 0))
    return without_regions(valid, um, without_um), um


def suggest_side_um(cells: pd.DataFrame, marker: str, valid_um2: float) -> float:
    """Suggest the side of fields, so that a usual one holds about fifteen positive cells.

    Where positive cells are sparse, fields are as large as can be judged on a screen, and hold
    fewer.

    Parameters
    ----------
    cells : DataFrame
        The cell table with calls.
    marker : str
    valid_um2 : float
        Valid tissue, µm².

    Returns
    -------
    float
        µm, in steps of 25, from 100 to 400.

    Examples
    --------
    >>> table = pd.DataFrame({"foxp3_positive": [True] * 300, "compartment": "tissue"})
    >>> suggest_side_um(table, "foxp3", 1e6)
    225.0
    """
    positive = int(_positive(cells, marker).sum())
    if positive == 0 or not valid_um2 > 0:
        return LARGEST_UM
    side = math.sqrt(AIM_POSITIVE * valid_um2 / positive)
    return min(max(round(side / STEP_UM) * STEP_UM, SMALLEST_UM), LARGEST_UM)


def plan_recount(
    cells: pd.DataFrame,
    valid: Bools,
    pixel_size_um: float,
    *,
    marker: str,
    fields: tuple[int, float],
    seed: int = 1,
) -> RecountPlan:
    """Draw fields at random, so that empty, sparse and dense ones are all among them.

    The slide is cut into squares, from a corner at random. Those that lie in valid tissue make
    strata: where the software finds no positive cell, and the others halved at their median
    count; without empty ones, three of equal size. An equal number is drawn of each stratum, and
    the order shuffled.

    Parameters
    ----------
    cells : DataFrame
        The cell table with calls.
    valid : bool (Y, X)
        Tissue without artefacts.
    pixel_size_um : float
        Of ``valid``.
    marker : str
    fields : (int, float)
        How many fields, and their side in µm. Fewer are drawn where the tissue has fewer.
    seed : int
        The same seed draws the same fields.

    Returns
    -------
    RecountPlan

    Raises
    ------
    ResultError
        If fewer than two such fields fit into the tissue.
    ValueError
        If a number is out of range, or the table has no such marker.

    References
    ----------
    Cochran, Sampling Techniques, 3rd ed. (1977), chapter 5: stratified random sampling.

    Examples
    --------
    >>> places = np.random.default_rng(0).uniform(0, 1000, (400, 2))
    >>> table = pd.DataFrame({"y_um": places[:, 0], "x_um": places[:, 1],
    ...                       "foxp3_positive": True, "compartment": "tissue"})
    >>> plan = plan_recount(table, np.ones((250, 250), bool), 4.0, marker="foxp3", fields=(12, 100))
    >>> len(plan.fields), [stratum.name for stratum in plan.strata]
    (12, ['few', 'some', 'many'])
    """
    number, side = fields
    if number < 2 or not side > 0 or seed < 0:
        raise ValueError(f"fields must be (2 or more, µm above 0), seed 0 or more; got {fields}.")
    rng = np.random.default_rng(seed)
    corners = _squares(valid, pixel_size_um, side, rng)
    if len(corners) < 2:
        raise ResultError(
            f"Fewer than two fields of {side:g} µm fit into the valid tissue; choose smaller ones."
        )
    places = cells.loc[_positive(cells, marker), ["y_um", "x_um"]].to_numpy(np.float64)
    counts = _count_in(corners, side, places)
    groups, names = _stratify(counts, rng)
    strata = tuple(
        Stratum(
            name,
            int((groups == index).sum()),
            int(counts[groups == index].min()),
            int(counts[groups == index].max()),
        )
        for index, name in enumerate(names)
    )
    chosen = [
        rng.choice(np.flatnonzero(groups == index), share, replace=False)
        for index, share in enumerate(_share_out(number, [one.fields for one in strata]))
    ]
    order = rng.permutation(np.concatenate(chosen)).tolist()
    drawn = tuple(
        CountField(float(corners[row, 0]), float(corners[row, 1]), float(side), int(groups[row]))
        for row in order
    )
    return RecountPlan(marker, float(side), seed, drawn, strata)


def _positive(cells: pd.DataFrame, marker: str) -> Bools:
    """Return the positive cells that count."""
    column = f"{marker}_positive"
    if column not in cells:
        raise ValueError(f"the cell table has no calls of {marker}.")
    counted = (cells["compartment"] != "excluded").to_numpy(bool)
    return np.asarray(cells[column].to_numpy(bool) & counted)


def _squares(valid: Bools, um: float, side: float, rng: np.random.Generator) -> Floats:
    """Return the corners (y, x) in µm of the squares of a grid that lie in valid tissue."""
    # Sums over rectangles from one table: how much of each square is valid.
    table = np.zeros((valid.shape[0] + 1, valid.shape[1] + 1), np.int64)
    table[1:, 1:] = valid.astype(np.int64).cumsum(axis=0).cumsum(axis=1)
    height, width = (n * um for n in valid.shape)
    shift = rng.uniform(0, side, 2)
    # A slide that is hardly larger than a field would lose most of its fields to the shift.
    shift = np.where(np.array([height, width]) < 6 * side, 0.0, shift)
    rows, columns = (
        np.arange(s, n - side + 1e-6, side) for s, n in zip(shift, (height, width), strict=True)
    )
    corners = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    low = np.rint(corners / um).astype(int)
    high = np.minimum(np.rint((corners + side) / um).astype(int), valid.shape)
    inside = (
        table[high[:, 0], high[:, 1]]
        - table[low[:, 0], high[:, 1]]
        - table[high[:, 0], low[:, 1]]
        + table[low[:, 0], low[:, 1]]
    )
    area = np.maximum((high - low).prod(axis=1), 1)
    return np.asarray(corners[inside >= LEAST_VALID * area])


def _count_in(corners: Floats, side: float, places: Floats) -> npt.NDArray[np.int64]:
    """Count places in each square of a grid."""
    start = corners.min(axis=0)
    at = np.floor((places - start) / side).astype(np.int64)
    wanted = np.rint((corners - start) / side).astype(np.int64)
    found = pd.Series(1, pd.MultiIndex.from_arrays(at.T)).groupby(level=[0, 1]).sum()
    index = pd.MultiIndex.from_arrays(wanted.T)
    return np.asarray(found.reindex(index, fill_value=0).to_numpy(np.int64))


def _stratify(
    counts: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Return the stratum of each square, and the strata's names."""
    groups = np.zeros(len(counts), np.int64)
    # Equal counts are ranked at random, so that parts are of equal size whatever the counts.
    order = np.lexsort((rng.random(len(counts)), counts))
    empty = int((counts == 0).sum())
    full = order[empty:]
    if empty == 0:
        parts, names = np.array_split(order, 3), ("few", "some", "many")
    else:
        parts, names = [order[:empty], *np.array_split(full, 2)], ("none", "few", "many")
    kept = [(part, name) for part, name in zip(parts, names, strict=True) if len(part)]
    for index, (part, _) in enumerate(kept):
        groups[part] = index
    return groups, tuple(name for _, name in kept)


def _share_out(number: int, there: Sequence[int]) -> list[int]:
    """Give each stratum an equal number; what one lacks goes to the others, dense ones first."""
    given = [0] * len(there)
    left = min(number, sum(there))
    while left:
        for index in reversed(range(len(there))):
            if left and given[index] < there[index]:
                given[index] += 1
                left -= 1
    return given
