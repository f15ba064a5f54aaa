"""A result as layers: nuclei in the colours of their calls, whatever their number.

The labels layer shows a *code* for each pixel, not the cell's number: nothing, one of the few
classes of calls, or the mark around a cell. Its levels are lazy: they read the numbers from
``nuclei.ome.zarr`` and look the codes up, so that new calls are a new lookup table, and the
colours are a handful for a thousand nuclei as for a million.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_histo.region_layers import region_layers

if TYPE_CHECKING:
    import pandas as pd

    from histo.results import CallClass

__all__ = [
    "CallCodes",
    "CallLevel",
    "colours_of",
    "drawn_ids",
    "folder_layers",
    "positive_points",
    "possible_classes",
    "recolour",
    "with_flag",
]

LayerData = tuple[Any, dict[str, Any], str]
Ids = npt.NDArray[np.uint32]
Codes = npt.NDArray[np.uint8]

#: Flags of cells that are no more.
GONE = ("deleted", "replaced")

#: The ring around the selected cell; the classes of calls lie below.
MARKED = 255
_MARKED_RGB = (0, 235, 255)
_FILL, _QUIET_FILL, _LINE = 0.5, 0.25, 0.95
_POINT_SIZE_UM, _POINT_PX = 5.0, (4, 9)
#: More points than this slow the window down: they are hidden until the reader asks for them.
SHOWN_POINTS = 100_000
#: Levels up to this size are read once and kept.
_KEPT_PIXELS = 1 << 20


class CallCodes:
    """What the levels of one result look up: the code of each cell, and what is drawn anew.

    Attributes
    ----------
    classes : tuple of CallClass
        Class ``i`` has the code ``i + 1``.
    table : uint8 (largest cell_id + 2,)
        The code of each cell; 0 where it is not shown, and at the end.
    drawn : dict of int to float64 (N, 2)
        Outlines y, x in µm of the nuclei that are not in the label image.
    marked : tuple of int
        Cells with a ring around.
    outlined : bool
        Whether nuclei are shown by their borders alone.
    """

    def __init__(self, classes: tuple[CallClass, ...]) -> None:
        self.classes = classes
        self.table: Codes = np.zeros(1, np.uint8)
        self.drawn: dict[int, npt.NDArray[np.float64]] = {}
        self.marked: tuple[int, ...] = ()
        self.outlined = False

    def call(self, cells: pd.DataFrame) -> None:
        """Set the codes to the calls of a cell table; deleted cells vanish."""
        kinds, cases = _kinds(cells)
        names = [one.label for one in self.classes]
        own = np.array([1 + names.index(one.label) for one in cases] or [0], np.uint8)[kinds]
        ids = cells["cell_id"].to_numpy()
        # The last entry stands for every number that the table does not know.
        table = np.zeros(int(ids.max()) + 2 if len(ids) else 1, np.uint8)
        table[ids] = own
        # Cells that are gone are excluded, which are few.
        out = cells[(cells["compartment"] == "excluded").to_numpy()]
        table[out["cell_id"].to_numpy()[with_flag(out, *GONE)]] = 0
        self.table = table

    def draw(self, outlines: Mapping[int, npt.NDArray[np.float64]]) -> None:
        """Set the nuclei that lie over the label image."""
        self.drawn = dict(outlines)


def _kinds(cells: pd.DataFrame) -> tuple[npt.NDArray[np.intp], list[CallClass]]:
    """Return the kind of each cell and the class of each kind, as `call_classes` has them.

    It sorts the cells; here it is asked for one cell of each kind, so that a million take
    milliseconds.
    """
    from histo.results import call_classes, called_markers

    key = (cells["compartment"] == "excluded").to_numpy().astype(np.intp)
    for marker in called_markers(cells):
        graded = f"{marker}_grade" in cells
        grade = cells[f"{marker}_{'grade' if graded else 'positive'}"].to_numpy()
        key = 4 * key + grade
    row_of = np.full(int(key.max()) + 1 if len(key) else 1, -1, np.intp)
    row_of[key] = np.arange(len(key))
    found = np.flatnonzero(row_of >= 0)
    codes, classes = call_classes(cells.iloc[row_of[found]])
    kind_of = np.zeros(row_of.size, np.intp)
    kind_of[found] = np.arange(found.size)
    return kind_of[key], [classes[code] for code in codes]


def with_flag(cells: pd.DataFrame, *words: str) -> npt.NDArray[np.bool_]:
    """Tell which cells have one of these flags.

    Examples
    --------
    >>> import pandas as pd
    >>> with_flag(pd.DataFrame({"flags": ["", "drawn;contact", "contact"]}), "drawn").tolist()
    [False, True, False]
    """
    flags = cells["flags"]
    # Few combinations occur: each is taken apart once.
    texts = [text for text in flags.unique() if set(words) & set(text.split(";"))]
    return flags.isin(texts).to_numpy(bool) if texts else np.zeros(len(cells), bool)


def drawn_ids(cells: pd.DataFrame) -> list[int]:
    """List the cells that a reader drew, split or joined, and that are still there.

    Examples
    --------
    >>> import pandas as pd
    >>> flags = ["", "drawn", "drawn;deleted"]
    >>> drawn_ids(pd.DataFrame({"cell_id": [1, 8, 9], "flags": flags}))
    [8]
    """
    there = with_flag(cells, "drawn") & ~with_flag(cells, *GONE)
    return [int(one) for one in cells["cell_id"].to_numpy()[there]]


class CallLevel:
    """One level of a result as napari shows it: codes, read when they are looked at.

    Parameters
    ----------
    ids : array (Y, X)
        Numbers of the cells; lazy, such as a level of `histo.results.open_labels`.
    codes : CallCodes
        Shared by the levels of a result.
    pixel_size_um : float
        Of the finest level, in micrometres.
    step : int
        How many pixels of the finest level one of these stands for.

    Examples
    --------
    >>> from histo.results import CallClass
    >>> codes = CallCodes((CallClass(("Negative",), (0, 114, 178)),))
    >>> codes.table = np.array([0, 1, 0], np.uint8)
    >>> level = CallLevel(np.array([[0, 1, 1], [0, 1, 1]], np.uint32), codes, pixel_size_um=0.5)
    >>> level[:]
    array([[0, 1, 1],
           [0, 1, 1]], dtype=uint8)
    """

    dtype = np.dtype(np.uint8)
    ndim = 2

    def __init__(self, ids: Any, codes: CallCodes, *, pixel_size_um: float, step: int = 1) -> None:
        self.shape: tuple[int, int] = (int(ids.shape[0]), int(ids.shape[1]))
        self.size = self.shape[0] * self.shape[1]
        self.codes = codes
        self.pixel_size_um = pixel_size_um
        self._step = step
        self._ids = ids
        self._last: tuple[tuple[int, int, int, int], Ids] | None = None
        self._shown: Codes | None = None

    def __getitem__(self, key: Any) -> Codes:
        """Return the codes of a part; slices and whole numbers."""
        keys = key if isinstance(key, tuple) else (key,)
        keys = tuple(one for one in keys if one is not Ellipsis)
        keys = (*keys, *[slice(None)] * (2 - len(keys)))
        spans, inner = [], []
        for one, length in zip(keys, self.shape, strict=True):
            if isinstance(one, slice):
                start, stop, step = one.indices(length)
                inner.append(slice(None, None, step))
            else:
                start, stop = int(one) % length, int(one) % length + 1
                inner.append(0)
            spans.append((start, max(start, stop)))
        codes: Codes = self._codes(*spans[0], *spans[1])[tuple(inner)]
        return codes

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        """Return all of it; always the same array, which `repaint` renews."""
        if self._shown is None:
            self._shown = self[:]
        return np.asarray(self._shown, dtype=dtype)

    def repaint(self) -> None:
        """Renew what `__array__` gave: napari keeps the coarsest level and never asks again."""
        if self._shown is not None:
            self._shown[:] = self[:]

    def cell_at(self, y_um: float, x_um: float) -> int:
        """Return the number of the cell at a place, 0 where there is none."""
        um = self.pixel_size_um * self._step
        row, column = int(np.floor(y_um / um)), int(np.floor(x_um / um))
        if not (0 <= row < self.shape[0] and 0 <= column < self.shape[1]):
            return 0
        cell = int(self._numbers(row, row + 1, column, column + 1)[0, 0])
        return cell if np.take(self.codes.table, cell, mode="clip") else 0

    def _numbers(self, top: int, bottom: int, left: int, right: int) -> Ids:
        """Return the numbers of the cells, those drawn over the image among them."""
        numbers = self._read(top, bottom, left, right)
        if not self.codes.drawn:
            return numbers
        numbers = numbers.copy()
        for cell, outline in self.codes.drawn.items():
            _fill(numbers, cell, self._in_pixels(outline) - (top, left))
        return numbers

    def _in_pixels(self, outline_um: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        # Pixel 0 of every level is pixel 0 of the finest, whose centre lies at half a pixel.
        return (np.asarray(outline_um) / self.pixel_size_um - 0.5) / self._step

    def _read(self, top: int, bottom: int, left: int, right: int) -> Ids:
        """Read the label image; the last part read is kept, for the next colours."""
        if self.size <= _KEPT_PIXELS:
            if self._last is None:
                self._last = (0, *self.shape, 0), np.asarray(self._ids[:], np.uint32)
            return self._last[1][top:bottom, left:right]
        place = (top, bottom, left, right)
        if bottom - top == 1 and right - left == 1:
            return np.asarray(self._ids[top:bottom, left:right], np.uint32)
        if self._last is None or self._last[0] != place:
            self._last = place, np.asarray(self._ids[top:bottom, left:right], np.uint32)
        return self._last[1]

    def _codes(self, top: int, bottom: int, left: int, right: int) -> Codes:
        codes = self.codes
        # Borders need the neighbours of the pixels at the rim.
        rim = 2 if codes.outlined or codes.marked else 0
        above, before = min(top, rim), min(left, rim)
        numbers = self._numbers(
            top - above,
            min(bottom + rim, self.shape[0]),
            left - before,
            min(right + rim, self.shape[1]),
        )
        painted = np.take(codes.table, numbers, mode="clip")
        if codes.outlined:
            painted[~_borders(numbers)] = 0
        for cell in codes.marked:
            painted[_ring(numbers == cell)] = MARKED
        height, width = bottom - top, right - left
        return painted[above : above + height, before : before + width]


def _fill(numbers: Ids, cell: int, outline: npt.NDArray[np.float64]) -> None:
    """Paint a polygon (N, 2), in pixels whose centres are whole numbers."""
    from skimage.draw import polygon

    low, high = outline.min(axis=0), outline.max(axis=0)
    if (high < 0).any() or (low > np.array(numbers.shape)).any():
        return
    numbers[polygon(outline[:, 0], outline[:, 1], numbers.shape)] = cell


def _borders(numbers: Ids) -> npt.NDArray[np.bool_]:
    """Return the pixels with a neighbour of another number."""
    borders = np.zeros(numbers.shape, bool)
    down = numbers[1:] != numbers[:-1]
    across = numbers[:, 1:] != numbers[:, :-1]
    borders[1:] |= down
    borders[:-1] |= down
    borders[:, 1:] |= across
    borders[:, :-1] |= across
    return borders


def _ring(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return a line of two pixels around a cell, the outer one outside of it."""
    if not inside.any():
        return inside
    return _borders(inside.astype(np.uint32))


