"""Every parameter of a scene: its unit, the range that is possible at all, and its usual spread.

One dataclass is the only list; priors, recipes and stored labels are derived from it. Lengths
are millimetres in a frame fixed to the head with its origin at the eyeball's centre: u toward
the nose, v upward, h toward the viewer. Angles are degrees and follow `gazegan.geometry`.
"""

from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from gazegan.render.spec import Spec
from gazegan.render.spec import normal as _normal
from gazegan.render.spec import parameter as _p


@dataclass(frozen=True)
class EyeParams:
    """Scene parameters of B eyes, every field a float32 tensor `[B]`."""

    # Gaze and head
    gaze_pitch: Tensor = _p([-20, 20], -60, 60, "visual axis, deg, up")
    gaze_yaw: Tensor = _p([-25, 25], -70, 70, "visual axis, deg, image left")
    head_pitch: Tensor = _p(_normal(0, 6, -25, 25), -40, 40, "head's facing direction, deg, up")
    head_yaw: Tensor = _p(_normal(0, 8, -40, 40), -50, 50, "head's facing direction, deg, left")
    head_roll: Tensor = _p(_normal(0, 3, -15, 15), -45, 45, "head tilt, deg, clockwise")
    side: Tensor = _p({"choice": [-1, 1]}, -1, 1, "+1 the eye at the image's left, -1 at its right")
    # Both eyes of a face, in recipes with `pairs` (Dodgson, Proc. SPIE 5291, 2004)
    ipd: Tensor = _p(_normal(63, 3.8, 50, 75), 40, 85, "between the eyeballs' centres, mm")
    target_distance: Tensor = _p(
        [400, 800], 100, 1e6, "from midway between the eyes to what they look at, mm"
    )
    # Eyeball (Gross anatomy: Bekerman et al., J. Ophthalmol. 2014; optics: Guestrin & Eizenman,
    # IEEE TBME 2006; asphericity: Kiely, Smith & Carney, Optica Acta 1982. Eye models take a flat
    # iris, Aguirre, Sci. Rep. 2019; `iris_cone` spreads from that to slightly conical)
    eyeball_radius: Tensor = _p(_normal(12.0, 0.35, 11, 13), 9, 15, "scleral sphere, mm")
    cornea_radius: Tensor = _p(_normal(7.8, 0.25, 7.2, 8.5), 6.5, 9.5, "cornea at its apex, mm")
    asphericity: Tensor = _p(
        _normal(-0.26, 0.18, -0.62, 0.1), -0.8, 0.5, "conic constant Q of the cornea, 0 a sphere"
    )
    limbus_radius: Tensor = _p(_normal(5.85, 0.2, 5.3, 6.4), 4.5, 6.45, "visible iris, mm")
    chamber_depth: Tensor = _p(
        _normal(3.3, 0.25, 2.7, 3.9), 2, 4.5, "corneal apex to pupil's edge, mm"
    )
    pupil_radius: Tensor = _p([1.1, 3.1], 0.75, 4.2, "mm")
    pupil_nasal: Tensor = _p(_normal(0.2, 0.12, -0.1, 0.5), -0.8, 0.8, "decentration, mm")
    pupil_up: Tensor = _p(_normal(0.0, 0.1, -0.3, 0.3), -0.8, 0.8, "decentration, mm")
    iris_cone: Tensor = _p([0, 6], 0, 20, "slope of the iris toward the cornea at the pupil, deg")
    kappa_horizontal: Tensor = _p(
        _normal(2.5, 1.4, -0.5, 5.5), -8, 10, "optical axis temporal to visual, deg"
    )
    kappa_vertical: Tensor = _p(
        _normal(0.5, 1.0, -1.5, 2.5), -6, 6, "optical axis below visual, deg"
    )
    torsion: Tensor = _p(0, -20, 20, "about the optical axis beyond Listing's law, deg, clockwise")
    # Lids
    canthus_inner: Tensor = _p(_normal(12.9, 0.8, 11, 15), 10, 20, "u of the inner canthus, mm")
    canthus_outer: Tensor = _p(_normal(15.3, 0.8, 13.3, 17.3), 10, 20, "-u of the outer one, mm")
    canthus_drop: Tensor = _p(
        _normal(3.2, 0.7, 1.6, 4.8), -3, 8, "canthi below the eyeball axis, mm"
    )
    canthus_tilt: Tensor = _p(_normal(0.9, 1.1, -1.6, 3.5), -6, 6, "outer above inner canthus, mm")
    upper_lid: Tensor = _p(_normal(6.8, 0.9, 4.5, 9), 0, 13, "arch above the canthal line, mm")
    lower_lid: Tensor = _p(_normal(2.5, 0.6, 1.0, 4), -1, 8, "arch below the canthal line, mm")
    upper_follow: Tensor = _p([0.6, 1.1], 0, 1.2, "upper lid's share of the eye's pitch")
    lower_follow: Tensor = _p([0.1, 0.55], 0, 1, "lower lid's share of the eye's pitch")
    # In downgaze the outer canthus sinks by 1.5 to 2.3 mm, in upgaze it rises by up to 0.9 (Cruz,
    # Tavora & Martin, Effect of eyelid saccades on the position of lateral canthus, 2008)
    outer_follow: Tensor = _p([0.0, 0.3], 0, 0.5, "outer canthus' share of the eye's pitch")
    upper_peak: Tensor = _p(
        _normal(0.53, 0.05, 0.4, 0.66), 0.25, 0.75, "0 outer .. 1 inner canthus"
    )
    lower_peak: Tensor = _p(
        _normal(0.43, 0.05, 0.3, 0.56), 0.25, 0.75, "0 outer .. 1 inner canthus"
    )
    upper_round: Tensor = _p([1.2, 2.0], 0.7, 3, "1 full arch, larger is more pointed")
    lower_round: Tensor = _p([1.2, 2.0], 0.7, 3, "1 full arch, larger is more pointed")
    squint: Tensor = _p(0, 0, 4, "rise of the lower lid by the muscle around the eye, mm")
    epicanthus: Tensor = _p(
        {"mixture": [0, [0.2, 1.0]], "weights": [0.75, 0.25]},
        0,
        1,
        "share of the upper lid's arch that a fold of skin lowers at the inner canthus",
    )
    lid_thickness: Tensor = _p([1.6, 2.4], 1.5, 4, "lid sheet over the eyeball, mm")
    waterline: Tensor = _p([0.1, 0.8], 0, 2, "visible lower lid margin, mm")
    lid_soft: Tensor = _p(0, 0, 4, "mm in which the eyeball fades into lower lid and canthi")
    moist: Tensor = _p(0, 0, 1, "how far margins and inner corner show pale, wet flesh")
    fold_gap: Tensor = _p([1.2, 4.5], 0.3, 9, "crease above the upper margin, mm")
    fold_depth: Tensor = _p([0.1, 1.0], 0, 1, "depth of the crease, mm")
    hood: Tensor = _p([0.2, 1.8], 0, 3, "skin that overhangs the crease, mm")
    caruncle: Tensor = _p([1.0, 2.4], 0, 4, "radius of the caruncle, mm")
    # Orbit and face
    orbit_depth: Tensor = _p(
        _normal(3.0, 1.5, -1.5, 7.5), -5, 14, "h of the face around the lids, mm"
    )
    orbit_tilt: Tensor = _p(_normal(0.13, 0.05, 0, 0.28), -0.3, 0.6, "rise of the face per mm of u")
    dome_width: Tensor = _p(_normal(12.2, 0.5, 11, 13.5), 9, 20, "the lids' rise falls off, mm")
    dome_height: Tensor = _p([11, 16], 9, 30, "the lids' rise falls off, mm")
    brow_ridge: Tensor = _p([6.0, 15.0], 0, 20, "rise of the brow bone, mm")
    cheek: Tensor = _p([1.0, 7.0], -5, 15, "rise of the cheek, mm")
    nose_rise: Tensor = _p([8, 18], 0, 30, "rise of the nose's side, mm")
    nose_at: Tensor = _p(_normal(20.5, 1.8, 16.5, 25), 15, 35, "u of the nose's side, mm")
    nose_root: Tensor = _p(0.6, 0, 1, "share of the nose's rise that ends at the brow")
    nose_slope: Tensor = _p(0, 0, 1.2, "rise of the nose's back below its root, mm per mm down")
    nose_slant: Tensor = _p(0, 0, 0.8, "spread of the nose below its root, mm per mm down")
    bag: Tensor = _p([0.0, 0.5], 0, 1, "bag under the lower lid, mm")
    orbit_shade: Tensor = _p([0.0, 0.6], 0, 1, "shade of the whole orbit")
    socket_shade: Tensor = _p(
        [0.0, 0.6], 0, 1, "shade from the upper lid to the brow, more toward the nose"
    )
    canthal_shade: Tensor = _p(0, 0, 1, "shade of the skin beside both canthi")
    shade_bound: Tensor = _p(0, 0, 1, "how far the orbit's shade ends at brow and nose")
    nasal_shade: Tensor = _p([0.0, 0.5], 0, 1, "shade of the corner beside the nose")
    brow_at: Tensor = _p(_normal(17, 2.5, 11, 24), 8, 40, "v of the eyebrow's arch, mm")
    brow_dark: Tensor = _p([0.3, 1.0], 0, 1, "cover of the eyebrow")
    hair_light: Tensor = _p(
        {"mixture": [[0.0, 0.15], [0.15, 0.6]], "weights": [0.75, 0.25]},
        0,
        1,
        "lashes and brow: 0 black, 0.2 brown, 1 blond",
    )
    # Lashes and make-up
    lash_dark: Tensor = _p([0.7, 1.0], 0, 1, "cover of the lash line")
    lash_width: Tensor = _p([0.5, 2.0], 0.05, 4, "of the dark upper line, mm")
    lash_wing: Tensor = _p([-0.5, 2.5], -3, 10, "dark line beyond the outer canthus, mm")
    lash_length: Tensor = _p([4.0, 9.0], 0, 14, "mm")
    lash_thick: Tensor = _p([0.12, 0.3], 0.02, 0.6, "thickness of a tuft at its root, mm")
    lash_curl: Tensor = _p([-10, 45], -40, 80, "rise of the upper lashes above the gaze, deg")
    lower_line: Tensor = _p([0.0, 0.5], 0, 1, "cover of the lower lash line")
    eyeshadow: Tensor = _p([0.0, 0.15], 0, 1, "cover of paint on the upper lid")
    # Colours
    skin_melanin: Tensor = _p([0.15, 2.2], 0, 4, "optical depth of the skin's pigment")
    skin_blood: Tensor = _p([0.2, 1.1], 0, 3, "optical depth of the skin's blood")
    under_red: Tensor = _p(0, 0, 1, "how far redness lies under the lower lid, not at margins")
    skin_texture: Tensor = _p([0.03, 0.16], 0, 0.6, "contrast of the skin's texture")
    freckles: Tensor = _p([0.0, 0.4], 0, 1, "darkness of freckles")
    furrows: Tensor = _p(0, 0, 1, "shade of the furrows along the lids, and more of the fold's")
    uneven: Tensor = _p(0, 0, 1, "how far folds, lashes, brow, skin and white are from even")
    wrinkles: Tensor = _p([0.0, 0.5], 0, 1, "depth of the lines around the lids")
    skin_gloss: Tensor = _p([0.0, 0.2], 0, 0.6, "specular share of the skin")
    # Most people's irises are brown (Katsara & Nothnagel, Forensic Sci. Int. Genet. 2019)
    iris_pigment: Tensor = _p(
        {"mixture": [[0.0, 0.35], [0.35, 0.6], [0.6, 1.0]], "weights": [0.25, 0.2, 0.55]},
        0,
        1,
        "0 blue, 0.5 hazel, 1 dark brown",
    )
    iris_contrast: Tensor = _p([0.1, 0.6], 0, 1, "of the fibres")
    iris_bright: Tensor = _p([0.4, 1.4], 0.1, 4, "gain of the iris")
    limbal_ring: Tensor = _p([0.1, 0.8], 0, 1, "darkness of the limbal ring")
    limbal_soft: Tensor = _p([0.1, 0.5], 0.05, 2, "width of the limbus, mm")
    sclera_white: Tensor = _p([0.12, 0.38], 0.05, 1, "reflectance of the sclera")
    sclera_warm: Tensor = _p([0.05, 0.35], 0, 1, "yellow and red of the sclera")
    veins: Tensor = _p([0.0, 0.5], 0, 1, "strength of the veins")
    # Light
    light_azimuth: Tensor = _p([-70, 70], -180, 180, "key light, deg, image right")
    light_elevation: Tensor = _p([10, 75], -90, 90, "key light, deg, up")
    light_key: Tensor = _p([0.3, 1.8], 0, 5, "key light's irradiance")
    light_ambient: Tensor = _p([0.2, 0.6], 0, 5, "ambient irradiance")
    light_warmth: Tensor = _p(_normal(0.08, 0.1, -0.15, 0.4), -1, 1, "red over blue")
    lid_shadow: Tensor = _p([0.3, 0.9], 0, 1, "shadow of the upper lid on the eyeball")
    corner_shade: Tensor = _p([0.3, 0.9], 0, 1, "shadow in the canthi")
    corner_reach: Tensor = _p(0, 0, 1, "how far the shadow in the canthi reaches to the iris")
    lid_shadow_length: Tensor = _p([1.5, 5.0], 0.1, 8, "mm")
    glint: Tensor = _p([0.0, 1.2], 0, 10, "brightness of the key light's reflection")
    glint_size: Tensor = _p([1.5, 5.0], 0.3, 30, "angular radius of the key light, deg")
    fill_azimuth: Tensor = _p([-60, 60], -180, 180, "second reflection, deg, image right")
    fill_elevation: Tensor = _p([-20, 60], -90, 90, "second reflection, deg, up")
    fill_glint: Tensor = _p([0.0, 0.5], 0, 10, "brightness of the second reflection")
    meniscus: Tensor = _p(
        _normal(0.2, 0.06, 0.08, 0.4), 0, 1, "height of the tears along the lower lid, mm"
    )
    tear_film: Tensor = _p(0, 0, 1, "mirroring of the wet sclera")
    room_glare: Tensor = _p(0, 0, 20, "radiance of bright parts of the room, 1 as even white")
    panorama_turn: Tensor = _p(
        0, -360, 360, "panorama about the vertical, deg, its middle to image right"
    )
    window_light: Tensor = _p(0, 0, 50, "radiance of a window, 0 none")
    window_azimuth: Tensor = _p([-80, 80], -180, 180, "deg, image right")
    window_elevation: Tensor = _p([0, 40], -90, 90, "deg, up")
    window_width: Tensor = _p([15, 50], 1, 120, "as an angle, deg")
    window_height: Tensor = _p([20, 60], 1, 120, "as an angle, deg")
    window_bars: Tensor = _p([0.03, 0.15], 0, 0.9, "width of the cross bars, share of the window")
    monitor_light: Tensor = _p(0, 0, 50, "radiance of a monitor, 0 none")
    monitor_azimuth: Tensor = _p([-15, 15], -180, 180, "deg, image right")
    monitor_elevation: Tensor = _p([-25, -8], -90, 90, "deg, up")
    monitor_width: Tensor = _p([25, 45], 1, 120, "as an angle, deg")
    monitor_height: Tensor = _p([15, 28], 1, 120, "as an angle, deg")
    led_light: Tensor = _p(0, 0, 20, "irradiance of all LEDs at the eyeball, 0 none")
    led_count: Tensor = _p(1, 1, 4, "LEDs on a ring, a whole number")
    led_radius: Tensor = _p([5, 60], 0, 400, "of the ring, mm")
    led_turn: Tensor = _p([-180, 180], -360, 360, "first LED clockwise from the ring's top, deg")
    led_right: Tensor = _p(0, -1000, 1000, "ring's centre from the camera, mm, image right")
    led_up: Tensor = _p(0, -1000, 1000, "ring's centre from the camera, mm")
    led_forward: Tensor = _p(0, -1000, 20000, "ring's centre nearer to the eye than the camera, mm")
    led_size: Tensor = _p([1.0, 3.0], 0.2, 30, "radius of an LED, mm")
    retina: Tensor = _p([0.3, 1.0], 0, 5, "light sent back through the pupil (the bright pupil)")
    # Glasses
    glasses: Tensor = _p(0, 0, 1, "1 wears glasses")
    rim_width: Tensor = _p({"mixture": [[0.5, 1.2], [1.2, 2.8]]}, 0.3, 12, "mm")
    rim_dark: Tensor = _p([0.2, 1.0], 0, 1, "1 black, 0 bright metal")
    rim_gloss: Tensor = _p(0, 0, 3, "brightness of the ceiling that a frame's upper side mirrors")
    lens_half_width: Tensor = _p([19, 27], 12, 40, "mm")
    lens_half_height: Tensor = _p([10, 17], 7, 35, "mm")
    lens_nasal: Tensor = _p([-6, 2], -15, 15, "u of the lens' centre, mm")
    rim_brow: Tensor = _p(
        {"mixture": [0, [0.5, 1.6]], "weights": [0.75, 0.25]}, 0, 4, "widening of the rim above"
    )
    rim_below: Tensor = _p({"choice": [0, 1]}, 0, 1, "0 half-rim, 1 rim all round")
    rim_pads: Tensor = _p(0, 0, 1, "cover of the pads beside the nose, and of their arms")
    lens_drop: Tensor = _p([2, 12], -15, 20, "lens centre below the eyeball axis, mm")
    lens_round: Tensor = _p([2.2, 5.0], 1.5, 12, "exponent of the rim's superellipse")
    lens_taper: Tensor = _p(
        {"mixture": [[-0.05, 0.1], [0.1, 0.3]], "weights": [0.75, 0.25]},
        -0.2,
        0.5,
        "narrowing of the lens below and widening above, 0.3 a teardrop",
    )
    lens_glare: Tensor = _p([0.0, 0.3], 0, 1, "the room's reflection on the lens over the skin")
    # Base curves 2 to 8 D are what opticians stock (Jalie, Ophthalmic Lenses and Dispensing)
    lens_curve: Tensor = _p([3, 7], 0.5, 10, "base curve of the lens' front, dioptres")
    lens_coating: Tensor = _p([0.4, 1], 0, 1, "antireflective coating, 0 none")
    lens_green: Tensor = _p(1, 0, 1, "how green what a coating still reflects is")
    lens_tint: Tensor = _p(0, 0, 3, "optical depth of the lens, 1.5 sunglasses")
    lens_power: Tensor = _p(0, -15, 10, "of the lens, dioptres, negative for the short-sighted")
    # Camera
    distance: Tensor = _p([500, 800], 25, 20000, "depth of the eyeball's centre, mm")
    eye_x: Tensor = _p(0, -2000, 2000, "eyeball's centre from the camera's axis, mm, right")
    eye_y: Tensor = _p(0, -2000, 2000, "eyeball's centre from the camera's axis, mm, down")
    camera_azimuth: Tensor = _p(0, -60, 60, "camera's place around the eye, deg, temporal")
    camera_elevation: Tensor = _p(0, -60, 60, "camera's place around the eye, deg, up")
    camera_roll: Tensor = _p(0, -180, 180, "camera about its axis, deg, scene clockwise")
    field_of_view: Tensor = _p(40, 1, 150, "of framing free: across the image's width, deg")
    fill: Tensor = _p([0.66, 0.95], 0.02, 3, "canthus to canthus over image width")
    fill_even: Tensor = _p(0, 0, 1, "how far fill is that of lids seen squarely, however turned")
    shift_nasal: Tensor = _p([-0.08, 0.08], -1, 1, "of the principal point, share of image width")
    shift_down: Tensor = _p([-0.08, 0.08], -1, 1, "of the principal point, share of image width")
    shift_turn: Tensor = _p(0, -1, 1, "shift toward the nose for a head turned 90 deg temporally")
    # The lens (Brown 1966; OpenCV's order and signs)
    distortion_k1: Tensor = _p(0, -0.5, 0.5, "radial, of the square of a ray's slope")
    distortion_k2: Tensor = _p(0, -0.5, 0.5, "radial, of its fourth power")
    distortion_p1: Tensor = _p(0, -0.05, 0.05, "tangential, down")
    distortion_p2: Tensor = _p(0, -0.05, 0.05, "tangential, to the right")
    blur: Tensor = _p([0.2, 1.1], 0, 4, "standard deviation of the optics' blur, px")
    motion: Tensor = _p(0, 0, 16, "length of the motion blur, px")
    motion_angle: Tensor = _p([-90, 90], -90, 90, "of the motion, deg, from image right over up")
    exposure: Tensor = _p(_normal(0.0, 0.4, -1.2, 1.2), -4, 4, "compensation, stops")
    metering: Tensor = _p([0.4, 0.95], 0, 1, "share of skin's brightness that exposure evens out")
    balance_red: Tensor = _p(1, 0.5, 2, "red gain of a white balance that errs")
    balance_blue: Tensor = _p(1, 0.5, 2, "blue gain of a white balance that errs")
    contrast: Tensor = _p([1.0, 1.7], 0.2, 3, "slope at mid-grey")
    hue_kept: Tensor = _p(0, 0, 1, "share of the curve's bends that luma follows, not each channel")
    saturation: Tensor = _p(1, 0, 2, "distance of colours from grey of the same luma")
    vignette: Tensor = _p([0.0, 0.2], 0, 1, "loss of light at the corners; half of it at the sides")
    shot_noise: Tensor = _p(0, 0, 0.3, "photon noise at full scale: 1 / sqrt(full well, electrons)")
    noise: Tensor = _p([0.0, 0.02], 0, 0.3, "deviation, of full scale, in the finished image")
    jpeg: Tensor = _p(0, 0, 100, "libjpeg's quality, 1 coarsest; 0 is no compression")

    def __getitem__(self, index: slice | Tensor) -> Self:
        return type(self)(*(getattr(self, name)[index] for name in PARAM_NAMES))

    def flat(self) -> Tensor:
        """Return all parameters as one tensor `[B, P]` in the order of PARAM_NAMES."""
        return torch.stack([getattr(self, name) for name in PARAM_NAMES], dim=1)

    @classmethod
    def from_flat(cls, values: Tensor) -> Self:
        """Rebuild the record from a tensor `[B, P]`."""
        return cls(*values.unbind(1))


