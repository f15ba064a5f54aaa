"""The shapes of cells, as a label image or as outlines, and how far two sets of them overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from skimage.measure import points_in_poly

from histo.geometry import Region
from histo.metrics.overlap import Overlap, OverlapCount, rank_labels
from histo.metrics.painting import OutlinePainter, following, ranges

__all__ = ["LabelShapes", "OutlineShapes", "Shapes", "shape_overlap"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Pair = tuple[float, float]

#: Side of the parts in which overlap is counted: bounds memory, not the result.
_TILE_PX = 2048


@dataclass(frozen=True, slots=True, eq=False)
class LabelShapes:
    """Shapes as a label image that covers the whole image, from its top left corner.

    Parameters
    ----------
    labels : int32 (Y, X)
        1 ... ``count``, 0 is background.
    count : int
        Number of shapes.
    pixel_size_um : (float, float)
        Height and width of a pixel in µm.

    Examples
    --------
    >>> shapes = LabelShapes.of(np.array([[0, 7], [0, 7]]), (0.5, 0.5))
    >>> shapes.count, shapes.centres_um().tolist(), shapes.extent_um
    (1, [[0.5, 0.75]], (1.0, 1.0))
    """

    labels: npt.NDArray[np.int32]
    count: int
    pixel_size_um: Pair

    @classmethod
    def of(cls, labels: npt.NDArray[np.integer], pixel_size_um: Pair) -> LabelShapes:
        """Return the shapes of a label image, numbered from 1 in the order of its labels.

        Raises
        ------
        ValueError
            If the image is not 2-D or holds negative numbers, or the pixel size is not positive.
        """
        if np.ndim(labels) != 2:
            raise ValueError(f"labels must be 2-D, got shape {np.shape(labels)}.")
        if not min(pixel_size_um) > 0:
            raise ValueError(f"pixel_size_um must be above 0, got {pixel_size_um}.")
        ranked, count = rank_labels(labels)
        return cls(ranked, count, pixel_size_um)

    @property
    def extent_um(self) -> Pair:
        """Height and width of the image in µm."""
        (height, width), (y_um, x_um) = self.labels.shape, self.pixel_size_um
        return height * y_um, width * x_um

    def centres_um(self) -> Floats:
        """Return the centroid (y, x) of each shape in µm, float64 (N, 2)."""
        y, x = np.nonzero(self.labels)
        owner = self.labels[y, x] - 1
        area = np.bincount(owner, minlength=self.count)
        means = [np.bincount(owner, weights=v, minlength=self.count) / area for v in (y, x)]
        return np.asarray((np.stack(means, axis=1) + 0.5) * self.pixel_size_um, np.float64)

    def box_um(self) -> tuple[float, float, float, float]:
        """Return top, left, bottom and right of the image in µm."""
        return 0.0, 0.0, *self.extent_um

    def contains(self, points_um: Floats) -> npt.NDArray[np.bool_]:
        """Say which points (y, x in µm) lie in a shape, bool (K,)."""
        at = np.floor(np.asarray(points_um) / self.pixel_size_um).astype(np.int64)
        within = ((at >= 0) & (at < self.labels.shape)).all(axis=1)
        y, x = np.clip(at, 0, np.array(self.labels.shape) - 1).T
        return np.asarray(within & (self.labels[y, x] > 0), np.bool_)

    def take(self, rows: npt.NDArray[np.integer]) -> LabelShapes:
        """Return some of the shapes, in the given order."""
        lookup = np.zeros(self.count + 1, np.int32)
        lookup[np.asarray(rows, np.int64) + 1] = np.arange(1, len(rows) + 1)
        return LabelShapes(lookup[self.labels], len(rows), self.pixel_size_um)

    def on_grid(self, grid_um: Pair) -> _LabelPainter:
        """Return what hands out the labels at a pixel size."""
        return _LabelPainter(self, grid_um)


@dataclass(frozen=True, slots=True)
class _LabelPainter:
    shapes: LabelShapes
    grid_um: Pair

    def paint(self, region: Region) -> npt.NDArray[np.int32]:
        """Return the label below the centre of each pixel of a region."""
        starts = (region.y, region.stop_y), (region.x, region.stop_x)
        at, known = [], []
        for axis, (start, stop) in enumerate(starts):
            centre = (np.arange(start, stop) + 0.5) * self.grid_um[axis]
            place = np.floor(centre / self.shapes.pixel_size_um[axis] + 1e-9).astype(np.int64)
            length = self.shapes.labels.shape[axis]
            at.append(np.clip(place, 0, length - 1))
            known.append((place >= 0) & (place < length))
        labels = self.shapes.labels[np.ix_(*at)]
        return np.asarray(np.where(np.logical_and.outer(*known), labels, 0), np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class OutlineShapes:
    """Shapes as outlines, each of one ring or several.

    A pixel lies in a shape when a line from its centre to the outside crosses the shape's rings
    an odd number of times, so that a ring within another is a hole.

    Parameters
    ----------
    points : float64 (P, 2)
        Vertices (y, x) in µm of all rings, one ring after the other, rings open. Holes run the
        other way round than outer rings.
    starts : int64 (R + 1,)
        Where each ring starts, and the number of points.
    owner : int64 (R,)
        The shape of each ring, 0 ... ``count`` - 1, rising.
    count : int
        Number of shapes; one without a ring has no area.
    pixel_size_um : (float, float)
        Height and width of the pixels that the outlines were drawn on, in µm.

    Raises
    ------
    ValueError
        If the parts do not fit each other.

    Examples
    --------
    >>> square = np.array([[0.0, 0], [0, 2], [2, 2], [2, 0]])
    >>> shapes = OutlineShapes.of([[square], [square + 5]], (0.5, 0.5))
    >>> shapes.centres_um().tolist(), shapes.contains(np.array([[1.0, 1], [3, 3]])).tolist()
    ([[1.0, 1.0], [6.0, 6.0]], [True, False])
    """

    points: Floats
    starts: Ints
    owner: Ints
    count: int
    pixel_size_um: Pair

    def __post_init__(self) -> None:
        rings = len(self.owner)
        fits = len(self.starts) == rings + 1 and self.starts[-1] == len(self.points)
        if not fits or (rings and (np.diff(self.owner) < 0).any()):
            raise ValueError("points, starts and owner do not fit each other.")
        if not min(self.pixel_size_um) > 0:
            raise ValueError(f"pixel_size_um must be above 0, got {self.pixel_size_um}.")

    @classmethod
    def of(
        cls, shapes: Sequence[Sequence[npt.NDArray[np.floating]]], pixel_size_um: Pair
    ) -> OutlineShapes:
        """Join rings, given as a list of rings (V, 2) for each shape."""
        rings = [ring for shape in shapes for ring in shape]
        owner = np.repeat(np.arange(len(shapes)), [len(shape) for shape in shapes])
        lengths = np.array([len(ring) for ring in rings], np.int64)
        points = np.concatenate([np.zeros((0, 2)), *rings])
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(points, starts, owner.astype(np.int64), len(shapes), pixel_size_um)

    @property
    def extent_um(self) -> None:
        """Outlines do not say how large their image is."""
        return None

    def centres_um(self) -> Floats:
        """Return the centroid (y, x) of each shape in µm, float64 (N, 2); NaN without a ring.

        References
        ----------
        Bourke, Calculating the area and centroid of a polygon (1988).
        """
        ring = np.repeat(np.arange(len(self.owner)), np.diff(self.starts))
        owner = self.owner[ring]
        first = np.full(self.count, -1)
        first[owner[::-1]] = np.arange(len(owner))[::-1]
        # From a vertex of the shape: far from the origin the products would lose digits.
        here = self.points - self.points[first[owner]]
        ahead = here[following(self.starts)]
        cross = here[:, 1] * ahead[:, 0] - ahead[:, 1] * here[:, 0]

        def total(values: Floats) -> Floats:
            return np.bincount(owner, values, self.count).astype(np.float64)

        area, size = total(cross), total(np.ones(len(owner)))
        centres = np.empty((self.count, 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            for axis in (0, 1):
                weighted = total(cross * (here[:, axis] + ahead[:, axis])) / (3 * area)
                mean = total(here[:, axis]) / size
                # A line or a point has no area: the mean of its vertices stands for it.
                flat = np.abs(area) < 1e-12
                centres[:, axis] = np.where(flat, mean, weighted)
        known = first >= 0
        centres[known] += self.points[first[known]]
        centres[~known] = np.nan
        return centres

    def box_um(self) -> tuple[float, float, float, float]:
        """Return top, left, bottom and right of all outlines in µm."""
        if len(self.points) == 0:
            return 0.0, 0.0, 0.0, 0.0
        (top, left), (bottom, right) = self.points.min(axis=0), self.points.max(axis=0)
        return float(top), float(left), float(bottom), float(right)

    def contains(self, points_um: Floats) -> npt.NDArray[np.bool_]:
        """Say which points (y, x in µm) lie in a shape, bool (K,)."""
        points_um = np.asarray(points_um, np.float64)
        inside = np.zeros(len(points_um), bool)
        for shape in np.unique(self.owner).tolist():
            odd = np.zeros(len(points_um), bool)
            for ring in range(*np.searchsorted(self.owner, [shape, shape + 1]).tolist()):
                corners = self.points[self.starts[ring] : self.starts[ring + 1]]
                low, high = corners.min(axis=0), corners.max(axis=0)
                near = np.flatnonzero(((points_um >= low) & (points_um <= high)).all(axis=1))
                odd[near] ^= points_in_poly(points_um[near], corners)  # type: ignore[no-untyped-call]
            inside |= odd
        return inside

    def take(self, rows: npt.NDArray[np.integer]) -> OutlineShapes:
        """Return some of the shapes, in the given order."""
        rows = np.asarray(rows, np.int64)
        low, high = (np.searchsorted(self.owner, rows, side=side) for side in ("left", "right"))
        rings = ranges(low, high)
        lengths = np.diff(self.starts)[rings]
        return OutlineShapes(
            self.points[ranges(self.starts[rings], self.starts[rings + 1])],
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.repeat(np.arange(len(rows)), high - low),
            len(rows),
            self.pixel_size_um,
        )

    def on_grid(self, grid_um: Pair) -> OutlinePainter:
        """Return what paints the outlines at a pixel size."""
        # Rounded, so that the same vertex from two files falls on the same side of a pixel centre.
        points = np.round(self.points / np.asarray(grid_um), 6)
        return OutlinePainter(points, self.starts, self.owner, self.count)


Shapes = LabelShapes | OutlineShapes


def shape_overlap(found: Shapes, truth: Shapes) -> Overlap:
    """Return the overlap of two sets of shapes of one image, in µm².

    Both are compared on the finer of their pixel grids: a label image by the label below each
    pixel's centre, outlines by the pixels whose centre they hold. Two label images of one pixel
    size are so compared exactly.

    Parameters
    ----------
    found, truth : LabelShapes or OutlineShapes

    Returns
    -------
    Overlap

    Examples
    --------
    >>> square = np.array([[0.0, 0], [0, 1], [1, 1], [1, 0]])
    >>> outline = OutlineShapes.of([[square]], (0.5, 0.5))
    >>> labels = LabelShapes.of(np.array([[0, 1, 1], [0, 1, 1]]), (0.5, 0.5))
    >>> shape_overlap(outline, labels).iou().round(3).tolist()
    [0.333]
    """
    (fy, fx), (ty, tx) = found.pixel_size_um, truth.pixel_size_um
    grid = min(fy, ty), min(fx, tx)
    painters = found.on_grid(grid), truth.on_grid(grid)
    boxes = np.array([found.box_um(), truth.box_um()]) / np.array([*grid, *grid])
    top, left = np.floor(boxes[:, :2].min(axis=0)).astype(int).tolist()
    bottom, right = np.ceil(boxes[:, 2:].max(axis=0) - 1e-6).astype(int).tolist()
    count = OverlapCount(found.count, truth.count)
    for y in range(top, bottom, _TILE_PX):
        for x in range(left, right, _TILE_PX):
            part = Region(y, x, min(_TILE_PX, bottom - y), min(_TILE_PX, right - x))
            count.add(*(painter.paint(part) for painter in painters))
    return count.overlap(math.prod(grid))
