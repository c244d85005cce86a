"""What a step of each stage does, and that both learn what they should."""

from dataclasses import replace

import pytest
import torch

from gazegan import rng
from gazegan.data.manifest import Manifest
from gazegan.data.store import write_store
from gazegan.data.stream import JoinedSamples, MemorySamples
from gazegan.errors import UserError
from gazegan.geometry import angular_error_deg
from gazegan.modes import evaluating
from gazegan.schema import LANDMARKS, MASKS, EyeBatch
from gazegan.train import gaze_losses
from gazegan.train.checkpoint import Trained
from gazegan.train.gaze_feed import feed
from gazegan.train.gaze_settings import GazeTraining
from gazegan.train.held_out import split
from gazegan.train.history import mix_history
from gazegan.train.log import read_log
from gazegan.train.loop import run
from gazegan.train.refiner import gaze_moved_deg, refiner_stage
from gazegan.train.refiner_settings import RefinerTraining
from gazegan.train.setup import hold


def one_step(stage, at=0, state=None):
    state = state or stage.init()
    state.step = at
    scalars = stage.step(state, stage.batches(at), rng.stream(0, "test", at))
    return state, scalars


def weights_of(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()]).clone()


def test_the_critic_learns_alone_first(refiner_of):
    stage = refiner_of(critic_lead=1)
    state = stage.init()
    refiner, critic = weights_of(state.refiner), weights_of(state.critic)
    _, scalars = one_step(stage, 0, state)
    assert torch.equal(weights_of(state.refiner), refiner)
    assert not torch.equal(weights_of(state.critic), critic)
    assert "refiner/loss" not in scalars
    _, scalars = one_step(stage, 1, state)
    assert not torch.equal(weights_of(state.refiner), refiner)
    assert scalars["refiner/gradient"] > 0


def test_the_generator_step_leaves_the_critic_as_it_is(refiner_of):
    stage = refiner_of(critic_lead=0)
    state, _ = one_step(stage)
    assert all(p.requires_grad for p in state.critic.parameters())
    assert not any(p.requires_grad for p in state.average.parameters())


def test_wasserstein_estimate_is_the_critics_difference_of_means(refiner_of):
    """With a critic learning rate near zero, the logged estimate is that of the first critic."""
    stage = refiner_of(critic_lead=9, critic_steps=1, history=0, discriminator={"lr": 1e-12})
    critic = stage.init().critic
    _, scalars = one_step(stage)
    batches = stage.batches(0)
    real, raw = (critic.value(batches[n].image).mean() for n in ("real", "synthetic"))
    assert scalars["wasserstein"] == pytest.approx((real - raw).item(), rel=1e-4)


def test_critic_finds_a_constant_shift_of_brightness(refiner_of, make_eyes):
    """Images that differ by c in every pixel lie c * sqrt(pixels) apart; the estimate nears it."""
    eyes = make_eyes()
    brighter = MemorySamples(replace(eyes.batch, image=(eyes.batch.image + 0.1).clamp(0, 1)))
    cfg = refiner_of(steps=120, batch=8, critic_lead=1000, average=0.0, evaluate_every=1000).config
    cfg = cfg.model_copy(
        update={"discriminator": cfg.discriminator.model_copy(update={"lr": 3e-3})}
    )
    from gazegan.train.refiner import refiner_stage

    stage = refiner_stage(cfg, eyes, brighter)
    state = stage.init()
    for at in range(120):
        state, scalars = one_step(stage, at, state)
    exact = 0.1 * (16 * 20) ** 0.5
    assert 0.6 * exact < scalars["wasserstein"] < 1.2 * exact
    assert 0.7 < scalars["critic/slope"] < 1.3


@pytest.mark.parametrize("steps", [1, 3])
def test_masks_are_read_for_the_eyes_alone_that_they_judge(tmp_path, make_eyes, steps):
    """Images, masks and steps are those of samples that are read whole."""
    plan = Manifest(kind="rendered", count=40, channels=1, height=16, width=20, masks=MASKS,
                    landmarks=LANDMARKS)  # fmt: skip
    eyes = make_eyes().batch
    store = write_store(tmp_path, plan, lambda rows: eyes[list(rows)])
    cfg = RefinerTraining(batch=4, critic_steps=steps)
    read, held = (refiner_stage(cfg, s, make_eyes(30, 1)) for s in (store, hold(store)))
    mine, whole = read.batches(2), held.batches(2)
    assert len(mine["synthetic"]) == 4 and len(mine["real"]) == 4 * steps
    assert torch.equal(mine["synthetic"].masks, whole["synthetic"].masks)
    assert ("before" in mine) == (steps > 1)
    if steps > 1:
        assert len(mine["before"]) == 4 * (steps - 1)
        assert mine["before"].masks is None and whole["before"].masks is not None
        assert torch.equal(mine["before"].image, whole["before"].image)


