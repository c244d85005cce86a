"""The chain of renderer, refiner and network, against its parts and finite differences."""

import numpy as np
import pytest
import torch

from gazegan import explain
from gazegan.chain import chain, possible, scenes, spreads
from gazegan.errors import UserError
from gazegan.nets.refiner import Refiner, RefinerConfig
from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.render.params import PARAM_NAMES, SPECS
from gazegan.render.prior import load_recipe, sample
from gazegan.render.scene import render_indices

SIZE = (16, 26)
RECIPE = load_recipe("webcam", ("image.height=16", "image.width=26"))


def refiner():
    torch.manual_seed(1)
    net = Refiner(RefinerConfig(widths=(4, 8), blocks=1, clamp="soft"), 1)
    torch.nn.init.normal_(net.head.weight, std=0.1)
    return net.eval()


def regressor(**changes):
    """Without equalisation, whose ranks have kinks all over."""
    torch.manual_seed(0)
    net = Regressor(RegressorConfig(widths=(4, 4, 8, 8, 8), hidden=8, knots=0, **changes), 1)
    for _ in range(3):
        net(torch.rand(8, 1, *SIZE))
    return net.eval()


def test_the_chain_is_its_parts_one_after_the_other():
    net, before = regressor(), refiner()
    params, textures = scenes(RECIPE, 3, torch.arange(5))
    image = render_indices(RECIPE, 3, torch.arange(5)).image
    with torch.no_grad():
        bare, whole = (chain(RECIPE, SIZE, 1, net, part) for part in (None, before))
        torch.testing.assert_close(bare.look(params, textures), image)
        assert float((before(image) - image).abs().max()) > 0.01
        expected = net(before(image))
        torch.testing.assert_close(whole.answer(params, textures), expected)
        gaze = torch.deg2rad(
            params[:, [PARAM_NAMES.index("gaze_pitch"), PARAM_NAMES.index("gaze_yaw")]]
        )
        torch.testing.assert_close(whole.truth(params), gaze)


NAMES = (
    *("gaze_pitch", "gaze_yaw", "head_yaw", "upper_lid", "lower_lid", "pupil_radius", "fill"),
    *("shift_down", "light_azimuth", "light_key", "glint", "skin_melanin", "blur", "exposure"),
)


@pytest.mark.parametrize("head_yaw", [False, True])
def test_slopes_of_the_chain_are_those_of_finite_differences(head_yaw):
    links = chain(RECIPE, SIZE, 1, regressor(head_yaw=head_yaw).double(), refiner().double())
    params, textures = scenes(RECIPE, 0, torch.arange(3))
    params = params.double()

    def answer(x):
        seeds = textures.repeat(len(x) // 3)
        return explain.yaw_deg(links.answer(x, seeds))

    found = explain.slopes(answer, params).slope
    steps = torch.zeros(len(NAMES), 1, len(PARAM_NAMES), dtype=torch.float64)
    # Textures have kinks: over ten times the step, one of these slopes is already a hundredth off.
    sizes = torch.tensor(
        [1e-8 * min(SPECS[n].high - SPECS[n].low, 100) for n in NAMES], dtype=torch.float64
    )
    places = [PARAM_NAMES.index(name) for name in NAMES]
    steps[range(len(NAMES)), 0, places] = sizes
    with torch.no_grad():
        up, down = (answer((params + sign * steps).flatten(0, 1)) for sign in (1, -1))
    numeric = ((up - down).view(len(NAMES), 3) / (2 * sizes[:, None])).T
    assert (numeric.abs().amax(0) > 1e-4).all()  # each acts
    torch.testing.assert_close(found[:, places], numeric, rtol=2e-3, atol=1e-5)


def test_a_network_told_of_the_head_has_one_more_way():
    """With weights of the image at zero only that way is left; its slope is the weight's."""
    net = regressor(head_yaw=True)
    links = chain(RECIPE, SIZE, 1, net, None)
    params, textures = scenes(RECIPE, 0, torch.arange(4))
    with torch.no_grad():
        net.head[0].weight[:, :-1] = 0
    found = explain.slopes(lambda x: explain.yaw_deg(links.answer(x, textures)), params).slope
    at = PARAM_NAMES.index("head_yaw")
    assert (found[:, at] != 0).any()
    others = torch.arange(len(PARAM_NAMES)) != at
    assert (found[:, others] == 0).all()


def test_spreads_are_those_of_the_recipe():
    found = dict(zip(PARAM_NAMES, spreads(RECIPE, 0).tolist(), strict=True))
    low, high = RECIPE.eyes.bounds("gaze_yaw")
    assert found["gaze_yaw"] == pytest.approx((high - low) / 12**0.5, rel=0.03)
    many = sample(RECIPE, 5, torch.arange(20_000)).upper_lid.numpy()
    assert found["upper_lid"] == pytest.approx(float(np.std(many)), rel=0.05)
    assert {found[name] for name in ("side", "rim_below", "torsion", "glasses")} == {0.0}


def test_polar_recipes_spread_in_pitch_and_yaw():
    found = dict(zip(PARAM_NAMES, spreads(load_recipe("uniform360"), 0).tolist(), strict=True))
    assert found["gaze_pitch"] > 1 and found["gaze_yaw"] > 1


def test_what_is_possible_stays_and_what_is_not_is_cut_off():
    params, _ = scenes(RECIPE, 0, torch.arange(3))
    assert torch.equal(possible(params), params)
    at = PARAM_NAMES.index("blur")
    params[:, at] = -1
    assert possible(params)[:, at].tolist() == [SPECS["blur"].low] * 3


def test_whole_faces_are_refused():
    with pytest.raises(UserError, match="single eyes"):
        chain(load_recipe("portrait"), SIZE, 1, regressor(), None)
