"""Photographs in: a decoder that trusts nothing, and one conversion to size and colour."""

import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from gazegan.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg")
OTHERS = (".bmp", ".gif", ".heic", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
"""Of images that are not read."""
MAX_PIXELS = 64_000_000
MAX_BYTES = 1 << 28

_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    MemoryError,
    AttributeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What PIL raises on damaged or hostile files."""


def decode(data: bytes, source: object) -> Image.Image:
    """Decode a PNG or JPEG and turn it upright by its EXIF orientation.

    Raises DataError naming `source` where it is neither, is damaged, or has more than
    `MAX_PIXELS` pixels, which is found before anything is decoded.
    """
    try:
        with warnings.catch_warnings():
            # A photograph with an odd EXIF block or palette is still a photograph; a bomb is not.
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=("PNG", "JPEG")) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{source}: {image.width}x{image.height} pixels are too many")
                image.load()
                return ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise DataError(f"{source}: not a PNG or JPEG") from None
    except _FAULTS as fault:
        raise DataError(f"{source}: cannot be decoded ({str(fault)[:120]})") from None


def convert(image: Image.Image, size: tuple[int, int], channels: int) -> Tensor:
    """Bring an image to `size` (height, width) and 1 or 3 channels: uint8 `[C, H, W]`.

    The centre is cropped to the wanted aspect, then resized with an antialiasing Lanczos window;
    an image of that size already is left as it is. Grey is the luma of ITU-R BT.601.
    """
    if image.mode.startswith("I"):  # 16-bit grey, which PIL would clip instead of scaling
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    image = image.convert("L" if channels == 1 else "RGB")
    fitted = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).reshape(*size, channels).permute(2, 0, 1)


def find_images(folder: Path) -> list[str]:
    """List the PNG and JPEG files below `folder` as sorted relative names with slashes.

    Hidden files and folders hold none, and of what `gazegan export` left the masks are none.
    """
    return _found(folder, SUFFIXES)


def find_others(folder: Path) -> list[str]:
    """List the images of other formats below `folder` likewise."""
    return _found(folder, OTHERS)


def _found(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    exported = (folder / "labels.jsonl").is_file()
    found = (folder / "images" if exported else folder).rglob("*")
    names = (path.relative_to(folder) for path in found if path.suffix.lower() in suffixes)
    return sorted(
        name.as_posix()
        for name in names
        if not any(part.startswith(".") for part in name.parts) and (folder / name).is_file()
    )
