"""Sealed files: exact, strict, and any damage is found."""

import dataclasses
import json
from dataclasses import dataclass

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import Optimizer

from gazegan.errors import DataError, UserError
from gazegan.nets.refiner import Refiner, RefinerConfig
from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.optim import OptimiserConfig, make_optimiser
from gazegan.train.checkpoint import (
    WEIGHTS,
    load_sealed,
    load_strictly,
    load_weights,
    save_sealed,
    save_weights,
)
from gazegan.train.state import load_state, pack, save_state, unpack

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b/c": torch.tensor([1, -2]), "none": torch.zeros(0)}
SMALL = RefinerConfig(widths=(4, 8), blocks=1)


def refiner_weights(path, network=SMALL):
    config = {"network": network.model_dump(mode="json")}
    info = {"step": 7, "config": config, "data": {"channels": 1}}
    save_weights(path, Refiner(network, 1), "refiner", info)


def test_sealed_file_returns_what_was_saved(tmp_path):
    path = tmp_path / "x.safetensors"
    save_sealed(path, TENSORS, {"step": 3, "text": 'quotes " and \\'})
    tensors, info = load_sealed(path)
    assert info["step"] == 3
    assert info["text"] == 'quotes " and \\'
    assert all(torch.equal(tensors[k], t) for k, t in TENSORS.items())
    assert safetensors.torch.load(path.read_bytes()).keys() == TENSORS.keys()


def test_equal_contents_give_equal_bytes(tmp_path):
    for name in ("x", "y"):
        save_sealed(tmp_path / name, TENSORS, {"b": 1, "a": 2})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "x"
    save_sealed(path, TENSORS, {"step": 3})
    whole = path.read_bytes()
    for position in range(len(whole)):
        for bit in range(8):
            broken = bytearray(whole)
            broken[position] ^= 1 << bit
            path.write_bytes(broken)
            with pytest.raises(DataError):
                load_sealed(path)


@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=200), cut=st.integers(0, 300))
def test_foreign_and_torn_files_are_refused(tmp_path_factory, data, cut):
    path = tmp_path_factory.mktemp("f") / "x"
    save_sealed(path, TENSORS, {})
    whole = path.read_bytes()
    for broken in (data, whole[:cut], whole + data[:1] if data else b"", data + whole[8:]):
        path.write_bytes(broken)
        with pytest.raises(DataError):
            load_sealed(path)


def test_plain_safetensors_pickles_and_missing_files_are_refused(tmp_path):
    plain, pickled = tmp_path / "plain", tmp_path / "pickled"
    safetensors.torch.save_file(TENSORS, plain)
    torch.save(TENSORS, pickled)
    for path in (plain, pickled, tmp_path / "nothing", tmp_path):
        with pytest.raises(DataError, match=path.name):
            load_sealed(path)


