"""Interface of text models: texts in, latents and texts out."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from textvae.api.base import Metrics, TrainedVAE, drawn_rows, load_vae
from textvae.api.features import EncoderModule, Kind, feature_sizes
from textvae.api.generation import evaluate_generation
from textvae.checkpoints import CheckpointError
from textvae.data.batching import Sentences
from textvae.data.known_words import KnownWords
from textvae.data.labels import numbered
from textvae.data.python_texts import checked_text, text_list
from textvae.data.texts import Texts
from textvae.data.tokenizers import TextTokenizer, decode_ids, load_tokenizer, tokenizer_kind
from textvae.data.words import count_characters, count_unknown, separated_by_blanks
from textvae.decoders.text import TokenDecoder
from textvae.evaluation.labels import class_probabilities, classification, labelled_latent
from textvae.evaluation.latent import is_deterministic
from textvae.evaluation.likelihood import likelihood, perplexity
from textvae.evaluation.positions import (
    WORTHLESS,
    PositionLosses,
    Recovery,
    first_token_share,
    position_losses,
    recovery,
    shuffled_z_gap,
)
from textvae.evaluation.text import Generation
from textvae.evaluation.verdict import NEAR_PRIOR
from textvae.graph.decoding import Decoding
from textvae.graph.generation import generate
from textvae.graph.model import VAE
from textvae.randomness import seeded
from textvae.vocabulary import PAD

ROWS = 256
"""Most sentences generated at once."""

SHUFFLED = 64
"""Most sentences whose latents are shuffled among each other."""


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation(Metrics):
    """Metrics over held-out texts, each with its denominator.

    Args:
        word_perplexity: exp(nll of all texts / words); None where blanks separate no words.
        token_perplexity: exp(nll of all texts / tokens); depends on the tokenizer.
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
        generation: metrics of generated text; None unless requested.
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
    shuffled_z_gap: float | None = None
    first_token_share: float | None = None
    first_token_share_standard_error: float | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    labelled: int = 0
    generation: Generation | None = None


