"""Blur added in known amounts is found; sharp tissue is not called blurred."""

import cv2
import numpy as np
import pytest
from skimage.data import immunohistochemistry

from histo.tissue import blurred_mask, focus_map

SIZE = 0.5


def blur(rgb, sigma_um):
    if not sigma_um:
        return rgb
    soft = cv2.GaussianBlur(rgb.astype(np.float32), (0, 0), sigma_um / SIZE)
    noise = np.random.default_rng(0).normal(0, 1.0, rgb.shape)
    return np.clip(np.round(soft + noise), 0, 255).astype(np.uint8)


def test_focus_falls_as_blur_grows():
    rgb = immunohistochemistry()
    median = [float(np.nanmedian(focus_map(blur(rgb, s), SIZE))) for s in (0, 0.5, 1, 2, 3)]
    assert median == sorted(median, reverse=True)
    assert median[0] > 0.5
    assert median[3] < 0.21


def test_sharp_tissue_is_clean_and_blurred_tissue_is_marked():
    rgb = immunohistochemistry()
    assert not blurred_mask(rgb, SIZE).any()
    assert blurred_mask(blur(rgb, 3), SIZE).mean() > 0.8


def test_only_the_blurred_half_is_marked():
    rgb = immunohistochemistry().copy()
    rgb[:, 256:] = blur(rgb, 3)[:, 256:]
    found = blurred_mask(rgb, SIZE)
    assert not found[:, :200].any()
    assert found[:, 320:].mean() > 0.7


def test_tiles_with_a_halo_equal_the_whole():
    rgb = blur(immunohistochemistry(), 1.0)
    halo = int(48 / SIZE)
    whole = focus_map(rgb, SIZE)
    part = focus_map(rgb[128 - halo : 384 + halo, 128 - halo : 384 + halo], SIZE)
    np.testing.assert_allclose(
        part[halo:-halo, halo:-halo], whole[128:384, 128:384], atol=0.005, equal_nan=True
    )


def test_without_structure_there_is_no_verdict():
    glass = np.full((80, 80, 3), 240, np.uint8)
    assert np.isnan(focus_map(glass, SIZE)).all()
    assert not blurred_mask(glass, SIZE).any()
    assert blurred_mask(glass[:0], SIZE).shape == (0, 80)


def test_stain_strength_does_not_matter():
    rgb = immunohistochemistry().astype(float)
    pale = np.round(255 * (rgb / 255) ** 0.6).astype(np.uint8)
    ratio = np.nanmedian(focus_map(pale, SIZE)) / np.nanmedian(
        focus_map(rgb.astype(np.uint8), SIZE)
    )
    assert 0.85 < ratio < 1.15


def test_coarse_pixels_cannot_show_blur():
    with pytest.raises(ValueError, match=r"focus cannot be judged at 4\.0"):
        focus_map(np.zeros((8, 8, 3), np.uint8), 4.0)
