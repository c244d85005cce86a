"""The gaze regressor: an eye image in, where it looks out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from gazegan.config import Config
from gazegan.geometry import angles_from_vector, vector_from_angles
from gazegan.nets.landmarks import READ, expected_place, normalise
from gazegan.nets.layers import PreActivation, channels_last, equalise, middle, standardise
from gazegan.nets.normaliser_free import FreePreActivation, StandardisedConv

Target = Literal["angles", "direction"]
"""angles: (pitch, yaw) rad. direction: (cos, sin) of the direction in 0..360 degrees."""

Kind = Literal["small", "lenet", "resnet", "resnet18", "landmarks"]
"""small: five convolutions. lenet: two with 5x5 kernels and pooling (Zhang et al., CVPR 2015).
resnet: pre-activation blocks (He et al., ECCV 2016). resnet18: torchvision's (He et al., CVPR
2016), without trained weights. All but lenet are batch-normalised, resnet by choice. landmarks:
the convolutions of small find landmarks, from which a perceptron of one hidden layer of logistic
units answers."""

LEAST_SIDE = {"small": 1, "lenet": 16, "resnet": 1, "resnet18": 1, "landmarks": 1}
"""Sides of images, px, below which a kind has no features left."""

SPREAD_DEG = (0.2, 45.0)
"""Least and largest spread that a network can answer."""

Width = Annotated[int, Field(ge=1, le=1024)]


class RegressorConfig(Config):
    """Kind and size of a regressor."""

    kind: Kind = "small"
    target: Target = "angles"
    widths: tuple[Width, Width, Width, Width, Width] = (16, 32, 64, 96, 128)
    """Of small and landmarks; every convolution but the first and the fourth halves the sides.
    resnet takes the first four as its stages, lenet and resnet18 have their own."""
    blocks: int = Field(1, ge=1, le=16)
    """Blocks of each stage of resnet."""
    norm: Literal["batch", "free"] = "batch"
    """Of resnet: batch normalisation, or standardised weights and scaled blocks in its stead
    (`nets.normaliser_free`), in which eyes of a batch do not act on each other."""
    grid: tuple[Width, Width] = (3, 5)
    """Rows and columns that the features keep: gaze is a matter of where things are. Not of
    landmarks."""
    hidden: Width = 64
    head: Literal["angles", "vector"] = "angles"
    """vector: the last layer points where the eye looks, and its pitch and yaw are the output."""
    limit_deg: float = Field(0.0, ge=0, le=90)
    """Bound of pitch and yaw to either side, by a sigmoid without weights; 0 for none."""
    view: float = Field(1.0, ge=0.1, le=1)
    """Share of the image's sides, about its middle, that is looked at: lids' corners, brows and
    what lies around differ most from one kind of image to another. Not of landmarks."""
    knots: int = Field(17, ge=0, le=257)
    """Quantiles of the histogram equalisation of the input; 0 only standardises it."""
    head_yaw: bool = False
    """Whether the head's yaw is read beside the image: a turned head's eye looks much like one that
    looks aside."""
    spread: bool = False
    """Whether a standard deviation of pitch and of yaw is answered beside them."""
    epsilon: float = Field(0.02, gt=0, le=1)
    """Spread, in units of the image's 0..1, below which contrast is not amplified."""

    @model_validator(mode="after")
    def _consistent(self) -> "RegressorConfig":
        if self.limit_deg and self.target != "angles":
            raise ValueError("limit_deg bounds angles; leave it out with target 'direction'")
        if self.head == "vector" and (self.limit_deg or self.target != "angles"):
            raise ValueError("head 'vector' needs target 'angles' and no limit_deg")
        if self.spread and self.target != "angles":
            raise ValueError("spread is of angles; leave it out with target 'direction'")
        if self.view < 1 and self.kind == "landmarks":
            raise ValueError("view leaves landmarks out of sight; leave it out with 'landmarks'")
        if self.norm == "free" and self.kind != "resnet":
            raise ValueError(f"norm 'free' is of kind 'resnet' alone, not of {self.kind!r}")
        if self.norm == "free" and min(self.widths) < 2:
            raise ValueError("norm 'free' needs widths of at least 2")
        return self

    @property
    def idle(self) -> Mapping[str, str]:
        """The settings that do nothing in such a network, each with the reason."""
        unused = [name for name, kinds in _IN.items() if self.kind not in kinds]
        why = f"does nothing in a network of kind {self.kind!r}"
        even = {"epsilon": "does nothing beside knots above 1"} if self.knots > 1 else {}
        return dict.fromkeys(unused, why) | even


