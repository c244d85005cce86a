"""Eyes recovered from their images: known parameters held, gaze found, the prior's own terms."""

import numpy as np
import pytest
import torch
from scenes import draw
from scipy import stats
from torch.testing import assert_close

from gazegan import rng
from gazegan.errors import UserError
from gazegan.render import inverse, latents
from gazegan.render.inverse import Plan, free_names, recover
from gazegan.render.params import PARAM_NAMES
from gazegan.render.prior import load_recipe, quantiles, sample
from gazegan.render.scene import render

RECIPE = load_recipe("webcam", ("eyes.glasses=0", "image.height=24", "image.width=40"))
FREE = ("gaze_pitch", "gaze_yaw", "pupil_radius", "upper_lid")
SHORT = Plan(starts=16, kept=1, coarse=15, fine=25, rate=0.25, trust=1e5)
SHORTEST = Plan(starts=3, kept=2, coarse=2, fine=3)


def scene(count):
    params, _ = draw(count, RECIPE, seed=3, noise=0)
    image = render(params, rng.bits(torch.arange(count), 9, "other"), RECIPE.image).image
    known = {n: getattr(params, n) for n in PARAM_NAMES if n not in FREE}
    return params, image, known


@pytest.fixture(scope="module")
def found():
    params, image, known = scene(4)
    return params, image, known, recover(image, RECIPE, known, plan=SHORT)


def test_gaze_is_found_with_textures_unknown(found):
    params, _, _, fit = found
    at = [PARAM_NAMES.index(name) for name in ("gaze_pitch", "gaze_yaw")]
    true, told = params.flat()[:, at], fit.params.flat()[:, at]
    constant = torch.tensor([-5.0, 0.0])  # the middle of webcam's ranges
    assert (true - constant).norm(dim=1).median() > 8
    assert (true - told).norm(dim=1).median() < 2


def test_known_parameters_are_held_and_the_difference_is_that_of_a_render(found):
    _, image, known, fit = found
    for name, value in known.items():
        assert_close(getattr(fit.params, name), value, rtol=0, atol=0)
    seen = render(fit.params, fit.seed, RECIPE.image).image
    assert_close((seen - image).square().mean((1, 2, 3)), fit.difference, rtol=1e-4, atol=1e-8)
    assert fit.loss.shape == (SHORT.fine + 1, 4)
    assert (fit.loss[-1] <= fit.loss[0]).all()


@pytest.mark.parametrize("size", [(8, 12), (12, 20)])
def test_images_too_small_to_be_halved_are_recovered_in_one_size(size, monkeypatch):
    height, width = size
    recipe = load_recipe("webcam", (f"image.height={height}", f"image.width={width}"))
    params, _ = draw(2, recipe, seed=3, noise=0)
    image = render(params, rng.bits(torch.arange(2), 9, "other"), recipe.image).image
    compared, difference = set(), inverse._Search.difference

    def note(search, latent, by=1):
        compared.add((tuple(search.target.shape[-2:]), by))
        return difference(search, latent, by)

    monkeypatch.setattr(inverse._Search, "difference", note)
    assert recover(image, recipe, plan=SHORTEST).loss.shape == (SHORTEST.fine + 1, 2)
    assert compared == {(size, 1)}


@pytest.mark.gpu
def test_images_on_a_gpu_are_recovered_as_on_the_cpu():
    _, image, known = scene(3)
    there = {name: value.cuda() for name, value in known.items()}
    given = ((image, known), (image.cuda(), there))
    one, other = (recover(seen, RECIPE, held, plan=SHORTEST) for seen, held in given)
    assert other.params.flat().device.type == "cuda"
    assert_close(one.difference, other.difference.cpu(), rtol=1e-2, atol=1e-5)


def test_a_recovery_is_repeatable_and_does_not_depend_on_the_batch():
    _, image, known = scene(3)
    two = {name: value[1:] for name, value in known.items()}
    one, same = (recover(image[1:], RECIPE, two, plan=SHORTEST).params.flat() for _ in range(2))
    assert torch.equal(one, same)
    whole = recover(image, RECIPE, known, plan=SHORTEST).params.flat()
    assert_close(whole[1:], one, rtol=1e-4, atol=1e-4)
    other = recover(image[1:], RECIPE, two, seed=1, plan=SHORTEST).params.flat()
    assert not torch.allclose(one, other)


