"""Models on disk: one folder each, with weights, a card and their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from histo.errors import ModelError
from histo.nuclei.positivity import Positivity

__all__ = [
    "ModelCard",
    "RegionCard",
    "is_region_model",
    "list_models",
    "list_region_models",
    "model_folder",
    "read_card",
    "region_model_names",
]

_PACKAGE = Path(__file__).resolve().parents[1]
#: In a wheel the models lie inside the package; in a checkout beside it.
_PLACES = (_PACKAGE / "_models", _PACKAGE.parent / "models")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a model without loading its weights.

    Attributes
    ----------
    name, version, description, licence : str
    folder : Path
        Where the model lies.
    weights : Path
        The file of weights.
    sha256 : str
        Of the weights; checked when they are loaded.
    reads : str
        "brightfield" (stained sections) or "nuclear" (a fluorescence channel of nuclei, drawn
        by `virtual_hematoxylin`).
    pixel_size_um : float
        The pixel size that the model reads, µm/px.
    widths : tuple of int
        Channels of the network's levels.
    threshold, saddle : float
        Parameters of `histo.nuclei.split_nuclei` chosen with these weights.
    min_area_um2 : float
        Smaller nuclei are dropped, µm².
    activation_ranges : tuple of (float, float)
        What enters each convolution, for inference in 8 bits; empty when not measured.
    positivity : Positivity or None
        How likely a nucleus is DAB-positive; None when the model makes no such calls.

    Examples
    --------
    >>> read_card("nuclei-brightfield").pixel_size_um
    0.5
    """

    name: str
    version: str
    description: str
    licence: str
    folder: Path
    weights: Path
    sha256: str
    reads: str
    pixel_size_um: float
    widths: tuple[int, ...]
    threshold: float
    saddle: float
    min_area_um2: float
    activation_ranges: tuple[tuple[float, float], ...] = ()
    positivity: Positivity | None = None


def list_models() -> tuple[ModelCard, ...]:
    """Return the cards of the models that come with histo, by name; loads no weights.

    Examples
    --------
    >>> "nuclei-brightfield" in [card.name for card in list_models()]
    True
    """
    names = _names()
    return tuple(read_card(name) for name in sorted(names) if not is_region_model(name))


def _names() -> set[str]:
    return {
        folder.name
        for place in _PLACES
        if place.is_dir()
        for folder in place.iterdir()
        if (folder / "rdf.yaml").is_file()
    }


def region_model_names() -> tuple[str, ...]:
    """Return the names of the region models that come with histo; loads no weights.

    Examples
    --------
    >>> "nuclei-brightfield" in region_model_names()
    False
    """
    return tuple(name for name in sorted(_names()) if is_region_model(name))


@dataclass(frozen=True, slots=True)
class RegionCard:
    """What is known of a region model without loading it.

    Attributes
    ----------
    name, version, description, licence, sha256 : str
    folder : Path
    """

    name: str
    version: str
    description: str
    licence: str
    sha256: str
    folder: Path


def list_region_models() -> tuple[RegionCard, ...]:
    """Return the cards of the region models that come with histo; loads no weights.

    Raises
    ------
    ModelError
        If a card lacks what is needed.

    Examples
    --------
    >>> [card.name for card in list_region_models()] == list(region_model_names())
    True
    """
    cards = []
    for name in region_model_names():
        folder = model_folder(name)
        rdf = yaml.safe_load((folder / "rdf.yaml").read_text(encoding="utf-8"))
        try:
            card = RegionCard(
                str(rdf["name"]),
                str(rdf["version"]),
                str(rdf["description"]),
                str(rdf["license"]),
                str(rdf["weights"]["pytorch_state_dict"]["sha256"]),
                folder,
            )
        except (KeyError, TypeError) as error:
            raise ModelError(
                f"{folder / 'rdf.yaml'}: lacks {error}; install histo again."
            ) from error
        cards.append(card)
    return tuple(cards)


