"""Photographs and renders, seen by the same statistics, and how far apart they are."""

import math
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor

from gazegan import rng
from gazegan.config import Config
from gazegan.errors import UserError
from gazegan.fit.statistics import (
    Statistics,
    by_circumstance,
    circumstances,
    learn,
    one_side,
    sides_known,
)
from gazegan.losses.transport import sliced_wasserstein
from gazegan.render import effects
from gazegan.render.params import SPECS, EyeParams
from gazegan.render.population import GAZE
from gazegan.render.prior import Recipe, sample
from gazegan.render.scene import chunk, expose
from gazegan.schema import UNKNOWN, EyeBatch

LEAST = 64
"""Photographs below which their spread says little."""
_LOOKED = 2000
"""Renders, at most, that help to choose the statistics."""
_VARIES = math.radians(3)
"""Spread of the heads' yaw, or of the gaze, below which it counts as the same for all."""
_MIRRORED = ("head_yaw", "gaze_yaw")
"""Circumstances whose sign a mirror image has the other way round."""


class FitConfig(Config):
    """How a recipe is matched to photographs."""

    rounds: int = Field(8, ge=1, le=1000)
    steps: int = Field(20, ge=1, le=10_000)
    """Steps of each round."""
    batch: int = Field(128, ge=8, le=65536)
    """Eyes rendered each step."""
    rate: float = Field(0.06, gt=0, le=1)
    """First step's length, in spreads of the parameters; it falls to 0 as half a cosine."""
    stay: float = Field(1e-4, ge=0)
    """Weight of a parameter's squared move, in its spreads: what photographs do not tell stays."""
    components: int = Field(40, ge=1, le=400)
    """Principal components of the layout that are matched; at most a quarter of the photographs."""
    narrow: bool = False
    """Match variances too, so that ranges become narrower or wider; else they only move. A few
    people's photographs show less variety than all people have."""
    light: bool = True
    """Match brightness, contrast and detail too; not for photographs with equalised histograms."""
    turns: bool = True
    """Match what eyes look like by how far heads are turned, where photographs come with that."""
    measured: int = Field(4000, ge=64)
    """Photographs, at most, of each half by which the distances before and after are measured."""
    gaze: bool = False
    """Match what eyes look like by where they look, where photographs are labelled: how lids and
    heads go along with the gaze then shows, which it does not without."""
    hold: tuple[str, ...] = ()
    """Parameters that stay as they are, beside the gaze."""
    seed: int = Field(0, ge=0)


@dataclass(frozen=True)
class Fitted:
    """Photographs, ready to be compared with."""

    image: Tensor
    """[N, C, H, W]; eyes of one side alone, where sides are known."""
    sided: bool
    statistics: Statistics
    known: dict[str, Tensor]
    """[N] rad each, what counts of `circumstances`, as in the images."""
    values: Tensor
    """[V, N, M] statistics of the photographs, and of their mirror images where sides mix."""