_IN = {
    "widths": ("small", "landmarks", "resnet"),
    "blocks": ("resnet",),
    "grid": ("small", "lenet", "resnet", "resnet18"),
}
"""The kinds of network in which settings do something that do nothing in others."""


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def trunk(config: RegressorConfig, channels: int) -> tuple[nn.Module, int]:
    """Return what maps images `[B, channels, H, W]` to features, and how many maps these have."""
    match config.kind:
        case "small" | "landmarks":
            w = (channels, *config.widths)
            parts = (_conv(a, b, s) for (a, b), s in zip(pairwise(w), _STRIDES, strict=True))
            return nn.Sequential(*parts), w[-1]
        case "lenet":
            first = (nn.Conv2d(channels, 20, 5), nn.MaxPool2d(2))
            return nn.Sequential(*first, nn.Conv2d(20, 50, 5), nn.MaxPool2d(2)), 50
        case "resnet":
            made = _free_resnet if config.norm == "free" else _resnet
            return made(config.widths[:4], config.blocks, channels), config.widths[3]
        case "resnet18":
            return _resnet18(channels), 512


_STRIDES = (1, 2, 2, 1, 2)


def _resnet(widths: Sequence[int], blocks: int, channels: int) -> nn.Sequential:
    """Return a stem that halves the sides, and stages of which all but the first halve them."""
    layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 5, 2, padding=2, bias=False)]
    before = widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            layers.append(PreActivation(before, width, 2 if stage and not block else 1))
            before = width
    return nn.Sequential(*layers, nn.BatchNorm2d(before), nn.ReLU())


def _free_resnet(widths: Sequence[int], blocks: int, channels: int) -> nn.Sequential:
    """Return the same without normalisation; images are to have mean 0 and spread 1."""
    layers: list[nn.Module] = [StandardisedConv(channels, widths[0], 5, 2, padding=2)]
    before, variance = widths[0], 1.0
    for stage, width in enumerate(widths):
        for number in range(blocks):
            stride = 2 if stage and not number else 1
            block = FreePreActivation(before, width, stride, variance)
            layers.append(block)
            before, variance = width, block.variance
    return nn.Sequential(*layers, nn.ReLU())


def _resnet18(channels: int) -> nn.Sequential:
    import torchvision  # takes a second that the other kinds should not wait

    whole = torchvision.models.resnet18(weights=None)
    parts = [part for name, part in whole.named_children() if name not in ("avgpool", "fc")]
    if channels != 3:
        parts[0] = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    return nn.Sequential(*parts)


def _last(config: RegressorConfig) -> nn.Linear:
    more = 2 * config.spread
    if config.head == "angles":
        return nn.Linear(config.hidden, 2 + more)
    last = nn.Linear(config.hidden, 3 + more)
    with torch.no_grad():  # Into the camera at first: far from where angles jump.
        last.bias[:3].copy_(vector_from_angles(torch.zeros(2)))
    return last


_UNITS = 4.0
"""What landmarks are multiplied by: logistic units are straight where little comes in."""


def _perceptron(config: RegressorConfig) -> nn.Sequential:
    first = nn.Linear(2 * len(READ) + config.head_yaw, config.hidden)
    return nn.Sequential(first, nn.Sigmoid(), _last(config))


@dataclass(frozen=True)
class Answer:
    """What a network says of B images."""

    output: Tensor
    """[B, 2] (pitch, yaw) rad, or (cos, sin) of the direction."""
    spread: Tensor | None
    """[B, 2] standard deviations of pitch and yaw, rad, of networks that answer them."""
    points: Tensor | None = None
    """[B, len(READ), 2] landmarks found, in widths of the image from its middle, by networks of
    kind landmarks; `nets.landmarks` has their order."""

    def __getitem__(self, rows: slice) -> "Answer":
        parts = (self.output, self.spread, self.points)
        return Answer(*(None if part is None else part[rows] for part in parts))  # type: ignore[arg-type]


