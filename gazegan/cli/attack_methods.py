"""What `gazegan attack` can do to an image: attacks, norms and targets by their names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import gaze
from gazegan.errors import UserError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from gazegan.attack import Adversarial, ErrorDeg, Fn, MakeBall
    from gazegan.attack.sweep import Attack
    from gazegan.nets.regressor import Regressor
    from gazegan.schema import EyeBatch

METHODS = {
    "fgsm": "FGSM",
    "pgd": "PGD",
    "momentum": "MI-FGSM",
    "search": "Square attack",
    "universal": "one change for all",
}
"""Attacks by the words of `--method`, and their names in tables."""
KINDS = {"noise": "random noise", **METHODS}
SIZES = {
    "linf": "largest change of a pixel (1/255)",
    "l2": "root mean square change (1/255)",
    "patch": "side of the patch (px)",
}
"""Norms, and what `--epsilon` is in each."""
USUAL = {"linf": (0.5, 1.0, 2.0, 4.0, 8.0), "l2": (0.5, 1.0, 2.0, 4.0, 8.0), "patch": (3, 6, 9, 12)}
WAYS = {"left": (0.0, 15.0), "right": (0.0, -15.0), "up": (15.0, 0.0), "down": (-15.0, 0.0)}
"""(pitch, yaw) in degrees of the targets with a name; left is the image's."""


@dataclass(frozen=True)
class Choices:
    """Everything but the eyes and the sizes of an attack."""

    methods: tuple[str, ...] = ("fgsm", "pgd")
    norm: str = "linf"
    steps: int = 20
    restarts: int = 1
    queries: int = 500
    toward: tuple[float, float] | None = None
    """(pitch, yaw) in degrees of a targeted attack."""


class Toward(click.ParamType):  # type: ignore[type-arg]
    """A gaze: left, right, up, down, or PITCH,YAW in degrees."""

    name = "left|right|up|down|PITCH,YAW"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float]:
        """Turn a name or PITCH,YAW into angles in -90..90 degrees; else raises BadParameter."""
        if isinstance(value, tuple):
            return value
        if value in WAYS:
            return WAYS[value]
        try:
            pitch, yaw = (float(part) for part in str(value).split(","))
        except ValueError:
            pitch = yaw = math.nan
        if not (abs(pitch) <= 90 and abs(yaw) <= 90):
            self.fail(f"{value!r}: write left, right, up, down or PITCH,YAW in degrees", param, ctx)
        return pitch, yaw


@dataclass(frozen=True)
class Victims:
    """Eyes before a network, and what it should say of them."""

    fn: Fn
    image: Tensor
    truth: Tensor
    goal: Tensor
    """What an attack aims at: the truth, to get away from it, or a target `[N, 2]`."""
    error: ErrorDeg
    learnt: Mapping[float, tuple[Tensor, MakeBall]] = field(default_factory=dict)
    """By size, one change for all eyes and the balls it fits into."""


def check_target(network: Regressor, toward: tuple[float, float] | None) -> None:
    """Raise UserError where a network tells directions, and a target into the camera has none."""
    import torch

    from gazegan.geometry import eccentricity_deg
    from gazegan.metrics import MIN_ECCENTRICITY_DEG

    if toward is None or network.target != "direction":
        return
    wanted = torch.deg2rad(torch.tensor(toward, dtype=torch.float64))
    if eccentricity_deg(wanted) < MIN_ECCENTRICITY_DEG:
        raise UserError(
            f"--target {toward[0]:g},{toward[1]:g}: looks into the camera, in no direction, but"
            f" directions are what this network tells; name one {MIN_ECCENTRICITY_DEG:g} degree off"
        )


def victims(network: Regressor, batch: EyeBatch, toward: tuple[float, float] | None) -> Victims:
    """Return labelled eyes as what attacks need of them."""
    import torch

    assert batch.gaze is not None
    truth, error = gaze.truth_of(batch.gaze, network.target)
    goal = truth
    if toward is not None:
        wanted = torch.deg2rad(batch.gaze.new_tensor(toward)).expand(len(batch), 2)
        goal = gaze.truth_of(wanted, network.target)[0]
    return Victims(gaze.of_heads(network, batch), batch.image, truth, goal, error)


def ball_of(eyes: Victims, norm: str, size: float, common: bool = False) -> tuple[MakeBall, float]:
    """Return the balls of a norm and their radius for a size of `--epsilon`."""
    from gazegan.attack import Ball, L2Ball, place_patch

    if norm == "linf":
        return Ball, size / 255
    if norm == "l2":
        return L2Ball, size / 255 * math.sqrt(eyes.image[0].numel())
    try:
        side = round(size)
        place = place_patch(eyes.fn, eyes.image, eyes.truth, side, eyes.error, common=common)
    except ValueError as fault:
        raise UserError(f"--epsilon {size:g}: {fault}; name a smaller side") from None
    return place, 1.0


def attacks(eyes: Victims, how: Choices) -> dict[str, Attack]:
    """Return the chosen attacks by name, random noise of the same size first."""
    return {name: partial(_run, eyes, how, name) for name in ("noise", *how.methods)}


def learn(eyes: Victims, how: Choices, sizes: list[float]) -> dict[float, tuple[Tensor, MakeBall]]:
    """Find one change `[1, C, H, W]` for all eyes at each size, and the balls it fits into."""
    from gazegan.attack import universal

    found = {}
    for size in sizes:
        ball, radius = ball_of(eyes, how.norm, size, common=True)
        change = universal(
            *(eyes.fn, eyes.image, eyes.goal, radius, how.steps, eyes.error),
            ball=ball,
            targeted=how.toward is not None,
        )
        found[size] = change, ball
    return found


def _run(eyes: Victims, how: Choices, name: str, size: float, generator: Generator) -> Adversarial:
    from gazegan import attack

    ball, radius = ball_of(eyes, how.norm, size)
    here = (eyes.fn, eyes.image, eyes.goal, radius)
    aim: dict[str, Any] = {"ball": ball, "targeted": how.toward is not None}
    if name == "noise":
        return attack.random_noise(*here, generator, eyes.error, ball=ball)
    if name == "fgsm":
        return attack.fgsm(*here, eyes.error, **aim)
    if name == "pgd":
        more = {**aim, "restarts": how.restarts}
        return attack.pgd(*here, generator, how.steps, error=eyes.error, **more)
    if name == "momentum":
        return attack.mi_fgsm(*here, how.steps, eyes.error, **aim)
    if name == "search":
        return attack.square(*here, generator, how.queries, eyes.error, **aim)
    change, fits = eyes.learnt[size]
    return attack.apply_change(eyes.fn, change, *here[1:], eyes.error, ball=fits)
