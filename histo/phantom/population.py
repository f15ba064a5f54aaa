"""Which nuclei there are, where, and how large: drawn in µm, before any pixel exists."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from histo.phantom.layout import GRID_UM, Layout
from histo.phantom.noise import Plane
from histo.phantom.recipe import Composition

KINDS: Final = ("tumour", "lymphocyte", "fibroblast", "endothelial", "macrophage")
"""Kinds of cell; an index into this tuple is stored."""

MARGIN_UM = 12.0
"""Nuclei are drawn this far outside the field, so that its border cuts through some."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Population:
    """Nuclei from the lowest to the uppermost; every array has one entry a nucleus.

    Parameters
    ----------
    kind
        int64 (N,), index into `KINDS`.
    y_um, x_um
        float64 (N,), centre, µm from the field's top left corner (may lie outside).
    half_length_um, half_width_um
        float64 (N,), half axes, µm.
    angle
        float64 (N,), direction of the long axis, radians.
    bend
        float64 (N,), curvature of the long axis, 1/µm.
    """

    kind: NDArray[np.int64]
    y_um: _Floats
    x_um: _Floats
    half_length_um: _Floats
    half_width_um: _Floats
    angle: _Floats
    bend: _Floats

    def __len__(self) -> int:
        return int(self.kind.size)

    def take(self, indices: NDArray[np.int64]) -> "Population":
        """Return some of the nuclei, in the order of the indices."""
        return Population(
            self.kind[indices],
            self.y_um[indices],
            self.x_um[indices],
            self.half_length_um[indices],
            self.half_width_um[indices],
            self.angle[indices],
            self.bend[indices],
        )


def _look_up(plane: Plane, points_um: _Floats) -> _Floats:
    index = np.floor(points_um / GRID_UM).astype(np.int64)
    y = np.clip(index[:, 0], 0, plane.shape[0] - 1)
    x = np.clip(index[:, 1], 0, plane.shape[1] - 1)
    return np.asarray(plane[y, x], np.float64)


def _thin(
    points: _Floats, radius: _Floats, taken: _Floats, taken_radius: _Floats
) -> NDArray[np.int64]:
    """Find the points kept when each in turn must clear the earlier ones and those taken."""
    alive = np.ones(len(points), bool)
    if len(taken) and len(points):
        reach = float(radius.max() + taken_radius.max())
        pairs = cKDTree(points).sparse_distance_matrix(
            cKDTree(taken), reach, output_type="coo_matrix"
        )
        clash = pairs.data < radius[pairs.row] + taken_radius[pairs.col]
        alive[pairs.row[clash]] = False
    if len(points):
        pairs_ = cKDTree(points).query_pairs(2 * float(radius.max()), output_type="ndarray")
        gap = np.hypot(*(points[pairs_[:, 0]] - points[pairs_[:, 1]]).T)
        close = pairs_[gap < radius[pairs_[:, 0]] + radius[pairs_[:, 1]]]
        # query_pairs gives i < j: taking pairs by their second point keeps the earlier one.
        for first, second in close[np.lexsort((close[:, 0], close[:, 1]))].tolist():
            if alive[first]:
                alive[second] = False
    return np.flatnonzero(alive)


def _shapes(
    rng: np.random.Generator, kind: str, n: int, comp: Composition
) -> tuple[_Floats, _Floats, _Floats]:
    """Half length, half width (µm) and bend (1/µm) of n nuclei of a kind."""
    spread = np.exp(rng.standard_normal((n, 2)) * 1.0)
    ratio_draw, bend_draw = rng.random(n), rng.standard_normal(n)
    bend = np.zeros(n)
    if kind == "tumour":
        diameter = comp.tumour_nucleus_um * spread[:, 0] ** 0.16
        ratio = 1.0 + 0.8 * ratio_draw**1.3
    elif kind == "lymphocyte":
        diameter = 6.4 * spread[:, 0] ** 0.08
        ratio = 1.0 + 0.3 * ratio_draw
    elif kind == "macrophage":
        diameter = 8.6 * spread[:, 0] ** 0.12
        ratio, bend = 1.1 + 0.6 * ratio_draw, bend_draw * 0.03
    else:
        diameter = (7.4 if kind == "fibroblast" else 6.6) * spread[:, 0] ** 0.13
        ratio, bend = 2.0 + 2.6 * ratio_draw, bend_draw * 0.012
    # A section cuts some nuclei near their pole: smaller caps.
    cap = np.where(rng.random(n) < 0.12, rng.uniform(0.6, 0.85, n), 1.0)
    half = diameter * cap / 2
    return half * np.sqrt(ratio), half / np.sqrt(ratio), bend


