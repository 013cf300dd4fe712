"""Base class of the interfaces: latents, metrics, loading."""

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor

from textvae.api.cards import card_files
from textvae.api.display import html_table, model_facts
from textvae.api.features import Kind, latent_features
from textvae.api.rows import class_names_of
from textvae.checkpoints import MANIFEST, CheckpointError, atomic_folder, damage, write_file
from textvae.data.batching import Examples
from textvae.evaluation.factors import FactorMetrics, factor_metrics
from textvae.evaluation.labels import labelled_latent
from textvae.evaluation.latent import (
    ACTIVE,
    distinct_rows,
    information,
    is_deterministic,
    posterior_moments,
)
from textvae.evaluation.likelihood import (
    LikelihoodEstimate,
    field_terms,
    is_certain,
    likelihood,
    standard_error,
)
from textvae.evaluation.parts import part_metrics
from textvae.evaluation.verdict import collapse_of
from textvae.families import Family
from textvae.graph.folders import local_folder
from textvae.graph.model import VAE
from textvae.graph.saving import load_model
from textvae.randomness import seeded
from textvae.registry import suggest

COMPARED = 20_000
"""Most rows whose latents are compared with each other, in a time that is the square of their
number; of more rows, so many are drawn."""
LATENT_SAMPLES = 20_000
"""Posterior samples of the estimate of mutual information: 1 to 10 of each text."""


