"""Recipes: a population of eyes and the camera that sees them, and how to draw from them."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from gazegan import config, rng
from gazegan.config import Config
from gazegan.errors import UserError
from gazegan.render import pairs, panorama
from gazegan.render.bands import BandName
from gazegan.render.distortion import straightens
from gazegan.render.panorama import Panorama
from gazegan.render.params import ROOM, SPECS, EyeParams
from gazegan.render.population import GAZE, POLAR, Prior

RECIPES = Path(__file__).parent.parent / "recipes"
"""Recipes that ship with the package and may be named without a path."""


_FACE_MM = 20
"""What an image framed on the lids shows of the face around the eyeball's centre."""
_LENS = ("distortion_k1", "distortion_k2", "distortion_p1", "distortion_p2")


class Image(Config):
    """What the camera delivers and how the eye is framed in it."""

    height: int = Field(default=36, ge=8, le=8192)
    width: int = Field(default=60, ge=8, le=8192)
    channels: Literal[1, 3] = 1
    depth: bool = False
    """Whether depth and normals of every pixel are kept too."""
    band: BandName = "visible"
    """visible: colour. infrared: near-infrared at 850 nm, all channels alike."""
    bayer: bool = False
    """The sensor sees one colour a pixel, red at the upper left (RGGB), and the others are
    interpolated; such an image's mirror image is another camera's."""
    equalised: bool = False
    """The histogram of the finished grey image is evened out, as that of MPIIGaze's eyes."""
    framing: Literal["landmarks", "normalised", "free", "strip", "scene"] = "landmarks"
    """landmarks: centred on the lids and scaled by the fissure as seen, as face-landmark croppers
    do. normalised: centred on the canthi, 1.6 px a mm at a width of 60 px, as MPIIGaze's images
    are (focal length 960 px at 600 mm); from another distance only the perspective differs, as in
    those. free: the camera's own `field_of_view`, the eye at (`eye_x`, `eye_y`, `distance`). strip:
    both eyes of a face, as one camera sees them: centred on the lids of both, `fill` from outer to
    outer canthus, (`eye_x`, `eye_y`, `distance`) the point midway between the eyes; needs `pairs`.
    scene: heads before a background, as many as `scene` says, placed by chance; `field_of_view` is
    the camera's and `distance` sets a head's size; needs `pairs`, and `render_scenes` renders it.
    In each, `shift_nasal` and `shift_down` then move the principal point."""

    @model_validator(mode="after")
    def _grey(self) -> "Image":
        if self.equalised and self.channels != 1:
            raise ValueError("equalised images are grey; set channels = 1")
        return self

    @property
    def whole_faces(self) -> bool:
        """Whether an image shows both eyes of a face."""
        return self.framing in ("strip", "scene")


class Light(Config):
    """What lights all the eyes of a recipe alike."""

    panorama: str = ""
    """An equirectangular image (.png, .jpg, .npy) that takes the sky's place, by its path from the
    recipe's file; its middle is where an eye looks that looks into the camera."""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Of the panorama's bytes; filled in when the recipe is loaded, checked when it is given."""

    def read(self) -> Panorama | None:
        """Return the panorama, if any; raises UserError where its file cannot be used."""
        return panorama.load(self.panorama, self.sha256) if self.panorama else None


class Scene(Config):
    """How many faces an image of framing `scene` shows; where there is no room, fewer."""

    least: int = Field(default=1, ge=1, le=16)
    most: int = Field(default=3, ge=1, le=16)


class Recipe(Config):
    """A population of eyes and the camera that sees them."""

    name: str = Field(default="default", pattern=r"^[\w-]+$")
    about: str = ""
    image: Image = Image()
    light: Light = Light()
    scene: Scene = Scene()
    eyes: Prior = Field(default_factory=Prior)
    pairs: bool = False
    """Images 2k and 2k + 1 are the right and the left eye of one face that looks at one target: all
    parameters are shared, `gaze_pitch` and `gaze_yaw` are those of a cyclopean eye, and `ipd` and
    `target_distance` turn the eyes toward each other."""

    @model_validator(mode="after")
    def _whole_faces(self) -> "Recipe":
        if self.image.whole_faces and not self.pairs:
            framing = self.image.framing
            raise ValueError(f"framing {framing!r} shows both eyes of a face; add pairs = true")
        if self.image.depth and self.image.framing == "scene":
            raise ValueError("image.depth: scenes keep none; set it to false")
        if self.scene.least > self.scene.most:
            raise ValueError("scene.least is more than scene.most; swap them")
        return self

    @model_validator(mode="after")
    def _both_sides(self) -> "Recipe":
        if self.pairs and self.eyes.side.bounds != (-1, 1):  # type: ignore[attr-defined]
            raise ValueError("pairs have an eye on either side; leave eyes.side out")
        return self

    def bounds(self, name: str) -> tuple[float, float]:
        """Return the smallest and largest value of a parameter that can be drawn."""
        return self.eyes.bounds(name)

    def seen_as(self, size: tuple[int, int], channels: int) -> "Recipe":
        """Return the same population in images of another (height, width) and colour."""
        image = {"height": size[0], "width": size[1], "channels": channels}
        return self.model_copy(update={"image": self.image.model_copy(update=image)})

    @model_validator(mode="after")
    def _unfolded(self) -> "Recipe":
        bounds = [self.bounds(name) for name in _LENS]
        if any(map(any, bounds)) and not straightens(bounds, self._field()):
            raise ValueError(
                f"{', '.join(_LENS)} fold the image over, or nearly;"
                " bring them nearer to 0 or narrow the field"
            )
        return self

    def _field(self) -> float:
        """How far from the camera's axis the image may reach, as the slope of a ray."""
        far = {name: max(map(abs, self.bounds(name))) for name in SPECS}
        if self.image.framing in ("free", "scene"):
            tall = self.image.height / self.image.width
            corner = math.hypot(0.5 + far["shift_nasal"], tall / 2 + far["shift_down"])
            return 2 * corner * math.tan(math.radians(far["field_of_view"] / 2))
        reach = _FACE_MM + (far["ipd"] / 2 if self.image.whole_faces else 0)
        return (math.hypot(far["eye_x"], far["eye_y"]) + reach) / self.bounds("distance")[0]