def test_latents_are_quantiles_of_the_normal_distribution():
    """A latent of z is the value that a share ndtr(z) of the population lies below."""
    search = inverse._Search(RECIPE, RECIPE.image, None, torch.zeros(3, 1, 24, 40), {}, 0)
    latent = torch.tensor([-1.5, 0.0, 2.0])[:, None].expand(-1, len(PARAM_NAMES))
    placed = search.params(latent)
    low, high = RECIPE.eyes.bounds("gaze_yaw")
    shares = torch.tensor(stats.norm.cdf([-1.5, 0, 2])).float()
    assert_close(placed.gaze_yaw, low + (high - low) * shares, rtol=1e-5, atol=1e-5)
    many = sample(RECIPE, 0, torch.arange(20000)).eyeball_radius
    expected = np.quantile(many.numpy(), shares.numpy())
    assert_close(placed.eyeball_radius.numpy(), expected.astype(np.float32), rtol=0, atol=0.02)


def test_known_parameters_lead_those_that_follow_them():
    change = ('eyes.upper_lid={of="gaze_pitch", slope=0.1, offset=6, low=2, high=10}',)
    recipe = load_recipe("webcam", change)
    middle = quantiles(
        recipe, lambda _: torch.full((1,), 0.5), {"gaze_pitch": torch.tensor([20.0])}
    )
    assert_close(middle.upper_lid, torch.tensor([8.0]))


def test_polar_recipes_look_for_direction_and_eccentricity():
    recipe = load_recipe("uniform360")
    names = free_names(recipe, {})
    assert {"gaze_direction", "gaze_eccentricity"} <= set(names)
    picture = torch.full((1, 1, 16, 24), 0.4)
    fit = recover(picture, recipe, plan=Plan(starts=2, kept=1, coarse=1, fine=1))
    assert torch.isfinite(fit.params.flat()).all()


def test_what_cannot_be_recovered_is_refused():
    with pytest.raises(UserError, match="channels"):
        recover(torch.zeros(1, 3, 24, 40), RECIPE)
    pairs = load_recipe("webcam", ("pairs=true",))
    with pytest.raises(UserError, match="pair"):
        recover(torch.zeros(1, 1, 24, 40), pairs)


@pytest.mark.parametrize(
    ("known", "fault"),
    [
        ({"side": [0, 1]}, "side must be -1 or 1; of labels, give 1.0 - 2"),
        ({"side": [1]}, r"side has shape \(1,\), expected \(2,\)"),
        ({"head_yaw": [0, float("nan")]}, "head_yaw must stay within -50 .. 50"),
        ({"head_yaw": [0, 90]}, "head_yaw must stay within -50 .. 50"),
        ({"head_yow": [0, 0]}, "no parameter 'head_yow'; did you mean 'head_yaw'?"),
    ],
)
def test_known_parameters_that_cannot_be_are_refused_in_one_line(known, fault):
    held = {name: torch.tensor(value, dtype=torch.float32) for name, value in known.items()}
    with pytest.raises(UserError, match=fault) as caught:
        recover(torch.zeros(2, 1, 24, 40), RECIPE, held, plan=SHORTEST)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [-0.1, 255, float("nan")])
def test_images_that_are_none_are_refused(value):
    with pytest.raises(UserError, match="images must lie in 0"):
        recover(torch.full((1, 1, 24, 40), value), RECIPE, plan=SHORTEST)
    with pytest.raises(UserError, match=r"expected \[B, C, H, W\]"):
        recover(torch.zeros(24, 40), RECIPE)


def test_free_names_leave_out_choices_and_constants():
    names = free_names(load_recipe("webcam"), {"blur": torch.zeros(1)})
    assert not {"side", "rim_below", "glasses", "torsion", "blur"} & set(names)
    assert {"gaze_pitch", "iris_pigment", "fill"} <= set(names)


def test_drawn_latents_lie_where_eyes_of_the_same_draws_do():
    index = torch.arange(50)
    found = latents.params_at(RECIPE, latents.drawn(RECIPE, 4, index, "eye")).flat()
    assert_close(found, sample(RECIPE, 4, index).flat(), rtol=1e-3, atol=1e-3)


def test_groups_are_every_parameter_that_leaves_the_gaze_as_it_is():
    names = [name for group in latents.groups().values() for name in group]
    assert len(names) == len(set(names))
    others = {"gaze_pitch", "gaze_yaw", "side", "ipd", "target_distance"}
    assert set(names) == set(PARAM_NAMES) - others
    assert "pupil_radius" in latents.groups()["eyeball"] and "jpeg" in latents.groups()["camera"]