def is_region_model(name_or_path: str | Path) -> bool:
    """Say whether a model is for regions and not for nuclei.

    Raises
    ------
    ModelError
        If there is no such model.

    Examples
    --------
    >>> is_region_model("nuclei-brightfield")
    False
    """
    try:
        rdf = yaml.safe_load((model_folder(name_or_path) / "rdf.yaml").read_text(encoding="utf-8"))
        return bool(rdf["config"]["histo"]["reads"] == "regions")
    except (KeyError, TypeError, ValueError, yaml.YAMLError):
        return False  # read_card says what is wrong


def model_folder(name_or_path: str | Path) -> Path:
    """Return the folder of a built-in model, or of the user's own.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    path = Path(name_or_path)
    for folder in (*(place / path.name for place in _PLACES if len(path.parts) == 1), path):
        if (folder / "rdf.yaml").is_file():
            return folder
    known = ", ".join(sorted(_names())) or "none"
    raise ModelError(
        f"There is no model {str(name_or_path)!r}: built-in models are {known}; "
        "a path to a folder with rdf.yaml works too."
    )


def read_card(name_or_path: str | Path) -> ModelCard:
    """Read a model's rdf.yaml.

    Raises
    ------
    ModelError
        If there is no such model, or its rdf.yaml lacks what is needed.

    References
    ----------
    bioimage.io model resource description, version 0.5.

    Examples
    --------
    >>> read_card("nuclei-brightfield").licence
    'BSD-3-Clause'
    """
    folder = model_folder(name_or_path)
    try:
        rdf: dict[str, Any] = yaml.safe_load((folder / "rdf.yaml").read_text(encoding="utf-8"))
        weights = rdf["weights"]["pytorch_state_dict"]
        own = rdf["config"]["histo"]
        if own["reads"] == "regions":
            raise ModelError(
                f"{folder.name} is a model for regions, not for nuclei; give it with --regions."
            )
        return ModelCard(
            name=str(rdf["name"]),
            version=str(rdf["version"]),
            description=str(rdf["description"]),
            licence=str(rdf["license"]),
            folder=folder,
            weights=folder / weights["source"],
            sha256=str(weights["sha256"]),
            reads=str(own["reads"]),
            pixel_size_um=float(own["pixel_size_um"]),
            widths=tuple(int(w) for w in weights["architecture"]["kwargs"]["widths"]),
            threshold=float(own["threshold"]),
            saddle=float(own["saddle"]),
            min_area_um2=float(own["min_area_um2"]),
            activation_ranges=tuple(
                (float(low), float(high)) for low, high in own.get("activation_ranges", ())
            ),
            positivity=_positivity(own.get("positivity")),
        )
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ModelError(
            f"{folder / 'rdf.yaml'}: not a model description that histo can read "
            f"({type(error).__name__}: {error}); see models/nuclei-brightfield/rdf.yaml."
        ) from error


def _positivity(given: dict[str, float] | None) -> Positivity | None:
    if given is None:
        return None
    return Positivity(*(float(given[name]) for name in ("intercept", "network", "od")))


def check_weights(card: ModelCard) -> bytes:
    """Read the weights and compare their hash with the card's.

    Raises
    ------
    ModelError
        If the file is missing or altered.
    """
    try:
        content = card.weights.read_bytes()
    except OSError as error:
        raise ModelError(
            f"Model {card.name}: the weights {card.weights} cannot be read ({error.strerror}); "
            "install histo again, or give another model."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise ModelError(
            f"Model {card.name}: {card.weights.name} has SHA-256 {found[:12]}..., its card says "
            f"{card.sha256[:12]}...; the file was altered or truncated, install it again."
        )
    return content


def as_rgb_stack(
    image: NDArray[np.uint8], multiple: int
) -> tuple[NDArray[np.uint8], Sequence[int]]:
    """Pad an RGB image by reflection to multiples of ``multiple``; add its true shape."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f"A model reads uint8 (Y, X, 3), got {image.dtype} {image.shape}; draw a fluorescence "
            "channel with virtual_hematoxylin first."
        )
    height, width = image.shape[:2]
    pad = ((0, -height % multiple), (0, -width % multiple), (0, 0))
    if any(after for _, after in pad):
        mode = "reflect" if min(height, width) > multiple else "edge"
        image = np.pad(image, pad, mode=mode)  # type: ignore[call-overload]
    return image, (height, width)
