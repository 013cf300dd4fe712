"""Posteriors after refinement: gradient steps on each text's variational parameters."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from textvae.encoders import Features, pooled_only
from textvae.graph.refinement import Refinement, refine, replayed

if TYPE_CHECKING:
    from textvae.graph.model import VAE


def refined(
    model: "VAE",
    plan: Refinement,
    features: dict[str, Features],
    fields: Mapping[str, Tensor],
    kl_weight: float,
) -> dict[str, Features]:
    """The variational parameters of each latent after the steps of a plan, by its name.

    In evaluation the noise of the steps is the same each time: a batch has one posterior.
    """
    nodes = model.config.nodes("latents")
    parameters = [model.variational_parameters(node, features, {})[0] for node in nodes]
    sizes = [variational_parameters.shape[-1] for variational_parameters in parameters]
    device = parameters[0].device.type
    half, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    # cuDNN computes no gradient of an LSTM in evaluation mode.
    native = device == "cuda" and not model.training

    def named(parameters: Tensor) -> dict[str, Features]:
        parts = parameters.split(sizes, dim=-1)
        return {node["name"]: pooled_only(part) for node, part in zip(nodes, parts, strict=True)}

    def loss(parameters: Tensor, seed: int) -> Tensor:
        with ExitStack() as stack:
            stack.enter_context(replayed(seed, model.training))
            stack.enter_context(torch.autocast(device, dtype, enabled=half))
            if native:
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            out = model.infer_from(features | named(parameters), dict(fields), plan.samples)
        return (kl_weight * out.kl - out.total_log_likelihood).mean(0)

    given = [found.pooled for found in features.values()]
    weights = [*model.decoders.parameters(), *model.priors.parameters()]
    seeds = torch.randint(2**62, (plan.steps,)) if model.training else torch.arange(plan.steps)
    start = torch.cat(parameters, dim=-1)
    return named(refine(plan, loss, start, [*given, *weights], seeds.tolist()))
