"""Pages that need no other file: templates, pictures inline, the versions that made them."""

from __future__ import annotations

import platform
from base64 import b64encode
from importlib import metadata
from typing import Any

_PACKAGES = ("gazegan", "torch", "torchvision", "kornia", "numpy", "pillow", "safetensors")


def page(template: str, **values: Any) -> str:
    """Return a template of this folder, filled in, as HTML; whatever it is given is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("gazegan.cli", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values, versions=_versions())


def inline(png: bytes) -> str:
    """Return a PNG as the address of an image that holds it."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
