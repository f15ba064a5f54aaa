"""Half-open rectangles of whole pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Region"]

_Kind = TypeVar("_Kind", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Region:
    """A half-open rectangle of pixels: ``[y, y + height) x [x, x + width)``.

    Parameters
    ----------
    y, x : int
        Top left corner, in pixels. May be negative: outside of the slide.
    height, width : int
        Extent in pixels, 0 or more.

    Raises
    ------
    ValueError
        If height or width is negative, or a value is not whole.

    Examples
    --------
    >>> Region(0, 0, 10, 20).intersect(Region(5, 5, 100, 100))
    Region(y=5, x=5, height=5, width=15)
    """

    y: int
    x: int
    height: int
    width: int

    def __post_init__(self) -> None:
        for name in ("y", "x", "height", "width"):
            value = getattr(self, name)
            if int(value) != value:
                raise ValueError(f"Region.{name} must be a whole number of pixels, got {value!r}.")
            object.__setattr__(self, name, int(value))
        if self.height < 0 or self.width < 0:
            raise ValueError(
                f"Region height and width must be >= 0, got {self.height} x {self.width}."
            )

    @property
    def stop_y(self) -> int:
        """First row below the region."""
        return self.y + self.height

    @property
    def stop_x(self) -> int:
        """First column right of the region."""
        return self.x + self.width

    @property
    def shape(self) -> tuple[int, int]:
        """``(height, width)``."""
        return self.height, self.width

    @property
    def is_empty(self) -> bool:
        """Whether the region holds no pixel."""
        return self.height == 0 or self.width == 0

    def slices(self) -> tuple[slice, slice]:
        """Slices for an array whose element (0, 0) is pixel (0, 0)."""
        return slice(self.y, self.stop_y), slice(self.x, self.stop_x)

    def slices_in(self, outer: Region) -> tuple[slice, slice]:
        """Slices for an array that covers ``outer``."""
        y, x = self.y - outer.y, self.x - outer.x
        return slice(y, y + self.height), slice(x, x + self.width)

    def intersect(self, other: Region) -> Region:
        """Return the common part; empty (zero extent) when there is none."""
        y, x = max(self.y, other.y), max(self.x, other.x)
        height = max(0, min(self.stop_y, other.stop_y) - y)
        width = max(0, min(self.stop_x, other.stop_x) - x)
        return Region(y, x, height, width)

    def clip(self, shape: tuple[int, int]) -> Region:
        """Return the part inside an image of ``shape`` (Y, X)."""
        return self.intersect(Region(0, 0, *shape))

    def expand(self, px: int) -> Region:
        """Return the region grown by ``px`` pixels on every side."""
        return Region(self.y - px, self.x - px, self.height + 2 * px, self.width + 2 * px)

    def on_grid(
        self, zoom: float, shape: tuple[int, int]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return in which row and column of another grid each row and column has its centre.

        Parameters
        ----------
        zoom : float
            Size of these pixels over that of the other grid's.
        shape : (int, int)
            Of the other grid; what lies beyond it goes to its last row and column.

        Returns
        -------
        rows : int64 (height,)
        columns : int64 (width,)
        """
        rows, columns = (
            np.minimum(((start + np.arange(n) + 0.5) * zoom).astype(np.int64), extent - 1)
            for start, n, extent in zip((self.y, self.x), self.shape, shape, strict=True)
        )
        return rows, columns

    def sample(self, grid: npt.NDArray[_Kind], zoom: float) -> npt.NDArray[_Kind]:
        """Return what another grid holds below the centre of each pixel; see `on_grid`.

        Parameters
        ----------
        grid : array (Y, X)
        zoom : float

        Returns
        -------
        array (height, width)

        Examples
        --------
        >>> Region(0, 1, 1, 3).sample(np.array([[5, 7]]), 0.5).tolist()
        [[5, 7, 7]]
        """
        height, width = grid.shape
        return grid[np.ix_(*self.on_grid(zoom, (height, width)))]
