"""Who owns a run folder: one stage, one configuration, one set of data."""

import json
from collections.abc import Callable, Mapping
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


def claim(run_dir: Path, record: Mapping[str, Any], notify: Callable[[str], None]) -> None:
    """Make the existing `run_dir` the folder of the run `record`, or find that it already is.

    Left-over temporary files are removed. Other numbers of processes or threads, or another version
    than the run was begun with, are told through `notify`: bits may then differ from those of an
    uninterrupted run. Raises UserError where the folder belongs to something else, DataError where
    it is damaged.
    """
    path = run_dir / CONFIG
    environment = {
        "processes": processes.count(),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
    for aside in run_dir.glob("*.tmp"):
        aside.unlink(missing_ok=True)
    check_free(run_dir, record)
    if not path.is_file():
        text = json.dumps({**record, "environment": environment}, sort_keys=True, indent=1)
        write_atomic(path, text.encode())
        return
    before = {"processes": 1, **_read(path).get("environment", {})}
    for change in differences(before, environment):
        notify(f"resuming with {change}: bits may differ from an uninterrupted run")


def check_free(run_dir: Path, record: Mapping[str, Any]) -> None:
    """Raise UserError where the folder, if there is one, belongs to something else.

    `record` may lack parts of a run's that are not known yet.
    """
    path = run_dir / CONFIG
    if not path.is_file():
        names = {one.name for one in run_dir.iterdir()} if run_dir.exists() else set()
        if names - {FIRST, ANSWERED}:
            raise UserError(f"--out {run_dir}: holds something else; name a new or empty folder")
        return
    # Through JSON, so that tuples compare equal to the lists they were saved as.
    new, old = json.loads(json.dumps(record)), _read(path)
    old = {key: old.get(key) for key in new}
    if found := _stage_only(old, new) or differences(old, new):
        shown = "; ".join(found[:5]) + (f" (and {len(found) - 5} more)" if found[5:] else "")
        raise UserError(f"--out {run_dir}: holds a run with other settings: {shown}; name another")


def _read(path: Path) -> dict[str, Any]:
    values = parse_json(read_bytes(path, 1 << 26), path)
    if not isinstance(values, dict):
        raise DataError(f"{path}: damaged; remove the run or name another")
    return values


def _stage_only(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    # Between stages everything differs; only the stage is worth saying.
    return differences({"stage": old.get("stage")}, {"stage": new.get("stage")})