def possible_classes(cells: pd.DataFrame) -> tuple[CallClass, ...]:
    """List every class that the cells of a table can be in, so that colours never change.

    Parameters
    ----------
    cells : DataFrame
        A cell table with calls; only its columns matter.

    Returns
    -------
    tuple of CallClass

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"foxp3_positive": [True], "foxp3_grade": [1], "compartment": ["x"]})
    >>> [one.label for one in possible_classes(table)]
    ['Excluded', 'Negative', '1+', '2+', '3+']
    """
    import pandas as pd

    from histo.results import call_classes, called_markers

    markers = called_markers(cells)
    graded = len(markers) == 1 and f"{markers[0]}_grade" in cells
    grades = list(itertools.product(range(4 if graded else 2), repeat=len(markers)))
    table = pd.DataFrame(
        {
            f"{marker}_{what}": [
                row[index] if what == "grade" else row[index] > 0 for row in grades
            ]
            for index, marker in enumerate(markers)
            for what in ("positive", "grade")
            if f"{marker}_{what}" in cells
        },
        index=range(len(grades)),
    )
    table["compartment"] = "tissue"
    table.loc[len(table)] = table.iloc[0]
    table.loc[len(table) - 1, "compartment"] = "excluded"
    return call_classes(table)[1]


def colours_of(codes: CallCodes) -> Any:
    """Return the colours of the codes as napari's colormap."""
    # One colour for each of the 255 codes, so that nothing repeats. napari's colormap for single
    # labels would be compiled first, which takes seconds.
    from napari.utils.colormaps import CyclicLabelColormap

    colours = np.zeros((256, 4), np.float32)
    for code, one in enumerate(codes.classes, start=1):
        # Negative cells are many, and must not hide the tissue.
        quiet = one.label in ("Negative", "Excluded", "Nucleus")
        alpha = _LINE if codes.outlined else _QUIET_FILL if quiet else _FILL
        colours[code] = np.array([*one.rgb, 255 * alpha]) / 255
    colours[MARKED] = np.array([*_MARKED_RGB, 255]) / 255
    return CyclicLabelColormap(name="calls", colors=colours, background_value=0)