def sample(
    recipe: Recipe, seed: int, indices: Tensor, known: Mapping[str, Tensor] | None = None
) -> EyeParams:
    """Draw the parameters of eyes `indices` `[B]` of a recipe, each from i and seed alone.

    Those that `known` `[B]` names are what it says, and others follow them.
    """
    who = pairs.faces(indices) if recipe.pairs else indices
    room = torch.div(who, recipe.scene.most, rounding_mode="floor")

    shared = ROOM if recipe.image.framing == "scene" else ()
    drawn: dict[str, Tensor] = {}
    for whose, names in (
        (who, [n for n in recipe.eyes.order if n not in shared]),
        (room, list(shared)),
    ):
        rows = rng.uniforms(whose, seed, [("eye", name) for name in names])
        drawn.update(zip(names, rows, strict=True))
    params = quantiles(recipe, drawn.__getitem__, known)
    if recipe.image.whole_faces:
        params = pairs.share_camera(params, indices)
    return pairs.converge(params, indices) if recipe.pairs else params


def quantiles(
    recipe: Recipe, place: Callable[[str], Tensor], known: Mapping[str, Tensor] | None = None
) -> EyeParams:
    """Return the parameters that lie at `place(name)` `[B]` in (0, 1) of their distributions.

    Those that `known` `[B]` names are what it says, and others follow them.
    """
    eyes, drawn = recipe.eyes, dict[str, Tensor]()
    for name in eyes.order:
        if known and name in known:
            drawn[name] = known[name]
        elif eyes.polar and name in GAZE:
            drawn[name] = _from_polar(*(drawn[part] for part in POLAR))[GAZE.index(name)]
        else:
            drawn[name] = eyes.spread(name).quantile(place(name), drawn)
    return EyeParams(**{name: drawn[name] for name in SPECS})


def _from_polar(direction: Tensor, eccentricity: Tensor) -> tuple[Tensor, Tensor]:
    """Pitch and yaw, deg, as `geometry.angles_from_direction`, with the same bits in any batch."""
    where, away = torch.deg2rad(direction.double()), torch.deg2rad(eccentricity.double())
    up = away.sin() * where.sin()
    pitch = torch.atan(up / (1 - up * up).sqrt())
    yaw = torch.atan(-away.sin() * where.cos() / away.cos())
    return torch.rad2deg(pitch).to(direction.dtype), torch.rad2deg(yaw).to(direction.dtype)


def pinned(recipe: Recipe, folder: Path = Path()) -> Recipe:
    """Return a recipe that names its panorama from here, not from `folder`, and by its SHA-256.

    Raises UserError where the file cannot be used or is not the one the recipe pins.
    """
    if not recipe.light.panorama:
        return recipe
    file = str(folder / recipe.light.panorama)
    known = recipe.light.sha256 or panorama.digest(file)
    panorama.load(file, known)
    return recipe.model_copy(update={"light": Light(panorama=file, sha256=known)})


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        return False


def load_recipe(source: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe from a TOML file, or by the name of one that ships with the package.

    Raises UserError where there is none, or where a value is unknown or impossible.
    """
    if isinstance(overrides, str):
        raise TypeError("overrides are several, such as ('image.height=64',)")
    path = Path(source)
    shipped = {found.stem: found for found in RECIPES.glob("*.toml")}
    if not path.suffix and not _is_file(path):
        if str(source) not in shipped:
            known = ", ".join(sorted(shipped))
            raise UserError(f"{source}: no such recipe; give a .toml file or one of: {known}")
        path = shipped[str(source)]
    loaded = config.load(Recipe, path, overrides)
    in_file = config.read_toml(path).get("light", {}).get("panorama")
    # A path in the file counts from the file, one of an override from here.
    return pinned(loaded, path.parent if loaded.light.panorama == in_file else Path())
