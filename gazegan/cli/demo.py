"""`gazegan demo`: the whole road in minutes, with a report."""

from __future__ import annotations

import contextlib
import io
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rich_click as click

from gazegan.cli import options
from gazegan.cli.road import FULL, QUICK, Command, Sizes, Stop, find_target, stops
from gazegan.errors import UserError

RECORD = "demo.json"
REPORT = "report.html"


@click.command()
@click.option(
    "--real", type=options.PATH, metavar="DIR",
    help="Photographs of eyes to refine toward; without it a stand-in is rendered.",
)  # fmt: skip
@click.option(
    "--out", type=options.PATH, default="demo", show_default=True,
    help="Folder of everything that is made; repeat the command to resume.",
)  # fmt: skip
@click.option("--quick", is_flag=True, help="Everything tiny, in a minute; figures mean nothing.")
@options.SEED
@options.DEVICE
@options.JSON
def demo(real: Path | None, out: Path, quick: bool, seed: int, device: str, as_json: bool) -> None:
    """Walk the whole road: render, refine, train, evaluate, explain, attack, export, report.

    Two networks learn gaze by the same training, one from raw renders and one from refined
    renders, and both are measured on target eyes beside a constant predictor. The target is a
    stand-in (a second, different recipe), or with --real your photographs. Photographs named as
    in the Columbia Gaze Data Set are labelled: half of the people are refined toward, without
    their labels, and the others are scored on. Takes minutes and ends with OUT/report.html.

    \b
    gazegan demo
    gazegan demo --real photographs/ --out demo-real
    gazegan demo --quick --out demo-quick --json
    """
    from gazegan.cli import demo_report
    from gazegan.modes import one_thread

    options.check_device(device)
    target, sizes = find_target(real), QUICK if quick else FULL
    road = stops(target, sizes, out, seed, device)
    settings = _settings(real, quick, seed, sizes)
    record = _begun(out, settings)
    with one_thread():
        for number, stop in enumerate(road, start=1):
            heading = f"{number}/{len(road)} {stop.title}"
            _walk(stop, heading, out, record, as_json)
        results = demo_report.read_results(out, target, quick, seed)
        demo_report.write(out / REPORT, results, road, record["stops"], out)
    values = {**results.to_dict(), "report": str(out / REPORT), "stops": record["stops"]}
    options.say(as_json, values, f"\n{demo_report.text(results)}\n\nReport: {out / REPORT}")


def _settings(real: Path | None, quick: bool, seed: int, sizes: Sizes) -> dict[str, Any]:
    where = None if real is None else str(real.absolute())
    return {"real": where, "quick": quick, "seed": seed, "sizes": asdict(sizes)}


def _begun(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Hold the demo's folder and return its record; raises UserError where it is another's."""
    from gazegan.cli import gaze
    from gazegan.data.files import parse_json, read_bytes

    known, there = (out / RECORD).exists(), out.iterdir() if out.is_dir() else ()
    if not known and {path.name for path in there} - {f"{RECORD}.tmp"}:
        raise UserError(f"--out {out}: holds something else; name a new or empty folder")
    gaze.claim(out, RECORD, settings)
    record = {"settings": settings, "stops": {}}
    if known:
        record |= {"stops": parse_json(read_bytes(out / RECORD, 1 << 20), RECORD)["stops"]}
    gaze.save_json(out / RECORD, record)
    return record


def _walk(stop: Stop, heading: str, out: Path, record: dict[str, Any], as_json: bool) -> None:
    """Run one stop unless it is finished, and note the time it took in all its attempts."""
    from gazegan.cli import gaze

    took = record["stops"].setdefault(
        stop.key, {"seconds": 0.0, "cpu_seconds": 0.0, "finished": False}
    )
    if took["finished"] and all(path.exists() for path in stop.makes):
        _tell(f"{heading}: done", as_json)
        return
    _tell(heading, as_json)
    wall, cpu = time.perf_counter(), time.process_time()
    took["finished"] = False
    try:
        for command in stop.commands:
            _tell(f"    {_gist(command, _run(command, as_json))}", as_json)
        took["finished"] = True
    finally:
        took["seconds"] = round(took["seconds"] + time.perf_counter() - wall, 2)
        took["cpu_seconds"] = round(took["cpu_seconds"] + time.process_time() - cpu, 2)
        gaze.save_json(out / RECORD, record)


def _run(command: Command, as_json: bool) -> str:
    """Run one command of gazegan in this process and return what it printed."""
    from gazegan.cli import main

    heard = io.StringIO()
    with contextlib.redirect_stdout(heard):
        quiet = ("--json",) if as_json else ()
        main.main([*command, *quiet], prog_name="gazegan", standalone_mode=False)
    return heard.getvalue()


def _gist(command: Command, said: str) -> str:
    """Return the first line of what a command said; of a training's, no numbers of its end."""
    line = said.strip().partition("\n")[0]
    return line.partition(";")[0] if command[0] == "train" else line


def _tell(text: str, as_json: bool) -> None:
    if not as_json:
        click.echo(text)
