"""Who owns a run folder: one stage, one configuration, one set of data."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from gazegan.config import differences
from gazegan.data.files import parse_json, read_bytes, write_atomic
from gazegan.errors import DataError, UserError
from gazegan.train import processes

CONFIG = "config.json"
FIRST, ANSWERED = "first", "answered"
"""Folders of a self-trained run: the first network's run, and the photographs with its answers."""
_BESIDE = ("real", "judge", "pretrained")
"""Data of a run that have a name of their own."""


def claim(
    run_dir: Path,
    record: Mapping[str, Any],
    notify: Callable[[str], None],
    given: Mapping[str, str],
) -> None:
    """Make the existing `run_dir` the folder of the run `record`, or find that it already is.

    By which words data were `given` is kept, to tell it where others are named later. Left-over
    temporary files are removed. Other numbers of processes or threads, or another version than the
    run was begun with, are told through `notify`: bits may then differ from those of an
    uninterrupted run. Raises UserError where the folder belongs to something else, DataError where
    it is damaged.
    """
    path = run_dir / CONFIG
    environment = {
        "processes": processes.count(),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
    check_free(run_dir, record, given)
    for aside in run_dir.glob("*.tmp"):
        aside.unlink(missing_ok=True)
    if not path.is_file():
        kept = {**record, "environment": environment, "given": dict(given)}
        text = json.dumps(kept, sort_keys=True, indent=1)
        write_atomic(path, text.encode())
        return
    before = {"processes": 1, **_read(path).get("environment", {})}
    for change in differences(before, environment):
        notify(f"resuming with {change}: bits may differ from an uninterrupted run")


def check_free(
    run_dir: Path, record: Mapping[str, Any], given: Mapping[str, str] | None = None
) -> None:
    """Raise UserError where the folder, if there is one, belongs to something else.

    `record` may lack parts of a run's that are not known yet; the data were `given` by words.
    """
    path = run_dir / CONFIG
    if not path.is_file():
        names = {one.name for one in run_dir.iterdir()} if run_dir.exists() else set()
        if names - {FIRST, ANSWERED, f"{CONFIG}.tmp"}:
            raise UserError(f"--out {run_dir}: holds something else; name a new or empty folder")
        return
    # Through JSON, so that tuples compare equal to the lists they were saved as.
    new, old = json.loads(json.dumps(record)), _read(path)
    before, old = old.get("given", {}), {key: old.get(key) for key in new}
    if found := _stage_only(old, new) or _other(old, new, before, given or {}):
        shown = "; ".join(found[:5]) + (f" (and {len(found) - 5} more)" if found[5:] else "")
        raise UserError(f"--out {run_dir}: holds a run with other settings: {shown}; name another")


def _read(path: Path) -> dict[str, Any]:
    values = parse_json(read_bytes(path, 1 << 26), path)
    if not isinstance(values, dict):
        raise DataError(f"{path}: damaged; remove the run or name another")
    return values


def _other(
    old: dict[str, Any], new: dict[str, Any], before: Mapping[str, str], given: Mapping[str, str]
) -> list[str]:
    """List data that differ, then settings."""
    was, now = old.pop("data", {}), new.pop("data", {})
    return [*_other_data(was, now, before, given), *differences(old, new)]


def _other_data(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    before: Mapping[str, str],
    given: Mapping[str, str],
) -> Iterator[str]:
    """Yield which data differ, by the words that named them; their digests would tell nobody."""
    own = [{key: one[key] for key in one if key not in _BESIDE} for one in (old, new)]
    parts: list[tuple[str, Any, Any]] = [("data", own[0], own[1])]
    parts += [(name, old.get(name), new.get(name)) for name in _BESIDE]
    for name, a, b in parts:
        if a == b:
            continue
        now = given.get(name, name) if b else "none"
        was = before.get(name, now) if a else "none"
        told = f"{was} -> {now}" if was != now else f"{now}: others than the run began with"
        sizes = differences(a, b) if isinstance(a, dict) and isinstance(b, dict) else []
        shown = ", ".join(item for item in sizes if not item.startswith("sha256"))
        yield told + (f" ({shown})" if shown else "")


def _stage_only(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    # Between stages everything differs; only the stage is worth saying.
    return differences({"stage": old.get("stage")}, {"stage": new.get("stage")})
