"""The gaze stage: a network learns where an eye looks from labelled images."""

import copy
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from gazegan import rng
from gazegan.data.stream import Samples
from gazegan.errors import UserError
from gazegan.modes import evaluating
from gazegan.nets.features import hidden_of
from gazegan.nets.regressor import Regressor
from gazegan.optim import (
    clip_adaptively,
    clip_gradients,
    learning_rate,
    make_optimiser,
    set_learning_rate,
    update_average,
)
from gazegan.predict import head_turn
from gazegan.schema import EyeBatch
from gazegan.train import processes
from gazegan.train.adapt.adversarial import domain_classifier, domain_loss, ramp
from gazegan.train.adapt.alignment import align, remember
from gazegan.train.adapt.ensemble import agreement
from gazegan.train.adapt.fourier import in_their_style
from gazegan.train.adapt.teacher import teach
from gazegan.train.adversary import embitter
from gazegan.train.augment import augment, augment_eyes
from gazegan.train.calls import Calls, calls
from gazegan.train.checkpoint import Trained
from gazegan.train.gaze_feed import Feed, feed
from gazegan.train.gaze_losses import (
    Lesson,
    errors_deg,
    labels,
    landmark_error_px,
    learn,
    taught_angles,
)
from gazegan.train.gaze_settings import GazeTraining
from gazegan.train.joint_norm import join_norms
from gazegan.train.loop import Images, Measured, Scalars, Stage
from gazegan.train.setup import describe, seeded, stack_rows

_CHUNK = 256


@dataclass
class GazeState:
    """Everything a resumed run needs."""

    regressor: Regressor
    average: Regressor
    optimiser: Optimizer
    """Of the regressor and of whatever is trained beside it, each a parameter group."""
    answered: Tensor
    """[2, 2] running mean and mean square of the answers on photographs."""
    labelled: Tensor
    """[2, 2] those of the labels."""
    members: nn.ModuleList
    """The other networks of an ensemble; none for other methods."""
    averages: nn.ModuleList
    """The averages of their weights."""
    domain: nn.Sequential
    """What tells photographs from labelled eyes; empty unless it is adversarial."""
    step: int = 0

    @property
    def learners(self) -> list[Regressor]:
        """The regressor and the other networks that learn with it."""
        return [self.regressor, *cast("Iterable[Regressor]", self.members)]

    @property
    def teachers(self) -> list[Regressor]:
        """The averages of the learners' weights."""
        return [self.average, *cast("Iterable[Regressor]", self.averages)]


def init(
    cfg: GazeTraining,
    channels: int,
    device: str,
    adapts: bool = False,
    pretrained: Trained[Regressor] | None = None,
) -> GazeState:
    """Return the state before the first step; `adapts` where there will be photographs."""
    method = cfg.adapt.method if adapts else None
    with seeded(cfg.seed, "gaze"):
        regressor = Regressor(cfg.network, channels).to(device)
    if pretrained:
        regressor.load_state_dict(pretrained.network.state_dict())
    members, domain = nn.ModuleList(), nn.Sequential()
    for k in range(1, cfg.adapt.members if method == "ensemble" else 1):
        with seeded(cfg.seed, "gaze", "member", str(k)):
            members.append(Regressor(cfg.network, channels).to(device))
    if method == "adversarial":
        with seeded(cfg.seed, "gaze", "domain"):
            domain = domain_classifier(cfg.network.hidden, cfg.adapt.units).to(device)
    for network in (regressor, *members):
        join_norms(network)
    trained = [regressor, *members, *([domain] if len(domain) else [])]
    groups = [{"params": list(network.parameters())} for network in trained]
    return GazeState(
        regressor=regressor,
        average=copy.deepcopy(regressor).requires_grad_(False),
        optimiser=make_optimiser(cfg.optimiser, groups),
        answered=torch.zeros(2, 2, device=device),
        labelled=torch.zeros(2, 2, device=device),
        members=members,
        averages=copy.deepcopy(members).requires_grad_(False),
        domain=domain,
    )


