"""Impossible eyes are refused by name and cure, and what is not refused is possible."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gazegan.config import validate
from gazegan.errors import UserError
from gazegan.render import eyeball, shape
from gazegan.render.params import SPECS
from gazegan.render.prior import Recipe, sample

SMALL_CORNEA = {"cornea_radius": 6.5, "limbus_radius": 5.5, "asphericity": [0, 0.1]}
FAULTS = [
    (
        {"pupil_radius": [2, 4.2], "limbus_radius": [4.5, 5]},
        "pupil_radius 4.2, decentred by 0.58 mm, must stay below limbus_radius 4.5",
        {"pupil_radius": [2, 3.9]},
    ),
    (
        {"limbus_radius": [6, 6.45], "cornea_radius": [6.5, 7], "asphericity": [0, 0.4]},
        "limbus_radius 6.45 lies past the equator of a cornea with cornea_radius 6.5",
        {"cornea_radius": 7.7},
    ),
    (
        {"cornea_radius": 9.4, "eyeball_radius": 9.6, "asphericity": -0.8},
        "cornea_radius 9.4, asphericity -0.8 lies inside the sclera of eyeball_radius 9.6",
        {"cornea_radius": 7.8, "asphericity": -0.5},
    ),
    ({"eyeball_radius": 9, "cornea_radius": 9.2}, "must stay below eyeball_radius", None),
    (
        {**SMALL_CORNEA, "chamber_depth": [2.4, 4.4], "pupil_radius": 4.2, "pupil_nasal": 0.8},
        "chamber_depth 2.4 lets a pupil_radius of 4.2 poke through the cornea; raise it to 2.49 or",
        {"chamber_depth": [2.49, 4.4]},
    ),
    (
        {"chamber_depth": 2, "iris_cone": 0},
        "chamber_depth 2 puts the median iris before its limbus; raise it to 2.49 or more",
        {"chamber_depth": 2.5},
    ),
    (
        {"upper_lid": 0.5, "lower_lid": [-1, -0.7]},
        "upper_lid 0.5 lies below lower_lid 0.7 throughout",
        {"lower_lid": -0.5},
    ),
]


def recipe_of(**eyes):
    return validate(Recipe, {"eyes": eyes}, "my.toml")


@pytest.mark.parametrize(("eyes", "fault", "cure"), FAULTS, ids=[f[1][:40] for f in FAULTS])
def test_what_cannot_be_is_refused_and_its_cure_accepted(eyes, fault, cure):
    with pytest.raises(UserError) as caught:
        recipe_of(**eyes)
    message = str(caught.value)
    assert message.startswith("my.toml: eyes: ") and fault in message
    assert "\n" not in message and len(message) < 200
    if cure:
        recipe_of(**{**eyes, **cure})


def bounds(name):
    spec = SPECS[name]
    ends = st.floats(spec.low, spec.high)
    return st.tuples(ends, ends).map(sorted)


NAMES = ("eyeball_radius", "cornea_radius", "asphericity", "limbus_radius", "chamber_depth")
DISC = ("pupil_radius", "pupil_nasal", "pupil_up", "iris_cone")


@given(st.fixed_dictionaries({name: bounds(name) for name in NAMES + DISC}))
@settings(deadline=None, max_examples=150)
def test_eyes_of_accepted_bounds_are_possible(eyes):
    try:
        recipe = recipe_of(**eyes)
    except UserError:
        assume(False)
    p = shape.per_pixel(sample(recipe, 0, torch.arange(200)))
    apex = eyeball.cornea_offset(p) + p.cornea_radius
    assert (apex > p.eyeball_radius).all()  # the cornea stands before the sclera
    assert ((1 + p.asphericity) * p.limbus_radius**2 < p.cornea_radius**2).all()
    turn = torch.linspace(0, 2 * math.pi, 33)
    edge = torch.hypot(
        p.pupil_nasal + p.pupil_radius * turn.cos(), p.pupil_up + p.pupil_radius * turn.sin()
    )
    assert (edge < p.limbus_radius).all()
    sunk = p.chamber_depth
    within = 2 * p.cornea_radius * sunk - (1 + p.asphericity) * sunk**2
    assert (edge**2 < within).all()  # the pupil's edge lies behind the cornea
