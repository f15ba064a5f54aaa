"""What runs the network: every engine says the same, alone and on several threads."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from histo.errors import ModelError
from histo.nuclei import list_models, load_model, read_card
from histo.nuclei.inference import KEPT_SHAPES, CpuEngine, activation_ranges, torch_engine
from histo.nuclei.network import NucleiNet
from histo.phantom import Composition, Recipe, paint_phantom
from histo.threads import in_order


@pytest.fixture(scope="module")
def net():
    """A network whose weights and running statistics are those of no particular training."""
    generator = torch.Generator().manual_seed(3)
    net = NucleiNet((8, 16, 24))
    for name, buffer in net.named_buffers():
        if buffer.dtype.is_floating_point:
            low = 0.5 if name.endswith("var") else -0.5
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + low)
    return net.eval()


@pytest.fixture(scope="module")
def tissue():
    recipe = Recipe("foxp3-dab", Composition())
    return paint_phantom(recipe, 11, shape=(192, 256), pixel_size_um=0.5).image


def in_torch(net, rgb):
    return torch_engine(net, torch.device("cpu"), torch.float32)(rgb)


def test_openvino_equals_torch(net, tissue):
    np.testing.assert_allclose(CpuEngine(net)(tissue), in_torch(net, tissue), atol=2e-5)


def test_eight_bits_come_close(net, tissue):
    ranges = activation_ranges(net, [tissue])
    planes, exact = CpuEngine(net, ranges)(tissue), in_torch(net, tissue)
    assert np.abs(planes - exact).mean() < 0.02
    assert np.abs(planes - exact).max() > 1e-4  # it did round


def test_every_convolution_has_a_range_that_holds_its_input(net, tissue):
    ranges = activation_ranges(net, [tissue], percent=100)
    count = sum(isinstance(m, torch.nn.Conv2d) for m in net.modules())
    assert len(ranges) == count
    assert all(low <= 0 < high for low, high in ranges)
    wider = activation_ranges(net, [tissue, 255 - tissue], percent=100)
    assert all(a[0] <= b[0] and a[1] >= b[1] for a, b in zip(wider, ranges, strict=True))


def test_threads_share_an_engine(net, tissue):
    engine = CpuEngine(net)
    images = [np.ascontiguousarray(np.roll(tissue, 16 * n, axis=1)) for n in range(8)]
    alone = [engine(image) for image in images]
    for one, other in zip(alone, in_order(engine, images, workers=4), strict=True):
        np.testing.assert_array_equal(one, other)


def test_many_shapes_are_read_one_after_the_other(net):
    engine = CpuEngine(net)
    for side in range(1, KEPT_SHAPES + 4):
        image = np.full((8 * side, 16, 3), 200, np.uint8)
        assert engine(image).shape == (3, 8 * side, 16)
    assert engine(np.full((8, 16, 3), 200, np.uint8)).shape == (3, 8, 16)


def test_the_picture_is_not_changed(net, tissue):
    before = tissue.copy()
    CpuEngine(net)(tissue)
    np.testing.assert_array_equal(tissue, before)


@pytest.mark.parametrize("name", [card.name for card in list_models()])
def test_the_built_in_models_lose_nothing_in_eight_bits(name, tissue):
    exact = load_model(name, engine="float32").predict(tissue)
    rounded = load_model(name, engine="int8").predict(tissue)
    assert np.abs(exact - rounded).mean() < 0.01
    assert ((exact[..., 0] > 0.5) != (rounded[..., 0] > 0.5)).mean() < 0.01


def test_without_ranges_there_are_no_eight_bits(tmp_path):
    import yaml

    from histo.nuclei.writing import derive_card, load_net, write_model

    start = read_card("nuclei-brightfield")
    card = derive_card(start, name="mine", version="1")
    write_model(tmp_path, card, load_net(start).state_dict())
    assert "activation_ranges" not in yaml.safe_load((tmp_path / "rdf.yaml").read_text())
    with pytest.raises(ModelError, match="activation_ranges"):
        load_model(tmp_path, engine="int8")
    with pytest.raises(ValueError, match="engine must be one of"):
        load_model(tmp_path, engine="tensorrt")


def test_openvino_does_not_load_what_reports_its_use():
    code = (
        "import sys, numpy as np; from histo.nuclei import load_model;"
        "load_model('nuclei-brightfield', engine='float32').predict(np.zeros((32, 32, 3), 'u1'));"
        "print([m for m, v in sys.modules.items() if 'openvino_telemetry' in m and v])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
