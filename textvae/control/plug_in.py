"""Plug-in VAEs: a small VAE over the codes of a frozen model, for one condition."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch import Tensor, nn

from textvae.checkpoints import (
    MANIFEST,
    CheckpointError,
    atomic_folder,
    damage,
    read_object,
    write_file,
)
from textvae.control.codes import Holding
from textvae.randomness import draws, seeded

WEIGHTS, FACTS = "plug_in.safetensors", "plug_in.json"
HIDDEN = (64, 32)
"""Widths between a code and the bottleneck."""
FARTHEST = 10.0
"""Deviations from the mean at which standardised codes are cut: of a class as latent, texts without
the attribute may be millions away."""
LAST = 100
"""Steps at the end whose losses are stored."""
DRAWN = 500
"""Steps whose batches and noise are drawn at once."""


@dataclass(frozen=True)
class PlugInSettings:
    """How a plug-in is trained.

    Args:
        gamma: weight of the texts without the attribute.
        margin: distortion of theirs above which it is not raised further: it has no upper bound.
        capacity: nats that the KL reaches, C.
        steps: optimizer steps, over which C rises from 0.
        bottleneck: dimensions of the plug-in's own latent.
        batch: codes of a step, drawn with replacement.
        learning_rate: of Adam, whose first beta is 0.5.

    Raises:
        ValueError: a value that is out of range.
    """

    gamma: float = 0.1
    margin: float = 2.0
    capacity: float = 5.0
    steps: int = 2000
    bottleneck: int = 20
    batch: int = 128
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma: must be from 0 to 1 (got {self.gamma})")
        if not 0 <= self.capacity < 1000:
            raise ValueError(f"capacity: must be from 0 to 1000 nats (got {self.capacity})")
        for name in ("margin", "steps", "bottleneck", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above 0 (got {getattr(self, name)})")


class PlugIn(nn.Module):
    """A VAE over codes: D -> 64 -> 32 -> 20 -> 32 -> 64 -> D with LeakyReLU.

    Codes are standardised with the moments of the codes that it is trained on, so that one weight
    of the distortion serves models of every scale.

    Args:
        dim: D of the codes.
        bottleneck: of the latent between encoder and decoder.
        base: SHA-256 of the weights of the model whose codes they are.
        facts: what is stored with it: settings, data, metrics.

    Source: Duan et al. 2020, section 3 and their code, ACL, arXiv:1911.03882.
    """

    def __init__(
        self,
        dim: int,
        bottleneck: int = 20,
        base: str = "",
        facts: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.dim, self.bottleneck, self.base, self.facts = dim, bottleneck, base, dict(facts or {})
        self.loc = nn.Buffer(torch.zeros(dim))
        self.scale = nn.Buffer(torch.ones(dim))
        self.encoder = perceptron(dim, *HIDDEN, 2 * bottleneck)
        self.decoder = perceptron(bottleneck, *reversed(HIDDEN), dim)

    def __repr__(self) -> str:
        """Its sizes and what is known of it, on one line."""
        facts = {"dim": self.dim, "bottleneck": self.bottleneck, **self.facts}
        return f"PlugIn({', '.join(f'{name}={value}' for name, value in facts.items())})"

    @property
    def holding(self) -> Holding | None:
        """Whether the codes of the model hold the attribute; None without texts that lack it."""
        stored = self.facts.get("holding")
        return stored and Holding(stored["probe"], stored["followed"], stored["texts"])

    @torch.no_grad()
    def sample(self, count: int, seed: int | None = None) -> np.ndarray:
        """Codes, (count, D), float32: v ~ N(0, I), decoded.

        Raises:
            ValueError: count below 1.
        """
        if count < 1:
            raise ValueError(f"at least one code must be asked for (got {count})")
        with seeded(seed), draws():
            v = torch.randn(count, self.bottleneck)
        return (self.loc + self.scale * self.decoder(v)).numpy()

    def save_pretrained(self, folder: str | PathLike[str]) -> None:
        """Write weights and facts into a folder, see `load_plug_in`.

        Raises:
            ValueError: the folder holds something else.
            OSError: it cannot be written.
        """
        place = Path(folder)
        check_folder(place)
        facts = {"dim": self.dim, "bottleneck": self.bottleneck, "base": self.base}
        with atomic_folder(place) as partial:
            write_file(partial / WEIGHTS, serialized(self.state_dict()))
            write_file(partial / FACTS, json.dumps({**facts, "facts": self.facts}, indent=1))


def perceptron(*sizes: int) -> nn.Sequential:
    """Linear layers with LeakyReLU between them."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.LeakyReLU()]
    return nn.Sequential(*layers[:-1])