def test_strong_regularisation_keeps_the_image(tmp_path, refiner_of):
    changes = []
    for keep in (0.0, 1000.0):
        run(refiner_of(steps=40, keep=keep, average=0.0, save_every=100), tmp_path / str(keep))
        changes.append(read_log(tmp_path / str(keep))[-1]["change"])
    assert changes[1] < 0.5 * changes[0]


def test_a_judge_keeps_what_a_gaze_network_answers(tmp_path, gaze_of, make_eyes):
    """Beside an equal run without it, the frozen network's answers move less, and it stays."""
    network = run(gaze_of(make_eyes(200), steps=60, save_every=60), tmp_path / "gaze").average
    before = weights_of(network)
    moved = {}
    for weight in (0.0, 30.0):
        stage = refiner_stage(
            RefinerTraining(
                steps=40,
                batch=8,
                critic_steps=1,
                critic_lead=0,
                keep=0,
                average=0,
                gaze=weight,
                network={"widths": (4, 8), "blocks": 1},
                critic={"widths": (4, 8), "grid": (2, 2)},
                generator={"kind": "adam", "lr": 3e-3},
            ),
            make_eyes(),
            make_eyes(30, 1, labelled=False),
            judge=Trained(network, "digest"),
        )
        refiner = run(stage, tmp_path / str(weight)).refiner
        image = make_eyes(64, 5).batch.image
        with torch.no_grad():
            moved[weight] = float(gaze_moved_deg(network, image, refiner(image)))
            slow = (network(refiner(image)) - network(image)).abs().double()
        assert moved[weight] == pytest.approx(float(slow.sum() / 64 * 180 / torch.pi), rel=1e-5)
    assert moved[30.0] < 0.5 * moved[0.0]
    assert torch.equal(weights_of(network), before)
    assert not network.training
    assert stage.data["judge"] == "digest"


@pytest.mark.parametrize("channels", [1, 3])
def test_refiner_trains_without_masks_and_in_colour(make_eyes, channels):
    from gazegan.train.refiner import refiner_stage

    raw, real = make_eyes(labelled=False, channels=channels), make_eyes(seed=1, channels=channels)
    cfg = RefinerTraining(batch=4, critic_lead=0, critic_steps=1, history=4)
    stage = refiner_stage(cfg, raw, real)
    state, scalars = one_step(stage)
    assert all(torch.isfinite(torch.tensor(list(scalars.values()))))
    told = stage.evaluate(state)[0]
    assert not [name for name in told if name.startswith("pupil_shift")]


def test_gaze_network_learns(tmp_path, gaze_of, make_eyes):
    stage = gaze_of(
        make_eyes(300), steps=150, batch=32, save_every=1000, schedule={"every": 100.0}, average=0.9
    )
    run(stage, tmp_path)
    last = read_log(tmp_path)[-1]
    assert last["held_out_deg"] < 0.6 * last["constant_deg"]


def test_direction_is_learnt(tmp_path, gaze_of, make_eyes):
    network = {"target": "direction", "widths": (4, 4, 8, 8, 8), "hidden": 8}
    stage = gaze_of(
        make_eyes(300), steps=120, batch=32, save_every=1000, schedule={"every": 100.0},
        network=network,
    )  # fmt: skip
    run(stage, tmp_path)
    last = read_log(tmp_path)[-1]
    assert last["held_out_deg"] < 45
    assert last["constant_deg"] > 75


def test_batch_statistics_move_in_steps_and_not_in_evaluation(gaze_of):
    stage = gaze_of(average=0.0)
    state = stage.init()
    mean = state.regressor.trunk[0][1].running_mean
    before = mean.clone()
    stage.evaluate(state)
    assert torch.equal(mean, before)
    one_step(stage, 0, state)
    assert not torch.equal(mean, before)
    after = mean.clone()
    stage.evaluate(state)
    assert torch.equal(mean, after)
    assert state.regressor.training


