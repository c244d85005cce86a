"""A refined store: new images, every label of a real render as it was, bit for bit."""

from dataclasses import fields

import torch

from gazegan.data.rendered import write_rendered
from gazegan.nets.refiner import Refiner, RefinerConfig
from gazegan.render.prior import load_recipe
from gazegan.schema import ORIGINS, EyeBatch
from gazegan.train.apply import refine_store


def test_every_label_of_a_render_is_carried_unchanged(tmp_path):
    recipe = load_recipe("webcam", ("image.height=16", "image.width=24", "image.depth=true"))
    source = write_rendered(recipe, 0, 6, tmp_path / "renders")
    torch.manual_seed(0)
    refiner = Refiner(RefinerConfig(widths=(4, 8), blocks=1), channels=1)
    for weight in refiner.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    info = {"data": {"channels": 1}, "sha256": "0" * 64}
    refined = refine_store(source, refiner, info, tmp_path / "refined")
    old, new = source.read(range(6)), refined.read(range(6))
    assert (new.origin == ORIGINS.index("refined")).all()
    assert not torch.equal(new.image, old.image)
    carried = {f.name for f in fields(EyeBatch)} - {"image", "origin", "subject"}
    for name in carried:
        assert torch.equal(getattr(new, name), getattr(old, name)), name
