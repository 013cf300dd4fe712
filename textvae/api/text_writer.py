"""The part of a text model that writes: texts from latents, and what it must be given."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from textvae.api import control
from textvae.api.base import TrainedVAE, as_tensor
from textvae.api.code_texts import CodeRow, likeliest_codes
from textvae.api.parts import decoded_parts, sampled_parts, sampled_row_latents
from textvae.api.rows import Given, class_names_of, given_rows, model_fields
from textvae.api.writing import (
    batch_of,
    different_rows,
    latent_values,
    likeliest,
    written_ids,
    written_rows,
)
from textvae.control.plug_in import PlugIn
from textvae.data.fields import Fields
from textvae.data.known_words import KnownWords
from textvae.data.tokenizers import TextTokenizer, decode_ids, tokenizer_kind
from textvae.decoders.text import TokenDecoder
from textvae.evaluation.labels import labelled_latent
from textvae.graph.decoding import Decoding
from textvae.graph.model import VAE
from textvae.randomness import draws, seeded

TextRows = Sequence[str] | Mapping[str, Sequence[str]]
"""Texts, or a list of texts for each field of a model that reads several."""


class TextWriter(TrainedVAE):
    """A text model with its tokenizer, as far as it writes.

    Args:
        model: with a text decoder.
        tokenizer: of the training.
    """

    def __init__(self, model: VAE, tokenizer: TextTokenizer):
        super().__init__(model)
        self.tokenizer = tokenizer

    @property
    def decoder(self) -> TokenDecoder:
        """The text decoder; see `target`."""
        return cast(TokenDecoder, self.model.decoders[self.target])

    @property
    def target(self) -> str:
        """The name of the text decoder.

        Raises:
            ValueError: no text decoder, or several.
        """
        names = self.model.text_decoders
        if len(names) != 1:
            many = f": {', '.join(names)}; `sample_rows` samples all of them" if names else ""
            raise ValueError(f"one text decoder is needed (the model has {len(names)}{many})")
        return names[0]

    @property
    def conditions(self) -> list[str]:
        """The fields that must be given to sample or decode; empty for most models."""
        return self.model.config.conditions()

    @property
    def fields(self) -> list[str]:
        """The fields that the model reads and writes: `text`, or several."""
        return model_fields(self.model.config)

    @property
    def reads_rows(self) -> bool:
        """Whether texts are given by field, in place of one list."""
        return self.model.config.reads_rows

    @property
    def has_parts(self) -> bool:
        """Whether some field has several parts in a row, such as the turns of a dialogue."""
        return bool(self.model.config.plates)

    @property
    def writes_one_text(self) -> bool:
        """Whether a row has one text that the model writes, without parts."""
        return len(self.model.text_decoders) == 1 and not self.has_parts

    @cached_property
    def known_words(self) -> KnownWords | None:
        """The words that generated texts are held to; None where the model does not know them."""
        words = self.tokenizer.words
        return None if words is None else KnownWords(self.tokenizer.pieces, words)

    @property
    def ordered(self) -> bool:
        """Whether the tokens have an order: bags of words have none."""
        decoders = [self.model.decoders[name] for name in self.model.text_decoders]
        in_order = all(cast(TokenDecoder, each).ordered for each in decoders)
        return in_order and tokenizer_kind(self.tokenizer) != "bag"

    def decode(
        self,
        z: np.ndarray | Tensor,
        decoding: Decoding | None = None,
        seed: int | None = None,
        given: Given | None = None,
    ) -> list[str]:
        """The decoded sentence of each latent, (N, D); greedy by default.

        Args:
            z: latents side by side, as `encode` returns them.
            decoding: how to choose tokens.
            seed: of sampling; None to draw from the global random state.
            given: the conditions of each row by field, for a conditional model.

        Raises:
            ValueError: z is not (N, D), or see `given_conditions`.
        """
        ids = self.generated(z, decoding, seed, given)
        return [decode_ids(self.tokenizer, row) for row in ids]

    def generated(
        self,
        z: np.ndarray | Tensor,
        decoding: Decoding | None = None,
        seed: int | None = None,
        given: Given | None = None,
    ) -> list[list[int]]:
        """Token ids, end of sentence and padding included, of each latent; as `decode`."""
        values, count = self.values_of(z), len(z)
        rows = self.given_conditions(given, count)
        with seeded(seed):
            return written_ids(self, self.target, values, count, rows, decoding or Decoding())

    def decode_parts(
        self,
        z: np.ndarray | Tensor,
        decoding: Decoding | None = None,
        seed: int | None = None,
        given: Given | None = None,
        most: int | None = None,
    ) -> list[dict[str, Any]]:
        """Rows with parts under latents of whole rows, (N, D), as `row_means` returns them.

        Greedy by default: then nothing is drawn, see `decoded_parts`. Arguments as `decode`.

        Args:
            z: latents of whole rows side by side.
            decoding: how to choose tokens; classes and latents of parts are drawn where tokens are.
            seed: of sampling.
            given: the conditions of each row by field.
            most: parts of a row; None for as many as the longest training row has.

        Raises:
            ValueError: rows have no parts, z is of another size, or see `given_conditions`.
        """
        if not self.has_parts:
            raise ValueError("rows have no parts: see decode")
        rows = self.given_conditions(given, len(z))
        with seeded(seed):
            return decoded_parts(self, as_tensor(z), decoding or Decoding(), rows, most)

    def given_conditions(self, given: Given | None, count: int | None = None) -> Fields | None:
        """The conditions of rows as the model reads them; None for a model without.

        Args:
            given: by field: a value for each row, or one for all of them.
            count: number of rows; None for as many as there are values.

        A field that another one is written from may be given too, and is then not written. So may
        one that a latent's posterior reads; the latent is then drawn from it.

        Raises:
            TypeError: a value is no string, or no list of strings.
            ValueError: a condition is missing, blank, unknown, or of another number of rows.
        """
        config, needed = self.model.config, self.conditions
        allowed = [*needed, *config.written_or_given, *config.read_or_given]
        if not needed and not given:
            return None
        if not allowed:
            raise ValueError(f"the model takes no condition (got {', '.join(given or ())})")
        rows = given_rows(config, self.tokenizer, given or {}, needed, allowed)
        if count is None or len(rows) == count:
            return rows
        if len(rows) > 1:
            raise ValueError(f"conditions of {count} rows are needed (got those of {len(rows)})")
        return rows.select(np.zeros(count, np.int64))

    def with_conditions(self, texts: list[str], given: Given | None) -> TextRows:
        """Texts as `encode` takes them, each under the same conditions."""
        if not self.reads_rows:
            return texts
        if self.has_parts:
            raise ValueError("the model reads rows with parts: this is for models of one text")
        others = {
            name: [value] if isinstance(value, str) else value
            for name, value in (given or {}).items()
        }
        repeated = {
            name: list(cells) * (len(texts) // len(cells)) for name, cells in others.items()
        }
        return {self.model.field_of(self.target): texts, **repeated}

    def conditions_of(self, texts: TextRows) -> Given | None:
        """The conditions among the fields of texts; None for a model without."""
        if not self.conditions or not isinstance(texts, Mapping):
            return None
        return {field: texts[field] for field in self.conditions if field in texts}

    def sample(
        self,
        count: int = 1,
        decoding: Decoding | None = None,
        seed: int | None = None,
        label: str | None = None,
        given: Given | None = None,
        plug_in: PlugIn | None = None,
    ) -> list[str]:
        """Sentences from the prior: z ~ p(z), then tokens drawn from p(x | z).

        Args:
            count: number of sentences; under conditions, for each of their rows.
            decoding: how to choose tokens; by default, each is drawn from its whole distribution.
            seed: of z and tokens; None to draw from the global random state.
            label: class of all sentences, for a model trained with labels.
            given: conditions by field: one, or N of each. Then N * count sentences come back, those
                of one row together.
            plug_in: of this model, from which z is drawn in place of p(z); greedy by default.

        Raises:
            ValueError: count below 1, an unknown label, a plug-in of another model, or see
                `given_conditions`.
        """
        check_count(count)
        if plug_in is not None:
            if label is not None:
                raise ValueError("a label and a plug-in exclude each other")
            return control.sample_plug_in(self, plug_in, count, decoding, seed)
        target = self.model.field_of(self.target)
        return [row[target] for row in self.sample_rows(count, decoding, seed, label, given)]

    @torch.no_grad()
    def sample_latents(
        self,
        count: int = 1,
        seed: int | None = None,
        label: str | None = None,
        given: Given | None = None,
    ) -> np.ndarray:
        """Samples of the prior, (N, D), all latents side by side; arguments as `sample`.

        Of rows with parts, those of the latents of whole rows.
        """
        rows = self.given_conditions(given, count)
        if self.has_parts and label is None:
            with seeded(seed):
                return sampled_row_latents(self, count, rows).cpu().numpy()
        fields = batch_of(self, rows, slice(0, count))
        with seeded(seed):
            known = None if label is None else self.label_latent(label, count)
            features = self.model.encoder_features(fields)
            values = latent_values(self, rows, features, count, known)
            drawn = [value[0] for value in values.values()]
        return (torch.cat(drawn, -1) if drawn else torch.zeros(count, 0)).cpu().numpy()

    def sample_rows(
        self,
        count: int = 1,
        decoding: Decoding | None = None,
        seed: int | None = None,
        label: str | None = None,
        given: Given | None = None,
    ) -> list[dict[str, Any]]:
        """Rows of all fields that the model writes, from the prior; arguments as `sample`.

        The value of a field with parts is a tuple of them, see `sampled_parts`.
        """
        check_count(count)
        rows = self.given_conditions(given)
        if rows is not None:
            rows = rows.select(np.repeat(np.arange(len(rows)), count))
        total = count if rows is None else len(rows)
        if self.model.config.writes_in_turn:
            if label is not None:
                raise ValueError("label: not for a model that writes one field after another")
            with seeded(seed):
                return sampled_parts(self, total, decoding or Decoding(do_sample=True), rows)
        with seeded(seed), torch.no_grad():
            known = None if label is None else self.label_latent(label, total)
            fields = batch_of(self, rows, slice(0, total))
            features = self.model.encoder_features(fields)
            values = latent_values(self, rows, features, total, known)
            return written_rows(self, values, total, rows, decoding or Decoding(do_sample=True))

    def different_rows(
        self,
        count: int,
        decoding: Decoding | None = None,
        seed: int | None = None,
        given: Given | None = None,
        label: str | None = None,
    ) -> list[list[dict[str, str]]]:
        """Up to `count` different rows from the prior for each condition, the first drawn first.

        As many are drawn as are asked for, and again, up to `ROUNDS` times; arguments as `sample`.
        """
        check_count(count)
        with seeded(seed):
            return different_rows(self, count, decoding, given, label)

    def likeliest(
        self, count: int = 1, decoding: Decoding | None = None, given: Given | None = None
    ) -> list[list[tuple[str, float]]]:
        """The best texts of a beam at the mean of the prior, for each condition, best first.

        Args:
            count: texts, and width of the beam.
            decoding: how to choose tokens beside that.
            given: conditions by field: one, or N of each.

        Returns:
            For each condition, texts with their -log p(x | z), nats.

        Raises:
            ValueError: a field is written before the text, and is not given; or see `sample`.
        """
        check_count(count)
        rows = self.given_conditions(given)
        first = self.model.config.written_or_given
        missing = [name for name in first if rows is None or name not in rows.columns]
        if missing:
            raise ValueError(
                f"the most probable texts are of a beam of one field: {missing[0]} is written "
                "before it, and must be given"
            )
        return likeliest(self, rows, count, decoding or Decoding())

    def likeliest_codes(
        self, count: int = 1, decoding: Decoding | None = None, given: Given | None = None
    ) -> list[list[CodeRow]]:
        """The rows of the most probable codes for each condition; arguments as `likeliest`.

        Raises:
            ValueError: the model has no latent of codes, or several, or no code is likelier; or see
                `sample`.
        """
        check_count(count)
        return likeliest_codes(self, self.given_conditions(given), count, decoding or Decoding())

    def class_names(self, field: str) -> list[str]:
        """The names of the classes of a field that is a label.

        Raises:
            ValueError: it is none.
        """
        names = class_names_of(self.model.config, field)
        if names is None:
            raise ValueError(f"the field {field!r} is no label")
        return names

    def label_latent(self, label: str, count: int) -> dict[str, Tensor]:
        """The values, (1, count, C), of the latent that is observed as the label, by its name.

        Raises:
            ValueError: no such latent, or an unknown label.
        """
        number, latent = self.label_number(label), labelled_latent(self.model)
        if latent is None:
            raise ValueError(f"no latent stands for the label (asked for {label!r})")
        prior = self.model.class_prior(latent[0])
        if prior is not None:
            with draws():
                numbers = torch.full((count,), number, device=self.model.device)
                return {latent[0]: prior.of_classes(numbers).sample()[None]}
        one_hot = torch.eye(len(self.labels), device=self.model.device)[number]
        return {latent[0]: one_hot.expand(1, count, -1)}


def check_count(count: int) -> None:
    """Refuse a number of sentences that is not positive.

    Raises:
        ValueError: it is not.
    """
    if count < 1:
        raise ValueError(f"at least one sentence must be asked for (got {count})")
