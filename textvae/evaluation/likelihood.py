"""Importance-weighted likelihood, streamed: of rows, and of each of their fields in turn."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from textvae.families import Family
from textvae.graph.model import VAE
from textvae.graph.plates import batch_size, writing_order
from textvae.objectives.outputs import VAEOutput
from textvae.randomness import seeded

CPU_ROWS = 512
"""Most sequences that a CPU decodes at once."""

GPU_TOKENS, TOKEN_BYTES = 2**17, 2**17
"""Most tokens that a GPU decodes at once, and the memory of the GPU that each of them needs."""


@dataclass(frozen=True)
class LikelihoodEstimate:
    """Four estimates for each text, (N,), nats; their means are the metrics to report.

    Args:
        nll: -log 1/K sum_k w_k, an upper bound of -log p(x) that tightens as K grows; exact for a
            model without latents, and with certain posteriors the bound of one sample.
        elbo: the evidence lower bound, a lower bound of log p(x).
        reconstruction_loss: -E_q log p(x | z).
        kl: KL(q(z | x) || p(z)).
        samples: K.
        features: the pooled vector of each text that is kept, (N, H), by encoder, for further
            metrics; none of encoders of parts.
        field_nlls: of each field, given those written before it, see `FieldTerms`.

    Source: Burda et al. 2016, eq. 8, arXiv:1509.00519.
    """

    nll: Tensor
    elbo: Tensor
    reconstruction_loss: Tensor
    kl: Tensor
    samples: int
    features: dict[str, Tensor] = field(default_factory=dict)
    field_nlls: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class FieldTerms:
    """The terms of the importance weight that one field adds to those of the fields before it.

    -log 1/K sum_k of them bounds -log p(x) of the first field from above, and of a later one
    -log p(x | earlier fields), where the latents of the earlier fields come from their posteriors.

    Args:
        field: its name.
        decoder: that writes it.
        latents: that it needs, directly or through their priors, and no earlier field does.
    """

    field: str
    decoder: str
    latents: tuple[str, ...]

    def log_weight(self, out: VAEOutput) -> Tensor:
        """The sum of the terms, (K, B), nats."""
        ratios = [out.latents[name].log_ratio() for name in self.latents]
        return out.log_likelihood[self.decoder] - sum(ratios)


def field_terms(model: VAE) -> list[FieldTerms]:
    """The terms of each field, in the order in which they are written.

    There are none where the weight is no product of such terms: of a single field, of rows with
    parts, where a field needs a latent whose posterior reads a later one, and where latents are
    summed over or refined.
    """
    config, known = model.config, set(model.config.conditions())
    fields = {model.field_of(name) for name in model.main_decoders}
    several = 2 <= len(fields) == len(model.main_decoders) and known.isdisjoint(fields)
    if not several or config.plates or model.copies > 1 or model.refinement:
        return []
    nodes = {node["name"]: node for node in config.nodes("latents")}
    written = {node["name"]: node for node in config.nodes("decoders")}
    found, taken = list[FieldTerms](), set[str]()
    for step in writing_order(config, None):
        if step.group == "latents":
            continue
        field, wanted = written[step.name]["field"], list(written[step.name]["given"])
        known.add(field)
        needed = list[str]()
        while wanted:
            if (name := wanted.pop()) in nodes and name not in needed:
                needed.append(name)
                wanted += (nodes[name].get("prior") or {}).get("given") or []
        needed = [name for name in needed if name not in taken]
        if not all(known.issuperset(config.fields_read(name)) for name in needed):
            return []
        taken.update(needed)
        found.append(FieldTerms(field, step.name, tuple(needed)))
    return found


def is_certain(model: VAE) -> bool:
    """Whether all latents have certain posteriors: more samples than one are the same."""
    families = [cast(Family, family) for family in model.latents.values()]
    return bool(families) and all(getattr(family, "certain", False) for family in families)


@torch.no_grad()
def batch_likelihood(
    model: VAE,
    fields: dict[str, Tensor],
    samples: int,
    max_rows: int,
    terms: Sequence[FieldTerms] = (),
) -> LikelihoodEstimate:
    """The likelihood of one batch, with its samples drawn in chunks of at most `max_rows` rows.

    The encoders read the batch once. Memory depends on `max_rows` (samples times texts), not on
    the number of samples. `field_nlls` are of the given terms.
    """
    samples = 1 if is_certain(model) or not len(model.latents) else samples
    texts = max(map(len, fields.values()))
    chunk = max(1, min(samples, max_rows // (texts * model.copies)))
    features = model.read(fields)
    total = reconstruction_loss = kl = None
    parts: dict[str, Tensor] = {}
    for start in range(0, samples, chunk):
        size = min(chunk, samples - start)
        out = model.infer_from(features, fields, size)
        log_weight = out.log_weight.double()
        # Enumerated values are on the axis of samples.
        weight = torch.logsumexp(log_weight, 0) - math.log(len(log_weight) / size)
        loss = -size * out.expected(out.total_log_likelihood.double())
        rate = size * out.expected(out.kl.double())
        total = weight if total is None else torch.logaddexp(total, weight)
        reconstruction_loss = loss if reconstruction_loss is None else reconstruction_loss + loss
        kl = rate if kl is None else kl + rate
        for each in terms:
            part = torch.logsumexp(each.log_weight(out).double(), 0)
            known = parts.get(each.field)
            parts[each.field] = part if known is None else torch.logaddexp(known, part)
    assert total is not None and reconstruction_loss is not None and kl is not None
    reconstruction_loss, kl = reconstruction_loss / samples, kl / samples
    return LikelihoodEstimate(
        nll=math.log(samples) - total,
        elbo=-reconstruction_loss - kl,
        reconstruction_loss=reconstruction_loss,
        kl=kl,
        samples=samples,
        features={name: each.pooled for name, each in features.items() if each.plate is None},
        field_nlls={name: math.log(samples) - part for name, part in parts.items()},
    )


def likelihood(
    model: VAE,
    batches: Iterable[Mapping[str, Tensor]],
    samples: int = 500,
    seed: int = 0,
    max_rows: int | None = None,
    kept: np.ndarray | None = None,
    terms: Sequence[FieldTerms] = (),
) -> LikelihoodEstimate:
    """The likelihood of every text of the batches, in their order.

    The model is left in evaluation mode; the caller's random state does not change.

    Args:
        model: any VAE, or a language model (then one exact sample is taken).
        batches: fields on any device.
        samples: K of the importance-weighted bound.
        seed: of the posterior samples.
        max_rows: most sequences decoded at once, which bounds memory; None for `CPU_ROWS`, and on
            a GPU as many as `rows_of_gpu` has for each batch.
        kept: whether the features of each text are kept, (N,), bool; None to keep all.
        terms: of the fields whose nll is wanted, see `field_terms`.

    Raises:
        ValueError: samples below 1, or no batch.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1 (got {samples})")
    model.eval()
    parts = []
    start = 0
    with seeded(seed):
        for fields in batches:
            on_device = {name: value.to(model.device) for name, value in fields.items()}
            rows = rows_at_once(model.device, on_device) if max_rows is None else max_rows
            part = batch_likelihood(model, on_device, samples, rows, terms)
            if kept is not None:
                chosen = torch.from_numpy(kept[start : start + len(part.nll)]).to(model.device)
                features = {name: pooled[chosen] for name, pooled in part.features.items()}
                part = replace(part, features=features)
                start += len(part.nll)
            parts.append(part)
    if not parts:
        raise ValueError("there is no text to evaluate")
    names = ("nll", "elbo", "reconstruction_loss", "kl")
    joined = {name: torch.cat([getattr(part, name).cpu() for part in parts]) for name in names}
    features = {
        name: torch.cat([part.features[name] for part in parts]) for name in parts[0].features
    }
    field_nlls = {
        name: torch.cat([part.field_nlls[name].cpu() for part in parts])
        for name in parts[0].field_nlls
    }
    return LikelihoodEstimate(
        **joined, samples=parts[0].samples, features=features, field_nlls=field_nlls
    )