def summarise(recipe: Recipe, photographs: EyeBatch, cfg: FitConfig) -> Fitted:
    """Return what `fit` compares photographs by; renders of `recipe` help to choose it.

    Raises UserError where there are too few photographs, or the recipe shows whole faces.
    """
    if recipe.image.whole_faces:
        raise UserError(f"recipe {recipe.name!r} shows whole faces; fit one of single eyes")
    if len(photographs) < LEAST:
        raise UserError(
            f"--real: {len(photographs)} photographs are too few to fit to; take {LEAST}"
        )
    for name in cfg.hold:
        if name not in SPECS:
            raise UserError(f"--hold {name}: no such parameter of eyes")
    sided = sides_known(photographs)
    if not sided:
        photographs = replace(photographs, side=torch.full_like(photographs.id, UNKNOWN))
    image, known = one_side(photographs), _counting(circumstances(photographs), cfg)
    looked = renders(recipe, cfg.seed, torch.arange(_LOOKED), sided, known)
    mine, theirs = (x if sided else torch.cat((x, x.flip(-1))) for x in (image, looked))
    statistics = learn(mine, theirs, min(cfg.components, len(photographs) // 4), cfg.light)
    return Fitted(image, sided, statistics, known, _views(image, known, sided, statistics, known))


def _counting(found: dict[str, Tensor], cfg: FitConfig) -> dict[str, Tensor]:
    """Leave out what does not vary, or is not to be used; of the gaze both angles count or none."""
    varies = {name: values for name, values in found.items() if float(values.std()) >= _VARIES}
    used = {"head_yaw"} if cfg.turns else set()
    if cfg.gaze:
        if not set(GAZE) <= set(varies):
            raise UserError(
                "--gaze: these photographs do not say where eyes look; leave it out, or import"
                " them with their labels"
            )
        used |= set(GAZE)
    return {name: values for name, values in varies.items() if name in used}


def scenes(
    recipe: Recipe, seed: int, indices: Tensor, sided: bool, known: dict[str, Tensor]
) -> tuple[EyeParams, Tensor]:
    """Draw scenes `indices` `[B]` of a recipe and the seeds of their textures.

    What is `known` of photographs, `[N]` rad, is as in one of them, drawn for each scene.
    """
    textures = rng.bits(indices, seed, "texture")
    drawn = sample(recipe, seed, indices)
    if not known:
        return drawn, textures
    count = len(next(iter(known.values())))
    place = (rng.uniform(indices, seed, "head of a photograph") * count).long()
    mirrored = sided & (drawn.side < 0)
    given = {}
    for name, values in known.items():
        angle = torch.rad2deg(values[place])
        there = torch.where(mirrored, -angle, angle) if name in _MIRRORED else angle
        given[name] = there.to(drawn.side.dtype)
    return sample(recipe, seed, indices, given), textures


def shown(
    recipe: Recipe, drawn: EyeParams, textures: Tensor, sided: bool
) -> tuple[Tensor, dict[str, Tensor]]:
    """Render scenes; images `[B, C, H, W]` and circumstances `[B]` rad, of one side if `sided`."""
    needs, step = effects.of_recipe(recipe), chunk(recipe.image)
    parts = [
        expose(drawn[at : at + step], textures[at : at + step], recipe.image, needs).image
        for at in range(0, len(textures), step)
    ]
    image, mirrored = torch.cat(parts), sided & (drawn.side < 0)
    image = torch.where(mirrored[:, None, None, None], image.flip(-1), image)
    way, found = torch.where(mirrored, -1.0, 1.0), {}
    for name in ("head_yaw", *GAZE):
        angle = torch.deg2rad(getattr(drawn, name))
        found[name] = way * angle if name in _MIRRORED else angle
    return image, found


def renders(
    recipe: Recipe, seed: int, indices: Tensor, sided: bool, known: dict[str, Tensor]
) -> Tensor:
    """Render images `[B, C, H, W]` of `scenes`, without gradients."""
    with torch.no_grad():
        return shown(recipe, *scenes(recipe, seed, indices, sided, known), sided)[0]


def seen(recipe: Recipe, drawn: EyeParams, textures: Tensor, photographs: Fitted) -> Tensor:
    """Return statistics `[V, B, M]` of scenes, seen as the photographs are."""
    image, found = shown(recipe, drawn, textures, photographs.sided)
    known, statistics = photographs.known, photographs.statistics
    return _views(image, found, photographs.sided, statistics, known)


def _views(
    image: Tensor,
    found: dict[str, Tensor],
    sided: bool,
    statistics: Statistics,
    known: dict[str, Tensor],
) -> Tensor:
    """Return the statistics of images, by those circumstances `found` that `known` names."""
    if not known:
        return torch.stack([statistics(x) for x in (image, image.flip(-1))[: 2 - sided]])
    units = [float(values.square().mean().sqrt()) for values in known.values()]
    along = torch.stack([found[name] / u for name, u in zip(known, units, strict=True)], dim=1)
    way = along.new_tensor([-1.0 if name in _MIRRORED else 1.0 for name in known])
    views = ((image, along),) if sided else ((image, along), (image.flip(-1), way * along))
    return torch.stack([by_circumstance(statistics(view), how) for view, how in views])


def distance(recipe: Recipe, photographs: Fitted, cfg: FitConfig) -> float:
    """Return how far fresh renders of a recipe are from the photographs.

    The sliced Wasserstein distance of their statistics, in spreads of the photographs' own: the
    mean of those from two random halves, of as many renders, for the fewer there are the farther
    apart chance sets them.
    """
    seed, parts = rng.mix(cfg.seed, "fit", "measure"), _halves(photographs, cfg)
    count = sum(part.shape[1] for part in parts)
    drawn = scenes(recipe, seed, torch.arange(count), photographs.sided, photographs.known)
    with torch.no_grad():
        values = seen(recipe, *drawn, photographs).chunk(2, dim=1)
    return sum(_apart(a, b, cfg.seed) for a, b in zip(values, parts, strict=True)) / 2


def within(photographs: Fitted, cfg: FitConfig) -> float:
    """Return that distance between the halves themselves: what is left to chance."""
    return _apart(*_halves(photographs, cfg), cfg.seed)


def _halves(photographs: Fitted, cfg: FitConfig) -> tuple[Tensor, Tensor]:
    """Return statistics `[V, N, M]` of two random halves, of at most `measured` photographs."""
    count = photographs.values.shape[1]
    order = torch.randperm(count, generator=rng.stream(cfg.seed, "fit", "halves"))
    each = min(count // 2, cfg.measured)
    return photographs.values[:, order[:each]], photographs.values[:, order[each : 2 * each]]


def _apart(a: Tensor, b: Tensor, seed: int) -> float:
    slices = rng.stream(seed, "fit", "slices")
    return float(sliced_wasserstein(a.flatten(0, 1), b.flatten(0, 1), slices))
