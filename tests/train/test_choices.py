"""What a configuration can choose beside the defaults: clipping by unit, plans, other heads."""

from dataclasses import replace

import pytest
import torch

from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.optim import OptimiserConfig, ScheduleConfig
from gazegan.train.checkpoint import load_weights, save_weights
from gazegan.train.log import read_log
from gazegan.train.loop import Interrupted, run


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
        along = list(range(1, step.dim())) or [0]
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
