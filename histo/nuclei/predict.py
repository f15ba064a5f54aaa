"""The network at work: RGB in, planes and labels out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from histo.errors import ModelError
from histo.nuclei.inference import CpuEngine, Planes, best_device, torch_engine
from histo.nuclei.instances import split_nuclei
from histo.nuclei.model import ModelCard, as_rgb_stack, read_card
from histo.nuclei.network import NucleiNet
from histo.nuclei.writing import load_net

__all__ = ["ENGINES", "NucleiModel", "find_nuclei", "load_model", "segment"]

#: Ways to run a network; "auto" is "torch" on a graphics card, else "int8" where the card has
#: the ranges for it, else "float32".
ENGINES = ("auto", "int8", "float32", "torch")


class NucleiModel:
    """A network with its card, ready to predict; threads may share it.

    Parameters
    ----------
    card : ModelCard
    net : NucleiNet
    engine : str
        One of `ENGINES`.

    Examples
    --------
    >>> model = load_model("nuclei-brightfield")
    >>> model.predict(np.full((40, 50, 3), 240, np.uint8)).shape
    (40, 50, 3)
    """

    def __init__(self, card: ModelCard, net: NucleiNet, *, engine: str = "auto") -> None:
        self.card = card
        self.engine = _resolve(engine, card)
        self._run = _start(self.engine, card, net)

    def predict(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the planes of an image of any size.

        Parameters
        ----------
        rgb : uint8 (Y, X, 3)
            At about the card's pixel size.

        Returns
        -------
        float32 (Y, X, 3)
            Probability of nucleus, distance to its border (about 0-1), probability of a
            DAB-positive nucleus. Each plane lies in memory on its own.

        Raises
        ------
        ValueError
            If the image is not uint8 RGB.
        """
        padded, (height, width) = as_rgb_stack(rgb, 2 ** len(self.card.widths))
        planes = self._run(padded)[:, :height, :width]
        return np.ascontiguousarray(planes).transpose(1, 2, 0)


def _resolve(engine: str, card: ModelCard) -> str:
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}.")
    if engine == "auto" and best_device().type != "cpu":
        return "torch"
    if engine == "auto":
        return "int8" if card.activation_ranges else "float32"
    if engine == "int8" and not card.activation_ranges:
        raise ModelError(
            f"Model {card.name}: its card lists no activation_ranges, so it cannot run in 8 bits; "
            "take another engine."
        )
    return engine


def _start(engine: str, card: ModelCard, net: NucleiNet) -> Planes:
    if engine == "torch":
        device = best_device()
        half = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch_engine(net, device, torch.bfloat16 if half else torch.float32)
    return CpuEngine(net, card.activation_ranges if engine == "int8" else None)


@lru_cache(maxsize=4)
def _load(folder: Path, engine: str) -> NucleiModel:
    card = read_card(folder)
    return NucleiModel(card, load_net(card), engine=engine)


def load_model(name_or_path: str | Path, *, engine: str = "auto") -> NucleiModel:
    """Load a built-in model by name, or the user's own by the path of its folder.

    Parameters
    ----------
    name_or_path : str or Path
    engine : str
        One of `ENGINES`; the default takes what is fastest on this machine.

    Raises
    ------
    ModelError
        If there is no such model, or its weights are missing or altered.

    Examples
    --------
    >>> load_model("nuclei-brightfield").card.name
    'nuclei-brightfield'
    """
    return _load(read_card(name_or_path).folder.resolve(), engine)


def segment(
    rgb: NDArray[np.uint8], model: NucleiModel, *, pixel_size_um: float | None = None
) -> NDArray[np.int32]:
    """Find the nuclei of an image that fits in memory.

    Parameters
    ----------
    rgb : uint8 (Y, X, 3)
    model : NucleiModel
    pixel_size_um : float, optional
        The image's, by default the model's.

    Returns
    -------
    int32 (Y, X)
        0 is background; nuclei are numbered 1 ... N.

    Examples
    --------
    >>> model = load_model("nuclei-brightfield")
    >>> int(segment(np.full((64, 64, 3), 245, np.uint8), model).max())
    0
    """
    return find_nuclei(rgb, model, pixel_size_um=pixel_size_um)[0]


def find_nuclei(
    rgb: NDArray[np.uint8], model: NucleiModel, *, pixel_size_um: float | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Find the nuclei of an image, and what the network says of their brown.

    Parameters
    ----------
    rgb : uint8 (Y, X, 3)
    model : NucleiModel
    pixel_size_um : float, optional
        The image's, by default the model's.

    Returns
    -------
    labels : int32 (Y, X)
        0 is background; nuclei are numbered 1 ... N.
    positive : float32 (Y, X)
        Probability of lying in a DAB-positive nucleus, as the network gives it.

    Examples
    --------
    >>> model = load_model("nuclei-brightfield")
    >>> labels, positive = find_nuclei(np.full((64, 64, 3), 245, np.uint8), model)
    >>> labels.shape == positive.shape
    True
    """
    planes = model.predict(rgb)
    pixel = pixel_size_um or model.card.pixel_size_um
    labels = split_nuclei(
        planes[..., 0],
        planes[..., 1],
        threshold=model.card.threshold,
        saddle=model.card.saddle,
        min_area_px=model.card.min_area_um2 / pixel**2,
    )
    return labels, planes[..., 2]