class SentenceVAE(TrainedVAE):
    """A text VAE with its tokenizer.

    >>> vae = SentenceVAE.from_pretrained("runs/bowman2016")  # doctest: +SKIP
    >>> z = vae.encode(["the food was great ."])  # doctest: +SKIP
    >>> vae.decode(z)  # doctest: +SKIP

    Args:
        model: with one text decoder.
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
        """The text decoder.

        Raises:
            ValueError: no text decoder, or several.
        """
        decoders = [self.model.decoders[name] for name in self.model.main_decoders]
        text_decoders = [each for each in decoders if isinstance(each, TokenDecoder)]
        if len(text_decoders) != 1:
            raise ValueError(f"one text decoder is needed (the model has {len(text_decoders)})")
        return text_decoders[0]

    @cached_property
    def known_words(self) -> KnownWords | None:
        """The words that generated texts are held to; None where the model does not know them."""
        words = self.tokenizer.words
        return None if words is None else KnownWords(self.tokenizer.pieces, words)

    @property
    def ordered(self) -> bool:
        """Whether the tokens have an order: bags of words have none."""
        return self.decoder.ordered and tokenizer_kind(self.tokenizer) != "bag"

    def sentences(self, texts: Sequence[str]) -> Sentences:
        """The texts as token ids.

        Raises:
            TypeError: a single string or a table in place of a list, or a text that is no string.
            ValueError: no text, or one that is not valid Unicode or too long, see `text_list`.
        """
        return Sentences.encoded(self.tokenizer, text_list(texts))

    def encode(
        self, texts: Sequence[str], return_scales: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Posterior means, (N, D), float32, all latents side by side; on request, also scales.

        Args:
            texts: N sentences in the format of the training texts.
            return_scales: whether to also return the posterior standard deviations, (N, D).

        Raises:
            ValueError: the model is a language model: it has no latent.
        """
        means, scales = self.moments(self.sentences(texts))
        return (means, scales) if return_scales else means

    def classify(self, texts: Sequence[str]) -> np.ndarray:
        """q(label | x) of texts, (N, C), float32; the classes are `labels`, in that order.

        Raises:
            ValueError: the model was trained without labels.
        """
        order, batches = zip(*self.sentences(texts).in_length_order(), strict=True)
        probabilities = class_probabilities(self.model, batches).numpy()
        return probabilities[np.argsort(np.concatenate(order))]

    def features(self, texts: Sequence[str], kind: Kind = "mean", seed: int = 0) -> np.ndarray:
        """Features of texts for another model, (N, H), see `features_of`."""
        return self.features_of(self.sentences(texts), kind, seed)

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
        self, z: np.ndarray | Tensor, decoding: Decoding | None = None, seed: int | None = None
    ) -> list[str]:
        """The decoded sentence of each latent, (N, D); greedy by default.

        Args:
            z: latents side by side, as `encode` returns them.
            decoding: how to choose tokens.
            seed: of sampling; None to draw from the global random state.

        Raises:
            ValueError: z is not (N, D).
        """
        return [decode_ids(self.tokenizer, row) for row in self.generated(z, decoding, seed)]

    def generated(
        self, z: np.ndarray | Tensor, decoding: Decoding | None = None, seed: int | None = None
    ) -> list[list[int]]:
        """Token ids, end of sentence and padding included, of each latent; as `decode`."""
        values = self.values_of(z)
        decoding = decoding or Decoding()
        if tokenizer_kind(self.tokenizer) != "word":
            # Subwords spell every word: no training text contains the unknown token.
            decoding = replace(decoding, allow_unknown=False)
        known = self.known_words if decoding.known_words else None
        (context,) = self.model.contexts(values, {}, len(z)).values()
        ids: list[list[int]] = []
        with seeded(seed):
            for rows in context[0].split(ROWS):
                ids += generate(self.decoder, rows, decoding, known).tolist()
        return ids

    def reconstruct(self, texts: Sequence[str], decoding: Decoding | None = None) -> list[str]:
        """The sentence at each text's posterior mean."""
        return self.decode(np.asarray(self.encode(texts)), decoding)

    def sample(
        self,
        count: int = 1,
        decoding: Decoding | None = None,
        seed: int | None = None,
        label: str | None = None,
    ) -> list[str]:
        """Sentences from the prior: z ~ p(z), then tokens drawn from p(x | z).

        Args:
            count: number of sentences.
            decoding: how to choose tokens; by default, each is drawn from its whole distribution.
            seed: of z and tokens; None to draw from the global random state.
            label: class of all sentences, for a model trained with labels.

        Raises:
            ValueError: count below 1, or an unknown label.
        """
        if count < 1:
            raise ValueError(f"at least one sentence must be asked for (got {count})")
        label_latent = None if label is None else self.label_latent(label, count)
        with seeded(seed), torch.no_grad():
            drawn = [value[0] for value in self.model.sample_prior(count, label_latent).values()]
            z = torch.cat(drawn, -1) if drawn else torch.zeros(count, 0)
            return self.decode(z.cpu(), decoding or Decoding(do_sample=True))

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
    ) -> list[str]:
        """Sentences between two posterior means; the ends are their reconstructions.

        Args:
            first: sentence at the start.
            second: sentence at the end.
            steps: number of sentences, both ends included.
            spherical: along the great circle; latents on a sphere always are.
            decoding: how to choose tokens; greedy by default.

        Raises:
            ValueError: fewer than two steps, or a text that is not valid.
            TypeError: a text is no string.

        Source: Bowman et al. 2016, section 5.2 (homotopies), arXiv:1511.06349.
        """
        pair = [checked_text(first, "first"), checked_text(second, "second")]
        ends = np.asarray(self.encode(pair))
        return self.decode(self.between(ends, steps, spherical), decoding)

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
        texts: Sequence[str],
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
        texts = text_list(texts)
        sentences = self.sentences(texts)
        if training is not None and not isinstance(training, Texts):
            training = text_list(training, "training", most=None)
        if labels is not None and not self.predicts_labels:
            raise ValueError("the model was trained without labels")
        # Few texts and many samples at once: the encoder then runs once for many samples.
        max_tokens = 512 if samples > 8 else 4096
        metrics, estimate = self.metrics(sentences, samples, seed, max_tokens)
        if labels is not None:
            labels = list(labels)
            if len(labels) != len(texts):
                raise ValueError(f"one label for each of {len(texts)} texts (got {len(labels)})")
            numbers = torch.from_numpy(numbered(labels, self.labels))
            scores = classification(torch.from_numpy(self.classify(texts)), numbers)
            metrics |= asdict(scores)
        if self.dim and len(texts) > 1 and self.ordered:
            compared = [texts[row] for row in drawn_rows(len(texts), seed).tolist()]
            pair = shuffled or self.positions_with_shuffled_latents(compared, seed)
            total = shuffled_z_gap(*pair).sum().item()
            share, error = first_token_share(*pair) if total >= WORTHLESS else (None, None)
            metrics |= {"shuffled_z_gap": total, "first_token_share": share}
            metrics |= {"first_token_share_standard_error": error}
        if generation:
            metrics["generation"] = evaluate_generation(self, texts, training, seed=seed)
        # A bag counts the words that it keeps.
        in_words = tokenizer_kind(self.tokenizer) == "bag" or separated_by_blanks(texts)
        characters = sum(map(count_characters, texts))
        unknown = count_unknown(sentences)
        return Evaluation(
            **metrics,
            word_perplexity=perplexity(estimate.nll, sentences.words) if in_words else None,
            character_perplexity=None if in_words else perplexity(estimate.nll, characters),
            characters=characters,
            unknown_tokens=unknown,
            unknown_share=unknown / max(1, sentences.targets - len(sentences)),
            token_perplexity=perplexity(estimate.nll, sentences.targets),
            sentences=len(sentences),
            words=sentences.words,
            tokens=sentences.targets,
        )

    def positions(
        self, texts: Sequence[str], samples: int = 1, use_mean: bool = False, seed: int = 0
    ) -> PositionLosses:
        """Reconstruction loss at each token position of held-out texts; KL excluded.

        Args:
            texts: sentences that the model was not trained on.
            samples: posterior samples of each text.
            use_mean: posterior means instead of samples.
            seed: of the samples.
        """
        batches = [batch for _, batch in self.sentences(texts).in_length_order()]
        return position_losses(self.model, batches, samples, use_mean, seed)

    def recovery(self, texts: Sequence[str]) -> Recovery:
        """Share of each text's tokens in the greedy reconstruction of its posterior mean.

        Raises:
            ValueError: the model has no latent, or no text.
        """
        texts = text_list(texts)
        sentences = self.sentences(texts)
        targets = [sentences[index][1:].tolist() for index in range(len(sentences))]
        longest = Decoding(max_new_tokens=max(map(len, targets), default=1) + 1, known_words=False)
        decoded = self.generated(np.asarray(self.encode(texts)), longest)
        return recovery(targets, [before_padding(row) for row in decoded])

    def positions_with_shuffled_latents(
        self, texts: Sequence[str], seed: int = 0
    ) -> tuple[PositionLosses, PositionLosses]:
        """Losses at each position under each text's own z, and under that of another text.

        Args:
            texts: at least two sentences that the model was not trained on.
            seed: of the samples and of the pairs.

        Raises:
            ValueError: fewer than two texts.
        """
        texts = text_list(texts)
        if len(texts) < 2:
            raise ValueError(f"another text is needed for its z (got {len(texts)} text)")
        sentences = self.sentences(texts)
        # Not in the order of length: z of a text of the same length would encode the length.
        order = np.random.default_rng(seed).permutation(len(texts))
        parts = np.array_split(order, math.ceil(len(texts) / SHUFFLED))
        batches = [sentences.collate([sentences[i] for i in part]) for part in parts]
        return (
            position_losses(self.model, batches, seed=seed),
            position_losses(self.model, batches, seed=seed, shift=1),
        )

    def is_collapsed_for(self, texts: Sequence[str]) -> bool:
        """Whether the posteriors of these texts equal the prior: a mean KL below 0.1 nats."""
        self.require_latent()
        if is_deterministic(self.model):
            return False
        batches = [batch for _, batch in self.sentences(texts).in_length_order()]
        return likelihood(self.model, batches, samples=1).kl.mean().item() < NEAR_PRIOR


def before_padding(row: Sequence[int]) -> list[int]:
    """Token ids without their padding."""
    return [token for token in row if token != PAD]
