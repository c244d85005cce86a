"""What a configuration can choose beside the defaults: clipping by unit, plans, other heads."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from gazegan.errors import DataError
from gazegan.nets.features import RandomFeatures
from gazegan.nets.refiner import RefinerConfig
from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.optim import OptimiserConfig, ScheduleConfig
from gazegan.train.checkpoint import Trained, load_weights, save_weights
from gazegan.train.log import read_log
from gazegan.train.loop import Interrupted, run
from gazegan.train.refiner import refiner_stage
from gazegan.train.refiner_settings import RefinerTraining


def moved(stage, seed=0):
    """How far one step moved each parameter of a stage's network, by name."""
    state = stage.init()
    network = state.regressor if stage.name == "gaze" else state.refiner
    state.step = 1  # the critic's lead of the tiny refiner
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    stage.step(state, stage.batches(0), torch.Generator().manual_seed(seed))
    return {name: p.detach() - before[name] for name, p in network.named_parameters()}, before


SGD = OptimiserConfig(kind="sgd", lr=1, momentum=0)


@pytest.mark.parametrize("name", ["gaze", "refiner"])
def test_adaptive_clipping_bounds_steps_of_all_but_the_last_layer(name, gaze_of, refiner_of):
    if name == "gaze":
        free, held = (gaze_of(optimiser=SGD, clip_adaptive=c) for c in (0, 1e-3))
        last = "head.3."
    else:
        how = {"generator": SGD, "discriminator": SGD, "keep": 0.01}
        free, held = (refiner_of(**how, clip_adaptive=c) for c in (0, 1e-3))
        last = "head."
    (wild, _), (tame, before) = moved(free), moved(held)
    for key, step in tame.items():
        if key.startswith(last):
            if name == "gaze":  # the refiner's comes after a critic that differs
                assert torch.equal(step, wild[key])
            continue
        output = 1 if key.startswith("up.") and step.dim() == 4 else 0
        along = [axis for axis in range(step.dim()) if axis != output] or [0]
        norms = (torch.linalg.vector_norm(x, dim=along) for x in (step, before[key]))
        size, weight = norms
        # A step of rate 1 is the gradient; float32 of the weights rounds it.
        assert bool((size <= 1e-3 * weight.clamp(min=1e-3) + 1e-6).all())
    if name == "gaze":
        assert max(float(w.abs().max()) for w in wild.values()) > 0.01


def planned(run_dir):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_dir / "tensorboard"))
    events.Reload()
    return {name: {e.step: e.value for e in events.Scalars(name)} for name in ("lr", "lr_planned")}


@pytest.mark.parametrize("kind", ["step", "cosine"])
def test_the_planned_learning_rate_is_shown_and_kept_to(tmp_path, gaze_of, kind):
    schedule = ScheduleConfig(kind=kind, every=0.4, cut=0.5, warm_up=0.3)
    run(gaze_of(schedule=schedule), tmp_path)
    found = planned(tmp_path)
    assert found["lr"] == found["lr_planned"] and list(found["lr"]) == [1, 2, 3, 4, 5, 6]
    assert len(set(found["lr"].values())) > 3
    assert not any("lr_planned" in line for line in read_log(tmp_path))


def test_a_resumed_run_still_shows_its_plan(tmp_path, gaze_of):
    done = [0]

    def advance(images):
        done[0] += images
        if done[0] == 3 * 8:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        run(gaze_of(), tmp_path, advance)
    assert list(planned(tmp_path)["lr_planned"]) == [1, 2, 3, 4, 5, 6]
    run(gaze_of(), tmp_path)
    assert sorted(planned(tmp_path)["lr_planned"]) == [1, 2, 3, 4, 5, 6]


def test_spreads_tell_eyes_of_noisy_labels_from_others(gaze_of, make_eyes):
    """Labels of eyes above a bright band are noise of 8 degrees, those of others are 0."""
    samples = make_eyes(256)
    batch, noisy = samples.batch, torch.arange(256) % 2 == 0
    image, generator = batch.image.clone(), torch.Generator().manual_seed(4)
    off = torch.randn(256, 2, generator=generator)
    image[noisy, :, -4:] = 1
    taught = 0.14 * off * noisy[:, None]
    stage = gaze_of(
        type(samples)(replace(batch, image=image, gaze=taught)),
        network={"widths": (4, 4, 8, 8, 8), "hidden": 8, "spread": True},
        optimiser=OptimiserConfig(kind="adam", lr=1e-2), schedule=ScheduleConfig(cut=1),
        held_out=0, batch=32, steps=60,
    )  # fmt: skip
    state = stage.init()
    for step in range(60):
        state.step = step
        scalars = stage.step(state, stage.batches(step), torch.Generator().manual_seed(step))
    with torch.no_grad():
        spread = torch.rad2deg(state.regressor.eval().answer(image).spread).mean(1)
    assert 5 < spread[noisy].mean() < 12 and spread[~noisy].mean() < 3
    assert 0.5 < scalars["spread_deg"] < 20


