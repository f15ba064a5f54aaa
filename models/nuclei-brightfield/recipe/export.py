"""Turn a checkpoint into the model folder: ``python export.py CHECKPOINT DATA``.

Writes the running average of the weights, the ranges of the activations for inference in 8 bits
(measured over freshly rendered tiles), a test image with the planes that belong to it, and all
their hashes into rdf.yaml. With ``--fluorescence``, that of nuclei-fluorescence.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from fluorescence import FluorescenceRenderer
from render import Renderer
from sources import load_sources

from histo.nuclei.inference import activation_ranges
from histo.nuclei.network import OUTPUTS, NucleiNet
from histo.nuclei.writing import write_model

MODELS = Path(__file__).resolve().parents[2]
#: Tiles that the ranges are measured over; side of the test image, px.
TILES, TEST_PX = 160, 128


def renderer(data: Path, fluorescence: bool, seed: int) -> Renderer | FluorescenceRenderer:
    """Return what drew the tiles of the training."""
    sources = load_sources(data)
    if fluorescence:
        return FluorescenceRenderer(sources, seed=seed)
    return Renderer(sources, seed=seed)


def tensors(folder: Path, net: NucleiNet, rgb: np.ndarray) -> list[dict[str, Any]]:
    """Write the test image and its planes; returns what the card says of input and output."""
    image = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None])
    with torch.inference_mode():
        planes = net((torch.tensor(image).float() / 255 - 0.5) * 4).numpy()
    described = []
    for name, file, array, channels in (
        ("rgb", "test_input.npy", image, ("red", "green", "blue")),
        ("planes", "test_output.npy", planes, OUTPUTS),
    ):
        np.save(folder / file, array)
        axes: list[dict[str, Any]] = [
            {"type": "batch"},
            {"type": "channel", "channel_names": list(channels)},
        ]
        for axis in "yx":
            extent = {"min": 64, "step": 2 ** len(net.widths)}
            if name == "planes":
                extent = {"tensor_id": "rgb", "axis_id": axis}
            unit = {"unit": "micrometer", "scale": 0.5}
            axes.append({"type": "space", "id": axis, "size": extent, **unit})
        digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        tensor = {"source": file, "sha256": digest}
        kind = {"type": str(array.dtype)}
        described.append({"id": name, "axes": axes, "data": kind, "test_tensor": tensor})
    described[0]["preprocessing"] = [
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
        {"id": "scale_linear", "kwargs": {"gain": 4 / 255, "offset": -2.0}},
    ]
    return described


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="checkpoint.pt or weights.pt of train.py")
    parser.add_argument("data", type=Path, help="folder with dsb2018/ and mif_lung_foxp3/")
    parser.add_argument("--fluorescence", action="store_true")
    options = parser.parse_args()
    folder = MODELS / ("nuclei-fluorescence" if options.fluorescence else "nuclei-brightfield")
    state = torch.load(options.checkpoint, weights_only=True)
    weights = state.get("average", state)
    net = NucleiNet()
    # What is written has half the digits; ranges and test planes are those of what is written.
    net.load_state_dict({n: v.half().float() for n, v in weights.items()})
    net.eval()
    draw = renderer(options.data, options.fluorescence, seed=7).draw
    tiles = [draw().rgb for _ in range(TILES)]
    card = yaml.safe_load((folder / "rdf.yaml").read_text(encoding="utf-8"))
    described = tensors(folder, net, tiles[0][:TEST_PX, :TEST_PX])
    card["inputs"], card["outputs"] = described[:1], described[1:]
    digest = write_model(folder, card, weights, activation_ranges=activation_ranges(net, tiles))
    print(f"{folder.name}: weights.pt, SHA-256 {digest}")


if __name__ == "__main__":
    main()