def rows_at_once(device: torch.device, fields: Mapping[str, Tensor]) -> int:
    """The most sequences, samples times texts, that a device decodes at once."""
    if device.type != "cuda":
        return CPU_ROWS
    lengths = [value.shape[1] for value in fields.values() if value.dim() == 2]
    memory = torch.cuda.get_device_properties(device).total_memory
    return rows_of_gpu(memory, max(lengths, default=1))


def rows_of_gpu(memory: int, length: int) -> int:
    """The most sequences of a length that a GPU decodes at once; as many from 16 GiB on.

    Args:
        memory: of the GPU, bytes.
        length: tokens of a sequence.

    >>> rows_of_gpu(80 * 2**30, 32), rows_of_gpu(80 * 2**30, 8), rows_of_gpu(2**30, 64)
    (4096, 8192, 512)
    """
    tokens = min(GPU_TOKENS, memory // TOKEN_BYTES)
    return max(CPU_ROWS, min(tokens // length, 16 * CPU_ROWS))


@torch.no_grad()
def prior_mean_losses(model: VAE, batches: Iterable[Mapping[str, Tensor]]) -> Tensor:
    """-log p(x | z) of each row, (N,), nats, with every latent at the mean of its prior.

    It is no bound of -log p(x): z is one point, however little of the prior lies near it. Without
    a latent it is -log p(x). The model is left in evaluation mode.

    Args:
        model: whose prior may be given some of the fields.
        batches: fields on any device.
    """
    model.eval()
    losses = []
    for batch in batches:
        fields = {name: value.to(model.device) for name, value in batch.items()}
        count = batch_size(model.config, fields)
        features = model.encoder_features(fields)
        values = model.prior_values(features, count, use_mean=True)
        likelihoods = model.likelihoods(values, features, count)
        each = model.log_probs(likelihoods, features, fields)
        losses.append(-torch.cat(list(each.values())).sum(0).cpu())
    return torch.cat(losses)


def standard_error(values: Tensor) -> float | None:
    """The standard error of the mean of N values, (N,): s / sqrt(N); None for a single one."""
    if len(values) < 2:
        return None
    return (values.double().std() / math.sqrt(len(values))).item()


def perplexity(nll: Tensor, units: int) -> float:
    """exp(sum of nll / units), of nats per text, (N,).

    Units are words or tokens, and count one end of sentence for each text.
    """
    return torch.exp(nll.double().sum() / units).item()
