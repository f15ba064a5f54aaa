"""The sample images that come with histo."""

from __future__ import annotations

from typing import Any

from napari_histo.reader import LayerData, read_slide

__all__ = ["duplex", "fluorescence", "foxp3", "immunohistochemistry", "lung", "rankl"]


def foxp3() -> list[LayerData]:
    """Open the painted section stained for FOXP3 (nuclear, brown)."""
    return _sample("foxp3-dab")


def rankl() -> list[LayerData]:
    """Open the painted section stained for RANKL (cytoplasm and membrane, brown)."""
    return _sample("rankl-dab")


def duplex() -> list[LayerData]:
    """Open the painted section stained for FOXP3 (brown) and RANKL (red)."""
    return _sample("foxp3-dab+rankl-red")


def fluorescence() -> list[LayerData]:
    """Open the painted fluorescence section."""
    return _sample("foxp3-rankl-if")


def lung() -> list[LayerData]:
    """Open the painted lung section with metastases, in haematoxylin and eosin."""
    return _sample("lung-he")


def immunohistochemistry() -> list[LayerData]:
    """Return scikit-image's real section with a cytoplasmic brown stain."""
    from skimage.data import immunohistochemistry as section

    from histo.cli.demo import IHC_PIXEL_SIZE_UM as SIZE

    settings: dict[str, Any] = {
        "name": "immunohistochemistry",
        "rgb": True,
        "scale": (SIZE, SIZE),
        "translate": (SIZE / 2, SIZE / 2),
        "units": ("micrometer", "micrometer"),
    }
    return [(section(), settings, "image")]


def _sample(panel: str) -> list[LayerData]:
    from histo.cli.demo import sample_slides
    from histo.errors import SlideError

    slides = sample_slides().get(panel)
    if not slides:
        raise SlideError(
            f"There is no sample image for the panel {panel}; install histo again, its "
            "sample_images folder is missing or incomplete."
        )
    return read_slide(slides[0])
