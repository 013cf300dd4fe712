"""Pictures are files that open and show something."""

import re
from importlib.resources import files

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from PIL import Image

from textvae.plots import (
    COLOURS,
    REST,
    SEQUENCE,
    group_style,
    plot_grid,
    plot_positions,
    plot_scatter,
)


def positions(loss, **further):
    """A study's result."""
    places = list(range(1, len(loss) + 1))
    return {
        "position": places,
        "texts": places[::-1],
        "loss": loss,
        "from_end": loss[::-1],
    } | further


@pytest.mark.parametrize("length", [1, 3, 60])
@pytest.mark.parametrize("kind", ["one run", "several runs", "baseline"])
def test_positions_are_drawn(length, kind, tmp_path):
    backend = matplotlib.get_backend()
    out = tmp_path / "positions.png"
    loss = [5 / (n + 1) for n in range(length)]
    further = {}
    if kind != "one run":
        further = {f"{n}_{e}": loss for n in ("loss", "from_end") for e in ("low", "high")}
    if kind == "baseline":
        names = ("baseline", "baseline_from_end", "improvement", "improvement_from_end")
        further |= dict.fromkeys(names, loss)
    plot_positions(positions(loss, **further), "title", out)
    assert matplotlib.get_backend() == backend
    pixels = matplotlib.image.imread(out)
    assert pixels.shape[0] > 300 and pixels.shape[1] > 500
    # Something is drawn in the upper and in the lower axes.
    middle = pixels.shape[0] * 2 // 3
    assert pixels[:middle].std() > 0.01 and pixels[middle:].std() > 0.01


def test_other_losses_give_another_picture(tmp_path):
    for name, losses in (("a", [3.0, 2.0]), ("b", [2.0, 3.0]), ("c", [3.0, 2.0])):
        plot_positions(positions(losses), "title", tmp_path / f"{name}.png")
    a, b, c = (matplotlib.image.imread(tmp_path / f"{name}.png") for name in "abc")
    assert (a == c).all() and (a != b).any()


def test_a_grid_keeps_every_pixel(tmp_path):
    canvas = np.random.default_rng(0).integers(0, 256, (64, 500, 3), dtype=np.uint8)
    labels = {"rows": ["a", "second"], "columns": ["1", "", "3"], "axes_names": ("x", "y")}
    for name, further in (("plain", {}), ("labelled", labels)):
        plot_grid(canvas, "a title " * 30, tmp_path / f"{name}.png", **further)
        pixels = np.asarray(Image.open(tmp_path / f"{name}.png"))[:, :, :3]
        top = next(row for row in range(len(pixels)) if (pixels[row, -510:-10] == canvas[0]).all())
        assert top > 40
        np.testing.assert_array_equal(pixels[top : top + 64, -510:-10], canvas)
    # The labels take room.
    sizes = [Image.open(tmp_path / f"{name}.png").size for name in ("plain", "labelled")]
    assert sizes[1][0] > sizes[0][0] and sizes[1][1] > sizes[0][1]


def test_groups_have_colours_of_their_own_and_the_rest_is_grey():
    styles = [tuple(group_style(number).values()) for number in range(-1, 50)]
    assert len(set(styles)) == len(styles)
    assert [color for color, _ in styles].count(group_style(-1)["color"]) == 1


def test_groups_in_order_span_the_sequence():
    found = [group_style(number, 4)["color"] for number in range(4)]
    assert [SEQUENCE.index(colour) for colour in found] == [0, 3, 5, 8]
    assert group_style(-1, 4)["color"] == group_style(-1)["color"]


def test_the_live_page_has_the_same_colours():
    style = (files("textvae.explore") / "page/style.css").read_text("utf-8")
    light = style[: style.index("@media")]
    found = dict(re.findall(r"--([cs][0-9]|rest): (#[0-9a-f]{6});", light))
    named = {f"c{n}": colour for n, colour in enumerate(COLOURS)}
    named |= {f"s{n}": colour for n, colour in enumerate(SEQUENCE)}
    assert found == named | {"rest": REST}


@pytest.mark.parametrize("count", [1, 600])
def test_points_are_drawn_by_group_and_by_value(count, tmp_path):
    draw = np.random.default_rng(0)
    points, groups = draw.normal(size=(count, 2)), draw.integers(-1, 30, count)
    axes = ("x", "y")
    plot_scatter(points, groups, {-1: "rest", 0: "zero"}, axes, "title", tmp_path / "groups.png")
    plot_scatter(points, groups, {}, axes, "title", tmp_path / "bare.png")
    names, numbers = {-1: "none", 0: "1", 1: "2 to 4"}, draw.integers(-1, 2, count)
    plot_scatter(points, numbers, names, axes, "title", tmp_path / "ordered.png", "length", True)
    pictures = [matplotlib.image.imread(path) for path in sorted(tmp_path.iterdir())]
    assert all(pixels.std() > 0.01 for pixels in pictures)
    # The legend is drawn, and the colour bar.
    assert all((pictures[0] != other).any() for other in pictures[1:])
