"""Recipes as TOML that a person reads and edits: only what differs from the defaults."""

import json
from collections.abc import Mapping
from typing import Any

from gazegan.config import Config
from gazegan.render.distributions import Distribution
from gazegan.render.prior import Recipe

_PARTS = ("image", "light", "scene", "eyes")
_ORDER = ("of", "slope", "offset", "mean", "sd", "low", "high", "choice", "mixture", "weights")


def to_toml(recipe: Recipe, remarks: Mapping[str, str] | None = None) -> str:
    """Return the text of a recipe file from which `load_recipe` makes an equal recipe.

    `remarks` by name of a parameter of eyes become comments behind their lines. A panorama's path
    is written as the recipe has it.
    """
    lines = [f"{name} = {toml_value(value)}" for name, value in _changes(recipe, _PARTS).items()]
    for part in _PARTS:
        changes = _changes(getattr(recipe, part))
        notes = (remarks or {}) if part == "eyes" else {}
        if changes:
            lines += ["", f"[{part}]"]
        lines += [_line(name, value, notes.get(name)) for name, value in changes.items()]
    return "\n".join(lines).lstrip("\n") + "\n"


def form(spread: Distribution) -> Any:
    """Return a distribution as a recipe writes it: a number, [low, high], or a table."""
    given = {name: getattr(spread, name) for name in _ORDER if getattr(spread, name) is not None}
    if set(given) != {"low", "high"}:
        return given
    low, high = given["low"], given["high"]
    return low if low == high else [low, high]


def _changes(config: Config, without: tuple[str, ...] = ()) -> dict[str, Any]:
    default = {name: f.get_default(call_default_factory=True) for name, f in _fields(config)}
    return {
        name: getattr(config, name)
        for name in default
        if name not in without and getattr(config, name) != default[name]
    }


def _fields(config: Config) -> list[tuple[str, Any]]:
    return list(type(config).model_fields.items())


def _line(name: str, value: Any, remark: str | None) -> str:
    return f"{name} = {toml_value(value)}" + (f"  # {remark}" if remark else "")


def toml_value(value: Any) -> str:
    """Return a number, a text, a list, a table or a distribution as TOML on one line."""
    if isinstance(value, Distribution):
        value = form(value)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{name} = {toml_value(part)}" for name, part in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    # JSON's texts, numbers and truth values are TOML's; DEL alone must be escaped besides.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