def test_weights_of_before_these_choices_still_load(tmp_path):
    config = RegressorConfig(widths=(4, 4, 8, 8, 8), hidden=8)
    network = Regressor(config, 1)
    old = config.model_dump(mode="json")
    for new in ("norm", "head", "spread"):
        del old[new]
    path = tmp_path / "old.safetensors"
    info = {"config": {"network": old}, "data": {"channels": 1}, "step": 1}
    save_weights(path, network, "gaze", info)
    loaded, _ = load_weights(path, "gaze")
    assert loaded.config == config
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in loaded.state_dict().items())


def test_clipping_bounds_every_weight_of_the_critic(refiner_of):
    stage = refiner_of(constraint="clipping", clip=0.02)
    state = stage.init()
    told = stage.step(state, stage.batches(0), torch.Generator().manual_seed(0))
    assert "critic/slope" not in told and "wasserstein" in told
    assert max(float(p.detach().abs().max()) for p in state.critic.parameters()) <= 0.02
    free = refiner_of(constraint="penalty").init()
    assert max(float(p.detach().abs().max()) for p in free.critic.parameters()) > 0.1


@pytest.mark.parametrize("loss", ["least_squares", "classic"])
def test_a_critic_of_probabilities_tells_how_real_eyes_seem(refiner_of, loss):
    """After some steps without a refiner, photographs seem more real than renders."""
    how = {"critic_lead": 100, "discriminator": OptimiserConfig(kind="adam", lr=5e-3)}
    stage = refiner_of(loss=loss, **how)
    state = stage.init()
    for step in range(40):
        state.step = step
        told = stage.step(state, stage.batches(step), torch.Generator().manual_seed(step))
    assert "wasserstein" not in told and "critic/slope" not in told
    if loss == "classic":
        assert 0 < told["critic/fake"] < told["critic/real"] < 1
    else:
        assert told["critic/fake"] < told["critic/real"]


def test_constraint_and_keep_are_by_default_those_of_the_loss():
    assert (RefinerTraining().bound, RefinerTraining().kept) == ("penalty", 0.5)
    classic = RefinerTraining(loss="classic")
    assert (classic.bound, classic.kept) == ("none", 0.02)
    spectral = RefinerTraining(critic={"norm": "spectral"}, keep=0.3)
    assert (spectral.bound, spectral.kept) == ("none", 0.3)
    with pytest.raises(ValidationError, match=r"bounded slope; set constraint .* 'spectral'"):
        RefinerTraining(constraint="none")


def test_features_are_kept_where_they_are_weighed(tmp_path, refiner_of, make_eyes):
    features, moved = RandomFeatures(1), []
    image = make_eyes(64, 5).batch.image
    for weight in (0.0, 100.0):
        stage = refiner_of(
            steps=40, keep=0.0, keep_features=weight, average=0.0,
            generator=OptimiserConfig(kind="adam", lr=3e-3), least_variety=0,
        )  # fmt: skip
        refiner = run(stage, tmp_path / str(weight)).refiner
        with torch.no_grad():
            moved.append(float((features.maps(refiner(image)) - features.maps(image)).abs().mean()))
    assert moved[1] < 0.3 * moved[0]


def test_a_direct_refiner_first_learns_to_keep(refiner_of):
    network = RefinerConfig(widths=(4, 8), blocks=1, output="direct")
    how = {"network": network, "refiner_lead": 150, "critic_lead": 0, "critic_steps": 1}
    stage = refiner_of(keep=1.0, generator=OptimiserConfig(kind="adam", lr=1e-2), **how)
    state, kept = stage.init(), []
    for step in range(152):
        state.step = step
        told = stage.step(state, stage.batches(step), torch.Generator().manual_seed(step))
        kept.append(float(told["refiner/keep"]))
        assert ("refiner/adversarial" in told) == (step >= 150)
    assert kept[149] < 0.3 * kept[0]


def test_a_collapsed_refiner_stops_with_the_reason_and_its_last_good_weights(tmp_path, refiner_of):
    """A direct refiner begins nearly without variety, and here learns nothing else."""
    network = RefinerConfig(widths=(4, 8), blocks=1, output="direct")
    still = OptimiserConfig(kind="sgd", lr=1e-9)
    how = {"network": network, "generator": still, "critic_lead": 0, "critic_steps": 1}
    stage = refiner_of(steps=400, save_every=50, log_every=50, **how)
    with pytest.raises(DataError, match=r"collapsed; raise --set keep .* weights of step 200") as f:
        run(stage, tmp_path)
    assert "\n" not in str(f.value)
    assert load_weights(tmp_path, "refiner")[1]["step"] == 200
    assert (tmp_path / "failed-000000200.safetensors").exists()


def test_a_judge_tells_how_far_its_answers_move_and_what_it_sees(gaze_of, make_eyes):
    judge = gaze_of().init().regressor
    cfg = RefinerTraining(network={"widths": (4, 8), "blocks": 1})
    stage = refiner_stage(cfg, make_eyes(), make_eyes(30, 1), judge=Trained(judge, "digest"))
    state = stage.init()
    told, _ = stage.evaluate(state)
    assert told["gaze_shift/p95_deg"] < 1e-6  # untrained, it is the identity
    assert told["judged/refined_auc"] == told["judged/raw_auc"]
    torch.nn.init.normal_(state.average.head.weight)
    told, _ = stage.evaluate(state)
    assert told["gaze_shift/median_deg"] > 0
    assert told["judged/refined_sliced_wasserstein"] != told["judged/raw_sliced_wasserstein"]
