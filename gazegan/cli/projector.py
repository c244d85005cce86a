"""Files that TensorBoard's projector reads: points, what they are, and their small pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

CONFIG = "projector_config.pbtxt"
_MOST_AXES = 50
_LARGEST_SHEET_PX, _LARGEST_PICTURE_PX = 8192, 96


def write_projector(
    folder: Path,
    tensors: Mapping[str, Tensor],
    columns: Mapping[str, Sequence[str]],
    image: Tensor,
) -> None:
    """Write what `tensorboard --logdir folder` shows in its projector.

    `tensors` are points `[N, D]` by name, of which the first 50 axes are kept, `columns` hold N
    words each and `image` `[N, C, H, W]` is the picture of each point. The configuration comes
    last, so that a folder that has it is whole.
    """
    from gazegan.data.files import make_folder, write_atomic

    make_folder(folder)
    sheet, (width, height) = sprite(image)
    write_atomic(folder / "sprite.png", sheet)
    write_atomic(folder / "metadata.tsv", _metadata(columns))
    entries = []
    for name, points in tensors.items():
        write_atomic(folder / f"{name}.tsv", _points(points))
        entries.append(
            f'embeddings {{\n  tensor_name: "{name}"\n  tensor_path: "{name}.tsv"\n'
            '  metadata_path: "metadata.tsv"\n  sprite {\n    image_path: "sprite.png"\n'
            f"    single_image_dim: {width}\n    single_image_dim: {height}\n  }}\n}}\n"
        )
    write_atomic(folder / CONFIG, "".join(entries).encode())


def sprite(image: Tensor) -> tuple[bytes, tuple[int, int]]:
    """Lay images `[N, C, H, W]` in rows of a square number, as PNG, and say how wide and high.

    The projector draws every picture as a square, so that the rest of the square is clear. Images
    are made smaller where the sheet would be larger than a browser draws.
    """
    import torch
    from PIL import Image
    from torch.nn.functional import interpolate, pad

    from gazegan.plots import png

    across = math.ceil(len(image) ** 0.5)
    height, width = image.shape[2:]
    side = min(_LARGEST_PICTURE_PX, _LARGEST_SHEET_PX // across, max(height, width))
    height, width = (max(1, side * length // max(height, width)) for length in (height, width))
    small = interpolate(image, (height, width), mode="area")
    solid = torch.cat((small, torch.ones_like(small[:, :1])), dim=1)
    left, above = (side - width) // 2, (side - height) // 2
    down = math.ceil(len(image) / across)
    frame = (left, side - width - left, above, side - height - above)
    padded = pad(solid, (*frame, 0, 0, 0, across * down - len(image)))
    rows = padded.view(down, across, *padded.shape[1:]).permute(0, 3, 1, 4, 2)
    pixels = (255 * rows.flatten(2, 3).flatten(0, 1)).round().byte().numpy()
    return png(Image.fromarray(pixels)), (side, side)


def _points(points: Tensor) -> bytes:
    from torch.nn.functional import pad

    kept = points[:, :_MOST_AXES]
    # The projector turns what it shows in space: it fails on fewer than three axes.
    kept = pad(kept, (0, max(0, 3 - kept.shape[1])))
    return "".join("\t".join(f"{x:.6g}" for x in row) + "\n" for row in kept.tolist()).encode()


def _metadata(columns: Mapping[str, Sequence[str]]) -> bytes:
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    return "".join("\t".join(" ".join(x.split()) for x in row) + "\n" for row in rows).encode()
