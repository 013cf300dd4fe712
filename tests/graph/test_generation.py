"""Generation: what each way of choosing promises, against enumeration and counting."""

from itertools import product

import numpy as np
import pytest
import torch
from conftest import DECODERS, TEXT_DECODERS, VOCAB

from textvae.decoders import Decoder
from textvae.graph.decoding import Decoding
from textvae.graph.generation import beam_search, generate, permitted, warped
from textvae.vocabulary import BOS, EOS, PAD, UNK

H = 3
# A topic decoder has no order of words: its steps are tested beside its likelihood.
SPECS = {name: spec for name, spec in DECODERS.items() if name != "topics"}
KINDS = sorted(set(TEXT_DECODERS) - {"topics"})
WORDS = slice(EOS, None)
"""Tokens that a sentence may contain."""


def make(spec, vocab=VOCAB, scale=3.0):
    """A decoder with opinions, which differ between contexts."""
    decoder = Decoder.build(spec, vocab_size=vocab, features=H).eval()
    for name, parameter in decoder.named_parameters():
        if "norm" not in name:
            parameter.data.normal_(std=scale / spec["hidden"] ** 0.5)
    return decoder


def varied(decoder, context, decoding):
    """Sentences of several lengths: their end is made more likely until some end early."""
    bias = decoder.bias if decoder.output is None else decoder.output.bias
    for _ in range(200):
        tokens = generate(decoder, context, decoding)
        if len({len(row) for row in sentences(tokens)}) > 1:
            return tokens
        bias.data[EOS] += 0.1
    raise AssertionError("all sentences are of one length")


@pytest.fixture(params=SPECS.values(), ids=SPECS)
def decoder(request):
    return make(request.param)


@torch.no_grad()
def score(decoder, tokens, context, decoding=None):
    """log p of one generated sentence, nats, among the tokens that are permitted."""
    state, total, before = decoder.start(context[None]), 0.0, BOS
    for token in tokens.tolist():
        logits, state = decoder.step(torch.tensor([before]), state)
        total += permitted(logits, decoding or Decoding()).log_softmax(-1)[0, token].item()
        before = token
        if token == EOS:
            break
    return total


def sentences(tokens):
    """The tokens of each row up to its end of sentence."""
    rows = [row[: row.index(EOS) + 1] if EOS in row else row for row in tokens.tolist()]
    for row, whole in zip(rows, tokens.tolist(), strict=True):
        assert all(token == PAD for token in whole[len(row) :])
    return rows


CHOICES = {
    "greedy": Decoding(max_new_tokens=20),
    "sampling": Decoding(do_sample=True, max_new_tokens=20),
    "hot": Decoding(do_sample=True, temperature=5.0, max_new_tokens=20),
    "top k": Decoding(do_sample=True, top_k=3, max_new_tokens=20),
    "top p": Decoding(do_sample=True, top_p=0.7, temperature=2.0, max_new_tokens=20),
    "beams": Decoding(num_beams=4, max_new_tokens=20),
    "more beams than tokens": Decoding(num_beams=15, max_new_tokens=20),
    "without unknown": Decoding(
        do_sample=True, temperature=5.0, allow_unknown=False, max_new_tokens=20
    ),
    "beams without unknown": Decoding(num_beams=4, allow_unknown=False, max_new_tokens=20),
}


@pytest.mark.parametrize("decoding", CHOICES.values(), ids=CHOICES)
def test_a_sentence_is_words_an_end_and_padding(decoder, decoding):
    if decoder.output is not None:
        # What no sentence contains is what this decoder likes best.
        decoder.output.bias.data[[PAD, BOS, UNK]] += 6.0
    tokens = generate(decoder, torch.randn(30, H), decoding)
    assert tokens.shape[0] == 30 and tokens.dtype == torch.int64
    for row in sentences(tokens):
        assert PAD not in row and BOS not in row
        assert row[-1] == EOS or len(row) == decoding.max_new_tokens
        assert decoding.allow_unknown or UNK not in row
    if decoding.allow_unknown and decoder.output is not None:
        assert (tokens == UNK).any()
    # No column is padding alone; beams may give up a longer candidate late.
    assert decoding.num_beams > 1 or (tokens[:, -1] != PAD).any()


