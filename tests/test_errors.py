"""What a fault says in one line."""

import subprocess

from gazegan.errors import reason


def test_a_reason_is_one_short_line() -> None:
    assert reason(RuntimeError("first\nsecond")) == "first"
    assert reason(RuntimeError("\n\n")) == "RuntimeError"
    assert reason(RuntimeError("backend='inductor' raised:\nTypeError: no\nmore")) == (
        "backend='inductor' raised: TypeError: no"
    )
    assert len(reason(RuntimeError("x" * 1000))) == 100


def test_a_compilers_own_words_come_before_the_call_that_failed() -> None:
    fault = subprocess.CalledProcessError(1, "g++", stderr="cc1plus: no space\nmore")
    assert reason(fault) == "cc1plus: no space"