def step(
    cfg: GazeTraining,
    state: GazeState,
    batch: EyeBatch,
    epochs: float,
    generator: Generator,
    photographs: EyeBatch | None = None,
    how: Calls = Calls(),  # noqa: B008 (frozen)
) -> Measured:
    """Update the regressor once; `epochs` is how often the data were seen. Returns what to log.

    Where there are photographs, it learns from them too. Of several processes, each has its rows.
    """
    rate = rate_at(cfg, epochs, state.step)
    set_learning_rate(state.optimiser, rate)
    if photographs is not None and cfg.adapt.method == "fourier":
        batch = in_their_style(batch, photographs, cfg.adapt.beta, generator)
        photographs = None
    eyes = augment_eyes(cfg.augment, batch, generator)
    gaze, turn = labels(eyes), head_turn(eyes)
    given = (eyes.image, gaze, turn, generator, taught_angles(cfg, gaze))
    eyes, taught = replace(eyes, image=embitter(cfg.adversary, state.regressor, *given)), None
    if photographs is not None:
        taught = lesson(cfg, state, gaze, photographs, generator)
    loss, scalars = lose(cfg, state, eyes, taught, how)
    state.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    processes.average_gradients(
        p for group in state.optimiser.param_groups for p in group["params"]
    )
    norms = [curb(cfg, network) for network in state.learners]
    state.optimiser.step()
    for average, network in zip(state.teachers, state.learners, strict=True):
        update_average(average, network, cfg.average, state.step)
    return {**scalars, "gradient": norms[0], "lr": rate}


def lose(
    cfg: GazeTraining, state: GazeState, eyes: EyeBatch, taught: Lesson | None, how: Calls
) -> tuple[Tensor, Measured]:
    """Return the loss `[]` of all networks that learn, and what to log of the regressor's."""
    watched = taught is not None and cfg.adapt.method == "adversarial"
    if watched:  # What is compiled cannot be looked into.
        how = Calls(how.twice, how.twice)
    regressor = state.regressor.train()
    watch: AbstractContextManager[list[Tensor]]
    watch = hidden_of(regressor) if watched else nullcontext([])
    with watch as hidden:
        loss, scalars = learn(cfg, regressor, eyes, taught, how)
    scalars["loss"] = loss.detach()
    for other in state.learners[1:]:
        loss = loss + learn(cfg, other.train(), eyes, taught, how)[0]
    if watched:
        done = (state.step - cfg.adapts_from) / max(1, cfg.steps - cfg.adapts_from)
        strength, read = cfg.adapt.weight * ramp(done), hidden[0].to(loss.dtype)
        own, strange = read[: len(eyes)], read[len(eyes) :]
        apart, scalars["domain_accuracy"] = domain_loss(state.domain, own, strange, strength)
        loss, scalars["domain"] = loss + apart, apart.detach()
    return loss, scalars


def curb(cfg: GazeTraining, network: Regressor) -> Tensor:
    """Clip a network's gradient as configured; returns its norm before."""
    norm = clip_gradients(network.parameters(), cfg.clip)
    clip_adaptively(network, cfg.clip_adaptive, network.head[-1])
    return norm


def rate_at(cfg: GazeTraining, epochs: float, step: int) -> float:
    """Return the learning rate of a step, before which the data were seen `epochs` times."""
    return learning_rate(cfg.optimiser.initial_lr, cfg.schedule, epochs, step / cfg.steps)


