"""Interface of text models: texts in, latents and texts out."""

import math
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textvae.api import control
from textvae.api.attended import Attended, attended
from textvae.api.base import load_vae
from textvae.api.display import Interpolation
from textvae.api.features import EncoderModule, Kind, feature_sizes
from textvae.api.parts import PartLatents, encoded_parts, reconstructed_parts
from textvae.api.rows import Given, given_rows, needed_fields
from textvae.api.text_evaluation import Evaluation, evaluate_texts
from textvae.api.text_writer import TextRows, TextWriter
from textvae.checkpoints import CheckpointError
from textvae.data.batching import Examples, Sentences
from textvae.data.fields import Fields, text_columns
from textvae.data.python_texts import checked_text, text_list
from textvae.data.tokenizers import load_tokenizer
from textvae.evaluation.label_sets import probabilities_of
from textvae.evaluation.labels import classified
from textvae.evaluation.latent import is_deterministic
from textvae.evaluation.likelihood import likelihood
from textvae.evaluation.positions import (
    PositionLosses,
    Recovery,
    position_losses,
    recovery,
)
from textvae.evaluation.space import Neighbours
from textvae.evaluation.verdict import NEAR_PRIOR
from textvae.graph.decoding import Decoding
from textvae.graph.folders import is_image_model
from textvae.vocabulary import PAD, UNK

__all__ = ["Evaluation", "SentenceVAE", "TextRows", "before_padding"]

SHUFFLED = 64
"""Most sentences whose latents are shuffled among each other."""


