import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops_table

from histo.cells import Frame, expand_cells, measure_cells, validate_cells

FRAME = Frame(0, 0, 0.5)


def painted(side=160, pitch=20, seed=1, first=1):
    """Ellipses on a grid, some touching, and an image of two stains."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    label = first - 1
    for y in range(pitch // 2, side, pitch):
        for x in range(pitch // 2, side, pitch):
            label += 1
            axes = rng.uniform(7, 19, 2)
            cv2.ellipse(labels, ((x, y), axes.tolist(), rng.uniform(0, 180)), label, -1)
    image = rng.normal(0.3, 0.1, (side, side, 2)).astype(np.float32)
    return labels, image


def measured(labels, image, *, owned=None, frame=FRAME, expansion_um=5.0, names=("h", "dab")):
    owned = np.unique(labels[labels > 0]) if owned is None else owned
    return measure_cells(
        labels, image, list(names), owned=owned, frame=frame, expansion_um=expansion_um
    )


def test_it_agrees_with_scikit_image_and_scipy():
    labels, image = painted(pitch=26)
    cells = measured(labels, image)
    validate_cells(cells)
    ids = cells["cell_id"].to_numpy()
    props = regionprops_table(labels, properties=("label", "centroid", "area"))
    assert np.array_equal(ids, props["label"])
    np.testing.assert_allclose(cells["y_um"], (props["centroid-0"] + 0.5) * 0.5)
    np.testing.assert_allclose(cells["x_um"], (props["centroid-1"] + 0.5) * 0.5)
    np.testing.assert_allclose(cells["nucleus_area_um2"], props["area"] * 0.25)
    whole = expand_cells(labels, 10)
    parts = {"nucleus": labels, "cytoplasm": np.where(labels > 0, 0, whole), "cell": whole}
    for where, mask in parts.items():
        for plane, stain in enumerate(("h", "dab")):
            column = f"{where}_{stain}_od"
            for what, of in (
                ("mean", ndimage.mean),
                ("max", ndimage.maximum),
                ("std", ndimage.standard_deviation),
            ):
                np.testing.assert_allclose(
                    cells[f"{column}_{what}"], of(image[..., plane], mask, ids), rtol=1e-5
                )
    np.testing.assert_allclose(
        cells["cell_area_um2"], 0.25 * ndimage.sum(whole > 0, whole, ids), rtol=1e-6
    )


def test_solidity_is_over_the_exact_hull_of_the_pixels():
    labels, image = painted()
    labels[labels == 3] = 0
    labels[0:9, 40:42] = 3
    labels[0:2, 40:52] = 3  # an L
    cells = measured(labels, image).set_index("cell_id")
    for label in np.unique(labels[labels > 0]):
        y, x = np.nonzero(labels == label)
        corners = np.concatenate(
            [np.stack([x + dx, y + dy], 1) for dx in (0, 1) for dy in (0, 1)]
        ).astype(np.int32)
        hull = cv2.contourArea(cv2.convexHull(corners))
        assert cells.loc[label, "nucleus_solidity"] == pytest.approx(y.size / hull, rel=1e-5)


@pytest.mark.parametrize("height", [1, 2, 33, 100, 150])
def test_rectangles_are_solid_and_as_eccentric_as_they_are(height):
    labels = np.zeros((160, 40), np.int32)
    labels[3 : 3 + height, 5:15] = 9
    cell = measured(labels, np.zeros((160, 40, 1), np.float32), names=["dab"]).iloc[0]
    assert cell["nucleus_solidity"] == pytest.approx(1)
    small, large = sorted([10.0, height])
    assert cell["nucleus_eccentricity"] == pytest.approx(np.sqrt(1 - small**2 / large**2), abs=1e-6)
    assert cell["nucleus_diameter_um"] == pytest.approx(np.sqrt(10 * height / np.pi))


def test_contact_is_the_shared_part_of_the_border():
    labels = np.zeros((30, 60), np.int32)
    labels[10:20, 10:20] = 1
    labels[10:20, 20:30] = 2
    labels[10:20, 45:55] = 3
    cells = measured(labels, np.zeros((30, 60, 1), np.float32), names=["dab"], expansion_um=0)
    np.testing.assert_allclose(cells["contact_fraction"], [0.25, 0.25, 0])


def test_a_cell_without_cytoplasm_has_no_numbers_there():
    labels = np.zeros((20, 20), np.int32)
    labels[5:10, 5:10] = 1
    image = np.full((20, 20, 1), 0.4, np.float32)
    cell = measured(labels, image, names=["dab"], expansion_um=0).iloc[0]
    assert np.isnan([cell[f"cytoplasm_dab_od_{s}"] for s in ("mean", "max", "std")]).all()
    assert cell["cell_dab_od_mean"] == pytest.approx(0.4)
    assert cell["cell_dab_od_std"] == pytest.approx(0, abs=1e-7)
    assert cell["cell_area_um2"] == cell["nucleus_area_um2"]


def test_tiles_equal_the_whole():
    labels, image = painted()
    whole = measured(labels, image).set_index("cell_id")
    crop = (slice(30, 130), slice(25, 125))
    inside = [k for k in np.unique(labels[crop]) if k]
    tile = measured(labels[crop], image[crop], owned=np.array(inside), frame=Frame(30, 25, 0.5))
    tile = tile.set_index("cell_id")
    middle = tile.query("25 < x_um < 50 and 30 < y_um < 50").index
    assert len(middle) > 2
    for column in whole.columns.drop(["compartment", "flags"]):
        np.testing.assert_allclose(tile.loc[middle, column], whole.loc[middle, column], rtol=1e-6)


def test_only_owned_cells_are_measured_but_others_bound_them():
    labels, image = painted()
    cells = measured(labels, image, owned=np.array([20, 12]))
    assert cells["cell_id"].tolist() == [12, 20]
    whole = measured(labels, image).set_index("cell_id")
    assert cells["cell_area_um2"].tolist() == whole.loc[[12, 20], "cell_area_um2"].tolist()
    assert cells["contact_fraction"].tolist() == whole.loc[[12, 20], "contact_fraction"].tolist()


def test_numbers_far_into_a_slide():
    labels, image = painted()
    far, _ = painted(first=70_000_001)
    plain, shifted = measured(labels, image), measured(far, image)
    assert (shifted["cell_id"] - 70_000_000).tolist() == plain["cell_id"].tolist()
    assert plain.drop(columns="cell_id").equals(shifted.drop(columns="cell_id"))


def test_a_pixel_twice_as_large_gives_four_times_the_area():
    labels, image = painted()
    fine = measured(labels, image, expansion_um=5)
    coarse = measured(labels, image, frame=Frame(0, 0, 1.0), expansion_um=10)
    for column in ("nucleus_area_um2", "cell_area_um2"):
        np.testing.assert_allclose(coarse[column], 4 * fine[column])
    np.testing.assert_allclose(coarse["nucleus_diameter_um"], 2 * fine["nucleus_diameter_um"])
    assert coarse["nucleus_eccentricity"].equals(fine["nucleus_eccentricity"])


def test_a_turned_image_gives_the_same_cells():
    labels, image = painted()
    plain = measured(labels, image, expansion_um=0).set_index("cell_id")
    turned = measured(np.rot90(labels).copy(), np.rot90(image).copy(), expansion_um=0)
    turned = turned.set_index("cell_id")
    np.testing.assert_allclose(turned["x_um"], plain["y_um"])
    np.testing.assert_allclose(turned["y_um"], 80 - plain["x_um"])
    for column in ("nucleus_area_um2", "nucleus_eccentricity", "nucleus_solidity"):
        np.testing.assert_allclose(turned[column], plain[column], rtol=1e-6)


def test_sixteen_bit_intensities_keep_their_digits():
    labels = np.zeros((60, 60), np.int32)
    labels[10:50, 10:50] = 4
    image = np.full((60, 60, 1), 65_000, np.float32)
    image[10, 10, 0] = 65_001
    cell = measured(
        labels, image, names=["foxp3"], frame=Frame(0, 0, 0.5, "intensity"), expansion_um=0
    ).iloc[0]
    assert cell["nucleus_foxp3_intensity_std"] == pytest.approx(0.024992, rel=1e-3)


def test_a_residual_plane_gives_one_column():
    labels, image = painted()
    cells = measured(labels, image, names=["dab", "residual"])
    assert [c for c in cells.columns if "residual" in c] == ["nucleus_residual_od_mean"]


def test_no_cells_is_a_table():
    labels, image = painted()
    none = measured(labels * 0, image, owned=np.array([], int))
    validate_cells(none)
    full = measured(labels, image)
    assert len(none) == 0
    assert (none.dtypes == full.dtypes).all()
    assert list(none.columns) == list(full.columns)


def test_inputs_stay():
    labels, image = painted()
    before = labels.copy(), image.copy()
    measured(labels, image)
    assert np.array_equal(before[0], labels)
    assert np.array_equal(before[1], image)


def test_arguments_that_do_not_fit():
    labels, image = painted()
    with pytest.raises(ValueError, match="owned label 9999 is not in labels"):
        measured(labels, image, owned=np.array([3, 9999]))
    with pytest.raises(ValueError, match="each once"):
        measured(labels, image, owned=np.array([3, 3]))
    with pytest.raises(ValueError, match="one plane for each of dab"):
        measured(labels, image, names=["dab"])
    with pytest.raises(ValueError, match="names must differ"):
        measured(labels, image, names=["dab", "dab"])
    with pytest.raises(ValueError, match="lower-case"):
        measured(labels, image, names=["dab", "Fox P3"])
    with pytest.raises(ValueError, match="pixel_size_um"):
        Frame(0, 0, 0)
    with pytest.raises(ValueError, match="quantity"):
        Frame(0, 0, 1, "density")
