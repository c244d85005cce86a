"""`gazegan attack-scenes`: worst scenes at the same gaze, with exact labels, as a store."""

import json

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from gazegan.cli import main
from gazegan.cli.scene_judge import begun, draw, iris_in_sight, movable
from gazegan.data.store import open_store
from gazegan.geometry import angular_error_deg
from gazegan.render.latents import params_at
from gazegan.render.params import PARAM_NAMES
from gazegan.render.prior import load_recipe
from gazegan.render.scene import render
from gazegan.schema import ELLIPSES, MASKS
from gazegan.train.checkpoint import load_weights

SIZE = ("--set", "image.height=16", "--set", "image.width=24")
RECIPE = load_recipe("webcam", ("image.height=16", "image.width=24"))
FEWER = ("--count", 3, "--renders", 10, "--only", "light_azimuth", "--only", "head", *SIZE)
FEW = (*FEWER, "--only", "light_key", "--only", "pupil_radius")


@pytest.fixture(scope="module")
def network(places):
    return load_weights(places / "angles.safetensors", "gaze")[0]


@pytest.fixture(scope="module")
def found(places, tmp_path_factory):
    out = tmp_path_factory.mktemp("scenes") / "out"
    words = ("attack-scenes", "webcam", "--weights", places / "angles.safetensors", *FEW)
    done = CliRunner().invoke(main, [str(w) for w in (*words, "--out", out, "--json")])
    assert done.exit_code == 0, done.output
    return out, json.loads(done.stdout), words


def test_found_scenes_are_a_store_on_which_the_network_errs_as_told(found, places, gazegan):
    out, values, _ = found
    assert {path.name for path in out.iterdir()} == {
        "scenes.json", "sheet.png", "parameters.png", "store",
    }  # fmt: skip
    assert values == json.loads((out / "scenes.json").read_text())
    run = ("evaluate", "--weights", places / "angles.safetensors", "--data", out / "store")
    told = json.loads(gazegan(*run, "--json").stdout)
    assert told["mean_deg"] == pytest.approx(values["worst_deg"], rel=1e-4)
    assert told["constant_deg"] == pytest.approx(values["constant_deg"], rel=1e-4)
    assert values["nominal_deg"] < values["worst_deg"]
    for scene in values["scenes"]:
        assert scene["worst_deg"] >= scene["nominal_deg"] - 1e-3
    with Image.open(out / "sheet.png") as picture:
        assert picture.size[0] > 400


def test_labels_are_those_of_the_same_gaze_rendered_again(found):
    out, values, _ = found
    batch = open_store(out / "store").read(range(3))
    assert batch.params is not None and batch.gaze is not None
    pitch, yaw = (batch.params[:, PARAM_NAMES.index(n)] for n in ("gaze_pitch", "gaze_yaw"))
    torch.testing.assert_close(torch.rad2deg(batch.gaze), torch.stack((pitch, yaw), 1))
    nominal = [[s["gaze_pitch_deg"], s["gaze_yaw_deg"]] for s in values["scenes"]]
    torch.testing.assert_close(torch.rad2deg(batch.gaze), torch.tensor(nominal))


def test_only_what_may_move_moved_and_within_the_recipe(found, network):
    out, values, _ = found
    listed = {one["name"]: one for one in values["parameters"]}
    assert "pupil_radius" in listed and "light_key" in listed and "upper_lid" not in listed
    assert len(listed) == values["moved"]
    params = open_store(out / "store").read(range(3)).params
    start = draw(RECIPE, network, 3, 0, "cpu")
    nominal = params_at(RECIPE, start.latent).flat()
    for k, name in enumerate(PARAM_NAMES):
        low, high = RECIPE.bounds(name)
        assert bool(((params[:, k] >= low) & (params[:, k] <= high)).all()), name
        if name not in listed:
            torch.testing.assert_close(params[:, k], nominal[:, k])
    inner = 0.02275  # beyond two standard deviations
    low, high = RECIPE.bounds("light_azimuth")
    lights = (params[:, PARAM_NAMES.index("light_azimuth")] - low) / (high - low)
    assert bool(((lights > inner - 1e-3) & (lights < 1 - inner + 1e-3)).all())
    assert values["parameters"] == sorted(listed.values(), key=lambda one: -one["worst_deg"])
    assert all(one["gain_deg"] >= 0 for one in listed.values())


def test_the_same_seed_finds_the_same_and_other_settings_are_refused(found, gazegan, fault_of):
    out, values, words = found
    again = json.loads(gazegan(*words, "--out", out, "--json").stdout)
    assert again == values
    assert "other settings" in fault_of(*words, "--seed", 5, "--out", out).message


def test_what_was_found_before_a_stop_is_not_searched_again(found, monkeypatch, tmp_path):
    _, values, words = found
    start = [str(w) for w in (*words, "--out", tmp_path / "out", "--json")]

    def fail(*_: object) -> None:
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr("gazegan.attack.alone", fail)
        assert CliRunner().invoke(main, start).exit_code
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["part-000000.safetensors"]
    with monkeypatch.context() as patched:
        patched.setattr("gazegan.attack.worst_scenes", fail)
        # Another search does not take what this one left.
        assert CliRunner().invoke(main, [*start, "--seed", "5"]).exit_code
        done = CliRunner().invoke(main, start)
    assert json.loads(done.stdout) == values
    assert not list((tmp_path / "out").glob("part-*"))