class SentenceVAE(TextWriter):
    """A text VAE with its tokenizer.

    >>> vae = SentenceVAE.from_pretrained("runs/bowman2016")  # doctest: +SKIP
    >>> z = vae.encode(["the food was great ."])  # doctest: +SKIP
    >>> vae.decode(z)  # doctest: +SKIP

    Args:
        model: with a text decoder.
        tokenizer: of the training.
    """

    @classmethod
    def from_pretrained(
        cls, folder: str | PathLike[str], device: str | torch.device = "cpu"
    ) -> "SentenceVAE":
        """The model and tokenizer in a folder or under a hub name; safetensors only, never pickle.

        Raises:
            CheckpointError: there is none, it is of another kind, or it is damaged.
        """
        model, local = load_vae(folder)
        if is_image_model(local):
            raise CheckpointError(f"{folder} holds a model of images: see ImageVAE")
        tokenizer = load_tokenizer(local)
        if len(tokenizer) != model.config.vocab_size:
            raise CheckpointError(
                f"{folder} is damaged: its tokenizer has {len(tokenizer)} ids, its model "
                f"{model.config.vocab_size}"
            )
        return cls(model, tokenizer).opened(local, device)

    def write_files(self, folder: Path) -> None:
        """Write the model and its tokenizer into a folder."""
        super().write_files(folder)
        self.tokenizer.save_pretrained(folder)

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

    def rows(self, texts: TextRows, latents: bool = False) -> Examples:
        """Texts as the model reads them: a list of them, or a list for each field.

        Labels may be left out.

        Args:
            texts: of the model.
            latents: whether only latents are wanted: then the fields of one of them are enough.

        Raises:
            TypeError: see `sentences` and `given_rows`.
            ValueError: likewise.
        """
        if not self.reads_rows or not isinstance(texts, Mapping):
            return self.sentences(texts)  # type: ignore[arg-type]
        config = self.model.config
        needed = needed_fields(config, self.fields, texts, latents)
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
                each field, where the model reads several. Of some of the fields come the latents
                that are computed from these alone.
            return_scales: whether to also return the posterior standard deviations, (N, D).

        Raises:
            ValueError: the model is a language model: it has no latent.
        """
        means, scales = self.moments(self.rows(texts, latents=True))
        return (means, scales) if return_scales else means

    def encode_parts(self, rows: TextRows) -> PartLatents:
        """The posteriors of rows with parts: of the latents of whole rows, and of those of parts.

        Args:
            rows: a mapping of lists, one for each field; of a field with parts, a list for each
                row.

        Raises:
            TypeError, ValueError: see `rows`; or the model reads no rows of several fields.
        """
        self.require_latent()
        found = self.rows(rows, latents=True)
        if not isinstance(found, Fields):
            raise ValueError("the model reads one text a row: see encode")
        return encoded_parts(self, found)

    def row_means(self, rows: TextRows) -> np.ndarray:
        """Posterior means of the latents of whole rows, (N, D); `encode` without those of parts.

        Raises:
            ValueError: the model has no latent, or none of whole rows.
        """
        return self.row_moments(rows)[0]

    def row_moments(self, rows: TextRows) -> tuple[np.ndarray, np.ndarray]:
        """`row_means`, and the posterior standard deviations, (N, D) both.

        Raises:
            ValueError: see `row_means`.
        """
        self.require_latent()
        if not self.model.row_latents:
            raise ValueError("all latents are of parts of rows, none is of whole rows")
        return self.whole_moments(self.rows(rows, latents=True))

    def reconstruct_parts(
        self, rows: TextRows, decoding: Decoding | None = None
    ) -> list[dict[str, Any]]:
        """Rows of all fields that the model writes, at the posterior means of rows; greedy.

        Each part is written beside the true earlier parts of its row.
        """
        return reconstructed_parts(self, self.rows(rows), decoding or Decoding())

    def classify(self, texts: TextRows) -> np.ndarray:
        """q(label | x) of texts, (N, C), float32; the classes are `labels`, in that order.

        Raises:
            ValueError: the model was trained without labels.
        """
        return classified(self.model, self.rows(texts))

    def label_sets(self, texts: TextRows, seed: int = 0) -> np.ndarray:
        """The probability of each label of rows, (N, C), float32, whose own sets are not read.

        Raises:
            ValueError: the model predicts no set of labels.
        """
        return probabilities_of(self.model, self.rows(texts), seed)

    def attention(self, texts: TextRows) -> list[Attended]:
        """How much each word of N texts weighs in the features of their encoder.

        Raises:
            ValueError: no encoder of the model is of kind `attention`.
        """
        return attended(self.model, self.tokenizer, self.rows(texts, latents=True))

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

    def reconstruct(self, texts: TextRows, decoding: Decoding | None = None) -> list[str]:
        """The sentence at each text's posterior mean, under its own conditions."""
        return self.decode(
            np.asarray(self.encode(texts)), decoding, given=self.conditions_of(texts)
        )

    # Functions of the model as their first argument: control of it by its codes.
    plug_in = control.plug_in
    steer = control.steer
    attribute_vector = control.attribute_vector
    arithmetic = control.arithmetic
    traverse = control.traverse

    def interpolate(
        self,
        first: str,
        second: str,
        steps: int = 8,
        spherical: bool = False,
        decoding: Decoding | None = None,
        given: Given | None = None,
    ) -> Interpolation:
        """Sentences between two posterior means; the ends are their reconstructions.

        It is a list of them, which a notebook shows as a table.

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
        ends = np.asarray(self.encode(self.with_conditions(pair, given)))
        line = self.between(ends, steps, spherical)
        return Interpolation(self.decode(line, decoding, given=given), *pair)

    def nearest(self, query: str, texts: Sequence[str], count: int = 5) -> list[tuple[str, float]]:
        """The texts whose posterior means are nearest to the query's, with their distance.

        Raises:
            TypeError: the query or a text is no string, or the texts are no list.
            ValueError: no text, or one that is not valid.
        """
        texts = text_list(texts)
        means = np.asarray(self.encode([checked_text(query, "query"), *texts]))
        rows, distances = Neighbours(means[1:]).nearest(means[0], count)
        return [(texts[i], float(d)) for i, d in zip(rows, distances, strict=True)]

    def nearest_rows(self, row: int, rows: TextRows, count: int = 5) -> list[tuple[int, float]]:
        """The other rows whose posterior means are nearest to those of one, with their distance.

        Args:
            row: its number, from 0.
            rows: as `row_means` takes them.
            count: of neighbours.

        Raises:
            ValueError: there is no such row; see `row_means`.
        """
        means = self.row_means(rows)
        if not 0 <= row < len(means):
            raise ValueError(f"the row must be from 0 to {len(means) - 1} (got {row})")
        numbers, distances = Neighbours(means).nearest(means[row], count, without=row)
        return list(zip(numbers.tolist(), distances.tolist(), strict=True))

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
            training: texts of the training, for `generation`; read more than once; a mapping of
                lists where the model reads several fields.
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

    def has_known_words(self, texts: TextRows) -> bool:
        """Whether a word of these texts is known to the tokenizer."""
        columns = text_columns(self.rows(texts))
        return any(bool((column.ids > UNK).any()) for column in columns)

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
