"""The models that come with histo: valid bioimage.io descriptions whose test tensors reproduce."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from histo.nuclei import list_models, read_card
from histo.nuclei.writing import load_net

NAMES = [card.name for card in list_models()]


def test_both_kinds_of_slide_have_a_model():
    assert {card.reads for card in list_models()} == {"brightfield", "nuclear"}


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_a_valid_description(name):
    # In a process of its own: bioimageio.spec leaves files open, and warnings are errors here.
    code = """
import sys
from bioimageio.spec import load_description
found = load_description(sys.argv[1], perform_io_checks=True).validation_summary
print(found.status, [error.msg for detail in found.details for error in detail.errors])
"""
    words = [sys.executable, "-W", "ignore", "-c", code, read_card(name).folder / "rdf.yaml"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True)
    assert shown.stdout.split(" ", 1)[0].startswith("valid"), shown.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_test_tensors_reproduce(name):
    card = read_card(name)
    rdf = yaml.safe_load((card.folder / "rdf.yaml").read_text(encoding="utf-8"))
    image, planes = (
        np.load(card.folder / rdf[side][0]["test_tensor"]["source"])
        for side in ("inputs", "outputs")
    )
    scale = rdf["inputs"][0]["preprocessing"][1]["kwargs"]
    x = torch.tensor(image).float() * scale["gain"] + scale["offset"]
    with torch.inference_mode():
        found = load_net(card)(x).numpy()
    np.testing.assert_allclose(found, planes, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_card_knows_what_inference_in_eight_bits_needs(name):
    card = read_card(name)
    count = sum(isinstance(m, torch.nn.Conv2d) for m in load_net(card).modules())
    assert len(card.activation_ranges) == count


@pytest.mark.parametrize("name", NAMES)
def test_the_card_says_in_words_what_it_was_made_of_and_where_it_fails(name):
    text = (read_card(name).folder / "README.md").read_text(encoding="utf-8")
    for word in ("licence", "trained on", "Known failures", "Retrain", "Validation"):
        assert word.lower() in text.lower(), word
