"""Names that no file can have are told in one line."""

import pytest

LONG = 300 * "n"


@pytest.mark.parametrize("words", [("schedule",), ("network", "small")])
@pytest.mark.parametrize(("name", "told"), [("", "the name is empty"), (".", "cannot be written")])
def test_a_picture_needs_a_name(fault_of, words, name, told):
    fault = fault_of("inspect", *words, "--draw", name)
    assert told in fault.message


@pytest.mark.parametrize(
    "words",
    [
        ("export", "{data}", "--format", "folder", "--out", LONG),
        ("report", LONG),
        ("render", "webcam", "--set", "image.height=12", "--preview", f"{LONG}.png"),
        ("calibrate", "--data", "{data}", "--weights", LONG),
    ],
)
def test_a_name_may_be_too_long(places, fault_of, words):
    fault = fault_of(*(word.format(data=places / "labelled") for word in words))
    assert fault.message.startswith(f"Error: {LONG}") and "File name too long" in fault.message
