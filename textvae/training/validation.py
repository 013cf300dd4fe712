"""Metrics of held-out rows after each epoch; they choose the model that is kept."""

from textvae.data.batching import Examples, Sentences
from textvae.data.fields import sentences_of
from textvae.decoders.topics import TopicDecoder
from textvae.evaluation.label_sets import label_set_evaluation, predicted_set
from textvae.evaluation.labels import label_accuracy, labelled_latent
from textvae.evaluation.latent import (
    active_units,
    information,
    posterior_means,
)
from textvae.evaluation.likelihood import likelihood
from textvae.evaluation.matching import match_rows, paired_latents
from textvae.evaluation.topics import npmi, topic_decoder
from textvae.graph.model import VAE

TOPIC_WORDS = 10
"""Number of words of each topic in the coherence."""


def validate(
    model: VAE, sentences: Examples, samples: int, mutual: bool = False
) -> dict[str, float]:
    """Means over held-out rows: loss (negative ELBO), nll, reconstruction_loss, kl; active units.

    A model trained with labels adds accuracy: the share of rows whose predicted label is right.

    Args:
        model: is left in evaluation mode.
        sentences: held out, or images.
        samples: of each posterior.
        mutual: mutual information too, whose time is the square of the number of texts.
    """
    batches = [batch for _, batch in sentences.in_length_order()]
    estimate = likelihood(model, batches, samples=samples)
    metrics = {
        "loss": -estimate.elbo.mean().item(),
        "nll": estimate.nll.mean().item(),
        "reconstruction_loss": estimate.reconstruction_loss.mean().item(),
        "kl": estimate.kl.mean().item(),
    }
    if model.row_latents:
        metrics["active_units"] = float(active_units(posterior_means(model, estimate.features)))
        if mutual:
            rates = information(model, estimate.features, samples=1)
            metrics["mutual_information"] = rates.mutual_information
    if (accuracy := label_accuracy(model, batches)) is not None:
        metrics["accuracy"] = accuracy
    return metrics


def coherence(model: VAE, valid: Examples) -> float:
    """Mean NPMI of a model's topics, from word counts in held-out texts.

    Raises:
        ValueError: see `topics_and_texts`.
    """
    decoder, texts = topics_and_texts(model, valid)
    topics = decoder.topic_words(min(TOPIC_WORDS, decoder.words)).cpu().numpy()
    return float(npmi(topics, [texts[i] for i in range(len(texts))]).mean())


def topics_and_texts(model: VAE, valid: Examples) -> tuple[TopicDecoder, Sentences]:
    """The decoder whose topics are evaluated, and the texts to count words in.

    Raises:
        ValueError: the model has no topics, or there are no texts.
    """
    decoder, texts = topic_decoder(model), sentences_of(valid)
    if texts is None:
        raise ValueError("train.select: coherence needs texts")
    return decoder, texts


def mean_reciprocal_rank(model: VAE, valid: Examples) -> float:
    """The mean reciprocal rank of held-out partners, see `Matching`."""
    found = match_rows(model, valid)
    assert found is not None, "checked before training"
    return found.mrr


def label_set_f1(model: VAE, valid: Examples) -> float:
    """The micro-F1 of predicted sets of labels, at the threshold that is best for these rows."""
    found = label_set_evaluation(model, valid, valid)
    return found["label_sets"]["micro_f1"]


def has_labels(rows: Examples, field: str) -> bool:
    """Whether some of the rows have a label of this field."""
    column = getattr(rows, "columns", {}).get(field)
    column = getattr(column, "column", column)  # of parts of rows
    return column is not None and bool((column.values >= 0).any())


def check_selection(model: VAE, select: str, valid: Examples) -> None:
    """Refuse, before any training, a choice of the best model that validation cannot make.

    Raises:
        ValueError: a model without topics, labels or latents that can be matched, or held-out rows
            without texts or labels.
    """
    if select == "matching" and paired_latents(model.config) is None:
        raise ValueError(
            "train.select: matching needs two latents of one size, each read from one field"
        )
    predicts = predicted_set(model)
    if select == "micro_f1" and (predicts is None or not has_labels(valid, predicts[1])):
        raise ValueError("train.select: micro_f1 needs a model that predicts sets of labels")
    if select == "coherence":
        topics_and_texts(model, valid)
    latent_and_field = labelled_latent(model)
    if select == "accuracy" and (
        latent_and_field is None or not has_labels(valid, latent_and_field[1])
    ):
        raise ValueError("train.select: accuracy needs a latent that labels say, and labels")