def _candidates(
    rng: np.random.Generator, kind: str, layout: Layout, comp: Composition
) -> tuple[_Floats, _Floats]:
    """Candidate centres (N, 2) µm and their exclusion radii (µm) for one kind."""
    height, width = layout.nest.shape[0] * GRID_UM, layout.nest.shape[1] * GRID_UM
    crowd = comp.crowding
    per_um2, radius = {
        "tumour": (7 / comp.tumour_nucleus_um**2, comp.tumour_nucleus_um * (0.58 - 0.2 * crowd)),
        "lymphocyte": (0.09, 3.45 - 0.75 * crowd),
        "fibroblast": (0.0022 * comp.stroma_cells, 4.2),
        "macrophage": (0.0004 * comp.stroma_cells, 5.0),
        "endothelial": (0.0, 4.0),
    }[kind]
    n = int(rng.poisson(per_um2 * (height + 2 * MARGIN_UM) * (width + 2 * MARGIN_UM)))
    points = rng.uniform(-MARGIN_UM, [height + MARGIN_UM, width + MARGIN_UM], (n, 2))
    nest, filled = _look_up(layout.nest, points), _look_up(layout.infiltrate, points)
    if kind == "tumour":
        share = np.where(nest > 2.5, 1.0, 0.0)
    elif kind == "lymphocyte":
        inside = 0.02 + 0.05 * filled
        share = np.where(nest > 0, inside, np.where(filled > 0, 0.1 + 0.9 * filled**1.5, 0.012))
    else:
        share = np.where(nest < -2.0, 1.0, 0.0)
    open_ground = (_look_up(layout.opening, points) < -1.5) & (
        _look_up(layout.tissue, points) > 3.0
    )
    keep = (rng.random(n) < share) & open_ground
    # Some crowd closer than the rest: real infiltrates touch and overlap.
    tight = 1.0 - 0.3 * crowd * (rng.random(n) < 0.25)
    return points[keep], np.asarray((radius * tight)[keep], np.float64)


def _endothelium(rng: np.random.Generator, layout: Layout) -> tuple[_Floats, _Floats]:
    """Centres (N, 2) µm and directions of the flat nuclei that line the lumina."""
    points, angles = [np.zeros((0, 2))], [np.zeros(0)]
    for vessel in layout.vessels:
        n = max(2, round((vessel.half_length_um + vessel.half_width_um) * np.pi / 24))
        turn = rng.uniform(0, 2 * np.pi) + np.arange(n) * 2 * np.pi / n + rng.normal(0, 0.15, n)
        u = (vessel.half_length_um + 1.7) * np.cos(turn)
        v = (vessel.half_width_um + 1.7) * np.sin(turn)
        c, s = np.cos(vessel.angle), np.sin(vessel.angle)
        points.append(np.stack([vessel.y_um + u * s + v * c, vessel.x_um + u * c - v * s], 1))
        along_u = -vessel.half_length_um * np.sin(turn)
        along_v = vessel.half_width_um * np.cos(turn)
        angles.append(np.arctan2(along_u * s + along_v * c, along_u * c - along_v * s))
    return np.concatenate(points), np.concatenate(angles)


def populate(rng: np.random.Generator, layout: Layout, comp: Composition) -> Population:
    """Draw the nuclei of a field.

    Parameters
    ----------
    rng
        Source of randomness.
    layout
        Where the nests, the stroma and the openings lie.
    comp
        Sizes and densities.

    Returns
    -------
    Population

    Examples
    --------
    >>> import numpy as np
    >>> from histo.phantom.layout import lay_out
    >>> comp = Composition(tumour=0.9)
    >>> layout = lay_out(np.random.default_rng(0), (100, 100), comp)
    >>> cells = populate(np.random.default_rng(1), layout, comp)
    >>> bool((cells.half_length_um >= cells.half_width_um).all())
    True
    """
    taken, taken_radius = np.zeros((0, 2)), np.zeros(0)
    columns: list[tuple[_Floats, ...]] = []
    order = ("endothelial", "lymphocyte", "tumour", "macrophage", "fibroblast")
    for kind, stream in zip(order, rng.spawn(len(order)), strict=True):
        if kind == "endothelial":
            points, angle = _endothelium(stream, layout)
            on_tissue = _look_up(layout.tissue, points) > 1.0
            points, angle = points[on_tissue], angle[on_tissue]
            radius = np.full(len(points), 3.0)
        else:
            points, radius = _candidates(stream, kind, layout, comp)
            angle = np.zeros(0)
        kept = _thin(points, radius, taken, taken_radius)
        points, radius = points[kept], radius[kept]
        angle = angle[kept] if kind == "endothelial" else _directions(stream, kind, layout, points)
        long, wide, bend = _shapes(stream, kind, len(points), comp)
        code = np.full(len(points), float(KINDS.index(kind)))
        columns.append((code, points[:, 0], points[:, 1], long, wide, angle, bend))
        taken, taken_radius = np.concatenate([taken, points]), np.append(taken_radius, radius)
    kind_code, *rest = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    pile = rng.permutation(len(kind_code))
    return Population(kind_code[pile].astype(np.int64), *(column[pile] for column in rest))


def _directions(rng: np.random.Generator, kind: str, layout: Layout, points: _Floats) -> _Floats:
    """Long axes: along the fibres for spindle cells, loosely aligned in nests, else at random."""
    n = len(points)
    free, sway = rng.uniform(0, np.pi, n), rng.normal(0, 0.22, n)
    if kind == "fibroblast":
        return _look_up(layout.angle, points) + sway
    if kind == "tumour":
        return np.where(rng.random(n) < 0.4, free, _look_up(layout.angle, points) + 2 * sway)
    return free
