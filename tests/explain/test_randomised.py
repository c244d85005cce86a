"""Randomised networks: layer by layer from the last, the original left alone, other maps."""

import pytest
import torch
from torch import nn

from gazegan import explain
from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.rng import stream


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(240, 8), nn.Tanh(),
                         nn.Linear(8, 2))  # fmt: skip


def changed(a, b):
    """Which layers of two networks differ."""
    return [
        i
        for i, (x, y) in enumerate(zip(a, b, strict=True))
        if any(not torch.equal(p, q) for p, q in zip(x.parameters(), y.parameters(), strict=True))
    ]


def test_layers_are_randomised_from_the_last():
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = list(explain.cascade(net, stream(1), stages=3))
    assert [share for share, _ in found] == pytest.approx([1 / 3, 2 / 3, 1])
    assert [changed(net, other) for _, other in found] == [[5], [3, 5], [0, 3, 5]]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    for _, other in found:
        for p, q in zip(net.parameters(), other.parameters(), strict=True):
            assert torch.equal(p.flatten().sort().values, q.flatten().sort().values)


@pytest.mark.parametrize("stages", [1, 2, 3, 50])
def test_the_last_copy_is_randomised_throughout(stages):
    *_, (share, other) = found = list(explain.cascade(network(), stream(1), stages))
    assert len(found) == min(stages, 3)
    assert share == 1 and changed(network(), other) == [0, 3, 5]


def test_the_same_seed_randomises_alike():
    one, two, third = (list(explain.cascade(network(), stream(s)))[-1][1] for s in (1, 1, 2))
    assert changed(one, two) == [] != changed(one, third)


def test_maps_of_a_randomised_regressor_are_others():
    """And what does not look at the network at all is told by its unchanged map."""
    torch.manual_seed(0)
    config = RegressorConfig(widths=(4, 4, 8, 8, 8), hidden=8)
    net = Regressor(config, 1).eval()
    image = torch.rand(6, 1, 16, 24, generator=stream(2))
    *_, (_, other) = explain.cascade(net, stream(3))
    own, random = (explain.smoothgrad(n, image, stream(4), samples=4).map for n in (net, other))
    assert float(explain.rank_correlation(own, random).abs().mean()) < 0.3
    edges = torch.gradient(image, dim=(2, 3))[0]
    assert float(explain.rank_correlation(edges, edges.clone()).min()) == pytest.approx(1)
