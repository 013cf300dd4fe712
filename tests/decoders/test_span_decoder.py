"""Pointers to the start and the end of a span."""

import pytest
import torch
from conftest import TEXT, VOCAB, Z, vae

from textvae.decoders import Decoder
from textvae.decoders.span import SpanDistribution
from textvae.layers.attention import Memory
from textvae.registry import SpecError
from textvae.vocabulary import PAD

H, M, K = 3, 5, 2
WHOLES = torch.tensor([[1, 7, 5, 6, 9, 2, PAD], [1, 7, 5, 6, 9, 4, 2]])
ANSWERS = torch.tensor([[1, 5, 6, 2], [1, 4, 2, PAD]])
SPAN = {"name": "answer", "kind": "span", "hidden": 6, "given": ["z"], "attend": "text"}


def make():
    return Decoder.build({"kind": "span", "hidden": 6}, vocab_size=VOCAB, features=H, memory=M)


def memory(rows=slice(None), length=7):
    torch.manual_seed(3)
    states = torch.randn(2, 7, M)
    cut = rows, slice(0, length)
    return Memory(states[cut], (WHOLES != PAD)[cut], WHOLES[cut])


def test_the_likelihood_is_that_of_the_start_and_of_the_end():
    decoder, context = make(), torch.randn(K, 2, H)
    found = decoder(context, memory())
    likelihood = found.log_prob(ANSWERS)
    keys = decoder.keys(memory().states).tanh()
    start, end = decoder.queries(context).chunk(2, -1)
    for k in range(K):
        for row, (first, last, words) in enumerate([(2, 3, 4), (5, 5, 5)]):
            inner = keys[row, 1 : words + 1]
            a, b = ((q[k, row] @ inner.T).log_softmax(-1) for q in (start, end))
            torch.testing.assert_close(likelihood[k, row], a[first - 1] + b[last - 1])


def test_pointers_add_up_to_one_over_the_words_alone():
    probs = make()(torch.randn(K, 2, H), memory()).log_probs.exp()
    torch.testing.assert_close(probs.sum(-1), torch.ones(K, 2, 2))
    ends = (WHOLES == 1) | (WHOLES == 2) | (WHOLES == PAD)
    assert (probs[:, ends[:, None].expand(2, 2, 7)] == 0).all()


def test_what_is_not_found_counts_nothing_and_teaches_nothing():
    decoder = make()
    answers = torch.tensor([[1, 6, 5, 2], [1, 4, 2, PAD]])
    likelihood = decoder(torch.randn(K, 2, H), memory()).log_prob(answers)
    assert (likelihood[:, 0] == 0).all() and (likelihood[:, 1] < 0).all()
    likelihood[:, 0].sum().backward()
    assert all(parameter.grad.abs().sum() == 0 for parameter in decoder.parameters())


def test_a_row_is_the_same_alone_and_in_a_batch():
    decoder, context = make(), torch.randn(K, 2, H)
    together = decoder(context, memory()).log_prob(ANSWERS)
    for row, length in ((0, 6), (1, 7)):
        rows = slice(row, row + 1)
        answer = ANSWERS[row][ANSWERS[row] != PAD][None]
        alone = decoder(context[:, rows], memory(rows, length)).log_prob(answer)
        torch.testing.assert_close(alone[:, 0], together[:, row])


def test_pairs_are_the_product_of_both_where_the_end_is_no_earlier():
    scores = torch.randn(1, 1, 2, 4)
    found = SpanDistribution(scores, torch.tensor([[4, 5, 6, 7]]))
    start, end = scores.softmax(-1)[0, 0]
    expected = torch.outer(start, end).triu()
    torch.testing.assert_close(found.pairs.view(4, 4), expected / expected.sum())
    assert found.ids_of(torch.tensor([1 * 4 + 2])) == [[5, 6]]


def conditional(**changes):
    observed = {"text": {}, "answer": {"within": "text"}}
    latent = {**Z, "prior": {"given": ["text"]}}
    return vae([TEXT], [latent], [{**SPAN, **changes}], observed=observed)


def test_every_parameter_of_a_model_learns():
    model = conditional().train()
    assert model.config.conditions() == ["text"] and model.text_decoders == []
    out = model.infer(2, text=WHOLES, answer=ANSWERS)
    (out.kl - out.total_log_likelihood).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attend": None}, "attend: a span decoder points into an encoder's states: name it"),
        ({"attend": "z"}, "attend: must name an encoder of token ids"),
        ({"name": "class"}, "the data has no field 'class'"),
    ],
)
def test_a_span_of_nothing_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        conditional(**changes)
