"""One token loop over a stepped decoder: greedy, sampling, top-k, top-p; beam search beside it."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from textvae.decoders.text import State, TokenDecoder
from textvae.vocabulary import BOS, EOS, PAD, UNK


@dataclass(frozen=True)
class Decoding:
    """How to choose the next token.

    Args:
        sample: draw from the distribution; otherwise take the most probable token.
        temperature: logits are divided by it; sampling only.
        top_k: sample among the k most probable tokens; 0 for all.
        top_p: sample among the fewest tokens whose probability adds up to p.
        beams: width of the beam search; 1 for none. Not with `sample`.
        max_tokens: longest sentence, end of sentence included.
        allow_unknown: whether `<unk>` may be generated.

    Raises:
        ValueError: a value out of its range, or beams together with sampling.
    """

    sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    beams: int = 1
    max_tokens: int = 128
    allow_unknown: bool = True

    def __post_init__(self):
        allowed = {
            "temperature": (1e-3 <= self.temperature <= 100, "from 0.001 to 100"),
            "top_k": (self.top_k >= 0, "0 (all) or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "beams": (self.beams >= 1, "1 or more"),
            "max_tokens": (self.max_tokens >= 1, "1 or more"),
        }
        for name, (fine, range_) in allowed.items():
            if not fine:
                raise ValueError(f"{name} must be {range_} (got {getattr(self, name)})")
        if self.sample and self.beams > 1:
            raise ValueError("beams search for the most probable sentence: not with sampling")

    def warpers(self) -> LogitsProcessorList:
        """The logits warpers of transformers for these settings."""
        chosen = LogitsProcessorList()
        if self.temperature != 1.0:
            chosen.append(TemperatureLogitsWarper(self.temperature))
        if self.top_k:
            chosen.append(TopKLogitsWarper(self.top_k))
        if self.top_p < 1.0:
            chosen.append(TopPLogitsWarper(self.top_p))
        return chosen


@torch.no_grad()
def generate(decoder: TokenDecoder, context: Tensor, decoding: Decoding | None = None) -> Tensor:
    """Token ids for each context, (N, T), int64: words, end of sentence, padding; no begin.

    Args:
        decoder: in evaluation mode.
        context: (N, H).
        decoding: how to choose; greedy when not given.
    """
    decoding = decoding or Decoding()
    if decoding.beams > 1:
        return beam_search(decoder, context, decoding)
    rows = torch.arange(len(context), device=context.device)
    tokens = torch.full_like(rows, BOS)
    output = torch.full((len(rows), decoding.max_tokens), PAD, device=context.device)
    state, warpers = decoder.start(context), decoding.warpers()
    for position in range(decoding.max_tokens):
        logits, state = decoder.step(tokens, state)
        tokens = choose(permitted(logits, decoding), decoding, warpers)
        output[rows, position] = tokens
        going = (tokens != EOS).nonzero().squeeze(1)
        if len(going) == 0:
            return output[:, : position + 1]
        if len(going) < len(rows):
            # A finished sentence leaves the batch.
            rows, tokens, state = rows[going], tokens[going], state.select(going)
    return output


def permitted(logits: Tensor, decoding: Decoding) -> Tensor:
    """Logits, (N, V), with tokens that no sentence contains made impossible."""
    logits = logits.clone()
    logits[:, [PAD, BOS]] = -torch.inf
    if not decoding.allow_unknown:
        logits[:, UNK] = -torch.inf
    return logits


def choose(logits: Tensor, decoding: Decoding, warpers: LogitsProcessorList) -> Tensor:
    """The next token of each row, (N,), int64, from logits, (N, V)."""
    if not decoding.sample:
        return logits.argmax(-1)
    # The warpers of transformers ask for input ids, which ours do not read.
    no_ids = cast(torch.LongTensor, torch.empty(len(logits), 0, dtype=torch.long))
    warped = warpers(no_ids, cast(torch.FloatTensor, logits))
    return torch.multinomial(warped.softmax(-1), 1).squeeze(1)


@dataclass
class Beams:
    """The candidates of N searches of width W.

    Args:
        tokens: their tokens so far, (N, W, t), int64.
        scores: their log-probabilities, (N, W), nats.
        finished: whether they ended, (N, W), bool.
        state: of the decoder, rows N * W.
    """

    tokens: Tensor
    scores: Tensor
    finished: Tensor
    state: State


def beam_search(decoder: TokenDecoder, context: Tensor, decoding: Decoding) -> Tensor:
    """The most probable of the candidates that a beam of W keeps, (N, T), int64.

    Scores are plain log-probabilities, without length normalisation. A beam wide enough to hold
    every prefix is exact; a narrower one may drop what becomes the best, even the greedy answer.
    """
    N, W = len(context), decoding.beams
    scores = torch.full((N, W), -torch.inf, device=context.device)
    # All candidates begin alike; only one may count.
    scores[:, 0] = 0.0
    beams = Beams(
        torch.full((N, W, 1), BOS, device=context.device),
        scores,
        torch.zeros(N, W, dtype=torch.bool, device=context.device),
        decoder.start(context.repeat_interleave(W, 0)),
    )
    for _ in range(decoding.max_tokens):
        beams = extend(decoder, beams, decoding)
        if bool(beams.finished[:, 0].all()):
            break
    return beams.tokens[:, 0, 1:]


def extend(decoder: TokenDecoder, beams: Beams, decoding: Decoding) -> Beams:
    """The beams one token later; the best candidate comes first."""
    N, W, t = beams.tokens.shape
    logits, state = decoder.step(beams.tokens[:, :, -1].reshape(-1), beams.state)
    V = logits.shape[-1]
    log_probs = permitted(logits, decoding).log_softmax(-1).view(N, W, V)
    # A finished candidate stays as it is: padding is its only continuation and costs nothing.
    stay = torch.full((V,), -torch.inf, device=logits.device)
    stay[PAD] = 0.0
    log_probs = torch.where(beams.finished[:, :, None], stay, log_probs)
    total = (beams.scores[:, :, None] + log_probs).view(N, W * V)
    scores, chosen = total.topk(W, dim=-1)
    parent, token = chosen // V, chosen % V
    rows = (torch.arange(N, device=parent.device)[:, None] * W + parent).reshape(-1)
    before = beams.tokens.gather(1, parent[:, :, None].expand(N, W, t))
    finished = beams.finished.gather(1, parent) | (token == EOS)
    return Beams(torch.cat([before, token[:, :, None]], 2), scores, finished, state.select(rows))
