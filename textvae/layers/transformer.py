"""Pre-norm Transformer blocks, shared by encoders and decoders."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Cache = tuple[Tensor, Tensor]
"""Keys and values of earlier positions, each (N, heads, L, H / heads)."""


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    Source: Vaswani et al. 2017, section 3, arXiv:1706.03762; pre-norm as in Xiong et al. 2020,
    figure 1b, arXiv:2002.04745.
    """

    def __init__(self, hidden: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(hidden)
        self.attention_in = nn.Linear(hidden, 3 * hidden)
        self.attention_out = nn.Linear(hidden, hidden)
        self.mlp_norm = nn.LayerNorm(hidden)
        self.mlp_in = nn.Linear(hidden, 4 * hidden)
        self.mlp_out = nn.Linear(4 * hidden, hidden)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, causal: bool = False, past: Cache | None = None
    ) -> tuple[Tensor, Cache]:
        """The block's output, (N, T, H), and its keys and values for the next step.

        Args:
            x: (N, T, H).
            mask: True where a key may be seen, (N, 1, 1, L), bool.
            causal: a position sees itself and earlier ones; without `past` only.
            past: keys and values of the positions before x.
        """
        N, T, H = x.shape
        parts = self.attention_in(self.attention_norm(x)).view(N, T, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        rate = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=rate, is_causal=causal
        )
        mixed = self.attention_out(mixed.transpose(1, 2).reshape(N, T, H))
        x = x + F.dropout(mixed, self.dropout, self.training)
        inner = self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(x))))
        return x + F.dropout(inner, self.dropout, self.training), (key, value)


def sinusoids(start: int, length: int, hidden: int, like: Tensor) -> Tensor:
    """Position codes of `length` positions from `start`, (T, H); no table, so no longest text.

    Source: Vaswani et al. 2017, section 3.5, arXiv:1706.03762; sines first, cosines second.
    """
    position = torch.arange(start, start + length, device=like.device, dtype=torch.float32)
    rate = torch.arange(hidden // 2, device=like.device, dtype=torch.float32)
    angle = position[:, None] * torch.exp(-math.log(10000.0) * rate / (hidden // 2))
    return torch.cat([angle.sin(), angle.cos()], dim=-1).to(like.dtype)


def check_heads(hidden: int, heads: int) -> None:
    """Refuse a width that the heads cannot share evenly.

    Raises:
        ValueError: hidden is not a multiple of 2 * heads.
    """
    if hidden % (2 * heads):
        raise ValueError(f"hidden must be a multiple of 2 * heads (got {hidden} and {heads})")
