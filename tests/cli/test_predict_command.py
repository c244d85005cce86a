"""`gazegan predict` writes what the network answers, on eyes that nobody labelled."""

import csv
import json
from dataclasses import replace

import pytest
import torch

from gazegan.data.manifest import Manifest
from gazegan.data.store import open_store, write_store
from gazegan.geometry import direction_from_cos_sin, mirror_angles
from gazegan.render.prior import load_recipe, sample
from gazegan.schema import MASKS
from gazegan.train.checkpoint import load_weights


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def output_of(places, target, store, mirrored=False):
    network, _ = load_weights(places / f"{target}.safetensors", "gaze")
    store = open_store(store)
    image = store.read(range(len(store))).image
    with torch.no_grad():
        output = network(image)
        if mirrored:
            output = (output + mirror_angles(network(image.flip(-1)))) / 2
    return output


@pytest.mark.parametrize("mirrored", [False, True])
def test_answers_are_the_networks(places, gazegan, tmp_path, mirrored):
    store, out = places / "unlabelled", tmp_path / "new" / "gaze.csv"
    more = ("--mirror-average",) if mirrored else ()
    done = gazegan(
        "predict", "--weights", places / "angles.safetensors", "--data", store, "--out", out, *more
    )
    known = torch.rad2deg(output_of(places, "angles", store, mirrored))
    rows = rows_of(out)
    assert [int(row["index"]) for row in rows] == list(range(len(known)))
    said = [[float(row[f"predicted_{axis}_deg"]) for axis in ("pitch", "yaw")] for row in rows]
    torch.testing.assert_close(torch.tensor(said), known, atol=1e-3, rtol=0)
    assert not {"error_deg", "pitch_deg"} & set(rows[0])
    assert f"{len(known)} eyes in {out}" in done.stdout
    assert f"pitch {known[:, 0].mean():.1f} ± {known[:, 0].std(correction=0):.1f}" in done.stdout


def test_directions_and_several_stores_become_one_table(places, gazegan, tmp_path):
    out = tmp_path / "gaze.csv"
    stores = [places / "unlabelled", places / "labelled"]
    data = [word for store in stores for word in ("--data", store)]
    weights = places / "direction.safetensors"
    done = gazegan("predict", "--weights", weights, *data, "--out", out, "--json")
    rows = rows_of(out)
    known = torch.cat([
        direction_from_cos_sin(output_of(places, "direction", store)) for store in stores
    ])  # fmt: skip
    said = torch.tensor([float(row["predicted_direction_deg"]) for row in rows])
    torch.testing.assert_close(said, known, atol=1e-3, rtol=0)
    assert json.loads(done.stdout) == {"count": len(rows), "out": str(out)}
    assert {row["store"] for row in rows} == {"unlabelled", "labelled"}


def test_unlabelled_eyes_of_known_people_are_aligned_to_a_recipe(
    places, gazegan, fault_of, tmp_path
):
    batch = open_store(places / "labelled").read(range(20))
    mine = replace(batch, gaze=None, head=None, subject=torch.arange(20) // 10, side=None)
    plan = Manifest(
        kind="real", count=20, channels=1, height=batch.size[0], width=batch.size[1], masks=MASKS,
        subjects=("ann", "bob"),
    )  # fmt: skip
    write_store(tmp_path / "mine", plan, lambda indices: mine[list(indices)])
    start = ("predict", "--weights", places / "angles.safetensors", "--data", tmp_path / "mine")
    spreads = {}
    for name, more in (("plain", ()), ("aligned", ("--align", "--align-to", "webcam"))):
        gazegan(*start, *more, "--out", tmp_path / f"{name}.csv")
        rows = rows_of(tmp_path / f"{name}.csv")
        yaw = torch.tensor([float(row["predicted_yaw_deg"]) for row in rows])
        spreads[name] = yaw.view(2, 10).std(1, correction=0)
        assert [row["subject"] for row in rows] == ["ann"] * 10 + ["bob"] * 10
    torch.testing.assert_close(spreads["aligned"][0], spreads["aligned"][1], atol=1e-3, rtol=0)
    asked = sample(load_recipe("webcam"), 1, torch.arange(4000)).gaze_yaw.std()
    torch.testing.assert_close(spreads["aligned"].mean(), asked, atol=0, rtol=0.03)
    assert spreads["plain"].max() < asked / 10
    few = Manifest(
        kind="real", count=8, channels=1, height=batch.size[0], width=batch.size[1], masks=MASKS,
        subjects=("ann", "bob"),
    )  # fmt: skip
    write_store(tmp_path / "few", few, lambda indices: mine[list(indices)])
    start = (*start[:3], "--data", tmp_path / "few", "--align-to", "webcam", "--out")
    gazegan(*start, tmp_path / "few.csv")
    fault = fault_of(*start, tmp_path / "none.csv", "--align")
    assert "Error: --align, --data" in fault.message and "spread takes 10" in fault.message


def test_what_cannot_be_predicted_is_refused(places, fault_of, tmp_path):
    weights = places / "angles.safetensors"
    start = ("predict", "--weights", weights, "--data", places / "unlabelled", "--out")
    assert "name a .csv file" in fault_of(*start, tmp_path / "gaze.txt").message
    out = tmp_path / "gaze.csv"
    assert "whose each eye is" in fault_of(*start, out, "--align-to", "webcam").message
    colour = ("predict", "--weights", weights, "--data", places / "colour", "--out", out)
    assert "grey" in fault_of(*colour).message
    assert not out.exists()
