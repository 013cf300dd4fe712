"""Topic decoders: word distributions with a background, in counts known by hand."""

import pytest
import torch
from conftest import VOCAB, ids

from textvae.decoders.topics import TopicDecoder
from textvae.vocabulary import BOS, EOS, PAD, UNK

# The same sums in another order: float32 rounding.
ROUNDING = {"atol": 1e-5, "rtol": 1e-5}
H, K = 3, 2


def topics(features=3) -> TopicDecoder:
    torch.manual_seed(0)
    decoder = TopicDecoder(VOCAB, features)
    counts = torch.arange(VOCAB) ** 2
    decoder.observe(counts, texts=7)
    return decoder


def test_a_unigram_model_of_topics_is_the_frequency_of_words_and_ends():
    decoder = topics(0)
    counts = (torch.arange(VOCAB) ** 2 + 1.0).index_fill(0, torch.tensor([PAD, BOS, EOS]), 1.0)
    words = counts.index_fill(0, torch.tensor([PAD, BOS, EOS]), 0.0)
    end = 7 / (7 + (torch.arange(VOCAB)[UNK:] ** 2).sum())
    expected = (1 - end) * words / words.sum()
    expected[EOS] = end
    found = decoder.token_logits(torch.zeros(1, 0))[0].exp()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(decoder.background.exp(), counts / counts.sum())


def test_the_length_of_a_text_adds_a_constant():
    decoder, context = topics().eval(), torch.softmax(torch.randn(1, 2, 3), -1)
    text = ids(4, 4)
    words = decoder.word_logits(context).index_fill(-1, torch.tensor([PAD, BOS, EOS]), -torch.inf)
    chosen = words.log_softmax(-1).gather(2, text[None, :, 1:-1]).sum(-1)
    length = decoder.length_log_prob(torch.tensor([4.0, 4.0]))
    torch.testing.assert_close(decoder(context).log_prob(text), chosen + length)


def test_batch_normalisation_leaves_the_background_in():
    decoder = topics().train()
    context = torch.softmax(torch.randn(1, 500, 3), -1)
    mean = decoder.word_logits(context).mean((0, 1))
    torch.testing.assert_close(mean, decoder.background, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="more than 1 value"):
        decoder.word_logits(context[:, :1])


def test_the_words_of_a_topic_are_those_it_makes_likelier():
    decoder = topics(2)
    with torch.no_grad():
        decoder.topics.weight.zero_()
        decoder.topics.weight[[5, 9], 0] = 30.0
        decoder.topics.weight[[7], 1] = 30.0
    assert set(decoder.topic_words(2)[0].tolist()) == {5, 9}
    assert decoder.topic_words(1)[1].tolist() == [7]
    assert decoder.topic_words(VOCAB - 4).sort().values[0].tolist() == list(range(4, VOCAB))
    with pytest.raises(ValueError, match=r"1 to 8 words .got 9"):
        decoder.topic_words(9)
    with pytest.raises(ValueError, match="no topics"):
        topics(0).topic_words(2)
