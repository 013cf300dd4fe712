"""Every picture, matplotlib only."""

from collections.abc import Sequence
from pathlib import Path


def plot_positions(
    positions: Sequence[int], losses: Sequence[float], counts: Sequence[int], title: str, out: Path
) -> None:
    """A PNG of the loss, nats per token, at each position, above the number of texts there."""
    from matplotlib.figure import Figure

    # A figure of its own: no global backend, no window.
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot(positions, losses, marker="o", markersize=3)
    upper.set_ylabel("reconstruction loss\n(nats per token)")
    upper.set_title(title, fontsize=10)
    upper.set_ylim(bottom=0)
    upper.grid(alpha=0.3)
    lower.bar(positions, counts, color="grey")
    lower.set_ylabel("texts")
    lower.set_xlabel("token position (1 is the first word; the end of sentence counts)")
    figure.savefig(out, dpi=150)
