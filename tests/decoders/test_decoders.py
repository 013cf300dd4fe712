"""Decoders: the probability of a text, in one piece and token by token."""

from itertools import product

import pytest
import torch
from conftest import DECODERS, IMAGE_DECODERS, TEXT_DECODERS, VOCAB, ids
from torch.nn import functional as F

from textvae.decoders import Decoder
from textvae.decoders import text as text_decoders
from textvae.decoders.text import State
from textvae.layers import crossentropy
from textvae.layers.noise import drop_word_types, drop_words
from textvae.layers.recurrent import drop_features
from textvae.vocabulary import BOS, EOS, PAD, UNK

# The same sums in another order: float32 rounding.
ROUNDING = {"atol": 1e-5, "rtol": 1e-5}
H, K = 3, 2


READERS = [kind for kind in TEXT_DECODERS if Decoder.kinds[kind].ordered]
"""The kinds whose next token depends on those before it."""


ELSEWHERE = {"span", "copy", "label", "labels"}
"""Kinds that must attend, or write no text, and have a file of their own."""


def test_every_kind_has_a_row():
    rows = [*DECODERS.values(), *IMAGE_DECODERS.values()]
    assert {*ELSEWHERE, *(spec["kind"] for spec in rows)} == set(Decoder.kinds)


@pytest.fixture(params=DECODERS.values(), ids=DECODERS)
def spec(request):
    return request.param


@pytest.fixture(params=[0, H], ids=["alone", "given"])
def decoder(request, spec):
    return make(spec, request.param)


def make(spec, features=H):
    """A decoder with biases too, which may start at zero."""
    decoder = Decoder.build(spec, vocab_size=VOCAB, features=features).eval()
    for name, parameter in decoder.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
    return decoder


def contexts(decoder, *shape):
    return torch.randn(*shape, decoder.features)


def stepped(decoder, texts, context):
    """Log-probabilities of each next token, (B, T - 1, V), from stepping."""
    state, found = decoder.start(context), []
    for tokens in texts[:, :-1].T:
        logits, state = decoder.step(tokens, state)
        found.append(logits.log_softmax(-1))
    assert state.position == texts.shape[1] - 1
    return torch.stack(found, 1)


def test_stepping_equals_teacher_forcing(decoder):
    texts, context = ids(4, 0, 6), contexts(decoder, 3)
    forced = decoder.logits(decoder.hidden(texts[:, :-1], context)).log_softmax(-1)
    assert forced.shape == (3, 7, VOCAB)
    torch.testing.assert_close(stepped(decoder, texts, context), forced, **ROUNDING)


def test_the_likelihood_is_that_of_each_token_after_the_ones_before(decoder):
    texts, context = ids(4, 0, 6), contexts(decoder, K, 3)
    found = decoder(context).token_log_probs(texts)
    assert found.shape == (K, 3, 7) and found.dtype == torch.float32
    targets = texts[:, 1:]
    for k in range(K):
        each = stepped(decoder, texts, context[k]).gather(-1, targets[:, :, None])[:, :, 0]
        torch.testing.assert_close(found[k], each * (targets != PAD), **ROUNDING)
    assert torch.equal(decoder(context).log_prob(texts), found.sum(-1))


def test_more_padding_changes_nothing(decoder):
    texts, context = ids(4, 0, 6), contexts(decoder, K, 3)
    padded = torch.cat([texts, torch.full((3, 5), PAD)], 1)
    found, expected = (decoder(context).log_prob(t) for t in (padded, texts))
    torch.testing.assert_close(found, expected, **ROUNDING)
    assert torch.equal(decoder(context).token_log_probs(padded)[:, :, 7:], torch.zeros(K, 3, 5))


def test_a_text_is_the_same_alone_and_among_longer_ones(decoder):
    texts, context = ids(4, 0, 6), contexts(decoder, K, 3)
    together = decoder(context).log_prob(texts)
    for row, text in enumerate(texts):
        alone = decoder(context[:, row : row + 1]).log_prob(text[text != PAD][None])
        torch.testing.assert_close(together[:, row : row + 1], alone, **ROUNDING)


