"""Fine-tuning: what teaches, what does not, and how it stops and goes on."""

import numpy as np
import pytest
import torch

from histo.errors import ModelError
from histo.nuclei.finetune import Field, Plan, fine_tune
from histo.nuclei.network import NucleiNet
from histo.phantom import paint_examples

SIDE = 64


def as_field(tile, known=True):
    shape = tile.labels.shape
    everywhere = np.full(shape, known)
    return Field(tile.rgb, tile.labels, tile.positive > 0.5, everywhere, everywhere)


@pytest.fixture(scope="module")
def tiles():
    rng = np.random.default_rng(7)
    return [tile for _ in range(3) for tile in paint_examples(rng, side_px=SIDE)]


@pytest.fixture
def paint(tiles):
    """The same painted tiles again and again."""
    return lambda rng: [as_field(tile) for tile in tiles[4:]]


@pytest.fixture
def start():
    torch.manual_seed(0)
    return NucleiNet((8, 16))


def weights_after(start, fields, paint, **plan):
    values = {"steps": 3, "side_px": SIDE, "batch": 4, **plan}
    return fine_tune(start, fields, paint, Plan(**values)).weights


def equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_same_seed_gives_the_same_weights_and_another_one_others(start, tiles, paint):
    fields = [as_field(tile) for tile in tiles[:2]]
    first = weights_after(start, fields, paint)
    assert equal(first, weights_after(start, fields, paint))
    assert not equal(first, weights_after(start, fields, paint, seed=2))


def test_the_start_is_not_changed(start, tiles, paint):
    before = {name: value.clone() for name, value in start.state_dict().items()}
    after = weights_after(start, [as_field(tiles[0])], paint)
    assert equal(before, start.state_dict())
    assert not equal(before, after)


def test_what_is_unknown_does_not_teach(start, tiles, paint):
    tile = tiles[0]
    known = np.zeros(tile.labels.shape, bool)
    known[:, : SIDE // 2] = True
    nobody = np.where(known, tile.labels, 0)
    one, other = (
        Field(tile.rgb, labels, np.zeros_like(known), known, np.zeros_like(known))
        for labels in (tile.labels, nobody)
    )
    # A nucleus across the line has another centre and depth when its half is cut off.
    across = np.unique(tile.labels[:, SIDE // 2 - 1])
    across = across[across > 0]
    for field in (one, other):
        field.labels[np.isin(field.labels, across)] = 0
    assert equal(weights_after(start, [one], paint), weights_after(start, [other], paint))


def test_calls_teach_only_where_they_are_known(start, tiles, paint):
    tile = tiles[0]
    everywhere = np.ones(tile.labels.shape, bool)
    silent, called = (
        [
            Field(tile.rgb, tile.labels, positive, everywhere, everywhere if told else ~everywhere)
            for positive in (everywhere, ~everywhere)
        ]
        for told in (False, True)
    )
    assert equal(*(weights_after(start, [field], paint) for field in silent))
    assert not equal(*(weights_after(start, [field], paint) for field in called))


def test_fields_smaller_than_a_tile_are_padded(start, tiles, paint):
    cut = np.s_[:30, :41]
    small = [
        Field(
            whole.rgb[cut],
            whole.labels[cut],
            *(plane[cut] for plane in (whole.positive, whole.known, whole.classed)),
        )
        for whole in map(as_field, tiles[:2])
    ]
    after = weights_after(start, small, paint)
    assert all(torch.isfinite(value).all() for value in after.values())


def test_mean_and_variance_of_the_normalisations_stay(start, tiles, paint):
    after = weights_after(start, [as_field(tiles[0])], paint)
    for name, value in start.named_buffers():
        assert torch.equal(after[name], value), name


def test_there_is_a_range_for_each_convolution(start, tiles, paint):
    tuned = fine_tune(start, [as_field(tiles[0])], paint, Plan(steps=1, side_px=SIDE))
    count = sum(isinstance(layer, torch.nn.Conv2d) for layer in start.modules())
    assert len(tuned.ranges) == count
    assert all(low <= 0 < high for low, high in tuned.ranges)


def test_progress_rises_to_the_end(start, tiles, paint):
    told = []
    plan = Plan(steps=4, side_px=SIDE, batch=2)
    fine_tune(
        start, [as_field(tiles[0])], paint, plan, progress=lambda words, part: told.append(part)
    )
    assert told == sorted(told)
    assert told[-1] == 1


def test_a_stopped_training_keeps_what_it_has_and_goes_on(start, tiles, paint, tmp_path):
    fields, plan = [as_field(tiles[0])], Plan(steps=5, side_px=SIDE, batch=2)
    checkpoint = tmp_path / "checkpoint.pt"

    def stop(words, part):
        if words == "learning, step 2":
            raise KeyboardInterrupt

    first = fine_tune(start, fields, paint, plan, checkpoint=checkpoint, progress=stop)
    assert (first.interrupted, first.steps) == (True, 2)
    assert not equal(first.weights, start.state_dict())
    second = fine_tune(start, fields, paint, plan, checkpoint=checkpoint)
    assert (second.interrupted, second.steps) == (False, 5)
    third = fine_tune(start, fields, paint, plan, checkpoint=checkpoint)
    assert third.steps == 5
    assert equal(third.weights, second.weights)


def test_stopped_before_the_first_step_there_is_nothing_to_keep(start, tiles, paint, tmp_path):
    def stop(words, part):
        raise KeyboardInterrupt

    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        fine_tune(start, [as_field(tiles[0])], paint, Plan(), checkpoint=checkpoint, progress=stop)
    assert not checkpoint.exists()


def test_a_damaged_checkpoint_is_refused_in_words(start, tiles, paint, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(ModelError, match="half-finished training cannot be read"):
        fine_tune(start, [as_field(tiles[0])], paint, Plan(), checkpoint=tmp_path / "checkpoint.pt")


def test_a_loss_that_is_no_number_ends_in_words(start, tiles, paint):
    with torch.no_grad():
        start.head.bias[0] = float("nan")
    with pytest.raises(ModelError, match="went astray at step 1"):
        fine_tune(start, [as_field(tiles[0])], paint, Plan(steps=1, side_px=SIDE, batch=2))


def test_fields_of_which_nothing_is_known_are_refused(start, tiles, paint):
    with pytest.raises(ValueError, match="no pixel of the fields is known"):
        fine_tune(start, [as_field(tiles[0], known=False)], paint, Plan(side_px=SIDE))


@pytest.mark.parametrize(
    "values", [{"minutes": 0}, {"rate": 0}, {"batch": 1}, {"steps": 0}, {"side_px": 0}]
)
def test_an_impossible_plan_is_refused(values):
    with pytest.raises(ValueError, match=r"got"):
        Plan(**values)


def test_parts_of_different_sizes_are_refused(tiles):
    tile = tiles[0]
    flag = np.ones(tile.labels.shape, bool)
    with pytest.raises(ValueError, match="one size"):
        Field(tile.rgb, tile.labels, flag, flag[1:], flag)
