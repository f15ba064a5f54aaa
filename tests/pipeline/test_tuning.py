"""The whole job: a bad start learns from annotated sections, and what it leaves on the disk."""

import json
import shutil

import numpy as np
import pytest

from histo.errors import ModelError
from histo.nuclei import load_model, read_card
from histo.nuclei.writing import derive_card, load_net, write_model
from histo.phantom import Appearance, Composition, Recipe, paint_phantom
from histo.pipeline import Lesson, TuneSettings, check_target, tune_model, tuning, verdict
from histo.pipeline.judging import HEADLINE

SIDE = 512


@pytest.fixture(scope="module")
def lesson(tmp_path_factory, save_rgb, save_annotations):
    """A section of a laboratory whose haematoxylin is pale and whose glass is green."""
    root = tmp_path_factory.mktemp("laboratory")
    look = Appearance(nucleus_od=0.22, white_point=(205.0, 228.0, 208.0), chromatin=0.5)
    recipe = Recipe("foxp3-dab", Composition(tumour=0.5), look)
    painted = paint_phantom(recipe, 3, shape=(SIDE, SIDE))
    positive = painted.cells.set_index("cell_id")["foxp3_positive"]
    classes = {label: "Positive" if yes else "Negative" for label, yes in positive.items()}
    truth = save_annotations(
        root / "s.geojson",
        np.array(painted.labels),
        classes=classes,
        areas=[("Region*", 0, 0, SIDE, SIDE)],
    )
    return Lesson(save_rgb(root / "s.tif", painted.image), truth)


@pytest.fixture(autouse=True)
def few_tiles(monkeypatch):
    """Small tiles, and few painted ones: seconds instead of minutes."""
    monkeypatch.setattr("histo.nuclei.finetune.FIRST", 4)
    monkeypatch.setattr("histo.nuclei.finetune.USES", 20)
    monkeypatch.setattr("histo.nuclei.finetune.RANGE_TILES", 2)
    monkeypatch.setattr(tuning, "MEMORY_FIELDS", 4)


def settings(tiny_model, **values):
    return TuneSettings(**{"model": str(tiny_model), "steps": 2, "rate": 5e-3, **values})


@pytest.fixture(scope="module")
def bad_start(tiny_model, tmp_path_factory):
    """The tiny model, so timid that it misses most nuclei."""
    card = read_card(tiny_model)
    weights = load_net(card).state_dict()
    weights["head.bias"][:4] -= 1  # the logit of "inside a nucleus", of 2 x 2 pixels
    folder = tmp_path_factory.mktemp("models") / "timid"
    write_model(folder, derive_card(card, name="timid", version="0.1.0"), weights)
    return folder


@pytest.fixture(scope="module")
def tuned(lesson, bad_start, tmp_path_factory):
    out = tmp_path_factory.mktemp("tuned") / "our-nuclei"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("histo.nuclei.finetune.FIRST", 8)
        patch.setattr("histo.nuclei.finetune.USES", 12)
        patch.setattr(tuning, "MEMORY_FIELDS", 4)
        told = []
        result = tune_model(
            [lesson],
            out,
            settings(bad_start, steps=40, rate=1e-2, held_back=0.4),
            progress=lambda words, part: told.append((words, part)),
        )
    return result, out, told


def test_a_bad_start_gets_better_on_what_it_did_not_learn_from(tuned):
    scores = tuned[0].scores
    assert scores.after.value(HEADLINE) > scores.before.value(HEADLINE) + 0.15
    better, words = verdict(scores)
    assert better, words
    assert scores.memory_after > scores.memory_before - 0.1


def test_the_new_model_is_a_model_with_its_own_card(tuned, bad_start):
    result, out, _ = tuned
    card, start = read_card(out), read_card(bad_start)
    assert card == result.card
    assert card.name == "our-nuclei"
    assert card.version.startswith(f"{start.version}+")
    assert card.sha256 != start.sha256
    assert card.licence == start.licence
    model = load_model(out, engine="int8")
    assert model.predict(np.full((64, 64, 3), 240, np.uint8)).shape[:2] == (64, 64)
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "rdf.yaml",
        "training.json",
        "weights.pt",
    ]
    assert [path.name for path in out.parent.iterdir()] == ["our-nuclei"]


