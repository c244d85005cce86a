"""Pixels as encoded files, for the tests of photographs."""

from io import BytesIO

import numpy as np
from PIL import Image


def encoded(pixels, format_="PNG", **options):
    file = BytesIO()
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(file, format_, **options)
    return file.getvalue()


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
