"""Recipes move as their draws do, and stay possible."""

import pytest
import torch

from gazegan.fit.population import KEPT, Place, drawn_moved, movable, moved, tidied
from gazegan.render.distributions import Distribution, read
from gazegan.render.prior import Recipe, load_recipe, sample

COUNT = 6000


def recipe(**eyes: object) -> Recipe:
    return Recipe.model_validate({"eyes": eyes})


def drawn(of: Recipe):
    return sample(of, 0, torch.arange(COUNT))


def spread(of: Recipe, name: str) -> Distribution:
    return of.eyes.spread(name)


def test_gaze_constants_mixtures_and_held_parameters_do_not_move() -> None:
    names = movable(recipe(fill=0.7, blur={"mixture": [[0, 1], [1, 2]]}), ("noise",))
    assert not {*KEPT, "fill", "blur", "noise"} & set(names)
    assert {"upper_lid", "head_yaw", "pupil_radius"} <= set(names)
    assert "rim_below" not in names
    assert "gaze_pitch" not in movable(load_recipe("columbia"))


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("name", ["columbia", "studio", "near_eye", "hard", "standin"])
def test_no_move_changes_nothing(name: str) -> None:
    begin = load_recipe(name)
    names = movable(begin)
    none, same = torch.zeros(len(names)), torch.ones(len(names))
    assert len(names) > 60
    after = moved(begin, names, none, same)
    assert tidied(begin, after, names) == begin
    eyes = drawn(begin)[:500]
    still = drawn_moved(eyes, names, Place.of(begin, names), none, same)
    torch.testing.assert_close(still.flat(), eyes.flat(), rtol=1e-5, atol=1e-5)


def test_moved_draws_are_draws_of_the_moved_recipe() -> None:
    line = {"of": "gaze_pitch", "slope": 0.5, "offset": 1, "sd": 3, "low": -30, "high": 30}
    begin = recipe(
        fill=[0.5, 0.9], head_roll={"mean": 1, "sd": 4, "low": -11, "high": 13}, head_pitch=line
    )
    names = ("fill", "head_roll", "head_pitch")
    shift, growth = numbers(0.05, -2, 3), numbers(0.5, 1.5, 1)
    after = moved(begin, names, shift, growth)
    assert spread(after, "fill").bounds == pytest.approx((0.65, 0.85))
    assert (spread(after, "head_roll").mean, spread(after, "head_roll").sd) == (-1, 6)
    assert (spread(after, "head_pitch").offset, spread(after, "head_pitch").sd) == (4, 3)
    eyes = drawn_moved(drawn(begin), names, Place.of(begin, names), shift, growth)
    for name in names:
        torch.testing.assert_close(
            getattr(eyes, name), getattr(drawn(after), name), rtol=1e-4, atol=1e-4
        )


def test_moves_pass_slopes_on() -> None:
    begin = recipe(fill=[0.5, 0.9])
    shift, growth = numbers(0.0).requires_grad_(), numbers(1.0).requires_grad_()
    eyes = drawn_moved(drawn(begin), ("fill",), Place.of(begin, ("fill",)), shift, growth)
    eyes.fill.double().sum().backward()
    assert shift.grad is not None
    assert growth.grad is not None
    assert float(shift.grad) == COUNT
    assert float(growth.grad) == pytest.approx(float((eyes.fill.detach() - 0.7).sum()), abs=0.01)


def test_what_would_be_impossible_is_left_as_it_was() -> None:
    begin = recipe(limbus_radius=[5.3, 6.3], pupil_radius=[2, 4.1], pupil_nasal=0, pupil_up=0)
    names = ("limbus_radius", "pupil_radius")
    after = moved(begin, names, numbers(-1.5, -0.5), numbers(1, 1))
    assert Recipe.model_validate(after.model_dump()) == after
    assert spread(after, "pupil_radius").bounds == (1.5, 3.6)


def test_small_changes_are_tidied_away() -> None:
    begin = recipe(fill=[0.5, 0.9], blur=[0, 1])
    new = recipe(fill=[0.505, 0.905], blur=[0.2, 1.2])
    tidy = tidied(begin, new, ("fill", "blur"))
    assert spread(tidy, "fill") == read([0.5, 0.9])
    assert spread(tidy, "blur") == read([0.2, 1.2])