def test_a_token_does_not_see_itself_nor_later_ones(decoder):
    text, context = ids(6), contexts(decoder, 1, 1)
    for position in range(1, 7):
        changed = text.clone()
        changed[0, position] = UNK
        before, after = (decoder(context).token_log_probs(t)[0, 0] for t in (text, changed))
        torch.testing.assert_close(after[: position - 1], before[: position - 1], **ROUNDING)
        if decoder.word_dropout < 1 and position < 6:
            assert (after[position:] - before[position:]).abs().max() > 1e-4


def test_the_context_matters_at_every_token(spec):
    decoder = make(spec)
    text = ids(5)
    first, second = decoder(contexts(decoder, 2, 1)).token_log_probs(text)
    # Texts of topics end at a rate of their own.
    words = slice(None, -1 if spec["kind"] == "topics" else None)
    assert ((first - second)[..., words].abs() > 1e-5).all()


def test_selected_rows_continue_as_if_they_had_been_alone(decoder):
    texts, context = ids(5, 5, 5, 5), contexts(decoder, 4)
    rows = torch.tensor([2, 0, 2])
    state, chosen = decoder.start(context), decoder.start(context[rows])
    for position in range(3):
        _, state = decoder.step(texts[:, position], state)
        _, chosen = decoder.step(texts[rows, position], chosen)
    state = state.select(rows)
    for position in range(3, 6):
        found, state = decoder.step(texts[rows, position], state)
        expected, chosen = decoder.step(texts[rows, position], chosen)
        torch.testing.assert_close(found, expected, **ROUNDING)


def test_select_reorders_every_tensor_and_keeps_the_position():
    state = State((torch.arange(4), torch.arange(8).view(4, 2)), 3)
    chosen = state.select(torch.tensor([3, 1]))
    assert chosen.position == 3
    assert chosen.memory[0].tolist() == [3, 1]
    assert chosen.memory[1].tolist() == [[6, 7], [2, 3]]


def test_every_parameter_learns(decoder):
    decoder(contexts(decoder, K, 3)).log_prob(ids(4, 0, 6)).sum().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_tied_or_not(spec):
    decoder = make(spec)
    names = dict(decoder.named_parameters())
    if spec["kind"] == "topics":
        assert set(names) == {"topics.weight", "correction"}  # no projection of states
        return
    assert ("output.weight" in names) != spec.get("tied", False)
    states = torch.randn(2, spec["hidden"])
    if spec.get("tied") and decoder.mixture is None and decoder.adaptive is None:
        # Whatever is as wide as an embedding is projected with it.
        narrow = states if decoder.narrow is None else decoder.narrow(states)
        expected = narrow @ decoder.embedding.weight.T + decoder.bias
        torch.testing.assert_close(decoder.logits(states), expected)


def test_one_matrix_for_both_ends_of_another_size_than_the_states():
    decoder = make({"kind": "lstm", "hidden": 6, "embedding": 5, "tied": True})
    assert decoder.narrow.weight.shape == (5, 6) and decoder.output is None
    wide = make({"kind": "lstm", "hidden": 6, "embedding": 5})
    assert wide.narrow is None and wide.output.weight.shape == (VOCAB, 6)


@pytest.mark.parametrize("tied", [False, True])
def test_a_mixture_is_a_weighted_sum_of_softmaxes(tied):
    decoder = make({"kind": "lstm", "hidden": 6, "embedding": 5, "tied": tied, "mixtures": 3})
    mixture, (weight, bias) = decoder.mixture, decoder.projection
    states, targets = torch.randn(4, 6), torch.tensor([5, 1, 7, 5])
    share = F.softmax(F.linear(states, mixture.weights.weight, mixture.weights.bias), -1)
    expected = torch.zeros(4, VOCAB)
    for c in range(3):
        rows = slice(5 * c, 5 * (c + 1))
        part = F.linear(states, mixture.states.weight[rows], mixture.states.bias[rows]).tanh()
        expected += share[:, c, None] * F.softmax(F.linear(part, weight, bias), -1)
    torch.testing.assert_close(decoder.logits(states).exp(), expected)
    losses = decoder.cross_entropy(states, targets)
    torch.testing.assert_close(losses, -expected[range(4), targets].log())
    parameters = [*decoder.mixture.parameters(), weight]
    ours = torch.autograd.grad(losses.sum(), parameters)
    through_all = F.nll_loss(decoder.logits(states), targets, reduction="sum")
    for one, other in zip(ours, torch.autograd.grad(through_all, parameters), strict=True):
        torch.testing.assert_close(one, other, **ROUNDING)


