"""`gazegan evaluate` says what the metrics say, and refuses what it cannot score."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import ot
import pytest
import torch
from PIL import Image
from scipy.stats import wasserstein_distance

from gazegan import geometry, metrics
from gazegan.align import estimated, gazes_of
from gazegan.data.manifest import Manifest
from gazegan.data.store import open_store, write_store
from gazegan.geometry import angular_error_deg
from gazegan.predict import predict
from gazegan.render.prior import load_recipe, sample
from gazegan.schema import MASKS
from gazegan.train.checkpoint import load_weights


def direct(places, target="angles", mirrored=False):
    """Outputs of the network on the labelled store, without the command's help."""
    network, _ = load_weights(places / f"{target}.safetensors", "gaze")
    batch = open_store(places / "labelled").read(range(20))
    with torch.no_grad():
        output = network(batch.image)
        if mirrored:
            back = network(batch.image.flip(-1))
            sign = torch.tensor([1.0, -1.0] if target == "angles" else [-1.0, 1.0])
            output = (output + back * sign) / 2
    return output, batch


def rows_of(out):
    text = (out / "predictions.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize("mirrored", [False, True])
def test_json_is_one_object_of_the_metrics(places, gazegan, mirrored):
    flags = ["--mirror-average"] if mirrored else []
    weights, store = places / "angles.safetensors", places / "labelled"
    done = gazegan(
        "evaluate", "--weights", weights, "--data", store, "--batch", 7, "--json", *flags
    )
    values = json.loads(done.stdout)
    output, batch = direct(places, mirrored=mirrored)
    report = metrics.gaze_report(output, batch.gaze)
    assert values["count"] == 20
    for key in ("mean_deg", "median_deg", "p95_deg", "constant_deg", "zero_deg", "within_10_deg"):
        assert values[key] == pytest.approx(report.to_dict()[key], rel=1e-5)
    assert [group["subject"] for group in values["subjects"]] == ["ann", "bob"]
    assert [group["head_yaw_deg"] for group in values["heads"]] == [-15, 15]
    assert sum(group["count"] for group in values["heads"]) == 19


def test_table_sets_the_constant_beside_the_network(places, gazegan):
    weights, store = places / "angles.safetensors", places / "labelled"
    text = gazegan("evaluate", "--weights", weights, "--data", store).stdout
    values = json.loads(gazegan("evaluate", "--weights", weights, "--data", store, "--json").stdout)
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert f"{values['mean_deg']:.2f}" in lines["network"]
    assert f"{values['constant_deg']:.2f}" in lines["constant: mean gaze"]
    assert f"{values['vertical_slope']:.2f}" in lines["vertical"]
    assert {"ann", "bob", "-15, 0", "15, 0"} <= set(lines)


def test_distances_of_distributions_stand_beside_the_constants(places, gazegan):
    start = ("evaluate", "--data", places / "labelled", "--weights")
    values = json.loads(gazegan(*start, places / "angles.safetensors", "--json").stdout)
    output, batch = direct(places)
    for k, axis in enumerate(("vertical", "horizontal")):
        guess, truth = (torch.rad2deg(x[:, k]).double() for x in (output, batch.gaze))
        found = values[f"{axis}_wasserstein_deg"]
        assert found == pytest.approx(wasserstein_distance(guess, truth), rel=1e-4)
        mean = torch.rad2deg(metrics.mean_gaze(batch.gaze))[k]
        expected = wasserstein_distance([float(mean)], truth)
        assert values[f"{axis}_constant_wasserstein_deg"] == pytest.approx(expected, rel=1e-4)
    text = gazegan(*start, places / "angles.safetensors").stdout
    assert f"horizontal {found:.2f} (constant {expected:.2f})" in text
    values = json.loads(gazegan(*start, places / "direction.safetensors", "--json").stdout)
    output, batch = direct(places, "direction")
    kept = geometry.eccentricity_deg(batch.gaze) >= metrics.MIN_ECCENTRICITY_DEG
    turns = [
        (degrees[kept].double() / 360).numpy()
        for degrees in (geometry.direction_from_cos_sin(output), geometry.direction_deg(batch.gaze))
    ]
    theirs = 360 * ot.wasserstein_circle(*turns, p=1).item()
    assert values["direction_wasserstein_deg"] == pytest.approx(theirs, rel=1e-3)
    # The constant's: everything is carried to the mean direction, along the shorter way.
    assert values["direction_constant_wasserstein_deg"] == pytest.approx(values["constant_deg"])


def test_files_hold_every_prediction(places, gazegan, tmp_path):
    weights, store = places / "angles.safetensors", places / "labelled"
    arguments = ("evaluate", "--weights", weights, "--data", store, "--out", tmp_path / "out")
    gazegan(*arguments)
    out = tmp_path / "out"
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(files) == {"evaluation.json", "curve.png", "scatter.png", "predictions.csv"}
    rows = rows_of(out)
    output, batch = direct(places)
    errors = geometry.angular_error_deg(output, batch.gaze)
    np.testing.assert_allclose([float(r["error_deg"]) for r in rows], errors, atol=2e-3)
    assert [row["subject"] for row in rows[:4]] == ["", "ann", "bob", ""]
    assert rows[0]["head_yaw_deg"] == "" and float(rows[1]["head_yaw_deg"]) == 15
    mean = json.loads(files["evaluation.json"])["mean_deg"]
    assert mean == pytest.approx(np.mean([float(r["error_deg"]) for r in rows]), abs=1e-3)
    with Image.open(out / "curve.png") as picture:
        assert picture.size[0] > 400
    gazegan(*arguments)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files


def test_several_stores_are_scored_as_one(places, gazegan, tmp_path):
    done = gazegan(
        "evaluate", "--weights", places / "angles.safetensors", "--data", places / "labelled",
        "--data", places / "more", "--out", tmp_path, "--json",
    )  # fmt: skip
    values = json.loads(done.stdout)
    assert values["count"] == 27
    assert [group["count"] for group in values["subjects"]] == [7, 6]
    rows = rows_of(tmp_path)
    assert [row["store"] for row in rows] == [str(places / "labelled")] * 20 + [
        str(places / "more")
    ] * 7


def test_directions_are_scored_around_the_circle(places, gazegan, tmp_path):
    weights, store = places / "direction.safetensors", places / "labelled"
    done = gazegan("evaluate", "--weights", weights, "--data", store, "--out", tmp_path, "--json")
    values = json.loads(done.stdout)
    output, batch = direct(places, "direction")
    report = metrics.direction_report(output, batch.gaze)
    assert values["target"] == "direction" and values["zero_deg"] is None
    assert values["mean_deg"] == pytest.approx(report.errors.mean_deg, rel=1e-5)
    assert values["constant_deg"] == pytest.approx(report.constant.mean_deg, rel=1e-5)
    rows = rows_of(tmp_path)
    errors = [float(row["error_deg"]) for row in rows if row["error_deg"]]
    assert len(errors) == values["count"] == 20 - values["left_out"]
    assert math.isclose(np.mean(errors), values["mean_deg"], abs_tol=1e-3)
    assert "direction" in gazegan("evaluate", "--weights", weights, "--data", store).stdout


def test_answers_in_angles_are_scored_by_their_direction(places, gazegan, tmp_path, fault_of):
    start = ("evaluate", "--direction", "--data", places / "labelled", "--out", tmp_path / "out")
    values = json.loads(
        gazegan(*start, "--weights", places / "angles.safetensors", "--json").stdout
    )
    output, batch = direct(places, "angles")
    pitch, yaw = output.double().numpy().T
    ahead = np.stack((-np.cos(pitch) * np.sin(yaw), np.sin(pitch)))  # right and up in the image
    said = np.degrees(np.arctan2(ahead[1], ahead[0]))
    kept = geometry.eccentricity_deg(batch.gaze).numpy() >= metrics.MIN_ECCENTRICITY_DEG
    off = (said - geometry.direction_deg(batch.gaze).numpy() + 180) % 360 - 180
    assert values["mean_deg"] == pytest.approx(np.abs(off[kept]).mean(), rel=1e-4)
    assert values["target"] == "direction" and values["settings"]["direction"]
    start = (*start[:4], "--weights", places / "direction.safetensors")
    assert "--direction: this network answers directions" in fault_of(*start).message


@pytest.mark.parametrize(
    ("weights", "store", "code", "said"),
    [
        ("angles.safetensors", "unlabelled", 2, ["--data", "no gaze labels", "--labels"]),
        ("angles.safetensors", "colour", 2, ["16x24 grey", "16x24 colour", "--weights", "--data"]),
        ("angles.safetensors", "nowhere", 2, ["nowhere"]),
        ("nothing.safetensors", "labelled", 2, ["nothing.safetensors"]),
        ("labelled/manifest.json", "labelled", 1, ["manifest.json"]),
    ],
)
def test_what_cannot_be_scored_is_one_line(places, fault_of, weights, store, code, said):
    fault = fault_of("evaluate", "--weights", places / weights, "--data", places / store)
    assert fault.exit_code == code
    for part in said:
        assert part in fault.message


def test_an_unknown_device_is_one_line(places, fault_of):
    fault = fault_of(
        "evaluate", "--weights", places / "angles.safetensors", "--data", places / "labelled",
        "--device", "abacus",
    )  # fmt: skip
    assert fault.exit_code == 2 and "--device" in fault.message


def test_results_of_other_settings_are_not_overwritten(places, gazegan, fault_of, tmp_path):
    start = ("evaluate", "--weights", places / "angles.safetensors", "--out", tmp_path, "--data")
    gazegan(*start, places / "labelled")
    before = (tmp_path / "evaluation.json").read_bytes()
    fault = fault_of(*start, places / "more")
    assert fault.exit_code == 2 and "choose another --out" in fault.message
    assert (tmp_path / "evaluation.json").read_bytes() == before


def test_stray_temporaries_are_cleared(places, gazegan, tmp_path):
    (tmp_path / "curve.png.tmp").write_bytes(b"half")
    gazegan(
        "evaluate", "--weights", places / "angles.safetensors", "--data", places / "labelled",
        "--out", tmp_path,
    )  # fmt: skip
    assert not list(tmp_path.glob("*.tmp"))


def test_by_face_scores_the_mean_of_both_eyes(places, gazegan, fault_of, tmp_path):
    batch = replace(open_store(places / "labelled").read(range(8)), side=torch.arange(8) % 2)
    names = (*(f"{n // 2}_{'LR'[n % 2]}.png" for n in range(7)), "9_R.png")
    plan = Manifest(
        kind="real", count=8, channels=1, height=batch.size[0], width=batch.size[1], masks=MASKS,
        names=names, subjects=("ann", "bob"),
    )  # fmt: skip
    store = tmp_path / "faces"
    write_store(store, plan, lambda indices: batch[list(indices)])
    start = ("evaluate", "--weights", places / "angles.safetensors", "--by-face", "--data")
    values = json.loads(gazegan(*start, store, "--out", tmp_path / "out", "--json").stdout)
    network, _ = load_weights(places / "angles.safetensors", "gaze")
    with torch.no_grad():
        output = network(batch.image)
    pairs = torch.arange(6).view(3, 2)
    error = angular_error_deg(output[pairs].mean(1), batch.gaze[pairs].mean(1))
    assert values["count"] == 3
    assert values["mean_deg"] == pytest.approx(float(error.mean()), rel=1e-4)
    assert [row["name"] for row in rows_of(tmp_path / "out")] == ["0_L.png", "1_L.png", "2_L.png"]
    assert "3 faces" in gazegan(*start, store).stdout
    assert "of one face" in fault_of(*start, places / "labelled").message
    plain = plan.model_copy(update={"names": tuple(f"{n}_L.png" for n in range(8))})
    write_store(tmp_path / "single", plain, lambda indices: batch[list(indices)])
    assert "no face has both eyes" in fault_of(*start, tmp_path / "single").message


def test_align_shifts_each_eye_and_says_where_it_cannot(gazegan, fault_of, places, tmp_path):
    batch = open_store(places / "labelled").read(range(20))
    plan = Manifest(
        kind="real", count=20, channels=1, height=batch.size[0], width=batch.size[1], masks=MASKS,
        subjects=("ann", "bob"),
    )  # fmt: skip
    known, batch = tmp_path / "known", replace(batch, subject=torch.arange(20) % 2)
    write_store(known, plan, lambda indices: batch[list(indices)])
    start = ("evaluate", "--align", "--data", known, "--out", tmp_path / "out", "--weights")
    gazegan(*start, places / "angles.safetensors")
    rows = rows_of(tmp_path / "out")
    for axis in ("predicted_pitch_deg", "predicted_yaw_deg"):
        answers = ([float(r[axis]) for r in rows if r["subject"] == n] for n in ("ann", "bob"))
        means = [sum(values) / 10 for values in answers]
        assert means[0] == pytest.approx(means[1], abs=1e-4)
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["settings"]["align"]
    assert "--align" in fault_of(*start[:4], "--weights", places / "direction.safetensors").message
    some = ("evaluate", "--align", "--data", places / "labelled", "--weights")
    assert "whose each eye is" in fault_of(*some, places / "angles.safetensors").message


def test_align_to_matches_the_gazes_of_a_recipe_or_a_store(gazegan, fault_of, places, tmp_path):
    batch = open_store(places / "labelled").read(range(20))
    plan = Manifest(
        kind="real", count=20, channels=1, height=batch.size[0], width=batch.size[1], masks=MASKS,
        subjects=("ann",),
    )  # fmt: skip
    known, batch = tmp_path / "known", replace(batch, subject=torch.zeros(20, dtype=torch.int64))
    batch = replace(batch, head=None)
    write_store(known, plan, lambda indices: batch[list(indices)])
    start = ("evaluate", "--data", known, "--weights", places / "angles.safetensors")
    recipe = load_recipe("webcam")
    asked = sample(recipe, 1, torch.arange(4000))
    drawn = torch.stack((asked.gaze_pitch, asked.gaze_yaw), 1)
    for source, gaze in (("webcam", drawn), (str(known), torch.rad2deg(batch.gaze))):
        out = tmp_path / f"to-{source.rsplit('/')[-1]}"
        gazegan(*start, "--align", "--align-to", source, "--out", out)
        said = torch.tensor([
            [float(row[f"predicted_{axis}_deg"]) for axis in ("pitch", "yaw")]
            for row in rows_of(out)
        ])  # fmt: skip
        torch.testing.assert_close(said.mean(0), gaze.mean(0), atol=0.5, rtol=0)
        torch.testing.assert_close(said.std(0, correction=0), gaze.std(0), atol=0.3, rtol=0.03)
        values = json.loads((out / "evaluation.json").read_text())
        assert values["settings"]["align_to"] == source
    answers = predict(load_weights(places / "angles.safetensors", "gaze")[0], open_store(known))
    likely = estimated(answers, gazes_of(batch.gaze), gazes_of(batch.gaze)).output
    gazegan(*start, "--align-to", str(known), "--out", tmp_path / "likely")
    for k, axis in enumerate(("pitch", "yaw")):
        said = [float(row[f"predicted_{axis}_deg"]) for row in rows_of(tmp_path / "likely")]
        torch.testing.assert_close(
            torch.tensor(said), torch.rad2deg(likely[:, k]), atol=2e-3, rtol=0
        )
    assert "makes scenes" in fault_of(*start, "--align-to", "crowd").message
    assert "--align-to nowhere: no such recipe" in fault_of(*start, "--align-to", "nowhere").message
    unlabelled = tmp_path / "unlabelled"
    write_store(unlabelled, plan, lambda indices: replace(batch, gaze=None)[list(indices)])
    assert "no labels" in fault_of(*start, "--align-to", unlabelled).message
    start = ("evaluate", "--data", known, "--weights", places / "direction.safetensors")
    assert "--align-to" in fault_of(*start, "--align-to", "webcam").message
