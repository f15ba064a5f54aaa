"""Slides of known content and µm per pixel, written for the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

WritePyramid = Callable[..., Path]


@pytest.fixture
def texture() -> np.ndarray:
    """Random colours: any shift or mix of pixels changes them. uint8 (300, 421, 3)."""
    return np.random.default_rng(3).integers(0, 256, (300, 421, 3), dtype=np.uint8)


@pytest.fixture
def write_pyramid(tmp_path: Path) -> WritePyramid:
    """Return a writer of tiled RGB pyramids at 0.25 µm per pixel."""

    def write(levels: list[np.ndarray], name: str = "pyramid.tif", **options: Any) -> Path:
        path = tmp_path / name
        settings = {"photometric": "rgb", "tile": (64, 64), "resolutionunit": "CENTIMETER"}
        with tifffile.TiffWriter(path) as tif:
            for index, level in enumerate(levels):
                per_cm = 40000 * level.shape[0] / levels[0].shape[0]
                tif.write(
                    level,
                    resolution=(per_cm, per_cm),
                    subfiletype=int(index > 0),
                    **(settings | options),
                )
        return path

    return write
