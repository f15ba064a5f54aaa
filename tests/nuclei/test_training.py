"""The loss: what is unknown weighs nothing; the trainer: what it keeps and restores."""

import pytest
import torch

from histo.nuclei.training import LEAST_KNOWN, Trainer, falling_rate, nuclei_loss


@pytest.fixture
def planes():
    generator = torch.Generator().manual_seed(3)
    output = torch.randn(2, 5, 16, 16, generator=generator)
    target = torch.zeros(2, 5, 16, 16)
    target[:, 0, 4:12, 4:12] = 1
    target[:, 1:3, 5:11, 5:11] = 1
    return output, target


def test_what_is_unknown_does_not_teach(planes):
    output, target = planes
    known = torch.zeros(2, 16, 16)
    known[:, :, :8] = 1
    output.requires_grad_()
    nuclei_loss(output, target, known).backward()
    assert not output.grad[..., 8:].any()
    assert output.grad[..., :8].any()
    other = target.clone()
    other[..., 8:] = 1 - other[..., 8:]
    with torch.no_grad():
        assert nuclei_loss(output, other, known) == nuclei_loss(output, target, known)


def test_all_known_is_the_default(planes):
    output, target = planes
    everywhere = torch.ones(2, 16, 16)
    assert nuclei_loss(output, target) == nuclei_loss(output, target, everywhere, everywhere)


def test_an_image_of_which_a_part_is_known_counts_as_much_as_a_whole_one(planes):
    output, _ = planes
    output[:] = 0.5
    target = torch.zeros_like(output)
    half = torch.ones(2, 16, 16)
    half[:, :8] = 0
    # The Dice term depends on the area; take it out by comparing what is left.
    dice = nuclei_loss(output, target) - nuclei_loss(output, target, half)
    share = torch.sigmoid(torch.tensor(0.5)) * 16 * 16

    def overlap(area):
        return 50 / (area + 50)

    assert float(dice) == pytest.approx(0.5 * float(overlap(share / 2) - overlap(share)), abs=1e-5)


def test_next_to_nothing_known_counts_next_to_nothing(planes):
    output, target = planes
    speck = torch.zeros(2, 16, 16)
    speck[:, 0, 0] = 1
    assert LEAST_KNOWN > 1 / 256
    assert nuclei_loss(output, target, speck) < 0.5 * nuclei_loss(output, target)


def test_calls_teach_only_where_they_are_known(planes):
    output, target = planes
    output.requires_grad_()
    classed = torch.zeros(2, 16, 16)
    classed[0] = 1
    nuclei_loss(output, target, classed=classed).backward()
    assert output.grad[0, 2].any()
    assert not output.grad[1, 2].any()
    assert output.grad[1, 0].any()


def test_the_rate_falls_and_never_reaches_zero():
    rates = [falling_rate(1.0, part) for part in (0, 0.25, 0.5, 0.75, 1, 2)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0


def test_a_trainer_goes_on_from_its_checkpoint_to_the_bit(tmp_path):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(2, 3, 16, 16, generator=generator), torch.zeros(2, 5, 16, 16)
    whole = Trainer((8, 16), seed=2, warm_up=2)
    for _ in range(2):
        whole.learn(x, y, rate=1e-3)
    torch.save({**whole.state(), "used": 7.0}, tmp_path / "checkpoint.pt")
    again = Trainer((8, 16), seed=5, warm_up=2)
    assert again.restore(tmp_path / "checkpoint.pt")["used"] == 7.0
    assert again.step == 2
    assert again.learn(x, y, rate=1e-3) == whole.learn(x, y, rate=1e-3)
    for one, other in zip(
        again.average.state_dict().values(), whole.average.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


def test_frozen_normalisation_keeps_its_mean_and_variance():
    trainer = Trainer((8, 16), warm_up=1)
    before = {name: value.clone() for name, value in trainer.net.named_buffers()}
    weights = {name: value.clone() for name, value in trainer.net.named_parameters()}
    trainer.freeze_normalisation()
    trainer.learn(torch.rand(2, 3, 16, 16), torch.zeros(2, 5, 16, 16), rate=1e-3)
    assert all(torch.equal(value, before[name]) for name, value in trainer.net.named_buffers())
    changed = [
        n for n, value in trainer.net.named_parameters() if not torch.equal(value, weights[n])
    ]
    assert changed