def test_greedy_takes_the_most_probable_token_each_time(decoder):
    context = torch.randn(20, H)
    for row, tokens in enumerate(
        sentences(generate(decoder, context, Decoding(max_new_tokens=15)))
    ):
        texts = torch.tensor([[BOS, *tokens]])
        states = decoder.hidden(texts[:, :-1], context[row : row + 1])
        assert decoder.logits(states)[0, :, WORDS].argmax(-1).add(EOS).tolist() == tokens


def test_greedy_is_what_is_done_when_nothing_is_said(decoder):
    context = torch.randn(5, H)
    assert torch.equal(generate(decoder, context), generate(decoder, context, Decoding()))


@pytest.mark.parametrize("beams", [1, 3])
def test_a_sentence_does_not_depend_on_its_company(decoder, beams):
    decoding = Decoding(num_beams=beams, max_new_tokens=15)
    context = torch.randn(12, H)
    together = sentences(varied(decoder, context, decoding))
    alone = [sentences(generate(decoder, row[None], decoding))[0] for row in context]
    assert alone == together
    order = torch.randperm(12)
    shuffled = sentences(generate(decoder, context[order], decoding))
    assert shuffled == [together[row] for row in order]


@pytest.fixture
def rows(decoder, monkeypatch):
    """How many rows each step of the decoder had."""
    counts, step = [], decoder.step

    def counted(tokens, state):
        counts.append(len(tokens))
        return step(tokens, state)

    monkeypatch.setattr(decoder, "step", counted)
    return counts


def test_finished_sentences_leave_the_batch(decoder, rows):
    context, decoding = torch.randn(20, H), Decoding(max_new_tokens=15)
    expected = varied(decoder, context, decoding)
    rows.clear()
    tokens = generate(decoder, context, decoding)
    assert torch.equal(tokens, expected)
    lengths = torch.tensor([len(row) for row in sentences(tokens)])
    assert rows == [int((lengths > position).sum()) for position in range(tokens.shape[1])]
    assert rows[-1] < rows[0] == 20


def test_finished_searches_leave_the_batch(decoder, rows):
    context, decoding = torch.randn(12, H), Decoding(num_beams=3, max_new_tokens=15)
    varied(decoder, context, decoding)
    # Sentences of several lengths may still all be decided late: ends come earlier.
    (decoder.bias if decoder.output is None else decoder.output.bias).data[EOS] += 1.0
    steps = []
    for row in context:
        rows.clear()
        generate(decoder, row[None], decoding)
        steps.append(len(rows))
    assert max(steps) > min(steps)
    rows.clear()
    generate(decoder, context, decoding)
    assert rows == [3 * sum(n > step for n in steps) for step in range(max(steps))]


