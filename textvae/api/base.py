"""What every trained model can do: its latents, its metrics, how it is loaded."""

import json
import math
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from textvae.api.features import Kind, latent_features
from textvae.checkpoints import MANIFEST, CheckpointError, damage
from textvae.data.batching import Examples
from textvae.data.readers import nearest_name
from textvae.evaluation.labels import labelled_latent
from textvae.evaluation.latent import (
    ACTIVE,
    information,
    is_collapsed,
    is_deterministic,
    posterior_moments,
)
from textvae.evaluation.likelihood import Likelihood, likelihood
from textvae.families import Family
from textvae.graph.model import VAE, VAEConfig
from textvae.registry import suggest

LATENT_SAMPLES = 20_000
"""Posterior samples that mutual information is estimated from: 1 to 10 of each text."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Metrics over held-out rows, texts or images, each with its denominator.

    Args:
        nll: importance-weighted -log p(x), nats per row, with `samples` samples.
        elbo: evidence lower bound, nats per row.
        reconstruction_loss: -E_q log p(x | z), nats per row.
        kl: KL(q(z | x) || p(z)), nats per row.
        mutual_information: I(x; z) over all N rows under q, nats; see `Information`.
        mutual_information_ceiling: ln N, which no estimate from N rows exceeds.
        marginal_kl: KL(q(z) || p(z)), nats: KL less mutual information, from the same samples.
        latent_samples: samples of each posterior for these two.
        active_units: dimensions whose posterior mean varies over the rows (variance > 0.01).
        dimensions: of all latents.
        variances: of each dimension's posterior mean over the rows.
        kls: KL of each dimension, nats; None where a posterior does not factorise.
        collapsed: the posterior equals the prior for all that matters.
        samples: K of the importance-weighted bound.
        deterministic: whether a latent is a point: then nll, -elbo and reconstruction are one
            number and no bound, and KL, mutual information and marginal KL mean nothing.
    """

    nll: float
    elbo: float
    reconstruction_loss: float
    kl: float
    mutual_information: float
    mutual_information_ceiling: float
    marginal_kl: float
    latent_samples: int
    active_units: int
    dimensions: int
    variances: tuple[float, ...]
    kls: tuple[float, ...] | None
    collapsed: bool
    samples: int
    deterministic: bool = False


