"""How far small changes of an image, or of a scene, turn a network's gaze."""

from gazegan.attack.audit import Audit, audit
from gazegan.attack.balls import Ball, L2Ball, MakeBall, Patch, heaviest_square
from gazegan.attack.gradient import fgsm, mi_fgsm, pgd, place_patch, step_sizes
from gazegan.attack.outcome import (
    Adversarial,
    ErrorDeg,
    Fn,
    angle_error_deg,
    direction_error_deg,
    judge,
)
from gazegan.attack.scenes import Box, Found, Plan, alone, worst_drawn, worst_scenes
from gazegan.attack.search import square
from gazegan.attack.sweep import Curve, Sweep, random_noise, sweep
from gazegan.attack.universal import apply_change, universal

__all__ = [
    "Adversarial",
    "Audit",
    "Ball",
    "Box",
    "Curve",
    "ErrorDeg",
    "Fn",
    "Found",
    "L2Ball",
    "MakeBall",
    "Patch",
    "Plan",
    "Sweep",
    "alone",
    "angle_error_deg",
    "apply_change",
    "audit",
    "direction_error_deg",
    "fgsm",
    "heaviest_square",
    "judge",
    "mi_fgsm",
    "pgd",
    "place_patch",
    "random_noise",
    "square",
    "step_sizes",
    "sweep",
    "universal",
    "worst_drawn",
    "worst_scenes",
]
