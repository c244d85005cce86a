"""Answers corrected without labels, by where people look, against numpy and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import norm

from gazegan.align import (
    LEAST,
    Gazes,
    aligned,
    estimate,
    estimated,
    gazes_of,
    match,
    matched,
    supposed_of,
)
from gazegan.calibrate import Beliefs, by_shots, correct
from gazegan.predict import Predicted


def test_aligned_eyes_lose_what_puts_each_off_as_a_whole():
    """Eyes of three people, looking at the same places, each off by an amount of its own."""
    generator = torch.Generator().manual_seed(0)
    places = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    offsets = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    gaze, which = places.repeat(6, 1), torch.arange(6).repeat_interleave(5)
    found = Predicted(
        gaze + offsets[which], torch.arange(30), gaze, None, subject=which // 2, side=which % 2
    )
    torch.testing.assert_close(aligned(found).output, gaze + offsets.mean(0))
    whole = aligned(replace(found, side=None)).output - gaze
    expected = (offsets - offsets.view(3, 2, 2).mean(1).repeat_interleave(2, 0))[which]
    torch.testing.assert_close(whole, expected + offsets.mean(0))
    assert torch.equal(found.output, gaze + offsets[which])


@pytest.mark.parametrize("subject", [None, torch.tensor([0, -1])])
def test_eyes_of_nobody_known_are_not_aligned(subject):
    with pytest.raises(ValueError, match="whose"):
        aligned(Predicted(torch.zeros(2, 2), torch.arange(2), None, None, subject, None))


def people(noise=0.0, heads=(-0.5, -0.25, 0.0, 0.25, 0.5)):
    """Two eyes of two people that look at a grid of places from each head pose; (found, gaze)."""
    pitch, yaw, turn = torch.meshgrid(
        torch.tensor([-0.17, 0.0, 0.17], dtype=torch.float64),
        torch.linspace(-0.26, 0.26, 7, dtype=torch.float64),
        torch.tensor(heads, dtype=torch.float64),
        indexing="ij",
    )
    gaze = torch.stack((pitch, yaw), -1).flatten(0, 2)
    head = torch.stack((torch.zeros_like(turn), turn), -1).flatten(0, 2)
    generator = torch.Generator().manual_seed(0)
    eyes = 4
    offset = 0.1 * torch.randn(eyes, 1, 2, generator=generator, dtype=torch.float64)
    slope = 0.4 + 0.4 * torch.rand(eyes, 1, 2, generator=generator, dtype=torch.float64)
    along = 0.2 * torch.randn(eyes, 1, 2, generator=generator, dtype=torch.float64)
    said = offset + slope * gaze + along * head[:, 1:]
    said = said + noise * torch.randn(said.shape, generator=generator, dtype=torch.float64)
    which = torch.arange(eyes).repeat_interleave(len(gaze))
    found = Predicted(
        said.flatten(0, 1), torch.arange(len(which)), gaze.repeat(eyes, 1), head.repeat(eyes, 1),
        subject=which // 2, side=which % 2,
    )  # fmt: skip
    return found, gaze, head[:, 1]


def test_what_an_eyes_answers_have_in_common_goes():
    """Offset, timidity and a share of the head's yaw, where all look at the places given."""
    found, gaze, turn = people()
    goals = gazes_of(gaze, turn), gazes_of(gaze)
    torch.testing.assert_close(matched(found, *goals).output, found.gaze)
    assert (found.output - found.gaze).abs().max() > 0.1
    ahead, gaze, turn = people(heads=(0.0,))
    for head in (ahead.head, None, ahead.head * torch.nan):
        answers = matched(replace(ahead, head=head), *goals).output
        torch.testing.assert_close(answers, ahead.gaze)


def test_heads_that_gazes_go_along_with_are_followed():
    """People who turn their heads toward what they look at, with heads seen and unseen."""
    turn = torch.linspace(-0.5, 0.5, 40, dtype=torch.float64)
    gaze = torch.stack((0.1 * (12 * turn).sin(), 0.6 * turn + 0.05 * (9 * turn).cos()), 1)
    head = torch.stack((torch.zeros_like(turn), turn), 1)
    found = Predicted(
        0.5 * gaze + 0.1, torch.arange(40), gaze, head, torch.zeros(40, dtype=torch.int64), None
    )
    goals = gazes_of(gaze, turn), gazes_of(gaze)
    torch.testing.assert_close(matched(found, *goals).output, gaze)
    torch.testing.assert_close(matched(replace(found, head=None), *goals).output, gaze)


