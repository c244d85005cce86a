"""Which method adapts a gaze network to photographs, and how strongly."""

from typing import Literal

from pydantic import Field

from gazegan.config import Config
from gazegan.train.augment import AugmentConfig

Method = Literal["teacher", "adversarial", "fourier", "ensemble"]
"""teacher: the network's own weight average answers on photographs. ensemble: several of them do,
and count where they agree. adversarial: features that do not tell photographs from labelled eyes.
fourier: labelled eyes take on the low frequencies of photographs."""


class AdaptConfig(Config):
    """How a network is adapted to photographs; without any it is not used."""

    method: Method = "teacher"
    batch: int = Field(32, ge=2, le=65536)
    """Photographs a step."""
    weight: float = Field(1.0, ge=0, le=100)
    """Of teacher and ensemble: weight of the loss on photographs beside that on labelled eyes. Of
    adversarial: that of the reversed gradient."""
    begin: float | None = Field(None, ge=0, lt=1)
    """Share of the steps before photographs take part. None is 0.4 for teacher and ensemble, who
    must first know something, else 0."""
    spread: float = Field(0.8, gt=0, le=2)
    """Of teacher and ensemble: spread of what is taught, as a share of the labels' spread."""
    decay: float = Field(0.99, ge=0, lt=1)
    """Of the running mean and spread of answers on photographs and of the labels."""
    augment: AugmentConfig = AugmentConfig(
        shift=0.04, scale=0.05, brightness=0.15, contrast=0.3, gamma=0.3, blur=0.8, noise=0.03
    )
    """Of teacher and ensemble: how the network's copies are varied; who teaches sees photographs
    as they are. Under adversarial they are varied as the labelled eyes are, which would else be
    known by it."""
    members: int = Field(3, ge=2, le=16)
    """Of ensemble: networks that answer together, the one to be adapted among them."""
    units: int = Field(64, ge=1, le=4096)
    """Of adversarial: hidden units of the classifier of domains."""
    beta: float = Field(0.05, ge=0, le=1)
    """Of fourier: frequencies below this share of the sides' samples are taken on."""

    @property
    def waits(self) -> float:
        """The share of the steps before photographs take part."""
        if self.begin is not None:
            return self.begin
        return 0.4 if self.method in ("teacher", "ensemble") else 0.0
