"""The refiner stage: a generator learns to make renders look real and keep their labels."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer

from gazegan.data.stream import Samples, batch_indices, only
from gazegan.losses.adversarial import ADVERSARIAL, gradient_penalty
from gazegan.losses.gaze import gaze_moved_deg
from gazegan.losses.selfreg import feature_l1, region_weight, weighted_l1
from gazegan.nets.critic import Critic
from gazegan.nets.features import RandomFeatures
from gazegan.nets.refiner import Refiner
from gazegan.nets.regressor import Regressor
from gazegan.optim import (
    clip_adaptively,
    clip_weights,
    gradient_norm,
    make_optimiser,
    update_average,
)
from gazegan.schema import EyeBatch
from gazegan.train import processes
from gazegan.train.assess import assess
from gazegan.train.calls import Calls, calls
from gazegan.train.checkpoint import Trained
from gazegan.train.history import mix_history
from gazegan.train.joint_norm import join_norms
from gazegan.train.loop import Batches, Measured, Scalars, Stage
from gazegan.train.refiner_settings import RefinerTraining
from gazegan.train.setup import at_hand, describe, seeded

_COMPARED = 256


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


@dataclass(frozen=True)
class Frozen:
    """Networks that are not trained, by which the refinement is held to its render."""

    features: RandomFeatures | None = None
    judge: Regressor | None = None
    """In evaluation mode; its answers are to stay."""


def init(
    cfg: RefinerTraining,
    channels: int,
    size: tuple[int, int],
    device: str,
    pretrained: Trained[Refiner] | None = None,
) -> RefinerState:
    """Return the state before the first step: the refiner is the identity, or `pretrained`."""
    with seeded(cfg.seed, "refiner"):
        refiner = Refiner(cfg.network, channels).to(device)
        critic = Critic(cfg.critic, channels).to(device)
    if pretrained:
        refiner.load_state_dict(pretrained.network.state_dict())
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
    batches: Batches,
    generator: Generator,
    frozen: Frozen = Frozen(),
    how: Calls = Calls(),  # noqa: B008 (frozen)
) -> Measured:
    """Update the critic `critic_steps` times and the generator once; returns what to log.

    Batches are on the state's device, and of several processes each has its rows of every `batch`.
    `real` holds as many as the critic takes steps. `synthetic` is that of the last one, from which
    the generator learns too; `before`, where there are several, holds those of the others.
    """
    scalars: Measured = {}
    synthetic, real = batches["synthetic"], torch.chunk(batches["real"].image, cfg.critic_steps)
    raws = [synthetic.image]
    if "before" in batches:
        raws = [*torch.chunk(batches["before"].image, cfg.critic_steps - 1), *raws]
    for raw, true in zip(raws, real, strict=True):
        scalars = _critic_step(cfg, state, raw, true, generator, how)
    if state.step >= cfg.critic_lead:
        scalars |= _generator_step(cfg, state, synthetic, frozen, how)
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
    loss = _over_heads(ADVERSARIAL[cfg.loss].critic, real_scores, fake_scores)
    scalars = _told(cfg, loss, real_scores, fake_scores)
    if cfg.bound == "penalty":
        drawn = torch.rand(processes.count() * len(real), generator=generator)
        mixing = processes.share(drawn).to(real.device, non_blocking=True)
        penalty, norms = gradient_penalty(
            partial(how.twice, state.critic.value), real, fake, mixing
        )
        loss = cfg.penalty * penalty + loss
        scalars["critic/slope"] = norms.mean()
    state.critic_optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    processes.average_gradients(state.critic.parameters())
    norm = gradient_norm(state.critic.parameters())
    clip_adaptively(state.critic, cfg.clip_adaptive, state.critic.heads)
    state.critic_optimiser.step()
    if cfg.bound == "clipping":
        clip_weights(state.critic.parameters(), cfg.clip)
    return {**scalars, "critic/loss": loss.detach(), "critic/gradient": norm}


def _told(
    cfg: RefinerTraining, loss: Tensor, real: dict[str, Tensor], fake: dict[str, Tensor]
) -> Measured:
    """What the critic thinks: the Wasserstein estimate, or how real images seem to it, 0..1."""
    realness = ADVERSARIAL[cfg.loss].realness
    if realness is None:
        return {"wasserstein": -loss.detach()}
    return {
        f"critic/{name}": torch.cat(
            [realness(s.detach()).flatten() for s in scores.values()]
        ).mean()
        for name, scores in (("real", real), ("fake", fake))
    }


def _generator_step(
    cfg: RefinerTraining, state: RefinerState, batch: EyeBatch, frozen: Frozen, how: Calls
) -> Measured:
    raw = batch.image
    refined = how.once(state.refiner, raw)
    weight = None if batch.masks is None else region_weight(batch.masks, cfg.regions.weights)
    scale = raw[0].numel() ** 0.5
    keep = weighted_l1(refined, raw, weight) * scale
    loss = cfg.kept * keep
    scalars: Measured = {"refiner/keep": keep.detach(), "refiner/variety": _variety(refined, raw)}
    if state.step >= cfg.against_from:
        # The critic is only looked through here; its own gradients are not needed.
        state.critic.requires_grad_(False)
        scores = how.once(state.critic, refined)
        state.critic.requires_grad_(True)
        adversarial = _over_heads(ADVERSARIAL[cfg.loss].generator, scores)
        loss = adversarial + loss
        scalars["refiner/adversarial"] = adversarial.detach()
    if frozen.features is not None:
        changed = feature_l1(frozen.features.maps, refined, raw) * scale
        loss = loss + cfg.keep_features * changed
        scalars["refiner/features"] = changed.detach()
    if frozen.judge is not None:
        moved = gaze_moved_deg(frozen.judge, raw, refined)
        loss = loss + cfg.gaze * moved
        scalars["refiner/gaze_deg"] = moved.detach()
    state.refiner_optimiser.zero_grad()
    loss.backward()
    processes.average_gradients(state.refiner.parameters())
    norm = gradient_norm(state.refiner.parameters())
    clip_adaptively(state.refiner, cfg.clip_adaptive, state.refiner.head)
    state.refiner_optimiser.step()
    return {**scalars, "refiner/loss": loss.detach(), "refiner/gradient": norm}


def _variety(refined: Tensor, raw: Tensor) -> Tensor:
    """How much refined images of a batch differ, as a share of how much raw ones do."""
    spreads = [processes.gathered(image.detach()).std(0).mean() for image in (refined, raw)]
    return spreads[0] / spreads[1].clamp(min=1e-6)


def _over_heads(loss: Callable[..., Tensor], *scores: dict[str, Tensor]) -> Tensor:
    """Add a loss over the scores of each head of the critic."""
    return torch.stack([loss(*(s[head] for s in scores)) for head in scores[0]]).sum()


def collapsed(cfg: RefinerTraining, step: int, scalars: Scalars) -> str | None:
    """Say that refined eyes have become one, if so, with the cure."""
    variety = scalars.get("refiner/variety", 1.0)
    if step < cfg.settled_from or variety >= cfg.least_variety:
        return None
    return (
        f"refined eyes have only {variety:.1%} of the renders' variety at step {step}: the refiner"
        f" collapsed; raise --set keep ({cfg.kept:g}) or lower --set generator.lr"
    )


def result(cfg: RefinerTraining, state: RefinerState) -> Refiner:
    """Return the refiner that the run is for: the average, or where there is none the last."""
    return state.average if cfg.average else state.refiner


def _looked_at(source: Samples) -> int:
    """Of how many of its eyes a source's likeness is measured."""
    return min(len(source), _COMPARED)


