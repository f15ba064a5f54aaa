"""Model folders: what is written is what is read, and belongs together."""

import hashlib

import numpy as np
import pytest
import torch
import yaml

from histo.errors import ModelError
from histo.nuclei import load_model, read_card
from histo.nuclei.network import NucleiNet
from histo.nuclei.writing import derive_card, load_net, write_model


@pytest.fixture
def card():
    """The built-in card, for a network of two levels."""
    content = derive_card(read_card("nuclei-brightfield"), name="mine", version="3")
    content["weights"]["pytorch_state_dict"]["architecture"]["kwargs"]["widths"] = [8, 16]
    return content


def test_a_written_model_is_found_and_used(card, tmp_path):
    net = NucleiNet((8, 16))
    digest = write_model(tmp_path / "mine", card, net.state_dict())
    read = read_card(tmp_path / "mine")
    assert (read.name, read.version, read.widths, read.sha256) == ("mine", "3", (8, 16), digest)
    assert hashlib.sha256((tmp_path / "mine" / "weights.pt").read_bytes()).hexdigest() == digest
    for name, value in load_net(read).state_dict().items():
        torch.testing.assert_close(value, net.state_dict()[name], atol=1e-3, rtol=1e-3)
    planes = load_model(tmp_path / "mine").predict(np.full((32, 32, 3), 240, np.uint8))
    assert np.isfinite(planes).all()


def test_what_belongs_to_the_old_weights_is_left_out(card, tmp_path):
    card["weights"]["onnx"] = {"source": "old.onnx", "sha256": "0" * 64}
    net = NucleiNet((8, 16)).state_dict()
    write_model(tmp_path / "old", card, net, activation_ranges=[(0, 1 / 3)] * 8)
    old = read_card(tmp_path / "old")
    assert old.activation_ranges == ((0.0, 0.33333),) * 8
    new = derive_card(old, name="new", version="4", description="Of our own.")
    assert new["weights"].keys() == {"pytorch_state_dict"}
    write_model(tmp_path / "new", new, net)
    read = read_card(tmp_path / "new")
    assert read.activation_ranges == ()
    assert read.description == "Of our own."
    for kept in ("licence", "pixel_size_um", "threshold", "saddle", "min_area_um2", "reads"):
        assert getattr(read, kept) == getattr(old, kept)


def test_the_card_that_was_given_is_not_changed(card, tmp_path):
    before = yaml.safe_dump(card)
    write_model(tmp_path, card, NucleiNet((8, 16)).state_dict(), activation_ranges=[(0, 1)] * 8)
    assert yaml.safe_dump(card) == before


def test_other_files_of_the_folder_stay(card, tmp_path):
    (tmp_path / "README.md").write_text("of ours")
    write_model(tmp_path, card, NucleiNet((8, 16)).state_dict())
    assert (tmp_path / "README.md").read_text() == "of ours"


@pytest.mark.parametrize("bad", [float("nan"), 1e6])
def test_weights_that_float16_cannot_hold_are_refused(card, tmp_path, bad):
    state = NucleiNet((8, 16)).state_dict()
    state["head.bias"][0] = bad
    with pytest.raises(ValueError, match=r"head\.bias"):
        write_model(tmp_path, card, state)
    assert not (tmp_path / "weights.pt").exists()


def test_weights_of_another_network_are_refused(card, tmp_path):
    write_model(tmp_path, card, NucleiNet((8, 24)).state_dict())
    with pytest.raises(ModelError, match="does not fit the network"):
        load_net(read_card(tmp_path))