@pytest.mark.parametrize("tied", [False, True])
def test_an_adaptive_softmax_gives_rare_words_their_share_of_a_cluster(tied):
    decoder = make({"kind": "lstm", "hidden": 6, "tied": tied, "cutoffs": [4, 7, 100]})
    adaptive, (weight, bias) = decoder.adaptive, decoder.projection
    with torch.no_grad():
        bias.normal_()
    states, targets = torch.randn(7, 6), torch.tensor([3, 4, 6, 7, VOCAB - 1, 0, 4])
    scores = F.linear(states, weight, bias).exp()
    clusters = F.linear(states, adaptive.scores.weight, adaptive.scores.bias).exp()
    assert clusters.shape == (7, 2), "a cutoff beyond the vocabulary makes no cluster"
    total = scores[:, :4].sum(1) + clusters.sum(1)
    expected = scores.clone()
    for number, rows in enumerate((slice(4, 7), slice(7, VOCAB))):
        expected[:, rows] *= clusters[:, number, None] / scores[:, rows].sum(1, keepdim=True)
    expected /= total[:, None]
    torch.testing.assert_close(expected.sum(1), torch.ones(7))
    torch.testing.assert_close(decoder.logits(states).exp(), expected)
    losses = decoder.cross_entropy(states, targets)
    torch.testing.assert_close(losses, -expected[range(7), targets].log())
    parameters = [*adaptive.parameters(), weight, bias]
    ours = torch.autograd.grad(losses.sum(), parameters)
    through_all = F.nll_loss(decoder.logits(states), targets, reduction="sum")
    for one, other in zip(ours, torch.autograd.grad(through_all, parameters), strict=True):
        torch.testing.assert_close(one, other, **ROUNDING)


def test_an_adaptive_softmax_of_frequent_words_projects_to_the_head_alone(monkeypatch):
    seen, project = [], crossentropy.project
    monkeypatch.setattr(
        crossentropy, "project", lambda *given: seen.append(project(*given)) or seen[-1]
    )
    decoder = make({"kind": "lstm", "hidden": 6, "cutoffs": [4]})
    decoder.cross_entropy(torch.randn(9, 6), torch.tensor([1, 2, 3] * 3))
    assert [logits.shape for logits in seen] == [(5, 9), (VOCAB - 4, 0)]


def test_cutoffs_beyond_the_vocabulary_leave_a_plain_softmax():
    assert make({"kind": "lstm", "hidden": 6, "cutoffs": [VOCAB]}).adaptive is None


@pytest.mark.parametrize("every_step", [True, False])
def test_a_context_is_read_at_every_step_or_at_the_start_alone(every_step):
    decoder = make({"kind": "lstm", "hidden": 6, "every_step": every_step})
    tokens, begun = torch.tensor([4, 4]), decoder.start(contexts(decoder, 2))
    first, _ = decoder.step(tokens, begun)
    assert not torch.allclose(first[0], first[1]), "the start depends on the context"
    h, c, context = begun.memory
    same = State((h[[0, 0]], c[[0, 0]], context), begun.position)
    second, _ = decoder.step(tokens, same)
    assert torch.allclose(second[0], second[1]) != every_step


@pytest.mark.parametrize("cutoffs", [[5, 5], [7, 5]])
def test_cutoffs_rise(cutoffs):
    with pytest.raises(ValueError, match="cutoffs must rise"):
        make({"kind": "lstm", "hidden": 6, "cutoffs": cutoffs})


def test_cutoffs_and_mixtures_exclude_each_other():
    with pytest.raises(ValueError, match=r"cutoffs need mixtures: 1 \(got 2\)"):
        make({"kind": "lstm", "hidden": 6, "cutoffs": [5], "mixtures": 2})


