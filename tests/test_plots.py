"""Pictures are files that open and show something."""

import matplotlib
import matplotlib.image
import pytest

from textvae.plots import plot_positions


@pytest.mark.parametrize("length", [1, 3, 60])
def test_positions_are_drawn(length, tmp_path):
    backend = matplotlib.get_backend()
    out = tmp_path / "positions.png"
    losses = [5 / (n + 1) for n in range(length)]
    plot_positions(range(1, length + 1), losses, [length - n for n in range(length)], "title", out)
    assert matplotlib.get_backend() == backend
    pixels = matplotlib.image.imread(out)
    assert pixels.shape[0] > 300 and pixels.shape[1] > 500
    # Something is drawn in the upper and in the lower axes.
    middle = pixels.shape[0] * 2 // 3
    assert pixels[:middle].std() > 0.01 and pixels[middle:].std() > 0.01


def test_other_losses_give_another_picture(tmp_path):
    for name, losses in (("a", [3.0, 2.0]), ("b", [2.0, 3.0]), ("c", [3.0, 2.0])):
        plot_positions([1, 2], losses, [4, 4], "title", tmp_path / f"{name}.png")
    a, b, c = (matplotlib.image.imread(tmp_path / f"{name}.png") for name in "abc")
    assert (a == c).all() and (a != b).any()
