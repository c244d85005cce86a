"""What run.py measures of the renderer besides its speed."""

import multiprocessing
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from gazegan import rng
from gazegan.data.rendered import write_rendered
from gazegan.render import effects, sensor
from gazegan.render.compiled import compiled
from gazegan.render.effects import Effects
from gazegan.render.paint import grey_card, paint
from gazegan.render.params import EyeParams
from gazegan.render.prior import Image, Recipe, sample
from gazegan.render.scene import expose, look, plainly, render_indices


def spent(recipe: Recipe, count: int) -> float:
    """CPU seconds of rendering."""
    since = time.process_time()
    render_indices(recipe, 0, torch.arange(count))
    return time.process_time() - since


def gradient(recipe: Recipe, count: int) -> float:
    """Time of an image and its slopes over that of the image alone, both by `expose`."""
    index = torch.arange(count)
    flat, seed = sample(recipe, 0, index).flat(), rng.bits(index, 0, "texture")
    needs = effects.of_recipe(recipe)
    since = time.process_time()
    with torch.no_grad():
        expose(EyeParams.from_flat(flat), seed, recipe.image, needs)
    alone = time.process_time() - since
    known = flat.clone().requires_grad_()
    since = time.process_time()
    expose(EyeParams.from_flat(known), seed, recipe.image, needs).image.square().sum().backward()
    return (time.process_time() - since) / alone


def store(recipe: Recipe, count: int, folder: Path) -> float:
    """Share of the time of `gazegan render` that is not rendering but writing the store."""
    shutil.rmtree(folder, ignore_errors=True)
    rendered = spent(recipe, count)
    since = time.process_time()
    write_rendered(recipe, 0, count, folder)
    return 1 - rendered / (time.process_time() - since)


def processes(recipe: Recipe, count: int, fast: bool) -> float:
    """Images a second of two processes over those of one, by the clock; compiled if `fast`."""
    context = multiprocessing.get_context("spawn")
    rates = []
    for number in (1, 2):
        together = recipe, fast, context.Barrier(number)
        with context.Pool(number, get_ready, together) as pool:
            pool.apply(render_ready, (1,))  # waits until all are ready
            since = time.perf_counter()
            pool.map(render_ready, [count] * number, chunksize=1)
            rates.append(number * count / (time.perf_counter() - since))
    return rates[1] / rates[0]


_READY: dict[str, Any] = {}
"""What a process of `processes` renders, and by which renderer."""


def get_ready(recipe: Recipe, fast: bool, all_ready: Any) -> None:
    torch.set_num_threads(1)
    _READY.update(recipe=recipe, renderer=compiled(recipe) if fast else plainly)
    render_ready(64)
    all_ready.wait()


def render_ready(count: int) -> None:
    render_indices(_READY["recipe"], 0, torch.arange(count), renderer=_READY["renderer"])


def memory(recipe: Recipe, count: int, folder: Path) -> float:
    """Peak memory, MB, of a process that writes a store of `count` images."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(peak, (recipe, count, folder))


def peak(recipe: Recipe, count: int, folder: Path) -> float:
    torch.set_num_threads(1)
    shutil.rmtree(folder, ignore_errors=True)
    write_rendered(recipe, 0, count, folder)
    shutil.rmtree(folder)
    # Not getrusage: its maximum outlives exec, so that it may be that of the parent.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write, and the operations."""

    def __init__(self) -> None:
        super().__init__()
        self.moved, self.calls = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            flat, _ = tree_flatten((args, kwargs, out))
            self.moved += sum(touched(part) for part in flat if isinstance(part, Tensor))
            self.calls += 1
        return out


def touched(part: Tensor) -> int:
    """Bytes of a tensor, those along which it is broadcast once."""
    count = 1
    for length, stride in zip(part.shape, part.stride(), strict=True):
        count *= length if stride else 1
    return count * part.element_size()


def floor(recipe: Recipe, count: int, copy_mb: int) -> dict[str, float]:
    """Compare the time of rendering with that of moving its bytes as a copy does."""
    with Traffic() as traffic:
        render_indices(recipe, 0, torch.arange(count))
    real = min(spent(recipe, count) for _ in range(3))
    source = torch.ones(copy_mb * 2**18)
    target, best = torch.empty_like(source), float("inf")
    for _ in range(5):
        since = time.process_time()
        target.copy_(source)
        best = min(best, time.process_time() - since)
    bandwidth = 2 * source.nbytes / best
    pixels = count * recipe.image.height * recipe.image.width
    return {
        "value": round(traffic.moved / bandwidth / real, 3),
        "kilobytes_a_pixel": round(traffic.moved / pixels / 1e3, 2),
        "operations": traffic.calls,
        "gigabytes_a_second": round(bandwidth / 1e9, 1),
    }


def alias(recipe: Recipe, count: int, times: int, blur: bool) -> float:
    """PSNR, dB, of images against means of `times` x `times` samples of light a pixel.

    The samples are averaged as light, as a sensor does, before the camera's blur, if `blur`, and
    its transfer curve; noise is off.
    """
    index = torch.arange(count)
    off = {"noise": 0.0, "shot_noise": 0.0, "jpeg": 0.0, "motion": 0.0}
    fixed = {name: torch.zeros(count) for name in (off if blur else {**off, "blur": 0.0})}
    params, seed = replace(sample(recipe, 0, index), **fixed), rng.bits(index, 0, "texture")
    image, needs = recipe.image, effects.of_recipe(recipe)
    large = {"height": times * image.height, "width": times * image.width}
    error = torch.zeros(())
    for i in range(count):
        some, key = params[i : i + 1], seed[i : i + 1]
        p, plain = exposed(some, key, image, needs)
        _, many = exposed(some, key, image.model_copy(update=large), needs)
        fine = torch.nn.functional.avg_pool2d(many, times)
        a, b = (sensor.develop(p, key, light, image, needs) for light in (plain, fine))
        error = error + (a - b).square().mean() / count
    return float(-10 * error.log10())


def exposed(
    params: EyeParams, seed: Tensor, image: Image, needs: Effects
) -> tuple[EyeParams, Tensor]:
    """Parameters by pixel, and the light that meets the sensor."""
    sight = look(params, seed, image, needs)
    light, _ = paint(sight)
    return sight.p, light * sensor.metered(sight.p, grey_card(sight))
