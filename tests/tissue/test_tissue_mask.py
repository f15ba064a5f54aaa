"""Tissue found on painted slides, with exact truth, and on real ones where they are."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histo.tissue import MAX_HOLE_UM2, MIN_TISSUE_UM2, tissue_mask, tissue_mask_channels

HEMATOXYLIN = np.array([0.650, 0.704, 0.286])
DATA = Path(os.environ.get("HISTO_DATA", Path(__file__).resolve().parents[2] / "../shared/data"))


def paint(amount, *, white=(244, 243, 241), noise=0.7, seed=0, vector=HEMATOXYLIN):
    """A slide of one stain: optical density float (Y, X) to uint8 (Y, X, 3)."""
    rng = np.random.default_rng(seed)
    lamp = np.asarray(white, float)
    rgb = lamp * 10.0 ** -(amount[..., None] * vector) + rng.normal(0, noise, (*amount.shape, 3))
    return np.clip(np.round(rgb), 0, 255).astype(np.uint8)


def textured(shape, mean, *, seed=1):
    """Stain that varies as tissue does at a low level: by a third, over a few pixels."""
    rough = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, shape), (0, 0), 1.0)
    return mean * np.clip(1 + rough / rough.std() / 3, 0.2, 2)


def disc(shape, center, radius):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(y - center[0], x - center[1]) < radius


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("mean", [0.04, 0.1, 0.4, 0.9])
@pytest.mark.parametrize("pixel_size_um", [4.0, 8.0, 16.0])
def test_a_disc_of_any_strength_is_found(mean, pixel_size_um):
    shape = (200, 240)
    truth = disc(shape, (100, 120), 60)
    found = tissue_mask(paint(textured(shape, mean) * truth), pixel_size_um)
    assert iou(found, truth) > 0.93


@pytest.mark.parametrize(
    "white", [(255, 255, 255), (244, 243, 241), (205, 205, 205), (250, 243, 222), (228, 236, 244)]
)
def test_glass_of_any_tint_is_empty_and_does_not_hide_tissue(white):
    shape = (160, 160)
    assert not tissue_mask(paint(np.zeros(shape), white=white), 8.0).any()
    truth = disc(shape, (80, 80), 50)
    assert iou(tissue_mask(paint(textured(shape, 0.1) * truth, white=white), 8.0), truth) > 0.9


def vignette(shape, depth=0.12):
    y, x = (np.linspace(-1, 1, n) for n in shape)
    return 1 - depth * (y[:, None] ** 2 + x[None] ** 2) / 2


def test_vignetting_is_not_tissue():
    shape = (200, 200)
    shade = vignette(shape)[..., None]
    empty = np.round(paint(np.zeros(shape)) * shade).astype(np.uint8)
    assert not tissue_mask(empty, 8.0).any()
    truth = disc(shape, (90, 110), 60)
    rgb = np.round(paint(textured(shape, 0.12) * truth) * shade).astype(np.uint8)
    assert iou(tissue_mask(rgb, 8.0), truth) > 0.9


@pytest.mark.parametrize("mean", [0.1, 0.3, 0.8])
@pytest.mark.parametrize("side", [32, 64, 200])
def test_tissue_from_wall_to_wall_is_all_tissue(mean, side):
    rgb = paint(textured((side, side), mean))
    assert tissue_mask(rgb, 4.0).mean() > 0.98


def test_a_small_field_half_on_glass():
    # 256 µm at 4 µm/px.
    truth = np.zeros((64, 64), bool)
    truth[:, :32] = True
    assert iou(tissue_mask(paint(textured((64, 64), 0.2) * truth), 4.0), truth) > 0.93


def test_dust_shadows_and_scratches_have_no_colour_and_do_not_count():
    rgb = paint(np.zeros((200, 200)))
    rgb[50:70, 50:90] = (120, 119, 118)
    rgb[:, 150:153] = (160, 159, 158)
    assert not tissue_mask(rgb, 8.0).any()


@pytest.mark.parametrize("pixel_size_um", [4.0, 8.0])
def test_islands_and_holes_are_judged_by_area_in_um2(pixel_size_um):
    shape = (200, 200)

    def radius(area_um2):
        return np.sqrt(area_um2 / np.pi) / pixel_size_um

    amount = textured(shape, 0.3) * disc(shape, (100, 70), 60)
    small, large = (
        disc(shape, (100, 90), radius(0.3 * MAX_HOLE_UM2)),
        disc(shape, (100, 50), radius(4 * MAX_HOLE_UM2)),
    )
    amount[small | large] = 0
    speck = disc(shape, (30, 170), radius(0.2 * MIN_TISSUE_UM2))
    island = disc(shape, (160, 170), radius(3 * MIN_TISSUE_UM2))
    amount[speck | island] = 0.3
    found = tissue_mask(paint(amount), pixel_size_um)
    assert found[100, 90]
    assert not found[100, 50]
    assert not found[30, 170]
    assert found[160, 170]


def test_fat_counts_as_tissue():
    # Walls of one pixel around cells of 64 µm.
    amount = np.zeros((160, 160))
    amount[40:121:8, 40:121] = amount[40:121, 40:121:8] = 0.12
    found = tissue_mask(paint(amount), 8.0)
    assert found[40:121, 40:121].all()
    assert found.mean() < 0.35


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 3))
def test_turning_the_slide_turns_the_mask(turns):
    shape = (120, 150)
    truth = disc(shape, (50, 60), 40)
    rgb = paint(textured(shape, 0.2) * truth)
    turned = tissue_mask(np.ascontiguousarray(np.rot90(rgb, turns)), 8.0)
    assert iou(np.rot90(tissue_mask(rgb, 8.0), turns), turned) > 0.98


@pytest.mark.parametrize("pixel_size_um", [0.5, 1.0, 3.0])
def test_finer_pictures_give_the_same_area(pixel_size_um):
    shape = (420, 500)
    truth = disc(shape, (200, 250), 150)
    rgb = paint(textured(shape, 0.3) * truth)
    before = rgb.copy()
    found = tissue_mask(rgb, pixel_size_um)
    assert found.shape == shape
    assert found.dtype == bool
    # At 0.5 µm/px a pixel of the mask is 8 pixels wide, against a radius of 150.
    assert iou(found, truth) > 0.88
    np.testing.assert_array_equal(rgb, before)


@pytest.mark.parametrize("shape", [(0, 10, 3), (1, 1, 3), (3, 200, 3)])
def test_odd_sizes(shape):
    assert tissue_mask(np.full(shape, 240, np.uint8), 8.0).shape == shape[:2]


@pytest.mark.parametrize(
    ("rgb", "size", "message"),
    [
        (np.zeros((4, 4), np.uint8), 8.0, "uint8"),
        (np.zeros((4, 4, 3), np.float32), 8.0, "uint8"),
        (np.zeros((4, 4, 3), np.uint8), 0.0, "positive"),
        (np.zeros((4, 4, 3), np.uint8), np.nan, "positive"),
    ],
)
def test_bad_arguments(rgb, size, message):
    with pytest.raises(ValueError, match=message):
        tissue_mask(rgb, size)


CASES = [
    ("uint8", 10, 2, 40),
    ("uint16", 300, 12, 400),
    ("uint16", 0, 0, 50),
    ("float32", 0.01, 0.002, 0.2),
    ("float32", -5.0, 1.0, 40.0),
]


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize(("dtype", "dark", "noise", "signal"), CASES)
def test_fluorescence_tissue_and_empty_slides(dtype, dark, noise, signal, channels):
    rng = np.random.default_rng(0)
    shape = (150, 170)
    truth = disc(shape, (70, 90), 45)
    image = (
        rng.normal(dark, noise, (*shape, channels))
        if noise
        else np.full((*shape, channels), float(dark))
    )
    if dtype != "float32":
        image = np.clip(image, 0, None)
    assert not tissue_mask_channels(image.astype(dtype), 8.0).any()
    image[..., -1] += textured(shape, signal) * truth
    found = tissue_mask_channels(image.astype(dtype), 8.0)
    assert iou(found, truth) > 0.9


def test_fluorescence_odds_and_ends():
    assert tissue_mask_channels(np.zeros((0, 4, 2)), 8.0).shape == (0, 4)
    assert not tissue_mask_channels(np.full((20, 20), np.nan), 8.0).any()
    with pytest.raises(ValueError, match="image must be"):
        tissue_mask_channels(np.zeros(4), 8.0)
    with pytest.raises(ValueError, match="positive"):
        tissue_mask_channels(np.zeros((4, 4)), -1.0)


@pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real images is not here")
@pytest.mark.parametrize("stain", ["HE", "PD1", "PDL1"])
def test_real_cores_empty_and_full(stain):
    files = sorted((DATA / "look/tma_pd1_pdl1").glob(f"{stain}*.jpg"))
    if not files:
        pytest.skip("no tissue array in the folder of real images")
    full = {"002", "003", "004", "005", "007"}
    for path in files:
        rgb = cv2.imread(str(path))[..., ::-1]
        small = cv2.resize(rgb, None, fx=1 / 16, fy=1 / 16, interpolation=cv2.INTER_AREA)
        share = tissue_mask(np.ascontiguousarray(small), 8.0).mean()
        assert (share > 0.15) if path.stem[-3:] in full else (share == 0), path.name
