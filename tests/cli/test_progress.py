"""How long commands tell how far they are where there is no terminal."""

from gazegan.cli import options


def test_without_a_terminal_a_line_a_minute_tells_how_far_it_is(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(options.time, "monotonic", lambda: now[0])
    with options.progress("render", 400) as advance:
        for _ in range(4):
            now[0] += 31
            advance(100)
    assert capsys.readouterr().err.splitlines() == [
        "render: 200 of 400, 50%",
        "render: 400 of 400, 100%",
    ]
    with options.progress("answer", None) as advance:
        now[0] += 60
        advance(7)
    assert capsys.readouterr().err == "answer: 7\n"


def test_quietly_nothing_is_told(capsys, monkeypatch):
    monkeypatch.setattr(options, "_SECONDS_A_LINE", 0)
    with options.progress("render", 10, quiet=True) as advance:
        advance(10)
    assert capsys.readouterr().err == ""
