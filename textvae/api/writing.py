"""Texts and labels that are written from latents, under what a model is given."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from textvae.data.fields import Fields
from textvae.data.tokenizers import decode_ids, tokenizer_kind
from textvae.decoders.label import LabelDistribution
from textvae.decoders.text import TokenDecoder
from textvae.graph.decoding import Decoding
from textvae.graph.generation import drawn, generate

if TYPE_CHECKING:
    from textvae.api.sentence import SentenceVAE

ROWS = 256
"""Most sentences generated at once."""

Values = Mapping[str, Tensor]
"""Values of each latent by name, (1, N, D)."""


@torch.no_grad()
def written_ids(
    vae: "SentenceVAE",
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
    model = vae.model
    if tokenizer_kind(vae.tokenizer) != "word":
        # Subwords spell every word: no training text contains the unknown token.
        how = replace(how, allow_unknown=False)
    known = vae.known_words if how.known_words else None
    ids: list[list[int]] = []
    for start in range(0, count, ROWS):
        chosen = slice(start, min(start + ROWS, count))
        part = {name: value[:, chosen] for name, value in values.items()}
        features = model.encoder_features(batch_of(vae, given, chosen))
        context = model.contexts(part, features, chosen.stop - start, [decoder])[decoder]
        memory = model.memories(features, [decoder])[decoder]
        network = cast(TokenDecoder, model.decoders[decoder])
        ids += generate(network, context[0], how, known, *memory).tolist()
    return ids


@torch.no_grad()
def written_labels(
    vae: "SentenceVAE", decoder: str, values: Values, count: int, given: Fields | None, sample: bool
) -> list[int]:
    """The class that a label decoder gives N rows: drawn, or the most probable one."""
    model = vae.model
    features = model.encoder_features(batch_of(vae, given, slice(0, count)))
    likelihood = model.likelihoods(values, features, count, [decoder])[decoder]
    assert isinstance(likelihood, LabelDistribution), "a decoder of labels"
    chosen = drawn(likelihood.probabilities[0]) if sample else likelihood.mode[0]
    return chosen.tolist()


def batch_of(vae: "SentenceVAE", given: Fields | None, rows: slice) -> dict[str, Tensor]:
    """Some of the rows that are given, as a batch on the model's device; empty for none."""
    if given is None:
        return {}
    batch = given.collate([given[index] for index in range(rows.start, rows.stop)])
    return {name: value.to(vae.model.device) for name, value in batch.items()}


def written_rows(
    vae: "SentenceVAE", values: Values, count: int, given: Fields | None, how: Decoding
) -> list[dict[str, str]]:
    """What every main decoder writes for N rows, by field: texts, and names of classes."""
    columns: dict[str, Sequence[str]] = {}
    for name in vae.model.main_decoders:
        field = vae.model.field_of(name)
        if name in vae.model.text_decoders:
            ids = written_ids(vae, name, values, count, given, how)
            columns[field] = [decode_ids(vae.tokenizer, row) for row in ids]
        else:
            names = vae.class_names(field)
            labels = written_labels(vae, name, values, count, given, how.do_sample)
            columns[field] = [names[number] for number in labels]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
