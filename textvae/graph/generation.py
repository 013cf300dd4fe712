"""Generation of texts: greedy search, sampling with top-k and top-p, beam search."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from textvae.data.known_words import KnownWords
from textvae.decoders.text import State, TokenDecoder
from textvae.graph.decoding import Decoding
from textvae.layers.attention import Memory
from textvae.layers.sampling import invert
from textvae.layers.sparsification import beyond_top_p
from textvae.randomness import draws
from textvae.vocabulary import BOS, EOS, PAD, UNK


@torch.no_grad()
def generate(
    decoder: TokenDecoder,
    context: Tensor,
    decoding: Decoding | None = None,
    known: KnownWords | None = None,
    memory: Memory | None = None,
) -> Tensor:
    """Token ids for each context, (N, T), int64: words, end of sentence, padding; no begin.

    Args:
        decoder: in evaluation mode.
        context: (N, H).
        decoding: how to choose; greedy when not given.
        known: words that the texts are held to; None for any.
        memory: of N texts, for a decoder that attends.
    """
    decoding = decoding or Decoding()
    if decoding.num_beams > 1:
        ids = beam_search(decoder, context, decoding, known, memory)
        # The best candidate may have finished some steps ago, behind another one.
        return ids[:, : int((ids != PAD).any(0).sum())]
    rows = torch.arange(len(context), device=context.device)
    tokens = torch.full_like(rows, BOS)
    output = torch.full((len(rows), decoding.max_new_tokens), PAD, device=context.device)
    state, nodes = decoder.start(context, memory), [0] * len(rows)
    for position in range(decoding.max_new_tokens):
        tokens, state = next_tokens(decoder, tokens, state, decoding, known, nodes)
        output[rows, position] = tokens
        going = (tokens != EOS).nonzero().squeeze(1)
        if known is not None:
            nodes = known.advance(nodes, tokens.tolist())
        if len(going) == 0:
            return output[:, : position + 1]
        if len(going) < len(rows):
            # A finished sentence leaves the batch.
            rows, tokens, state = rows[going], tokens[going], state.select(going)
            nodes = [nodes[row] for row in going.tolist()]
    return output


def next_tokens(
    decoder: TokenDecoder,
    tokens: Tensor,
    state: State,
    decoding: Decoding,
    known: KnownWords | None,
    nodes: Sequence[int],
) -> tuple[Tensor, State]:
    """The tokens after others, (N,), int64, and the state after those; drawn, or the most probable.

    Samples from the whole distribution need no logits of all tokens.
    """
    impossible = [PAD, BOS] if decoding.allow_unknown else [PAD, BOS, UNK]
    whole = decoding.do_sample and not decoding.top_k and decoding.top_p == 1.0 and known is None
    if whole and decoder.can_sample(decoding.temperature, impossible):
        hidden, state = decoder.advance(tokens, state)
        level = levels(len(hidden), hidden.device)
        return decoder.sample(hidden, level, decoding.temperature, impossible), state
    logits, state = decoder.step(tokens, state)
    return choose(permitted(logits, decoding, known, nodes), decoding), state


def permitted(
    logits: Tensor, decoding: Decoding, known: KnownWords | None = None, nodes: Sequence[int] = ()
) -> Tensor:
    """Logits, (N, V), with tokens that no sentence contains made impossible, in place.

    Args:
        logits: of the next token.
        decoding: whether there may be unknown words.
        known: words that the texts are held to; None for any.
        nodes: of their tree, one for each text.
    """
    logits[:, [PAD, BOS]] = -torch.inf
    if not decoding.allow_unknown:
        logits[:, UNK] = -torch.inf
    if known is not None:
        logits[~known.allowed(nodes).to(logits.device)] = -torch.inf
    return logits


def choose(logits: Tensor, decoding: Decoding) -> Tensor:
    """The next token of each row, (N,), int64, from logits, (N, V)."""
    if not decoding.do_sample:
        return logits.argmax(-1)
    return drawn(warped(logits, decoding).softmax(-1))


def warped(logits: Tensor, decoding: Decoding) -> Tensor:
    """Logits, (N, V), over the temperature; those outside the top k, then the top p, are -inf.

    Source: Fan et al. 2018, arXiv:1805.04833 (top k); Holtzman et al. 2020, arXiv:1904.09751
    (top p). Equal to the warpers of transformers, which are slower to import than torch.
    """
    if decoding.temperature != 1.0:
        logits = logits / decoding.temperature
    if decoding.top_k:
        least = logits.topk(min(decoding.top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if decoding.top_p < 1.0:
        logits = logits.masked_fill(beyond_top_p(logits, decoding.top_p), -torch.inf)
    return logits


def drawn(probabilities: Tensor) -> Tensor:
    """One index of each row, (N,), int64, drawn from probabilities, (N, V).

    By inverting the distribution function: one random number for each row, where
    `torch.multinomial` takes V, which on a CPU costs as much as the decoder.
    """
    return invert(probabilities, levels(len(probabilities), probabilities.device))[0]


def levels(count: int, device: torch.device) -> Tensor:
    """Random numbers, uniform on [0, 1), (count,)."""
    with draws():
        return torch.rand(count, device=device)


@dataclass
class Beams:
    """The candidates of N searches of width W.

    Args:
        tokens: their tokens so far, (N, W, t), int64.
        scores: their log-probabilities, (N, W), nats.
        finished: whether they ended, (N, W), bool.
        state: of the decoder, rows N * W.
        nodes: of the tree of known words, N * W of them.
    """

    tokens: Tensor
    scores: Tensor
    finished: Tensor
    state: State
    nodes: list[int]

    def select(self, rows: Tensor) -> "Beams":
        """The chosen searches, in that order; rows: (M,), int64."""
        W = self.scores.shape[1]
        of_state = (rows[:, None] * W + torch.arange(W, device=rows.device)).reshape(-1)
        return Beams(
            self.tokens[rows],
            self.scores[rows],
            self.finished[rows],
            self.state.select(of_state),
            [self.nodes[row] for row in of_state.tolist()],
        )


def beam_search(
    decoder: TokenDecoder,
    context: Tensor,
    decoding: Decoding,
    known: KnownWords | None = None,
    memory: Memory | None = None,
) -> Tensor:
    """The most probable of the candidates that a beam of W keeps, (N, T), int64.

    Scores are plain log-probabilities, without length normalisation. A beam wide enough to hold
    every prefix is exact; a narrower one may drop what becomes the best, even the greedy answer.
    """
    N, beams = len(context), first_beams(decoder, context, decoding, memory)
    rows = torch.arange(N, device=context.device)
    output = torch.full((N, decoding.max_new_tokens), PAD, device=context.device)
    for length in range(1, decoding.max_new_tokens + 1):
        beams = extend(decoder, beams, decoding, known)
        output[rows, :length] = beams.tokens[:, 0, 1:]
        # A finished best candidate stays the best, as scores only fall: its search leaves.
        going = (~beams.finished[:, 0]).nonzero().squeeze(1)
        if len(going) == 0:
            return output[:, :length]
        if len(going) < len(rows):
            rows, beams = rows[going], beams.select(going)
    return output


@torch.no_grad()
def best_of_beam(
    decoder: TokenDecoder,
    context: Tensor,
    decoding: Decoding,
    known: KnownWords | None = None,
    memory: Memory | None = None,
) -> tuple[Tensor, Tensor]:
    """All W candidates of a beam, the most probable first, when none can be continued.

    Returns:
        Token ids, (N, W, T), int64, and log-probabilities, (N, W), nats.
    """
    beams = first_beams(decoder, context, decoding, memory)
    for _ in range(decoding.max_new_tokens):
        beams = extend(decoder, beams, decoding, known)
        if beams.finished.all():
            break
    return beams.tokens[:, :, 1:], beams.scores


def first_beams(
    decoder: TokenDecoder, context: Tensor, decoding: Decoding, memory: Memory | None
) -> Beams:
    """The beams before the first token."""
    N, W = len(context), decoding.num_beams
    scores = torch.full((N, W), -torch.inf, device=context.device)
    # All candidates begin alike; only one may count.
    scores[:, 0] = 0.0
    attended = None if memory is None else memory.repeat_interleave(W)
    return Beams(
        torch.full((N, W, 1), BOS, device=context.device),
        scores,
        torch.zeros(N, W, dtype=torch.bool, device=context.device),
        decoder.start(context.repeat_interleave(W, 0), attended),
        [0] * (N * W),
    )


def extend(
    decoder: TokenDecoder, beams: Beams, decoding: Decoding, known: KnownWords | None
) -> Beams:
    """The beams one token later; the best candidate comes first."""
    N, W, t = beams.tokens.shape
    logits, state = decoder.step(beams.tokens[:, :, -1].reshape(-1), beams.state)
    log_probs = permitted(logits, decoding, known, beams.nodes).log_softmax(-1)
    # The best W of all continuations are among the best W of each candidate.
    M = min(W, log_probs.shape[-1])
    added, token = (best.view(N, W, M) for best in log_probs.topk(M, dim=-1))
    # A finished candidate stays as it is: padding is its only continuation and costs nothing.
    finished = beams.finished[:, :, None]
    stay = added.new_full((M,), -torch.inf)
    stay[0] = 0.0
    added, token = torch.where(finished, stay, added), token.masked_fill(finished, PAD)
    total = (beams.scores[:, :, None] + added).view(N, W * M)
    scores, chosen = total.topk(W, dim=-1)
    parent, token = chosen // M, token.view(N, W * M).gather(1, chosen)
    rows = (torch.arange(N, device=parent.device)[:, None] * W + parent).reshape(-1)
    before = beams.tokens.gather(1, parent[:, :, None].expand(N, W, t))
    finished = beams.finished.gather(1, parent) | (token == EOS)
    nodes = [beams.nodes[row] for row in rows.tolist()]
    if known is not None:
        nodes = known.advance(nodes, token.view(-1).tolist())
    tokens = torch.cat([before, token[:, :, None]], 2)
    return Beams(tokens, scores, finished, state.select(rows), nodes)
