"""Evaluation of a text model on held-out texts: likelihood, perplexity, latents, labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from textvae.api.base import drawn_rows
from textvae.api.generation import (
    evaluate_answers,
    evaluate_generation,
    evaluate_parts,
    evaluate_rows,
    evaluate_trees,
)
from textvae.api.metrics import Metrics
from textvae.data.batching import Sentences
from textvae.data.labels import numbered
from textvae.data.python_texts import text_list
from textvae.data.texts import Texts
from textvae.data.tokenizers import tokenizer_kind
from textvae.data.words import count_characters, count_unknown, separated_by_blanks
from textvae.evaluation.answers import AnswerSets
from textvae.evaluation.generated_parts import GeneratedParts
from textvae.evaluation.generated_rows import GeneratedRows
from textvae.evaluation.labels import classification
from textvae.evaluation.likelihood import perplexity, prior_mean_losses
from textvae.evaluation.matching import Matching, match_rows
from textvae.evaluation.positions import (
    WORTHLESS,
    PositionLosses,
    first_token_share,
    shuffled_z_gap,
)
from textvae.evaluation.text import Generation
from textvae.evaluation.trees import Trees

if TYPE_CHECKING:
    from textvae.api.sentence import SentenceVAE, TextRows


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation(Metrics):
    """Metrics over held-out texts, each with its denominator.

    Args:
        word_perplexity: exp(nll of all texts / words); None where blanks separate no words.
        token_perplexity: exp(nll of all texts / tokens); depends on the tokenizer.
        prior_mean_perplexity: of a conditional model: exp(-log p(x | z) of all rows / words), or
            characters as above, z at the mean of each row's prior; no bound of its perplexity.
        shuffled_z_gap: increase in loss, nats per text, when z comes from another text, one sample
            of each; None for a single text and where texts have no order.
        first_token_share: share of the gap at the first token; None also below 0.1 nats.
        first_token_share_standard_error: over the texts, of a ratio of means.
        accuracy: share of labelled texts whose label is predicted; None without labels.
        macro_f1: mean of the classes' F1; None without labels.
        labelled: number of texts with a label.
        sentences: number of texts N.
        words: whitespace-separated words, one end of sentence for each text included.
        tokens: predicted tokens, ends of sentence included.
        unknown_tokens: how many of them are `<unk>`: the nll does not count which word each is.
        unknown_share: their share of the tokens, ends left out: of the words that a tokenizer of
            whole words does not know, each of which word perplexity counts as known.
        characters: of all texts, one end of sentence for each text included.
        character_perplexity: exp(nll of all texts / characters), in place of word perplexity where
            blanks separate no words, as in Chinese; else None.
        generation: metrics of generated text; None unless requested, and of a conditional model.
        answers: metrics of the texts that a conditional model writes; None unless requested.
        written: metrics of the rows with parts that a model writes; None unless requested.
        rows: metrics of the rows that a model of several fields writes without conditions; None
            unless requested.
        trees: metrics of each such field that holds trees in brackets, by its name; None without.
        matching: how well one text finds its partner; None for a model without two latents that
            can be matched.
    """

    word_perplexity: float | None
    token_perplexity: float
    sentences: int
    words: int
    tokens: int
    unknown_tokens: int = 0
    unknown_share: float = 0.0
    characters: int = 0
    character_perplexity: float | None = None
    prior_mean_perplexity: float | None = None
    shuffled_z_gap: float | None = None
    first_token_share: float | None = None
    first_token_share_standard_error: float | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    labelled: int = 0
    generation: Generation | None = None
    answers: AnswerSets | None = None
    rows: GeneratedRows | None = None
    matching: Matching | None = None
    written: GeneratedParts | None = None
    trees: dict[str, Trees] | None = None


def evaluate_texts(
    vae: "SentenceVAE",
    texts: "TextRows",
    samples: int,
    seed: int,
    generation: bool,
    training: Iterable[str] | None,
    labels: Sequence[str] | None,
    shuffled: tuple[PositionLosses, PositionLosses] | None,
) -> Evaluation:
    """`SentenceVAE.evaluate`, which has the arguments."""
    texts = vae.listed(texts)
    rows = vae.rows(texts)
    if training is not None and not isinstance(training, Texts | Mapping):
        training = text_list(training, "training", most=None)
    if labels is not None and not vae.predicts_labels:
        raise ValueError("the model was trained without labels")
    # Few texts and many samples at once: the encoder then runs once for many samples.
    max_tokens = 512 if samples > 8 else 4096
    metrics, estimate = vae.metrics(rows, samples, seed, max_tokens)
    if labels is not None:
        metrics |= label_metrics(vae, texts, labels)
    if vae.dim and len(rows) > 1 and vae.ordered and vae.writes_one_text:
        pair = shuffled or vae.positions_with_shuffled_latents(
            some_of(texts, len(rows), seed), seed
        )
        total = shuffled_z_gap(*pair).sum().item()
        share, error = first_token_share(*pair) if total >= WORTHLESS else (None, None)
        metrics |= {"shuffled_z_gap": total, "first_token_share": share}
        metrics |= {"first_token_share_standard_error": error}
    figures = text_metrics(vae, texts, vae.written_texts(rows), estimate.nll)
    if vae.conditions:
        losses = prior_mean_losses(vae.model, (b for _, b in rows.in_length_order(max_tokens)))
        units = figures["characters" if figures["word_perplexity"] is None else "words"]
        metrics["prior_mean_perplexity"] = perplexity(losses, units)
    metrics["matching"] = match_rows(vae.model, rows, seed)
    if generation and not isinstance(texts, Mapping):
        metrics["generation"] = evaluate_generation(vae, texts, training, seed=seed)
    if generation and isinstance(texts, Mapping):
        if parts_are_written(vae):
            metrics["written"] = evaluate_parts(vae, texts, seed=seed)
        if vae.conditions or vae.model.config.read_or_given:
            if len(vae.model.text_decoders) == 1:
                metrics["answers"] = evaluate_answers(vae, texts, seed=seed)
        elif not vae.has_parts:
            known = training_rows(vae, training)
            metrics["rows"] = evaluate_rows(vae, texts, known, seed=seed)
            metrics["trees"] = evaluate_trees(vae, texts, known, seed=seed)
    return Evaluation(**metrics, **figures)


def parts_are_written(vae: "SentenceVAE") -> bool:
    """Whether a text decoder writes the parts of rows."""
    plates = vae.model.config.plates
    return any(vae.model.field_of(name) in plates for name in vae.model.text_decoders)


def some_of(texts: "TextRows", count: int, seed: int) -> "TextRows":
    """The texts whose latents are compared with each other, of all fields."""
    return rows_at(texts, drawn_rows(count, seed).tolist())


def rows_at(texts: "TextRows", rows: Sequence[int]) -> "TextRows":
    """The texts at these numbers, of all fields."""
    if isinstance(texts, Mapping):
        columns: Mapping[str, Sequence[str]] = texts
        return {name: list[Any](cells[row] for row in rows) for name, cells in columns.items()}
    return [str(texts[row]) for row in rows]


def training_rows(
    vae: "SentenceVAE", training: Iterable[str] | None
) -> Mapping[str, Sequence[str]] | None:
    """The training rows of a model that reads several fields; None where they are not known.

    Raises:
        TypeError: they are no mapping of lists.
        ValueError: a field is missing.
    """
    if training is None:
        return None
    if not isinstance(training, Mapping):
        raise TypeError(f"training: give a mapping of fields: {', '.join(vae.fields)}")
    if missing := [field for field in vae.fields if field not in training]:
        raise ValueError(f"training: {missing[0]!r} is missing")
    return training


def label_metrics(vae: "SentenceVAE", texts: "TextRows", labels: Sequence[str]) -> dict[str, Any]:
    """The accuracy of the labels that a model predicts."""
    count = len(next(iter(texts.values())) if isinstance(texts, Mapping) else texts)
    if len(labels) != count:
        raise ValueError(f"one label for each of {count} texts (got {len(labels)})")
    numbers = torch.from_numpy(numbered(list(labels), vae.labels))
    return asdict(classification(torch.from_numpy(vae.classify(texts)), numbers))


def text_metrics(
    vae: "SentenceVAE", texts: "TextRows", written: Sequence[Sentences], nll: torch.Tensor
) -> dict[str, Any]:
    """Perplexities of the texts that a model writes, and their denominators.

    Args:
        vae: the model.
        texts: held out.
        written: those of them that the model writes, one for each decoder.
        nll: of each row, (N,), nats.
    """
    if isinstance(texts, Mapping):
        plates = vae.model.config.plates
        texts = [
            text
            for column in written
            for cell in texts[column.field]
            for text in (cell if column.field in plates else (cell,))
        ]
    # A bag counts the words that it keeps.
    in_words = tokenizer_kind(vae.tokenizer) == "bag" or separated_by_blanks(texts)
    characters = sum(map(count_characters, texts))
    words, tokens = (sum(getattr(c, n) for c in written) for n in ("words", "targets"))
    unknown = sum(map(count_unknown, written))
    return {
        "word_perplexity": perplexity(nll, words) if in_words else None,
        "character_perplexity": None if in_words else perplexity(nll, characters),
        "characters": characters,
        "unknown_tokens": unknown,
        "unknown_share": unknown / max(1, tokens - sum(map(len, written))),
        "token_perplexity": perplexity(nll, tokens),
        "sentences": len(nll),
        "words": words,
        "tokens": tokens,
    }