def refiner_stage(
    cfg: RefinerTraining,
    synthetic: Samples,
    real: Samples,
    device: str = "cpu",
    judge: Trained[Regressor] | None = None,
    notify: Callable[[str], None] = lambda _: None,
    pretrained: Trained[Refiner] | None = None,
) -> Stage[RefinerState]:
    """Bind the stage to its data, which must agree in size and channels.

    The answers of a `judge` are kept; a refiner that is `pretrained`, of the same configuration,
    is what the training begins with, against a critic that is new.
    """
    processes.check_batch(cfg.batch, "--batch")
    synthetic, real = only(synthetic, ("masks",)), only(real, ())
    frozen = Frozen(
        RandomFeatures(synthetic.channels).to(device) if cfg.keep_features else None,
        judge.network.requires_grad_(False).eval() if judge else None,
    )
    size, channels, count = synthetic.size, synthetic.channels, cfg.batch * cfg.critic_steps
    how = calls(cfg.precision, cfg.compile_step, device, notify)
    fixed = tuple(
        source.read(batch_indices(len(source), _looked_at(source), 0, cfg.seed, f"fixed-{name}"))
        for name, source in (("synthetic", synthetic), ("real", real))
    )

    def batches(at: int) -> Batches:
        def drawn(name: str, source: Samples) -> list[Tensor]:
            chosen = batch_indices(len(source), count, at, cfg.seed, name)
            return [processes.share(part) for part in torch.split(chosen, cfg.batch)]

        *before, last = drawn("synthetic", synthetic)
        read = {
            "synthetic": synthetic.read(last),
            "real": real.read(torch.cat(drawn("real", real))),
        }
        if before:
            read["before"] = images.read(torch.cat(before))
        return {name: eyes.to(device) for name, eyes in read.items()}

    others = {"judge": judge, "pretrained": pretrained}
    known = {**describe(synthetic), "real": describe(real)} | {
        name: other.sha256 for name, other in others.items() if other
    }
    synthetic, real = at_hand(synthetic, device), at_hand(real, device)
    images = only(synthetic, ())  # the critic needs no masks, and they take long to read
    return Stage(
        name="refiner",
        config=cfg,
        data=known,
        init=lambda: init(cfg, channels, size, device, pretrained),
        batches=batches,
        step=lambda state, b, g: step(cfg, state, b, g, frozen, how),
        evaluate=lambda state: assess(
            result(cfg, state), cfg.seed, fixed[0].to(device), fixed[1].to(device), frozen.judge
        ),
        fault=partial(collapsed, cfg),
        weights=lambda state: result(cfg, state),
    )
