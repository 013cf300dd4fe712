"""Reference likelihoods beside a model's own, from its training texts, cached."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from textvae.api.sentence import SentenceVAE, TextRows
from textvae.checkpoints import write_file
from textvae.data.batching import Sentences
from textvae.data.cache import encoded_sentences, stored
from textvae.data.fields import Fields
from textvae.data.tables import Table, TableCorpus
from textvae.data.texts import Texts, sha_of
from textvae.evaluation.likelihood import perplexity
from textvae.evaluation.ngrams import DISCOUNT
from textvae.evaluation.references import MOST_TOKENS, References, references
from textvae.training.folders import fingerprint, held_out_of, read_state
from textvae.training.run_data import corpus_of, text_data_config

REFERENCES = "references.json"

Note = Callable[[str], None]


def reference_metrics(
    vae: SentenceVAE,
    metrics: Mapping[str, Any],
    texts: Sequence[str],
    training: Texts | Sequence[str],
    max_tokens: float,
    note: Note,
) -> dict[str, Any]:
    """Metrics of a unigram and a 3-gram model on the texts that a model is evaluated on.

    Empty where the nll is of something else: bags of words, and autoencoders, which have none.

    Args:
        vae: the model, whose tokenizer the references use.
        metrics: of the model on the texts, as `SentenceVAE.evaluate` measures them.
        texts: held out.
        training: that the model was trained on.
        max_tokens: of a training text; longer ones are left out, as in training.
        note: receives a sentence for the user where there is no cache.
    """
    if not vae.ordered or metrics["deterministic"] or len(vae.model.main_decoders) > 1:
        return {}
    found = cached_references(vae, texts, training, max_tokens, note)
    unit = "word" if metrics["word_perplexity"] is not None else "character"
    perplexities = {
        f"{name}_{unit}_perplexity": perplexity(
            torch.tensor([nll * metrics["sentences"]]), metrics[f"{unit}s"]
        )
        for name, nll in (("unigram", found.unigram_nll), ("trigram", found.trigram_nll))
    }
    return {
        "unigram_nll": found.unigram_nll,
        "trigram_nll": found.trigram_nll,
        **perplexities,
        "reference_texts": found.texts,
        "training_texts": found.available,
    }


def cached_references(
    vae: SentenceVAE,
    texts: Sequence[str],
    training: Texts | Sequence[str],
    max_tokens: float,
    note: Note,
) -> References:
    """`references` of texts, or their cached values for equal arguments."""
    tokenizer = vae.tokenizer

    def write(folder: Path) -> None:
        counted = encoded_sentences(tokenizer, training, note, max_tokens)
        # No text has a begin or padding after its begin.
        found = references(counted, Sentences.encoded(tokenizer, texts), len(tokenizer) - 2)
        write_file(folder / REFERENCES, json.dumps(asdict(found)))

    def read(folder: Path) -> References:
        return References(**json.loads((folder / REFERENCES).read_text(encoding="utf-8")))

    shas = [sha_of(part).hexdigest() for part in (training, texts)]
    model = [tokenizer.backend_tokenizer.to_str(), max_tokens, MOST_TOKENS, DISCOUNT]
    return stored("references", [*shas, *model], write, read, note)


def run_references(
    run: str, vae: SentenceVAE, metrics: Mapping[str, Any], texts: TextRows, note: Note
) -> dict[str, Any]:
    """`reference_metrics` from the data of a run; empty, with a note, where that is not there.

    Args:
        run: folder of the model.
        vae: the model.
        metrics: of the model on the texts, as `SentenceVAE.evaluate` measures them.
        texts: held out from the run's data, or of another source.
        note: receives a sentence for the user.
    """
    if not vae.ordered or metrics["deterministic"] or len(vae.model.main_decoders) > 1:
        return {}
    try:
        config = text_data_config(run)
        corpus = corpus_of(config, held_out_of(Path(run)))
    except (ValueError, OSError) as error:
        note(f"no unigram and 3-gram nll: the training texts are not there: {error}")
        return {}
    if read_state(Path(run)).get("fingerprint") != fingerprint(corpus):
        note(f"no unigram and 3-gram nll: {corpus.source} has changed since the training")
        return {}
    training = corpus.train
    if isinstance(corpus, TableCorpus):
        target = vae.model.field_of(vae.target)
        training = corpus.train.columns[target]
        texts = texts[target] if isinstance(texts, Mapping) else texts
    assert not isinstance(training, Fields | Table) and not isinstance(texts, Mapping)
    return reference_metrics(vae, metrics, texts, training, config.max_tokens, note)