def test_a_beam_of_one_is_greedy(decoder):
    context = torch.randn(20, H)
    greedy = generate(decoder, context, Decoding(max_new_tokens=15))
    assert torch.equal(
        beam_search(decoder, context, Decoding(num_beams=1, max_new_tokens=15)), greedy
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_beam_that_holds_every_prefix_finds_the_most_probable_sentence(kind):
    decoder = make({"kind": kind, "hidden": 8}, vocab=6, scale=1.5)
    decoding = Decoding(num_beams=40, max_new_tokens=3)
    words = [UNK, *range(UNK + 1, 6)]
    candidates = [[*before, EOS] for n in range(3) for before in product(words, repeat=n)]
    candidates += [list(whole) for whole in product(words, repeat=3)]
    for context in torch.randn(5, H):
        scores = [score(decoder, torch.tensor(c), context) for c in candidates]
        # Together they are all sentences there are.
        assert torch.tensor(scores).exp().sum().item() == pytest.approx(1.0, abs=1e-4)
        best = candidates[max(range(len(scores)), key=scores.__getitem__)]
        assert sentences(generate(decoder, context[None], decoding)) == [best]


@pytest.mark.parametrize("kind", KINDS)
def test_beams_answer_nothing_less_probable_than_greedy(kind):
    # No law of beam search, but true of decoders as smooth as these.
    gains = []
    for seed in range(4):
        torch.manual_seed(seed)
        decoder = make({"kind": kind, "hidden": 8}, scale=1.0)
        context = torch.randn(10, H)
        one, many = (
            generate(decoder, context, Decoding(num_beams=w, max_new_tokens=8)) for w in (1, 8)
        )
        gains += [
            score(decoder, beam, given) - score(decoder, greedy, given)
            for greedy, beam, given in zip(one, many, context, strict=True)
        ]
    # Scores are sums of float32 logarithms.
    assert min(gains) > -1e-4
    assert sum(gain > 0.01 for gain in gains) > 5


def drawn(decoding, count=20_000, softmax=None):
    """Frequencies of the first token, (V,), and its logits in the model, (V,)."""
    decoder = make(DECODERS["lstm"] | (softmax or {}), scale=2.0)
    context = torch.randn(1, H)
    logits, _ = decoder.step(torch.tensor([BOS]), decoder.start(context))
    tokens = generate(decoder, context.expand(count, H), decoding)[:, 0]
    return tokens.bincount(minlength=VOCAB) / count, permitted(logits, decoding)[0].detach()


def assert_frequencies(found, expected, count=20_000):
    """Each within five standard deviations of a binomial; impossible tokens never."""
    assert (found[expected == 0] == 0).all()
    slack = 5 * (expected * (1 - expected) / count).sqrt() + 1e-9
    assert ((found - expected).abs() <= slack).all()


SOFTMAXES = {
    "plain": {},
    "tied": {"tied": True},
    "adaptive": {"cutoffs": [5, 7]},
    "adaptive, special tokens among the rare ones": {"cutoffs": [2, 7]},
    "mixture": {"mixtures": 2},
}


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("unknown", [True, False])
@pytest.mark.parametrize("softmax", SOFTMAXES.values(), ids=SOFTMAXES)
def test_samples_have_the_frequencies_of_every_softmax(softmax, unknown, temperature):
    decoding = Decoding(
        do_sample=True, temperature=temperature, allow_unknown=unknown, max_new_tokens=1
    )
    found, logits = drawn(decoding, softmax=softmax)
    assert_frequencies(found, (logits / temperature).softmax(-1))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_samples_have_the_model_s_frequencies(temperature):
    found, logits = drawn(Decoding(do_sample=True, temperature=temperature, max_new_tokens=1))
    assert_frequencies(found, (logits / temperature).softmax(-1))


def test_later_tokens_have_the_model_s_frequencies_too():
    decoder = make(DECODERS["lstm"], scale=2.0)
    context = torch.randn(1, H)
    tokens = generate(
        decoder, context.expand(40_000, H), Decoding(do_sample=True, max_new_tokens=2)
    )
    first = tokens[:, 0].bincount(minlength=VOCAB)
    first[EOS] = 0
    token = first.argmax()
    _, state = decoder.step(torch.tensor([BOS]), decoder.start(context))
    logits, _ = decoder.step(token[None], state)
    second = tokens[tokens[:, 0] == token][:, 1]
    found = second.bincount(minlength=VOCAB) / len(second)
    expected = permitted(logits, Decoding())[0].softmax(-1).detach()
    assert_frequencies(found, expected, len(second))


@pytest.mark.parametrize("k", [1, 4, VOCAB, 10 * VOCAB])
def test_top_k_samples_among_the_k_most_probable(k):
    found, logits = drawn(Decoding(do_sample=True, top_k=k, max_new_tokens=1))
    kept = logits.argsort(descending=True)[:k]
    expected = torch.zeros(VOCAB)
    expected[kept] = logits[kept].softmax(-1)
    assert_frequencies(found, expected)


@pytest.mark.parametrize("p", [1e-6, 0.5, 0.9])
def test_top_p_samples_among_the_fewest_that_add_up_to_p(p):
    found, logits = drawn(Decoding(do_sample=True, top_p=p, max_new_tokens=1))
    probabilities, order = logits.softmax(-1).sort(descending=True)
    count = int((probabilities.cumsum(0) < p).sum()) + 1
    expected = torch.zeros(VOCAB)
    expected[order[:count]] = probabilities[:count] / probabilities[:count].sum()
    assert 1 <= count < VOCAB - 2
    assert_frequencies(found, expected)


def test_top_p_and_top_k_are_taken_after_the_temperature():
    p, temperature = 0.6, 3.0
    logits = torch.tensor([[4.0, 3.0, 2.0, 1.0, 0.0, -1.0]])
    hot = (logits / temperature).softmax(-1)
    count = int((hot.cumsum(-1) < p).sum()) + 1
    assert count > int((logits.softmax(-1).cumsum(-1) < p).sum()) + 1, "more words than when cold"
    found = warped(logits, Decoding(do_sample=True, top_p=p, temperature=temperature))
    expected = (logits / temperature).masked_fill(torch.arange(6) >= count, -torch.inf)
    torch.testing.assert_close(found, expected)
    # The top p are those of the words that the top k leaves.
    found = warped(logits, Decoding(do_sample=True, top_k=2, top_p=0.5, temperature=temperature))
    assert found.isfinite().sum() == 1


def test_samples_depend_on_the_random_state():
    decoder, decoding = make(DECODERS["lstm"]), Decoding(do_sample=True, temperature=3.0)
    context = torch.randn(10, H)
    first = generate(decoder, context, decoding)
    second = generate(decoder, context, decoding)
    assert first.shape != second.shape or not torch.equal(first, second)
    torch.manual_seed(1)
    first = generate(decoder, context, decoding)
    torch.manual_seed(1)
    assert torch.equal(generate(decoder, context, decoding), first)


def test_no_column_is_padding_alone():
    """A best candidate that has finished stands behind another one for a step or two."""
    for seed in range(30):
        torch.manual_seed(seed)
        decoder = make(DECODERS["lstm"])
        for parameter in decoder.parameters():
            parameter.data.mul_(3)
        ids = generate(decoder, torch.randn(1, H), Decoding(num_beams=3, max_new_tokens=20))
        assert ids.ne(PAD).any(0).all()


def test_generation_asks_for_no_gradient():
    assert not generate(make(DECODERS["lstm"]), torch.randn(2, H, requires_grad=True)).requires_grad


def test_no_context_is_no_sentence():
    for beams in (1, 3):
        assert (
            len(generate(make(DECODERS["lstm"]), torch.zeros(0, H), Decoding(num_beams=beams))) == 0
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, r"temperature must be from 0.001 to 100 \(got 0.0\)"),
        ({"temperature": float("nan")}, "temperature must be from 0.001 to 100"),
        ({"temperature": float("inf")}, "temperature must be from 0.001 to 100"),
        ({"top_k": -1}, "top_k must be 0"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1"),
        ({"num_beams": 0}, "num_beams must be from 1 to 1,000"),
        ({"max_new_tokens": 0}, "max_new_tokens must be from 1 to 100,000"),
        ({"do_sample": True, "num_beams": 2}, "not with sampling"),
        ({"temperature": 0.7}, "give do_sample=True"),
        ({"top_k": 3, "num_beams": 2}, "give do_sample=True"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Decoding(**settings)


def test_settings_may_be_numbers_of_any_library():
    own = Decoding(do_sample=True, temperature=2.0, top_k=3, top_p=0.5, max_new_tokens=4)
    numpy = Decoding(True, np.float32(2), np.int64(3), np.float32(0.5), max_new_tokens=4)
    decoder, context = make(DECODERS["lstm"]), torch.randn(3, H)
    drawn = []
    for decoding in (own, numpy):
        torch.manual_seed(0)
        drawn.append(generate(decoder, context, decoding))
    assert torch.equal(*drawn)
