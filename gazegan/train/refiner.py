"""The refiner stage: a generator learns to make renders look real and keep their labels."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.optim import Optimizer

from gazegan.config import Config
from gazegan.data.stream import Samples, batch_indices, only
from gazegan.losses.adversarial import (
    gradient_penalty,
    least_squares_critic,
    least_squares_generator,
    wasserstein_critic,
    wasserstein_generator,
)
from gazegan.losses.gaze import gaze_moved_deg
from gazegan.losses.selfreg import region_weight, weighted_l1
from gazegan.nets.critic import Critic, CriticConfig
from gazegan.nets.refiner import Refiner, RefinerConfig
from gazegan.nets.regressor import Regressor
from gazegan.optim import (
    OptimiserConfig,
    all_but,
    clip_adaptively,
    gradient_norm,
    make_optimiser,
    update_average,
)
from gazegan.schema import MASKS, EyeBatch
from gazegan.train import processes
from gazegan.train.assess import assess
from gazegan.train.calls import Calls, calls
from gazegan.train.history import mix_history
from gazegan.train.joint_norm import join_norms
from gazegan.train.loop import Batches, LoopConfig, Measured, Stage
from gazegan.train.setup import at_hand, describe, seeded

Weight = Annotated[float, Field(ge=0, le=1000)]


_COMPARED = 256


class Regions(Config):
    """A weight for each of schema.MASKS."""

    skin: Weight = 0.5
    sclera: Weight = 1.0
    iris: Weight = 3.0
    pupil: Weight = 3.0
    caruncle: Weight = 1.0
    lashes: Weight = 0.5
    glasses: Weight = 0.5
    glint: Weight = 1.0

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights in the order of schema.MASKS."""
        return tuple(getattr(self, name) for name in MASKS)


class RefinerTraining(LoopConfig):
    """Configuration of the refiner stage; `steps` count generator steps."""

    batch: int = Field(24, ge=2, le=65536)
    network: RefinerConfig = RefinerConfig()
    critic: CriticConfig = CriticConfig()
    loss: Literal["wasserstein", "least_squares"] = "wasserstein"
    critic_steps: int = Field(3, ge=1, le=100)
    """Critic steps before each generator step, each on its own batch."""
    critic_lead: int = Field(50, ge=0)
    """First steps in which the critic learns alone: an untrained one misleads the generator."""
    penalty: Weight = 10.0
    """Weight of the gradient penalty; wasserstein only."""
    keep: Weight = 0.5
    """Weight of the self-regularisation: the mean change, times the root of the pixel count.

    The Wasserstein critic's slope is 1 over the whole image. With this scale a weight of 1
    outbids that slope where it is spread evenly, and only what counts more is changed.
    """
    regions: Regions = Regions()
    """How strongly what a mask covers is kept."""
    gaze: Weight = 0.05
    """Weight, a degree, of how far a frozen gaze network's answers move; without one not used."""
    generator: OptimiserConfig = OptimiserConfig(kind="adam", lr=2e-4)
    discriminator: OptimiserConfig = OptimiserConfig(kind="adam", lr=4e-4)
    clip_adaptive: float = Field(0.0, ge=0)
    """Largest norm of a unit's gradient as a share of its weights', last layers left out; 0: any.
    """
    history: int = Field(0, ge=0, le=1 << 20)
    """Refined images remembered for the critic; 0 for none."""
    average: float = Field(0.995, ge=0, lt=1)
    """Decay of the weight average that is kept as the result; 0 for none."""


@dataclass
class RefinerState:
    """Everything a resumed run needs."""

    refiner: Refiner
    critic: Critic
    average: Refiner
    refiner_optimiser: Optimizer
    critic_optimiser: Optimizer
    history: Tensor
    """[N, C, H, W], of which the first `remembered` are filled."""
    remembered: int = 0
    step: int = 0


def init(cfg: RefinerTraining, channels: int, size: tuple[int, int], device: str) -> RefinerState:
    """Return the state before the first step: the refiner is the identity."""
    with seeded(cfg.seed, "refiner"):
        refiner = Refiner(cfg.network, channels).to(device)
        critic = Critic(cfg.critic, channels).to(device)
    join_norms(refiner)
    return RefinerState(
        refiner=refiner,
        critic=critic,
        average=copy.deepcopy(refiner).requires_grad_(False),
        refiner_optimiser=make_optimiser(cfg.generator, refiner.parameters()),
        critic_optimiser=make_optimiser(cfg.discriminator, critic.parameters()),
        history=torch.zeros(cfg.history, channels, *size, device=device),
    )


def step(
    cfg: RefinerTraining,
    state: RefinerState,
    synthetic: EyeBatch,
    real: EyeBatch,
    generator: Generator,
    judge: Regressor | None = None,
    how: Calls = Calls(),  # noqa: B008 (frozen)
) -> Measured:
    """Update the critic `critic_steps` times and the generator once; returns what to log.

    Both batches hold `critic_steps` times `batch` eyes, on the state's device, or of several
    processes each its rows of every `batch`; the generator learns from the last part of the
    synthetic ones. `judge` is a gaze network, frozen and in
    evaluation mode, whose answers the refinement is to keep.
    """
    scalars: Measured = {}
    parts = (
        torch.chunk(synthetic.image, cfg.critic_steps),
        torch.chunk(real.image, cfg.critic_steps),
    )
    for raw, true in zip(*parts, strict=True):
        scalars = _critic_step(cfg, state, raw, true, generator, how)
    if state.step >= cfg.critic_lead:
        scalars |= _generator_step(cfg, state, synthetic[-len(parts[0][-1]) :], judge, how)
        update_average(state.average, state.refiner, cfg.average, state.step - cfg.critic_lead)
    return scalars


