"""Fields to learn from and to be judged on: what is read, and that both never share a pixel."""

import numpy as np
import pytest
import tifffile

from histo.errors import AnnotationError, SlideError
from histo.phantom import Recipe, paint_phantom
from histo.pipeline import learning
from histo.pipeline.learning import GAP_UM, LEAST_NUCLEI, Lesson, Reading, cells_in, read_samples

UM = 0.5


@pytest.fixture(scope="module")
def lesson(tmp_path_factory, save_rgb):
    """Return a function that paints a section and saves it with its label image."""
    root = tmp_path_factory.mktemp("lessons")

    def make(seed, shape=(300, 420)):
        slide, truth = root / f"{seed}_{shape[1]}.tif", root / f"{seed}_{shape[1]}_labels.tif"
        if not slide.exists():
            painted = paint_phantom(Recipe("foxp3-dab"), seed, shape=shape)
            save_rgb(slide, painted.image, pixel_size_um=UM)
            tifffile.imwrite(truth, painted.labels)
        return Lesson(slide, truth)

    return make


def test_of_one_slide_one_end_is_held_back_with_a_gap(lesson):
    samples = read_samples([lesson(1)], Reading(UM))
    (learnt,), (held,) = (
        # One core: its field begins a halo before the slide.
        [sample.field.known[:, learning.HALO_PX :][:, :420].any(axis=0) for sample in part]
        for part in (samples.learnt, samples.held)
    )
    assert not (learnt & held).any()
    assert 420 - (learnt | held).sum() == pytest.approx(GAP_UM / UM, abs=2)
    ends = np.flatnonzero(np.diff(held.astype(int)))
    assert len(ends) == 1
    total = sum(samples.nuclei)
    assert samples.nuclei[1] / total == pytest.approx(0.25, abs=0.1)
    assert samples.lessons[0].role == "learned from, and one end held back"


def test_from_four_slides_on_whole_slides_are_held_back(lesson):
    lessons = [lesson(seed, (160, 160)) for seed in range(5)]
    samples = read_samples(lessons, Reading(UM, held_back=0.3))
    roles = [record.role for record in samples.lessons]
    assert set(roles) == {"learned from", "held back"}
    counts = [int(tifffile.imread(one.truth).max()) for one in lessons]
    held = sum(n for n, role in zip(counts, roles, strict=True) if role == "held back")
    assert samples.nuclei == (sum(counts) - held, held)
    assert held / sum(counts) == pytest.approx(0.3, abs=0.2)
    assert len(samples.learnt) == roles.count("learned from")


def test_the_seed_chooses_what_is_held_back(lesson):
    lessons = [lesson(seed, (160, 160)) for seed in range(5)]
    roles = {
        tuple(record.role for record in read_samples(lessons, Reading(UM, seed=seed)).lessons)
        for seed in range(6)
    }
    assert len(roles) > 1
    again = [read_samples(lessons, Reading(UM, seed=3)) for _ in range(2)]
    for one, other in zip(again[0].learnt, again[1].learnt, strict=True):
        assert (one.field.rgb == other.field.rgb).all()


def test_a_field_holds_the_pixels_and_the_truth_of_its_place(lesson):
    one = lesson(1)
    samples = read_samples([one], Reading(UM, held_back=0.2))
    field = samples.learnt[0].field
    inside = np.s_[learning.HALO_PX : learning.HALO_PX + 300, learning.HALO_PX :][:2]
    rgb, labels = tifffile.imread(one.slide), tifffile.imread(one.truth)
    assert (field.rgb[inside][:, :420] == rgb).all()
    assert ((field.labels[inside][:, :420] > 0) == (labels > 0)).all()
    assert (field.rgb[: learning.HALO_PX] == 255).all()
    assert not field.known[: learning.HALO_PX].any()
    assert not field.classed.any()