def test_a_mixture_never_has_more_logits_than_a_chunk(monkeypatch):
    seen, project = [], crossentropy.project

    def counted(*given):
        seen.append(project(*given))
        return seen[-1]

    monkeypatch.setattr(crossentropy, "CHUNK", 60)
    monkeypatch.setattr(crossentropy, "project", counted)
    decoder = make({"kind": "lstm", "hidden": 6, "mixtures": 3})
    decoder(torch.randn(1, 2, H)).log_prob(ids(4, 6)).sum().backward()
    assert len(seen) > 2 and max(logits.numel() for logits in seen) <= 60


def test_locked_dropout_drops_the_same_features_at_every_token():
    states = torch.ones(20, 7, 50)
    dropped = drop_features(states, 0.4, True, locked=True)
    assert torch.equal(dropped, dropped[:, :1].expand_as(states))
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    # Five standard deviations of a binomial of 1000.
    assert (dropped[:, 0] == 0).float().mean() == pytest.approx(0.4, abs=0.08)
    assert not torch.equal(dropped[0], dropped[1]), "each text by itself"
    assert torch.equal(drop_features(states, 0.4, False, locked=True), states)
    loose = drop_features(states, 0.4, True, locked=False)
    assert not torch.equal(loose, loose[:, :1].expand_as(states))


def test_locked_dropout_is_at_all_three_places():
    """Embeddings, between layers, before the projection: constant along a text of one word."""
    decoder = make({"kind": "lstm", "hidden": 40, "layers": 2, "locked": True, "dropout": 0.5})
    decoder.train()
    text = torch.full((3, 6), 5)
    embedded = decoder.embed(text)
    assert torch.equal(embedded, embedded[:, :1].expand_as(embedded)) and (embedded == 0).any()
    states, _ = decoder.run(text, decoder.start(torch.randn(3, H)))
    zero = states == 0
    assert torch.equal(zero, zero[:, :1].expand_as(zero)) and 0.2 < zero.float().mean() < 0.8
    between = []
    decoder.lstm.layers[1].register_forward_pre_hook(lambda _, given: between.append(given[0] == 0))
    decoder.run(text, decoder.start(torch.randn(3, H)))
    (zero,) = between
    assert torch.equal(zero, zero[:, :1].expand_as(zero)) and 0.2 < zero.float().mean() < 0.8


def test_embedding_dropout_drops_words_wherever_they_stand():
    ones, texts = torch.ones(50, 20, 3), torch.randint(100, (50, 20))
    dropped = drop_word_types(ones, texts, 0.3, 100)
    gone = {int(word) for word in texts[dropped[..., 0] == 0]}
    assert 10 < len(gone) < 55
    for word in range(100):
        assert (dropped[texts == word] == (0.0 if word in gone else 1 / 0.7)).all()
    assert torch.equal(drop_word_types(ones, texts, 0.0, 100), ones)
    decoder = make({"kind": "lstm", "hidden": 6, "embedding_dropout": 0.5})
    text, context = ids(8), torch.randn(1, 1, H)
    assert torch.equal(decoder(context).log_prob(text), decoder(context).log_prob(text))
    decoder.train()
    assert len({decoder(context).log_prob(text).item() for _ in range(4)}) > 1


def test_layer_norm_is_of_what_each_layer_says():
    decoder = make({"kind": "lstm", "hidden": 6, "layers": 2, "layer_norm": True})
    for name, parameter in decoder.lstm.norms.named_parameters():
        torch.nn.init.constant_(parameter, float(name.endswith("weight")))
    states = decoder.hidden(ids(5)[:, :-1], torch.randn(1, H))
    torch.testing.assert_close(states.mean(-1), torch.zeros(1, 6), atol=1e-5, rtol=0)
    # The normaliser adds 1e-5 to a variance of about 0.05.
    torch.testing.assert_close(states.var(-1, correction=0), torch.ones(1, 6), atol=0.01, rtol=0)