def test_heads_that_are_not_known_tell_nothing_of_how_gazes_go_along_with_them():
    """One unknown head, taken for a gaze that does not depend on it, took away that it does."""
    turn = torch.linspace(-0.5, 0.5, 40, dtype=torch.float64)
    gaze = torch.stack((0.1 * (12 * turn).sin(), 0.6 * turn + 0.05 * (9 * turn).cos()), 1)
    some = turn.clone()
    some[3] = torch.nan
    known = some.isfinite()
    turned, whole = supposed_of(gaze, some)
    for value, goal in zip(
        vars(turned).values(), vars(gazes_of(gaze[known], turn[known])).values(), strict=True
    ):
        torch.testing.assert_close(value, goal)
    torch.testing.assert_close(whole.middle, gaze.mean(0))
    head = torch.stack((torch.zeros_like(turn), turn), 1)
    found = Predicted(
        0.5 * gaze + 0.1, torch.arange(40), gaze, head, torch.zeros(40, dtype=torch.int64), None
    )
    for unknown in (None, torch.full((40,), torch.nan), torch.full((40,), 0.2)):
        goals = supposed_of(gaze, unknown)
        assert goals[0] is None
        torch.testing.assert_close(matched(found, *goals).output, gaze)
        near = estimated(found, *goals).output
        blind = estimated(replace(found, head=None), gazes_of(gaze), gazes_of(gaze)).output
        torch.testing.assert_close(near, blind)


@given(seed=st.integers(0, 2**31), count=st.integers(3, 60), scale=st.floats(0.1, 1))
@settings(deadline=None, max_examples=30)
def test_moments_are_those_of_numpys_line(seed, count, scale):
    draws = np.random.default_rng(seed)
    gaze, turn = draws.normal(size=(count, 2)), scale * (1 + draws.normal(size=count))
    turn[0] += 1  # so that heads do turn
    found = gazes_of(torch.from_numpy(gaze), torch.from_numpy(turn))
    line = np.polyfit(turn, gaze, 1)
    left = gaze - np.outer(turn, line[0]) - line[1]
    for known, value in zip((line[1], line[0], left.std(0)), vars(found).values(), strict=True):
        np.testing.assert_allclose(value.numpy(), known, atol=1e-8)
    still = gazes_of(torch.from_numpy(gaze), torch.full((count,), 0.3))
    np.testing.assert_allclose(still.middle.numpy(), gaze.mean(0), atol=1e-12)
    assert not still.along.any()


