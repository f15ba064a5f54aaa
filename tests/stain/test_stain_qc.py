"""Each check of the stains, raised alone by a painted fault."""

from pathlib import Path

import numpy as np
import pytest

from histo.stain import FLAG_TEXT, StainMatrix, check_stains, explain, load_stains
from histo.stain.qc import _judge

WHITE = (242.0, 240.0, 238.0)
STAINS = load_stains("h-dab")


def slide(amounts=(0.4, 0.2), vectors=STAINS.vectors, white=WHITE, shape=(60, 60)):
    rng = np.random.default_rng(0)
    amount = np.asarray(amounts) * rng.uniform(0.7, 1.3, (*shape, len(vectors)))
    return np.round(np.asarray(white) * 10 ** -(amount @ vectors)).astype(np.uint8)


def check(rgb, stains=STAINS, white=WHITE, **more):
    return check_stains(rgb, stains, white, np.ones(rgb.shape[:2], bool), **more)


def test_a_good_slide_passes():
    found = check(slide())
    assert found.passed
    assert found.flags == ()
    assert found.values["negative_fraction"] < 0.01
    assert found.values["residual_fraction"] < 0.02
    assert found.values["condition_number"] == pytest.approx(3.0, abs=0.05)


def rotated(degrees):
    turn = np.radians(degrees)
    vectors = np.array(STAINS.vectors)
    vectors[1] = np.cos(turn) * vectors[1] + np.sin(turn) * STAINS.residual_vector
    return StainMatrix("turned", STAINS.stains, vectors)


eosin = load_stains("he").vectors[1:]
green = np.array([[0.98, 0.144, 0.133]])


@pytest.mark.parametrize(
    ("flag", "arguments"),
    [
        ("negative_concentrations", {"rgb": slide((0.6,), green)}),
        ("large_residual", {"rgb": slide((0.6,), eosin)}),
        ("stain_vector_drift", {"rgb": slide(), "batch": rotated(12)}),
        ("saturated_pixels", {"rgb": slide((0.2, 2.5))}),
        ("dim_background", {"rgb": slide(white=(180,) * 3), "white": (180,) * 3}),
        ("tinted_background", {"rgb": slide(), "white": (250, 240, 225)}),
    ],
)
def test_each_fault_raises_its_flag(flag, arguments):
    found = check(**arguments)
    assert flag in found.flags
    assert not found.passed


def test_a_small_drift_is_no_drift():
    found = check(slide(), batch=rotated(8))
    assert found.passed
    assert found.values["vector_drift_deg"] == pytest.approx(8)


def test_close_stains_flag():
    near = StainMatrix("near", ("a", "b"), [[1, 0, 0], [np.cos(0.24), np.sin(0.24), 0]])
    found = check(slide((0.3, 0.3), near.vectors), near)
    assert "stains_inseparable" in found.flags
    assert found.values["min_angle_deg"] == pytest.approx(np.degrees(0.24))


def test_faults_outside_the_tissue_do_not_count():
    rgb = slide()
    rgb[:30] = 0
    tissue = np.zeros(rgb.shape[:2], bool)
    tissue[30:] = True
    assert check_stains(rgb, STAINS, WHITE, tissue).passed


def test_no_tissue_is_no_failure():
    rgb = slide()
    found = check_stains(rgb, STAINS, WHITE, np.zeros(rgb.shape[:2], bool))
    assert found.passed
    assert found.flags == ("no_tissue",)
    assert np.isnan(found.values["negative_fraction"])


def test_three_stains_have_no_residual_and_an_unconfirmed_red_fails():
    stains = load_stains("h-dab-red")
    found = check(slide((0.3, 0.2, 0.2), stains.vectors), stains)
    assert np.isnan(found.values["residual_fraction"])
    assert found.flags == ("stain_vector_provisional_red",)
    assert not found.passed


def test_doubts_of_the_estimate_are_passed_on():
    kept = StainMatrix("k", STAINS.stains, STAINS.vectors, flags=("stain_vector_kept_dab",))
    found = check(slide(), kept)
    assert found.flags == ("stain_vector_kept_dab",)
    assert found.passed


def test_every_flag_has_a_sentence():
    worst = dict.fromkeys(check(slide()).values, 1e9)
    best = dict.fromkeys(worst, -1e9)
    for flag in (*_judge(worst), *_judge(best)):
        assert flag in FLAG_TEXT
    for flag, text in FLAG_TEXT.items():
        assert flag.islower()
        assert text.endswith(".")
        assert explain(f"{flag}_dab") == f"dab: {text}"
    with pytest.raises(ValueError, match="no stain flag"):
        explain("too_brown")


def test_mismatches_are_refused():
    rgb = slide()
    with pytest.raises(ValueError, match="must match"):
        check_stains(rgb, STAINS, WHITE, np.ones((3, 3), bool))
    with pytest.raises(ValueError, match="batch has"):
        check(rgb, batch=load_stains("he"))


def test_the_handbook_names_every_flag():
    page = Path(__file__).resolve().parents[2] / "docs" / "stains.md"
    if not page.is_file():
        pytest.skip("docs/ is not part of this installation")
    text = page.read_text(encoding="utf-8")
    assert [flag for flag in FLAG_TEXT if flag not in text] == []
