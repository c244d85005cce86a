"""Photographs and renders, seen by the same statistics, and how far apart they are."""

import math
from dataclasses import dataclass, replace

import torch
from pydantic import Field
from torch import Tensor

from gazegan import rng
from gazegan.config import Config
from gazegan.errors import UserError
from gazegan.fit.statistics import Statistics, by_turn, learn, one_side, sides_known, turned
from gazegan.losses.transport import sliced_wasserstein
from gazegan.render import effects
from gazegan.render.params import SPECS, EyeParams
from gazegan.render.prior import Recipe, sample
from gazegan.render.scene import chunk, expose
from gazegan.schema import UNKNOWN, EyeBatch

LEAST = 64
"""Photographs below which their spread says little."""
_LOOKED = 2000
"""Renders, at most, that help to choose the statistics."""
_TURNED = math.radians(3)
"""Spread of the heads' yaw below which all count as turned alike."""


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
    """Renders by which the distances before and after are measured."""
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
    heads: Tensor | None
    """[N] yaw of the heads, rad, as in the images; None where it does not count."""
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
    image, turn = one_side(photographs), turned(photographs)
    known = cfg.turns and bool(turn.isfinite().all()) and float(turn.std()) >= _TURNED
    heads = turn if known else None
    looked = renders(recipe, cfg.seed, torch.arange(_LOOKED), sided, heads)
    mine, theirs = (x if sided else torch.cat((x, x.flip(-1))) for x in (image, looked))
    statistics = learn(mine, theirs, min(cfg.components, len(photographs) // 4), cfg.light)
    return Fitted(image, sided, statistics, heads, _views(image, turn, sided, statistics, heads))


def scenes(
    recipe: Recipe, seed: int, indices: Tensor, sided: bool, heads: Tensor | None
) -> tuple[EyeParams, Tensor]:
    """Draw scenes `indices` `[B]` of a recipe and the seeds of their textures.

    Where photographs tell how far `heads` `[N]` rad are turned, heads are turned as in those.
    """
    drawn, textures = sample(recipe, seed, indices), rng.bits(indices, seed, "texture")
    if heads is not None:
        place = (rng.uniform(indices, seed, "head of a photograph") * len(heads)).long()
        yaw = torch.rad2deg(heads[place])
        mirrored = sided & (drawn.side < 0)
        drawn = replace(drawn, head_yaw=torch.where(mirrored, -yaw, yaw).to(drawn.side.dtype))
    return drawn, textures


def shown(recipe: Recipe, drawn: EyeParams, textures: Tensor, sided: bool) -> tuple[Tensor, Tensor]:
    """Render scenes; images, and heads' yaws `[B]` rad, of one side where `sided`."""
    needs, step = effects.of_recipe(recipe), chunk(recipe.image)
    parts = [
        expose(drawn[at : at + step], textures[at : at + step], recipe.image, needs).image
        for at in range(0, len(textures), step)
    ]
    image, turn = torch.cat(parts), torch.deg2rad(drawn.head_yaw)
    mirrored = sided & (drawn.side < 0)
    image = torch.where(mirrored[:, None, None, None], image.flip(-1), image)
    return image, torch.where(mirrored, -turn, turn)


def renders(
    recipe: Recipe, seed: int, indices: Tensor, sided: bool, heads: Tensor | None
) -> Tensor:
    """Render images of `scenes`, without gradients."""
    with torch.no_grad():
        return shown(recipe, *scenes(recipe, seed, indices, sided, heads), sided)[0]


def seen(recipe: Recipe, drawn: EyeParams, textures: Tensor, photographs: Fitted) -> Tensor:
    """Return statistics `[V, B, M]` of scenes, seen as the photographs are."""
    image, turn = shown(recipe, drawn, textures, photographs.sided)
    return _views(image, turn, photographs.sided, photographs.statistics, photographs.heads)


def _views(
    image: Tensor, turn: Tensor, sided: bool, statistics: Statistics, heads: Tensor | None
) -> Tensor:
    views = ((image, turn),) if sided else ((image, turn), (image.flip(-1), -turn))
    found = [(statistics(view), way) for view, way in views]
    if heads is None:
        return torch.stack([values for values, _ in found])
    unit = float(heads.square().mean().sqrt())
    return torch.stack([by_turn(values, way, unit) for values, way in found])


def distance(recipe: Recipe, photographs: Fitted, cfg: FitConfig) -> float:
    """Return how far fresh renders of a recipe are from the photographs.

    The sliced Wasserstein distance of their statistics, in spreads of the photographs' own.
    """
    seed = rng.mix(cfg.seed, "fit", "measure")
    drawn = scenes(recipe, seed, torch.arange(cfg.measured), photographs.sided, photographs.heads)
    with torch.no_grad():
        values = seen(recipe, *drawn, photographs)
    return _apart(values.flatten(0, 1), photographs.values.flatten(0, 1), cfg.seed)


def within(photographs: Fitted, cfg: FitConfig) -> float:
    """Return that distance between two random halves of the photographs: what is left to chance."""
    count = photographs.values.shape[1]
    order = torch.randperm(count, generator=rng.stream(cfg.seed, "fit", "halves"))
    a, b = (photographs.values[:, half].flatten(0, 1) for half in order.chunk(2))
    return _apart(a, b, cfg.seed)


def _apart(a: Tensor, b: Tensor, seed: int) -> float:
    return float(sliced_wasserstein(a, b, rng.stream(seed, "fit", "slices")))
