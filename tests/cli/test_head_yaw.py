"""Networks that read the head's yaw: what they are told is what the stores say."""

import json
from dataclasses import replace

import pytest
import torch

from gazegan import rng
from gazegan.data.store import open_store
from gazegan.geometry import angular_error_deg
from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.predict import head_turn, mirror_average, predict
from gazegan.train import gaze
from gazegan.train.augment import AugmentConfig
from gazegan.train.checkpoint import load_weights
from gazegan.train.gaze_settings import GazeTraining


@pytest.fixture
def turned(places, tmp_path, gazegan):
    """A trained network that reads the yaw, and the store of its eyes."""
    store, run = places / "labelled", tmp_path / "run"
    words = ["--steps", "6", "--batch", "8", "--lr", "1e-2", "--head-yaw"]
    gazegan("train", "gaze", "--data", store, "--out", run, *words)
    return run, store


def test_the_yaw_counts_and_unknown_is_ahead():
    torch.manual_seed(0)
    network = Regressor(RegressorConfig(head_yaw=True), 1).eval()
    image = torch.rand(3, 1, 16, 24)
    with torch.no_grad():
        ahead = network(image)
        assert torch.equal(network(image, torch.zeros(3)), ahead)
        assert torch.equal(network(image, torch.full((3,), torch.nan)), ahead)
        assert not torch.allclose(network(image, torch.full((3,), 0.5)), ahead)
    plain = Regressor(RegressorConfig(), 1)
    more = sum(map(torch.numel, network.parameters())) - sum(map(torch.numel, plain.parameters()))
    assert more == RegressorConfig().hidden


def test_mirrored_eyes_are_read_with_the_mirrored_yaw():
    def look(image, turn):
        return torch.stack((image.mean((1, 2, 3)), turn), dim=1)

    image, turn = torch.rand(4, 1, 6, 8), torch.tensor([0.1, -0.2, 0.3, 0.0])
    found = mirror_average(look)(image, turn)
    torch.testing.assert_close(found[:, 1], turn)


def test_evaluate_tells_the_network_how_heads_are_turned(turned, gazegan):
    run, store = turned
    values = json.loads(gazegan("evaluate", "--weights", run, "--data", store, "--json").stdout)
    network, _ = load_weights(run, "gaze")
    batch = open_store(store).read(range(20))
    with torch.no_grad():
        output = network(batch.image, batch.head[:, 1])
    error = angular_error_deg(output, batch.gaze).mean()
    assert values["mean_deg"] == pytest.approx(float(error), rel=1e-5)
    with torch.no_grad():
        blind = angular_error_deg(network(batch.image), batch.gaze).mean()
    assert abs(float(blind - error)) > 1e-3
    found = predict(network, open_store(store), 7, turned=True)
    torch.testing.assert_close(found.output, output)


def test_training_mirrors_the_yaw_with_the_image(gaze_step):
    turns = gaze_step()
    assert set(turns.sign().tolist()) == {-1.0, 1.0}


@pytest.fixture
def gaze_step(places):
    """What yaws a step shows the network, of eyes whose heads are all turned one way."""

    def take() -> torch.Tensor:
        seen = []
        cfg = GazeTraining(network=RegressorConfig(head_yaw=True), steps=1)
        state = gaze.init(cfg, 1, "cpu")
        answer = state.regressor.answer
        state.regressor.answer = lambda image, turn: seen.append(turn) or answer(image, turn)
        batch = replace(
            open_store(places / "labelled").read(range(20)), head=torch.full((20, 2), 0.3)
        )
        gaze.step(cfg, state, batch, 0.0, rng.stream(0))
        return seen[0]

    return take


@pytest.mark.parametrize("command", ["explain", "attack", "calibrate"])
def test_the_other_commands_take_such_a_network(turned, taken_by, command):
    taken_by(command, *turned)


def test_eyes_of_unknown_heads_are_refused_by_name(turned, places, fault_of, tmp_path):
    run, _ = turned
    without = places / "more"
    assert head_turn(open_store(without).read([0])).isnan().all()
    fault = fault_of("evaluate", "--weights", run, "--data", without)
    assert "reads the head's yaw" in fault.message
    words = ("--steps", 4, "--batch", 4, "--head-yaw", "--out", tmp_path / "run2")
    fault = fault_of("train", "gaze", "--data", without, *words)
    assert "leave --head-yaw out" in fault.message


def test_judges_that_read_the_yaw_are_refused(turned, fault_of, tmp_path):
    run, store = turned
    words = ("--synthetic", store, "--real", store, "--judge", run, "--out", tmp_path / "refiner")
    assert "without --head-yaw" in fault_of("train", "refiner", *words).message


def test_options_of_the_training_reach_their_places(places, tmp_path, gazegan):
    words = ["--steps", 1, "--batch", 8, "--head-yaw", "--view", 0.73, "--spread", "--lr", 0.004]
    words += ["--optimiser", "adam", "--schedule", "cosine", "--adversary-epsilon", 2]
    words += ["--augment", "strong", "--set", "augment.blur=0"]
    run = tmp_path / "run"
    gazegan("train", "gaze", "--data", places / "labelled", "--out", run, "--seed", 3, *words)
    _, info = load_weights(run, "gaze")
    found = GazeTraining.model_validate(info["config"])
    assert (found.steps, found.batch, found.seed) == (1, 8, 3)
    assert (found.network.head_yaw, found.network.view, found.network.spread) == (True, 0.73, True)
    assert (found.optimiser.kind, found.optimiser.lr) == ("adam", 0.004)
    assert (found.schedule.kind, found.adversary.epsilon_255) == ("cosine", 2)
    assert found.augment == AugmentConfig.strong().model_copy(update={"blur": 0})
    assert (found.network.kind, found.shares, found.axes) == ("small", (), ())


def test_recipes_are_rendered_by_the_seed_of_the_training(tmp_path, gazegan):
    known = []
    for k, how in enumerate((("--seed", 3), ("--set", "seed=3"), ("--seed", 4))):
        words = ("--data", "webcam", "--steps", 1, "--batch", 8, *how)
        gazegan("train", "gaze", "--out", tmp_path / str(k), *words)
        known.append(load_weights(tmp_path / str(k), "gaze")[1]["data"])
    assert known[0] == known[1] != known[2]
