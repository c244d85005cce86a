"""The search without gradients, and an audit that finds what is wrong with networks built wrong."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from victims import images, linear, ready, seeded, truths

from gazegan import attack
from gazegan.attack.search import area


def p_selection(p_init: float, it: int) -> float:
    """The schedule as the source's code writes it out, of 10000 queries."""
    limits = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000]
    divided = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    return p_init / divided[next((k for k, limit in enumerate(limits) if it <= limit), 9)]


@given(st.integers(0, 9999))
@settings(deadline=None, max_examples=60)
def test_squares_shrink_as_in_the_source(query):
    assert area(query, 10_000, 0.8) == pytest.approx(p_selection(0.8, query))


@given(st.integers(0, 99), st.sampled_from([attack.Ball, attack.L2Ball]))
@settings(deadline=None, max_examples=6)
def test_a_search_stays_in_its_ball_and_asks_no_more_than_it_may(seed, ball):
    net, image, truth = ready(), images(3, seed=seed), truths(3)
    asked = []

    def counted(x):
        asked.append(len(x))
        return net(x)

    made = attack.square(counted, image, truth, 0.1, seeded(seed), 20, ball=ball)
    assert sum(asked) == 3 * (20 + 1 + 2), "queries, the clean image, and the last comparison"
    assert bool((made.error_deg >= made.clean_deg - 1e-9).all())
    inside = ball(image, 0.1).project(made.image)
    torch.testing.assert_close(inside, made.image)


def test_a_search_comes_near_the_closed_form_without_a_gradient():
    weight, model = linear()
    image, truth = 0.3 + 0.4 * images(4), torch.zeros(4, 2, dtype=torch.float64)

    def blunt(x):
        return model(x.detach())

    most = torch.rad2deg(0.05 * weight.abs().sum())
    few, many = (attack.square(blunt, image, truth, 0.05, seeded(), n).moved_deg for n in (30, 400))
    assert float(few.mean()) < float(many.mean()) <= float(most) + 1e-9
    assert float(many.min()) > 0.85 * float(most)


class Reversed(torch.autograd.Function):
    """The identity, whose gradient points the wrong way."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, slope):
        return -slope


def audited(fn, count=12, epsilon=0.1):
    return attack.audit(fn, images(count), truths(count), epsilon, seeded(), 10, 150)


def test_an_honest_network_passes():
    assert audited(ready()).findings == {}


def test_a_quantising_network_gives_no_gradient():
    net = ready()
    found = audited(lambda x: net((8 * x).floor() / 8))
    assert bool(found.blind.all()) and {"zero_gradient", "masked"} <= set(found.findings)
    assert "100% of the eyes" in found.findings["zero_gradient"]
    torch.testing.assert_close(found.fgsm_deg, attack.judge(
        lambda x: net((8 * x).floor() / 8), attack.Ball(images(12), 0.1), images(12), truths(12)
    ).clean_deg)  # fmt: skip


def test_a_noisy_network_answers_the_same_eye_differently():
    net, dice = ready(), seeded(5)

    def noisy(x):
        return net(x) + 0.02 * torch.randn(len(x), 2, generator=dice, dtype=x.dtype)

    findings = audited(noisy).findings
    assert "random" in findings and "zero_gradient" not in findings


def test_a_network_that_hides_its_gradient_is_found_out():
    net = ready()
    findings = audited(lambda x: net(Reversed.apply(x))).findings
    assert "masked" in findings and "more harm than PGD" in findings["masked"]
    assert not {"random", "zero_gradient"} & set(findings)


def test_one_step_that_does_more_than_many_is_found_out():
    """The gradient is true at the clean images only, which many random starts leave at once."""
    net, clean = ready(), images(12)

    def shy(x):
        return net(x if torch.equal(x.detach(), clean) else Reversed.apply(x))

    assert {"one_step", "masked"} <= set(audited(shy).findings)


def test_a_lead_that_chance_explains_is_not_told():
    flat = torch.zeros(4)
    lucky = torch.tensor([0.0, 0.0, 0.0, 2.0])
    one = attack.Audit(flat.bool(), flat, flat, flat, flat + 9, lucky + 9)
    assert one.findings == {}
    sure = attack.Audit(flat.bool(), flat, flat, flat, flat + 9, flat + 9.5)
    assert set(sure.findings) == {"masked"}