def _critic_step(
    cfg: RefinerTraining,
    state: RefinerState,
    raw: Tensor,
    real: Tensor,
    generator: Generator,
    how: Calls,
) -> Measured:
    with torch.no_grad():
        fake = how.once(state.refiner, raw)
    if cfg.history:
        fresh = processes.gathered(fake)
        mixed, state.remembered = mix_history(state.history, state.remembered, fresh, generator)
        fake = processes.share(mixed)
    real_scores, fake_scores = (how.once(state.critic, image) for image in (real, fake))
    scalars: Measured = {}
    if cfg.loss == "wasserstein":
        distance = -_over_heads(wasserstein_critic, real_scores, fake_scores)
        drawn = torch.rand(processes.count() * len(real), generator=generator)
        mixing = processes.share(drawn).to(real.device, non_blocking=True)
        penalty, norms = gradient_penalty(
            partial(how.twice, state.critic.value), real, fake, mixing
        )
        loss = cfg.penalty * penalty - distance
        scalars |= {"wasserstein": distance.detach(), "critic/slope": norms.mean()}
    else:
        loss = _over_heads(least_squares_critic, real_scores, fake_scores)
    state.critic_optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    processes.average_gradients(state.critic.parameters())
    norm = gradient_norm(state.critic.parameters())
    clip_adaptively(all_but(state.critic, state.critic.heads), cfg.clip_adaptive)
    state.critic_optimiser.step()
    return {**scalars, "critic/loss": loss.detach(), "critic/gradient": norm}


def _generator_step(
    cfg: RefinerTraining, state: RefinerState, batch: EyeBatch, judge: Regressor | None, how: Calls
) -> Measured:
    raw = batch.image
    refined = how.once(state.refiner, raw)
    loss_of = wasserstein_generator if cfg.loss == "wasserstein" else least_squares_generator
    # The critic is only looked through here; its own gradients are not needed.
    state.critic.requires_grad_(False)
    adversarial = _over_heads(loss_of, how.once(state.critic, refined))
    state.critic.requires_grad_(True)
    weight = None if batch.masks is None else region_weight(batch.masks, cfg.regions.weights)
    keep = weighted_l1(refined, raw, weight) * raw[0].numel() ** 0.5
    loss = adversarial + cfg.keep * keep
    scalars: Measured = {"refiner/adversarial": adversarial.detach(), "refiner/keep": keep.detach()}
    if judge is not None:
        moved = gaze_moved_deg(judge, raw, refined)
        loss = loss + cfg.gaze * moved
        scalars["refiner/gaze_deg"] = moved.detach()
    state.refiner_optimiser.zero_grad()
    loss.backward()
    processes.average_gradients(state.refiner.parameters())
    norm = gradient_norm(state.refiner.parameters())
    clip_adaptively(all_but(state.refiner, state.refiner.head), cfg.clip_adaptive)
    state.refiner_optimiser.step()
    return {**scalars, "refiner/loss": loss.detach(), "refiner/gradient": norm}


def _over_heads(loss: Callable[..., Tensor], *scores: dict[str, Tensor]) -> Tensor:
    """Add a loss over the scores of each head of the critic."""
    return torch.stack([loss(*(s[head] for s in scores)) for head in scores[0]]).sum()


def result(cfg: RefinerTraining, state: RefinerState) -> Refiner:
    """Return the refiner that the run is for: the average, or where there is none the last."""
    return state.average if cfg.average else state.refiner


def _looked_at(source: Samples) -> int:
    """Of how many of its eyes a source's likeness is measured."""
    return min(len(source), _COMPARED)


@dataclass(frozen=True)
class Judge:
    """A trained gaze network whose answers the refinement is to keep."""

    network: Regressor
    sha256: str
    """Of its weights, so that a run with another judge is another run."""


def refiner_stage(
    cfg: RefinerTraining,
    synthetic: Samples,
    real: Samples,
    device: str = "cpu",
    judge: Judge | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> Stage[RefinerState]:
    """Bind the stage to its data, which must agree in size and channels."""
    processes.check_batch(cfg.batch, "--batch")
    synthetic, real = only(synthetic, ("masks",)), only(real, ())
    frozen = judge.network.requires_grad_(False).eval() if judge else None
    size, channels, images = synthetic.size, synthetic.channels, cfg.batch * cfg.critic_steps
    how = calls(cfg.precision, cfg.compile_step, device, notify)
    fixed = tuple(
        source.read(batch_indices(len(source), _looked_at(source), 0, cfg.seed, f"fixed-{name}"))
        for name, source in (("synthetic", synthetic), ("real", real))
    )

    def batches(at: int) -> Batches:
        read = {}
        for name, source in (("synthetic", synthetic), ("real", real)):
            chosen = batch_indices(len(source), images, at, cfg.seed, name)
            mine = torch.cat([processes.share(part) for part in torch.split(chosen, cfg.batch)])
            read[name] = source.read(mine).to(device)
        return read

    known = {**describe(synthetic), "real": describe(real)} | (
        {"judge": judge.sha256} if judge else {}
    )
    synthetic, real = at_hand(synthetic, device), at_hand(real, device)
    return Stage(
        name="refiner",
        config=cfg,
        data=known,
        init=lambda: init(cfg, channels, size, device),
        batches=batches,
        step=lambda state, b, g: step(cfg, state, b["synthetic"], b["real"], g, frozen, how),
        evaluate=lambda state: assess(
            result(cfg, state), cfg.seed, *(eyes.to(device) for eyes in fixed)
        ),
        weights=lambda state: result(cfg, state),
    )