def folder_layers(folder: Path, cells: pd.DataFrame) -> list[LayerData]:
    """Return the layers of a result folder.

    Parameters
    ----------
    folder : Path
        Of one slide; holds ``nuclei.ome.zarr``.
    cells : DataFrame
        The cell table, with calls.

    Returns
    -------
    list of layer data tuples
        The regions, where there are any (see `region_layers`), ``nuclei`` (multiscale labels;
        left out when the folder has no label image) and ``positive cells`` (points with the
        columns of the table).

    Raises
    ------
    histo.errors.ResultError
        If the label image cannot be opened, or its regions are damaged.
    """
    facts = {"histo": {"result": folder.name, "folder": str(folder)}}
    regions = region_layers(folder)
    layers: list[LayerData] = [one for one in regions if one[2] == "labels"]
    pyramid = folder / "nuclei.ome.zarr"
    if pyramid.is_dir():
        layers.append(_nuclei(pyramid, cells, facts))
    places, settings = positive_points(cells)
    settings |= {
        "name": f"{folder.name} positive cells",
        "border_color": "black",
        "border_width": 0.1,
        "size": _POINT_SIZE_UM,
        # Seen from afar, and no lid on the nucleus from near.
        "canvas_size_limits": _POINT_PX,
        "units": ("micrometer", "micrometer"),
        "metadata": facts,
        # Without a marker all nuclei are points, and hide what lies below.
        "visible": len(places) <= SHOWN_POINTS and any(c.endswith("_positive") for c in cells),
    }
    layers.append((places, settings, "points"))
    # Outlines and numbers lie over everything.
    return layers + [one for one in regions if one[2] == "shapes"]


