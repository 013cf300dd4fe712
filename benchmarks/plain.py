"""The same VAEs as the best public loops write them: what ours is compared with.

They follow vae-lagging-encoder (He et al. 2019), the fastest that was found for text: batches of
texts of equal length without padding, `nn.LSTM`, a full softmax over all tokens, SGD with clipped
gradients; importance samples decoded as one batch; generation of one batch step by step.
"""

import math
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.graph.model import VAE
from textvae.layers.transformer import sinusoids
from textvae.vocabulary import BOS, EOS, PAD


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

    def posterior(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), (B, D)."""
        mean, log_variance = self.head(self.encode(ids)).chunk(2, -1)
        return mean, log_variance

    def losses(self, ids: Tensor, z: Tensor) -> Tensor:
        """-log p(x | z) of each text, (B,), nats."""
        logits = self.output(self.decode(ids[:, :-1], z))
        losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        return losses.view(len(ids), -1).sum(1)

    def forward(self, ids: Tensor) -> Tensor:
        """The loss of a batch of texts of equal length, (B, T)."""
        mean, log_variance = self.posterior(ids)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        kl = 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum(1)
        return (self.losses(ids, z) + kl).mean()

    @torch.no_grad()
    def nll(self, ids: Tensor, samples: int, rows: int) -> Tensor:
        """The importance-weighted nll of texts of equal length, (B,), from `rows` at a time."""
        mean, log_variance = self.posterior(ids)
        weights, at_once = [], max(1, rows // len(ids))
        for start in range(0, samples, at_once):
            K = min(at_once, samples - start)
            noise = torch.randn(K, *mean.shape)
            z = mean + noise * (0.5 * log_variance).exp()
            losses = self.losses(ids.repeat(K, 1), z.flatten(0, 1)).view(K, -1)
            # log p(z) - log q(z | x); the normalising constants cancel.
            log_ratio = 0.5 * (noise**2 - z**2 + log_variance).sum(-1)
            weights.append(log_ratio - losses)
        return math.log(samples) - torch.cat(weights).logsumexp(0)


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
        """The last state."""
        _, (last, _) = self.encoder(self.encoder_embedding(ids))
        return last[0]

    def decode(self, ids: Tensor, z: Tensor) -> Tensor:
        """z is the first state, and beside every word."""
        cell = self.initial(z)[None]
        inputs = torch.cat([self.embedding(ids), z[:, None].expand(-1, ids.shape[1], -1)], -1)
        states, _ = self.decoder(inputs, (cell.tanh(), cell))
        return states

    @torch.no_grad()
    def sample(self, z: Tensor, longest: int) -> Tensor:
        """One text of each z, (B, T), step by step until the last has ended."""
        cell = self.initial(z)[None]
        state = cell.tanh(), cell
        tokens, texts = torch.full((len(z),), BOS), []
        ended = torch.zeros(len(z), dtype=torch.bool)
        while len(texts) < longest and not ended.all():
            inputs = torch.cat([self.embedding(tokens), z], -1)[:, None]
            states, state = self.decoder(inputs, state)
            logits = self.output(states[:, 0])
            logits[:, [PAD, BOS]] = -torch.inf
            tokens = torch.multinomial(logits.softmax(-1), 1).squeeze(1)
            texts.append(tokens.masked_fill(ended, PAD))
            ended |= tokens == EOS
        return torch.stack(texts, 1)


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
        return self.encoder(x).mean(1)

    def decode(self, ids: Tensor, z: Tensor) -> Tensor:
        """The state at each position; each sees those before it."""
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