def test_dropped_weights_are_the_same_at_every_token():
    decoder = make({"kind": "lstm", "hidden": 20, "weight_dropout": 0.4})
    plain = make({"kind": "lstm", "hidden": 20})
    texts, context = ids(6, 6), torch.randn(1, 2, H)
    quiet = decoder(context).log_prob(texts)
    assert torch.equal(decoder(context).log_prob(texts), quiet)
    decoder.train()
    said = decoder(context).log_prob(texts)
    said.sum().backward()
    assert not torch.equal(decoder(context).log_prob(texts), said)
    # What was dropped has no gradient: the same LSTM with those weights zero says the same.
    lstm = decoder.lstm.layers[0]
    kept = lstm.weight_hh_l0.grad != 0
    # Five standard deviations of a binomial of 1600.
    assert kept.float().mean() == pytest.approx(0.6, abs=0.07)
    plain.lstm.load_state_dict(lstm.state_dict())
    plain.lstm.weight_hh_l0.data *= kept / 0.6
    for part in ("embedding", "output", "initial"):
        getattr(plain, part).load_state_dict(getattr(decoder, part).state_dict())
    torch.testing.assert_close(plain(context).log_prob(texts), said, **ROUNDING)


def test_a_stack_without_norms_is_an_lstm_of_several_layers():
    plain, stack = (make({**DECODERS["lstm-locked"], "locked": locked}) for locked in (False, True))
    for layer in (0, 1):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            target = getattr(stack.lstm.layers[layer], f"{name}_l0")
            target.data.copy_(getattr(plain.lstm, f"{name}_l{layer}"))
    for part in ("embedding", "output", "initial"):
        getattr(stack, part).load_state_dict(getattr(plain, part).state_dict())
    texts, context = ids(4, 2), torch.randn(1, 2, H)
    torch.testing.assert_close(stack(context).log_prob(texts), plain(context).log_prob(texts))


def test_heads_must_share_the_width():
    with pytest.raises(ValueError, match=r"multiple of 2 \* heads \(got 8 and 3\)"):
        make({"kind": "transformer", "hidden": 8, "heads": 3})


@pytest.mark.parametrize(
    ("kind", "noise"),
    [
        *product(sorted(set(TEXT_DECODERS) - {"topics"}), ["dropout"]),
        *product(READERS, ["word_dropout"]),
    ],
)
def test_noise_differs_between_calls_and_is_absent_outside_training(kind, noise):
    decoder = make({"kind": kind, "hidden": 8, "dropout": 0.0, noise: 0.5})
    texts, context = ids(6, 6), contexts(decoder, 1, 2)
    quiet = decoder(context).log_prob(texts)
    assert torch.equal(decoder(context).log_prob(texts), quiet)
    decoder.train()
    first, second = (decoder(context).log_prob(texts) for _ in range(2))
    assert not torch.equal(first, second) and not torch.equal(first, quiet)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("training", [False, True])
def test_an_inputless_decoder_sees_no_word(kind, training):
    decoder = make({"kind": kind, "hidden": 8, "dropout": 0.0, "word_dropout": 1.0})
    decoder.train(training)
    texts, context = (
        torch.tensor([[BOS, 5, 6, 7, EOS], [BOS, 8, 9, 7, EOS]]),
        contexts(decoder, 1, 1),
    )
    # The third word is the same, so its probability is, whatever stood before.
    found = decoder(context.expand(1, 2, H)).token_log_probs(texts)[0, :, 2:]
    torch.testing.assert_close(found[0], found[1], **ROUNDING)


def test_words_are_dropped_at_the_rate_and_nothing_else_is():
    texts = ids(*[18] * 500)[:, :-1]
    for rate in (0.1, 0.38, 0.9):
        dropped = drop_words(texts, rate)
        changed = dropped != texts
        assert (dropped[changed] == UNK).all()
        assert torch.equal(dropped[:, 0], texts[:, 0])
        words = (texts > UNK).sum().item()
        # Five standard deviations of a binomial.
        slack = 5 * (words * rate * (1 - rate)) ** 0.5
        assert abs(changed.sum().item() - words * rate) < slack
        # Each word by itself: no column and no row goes as a whole.
        assert changed[:, 1:].any(0).all() and not changed[:, 1:].all(0).any()


