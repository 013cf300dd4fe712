"""Pictures, drawn with matplotlib."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textvae.checkpoints import atomic_file

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure


MEAN_OF_RUNS = "model, mean of the runs; bars: smallest to largest"
COLOURS = (
    *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00"),
    *("#56b4e9", "#8a7a00", "#882255", "#7f7fd5", "#222222"),
)
"""Of groups of points: those of Okabe and Ito 2008, then three more; the live page has the same.

Further groups have other markers.
"""
SEQUENCE = (
    *("#440154", "#472c7a", "#3b518b", "#2c718e", "#21908d"),
    *("#27ad81", "#5cc863", "#90d743", "#c2c31c"),
)
"""Of groups that have an order: viridis."""
REST = "#b9bdc1"
"""Of points in none of the groups."""
MARKERS = "o^sDv"
TITLE = 80
"""Characters of a line of the title above points."""
DOTS_PER_INCH, CHARACTER = 100, 7
"""Resolution of grids of images, and pixels of a character in their labels."""


def write_figure(figure: "Figure", out: Path, dpi: int) -> None:
    """Write a figure as a PNG file, see `atomic_file`."""
    with atomic_file(out) as partial:
        figure.savefig(partial, dpi=dpi, format="png")


def plot_positions(result: Mapping[str, Any], title: str, out: Path) -> None:
    """A PNG of the loss at each position, from the start and from the end.

    A baseline adds its loss and a row with the signed share of it that z saves. Several runs add
    bars from the smallest to the largest. The lowest row counts the texts.

    Args:
        result: as `PositionAnalysis.result`.
        title: of the picture.
        out: file to write.

    Source: Bosc & Vincent 2020, figure 2, arXiv:2004.07683.
    """
    from matplotlib.figure import Figure

    positions, has_baseline = result["position"], "improvement" in result
    # Without pyplot, there is no global backend and no window.
    figure = Figure(figsize=(9, 7 if has_baseline else 5), layout="constrained")
    heights = [3, 2, 1] if has_baseline else [3, 1]
    rows = figure.subplots(len(heights), 2, sharex=True, sharey="row", height_ratios=heights)
    figure.suptitle(f"{title}, {max(result['texts']):,} texts", fontsize=10)
    several = "loss_low" in result
    for side, ending in enumerate(("loss", "from_end")):
        upper = rows[0][side]
        draw(
            upper.errorbar,
            result,
            ending,
            positions,
            "o-",
            "C0",
            MEAN_OF_RUNS if several else "model",
        )
        if has_baseline:
            baseline = result["baseline_from_end" if side else "baseline"]
            shown = positions[: len(baseline)], baseline[: len(positions)]
            upper.plot(*shown, "s--", color="C1", markersize=3)
            upper.lines[-1].set_label("language model")
            name = "improvement_from_end" if side else "improvement"
            middle = rows[1][side]
            middle.bar(positions[: len(result[name])], [100 * v for v in result[name]], color="C0")
            if f"{name}_low" in result:
                low, high = ([100 * v for v in result[f"{name}_{e}"]] for e in ("low", "high"))
                middle.vlines(positions[: len(low)], low, high, color="black", linewidth=1)
            middle.axhline(0, color="black", linewidth=0.8)
            middle.grid(alpha=0.3)
        upper.grid(alpha=0.3)
        lowest = rows[-1][side]
        lowest.bar(positions, result["texts"], color="grey")
    rows[0][0].set_ylim(bottom=0)
    rows[0][0].set_ylabel("reconstruction loss\n(nats per token)")
    rows[0][0].legend(fontsize=8)
    if has_baseline:
        # A share of a loss near zero can be arbitrarily large.
        low, high = rows[1][0].get_ylim()
        rows[1][0].set_ylim(max(low, -100), min(high, 100))
        rows[1][0].set_ylabel("saved by z\n(% of the language model's)")
    rows[-1][0].set_ylabel("texts")
    rows[-1][0].set_xlabel("token position (1 is the first)")
    rows[-1][1].set_xlabel("from the end (1 is the end of sentence)")
    write_figure(figure, out, 150)


def draw(
    bars: Any,
    result: Mapping[str, Any],
    name: str,
    positions: Sequence[int],
    style: str,
    color: str,
    label: str,
) -> None:
    """Draw means over runs, with bars from the smallest to the largest of several."""
    mean, error = result[name], None
    if f"{name}_low" in result:
        low, high = result[f"{name}_low"], result[f"{name}_high"]
        error = [
            [max(0.0, m - v) for m, v in zip(mean, low, strict=True)],
            [max(0.0, v - m) for m, v in zip(mean, high, strict=True)],
        ]
    bars(positions, mean, error, fmt=style, color=color, markersize=3, capsize=2, label=label)


def plot_rate_distortion(
    points: Sequence[tuple[str, float, float]], entropy: float | None, out: Path
) -> None:
    """A PNG of the rate and distortion of models, with lines of equal ELBO.

    Args:
        points: label, KL and reconstruction loss of each, nats per sentence.
        entropy: of the data, a lower bound on rate plus distortion; None where it is unknown.
        out: file to write.

    Source: Alemi et al. 2018, figure 1, arXiv:1711.00464.
    """
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rates, losses = [rate for _, rate, _ in points], [loss for _, _, loss in points]
    right = max(1.0, 1.1 * max(rates))
    margin = max(1.0, 0.1 * (max(losses) - min(losses)))
    low, high = max(0.0, min(losses) - margin), max(losses) + margin
    figure = Figure(figsize=(8.5, 5), layout="constrained")
    axes = figure.subplots()
    x, y = np.meshgrid(np.linspace(-0.03 * right, right, 50), np.linspace(low, high, 50))
    levels = MaxNLocator(8).tick_values((x + y).min(), (x + y).max())
    lines = axes.contour(x, y, x + y, levels, colors="grey", linewidths=0.7, linestyles="dashed")
    axes.clabel(lines, fmt=lambda value: f"elbo {-value:g}", fontsize=7)
    if entropy is not None and entropy - x.min() > low:
        axes.fill_between(x[0], low, entropy - x[0], where=entropy - x[0] > low, color="0.92")
        axes.plot(
            x[0], entropy - x[0], "k", linewidth=1, label=f"entropy of the data, {entropy:.2f}"
        )
        axes.set_ylim(low, high)
    for number, (label, rate, loss) in enumerate(points):
        marker = "osD^vP*X"[number // 10 % 8]
        axes.plot(rate, loss, marker, color=f"C{number % 10}", label=label, clip_on=False)
    axes.set_title("Rate and distortion of held-out data; dashed: equal ELBO", fontsize=10)
    axes.set_xlim(x.min(), right)
    axes.set_xlabel("rate: KL (nats)")
    axes.set_ylabel("distortion: reconstruction loss (nats)")
    figure.legend(loc="outside right upper", fontsize=8)
    write_figure(figure, out, 150)


def group_style(number: int, ordered: int = 0) -> dict[str, Any]:
    """Colour and marker of a group of points; -1 is grey.

    Args:
        number: of the group.
        ordered: number of groups, where they have an order.
    """
    if number < 0:
        return {"color": REST, "marker": "o"}
    if ordered:
        place = round(number * (len(SEQUENCE) - 1) / max(1, ordered - 1))
        return {"color": SEQUENCE[place], "marker": "o"}
    turn, colour = divmod(number, len(COLOURS))
    return {"color": COLOURS[colour], "marker": MARKERS[turn % len(MARKERS)]}


def plot_scatter(
    points: "np.ndarray",
    groups: "np.ndarray",
    names: Mapping[int, str],
    axes_names: Sequence[str],
    title: str,
    out: Path,
    legend: str = "label",
    ordered: bool = False,
) -> None:
    """A PNG of points, (N, 2), coloured by group, (N,); group -1 is grey and lies below.

    Args:
        points: to draw.
        groups: number of the group of each.
        names: of the groups in the legend; without any there is no legend.
        axes_names: of the two axes.
        title: of the picture, one or more lines.
        out: file to write.
        legend: what the groups are.
        ordered: whether the groups have an order.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6.5), layout="constrained")
    axes = figure.subplots()
    count = max(names, default=0) + 1 if ordered else 0
    size = 5.0 if len(points) <= 500 else 3.0
    for number in sorted(set(groups.tolist())):
        chosen = points[groups == number]
        label = f"{names.get(number, number)} ({len(chosen):,})"
        style = group_style(number, count)
        axes.plot(
            chosen[:, 0], chosen[:, 1], ls="", ms=size, alpha=0.7, mew=0, label=label, **style
        )
    finish_axes(axes, axes_names, title)
    if names:
        handles, _ = axes.get_legend_handles_labels()
        # What is drawn first, below the others, is the rest: the legend ends with it.
        rest = [handles.pop(0)] if groups.min() < 0 else []
        settings: dict[str, Any] = {"fontsize": 8, "markerscale": 8 / size, "title": legend}
        figure.legend(handles=handles + rest, loc="outside right upper", **settings)
    write_figure(figure, out, 150)


