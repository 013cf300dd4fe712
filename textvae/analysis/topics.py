"""The topics of a trained topic model: words, shares, coherence, perplexity."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from textvae.api.sentence import SentenceVAE
from textvae.console import table
from textvae.data.tokenizers import decode_ids
from textvae.evaluation.likelihood import LikelihoodEstimate, likelihood
from textvae.evaluation.topics import bag_perplexity, npmi, topic_decoder, uniqueness


def analyse_topics(
    vae: SentenceVAE, texts: Sequence[str], words: int = 10, samples: int = 20, seed: int = 0
) -> dict[str, Any]:
    """Each topic's words, share and coherence, and the model's perplexity, as JSON.

    Args:
        vae: with one topic decoder.
        texts: held-out texts; their counts also define the coherence.
        words: number of words of each topic.
        samples: K of the importance-weighted bound.
        seed: of the samples.

    Raises:
        ValueError: the model has no topics, or no text.
    """
    decoder = topic_decoder(vae.model)
    ids = decoder.topic_words(words).cpu().numpy()
    sentences = vae.sentences(texts)
    rows = [sentences[index] for index in range(len(sentences))]
    coherence = npmi(ids, rows)
    shares = vae.features(texts, "layers")[:, -decoder.features :].mean(0)
    topics = [
        {
            "topic": number,
            "share": float(shares[number]),
            "npmi": float(coherence[number]),
            "words": [decode_ids(vae.tokenizer, [word]) for word in ids[number]],
        }
        for number in np.argsort(-coherence).tolist()
    ]
    order, batches = zip(*sentences.in_length_order(), strict=True)
    estimate = in_order(likelihood(vae.model, batches, samples, seed), np.concatenate(order))
    return {
        "npmi": float(coherence.mean()),
        "uniqueness": uniqueness(ids),
        "perplexity": asdict(bag_perplexity(vae.model, estimate, rows)),
        "topics": topics,
    }


def in_order(estimate: LikelihoodEstimate, order: np.ndarray) -> LikelihoodEstimate:
    """The likelihood of texts whose n-th is the n-th of `order`, in the order of the texts."""
    inverse = torch.from_numpy(np.argsort(order))
    parts = (estimate.nll, estimate.elbo, estimate.reconstruction_loss, estimate.kl)
    return LikelihoodEstimate(*(part[inverse] for part in parts), samples=estimate.samples)


def topics_text(result: Mapping[str, Any]) -> str:
    """The topics as a table, most coherent first, with their metrics."""
    rows = [
        [t["topic"], f"{100 * t['share']:.1f}%", t["npmi"], " ".join(t["words"])]
        for t in result["topics"]
    ]
    p = result["perplexity"]
    lines = [
        table(rows, ["topic", "share", "NPMI", "words"]),
        f"mean NPMI {result['npmi']:.3f}, uniqueness {result['uniqueness']:.3f}, "
        f"in {p['texts']:,} held-out texts",
        f"perplexity {p['bound']:,.1f} (bound), {p['weighted']:,.1f} (importance-weighted, "
        f"{p['samples']} samples); unigram {p['unigram']:,.1f}; exp(nats / {p['words']:,} words, "
        f"ends of text not counted); mean over texts {p['bound_per_text']:,.1f} (bound)",
    ]
    return "\n".join(lines)
