"""`gazegan predict` writes what the network answers, on eyes that nobody labelled."""

import csv
import json
from dataclasses import replace

import pytest
import torch

from gazegan.data.manifest import Manifest
from gazegan.data.store import open_store, write_store
from gazegan.geometry import direction_from_cos_sin, mirror_angles, vector_from_angles
from gazegan.render.prior import load_recipe, sample
from gazegan.schema import MASKS
from gazegan.train.checkpoint import load_weights, save_weights


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
    assert {row["store"] for row in rows} == set(map(str, stores))
    assert {row["side"] for row in rows} == {"L"}


def people(places, folder, count=20):
    """A store of two people's eyes without labels."""
    batch = open_store(places / "labelled").read(range(count))
    mine = replace(batch, gaze=None, head=None, subject=torch.arange(count) // 10, side=None)
    plan = Manifest(
        kind="real", count=count, channels=1, height=batch.size[0], width=batch.size[1],
        masks=MASKS, subjects=("ann", "bob"),
    )  # fmt: skip
    return write_store(folder, plan, lambda indices: mine[list(indices)])


def test_unlabelled_eyes_of_known_people_are_aligned_to_a_recipe(
    places, gazegan, fault_of, tmp_path
):
    people(places, tmp_path / "mine")
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
    people(places, tmp_path / "few", 8)
    start = (*start[:3], "--data", tmp_path / "few", "--align-to", "webcam", "--out")
    gazegan(*start, tmp_path / "few.csv")
    fault = fault_of(*start, tmp_path / "none.csv", "--align")
    assert "Error: --align, --data" in fault.message and "spread takes 10" in fault.message
    assert fault.message.endswith("; leave --align out")


@pytest.mark.parametrize("more", [(), ("--align", "--align-to", "webcam")])
def test_answers_become_the_labels_of_a_store_to_learn_from(places, gazegan, tmp_path, more):
    source = people(places, tmp_path / "mine")
    start = ("predict", "--weights", places / "angles.safetensors", "--data", source.path, *more)
    gazegan(*start, "--out", tmp_path / "gaze.csv")
    done = gazegan(*start, "--out", tmp_path / "new" / "labelled")
    assert gazegan(*start, "--out", tmp_path / "new" / "labelled").stdout == done.stdout
    made = open_store(tmp_path / "new" / "labelled")
    known, kept = made.read(range(20)), source.read(range(20))
    said = torch.tensor([
        [float(row[f"predicted_{axis}_deg"]) for axis in ("pitch", "yaw")]
        for row in rows_of(tmp_path / "gaze.csv")
    ])  # fmt: skip
    torch.testing.assert_close(torch.rad2deg(known.gaze), said, atol=1e-3, rtol=0)
    assert torch.equal(known.image, kept.image) and torch.equal(known.subject, kept.subject)
    assert made.manifest.subjects == ("ann", "bob") and kept.gaze is None
    assert made.manifest.notes["labels"]["align"] is bool(more)
    how = ("--steps", "2", "--batch", "4", "--out", tmp_path / "run")
    gazegan("train", "gaze", "--data", made.path, *how)
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_other_labels_of_gaze_are_left_out(places, gazegan, tmp_path):
    """Those that would be of another gaze."""
    batch = open_store(places / "labelled").read(range(4))
    mine = replace(batch, optical=torch.zeros(4, 2), gaze_head=torch.zeros(4, 2), subject=None)
    plan = Manifest(
        kind="real", count=4, channels=1, height=batch.size[0], width=batch.size[1], masks=MASKS
    )
    write_store(tmp_path / "mine", plan, lambda indices: mine[list(indices)])
    weights = places / "angles.safetensors"
    start = ("predict", "--weights", weights, "--data", tmp_path / "mine")
    gazegan(*start, "--out", tmp_path / "labelled")
    assert not {"optical", "gaze_head"} & set(open_store(tmp_path / "labelled").fields)


def test_answers_that_cannot_be_labels_are_refused(places, gazegan, fault_of, tmp_path):
    data, out = ("--data", places / "unlabelled"), ("--out", tmp_path / "labelled")
    other = ("--data", places / "more")
    angles = ("predict", "--weights", places / "angles.safetensors")
    directions = ("predict", "--weights", places / "direction.safetensors", *data, *out)
    assert "needs angles" in fault_of(*directions).message
    assert "one --data, and there are 2" in fault_of(*angles, *data, *other, *out).message
    assert "leave out --by-face" in fault_of(*angles, *data, *out, "--by-face").message
    assert not (tmp_path / "labelled").exists()
    gazegan(*angles, *data, *out)
    other = fault_of(*angles, *data, *out, "--mirror-average")
    assert "labels" in other.message and "mirror_average" in other.message


def test_what_cannot_be_predicted_is_refused(places, fault_of, tmp_path):
    weights = places / "angles.safetensors"
    start = ("predict", "--weights", weights, "--data", places / "unlabelled", "--out")
    assert "name a .csv file" in fault_of(*start, tmp_path / "gaze.txt").message
    out = tmp_path / "gaze.csv"
    assert "whose each eye is" in fault_of(*start, out, "--align-to", "webcam").message
    colour = ("predict", "--weights", weights, "--data", places / "colour", "--out", out)
    assert "grey" in fault_of(*colour).message
    assert not out.exists()


def test_a_table_of_something_else_is_not_overwritten(places, gazegan, fault_of, tmp_path):
    """Such as one of labels, in the place of which answers might be written."""
    start = ("predict", "--weights", places / "angles.safetensors", "--data", places / "unlabelled")
    mine = tmp_path / "labels.csv"
    mine.write_text("file,pitch_deg,yaw_deg")
    assert "no table of answers" in fault_of(*start, "--out", mine).message
    assert mine.read_text() == "file,pitch_deg,yaw_deg"
    for _ in range(2):
        gazegan(*start, "--out", tmp_path / "gaze.csv")


def test_angles_beyond_a_turn_are_named_by_those_within(places, gazegan, tmp_path):
    """As of a network that was trained badly, or sees what it never learned."""
    network, info = load_weights(places / "angles.safetensors", "gaze")
    batch, last = open_store(places / "labelled").read(range(20)), network.head[-1]
    with torch.no_grad():
        said = network(batch.image)
        scale = 2.5 / said.std(0)
        last.weight.mul_(scale[:, None])
        last.bias.copy_(scale * (last.bias - said.mean(0)))
        output = network(batch.image)
    wild = tmp_path / "wild.safetensors"
    save_weights(wild, network, "gaze", {key: info[key] for key in ("config", "data", "step")})
    raw = torch.rad2deg(output)
    assert raw[:, 0].abs().max() > 90 and raw[:, 1].abs().max() > 180
    start = ("--weights", wild, "--data", places / "labelled", "--out")
    gazegan("predict", *start, tmp_path / "gaze.csv")
    gazegan("evaluate", *start, tmp_path / "out")
    for table in (tmp_path / "gaze.csv", tmp_path / "out" / "predictions.csv"):
        said = torch.tensor([
            [float(row[f"predicted_{axis}_deg"]) for axis in ("pitch", "yaw")]
            for row in rows_of(table)
        ])  # fmt: skip
        assert said[:, 0].abs().max() <= 90 and said[:, 1].abs().max() <= 180
        vectors = (vector_from_angles(one) for one in (torch.deg2rad(said), output))
        torch.testing.assert_close(*vectors, atol=1e-4, rtol=0)
        within = (raw[:, 0].abs() < 90) & (raw[:, 1].abs() < 180)
        assert 0 < within.sum() < 20
        torch.testing.assert_close(said[within], raw[within], atol=1e-3, rtol=0)
