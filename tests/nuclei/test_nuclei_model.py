"""Model folders: what is read, what is refused, and in which words."""

import shutil

import numpy as np
import pytest
import torch

from histo.errors import ModelError
from histo.nuclei import list_models, load_model, read_card, segment, virtual_hematoxylin
from histo.nuclei.network import NucleiNet


@pytest.fixture
def own_model(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(read_card("nuclei-brightfield").folder, folder)
    return folder


def test_the_built_in_model_is_listed_with_its_card():
    cards = {card.name: card for card in list_models()}
    card = cards["nuclei-brightfield"]
    assert card.pixel_size_um == 0.5
    assert len(card.sha256) == 64
    assert card.weights.is_file()


def test_a_folder_of_the_users_own_loads(own_model):
    assert load_model(own_model).card.folder == own_model.resolve()


def test_unknown_model_names_those_there_are():
    with pytest.raises(ModelError, match="nuclei-brightfield"):
        load_model("nuclei-brightfeild")


def test_altered_weights_are_refused(own_model):
    weights = own_model / "weights.pt"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="altered or truncated"):
        load_model(own_model)


def test_missing_weights_are_refused(own_model):
    (own_model / "weights.pt").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(own_model)


@pytest.mark.parametrize("change", [("threshold: ", "treshold: "), ("name: nuclei", ": nuclei")])
def test_a_wrong_card_is_refused_by_name(own_model, change):
    card = own_model / "rdf.yaml"
    card.write_text(card.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    with pytest.raises(ModelError, match="not a model description"):
        read_card(own_model)


def test_weights_of_another_network_are_refused(own_model):
    card = own_model / "rdf.yaml"
    text = card.read_text(encoding="utf-8").replace("[24, 48, 96, 160, 192]", "[16, 32]")
    card.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="does not fit the network"):
        load_model(own_model)


@pytest.mark.parametrize("shape", [(5, 7), (16, 16), (33, 70)])
def test_any_size_is_predicted_at_its_size(shape):
    planes = load_model("nuclei-brightfield").predict(np.full((*shape, 3), 230, np.uint8))
    assert planes.shape == (*shape, 3)
    assert planes.dtype == np.float32
    assert np.isfinite(planes).all()
    assert planes[..., 0].min() >= 0
    assert planes[..., 0].max() <= 1


def test_channels_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match="virtual_hematoxylin"):
        load_model("nuclei-brightfield").predict(np.zeros((16, 16), np.uint16))


def test_blank_glass_has_no_nuclei():
    rng = np.random.default_rng(0)
    glass = np.clip(rng.normal(240, 3, (256, 256, 3)), 0, 255).astype(np.uint8)
    assert segment(glass, load_model("nuclei-brightfield")).max() == 0


def test_virtual_hematoxylin_is_white_at_the_background_and_dark_on_nuclei():
    drawn = virtual_hematoxylin(np.array([[10.0, 200.0, 1000.0]]), 10, 200)
    assert drawn.dtype == np.uint8
    assert drawn[0, 0].tolist() == [245, 245, 245]
    assert drawn[0, 1, 0] < 100
    assert (drawn[0, 2] <= drawn[0, 1]).all()
    with pytest.raises(ValueError, match="above low"):
        virtual_hematoxylin(np.zeros((2, 2)), 5, 5)


def test_folding_normalisation_into_convolutions_changes_nothing_but_rounding():
    generator = torch.Generator().manual_seed(0)
    net = NucleiNet((8, 16, 24))
    for name, buffer in net.named_buffers():
        if buffer.dtype.is_floating_point:
            low = 0.5 if name.endswith("var") else -0.5
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + low)
    net.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x = torch.rand(1, 3, 64, 48, generator=generator)
    with torch.inference_mode():
        torch.testing.assert_close(net.fused()(x), net(x), atol=1e-5, rtol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in net.fused().modules())
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_read_only_picture_is_taken():
    image = np.full((32, 32, 3), 240, np.uint8)
    image.setflags(write=False)
    assert load_model("nuclei-brightfield").predict(image).shape == (32, 32, 3)
