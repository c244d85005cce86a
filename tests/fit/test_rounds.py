"""A recipe finds back to the population that photographs were rendered from."""

from dataclasses import replace

import pytest
import torch

from gazegan.errors import UserError
from gazegan.fit import FitConfig, distance, fit, renders, rounds, summarise, within
from gazegan.fit.photographs import scenes
from gazegan.fit.population import Place
from gazegan.render.params import SPECS
from gazegan.render.prior import Recipe, load_recipe
from gazegan.render.scene import render_indices
from gazegan.schema import UNKNOWN

CFG = FitConfig(rounds=3, steps=12, batch=48, rate=0.15, components=12, narrow=True, measured=400)
PLAIN = {
    "gaze_pitch": [-8, 8], "gaze_yaw": [-8, 8], "glasses": 0, "head_yaw": 0, "head_pitch": 0,
    "head_roll": 0, "exposure": 0, "distance": 1000,
}  # fmt: skip


def recipe(**eyes: object) -> Recipe:
    image = {"height": 20, "width": 32}
    return Recipe.model_validate({"image": image, "eyes": {**PLAIN, **eyes}})


def test_framing_and_blur_of_other_renders_are_found() -> None:
    truth = recipe(fill=[0.55, 0.65], shift_down=[0.04, 0.08], blur=[1.0, 1.4])
    begin = recipe(fill=[0.6, 0.95], shift_down=[-0.1, 0.1], blur=[0.2, 1.4])
    seen = summarise(begin, render_indices(truth, 5, torch.arange(600)), CFG)
    before = distance(begin, seen, CFG)
    *_, last = fit(begin, seen, CFG)
    assert distance(last.recipe, seen, CFG) < 0.5 * before
    for name, wanted in (("fill", 0.6), ("shift_down", 0.06), ("blur", 1.2)):
        start, end = begin.bounds(name), last.recipe.bounds(name)
        off, was = abs(sum(end) / 2 - wanted), abs(sum(start) / 2 - wanted)
        assert off < 0.5 * was, name
        assert end[1] - end[0] < start[1] - start[0], name
    # The gaze stays the recipe's, whatever the photographs.
    assert last.recipe.bounds("gaze_pitch") == (-8, 8)


def test_ranges_keep_their_width_unless_asked() -> None:
    truth, begin = recipe(fill=[0.55, 0.65]), recipe(fill=[0.7, 0.9])
    cfg = CFG.model_copy(update={"narrow": False})
    seen = summarise(begin, render_indices(truth, 5, torch.arange(300)), cfg)
    *_, last = fit(begin, seen, cfg)
    low, high = last.recipe.bounds("fill")
    assert high - low == pytest.approx(0.2, abs=0.002)
    assert low < 0.67


def test_where_sides_mix_mirror_images_count_too() -> None:
    truth, begin = recipe(fill=[0.55, 0.65]), recipe(fill=[0.6, 0.95])
    eyes = render_indices(truth, 5, torch.arange(200))
    unsided = replace(eyes, side=torch.full((200,), UNKNOWN))
    cfg = CFG.model_copy(update={"rounds": 1})
    seen = summarise(begin, unsided, cfg)
    mirrored = summarise(begin, replace(unsided, image=unsided.image.flip(-1)), cfg)
    assert seen.values.shape[0] == 2
    one, other = next(fit(begin, seen, cfg)), next(fit(begin, mirrored, cfg))
    assert one.recipe.bounds("fill") == pytest.approx(other.recipe.bounds("fill"), abs=0.02)


def test_how_heads_are_turned_tells_where_the_lids_lie() -> None:
    """Lids before the eyeball shift against the iris as heads turn; all turns together hide it."""
    turned = {"head_yaw": [-30, 30]}
    truth = recipe(**turned, orbit_depth=[-2.5, -1.5])
    begin = recipe(**turned, orbit_depth=[2, 5])
    eyes = render_indices(truth, 5, torch.arange(400))
    cfg = CFG.model_copy(update={"hold": tuple(n for n in SPECS if n != "orbit_depth")})
    seen = summarise(begin, eyes, cfg)
    assert set(seen.known) == {"head_yaw"}
    *_, last = fit(begin, seen, cfg)
    assert sum(last.recipe.bounds("orbit_depth")) / 2 < 1.5
    assert last.recipe.bounds("head_yaw") == (-30, 30)
    unknown = summarise(begin, replace(eyes, head=None), cfg)
    assert unknown.known == {}
    assert unknown.values.shape[2] < seen.values.shape[2]


def test_heads_are_turned_as_in_the_photographs() -> None:
    begin = recipe()
    known = {"head_yaw": torch.deg2rad(torch.tensor([10.0, 20.0]))}
    drawn, _ = scenes(begin, 0, torch.arange(200), True, known)
    turn = (drawn.side * drawn.head_yaw).round()
    assert set(turn.tolist()) == {10.0, 20.0}
    as_seen, _ = scenes(begin, 0, torch.arange(200), False, known)
    assert set(as_seen.head_yaw.round().tolist()) == {10.0, 20.0}


