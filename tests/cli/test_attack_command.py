"""`gazegan attack` reports errors against the size of the change, beside noise."""

import json

import pytest
from PIL import Image

FILES = {"attack.json", "curve.png", "examples.png"}


@pytest.mark.parametrize("target", ["angles", "direction"])
def test_sweep_is_reported_in_order_and_beside_noise(places, gazegan, tmp_path, target):
    done = gazegan(
        "attack", "--weights", places / f"{target}.safetensors", "--data", places / "labelled",
        "--out", tmp_path, "--epsilon", "4,1", "--epsilon", 2, "--steps", 4, "--count", 6, "--json",
    )  # fmt: skip
    values = json.loads(done.stdout)
    assert values == json.loads((tmp_path / "attack.json").read_text())
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert [row["epsilon_255"] for row in values["epsilons"]] == pytest.approx([1, 2, 4])
    assert (values["count"], values["target"], values["blind_share"]) == (6, target, 0)
    assert 0 < values["constant_deg"] < 180
    for row in values["epsilons"]:
        assert row["pgd_deg"] >= values["clean_deg"] - 1e-6
        assert row["pgd_deg"] > row["noise_deg"]
    pgd = [row["pgd_deg"] for row in values["epsilons"]]
    assert pgd == sorted(pgd)
    with Image.open(tmp_path / "examples.png") as picture:
        assert picture.size[0] > 400


def test_table_names_the_columns(places, gazegan, tmp_path):
    start = ("attack", "--weights", places / "angles.safetensors", "--data", places / "labelled")
    text = gazegan(*start, "--out", tmp_path, "--steps", 2, "--count", 3).stdout
    for word in ("random noise", "FGSM", "PGD", "constant predictor", "0.5"):
        assert word in text