def test_a_disk_that_refuses_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    save_sealed(path, TENSORS, {"step": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match="No space left"):
        save_sealed(path, TENSORS, {"step": 2})
    assert load_sealed(path)[1]["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_weights_come_back_in_evaluation_mode(tmp_path):
    refiner_weights(tmp_path / WEIGHTS)
    for run in (tmp_path, tmp_path / WEIGHTS):
        module, info = load_weights(run, "refiner")
        assert isinstance(module, Refiner)
        assert not module.training
        assert info["step"] == 7
        assert info["data"]["channels"] == 1


def test_direction_regressor_keeps_its_target(tmp_path):
    network = RegressorConfig(target="direction", widths=(4, 4, 4, 4, 4))
    info = {"config": {"network": network.model_dump(mode="json")}, "data": {"channels": 3}}
    module = Regressor(network, 3)
    save_weights(tmp_path / WEIGHTS, module, "gaze", info)
    loaded, _ = load_weights(tmp_path, "gaze")
    assert loaded.target == "direction"
    image = torch.rand(2, 3, 12, 12)
    assert torch.equal(loaded(image), module.eval()(image))


def test_weights_of_another_stage_or_network_are_refused_in_one_line(tmp_path):
    path = tmp_path / WEIGHTS
    refiner_weights(path)
    with pytest.raises(UserError, match=r"'refiner', where 'gaze' is needed") as fault:
        load_weights(tmp_path, "gaze")
    assert "\n" not in str(fault.value)
    save_sealed(path, {}, {"kind": "state", "numbers": {}})
    with pytest.raises(UserError, match="not weights"):
        load_weights(tmp_path, "refiner")
    save_sealed(path, {}, {"kind": "weights", "stage": "refiner"})
    with pytest.raises(DataError, match="which network"):
        load_weights(tmp_path, "refiner")
    config = {"network": SMALL.model_dump(mode="json")}
    save_weights(path, Refiner(SMALL, 1), "refiner", {"config": config, "data": {"channels": 1e9}})
    with pytest.raises(DataError, match="channels"):
        load_weights(tmp_path, "refiner")
    config["network"]["widths"] = [4, 10**9]
    save_weights(path, Refiner(SMALL, 1), "refiner", {"config": config, "data": {"channels": 1}})
    with pytest.raises(UserError, match="widths"):
        load_weights(tmp_path, "refiner")
    with pytest.raises(UserError, match="no weights there"):
        load_weights(tmp_path / "nowhere", "refiner")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop("weight"), "weight"),
        (lambda t: t.update(more=torch.zeros(1)), "more"),
        (lambda t: t.update(weight=torch.zeros(1)), "weight"),
        (lambda t: t.update(weight=t["weight"].double()), "weight"),
        (lambda t: t["weight"].fill_(float("nan")), "not finite"),
    ],
)
def test_loading_is_strict(tmp_path, change, says):
    module = nn.Linear(2, 3)
    tensors = {k: v.clone() for k, v in module.state_dict().items()}
    change(tensors)
    with pytest.raises(DataError, match=says):
        load_strictly(module, tensors, tmp_path)


@dataclass
class Toy:
    net: nn.Module
    optimiser: Optimizer
    buffer: torch.Tensor
    filled: int = 0
    step: int = 0


def toy(kind, steps=0):
    torch.manual_seed(steps)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    state = Toy(net, make_optimiser(OptimiserConfig(kind=kind), net.parameters()), torch.zeros(5))
    for _ in range(steps):
        net(torch.rand(6, 3)).square().sum().backward()
        state.optimiser.step()
        state.buffer += 1
        state.filled, state.step = state.filled + 2, state.step + 1
    return state


@pytest.mark.parametrize("kind", ["rmsprop", "sgd", "adam"])
@pytest.mark.parametrize("steps", [0, 3])
def test_state_survives_the_disk_exactly(tmp_path, kind, steps):
    saved = toy(kind, steps)
    save_state(tmp_path, saved)
    loaded = load_state(tmp_path, lambda: toy(kind), pytest.fail)
    assert dataclasses.astuple(loaded)[3:] == (2 * steps, steps)
    settings_of = [s.optimiser.state_dict()["param_groups"] for s in (loaded, saved)]
    assert settings_of[0] == settings_of[1]
    old, new = pack(saved)[0], pack(loaded)[0]
    assert old.keys() == new.keys()
    assert all(torch.equal(old[k], new[k]) and old[k].dtype == new[k].dtype for k in old)


def test_state_lies_on_disk_without_pickle(tmp_path):
    save_state(tmp_path, toy("adam", 2))
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert "optimiser/0/exp_avg_sq" in header
    assert "net/1.running_mean" in header


def test_two_generations_are_kept_and_the_older_stands_in(tmp_path):
    for steps in (1, 2, 3):
        save_state(tmp_path, toy("adam", steps))
    older, newest = sorted(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-1])
    told: list[str] = []
    assert load_state(tmp_path, lambda: toy("adam"), told.append).step == 2
    assert newest.name in told[0]
    older.write_bytes(b"")
    with pytest.raises(DataError, match="every checkpoint is damaged"):
        load_state(tmp_path, lambda: toy("adam"), told.append)


def test_a_state_that_does_not_fit_is_refused(tmp_path):
    tensors, numbers = pack(toy("adam", 1))
    tensors["net/0.weight"] = torch.zeros(2, 2)
    with pytest.raises(DataError, match=r"0\.weight"):
        unpack(toy("adam"), tensors, numbers, tmp_path)
