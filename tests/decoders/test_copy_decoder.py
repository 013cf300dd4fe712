"""The pointer-generator: words of the vocabulary, and copies of what is attended to."""

import itertools

import pytest
import torch
from conftest import TEXT, VOCAB, Z, ids, vae
from torch.nn import functional as F

from textvae.decoders import Decoder
from textvae.graph.decoding import Decoding
from textvae.graph.generation import beam_search, best_of_beam, generate
from textvae.layers.attention import Memory
from textvae.registry import SpecError
from textvae.vocabulary import BOS, EOS, PAD

H, M, K = 3, 5, 2
SOURCE = torch.tensor([[1, 7, 5, 7, 9, 2, PAD], [1, 8, 5, 6, 9, 4, 2], [1, 4, 2, 0, 0, 0, 0]])
# The same sums in another order: float32 rounding.
ROUNDING = {"atol": 1e-5, "rtol": 1e-5}


def make(**changes):
    spec = {"kind": "copy", "hidden": 6, "embedding": 4, **changes}
    decoder = Decoder.build(spec, vocab_size=VOCAB, features=H, memory=M).eval()
    for name, parameter in decoder.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
    return decoder


@pytest.fixture(params=[{}, {"tied": True}, {"heads": 2, "layers": 2}], ids=str)
def decoder(request):
    return make(**request.param)


def memory(rows=slice(None), length=7):
    states = torch.randn(3, 7, M, generator=torch.Generator().manual_seed(3))
    cut = rows, slice(0, length)
    return Memory(states[cut], (SOURCE != PAD)[cut], SOURCE[cut])


def stepped(decoder, texts, context, attended):
    """Log-probabilities of each next token, (B, T - 1, V), from stepping."""
    state, found = decoder.start(context, attended), []
    for tokens in texts[:, :-1].T:
        logits, state = decoder.step(tokens, state)
        found.append(logits)
    assert state.position == texts.shape[1] - 1
    return torch.stack(found, 1)


def test_stepping_equals_teacher_forcing(decoder):
    texts, context = ids(4, 0, 6), torch.randn(K, 3, H)
    found = decoder(context, memory()).token_log_probs(texts)
    targets = texts[:, 1:]
    for k in range(K):
        log_probs = stepped(decoder, texts, context[k], memory())
        torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(3, 7), **ROUNDING)
        each = log_probs.gather(-1, targets[:, :, None])[:, :, 0]
        torch.testing.assert_close(found[k], each * (targets != PAD), **ROUNDING)


def test_the_mixture_is_that_of_the_vocabulary_and_of_the_attention_to_equal_words():
    decoder, context, attended = make(), torch.randn(3, H), memory()
    tokens = torch.tensor([5, 6, 7])
    state = decoder.start(context, attended)
    states = decoder.run(tokens[:, None], state)[0][:, 0]
    gate = torch.sigmoid(decoder.gate(states))
    generated = F.softmax(decoder.logits(states), -1)
    keys = attended.states @ decoder.attention.key_value.weight[:6].T
    scores = (keys @ decoder.attention.query(states)[:, :, None])[..., 0] / 6**0.5
    words = (SOURCE > EOS).float()
    shares = scores.exp() * words / (scores.exp() * words).sum(1, keepdim=True)
    copied = (shares[:, :, None] * F.one_hot(SOURCE, VOCAB)).sum(1)
    expected = gate * generated + (1 - gate) * copied
    torch.testing.assert_close(decoder.step(tokens, state)[0].exp(), expected, **ROUNDING)
    assert (copied[:, [PAD, BOS, EOS]] == 0).all() and copied[0, 7] > shares[0, 1]


def test_a_row_is_the_same_alone_and_in_a_batch(decoder):
    texts, context = ids(4, 0, 6), torch.randn(K, 3, H)
    together = decoder(context, memory()).log_prob(texts)
    for row, length in ((0, 6), (1, 7), (2, 3)):
        rows = slice(row, row + 1)
        text = texts[row][texts[row] != PAD][None]
        alone = decoder(context[:, rows], memory(rows, length)).log_prob(text)
        torch.testing.assert_close(alone[:, 0], together[:, row], **ROUNDING)


