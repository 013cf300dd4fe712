"""Interface of text models: texts in, latents and texts out."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from textvae.api.base import TrainedVAE, load_vae
from textvae.api.features import EncoderModule, Kind, feature_sizes
from textvae.api.rows import Given, class_names_of, given_rows, model_fields
from textvae.api.text_evaluation import Evaluation, evaluate_texts
from textvae.api.writing import batch_of, written_ids, written_rows
from textvae.checkpoints import CheckpointError
from textvae.data.batching import Examples, Sentences
from textvae.data.fields import Fields, text_columns
from textvae.data.known_words import KnownWords
from textvae.data.python_texts import checked_text, text_list
from textvae.data.tokenizers import TextTokenizer, decode_ids, load_tokenizer, tokenizer_kind
from textvae.decoders.text import TokenDecoder
from textvae.evaluation.labels import class_probabilities, labelled_latent
from textvae.evaluation.latent import is_deterministic
from textvae.evaluation.likelihood import likelihood
from textvae.evaluation.positions import (
    PositionLosses,
    Recovery,
    position_losses,
    recovery,
)
from textvae.evaluation.verdict import NEAR_PRIOR
from textvae.graph.decoding import Decoding
from textvae.graph.model import VAE
from textvae.randomness import seeded
from textvae.vocabulary import PAD

__all__ = ["Evaluation", "SentenceVAE", "TextRows", "before_padding"]

SHUFFLED = 64
"""Most sentences whose latents are shuffled among each other."""


TextRows = Sequence[str] | Mapping[str, Sequence[str]]
"""Texts, or a list of texts for each field of a model that reads several."""


class SentenceVAE(TrainedVAE):
    """A text VAE with its tokenizer.

    >>> vae = SentenceVAE.from_pretrained("runs/bowman2016")  # doctest: +SKIP
    >>> z = vae.encode(["the food was great ."])  # doctest: +SKIP
    >>> vae.decode(z)  # doctest: +SKIP

    Args:
        model: with a text decoder.
        tokenizer: of the training.
    """

    def __init__(self, model: VAE, tokenizer: TextTokenizer):
        super().__init__(model)
        self.tokenizer = tokenizer

    @classmethod
    def from_pretrained(
        cls, folder: str | PathLike[str], device: str | torch.device = "cpu"
    ) -> "SentenceVAE":
        """The model and tokenizer in a folder or under a hub name; safetensors only, never pickle.

        Raises:
            CheckpointError: there is none, it is of another kind, or it is damaged.
        """
        model, local = load_vae(folder)
        tokenizer = load_tokenizer(local)
        if len(tokenizer) != model.config.vocab_size:
            raise CheckpointError(
                f"{folder} is damaged: its tokenizer has {len(tokenizer)} ids, its model "
                f"{model.config.vocab_size}"
            )
        model.to(torch.device(device))  # type: ignore[arg-type]
        vae = cls(model, tokenizer)
        vae.loaded_from = local
        return vae

    def write_files(self, folder: Path) -> None:
        """Write the model and its tokenizer into a folder."""
        super().write_files(folder)
        self.tokenizer.save_pretrained(folder)

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
        return {} in (self.model.config.observed or {}).values()

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

    def sentences(self, texts: Sequence[str]) -> Sentences:
        """The texts as token ids.

        Raises:
            TypeError: a single string or a table in place of a list, or a text that is no string.
            ValueError: no text, or one that is not valid Unicode or too long, see `text_list`; or
                the model reads several fields.
        """
        if self.reads_rows:
            names = ", ".join(self.fields)
            raise ValueError(f"the model reads several fields: give a mapping with {names}")
        return Sentences.encoded(self.tokenizer, text_list(texts))

    def rows(self, texts: TextRows) -> Examples:
        """Texts as the model reads them: a list of them, or a list for each field.

        Labels may be left out.

        Raises:
            TypeError: see `sentences` and `given_rows`.
            ValueError: likewise.
        """
        if not self.reads_rows or not isinstance(texts, Mapping):
            return self.sentences(texts)  # type: ignore[arg-type]
        config = self.model.config
        needed = [field for field in self.fields if class_names_of(config, field) is None]
        return given_rows(config, self.tokenizer, texts, needed, self.fields)

    def listed(self, texts: TextRows) -> TextRows:
        """Texts that can be read more than once: a list, or a mapping of lists."""
        return texts if isinstance(texts, Mapping) else text_list(texts)

    def written_texts(self, rows: Examples) -> list[Sentences]:
        """The texts of rows that the model writes, one for each text decoder."""
        fields = {self.model.field_of(name) for name in self.model.text_decoders}
        return [column for column in text_columns(rows) if column.field in fields]

    def encode(
        self, texts: TextRows, return_scales: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Posterior means, (N, D), float32, all latents side by side; on request, also scales.

        Args:
            texts: N sentences in the format of the training texts; a mapping of lists, one for
                each field, where the model reads several.
            return_scales: whether to also return the posterior standard deviations, (N, D).

        Raises:
            ValueError: the model is a language model: it has no latent.
        """
        means, scales = self.moments(self.rows(texts))
        return (means, scales) if return_scales else means

    def classify(self, texts: TextRows) -> np.ndarray:
        """q(label | x) of texts, (N, C), float32; the classes are `labels`, in that order.

        Raises:
            ValueError: the model was trained without labels.
        """
        order, batches = zip(*self.rows(texts).in_length_order(), strict=True)
        probabilities = class_probabilities(self.model, batches).numpy()
        return probabilities[np.argsort(np.concatenate(order))]

    def features(self, texts: TextRows, kind: Kind = "mean", seed: int = 0) -> np.ndarray:
        """Features of texts for another model, (N, H), see `features_of`."""
        return self.features_of(self.rows(texts), kind, seed)

    def feature_sizes(self, kind: Kind = "mean") -> list[int]:
        """Width of each vector that `features` concatenates; their sum is F."""
        return feature_sizes(self.model, kind)

    def encoder_module(self, kind: Kind = "mean", frozen: bool = True) -> EncoderModule:
        """A module for your own network that computes `features` from `token_ids`.

        It is a copy: training it does not change this model. See `EncoderModule`.
        """
        return EncoderModule(self.model, kind, frozen)

    def token_ids(self, texts: Sequence[str]) -> Tensor:
        """Padded token ids, (N, T), int64, the input of an encoder module."""
        sentences = self.sentences(texts)
        return sentences.collate([sentences[i] for i in range(len(sentences))])[sentences.field]

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

    def given_conditions(self, given: Given | None, count: int | None = None) -> Fields | None:
        """The conditions of rows as the model reads them; None for a model without.

        Args:
            given: by field: a value for each row, or one for all of them.
            count: number of rows; None for as many as there are values.

        Raises:
            TypeError: a value is no string, or no list of strings.
            ValueError: a condition is missing, blank, unknown, or of another number of rows.
        """
        if not self.conditions:
            if given:
                raise ValueError(f"the model takes no condition (got {', '.join(given)})")
            return None
        rows = given_rows(self.model.config, self.tokenizer, given or {}, self.conditions)
        if count is None or len(rows) == count:
            return rows
        if len(rows) > 1:
            raise ValueError(f"conditions of {count} rows are needed (got those of {len(rows)})")
        return rows.select(np.zeros(count, np.int64))

    def reconstruct(self, texts: TextRows, decoding: Decoding | None = None) -> list[str]:
        """The sentence at each text's posterior mean, under its own conditions."""
        return self.decode(
            np.asarray(self.encode(texts)), decoding, given=self.conditions_of(texts)
        )

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
    ) -> list[str]:
        """Sentences from the prior: z ~ p(z), then tokens drawn from p(x | z).

        Args:
            count: number of sentences; under conditions, for each of their rows.
            decoding: how to choose tokens; by default, each is drawn from its whole distribution.
            seed: of z and tokens; None to draw from the global random state.
            label: class of all sentences, for a model trained with labels.
            given: conditions by field: one, or N of each. Then N * count sentences come back, those
                of one row together.

        Raises:
            ValueError: count below 1, an unknown label, or see `given_conditions`.
        """
        target = self.model.field_of(self.target)
        return [row[target] for row in self.sample_rows(count, decoding, seed, label, given)]

    def sample_rows(
        self,
        count: int = 1,
        decoding: Decoding | None = None,
        seed: int | None = None,
        label: str | None = None,
        given: Given | None = None,
    ) -> list[dict[str, str]]:
        """Rows of all fields that the model writes, from the prior; arguments as `sample`."""
        if count < 1:
            raise ValueError(f"at least one sentence must be asked for (got {count})")
        rows = self.given_conditions(given)
        if rows is not None:
            rows = rows.select(np.repeat(np.arange(len(rows)), count))
        total = count if rows is None else len(rows)
        known = None if label is None else self.label_latent(label, total)
        with seeded(seed), torch.no_grad():
            fields = batch_of(self, rows, slice(0, total))
            values = self.model.sample_prior(total, known, **fields)
            return written_rows(self, values, total, rows, decoding or Decoding(do_sample=True))

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
        one_hot = torch.eye(len(self.labels), device=self.model.device)[number]
        return {latent[0]: one_hot.expand(1, count, -1)}

    def interpolate(
        self,
        first: str,
        second: str,
        steps: int = 8,
        spherical: bool = False,
        decoding: Decoding | None = None,
        given: Given | None = None,
    ) -> list[str]:
        """Sentences between two posterior means; the ends are their reconstructions.

        Args:
            first: sentence at the start.
            second: sentence at the end.
            steps: number of sentences, both ends included.
            spherical: along the great circle; latents on a sphere always are.
            decoding: how to choose tokens; greedy by default.
            given: the condition of all sentences by field, for a conditional model.

        Raises:
            ValueError: fewer than two steps, a text that is not valid, or see `given_conditions`.
            TypeError: a text is no string.

        Source: Bowman et al. 2016, section 5.2 (homotopies), arXiv:1511.06349.
        """
        pair = [checked_text(first, "first"), checked_text(second, "second")]
        others = {} if given is None else dict(given)
        texts = {self.model.field_of(self.target): pair, **others} if self.reads_rows else pair
        ends = np.asarray(self.encode(texts))
        return self.decode(self.between(ends, steps, spherical), decoding, given=given)

    def nearest(self, query: str, texts: Sequence[str], count: int = 5) -> list[tuple[str, float]]:
        """The texts whose posterior means are nearest to the query's, with their distance.

        Raises:
            TypeError: the query or a text is no string, or the texts are no list.
            ValueError: no text, or one that is not valid.
        """
        texts = text_list(texts)
        means = np.asarray(self.encode([checked_text(query, "query"), *texts]))
        distance = np.linalg.norm(means[1:] - means[0], axis=1)
        return [(texts[i], float(distance[i])) for i in np.argsort(distance)[:count]]

    def evaluate(
        self,
        texts: TextRows,
        samples: int = 500,
        seed: int = 0,
        generation: bool = False,
        training: Iterable[str] | None = None,
        labels: Sequence[str] | None = None,
        shuffled: tuple[PositionLosses, PositionLosses] | None = None,
    ) -> Evaluation:
        """Likelihood, perplexity and latent metrics of held-out texts; on request, of generation.

        Args:
            texts: sentences that the model was not trained on.
            samples: K of the importance-weighted bound; a language model needs only one.
            seed: of all samples.
            generation: whether to also evaluate reconstructions, samples and interpolations.
            training: texts of the training, for `generation`; read more than once.
            labels: of the texts, blank where there is none, for the accuracy. No other metric
                depends on them.
            shuffled: `positions_with_shuffled_latents` of the texts, if already computed.

        Raises:
            ValueError: no text, samples below 1, labels of a model trained without, another number
                of labels than of texts, or fewer than four texts for `generation`.
            TypeError: `texts` or `training` is no list of strings.
        """
        return evaluate_texts(self, texts, samples, seed, generation, training, labels, shuffled)

    def positions(
        self, texts: TextRows, samples: int = 1, use_mean: bool = False, seed: int = 0
    ) -> PositionLosses:
        """Reconstruction loss at each token position of held-out texts; KL excluded.

        Args:
            texts: sentences that the model was not trained on.
            samples: posterior samples of each text.
            use_mean: posterior means instead of samples.
            seed: of the samples.
        """
        batches = [batch for _, batch in self.rows(texts).in_length_order()]
        return position_losses(self.model, batches, samples, use_mean, seed)

    def recovery(self, texts: TextRows) -> Recovery:
        """Share of each text's tokens in the greedy reconstruction of its posterior mean.

        Raises:
            ValueError: the model has no latent, or no text.
        """
        texts = self.listed(texts)
        (sentences,) = self.written_texts(self.rows(texts))
        targets = [sentences[index][1:].tolist() for index in range(len(sentences))]
        longest = Decoding(max_new_tokens=max(map(len, targets), default=1) + 1, known_words=False)
        means = np.asarray(self.encode(texts))
        decoded = self.generated(means, longest, given=self.conditions_of(texts))
        return recovery(targets, [before_padding(row) for row in decoded])

    def positions_with_shuffled_latents(
        self, texts: TextRows, seed: int = 0
    ) -> tuple[PositionLosses, PositionLosses]:
        """Losses at each position under each text's own z, and under that of another text.

        Args:
            texts: at least two sentences that the model was not trained on.
            seed: of the samples and of the pairs.

        Raises:
            ValueError: fewer than two texts.
        """
        rows = self.rows(texts)
        if len(rows) < 2:
            raise ValueError(f"another text is needed for its z (got {len(rows)} text)")
        # Not in the order of length: z of a text of the same length would encode the length.
        order = np.random.default_rng(seed).permutation(len(rows))
        parts = np.array_split(order, math.ceil(len(rows) / SHUFFLED))
        batches = [rows.collate([rows[i] for i in part]) for part in parts]
        return (
            position_losses(self.model, batches, seed=seed),
            position_losses(self.model, batches, seed=seed, shift=1),
        )

    def is_collapsed_for(self, texts: TextRows) -> bool:
        """Whether the posteriors of these texts equal the prior: a mean KL below 0.1 nats."""
        self.require_latent()
        if is_deterministic(self.model):
            return False
        batches = [batch for _, batch in self.rows(texts).in_length_order()]
        return likelihood(self.model, batches, samples=1).kl.mean().item() < NEAR_PRIOR


def before_padding(row: Sequence[int]) -> list[int]:
    """Token ids without their padding."""
    return [token for token in row if token != PAD]
