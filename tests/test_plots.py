"""Pictures have the sizes, colours and labels that they promise."""

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from gazegan import plots
from gazegan.plots.maps import direction_colours
from gazegan.schema import LANDMARKS, MASKS

RNG = np.random.default_rng(0)


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def holds(picture: np.ndarray, colour: str) -> bool:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return bool((np.abs(picture.astype(int) - wanted).max(-1) < 12).any())


def panels() -> list[plots.Kinds | plots.Directions]:
    direction, off = RNG.uniform(0, 360, 50), RNG.uniform(0, 20, 50)
    off[:7] = np.nan
    few, many = [["real", "refined", "", "rendered"][k % 4] for k in range(50)], range(50)
    return [
        plots.Kinds("Origin", few),
        plots.Directions("Gaze", direction, off),
        plots.Kinds("Subject", [f"person {k // 2}" for k in many]),
    ]


def figures() -> dict[str, bytes]:
    errors, truth = np.abs(RNG.normal(0, 6, 50)), RNG.uniform(-20, 20, (50, 2))
    return {
        "curve": plots.error_curve({"network": errors}, torch.tensor(2 * errors)),
        "epsilon": plots.epsilon_curve([0.01, 0.02], 5.0, {"PGD": [9, 12], "FGSM": [8, 9]}, 12.0),
        "bars": plots.bars({"pupil_radius": 9.0, "glint": 7.0}, {"nominal": 5.0}, "deg", "Alone"),
        "scatter": plots.truth_scatter(0.5 * truth, truth),
        "map": plots.embedding_map(truth, panels(), "a note"),
        "fields": plots.receptive_fields(
            RNG.random((1, 9, 15)), {"near": (2, 3, 5, 8), "far": (-6, -4, 20, 30)}, "Fields"
        ),
        "reliability": plots.reliability_diagram([0.3, 0.6], {"pitch": [0.2, 0.4], "yaw": [0, 1]}),
        "schedule": plots.schedule_curve([0, 1, 1, 2], [0.1, 0.1, 0.03, 0.03]),
        "training": plots.training_curves({"a": {"x": ([0, 1], [3, 4]), "y": ([0], [1])}}),
    }


@pytest.mark.parametrize(("name", "picture"), figures().items())
def test_figures_are_drawn_in_the_palette_and_clip_nothing(name, picture):
    pixels = opened(picture)
    assert holds(pixels, plots.SERIES[0]) and holds(pixels, plots.INK)
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert bool((edges == 255).all()), f"ink touches the border of {name}"


def test_long_titles_of_trainings_are_not_cut_off():
    line = {"x": ([0, 1], [3, 4])}
    titles = ("a", "b", "Gaze error in training (degrees)")
    picture = plots.training_curves(dict.fromkeys(titles, line))
    assert bool((opened(picture)[:, -1] == 255).all())


@pytest.mark.parametrize("rising", [True, False])
def test_the_legend_of_an_attack_hides_no_curve(monkeypatch, rising):
    drawn = []
    monkeypatch.setattr("gazegan.plots.curves.png_of", lambda figure: drawn.append(figure) or b"")
    errors = np.array([18, 21, 24, 27]) if rising else np.array([16, 12, 9, 5])
    plots.epsilon_curve([0.002, 0.01, 0.02, 0.03], 17.0, {"PGD": errors, "FGSM": errors - 1}, 18.0)
    FigureCanvasAgg(drawn[0]).draw()
    (axes,) = drawn[0].axes
    box = axes.get_legend().get_window_extent()
    for line in axes.lines[:2]:
        along = line.get_transform().transform(dense(line.get_xydata()))
        assert not box.count_contains(along)


def dense(points):
    """Points `[N, 2]` and 50 between each two."""
    return np.concatenate([np.linspace(a, b, 50) for a, b in pairwise(points)])


def test_equal_figures_give_equal_bytes():
    arguments = ([0.01, 0.04], 5.0, {"PGD": [9.0, 12.0]})
    assert plots.epsilon_curve(*arguments) == plots.epsilon_curve(*arguments)


