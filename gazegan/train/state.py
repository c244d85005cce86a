"""A stage's state as tensors and back, and its generations on disk.

A state is a dataclass whose fields are networks, optimisers, tensors and integers, `step` among
them; everything a resumed run needs and nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Protocol, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from gazegan.errors import DataError
from gazegan.train.checkpoint import load_sealed, load_strictly, save_sealed


class State(Protocol):
    """What every stage's state has: how many steps it has taken."""

    step: int


S = TypeVar("S", bound=State)


def pack(state: State) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Return the tensors of a state, named `field/part`, and its integers."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, int] = {}
    for name in (f.name for f in fields(state)):  # type: ignore[arg-type]
        value = getattr(state, name)
        if isinstance(value, nn.Module):
            tensors |= {f"{name}/{key}": t for key, t in value.state_dict().items()}
        elif isinstance(value, Optimizer):
            tensors |= {f"{name}/{key}": t for key, t in _optimiser_tensors(value).items()}
        elif isinstance(value, Tensor):
            tensors[f"{name}/"] = value
        else:
            numbers[name] = int(value)
    return tensors, numbers


def unpack(
    state: State, tensors: Mapping[str, Tensor], numbers: Mapping[str, int], source: Path
) -> None:
    """Fill a freshly initialised state; raises DataError where something does not fit."""
    for name in (f.name for f in fields(state)):  # type: ignore[arg-type]
        value = getattr(state, name)
        own = {
            k.removeprefix(f"{name}/"): t for k, t in tensors.items() if k.startswith(f"{name}/")
        }
        if isinstance(value, nn.Module):
            load_strictly(value, own, source)
        elif isinstance(value, Optimizer):
            _fill_optimiser(value, own)
        elif isinstance(value, Tensor):
            value.copy_(own[""])
        else:
            setattr(state, name, numbers[name])


def _optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    moments = optimiser.state_dict()["state"]
    return {f"{i}/{key}": t for i, part in moments.items() for key, t in part.items()}


def _fill_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    # Settings come from the configuration, which is known to be the same; only moments are state.
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition("/")
        moments.setdefault(int(index), {})[key] = tensor
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": moments, "param_groups": groups})


def _generations(run_dir: Path) -> list[Path]:
    return sorted(run_dir.glob("state-*.safetensors"), reverse=True)


def save_state(run_dir: Path, state: State) -> None:
    """Write a new generation of the state and remove all but the two newest."""
    tensors, numbers = pack(state)
    path = run_dir / f"state-{state.step:09d}.safetensors"
    save_sealed(path, tensors, {"kind": "state", "numbers": numbers})
    for old in _generations(run_dir)[2:]:
        old.unlink(missing_ok=True)


def load_state(run_dir: Path, init: Callable[[], S], notify: Callable[[str], None]) -> S:
    """Return the newest state that is whole, or a fresh one where none was ever saved.

    A damaged generation is named through `notify` and the one before is used; raises DataError
    where all are damaged.
    """
    generations = _generations(run_dir)
    for path in generations:
        state = init()
        try:
            tensors, info = load_sealed(path)
            unpack(state, tensors, info["numbers"], path)
        except (DataError, KeyError) as fault:
            notify(f"passing over a checkpoint: {fault}")
            continue
        return state
    if generations:
        raise DataError(f"{run_dir}: every checkpoint is damaged; remove it or name another --out")
    return init()
