"""Configuration of the gaze stage."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gazegan.nets.regressor import RegressorConfig
from gazegan.optim import OptimiserConfig, ScheduleConfig
from gazegan.train.adapt.settings import AdaptConfig
from gazegan.train.adversary import AdversaryConfig
from gazegan.train.augment import AugmentConfig
from gazegan.train.loop import LoopConfig
from gazegan.train.sources import Axes


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
    """Share of the images that is kept from training to measure the error on: all of a person,
    where it is known whose they are, else single ones."""
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
        return round(self.adapt.waits * self.steps)