class PretrainedVAE:
    """A trained model: what texts and images share.

    Args:
        model: is put in evaluation mode.
    """

    def __init__(self, model: VAE):
        self.model = model.eval()

    @property
    def dim(self) -> int:
        """Size D of all latents together; 0 for a language model."""
        return sum(self.sizes)

    @property
    def sizes(self) -> list[int]:
        """Size of each latent, in the order of the graph."""
        return [int(family.dim) for family in self.model.latents.values()]  # type: ignore[arg-type]

    @property
    def labels(self) -> list[str]:
        """Names of the classes of the label that it was taught or is given; empty without one."""
        config = self.model.config
        read = [
            node.get("field") for name in ("encoders", "latents") for node in config.nodes(name)
        ]
        for field, facts in (config.observed or {}).items():
            if "classes" in facts and field in read:
                return list(facts.get("names") or map(str, range(facts["classes"])))
        return []

    def label_number(self, label: str) -> int:
        """The number of a class, given as `positive` or, with its field or latent, `y=positive`.

        Raises:
            ValueError: the model knows no label, or not this one.
        """
        if not self.labels:
            raise ValueError(f"the model knows no label (asked for {label!r})")
        prefix, _, rest = label.partition("=")
        if label not in self.labels and prefix in (*(labelled_latent(self.model) or ()), "label"):
            label = rest
        if label not in self.labels:
            raise ValueError(f"unknown label {label!r} {suggest(label, self.labels)}")
        return self.labels.index(label)

    @property
    def predicts_labels(self) -> bool:
        """Whether it was taught a label, and tells it of texts."""
        return labelled_latent(self.model) is not None

    def require_latent(self) -> None:
        """Refuse what a language model cannot do.

        Raises:
            ValueError: the model has no latent.
        """
        if not self.dim:
            raise ValueError("the model has no latent: it is a language model")

    def values_of(self, z: np.ndarray | Tensor) -> dict[str, Tensor]:
        """The values of each latent, (1, N, D), of latents side by side, (N, D).

        Raises:
            ValueError: z is not (N, D).
        """
        latents = as_tensor(z).to(self.model.device, torch.float32)
        if latents.ndim != 2 or latents.shape[1] != self.dim:
            raise ValueError(f"z must be (N, {self.dim}) (got {tuple(latents.shape)})")
        parts = latents.split(self.sizes, dim=-1) if self.sizes else ()
        return {name: part[None] for name, part in zip(self.model.latents, parts, strict=True)}

    def moments(self, rows: Examples) -> tuple[np.ndarray, np.ndarray]:
        """Posterior centres and standard deviations, (N, D) each, all latents side by side.

        Raises:
            ValueError: the model is a language model: it has no latent.
        """
        self.require_latent()
        order, batches = zip(*rows.in_length_order(), strict=True)
        found = posterior_moments(self.model, batches)
        back = np.argsort(np.concatenate(order))
        means, scales = (
            torch.cat([parts[number] for parts in found.values()], -1).numpy()[back]
            for number in (0, 1)
        )
        return means, scales

    @torch.no_grad()
    def features_of(self, rows: Examples, kind: Kind = "mean", seed: int = 0) -> np.ndarray:
        """Features of rows for another model, (N, F), float32.

        Args:
            rows: N of them.
            kind: `mean` of the posterior, as `encode` has it before any refinement; `hidden`, what
                the encoders say before the latents' heads; `sample` of the posterior; `layers`,
                every layer of the encoders and the latents as decoders see them.
            seed: of samples, which also depend on what rows are given together.

        Raises:
            ValueError: an unknown kind, or the model is a language model: it has no latent.
        """
        order, parts = [], []
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for chosen, batch in rows.in_length_order():
                fields = {name: value.to(self.model.device) for name, value in batch.items()}
                order.append(chosen)
                parts.append(latent_features(self.model, fields, kind).cpu())
        return torch.cat(parts).numpy()[np.argsort(np.concatenate(order))]

    def between(self, ends: np.ndarray, steps: int, spherical: bool = False) -> Tensor:
        """Latents on the way between two, (steps, D), both ends included.

        Args:
            ends: (2, D).
            steps: number of latents.
            spherical: on the great circle in place of the line; latents on a sphere always are.

        Raises:
            ValueError: fewer than two steps.
        """
        if steps < 2:
            raise ValueError(f"an interpolation has at least 2 steps (got {steps})")
        first, last = torch.from_numpy(np.asarray(ends))
        share = torch.linspace(0, 1, steps)[:, None]
        if spherical:
            return great_circle(first, last, share)
        families = [cast(Family, family) for family in self.model.latents.values()]
        parts = zip(families, first.split(self.sizes), last.split(self.sizes), strict=True)
        ways = [
            (great_circle if family.spherical else line)(start, end, share)
            for family, start, end in parts
        ]
        return torch.cat(ways, -1)

    def metrics(
        self, rows: Examples, samples: int, seed: int, max_tokens: int = 4096
    ) -> tuple[dict[str, Any], Likelihood]:
        """The arguments of `Metrics`, and the likelihood of each row in the order of batches.

        Args:
            rows: held out.
            samples: K of the importance-weighted bound.
            seed: of all samples.
            max_tokens: of a batch.
        """
        batches = [batch for _, batch in rows.in_length_order(max_tokens)]
        estimate = likelihood(self.model, batches, samples=samples, seed=seed)
        each = min(10, max(1, LATENT_SAMPLES // len(rows)))
        latent = information(self.model, estimate.features, each, seed)
        kl = estimate.kl.mean().item()
        active = sum(variance > ACTIVE for variance in latent.variances)
        deterministic = is_deterministic(self.model)
        rate = math.inf if deterministic else kl
        return {
            "nll": estimate.nll.mean().item(),
            "elbo": estimate.elbo.mean().item(),
            "reconstruction_loss": estimate.reconstruction_loss.mean().item(),
            "kl": kl,
            "mutual_information": latent.mutual_information,
            "mutual_information_ceiling": math.log(len(rows)),
            "marginal_kl": latent.marginal_kl,
            "latent_samples": latent.samples,
            "active_units": active,
            "dimensions": self.dim,
            "variances": latent.variances,
            "kls": latent.kls,
            "collapsed": bool(self.dim) and is_collapsed(rate, active),
            "samples": estimate.samples,
            "deterministic": deterministic,
        }, estimate


def load_vae(folder: str | PathLike[str]) -> tuple[VAE, Path]:
    """The model in a folder or under a hub name, and where its files lie; safetensors only.

    Raises:
        CheckpointError: there is none, it is of another kind, or it is damaged.
    """
    place = local_folder(folder)
    if (place / MANIFEST).exists() and (problem := damage(place)):
        raise CheckpointError(f"{folder} holds no sound model: {problem} (see {MANIFEST})")
    return load_model(place), place


def as_tensor(z: np.ndarray | Tensor) -> Tensor:
    """Latents as a tensor, where they are, without gradients."""
    return z.detach() if isinstance(z, Tensor) else torch.as_tensor(np.asarray(z))


def line(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Points on the straight line, (N, D), at shares of the way, (N, 1)."""
    return start + (end - start) * share


def great_circle(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Points on the arc from start to end, (N, D), whose length changes evenly with the share.

    Source: White 2016, section 2.1, arXiv:1609.04468; the norm is interpolated too.
    """
    lengths = start.norm(), end.norm()
    if min(lengths) == 0:
        return line(start, end, share)
    unit = start / lengths[0], end / lengths[1]
    angle = torch.dot(*unit).clamp(-1, 1).arccos()
    if angle.sin() < 1e-6:
        return line(start, end, share)
    direction = (
        torch.sin((1 - share) * angle) * unit[0] + torch.sin(share * angle) * unit[1]
    ) / angle.sin()
    return direction * line(lengths[0], lengths[1], share)


def local_folder(name: str | PathLike[str]) -> Path:
    """The folder itself, or where the files of a model on the hub lie once they are here.

    Raises:
        CheckpointError: neither is there.
    """
    folder = Path(name)
    if folder.exists():
        return folder
    try:
        return Path(snapshot_download(str(name), allow_patterns=["*.json", "*.safetensors"]))
    except (OSError, ValueError) as error:
        text = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{name}: no such folder{nearest_name(folder)}, and no model that the hub gives now "
            f"({text})"
        ) from None


def load_model(folder: Path) -> VAE:
    """The model in a folder, every weight accounted for; its config describes a graph, no more.

    transformers would follow other keys of a config, as far as to code on the hub.

    Raises:
        CheckpointError: there is none, it is of another kind, or it is damaged.
    """
    if not (folder / "config.json").is_file():
        begun = (folder / "recipe.yaml").is_file()
        hint = " (training has not finished: --resume)" if begun else ""
        raise CheckpointError(f"{folder} holds no model: config.json is missing{hint}")
    try:
        config = read_config(folder)
        stored = load_file(folder / "model.safetensors")
        with torch.random.fork_rng(devices=[]):
            model = VAE(config)
    except CheckpointError:
        raise
    except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
        text = str(error).strip().split("\n")[0]
        raise CheckpointError(f"{folder} holds no sound model: {text}") from None
    # A checkpoint holds the weights of its objective too.
    weights = {name: w for name, w in stored.items() if not name.startswith("objective.")}
    own = model.state_dict()
    wrong = {
        "missing": own.keys() - weights.keys(),
        "unknown": weights.keys() - own.keys(),
        "of another shape": [
            name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape
        ],
    }
    found = [f"{', '.join(sorted(names))} ({what})" for what, names in wrong.items() if names]
    if found:
        raise CheckpointError(f"{folder} is damaged: its weights do not match: {'; '.join(found)}")
    model.load_state_dict(weights)
    return model


def read_config(folder: Path) -> VAEConfig:
    """The graph that a folder's config.json describes.

    Raises:
        CheckpointError: it is of another kind.
        ValueError: it is no JSON, or describes no graph.
    """
    try:
        document = dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError):
        raise ValueError("config.json is not a valid JSON file") from None
    kind = document.get("model_type")
    if kind != VAEConfig.model_type:
        raise CheckpointError(f"{folder} holds a {kind!r} model, not one of ours")
    return VAEConfig(**{key: document[key] for key in VAEConfig.__annotations__ if key in document})
