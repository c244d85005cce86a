"""The log of a run: one call writes a JSON line and the same values to TensorBoard."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torch import Tensor

from gazegan.data.files import write_atomic

LINES = "log.jsonl"


class Log:
    """Writes `log.jsonl` and TensorBoard events into a run folder; use as a context.

    Opening it at `step` drops what a run resumed there will write again; at 0, everything.
    """

    def __init__(self, run_dir: Path, step: int) -> None:
        # Slow to import, so not for those who only load weights.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            from torch.utils.tensorboard import SummaryWriter

        path = run_dir / LINES
        kept = [line for line in read_log(run_dir) if line["step"] <= step and step > 0]
        write_atomic(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._file = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(run_dir / "tensorboard"), purge_step=step + 1)

    def write(
        self,
        step: int,
        scalars: Mapping[str, float],
        images: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Record scalars, and images `[C, H, W]` in 0..1 (TensorBoard only), at `step`."""
        self._file.write(json.dumps({"step": step, **scalars}, allow_nan=False) + "\n")
        self._file.flush()
        for name, value in scalars.items():
            self._board.add_scalar(name, value, step)
        for name, image in (images or {}).items():
            self._board.add_image(name, image, step)

    def plan(self, step: int, scalars: Mapping[str, float]) -> None:
        """Show what a later `step` will be like, in TensorBoard only."""
        for name, value in scalars.items():
            self._board.add_scalar(name, value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._board.close()


def read_log(run_dir: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's log; one torn by a crash is left out."""
    path = run_dir / LINES
    lines: list[dict[str, Any]] = []
    if not path.is_file():
        return lines
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines
