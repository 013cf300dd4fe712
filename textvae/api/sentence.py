"""The few-line public face: texts in, latents and texts out."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from textvae.api.base import Metrics, PretrainedVAE, load_vae
from textvae.api.features import EncoderModule, Kind, feature_sizes
from textvae.checkpoints import CheckpointError, atomic_folder, quiet_transformers
from textvae.data.batching import Sentences
from textvae.data.labels import numbered
from textvae.data.readers import SURROGATE
from textvae.data.tokenizers import decode_ids, load_tokenizer, tokenizer_kind
from textvae.decoders.text import TokenDecoder
from textvae.evaluation.labels import class_probabilities, classification, labelled_latent
from textvae.evaluation.latent import is_collapsed, is_deterministic
from textvae.evaluation.likelihood import likelihood, perplexity
from textvae.evaluation.positions import (
    WORTHLESS,
    PositionLosses,
    Recovery,
    position_losses,
    recovery,
    worth,
)
from textvae.evaluation.text import Generation, compare_styles, reconstruction, smoothness
from textvae.graph.generation import Decoding, generate
from textvae.graph.model import VAE
from textvae.vocabulary import PAD

ROWS = 256
"""Most sentences generated at once."""

SHUFFLED = 64
"""Most sentences that are given each other's latents."""

LINE_STEPS = 8
"""Steps of the interpolations that are judged."""


@dataclass(frozen=True, kw_only=True)
class Evaluation(Metrics):
    """Metrics over held-out texts, each with its denominator.

    Args:
        word_perplexity: exp(nll of all texts / words).
        token_perplexity: exp(nll of all texts / tokens); depends on the tokenizer.
        shuffled_z_gap: nats per text that another text's z costs, one sample of each; None where no
            other z or no order is.
        first_token_share: share of that at the first token; None also where z is worth less than
            0.1 nats.
        accuracy: share of labelled texts that are given their label; None without labels.
        macro_f1: mean of the classes' F1; None without labels.
        labelled: number of texts with a label.
        sentences: number of texts N.
        words: whitespace-separated words, one end of sentence for each text included.
        tokens: predicted tokens, ends of sentence included.
        generation: what the model writes, if that was asked for.
    """

    word_perplexity: float
    token_perplexity: float
    sentences: int
    words: int
    tokens: int
    shuffled_z_gap: float | None = None
    first_token_share: float | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    labelled: int = 0
    generation: Generation | None = None


class SentenceVAE(PretrainedVAE):
    """A text VAE with its tokenizer.

    >>> vae = SentenceVAE.from_pretrained("runs/bowman2016")  # doctest: +SKIP
    >>> z = vae.encode(["the food was great ."])  # doctest: +SKIP
    >>> vae.decode(z)  # doctest: +SKIP

    Args:
        model: with one text decoder.
        tokenizer: that it was trained with.
    """

    def __init__(self, model: VAE, tokenizer: PreTrainedTokenizerFast):
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
        model, place = load_vae(folder)
        tokenizer = load_tokenizer(place)
        if len(tokenizer) != model.config.vocab_size:
            raise CheckpointError(
                f"{folder} is damaged: its tokenizer has {len(tokenizer)} ids, its model "
                f"{model.config.vocab_size}"
            )
        model.to(torch.device(device))  # type: ignore[arg-type]
        return cls(model, tokenizer)

    def save_pretrained(self, folder: str | PathLike[str]) -> None:
        """Write the model and tokenizer so that `from_pretrained` reads them back."""
        with atomic_folder(Path(folder)) as beside, quiet_transformers():
            self.model.save_pretrained(beside)
            self.tokenizer.save_pretrained(str(beside))

    @property
    def decoder(self) -> TokenDecoder:
        """The text decoder.

        Raises:
            ValueError: the model has none, or several.
        """
        decoders = [self.model.decoders[name] for name in self.model.main_decoders]
        found = [decoder for decoder in decoders if isinstance(decoder, TokenDecoder)]
        if len(found) != 1:
            raise ValueError(f"one text decoder is needed (the model has {len(found)})")
        return found[0]

    @property
    def ordered(self) -> bool:
        """Whether the order of its tokens means something: bags of words have none."""
        return self.decoder.ordered and tokenizer_kind(self.tokenizer) != "bag"

    def sentences(self, texts: Sequence[str]) -> Sentences:
        """The texts as token ids.

        Raises:
            TypeError: a single string in place of a list.
            ValueError: no text, or one that is no Unicode.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a list of strings (got one string)")
        if not len(texts):
            raise ValueError("at least one text is needed (got none)")
        for text in texts:
            if SURROGATE.search(text):
                raise ValueError(f"a text must be valid Unicode (got {text[:40]!r})")
        return Sentences.encoded(self.tokenizer, list(texts))

    def encode(
        self, texts: Sequence[str], return_scales: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Posterior means, (N, D), float32, all latents side by side; on request, also scales.

        Args:
            texts: N sentences, as the training texts were written.
            return_scales: whether to return the posterior standard deviations, (N, D), too.

        Raises:
            ValueError: the model is a language model: it has no latent.
        """
        means, scales = self.moments(self.sentences(texts))
        return (means, scales) if return_scales else means

    def classify(self, texts: Sequence[str]) -> np.ndarray:
        """q(label | x) of texts, (N, C), float32; the classes are `labels`, in that order.

        Raises:
            ValueError: the model was taught no label.
        """
        order, batches = zip(*self.sentences(texts).in_length_order(), strict=True)
        found = class_probabilities(self.model, batches).numpy()
        return found[np.argsort(np.concatenate(order))]

    def features(self, texts: Sequence[str], kind: Kind = "mean", seed: int = 0) -> np.ndarray:
        """Features of texts for another model, (N, H), see `features_of`."""
        return self.features_of(self.sentences(texts), kind, seed)

    def feature_sizes(self, kind: Kind = "mean") -> list[int]:
        """Width of each vector that `features` puts side by side; their sum is F."""
        return feature_sizes(self.model, kind)

    def encoder_module(self, kind: Kind = "mean", frozen: bool = True) -> EncoderModule:
        """What `features` computes as a part of your own network, from `token_ids`.

        It is a copy: training it leaves this model as it is. See `EncoderModule`.
        """
        return EncoderModule(self.model, kind, frozen)

    def token_ids(self, texts: Sequence[str]) -> Tensor:
        """Padded token ids, (N, T), int64, as an encoder module reads them."""
        sentences = self.sentences(texts)
        return sentences.collate([sentences[i] for i in range(len(sentences))])[sentences.field]

    def decode(
        self, z: np.ndarray | Tensor, decoding: Decoding | None = None, seed: int | None = None
    ) -> list[str]:
        """The sentence of each latent, (N, D), greedy unless `decoding` says otherwise.

        Args:
            z: latents side by side, as `encode` gives them.
            decoding: how to choose tokens.
            seed: of sampling; None leaves the random state as it is.

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
            # Subwords spell every word: no unknown token stands in a training text.
            decoding = replace(decoding, allow_unknown=False)
        (context,) = self.model.contexts(values, {}, len(z)).values()
        found: list[list[int]] = []
        with torch.random.fork_rng(enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            for rows in context[0].split(ROWS):
                found += generate(self.decoder, rows, decoding).tolist()
        return found

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
            decoding: how to choose tokens; drawn from the whole distribution when not given.
            seed: of z and tokens; None leaves the random state as it is.
            label: class that all of them are to have, for a model that was taught labels.

        Raises:
            ValueError: count below 1, or an unknown label.
        """
        if count < 1:
            raise ValueError(f"at least one sentence must be asked for (got {count})")
        known = None if label is None else self.known_label(label, count)
        with torch.random.fork_rng(enabled=seed is not None), torch.no_grad():
            if seed is not None:
                torch.manual_seed(seed)
            drawn = [value[0] for value in self.model.sample_prior(count, known).values()]
            z = torch.cat(drawn, -1) if drawn else torch.zeros(count, 0)
            return self.decode(z.cpu(), decoding or Decoding(sample=True))

    def known_label(self, label: str, count: int) -> dict[str, Tensor]:
        """The values, (1, count, C), of the latent that is what labels say, by its name.

        Raises:
            ValueError: there is none, or the label is unknown.
        """
        number, found = self.label_number(label), labelled_latent(self.model)
        if found is None:
            raise ValueError(f"no latent stands for the label (asked for {label!r})")
        one_hot = torch.eye(len(self.labels), device=self.model.device)[number]
        return {found[0]: one_hot.expand(1, count, -1)}

    def interpolate(
        self,
        first: str,
        second: str,
        steps: int = 8,
        spherical: bool = False,
        decoding: Decoding | None = None,
    ) -> list[str]:
        """Sentences on the way between two posterior means; the ends are their reconstructions.

        Args:
            first: sentence at the start.
            second: sentence at the end.
            steps: number of sentences, both ends included.
            spherical: on the great circle in place of the line; latents on a sphere always are.
            decoding: how to choose tokens; greedy when not given.

        Raises:
            ValueError: fewer than two steps.

        Source: Bowman et al. 2016, section 5.2 (homotopies), arXiv:1511.06349.
        """
        ends = np.asarray(self.encode([first, second]))
        return self.decode(self.between(ends, steps, spherical), decoding)

    def nearest(self, query: str, texts: Sequence[str], count: int = 5) -> list[tuple[str, float]]:
        """The texts whose posterior means are nearest to the query's, with their distance."""
        texts = list(texts)
        means = np.asarray(self.encode([query, *texts]))
        distance = np.linalg.norm(means[1:] - means[0], axis=1)
        return [(str(texts[i]), float(distance[i])) for i in np.argsort(distance)[:count]]

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
        """Likelihood, perplexity and what z holds of held-out texts; on request, what it writes.

        Args:
            texts: sentences that the model was not trained on.
            samples: K of the importance-weighted bound; a language model needs only one.
            seed: of all samples.
            generation: whether to decode, sample and interpolate too.
            training: texts that it was trained on, for `generation`; read more than once.
            labels: of the texts, blank where there is none: how often it tells them. No other
                figure depends on them.
            shuffled: `positions_with_shuffled_latents` of the texts, by whoever has it already.

        Raises:
            ValueError: no text, samples below 1, labels it was not taught, or fewer than four
                texts to judge samples by.
        """
        sentences, texts = self.sentences(texts), list(texts)
        if labels is not None and not self.predicts_labels:
            raise ValueError("the model was taught no label")
        # Few texts and many samples at once: the encoder then runs once for many samples.
        max_tokens = 512 if samples > 8 else 4096
        metrics, estimate = self.metrics(sentences, samples, seed, max_tokens)
        if labels is not None:
            numbers = torch.from_numpy(numbered(labels, self.labels))
            told = classification(torch.from_numpy(self.classify(texts)), numbers)
            metrics |= asdict(told)
        if self.dim and len(texts) > 1 and self.ordered:
            gains = worth(*shuffled or self.positions_with_shuffled_latents(texts, seed))
            total = gains.sum().item()
            share = gains[0].item() / total if total >= WORTHLESS else None
            metrics |= {"shuffled_z_gap": total, "first_token_share": share}
        return Evaluation(
            **metrics,
            word_perplexity=perplexity(estimate.nll, sentences.words),
            token_perplexity=perplexity(estimate.nll, sentences.targets),
            sentences=len(sentences),
            words=sentences.words,
            tokens=sentences.targets,
            generation=self.judge_generation(texts, training, seed=seed) if generation else None,
        )

    def judge_generation(
        self,
        texts: Sequence[str],
        training: Iterable[str] | None = None,
        count: int = 1000,
        pairs: int = 100,
        seed: int = 0,
    ) -> Generation:
        """Reconstructions of held-out texts, samples beside as many of them, interpolations.

        Args:
            texts: sentences that the model was not trained on; at most half of them stand beside
                the samples, the others are for the reverse perplexity.
            training: texts that it was trained on, if they are known; read more than once.
            count: most samples.
            pairs: interpolations, nine sentences each.
            seed: of all random choices.

        Raises:
            ValueError: fewer than four texts.
        """
        texts = list(texts)
        if len(texts) < 4:
            raise ValueError(f"at least 4 texts are needed to judge samples (got {len(texts)})")
        shuffled = [texts[int(i)] for i in np.random.default_rng(seed).permutation(len(texts))]
        count = min(count, len(texts) // 2)
        real, scored = shuffled[:count], shuffled[count:]
        drawn, held_out, reference = compare_styles(
            self.sample(count, seed=seed), real, scored, training
        )
        back = lines = None
        if self.dim:
            means = np.asarray(self.encode(texts))
            back = reconstruction(self.decode(means), texts)
            draw = np.random.default_rng(seed)
            first = draw.integers(len(texts), size=pairs)
            second = (first + draw.integers(1, len(texts), size=pairs)) % len(texts)
            lines = smoothness(self.lines(np.stack([means[first], means[second]], 1)))
        return Generation(
            reconstruction=back,
            samples=drawn,
            real=held_out,
            interpolation=lines,
            reference=reference,
            reference_is_training=training is not None,
            scored=len(scored),
        )

    def lines(self, ends: np.ndarray) -> list[list[str]]:
        """The greedy sentences of `LINE_STEPS` steps between pairs of latents, (P, 2, D)."""
        sentences = self.decode(torch.cat([self.between(pair, LINE_STEPS + 1) for pair in ends]))
        return [
            sentences[start : start + LINE_STEPS + 1]
            for start in range(0, len(sentences), LINE_STEPS + 1)
        ]

    def positions(
        self, texts: Sequence[str], samples: int = 1, use_mean: bool = False, seed: int = 0
    ) -> PositionLosses:
        """Reconstruction loss at each token position of held-out texts; KL excluded.

        Args:
            texts: sentences that the model was not trained on.
            samples: posterior samples of each text.
            use_mean: the posterior means in place of samples.
            seed: of the samples.
        """
        batches = [batch for _, batch in self.sentences(texts).in_length_order()]
        return position_losses(self.model, batches, samples, use_mean, seed)

    def recovery(self, texts: Sequence[str]) -> Recovery:
        """How much of each text its posterior mean gives back, greedily, token by token.

        Raises:
            ValueError: the model has no latent, or there is no text.
        """
        sentences = self.sentences(texts)
        targets = [sentences[index][1:].tolist() for index in range(len(sentences))]
        longest = Decoding(max_tokens=max(map(len, targets), default=1) + 1)
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
        if len(texts) < 2:
            raise ValueError(f"another text is needed for its z (got {len(texts)} text)")
        sentences = self.sentences(texts)
        # Not in the order of length: a text of the same length would give its length away.
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
        return is_collapsed(likelihood(self.model, batches, samples=1).kl.mean().item())


def before_padding(row: Sequence[int]) -> list[int]:
    """Token ids without the padding after them."""
    return [token for token in row if token != PAD]
