"""Draw the conventions onto a render: `python docs/conventions.py` writes docs/conventions.png."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from gazegan import load_recipe, render_indices
from gazegan.geometry import angles_from_direction, project, vector_from_angles
from gazegan.plots.palette import FAINT, INK, SERIES
from gazegan.schema import BOXES, CENTRES, LANDMARKS

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Arc, Ellipse, Rectangle

SCENE = {
    **{"gaze_pitch": 14, "gaze_yaw": 24, "head_pitch": 3, "head_yaw": 8, "head_roll": 4},
    **{"side": 1, "kappa_horizontal": 5, "kappa_vertical": 1.5, "upper_lid": 8.2, "blur": 0.4},
    **{"pupil_radius": 2.2, "fill": 0.74, "shift_down": 0.02, "iris_pigment": 0.2, "noise": 0},
    **{"skin_melanin": 0.35, "iris_bright": 1.0, "limbus_radius": 6.1, "lash_length": 3},
}
SIZE = ("image.height=240", "image.width=400", "image.channels=3")
BLUE, RED, GREEN, PURPLE, GOLD = SERIES
EDGE = {"edgecolor": "white", "linewidth": 0.6, "zorder": 3}


def note(axes, at, text, colour, **place):
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    axes.annotate(text, at, textcoords="offset points", color=colour, size=8, bbox=box, **place)


def arrow(axes, tail, tip, colour):
    axes.annotate("", tip, tail, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.8})


def show(axes, eye, title):
    axes.imshow(eye.image[0].permute(1, 2, 0).numpy(), extent=(0, eye.size[1], eye.size[0], 0))
    axes.set(xlim=(0, eye.size[1]), ylim=(eye.size[0], 0))
    axes.set_title(title, color=INK, size=10, loc="left")
    axes.tick_params(labelsize=7, colors=FAINT)


def draw_points(axes, eye):
    points = dict(zip(LANDMARKS, eye.landmarks[0].tolist(), strict=True))
    groups = {"lid_": GREEN, "caruncle_": PURPLE, "iris_": BLUE, "pupil_": RED}
    for start, colour in groups.items():
        at = np.array([p for name, p in points.items() if name.startswith(start)])
        axes.scatter(*at.T, s=14, color=colour, **EDGE)
    for k in range(16):
        up = 6 if k <= 8 else -14
        note(axes, points[f"lid_{k:02d}"], f"{k:02d}", GREEN, xytext=(-4, up))
    for k, inward in ((0, (-42, -3)), (8, (-16, -22)), (16, (8, -3)), (24, (-16, 13))):
        note(axes, points[f"iris_{k:02d}"], f"iris_{k:02d}", BLUE, xytext=inward)
    note(axes, points["pupil_centre"], "pupil_centre", RED, xytext=(-20, 9))
    note(axes, points["iris_centre"], "iris_centre", BLUE, xytext=(-20, -16))
    note(axes, points["caruncle_0"], "caruncle_0..6", PURPLE, xytext=(-14, -24))
    for name, colour, (x0, y0, x1, y1) in zip(
        BOXES, (GREEN, BLUE), eye.boxes[0].tolist(), strict=True
    ):
        sides = {"fill": False, "edgecolor": colour, "linestyle": "--"}
        axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **sides))
        below = name == "iris"
        note(
            axes, (x0, y1 if below else y0), f"box {name}", colour, xytext=(2, -26 if below else 4)
        )


def draw_ellipses(axes, eye):
    for (cx, cy, major, minor, angle), colour in zip(
        eye.ellipses[0].tolist(), (RED, BLUE), strict=True
    ):
        # The picture's y runs down, so matplotlib's angles count clockwise as seen.
        turn = -np.rad2deg(angle)
        sides = {"fill": False, "edgecolor": colour, "linewidth": 1.4}
        axes.add_patch(Ellipse((cx, cy), 2 * major, 2 * minor, angle=turn, **sides))
    across = 1.35 * major * np.array((np.cos(angle), -np.sin(angle)))
    ends = np.array((cx, cy)) + np.array((-across, across))
    axes.plot(*ends.T, color=BLUE, lw=1, ls=":")
    axes.plot([cx, cx + 1.35 * major], [cy, cy], color=BLUE, lw=1, ls=":")
    axes.add_patch(Arc((cx, cy), 150, 150, theta1=turn, theta2=0, color=BLUE, lw=1.2))
    place = np.array((cx + 82 * np.cos(angle / 2), cy - 82 * np.sin(angle / 2)))
    note(
        axes, place, f"angle of the iris' major axis {np.rad2deg(angle):.0f}°", BLUE, xytext=(2, 0)
    )


def draw_axes(axes, eye):
    fx, _, *centre = eye.intrinsics[0]
    see = lambda points: project(points, fx, torch.stack(centre)).numpy()  # noqa: E731
    ball = eye.centres[0, CENTRES.index("eyeball")]
    for angles, name, colour in ((eye.gaze, "gaze", RED), (eye.optical, "optical", GOLD)):
        tip = see(ball + 26 * vector_from_angles(angles[0]))
        arrow(axes, see(ball), tip, colour)
        note(axes, tip, name, colour, xytext=(-46 if name == "optical" else -10, 4))
    for point, name in zip(see(eye.centres[0]), CENTRES, strict=True):
        axes.scatter(*point, s=16, color=INK, **EDGE)
        place = {"eyeball": (6, -6), "cornea": (7, -9), "iris": (7, -13), "pupil": (-28, -16)}
        note(axes, point, name, INK, xytext=place[name])


def draw_angles(axes):
    axes.set(xlim=(-1.55, 1.55), ylim=(1.35, -1.35), aspect="equal")
    axes.set_title("Gaze as the camera sees it", color=INK, size=10, loc="left")
    axes.axis("off")
    axes.add_patch(Ellipse((0, 0), 2, 2, fill=False, edgecolor=FAINT))
    names = ("0°\nyaw −", "90°, pitch +", "180°\nyaw +", "270°, pitch −")
    for direction, name in zip(range(0, 360, 45), (f for n in names for f in (n, "")), strict=True):
        angles = angles_from_direction(torch.tensor(float(direction)), torch.tensor(90.0))
        x, y, _ = vector_from_angles(angles).tolist()
        arrow(axes, (0, 0), (x, y), RED if name else FAINT)
        axes.text(1.22 * x, 1.13 * y, name, ha="center", va="center", color=RED, size=8)
    axes.scatter(0, 0, s=40, color=RED, **EDGE)
    axes.text(0.06, 0.26, "(0, 0): into\nthe camera", color=INK, size=8, ha="left", va="center")
    arrow(axes, (-1.5, -1.28), (-1.05, -1.28), BLUE)
    arrow(axes, (-1.5, -1.28), (-1.5, -0.83), BLUE)
    axes.text(-1.0, -1.28, "x", color=BLUE, size=9, va="center")
    axes.text(-1.5, -0.74, "y", color=BLUE, size=9, ha="center")
    axes.text(-1.44, -1.12, "z away from\nthe camera", color=BLUE, size=7, va="center")


def draw_pixels(axes, eye):
    axes.imshow(eye.image[0, :, :3, :4].permute(1, 2, 0).numpy(), extent=(0, 4, 3, 0), alpha=0.5)
    axes.set(xticks=range(5), yticks=range(4), xlim=(-0.4, 4.2), ylim=(3.2, -0.4))
    axes.grid(color=INK, lw=0.8)
    axes.tick_params(labelsize=7, colors=FAINT)
    axes.set_title("Pixel centres at .5", color=INK, size=10, loc="left")
    for at, text in (((0.0, 0.0), "(0, 0)"), ((0.5, 0.5), "(.5, .5)"), ((2.5, 1.5), "(2.5, 1.5)")):
        axes.scatter(*at, s=18, color=RED, **EDGE)
        note(axes, at, text, RED, xytext=(4, -10))


def main() -> None:
    overrides = tuple(f"eyes.{name}={value}" for name, value in SCENE.items())
    eye = render_indices(load_recipe("webcam", (*SIZE, *overrides)), 7, torch.arange(1))
    figure = plt.figure(figsize=(13, 8.6), layout="constrained")
    grid = figure.add_gridspec(2, 6, height_ratios=(1, 0.92))
    show(left := figure.add_subplot(grid[0, :3]), eye, "Landmarks (lid_00..15) and boxes")
    draw_points(left, eye)
    show(right := figure.add_subplot(grid[0, 3:]), eye, "Axes of the eye and centres")
    draw_axes(right, eye)
    show(lower := figure.add_subplot(grid[1, :3]), eye, "Ellipses of pupil and iris")
    draw_ellipses(lower, eye)
    draw_angles(figure.add_subplot(grid[1, 3:5]))
    draw_pixels(figure.add_subplot(grid[1, 5]), eye)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=90)


if __name__ == "__main__":
    main()