def test_the_same_seed_gives_the_same_numbers(places, gazegan, tmp_path):
    start = ("attack", "--weights", places / "angles.safetensors", "--data", places / "labelled")
    more = ("--epsilon", 3, "--steps", 2, "--count", 4, "--json", "--seed")
    a, b, c = (
        json.loads(gazegan(*start, "--out", tmp_path / name, *more, seed).stdout)["epsilons"]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert a == b != c
    assert (tmp_path / "a/curve.png").read_bytes() == (tmp_path / "b/curve.png").read_bytes()


@pytest.mark.parametrize("epsilon", ["0", "-1", "256", "nan", "inf", "four", "1,,2", ""])
def test_sizes_outside_the_range_are_one_line(places, fault_of, tmp_path, epsilon):
    fault = fault_of(
        "attack", "--weights", places / "angles.safetensors", "--data", places / "labelled",
        "--out", tmp_path, "--epsilon", epsilon,
    )  # fmt: skip
    assert fault.exit_code == 2
    assert "--epsilon" in fault.message


def test_unlabelled_eyes_cannot_be_attacked(places, fault_of, tmp_path):
    fault = fault_of(
        "attack", "--weights", places / "angles.safetensors", "--data", places / "unlabelled",
        "--out", tmp_path,
    )  # fmt: skip
    assert fault.exit_code == 2 and "no gaze labels" in fault.message


def attacked(gazegan, places, out, *more):
    start = ("attack", "--weights", places / "angles.safetensors", "--data", places / "labelled")
    small = ("--count", 6, "--steps", 3, "--queries", 10)
    return json.loads(gazegan(*start, "--out", out, *small, *more, "--json").stdout)


def test_every_method_is_a_curve_beside_noise(places, gazegan, tmp_path):
    names = ("fgsm", "pgd", "momentum", "search", "universal")
    words = [word for name in names for word in ("--method", name)]
    values = attacked(gazegan, places, tmp_path / "x", *words, "--epsilon", "2,8")
    for row in values["epsilons"]:
        for name in ("noise", *names):
            assert row[f"{name}_deg"] > 0 and row[f"{name}_moved_deg"] >= 0
            assert row[f"{name}_sensitivity"] >= 0
        assert row["pgd_sensitivity"] > row["noise_sensitivity"]
    assert isinstance(values["audit"], dict)
    assert values["settings"]["methods"] == list(names)


@pytest.mark.parametrize("norm", ["l2", "patch"])
def test_other_norms_have_sizes_of_their_own(places, gazegan, tmp_path, norm):
    values = attacked(gazegan, places, tmp_path / "x", "--norm", norm)
    key, sizes = (
        ("side_px", [3, 6, 9, 12]) if norm == "patch" else ("epsilon_255", [0.5, 1, 2, 4, 8])
    )
    assert [row[key] for row in values["epsilons"]] == sizes
    assert values["epsilons"][-1]["pgd_deg"] > values["clean_deg"]


def test_eyes_that_a_constant_tells_exactly_are_attacked(places, gazegan, tmp_path):
    """Of one eye the constant predictor is the truth."""
    words = ("attack", "--weights", places / "direction.safetensors", "--data", places / "labelled")
    constants = []
    for seed in range(4):
        out = tmp_path / str(seed)
        quick = ("--count", 1, "--steps", 1, "--epsilon", 1, "--seed", seed, "--out", out)
        constants.append(json.loads(gazegan(*words, *quick, "--json").stdout)["constant_deg"])
        assert (out / "curve.png").exists()
    assert 0 in constants


def test_an_l2_size_is_the_root_mean_square(places, gazegan, tmp_path):
    """Moving every pixel by 4/255 and a change of that root mean square are of one length."""
    from gazegan.cli import attack_methods as methods
    from gazegan.data.store import open_store
    from gazegan.train.checkpoint import load_weights

    network, _ = load_weights(places / "angles.safetensors", "gaze")
    eyes = methods.victims(network, open_store(places / "labelled").read(range(2)), None)
    _, radius = methods.ball_of(eyes, "l2", 4)
    assert radius == pytest.approx(float((0 * eyes.image[0] + 4 / 255).norm()))


@pytest.mark.parametrize("target", ["angles", "direction"])
def test_a_target_is_approached(places, gazegan, tmp_path, target):
    start = ("attack", "--weights", places / f"{target}.safetensors")
    more = ("--data", places / "labelled", "--count", 6, "--epsilon", 16, "--target", "left")
    more = (*more, "--queries", 10)
    values = json.loads(gazegan(*start, *more, "--out", tmp_path, "--json").stdout)
    (row,) = values["epsilons"]
    assert values["toward_deg"] == [0, 15]
    assert row["pgd_toward_deg"] < row["fgsm_toward_deg"] + 1e-6 < values["clean_toward_deg"]
    text = gazegan(*start, *more, "--out", tmp_path).stdout
    assert "angle to the target" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--target", "sideways"), "left, right, up, down or PITCH,YAW"),
        (("--target", "99,0"), "PITCH,YAW"),
        (("--norm", "patch", "--epsilon", "2.5"), "whole pixels"),
        (("--norm", "patch", "--epsilon", "17"), "smaller side"),
        (("--method", "universal", "--count", "20"), "lower --count"),
    ],
)
def test_impossible_choices_are_one_line(places, fault_of, tmp_path, words, told):
    fault = fault_of(
        "attack", "--weights", places / "angles.safetensors", "--data", places / "labelled",
        "--out", tmp_path / "x", *words,
    )  # fmt: skip
    assert fault.exit_code == 2 and told in fault.message


def test_a_target_into_the_camera_is_no_direction(places, gazegan, fault_of, tmp_path):
    def words(target, aim, out):
        data = ("--data", places / "labelled", "--count", 2, "--epsilon", 4, "--queries", 10)
        weights = places / f"{target}.safetensors"
        return ("attack", "--weights", weights, *data, "--target", aim, "--out", tmp_path / out)

    for aim in ("0,0", "-0.5,0.5"):
        fault = fault_of(*words("direction", aim, "refused"))
        assert fault.exit_code == 2 and f"--target {aim}: looks into the camera" in fault.message
    assert not (tmp_path / "refused").exists()
    gazegan(*words("direction", "0,2", "near"))
    gazegan(*words("angles", "0,0", "ahead"))


def test_results_of_older_versions_are_still_claimed(places, gazegan, tmp_path):
    """The usual choices leave no trace in the settings, so that a demo can be repeated."""
    values = attacked(gazegan, places, tmp_path)
    settings = {"weights", "data", "epsilon_255", "steps", "count", "seed", "queries"}
    assert set(values["settings"]) == settings