@pytest.mark.parametrize("rate", [0.5, 1.0])
def test_begin_and_padding_are_never_dropped(rate):
    texts = ids(*range(20))
    dropped = drop_words(texts, rate)
    assert torch.equal(dropped == BOS, texts == BOS)
    assert torch.equal(dropped == PAD, texts == PAD)
    if rate == 1.0:
        assert (dropped[texts > UNK] == UNK).all()


def test_no_word_dropout_is_none_and_two_calls_differ():
    texts = ids(*[20] * 50)
    assert torch.equal(drop_words(texts, 0.0), texts)
    assert not torch.equal(drop_words(texts, 0.5), drop_words(texts, 0.5))


def test_a_nan_reaches_the_likelihood(spec):
    decoder = make(spec)
    context = torch.randn(1, 2, H)
    context[0, 0, 0] = torch.nan
    found = decoder(context).log_prob(ids(3, 3))
    assert found[0, 0].isnan() and found[0, 1].isfinite()


def test_log_probabilities_are_float32_under_bfloat16(decoder):
    texts, context = ids(5, 2), contexts(decoder, 1, 2)
    expected = decoder(context).log_prob(texts)
    with torch.autocast("cpu", torch.bfloat16):
        found = decoder(context).log_prob(texts)
        step, _ = decoder.step(texts[:, 0], decoder.start(context[0]))
    assert found.dtype == step.dtype == torch.float32
    # bfloat16 keeps 8 bits: about 1 % of each of a few nats.
    torch.testing.assert_close(found, expected, atol=0.2, rtol=0.02)


def test_lstm_context_is_the_first_state_and_part_of_every_input():
    decoder = make(DECODERS["lstm"])
    context = torch.randn(2, H)
    h, c, kept = decoder.start(context).memory
    torch.testing.assert_close(c[:, 0], decoder.initial(context))
    torch.testing.assert_close(h, c.tanh())
    assert torch.equal(kept, context)
    texts = ids(3, 3)[:, :-1]
    joined = torch.cat([decoder.embedding(texts), context[:, None].expand(2, 4, H)], -1)
    states, _ = decoder.lstm(joined, (h.transpose(0, 1), c.transpose(0, 1)))
    torch.testing.assert_close(decoder.hidden(texts, context), states)


def test_a_uniform_decoder_costs_log_v_per_token():
    decoder = make({"kind": "lstm", "hidden": 4}, 0)
    for parameter in decoder.parameters():
        torch.nn.init.zeros_(parameter)
    texts = ids(4, 0)
    expected = -torch.tensor([[5.0, 1.0]]) * torch.tensor(float(VOCAB)).log()
    torch.testing.assert_close(decoder(torch.zeros(1, 2, 0)).log_prob(texts), expected)
    assert F.softmax(decoder.step(texts[:, 0], decoder.start(torch.zeros(2, 0)))[0], -1).std() == 0


@pytest.mark.parametrize("every_step", [True, False])
@pytest.mark.parametrize("features", [0, H])
def test_words_multiplied_once_for_all_samples(monkeypatch, features, every_step):
    calls = []
    run = text_decoders.run_samples
    monkeypatch.setattr(text_decoders, "run_samples", lambda *given: calls.append(1) or run(*given))
    decoder = make(
        {"kind": "lstm", "hidden": 6, "embedding": 5, "every_step": every_step}, features
    )
    context, texts = contexts(decoder, 4, 3), ids(5, 3, 1)
    one_by_one = torch.cat([decoder(each[None]).token_log_probs(texts) for each in context])
    assert one_by_one.requires_grad and not calls
    with torch.no_grad():
        together = decoder(context).token_log_probs(texts)
        single = decoder(context[:1]).token_log_probs(texts)
    assert calls == [1], "for several samples alone"
    torch.testing.assert_close(together, one_by_one.detach(), **ROUNDING)
    torch.testing.assert_close(single, one_by_one[:1].detach(), **ROUNDING)
    decoder.train()
    with torch.no_grad():
        decoder(context).token_log_probs(texts)
    assert calls == [1], "dropout of words differs between samples"
