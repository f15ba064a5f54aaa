"""What the network is to say of an image: depth, way to the centre, and turning both."""

import numpy as np
import pytest

from histo.nuclei.network import OFFSET_PX
from histo.nuclei.targets import PLANES, border_distance, decode, encode, targets_of, turn
from histo.phantom import paint_examples


@pytest.fixture(scope="module")
def painted():
    return paint_examples(np.random.default_rng(4), side_px=96)[0]


def test_nuclei_that_touch_are_parted_by_a_line_of_no_depth():
    labels = np.zeros((9, 14), np.int32)
    labels[1:8, 1:7], labels[1:8, 7:13] = 1, 2
    distance = border_distance(labels)
    assert (distance[:, 6:8][labels[:, 6:8] > 0] == 0.5).all()
    assert distance[4, 3] > 1
    assert (distance[labels == 0] == 0).all()


def test_every_nucleus_reaches_full_depth_and_points_to_its_centroid(painted):
    targets = targets_of(painted.labels, painted.positive)
    assert targets.shape == (PLANES, *painted.labels.shape)
    assert targets.dtype == np.float32
    y, x = np.indices(painted.labels.shape)
    for label in range(1, painted.labels.max() + 1):
        inside = painted.labels == label
        if not inside.any():
            continue
        if border_distance(painted.labels)[inside].max() >= 1:
            assert targets[1][inside].max() == pytest.approx(1)
        for plane, at in ((3, y), (4, x)):
            aim = at[inside] + targets[plane][inside] * OFFSET_PX
            np.testing.assert_allclose(aim, at[inside].mean(), atol=1e-3)
    assert (targets[:, painted.labels == 0] == 0).all()


def test_no_nucleus_is_a_truth_too():
    assert not targets_of(np.zeros((8, 8), np.int32), np.zeros((8, 8))).any()


def test_positivity_counts_inside_nuclei_only(painted):
    everywhere = targets_of(painted.labels, np.ones(painted.labels.shape))
    assert (everywhere[2] == (painted.labels > 0)).all()


def test_bytes_keep_the_targets_within_half_a_step(painted):
    targets = targets_of(painted.labels, painted.positive)
    back = decode(encode(targets)).transpose(2, 0, 1)
    np.testing.assert_allclose(back[:3], targets[:3], atol=0.51 / 255)
    near = np.abs(targets[3:]).max(axis=0) <= 1
    np.testing.assert_allclose(back[3:][:, near], targets[3:][:, near], atol=0.51 / 127)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("quarters", range(5))
def test_turning_the_targets_is_the_target_of_the_turned_labels(painted, quarters, mirror):
    tile = np.concatenate(
        [painted.rgb, encode(targets_of(painted.labels, painted.positive))], axis=-1
    )
    before = tile.copy()
    turned = turn(tile, quarters, mirror)

    def turned_alike(plane):
        plane = np.rot90(plane, quarters)
        return np.ascontiguousarray(plane[:, ::-1] if mirror else plane)

    assert (turned[..., :3] == turned_alike(painted.rgb)).all()
    afresh = encode(targets_of(turned_alike(painted.labels), turned_alike(painted.positive)))
    assert (turned[..., 3:] == afresh).all()
    assert (tile == before).all()