def test_where_eyes_look_tells_how_lids_follow() -> None:
    """All gazes together hide it: lids high and low by turns are lids that follow, or not."""
    looking = {"gaze_pitch": [-15, 15], "upper_lid": [5, 8]}
    truth = recipe(**looking, upper_follow=[0.95, 1.05])
    begin = recipe(**looking, upper_follow=[0.2, 0.7])
    eyes = render_indices(truth, 5, torch.arange(400))
    held = tuple(n for n in SPECS if n != "upper_follow")
    cfg = CFG.model_copy(update={"hold": held, "gaze": True, "narrow": False})
    seen = summarise(begin, eyes, cfg)
    assert {"gaze_pitch", "gaze_yaw"} <= set(seen.known)
    *_, last = fit(begin, seen, cfg)
    assert sum(last.recipe.bounds("upper_follow")) / 2 > 0.6
    blind = cfg.model_copy(update={"gaze": False})
    seen = summarise(begin, eyes, blind)
    assert seen.known == {}
    *_, last = fit(begin, seen, blind)
    assert sum(last.recipe.bounds("upper_follow")) / 2 < 0.5
    with pytest.raises(UserError, match="--gaze: these photographs do not say where eyes look"):
        summarise(begin, replace(eyes, gaze=None), cfg)


def test_what_follows_the_gaze_follows_that_of_the_photograph() -> None:
    nod = {"of": "gaze_pitch", "slope": 0.5, "offset": 1, "sd": 0.01, "low": -20, "high": 20}
    known = {
        "gaze_pitch": torch.deg2rad(torch.tensor([10.0, -6.0])),
        "gaze_yaw": torch.deg2rad(torch.tensor([4.0, -8.0])),
    }
    drawn, _ = scenes(recipe(head_pitch=nod), 0, torch.arange(100), True, known)
    pairs = {
        (p.item(), y.item())
        for p, y in zip(
            drawn.gaze_pitch.round(), (drawn.side * drawn.gaze_yaw).round(), strict=True
        )
    }
    assert pairs == {(10.0, 4.0), (-6.0, -8.0)}
    torch.testing.assert_close(drawn.head_pitch, 0.5 * drawn.gaze_pitch + 1, atol=0.1, rtol=0)


def test_slopes_are_those_of_the_distance() -> None:
    """Beside differences of the same eyes' distance, whatever the chunks they are rendered in."""
    truth, begin = recipe(fill=[0.55, 0.65]), recipe(fill=[0.7, 0.9])
    cfg = CFG.model_copy(update={"narrow": False})
    seen = summarise(begin, render_indices(truth, 5, torch.arange(200)), cfg)
    names, indices = ("fill", "blur"), torch.arange(300)
    place = Place.of(begin, names)
    by = torch.zeros(2, dtype=torch.float64).requires_grad_()
    still = torch.ones(2, dtype=torch.float64)

    def gap(move: torch.Tensor) -> float:
        return rounds._slope(begin, names, place, (move, still), indices, 3, seen, cfg)

    gap(by)
    assert by.grad is not None
    slope = by.grad.clone()
    for k, step in enumerate((2e-3, 2e-2)):
        aside = torch.zeros(2, dtype=torch.float64)
        aside[k] = step
        up, down = (gap((sign * aside).requires_grad_()) for sign in (1, -1))
        assert float(slope[k]) == pytest.approx((up - down) / (2 * step), rel=0.15)


def test_both_eyes_of_a_face_do_not_make_the_distance_seem_larger() -> None:
    """Where renders are the photographs' own population, its mean over many draws is 0."""
    begin = recipe(skin_melanin=[0.2, 2.2]).model_copy(update={"pairs": True})
    cfg = CFG.model_copy(update={"narrow": False})
    seen = summarise(begin, render_indices(begin, 5, torch.arange(800)), cfg)
    place, by = Place.of(begin, ("blur",)), torch.zeros(1, dtype=torch.float64).requires_grad_()
    move = (by, torch.ones(1, dtype=torch.float64))
    gaps = torch.tensor(
        [
            rounds._slope(begin, ("blur",), place, move, torch.arange(16), seed, seen, cfg)
            for seed in range(60)
        ]
    )
    assert float(gaps.mean()) < 3 * float(gaps.std()) / len(gaps) ** 0.5


def test_fresh_renders_of_the_same_population_are_as_near_as_halves() -> None:
    """Few photographs lie far from many renders, too, but nearer than halves from each other."""
    begin = recipe()
    seen = summarise(begin, render_indices(begin, 5, torch.arange(160)), CFG)
    seeds = [CFG.model_copy(update={"seed": seed}) for seed in range(4)]
    mean, chance = (sum(of(cfg) for cfg in seeds) / 4 for of in (
        lambda cfg: distance(begin, seen, cfg), lambda cfg: within(seen, cfg)
    ))  # fmt: skip
    assert mean == pytest.approx(chance, rel=0.2)


def test_halves_of_photographs_are_near_each_other_but_not_at_zero() -> None:
    begin = recipe()
    seen = summarise(begin, render_indices(begin, 5, torch.arange(400)), CFG)
    assert 0.02 < within(seen, CFG) < 0.2
    assert renders(begin, 0, torch.arange(3), seen.sided, None).shape == (3, 1, 20, 32)


def test_rounds_go_on_where_they_were() -> None:
    begin = recipe()
    cfg = CFG.model_copy(update={"rounds": 2, "steps": 3})
    seen = summarise(begin, render_indices(recipe(fill=0.6), 5, torch.arange(100)), cfg)
    first, second = fit(begin, seen, cfg)
    assert list(fit(begin, seen, cfg, first.recipe, 1)) == [second]


def test_what_cannot_be_fitted_is_refused_by_name() -> None:
    eyes = render_indices(recipe(), 0, torch.arange(64))
    with pytest.raises(UserError, match="whole faces"):
        summarise(load_recipe("portrait"), eyes, CFG)
    with pytest.raises(UserError, match="too few"):
        summarise(recipe(), eyes[:10], CFG)
    with pytest.raises(UserError, match="--hold nose"):
        summarise(recipe(), eyes, CFG.model_copy(update={"hold": ("nose",)}))
