"""Texts, spans and labels that are written from latents, under what a model is given."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from textvae.data.fields import Fields
from textvae.data.tokenizers import decode_ids, tokenizer_kind
from textvae.decoders.label import LabelDistribution
from textvae.decoders.span import SpanDecoder, SpanDistribution
from textvae.decoders.text import TokenDecoder
from textvae.encoders import Features
from textvae.families import Family
from textvae.graph.config import Node
from textvae.graph.decoding import Decoding
from textvae.graph.generation import best_of_beam, drawn, generate
from textvae.graph.model import VAE
from textvae.randomness import draws

if TYPE_CHECKING:
    from textvae.api.base import TrainedVAE
    from textvae.api.rows import Given
    from textvae.api.text_writer import TextWriter

ROWS = 256
"""Most sentences generated at once."""

SPAN_ROWS = 32
"""Most texts whose pairs of start and end are listed at once: L^2 of each."""

ROUNDS = 10
"""Most times that as many rows are drawn as are asked for, to find different ones."""

Values = Mapping[str, Tensor]
"""Values of each latent by name, (1, N, D)."""


@torch.no_grad()
def written_ids(
    vae: "TextWriter",
    decoder: str,
    values: Values,
    count: int,
    given: Fields | None,
    how: Decoding,
) -> list[list[int]]:
    """Token ids that a text decoder writes for N rows, end of sentence and padding included.

    Args:
        vae: the model.
        decoder: its name.
        values: of the latents.
        count: N.
        given: the conditions of each row; None for a model without.
        how: to choose tokens.
    """
    ids: list[list[int]] = []
    for start in range(0, count, ROWS):
        chosen = slice(start, min(start + ROWS, count))
        part = {name: value[:, chosen] for name, value in values.items()}
        features = vae.model.encoder_features(batch_of(vae, given, chosen))
        ids += generated_ids(vae, decoder, part, features, chosen.stop - start, how)
    return ids


def generated_ids(
    vae: "TextWriter",
    decoder: str,
    values: Values,
    features: Mapping[str, Features],
    count: int,
    how: Decoding,
) -> list[list[int]]:
    """`written_ids` of all rows at once, of encoders that have read what is given."""
    if tokenizer_kind(vae.tokenizer) != "word":
        # Subwords spell every word: no training text contains the unknown token.
        how = replace(how, allow_unknown=False)
    known = vae.known_words if how.known_words else None
    context, memory = vae.model.writing(decoder, values, features, count)
    network = cast(TokenDecoder, vae.model.decoders[decoder])
    return generate(network, context, how, known, memory).tolist()


@torch.no_grad()
def likeliest(
    vae: "TextWriter", given: Fields | None, count: int, how: Decoding
) -> list[list[tuple[str, float]]]:
    """The best texts of a beam at the mean of the prior, with their -log p(x | z), nats.

    Args:
        vae: the model.
        given: conditions, N of each field; None for a model without: then N is 1.
        count: texts for each of them, the width of the beam.
        how: to choose tokens; `<unk>` is none of them.
    """
    model, target = vae.model, vae.target
    how = replace(how, num_beams=count, allow_unknown=False)
    known = vae.known_words if how.known_words else None
    network = cast(TokenDecoder, model.decoders[target])
    total, found = 1 if given is None else len(given), list[list[tuple[str, float]]]()
    for start in range(0, total, max(1, ROWS // count)):
        chosen = slice(start, min(start + max(1, ROWS // count), total))
        size, fields = chosen.stop - start, batch_of(vae, given, chosen)
        features = model.encoder_features(fields)
        values = latent_values(vae, given, features, size, use_mean=True)
        context, memory = model.writing(target, values, features, size)
        ids, scores = best_of_beam(network, context, how, known, memory)
        for rows, each in zip(ids.tolist(), scores.tolist(), strict=True):
            # A beam that is wider than there are texts has impossible candidates.
            pairs = [(r, s) for r, s in zip(rows, each, strict=True) if s > -math.inf]
            found.append([(decode_ids(vae.tokenizer, row), -score) for row, score in pairs])
    return found


@torch.no_grad()
def written_labels(
    vae: "TextWriter", decoder: str, values: Values, count: int, given: Fields | None, sample: bool
) -> list[int]:
    """The class that a label decoder gives N rows: drawn, or the most probable one."""
    model = vae.model
    features = model.encoder_features(batch_of(vae, given, slice(0, count)))
    likelihood = model.likelihoods(values, features, count, [decoder])[decoder]
    assert isinstance(likelihood, LabelDistribution), "a decoder of labels"
    chosen = drawn(likelihood.probabilities[0]) if sample else likelihood.mode[0]
    return chosen.tolist()


@torch.no_grad()
def written_spans(
    vae: "TextWriter", decoder: str, values: Values, count: int, given: Fields | None, sample: bool
) -> list[list[int]]:
    """Token ids of the span that a decoder points to for N rows: drawn, or the most probable."""
    model, ids = vae.model, list[list[int]]()
    for start in range(0, count, SPAN_ROWS):
        chosen = slice(start, min(start + SPAN_ROWS, count))
        part = {name: value[:, chosen] for name, value in values.items()}
        features = model.encoder_features(batch_of(vae, given, chosen))
        likelihood = model.likelihoods(part, features, chosen.stop - start, [decoder])[decoder]
        assert isinstance(likelihood, SpanDistribution), "a decoder of spans"
        pairs = likelihood.pairs[0]
        ids += likelihood.ids_of(drawn(pairs) if sample else pairs.argmax(-1))
    return ids


def latent_values(
    vae: "TrainedVAE",
    given: Fields | None,
    features: Mapping[str, Features],
    count: int,
    known: Values | None = None,
    use_mean: bool = False,
) -> dict[str, Tensor]:
    """`VAE.prior_values`, but of latents whose posteriors read given fields, from these.

    Args:
        vae: the model.
        given: the fields of rows that are there, see `VAEConfig.comes_from_posterior`.
        features: of the encoders that read them.
        count: of each latent, number of rows.
        known: values of some latents, (1, count, D).
        use_mean: point estimates in place of samples.
    """
    model, values = vae.model, dict(known or {})
    fields = frozenset(() if given is None else given.columns)
    for node in model.config.nodes("latents"):
        name = node["name"]
        if name in values:
            continue
        if model.config.comes_from_posterior(name, fields):
            values[name] = posterior_value(model, node, features, values, count, use_mean)
        else:
            values[name] = model.prior_value(node, features, values, count, use_mean)
    return values


def posterior_value(
    model: VAE,
    node: Node,
    features: Mapping[str, Features],
    values: Values,
    count: int,
    use_mean: bool = False,
) -> Tensor:
    """A sample of one latent from its posterior, (1, count, D), given those before it."""
    posterior = model.posterior(node, features, values).expand((1, count))
    if use_mean:
        return cast(Family, model.latents[node["name"]]).point_estimate(posterior)
    with draws():
        return posterior.sample()


def batch_of(vae: "TrainedVAE", given: Fields | None, rows: slice) -> dict[str, Tensor]:
    """Some of the rows that are given, as a batch on the model's device; empty for none."""
    if given is None:
        return {}
    batch = given.collate([given[index] for index in range(rows.start, rows.stop)])
    return {name: value.to(vae.model.device) for name, value in batch.items()}


