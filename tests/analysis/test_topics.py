"""Topics: coherence, uniqueness and perplexity against counts by hand; the words that are shown."""

import math

import numpy as np
import pytest
import torch
from conftest import Z, vae
from support.models import texts

from textvae.analysis.topics import analyse_topics, topics_text
from textvae.api.sentence import SentenceVAE
from textvae.data.fields import Fields, Labels
from textvae.data.tokenizers import encode_texts, train_tokenizer
from textvae.evaluation.likelihood import likelihood
from textvae.evaluation.topics import bag_perplexity, npmi, topic_decoder, uniqueness
from textvae.training.validation import coherence


def topic_model(kind="dirichlet") -> SentenceVAE:
    torch.manual_seed(0)
    tokenizer = train_tokenizer("bag", texts(), 50)
    model = vae(
        [{"name": "text", "kind": "counts", "hidden": 6}],
        [{"name": "z", "kind": kind, "dim": 3, "given": ["text"]}],
        [{"name": "text", "kind": "topics", "given": ["z"]}],
        vocab_size=len(tokenizer),
    )
    topic_vae = SentenceVAE(model, tokenizer)
    counts = torch.from_numpy(topic_vae.sentences(texts()).counts(len(tokenizer)))
    topic_decoder(model).observe(counts, len(texts()))
    return topic_vae


def test_coherence_is_npmi_of_the_words_in_texts():
    reference = [np.array(t) for t in ([5, 6, 7], [5, 6, 6], [7, 8], [9])]
    topics = np.array([[5, 6], [5, 7], [5, 8]])
    # p(5) = p(6) = p(5, 6) = 1/2; p(7) = 1/2, p(5, 7) = 1/4 is chance; 5 and 8 never meet.
    assert npmi(topics, reference).tolist() == pytest.approx([1.0, 0.0, -1.0])
    three = npmi(np.array([[5, 6, 7]]), reference)
    assert three.tolist() == pytest.approx([1 / 3])


def test_words_of_every_text_and_of_none_have_a_coherence():
    reference = [np.array([5, 6]), np.array([5, 6])]
    assert npmi(np.array([[5, 6], [5, 9], [8, 9]]), reference).tolist() == [0.0, -1.0, -1.0]
    with pytest.raises(ValueError, match="reference texts"):
        npmi(np.array([[5, 6]]), [])
    with pytest.raises(ValueError, match="at least 2 words"):
        npmi(np.array([[5], [6]]), reference)


def test_uniqueness_is_one_of_disjoint_and_one_nth_of_equal_topics():
    assert uniqueness(np.array([[1, 2], [3, 4]])) == 1.0
    assert uniqueness(np.array([[1, 2], [1, 2], [1, 2]])) == pytest.approx(1 / 3)
    assert uniqueness(np.array([[1, 2], [1, 3]])) == pytest.approx(0.75)


def test_the_perplexity_of_a_model_that_ignores_its_topics_is_that_of_unigrams():
    topic_vae = topic_model()
    decoder = topic_decoder(topic_vae.model)
    with torch.no_grad():
        decoder.topics.weight.zero_()
        topic_vae.model.latents["z"].head.weight.zero_()
        topic_vae.model.latents["z"].head.bias.fill_(math.log(math.expm1(0.99)))  # Dir(1)
    ids = [np.array(row) for row in encode_texts(topic_vae.tokenizer, texts())]
    batch = topic_vae.sentences(texts()).collate(ids)
    found = bag_perplexity(topic_vae.model, likelihood(topic_vae.model, [batch], samples=3), ids)
    assert found.words == sum(len(row) - 2 for row in ids) and found.texts == 40
    assert found.samples == 3
    # The mask of specials takes three of the background's smoothed counts away.
    mass = 1 - 3 * decoder.background[0].exp().item()
    assert found.bound == pytest.approx(found.unigram * mass, rel=1e-4)
    assert found.weighted == pytest.approx(found.bound, rel=1e-4)
    total = sum(len(row) - 2 for row in ids)
    logs = sum(decoder.background[row[1:-1]].sum().item() for row in ids)
    assert found.unigram == pytest.approx(math.exp(-logs / total), rel=1e-5)


@pytest.mark.parametrize("kind", ["dirichlet", "logistic_normal"])
def test_topics_are_shown_with_their_words_and_coherence(kind):
    result = analyse_topics(topic_model(kind), texts(), words=3, samples=2)
    assert {t["topic"] for t in result["topics"]} == {0, 1, 2}
    assert sum(t["share"] for t in result["topics"]) == pytest.approx(1, abs=1e-5)
    known = {word for text in texts() for word in text.split()}
    assert all(len(t["words"]) == 3 and set(t["words"]) <= known for t in result["topics"])
    scores = [t["npmi"] for t in result["topics"]]
    assert scores == sorted(scores, reverse=True)
    text = topics_text(result)
    assert "unigram" in text and " ".join(result["topics"][0]["words"]) in text


def test_coherence_chooses_by_the_texts_whatever_stands_beside_them():
    judged = topic_model("dirichlet")
    sentences = judged.sentences(texts())
    labelled = Fields({"text": sentences, "label": Labels(np.zeros(len(sentences), np.int64), 2)})
    value = coherence(judged.model, sentences)
    decoder = topic_decoder(judged.model)
    ids = decoder.topic_words(min(10, decoder.words)).numpy()
    assert value == npmi(ids, [sentences[i] for i in range(len(sentences))]).mean()
    assert coherence(judged.model, labelled) == value
    del labelled.columns["text"]
    with pytest.raises(ValueError, match="coherence needs texts"):
        coherence(judged.model, labelled)


def test_a_model_without_topics_is_refused():
    model = vae(
        [{"name": "text", "kind": "bag"}], [Z], [{"name": "text", "kind": "bag", "given": ["z"]}]
    )
    with pytest.raises(ValueError, match="one decoder of kind 'topics'"):
        topic_decoder(model)


def test_layers_of_a_topic_model_are_its_hidden_layers_and_proportions():
    topic_vae = topic_model("logistic_normal")
    layers = topic_vae.features(texts(), "layers")
    assert topic_vae.feature_sizes("layers") == [6, 6, 3]
    assert np.array_equal(layers[:, 6:12], topic_vae.features(texts(), "hidden"))
    assert np.allclose(layers[:, 12:].sum(1), 1, atol=1e-5)
    theta = torch.softmax(torch.from_numpy(topic_vae.features(texts(), "mean")), -1)
    assert np.allclose(layers[:, 12:], theta, atol=1e-6)