def finish_axes(axes: Any, names: Sequence[str], title: str) -> None:
    """Give the axes of points their names, their title and one scale for both."""
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    lines = [line for part in title.splitlines() for line in textwrap.wrap(part, TITLE)]
    axes.set_title("\n".join(lines), fontsize=9)


def plot_ellipses(
    means: "np.ndarray",
    scales: "np.ndarray",
    groups: "np.ndarray",
    names: Mapping[int, str],
    axes_names: Sequence[str],
    title: str,
    out: Path,
) -> None:
    """A PNG of posteriors as ellipses of one standard deviation; points are dots.

    Args:
        means: posterior means, (N, 2).
        scales: posterior standard deviations, (N, 2).
        groups: number of the group of each, (N,); -1 is grey.
        names: of the groups in the legend; without any there is no legend.
        axes_names: of the two axes.
        title: of the picture, one or more lines.
        out: file to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Ellipse

    figure = Figure(figsize=(8, 6.5), layout="constrained")
    axes = figure.subplots()
    for mean, scale, number in zip(means, scales, groups.tolist(), strict=True):
        style = group_style(number)
        ellipse = Ellipse((mean[0], mean[1]), 2 * scale[0], 2 * scale[1], alpha=0.35)
        ellipse.set(facecolor=style["color"], edgecolor=style["color"])
        axes.add_patch(ellipse)
        axes.plot(mean[0], mean[1], ls="", ms=2.5, mew=0, **style)
    axes.autoscale_view()
    finish_axes(axes, axes_names, title)
    if names:
        present = sorted(set(groups.tolist()))
        handles = [
            axes.plot([], [], ls="", label=names.get(number, str(number)), **group_style(number))[0]
            for number in present
        ]
        figure.legend(
            handles=handles, loc="outside right upper", fontsize=8, markerscale=1.2, title="label"
        )
    write_figure(figure, out, 150)


def plot_grid(
    canvas: "np.ndarray",
    title: str,
    out: Path,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    axes_names: Sequence[str] = ("", ""),
) -> None:
    """A PNG of a canvas of images, (H, W, 3), uint8, each pixel as it is, with its labels.

    Args:
        canvas: images in rows and columns of one size.
        title: above the canvas, wrapped.
        out: file to write.
        rows: label of each row; blank ones are left out.
        columns: label of each column.
        axes_names: of the horizontal and the vertical axis.
    """
    from matplotlib.figure import Figure

    height, width = canvas.shape[:2]
    left = 10 + CHARACTER * max(map(len, rows), default=0) + (20 if axes_names[1] else 0)
    total = max(left + width + 10, 480)
    lines = textwrap.wrap(title, (total - 20) // CHARACTER)
    top, bottom = 14 + 16 * len(lines), 10 + (18 if columns else 0) + (20 if axes_names[0] else 0)
    tall = top + height + bottom
    figure = Figure(figsize=(total / DOTS_PER_INCH, tall / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
    box = (left / total, bottom / tall, width / total, height / tall)
    axes = figure.add_axes(box)
    axes.imshow(canvas, aspect="auto", interpolation="nearest")
    for axis, labels, size in ((axes.xaxis, columns, width), (axes.yaxis, rows, height)):
        places = [(number, label) for number, label in enumerate(labels) if label]
        ticks = [(number + 0.5) * size / len(labels) - 0.5 for number, _ in places]
        axis.set_ticks(ticks, [label for _, label in places], fontsize=8)
        axis.set_tick_params(length=0)
    axes.set_xlabel(axes_names[0], fontsize=8)
    axes.set_ylabel(axes_names[1], fontsize=8)
    axes.spines[:].set_visible(False)
    figure.text(10 / total, 1 - 8 / tall, "\n".join(lines), fontsize=9, va="top")
    write_figure(figure, out, DOTS_PER_INCH)
