"""Panoramas against float64 sums over the sphere; files that are refused, changed or moved."""

import json
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from PIL import Image as Pillow
from scenes import SMALL, draw

from gazegan.data.rendered import write_rendered
from gazegan.errors import UserError
from gazegan.render import effects, panorama
from gazegan.render.params import mirrored
from gazegan.render.prior import Light, load_recipe
from gazegan.render.scene import render, render_indices

RECIPE = 'name = "room"\n[image]\nheight = 24\nwidth = 40\n[light]\npanorama = "room.npy"\n'


def directions(height, width):
    """Unit directions of an equirectangular map's pixels and their solid angles, by its rule.

    The middle faces the eye (-z), the right side is the eye's right (-x), the top is up (-y).
    """
    ways, solid = np.empty((height, width, 3)), np.empty((height, width))
    for i in range(height):
        up = np.pi * (0.5 - (i + 0.5) / height)
        for j in range(width):
            right = 2 * np.pi * ((j + 0.5) / width - 0.5)
            ways[i, j] = -np.cos(up) * np.sin(right), -np.sin(up), -np.cos(up) * np.cos(right)
            solid[i, j] = np.cos(up) * np.pi / height * 2 * np.pi / width
    return ways, solid


WAYS, SOLID = directions(64, 128)
NORMALS = np.random.default_rng(0).normal(size=(40, 3))
NORMALS /= np.linalg.norm(NORMALS, axis=1, keepdims=True)


def smooth(seed):
    """A map of a few soft lights on a floor of even light."""
    rng = np.random.default_rng(seed)
    centres, colours = rng.normal(size=(4, 3)), rng.uniform(0, 2, (4, 3))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return 0.3 + np.exp(2 * (WAYS @ centres.T - 1)) @ colours


def sky(values, turn=0.0):
    return panorama.sky(panorama.build(values), torch.tensor([[[turn]]]), grey=False)


def columns(vectors):
    """Vectors `[N, 3]` as `[3, 1, 1, N]`."""
    return torch.tensor(np.asarray(vectors), dtype=torch.float32).T[:, None, None]


def around(vectors, turn_deg):
    """Turn directions about the vertical toward the image's right."""
    t = np.radians(turn_deg)
    x, y, z = np.asarray(vectors).T
    return np.stack((x * np.cos(t) - z * np.sin(t), y, z * np.cos(t) + x * np.sin(t)), -1)


@given(seed=st.integers(0, 1000), turn=st.floats(-180, 180))
@settings(deadline=None, max_examples=10)
def test_irradiance_of_smooth_maps_against_sums_over_the_sphere(seed, turn):
    values = smooth(seed)
    scale = panorama.MEAN * 4 * np.pi / (values.mean(2) * SOLID).sum()
    cosines = np.clip(NORMALS @ WAYS.reshape(-1, 3).T, 0, None) * SOLID.ravel()
    known = scale * cosines @ values.reshape(-1, 3) / np.pi
    found = panorama.irradiance(sky(values, turn), columns(around(NORMALS, turn)))
    assert_allclose(found[:, 0, 0].T, known, rtol=0.03)


def test_an_even_map_lights_evenly():
    around_ = sky(np.full((16, 32, 3), 5.0))
    for found in (
        panorama.irradiance(around_, columns(NORMALS)),
        panorama.radiance(around_, columns(NORMALS), torch.tensor(0.1)),
    ):
        assert_allclose(found, panorama.MEAN, rtol=3e-3)


@given(turn=st.floats(-180, 180))
@settings(deadline=None, max_examples=20)
def test_reflections_look_up_the_map_where_they_point(turn):
    values = smooth(3)
    scale = panorama.MEAN * 4 * np.pi / (values.mean(2) * SOLID).sum()
    at = np.random.default_rng(1).integers((4, 0), (60, 128), size=(50, 2))
    ways = around(WAYS[at[:, 0], at[:, 1]], turn)
    found = panorama.radiance(sky(values, turn), columns(ways), torch.tensor(0.0))
    assert_allclose(found[:, 0, 0].T, scale * values[at[:, 0], at[:, 1]], rtol=0.02)
    seam = panorama.radiance(sky(values), columns([[1e-4, 0, 1], [-1e-4, 0, 1]]), torch.tensor(0.0))
    assert_allclose(seam[..., 0], seam[..., 1], rtol=1e-3)


def test_the_mirrored_scene_in_the_mirrored_room_gives_the_mirror_image():
    params, textures = draw(4, noise=0, glasses=0, panorama_turn=40, light_ambient=1)
    values, plain = smooth(5), effects.of_params(params)

    def shown(p, room):
        needs = type(plain)(**{**vars(plain), "panorama": panorama.build(room)})
        return render(p, textures, SMALL, needs).image

    here, there = shown(params, values), shown(mirrored(params), values[:, ::-1])
    torch.testing.assert_close(there.flip(-1), here, atol=2e-3, rtol=0)
    assert (shown(mirrored(params), values).flip(-1) - here).abs().max() > 5e-3