SPECS: dict[str, Spec] = {f.name: f.metadata["spec"] for f in fields(EyeParams)}
PARAM_NAMES: tuple[str, ...] = tuple(SPECS)
_OF_A_FACE = (
    *("distance", "eye_x", "eye_y", "fill", "retina"),
    *("lid_shadow", "corner_shade", "corner_reach", "lid_shadow_length"),
)
ROOM = frozenset(
    name
    for name in PARAM_NAMES[PARAM_NAMES.index("light_azimuth") :]
    if name not in _OF_A_FACE and not name.startswith(("lens_", "rim_", "glasses"))
)
"""The parameters of lights and camera that all faces of a scene share."""
MIRRORED = (
    *("gaze_yaw", "head_yaw", "head_roll", "torsion", "side", "light_azimuth", "fill_azimuth"),
    *("panorama_turn", "window_azimuth", "monitor_azimuth", "led_turn", "led_right", "eye_x"),
    *("camera_roll", "distortion_p2", "motion_angle"),
)
"""The parameters that change sign when the image is mirrored left to right."""


def mirrored(params: EyeParams) -> EyeParams:
    """Return the scene whose image is the left-right mirror image."""
    values = {name: getattr(params, name) for name in PARAM_NAMES}
    values |= {name: -values[name] for name in MIRRORED}
    return EyeParams(**values)
