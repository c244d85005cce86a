"""Numbers that are none, or too large to be meant, are refused before anything is written."""

import pytest

TRAIN = ("train", "gaze", "--batch", 4)
MANY = 10**9 + 1


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "words",
    [
        ("train", "gaze", "--data", "x", "--epochs"),
        ("refine", "x", "--weights", "x", "--strength", 0),
        ("refine", "x", "--weights", "x", "--max-drift"),
        ("refine", "x", "--weights", "x", "--judge", "x", "--max-gaze-drift"),
        ("embed", "--data", "x", "--perplexity"),
        ("import", "columbia", "x", "--head-yaw"),
        ("attack-scenes", "--weights", "x", "--within"),
    ],
)
def test_what_is_no_number_is_refused_by_option(fault_of, tmp_path, words, number):
    fault = fault_of(*words, number, "--out", tmp_path / "out")
    option = [word for word in words if str(word).startswith("--")][-1]
    assert fault.exit_code == 2 and f"Invalid value for '{option}'" in fault.message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("epochs", ["1e300", "1e308", 1e9])
def test_more_epochs_than_can_be_counted_are_refused(places, fault_of, tmp_path, epochs):
    data = ("--data", places / "labelled", "--out", tmp_path / "run")
    fault = fault_of(*TRAIN, *data, "--epochs", epochs)
    assert fault.exit_code == 2 and not (tmp_path / "run").exists()
    assert fault.message.startswith("Error: --epochs 1e+") and "of 20 images" in fault.message


@pytest.mark.parametrize("said", [("--steps", MANY), ("--set", f"steps={MANY}")])
def test_so_are_more_steps(places, fault_of, tmp_path, said):
    fault = fault_of(*TRAIN, "--data", places / "labelled", "--out", tmp_path / "run", *said)
    assert fault.exit_code == 2 and not (tmp_path / "run").exists()
    assert "steps: Input should be less than or equal to 1000000000" in fault.message


def test_cuts_without_end_are_refused(fault_of):
    fault = fault_of("inspect", "schedule", "--lr-every", "1e-308")
    assert fault.exit_code == 2 and "every: Input should be greater" in fault.message


@pytest.mark.parametrize(
    ("words", "most"),
    [
        (("predict", "--batch"), 65536),
        (("evaluate", "--batch"), 65536),
        (("attack", "--steps"), 10_000),
    ],
)
def test_numbers_that_no_machine_could_take_are_refused(places, fault_of, tmp_path, words, most):
    weights = ("--weights", places / "angles.safetensors", "--data", places / "labelled")
    command, option = words
    fault = fault_of(command, *weights, "--out", tmp_path / "x", option, "9" * 20)
    assert fault.exit_code == 2 and f"Invalid value for '{option}'" in fault.message
    assert f"1<=x<={most}" in fault.message
