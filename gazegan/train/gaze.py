"""The gaze stage: a network learns where an eye looks from labelled images."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor
from torch.optim import Optimizer

from gazegan import rng
from gazegan.data.stream import Samples, batch_indices, check_alike, only, shared_indices
from gazegan.errors import UserError
from gazegan.geometry import (
    angular_error_deg,
    circular_difference_deg,
    direction_deg,
    direction_from_cos_sin,
)
from gazegan.losses import gaze as losses
from gazegan.modes import evaluating
from gazegan.nets.regressor import Answer, Regressor, RegressorConfig
from gazegan.optim import (
    OptimiserConfig,
    ScheduleConfig,
    all_but,
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
from gazegan.train.adapt import AdaptConfig, align, remember, teach
from gazegan.train.adversary import AdversaryConfig, embitter
from gazegan.train.augment import AugmentConfig, augment
from gazegan.train.calls import Calls, calls
from gazegan.train.joint_norm import join_norms
from gazegan.train.loop import Batches, Images, LoopConfig, Measured, Scalars, Stage
from gazegan.train.setup import at_hand, describe, seeded, stack_rows
from gazegan.train.sources import Axes, by_source, check_learnable, split, taught

_CHUNK = 256


class GazeTraining(LoopConfig):
    """Configuration of the gaze stage."""

    batch: int = Field(64, ge=2, le=65536)
    network: RegressorConfig = RegressorConfig()
    loss: Literal["smooth_l1", "cosine", "angular"] = "smooth_l1"
    """For the target angles; directions always take the circular loss. With `network.spread`,
    labelled eyes take the likelihood in its stead, and it is left for photographs."""
    spread_beta: float = Field(0.5, ge=0, le=1)
    """Of the likelihood's weights with `network.spread` (`losses.gaze.beta_nll`)."""
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    clip: float = Field(0.0, ge=0)
    """Largest norm of a step's gradient; 0 for any."""
    clip_adaptive: float = Field(0.0, ge=0)
    """Largest norm of a unit's gradient as a share of its weights', the last layer left out."""
    augment: AugmentConfig = AugmentConfig()
    shares: tuple[Annotated[float, Field(gt=0, le=1e6)], ...] = ()
    """How much of each batch comes from each of several sources; as many as they hold if empty."""
    axes: tuple[Axes, ...] = ()
    """Which angles of each source's labels are learned; both of all if empty. Real eyes that look
    ahead only may teach pitch, and leave yaw to renders that look farther."""
    held_out: float = Field(0.0, ge=0, le=0.9)
    """Share of the images that is kept from training to measure the error on."""
    average: float = Field(0.99, ge=0, lt=1)
    """Decay of the weight average that is evaluated and kept as the result; 0 for none."""
    adapt: AdaptConfig = AdaptConfig()
    adversary: AdversaryConfig = AdversaryConfig()

    @model_validator(mode="after")
    def _consistent(self) -> "GazeTraining":
        if self.axes and len(self.axes) != len(self.shares):
            raise ValueError("axes and shares belong together; give both once for each source")
        if self.axes and (self.network.target != "angles" or self.network.spread):
            raise ValueError("axes need network.target 'angles' and no network.spread")
        return self

    @property
    def adapts_from(self) -> int:
        """The first step in which photographs, where there are any, take part."""
        return round(self.adapt.begin * self.steps)


@dataclass
class GazeState:
    """Everything a resumed run needs."""

    regressor: Regressor
    average: Regressor
    optimiser: Optimizer
    answered: Tensor
    """[2, 2] running mean and mean square of the average's answers on photographs."""
    labelled: Tensor
    """[2, 2] those of the labels."""
    step: int = 0