def test_its_papers_say_where_it_comes_from(tuned, lesson, bad_start):
    result, out, _ = tuned
    record = json.loads((out / "training.json").read_text(encoding="utf-8"))
    assert record["start"]["sha256"] == read_card(bad_start).sha256
    assert record["finished"] is True
    assert record["steps"] == result.steps == 40
    assert record["settings"]["seed"] == 1
    assert record["settings"]["model"] == bad_start.name
    (one,) = record["lessons"]
    assert one["slide"]["file"] == "s.tif"
    assert len(one["truth"]["sha256"]) == 64
    assert one["area_drawn"]
    assert one["positivity"]
    assert (record["learnt"]["nuclei"], record["held_back"]["nuclei"]) == result.samples.nuclei
    assert "torch" in record["software"]["packages"]
    assert str(lesson.slide.parent) not in json.dumps(record)
    text = (out / "README.md").read_text(encoding="utf-8")
    assert f"{result.scores.after.value(HEADLINE):.3f}" in text
    assert record["verdict"] in text
    assert "For Research Use Only" in text


def test_progress_tells_each_stage(tuned):
    stages = list(dict.fromkeys(words.partition(",")[0] for words, _ in tuned[2]))
    assert stages[0] == "looking at the files"
    assert "learning" in stages
    assert stages[-1] == "scoring the new model"
    assert all(0 <= part <= 1 for _, part in tuned[2])


def test_a_finished_model_is_replaced_only_on_demand(tuned, lesson, tiny_model, tmp_path):
    out = tmp_path / "our-nuclei"
    shutil.copytree(tuned[1], out)
    with pytest.raises(ModelError, match="add --force"):
        tune_model([lesson], out, settings(tiny_model))
    assert read_card(out).sha256 == read_card(tuned[1]).sha256
    result = tune_model([lesson], out, settings(tiny_model), force=True)
    assert not result.resumed
    assert read_card(out).sha256 != read_card(tuned[1]).sha256


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    check_target(tmp_path / "thesis", force=True)  # empty
    (tmp_path / "thesis" / "chapter.docx").touch()
    for force in (False, True):
        with pytest.raises(ModelError, match="not made by histo train"):
            check_target(tmp_path / "thesis", force=force)
    with pytest.raises(ModelError, match="not made by histo train"):
        check_target(read_card("nuclei-brightfield").folder, force=True)


def interrupt_at(step):
    def progress(words, part):
        if words == f"learning, step {step}":
            raise KeyboardInterrupt

    return progress


def test_stopped_it_writes_what_it_has_and_the_same_call_goes_on(lesson, tiny_model, tmp_path):
    out, wanted = tmp_path / "ours", settings(tiny_model, steps=4)
    first = tune_model([lesson], out, wanted, progress=interrupt_at(2))
    assert (first.interrupted, first.steps) == (True, 2)
    assert json.loads((out / "training.json").read_text())["finished"] is False
    assert "stopped before its time" in (out / "README.md").read_text(encoding="utf-8")
    with pytest.raises(ModelError, match="with other settings"):
        tune_model([lesson], out, settings(tiny_model, seed=5))
    second = tune_model([lesson], out, wanted)
    assert (second.interrupted, second.resumed, second.steps) == (False, True, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


def test_killed_it_goes_on_from_its_checkpoint_but_not_with_other_files(
    lesson, tiny_model, tmp_path, monkeypatch
):
    out, wanted = tmp_path / "ours", settings(tiny_model, steps=3)

    def killed(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "_NewModel", killed)
        with pytest.raises(MemoryError):
            tune_model([lesson], out, wanted)
    assert not out.exists()
    partial = tmp_path / ".ours.partial"
    assert (partial / "checkpoint.pt").is_file()
    other = tune_model([lesson], tmp_path / "others", wanted)
    assert not other.resumed
    # More time may be given; another seed begins anew.
    assert not tune_model([lesson], out, settings(tiny_model, steps=3, seed=9)).resumed
    assert not partial.exists()


def test_a_model_that_does_not_get_better_is_written_and_says_so(lesson, tiny_model, tmp_path):
    # Three steps are too few to be sure of anything.
    result = tune_model([lesson], tmp_path / "ours", settings(tiny_model, steps=3))
    better, words = verdict(result.scores)
    assert not better
    assert words.startswith(("Not better", "Perhaps better"))
    assert words in (tmp_path / "ours" / "README.md").read_text(encoding="utf-8")


def test_a_model_of_fluorescence_is_not_taught(lesson, tmp_path):
    with pytest.raises(ModelError, match="bright-field"):
        tune_model([lesson], tmp_path / "ours", TuneSettings(model="nuclei-fluorescence"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "values", [{"minutes": 0}, {"minutes": 1e6}, {"held_back": 0.9}, {"seed": -1}, {"steps": 0}]
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(ValueError, match="got"):
        TuneSettings(**values)
