"""The methods that adapt to photographs, each against an oracle, and what they do to a state."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from torch import nn

from gazegan import rng
from gazegan.data.stream import MemorySamples
from gazegan.nets.regressor import RegressorConfig
from gazegan.train.adapt.adversarial import domain_classifier, domain_loss, ramp, reverse
from gazegan.train.adapt.ensemble import agreement
from gazegan.train.adapt.fourier import restyle
from gazegan.train.checkpoint import WEIGHTS, load_sealed, load_weights
from gazegan.train.gaze import lesson
from gazegan.train.log import read_log
from gazegan.train.loop import run

METHODS = ("teacher", "adversarial", "fourier", "ensemble")


def drawn(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_reversal_turns_the_gradient_round_and_nothing_else():
    x, w = drawn(4, 3), drawn(4, 3, seed=1).requires_grad_()
    there = reverse(w * x, 0.3)
    assert torch.equal(there, (w * x).detach())
    there.square().sum().backward()
    torch.testing.assert_close(w.grad, -0.3 * 2 * (w * x).detach() * x)


def test_gradients_of_the_domain_loss_by_hand():
    """Of a linear classifier z = a x + b: (sigmoid(z) - truth) a, halved and averaged by domain."""
    classifier = nn.Linear(3, 1).double()
    own, strange = drawn(5, 3).requires_grad_(), drawn(2, 3, seed=1).requires_grad_()
    loss, accuracy = domain_loss(classifier, own, strange, 0.7)
    loss.backward()
    a, b = classifier.weight.detach().numpy()[0], classifier.bias.item()
    z = [x.detach().numpy() @ a + b for x in (own, strange)]
    off = [expit(z[0]) / 10, (expit(z[1]) - 1) / 4]
    np.testing.assert_allclose(own.grad, -0.7 * off[0][:, None] * a)
    np.testing.assert_allclose(strange.grad, -0.7 * off[1][:, None] * a)
    np.testing.assert_allclose(classifier.bias.grad, [off[0].sum() + off[1].sum()])
    likely = -np.log(expit(-z[0])).mean() / 2 - np.log(expit(z[1])).mean() / 2
    assert loss.item() == pytest.approx(likely)
    assert accuracy == pytest.approx((np.mean(z[0] <= 0) + np.mean(z[1] > 0)) / 2)


def test_the_strength_rises_as_in_the_paper():
    done = np.linspace(0, 1, 11)
    np.testing.assert_allclose([ramp(p) for p in done], 2 * expit(10 * done) - 1, atol=1e-12)


def test_reversed_features_no_longer_tell_the_domains_apart():
    """One of two inputs tells the domain, the other the answer; logistic regression judges."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 2, generator=generator)
    x[200:, 0] += 3
    found = {}
    for strength in (0.0, 1.0):
        torch.manual_seed(0)
        made, head = nn.Linear(2, 2), nn.Linear(2, 1)
        judge = domain_classifier(2, 8)
        parts = nn.ModuleList((made, head, judge))
        optimiser = torch.optim.SGD(parts.parameters(), 0.5)
        for _ in range(150):
            features = made(x)
            apart, _ = domain_loss(judge, features[:200], features[200:], strength)
            loss = (head(features[:200])[:, 0] - x[:200, 1]).square().mean() + apart
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        features, truth = made(x).detach().numpy(), np.arange(400) >= 200
        found[strength] = LogisticRegression().fit(features, truth).score(features, truth)
        right = np.corrcoef(head(made(x)).detach()[:, 0], x[:, 1])[0, 1]
        assert right > 0.9
    assert found[0.0] > 0.9
    assert found[1.0] < 0.7


def slow_restyle(image, style, beta):
    """By the full transform of one channel, frequency by frequency, in float64."""
    own, other = np.fft.fft2(image), np.fft.fft2(style)
    height, width = image.shape
    for i in range(height):
        for j in range(width):
            rows, columns = min(i, height - i), min(j, width - j)
            if rows < beta * height and columns < beta * width:
                own[i, j] = abs(other[i, j]) * np.exp(1j * np.angle(own[i, j]))
    made = np.fft.ifft2(own)
    assert np.abs(made.imag).max() < 1e-9
    return made.real.clip(0, 1)


