"""A region model: learned, written, read, run part by part, and refused when it does not fit."""

import numpy as np
import pytest
import yaml

from histo.errors import ModelError
from histo.region import model as region_model
from histo.region.learning import RegionLesson, learn_regions, new_network
from histo.region.maps import MAP_UM, PLANES, RegionMaps
from histo.region.model import (
    RegionModel,
    find_compartments,
    load_region_model,
    write_region_model,
)

COLUMN = "nucleus_hematoxylin_od_mean"
CLASSES = ("Tumor", "Stroma")
ABOUT = {"name": "mine", "version": "1"}


def halves(make_cells, seed, shape=(120, 160)):
    """Large round nuclei on the left, small long ones on the right of a wavy border."""
    rng, count = np.random.default_rng(seed), 2200
    y, x = rng.uniform(0, shape[0] * MAP_UM, count), rng.uniform(0, shape[1] * MAP_UM, count)

    def is_tumor(y_um, x_um):
        return x_um < 0.5 * shape[1] * MAP_UM + 40 * np.sin(y_um / 60 + seed)

    inside = is_tumor(y, x)
    cells = make_cells(
        count,
        y_um=y,
        x_um=x,
        nucleus_area_um2=np.where(inside, rng.normal(70, 12, count), rng.normal(28, 6, count)),
        nucleus_eccentricity=np.where(inside, 0.4, 0.85) + rng.normal(0, 0.1, count),
        nucleus_hematoxylin_od_mean=rng.normal(0.4, 0.05, count),
    )
    stain = rng.normal(0.3, 0.05, shape).astype(np.float32)
    rows, columns = (np.mgrid[: shape[0], : shape[1]] + 0.5) * MAP_UM
    truth = np.where(is_tumor(rows, columns), 1, 2).astype(np.uint8)
    return RegionMaps.of(cells, stain, nuclear_column=COLUMN), truth


@pytest.fixture(scope="module")
def learned():
    # Some strokes of each class are enough: that is the point.
    return {}


@pytest.fixture
def model(make_cells, learned):
    if "net" not in learned:
        maps, truth = halves(make_cells, 1)
        known = np.zeros_like(truth)
        for row in (15, 60, 105):
            known[row : row + 3, 10:45] = truth[row : row + 3, 10:45]
            known[row : row + 3, 115:150] = truth[row : row + 3, 115:150]
        lesson = RegionLesson(maps.draw(), known)
        learned["net"] = learn_regions([lesson], new_network(len(PLANES), 2), steps=60)
    return RegionModel("mine", "1", "", CLASSES, (), learned["net"])


def test_a_few_strokes_divide_another_slide(make_cells, model):
    maps, truth = halves(make_cells, 2)
    found = find_compartments(model, maps, np.ones(truth.shape, bool))
    for code in (1, 2):
        dice = 2 * ((found == code) & (truth == code)).sum()
        dice /= (found == code).sum() + (truth == code).sum()
        assert dice > 0.9


def test_parts_equal_the_whole(make_cells, model, monkeypatch):
    maps, _ = halves(make_cells, 3)
    tissue = np.ones(maps.shape, bool)
    whole = find_compartments(model, maps, tissue)
    monkeypatch.setattr(region_model, "BLOCK_PX", 50)
    parts = find_compartments(model, maps, tissue)
    # The sums of convolutions may differ in their last bits, and so a pixel on the border.
    assert (parts != whole).mean() < 1e-4


def test_outside_of_tissue_there_is_nothing_and_islands_join(make_cells, model):
    maps, _ = halves(make_cells, 4)
    tissue = np.ones(maps.shape, bool)
    tissue[:, :30] = False
    found = find_compartments(model, maps, tissue)
    assert not found[:, :30].any()
    assert (found[tissue] > 0).all()
    from skimage.measure import label

    for code in (1, 2):
        areas = np.bincount(label(found == code, connectivity=1).ravel())[1:] * MAP_UM**2
        assert (areas >= 1500).all()


def test_what_was_written_is_read_and_divides_alike(make_cells, model, tmp_path):
    digest = write_region_model(tmp_path / "mine", model.net, CLASSES, about=ABOUT)
    again = load_region_model(tmp_path / "mine")
    assert (again.name, again.classes, again.sha256) == ("mine", CLASSES, digest)
    maps, truth = halves(make_cells, 5)
    tissue = np.ones(truth.shape, bool)
    assert np.array_equal(
        find_compartments(again, maps, tissue), find_compartments(model, maps, tissue)
    )


def test_damaged_or_foreign_models_are_refused(model, tmp_path):
    folder = tmp_path / "mine"
    write_region_model(folder, model.net, CLASSES, about=ABOUT)
    with (folder / "weights.pt").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ModelError, match="not those that its card names"):
        load_region_model(folder)
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
    rdf["config"]["histo"]["planes"] = ["another"]
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf))
    with pytest.raises(ModelError, match="other maps"):
        load_region_model(folder)
    (folder / "rdf.yaml").write_text("name: mine")
    with pytest.raises(ModelError, match="not a region model that histo can read"):
        load_region_model(folder)
    with pytest.raises(ModelError, match="a model for nuclei"):
        load_region_model("nuclei-brightfield")


def test_maps_of_other_planes_are_refused(make_cells, model):
    maps, truth = halves(make_cells, 6)
    other = RegionMaps(maps.nuclear, {"eosin": maps.nuclear}, maps.places, maps.traits)
    with pytest.raises(ValueError, match="the model reads"):
        find_compartments(model, other, np.ones(truth.shape, bool))
    with pytest.raises(ValueError, match="tissue is"):
        find_compartments(model, maps, np.ones((3, 3), bool))


def test_a_class_that_is_known_nowhere_is_refused(make_cells):
    maps, truth = halves(make_cells, 7)
    lesson = RegionLesson(maps.draw(), np.where(truth == 1, 1, 0).astype(np.uint8))
    with pytest.raises(ValueError, match="must be known somewhere"):
        learn_regions([lesson], new_network(len(PLANES), 2), steps=1)
