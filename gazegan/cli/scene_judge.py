"""A recipe's scenes at fixed gaze: drawn as latents, rendered, and judged by a gaze network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gazegan.cli import gaze
from gazegan.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gazegan.nets.regressor import Regressor
    from gazegan.render.params import EyeParams
    from gazegan.render.prior import Recipe
    from gazegan.schema import EyeBatch


_HIDDEN_DEG = 100.0
"""What is judged of a scene whose iris is hidden, a share too much of it, below zero."""
_TURNING = ("camera_azimuth", "camera_elevation", "camera_roll")
"""What changes the gaze as the camera sees it; held."""


@dataclass(frozen=True)
class Scenes:
    """N scenes of a recipe before a network."""

    recipe: Recipe
    network: Regressor
    latent: Tensor
    """[N, P]; what is not moved stays as it is here, gaze among it."""
    texture: Tensor
    """[N] int32."""
    least: Tensor
    """[N] share of the iris that must stay in sight: without an iris there is no gaze to see."""
    device: str

    def __len__(self) -> int:
        return len(self.latent)

    def __getitem__(self, rows: slice) -> Scenes:
        kept = {name: getattr(self, name)[rows] for name in ("latent", "texture", "least")}
        return replace(self, **kept)

    def degrees(self, latent: Tensor, which: Tensor) -> Tensor:
        """Return the errors `[M]` on the scenes `which` `[M]` moved to `latent` `[M, P]`.

        Negative where less of the iris is in sight than must be. Differentiable by `latent`, and
        on the CPU as that is.
        """
        import torch

        from gazegan.render.scene import chunk

        step = chunk(self.recipe.image)
        parts = zip(torch.split(latent, step), torch.split(which, step), strict=True)
        return torch.cat([self._degrees(*part) for part in parts])

    def _degrees(self, latent: Tensor, which: Tensor) -> Tensor:
        import torch

        from gazegan.render import effects
        from gazegan.render.scene import expose, label

        params = self._params(latent)
        needs, image = effects.of_recipe(self.recipe), self.recipe.image
        seen = expose(params, self.texture[which].to(self.device), image, needs)
        known = label(params, image, needs)
        turn = (known["head"][:, 1],) if self.network.config.head_yaw else ()
        # Rounded as a store keeps it; the gradient passes through as if it were not.
        image_seen = seen.image + (_rounded(seen.image) - seen.image).detach()
        degrees = self._error(self.network(image_seen, *turn), known["gaze"]).cpu()
        short = self.least[which] - iris_in_sight(seen.masks, known["ellipses"]).cpu()
        return torch.where(short > 0, -_HIDDEN_DEG * short, degrees)

    def _params(self, latent: Tensor) -> EyeParams:
        from gazegan.render.latents import params_at
        from gazegan.render.params import EyeParams

        return EyeParams.from_flat(params_at(self.recipe, latent).flat().to(self.device))

    def _error(self, output: Tensor, true: Tensor) -> Tensor:
        truth, error = gaze.truth_of(true, self.network.target)
        return error(output, truth)

    def photograph(self, latent: Tensor) -> EyeBatch:
        """Return the N scenes moved to `latent` `[N, P]` with labels, as a store keeps them."""
        import torch

        from gazegan.render import effects
        from gazegan.render.scene import chunk, render
        from gazegan.schema import EyeBatch

        needs, image = effects.of_recipe(self.recipe), self.recipe.image
        step = chunk(image)
        parts = zip(torch.split(latent, step), torch.split(self.texture, step), strict=True)
        with torch.no_grad():
            made = [
                render(self._params(z), seed.to(self.device), image, needs).to("cpu")
                for z, seed in parts
            ]
        batch = EyeBatch.cat(made)
        return replace(batch, image=_rounded(batch.image), id=torch.arange(len(batch)))

    def judge(self, batch: EyeBatch) -> Tensor:
        """Return the errors `[N]` on finished images."""
        import torch

        from gazegan.modes import evaluating

        assert batch.gaze is not None
        shown = batch.to(self.device)
        with evaluating(self.network), torch.no_grad():
            output = gaze.of_heads(self.network, shown)(shown.image).cpu()
        return self._error(output, batch.gaze)


def draw(recipe: Recipe, network: Regressor, count: int, seed: int, device: str) -> Scenes:
    """Draw scenes of a recipe; none is an eye that `gazegan render` makes of it.

    Raises UserError where the recipe's eyes cannot be moved one by one.
    """
    import torch

    from gazegan import rng
    from gazegan.geometry import eccentricity_deg
    from gazegan.metrics import MIN_ECCENTRICITY_DEG
    from gazegan.render.latents import drawn, params_at

    if recipe.pairs:
        raise UserError(
            f"{recipe.name}: eyes of a pair cannot be moved one by one; --set pairs=false"
        )
    index = torch.arange(2 * count)
    latent = drawn(recipe, seed, index, "scene")
    if network.target == "direction":
        params = params_at(recipe, latent)
        look = torch.deg2rad(torch.stack((params.gaze_pitch, params.gaze_yaw), 1))
        index = index[eccentricity_deg(look) >= MIN_ECCENTRICITY_DEG]
    if len(index) < count:
        raise UserError(f"{recipe.name}: most gazes are into the camera and have no direction")
    index = index[:count]
    nothing = torch.zeros(count)
    texture = rng.bits(index, seed, "scene")
    return Scenes(recipe, network, latent[index], texture, nothing, device)


def begun(scenes: Scenes, latent: Tensor, visible: float) -> Scenes:
    """Return scenes that begin at `latent` `[N, P]`, and keep a share of the iris seen there."""
    seen = scenes.photograph(latent)
    assert seen.masks is not None and seen.ellipses is not None
    return replace(scenes, latent=latent, least=visible * iris_in_sight(seen.masks, seen.ellipses))


def _rounded(image: Tensor) -> Tensor:
    return (image * 255).round() / 255


def iris_in_sight(masks: Tensor, ellipses: Tensor) -> Tensor:
    """Return which share `[B]` of the limbus' outline is seen as iris, pupil or glint.

    Arguments are those fields of EyeBatch.
    """
    from gazegan.schema import ELLIPSES, MASKS

    seen = sum(masks[:, MASKS.index(name)].sum((1, 2)) for name in ("iris", "pupil", "glint"))
    outline = ellipses[:, ELLIPSES.index("iris"), 2:4].prod(1) * math.pi
    return seen / outline.clamp_min(1e-6)


def movable(recipe: Recipe, only: Sequence[str], hold: Sequence[str]) -> Tensor:
    """Return which latents `[P]` bool may move: those of `only`, or all, but for those of `hold`.

    Both name parameters or groups of them. Constants, gaze, side and where the camera stands never
    move. Raises UserError for a name that is neither, and where nothing is left.
    """
    import torch

    from gazegan.render.latents import groups, names

    known = groups()
    free = {name for part in known.values() for name in part}
    wanted = _named("--only", only, known, free) if only else free
    wanted = wanted - set(_TURNING) - _named("--hold", hold, known, free)
    wanted = {name for name in wanted if len(recipe.eyes.spread(name).values or (0, 1)) > 1}
    if not wanted:
        raise UserError("--only, --hold: nothing is left that varies in the recipe; name others")
    return torch.tensor([name in wanted for name in names(recipe)])


def _named(
    option: str, given: Sequence[str], known: dict[str, tuple[str, ...]], free: set[str]
) -> set[str]:
    import difflib

    found = set[str]()
    for name in given:
        if name not in known and name not in free:
            near = difflib.get_close_matches(name, [*known, *free], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"groups are {', '.join(known)}"
            raise UserError(f"{option} {name}: no such parameter or group; {hint}")
        found |= set(known.get(name, (name,)))
    return found
