"""The words that the features of a text rest on."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from textvae.data.batching import Examples
from textvae.data.tokenizers import TextTokenizer
from textvae.encoders import Encoder
from textvae.graph.model import VAE
from textvae.vocabulary import BOS, PAD


@dataclass(frozen=True)
class Attended:
    """The weights of the tokens of a text, those of each head with sum 1.

    Args:
        tokens: L tokens, the end of the sentence included.
        weights: of each head, (heads, L), float32.
    """

    tokens: tuple[str, ...]
    weights: np.ndarray

    def heaviest(self, count: int = 5) -> list[tuple[str, float]]:
        """The tokens of the largest mean weight over the heads, largest first, with it."""
        mean = self.weights.mean(0)
        order = np.argsort(-mean, kind="stable")[:count]
        return [(self.tokens[index], float(mean[index])) for index in order]


@torch.no_grad()
def attended(model: VAE, tokenizer: TextTokenizer, rows: Examples) -> list[Attended]:
    """The weights of the words of each row under the first encoder that has some.

    Raises:
        ValueError: no encoder weighs words.
    """
    encoders = {name: cast(Encoder, each) for name, each in model.encoders.items()}
    name = next((name for name, each in encoders.items() if each.weighs_words), None)
    if name is None:
        raise ValueError("no encoder of the model weighs words: `kind: attention` does")
    field, pieces = model.field_of(name), tokenizer.pieces
    found: dict[int, Attended] = {}
    for indices, batch in rows.in_length_order():
        ids = batch[field].to(model.device)
        weights: Tensor = encoders[name].weights(ids).float().cpu()  # type: ignore[operator]
        for index, row, part in zip(indices, ids.cpu(), weights, strict=True):
            shown = (row != PAD) & (row != BOS)
            tokens = tuple(pieces[token] for token in row[shown].tolist())
            found[int(index)] = Attended(tokens, part[:, shown].numpy())
    return [found[index] for index in range(len(found))]