@pytest.mark.parametrize("size", [(8, 12), (9, 11), (7, 10)])
@pytest.mark.parametrize("beta", [0.01, 0.13, 0.3, 1.0])
def test_styles_against_a_slow_transform(size, beta):
    image, style = drawn(2, 3, *size), 0.2 + 0.5 * drawn(2, 3, *size, seed=1)
    made = restyle(image, style, beta)
    for b in range(2):
        for c in range(3):
            slow = slow_restyle(image[b, c].numpy(), style[b, c].numpy(), beta)
            np.testing.assert_allclose(made[b, c], slow, atol=1e-9)
    assert (made - image).abs().max() > 0.01
    single = restyle(image.float(), style.float(), beta).double()
    torch.testing.assert_close(single, made, atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=25)
@given(
    height=st.integers(3, 12),
    width=st.integers(3, 12),
    beta=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_amplitudes_are_mixed_and_phases_stay(height, width, beta, seed):
    # Of little contrast, so that nothing leaves 0..1 and is cut off.
    image = 0.45 + 0.1 * drawn(1, 1, height, width, seed=seed)
    style = 0.45 + 0.1 * drawn(1, 1, height, width, seed=seed + 1)
    made = restyle(image, style, beta)
    assert torch.equal(made.clamp(0.01, 0.99), made)
    own, other, new = (torch.fft.fft2(x)[0, 0] for x in (image, style, made))
    rows, columns = torch.fft.fftfreq(height).abs(), torch.fft.fftfreq(width).abs()
    low = (rows[:, None] < beta) & (columns < beta)
    torch.testing.assert_close(new.abs(), torch.where(low, other.abs(), own.abs()))
    turned = (new * own.conj()).real / (new.abs() * own.abs())
    torch.testing.assert_close(turned, torch.ones_like(turned))
    torch.testing.assert_close(restyle(image, image, beta), image)
    torch.testing.assert_close(restyle(image, style, 0.0), image)


def test_what_an_ensemble_agrees_on_in_closed_form():
    """Photographs on which three members agree, stray by 3 from a mean, and by twice that."""
    answers = torch.zeros(3, 3, 2, dtype=torch.float64)
    answers[:, 0] = torch.tensor([0.1, -0.2])
    answers[0, 1], answers[1, 1] = torch.tensor([0.3, 0.0]), torch.tensor([-0.3, 0.0])
    answers[:, 2] = 2 * answers[:, 1]
    mean, weight = agreement(answers)
    torch.testing.assert_close(mean, torch.tensor([[0.1, -0.2], [0, 0], [0, 0]]).double())
    square = np.array([0, 1, 4]) * 0.06
    expected = np.exp(-square / square.mean())
    np.testing.assert_allclose(weight, expected / expected.mean())


@settings(deadline=None, max_examples=20)
@given(members=st.integers(1, 5), count=st.integers(1, 9), seed=st.integers(0, 99))
def test_the_order_of_members_is_nothing_and_one_alone_is_believed(members, count, seed):
    answers = drawn(members, count, 2, seed=seed)
    mean, weight = agreement(answers)
    again, same = agreement(answers.flip(0))
    torch.testing.assert_close(mean, again)
    torch.testing.assert_close(weight, same)
    assert float(weight.mean()) == pytest.approx(1)
    apart = answers.var(0, correction=0).sum(-1)
    assert weight[apart.argmin()] == weight.max()
    if members == 1:
        assert torch.equal(mean, answers[0]) and torch.equal(weight, torch.ones_like(weight))


def flat(module):
    values = [p.detach().flatten() for p in module.parameters()]
    return torch.cat(values).clone() if values else torch.zeros(0)


@pytest.mark.parametrize("method", METHODS)
def test_the_weights_hold_one_network_and_labels_of_photographs_are_not_read(
    tmp_path, adapted_of, make_eyes, method
):
    """Whatever the photographs' labels say, every bit is the same."""
    real = make_eyes(30, 1)
    wrong = MemorySamples(replace(real.batch, gaze=real.batch.gaze.flip(0)))
    for name, eyes in (("right", real), ("wrong", wrong)):
        stage = adapted_of(method, real=eyes, steps=3, begin=0)
        # The description of the data covers labels; it is not what is asked here.
        run(replace(stage, data=dict(stage.data, real=None)), tmp_path / name)
    told, other = ((tmp_path / name / WEIGHTS).read_bytes() for name in ("right", "wrong"))
    assert told == other
    network, _ = load_weights(tmp_path / "right", "gaze")
    assert load_sealed(tmp_path / "right" / WEIGHTS)[0].keys() == network.state_dict().keys()


def test_what_is_trained_beside_the_network_learns_too(adapted_of):
    for method, names in (("adversarial", ["domain"]), ("ensemble", ["members", "averages"])):
        stage = adapted_of(method, begin=0)
        state = stage.init()
        before = {name: flat(getattr(state, name)) for name in names}
        scalars = stage.step(state, stage.batches(0), rng.stream(0, "test"))
        for name in names:
            assert not torch.equal(flat(getattr(state, name)), before[name])
        if method == "adversarial":
            assert 0 <= scalars["domain_accuracy"] <= 1 and scalars["domain"] > 0
        else:
            assert scalars["photographs"] > 0
            assert len(state.members) == 2
            assert not torch.equal(flat(state.members[0]), flat(state.members[1]))


def test_no_reversed_gradient_reaches_the_network_where_its_weight_is_nothing(adapted_of, gaze_of):
    """A domain classifier that is only trained leaves the trunk's gradient that of the labels."""
    moved = []
    for weight in (0.0, 0.0, 5.0):
        stage = adapted_of("adversarial", begin=0, weight=weight, units=4 + len(moved))
        state = stage.init()
        state.step = 3
        stage.step(state, stage.batches(3), rng.stream(0, "test"))
        moved.append(flat(state.regressor))
    assert torch.equal(moved[0], moved[1])
    assert not torch.equal(moved[0], moved[2])


def test_no_frequency_taken_on_is_no_adaptation(tmp_path, adapted_of, make_eyes):
    """Then it is nothing to the network what the photographs are."""
    found = {}
    for beta in (0.0, 0.4):
        for seed in (1, 2):
            real = make_eyes(30, seed, labelled=False)
            state = adapted_of("fourier", real=real, beta=beta, begin=0, steps=2)
            found[beta, seed] = flat(run(state, tmp_path / f"{beta}-{seed}").regressor)
    assert torch.equal(found[0.0, 1], found[0.0, 2])
    assert not torch.equal(found[0.4, 1], found[0.4, 2])


def test_photographs_take_part_at_once_where_nothing_need_be_known(adapted_of):
    for method in METHODS:
        stage = adapted_of(method, steps=10)
        first = next(at for at in range(10) if "real" in stage.batches(at))
        assert first == {"teacher": 4, "ensemble": 4}.get(method, 0)


@pytest.mark.parametrize("method", METHODS)
def test_heads_yaws_are_read_on_photographs_and_mirrored_with_them(
    tmp_path, adapted_of, make_eyes, method
):
    def turned(count, seed):
        batch = make_eyes(count, seed).batch
        return MemorySamples(replace(batch, head=torch.tensor([0.1, 0.4]).repeat(count, 1)))

    network = RegressorConfig(widths=(4, 4, 8, 8, 8), hidden=8, head_yaw=True)
    how = {"samples": turned(40, 0), "real": turned(30, 1), "network": network, "begin": 0}
    stage = adapted_of(method, **how, steps=2)
    state = run(stage, tmp_path)
    assert all(np.isfinite(line["loss"]) for line in read_log(tmp_path) if "loss" in line)
    if method == "fourier":
        return
    eyes = stage.batches(0)["real"]
    taught = lesson(stage.config, state, eyes.gaze, eyes, torch.Generator().manual_seed(0))
    signs = taught.eyes.head[:, 1].sign()
    assert set(signs.tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(taught.eyes.head[:, 1].abs(), torch.full((32,), 0.4))
    if method == "teacher":
        blind = replace(eyes, head=torch.full_like(eyes.head, torch.nan))
        ahead = lesson(stage.config, state, eyes.gaze, blind, torch.Generator().manual_seed(0))
        assert not torch.allclose(ahead.eyes.gaze, taught.eyes.gaze)