def lesson(
    cfg: GazeTraining,
    state: GazeState,
    gaze: Tensor,
    photographs: EyeBatch,
    generator: Generator,
) -> Lesson:
    """Return varied copies of photographs, and what is to be answered on them.

    `gaze` `[N, 2]` are labels of this step, whose running mean and spread the answers get. Nothing
    is mirrored where `cfg.augment` mirrors nothing.
    """
    count, how, mirror = max(0, state.step - cfg.adapts_from), cfg.adapt, cfg.augment.mirror > 0
    if how.method == "adversarial":
        unlabelled = replace(photographs, gaze=None)
        return Lesson(augment_eyes(cfg.augment, unlabelled, generator), None)
    image, turn = photographs.image, head_turn(photographs)
    said = torch.stack([teach(network, image, turn, mirror) for network in state.teachers])
    answers, weight = agreement(said)
    remember(state.answered, answers, count, how.decay, mirror)
    remember(state.labelled, gaze, count, how.decay, mirror, taught_angles(cfg, gaze))
    told = align(answers, state.answered, state.labelled, how.spread)
    varied = how.augment if mirror else how.augment.model_copy(update={"mirror": 0.0})
    return Lesson(augment_eyes(varied, replace(photographs, gaze=told), generator), weight)


def result(cfg: GazeTraining, state: GazeState) -> Regressor:
    """Return the network that the run is for: the average, or where there is none the last."""
    return state.average if cfg.average else state.regressor


def evaluate(cfg: GazeTraining, state: GazeState, held_out: EyeBatch, constant: Tensor) -> Scalars:
    """Return the mean error on held-out eyes beside that of a constant, both in degrees."""
    network, gaze = result(cfg, state), labels(held_out)
    with evaluating(network), torch.no_grad():
        images, turns = (torch.split(x, _CHUNK) for x in (held_out.image, head_turn(held_out)))
        answers = [network.answer(x, turn) for x, turn in zip(images, turns, strict=True)]
    output = torch.cat([answer.output for answer in answers])
    told = {
        "held_out_deg": float(errors_deg(cfg, output, gaze).mean()),
        "constant_deg": float(errors_deg(cfg, constant.expand_as(output), gaze).mean()),
    }
    if cfg.network.kind == "landmarks":
        points = torch.cat([answer.points for answer in answers if answer.points is not None])
        told["held_out_px"] = float(landmark_error_px(points, held_out).mean())
    return told


def gaze_stage(
    cfg: GazeTraining,
    data: Samples,
    device: str = "cpu",
    real: Samples | None = None,
    notify: Callable[[str], None] = lambda _: None,
    pretrained: Trained[Regressor] | None = None,
) -> Stage[GazeState]:
    """Bind the stage to its data, and to the unlabelled photographs it is to be adapted to.

    A network that is `pretrained`, of the same configuration, is what the training begins with.
    Raises UserError where the data hold no gaze or are too few, or cannot be adapted.
    """
    if pretrained and real is not None and cfg.adapt.method == "ensemble":
        raise UserError(
            "--pretrained is one network, --adapt ensemble needs several that differ; leave one"
            " of both out, or take --adapt teacher"
        )
    fed = feed(cfg, data, real, device, notify)
    known = describe(data)
    if real is not None:
        known["real"] = describe(real)
    if pretrained:
        known["pretrained"] = pretrained.sha256
    how = calls(cfg.precision, cfg.compile_step, device, notify)
    return Stage(
        name="gaze",
        config=cfg,
        data=known,
        init=lambda: init(cfg, data.channels, device, real is not None, pretrained),
        batches=fed.batches,
        step=lambda state, b, g: step(
            cfg, state, b["data"], fed.epochs(state.step), g, b.get("real"), how
        ),
        plan=lambda at: {"lr_planned": rate_at(cfg, fed.epochs(at), at)},
        evaluate=lambda state: show(fed, state),
        weights=lambda state: result(cfg, state),
    )


def show(fed: Feed, state: GazeState) -> tuple[Scalars, Images]:
    """Return the error on what is held out, and images as they are and varied."""
    cfg, first = fed.cfg, fed.batches(0)["data"]
    generator = rng.stream(cfg.seed, "gaze", "show")
    varied, _ = augment(cfg.augment, first.image, labels(first), generator)
    images = {"raw_augmented": stack_rows(first.image[:12], varied[:12])}
    if fed.held_out is None:
        return {}, images
    return evaluate(cfg, state, fed.held_out, fed.constant), images
