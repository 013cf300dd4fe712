"""The same two VAEs as a plain script writes them: what ours is compared with."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.graph.model import VAE
from textvae.layers.transformer import sinusoids
from textvae.vocabulary import PAD


class PlainVAE(nn.Module):
    """Encoder, Gaussian, decoder; the loss is the mean of each text's negative ELBO.

    Args:
        ours: whose weights it copies, so that both compute the same.
    """

    def __init__(self, ours: VAE):
        super().__init__()
        latent, decoder = parts(ours)[1:]
        self.head: nn.Linear = latent.head
        self.output: nn.Linear = decoder.output

    def encode(self, ids: Tensor) -> Tensor:
        """One vector for each text, (B, H)."""
        raise NotImplementedError

    def decode(self, ids: Tensor, z: Tensor) -> Tensor:
        """The state at each position, (B, T, H)."""
        raise NotImplementedError

    def forward(self, ids: Tensor) -> Tensor:
        """The loss of a batch, (B, T)."""
        mean, log_variance = self.head(self.encode(ids)).chunk(2, -1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        logits = self.output(self.decode(ids[:, :-1], z))
        losses = F.cross_entropy(
            logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=PAD, reduction="sum"
        )
        kl = 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum()
        return (losses + kl) / len(ids)


class PlainLSTM(PlainVAE):
    """Bowman's VAE."""

    def __init__(self, ours: VAE):
        ours = deepcopy(ours)
        super().__init__(ours)
        encoder, _, decoder = parts(ours)
        self.encoder_embedding: nn.Embedding = encoder.embedding
        self.encoder: nn.LSTM = encoder.lstm
        self.embedding: nn.Embedding = decoder.embedding
        self.decoder: nn.LSTM = decoder.lstm
        self.initial: nn.Linear = decoder.initial

    def encode(self, ids: Tensor) -> Tensor:
        """The state at the last token: faster on a CPU than to pack the batch."""
        states, _ = self.encoder(self.encoder_embedding(ids))
        last = (ids != PAD).sum(1) - 1
        return states[torch.arange(len(ids)), last]

    def decode(self, ids: Tensor, z: Tensor) -> Tensor:
        """z is the first state, and beside every word."""
        cell = self.initial(z)[None]
        inputs = torch.cat([self.embedding(ids), z[:, None].expand(-1, ids.shape[1], -1)], -1)
        states, _ = self.decoder(inputs, (cell.tanh(), cell))
        return states


class PlainTransformer(PlainVAE):
    """The same with torch's own Transformer layers; z is a prefix and added to every word."""

    def __init__(self, ours: VAE):
        ours = deepcopy(ours)
        super().__init__(ours)
        encoder, _, decoder = parts(ours)
        self.encoder_embedding: nn.Embedding = encoder.embedding
        self.encoder = layers(encoder)
        self.embedding: nn.Embedding = decoder.embedding
        self.decoder = layers(decoder)
        self.prefix: nn.Linear = decoder.prefix
        self.added: nn.Linear = decoder.added

    def encode(self, ids: Tensor) -> Tensor:
        """The mean over the words."""
        x = self.encoder_embedding(ids)
        x = x + sinusoids(0, x.shape[1], x.shape[2], x)
        present = (ids != PAD)[:, :, None]
        states = self.encoder(x, src_key_padding_mask=~present[:, :, 0])
        return (states * present).sum(1) / present.sum(1)

    def decode(self, ids: Tensor, z: Tensor) -> Tensor:
        """Padding is on the right, so the causal mask is enough."""
        x = self.embedding(ids)
        x = x + sinusoids(0, x.shape[1], x.shape[2], x) + self.added(z)[:, None]
        x = torch.cat([self.prefix(z)[:, None], x], 1)
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device)
        return self.decoder(x, mask=mask, is_causal=True)[:, 1:]


def parts(ours: VAE) -> tuple[Any, Any, Any]:
    """Its encoder, its latent and its decoder."""
    return ours.encoders["text"], ours.latents["z"], ours.decoders["text"]


def layers(ours: Any) -> nn.TransformerEncoder:
    """torch's pre-norm layers with the weights of our blocks."""
    width, heads = ours.norm.normalized_shape[0], ours.blocks[0].heads
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
    )
    theirs = nn.TransformerEncoder(layer, len(ours.blocks), ours.norm, enable_nested_tensor=False)
    names = {
        "attention_norm": "norm1",
        "attention_in.": "self_attn.in_proj_",
        "attention_out": "self_attn.out_proj",
        "mlp_norm": "norm2",
        "mlp_in": "linear1",
        "mlp_out": "linear2",
    }
    for block, copy in zip(ours.blocks, theirs.layers, strict=True):
        weights = {}
        for name, value in block.state_dict().items():
            mine, other = next(pair for pair in names.items() if name.startswith(pair[0]))
            weights[name.replace(mine, other)] = value
        copy.load_state_dict(weights)
    return theirs
