"""Vectors from regions of one stain."""

import numpy as np
import pytest

from histo.errors import StainError
from histo.stain import explain, load_stains, stains_from_regions

WHITE = np.array([243.0, 241.0, 238.0])
OWN = {"hematoxylin": (0.58, 0.74, 0.34), "dab": (0.32, 0.60, 0.73), "red": (0.17, 0.82, 0.55)}


def unit(vector):
    return np.array(vector) / np.linalg.norm(vector)


def painted(vector, *, low=0.3, high=0.9, n=2000, noise=0.0, seed=0):
    """Paint pixels of one stain through Beer and Lambert; without noise as real numbers."""
    rng = np.random.default_rng(seed)
    rgb = WHITE * 10 ** -(rng.uniform(low, high, (n, 1)) * unit(vector))
    return rgb if noise == 0 else np.clip(rgb + rng.normal(0, noise, rgb.shape), 0, 255)


def angle(a, b):
    return np.degrees(np.arccos(np.clip(unit(a) @ unit(b), -1, 1)))


@pytest.mark.parametrize("stains", ["h-dab", "h-dab-red"])
def test_pure_pixels_give_their_vectors_exactly(stains):
    reference = load_stains(stains)
    regions = {stain: painted(OWN[stain]) for stain in reference.stains}
    found = stains_from_regions(regions, reference, WHITE)
    assert found.stains == reference.stains
    for stain, vector in zip(found.stains, found.vectors, strict=True):
        np.testing.assert_allclose(vector, unit(OWN[stain]), atol=1e-6)
    assert (found.flags, found.provisional) == ((), ())


def test_noise_and_a_quarter_of_something_else_do_not_pull_it():
    region = np.concatenate([painted(OWN["dab"], noise=4), painted(OWN["hematoxylin"], n=600)])
    found = stains_from_regions({"dab": region.astype(np.uint8)}, load_stains("h-dab"), WHITE)
    # 600 of 2600 pixels are of the other stain, 39° away.
    assert angle(found.vectors[1], OWN["dab"]) < 5
    assert found.flags == ()


def test_glass_and_saturated_pixels_are_left_out():
    glass, black = np.full((5000, 3), WHITE), np.zeros((5000, 3))
    region = np.concatenate([painted(OWN["dab"]), glass, black])
    found = stains_from_regions({"dab": region}, load_stains("h-dab"), WHITE)
    np.testing.assert_allclose(found.vectors[1], unit(OWN["dab"]), atol=1e-6)


def test_stains_without_a_region_are_kept():
    reference = load_stains("h-dab-red")
    found = stains_from_regions({"red": painted(OWN["red"])}, reference, WHITE)
    np.testing.assert_array_equal(found.vectors[:2], reference.vectors[:2])
    assert found.provisional == ()
    assert stains_from_regions({"dab": painted(OWN["dab"])}, reference, WHITE).provisional == (
        "red",
    )


def test_a_mixed_region_is_said_to_be_mixed():
    mixed = np.concatenate([painted(OWN["dab"]), painted(OWN["hematoxylin"], n=2000, seed=1)])
    found = stains_from_regions({"dab": mixed}, load_stains("h-dab"), WHITE)
    assert "stain_region_mixed_dab" in found.flags
    assert explain("stain_region_mixed_dab").startswith("dab: The region drawn")


def test_an_unusual_colour_is_taken_and_said():
    vector = load_stains("h-dab").vectors[0] + [0.0, 0.0, 0.4]
    found = stains_from_regions({"hematoxylin": painted(vector)}, load_stains("h-dab"), WHITE)
    assert 15 < angle(vector, load_stains("h-dab").vectors[0]) < 35
    np.testing.assert_allclose(found.vectors[0], unit(vector), atol=1e-6)
    assert found.flags == ("stain_vector_unusual_hematoxylin",)


def test_confused_regions_are_refused():
    reference = load_stains("h-dab")
    with pytest.raises(StainError, match="dab: the colour in the region is nearer to"):
        stains_from_regions({"dab": painted(reference.vectors[0])}, reference, WHITE)
    regions = {"dab": painted(reference.vectors[0]), "hematoxylin": painted(OWN["hematoxylin"])}
    found = stains_from_regions(regions, reference, WHITE)
    assert found.flags == ("stain_vector_rejected_dab",)
    np.testing.assert_array_equal(found.vectors[1], reference.vectors[1])


def test_too_little_to_measure():
    reference = load_stains("h-dab")
    with pytest.raises(StainError, match="fewer than 200 stained pixels"):
        stains_from_regions({"dab": painted(OWN["dab"], n=150)}, reference, WHITE)
    with pytest.raises(StainError, match="No region"):
        stains_from_regions({}, reference, WHITE)
    with pytest.raises(ValueError, match="regions of red"):
        stains_from_regions({"red": painted(OWN["red"])}, reference, WHITE)
