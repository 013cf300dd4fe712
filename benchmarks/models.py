"""The models that are measured."""

import torch

from textvae.graph.model import VAE, VAEConfig
from textvae.objectives import Objective

SIZES = {
    "lstm": {"hidden": 1024, "embedding": 512},
    "transformer": {"hidden": 256, "layers": 4, "heads": 4, "dropout": 0.0},
}
SMALL = {
    "lstm": {"hidden": 64, "embedding": 32},
    "transformer": {"hidden": 32, "layers": 2, "heads": 2, "dropout": 0.0},
}


def sentence_vae(
    kind: str,
    vocab_size: int,
    quick: bool = False,
    dim: int = 32,
    cutoffs: list[int] | None = None,
    **size: int,
) -> VAE:
    """A VAE of two encoders and decoders of one kind, with the ELBO as its objective.

    Args:
        kind: "lstm" is 512 / 1024 with one layer, "transformer" four layers of 256.
        vocab_size: number of token ids.
        quick: small, to try a script.
        dim: size of the latent.
        cutoffs: of an adaptive softmax.
        **size: other sizes of encoder and decoder.
    """
    part = {"name": "text", "kind": kind, **(SMALL if quick else SIZES)[kind], **size}
    softmax = {"cutoffs": cutoffs} if cutoffs else {}
    torch.manual_seed(0)
    model = VAE(
        VAEConfig(
            vocab_size=vocab_size,
            encoders=[part],
            latents=[{"name": "z", "kind": "gaussian", "dim": dim, "given": ["text"]}],
            decoders=[{**part, **softmax, "given": ["z"]}],
        )
    )
    model.objective = Objective.build({"kind": "elbo"})
    return model


def flops(model: VAE, tokens: int) -> float:
    """Multiplications and additions of a training step on so many real tokens.

    Twice the weights that a token meets, forward; twice that again, backward. Every text counts
    its begin for the encoder as well; embeddings, heads and attention scores are left out.
    """
    met = sum(
        weight.numel()
        for name, weight in model.named_parameters()
        if weight.dim() == 2
        and name.startswith(("encoders", "decoders"))
        and "embedding" not in name
    )
    return 6.0 * met * tokens
