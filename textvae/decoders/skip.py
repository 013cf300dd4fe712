"""An LSTM decoder that reads the context again above every layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae.decoders.text import RecurrentDecoder, State
from textvae.layers.recurrent import LSTM
from textvae.registry import Count, Depth, Probability, Rate


class SkipLSTMDecoder(RecurrentDecoder, kind="skip_lstm"):
    """LSTM layers, each followed by s = tanh(W [h, z] + b), with skip connections from z.

    The next layer, and after the last one the projection, reads s in place of h: z reaches every
    word by a path that no forgetting cuts. The first layer is given z too, and starts from it.

    Args:
        vocab_size: number of token ids V.
        features: size H of the context; 0 for a language model with the same layers.
        hidden: size of a token's embedding and of every state.
        layers: number of LSTM layers.
        dropout: rate on embeddings and after each s.
        word_dropout: share of input words replaced by `<unk>` in training; 1 is inputless.
        tied: project with the embedding matrix.
        cutoffs: first ids of the clusters of rare words in an adaptive softmax.

    Source: Dieng et al. 2019, section 3, arXiv:1807.04863; tanh is ours.
    """

    def __init__(
        self,
        vocab_size: int,
        features: int,
        hidden: Count = 256,
        layers: Depth = 1,
        dropout: Rate = 0.0,
        word_dropout: Probability = 0.0,
        tied: bool = False,
        cutoffs: list[Count] | None = None,
    ):
        super().__init__()
        self.dropout = dropout
        self.word_dropout = word_dropout
        self.make_vocabulary(vocab_size, hidden, hidden, tied, cutoffs=cutoffs or ())
        self.make_start(features, layers, hidden)
        self.layers = nn.ModuleList(
            LSTM(hidden + (features if number == 0 else 0), hidden, batch_first=True)
            for number in range(layers)
        )
        self.skips = nn.ModuleList(nn.Linear(hidden + features, hidden) for _ in range(layers))

    def run(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Output states, (N, T, F), and the state after reading ids, (N, T)."""
        h, c, context = state.memory
        x = self.embed(inputs)
        each_step = context[:, None, :].expand(-1, inputs.shape[1], -1).to(x.dtype)
        x = torch.cat([x, each_step], dim=-1)
        last = []
        for number, (lstm, skip) in enumerate(zip(self.layers, self.skips, strict=True)):
            before = [m[:, number][None].contiguous().to(x.dtype) for m in (h, c)]
            x, after = lstm(x, (before[0], before[1]))
            last.append(after)
            x = skip(torch.cat([x, each_step.to(x.dtype)], dim=-1)).tanh()
            x = F.dropout(x, self.dropout, self.training)
        memory = (*(torch.stack([m[n][0] for m in last], 1) for n in (0, 1)), context)
        return x, State(memory, state.position + inputs.shape[1])
