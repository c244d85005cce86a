"""`gazegan explain` writes the maps of `gazegan.explain` and the shares of the masks."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from gazegan import explain, rng
from gazegan.cli import main
from gazegan.cli.maps import predicted
from gazegan.data.store import open_store, write_store
from gazegan.nets.layers import middle
from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.render import inverse
from gazegan.render.prior import load_recipe, sample
from gazegan.render.scene import render_indices
from gazegan.train.checkpoint import load_weights, save_weights

PICKS = {
    "pitch": explain.pitch_deg,
    "yaw": explain.yaw_deg,
    "direction": explain.gaze_direction_deg,
}


@pytest.mark.parametrize("output", PICKS)
def test_arrays_hold_the_maps(places, gazegan, tmp_path, output):
    weights, store = places / "angles.safetensors", places / "labelled"
    gazegan(
        "explain", "--weights", weights, "--data", store, "--out", tmp_path, "--count", 5,
        "--output", output,
    )  # fmt: skip
    with np.load(tmp_path / "maps.npz") as file:
        arrays = dict(file)
    network, _ = load_weights(weights, "gaze")
    batch = open_store(store).read(torch.from_numpy(arrays["id"]))
    oracle = explain.gradient_x_input(network, batch.image, PICKS[output])
    np.testing.assert_allclose(arrays["map"], oracle.map, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(arrays["output_deg"], oracle.output, rtol=1e-4)
    np.testing.assert_array_equal(arrays["image"], batch.image)
    with Image.open(tmp_path / "maps.png") as picture:
        assert picture.mode == "RGB"


def test_shares_stand_beside_the_area(places, gazegan, tmp_path):
    done = gazegan(
        "explain", "--weights", places / "angles.safetensors", "--data", places / "labelled",
        "--out", tmp_path, "--count", 99, "--json",
    )  # fmt: skip
    values = json.loads(done.stdout)
    assert values == json.loads((tmp_path / "explain.json").read_text())
    assert values["count"] == 20
    for kind in ("attribution", "gradient", "area"):
        assert sum(values[kind].values()) == pytest.approx(1)
    masks = open_store(places / "labelled").read(range(20)).masks
    assert values["iris_and_pupil"]["area"] == pytest.approx(float(masks[:, 2:].sum(1).mean()))


def test_eyes_without_masks_or_labels_are_explained_too(places, gazegan, tmp_path):
    done = gazegan(
        "explain", "--weights", places / "direction.safetensors", "--data", places / "unlabelled",
        "--out", tmp_path, "--count", 3,
    )  # fmt: skip
    assert "no masks" in done.stdout
    values = json.loads((tmp_path / "explain.json").read_text())
    assert values["output"] == "direction" and values["area"] is None


def test_the_same_seed_writes_the_same_bytes(places, gazegan, tmp_path):
    start = ("explain", "--weights", places / "angles.safetensors", "--data", places / "labelled")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        gazegan(*start, "--out", tmp_path / name, "--count", 4, "--seed", seed)
    a, b, c = ((tmp_path / name / "maps.npz").read_bytes() for name in "abc")
    assert a == b != c


def test_a_network_of_directions_has_no_pitch(places, fault_of, tmp_path):
    fault = fault_of(
        "explain", "--weights", places / "direction.safetensors", "--data", places / "labelled",
        "--out", tmp_path / "out", "--output", "pitch",
    )  # fmt: skip
    assert fault.exit_code == 2 and "--output direction" in fault.message
    assert not (tmp_path / "out").exists()


METHODS = ("occlusion", "gradient_x_input", "integrated_gradients", "smoothgrad")


@pytest.fixture(scope="module")
def scored(places, tmp_path_factory):
    """What every method together gives."""
    out = tmp_path_factory.mktemp("scored")
    chosen = [word for name in METHODS for word in ("--method", name)]
    words = ["explain", "--weights", places / "angles.safetensors", "--data", places / "labelled"]
    more = ["--out", out, "--count", 6, *chosen]
    done = CliRunner().invoke(main, [str(w) for w in (*words, *more)], catch_exceptions=False)
    assert done.exit_code == 0
    return out, json.loads((out / "explain.json").read_text()), done.stdout


def test_every_method_has_its_maps(scored, places):
    out, _, _ = scored
    with np.load(out / "maps.npz") as file:
        arrays = dict(file)
    network, _ = load_weights(places / "angles.safetensors", "gaze")
    image = torch.from_numpy(arrays["image"])
    hidden = explain.faded(image)
    oracles = {
        "map": explain.occlusion(network, image, hidden, window=2, stride=2),
        "map_gradient_x_input": explain.gradient_x_input(network, image),
        "map_integrated_gradients": explain.integrated_gradients(network, image, hidden),
    }
    for name, oracle in oracles.items():
        np.testing.assert_allclose(arrays[name], oracle.map, rtol=1e-3, atol=1e-4)
    assert arrays["map_smoothgrad"].shape == image.shape and "gradient" not in arrays


def test_every_method_is_scored_beside_chance(scored, places):
    out, values, text = scored
    assert list(values["methods"]) == list(METHODS) and values["masks"] == "store"
    with np.load(out / "maps.npz") as file:
        image, maps = torch.from_numpy(file["image"]), torch.from_numpy(file["map"])
        ids = file["id"]
    batch = open_store(places / "labelled").read(torch.from_numpy(ids))
    network, _ = load_weights(places / "angles.safetensors", "gaze")
    first = values["methods"]["occlusion"]
    for name in ("attribution", "gradient", "area"):
        assert sum(values[name].values()) == pytest.approx(1)
    assert first["shares"] == values["attribution"] | {
        "iris_and_pupil": values["iris_and_pupil"]["attribution"]
    }
    weight = explain.strength(maps)
    removed = explain.removal(network, image, explain.faded(image), weight)
    assert first["deletion_deg"] == pytest.approx(
        float(explain.area_under(removed.deletion).mean()), rel=1e-3
    )
    eye = batch.masks[:, [1, 2, 3, 4, 7]].sum(1)
    assert values["chance"]["pointing"]["eye"] == pytest.approx(float((eye >= 0.5).float().mean()))
    for name, score in values["methods"].items():
        assert score["randomised"][-1]["layers"] == 1
        assert all(-1 <= stage["correlation"] <= 1 for stage in score["randomised"])
        assert (score["completeness"] is None) == (name != "integrated_gradients")
    gap = values["methods"]["integrated_gradients"]["completeness"]
    assert gap["gap_deg"] < 0.3 * gap["change_deg"]
    assert values["lids"] is None  # this store has no landmarks
    for title in ("occlusion", "SmoothGrad", "random order", "iris and pupil", "deletion"):
        assert title in text
    for name in ("maps.png", "curves.png"):
        with Image.open(out / name) as picture:
            assert picture.width > 300


def test_scores_that_need_no_masks_are_told_of_photographs_too(places, gazegan, tmp_path):
    done = gazegan(
        "explain", "--weights", places / "direction.safetensors", "--data", places / "unlabelled",
        "--out", tmp_path, "--count", 3, "--method", "integrated_gradients", "--json",
    )  # fmt: skip
    values = json.loads(done.stdout)
    score = values["methods"]["integrated_gradients"]
    assert values["masks"] is None and score["shares"] is None and score["pointing"] is None
    # Directions repeat after a turn: no distance is more than half of one.
    assert 0 < score["deletion_deg"] < 180 and score["completeness"]["change_deg"] < 180


def explained(gazegan, network, store, out):
    """What is told of all eyes of a store."""
    height, width = open_store(store).size
    config, data = network.config.model_dump(mode="json"), {"height": height, "width": width}
    info = {"config": {"network": config}, "data": {"channels": 1, **data}, "step": 1}
    weights = out.with_suffix(".safetensors")
    save_weights(weights, network, "gaze", info)
    done = gazegan(
        "explain", "--weights", weights, "--data", store, "--out", out, "--count", 99, "--json"
    )
    return json.loads(done.stdout)


def test_what_a_network_does_not_see_is_not_scored(places, gazegan, tmp_path):
    """One that looks at the middle is scored as the same network is on eyes that were cut out."""
    store = open_store(places / "labelled")
    whole = store.read(range(20))
    cut = replace(whole, image=middle(whole.image, 0.5), masks=middle(whole.masks, 0.5))
    plan = store.manifest.model_copy(update=dict(zip(("height", "width"), cut.size, strict=True)))
    write_store(tmp_path / "cut", plan, lambda indices: cut[list(indices)])
    stores = {0.5: places / "labelled", 1.0: tmp_path / "cut"}
    told, config = {}, RegressorConfig(widths=(4, 4, 8, 8, 8), hidden=8)
    torch.manual_seed(0)
    weights = Regressor(config, 1).state_dict()
    for view, path in stores.items():
        network = Regressor(config.model_copy(update={"view": view}), 1).eval()
        network.load_state_dict(weights)
        told[view] = explained(gazegan, network, path, tmp_path / str(view))
    seen, oracle = told.values()
    for kind in ("attribution", "gradient", "area", "iris_and_pupil"):
        assert seen[kind] == pytest.approx(oracle[kind], abs=1e-6)
    by_method = [one["methods"]["gradient_x_input"] for one in (seen, oracle)]
    assert by_method[0]["pointing"] == pytest.approx(by_method[1]["pointing"])
    assert seen["chance"]["pointing"] == pytest.approx(oracle["chance"]["pointing"])
    alike = [[stage["correlation"] for stage in one["randomised"]] for one in by_method]
    assert alike[0] == pytest.approx(alike[1], abs=1e-4)
    drawn = torch.rand(20, *whole.size, generator=rng.stream(0, "explain", "order"))
    # What stands in for pixels that are away is that of the image with its rim.
    parts = (middle(part, 0.5) for part in (whole.image, explain.faded(whole.image), drawn))
    removed = explain.removal(network, *parts)
    for name in ("deletion", "insertion"):
        expected = float(explain.area_under(getattr(removed, name)).mean())
        assert seen["chance"][f"{name}_deg"] == pytest.approx(expected, rel=1e-3)


def test_masks_can_be_predicted_and_are_marked(places, gazegan, tmp_path, monkeypatch):
    short = inverse.Plan(starts=2, kept=1, coarse=1, fine=1)
    monkeypatch.setattr(inverse, "Plan", lambda: short)
    done = gazegan(
        "explain", "--weights", places / "angles.safetensors", "--data", places / "unlabelled",
        "--out", tmp_path, "--count", 2, "--predict-masks", "webcam",
    )  # fmt: skip
    values = json.loads((tmp_path / "explain.json").read_text())
    assert values["masks"] == "predicted" and "masks predicted with webcam" in done.stdout
    assert sum(values["attribution"].values()) == pytest.approx(1)
    assert 0 < values["lids"]["area"] < 1


def test_masks_that_are_there_are_not_predicted(places, fault_of, tmp_path):
    start = ("explain", "--weights", places / "angles.safetensors", "--data", places / "labelled")
    fault = fault_of(*start, "--out", tmp_path / "out", "--predict-masks", "webcam")
    assert "--predict-masks webcam" in fault.message and "has masks of its own" in fault.message
    assert fault.exit_code == 2 and not (tmp_path / "out").exists()


def test_predicted_masks_are_those_of_the_recipes_own_light(tmp_path, monkeypatch):
    """Glint is what the tear film mirrors of a panorama, too."""
    light = np.zeros((8, 16, 3), np.float32)
    light[2:4, 6:10] = 40
    np.save(tmp_path / "room.npy", light)
    recipe = tmp_path / "room.toml"
    lines = 'name = "room"\n[image]\nheight = 24\nwidth = 40\n[light]\npanorama = "room.npy"\n'
    recipe.write_text(lines)
    eyes = render_indices(load_recipe(recipe), 0, torch.arange(4))
    params = sample(load_recipe(recipe), 0, torch.arange(4))
    known = SimpleNamespace(params=params, seed=rng.bits(torch.arange(4), 0, "texture"))
    monkeypatch.setattr(inverse, "recover", lambda *_: known)
    found = predicted(replace(eyes, masks=None), str(recipe), 0, True)
    torch.testing.assert_close(found.masks, eyes.masks, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give one of them"),
        (["--data", "x", "--scenes", "webcam"], "give one of them"),
        (["--data", "x", "--refiner", "y"], "--refiner goes with --scenes"),
        (["--scenes", "webcam", "--method", "occlusion"], "go with --data"),
        (["--scenes", "portrait"], "single eyes"),
        (["--scenes", "nowhere"], "no such recipe"),
    ],
)
def test_what_does_not_go_together_is_refused(places, fault_of, tmp_path, words, message):
    out = tmp_path / "out"
    fault = fault_of("explain", "--weights", places / "angles.safetensors", "--out", out, *words)
    assert message in fault.message and fault.exit_code == 2
    assert not out.exists()
