"""What runs the network: OpenVINO on the processor, torch on a graphics card.

On a CPU the network is handed to OpenVINO, in 8-bit integers where the model's card knows
the ranges of its activations: about four times as fast as torch, at the same accuracy
(docs/performance.md has both). The graph is written out node by node here, so that no
converter, and nothing that a converter brings with it, takes part in a run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from histo.nuclei.network import NucleiNet
from histo.threads import worker_count

__all__ = ["CpuEngine", "Planes", "Ranges", "activation_ranges", "best_device", "torch_engine"]

#: Takes uint8 (Y, X, 3) with sides that are multiples of the stride, returns float32 (3, Y, X).
Planes = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
#: Lowest and highest value that enters each convolution, in the order of `convolutions`.
Ranges = Sequence[tuple[float, float]]

#: Planes that are handed on: foreground, distance, dab_positive. The offsets are learned beside
#: them, as a second way to tell nuclei apart (see the model's card).
USED = 3

#: Compiled graphs that are kept: the tiles of a slide come in four shapes at most.
KEPT_SHAPES = 6


def best_device() -> torch.device:
    """Return the graphics card if there is one, else the processor.

    Examples
    --------
    >>> best_device().type in {"cuda", "mps", "cpu"}
    True
    """
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def torch_engine(net: NucleiNet, device: torch.device, dtype: torch.dtype) -> Planes:
    """Run the network in torch.

    Parameters
    ----------
    net : NucleiNet
    device : torch.device
    dtype : torch.dtype
        ``torch.float32``, or ``torch.bfloat16`` to compute in half the bits.

    Returns
    -------
    callable
        uint8 (Y, X, 3) to float32 (3, Y, X), logits turned into probabilities.

    Examples
    --------
    >>> run = torch_engine(NucleiNet((8, 16)), torch.device("cpu"), torch.float32)
    >>> run(np.full((32, 32, 3), 240, np.uint8)).shape
    (3, 32, 32)
    """
    # torch's overloads of Module.to leave out memory_format.
    fused = net.fused().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        # A copy: torch does not take read-only arrays.
        batch = torch.tensor(rgb, device=device)
        x = batch.permute(2, 0, 1)[None].float().div_(255).sub_(0.5).mul_(4)
        x = x.contiguous(memory_format=torch.channels_last)
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16),
        ):
            planes = fused(x)[0, :USED].float()
            planes[0:3:2].sigmoid_()  # foreground and dab_positive are logits, the rest is not
        result: NDArray[np.float32] = planes.contiguous().cpu().numpy()
        return result

    return run


def convolutions(fused: NucleiNet) -> list[nn.Conv2d]:
    """List the convolutions in the order in which the graph meets them."""
    found: list[nn.Conv2d] = [m for m in fused.down.modules() if isinstance(m, nn.Conv2d)]
    for narrow, block in zip(fused.narrow, fused.up, strict=True):
        found += [m for part in (narrow, block) for m in part.modules() if isinstance(m, nn.Conv2d)]
    return [*found, fused.head]


def activation_ranges(
    net: NucleiNet, images: Sequence[NDArray[np.uint8]], *, percent: float = 99.995
) -> list[tuple[float, float]]:
    """Measure what enters each convolution over some images, for 8-bit inference.

    Parameters
    ----------
    net : NucleiNet
    images : sequence of uint8 (Y, X, 3)
        A few dozen tiles of the kinds that the network will read; sides multiples of its stride.
    percent : float
        Of the values on each side are kept in range; what lies beyond saturates.

    Returns
    -------
    list of (float, float)
        Low and high, in the order in which the graph meets the convolutions.

    References
    ----------
    Krishnamoorthi, Quantizing deep convolutional networks for efficient inference,
    arXiv:1806.08342 (2018).

    Examples
    --------
    >>> ranges = activation_ranges(NucleiNet((8, 16)), [np.full((32, 32, 3), 240, np.uint8)])
    >>> len(ranges), ranges[1][0] == 0
    (8, True)
    """
    fused = net.fused()
    layers = convolutions(fused)
    ranges = [(0.0, 0.0)] * len(layers)

    def note(index: int) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            values = inputs[0].numpy()
            low, high = np.percentile(values, (100 - percent, percent))
            ranges[index] = (
                min(ranges[index][0], float(low)),
                max(ranges[index][1], float(high)),
            )

        return hook

    hooks = [layer.register_forward_pre_hook(note(n)) for n, layer in enumerate(layers)]
    with torch.inference_mode():
        for image in images:
            x = torch.tensor(image).permute(2, 0, 1)[None].float()
            fused((x / 255 - 0.5) * 4)
    for hook in hooks:
        hook.remove()
    return ranges


def _openvino() -> Any:
    """Import OpenVINO without the package through which it reports that it was imported."""
    # Laboratories' machines hold patients' data: nothing is sent from them, by no library.
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


class _Graph:
    """Writes the network as an OpenVINO graph, in 8 bits if ``ranges`` are given."""

    def __init__(self, fused: NucleiNet, ranges: Ranges | None) -> None:
        self.ov = _openvino()
        self.op = self.ov.opset13
        self.layers = iter(convolutions(fused))
        self.ranges = None if ranges is None else iter(ranges)
        self.fused = fused

    def model(self, shape: tuple[int, int]) -> Any:
        """Return the whole graph for one image: uint8 (1, Y, X, 3) to float32 (1, 3, Y, X)."""
        op = self.op
        image = op.parameter([1, *shape, 3], np.uint8)
        x = op.convert(op.transpose(image, np.array([0, 3, 1, 2])), "f32")
        x = op.multiply(op.subtract(op.divide(x, np.float32(255)), np.float32(0.5)), np.float32(4))
        x = op.space_to_depth(x, "depth_first", 2)
        skips = []
        for level, block in enumerate(self.fused.down):
            if level:
                x = op.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2], "floor", "valid").output(
                    0
                )
            x = self._block(x, block)
            skips.append(x)
        skips.pop()
        for block in self.fused.up:
            x = self._convolve(x)
            sizes = np.array([1.0, 1.0, 2.0, 2.0], np.float32)
            x = op.interpolate(
                x,
                sizes,
                "nearest",
                "scales",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
            x = self._block(op.add(x, skips.pop()), block)
        x = op.depth_to_space(self._convolve(x), "depth_first", 2)
        planes = op.split(x, np.int64(1), self.fused.head.out_channels // 4).outputs()[:USED]
        planes[0], planes[2] = op.sigmoid(planes[0]).output(0), op.sigmoid(planes[2]).output(0)
        return self.ov.Model([op.concat(planes, 1)], [image], "nuclei")

    def _block(self, x: Any, block: nn.Module) -> Any:
        for layer in block.modules():
            if isinstance(layer, nn.Conv2d):
                x = self._convolve(x)
            elif isinstance(layer, nn.ReLU):
                x = self.op.relu(x)
        return x

    def _convolve(self, x: Any) -> Any:
        op, layer = self.op, next(self.layers)
        weight = layer.weight.detach().float().numpy()
        kernel: Any = op.constant(weight)
        if self.ranges is not None:
            x = self._round(x, *next(self.ranges))
            # Seven bits: sums of two products then fit into the 16 bits that processors
            # without 8-bit dot products add them up in.
            most = np.maximum(np.abs(weight).max((1, 2, 3), keepdims=True), 1e-8)
            most = (most * (127 / 63)).astype(np.float32)
            kernel = op.fake_quantize(kernel, -most, most, -most, most, 255)
        pad = layer.kernel_size[0] // 2
        x = op.convolution(x, kernel, [1, 1], [pad, pad], [pad, pad], [1, 1])
        if layer.bias is not None:
            x = op.add(x, layer.bias.detach().float().numpy().reshape(1, -1, 1, 1))
        return x

    def _round(self, x: Any, low: float, high: float) -> Any:
        if low < 0:  # symmetric, so that zero stays zero
            most = max(-low, high)
            low, high = -most, most * 127 / 128
        limits = [np.float32(value) for value in (low, high, low, high)]
        return self.op.fake_quantize(x, *limits, 256)


class CpuEngine:
    """Run the network in OpenVINO on the processor.

    Threads may call it at the same time: that is how it uses all cores.

    Parameters
    ----------
    net : NucleiNet
    ranges : sequence of (float, float), optional
        From `activation_ranges`: compute in 8-bit integers. By default in float32.

    References
    ----------
    Jacob et al., Quantization and training of neural networks for efficient
    integer-arithmetic-only inference, CVPR 2018.

    Examples
    --------
    >>> run = CpuEngine(NucleiNet((8, 16)))
    >>> run(np.full((32, 32, 3), 240, np.uint8)).shape
    (3, 32, 32)
    """

    def __init__(self, net: NucleiNet, ranges: Ranges | None = None) -> None:
        self._core = _openvino().Core()
        self._fused = net.fused().cpu()
        self._ranges = ranges
        self._options = {
            "INFERENCE_NUM_THREADS": worker_count(),
            "NUM_STREAMS": worker_count(),
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
        }
        self._lock = Lock()
        # For each shape of image: the compiled graph and its requests that are not at work.
        self._compiled: dict[tuple[int, int], tuple[Any, list[Any]]] = {}

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map uint8 (Y, X, 3) to float32 (3, Y, X), logits turned into probabilities."""
        graph, idle = self._graph((rgb.shape[0], rgb.shape[1]))
        try:
            request = idle.pop()
        except IndexError:
            request = graph.create_infer_request()
        request.infer([np.ascontiguousarray(rgb[None])], share_inputs=True)
        planes: NDArray[np.float32] = request.get_output_tensor(0).data[0].copy()
        idle.append(request)
        return planes

    def _graph(self, shape: tuple[int, int]) -> tuple[Any, list[Any]]:
        with self._lock:
            if shape not in self._compiled:
                if len(self._compiled) >= KEPT_SHAPES:
                    del self._compiled[next(iter(self._compiled))]
                model = _Graph(self._fused, self._ranges).model(shape)
                compiled = self._core.compile_model(model, "CPU", self._options)
                self._compiled[shape] = (compiled, [])
            return self._compiled[shape]
