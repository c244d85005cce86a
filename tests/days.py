"""Files as MPIIGaze has them, with made-up eyes in them."""

import numpy as np
from scipy.io import savemat

from gazegan.data.mpiigaze import DAYS, LISTS


def write_day(folder, person, day, count, **changes):
    """A day's file as the set has it: structs of structs, a column of names."""
    draw = np.random.default_rng([int(person[1:]), int(day[3:])])
    data = {}
    for side in ("right", "left"):
        gaze = draw.normal((0, 0.2, -1), 0.2, (count, 3))
        data[side] = {
            "image": draw.integers(0, 256, (count, 36, 60), dtype=np.uint8),
            "gaze": gaze / np.linalg.norm(gaze, axis=1, keepdims=True),
            "pose": draw.normal(0, 0.2, (count, 3)),
        }
    data["left"] |= changes.pop("left", {})
    names = np.empty((count, 1), dtype=object)
    names[:, 0] = [f"{k + 1:04d}.jpg" for k in range(count)]
    path = folder / DAYS / person / f"{day}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"data": data, "filenames": names, **changes}, do_compression=True)
    return path


def write_list(folder, person, text):
    path = folder / LISTS / f"{person}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