def test_large_slides_give_fields_that_share_no_known_pixel(lesson, monkeypatch):
    monkeypatch.setattr(learning, "CORE_PX", 128)
    monkeypatch.setattr(learning, "HALO_PX", 32)
    samples = read_samples([lesson(1)], Reading(UM))
    assert len(samples.learnt) > 3
    known = sum(
        int(sample.field.known.sum()) for part in (samples.learnt, samples.held) for sample in part
    )
    gap = round(GAP_UM / UM) * 300
    assert known == pytest.approx(300 * 420 - gap, abs=700)
    monkeypatch.setattr(learning, "MOST_LEARNT", 2)
    assert len(read_samples([lesson(1)], Reading(UM)).learnt) == 2


def test_slides_take_turns_when_there_are_too_many_fields(lesson, monkeypatch):
    monkeypatch.setattr(learning, "CORE_PX", 96)
    monkeypatch.setattr(learning, "MOST_LEARNT", 4)
    samples = read_samples([lesson(1), lesson(2, (160, 160))], Reading(UM))
    shades = {
        tifffile.imread(one.slide)[0, 0].tobytes() for one in (lesson(1), lesson(2, (160, 160)))
    }
    assert len(shades) == 2
    assert len(samples.learnt) == 4


def test_classes_mark_where_positivity_is_known(lesson, tmp_path, save_annotations):
    one = lesson(1)
    labels = tifffile.imread(one.truth)
    classes = {n: "Positive" if n % 3 == 0 else "Negative" for n in range(1, labels.max() + 1)}
    truth = save_annotations(
        tmp_path / "a.geojson", labels, classes=classes, areas=[("Region*", 0, 0, 300, 420)]
    )
    samples = read_samples([Lesson(one.slide, truth)], Reading(UM))
    field = samples.learnt[0].field
    assert (field.classed == field.known).all()
    assert field.positive[field.labels > 0].any()
    assert not field.positive[field.labels == 0].any()
    assert samples.lessons[0].area_drawn
    assert samples.lessons[0].positivity


def test_too_few_nuclei_are_refused_in_words(lesson, tmp_path):
    one = lesson(1)
    labels = tifffile.imread(one.truth)
    few = np.where(labels < LEAST_NUCLEI, labels, 0)
    tifffile.imwrite(tmp_path / "few.tif", few)
    with pytest.raises(AnnotationError, match=rf"hold {LEAST_NUCLEI - 1} nuclei; at least"):
        read_samples([Lesson(one.slide, tmp_path / "few.tif")], Reading(UM))


def test_nuclei_outside_of_drawn_areas_do_not_count(lesson, tmp_path, save_annotations):
    one = lesson(1)
    truth = save_annotations(
        tmp_path / "a.geojson", tifffile.imread(one.truth), areas=[("Region*", 0, 0, 30, 30)]
    )
    with pytest.raises(AnnotationError, match="at least"):
        read_samples([Lesson(one.slide, truth)], Reading(UM))


def test_fluorescence_is_refused(tmp_path, paint_section, make_nuclei):
    slide = paint_section(tmp_path / "s.ome.tif", panel="nuclei-if")
    tifffile.imwrite(tmp_path / "t.tif", make_nuclei(5, shape=(160, 160)))
    with pytest.raises(SlideError, match="bright-field"):
        read_samples([Lesson(slide, tmp_path / "t.tif")], Reading(UM))


def test_no_lesson_and_an_impossible_share_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        read_samples([], Reading(UM))
    for share in (0, 0.6, -1):
        with pytest.raises(ValueError, match="held back"):
            Reading(UM, held_back=share)


def test_cells_count_where_their_centre_is_known(make_nuclei):
    labels = make_nuclei(12)
    known = np.zeros(labels.shape, bool)
    known[:, :100] = True
    cells = cells_in(labels, known, UM, labels % 2 == 1)
    columns = np.indices(labels.shape)[1]
    x = np.array([columns[labels == n].mean() for n in range(1, 13)])
    inside = np.floor(x + 0.5) < 100
    np.testing.assert_allclose(cells.centres_um[:, 1], (x[inside] + 0.5) * UM)
    assert cells.positive.tolist() == (np.flatnonzero(inside) % 2 == 0).tolist()
    assert cells.shapes.count == inside.sum()
    assert len(cells_in(np.zeros_like(labels), known, UM)) == 0
