"""The training loss of a model: its objective, and the terms that only training has."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from textvae.encoders import Features
from textvae.families import Family
from textvae.objectives.outputs import Latent, Loss, VAEOutput

if TYPE_CHECKING:
    from textvae.graph.model import VAE


def training_loss(model: "VAE", objective: Any, step: int, fields: dict[str, Tensor]) -> Loss:
    """The objective's loss of a batch, with auxiliary terms, terms of families and `terms`.

    Args:
        model: in training mode.
        objective: see `Objective`.
        step: optimizer step.
        fields: observed batch by field name.
    """
    samples = getattr(objective, "samples", 1)
    schedule = getattr(objective, "kl_weight", None)
    reparameterize = getattr(objective, "reparameterize", True)

    def infer(batch: dict[str, Tensor]) -> VAEOutput:
        features = model.read(batch, 1.0 if schedule is None else schedule(step))
        return model.infer_from(features, batch, samples, reparameterize)

    out = infer(fields)
    altered = getattr(objective, "altered", None)
    if altered is not None and (batches := altered(out, model.sample_means, step)):
        out = replace(out, others={name: infer(batch) for name, batch in batches.items()})
    known = model.auxiliary | label_weights(model) | prior_weights(model)
    terms = {
        name: (known.get(name, 1.0), -out.expected(values))
        for name, values in out.auxiliary.items()
    }
    for term in getattr(objective, "terms", ()):
        name = term.kind if term.kind not in terms else f"{term.kind}_{len(terms)}"
        terms[name] = (term.weight(step), term(out, step))
    loss = objective(out, step)
    for name, (weight, values) in terms.items():
        value = values.mean()
        loss = Loss(loss.value + weight * value, {**loss.terms, name: value.detach()})
    return loss


def label_weights(model: "VAE") -> dict[str, float]:
    """Weights of -log q(label | x), by `label_` and the name of the latent."""
    weights = {node["name"]: node.get("label_weight") for node in model.config.nodes("latents")}
    return {f"label_{name}": weight for name, weight in weights.items() if weight is not None}


def label_log_probs(
    model: "VAE",
    features: Mapping[str, Features],
    fields: Mapping[str, Tensor],
    latents: Mapping[str, Latent],
) -> dict[str, Tensor]:
    """log q(label | x), (1, B), as `label_weights` names it; 0 where the label is missing.

    With `label_smoothing` s it is (1 - s) log q(label | x) + s mean_c log q(c | x). Of a latent
    whose prior takes the label it is log p(label | z) at the samples, (K, B).
    """
    log_probs = {}
    for node in model.config.nodes("latents"):
        if node.get("label_weight") is not None and node["field"] in fields:
            family, labels = cast(Family, model.latents[node["name"]]), fields[node["field"]]
            smoothing = node.get("label_smoothing") or 0.0
            prior = model.class_prior(node["name"])
            if prior is None:
                parameters = model.head(node, features, {})[0]
                log_prob = family.label_log_prob(parameters, labels, smoothing)[None]
            else:
                log_prob = prior.label_log_prob(latents[node["name"]].value, labels, smoothing)
            plate = model.plate_of("latents", node["name"], features)
            log_probs[f"label_{node['name']}"] = (
                log_prob if plate is None else plate.sum_parts(log_prob)
            )
    return log_probs


def prior_weights(model: "VAE") -> dict[str, float]:
    """Weights of -log p(x | z) with z from the prior, by the name of the decoder and `_prior`."""
    weights = {node["name"]: node.get("prior_weight") for node in model.config.nodes("decoders")}
    return {f"{name}_prior": weight for name, weight in weights.items() if weight is not None}


def prior_log_probs(
    model: "VAE", features: Mapping[str, Features], fields: Mapping[str, Tensor], batch: int
) -> dict[str, Tensor]:
    """log p(x | z), (1, B), with one z of the prior for each row, as `prior_weights` names it.

    It has gradients in the decoder and, where samples of the prior carry some, in the prior.

    Source: Sohn et al. 2015, section 4.2, NeurIPS (the Gaussian stochastic network).
    """
    wanted = [name.removesuffix("_prior") for name in prior_weights(model)]
    if not wanted:
        return {}
    values = model.prior_values(features, batch, reparameterize=True)
    likelihoods = model.likelihoods(values, features, batch, wanted)
    log_probs = model.log_probs(likelihoods, features, fields)
    return {f"{name}_prior": log_prob for name, log_prob in log_probs.items()}


def family_terms(model: "VAE", latents: Mapping[str, Latent]) -> dict[str, Tensor]:
    """What families add to the training loss, negated, (K or 1, B), as `NAME_term`."""
    terms = {}
    for name, latent in latents.items():
        term = cast(Family, model.latents[name]).training_term(latent.posterior)
        if term is not None:
            terms[f"{name}_term"] = latent.of_texts(-term)
    return terms