def _nuclei(pyramid: Path, cells: pd.DataFrame, facts: dict[str, Any]) -> LayerData:
    import pandas as pd

    from histo.results import open_labels

    arrays = open_labels(pyramid)
    if len(arrays) == 1:
        # napari unwraps labels of one level; a small slide has no more.
        arrays = [*arrays, np.asarray(arrays[0][::2, ::2])]
    um = _pixel_size_um(pyramid)
    codes = CallCodes(possible_classes(cells))
    codes.call(cells)
    levels = [
        CallLevel(array, codes, pixel_size_um=um, step=2**index)
        for index, array in enumerate(arrays)
    ]
    names = ["", *(one.label for one in codes.classes)]
    settings = {
        "scale": (um, um),
        "translate": (um / 2, um / 2),
        "units": ("micrometer", "micrometer"),
        "name": f"{pyramid.parent.name} nuclei",
        "opacity": 1.0,
        "multiscale": True,
        "colormap": colours_of(codes),
        # What the status bar says of a pixel.
        "features": pd.DataFrame({"index": range(len(names)), "call": names}),
        "metadata": facts,
    }
    return levels, settings, "labels"


def positive_points(cells: pd.DataFrame) -> tuple[npt.NDArray[np.float64], dict[str, Any]]:
    """Return where the positive cells lie, float64 (N, 2) y, x in µm, and how they look.

    Parameters
    ----------
    cells : DataFrame
        The cell table, with calls.

    Returns
    -------
    places : float64 (N, 2)
    settings : dict
        ``features``, the rows of the table with a column ``call``, and ``face_color``.
    """
    codes, classes = _kinds(cells)
    words = np.array([one.label for one in classes] or [""], dtype=object)
    colours = np.array([[*one.rgb, 255] for one in classes] or [[0] * 4]) / 255
    shown = ~np.isin(words, ["Negative", "Excluded"])[codes]
    part = cells[shown]
    settings = {
        "features": part.assign(call=words[codes[shown]]).reset_index(drop=True),
        "face_color": colours[codes[shown]],
    }
    return part[["y_um", "x_um"]].to_numpy(np.float64), settings


def recolour(layer: Any) -> None:
    """Show a labels layer anew after its codes changed."""
    layer.data[-1].repaint()
    layer.refresh(extent=False)


def _pixel_size_um(pyramid: Path) -> float:
    import zarr

    metadata: Any = zarr.open_group(str(pyramid), mode="r").attrs["ome"]
    transforms = metadata["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    return float(transforms[0]["scale"][0])
