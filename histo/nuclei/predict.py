"""The network at work: RGB in, planes and labels out."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from histo.errors import ModelError
from histo.nuclei.instances import split_nuclei
from histo.nuclei.model import ModelCard, as_rgb_stack, check_weights, read_card
from histo.nuclei.network import STRIDE, NucleiNet

__all__ = ["NucleiModel", "load_model", "segment", "virtual_hematoxylin"]


class NucleiModel:
    """A network with its card, ready to predict.

    Parameters
    ----------
    card : ModelCard
    net : NucleiNet

    Examples
    --------
    >>> model = load_model("nuclei-brightfield")
    >>> model.predict(np.full((40, 50, 3), 240, np.uint8)).shape
    (40, 50, 3)
    """

    def __init__(self, card: ModelCard, net: NucleiNet) -> None:
        self.card = card
        self.device = _best_device()
        self.dtype = _best_dtype(self.device)
        # torch's overloads of Module.to leave out memory_format.
        self._net = net.fused().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

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
            DAB-positive nucleus.

        Raises
        ------
        ValueError
            If the image is not uint8 RGB.
        """
        padded, (height, width) = as_rgb_stack(rgb, STRIDE)
        # A copy: torch does not take read-only arrays.
        batch = torch.tensor(padded, device=self.device)
        x = batch.permute(2, 0, 1)[None].float().div_(255).sub_(0.5).mul_(4)
        x = x.contiguous(memory_format=torch.channels_last)
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype is torch.bfloat16),
        ):
            planes = self._net(x)[0].float()
            planes[0::2].sigmoid_()  # foreground and dab_positive are logits, distance is not
        result: NDArray[np.float32] = planes.permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(result[:height, :width])


def _best_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _best_dtype(device: torch.device) -> torch.dtype:
    # bfloat16 is quicker only where the processor has instructions for it.
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    if device.type == "cpu" and has_bf16():
        return torch.bfloat16
    return torch.float32


@lru_cache(maxsize=4)
def _load(folder: Path) -> NucleiModel:
    card = read_card(folder)
    content = check_weights(card)
    net = NucleiNet(card.widths)
    try:
        state = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        net.load_state_dict({name: value.float() for name, value in state.items()})
    except (RuntimeError, AttributeError, EOFError) as error:
        raise ModelError(
            f"Model {card.name}: {card.weights.name} does not fit the network of widths "
            f"{card.widths}; the card and the weights come from different models."
        ) from error
    return NucleiModel(card, net)


def load_model(name_or_path: str | Path) -> NucleiModel:
    """Load a built-in model by name, or the user's own by the path of its folder.

    Raises
    ------
    ModelError
        If there is no such model, or its weights are missing or altered.

    Examples
    --------
    >>> load_model("nuclei-brightfield").card.name
    'nuclei-brightfield'
    """
    return _load(read_card(name_or_path).folder.resolve())


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
    planes = model.predict(rgb)
    pixel = pixel_size_um or model.card.pixel_size_um
    return split_nuclei(
        planes[..., 0],
        np.ascontiguousarray(planes[..., 1]),
        threshold=model.card.threshold,
        saddle=model.card.saddle,
        min_area_px=model.card.min_area_um2 / pixel**2,
    )


def virtual_hematoxylin(nuclear: NDArray[np.generic], low: float, high: float) -> NDArray[np.uint8]:
    """Draw a nuclear fluorescence channel as haematoxylin, so that one network reads both.

    Parameters
    ----------
    nuclear : any number (Y, X)
        The channel (DAPI, Hoechst, ...).
    low, high : float
        Intensities of background and of a bright nucleus; the same for all of a slide.

    Returns
    -------
    uint8 (Y, X, 3)

    Raises
    ------
    ValueError
        If high is not above low.

    References
    ----------
    Beer-Lambert with the haematoxylin vector of Ruifrok and Johnston,
    Anal Quant Cytol Histol 23:291 (2001).

    Examples
    --------
    >>> virtual_hematoxylin(np.array([[0, 500]], np.uint16), 0, 500)[0, 0].tolist()
    [245, 245, 245]
    """
    if not high > low:
        raise ValueError(f"high must be above low, got low={low} and high={high}.")
    amount = np.clip((nuclear.astype(np.float32) - low) / (high - low), 0, 1.3) * 0.8
    vector = np.array([0.650, 0.704, 0.286], np.float32)
    rgb = 245.0 * 10 ** (-amount[..., None] * vector)
    return np.asarray(np.round(rgb), np.uint8)