def check_folder(folder: Path) -> None:
    """Refuse to write a plug-in among other files.

    Raises:
        ValueError: the folder is a file, or holds files and no plug-in.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: name a folder for the plug-in")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FACTS).is_file():
        raise ValueError(f"{folder} holds other files: name a new folder for the plug-in")


def load_plug_in(folder: str | PathLike[str]) -> PlugIn:
    """The plug-in in a folder.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    place = Path(folder)
    if not (place / FACTS).is_file():
        raise CheckpointError(f"{folder} holds no plug-in: {FACTS} is missing")
    if problem := damage(place):
        raise CheckpointError(f"{folder} holds no sound plug-in: {problem} (see {MANIFEST})")
    try:
        facts = read_object(place / FACTS)
        plug_in = PlugIn(
            int(facts["dim"]), int(facts["bottleneck"]), str(facts["base"]), facts["facts"]
        )
        plug_in.load_state_dict(load_file(place / WEIGHTS))
    except CheckpointError:
        raise
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        text = str(error).strip().split("\n")[0]
        raise CheckpointError(f"{folder} holds no sound plug-in: {text}") from None
    return plug_in.eval()


def train_plug_in(
    codes: np.ndarray,
    others: np.ndarray | None = None,
    settings: PlugInSettings | None = None,
    seed: int = 0,
) -> tuple[PlugIn, dict[str, float]]:
    """A plug-in for codes with an attribute, and the means of its last hundred steps.

    The loss is D + |KL - C| + gamma (|KL' - C| - min(D', margin)). D and KL are the distortion and
    the KL of codes with the attribute, D' and KL' of those without it; C rises with the steps.

    Args:
        codes: of texts with the attribute, (N, D).
        others: of texts without it, (M, D).
        settings: of the training.
        seed: of initial weights, batches and noise.

    Source: Duan et al. 2020, eq. 3 to 5, arXiv:1911.03882. We standardise the codes, bound D' by a
    margin, and train for 2,000 steps in place of 10,000: see docs/results/control.md.
    """
    settings = settings or PlugInSettings()
    groups = [torch.as_tensor(part).float() for part in (codes, others) if part is not None]
    if settings.gamma == 0:
        groups = groups[:1]
    with seeded(seed):
        with draws():
            plug_in = PlugIn(groups[0].shape[1], settings.bottleneck)
        plug_in.loc.copy_(groups[0].mean(0))
        # A dimension that never varies stays where it is; other texts may be far away in it.
        plug_in.scale.copy_(groups[0].std(0).clamp(min=1e-6))
        groups = [
            ((group - plug_in.loc) / plug_in.scale).clamp(-FARTHEST, FARTHEST) for group in groups
        ]
        optimizer = torch.optim.Adam(
            plug_in.parameters(), settings.learning_rate, (0.5, 0.999), fused=True
        )
        weights = torch.tensor([1.0, settings.gamma])[: len(groups)]
        margins = torch.tensor([torch.inf, settings.margin])[: len(groups)]
        signs, last = torch.tensor([1.0, -1.0])[: len(groups)], []
        for step, (z, noise) in enumerate(plug_in_batches(groups, settings)):
            capacity = settings.capacity * (step + 1) / settings.steps
            distortion, kl = distortion_and_kl(plug_in, z, noise)
            distance = torch.minimum(distortion, margins)
            loss = (weights * (kl - capacity).abs() + signs * weights * distance).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            if settings.steps - step <= LAST:
                last.append(torch.stack([distortion, kl]).detach())
    return plug_in.eval(), last_losses(torch.stack(last).mean(0))


def last_losses(values: Tensor) -> dict[str, float]:
    """Names of distortions, mean squared error of a dimension, and KLs, nats: (2, G)."""
    distortion, kl = values.tolist()
    names = ("", "others_")[: len(kl)]
    pairs = zip(names, distortion, kl, strict=True)
    return {f"{n}{key}": v for n, d, k in pairs for key, v in (("distortion", d), ("kl", k))}


def plug_in_batches(
    groups: Sequence[Tensor], settings: PlugInSettings
) -> Iterator[tuple[Tensor, Tensor]]:
    """Codes, (G, B, D), and noise, (G, B, V), of each step; G groups of codes, (N, D) each."""
    shape = len(groups), settings.batch
    for start in range(0, settings.steps, DRAWN):
        count = min(DRAWN, settings.steps - start)
        with draws():
            rows = [torch.randint(len(group), (count, settings.batch)) for group in groups]
            noise = torch.randn(count, *shape, settings.bottleneck)
        for step in range(count):
            parts = [group[row[step]] for group, row in zip(groups, rows, strict=True)]
            yield torch.stack(parts), noise[step]


def distortion_and_kl(plug_in: PlugIn, z: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared error of a dimension, and KL(q(v | z) || N(0, I)), nats, of each group, (G,).

    Args:
        plug_in: in training.
        z: standardised codes, (G, B, D).
        noise: standard Gaussian, (G, B, V).
    """
    loc, log_variance = plug_in.encoder(z).chunk(2, -1)
    kl = 0.5 * (loc.square() + log_variance.exp() - 1 - log_variance).sum(-1)
    v = loc + (log_variance / 2).exp() * noise
    return (plug_in.decoder(v) - z).square().mean((1, 2)), kl.mean(1)
