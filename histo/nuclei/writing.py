"""Model folders: weights and card written together, and weights read back to go on learning."""

from __future__ import annotations

import copy
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from histo.errors import ModelError
from histo.nuclei.model import ModelCard, check_weights
from histo.nuclei.network import NucleiNet

__all__ = ["derive_card", "load_net", "write_card", "write_model"]

Weights = Mapping[str, Tensor]


def write_model(
    folder: str | Path,
    card: Mapping[str, Any],
    weights: Weights,
    *,
    activation_ranges: Sequence[tuple[float, float]] | None = None,
) -> str:
    """Write ``weights.pt`` and the ``rdf.yaml`` that names its hash; other files stay.

    Parameters
    ----------
    folder : path
        Made when it is absent.
    card : mapping
        The content of rdf.yaml; the hash, the file's name and torch's version are put in here.
    weights : mapping of str to Tensor
        The state of a `NucleiNet`, written as float16.
    activation_ranges : sequence of (float, float), optional
        Of these weights, from `histo.nuclei.inference.activation_ranges`. By default the card
        keeps what it holds.

    Returns
    -------
    str
        SHA-256 of ``weights.pt``.

    Raises
    ------
    ValueError
        If a weight does not fit into float16.

    Examples
    --------
    >>> import tempfile
    >>> from histo.nuclei.model import read_card
    >>> card = derive_card(read_card("nuclei-brightfield"), name="mine", version="1")
    >>> card["weights"]["pytorch_state_dict"]["architecture"]["kwargs"]["widths"] = [8, 16]
    >>> folder = Path(tempfile.mkdtemp())
    >>> digest = write_model(folder, card, NucleiNet((8, 16)).state_dict())
    >>> read_card(folder).sha256 == digest, load_net(read_card(folder)).widths
    (True, (8, 16))
    """
    folder = Path(folder)
    content = _to_bytes(weights)
    digest = hashlib.sha256(content).hexdigest()
    card = copy.deepcopy(dict(card))
    file = card["weights"]["pytorch_state_dict"]
    # "2.13.0+cpu": the part behind + is this machine's, and a plain string like YAML wants it.
    file |= {
        "source": "weights.pt",
        "sha256": digest,
        "pytorch_version": str(torch.__version__).partition("+")[0],
    }
    if activation_ranges is not None:
        ranges = [[float(f"{end:.5g}") for end in pair] for pair in activation_ranges]
        card["config"]["histo"]["activation_ranges"] = ranges
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.pt").write_bytes(content)
    write_card(folder, card)
    return digest


def write_card(folder: str | Path, card: Mapping[str, Any]) -> None:
    """Write ``rdf.yaml`` alone; the weights that it names stay.

    Parameters
    ----------
    folder : path
    card : mapping
        The content of rdf.yaml.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_card(folder, {"name": "mine"})
    >>> print((folder / "rdf.yaml").read_text().strip())
    {name: mine}
    """
    text = yaml.safe_dump(
        dict(card), sort_keys=False, allow_unicode=True, width=100, default_flow_style=None
    )
    (Path(folder) / "rdf.yaml").write_text(text, encoding="utf-8")


def _to_bytes(weights: Weights) -> bytes:
    half = {name: v.half() if v.dtype.is_floating_point else v for name, v in weights.items()}
    for name, value in half.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"the weights {name} are not finite in float16.")
    stream = io.BytesIO()
    torch.save(half, stream)
    return stream.getvalue()


def derive_card(
    start: ModelCard, *, name: str, version: str, description: str | None = None
) -> dict[str, Any]:
    """Return the rdf.yaml of a model that was made from another one.

    What belongs to the old weights (ranges of activations, copies in other formats, test images)
    is left out; architecture, licence, pixel size and the parameters of split and calls are kept.

    Parameters
    ----------
    start : ModelCard
    name, version : str
        Of the new model.
    description : str, optional
        By default that of the old one.

    Returns
    -------
    dict
        For `write_model`.

    Examples
    --------
    >>> from histo.nuclei.model import read_card
    >>> derive_card(read_card("nuclei-brightfield"), name="mine", version="1")["name"]
    'mine'
    """
    card: dict[str, Any] = yaml.safe_load((start.folder / "rdf.yaml").read_text(encoding="utf-8"))
    card |= {"name": name, "version": version, "documentation": "README.md"}
    if description is not None:
        card["description"] = description
    card["weights"] = {"pytorch_state_dict": card["weights"]["pytorch_state_dict"]}
    card["config"]["histo"].pop("activation_ranges", None)
    for tensor in (*card.get("inputs", ()), *card.get("outputs", ())):
        tensor.pop("test_tensor", None)
    return card


def load_net(card: ModelCard) -> NucleiNet:
    """Return the network of a model in float32, to learn further.

    Parameters
    ----------
    card : ModelCard

    Returns
    -------
    NucleiNet
        In evaluation mode.

    Raises
    ------
    ModelError
        If the weights are missing, altered, or do not fit the card.
    """
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
    return net.eval()
