"""The nuclei of a slide as a label pyramid (OME-Zarr), painted tile by tile."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import ZstdCodec

from histo.compiled import compiled
from histo.errors import ResultError
from histo.geometry import Region

__all__ = ["LabelWriter", "open_labels"]

_CHUNK = 1024
_CACHED_CHUNKS = 48  # 4 MiB each
_SMALLEST_SIDE = 512


class LabelWriter:
    """Write one label image of a slide, in any order of tiles and in bounded memory.

    Level 0 lies at the pixel size of the analysis; each further level takes every second
    pixel (labels cannot be averaged), down to about 512 px. Chunks without a label are not
    stored, so that glass costs nothing.

    Parameters
    ----------
    path : path
        The new ``.ome.zarr`` folder. It must not exist.
    shape : (int, int)
        Size (Y, X) of the whole slide at ``pixel_size_um``.
    pixel_size_um : float
        Pixel size of the labels, in micrometres.
    name : str
        Name of the label image; the data lie in ``labels/<name>``.

    Raises
    ------
    ValueError
        If the shape or the pixel size is not positive.

    References
    ----------
    OME-NGFF 0.5, sections 2.4 (multiscales) and 2.6 (labels), https://ngff.openmicroscopy.org/0.5/

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "nuclei.ome.zarr"
    >>> with LabelWriter(path, (4, 6), 0.5) as writer:
    ...     writer.paint(Region(1, 1, 2, 2), np.array([[7, 7], [0, 8]]), np.array([7]))
    >>> open_labels(path)[0][:]
    array([[0, 0, 0, 0, 0, 0],
           [0, 7, 7, 0, 0, 0],
           [0, 0, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 0]], dtype=uint32)
    """

    def __init__(
        self,
        path: str | Path,
        shape: tuple[int, int],
        pixel_size_um: float,
        *,
        name: str = "nuclei",
    ) -> None:
        self._shape = int(shape[0]), int(shape[1])
        if min(self._shape) < 1:
            raise ValueError(f"shape must be at least 1 x 1 pixels, got {shape}.")
        if not pixel_size_um > 0:
            raise ValueError(f"pixel_size_um must be above 0, got {pixel_size_um}.")
        self._pixel_size_um = float(pixel_size_um)
        self._name = name
        root = zarr.open_group(str(path), mode="w-", zarr_format=3)
        # The root is itself a multiscale label image whose arrays lie in labels/<name>:
        # readers that expect an image at the root, and those that look for labels, both open it.
        self._group = root.create_group(f"labels/{name}")
        root["labels"].attrs["ome"] = {"version": "0.5", "labels": [name]}
        self._levels = [self._create_level(0, self._shape)]
        self._chunks: OrderedDict[tuple[int, int], npt.NDArray[np.uint32]] = OrderedDict()
        self._written: set[tuple[int, int]] = set()
        self._root = root
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()

    def paint(
        self,
        region: Region,
        labels: npt.NDArray[Any],
        owned: npt.NDArray[np.integer[Any]],
        ids: npt.NDArray[np.integer[Any]] | None = None,
    ) -> None:
        """Write the pixels of the ``owned`` labels; pixels already painted are left alone.

        Parameters
        ----------
        region : Region
            Where ``labels`` lies, in pixels of level 0. Parts outside of the slide are dropped.
        labels : integer (Y, X)
            Labels over ``region``; 0 is background.
        owned : integer (N,)
            The labels to write; others are neighbours' and ignored.
        ids : integer (N,), optional
            What is written for each of them; by default the label itself.

        Raises
        ------
        ValueError
            If the sizes of ``labels`` and ``region`` differ, or the writer is closed.
        """
        if self._closed:
            raise ValueError("LabelWriter.paint was called after close().")
        if labels.shape != region.shape:
            raise ValueError(f"labels are {labels.shape}, but the region is {region.shape}.")
        inside = region.clip(self._shape)
        if inside.is_empty or len(owned) == 0:
            return
        lowest = int(owned.min())
        numbers = np.zeros(int(owned.max()) - lowest + 1, np.uint32)
        numbers[owned - lowest] = owned if ids is None else ids
        rows = range(inside.y // _CHUNK, (inside.stop_y - 1) // _CHUNK + 1)
        columns = range(inside.x // _CHUNK, (inside.stop_x - 1) // _CHUNK + 1)
        for key in ((row, column) for row in rows for column in columns):
            box = self._box(key, self._shape)
            common = inside.intersect(box)
            new = labels[common.slices_in(region)]
            if _holds_any(new, lowest, numbers):
                _fill_in(new, lowest, numbers, self._chunk(key)[common.slices_in(box)])

    def close(self) -> None:
        """Store what is pending and build the coarser levels, chunk by chunk."""
        if self._closed:
            return
        self._closed = True
        while self._chunks:
            self._store(*self._chunks.popitem(last=False))
        filled = self._written
        while max(self._levels[-1].shape) > _SMALLEST_SIDE:
            filled = self._add_level(filled)
        image_label = {"version": "0.5"}
        self._group.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [self._multiscale("")],
            "image-label": image_label,
        }
        self._root.attrs["ome"] = {
            "version": "0.5",
            "multiscales": [self._multiscale(f"labels/{self._name}/")],
            "image-label": image_label,
        }

    def _chunk(self, key: tuple[int, int]) -> npt.NDArray[np.uint32]:
        """Return the chunk for changing; the least recently used one goes to the disk."""
        if key not in self._chunks:
            box = self._box(key, self._shape)
            stored = key in self._written
            self._chunks[key] = (
                np.array(self._levels[0][box.slices()])
                if stored
                else np.zeros(box.shape, np.uint32)
            )
            if len(self._chunks) > _CACHED_CHUNKS:
                self._store(*self._chunks.popitem(last=False))
        self._chunks.move_to_end(key)
        return self._chunks[key]

    def _store(self, key: tuple[int, int], chunk: npt.NDArray[np.uint32]) -> None:
        self._levels[0][self._box(key, self._shape).slices()] = chunk
        self._written.add(key)

    def _add_level(self, filled: set[tuple[int, int]]) -> set[tuple[int, int]]:
        fine = self._levels[-1]
        coarse = self._create_level(len(self._levels), _halved(fine.shape))
        targets = {(row // 2, column // 2) for row, column in filled}
        for key in targets:
            box = self._box(key, coarse.shape)
            source = Region(2 * box.y, 2 * box.x, 2 * box.height, 2 * box.width)
            coarse[box.slices()] = fine[source.clip(fine.shape).slices()][::2, ::2]
        self._levels.append(coarse)
        return targets

    def _create_level(self, level: int, shape: tuple[int, int]) -> Any:
        return self._group.create_array(
            str(level),
            shape=shape,
            dtype="uint32",
            chunks=(min(_CHUNK, shape[0]), min(_CHUNK, shape[1])),
            compressors=ZstdCodec(level=3),
            fill_value=0,
            dimension_names=("y", "x"),
            config={"write_empty_chunks": False},
        )

    @staticmethod
    def _box(key: tuple[int, int], shape: tuple[int, int]) -> Region:
        return Region(key[0] * _CHUNK, key[1] * _CHUNK, _CHUNK, _CHUNK).clip(shape)

    def _multiscale(self, prefix: str) -> dict[str, Any]:
        unit = self._pixel_size_um
        return {
            "name": self._name,
            "axes": [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"],
            "datasets": [
                {
                    "path": f"{prefix}{level}",
                    "coordinateTransformations": [
                        {"type": "scale", "scale": [unit * 2**level] * 2},
                        # Pixel (0, 0) of each level is the same pixel of level 0, whose centre
                        # lies half a pixel from the slide's corner.
                        {"type": "translation", "translation": [unit / 2] * 2},
                    ],
                }
                for level in range(len(self._levels))
            ],
            "type": "nearest",
        }


@compiled
def _holds_any(labels: npt.NDArray[Any], lowest: int, numbers: npt.NDArray[np.uint32]) -> bool:
    """Tell whether a label has a number in the table that begins with ``lowest``."""
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            place = labels[y, x] - lowest
            if 0 <= place < numbers.size and numbers[place]:
                return True
    return False


@compiled
def _fill_in(
    labels: npt.NDArray[Any],
    lowest: int,
    numbers: npt.NDArray[np.uint32],
    painted: npt.NDArray[np.uint32],
) -> None:
    """Write the numbers of labels where nothing is painted yet."""
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            place = labels[y, x] - lowest
            if 0 <= place < numbers.size and painted[y, x] == 0:
                painted[y, x] = numbers[place]


def open_labels(path: str | Path) -> list[Any]:
    """Open a label pyramid that :class:`LabelWriter` wrote; nothing is read yet.

    Parameters
    ----------
    path : path
        The ``.ome.zarr`` folder.

    Returns
    -------
    list of zarr.Array
        uint32 (Y, X), finest first.

    Raises
    ------
    ResultError
        If the folder is not such a pyramid.

    Examples
    --------
    >>> open_labels("nothing.ome.zarr")
    Traceback (most recent call last):
    ...
    histo.errors.ResultError: nothing.ome.zarr: not a label image of histo; ...
    """
    path = Path(path)
    try:
        root = zarr.open_group(str(path), mode="r", zarr_format=3)
        metadata: Any = root.attrs["ome"]
        return [root[entry["path"]] for entry in metadata["multiscales"][0]["datasets"]]
    except (FileNotFoundError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ResultError(
            f"{path.name}: not a label image of histo; analyse the slide again with --force."
        ) from error


def _halved(shape: tuple[int, ...]) -> tuple[int, int]:
    return -(-shape[0] // 2), -(-shape[1] // 2)
