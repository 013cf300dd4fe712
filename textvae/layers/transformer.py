"""Pre-norm Transformer blocks, shared by encoders and decoders."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.layers.attention import Attention, Memory

Cache = tuple[Tensor, Tensor]
"""Keys and values of earlier positions, each (N, heads, L, H / heads)."""


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); between them attention to a memory, if any.

    Args:
        hidden: width.
        heads: of each attention.
        dropout: rate on attention weights and on what is added.
        memory: size M of the states of a memory; None for a block without one.

    Source: Vaswani et al. 2017, section 3, arXiv:1706.03762; pre-norm as in Xiong et al. 2020,
    figure 1b, arXiv:2002.04745.
    """

    def __init__(self, hidden: int, heads: int, dropout: float, memory: int | None = None):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(hidden)
        self.attention_in = nn.Linear(hidden, 3 * hidden)
        self.attention_out = nn.Linear(hidden, hidden)
        self.cross_norm = None if memory is None else nn.LayerNorm(hidden)
        self.cross = None if memory is None else Attention(hidden, memory, hidden, heads)
        self.mlp_norm = nn.LayerNorm(hidden)
        self.mlp_in = nn.Linear(hidden, 4 * hidden)
        self.mlp_out = nn.Linear(4 * hidden, hidden)

    def read_memory(self, memory: Memory | None) -> tuple[Tensor, ...]:
        """Keys, values and mask of a memory; nothing for a block that does not attend to one."""
        if self.cross is None:
            return ()
        assert memory is not None, "the block attends"
        return self.cross.read(memory)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        causal: bool = False,
        past: Cache | None = None,
        attended: Sequence[Tensor] = (),
    ) -> tuple[Tensor, Cache]:
        """The block's output, (N, T, H), and its keys and values for the next step.

        Args:
            x: (N, T, H).
            mask: True where a key may be seen, (N, 1, 1, L), bool.
            causal: a position sees itself and earlier ones; without `past` only.
            past: keys and values of the positions before x.
            attended: of `read_memory`; of N / K texts, see `Attention.forward`.
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
        if self.cross is not None and self.cross_norm is not None:
            mixed = self.cross(self.cross_norm(x), *attended)
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