def written_rows(
    vae: "TextWriter", values: Values, count: int, given: Fields | None, how: Decoding
) -> list[dict[str, str]]:
    """What every main decoder writes for N rows, by field: texts, spans, and names of classes."""
    columns: dict[str, Sequence[str]] = {}
    for name in vae.model.main_decoders:
        field = vae.model.field_of(name)
        if name in vae.model.text_decoders:
            ids = written_ids(vae, name, values, count, given, how)
            columns[field] = [decode_ids(vae.tokenizer, row) for row in ids]
        elif isinstance(vae.model.decoders[name], SpanDecoder):
            ids = written_spans(vae, name, values, count, given, how.do_sample)
            columns[field] = [decode_ids(vae.tokenizer, row).strip() for row in ids]
        else:
            names = vae.class_names(field)
            labels = written_labels(vae, name, values, count, given, how.do_sample)
            columns[field] = [names[number] for number in labels]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def different_rows(
    vae: "TextWriter",
    count: int,
    how: Decoding | None,
    given: "Given | None",
    label: str | None = None,
) -> list[list[dict[str, str]]]:
    """`SentenceVAE.different_rows`, drawn from the random state of the caller."""
    total = 1 if (rows := vae.given_conditions(given)) is None else len(rows)
    found: list[dict[tuple[str, ...], dict[str, str]]] = [{} for _ in range(total)]
    for _ in range(ROUNDS):
        short = [index for index, known in enumerate(found) if len(known) < count]
        if not short:
            break
        asked = {
            name: value if isinstance(value, str) else [value[index] for index in short]
            for name, value in (given or {}).items()
        }
        drawn_rows = vae.sample_rows(count, how, None, label, asked or None)
        for place, index in enumerate(short):
            for row in drawn_rows[place * count : (place + 1) * count]:
                if len(found[index]) < count:
                    found[index].setdefault(tuple(row.values()), row)
    return [list(known.values()) for known in found]
