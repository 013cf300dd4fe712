"""The span encoder: the states of a context at the words of a phrase."""

import pytest
import torch
from conftest import TEXT, VOCAB, Z, vae

from textvae.encoders import Encoder, Features
from textvae.registry import SpecError
from textvae.vocabulary import PAD

CONTEXT = torch.tensor([[1, 7, 5, 6, 9, 2, PAD], [1, 7, 5, 6, 9, 4, 2]])
PHRASE = torch.tensor([[1, 5, 6, 2], [1, 8, 2, PAD]])
SPAN = {"name": "phrase", "kind": "span", "field": "phrase", "given": ["context"]}


def features():
    states = torch.randn(2, 7, 3, requires_grad=True)
    return Features(torch.zeros(2, 3), states, CONTEXT != PAD, ids=CONTEXT)


def make():
    return Encoder.build({"kind": "span"}, vocab_size=VOCAB, given_features=[3])


def conditional(**changes):
    return vae(
        [{**TEXT, "name": "context"}, {**SPAN, **changes}, {**TEXT, "name": "definition"}],
        [{**Z, "given": ["phrase", "definition"], "prior": {"given": ["phrase"]}}],
        [{**TEXT, "name": "definition", "given": ["z"], "attend": "context"}],
        observed={"phrase": {}, "context": {}, "definition": {}},
    )


def test_states_inside_are_averaged_and_all_of_them_where_the_phrase_is_missing():
    given = features()
    found = make()(PHRASE, given).pooled
    torch.testing.assert_close(found[0], given.states[0, 2:4].mean(0))
    torch.testing.assert_close(found[1], given.states[1].mean(0))
    (grad,) = torch.autograd.grad(found.sum(), given.states)
    torch.testing.assert_close(grad[0, :, 0], torch.tensor([0, 0, 0.5, 0.5, 0, 0, 0]))
    torch.testing.assert_close(grad[1, :, 0], torch.full((7,), 1 / 7))


def test_padding_is_no_part_of_the_whole():
    given = features()
    found = make()(torch.tensor([[1, 8, 2], [1, 8, 2]]), given).pooled
    torch.testing.assert_close(found[0], given.states[0, :6].mean(0))


def test_a_row_is_the_same_alone_and_in_a_batch():
    given, encoder = features(), make()
    together = encoder(PHRASE, given).pooled
    for row, length in ((0, 6), (1, 7)):
        cut = slice(row, row + 1), slice(0, length)
        alone = Features(given.pooled[:1], given.states[cut], given.mask[cut], ids=CONTEXT[cut])
        phrase = PHRASE[row][PHRASE[row] != PAD][None]
        torch.testing.assert_close(encoder(phrase, alone).pooled[0], together[row])


def test_a_conditional_model_needs_the_context_and_the_phrase_and_every_part_learns():
    model = conditional().train()
    assert model.config.conditions() == ["context", "phrase"]
    fields = {"context": CONTEXT, "phrase": PHRASE, "definition": CONTEXT.flip(0)}
    out = model.infer(2, **fields)
    (out.kl - out.total_log_likelihood).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"given": []}, "given: a span encoder reads other encoders"),
        ({"given": ["context", "context"]}, "a span is of one encoder"),
        ({"given": ["nothing"]}, "unknown 'nothing'"),
        ({"field": "class"}, "the data has no field 'class'"),
    ],
)
def test_a_span_of_anything_else_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        conditional(**changes)


def test_a_span_names_its_field_and_an_encoder_of_token_ids():
    nameless = {key: value for key, value in SPAN.items() if key != "field"}
    for first, span, message in [
        ({**TEXT, "name": "context"}, nameless, "reads a text beside encoders: name it"),
        ({"name": "context", "kind": "label"}, SPAN, "must name an encoder of token ids"),
    ]:
        with pytest.raises(SpecError, match=message):
            vae([first, span], [{**Z, "given": ["phrase"]}], [{**TEXT, "given": ["z"]}])
