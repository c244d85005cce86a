"""Configuration of the refiner stage."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gazegan.config import Config
from gazegan.losses.adversarial import Loss
from gazegan.nets.critic import CriticConfig
from gazegan.nets.refiner import RefinerConfig
from gazegan.optim import OptimiserConfig
from gazegan.schema import MASKS
from gazegan.train.loop import LoopConfig

Weight = Annotated[float, Field(ge=0, le=1000)]
_SETTLING = 200
"""Steps after its beginning in which a refiner may be anything."""


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
    loss: Loss = "wasserstein"
    """What the critic's score is. wasserstein: unbounded, high for photographs. least_squares: 1
    for photographs and 0 for refined renders. classic: through a sigmoid, the probability of being
    a photograph."""
    constraint: Literal["penalty", "clipping", "none"] | None = None
    """What bounds the critic's slope: the gradient penalty, or weights that are cut to `clip` after
    every step, as in the original Wasserstein GAN; `critic.norm` spectral bounds it without either.
    None takes the penalty with wasserstein, and nothing with the other losses."""
    penalty: Weight = 10.0
    """Weight of the gradient penalty."""
    clip: float = Field(0.01, gt=0, le=10)
    """Largest size of a weight of the critic with clipping."""
    critic_steps: int = Field(3, ge=1, le=100)
    """Critic steps before each generator step, each on its own batch."""
    critic_lead: int = Field(50, ge=0)
    """First steps in which the critic learns alone: an untrained one misleads the generator."""
    refiner_lead: int = Field(0, ge=0)
    """Steps after these in which the refiner learns alone to keep what is to be kept."""
    keep: Weight | None = None
    """Weight of the self-regularisation: the mean change, times the root of the pixel count. None
    takes 0.5 with wasserstein and 0.02 with the other losses.

    The Wasserstein critic's slope is 1 over the whole image. With this scale a weight of 1
    outbids that slope where it is spread evenly, and only what counts more is changed. The
    slopes of the other losses are smaller.
    """
    regions: Regions = Regions()
    """How strongly what a mask covers is kept."""
    keep_features: Weight = 0.0
    """Weight of the change of features of a fixed network of drawn weights, scaled as `keep`."""
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
    least_variety: float = Field(0.1, ge=0, le=1)
    """Share of the renders' variety below which refined ones count as collapsed into one, and the
    training stops."""

    @model_validator(mode="after")
    def _consistent(self) -> "RefinerTraining":
        bounded = self.bound != "none" or self.critic.norm == "spectral"
        if self.loss == "wasserstein" and not bounded:
            raise ValueError(
                "loss 'wasserstein' needs a critic of bounded slope; set constraint to 'penalty' or"
                " 'clipping', or critic.norm to 'spectral'"
            )
        return self

    @property
    def bound(self) -> Literal["penalty", "clipping", "none"]:
        """The constraint that is in force."""
        usual = self.loss == "wasserstein" and self.critic.norm != "spectral"
        return self.constraint or ("penalty" if usual else "none")

    @property
    def kept(self) -> float:
        """The weight of the self-regularisation that is in force."""
        usual = 0.5 if self.loss == "wasserstein" else 0.02
        return usual if self.keep is None else self.keep

    @property
    def against_from(self) -> int:
        """The first step in which the refiner learns from the critic."""
        return self.critic_lead + self.refiner_lead

    @property
    def settled_from(self) -> int:
        """The first step from which on a refiner can count as collapsed."""
        return self.against_from + _SETTLING
