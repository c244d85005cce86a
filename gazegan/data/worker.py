"""A process that renders shards: reads their numbers from its input, answers with their records.

It ends as soon as its input does: whoever started it is dead then, or done with it. Nothing heavy
is imported before that is watched.
"""

import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn, TextIO

Lines = queue.SimpleQueue[str]


def serve() -> NoReturn:
    """Read a job and then numbers of shards, one a line; answer each with one line of JSON."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # What a library prints is no answer.
    lines: Lines = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    _write_shards(json.loads(lines.get()), lines, answers)


def _listen(lines: Lines) -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def _write_shards(job: dict[str, Any], lines: Lines, answers: TextIO) -> NoReturn:
    from gazegan.data.manifest import Manifest
    from gazegan.data.rendered import make_rendered
    from gazegan.data.writing import write_shard
    from gazegan.errors import UserError
    from gazegan.modes import one_thread

    plan = Manifest.model_validate(job["plan"])
    with one_thread():
        make = make_rendered(plan, "cpu", _renderer(plan))
        answer: dict[str, Any] = {}  # The first says: ready.
        while True:
            answers.write(json.dumps(answer) + "\n")
            number = int(lines.get())
            try:
                written = write_shard(Path(job["path"]), plan, number, make)
            except UserError as fault:
                answer = {"fault": str(fault)}
            else:
                answer = {"shard": written.shard.model_dump(), "fields": written.fields}


def _renderer(plan: Any) -> Any:
    if not plan.notes["compiled"]:
        from gazegan.render.scene import plainly

        return plainly
    from gazegan.render.compiled import compiled
    from gazegan.render.prior import Recipe

    # Where no compiler works, it must not go on with other bits: the line it says is its last.
    return compiled(Recipe.model_validate(plan.recipe), "cpu", sys.exit)
