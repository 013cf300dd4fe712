"""Pictures are files that open and show something."""

import matplotlib
import matplotlib.image
import pytest

from textvae.plots import plot_positions


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
