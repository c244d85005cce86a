"""`gazegan inspect`: networks, runs and stacks, and learning rates, as text, JSON and pictures."""

import json
import math

import pytest
import torch
from PIL import Image

from gazegan import plots
from gazegan.nets.layers import middle, standardise
from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.train.checkpoint import save_weights


def values_of(done):
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["small", "lenet", "resnet", "refiner", "critic"])
def test_the_short_form_equals_the_long_one(gazegan, name):
    short, long = gazegan("inspect", name, "--json"), gazegan("inspect", "network", name, "--json")
    values = values_of(short)
    assert short.stdout == long.stdout and values["size"] == [36, 60]
    assert sum(layer["parameters"] for layer in values["layers"]) == values["parameters"]


def test_a_table_tells_each_layer(gazegan):
    text = gazegan("inspect", "--size", "48x80", "small", "--channels", "3").stdout
    first, *_ = text.splitlines()
    assert first.startswith("small, 48x80 colour: 313,170 parameters, ")
    assert "trunk.4.0  conv 96 128 3x3 stride 2 pad 1  128x6x10 " in text
    assert "whole image" in text and "histogram" in text


def test_a_run_is_inspected_at_its_own_size(places, gazegan, fault_of):
    run = places / "angles.safetensors"
    values = values_of(gazegan("inspect", run, "--json", "--wanted", "2x3"))
    assert values["channels"] == 1 and values["layers"][0]["output"][0] == 4
    assert values["layers"][0]["output"][1:] == values["size"]
    # small halves its sides three times, rounding up.
    assert values["wanted"] == {"output": [2, 3], "heights": [9, 16], "widths": [17, 24]}
    assert "--set" in fault_of("inspect", run, "--set", "grid=[1,1]").message
    assert "--channels" in fault_of("inspect", run, "--channels", "3").message


def test_other_networks_can_be_set(gazegan, tmp_path):
    plain = values_of(gazegan("inspect", "resnet", "--json"))
    free = values_of(gazegan("inspect", "resnet", "--json", "--set", "norm=free"))
    assert plain["layers"][-1]["kind"] == free["layers"][-1]["kind"] == "linear 64 2"
    assert not any("norm" in layer["kind"] for layer in free["layers"])
    fields = [[x["field"] for x in v["layers"] if x["kind"] == "add"] for v in (plain, free)]
    assert fields[0] == fields[1] == [[13, 13], [25, 25], [49, 49], [97, 97]]
    path = tmp_path / "free.safetensors"
    config = RegressorConfig(kind="resnet", norm="free", head="vector", widths=(4, 4, 8, 8, 8))
    info = {
        "config": {"network": config.model_dump(mode="json")},
        "data": {"channels": 1, "height": 16, "width": 24},
        "step": 1,
    }
    save_weights(path, Regressor(config, 1), "gaze", info)
    assert values_of(gazegan("inspect", path, "--json"))["layers"][-1]["output"] == [3]


def test_stacks_tell_sizes_fields_and_ranges(gazegan):
    text = "conv 3 100 5x9 stride 2; conv 100 200 3x3; conv 200 8 7 stride 3"
    values = values_of(gazegan("inspect", "stack", text, "--json"))
    assert [layer["field"] for layer in values["layers"]] == [[5, 9], [9, 13], [21, 25]]
    assert values["layers"][-1]["stride"] == [6, 6]
    done = gazegan("inspect", "stack", "conv 1 8 5x9 stride 2 pad half", "--wanted", "30x20")
    assert "Maps of 30x20: heights 59 to 60, widths 39 to 40." in done.stdout
    done = gazegan("inspect", "stack", "transposed 1 1 2 stride 2", "--wanted", "7x8")
    assert "no heights give 7 (6 or 8 can be had), widths 4 to 4" in done.stdout


def test_fields_are_drawn_on_an_eye(gazegan, tmp_path):
    picture = tmp_path / "fields.png"
    done = gazegan("inspect", "small", "--draw", picture, "--text")
    lines = done.stdout.splitlines()
    eye = [line for line in lines if len(line) == 60 and not line.endswith("stride")]
    assert len(eye) == 18
    (top,) = [row for row, line in enumerate(eye) if "┌" in line]
    (bottom,) = [row for row, line in enumerate(eye) if "└" in line]
    # 25 px across, and as many down at two rows a letter.
    assert eye[top].index("┐") - eye[top].index("┌") == 24 and bottom - top == 12
    with Image.open(picture) as drawn:
        assert drawn.mode in ("RGB", "RGBA") and drawn.width > 500
    again = tmp_path / "again.png"
    gazegan("inspect", "small", "--draw", again)
    assert again.read_bytes() == picture.read_bytes()


def test_the_field_in_the_terminal_is_one_that_ends_within_the_eye(gazegan):
    said = gazegan("inspect", "resnet", "--text").stdout
    assert "What the middle of a map sees: trunk.3.body.3, 49x49 px." in said and "│" in said
    far = gazegan("inspect", "stack", "conv 1 1 201 pad half", "--text").stdout
    assert "What the middle of a map sees: 1, 201x201 px." in far and "│" not in far