def test_a_token_sees_only_those_before_it(decoder):
    text, context = ids(6), torch.randn(1, 1, H)
    one = memory(slice(1))
    before = decoder(context, one).token_log_probs(text)[0, 0]
    for position in range(1, 6):
        changed = text.clone()
        changed[0, position] = 3
        after = decoder(context, one).token_log_probs(changed)[0, 0]
        torch.testing.assert_close(after[: position - 1], before[: position - 1], **ROUNDING)
        assert (after[position:] - before[position:]).abs().max() > 1e-5


def test_a_beam_that_holds_every_text_finds_the_most_probable_one():
    decoder, context, attended = make(), torch.randn(3, H), memory()
    how = Decoding(max_new_tokens=2, num_beams=VOCAB)
    found, scores = best_of_beam(decoder, context, how, None, attended)
    pairs = [*itertools.product(range(3, VOCAB), range(2, VOCAB)), (EOS, PAD)]
    texts = torch.tensor([[BOS, *pair] for pair in pairs])
    for row in range(3):
        whole = memory(slice(row, row + 1)).repeat_interleave(len(texts))
        log_probs = stepped(decoder, texts, context[[row]].expand(len(texts), H), whole)
        # Generation excludes begin and padding.
        log_probs[..., [PAD, BOS]] = -torch.inf
        each = log_probs.log_softmax(-1).gather(-1, texts[:, 1:, None])[..., 0]
        total = each.masked_fill(texts[:, 1:] == PAD, 0.0).sum(-1)
        assert found[row, 0].tolist() == texts[total.argmax(), 1:].tolist()
        torch.testing.assert_close(scores[row, 0], total.max(), **ROUNDING)


def test_a_text_is_searched_for_and_drawn_the_same_alone_and_among_others():
    decoder, context, attended = make(), torch.randn(3, H), memory()
    how = Decoding(num_beams=3, max_new_tokens=9)
    together = beam_search(decoder, context, how, None, attended).tolist()
    greedy = generate(decoder, context, Decoding(max_new_tokens=9), None, attended).tolist()
    for row in range(3):
        whole = memory(slice(row, row + 1))
        (alone,) = beam_search(decoder, context[[row]], how, None, whole).tolist()
        assert alone == together[row][: len(alone)]
        (alone,) = generate(decoder, context[[row]], Decoding(max_new_tokens=9), None, whole)
        assert alone.tolist() == greedy[row][: len(alone)]
    drawn = generate(decoder, context, Decoding(do_sample=True), None, attended)
    assert len(drawn) == 3 and not (drawn == BOS).any()


def conditional(**changes):
    copy = {"name": "answer", "kind": "copy", "hidden": 6, "given": ["z"], "attend": "text"}
    return vae(
        [TEXT, {**TEXT, "name": "answer"}],
        [{**Z, "given": ["text", "answer"], "prior": {"given": ["text"]}}],
        [{**copy, **changes}],
        observed={"text": {}, "answer": {}},
    )


def test_every_parameter_of_a_model_learns():
    model = conditional().train()
    out = model.infer(2, text=SOURCE, answer=ids(4, 2, 5))
    (out.kl - out.total_log_likelihood).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
        assert parameter.grad.isfinite().all(), name


def test_a_copy_needs_something_to_copy_from():
    with pytest.raises(SpecError, match="a copy decoder points into an encoder's states: name it"):
        conditional(attend=None)


def test_log_probabilities_are_float32_under_bfloat16():
    decoder, texts, context = make(), ids(4, 0, 6), torch.randn(1, 3, H)
    expected = decoder(context, memory()).log_prob(texts)
    with torch.autocast("cpu", torch.bfloat16):
        found = decoder(context, memory()).log_prob(texts)
    assert found.dtype == torch.float32
    # bfloat16 keeps 8 bits: about 1 % of each of a few nats.
    torch.testing.assert_close(found, expected, atol=0.3, rtol=0.03)