@pytest.fixture
def room(tmp_path):
    (tmp_path / "rooms").mkdir()
    np.save(tmp_path / "rooms" / "room.npy", smooth(1).astype(np.float32))
    (tmp_path / "rooms" / "room.toml").write_text(RECIPE)
    return tmp_path / "rooms" / "room.toml"


def test_a_recipe_finds_its_panorama_from_anywhere_and_pins_it(room, tmp_path, monkeypatch):
    loaded = load_recipe(room)
    assert len(loaded.light.sha256) == 64
    monkeypatch.chdir(tmp_path)
    near = load_recipe("rooms/room.toml")
    assert near.light == Light(panorama="rooms/room.npy", sha256=loaded.light.sha256)
    assert load_recipe("webcam", ("light.panorama=rooms/room.npy",)).light == near.light
    eyes = [render_indices(r, 0, torch.arange(3)).image for r in (near, loaded)]
    assert torch.equal(*eyes)
    plain = loaded.model_copy(update={"light": Light()})
    assert not torch.equal(render_indices(plain, 0, torch.arange(3)).image, eyes[0])


def test_a_store_knows_its_panorama_and_refuses_another(room, tmp_path):
    loaded = load_recipe(room)
    store = tmp_path / "store"
    write_rendered(loaded, 0, 4, store)
    recipe = json.loads((store / "manifest.json").read_text())["recipe"]
    assert recipe["light"]["sha256"] == loaded.light.sha256
    np.save(room.with_name("room.npy"), smooth(2).astype(np.float32))
    with pytest.raises(UserError, match=r"sha256: '.*' -> "):
        write_rendered(load_recipe(room), 0, 4, store)
    panorama.load.cache_clear()  # as another process
    with pytest.raises(UserError, match="another SHA-256"):
        write_rendered(loaded, 0, 4, store)


@pytest.mark.parametrize("finished", [True, False])
def test_a_store_goes_on_from_another_folder(room, tmp_path, monkeypatch, finished):
    """Paths count from where a command runs; the panorama's bytes are what counts."""

    def halted(count):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    store, loaded = tmp_path / "store", load_recipe("rooms/room.toml")
    with nullcontext() if finished else pytest.raises(KeyboardInterrupt):
        write_rendered(loaded, 0, 4, store, progress=None if finished else halted)
    monkeypatch.chdir(room.parent)
    near = load_recipe("room.toml")
    assert near.light != loaded.light
    assert len(write_rendered(near, 0, 4, store)) == 4
    other = load_recipe("room.toml", ("image.bayer=true",))
    with pytest.raises(UserError, match="another configuration"):
        write_rendered(other, 0, 4, store)


def faulty(folder):
    """Files that are no panorama, and the cure that each is answered with."""
    values = {"nan": np.full((8, 16), np.nan), "dark": np.zeros((8, 16)), "thin": np.ones((2, 2))}
    values["four"] = np.ones((8, 16, 4))
    values["named"] = np.zeros((8, 16), [("red", "f4"), ("green", "f4")])
    for name, array in values.items():
        np.save(folder / f"{name}.npy", array)
    np.savez(folder / "many.npz", values["thin"])
    (folder / "many.npz").rename(folder / "many.npy")
    (folder / "text.png").write_text("no image")
    (folder / "cut.npy").write_bytes((folder / "four.npy").read_bytes()[:200])
    return {
        **{"nan.npy": "finite", "dark.npy": "all black", "thin.npy": "at least 4 x 4"},
        **{"four.npy": r"\[H, W, 3\]", "text.png": "not an image", "cut.npy": "not an image"},
        **{"none.png": "check the path", "room.gif": "name a .png, .jpg or .npy"},
        **{"named.npy": "not an image", "many.npy": "not an image"},
    }


def test_files_that_are_no_panorama_are_refused_by_name(tmp_path):
    for name, cure in faulty(tmp_path).items():
        recipe = tmp_path / "r.toml"
        recipe.write_text(RECIPE.replace("room.npy", name))
        with pytest.raises(UserError, match=cure) as fault:
            load_recipe(recipe)
        assert name in str(fault.value) and "light.panorama" in str(fault.value)
        assert "\n" not in str(fault.value)


def test_pictures_are_read_as_srgb(tmp_path):
    levels = np.linspace(20, 250, 16 * 8).reshape(8, 16).astype(np.uint8)
    Pillow.fromarray(levels).save(tmp_path / "grey.png")
    known = np.where(levels / 255 > 0.04045, ((levels / 255 + 0.055) / 1.055) ** 2.4, 0)
    found = panorama.load(str(tmp_path / "grey.png"))
    built = panorama.build(np.repeat(known[..., None], 3, 2))
    assert_allclose(found.moments, built.moments, rtol=1e-5, atol=1e-6)
