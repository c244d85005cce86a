"""Commands of gazegan, run in processes of their own, as many at a time as there is room for."""

import io
import json
import multiprocessing
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any

import click

from gazegan.cli import main as gazegan

SERVER = multiprocessing.get_context("forkserver")
"""Its processes find torch imported, and nothing of what this one did with it."""
SERVER.set_forkserver_preload(["torch", "gazegan.cli", __name__])


def worded(command: str, places: dict[str, Any], device: str) -> list[str]:
    """Return the words of a command, places filled in."""
    words = shlex.split(command.format(**places))
    return words + (["--device", device] if device != "cpu" and takes_device(words) else [])


def make(commands: Sequence[list[str]], jobs: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Run commands, as many at a time as `jobs`, each after those that make what it reads.

    Yields the number of each that is done, and what it printed.
    """
    waiting, running = dict(enumerate(commands)), dict[Any, tuple[int, BaseProcess]]()
    while waiting or running:
        for at in list(waiting):
            going = [commands[other] for other, _ in running.values()]
            later = [words for other, words in waiting.items() if other != at]
            if len(running) < jobs and not hindered(commands[at], going, later):
                child, said = started(waiting.pop(at))
                running[said] = at, child
        if not running:
            raise click.ClickException("these commands wait for each other")
        for said in connection.wait(list(running)):
            at, child = running.pop(said)
            with suppress(EOFError):
                text = said.recv()
            child.join()
            if child.exitcode:
                for _, other in running.values():
                    other.terminate()
                sys.exit(1 if child.exitcode < 0 else child.exitcode)
            click.echo(f"    done: {shlex.join(commands[at])}", err=True)
            yield at, json.loads(text.splitlines()[-1])


def hindered(words: Sequence[str], going: Sequence[list[str]], later: Sequence[list[str]]) -> bool:
    """Whether a command makes or reads what one makes now, or reads what one is still to make."""
    mine = made_by(words)
    unmade = {made_by(other) for other in going}
    unmade |= {made_by(other) for other in later} - {mine}
    return any(
        word == path or word.startswith(f"{path}/") for word in words for path in unmade - {None}
    )


def made_by(words: Sequence[str]) -> str | None:
    """Return what a command makes."""
    return words[words.index("--out") + 1] if "--out" in words else None


def started(words: list[str]) -> tuple[BaseProcess, connection.Connection]:
    """Start one command in a process of its own; returns it, and where it sends what it prints."""
    click.echo(f"gazegan {shlex.join(words)}", err=True)
    ours, its = SERVER.Pipe(duplex=False)
    child = SERVER.Process(target=printed, args=([*words, "--json"], its))
    child.start()
    its.close()
    return child, ours


def printed(words: Sequence[str], to: connection.Connection) -> None:
    """Run one command and send what it prints; the process ends with the command's exit code."""
    said = io.StringIO()
    with redirect_stdout(said):
        try:
            gazegan.main(words)
        except SystemExit as end:
            if end.code == 0:
                to.send(said.getvalue())
            raise


def takes_device(words: Sequence[str]) -> bool:
    """Whether a command has the option --device."""
    command: Any = gazegan
    for word in words:
        if not hasattr(command, "get_command"):
            break
        command = command.get_command(None, word)
    return any("--device" in parameter.opts for parameter in command.params)