class TrainedVAE:
    """Base of the interfaces to a trained model, of texts or of images.

    Args:
        model: the model, which is set to evaluation mode.
    """

    loaded_from: Path | None = None
    """Folder that the model was loaded from; its card stays true of the same weights."""

    def __init__(self, model: VAE):
        self.model = model.eval()

    def opened(self, folder: Path, device: str | torch.device) -> Self:
        """This interface with its model, which was loaded from a folder, on a device."""
        self.model.to(torch.device(device))  # type: ignore[arg-type]
        self.loaded_from = folder
        return self

    def __repr__(self) -> str:
        """The graph, the size and the device of the model on one line."""
        facts = "; ".join(f"{name}: {value}" for name, value in model_facts(self.model).items())
        return f"{type(self).__name__}({facts})"

    def _repr_html_(self) -> str:
        """The graph, the size and the device of the model as a table, for notebooks."""
        return html_table(type(self).__name__, list(model_facts(self.model).items()))

    def save_pretrained(self, folder: str | PathLike[str]) -> None:
        """Write the model, with its tokenizer and a card, for `from_pretrained`."""
        files = card_files(self)
        with atomic_folder(Path(folder)) as partial:
            self.write_files(partial)
        # Beside the manifest: a card is there to be edited.
        for name, content in files.items():
            write_file(Path(folder) / name, content)

    def write_files(self, folder: Path) -> None:
        """Write what `from_pretrained` reads into a folder."""
        self.model.save_pretrained(folder)

    def push_to_hub(
        self,
        repo_id: str,
        commit_message: str = "Upload a model of textvae",
        private: bool | None = None,
        token: str | bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Upload the model, its tokenizer and its card to the hub; the URL of the commit.

        Weights in the repository under other names are removed: they are those of another model.

        Args:
            repo_id: `name`, or `owner/name`; the repository is made if it is not there.
            commit_message: first line of the commit.
            private: whether a new repository is private; None for the owner's default.
            token: of the hub; None for the one that `hf auth login` has stored.
            revision: branch to commit to; None for the main one.
            create_pr: whether to open a pull request in place of a commit.

        Raises:
            OSError: the hub refuses, or cannot be reached.
            ValueError: no name of a repository.
        """
        # Imported here: only uploads need it.
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        repository = api.create_repo(repo_id, private=private, exist_ok=True)
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            commit = api.upload_folder(
                repo_id=repository.repo_id,
                folder_path=folder,
                commit_message=commit_message,
                revision=revision,
                create_pr=create_pr,
                delete_patterns=["*.safetensors", "*.safetensors.index.json"],
            )
        return commit.pr_url or commit.commit_url

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
        """Names of the classes of the label that the model predicts or reads; empty without."""
        config = self.model.config
        fields = [
            node.get("field") for name in ("encoders", "latents") for node in config.nodes(name)
        ]
        for field in config.observed or {}:
            names = class_names_of(config, field)
            if names is not None and field in fields:
                return names
        return []

    def label_number(self, label: str) -> int:
        """The number of a class, given as `positive` or, with its field or latent, `y=positive`.

        Raises:
            ValueError: the model has no labels, or the label is unknown.
        """
        if not self.labels:
            raise ValueError(f"the model has no labels (got label {label!r})")
        prefix, _, rest = label.partition("=")
        if label not in self.labels and prefix in (*(labelled_latent(self.model) or ()), "label"):
            label = rest
        if label not in self.labels:
            raise ValueError(f"unknown label {label!r} {suggest(label, self.labels)}")
        return self.labels.index(label)

    @property
    def predicts_labels(self) -> bool:
        """Whether the model was trained with labels, and predicts them."""
        return labelled_latent(self.model) is not None

    def require_latent(self) -> None:
        """Refuse a model without a latent.

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
        """Posterior point estimates and standard deviations, (N, D) each, latents side by side.

        Raises:
            ValueError: the model is a language model: it has no latent; or some latents are of
                parts of rows, and have more values than there are rows.
        """
        self.require_latent()
        if len(self.model.row_latents) < len(self.model.latents):
            raise ValueError("some latents are of parts of rows: see encode_parts")
        return self.whole_moments(rows)

    def whole_moments(self, rows: Examples) -> tuple[np.ndarray, np.ndarray]:
        """`moments` of the latents of whole rows, without those of parts."""
        order, batches = zip(*rows.in_length_order(), strict=True)
        moments = posterior_moments(self.model, batches)
        whole = [moments[name] for name in self.model.row_latents if name in moments]
        inverse = np.argsort(np.concatenate(order))
        means, scales = (torch.cat(each, -1).numpy()[inverse] for each in zip(*whole, strict=True))
        return means, scales

    def factors_of(
        self,
        rows: Examples,
        factors: np.ndarray | None = None,
        names: Sequence[str] = (),
        samples: int = 1,
        seed: int = 0,
    ) -> FactorMetrics:
        """The parts of the KL over all rows, and which dimension has which factor.

        Args:
            rows: N of them; time grows with N squared.
            factors: the value of each factor of each row, (N, F), where they are known.
            names: of the factors.
            samples: of each posterior.
            seed: of the samples.

        Raises:
            ValueError: the posterior is no diagonal Gaussian of each row alone, or its prior is
                not N(0, I).
        """
        self.require_latent()
        for node in self.model.config.nodes("latents"):
            family = cast(Family, self.model.latents[node["name"]])
            given = [name for name in node.get("given", ()) if name in self.model.latents]
            if not family.fittable or node.get("prior") is not None or given:
                raise ValueError(
                    "the parts of a KL are known of Gaussian latents under N(0, I), each given "
                    f"encoders alone (not of {node['name']!r})"
                )
        means, scales = (torch.from_numpy(part) for part in self.moments(rows))
        return factor_metrics(means, scales, factors, names, samples, seed)

    def prior_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each dimension of the prior, (D,) both.

        A prior that is given something, or whose moments are not known, counts as the default
        prior of the family.
        """
        means, deviations = torch.zeros(self.dim), torch.ones(self.dim)
        parts = means.split(self.sizes), deviations.split(self.sizes)
        for (name, family), mean, deviation in zip(self.model.latents.items(), *parts, strict=True):
            prior = self.model.prior_with_moments(name)
            if prior is None:
                like = means.to(self.model.device)
                prior = cast(Family, family).default_prior(torch.Size(), like)
            mean.copy_(prior.mean.detach())
            deviation.copy_(torch.as_tensor(self.model.prior_scale(name)))
        return means.numpy(), deviations.numpy()

    def projected(self, z: np.ndarray | Tensor) -> Tensor:
        """The latents nearest to points, (N, D): on the sphere, or proportions; else the points."""
        points = as_tensor(z)
        if not self.sizes:
            return points
        families = [cast(Family, family) for family in self.model.latents.values()]
        parts = zip(families, points.split(self.sizes, dim=-1), strict=True)
        return torch.cat([family.project(part) for family, part in parts], -1)

    def project(self, z: np.ndarray) -> Tensor:
        """`projected` of points in float32.

        Raises:
            ValueError: the model has no latent.
        """
        self.require_latent()
        return self.projected(np.asarray(z, np.float32))

    @torch.no_grad()
    def features_of(self, rows: Examples, kind: Kind = "mean", seed: int = 0) -> np.ndarray:
        """Features of rows for another model, (N, F), float32.

        Args:
            rows: N of them.
            kind: `mean` of the posterior, as `encode` returns it without refinement; `hidden`,
                the features of the encoders before the latents' heads; `sample` of the posterior;
                `layers`, every layer of the encoders and the latents as decoders read them.
            seed: of samples, which also depend on the rows of the same call.

        Raises:
            ValueError: an unknown kind, or the model is a language model: it has no latent.
        """
        order, parts = [], []
        with seeded(seed):
            for indices, batch in rows.in_length_order():
                fields = {name: value.to(self.model.device) for name, value in batch.items()}
                order.append(indices)
                parts.append(latent_features(self.model, fields, kind).cpu())
        return torch.cat(parts).numpy()[np.argsort(np.concatenate(order))]

    def between(self, ends: np.ndarray, steps: int, spherical: bool = False) -> Tensor:
        """Latents that interpolate between two, (steps, D), both ends included.

        Points between codes of a codebook are no latents: the nearest codes take their place.

        Args:
            ends: (2, D).
            steps: number of latents.
            spherical: along the great circle; latents on a sphere always are.

        Raises:
            ValueError: fewer than two steps.
        """
        if steps < 2:
            raise ValueError(f"an interpolation has at least 2 steps (got {steps})")
        first, last = torch.from_numpy(np.asarray(ends))
        share = torch.linspace(0, 1, steps)[:, None]
        families = [cast(Family, family) for family in self.model.latents.values()]
        if spherical and not any(family.certain for family in families):
            return great_circle(first, last, share)
        parts = zip(families, first.split(self.sizes), last.split(self.sizes), strict=True)
        paths = [
            (great_circle if family.spherical else line)(start, end, share)
            for family, start, end in parts
        ]
        pairs = zip(families, paths, strict=True)
        return torch.cat([family.project(p) if family.certain else p for family, p in pairs], -1)

    def metrics(
        self, rows: Examples, samples: int, seed: int, max_tokens: int = 4096
    ) -> tuple[dict[str, Any], LikelihoodEstimate]:
        """The arguments of `Metrics`, and the likelihood of each row in the order of batches.

        Args:
            rows: held out.
            samples: K of the importance-weighted bound.
            seed: of all samples.
            max_tokens: of a batch.
        """
        batches = (batch for _, batch in rows.in_length_order(max_tokens))
        kept, compared = None, min(len(rows), COMPARED)
        if compared < len(rows):
            kept = np.isin(np.arange(len(rows)), drawn_rows(len(rows), seed))
        terms = field_terms(self.model)
        estimate = likelihood(self.model, batches, samples, seed, kept=kept, terms=terms)
        each = min(10, max(1, LATENT_SAMPLES // compared))
        latent = information(self.model, estimate.features, each, seed)
        metrics = {
            "nll": estimate.nll.mean().item(),
            "elbo": estimate.elbo.mean().item(),
            "reconstruction_loss": estimate.reconstruction_loss.mean().item(),
            "kl": estimate.kl.mean().item(),
            "mutual_information": latent.mutual_information,
            "mutual_information_ceiling": math.log(compared),
            "marginal_kl": latent.marginal_kl,
            "latent_samples": latent.samples,
            "active_units": sum(variance > ACTIVE for variance in latent.variances),
            "dimensions": self.dim,
            "variances": latent.variances,
            "kls": latent.kls,
            "samples": estimate.samples,
            "deterministic": is_deterministic(self.model),
            "distinct": distinct_rows(rows),
            "compared": compared,
            "nll_standard_error": standard_error(estimate.nll),
            "mutual_information_standard_error": latent.standard_error,
            "certain": is_certain(self.model),
        }
        if (usage := latent.codes) is not None:
            metrics |= {"codes_used": usage.used, "codebook_size": usage.size}
            metrics |= {"code_perplexity": usage.perplexity}
        if each_nll := estimate.field_nlls:
            metrics["field_nlls"] = {name: nll.mean().item() for name, nll in each_nll.items()}
        if self.model.config.plates:
            metrics |= part_metrics(
                self.model, [batch for _, batch in rows.in_length_order()], seed
            )
        return metrics | {"collapsed": collapse_of(metrics) is not None}, estimate


def drawn_rows(count: int, seed: int) -> np.ndarray:
    """The indices of `COMPARED` random rows of more, or of all, in their order."""
    if count <= COMPARED:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, COMPARED, replace=False))


def load_vae(folder: str | PathLike[str]) -> tuple[VAE, Path]:
    """The model in a folder or under a hub name, and the folder of its files; safetensors only.

    Raises:
        CheckpointError: there is none, it is of another kind, or it is damaged.
    """
    local = local_folder(folder)
    if (local / MANIFEST).exists() and (problem := damage(local)):
        raise CheckpointError(f"{folder} holds no sound model: {problem} (see {MANIFEST})")
    return load_model(local), local


def as_tensor(z: np.ndarray | Tensor) -> Tensor:
    """Latents as a tensor without gradients, on their device."""
    return z.detach() if isinstance(z, Tensor) else torch.as_tensor(np.asarray(z))


def line(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Points on the straight line, (N, D), at shares of the way, (N, 1)."""
    return start + (end - start) * share


def great_circle(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Points on the arc from start to end, (N, D); the norm changes linearly with the share.

    Source: White 2016, section 2.1, arXiv:1609.04468, where the norm is constant.
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
