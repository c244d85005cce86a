"""Precision and compilation change how networks are called, not what they learn."""

import pytest
import torch
from torch._inductor.exc import InvalidCxxCompiler

from gazegan import rng
from gazegan.train import calls as module
from gazegan.train.calls import Calls, calls, plainly

FAR = {"lr", "gradient", "critic/gradient", "refiner/gradient"}


def one_step(stage):
    state = stage.init()
    state.step = 2
    return state, stage.step(state, stage.batches(2), rng.stream(0, "test"))


@pytest.mark.parametrize("make", ["gaze_of", "refiner_of"])
def test_bfloat16_is_near_float32_and_leaves_weights_in_it(make, request):
    make = request.getfixturevalue(make)
    (state, half), (_, full) = one_step(make(precision="bf16")), one_step(make())
    kinds = {t.dtype for m in vars(state).values() if hasattr(m, "parameters")
             for t in m.parameters()}  # fmt: skip
    assert kinds == {torch.float32}
    apart = [abs(float(half[k] - full[k])) for k in full if k not in FAR]
    assert 0 < max(apart) < 0.02 * max(abs(float(v)) for v in full.values())


def test_networks_run_in_bfloat16():
    layer = torch.nn.Linear(4, 4)
    how = calls("bf16", False, "cpu", pytest.fail)
    seen = [call(layer, torch.rand(2, 4)).dtype for call in (how.once, how.twice, plainly)]
    assert seen == [torch.bfloat16, torch.bfloat16, torch.float32]
    assert calls("float32", False, "cpu", pytest.fail) == Calls()


def test_without_a_compiler_training_goes_on_and_says_so_once(monkeypatch, refiner_of):
    def missing():
        raise InvalidCxxCompiler

    monkeypatch.setattr(module, "get_cpp_compiler", missing)
    told = []
    how = calls("float32", True, "cpu", told.append)
    for _ in range(2):
        assert how.once(torch.square, torch.tensor(3.0)) == 9
        assert how.once(torch.sqrt, torch.tensor(4.0)) == 2
    assert len(told) == 1 and told[0].startswith("--compile: no compiler that works (")
    assert "\n" not in told[0]
    (_, plain), (_, same) = one_step(refiner_of()), one_step(refiner_of(compile_step=True))
    assert plain == same


@pytest.mark.slow
def test_compiled_networks_learn_the_same(gaze_of):
    told = []
    stage = gaze_of(compile_step=True)
    (fast, _), (plain, _) = one_step(stage), one_step(gaze_of())
    assert not told
    for a, b in zip(fast.average.parameters(), plain.average.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
