"""Slopes of answers by parameters: every path counts, and they are those of finite differences."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gazegan import explain
from gazegan.rng import stream

# A small graph: a and b are parameters, every node is a function of those before it.
GRAPH = {
    "c": (("a", "b"), lambda a, b: a * b),
    "d": (("a", "c"), lambda a, c: torch.sin(a) + c**2),
    "e": (("b", "c"), lambda b, c: torch.exp(0.3 * b) * c),
    "y": (("a", "d", "e"), lambda a, d, e: d * e + a**3),
}


def answers(params):
    values = dict(zip("ab", params.unbind(1), strict=True))
    for node, (of, rule) in GRAPH.items():
        values[node] = rule(*(values[name] for name in of))
    return values


def answer(params):
    return answers(params)["y"]


def paths(start, end):
    """Every way through the graph, as nodes."""
    if start == end:
        return [[end]]
    after = [node for node, (of, _) in GRAPH.items() if start in of]
    return [[start, *rest] for node in after for rest in paths(node, end)]


def local(values, before, node, step=1e-6):
    """Partial derivative of a node by one that it follows, the others held: a difference."""
    of, rule = GRAPH[node]
    up, down = (
        rule(*(values[name] + (sign * step if name == before else 0) for name in of))
        for sign in (1, -1)
    )
    return (up - down) / (2 * step)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_the_sum_over_paths_is_the_slope(seed):
    params = torch.randn(3, 2, generator=stream(seed), dtype=torch.float64)
    values, found = answers(params), explain.slopes(answer, params)
    assert [len(paths(name, "y")) for name in "ab"] == [4, 3]
    for k, name in enumerate("ab"):
        total = sum(
            math.prod(local(values, *edge) for edge in pairwise(path)) for path in paths(name, "y")
        )
        torch.testing.assert_close(found.slope[:, k], total, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.output, values["y"])


def test_slopes_leave_parameters_and_networks_alone():
    net = torch.nn.Linear(2, 1)
    net(torch.ones(1, 2)).sum().backward()
    grads = [p.grad.clone() for p in net.parameters()]
    params = torch.ones(3, 2, requires_grad=True)
    with torch.no_grad():
        found = explain.slopes(lambda x: net(x)[:, 0], params)
    torch.testing.assert_close(found.slope, net.weight.detach().expand(3, -1))
    assert params.grad is None and not found.slope.requires_grad
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), grads, strict=True))
    with pytest.raises(ValueError, match="fn gives"):
        explain.slopes(net, params)


def test_moves_swings_and_shares_by_hand():
    params, spread = torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([0.5, 2.0])

    def fn(x):
        return x[:, 0] ** 3 + 3 * x[:, 1]

    found = explain.slopes(fn, params)
    assert found.moves(spread).tolist() == [[1.5, 6], [0, 6]]
    swing = explain.swing(fn, params, spread, 0)
    torch.testing.assert_close(swing, torch.tensor([1.25**3 - 0.75**3, 2 * 0.25**3]))
    shares = explain.share_of(found.moves(spread), torch.tensor([True, False]))
    torch.testing.assert_close(shares, torch.tensor([2.25 / 38.25, 0.0]).double())


def test_swings_of_directions_go_the_shorter_way():
    found = explain.swing(
        lambda x: x[:, 0] % 360, torch.tensor([[0.0]]), torch.tensor([20.0]), 0, period=360
    )
    assert found.tolist() == [20]
