"""What commands do with their --out where they fail."""

import pytest

from gazegan.data.files import only_writer


@pytest.mark.parametrize(
    ("command", "more", "cure"),
    [
        ("evaluate", ("--weights", "{w}", "--data", "{labelled}", "--by-face"), "--by-face"),
        ("evaluate", ("--weights", "{w}", "--data", "{labelled}", "--align"), "leave --align out"),
        ("embed", ("--data", "{labelled}", "--data", "{more}"), "too few"),
        ("compare", ("--real", "{labelled}", "--data", "{nowhere}"), "no such store"),
        (
            "attack",
            ("--weights", "{w}", "--data", "{labelled}", "--method", "universal", "--count", "20"),
            "lower --count",
        ),
        ("calibrate", ("--weights", "{w}", "--data", "{labelled}", "--shots", "19"), "--shots"),
    ],
)
def test_a_command_that_fails_leaves_no_folder(places, fault_of, tmp_path, command, more, cure):
    names = {name: places / name for name in ("labelled", "more", "nowhere")}
    words = [word.format(w=places / "angles.safetensors", **names) for word in more]
    assert cure in fault_of(command, *words, "--out", tmp_path / "new" / "out").message
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays(places, fault_of, tmp_path):
    (tmp_path / "mine").mkdir()
    start = ("evaluate", "--weights", places / "angles.safetensors", "--by-face", "--data")
    fault_of(*start, places / "labelled", "--out", tmp_path / "mine" / "out")
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
    assert list((tmp_path / "mine").iterdir()) == []


def test_drafts_of_others_stay_where_results_come(places, gazegan, tmp_path):
    (tmp_path / "thesis.tmp").write_text("precious")
    start = ("evaluate", "--weights", places / "angles.safetensors", "--data", places / "labelled")
    gazegan(*start, "--out", tmp_path)
    assert (tmp_path / "thesis.tmp").read_text() == "precious"


def test_a_table_where_no_folder_can_be_is_one_line(places, fault_of, tmp_path):
    (tmp_path / "file").write_text("")
    start = ("predict", "--weights", places / "angles.safetensors", "--data", places / "unlabelled")
    fault = fault_of(*start, "--out", tmp_path / "file" / "gaze.csv")
    assert "cannot be made a folder" in fault.message


@pytest.mark.parametrize("command", ["evaluate", "demo"])
def test_two_processes_do_not_write_results_into_one_folder(places, fault_of, tmp_path, command):
    words = {
        "evaluate": ("--weights", places / "angles.safetensors", "--data", places / "labelled"),
        "demo": ("--quick",),
    }
    with only_writer(tmp_path):
        fault = fault_of(command, *words[command], "--out", tmp_path)
    assert "another process is writing it; wait for its end" in fault.message
    assert list(tmp_path.iterdir()) == []
