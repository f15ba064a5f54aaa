"""Nuclei that a reader adds, parts or joins, measured like those of the run."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi

from histo.cells import POSITIVITY_COLUMN, measure_column, trace_outlines
from histo.edits import DrawnNucleus
from histo.errors import EditError
from histo.geometry import Region
from histo.metrics import SlideAreas
from histo.nuclei import split_nuclei
from histo.pipeline.measure import CORE_PX, HALO_PX, calls_brown, measure_part, place_cells
from histo.pipeline.reopening import Reopened, reopen
from histo.review.masks import (
    filled,
    joined,
    nearest,
    opened,
    outline_of,
    painted,
    parted,
    piece_at,
)
from histo.review.removed import removed_areas
from histo.tiles import STRIDE_PX, Tile, tile_grid

__all__ = ["Drafts"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Planes = npt.NDArray[np.float32]

#: Side of the part that the network reads around a nucleus, px. Always the same where the slide
#: has room, as a new size costs a second; so wide that its border does not reach the nucleus.
WINDOW_PX = 512

#: How far the network sees, px: a wider nucleus gets a wider window.
SIGHT_PX = 192

#: A click may miss the nucleus by this much.
CLICK_UM = 2.0

#: Below this probability at its best there is no trace of a nucleus.
FAINTEST = 0.04

#: Rims of other nuclei that are narrower than twice this are no nucleus.
RIM_UM = 1.0

#: Gaps up to this width between nuclei that are joined are closed.
GAP_UM = 2.0

#: The largest thing that is taken for a nucleus.
LARGEST_UM = 120.0

#: A nucleus of which more than this part lies under a drawn one is replaced by it.
REPLACED_SHARE = 0.5


class Drafts:
    """Outlines and measures of nuclei, from the pixels of an analysed slide.

    Everything that a run settles over the whole slide (pixel size, stains, white point, range
    of intensities, how brown is read) is taken from its result, so that a nucleus gets the
    measures that the run would have given it.

    Parameters
    ----------
    reopened : Reopened
        Use :meth:`open`.

    Attributes
    ----------
    notes : tuple of str
        What is not as it was in the run.

    Examples
    --------
    >>> Drafts.open("section.tif", "nowhere")
    Traceback (most recent call last):
    ...
    histo.errors.ResultError: nowhere: not a result of histo (manifest.json is missing); ...
    """

    def __init__(self, reopened: Reopened) -> None:
        self._run = reopened
        self._place = reopened.place
        self._um = reopened.place.pixel_size_um
        self._shape = reopened.place.slide.grid_shape(self._um)
        self._gone: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._added: list[Floats] = []
        self._seen: tuple[Region, Planes] | None = None
        self.notes = reopened.notes

    @classmethod
    def open(
        cls, slide_path: str | Path, folder: str | Path, *, model: str | None = None
    ) -> Drafts:
        """Open a slide beside its result.

        Parameters
        ----------
        slide_path : path
        folder : path
            The slide's result folder.
        model : str, optional
            Folder of the model that made the result, where it is not a built-in one.

        Raises
        ------
        ResultError, SlideError, ModelError
            If the result is incomplete, the slide is another one, or the model is missing.
        """
        return cls(reopen(slide_path, folder, model=model))

    def close(self) -> None:
        """Close the slide."""
        self._place.slide.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def warm_up(self) -> None:
        """Load and compile what the first click would wait for."""
        side = min(8, *self._shape)
        top, left = ((extent - side) / 2 for extent in self._shape)
        corners = np.array([(0, 0), (0, side), (side, side), (side, 0)]) + np.array([top, left])
        self.within(corners * self._um)
        self._planes(self._window(Region(int(top), int(left), side, side)))

    def follow(self, *, gone: Collection[int] = (), added: Sequence[npt.ArrayLike] = ()) -> None:
        """Say what edits have changed: neighbours bound a cell, and count as contact.

        Parameters
        ----------
        gone : collection of int
            Cells of the run that are no more.
        added : sequence of float (N, 2)
            Outlines (y, x) in µm of nuclei that were added.
        """
        self._gone = np.array(sorted(gone), np.int64)
        self._added = [_ring(one) / self._um for one in added]

    def at(self, y_um: float, x_um: float) -> DrawnNucleus:
        """Return the nucleus under a click.

        A nucleus of the run is returned as it was found. Elsewhere the threshold is lowered
        until a trace that the network saw there becomes a nucleus.

        Parameters
        ----------
        y_um, x_um : float
            Where, in µm from the top left corner of level 0.

        Raises
        ------
        EditError
            If nothing is there, or a nucleus that was added.
        """
        y, x = math.floor(y_um / self._um), math.floor(x_um / self._um)
        if not (0 <= y < self._shape[0] and 0 <= x < self._shape[1]):
            raise EditError("The click lies outside of the slide; click on a nucleus.")
        click = Region(y, x, 1, 1)
        window = self._window(click)
        own = self._labels(window)
        inside = y - window.y, x - window.x
        if own[inside]:
            return self._measure(own == own[inside], window)[0]
        others = self._others(window)
        if others[inside]:
            raise EditError("There is a nucleus already that was added here; select it instead.")
        mask = self._faint(self._planes(window), others > 0, inside)
        if mask is None:
            raise EditError(
                "The model sees no trace of a nucleus here; draw its outline by hand instead."
            )
        return self._measure(mask, window)[0]

    def within(self, polygon_um: npt.ArrayLike) -> DrawnNucleus:
        """Return the nucleus that was drawn by hand.

        Parameters
        ----------
        polygon_um : float (N, 2)
            Its outline (y, x), µm.

        Raises
        ------
        EditError
            If it holds no pixel of the slide, or is far larger than a nucleus.
        """
        window, (mask,) = self._masks([polygon_um])
        return self._measure(mask, window)[0]

    def split(
        self, outline_um: npt.ArrayLike, points_um: npt.ArrayLike
    ) -> tuple[DrawnNucleus, ...]:
        """Return the parts of a nucleus, one for each click; together they are its pixels.

        Parameters
        ----------
        outline_um : float (N, 2)
            Of the nucleus that is parted.
        points_um : float (K, 2)
            A click (y, x) in each part, K 2 or more.

        Raises
        ------
        EditError
            If a click lies beside the nucleus, or two on the same spot.
        """
        window, (mask,) = self._masks([outline_um])
        seeds = []
        for y_um, x_um in np.asarray(points_um, np.float64).reshape(-1, 2):
            y, x = math.floor(y_um / self._um) - window.y, math.floor(x_um / self._um) - window.x
            at = nearest(mask, y, x)
            if math.hypot(at[0] - y, at[1] - x) * self._um > CLICK_UM:
                raise EditError("A click lies beside the nucleus; click inside of each part.")
            seeds.append(at)
        if len(seeds) < 2:
            raise EditError("One click parts nothing; click inside of two parts or more.")
        if len(set(seeds)) < len(seeds):
            raise EditError("Two clicks lie on one spot; click in the middle of each part.")
        # The model saw one nucleus here, so its own valley may be shallow: the shape helps.
        seen = cv2.GaussianBlur(self._planes(window)[..., 1], (0, 0), 1.0)
        depth = ndi.distance_transform_edt(mask)
        parts = parted(mask, seeds, (np.clip(seen, 0, 1) + depth / depth.max()) / 2)
        return self._measure(parts, window)

    def merge(self, outlines_um: Sequence[npt.ArrayLike]) -> DrawnNucleus:
        """Return one nucleus out of several; narrow gaps between them are closed.

        Parameters
        ----------
        outlines_um : sequence of float (N, 2)
            Two or more outlines (y, x), µm.

        Raises
        ------
        EditError
            If they are further apart than 2 µm.
        """
        if len(outlines_um) < 2:
            raise EditError("One nucleus cannot be joined; select two or more that touch.")
        window, masks = self._masks(outlines_um)
        union = np.logical_or.reduce(masks)
        free = self._kept(self._others(window), union) == 0
        whole = joined(masks, GAP_UM / self._um, free)
        if ndi.label(whole)[1] > 1:
            raise EditError(
                f"The nuclei are more than {GAP_UM:g} µm apart; join only parts of one nucleus."
            )
        return self._measure(whole, window)[0]

    def areas(
        self, polygon_um: npt.ArrayLike, *, without: Sequence[npt.ArrayLike] = ()
    ) -> SlideAreas:
        """Return what excluding a polygon takes away from the slide.

        Parameters
        ----------
        polygon_um : float (N, 2)
            Corners (y, x), µm.
        without : sequence of float (N, 2)
            Polygons that were excluded before: what they took counts no more.

        Returns
        -------
        SlideAreas
            On the pixels of the run: what remains of a slide that is excluded whole is 0.
        """
        return removed_areas(self._run, _ring(polygon_um), [_ring(one) for one in without])

    def _tile(self, y: int, x: int) -> Tile:
        """Return the tile of the run whose core holds a pixel."""
        y, x = (min(max(at, 0), extent - 1) for at, extent in zip((y, x), self._shape, strict=True))
        top, left = y // CORE_PX * CORE_PX, x // CORE_PX * CORE_PX
        rest = min(CORE_PX, self._shape[0] - top), min(CORE_PX, self._shape[1] - left)
        (tile,) = tile_grid(rest, core_px=CORE_PX, halo_px=HALO_PX)
        core, crop = tile.core, tile.crop
        return Tile(
            Region(top, left, *core.shape), Region(crop.y + top, crop.x + left, *crop.shape)
        )

    def _window(self, box: Region) -> Region:
        """Return what the network reads around a box: within the tile of the run.

        A network sees the border of what it reads, so the borders of the tile must stay.
        """
        middle = box.y + box.height // 2, box.x + box.width // 2
        crop = self._tile(*middle).crop
        starts, sides = [], []
        for at, length, start, extent in (
            (middle[0], box.height, crop.y, crop.height),
            (middle[1], box.width, crop.x, crop.width),
        ):
            side = max(WINDOW_PX, -(-(length + 2 * SIGHT_PX) // STRIDE_PX) * STRIDE_PX)
            side = min(side, extent)
            first = (at - side // 2 - start) // STRIDE_PX * STRIDE_PX
            starts.append(start + min(max(first, 0), extent - side))
            sides.append(side)
        window = Region(starts[0], starts[1], sides[0], sides[1])
        if window.intersect(box) != box:  # far over a seam of the run
            return box.expand(SIGHT_PX)
        return window

    def _labels(self, window: Region) -> npt.NDArray[np.int64]:
        """Return the nuclei of the run over a window, by their numbers."""
        labels = np.zeros(window.shape, np.int64)
        part = window.clip(self._shape)
        labels[part.slices_in(window)] = self._run.labels[part.slices()]
        return labels

    def _others(self, window: Region) -> npt.NDArray[np.int32]:
        """Return the nuclei that there are now over a window, numbered from 1."""
        labels = self._labels(window)
        if self._gone.size:
            labels[np.isin(labels, self._gone)] = 0
        if self._added:
            drawn = painted(self._added, window)
            labels = np.where(drawn > 0, drawn + np.int64(1 << 40), labels)
        found, numbers = np.unique(labels, return_inverse=True)
        first = 0 if found[0] == 0 else 1
        return (numbers.reshape(labels.shape) + first).astype(np.int32)

    def _planes(self, window: Region) -> Planes:
        """Return what the network says of a window, float32 (Y, X, 3); the last one is kept."""
        if self._seen is None or self._seen[0] != window:
            image = self._place.slide.read(window, self._um)
            self._seen = window, self._place.model.predict(self._place.draw(image))
        return self._seen[1]

    def _masks(self, outlines_um: Sequence[npt.ArrayLike]) -> tuple[Region, list[Mask]]:
        """Return the window around some outlines, and the pixels of each in it."""
        rings = [_ring(one) / self._um for one in outlines_um]
        points = np.concatenate(rings)
        if np.ptp(points, axis=0).max() * self._um > LARGEST_UM:
            raise EditError(
                f"The outline is more than {LARGEST_UM:g} µm wide, larger than any nucleus; draw "
                "around a single one."
            )
        first, last = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int)
        box = Region(first[0], first[1], *np.maximum(last - first, 1)).clip(self._shape)
        if box.is_empty:
            raise EditError("The outline lies outside of the slide; draw around a nucleus.")
        window = self._window(box)
        masks = []
        for ring in rings:
            mask = painted([ring], window) > 0
            mask[~self._on_slide(window)] = False
            if not mask.any():
                raise EditError("The outline holds no pixel; draw it around a nucleus.")
            masks.append(self._as_found(filled(mask), window))
        return window, masks

    def _on_slide(self, window: Region) -> Mask:
        inside = np.zeros(window.shape, bool)
        inside[window.clip(self._shape).slices_in(window)] = True
        return inside

    def _as_found(self, mask: Mask, window: Region) -> Mask:
        """Return the pixels of a nucleus of the run where the mask is what its outline holds.

        The outline does not tell of holes, nor of pixels that a seam cut off.
        """
        labels = self._labels(window)
        under = labels[mask]
        if not under.any():
            return mask
        values, counts = np.unique(under[under > 0], return_counts=True)
        found = labels == values[np.argmax(counts)]
        ring = outline_of(found, window)
        return found if np.array_equal(painted([ring], window) > 0, mask) else mask

    def _faint(self, planes: Planes, others: Mask, at: tuple[int, int]) -> Mask | None:
        """Return the nucleus at a pixel that the threshold passed over; None without a trace."""
        card, um = self._place.model.card, self._um
        smallest = card.min_area_um2 / um**2
        foreground = np.where(others, 0, planes[..., 0]).astype(np.float32)
        y, x = np.ogrid[: others.shape[0], : others.shape[1]]
        near = np.hypot(y - at[0], x - at[1]) * um <= CLICK_UM
        if not near[~others].any() or (peak := float(foreground[near].max())) < FAINTEST:
            return None
        # A faint nucleus is cut at the same part of its own height as others at the threshold.
        first = card.threshold * min(1.0, peak)
        for threshold in (first, first / 2, first / 4):
            labels = split_nuclei(
                foreground,
                planes[..., 1],
                threshold=threshold,
                saddle=card.saddle,
                min_area_px=1,
            )
            label = labels[nearest((labels > 0) & ~others, *at)] if labels.any() else 0
            # What is left around other nuclei at a low threshold is their rim.
            mask = piece_at(opened(labels == label, RIM_UM / um) & ~others, *at)
            distance = np.hypot(*(np.array(nearest(mask, *at)) - at)) if mask.any() else np.inf
            if label and mask.sum() >= smallest and distance * um <= CLICK_UM:
                return mask
        return None

    def _kept(self, others: npt.NDArray[np.int32], mask: Mask) -> npt.NDArray[np.int32]:
        """Return the nuclei without those that a mask replaces."""
        area = np.bincount(others.ravel())
        covered = np.bincount(others[mask], minlength=len(area))
        replaced = covered > REPLACED_SHARE * area
        replaced[0] = False
        return np.where(replaced[others], 0, others).astype(np.int32)

    def _measure(
        self, parts: npt.NDArray[np.bool_ | np.int32], window: Region
    ) -> tuple[DrawnNucleus, ...]:
        """Measure nuclei that are given as a mask, or as labels from 1, over a window."""
        place, um = self._place, self._um
        parts = parts.astype(np.int32)
        count = int(parts.max())
        # As far as any neighbour can bound the cells, or touch them.
        reach = 2 * math.ceil(place.panel.cell_expansion_um / um) + 2
        rows, columns = np.nonzero(parts)
        box = Region(
            window.y + int(rows.min()),
            window.x + int(columns.min()),
            int(np.ptp(rows)) + 1,
            int(np.ptp(columns)) + 1,
        ).expand(reach)
        drawn = np.zeros(box.shape, np.int32)
        common = box.intersect(window)
        drawn[common.slices_in(box)] = parts[common.slices_in(window)]
        labels = self._kept(self._others(box), drawn > 0)
        labels[labels > 0] += count
        labels = np.where(drawn > 0, drawn, labels).astype(np.int32)
        owned = np.arange(1, count + 1)
        planes = place.planes(place.slide.read(box, um))
        table, whole = measure_part(place, labels, planes, owned=owned, corner=box)
        survey = place.survey
        if calls_brown(place) and place.model.card.positivity is not None:
            brown = self._planes(window)[..., 2]
            seen = np.array(
                [brown[parts == one].mean(dtype=np.float64) for one in owned], np.float32
            )
            od = table[measure_column("nucleus", "dab", "od", "mean")].to_numpy()
            table[POSITIVITY_COLUMN] = place.model.card.positivity(
                seen, od, shift=survey.dab_od_shift
            )
        table = place_cells(table, self._run.survey)
        corner = np.array([box.y, box.x])
        nuclei, cells = trace_outlines(labels, owned), trace_outlines(whole, owned)
        records = table.drop(columns="cell_id").to_dict("records")
        return tuple(
            DrawnNucleus(
                (nuclei[row] + corner) * um,
                {str(name): value for name, value in record.items()},
                (cells[row] + corner) * um,
            )
            for row, record in enumerate(records)
        )


def _ring(polygon_um: npt.ArrayLike) -> Floats:
    """Return a polygon as float64 (N, 2), open.

    Raises
    ------
    EditError
        If it has fewer than three corners, or one is not finite.
    """
    ring = np.asarray(polygon_um, np.float64)
    if ring.ndim != 2 or ring.shape[1:] != (2,) or not np.isfinite(ring).all():
        raise EditError("The outline is no list of points (y, x); draw it again.")
    if len(ring) > 1 and (ring[0] == ring[-1]).all():
        ring = ring[:-1]
    if len(ring) < 3:
        raise EditError("The outline has fewer than three corners; draw it again.")
    return ring