def test_maps_of_any_shape_can_be_drawn():
    for places in (np.zeros((3, 2)), [[0, 0], [1, 900], [2, 0]], [[0, 0], [900, 1], [2, 0]]):
        kinds = plots.Kinds("Origin", ["a", "", "a rather long name of a store on some disk"])
        picture = opened(plots.embedding_map(places, [kinds], "note"))
        assert picture.shape[0] > 300 and holds(picture, plots.SERIES[0])


def test_directions_have_hues_of_one_lightness_around_a_circle():
    strong = direction_colours([0, 90, 180, 270, 360], np.ones(5))
    np.testing.assert_allclose(strong[0], strong[4])
    assert np.ptp(strong, axis=0).min() > 0.2
    grey = direction_colours([0, 90, 180], np.zeros(3))
    np.testing.assert_allclose(grey, grey[0, 0], atol=1e-3)
    luminance = strong**2.2 @ (0.2126, 0.7152, 0.0722)
    assert np.ptp(luminance) < 0.1


@pytest.mark.parametrize("errors", [[0.0], [0.0, 0.0], [170.0, 1.0]])
def test_extreme_errors_can_be_drawn(errors):
    assert opened(plots.error_curve({"network": errors}, errors)).ndim == 3


def test_a_single_point_can_be_scattered():
    assert opened(plots.truth_scatter([[1.0, 2.0]], [[3.0, 3.0]])).ndim == 3


def test_overlay_is_grey_without_attribution_and_coloured_by_sign():
    image, signed = np.full((1, 4, 6), 0.5), np.zeros((1, 4, 6))
    signed[0, 0, 0], signed[0, 3, 5] = 2.0, -2.0
    mixed = plots.overlay(image, signed)
    assert mixed.shape == (3, 4, 6)
    np.testing.assert_allclose(mixed[:, 1, 1], mixed[0, 1, 1])
    assert mixed[0, 0, 0] > mixed[2, 0, 0] and mixed[2, 3, 5] > mixed[0, 3, 5]


@given(st.integers(0, 1000), st.sampled_from([1, 3]))
@settings(deadline=None, max_examples=20)
def test_overlays_stay_in_range(seed, channels):
    generator = np.random.default_rng(seed)
    image = generator.random((channels, 5, 7))
    signed = generator.normal(size=(channels, 5, 7)) * generator.choice([0, 1e-9, 1, 1e9])
    for mixed in (plots.overlay(image, signed), plots.heat(image, signed)):
        assert mixed.shape == (3, 5, 7) and np.isfinite(mixed).all()
        assert mixed.min() >= 0 and mixed.max() <= 1


def test_heat_is_strongest_where_the_map_is():
    image, signed = np.full((1, 21, 21), 0.5), np.zeros((1, 21, 21))
    signed[0, 4, 15] = -1
    warmth = np.subtract(*plots.heat(image, signed)[[0, 2]])
    assert np.unravel_index(warmth.argmax(), warmth.shape) == (4, 15)


def test_tint_colours_the_eye_and_leaves_the_skin():
    masks = torch.zeros(len(MASKS), 2, 2)
    masks[:4] = torch.eye(4).reshape(4, 2, 2)  # one pixel each of skin, sclera, iris and pupil
    red, green, blue = plots.tint(np.full((1, 2, 2), 0.5), masks)
    assert red[0, 0] == green[0, 0] == blue[0, 0] == 0.5
    assert green[0, 1] > max(red[0, 1], blue[0, 1])
    assert blue[1, 0] > max(red[1, 0], green[1, 0])
    assert red[1, 1] > max(green[1, 1], blue[1, 1])


@pytest.mark.parametrize(
    ("gaze_deg", "side"),
    [((0, 25), (-1, 0)), ((0, -25), (1, 0)), ((25, 0), (0, -1)), ((-25, 0), (0, 1))],
)
def test_the_arrow_points_where_the_eye_looks(gaze_deg, side):
    drawn = plots.annotate(np.zeros((1, 36, 60)), np.radians(gaze_deg))
    rows, columns = drawn.max(0).nonzero()
    away = np.array((columns.mean() - 120, rows.mean() - 72))
    assert away @ side > 8 and abs(away @ side[::-1]) < 1


