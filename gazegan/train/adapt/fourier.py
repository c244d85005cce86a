"""Fourier domain adaptation: labelled eyes with the low frequencies of photographs.

Yang & Soatto, "FDA: Fourier domain adaptation for semantic segmentation", CVPR 2020.
"""

from dataclasses import replace

import torch
from torch import Generator, Tensor

from gazegan.schema import EyeBatch
from gazegan.train import processes


def in_their_style(
    batch: EyeBatch, photographs: EyeBatch, beta: float, generator: Generator
) -> EyeBatch:
    """Return labelled eyes, each with the low frequencies of a photograph drawn for it."""
    styles = processes.gathered(photographs.image)
    drawn = torch.randint(len(styles), (processes.count() * len(batch),), generator=generator)
    style = styles[processes.share(drawn).to(styles.device)]
    return replace(batch, image=restyle(batch.image, style, beta))


def restyle(image: Tensor, style: Tensor, beta: float) -> Tensor:
    """Give images `[B, C, H, W]` in 0..1 the low frequencies' amplitude of others of this shape.

    Those of fewer than `beta` H periods in the height and `beta` W in the width (there equation 3,
    with -beta..beta the open interval, so that 0 changes nothing); phases stay. What leaves 0..1
    is cut off.
    """
    height, width = image.shape[-2:]
    rows = torch.fft.fftfreq(height, device=image.device).abs()
    columns = torch.fft.rfftfreq(width, device=image.device)
    low = (rows[:, None] < beta) & (columns < beta)
    own, other = torch.fft.rfft2(image), torch.fft.rfft2(style)
    # Where an amplitude is 0 its phase is 0 too.
    mixed = torch.where(low, torch.polar(other.abs(), own.angle()), own)
    made: Tensor = torch.fft.irfft2(mixed, s=(height, width)).clamp(0, 1)
    return made
