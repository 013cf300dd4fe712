"""Topics: their words, coherence and uniqueness, and the perplexity of topic models."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from textvae.decoders.topics import TopicDecoder
from textvae.evaluation.likelihood import LikelihoodEstimate
from textvae.graph.model import VAE
from textvae.layers.noise import is_word


@dataclass(frozen=True)
class BagPerplexity:
    """exp(nats / words) of held-out bags of words, given how many words each has.

    Args:
        bound: from the ELBO, over all words, as topic models print it.
        weighted: from the importance-weighted nll, over all words.
        bound_per_text: exp of the mean over texts of each text's nats per word, from the ELBO.
        unigram: of the word frequencies of the training texts alone, over all words.
        words: the denominator: words of the texts in the vocabulary, without ends of text.
        texts: number of texts; those without a known word add nothing to the sums.
        samples: K of the importance-weighted bound.
    """

    bound: float
    weighted: float
    bound_per_text: float
    unigram: float
    words: int
    texts: int
    samples: int


def topic_decoder(model: VAE) -> TopicDecoder:
    """The decoder that has topics.

    Raises:
        ValueError: the model has none, or several.
    """
    topical = [d for d in model.decoders.values() if isinstance(d, TopicDecoder) and d.features]
    if len(topical) != 1:
        raise ValueError(
            f"the model needs one decoder of kind 'topics' (it has {len(topical)}), such as "
            "that of recipe gururangan2019_vampire"
        )
    return topical[0]


def npmi(topics: np.ndarray, texts: Iterable[np.ndarray]) -> np.ndarray:
    """Coherence of topics, (D,), -1 to 1: mean over pairs of a topic's words of their NPMI.

        NPMI(i, j) = log(p(i, j) / (p(i) p(j))) / -log p(i, j)

    with p the share of the texts that contain a word, or both; -1 for words that no text contains
    together, 0 for two that every text contains.

    Args:
        topics: ids of each topic's words, (D, W), W 2 or more.
        texts: token ids of each reference text.

    Raises:
        ValueError: topics of fewer than two words, or no text.

    Source: Lau et al. 2014, section 3, ACL anthology E14-1056; Bouma 2009.
    """
    if topics.ndim != 2 or topics.shape[1] < 2:
        raise ValueError(f"coherence needs topics of at least 2 words (got {topics.shape})")
    words, indices = np.unique(topics, return_inverse=True)
    rows = [np.isin(words, ids) for ids in texts]
    if not rows:
        raise ValueError("coherence needs reference texts (got none)")
    present = np.array(rows, dtype=np.float64)
    together = present.T @ present / len(present)
    alone = np.diag(together)
    with np.errstate(divide="ignore", invalid="ignore"):
        pointwise = np.log(together / np.outer(alone, alone))
        scores = np.where(together > 0, pointwise / -np.log(together), -1.0)
    scores = np.where(together >= 1.0, 0.0, scores)
    indices = indices.reshape(topics.shape)
    first, second = np.triu_indices(topics.shape[1], 1)
    return scores[indices[:, first], indices[:, second]].mean(1)


def uniqueness(topics: np.ndarray) -> float:
    """Mean of 1 / (number of topics with the word): 1 / D for equal topics, 1 for disjoint ones.

    Args:
        topics: ids of each topic's words, (D, W).

    Source: Nan et al. 2019, section 4.2, arXiv:1907.12374.
    """
    _, indices, counts = np.unique(topics, return_inverse=True, return_counts=True)
    return float((1 / counts[indices]).mean())


def bag_perplexity(
    model: VAE, estimate: LikelihoodEstimate, texts: Sequence[np.ndarray]
) -> BagPerplexity:
    """The perplexity of a topic model on held-out texts.

    Args:
        model: with one topic decoder.
        estimate: likelihood of the texts, in their order.
        texts: their token ids.

    Raises:
        ValueError: the model has no topics, or no text has a known word.
    """
    decoder = topic_decoder(model)
    bags = [ids[is_word(torch.from_numpy(ids)[None])[0].numpy()] for ids in texts]
    words = torch.tensor([len(bag) for bag in bags], dtype=torch.float64)
    total = int(words.sum())
    if not total:
        raise ValueError("no text has a word that the model knows")
    length = decoder.length_log_prob(words.to(decoder.end.device)).cpu().double()
    bound, nll = -estimate.elbo + length, estimate.nll + length
    nonempty = words > 0
    background = decoder.background.double().cpu()
    frequencies = sum(background[torch.from_numpy(bag)].sum().item() for bag in bags)
    return BagPerplexity(
        bound=math.exp(bound[nonempty].sum().item() / total),
        weighted=math.exp(nll[nonempty].sum().item() / total),
        bound_per_text=math.exp((bound[nonempty] / words[nonempty]).mean().item()),
        unigram=math.exp(-frequencies / total),
        words=total,
        texts=len(bags),
        samples=estimate.samples,
    )
