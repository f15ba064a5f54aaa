"""Nuclei: a small U-Net, the split of touching nuclei, and tiles without seams.

Reading model cards (`list_models`, `read_card`) loads neither torch nor numba; the rest does,
on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from histo.lazy import lazily
from histo.nuclei.drawing import virtual_hematoxylin
from histo.nuclei.model import ModelCard, list_models, read_card

if TYPE_CHECKING:
    from histo.nuclei.instances import split_nuclei
    from histo.nuclei.predict import NucleiModel, load_model, segment
    from histo.nuclei.tiling import TileNuclei, segment_tiles

__all__ = [
    "ModelCard",
    "NucleiModel",
    "TileNuclei",
    "list_models",
    "load_model",
    "read_card",
    "segment",
    "segment_tiles",
    "split_nuclei",
    "virtual_hematoxylin",
]

_LAZY = {
    "NucleiModel": "predict",
    "load_model": "predict",
    "segment": "predict",
    "TileNuclei": "tiling",
    "segment_tiles": "tiling",
    "split_nuclei": "instances",
}

__getattr__ = lazily(__name__, _LAZY)
