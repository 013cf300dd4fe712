"""Decoders that attend: one token at a time as under teacher forcing, beams, samples of a text."""

import pytest
import torch

from textvae.decoders import Decoder
from textvae.graph.decoding import Decoding
from textvae.graph.generation import best_of_beam, generate
from textvae.layers.attention import Memory
from textvae.vocabulary import BOS, EOS, PAD

V, H, M, N = 12, 5, 6, 3
KINDS = {
    "lstm": {"kind": "lstm", "hidden": 8, "layers": 2},
    "lstm-heads": {"kind": "lstm", "hidden": 8, "heads": 2, "tied": True, "embedding": 6},
    "lstm-adaptive": {"kind": "lstm", "hidden": 8, "cutoffs": [8]},
    "transformer": {"kind": "transformer", "hidden": 8, "layers": 2, "heads": 2, "dropout": 0.0},
}


@pytest.fixture(params=[(kind, features) for kind in KINDS for features in (H, 0)], ids=str)
def made(request):
    kind, features = request.param
    torch.manual_seed(0)
    decoder = Decoder.build(KINDS[kind], vocab_size=V, features=features, memory=M).eval()
    for parameter in decoder.parameters():
        torch.nn.init.uniform_(parameter, -0.8, 0.8)
    mask = torch.arange(4) < torch.tensor([[4], [2], [3]])
    return decoder, torch.randn(N, features), Memory(torch.randn(N, 4, M), mask)


def texts() -> torch.Tensor:
    return torch.tensor(
        [[BOS, 4, 7, 5, EOS], [BOS, 11, 9, EOS, PAD], [BOS, 6, EOS, PAD, PAD]], dtype=torch.int64
    )


@torch.no_grad()
def test_steps_give_the_probabilities_of_teacher_forcing(made):
    decoder, context, memory = made
    ids = texts()
    forced = decoder(context[None], memory).token_log_probs(ids)[0]
    state = decoder.start(context, memory)
    for position in range(ids.shape[1] - 1):
        logits, state = decoder.step(ids[:, position], state)
        target = ids[:, position + 1]
        found = logits.log_softmax(-1).gather(1, target[:, None])[:, 0]
        present = target != PAD
        torch.testing.assert_close(found[present], forced[present, position])


@torch.no_grad()
def test_what_is_attended_to_matters_and_padding_does_not(made):
    decoder, context, memory = made
    ids = texts()
    first = decoder(context[None], memory).log_prob(ids)
    other = Memory(memory.states.roll(1, 0), memory.mask)
    assert not torch.allclose(decoder(context[None], other).log_prob(ids), first)
    longer = Memory(
        torch.cat([memory.states, torch.full((N, 2, M), 7.0)], 1),
        torch.cat([memory.mask, torch.zeros(N, 2, dtype=torch.bool)], 1),
    )
    torch.testing.assert_close(decoder(context[None], longer).log_prob(ids), first)


@torch.no_grad()
def test_samples_of_a_text_attend_to_its_memory(made):
    decoder, context, memory = made
    ids, contexts = texts(), torch.stack([context, context.flip(0), context * 2])
    together = decoder(contexts, memory).log_prob(ids)
    alone = [decoder(each[None], memory).log_prob(ids) for each in contexts]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("beams", [1, 3])
def test_a_text_is_written_alone_as_among_others(made, beams):
    decoder, context, memory = made
    how = Decoding(num_beams=beams, max_new_tokens=8)
    together = generate(decoder, context, how, None, memory)
    for row in range(N):
        chosen = slice(row, row + 1)
        alone = generate(decoder, context[chosen], how, None, memory.slice(chosen))[0].tolist()
        width = together.shape[1]
        assert (alone + [PAD] * width)[:width] == together[row].tolist()


@torch.no_grad()
def test_the_best_of_a_beam_have_the_probabilities_that_they_are_given(made):
    decoder, context, memory = made
    how = Decoding(num_beams=4, max_new_tokens=6)
    ids, scores = best_of_beam(decoder, context, how, None, memory)
    assert ids.shape[:2] == (N, 4) and (scores.diff(dim=1) <= 1e-6).all()
    for row in range(N):
        for tokens, score in zip(ids[row], scores[row], strict=True):
            state, total, before = (
                decoder.start(context, memory).select(torch.tensor([row])),
                0.0,
                BOS,
            )
            for token in tokens.tolist():
                if token == PAD:
                    break
                logits, state = decoder.step(torch.tensor([before]), state)
                logits[:, [PAD, BOS]] = -torch.inf
                total += logits.log_softmax(-1)[0, token].item()
                before = token
            assert total == pytest.approx(score.item(), abs=1e-4)
    assert len({tuple(tokens.tolist()) for tokens in ids[0]}) == 4
