"""Recipes move to where weighted eyes come from, and stay possible."""

import pytest
import torch

from gazegan.fit.population import KEPT, movable, moved, tidied, widened
from gazegan.render.distributions import Distribution, read
from gazegan.render.prior import Recipe, load_recipe, sample

COUNT = 6000


def recipe(**eyes: object) -> Recipe:
    return Recipe.model_validate({"eyes": eyes})


def drawn(of: Recipe):
    return sample(of, 0, torch.arange(COUNT))


def equal() -> torch.Tensor:
    return torch.full((COUNT,), 1 / COUNT, dtype=torch.float64)


def spread(of: Recipe, name: str) -> Distribution:
    return of.eyes.spread(name)


def test_gaze_constants_mixtures_and_held_parameters_do_not_move() -> None:
    names = movable(recipe(fill=0.7, blur={"mixture": [[0, 1], [1, 2]]}), ("noise",))
    assert not {*KEPT, "fill", "blur", "noise"} & set(names)
    assert {"upper_lid", "head_yaw", "rim_below", "pupil_radius"} <= set(names)


@pytest.mark.parametrize("name", ["columbia", "near_eye", "hard", "standin"])
def test_wider_tails_hold_possible_eyes(name: str) -> None:
    begin = load_recipe(name)
    wide = widened(begin, movable(begin))
    changed = [n for n in movable(begin) if spread(wide, n) != spread(begin, n)]
    assert len(changed) > 20
    low, high = begin.bounds("fill")
    values = drawn(wide).fill
    outside = float(((values < low) | (values > high)).float().mean())
    assert 0 < outside < 0.2


def test_equal_weights_move_nothing() -> None:
    begin = load_recipe("columbia")
    names = movable(begin)
    after = moved(begin, names, drawn(begin), equal())
    assert tidied(begin, after, names) == begin
    assert all(after.bounds(name) == pytest.approx(begin.bounds(name)) for name in names)


def test_ranges_follow_mean_and_spread_of_the_weighted_eyes() -> None:
    begin = recipe(fill=[0.5, 0.9], head_roll={"mean": 0, "sd": 4, "low": -12, "high": 12})
    eyes = drawn(begin)
    inside = ((eyes.fill > 0.7) & (eyes.fill < 0.8) & (eyes.head_roll > 0)).double()
    after = moved(begin, ("fill", "head_roll"), eyes, inside / inside.sum())
    assert spread(after, "fill").low == pytest.approx(0.7, abs=0.01)
    assert spread(after, "fill").high == pytest.approx(0.8, abs=0.01)
    roll = spread(after, "head_roll")
    # Half of a normal: mean 0.80 sd, spread 0.60 sd.
    assert roll.mean == pytest.approx(0.8 * 4, rel=0.06)
    assert roll.sd == pytest.approx(0.6 * 4, rel=0.06)


def test_choices_get_weights_and_followers_an_offset() -> None:
    line = {"of": "gaze_pitch", "slope": 0.5, "offset": 1, "sd": 3, "low": -20, "high": 20}
    begin = recipe(glasses={"choice": [0, 1]}, head_pitch=line)
    eyes = drawn(begin)
    weights = (0.1 + 0.8 * eyes.glasses) * torch.sigmoid(eyes.head_pitch - eyes.gaze_pitch / 2)
    weights = weights.double() / weights.sum()
    after = moved(begin, ("glasses", "head_pitch"), eyes, weights)
    shares = spread(after, "glasses").weights or ()
    assert shares[1] / sum(shares) == pytest.approx(0.9, abs=0.02)
    line_after = spread(after, "head_pitch")
    assert (line_after.slope, line_after.sd) == (0.5, 3)
    assert 2 < (line_after.offset or 0) < 5


def test_what_would_be_impossible_is_left_as_it_was() -> None:
    begin = recipe(limbus_radius=[5.3, 6.3], pupil_radius=[2, 4.1], pupil_nasal=0, pupil_up=0)
    eyes = drawn(begin)
    small = (eyes.limbus_radius < 5.5).double()
    after = moved(begin, ("pupil_radius", "limbus_radius"), eyes, small / small.sum())
    assert Recipe.model_validate(after.model_dump()) == after
    assert spread(after, "limbus_radius").bounds[1] < 6.3


def test_small_changes_are_tidied_away() -> None:
    begin = recipe(fill=[0.5, 0.9], blur=[0, 1], glasses={"choice": [0, 1], "weights": [0.5, 0.5]})
    new = recipe(
        fill=[0.505, 0.905], blur=[0.2, 1.2], glasses={"choice": [0, 1], "weights": [0.51, 0.49]}
    )
    tidy = tidied(begin, new, ("fill", "blur", "glasses"))
    assert spread(tidy, "fill") == read([0.5, 0.9])
    assert spread(tidy, "blur") == read([0.2, 1.2])
    assert spread(tidy, "glasses") == spread(begin, "glasses")