def init(cfg: GazeTraining, channels: int, device: str) -> GazeState:
    """Return the state before the first step."""
    with seeded(cfg.seed, "gaze"):
        regressor = Regressor(cfg.network, channels).to(device)
    join_norms(regressor)
    return GazeState(
        regressor=regressor,
        average=copy.deepcopy(regressor).requires_grad_(False),
        optimiser=make_optimiser(cfg.optimiser, regressor.parameters()),
        answered=torch.zeros(2, 2, device=device),
        labelled=torch.zeros(2, 2, device=device),
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
    turn = head_turn(batch)
    angles = torch.stack((labels(batch), torch.stack((turn, turn), dim=1)), dim=1)
    image, angles = augment(cfg.augment, batch.image, angles, generator)
    gaze, turn = angles[:, 0], angles[:, 1, 1]
    image = embitter(cfg.adversary, state.regressor, image, gaze, turn, generator)
    state.regressor.train()
    seen, scalars = image, Measured()
    if photographs is not None:
        strange, told = lesson(cfg, state, gaze, photographs.image, generator)
        # In one batch, so that both share the batch's statistics.
        seen = torch.cat((image, strange))
    beside = (turn,) if cfg.network.head_yaw else ()
    said = how.once(state.regressor.answer, seen, *beside)
    labelled, answer = said[: len(image)], said[len(image) :]
    loss, more = learn(cfg, labelled, gaze)
    if photographs is not None:
        apart = loss_of(cfg)(answer.output, told).mean()
        loss = loss + cfg.adapt.weight * apart
        scalars = {"photographs": apart.detach()}
    state.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    processes.average_gradients(state.regressor.parameters())
    norm = clip_gradients(state.regressor.parameters(), cfg.clip)
    clip_adaptively(all_but(state.regressor, state.regressor.head[-1]), cfg.clip_adaptive)
    state.optimiser.step()
    update_average(state.average, state.regressor, cfg.average, state.step)
    scalars |= {"loss": loss.detach(), **more, "gradient": norm, "lr": rate}
    return scalars


def learn(cfg: GazeTraining, answer: Answer, gaze: Tensor) -> tuple[Tensor, Measured]:
    """Return the loss `[]` of answers on labelled eyes of `gaze` `[B, 2]` rad, and what to log.

    Where spreads are answered, they and the gaze are learned from one likelihood.
    """
    scalars: Measured = {"train_deg": errors_deg(cfg, answer.output.detach(), gaze).mean()}
    if answer.spread is None:
        output = answer.output
        if cfg.axes:
            # What is not taught counts as right.
            known = processes.share(taught(cfg.axes, cfg.shares, cfg.batch)).to(gaze.device)
            output = torch.where(known, output, gaze)
        return loss_of(cfg)(output, gaze).mean(), scalars
    scalars["spread_deg"] = torch.rad2deg(answer.spread.detach().mean())
    return losses.beta_nll(answer.output, answer.spread, gaze, cfg.spread_beta).mean(), scalars


def rate_at(cfg: GazeTraining, epochs: float, step: int) -> float:
    """Return the learning rate of a step, before which the data were seen `epochs` times."""
    return learning_rate(cfg.optimiser.initial_lr, cfg.schedule, epochs, step / cfg.steps)


def lesson(
    cfg: GazeTraining, state: GazeState, gaze: Tensor, image: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Return varied copies of photographs `[B, C, H, W]`, and what is to be answered `[B, 2]`.

    `gaze` `[N, 2]` are labels of this step, whose running mean and spread the answers get. Nothing
    is mirrored where `cfg.augment` mirrors nothing.
    """
    count, how, mirror = max(0, state.step - cfg.adapts_from), cfg.adapt, cfg.augment.mirror > 0
    answers = teach(state.average, image, mirror)
    remember(state.answered, answers, count, how.decay, mirror)
    remember(state.labelled, gaze, count, how.decay, mirror)
    told = align(answers, state.answered, state.labelled, how.spread)
    varied = how.augment if mirror else how.augment.model_copy(update={"mirror": 0.0})
    return augment(varied, image, told, generator)


def labels(batch: EyeBatch) -> Tensor:
    """Return the gazes `[B, 2]` of a batch; raises UserError where it has none."""
    if batch.gaze is None:
        raise UserError("--data: these images have no gaze labels; name a labelled store")
    return batch.gaze


def loss_of(cfg: GazeTraining) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the configured loss: (output, gaze) `[B, 2]` -> `[B]`."""
    if cfg.network.target == "direction":
        return losses.circular
    return {"smooth_l1": losses.smooth_l1, "cosine": losses.cosine, "angular": losses.angular}[
        cfg.loss
    ]


def errors_deg(cfg: GazeTraining, output: Tensor, gaze: Tensor) -> Tensor:
    """Return the errors `[B]` in degrees of outputs `[B, 2]`: 3-D angle, or angle of direction."""
    if cfg.network.target == "angles":
        return angular_error_deg(output, gaze)
    return circular_difference_deg(direction_from_cos_sin(output), direction_deg(gaze)).abs()


def result(cfg: GazeTraining, state: GazeState) -> Regressor:
    """Return the network that the run is for: the average, or where there is none the last."""
    return state.average if cfg.average else state.regressor


def constant_output(cfg: GazeTraining, gaze: Tensor) -> Tensor:
    """Return the output `[1, 2]` that suits the gazes `[N, 2]` best without seeing an image."""
    if cfg.network.target == "angles":
        return gaze.mean(0, keepdim=True)
    return losses.direction_vector(gaze).mean(0, keepdim=True)


def evaluate(cfg: GazeTraining, state: GazeState, held_out: EyeBatch, constant: Tensor) -> Scalars:
    """Return the mean error on held-out eyes beside that of a constant, both in degrees."""
    network, gaze = result(cfg, state), labels(held_out)
    with evaluating(network), torch.no_grad():
        images, turns = (torch.split(x, _CHUNK) for x in (held_out.image, head_turn(held_out)))
        output = torch.cat([network(x, turn) for x, turn in zip(images, turns, strict=True)])
    return {
        "held_out_deg": float(errors_deg(cfg, output, gaze).mean()),
        "constant_deg": float(errors_deg(cfg, constant.expand_as(output), gaze).mean()),
    }


def check_adaptable(cfg: GazeTraining, data: Samples, real: Samples) -> None:
    """Raise UserError where a network cannot be adapted to photographs."""
    check_alike(data, real)
    if cfg.network.target != "angles":
        raise UserError("--real: only pitch and yaw are adapted; leave --target direction out")
    if cfg.network.head_yaw:
        raise UserError("--real: no network that reads the head's yaw is adapted; leave one out")
    if not cfg.average:
        raise UserError("--real: needs the average of the weights; set average above 0")


def gaze_stage(
    cfg: GazeTraining,
    data: Samples,
    device: str = "cpu",
    real: Samples | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> Stage[GazeState]:
    """Bind the stage to its data, and to the unlabelled photographs it is to be adapted to.

    Raises UserError where the data hold no gaze or are too few, or cannot be adapted.
    """
    if real is not None:
        check_adaptable(cfg, data, real := only(real, ()))
        processes.check_batch(cfg.adapt.batch, "--set adapt.batch")
    check_learnable(cfg.network, data := only(data, ("gaze", "head")))
    processes.check_batch(cfg.batch, "--batch")
    train, kept = split(len(data), cfg.held_out, cfg.seed)
    if len(train) < 2:
        raise UserError(f"--data: {len(data)} images are too few to train on; render more")
    validation = data.read(kept[:2048]).to(device) if len(kept) else None
    constant = constant_output(cfg, labels(data.read(train[:512])).to(device))

    known = {**describe(data), **({"real": describe(real)} if real is not None else {})}
    sources = by_source(cfg.shares, data, train)
    data, real = at_hand(data, device), None if real is None else at_hand(real, device)
    how = calls(cfg.precision, cfg.compile_step, device, notify)

    def epochs(at: int) -> float:
        return at * cfg.batch / len(train)

    def batches(at: int) -> Batches:
        if cfg.shares:
            rows = shared_indices(sources, cfg.shares, cfg.batch, at, cfg.seed)
        else:
            rows = train[batch_indices(len(train), cfg.batch, at, cfg.seed, "gaze")]
        read = {"data": data.read(processes.share(rows)).to(device)}
        if real is not None and at >= cfg.adapts_from:
            some = batch_indices(len(real), cfg.adapt.batch, at, cfg.seed, "photographs")
            read["real"] = real.read(processes.share(some)).to(device)
        return read

    def show(state: GazeState) -> tuple[Scalars, Images]:
        first = batches(0)["data"]
        generator = rng.stream(cfg.seed, "gaze", "show")
        varied, _ = augment(cfg.augment, first.image, labels(first), generator)
        images = {"raw_augmented": stack_rows(first.image[:12], varied[:12])}
        scalars = evaluate(cfg, state, validation, constant) if validation else {}
        return scalars, images

    return Stage(
        name="gaze",
        config=cfg,
        data=known,
        init=lambda: init(cfg, data.channels, device),
        batches=batches,
        step=lambda state, b, g: step(
            cfg, state, b["data"], epochs(state.step), g, b.get("real"), how
        ),
        plan=lambda at: {"lr_planned": rate_at(cfg, epochs(at), at)},
        evaluate=show,
        weights=lambda state: result(cfg, state),
    )
