import cv2
import numpy as np
import pytest

from histo.tissue import nuclear_texture, tissue_mask_channels


def nuclei(shape_um, um, *, spacing_um=10.0, seed=0):
    """Paint discs of 3 to 4.5 µm on a loose grid, light 0 to 1, blurred as by a lens."""
    rng = np.random.default_rng(seed)
    light = np.zeros([round(n / um) for n in shape_um], np.float32)
    for y in np.arange(0, shape_um[0], spacing_um):
        for x in np.arange(0, shape_um[1], spacing_um):
            at = (np.array([x, y]) + rng.uniform(-2, 2, 2)) / um
            radius = rng.uniform(3, 4.5) / um
            sub = tuple(round(float(v) * 16) for v in at)
            cv2.circle(light, sub, round(radius * 16), rng.uniform(0.6, 1), -1, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(light, (0, 0), 0.4 / um)


SHAPE = (300.0, 400.0)
SCALES = [("uint8", 20, 3, 30), ("uint16", 700, 12, 250), ("float32", 2.0, 0.2, 3.0)]


@pytest.mark.parametrize("um", [0.25, 0.5, 1.0, 1.2])
@pytest.mark.parametrize(("dtype", "level", "noise", "signal"), SCALES)
def test_nuclei_are_seen_and_noise_is_not(dtype, level, noise, signal, um):
    light = nuclei(SHAPE, um)
    rng = np.random.default_rng(1)
    # One noise at 1 µm, whatever the pixels.
    empty = rng.normal(level, noise / um, light.shape)
    assert nuclear_texture(np.clip(empty, 0, None).astype(dtype), um).mean() < 0.01
    full = np.clip(empty + signal * light, 0, None).astype(dtype)
    assert nuclear_texture(full, um).mean() > 0.9


@pytest.mark.parametrize("gain", [0.01, 1.0, 300.0])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_gain_and_offset_do_not_matter(gain, offset):
    rng = np.random.default_rng(2)
    light = nuclei(SHAPE, 1.0)
    noise = rng.normal(0, 5, light.shape)
    plain = nuclear_texture((100 * light + noise + 50).astype("f4"), 1.0)
    assert np.mean(plain) > 0.9
    moved = nuclear_texture((gain * (100 * light + noise + 50 + offset)).astype("f4"), 1.0)
    assert np.mean(plain != moved) < 0.02


def smooth(rng, shape, sigma):
    return cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), sigma) * sigma


@pytest.mark.parametrize("noise", [0, 1, 10])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_uneven_light_is_no_tissue(noise, dtype):
    y, x = np.mgrid[-1:1:400j, -1:1:500j]
    level = 200 if dtype == "uint8" else 3000
    empty = level * (1 - 0.3 * (y**2 + x**2)) + np.random.default_rng(0).normal(0, noise, y.shape)
    assert nuclear_texture(empty.astype(dtype), 1.0).mean() < 0.01


def test_grain_of_a_microns_width_is_no_tissue():
    rng = np.random.default_rng(3)
    assert nuclear_texture(100 + 5 * smooth(rng, (400, 400), 1.0), 1.0).mean() < 0.05


def test_jpeg_noise_is_no_tissue():
    noise = np.clip(np.random.default_rng(4).normal(6, 2, (800, 800)), 0, 255).astype(np.uint8)
    for quality in (60, 80, 95):
        data = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        assert nuclear_texture(cv2.imdecode(data, 0), 0.5).mean() < 0.1


def test_dust_counts_for_its_own_square_only():
    empty = np.random.default_rng(5).normal(100, 5, (500, 500)).astype(np.float32)
    for at in ((100, 100), (400, 120), (250, 400)):
        cv2.circle(empty, at, 4, 5000, -1)
    found = nuclear_texture(empty, 1.0)
    assert found[100, 100]
    assert found.mean() < 3 * 80**2 / empty.size


def test_half_a_field():
    rng = np.random.default_rng(6)
    light = nuclei(SHAPE, 1.0)
    light[:, 200:] = 0
    found = nuclear_texture((100 + 50 * light + rng.normal(0, 4, light.shape)).astype("f4"), 1.0)
    assert found[:, :190].mean() > 0.9
    assert found[:, 240:].mean() < 0.01


def test_only_where_it_is_asked_and_undisturbed_by_what_lies_beside():
    rng = np.random.default_rng(7)
    light = nuclei(SHAPE, 1.0)
    light[:, 200:] = 0
    image = (100 + 5000 * light + rng.normal(0, 1, light.shape)).astype("f4")
    where = np.zeros(image.shape, bool)
    where[:, 224:] = True
    assert not nuclear_texture(image, 1.0, where=where).any()
    assert not nuclear_texture(image, 1.0, where=np.zeros_like(where)).any()
    found = nuclear_texture(image, 1.0, where=~where)
    assert not found[where].any()
    assert found[:, :190].mean() > 0.9


def test_from_afar_a_full_field_looks_empty():
    """Why nuclei are looked for: the mask alone takes a field without glass for glass."""
    rng = np.random.default_rng(8)
    light = nuclei((800, 800), 1.0)
    image = 500 + 300 * light + rng.normal(0, 15, light.shape)
    assert tissue_mask_channels(image.astype(np.uint16), 1.0).mean() < 0.5
    assert nuclear_texture(image.astype(np.uint16), 1.0).mean() > 0.9


def test_odds_and_ends():
    assert nuclear_texture(np.zeros((0, 5)), 1.0).shape == (0, 5)
    assert not nuclear_texture(np.full((60, 60), np.nan), 1.0).any()
    assert not nuclear_texture(np.full((60, 60), 60000, np.uint16), 1.0).any()
    assert nuclear_texture(np.zeros((1, 1)), 1.0).shape == (1, 1)
    image = np.random.default_rng(0).normal(5, 1, (50, 50))
    before = image.copy()
    nuclear_texture(image, 1.0, where=np.ones(image.shape, bool))
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("image", "um", "where", "message"),
    [
        (np.zeros((4, 4, 1)), 1.0, None, "image must be"),
        (np.zeros((4, 4)), 0.0, None, "positive"),
        (np.zeros((4, 4)), 4.0, None, "too coarse"),
        (np.zeros((4, 4)), 1.0, np.ones((4, 5), bool), "where must have"),
    ],
)
def test_bad_arguments(image, um, where, message):
    with pytest.raises(ValueError, match=message):
        nuclear_texture(image, um, where=where)