def test_learning_rate_is_cut_by_epochs(tmp_path, gaze_of, make_eyes):
    """32 of 40 images are taught, 8 a step: an epoch is 4 steps."""
    stage = gaze_of(steps=12, optimiser={"lr": 0.01}, schedule={"cut": 0.5, "every": 1})
    run(stage, tmp_path)
    rates = [line["lr"] for line in read_log(tmp_path) if "lr" in line]
    assert rates == pytest.approx([0.01] * 4 + [0.005] * 4 + [0.0025] * 4)


def test_constant_and_held_out_error_against_a_slow_loop(gaze_of, make_eyes):
    stage, eyes = gaze_of(), make_eyes()
    train, kept = split(torch.arange(40), 0.2, 0)
    assert len(kept) == 8
    assert sorted([*train.tolist(), *kept.tolist()]) == list(range(40))
    constant = eyes.batch.gaze[train].mean(0, keepdim=True)
    slow = sum(angular_error_deg(constant[0], eyes.batch.gaze[i]).item() for i in kept) / 8
    state = stage.init()
    scalars, _ = stage.evaluate(state)
    assert scalars["constant_deg"] == pytest.approx(slow, rel=1e-5)
    with evaluating(state.average):
        output = state.average(eyes.batch.image[kept])
    slow = angular_error_deg(output, eyes.batch.gaze[kept]).mean().item()
    assert scalars["held_out_deg"] == pytest.approx(slow, rel=1e-4)


def test_what_is_measured_comes_from_every_source(gaze_of):
    """The first images of long stores would be those of the first source alone."""
    kinds = [_of_one_gaze(5000, yaw) for yaw in (0.35, -0.35)]
    fed = feed(gaze_of(held_out=0.5).config, JoinedSamples(tuple(kinds)), None, "cpu")
    assert len(fed.held_out) == 2048
    assert fed.held_out.gaze[:, 1].mean().abs() < 0.01
    assert fed.constant[0, 1].abs() < 0.01


def _of_one_gaze(count, yaw):
    zeros = torch.zeros(count, dtype=torch.int64)
    gaze = torch.tensor([[0.0, yaw]]).expand(count, 2)
    return MemorySamples(EyeBatch(torch.zeros(count, 1, 16, 16), zeros, zeros, gaze))


def test_every_training_image_is_seen_once_an_epoch_and_none_held_out(gaze_of):
    stage = gaze_of()
    seen = torch.cat([stage.batches(i)["data"].id for i in range(4)])
    assert sorted(seen.tolist()) == split(torch.arange(40), 0.2, 0)[0].tolist()


def test_average_is_the_result_unless_switched_off(gaze_of):
    for average, name in ((0.9, "average"), (0.0, "regressor")):
        stage = gaze_of(average=average)
        state = stage.init()
        assert stage.weights(state) is getattr(state, name)


@pytest.mark.parametrize("loss", ["smooth_l1", "cosine", "angular"])
def test_each_loss_can_be_chosen(gaze_of, loss):
    stage = gaze_of(loss=loss)
    chosen = gaze_losses.loss_of(stage.config)
    assert chosen.__name__ == loss
    assert one_step(stage)[1]["loss"] > 0


def test_unlabelled_and_tiny_data_are_refused(gaze_of, make_eyes):
    with pytest.raises(UserError, match="no gaze labels"):
        gaze_of(make_eyes(labelled=False))
    with pytest.raises(UserError, match="too few"):
        gaze_of(make_eyes(2), held_out=0.5)


def test_default_configurations_stay_hashable_plain_values():
    for cfg in (RefinerTraining(), GazeTraining()):
        assert type(cfg).model_validate(cfg.model_dump(mode="json")) == cfg


def test_history_mixes_old_with_new_and_fills_up():
    history, remembered = torch.zeros(5, 1, 2, 2), 0
    for call in range(6):
        fresh = torch.full((4, 1, 2, 2), call + 1.0)
        mixed, remembered = mix_history(history, remembered, fresh, rng.stream(0, call))
        values = mixed[:, 0, 0, 0].tolist()
        assert values[2:] == [call + 1.0] * 2
        assert all(0 < v <= call + 1 for v in values[:2])
        assert (call == 0) == (values[0] == call + 1)
        assert remembered == min(5, 4 * (call + 1))
    assert (history > 0).all()


def test_without_history_images_pass_through():
    fresh = torch.rand(4, 1, 2, 2)
    mixed, remembered = mix_history(torch.zeros(0, 1, 2, 2), 0, fresh, rng.stream(0))
    assert mixed is fresh
    assert remembered == 0
