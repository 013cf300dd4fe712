"""Attention to the states of another text, shared by decoders and encoders."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Memory:
    """States that a decoder attends to, of each of N texts.

    Args:
        states: one vector per position, (N, L, M).
        mask: True where a position holds a token, (N, L), bool; at least one in each row.
        ids: token ids of the positions, (N, L), int64; None where the field is no text.
    """

    states: Tensor
    mask: Tensor
    ids: Tensor | None = None

    def repeat_interleave(self, count: int) -> "Memory":
        """The memory with each text `count` times in a row."""
        parts = (self.states, self.mask, self.ids)
        return Memory(*(None if p is None else p.repeat_interleave(count, 0) for p in parts))  # type: ignore[arg-type]

    def slice(self, rows: slice) -> "Memory":
        """The memory of some of the texts."""
        parts = (self.states, self.mask, self.ids)
        return Memory(*(None if part is None else part[rows] for part in parts))  # type: ignore[arg-type]


class Attention(nn.Module):
    """Scaled dot-product attention of queries to a memory, with one or several heads.

    Args:
        queries: size F of a query.
        memory: size M of a state of the memory.
        width: of all heads together.
        heads: number of heads.

    Raises:
        ValueError: the width is no multiple of the number of heads.

    Source: Luong et al. 2015, section 3.1, arXiv:1508.04025; Vaswani et al. 2017, section 3.2,
    arXiv:1706.03762 (heads and scale).
    """

    def __init__(self, queries: int, memory: int, width: int, heads: int = 1):
        super().__init__()
        if width % heads:
            raise ValueError(f"the width must be a multiple of heads (got {width} and {heads})")
        self.heads = heads
        self.query = nn.Linear(queries, width, bias=False)
        self.key_value = nn.Linear(memory, 2 * width, bias=False)
        self.out = nn.Linear(width, queries, bias=False)

    def read(self, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values, (N, L, width) each, and the mask, (N, L), of a memory."""
        keys, values = self.key_value(memory.states).chunk(2, dim=-1)
        return keys, values, memory.mask

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """What the memory shows each query, (K * N, T, F).

        Args:
            x: queries, (K * N, T, F): K of each text, those of one sample together.
            keys: as `read` gives them, (N, L, width).
            values: likewise.
            mask: likewise, (N, L).
        """
        query, keys, values = self.split(x, keys, values)
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask[:, None, None])
        return self.out(self.joined(mixed, len(x)))

    def weights(self, x: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """The weight of each position, the mean over heads, (K * N, T, L); arguments as `forward`.

        They are zero where the mask is.
        """
        query, keys, _ = self.split(x, keys, keys)
        scores = query @ keys.transpose(-1, -2) / query.shape[-1] ** 0.5
        scores = scores.masked_fill(~mask[:, None, None], -torch.inf)
        weights = scores.softmax(-1).mean(1)
        N, L = mask.shape
        K, T = len(x) // N, x.shape[1]
        return weights.view(N, K, T, L).transpose(0, 1).reshape(K * N, T, L)

    def split(self, x: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, (N, heads, K * T, D), keys and values, (N, heads, L, D)."""
        N = len(keys)
        K, T = len(x) // N, x.shape[1]
        query = self.query(x).view(K, N, T, self.heads, -1)
        query = query.permute(1, 3, 0, 2, 4).flatten(2, 3)
        keys, values = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2).to(query.dtype)
            for part in (keys, values)
        )
        return query, keys, values

    def joined(self, mixed: Tensor, rows: int) -> Tensor:
        """The heads of each query side by side, (K * N, T, width), of (N, heads, K * T, D)."""
        N, heads, _, D = mixed.shape
        parts = mixed.view(N, heads, rows // N, -1, D)
        return parts.permute(2, 0, 3, 1, 4).reshape(rows, -1, heads * D)
