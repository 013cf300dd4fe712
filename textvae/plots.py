"""Pictures, drawn with matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


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
    figure.suptitle(title, fontsize=10)
    for side, ending in enumerate(("loss", "from_end")):
        upper = rows[0][side]
        draw(upper.errorbar, result, ending, positions, "o-", "C0", "model")
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
    figure.savefig(out, dpi=150)


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
    axes.set_xlim(x.min(), right)
    axes.set_xlabel("rate: KL (nats)")
    axes.set_ylabel("distortion: reconstruction loss (nats)")
    figure.legend(loc="outside right upper", fontsize=8)
    figure.savefig(out, dpi=150)


def plot_scatter(
    means: "np.ndarray", labels: "np.ndarray", names: Sequence[str], out: Path
) -> None:
    """A PNG of points, (N, 2), coloured by label, (N,); -1 is grey.

    Args:
        means: posterior means of the images.
        labels: of the images.
        names: of the two axes.
        out: file to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 6), layout="constrained")
    axes = figure.subplots()
    for label in sorted(set(labels.tolist())):
        chosen = means[labels == label]
        colour = "0.6" if label < 0 else f"C{label % 10}"
        axes.plot(chosen[:, 0], chosen[:, 1], ".", markersize=2, color=colour, label=str(label))
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    if labels.max() >= 0:
        figure.legend(loc="outside right upper", fontsize=8, markerscale=5, title="label")
    figure.savefig(out, dpi=150)


def plot_ellipses(
    means: "np.ndarray",
    scales: "np.ndarray",
    labels: "np.ndarray",
    names: Sequence[str],
    out: Path,
    most: int = 500,
) -> None:
    """A PNG of posteriors as ellipses of one standard deviation; points are dots.

    Args:
        means: posterior means, (N, 2).
        scales: posterior standard deviations, (N, 2).
        labels: of the images, (N,); -1 is grey.
        names: of the two axes.
        out: file to write.
        most: number of ellipses at most.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Ellipse

    figure = Figure(figsize=(6.5, 6), layout="constrained")
    axes = figure.subplots()
    for mean, scale, label in zip(means[:most], scales[:most], labels[:most], strict=True):
        colour = "0.6" if label < 0 else f"C{label % 10}"
        ellipse = Ellipse((mean[0], mean[1]), 2 * scale[0], 2 * scale[1], alpha=0.35)
        ellipse.set(facecolor=colour, edgecolor=colour)
        axes.add_patch(ellipse)
        axes.plot(mean[0], mean[1], ".", markersize=1.5, color=colour)
    axes.set_aspect("equal", adjustable="datalim")
    axes.autoscale_view()
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    figure.savefig(out, dpi=150)