def test_noisy_answers_get_the_moments_asked_for():
    found, _, _ = people(noise=0.05)
    goal = Gazes(*torch.tensor([[0.1, -0.2], [0.3, 0.0], [0.07, 0.2]], dtype=torch.float64))
    out = matched(found, goal, goal)
    for eye in range(4):
        own = (found.subject == eye // 2) & (found.side == eye % 2)
        has = gazes_of(out.output[own], found.head[own, 1])
        for known, value in zip(vars(goal).values(), vars(has).values(), strict=True):
            torch.testing.assert_close(value, known)


def test_few_answers_of_an_eye_are_refused_and_equal_ones_stay_finite():
    few = Predicted(
        torch.zeros(LEAST - 1, 2), torch.arange(LEAST - 1), None, None,
        torch.zeros(LEAST - 1, dtype=torch.int64), None,
    )  # fmt: skip
    goal = gazes_of(torch.linspace(-0.3, 0.3, 60).view(30, 2))
    with pytest.raises(ValueError, match=f"only {LEAST - 1} answers"):
        matched(few, goal, goal)
    same = Predicted(
        torch.ones(20, 2), torch.arange(20), None, None, torch.zeros(20, dtype=torch.int64), None
    )
    torch.testing.assert_close(matched(same, goal, goal).output, goal.middle.float().expand(20, 2))


def test_a_few_unlabelled_samples_tell_how_an_eye_is_off():
    found, gaze, turn = people()
    goals = gazes_of(gaze, turn), gazes_of(gaze)
    kwargs = {"draws": 4, "side": found.side, "head": found.head}
    measured = by_shots(
        found.output, found.gaze, found.subject, (0, 20, 80),
        learn=lambda output, _, head: match(output, head[:, 1], *goals), **kwargs,
    )  # fmt: skip
    none, some, most = (one.mean_deg for one in measured)
    # With all of 105 nothing would be left; of 80 the moments are known to a tenth or so.
    assert none > 5 and some < none / 2 and most < min(some, 1.2)
    with pytest.raises(ValueError, match="only 9 answers"):
        match(found.output[:9], found.head[:9, 1], *goals)


@pytest.mark.parametrize("heads", [True, False])
def test_estimates_are_the_most_probable_corrections(heads):
    """Against a general minimiser of the negative logarithm of the posterior, written out."""
    rng = np.random.default_rng(5)
    aim, along, spread = rng.normal(0, 0.1, 2), rng.normal(0, 0.3, 2), np.array([0.1, 0.2])
    turn = rng.normal(0, 0.3, 9)
    said = rng.normal(0, 0.1, (9, 2)) + 0.05 + 0.2 * turn[:, None]
    turned = Gazes(*(torch.from_numpy(part) for part in (aim, along, spread)))
    whole = Gazes(torch.from_numpy(aim), torch.zeros(2).double(), torch.from_numpy(spread))
    seen = torch.from_numpy(turn) if heads else None
    found = estimate(torch.from_numpy(said), seen, turned, whole)
    if not heads:
        turn, along = np.zeros(9), np.zeros(2)
    beliefs = Beliefs()
    for angle in range(2):

        def surprise(x, angle=angle):
            off, weight, log_scale = x
            corrected = off + np.exp(log_scale) * said[:, angle] + weight * turn
            gaze = norm(aim[angle] + along[angle] * turn, spread[angle])
            told = gaze.logpdf(corrected) + log_scale  # the density of the answers themselves
            believed = norm.logpdf(x, 0, [np.radians(beliefs.offset_deg), beliefs.head, 0.2])
            return -told.sum() - believed.sum()

        best = minimize(surprise, np.zeros(3), method="BFGS", options={"gtol": 1e-8}).x
        mine = [found[0, angle], found[3, angle], torch.log1p(found[1 + angle, angle])]
        np.testing.assert_allclose(mine, best, atol=1e-5)
    assert found[1, 1] == found[2, 0] == 0


def test_estimates_come_to_the_moments_with_many_answers():
    found, gaze, turn = people(noise=0.02)
    goals = gazes_of(gaze, turn), gazes_of(gaze)
    many = replace(
        found,
        **{
            name: getattr(found, name).repeat_interleave(50, 0)
            for name in ("output", "id", "gaze", "head", "subject", "side")
        },
    )
    exact, likely = matched(many, *goals).output, estimated(many, *goals).output
    assert (likely - exact).abs().max() < 0.02 < (many.output - exact).abs().max() / 5
    assert torch.equal(found.output, people(noise=0.02)[0].output)


def test_from_few_answers_estimates_help_where_moments_harm():
    """Forty eyes off and timid as networks are, each with ten looks at random."""
    generator = torch.Generator().manual_seed(1)
    goal = Gazes(torch.zeros(2).double(), torch.zeros(2).double(), torch.tensor([0.12, 0.2]))
    before, after, exact = [], [], []
    for _ in range(40):
        gaze = goal.spread * torch.randn(110, 2, generator=generator).double()
        offset = np.radians(3) * torch.randn(2, generator=generator)
        said = offset + 0.8 * gaze + 0.02 * torch.randn(110, 2, generator=generator)
        for errors, learn in ((before, None), (after, estimate), (exact, match)):
            rows = (
                torch.zeros(4, 2).double() if learn is None else learn(said[:10], None, goal, goal)
            )
            errors.append((correct(said[10:], rows) - gaze[10:]).square().sum(1).sqrt().mean())
    before, after, exact = (float(torch.stack(errors).mean()) for errors in (before, after, exact))
    assert after < 0.9 * before and after < 0.9 * exact


def test_a_single_answer_and_answers_that_are_all_the_same_are_estimated():
    goal = Gazes(torch.zeros(2).double(), torch.zeros(2).double(), torch.zeros(2).double())
    for count in (1, 30):
        said = torch.full((count, 2), 0.1)
        rows = estimate(said, None, goal, goal)
        assert rows.isfinite().all()
        left = correct(said, rows).abs().max()
        assert left < (0.05 if count == 1 else 0.01)
