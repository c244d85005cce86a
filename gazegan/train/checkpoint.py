"""Weights and training state on disk: safetensors, sealed by a hash, written aside, then renamed.

A sealed file is a safetensors file whose header metadata hold one JSON text. It begins with a
digest: the SHA-256 of the whole file with the digest's own place filled with zeros. So one
flipped bit anywhere is found, in the header too.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, overload

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from gazegan.config import differences, validate
from gazegan.data.files import parse_json, read_bytes, write_atomic
from gazegan.errors import DataError, UserError
from gazegan.nets.refiner import Refiner, RefinerConfig
from gazegan.nets.regressor import Regressor, RegressorConfig

StageName = Literal["refiner", "gaze"]
N = TypeVar("N", bound=nn.Module)

WEIGHTS = "weights.safetensors"
_ZEROS = b"0" * 64
_BEFORE_DIGEST = rb'{"__metadata__":{"gazegan":"{\"digest\": \"'
_FILE_LIMIT = 1 << 32


@dataclass(frozen=True)
class Trained(Generic[N]):
    """A trained network that another training takes."""

    network: N
    sha256: str
    """Of its weights, so that a run with others is another run."""


def save_sealed(path: Path, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """Write tensors and plain values as one sealed file; equal input gives equal bytes."""
    # "digest" sorts before "info", so it stands at a known place.
    text = json.dumps({"digest": _ZEROS.decode(), "info": info}, sort_keys=True, allow_nan=False)
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    data = safetensors.torch.save(plain, {"gazegan": text})
    digest = hashlib.sha256(data).hexdigest().encode()
    write_atomic(path, data.replace(_ZEROS, digest, 1))


def load_sealed(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a sealed file; to its plain values the file's own `sha256` is added.

    Raises DataError where it is missing or damaged.
    """
    data = read_bytes(path, _FILE_LIMIT)
    start = 8 + len(_BEFORE_DIGEST)
    digest = data[start : start + 64]
    blank = data[:start] + _ZEROS + data[start + 64 :]
    if data[8:start] != _BEFORE_DIGEST or hashlib.sha256(blank).hexdigest().encode() != digest:
        raise DataError(f"{path}: damaged or not written by gazegan (SHA-256 does not match)")
    try:
        header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")], path)
        info = parse_json(header["__metadata__"]["gazegan"].encode(), path)["info"]
        return safetensors.torch.load(data), {**info, "sha256": digest.decode()}
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise DataError(f"{path}: not a valid safetensors file ({fault})") from None


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Load weights into `module`; raises DataError naming what does not fit."""
    own = {name: [*t.shape, str(t.dtype)] for name, t in module.state_dict().items()}
    given = {name: [*t.shape, str(t.dtype)] for name, t in tensors.items()}
    if found := differences(own, given):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise DataError(f"{source}: weights do not fit the network: {found[0]}{more}")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise DataError(f"{source}: {name} holds values that are not finite; train again")
    module.load_state_dict(dict(tensors), strict=True)


def save_weights(path: Path, module: nn.Module, stage: StageName, info: Mapping[str, Any]) -> None:
    """Write a network's weights; `info` needs `config` (with `network`) and `data`."""
    save_sealed(path, module.state_dict(), {**info, "kind": "weights", "stage": stage})


@overload
def load_weights(
    run: Path | str, stage: Literal["refiner"], device: torch.device | str = "cpu"
) -> tuple[Refiner, dict[str, Any]]: ...
@overload
def load_weights(
    run: Path | str, stage: Literal["gaze"], device: torch.device | str = "cpu"
) -> tuple[Regressor, dict[str, Any]]: ...
def load_weights(
    run: Path | str, stage: StageName, device: torch.device | str = "cpu"
) -> tuple[Refiner | Regressor, dict[str, Any]]:
    """Return a trained network in evaluation mode and what is known of its training.

    `run` is a run folder or a .safetensors file. The dictionary holds `stage`, `step`, `config`
    (the stage's configuration) and `data` (`channels`, `height`, `width` and more). Raises
    UserError for a wrong path or another stage's weights, DataError for damaged ones.
    """
    run = Path(run)
    path = run / WEIGHTS if run.is_dir() else run
    if not path.is_file():
        raise UserError(f"{path}: no weights there; name a run folder or a .safetensors file")
    tensors, info = load_sealed(path)
    if info.get("kind") != "weights":
        raise UserError(f"{path}: not weights; name the run folder or its {WEIGHTS}")
    if info.get("stage") != stage:
        found = info.get("stage")
        raise UserError(f"{path}: weights of stage {found!r}, where {stage!r} is needed")
    module = _build(stage, info, path)
    load_strictly(module, tensors, path)
    return module.to(device).eval(), info


def _build(stage: StageName, info: Mapping[str, Any], path: Path) -> Refiner | Regressor:
    try:
        network, channels = info["config"]["network"], info["data"]["channels"]
    except (KeyError, TypeError):
        raise DataError(f"{path}: does not say which network it belongs to") from None
    if channels not in (1, 3):
        raise DataError(f"{path}: claims {channels!r} channels; 1 or 3 are possible")
    if stage == "refiner":
        return Refiner(validate(RefinerConfig, network, str(path)), channels)
    return Regressor(validate(RegressorConfig, network, str(path)), channels)
