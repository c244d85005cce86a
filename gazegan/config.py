"""Recipes and configurations: TOML and `--set` into validated, frozen models, and back."""

import copy
import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from gazegan.errors import DataError, UserError


class Config(BaseModel):
    """A frozen configuration that refuses unknown keys, NaN and infinities."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @property
    def idle(self) -> Mapping[str, str]:
        """The settings that do nothing beside the others, each with the reason."""
        return {}


C = TypeVar("C", bound=BaseModel)


def validate(model: type[C], values: Mapping[str, Any], source: str) -> C:
    """Build `model` from plain values; a fault becomes one line naming field and cure.

    Raises UserError; `source` says where the values came from (a file, an option).
    """
    try:
        return model.model_validate(values)
    except ValidationError as fault:
        raise UserError(f"{source}: {_first_fault(fault, model)}") from None


def _first_fault(fault: ValidationError, model: type[BaseModel]) -> str:
    first = fault.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "value"
    if first["type"] == "extra_forbidden":
        near = _meant(model, tuple(map(str, first["loc"])))
        hint = f"did you mean {near!r}?" if near else "remove it"
        return f"unknown key {where!r}; {hint}"
    message = first["msg"].removeprefix("Value error, ")
    more = f" (and {fault.error_count() - 1} more)" if fault.error_count() > 1 else ""
    got = first["input"]
    shown = f", got {got!r}" if isinstance(got, str | int | float | bool) else ""
    return f"{where}: {message}{shown}{more}"


def _meant(model: type[BaseModel], loc: tuple[str, ...]) -> str | None:
    """Return the key that was probably meant: the same elsewhere, or one like it beside."""
    keys = dict(_keys(model))
    same = [key for key in keys if key.split(".")[-1] == loc[-1]]
    beside = {keys[key]: key for key in keys if key.split(".")[:-1] == list(loc[:-1])}
    near = difflib.get_close_matches(loc[-1], beside, n=1)
    found = [*(beside[name] for name in near), *same]
    return found[0] if near or len(same) == 1 else None


def _keys(model: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield every key of a model and of those in it, with dots, and its last part."""
    for name, field in getattr(model, "model_fields", {}).items():
        yield before + name, name
        yield from _keys(field.annotation, f"{before}{name}.")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises DataError or UserError naming the file and the fault."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise DataError(f"{path}: cannot be read ({fault})") from None
    except tomllib.TOMLDecodeError as fault:
        raise UserError(f"{path}: not valid TOML: {fault}") from None


def apply_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return `values` with each `a.b=value` set; the value is read as TOML, else as text.

    Raises UserError where an override has no `=` or walks through a plain value.
    """
    result = copy.deepcopy(dict(values))
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {item!r}: write KEY=VALUE")
        *parents, leaf = key.strip().split(".")
        here = result
        for part in parents:
            here = here.setdefault(part, {})
            if not isinstance(here, dict):
                raise UserError(f"--set {item!r}: {part!r} holds a value, not a table")
        here[leaf] = _toml_value(text.strip())
    return result


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def load(model: type[C], path: Path, overrides: Iterable[str] = ()) -> C:
    """Read a TOML file into `model`, with `--set` overrides; raises UserError or DataError."""
    values, overrides = read_toml(path), tuple(overrides)
    as_written = validate(model, values, str(path))
    return validate(model, apply_overrides(values, overrides), "--set") if overrides else as_written


def check_used(config: Config, given: Mapping[str, Any], prefix: str = "") -> None:
    """Raise UserError where what was given, as nested plain values, does nothing in `config`."""
    for name, value in given.items():
        if name in config.idle:
            raise UserError(f"--set {prefix}{name}: {config.idle[name]}; leave it out")
        inside = getattr(config, name)
        if isinstance(inside, Config) and isinstance(value, Mapping):
            check_used(inside, value, f"{prefix}{name}.")


def dump_json(model: BaseModel) -> str:
    """Write a model as canonical JSON (sorted keys), equal for equal models."""
    return json.dumps(model.model_dump(mode="json"), sort_keys=True, indent=1, allow_nan=False)


def in_words(found: Iterable[str], words: Mapping[str, str]) -> list[str]:
    """Put words in the place of those differences whose keys they are of, such as digests.

    They come first, in their order.
    """
    keyed = {item.partition(":")[0]: item for item in found}
    said = [text for key, text in words.items() if key in keyed]
    return said + [item for key, item in keyed.items() if key not in words]


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """List `key: old -> new` for every leaf in which two plain configurations differ."""
    found: list[str] = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}: {a!r} -> {b!r}")
    return found
