"""The search for scenes, on judges whose worst scene is known."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.testing import assert_close
from victims import seeded

from gazegan.attack import Box, Plan, alone, worst_drawn, worst_scenes

P, N = 12, 5
FREE = torch.ones(P, dtype=torch.bool)
FREE[:2] = False
SLOPE = torch.linspace(-3, 3, P)


def tilted(latent, which):
    """Degrees that rise along one way, by scene."""
    return 10 + which + latent @ SLOPE


def nominal(seed=0):
    return torch.randn(N, P, generator=seeded(seed)).clamp(-1, 1)


def counted(judge):
    rows = []

    def judged(latent, which):
        rows.append(len(latent))
        return judge(latent, which)

    return judged, rows


def test_the_box_holds_each_and_all_together():
    box, far = Box(2.0, FREE), 5 * torch.randn(200, P, generator=seeded())
    inside = box.project(far)
    assert float(inside[:, FREE].abs().max()) <= 2
    assert float(inside[:, FREE].norm(dim=1).max()) <= box.radius + 1e-5
    assert torch.equal(inside[:, ~FREE], far[:, ~FREE])
    near = 0.1 * far
    assert_close(box.project(near), near.clamp(-2, 2).where(FREE, near))


def test_together_is_what_99_of_100_draws_do_not_exceed():
    lengths = torch.randn(50_000, int(FREE.sum()), generator=seeded()).norm(dim=1)
    assert Box(2.0, FREE).radius == pytest.approx(np.quantile(lengths.numpy(), 0.99), rel=0.01)


def test_redrawn_latents_are_cut_off_normal():
    box = Box(2.0, FREE)
    drawn = box.redraw(torch.zeros(4000, P), 1.0, seeded())
    assert not drawn[:, ~FREE].any()
    one = drawn[:, 5].numpy()
    assert stats.kstest(one, stats.truncnorm(-2, 2).cdf).pvalue > 0.01
    few = box.redraw(torch.zeros(2000, P), 0.25, seeded())
    share = float((few[:, FREE] != 0).float().mean())
    assert share == pytest.approx(0.25, abs=0.02)


def test_the_worst_scene_of_a_slope_is_reached_and_paid_for_exactly():
    """Against the optimum of a linear function in a box and a ball, by scipy's bisection."""
    from scipy.optimize import brentq

    box, (judge, rows), start = Box(1.0, FREE), counted(tilted), nominal()
    slope = SLOPE[FREE].numpy()

    def length(scale):
        return np.linalg.norm(np.clip(scale * slope, -1, 1)) - box.radius

    best = np.clip(1e9 * slope, -1, 1)
    if np.linalg.norm(best) > box.radius:
        best = np.clip(brentq(length, 1e-6, 1e6) * slope, -1, 1)
    fixed = 10 + torch.arange(N) + start[:, ~FREE] @ SLOPE[~FREE]
    heard = []
    found = worst_scenes(judge, start, box, Plan(100, 1.0), seeded(), heard.append)
    assert_close(found.degrees, fixed + float(best @ slope), rtol=0.02, atol=0)
    assert sum(rows) == sum(heard) == 100 * N
    assert torch.equal(found.latent[:, ~FREE], start[:, ~FREE])
    assert_close(found.degrees, tilted(found.latent, torch.arange(N)))
    drawn = worst_drawn(tilted, start, box, 100, seeded(1))
    assert bool((drawn.degrees < found.degrees).all())


@pytest.mark.parametrize("renders", [10, 11, 37])
def test_small_budgets_are_kept(renders):
    judge, rows = counted(tilted)
    worst_scenes(judge, nominal(), Box(2.0, FREE), Plan(renders), seeded())
    assert sum(rows) == renders * N


def test_steps_without_a_slope_are_found_by_drawing():
    def stairs(latent, which):
        return (latent[:, 4:8] > 1.2).sum(1).float() + 0 * latent.sum(1)

    found = worst_scenes(stairs, torch.zeros(N, P), Box(2.0, FREE), Plan(300), seeded())
    assert found.degrees.tolist() == [4.0] * N


def test_the_draws_beside_it_are_the_worst_of_so_many():
    box, seen = Box(2.0, FREE), []

    def judge(latent, which):
        seen.append(tilted(latent, which))
        return seen[-1]

    found = worst_drawn(judge, nominal(), box, 7, seeded())
    assert len(seen) == 7
    assert_close(found.degrees, torch.stack(seen).amax(0))


def test_one_parameter_alone_against_a_loop():
    start, box = nominal(), Box(2.0, FREE)

    def judge(latent, which):
        return tilted(latent, which) - latent[:, 7] ** 2

    worst = alone(judge, start, box, 5)
    resting = judge(start, torch.arange(N))
    for k in range(P):
        for scene in range(N):
            tried = [float(resting[scene])]
            for place in (-2, -1, 0, 1, 2) if FREE[k] else ():
                moved = start[scene : scene + 1].clone()
                moved[0, k] = place
                tried.append(float(judge(moved, torch.tensor([scene]))))
            assert float(worst[k, scene]) == pytest.approx(max(tried), rel=1e-5)


def test_nothing_to_move_and_nowhere_to_go_are_refused():
    with pytest.raises(ValueError, match="no latent"):
        Box(2.0, torch.zeros(P, dtype=torch.bool))
    for within in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="within"):
            Box(within, FREE)