def test_training_takes_the_found_scenes(found, places, gazegan, tmp_path):
    out, _, _ = found
    data = ("--data", places / "labelled", "--share", 3, "--data", out / "store", "--share", 1)
    gazegan("train", "gaze", *data, "--steps", 2, "--batch", 8, "--out", tmp_path / "run")


def test_the_judge_errs_as_a_render_does_and_has_a_gradient(network):
    scenes = draw(RECIPE, network, 4, 1, "cpu")
    latent = scenes.latent.clone().requires_grad_()
    degrees = scenes.degrees(latent, torch.arange(4))
    eyes = render(params_at(RECIPE, scenes.latent), scenes.texture, RECIPE.image)
    with torch.no_grad():
        stored = (eyes.image * 255).round() / 255
        expected = angular_error_deg(network(stored), eyes.gaze)
    torch.testing.assert_close(degrees.detach(), expected, rtol=1e-3, atol=1e-3)
    (slope,) = torch.autograd.grad(degrees.sum(), latent)
    free = movable(RECIPE, (), ())
    assert bool(torch.isfinite(slope).all())
    assert float((slope[:, free] != 0).any(0).float().mean()) > 0.5


def test_scenes_that_hide_the_iris_do_not_count(network):
    scenes = begun(
        draw(RECIPE, network, 4, 1, "cpu"), draw(RECIPE, network, 4, 1, "cpu").latent, 0.5
    )
    seen = scenes.photograph(scenes.latent)
    assert bool((scenes.degrees(scenes.latent, torch.arange(4)) > 0).all())
    shut = scenes.latent.clone()
    shut[:, PARAM_NAMES.index("upper_lid")] = -9.0
    shut[:, PARAM_NAMES.index("lower_lid")] = -9.0
    hidden = scenes.photograph(shut)
    shares = [iris_in_sight(b.masks, b.ellipses) for b in (seen, hidden)]
    judged = scenes.degrees(shut, torch.arange(4))
    assert torch.equal(judged < 0, shares[1] < 0.5 * shares[0]) and bool((judged < 0).any())


def test_a_bare_iris_is_all_in_sight():
    """A disc of 8 x 8 px inside its own outline."""
    masks, ellipses = torch.zeros(1, len(MASKS), 20, 20), torch.zeros(1, len(ELLIPSES), 5)
    at = torch.arange(20) + 0.5
    disc = torch.hypot(at[:, None] - 10, at - 10) < 6
    masks[0, MASKS.index("iris")] = disc.float()
    ellipses[0, ELLIPSES.index("iris"), 2:4] = 6.0
    assert float(iris_in_sight(masks, ellipses)) == pytest.approx(1, abs=0.05)


def test_groups_cover_what_is_no_label():
    everything = movable(RECIPE, (), ())
    moved = {n for n, free in zip(PARAM_NAMES, everything.tolist(), strict=True) if free}
    still = {"gaze_pitch", "gaze_yaw", "side", "ipd", "target_distance"}
    assert not moved & (still | {"camera_azimuth", "camera_elevation", "camera_roll"})
    varying = {n for n in PARAM_NAMES if len(RECIPE.eyes.spread(n).values or (0, 1)) > 1}
    assert moved == varying - still
    lights = movable(RECIPE, ("light",), ("glint",))
    assert bool((lights <= everything).all()) and 5 < int(lights.sum()) < int(everything.sum())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("webcam",), "image.height=16"),
        (("webcam", *SIZE, "--only", "lihgt"), "did you mean 'light'"),
        (("webcam", *SIZE, "--only", "light", "--hold", "light"), "nothing is left"),
        (("webcam", *SIZE, "--set", "pairs=true"), "pairs=false"),
        (("crowd",), "single eyes"),
    ],
)
def test_what_cannot_be_attacked_is_one_line(places, fault_of, tmp_path, words, told):
    weights = ("--weights", places / "angles.safetensors")
    fault = fault_of("attack-scenes", *words, *weights, "--out", tmp_path / "x")
    assert fault.exit_code == 2 and told in fault.message


@pytest.mark.slow
def test_networks_of_directions_and_of_head_yaws_are_attacked_too(places, gazegan, tmp_path):
    gazegan(
        "train", "gaze", "--data", places / "labelled", "--steps", 2, "--batch", 8, "--head-yaw",
        "--out", tmp_path / "run",
    )  # fmt: skip
    for name, weights in (("yaw", tmp_path / "run"), ("way", places / "direction.safetensors")):
        words = ("attack-scenes", "webcam", "--weights", weights, *FEWER)
        values = json.loads(gazegan(*words, "--out", tmp_path / name, "--json").stdout)
        run = ("evaluate", "--weights", weights, "--data", tmp_path / name / "store", "--json")
        told = json.loads(gazegan(*run).stdout)
        assert told["mean_deg"] == pytest.approx(values["worst_deg"], rel=1e-4)
