import cv2
import numpy as np
import pytest
from scipy import ndimage

from histo.cells import cell_outlines


def ring_area(ring):
    """Shoelace; positive when clockwise on the screen."""
    y, x = ring[:, 0], ring[:, 1]
    return 0.5 * np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])


def crosses_itself(ring):
    """Whether any two sides that are not neighbours meet."""
    a, b = ring[:-1], ring[1:]
    n = len(a)

    def side(p, q, r):
        return np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]))

    for i in range(n):
        for j in range(i + 2, n - (i == 0)):
            if side(a[i], b[i], a[j]) * side(a[i], b[i], b[j]) <= 0 and (
                side(a[j], b[j], a[i]) * side(a[j], b[j], b[i]) <= 0
            ):
                overlap = all(
                    max(min(a[i, k], b[i, k]), min(a[j, k], b[j, k]))
                    <= min(max(a[i, k], b[i, k]), max(a[j, k], b[j, k]))
                    for k in (0, 1)
                )
                if overlap:
                    return True
    return False


def largest_filled_piece(mask):
    """Pixels of the largest piece, holes filled; pieces join along sides, holes at corners too."""
    pieces, count = ndimage.label(mask)
    areas = []
    for k in range(1, count + 1):
        background = ndimage.label(np.pad(pieces != k, 1, constant_values=True), np.ones((3, 3)))[0]
        areas.append(np.count_nonzero(background != background[0, 0]))
    return max(areas)


@pytest.mark.parametrize("seed", range(30))
def test_any_shape_gives_a_simple_closed_ring_around_its_area(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 1, 2], size=(9, 11), p=[0.3, 0.5, 0.2]).astype(np.int32)
    rings = cell_outlines(labels, np.array([1, 2]))
    assert set(rings) == {1, 2}
    for label, ring in rings.items():
        assert ring.dtype == np.float64
        assert np.array_equal(ring[0], ring[-1])
        assert len(ring) >= 5
        assert not crosses_itself(ring)
        assert ring_area(ring) == pytest.approx(largest_filled_piece(labels == label) - 0.5)


def test_points_on_straight_lines_are_dropped():
    labels = np.zeros((20, 30), np.int32)
    labels[5:15, 5:25] = 4
    ring = cell_outlines(labels, np.array([4]))[4]
    assert len(ring) == 9
    assert ring_area(ring) == 199.5


def test_neighbours_do_not_overlap():
    labels = np.zeros((40, 40), np.int32)
    cv2.circle(labels, (15, 20), 9, 1, -1)
    cv2.circle(labels, (25, 20), 9, 2, -1)
    rings = cell_outlines(labels, np.array([1, 2]))
    scale = 16
    drawn = np.zeros((40 * scale, 40 * scale), np.uint8)
    for ring in rings.values():
        one = np.zeros_like(drawn)
        cv2.fillPoly(one, [np.round(ring[:, ::-1] * scale - 0.5).astype(np.int32)], 1)
        drawn += cv2.erode(one, np.ones((3, 3), np.uint8))
    assert drawn.max() == 1


def test_only_what_was_asked_for_and_touching_the_edge():
    labels = np.arange(1, 13, dtype=np.int32).reshape(3, 4)
    rings = cell_outlines(labels, np.array([1, 12]))
    assert sorted(rings) == [1, 12]
    assert rings[12].max(axis=0).tolist() == [3.0, 4.0]
    assert cell_outlines(labels, np.array([], int)) == {}


def test_the_largest_piece_without_its_hole():
    labels = np.zeros((12, 12), np.int32)
    labels[1:7, 1:7] = 1
    labels[3, 3] = 0
    labels[9:11, 9:11] = 1
    ring = cell_outlines(labels, np.array([1]))[1]
    assert ring_area(ring) == 35.5


def test_labels_that_are_not_there():
    labels = np.ones((3, 3), np.int32)
    with pytest.raises(ValueError, match="label 7 is not in labels"):
        cell_outlines(labels, np.array([7]))
    with pytest.raises(ValueError, match="ids must be > 0"):
        cell_outlines(labels, np.array([0]))
    with pytest.raises(ValueError, match="2-D"):
        cell_outlines(labels[0], np.array([1]))
