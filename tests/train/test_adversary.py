"""Adversarial images in training: as many, as far and as harmful as configured, nothing else."""

import json

import pytest
import torch

from gazegan import rng
from gazegan.attack import angle_error_deg, direction_error_deg, pgd
from gazegan.geometry import angular_error_deg
from gazegan.losses.gaze import direction_vector
from gazegan.modes import evaluating
from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.train.adversary import AdversaryConfig, embitter

STEPS = 150


@pytest.fixture
def given(make_eyes):
    batch = make_eyes(10).batch
    torch.manual_seed(0)
    network = Regressor(RegressorConfig(widths=(4, 4, 8, 8, 8), hidden=8), 1)
    network(batch.image).sum().backward()
    return network.train(), batch.image, batch.gaze, torch.zeros(10)


def test_without_an_adversary_nothing_is_changed_nor_drawn(given):
    generator = rng.stream(0)
    before = generator.get_state()
    assert embitter(AdversaryConfig(), *given, generator) is given[1]
    assert torch.equal(before, generator.get_state())


@pytest.mark.parametrize("steps", [1, 4])
def test_a_share_is_changed_within_epsilon_and_for_the_worse(given, steps):
    network, image, gaze, _ = given
    state = {name: value.clone() for name, value in network.state_dict().items()}
    grads = [p.grad.clone() for p in network.parameters()]
    config = AdversaryConfig(epsilon_255=8, steps=steps, share=0.6)
    made = embitter(config, *given, rng.stream(0))
    changed = (made != image).flatten(1).any(1)
    assert int(changed.sum()) == 6
    change = (made - image)[changed].abs()
    assert 4 / 255 < float(change.max()) <= 8 / 255 + 1e-6
    assert float(made.min()) >= 0 and float(made.max()) <= 1
    assert all(torch.equal(v, state[name]) for name, v in network.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(network.parameters(), grads, strict=True))
    assert network.training
    with evaluating(network), torch.no_grad():
        before, after = (angular_error_deg(network(x), gaze)[changed] for x in (image, made))
    assert float(after.mean()) > float(before.mean())


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.6, 1.0])
def test_every_source_has_its_part_of_what_is_changed(given, share):
    """Images of one source follow each other in a batch."""
    network, image, gaze, turn = (given[0], *(torch.cat([x] * 4) for x in given[1:]))
    config = AdversaryConfig(epsilon_255=8, share=share)
    made = embitter(config, network, image, gaze, turn, rng.stream(0))
    changed = (made != image).flatten(1).any(1)
    assert int(changed.sum()) == round(share * 40)
    for part in changed.split(10):
        assert abs(int(part.sum()) - share * 10) <= 1


def test_angles_that_are_not_taught_are_not_attacked(given):
    """With one angle taught, images are changed as by its error alone."""
    network, image, gaze, turn = given
    config, taught = AdversaryConfig(epsilon_255=8, share=1), torch.tensor([[True, False]] * 10)
    made = embitter(config, network, image, gaze, turn, rng.stream(0), taught)
    wrong = torch.stack((gaze[:, 0], gaze[:, 1] + 0.3), 1)
    assert torch.equal(made, embitter(config, network, image, wrong, turn, rng.stream(0), taught))
    assert not torch.equal(made, embitter(config, network, image, gaze, turn, rng.stream(0)))


def test_step_sizes_are_those_of_the_sources():
    assert AdversaryConfig(epsilon_255=4).step_255 == 5  # 1.25 epsilon
    assert AdversaryConfig(epsilon_255=4, steps=10).step_255 == 1  # 2.5 epsilon / steps


def test_a_step_learns_from_the_changed_images(gaze_of):
    def after(**changes):
        stage = gaze_of(**changes)
        state = stage.init()
        scalars = stage.step(state, stage.batches(0), rng.stream(0, "x"))
        return scalars["loss"], state.regressor

    plain, _ = after()
    off, _ = after(adversary={"epsilon_255": 0})
    firm, network = after(adversary={"epsilon_255": 16, "share": 1})
    assert off == plain != firm
    assert network.training


@pytest.mark.parametrize("target", ["angles", "direction"])
def test_training_against_an_adversary_holds_against_one(gaze_of, make_eyes, target):
    """Under attack, a network trained so errs less than one trained plainly."""
    eyes = make_eyes(40)
    truth = eyes.batch.gaze if target == "angles" else direction_vector(eyes.batch.gaze)
    error = angle_error_deg if target == "angles" else direction_error_deg
    how = {"network": {"target": target, "widths": (4, 4, 8, 8, 8)}, "average": 0, "held_out": 0}
    how["seed"] = 1
    found = []
    for epsilon in (0, 4):
        adversary = {"epsilon_255": epsilon, "share": 1}
        stage = gaze_of(eyes, steps=STEPS, batch=20, adversary=adversary, **how)
        state = stage.init()
        for step in range(STEPS):
            state.step = step
            stage.step(state, stage.batches(step), rng.stream(1, step))
        attacked = pgd(state.regressor, eyes.batch.image, truth, 4 / 255, None, 10, error=error)
        found.append(float(attacked.error_deg.mean()))
    assert found[1] < 0.7 * found[0]


def test_the_option_sets_the_adversary(tmp_path, make_eyes):
    from click.testing import CliRunner

    from gazegan.cli import main
    from gazegan.data.manifest import Manifest
    from gazegan.data.store import write_store
    from gazegan.schema import LANDMARKS, MASKS

    batch = make_eyes(12).batch
    plan = Manifest(
        kind="rendered", count=12, channels=1, height=16, width=20, masks=MASKS, landmarks=LANDMARKS
    )
    write_store(tmp_path / "eyes", plan, lambda rows: batch[list(rows)])
    words = ["train", "gaze", "--data", str(tmp_path / "eyes"), "--out", str(tmp_path / "run")]
    words += ["--steps", "1", "--batch", "4", "--adversary-epsilon", "3"]
    done = CliRunner().invoke(main, [*words, "--set", "adversary.steps=2", "--json"])
    assert done.exit_code == 0, done.output
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert config["adversary"] == {"epsilon_255": 3.0, "steps": 2, "share": 0.5}
