"""Landmarks as networks read them, on landmarks of renders, and the perceptron that reads them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learning import images

from gazegan.data.stream import RenderedSamples
from gazegan.geometry import angular_error_deg
from gazegan.nets.landmarks import (
    READ,
    across,
    by_image,
    expected_place,
    in_widths,
    normalise,
)
from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.render.prior import load_recipe
from gazegan.schema import LANDMARKS

SIZE = (24, 40)
COUNT = len(READ)


@pytest.fixture(scope="module")
def eyes():
    """400 eyes of both sides and their exact landmarks."""
    recipe = load_recipe("webcam")
    small = recipe.image.model_copy(update={"height": SIZE[0], "width": SIZE[1]})
    samples = RenderedSamples(recipe.model_copy(update={"image": small}), 0, 400)
    return samples.read(range(400))


def test_points_lie_in_the_image_from_left_to_right(eyes):
    """Whichever side's eye it is; a slow loop looks every point up by its name."""
    assert set(eyes.side.tolist()) == {0, 1}
    read = by_image(eyes.landmarks)
    place = {name: k for k, name in enumerate(READ)}
    assert not [name for name in READ if name.startswith("caruncle")]
    assert (read[:, place["lid_00"], 0] < read[:, place["lid_08"], 0]).all()
    assert (read[:, place["lid_04"], 1] <= read[:, place["lid_12"], 1]).all()
    for k in range(0, 400, 40):
        known = eyes.landmarks[k].numpy()
        there = {tuple(known[LANDMARKS.index(name)]) for name in READ}
        assert {tuple(point) for point in read[k].numpy()} == there
        middle = known[LANDMARKS.index("iris_centre")]
        first = read[k, place["iris_00"]].numpy() - middle
        up = read[k, place["iris_08"]].numpy() - middle
        assert first[0] < 0 and abs(first[0]) > abs(first[1])
        assert up[1] < 0 and abs(up[1]) > abs(up[0])


def test_mirrored_landmarks_are_read_as_the_mirror_image(eyes):
    mirrored = eyes.landmarks * torch.tensor([-1.0, 1.0]) + torch.tensor([SIZE[1], 0.0])
    found = normalise(by_image(mirrored)).view(-1, COUNT, 2)
    expected = across(normalise(by_image(eyes.landmarks)).view(-1, COUNT, 2))
    torch.testing.assert_close(found, expected * torch.tensor([-1.0, 1.0]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(across(across(found)), found)


@settings(deadline=None, max_examples=20)
@given(x=st.floats(-50, 50), y=st.floats(-50, 50), scale=st.floats(0.3, 4))
def test_neither_place_nor_size_is_read(eyes, x, y, scale):
    points = by_image(eyes.landmarks[:20].double())
    moved = scale * points + torch.tensor([x, y])
    torch.testing.assert_close(normalise(moved), normalise(points))
    slow = points[3].numpy()
    middle, distance = (slow[2] + slow[10]) / 2, math.dist(slow[2], slow[10])
    assert READ[2] == "lid_00" and READ[10] == "lid_08"
    np.testing.assert_allclose(normalise(points)[3].view(-1, 2), (slow - middle) / distance)


def test_widths_are_counted_from_the_middle():
    points = torch.tensor([[[20.0, 12.0], [40.0, 0.0], [0.0, 24.0]]])
    expected = torch.tensor([[[0.0, 0.0], [0.5, -0.3], [-0.5, 0.3]]])
    torch.testing.assert_close(in_widths(points, SIZE), expected)


def test_expected_places_against_a_slow_loop():
    heat = 3 * images(2, 3, 4, 5).double()
    found = expected_place(heat, (30, 40))
    for b in range(2):
        for k in range(3):
            total, mean = 0.0, np.zeros(2)
            for i in range(4):
                for j in range(5):
                    mass = math.exp(heat[b, k, i, j])
                    total += mass
                    # px, stretched about the middle so that the maps reach beyond the borders.
                    place = np.array([(j + 0.5) * 8, (i + 0.5) * 7.5]) - [20, 15]
                    mean += mass * 1.2 * place / 40
            np.testing.assert_allclose(found[b, k], mean / total)
    one = torch.full((1, 1, 4, 5), -1e3).double()
    one[0, 0, 3, 4] = 0
    torch.testing.assert_close(
        expected_place(one, (30, 40))[0, 0], 1.2 * torch.tensor([16 / 40, 11.25 / 40]).double()
    )


def test_the_perceptron_answers_from_exact_landmarks(eyes):
    """On eyes it has not learned from, it errs far less than a constant."""
    torch.manual_seed(0)
    network = Regressor(RegressorConfig(kind="landmarks", hidden=16), 1)
    points = in_widths(by_image(eyes.landmarks), SIZE)
    optimiser = torch.optim.Adam(network.head.parameters(), 1e-2)
    for _ in range(300):
        loss = (network.look(points[:300], None).output - eyes.gaze[:300]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        output = network.look(points[300:], None).output
    error = angular_error_deg(output, eyes.gaze[300:]).mean()
    constant = eyes.gaze[:300].mean(0).expand(100, 2)
    assert error < 0.4 * angular_error_deg(constant, eyes.gaze[300:]).mean()


@pytest.mark.parametrize(
    "how", [{}, {"head_yaw": True}, {"spread": True}, {"target": "direction"}, {"head": "vector"}]
)
def test_one_hidden_layer_of_logistic_units_by_hand(how):
    torch.manual_seed(0)
    network = Regressor(RegressorConfig(kind="landmarks", hidden=5, **how), 1).eval()
    image, turn = images(3, 1, *SIZE), torch.tensor([0.1, -0.2, torch.nan])
    answer = network.answer(image, turn)
    assert answer.points.shape == (3, COUNT, 2)
    read = 4 * normalise(answer.points)
    if "head_yaw" in how:
        read = torch.cat((read, torch.tensor([[0.1], [-0.2], [0.0]])), dim=1)
    first, _, last = network.head
    hidden = 1 / (1 + torch.exp(-(read @ first.weight.T + first.bias)))
    out = hidden @ last.weight.T + last.bias
    torch.testing.assert_close(answer.output, network._output(out[:, : 3 if "head" in how else 2]))
    torch.testing.assert_close(network(image, turn), answer.output)
    assert (answer.spread is not None) == ("spread" in how)


def test_only_landmarks_teach_what_finds_them_but_answers_can_be_explained():
    torch.manual_seed(0)
    network = Regressor(RegressorConfig(kind="landmarks"), 1).train()
    image = images(4, 1, *SIZE)
    network(image).sum().backward()
    assert all(p.grad is None for p in network.trunk.parameters())
    assert all(p.grad is None for p in network.locator.parameters())
    assert all(p.grad is not None for p in network.head.parameters())
    network.answer(image).points.sum().backward()
    assert all(p.grad is not None for p in network.trunk.parameters())
    pixels = image.clone().requires_grad_()
    network.eval()(pixels).sum().backward()
    assert pixels.grad.abs().max() > 0
