"""``histo train``: what it prints and writes, how it stops and goes on, and how it refuses."""

import json

import numpy as np
import pytest

from histo.nuclei import read_card
from histo.phantom import Composition, Recipe, paint_phantom
from histo.pipeline import tuning

SIDE = 512


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few steps and few painted tiles, however many minutes are given."""
    monkeypatch.setattr("histo.nuclei.finetune.FIRST", 4)
    monkeypatch.setattr("histo.nuclei.finetune.USES", 20)
    monkeypatch.setattr("histo.nuclei.finetune.RANGE_TILES", 2)
    monkeypatch.setattr(tuning, "MEMORY_FIELDS", 4)
    own = tuning.TuneSettings.plan

    def plan(settings):
        plan = own(settings)
        return type(plan)(minutes=plan.minutes, steps=3, rate=plan.rate, seed=plan.seed)

    monkeypatch.setattr(tuning.TuneSettings, "plan", plan)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory, save_annotations):
    """A folder of one slide and a folder of its corrected cells."""
    import tifffile

    root = tmp_path_factory.mktemp("laboratory")
    painted = paint_phantom(Recipe("he", Composition(tumour=0.5)), 3, shape=(SIDE, SIDE))
    (root / "slides").mkdir()
    for name, size in (("slides/a.tif", 0.5), ("silent.tif", None)):
        stated = {} if size is None else {"resolution": (1e4 / size, 1e4 / size)}
        unit = {} if size is None else {"resolutionunit": "CENTIMETER"}
        tifffile.imwrite(root / name, painted.image, photometric="rgb", **stated, **unit)
    labels = np.array(painted.labels)
    area = ("Region*", 0, 0, SIDE, SIDE)
    save_annotations(root / "corrected" / "a.geojson", labels, areas=[area])
    save_annotations(root / "few.geojson", np.where(labels <= 12, labels, 0), areas=[area])
    (root / "points.csv").write_text("x_um,y_um\n10,20\n")
    (root / "broken.geojson").write_text("{")
    return root


@pytest.fixture
def train(histo, laboratory, tiny_model, tmp_path):
    """Run ``histo train`` with the tiny model; by default on the folders."""

    def run(*inputs, out="ours", options=()):
        inputs = inputs or ("slides", "corrected")
        places = [laboratory / name for name in inputs]
        out = tmp_path / out
        return histo("train", *places, "-o", out, "--model", tiny_model, *options), out

    return run


def test_two_folders_become_a_model_with_its_scores(train, laboratory):
    (laboratory / "slides" / "lonely.tif").touch()
    outcome, out = train()
    (laboratory / "slides" / "lonely.tif").unlink()
    assert outcome.code == 0
    assert "without a partner, and not used: lonely.tif" in outcome.err
    assert "learning, step 1" in outcome.err
    assert "before" in outcome.out
    for row in ("F1 at IoU 0.5", "F1 within 4 µm", "count bias", "painted sections"):
        assert row in outcome.out
    assert "better" in (outcome.out + outcome.err).lower()
    assert f"--model {out}" in outcome.out
    assert read_card(out).activation_ranges
    text = (out / "README.md").read_text(encoding="utf-8")
    assert "| a.tif | a.geojson | learned from, and one end held back |" in text


def test_as_json_there_is_nothing_else_on_stdout(train):
    outcome, out = train(options=["--json", "--quiet", "--seed", 3, "--held-back", 0.4])
    assert outcome.code == 0
    content = json.loads(outcome.out)
    assert content["folder"] == str(out)
    assert content["settings"]["seed"] == 3
    assert content["settings"]["held_back"] == 0.4
    assert content["steps"] == 3
    share = content["held_back"]["nuclei"]
    assert share / (share + content["learnt"]["nuclei"]) == pytest.approx(0.4, abs=0.08)


def test_a_finished_model_needs_force(train):
    assert train()[0].code == 0
    outcome, out = train()
    assert outcome.code == 2
    assert f"{out}: is a finished model; choose another name, or add --force." in outcome.err
    assert train(options=["--force"])[0].code == 0


def test_ctrl_c_keeps_what_was_learned_and_the_same_command_goes_on(train, monkeypatch):
    from histo.nuclei.training import Trainer

    learn, steps = Trainer.learn, []

    def interrupted(trainer, *words, **options):
        if len(steps) == 2:
            raise KeyboardInterrupt
        steps.append(1)
        return learn(trainer, *words, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "learn", interrupted)
        outcome, out = train()
    assert outcome.code == 130
    assert "the same command goes on" in outcome.out
    assert json.loads((out / "training.json").read_text())["steps"] == 2
    outcome, out = train()
    assert outcome.code == 0
    assert "in 3 steps, going on from where it had stopped" in outcome.out
    assert json.loads((out / "training.json").read_text())["finished"] is True


@pytest.mark.parametrize(
    ("inputs", "options", "code", "message"),
    [
        (("slides", "nowhere"), (), 2, "nowhere: no such file or folder"),
        (("slides",), (), 2, "SLIDE=TRUTH for each slide"),
        ((), ("--minutes", 0), 2, "minutes must be above 0"),
        ((), ("--held-back", 0.9), 2, "must be above 0 and at most 0.5, got 0.9"),
        ((), ("--pixel-size", 500), 2, "--pixel-size 500 cannot be"),
        ((), ("--model", "no-such-model"), 2, "There is no model 'no-such-model'"),
        (("silent.tif", "corrected/a.geojson"), (), 1, "--pixel-size"),
        (("slides/a.tif", "few.geojson"), (), 1, "at least 30 are needed"),
        (("slides/a.tif", "points.csv"), (), 1, "no outlines"),
        (("slides/a.tif", "broken.geojson"), (), 1, "cannot be read as GeoJSON"),
        (("corrected/a.geojson", "slides/a.tif"), (), 1, "a.geojson: is no slide"),
    ],
)
def test_bad_inputs_end_in_one_sentence_and_leave_nothing(
    train, tmp_path, inputs, options, code, message
):
    outcome, _ = train(*inputs, options=options)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(train, tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "thesis.docx").touch()
    outcome, out = train(options=["--force"])
    assert outcome.code == 2
    assert "was not made by histo train, so it is left alone" in outcome.err
    assert [path.name for path in out.iterdir()] == ["thesis.docx"]


def test_a_pixel_size_that_the_file_lacks_can_be_given(train):
    outcome, _ = train("silent.tif", "corrected/a.geojson", options=["--pixel-size", 0.5, "-q"])
    assert outcome.code == 0