class Regressor(nn.Module):
    """A trunk of convolutions, a pooled grid and two linear layers.

    With kind landmarks, the features find landmarks instead, and the linear layers read those
    alone. What they learn is kept from what finds the landmarks: in training mode no gradient
    passes.
    """

    def __init__(self, config: RegressorConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.trunk, maps = trunk(config, channels)
        features, free = maps * math.prod(config.grid), config.norm == "free"
        if config.kind == "landmarks":
            self.locator = nn.Conv2d(maps, len(READ), 1)
            self.head = _perceptron(config)
        else:
            self.head = nn.Sequential(
                nn.Linear(features + config.head_yaw, config.hidden, bias=free),
                nn.Identity() if free else nn.BatchNorm1d(config.hidden),
                nn.ReLU(),
                _last(config),
            )
        channels_last(self)

    @property
    def target(self) -> Target:
        """What `forward` returns."""
        return self.config.target

    def forward(self, image: Tensor, turn: Tensor | None = None) -> Tensor:
        """Map images `[B, C, H, W]` in 0..1 to `[B, 2]`: (pitch, yaw) rad or (cos, sin).

        `turn` `[B]` is the heads' yaw, rad, for networks that read it; without it, and where it is
        NaN, heads are taken to face the camera.
        """
        return self.answer(image, turn).output

    def answer(self, image: Tensor, turn: Tensor | None = None) -> Answer:
        """Return what `forward` returns, with the spread of networks that answer one.

        `image` is `[B, C, H, W]` in 0..1, `turn` `[B]` rad. Spreads lie in SPREAD_DEG; halfway of
        their logarithm is where the last layer says 0.
        """
        seen = middle(image, self.config.view)
        if self.config.knots > 1:
            even = equalise(seen, self.config.knots)
        else:
            even = standardise(seen, self.config.epsilon)
        features = self.trunk(even)
        if self.config.kind != "landmarks":
            pooled = F.adaptive_avg_pool2d(features, self.config.grid).flatten(1)
            return self._answer(pooled, turn, image.dtype)
        points = expected_place(self.locator(features), (image.shape[-2], image.shape[-1]))
        return self.look(points.detach() if self.training else points, turn, points)

    def look(self, points: Tensor, turn: Tensor | None, found: Tensor | None = None) -> Answer:
        """Return what a network of kind landmarks says of `points` `[B, len(READ), 2]`, in widths.

        `found`, the same with its gradient, is handed on.
        """
        return replace(self._answer(_UNITS * normalise(points), turn, points.dtype), points=found)

    def _answer(self, read: Tensor, turn: Tensor | None, dtype: torch.dtype) -> Answer:
        if self.config.head_yaw:
            ahead = read.new_zeros(len(read)) if turn is None else turn.nan_to_num(0.0)
            read = torch.cat((read, ahead[:, None].to(read.dtype)), dim=1)
        out = self.head(read).to(dtype)  # from a lower one, in which layers may run
        if not self.config.spread:
            return Answer(self._output(out), None)
        return Answer(self._output(out[:, :-2]), _spread(out[:, -2:]))

    def _output(self, out: Tensor) -> Tensor:
        if self.target == "direction":
            # The floor keeps the gradient finite where the raw output passes through zero.
            return F.normalize(out, dim=1, eps=1e-3)
        if self.config.head == "vector":
            return angles_from_vector(out)
        if not self.config.limit_deg:
            return out
        limit = math.radians(self.config.limit_deg)
        # Of slope 1 at 0, so that what is small is answered as without a bound.
        return limit * (2 * torch.sigmoid(2 * out / limit) - 1)


def _spread(out: Tensor) -> Tensor:
    low, high = (math.log(math.radians(bound)) for bound in SPREAD_DEG)
    return (low + (high - low) * torch.sigmoid(out)).exp()