def test_points_are_drawn_where_the_labels_say():
    points = torch.full((len(LANDMARKS), 2), 5.0)
    points[LANDMARKS.index("iris_00")] = torch.tensor([20.5, 10.5])
    visible = torch.zeros(len(LANDMARKS), dtype=torch.bool)
    visible[LANDMARKS.index("iris_00")] = True
    image = np.zeros((1, 16, 32))
    drawn = plots.annotate(image, [0.0, 0.0], points, visible, scale=5).max(0)
    assert drawn[52, 102] > 0.5
    assert drawn[60:, 60:].max() == 0
    visible[:] = False
    assert plots.annotate(image, [0, 0], points, visible, scale=5).max(0)[:, 60:].max() == 0


def test_sheet_shows_each_image_unchanged_at_a_whole_factor():
    images = [RNG.random((channels, 12, 20)) for channels in (1, 3)]
    rows = [plots.Row("eye", images, ["1°", "2°"]), plots.Row("again", images)]
    sheet = np.asarray(plots.contact_sheet(rows, "Title", "note", cell=60))
    shown = np.rint(255 * images[1]).astype(np.uint8).transpose(1, 2, 0)
    block = shown.repeat(3, 0).repeat(3, 1)
    windows = np.lib.stride_tricks.sliding_window_view(sheet, block.shape)[:, :, 0]
    found = (windows[:, :, ::17, ::13] == block[::17, ::13]).all((-3, -2, -1))
    assert found.sum() == 2, "once in each row"


@pytest.mark.parametrize("title", ["", "A title much longer than the one small image below it"])
def test_no_label_of_a_sheet_is_clipped(title):
    rows = [plots.Row("a long name", [np.ones((1, 8, 8))], ["a caption wider than the image"])]
    sheet = np.asarray(plots.contact_sheet(rows, title, "a note that is long as well", cell=8))
    edges = np.concatenate([sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1]])
    assert bool((edges == 255).all())


def test_png_keeps_the_pixels():
    sheet = plots.contact_sheet([plots.Row("", [RNG.random((3, 9, 9))])])
    np.testing.assert_array_equal(opened(plots.png(sheet)), np.asarray(sheet))


def test_the_labels_of_several_eyes_are_drawn_on_one_image():
    points = np.full((2, len(LANDMARKS), 2), 5.5)
    points[1] += (20, 4)
    visible = np.zeros((2, len(LANDMARKS)), bool)
    image = np.zeros((1, 16, 32))
    alone = [plots.annotate(image, (0, 0), points[k], visible[k], 3) for k in (0, 1)]
    both = plots.annotate_eyes(image, np.zeros((2, 2)), points, visible, 3)
    np.testing.assert_array_equal(both, np.maximum(*alone))


def test_letters_darken_with_the_image_and_show_the_box():
    image = np.linspace(0, 1, 12).reshape(1, 1, 12).repeat(8, 1)
    rows = plots.text_image(image).splitlines()
    assert len(rows) == 4 and set(rows) == {"@@%#*+=-:.  "}
    rows = plots.text_image(image, (2, 3, 6, 9)).splitlines()
    assert [row[3] + row[8] for row in rows] == ["#:", "┌┐", "└┘", "#:"]
    outside = plots.text_image(image, (-9, -9, 20, 30))
    assert outside == plots.text_image(image)
    half = plots.text_image(image, (-4, 3, 20, 30)).splitlines()
    assert all(row[3] == "│" for row in half)


def test_large_images_are_written_small():
    rows = plots.text_image(RNG.random((3, 300, 500))).splitlines()
    assert len(rows) == 22 and {len(row) for row in rows} == {72}


def test_a_curve_of_letters_has_a_star_a_column():
    lines = plots.text_curve([0, 1, 2, 2], "end", rows=3).splitlines()
    assert lines == ["2 │  **", "  │ *", "0 │*", "  └────", "   0end"]
    assert plots.text_curve([0.0, 0.0], "x", rows=2).splitlines()[1] == "0 │**"