def test_planned_learning_rates(gazegan, tmp_path):
    start = ("inspect", "schedule", "--lr", 0.1, "--epochs", 4)
    values = values_of(gazegan(*start, "--lr-cut", 0.5, "--lr-every", 1, "--json"))
    pairs = zip(values["epoch"], values["rate"], strict=True)
    assert all(math.isclose(rate, 0.1 * 0.5 ** int(epoch)) for epoch, rate in pairs)
    values = values_of(gazegan(*start, "--schedule", "cosine", "--warm-up", 1, "--json"))
    for epoch, rate in zip(values["epoch"], values["rate"], strict=True):
        assert math.isclose(rate, min(1, epoch) * 0.05 * (1 + math.cos(math.pi * epoch / 4)))
    done = gazegan(*start, "--draw", tmp_path / "plan.png")
    assert "times 0.3 every 1 epochs: 0.1 at most, 0.0027 at the end" in done.stdout
    assert done.stdout.count("*") == 72 and (tmp_path / "plan.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("view", [0.5, 0.73, 0.1])
def test_a_network_that_looks_at_the_middle_is_asked_for_whole_images(gazegan, view):
    words = ("inspect", "small", "--set", f"view={view}", "--wanted", "5x8")
    wanted = values_of(gazegan(*words, "--json"))["wanted"]
    trunk = Regressor(RegressorConfig(widths=(1, 1, 1, 1, 1), view=view), 1).eval().trunk

    def maps(side):
        return trunk(middle(torch.zeros(1, 1, side, side), view)).shape[-1]

    for name, side in (("heights", 5), ("widths", 8)):
        low, high = wanted[name]
        assert {maps(one) for one in range(low, high + 1)} == {side}
        assert maps(low - 1) != side != maps(high + 1)
    rows, columns = middle(torch.zeros(36, 60), view).shape
    assert f"looks at the middle {rows}x{columns} of the image alone" in gazegan(*words).stdout


def test_fields_of_the_middle_are_drawn_about_it(gazegan, tmp_path, monkeypatch):
    drawn = {}
    keep = lambda image, boxes, title, seen: drawn.update(boxes, seen=seen) or b""  # noqa: E731
    monkeypatch.setattr(plots, "receptive_fields", keep)
    gazegan("inspect", "small", "--set", "view=0.5", "--draw", tmp_path / "fields.png")
    *boxes, seen = drawn.values()
    assert seen == (9, 15, 27, 45)
    network = Regressor(RegressorConfig(view=0.5, knots=0), 1).eval()
    image = torch.rand(1, 1, 36, 60, generator=torch.Generator().manual_seed(0))
    even = standardise(middle(image, 0.5), 0.02).requires_grad_()
    maps = network.trunk(even)
    maps[0, :, maps.shape[2] // 2, maps.shape[3] // 2].sum().backward()
    rows, columns = (even.grad[0, 0].any(1 - k).nonzero() for k in (0, 1))
    # The last box, cut off where the middle ends, is what gradients reach.
    inside = [max(boxes[-1][k], seen[k]) for k in (0, 1)]
    inside += [min(boxes[-1][k], seen[k]) for k in (2, 3)]
    reached = (int(rows[0]) + 9, int(columns[0]) + 15, int(rows[-1]) + 10, int(columns[-1]) + 16)
    assert tuple(inside) == reached


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "neither a network (small, lenet"),
        (("lenet", "--size", "12x40"), "--size 12x40: lenet needs sides of at least 16"),
        (("lenet", "--set", "view=0.3"), "of which view leaves 10x18: lenet needs sides of at"),
        (("resnet", "--set", "block=2"), "unknown key 'block'; did you mean 'blocks'?"),
        (("small", "--set", "norm=free"), "norm 'free' is of kind 'resnet' alone"),
        (("small", "--set", "blocks=5"), "--set blocks: does nothing in a network of kind"),
        (("small", "--set", "kind=lenet"), "--set kind=lenet: small is asked for; name that"),
        (("resnet", "--wanted", "8000x2"), "--wanted 8000x2: not even 8192 px give 8000"),
        (("stack", "con 1 1 3"), "layer 1 'con 1 1 3': no layer 'con'"),
        (("stack", "conv 1 1 99"), "layer 1: leaves nothing of 36x60; take a larger --size"),
        (("stack", "relu", "--draw", "x.png"), "no layer has a receptive field"),
        (("schedule", "--lr", "0"), "--lr"),
        (("schedule", "--schedule", "cosine", "--lr-cut", "0.5"), "cosine has no cuts; leave"),
        (("--size", "3"), "--size"),
    ],
)
def test_faults_are_one_line(fault_of, arguments, message):
    fault = fault_of("inspect", *arguments)
    assert fault.exit_code == 2 and message in fault.message


def test_global_randomness_is_left_alone(gazegan):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    gazegan("inspect", "stack", "conv 1 2 3")
    assert torch.equal(torch.rand(3), expected)
