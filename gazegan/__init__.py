"""Labelled synthetic eyes: render, refine, train, explain, attack, export.

The public names are imported when they are first used, so that `import gazegan` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gazegan.attack import fgsm as fgsm
    from gazegan.attack import pgd as pgd
    from gazegan.data.store import open_store as open_store
    from gazegan.explain import gradient_x_input as gradient_x_input
    from gazegan.geometry import angular_error_deg as angular_error_deg
    from gazegan.metrics import gaze_report as gaze_report
    from gazegan.render.crowd import render_scenes as render_scenes
    from gazegan.render.prior import load_recipe as load_recipe
    from gazegan.render.scene import render_indices as render_indices
    from gazegan.schema import EyeBatch as EyeBatch
    from gazegan.schema import SceneBatch as SceneBatch
    from gazegan.train.checkpoint import load_weights as load_weights

__version__ = "0.1.0"

_HOMES = {
    "EyeBatch": "schema",
    "SceneBatch": "schema",
    "angular_error_deg": "geometry",
    "fgsm": "attack",
    "gaze_report": "metrics",
    "gradient_x_input": "explain",
    "load_recipe": "render.prior",
    "load_weights": "train.checkpoint",
    "open_store": "data.store",
    "pgd": "attack",
    "render_indices": "render.scene",
    "render_scenes": "render.crowd",
}
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gazegan' has no attribute {name!r}")
    return getattr(import_module(f"gazegan.{_HOMES[name]}"), name)
