"""Painted pen, cover-slip edges and folds; and what must not be taken for them."""

import cv2
import numpy as np
import pytest
from skimage.data import immunohistochemistry

from histo.tissue import ARTEFACT_NAMES, find_artefacts, tissue_mask

HEMATOXYLIN = np.array([0.650, 0.704, 0.286])
DAB = np.array([0.268, 0.570, 0.776])
EOSIN = np.array([0.216, 0.801, 0.558])
WHITE = np.array([243.0, 243, 241])
PEN, EDGE, FOLD = (ARTEFACT_NAMES.index(name) for name in ("pen", "coverslip_edge", "fold"))
SIZE = 8.0


def textured(shape, mean, seed=1):
    rough = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, shape), (0, 0), 1.0)
    return mean * np.clip(1 + rough / rough.std() / 4, 0.2, 2)


def slide(amounts, *, white=WHITE):
    """Mix stains, given as (vector, OD (Y, X))."""
    density = sum(amount[..., None] * vector for vector, amount in amounts)
    rng = np.random.default_rng(0)
    rgb = white * 10.0**-density + rng.normal(0, 0.7, density.shape)
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8)


SHAPE = (300, 320)


def section(vector=HEMATOXYLIN, mean=0.2):
    inside = np.zeros(SHAPE, bool)
    inside[60:240, 60:260] = True
    return textured(SHAPE, mean) * inside


def find(rgb, size=SIZE):
    return find_artefacts(rgb, size, tissue_mask(rgb, size))


@pytest.mark.parametrize(
    "ink",
    [(25, 22, 18), (60, 165, 140), (30, 55, 175), (195, 25, 60)],
    ids=["black", "green", "blue", "red"],
)
def test_a_stroke_of_each_marker_is_pen_and_tissue_is_not(ink):
    rgb = slide([(HEMATOXYLIN, section())])
    truth = np.zeros(SHAPE, np.uint8)
    cv2.line(truth, (30, 20), (90, 280), 1, 25)
    rgb[truth > 0] = ink
    found = find(rgb)
    pen = found == PEN
    assert pen[truth > 0].mean() > 0.95
    far = cv2.dilate(truth, np.ones((13, 13))) == 0
    assert pen[far].mean() < 0.001


def test_dark_brown_is_no_ink_and_no_fold():
    brown = textured(SHAPE, 1.0, seed=3) * (section() > 0)
    brown[:, :120] = 0
    band = np.zeros(SHAPE)
    band[80:220, 70:80] = 1.2
    for amount in (brown, band):
        rgb = slide([(HEMATOXYLIN, section(mean=0.12)), (DAB, amount)])
        assert not find(rgb).any()


def test_crowded_blue_nuclei_are_no_ink_and_no_fold():
    amount = section(mean=0.15)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for cy, cx in ((110, 120), (180, 200), (120, 210)):
        amount[np.hypot(y - cy, x - cx) < 22] *= 4.0
    assert not find(slide([(HEMATOXYLIN, amount)])).any()


def test_brown_on_blue_mixtures_are_no_black_ink():
    both = textured(SHAPE, 0.35, seed=4) * (section() > 0)
    assert not find(slide([(HEMATOXYLIN, section(mean=0.35)), (DAB, both)])).any()


def test_eosin_is_no_red_ink():
    assert not (find(slide([(EOSIN, section(mean=0.45))])) == PEN).any()


@pytest.mark.parametrize("vector", [HEMATOXYLIN, EOSIN], ids=["blue", "pink"])
def test_a_doubled_band_is_a_fold(vector):
    amount = section(mean=0.25)
    truth = np.zeros(SHAPE, np.uint8)
    cv2.line(truth, (90, 90), (230, 190), 1, 8)
    amount[truth > 0] *= 4.0
    found = find(slide([(vector, amount)])) == FOLD
    assert found[truth > 0].mean() > 0.9
    assert found[cv2.dilate(truth, np.ones((9, 9))) == 0].mean() < 0.002


@pytest.mark.parametrize("ends", [((10, 40), (310, 60)), ((290, 0), (270, 299))])
def test_a_grey_line_across_the_slide_is_an_edge(ends):
    rgb = slide([(HEMATOXYLIN, section())])
    truth = np.zeros(SHAPE, np.uint8)
    cv2.line(truth, *ends, 1, 5)
    rgb[truth > 0] = (rgb[truth > 0] * 0.55).astype(np.uint8)
    found = find(rgb) == EDGE
    on_glass = (truth > 0) & (section() == 0)
    assert found[on_glass].mean() > 0.9
    assert found[cv2.dilate(truth, np.ones((15, 15))) == 0].mean() < 0.002


def test_blank_glass_and_plain_sections_have_none():
    assert not find(np.full((*SHAPE, 3), 240, np.uint8)).any()
    assert not find(slide([(HEMATOXYLIN, section())])).any()


@pytest.mark.parametrize("size", [0.5, 1.0])
def test_the_brown_glands_of_a_real_section_are_clean(size):
    assert not find(immunohistochemistry(), size).any()


def test_shapes_types_and_inputs():
    rgb = slide([(HEMATOXYLIN, section())])
    tissue = tissue_mask(rgb, SIZE)
    before = rgb.copy(), tissue.copy()
    found = find_artefacts(rgb, SIZE, tissue)
    assert found.dtype == np.uint8
    assert found.shape == SHAPE
    np.testing.assert_array_equal(rgb, before[0])
    np.testing.assert_array_equal(tissue, before[1])
    assert find_artefacts(rgb[:0], SIZE, tissue[:0]).shape == (0, SHAPE[1])
    with pytest.raises(ValueError, match="must match"):
        find_artefacts(rgb, SIZE, tissue[:5])
    with pytest.raises(ValueError, match="positive"):
        find_artefacts(rgb, -1.0, tissue)
