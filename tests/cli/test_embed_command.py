"""`gazegan embed` from the command line, and TensorBoard as the reader of its projector."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from scipy.spatial.distance import pdist
from sklearn.manifold import trustworthiness
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client

from gazegan.cli import main
from gazegan.cli.projector import sprite, write_projector
from gazegan.data.manifest import Manifest
from gazegan.data.store import open_store, write_store
from gazegan.nets.features import last_hidden
from gazegan.render.prior import load_recipe
from gazegan.render.scene import render_indices
from gazegan.schema import LANDMARKS, MASKS, ORIGINS, EyeBatch
from gazegan.train.checkpoint import load_weights

PEOPLE = ("ann", "bob", "cid", "dot")
COUNT = 24


def made(seed: int, count: int = COUNT, channels: int = 1, *changes: str) -> EyeBatch:
    size = ("image.height=16", "image.width=24", f"image.channels={channels}")
    return render_indices(load_recipe("webcam", (*size, *changes)), seed, torch.arange(count))


def kept(path: Path, batch: EyeBatch, kind: str) -> Path:
    """Write a batch as a store of a kind; photographs are of four people and have names."""
    real, (height, width) = kind == "real", batch.size
    plan = Manifest(
        kind=kind, count=len(batch), channels=batch.channels, height=height, width=width,
        masks=MASKS, landmarks=LANDMARKS, subjects=PEOPLE if real else (),
        names=tuple(f"{k}\t.png" for k in range(len(batch))) if real else (),
    )  # fmt: skip
    origin = torch.full((len(batch),), ORIGINS.index(kind))
    people = torch.arange(len(batch)) % 4 if real else None
    whole = replace(batch, origin=origin, subject=people, params=None)
    write_store(path, plan, lambda indices: whole[list(indices)])
    return path


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embed")
    kept(folder / "photos", made(1), "real")
    kept(folder / "same", made(2), "refined")
    kept(folder / "dark", made(3, COUNT, 1, "eyes.exposure=-2.5"), "rendered")
    kept(folder / "few", made(1, 9), "real")
    kept(folder / "colour", made(1, COUNT, 3), "real")
    return folder


def words(stores: Path, out: Path) -> list[str]:
    pairs = [("--data", stores / name) for name in ("photos", "dark", "same")]
    data = [str(word) for pair in pairs for word in pair]
    return ["embed", *data, "--perplexity", "8", "--out", str(out)]


@pytest.fixture(scope="module")
def done(stores: Path) -> tuple[Path, dict]:
    """A folder of results, and what `--json` told of them."""
    out = stores / "out"
    told = CliRunner().invoke(main, [*words(stores, out), "--json"], catch_exceptions=False)
    return out, json.loads(told.stdout)


def points(folder: Path, name: str) -> np.ndarray:
    return np.loadtxt(folder / "projector" / f"{name}.tsv", delimiter="\t")


def test_the_map_stands_beside_its_validation(done, stores):
    out, values = done
    assert json.loads((out / "embed.json").read_text()) == values
    assert values["count"] == 3 * COUNT
    assert [row["origin"] for row in values["data"]] == ["real", "rendered", "refined"]
    text = (out / "projector/metadata.tsv").read_text()
    read = list(csv.DictReader(io.StringIO(text), delimiter="\t"))
    image = [open_store(Path(row["data"])).read([int(row["index"])]).image for row in read]
    pixels, drawn = torch.cat(image).flatten(1).numpy(), points(out, "map")[:, :2]
    for name, pair in (("trustworthiness", (pixels, drawn)), ("continuity", (drawn, pixels))):
        expected = trustworthiness(*pair, n_neighbors=10)
        assert values["map"]["tsne"][name] == pytest.approx(expected, abs=1e-3)
    assert read[1]["subject"] == "bob" and read[1]["name"] == "1 .png"
    assert read[-1]["subject"] == "" and read[-1]["origin"] == "refined"
    gazes = torch.rad2deg(open_store(stores / "same").read([COUNT - 1]).gaze[0])
    assert [read[-1]["pitch_deg"], read[-1]["yaw_deg"]] == [f"{x:.2f}" for x in gazes.tolist()]
    with Image.open(out / "embed.png") as picture:
        assert picture.size[0] > 1000


def test_what_differs_is_told_from_photographs_and_halves_are_not(done, stores):
    _, values = done
    rows = {Path(row["images"]).name: row["splits"] for row in values["apart"]}
    assert list(rows) == ["two halves", "other people", "dark", "same"]
    assert [len(splits) for splits in rows.values()] == [10, 10, 1, 1]
    assert rows["dark"][0]["p_value"] == 0.001
    assert rows["dark"][0]["linear_auc"] > 0.95
    assert rows["dark"][0]["map_neighbour_auc"] > 0.9
    assert rows["same"][0]["p_value"] > 0.01
    assert np.mean([one["linear_auc"] for one in rows["two halves"]]) == pytest.approx(0.5, abs=0.2)
    assert values["reference"] == str(stores / "photos")
    assert f"does not surely tell {stores / 'same'}" in values["verdict"]
    assert f"tells {stores / 'dark'} from {stores / 'photos'} with AUC" in values["verdict"]


def test_results_are_repeated_and_those_of_other_settings_stay(done, stores, gazegan, fault_of):
    out, values = done
    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert {path.name for path in files} == {
        "embed.json", "embed.png", "features.tsv", "map.tsv", "metadata.tsv",
        "projector_config.pbtxt", "sprite.png",
    }  # fmt: skip
    text = gazegan(*words(stores, out)).stdout
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == files
    assert values["verdict"] in text
    assert "t-SNE, shuffled" in text and "<= 0.001" in text
    fault = fault_of(*words(stores, out), "--colour", "origin")
    assert "other settings" in fault.message


def test_a_gaze_networks_features_are_what_its_last_layer_reads(places, stores, gazegan, tmp_path):
    weights = places / "angles.safetensors"
    network, _ = load_weights(weights, "gaze")
    image = torch.cat([open_store(stores / n).read(range(COUNT)).image for n in ("photos", "same")])
    with torch.no_grad():
        hidden = last_hidden(network.eval(), image)
        torch.testing.assert_close(network.head[-1](hidden), network(image))
    assert not network.head[-1]._forward_pre_hooks
    start = ("embed", "--data", stores / "photos", "--data", stores / "same", "--perplexity", 8)
    gazegan(*start, "--features", weights, "--out", tmp_path)
    unit = (hidden - hidden.mean(0)) / hidden.std(0).clamp_min(1e-6)
    found, unit = points(tmp_path, "features"), unit.double().numpy()
    np.testing.assert_allclose(pdist(found), pdist(unit), rtol=1e-3)


def test_a_gaze_network_reads_recipes_and_folders_too(places, gazegan, fault_of, tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for k, image in enumerate(made(4).image):
        grey = (255 * image[0]).round().to(torch.uint8).numpy()
        Image.fromarray(grey).save(folder / f"{k}.png")
    recipe = tmp_path / "small.toml"
    recipe.write_text("[image]\nheight = 16\nwidth = 24\n")
    start = ("embed", "--perplexity", 8, "--count", COUNT, "--features")
    data = ("--data", recipe, "--data", folder)
    gazegan(*start, places / "angles.safetensors", *data, "--out", tmp_path / "out")
    assert points(tmp_path / "out", "features").shape[0] == 2 * COUNT

    words = ["--steps", "2", "--batch", "8", "--head-yaw", "--out", tmp_path / "run"]
    gazegan("train", "gaze", "--data", places / "labelled", *words)
    fault = fault_of(*start, tmp_path / "run", *data, "--out", tmp_path / "yaw").message
    assert f"--features {tmp_path / 'run'} reads the head's yaw, which --data {folder}" in fault
    fault = fault_of(
        *start, places / "angles.safetensors", "--data", "webcam", "--out", tmp_path / "large"
    ).message
    assert "16x24 grey eyes, but --data webcam: 36x60 grey" in fault


def test_tensorboard_shows_what_is_written(tmp_path):
    image, at = torch.rand(7, 1, 4, 6), torch.randn(7, 2)
    columns = {"name": [f"a\tb{k}" for k in range(7)], "side": ["L", ""] * 3 + ["R"]}
    write_projector(tmp_path, {"features": torch.randn(7, 60), "map": at}, columns, image)
    provider = MultiplexerDataProvider(EventMultiplexer(), str(tmp_path))
    plugin = ProjectorPlugin(TBContext(logdir=str(tmp_path), data_provider=provider))
    routes = plugin.get_plugin_apps()

    def asked(route: str, **words: object) -> bytes:
        found = Client(routes[route]).get(route, query_string={"run": ".", **words})
        assert found.status_code == 200, found.text
        return found.data

    assert json.loads(asked("/runs")) == ["."]
    shapes = {e["tensorName"]: e["tensorShape"] for e in json.loads(asked("/info"))["embeddings"]}
    assert shapes == {"features": [7, 50], "map": [7, 3]}
    served = np.frombuffer(asked("/tensor", name="map"), np.float32).reshape(7, 3)
    np.testing.assert_allclose(served[:, :2], at, rtol=1e-5)
    lines = asked("/metadata", name="map").decode().splitlines()
    assert lines[:2] == ["name\tside", "a b0\tL"] and len(lines) == 8
    with Image.open(io.BytesIO(asked("/sprite_image", name="map"))) as sheet:
        assert sheet.size == (3 * 6, 3 * 6)
        grey, solid = np.moveaxis(np.asarray(sheet)[6:12, 6:12] / 255, -1, 0)
    np.testing.assert_allclose(grey[1:5], image[4, 0], atol=0.5 / 255 + 1e-6)
    assert solid[1:5].min() == 1 and solid[[0, 5]].max() == 0


@pytest.mark.parametrize(("channels", "size"), [(3, (40, 300)), (1, (2000, 20))])
def test_large_pictures_are_made_smaller(channels, size):
    data, sides = sprite(torch.rand(5, channels, *size))
    assert sides == (96, 96)
    with Image.open(io.BytesIO(data)) as sheet:
        assert sheet.size == (3 * 96, 2 * 96)
        assert sheet.mode == ("LA" if channels == 1 else "RGBA")


def test_what_cannot_be_mapped_is_one_line(stores, fault_of, tmp_path):
    def said(*words: object) -> str:
        fault = fault_of("embed", "--out", tmp_path, *words)
        assert fault.exit_code == 2
        return fault.message

    photos = ("--data", stores / "photos")
    assert "9 eyes are too few" in said(*photos, "--data", stores / "few")
    assert "16x24 colour" in said(*photos, "--data", stores / "colour")
    assert "given twice" in said(*photos, *photos)
    assert "at least 90" in said(*photos, "--data", stores / "same")
    assert "--features nowhere: neither" in said(*photos, "--features", "nowhere")
    assert "--colour subject" in said("--data", stores / "same", "--colour", "subject")
    assert "nowhere" in said("--data", stores / "nowhere")
    (tmp_path / "one").mkdir()
    for k in range(16):
        Image.new("L", (24, 16), 90).save(tmp_path / "one" / f"{k}.png")
    alike = said("--data", tmp_path / "one", "--features", "network")
    assert "to --features network these eyes are all alike" in alike
