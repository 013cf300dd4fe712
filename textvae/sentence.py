"""The few-line public face: texts in, latents and texts out."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import cast

import numpy as np
import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from textvae.checkpoints import (
    MANIFEST,
    CheckpointError,
    damage,
    quiet_transformers,
    written_whole,
)
from textvae.data.batching import Sentences
from textvae.data.readers import SURROGATE, nearest_name
from textvae.data.tokenizers import decode_ids, load_tokenizer, tokenizer_kind
from textvae.decoders.text import TokenDecoder
from textvae.evaluation.latent import (
    ACTIVE,
    Shuffled,
    information,
    is_collapsed,
    posterior_moments,
)
from textvae.evaluation.likelihood import likelihood, perplexity
from textvae.evaluation.positions import (
    PositionLosses,
    Recovery,
    position_losses,
    recovery,
)
from textvae.evaluation.text import Generation, compare_styles, reconstruction, smoothness
from textvae.families import Family
from textvae.features import EncoderModule, Kind, feature_sizes, latent_features
from textvae.generation import Decoding, generate
from textvae.model import VAE, VAEConfig
from textvae.vocabulary import PAD

ROWS = 256
"""Most sentences generated at once."""

LATENT_SAMPLES = 20_000
"""Posterior samples that mutual information is estimated from: 1 to 10 of each text."""

SHUFFLED = 64
"""Most sentences that are given each other's latents."""

LINE_STEPS = 8
"""Steps of the interpolations that are judged."""


@dataclass(frozen=True)
class Evaluation:
    """Figures over held-out texts, each with its denominator.

    Args:
        nll: importance-weighted -log p(x), nats per text, with `samples` samples.
        elbo: evidence lower bound, nats per text.
        reconstruction: -E_q log p(x | z), nats per text.
        kl: KL(q(z | x) || p(z)), nats per text.
        word_perplexity: exp(nll of all texts / words).
        token_perplexity: exp(nll of all texts / tokens); depends on the tokenizer.
        mutual_information: I(x; z) over all N texts under q, nats; see `Information`.
        mutual_information_ceiling: ln N, which no estimate from N texts exceeds.
        marginal_kl: KL(q(z) || p(z)), nats: KL less mutual information, from the same samples.
        latent_samples: samples of each posterior for these two.
        active_units: dimensions whose posterior mean varies over the texts (variance > 0.01).
        dimensions: of all latents.
        variances: of each dimension's posterior mean over the texts.
        kls: KL of each dimension, nats; None where a posterior does not factorise.
        collapsed: the posterior equals the prior for all that matters.
        sentences: number of texts N.
        words: whitespace-separated words, one end of sentence for each text included.
        tokens: predicted tokens, ends of sentence included.
        samples: K of the importance-weighted bound.
        generation: what the model writes, if that was asked for.
    """

    nll: float
    elbo: float
    reconstruction: float
    kl: float
    word_perplexity: float
    token_perplexity: float
    mutual_information: float
    mutual_information_ceiling: float
    marginal_kl: float
    latent_samples: int
    active_units: int
    dimensions: int
    variances: tuple[float, ...]
    kls: tuple[float, ...] | None
    collapsed: bool
    sentences: int
    words: int
    tokens: int
    samples: int
    generation: Generation | None = None


class SentenceVAE:
    """A text VAE with its tokenizer.

    >>> vae = SentenceVAE.from_pretrained("runs/bowman2016")  # doctest: +SKIP
    >>> z = vae.encode(["the food was great ."])  # doctest: +SKIP
    >>> vae.decode(z)  # doctest: +SKIP

    Args:
        model: with one text decoder.
        tokenizer: that it was trained with.
    """

    def __init__(self, model: VAE, tokenizer: PreTrainedTokenizerFast):
        self.model = model.eval()
        self.tokenizer = tokenizer

    @classmethod
    def from_pretrained(
        cls, folder: str | PathLike[str], device: str | torch.device = "cpu"
    ) -> "SentenceVAE":
        """The model and tokenizer in a folder or under a hub name; safetensors only, never pickle.

        Raises:
            CheckpointError: there is none, it is of another kind, or it is damaged.
        """
        place = local_folder(folder)
        if (place / MANIFEST).exists() and (problem := damage(place)):
            raise CheckpointError(f"{folder} holds no sound model: {problem} (see {MANIFEST})")
        model, tokenizer = load_model(place), load_tokenizer(place)
        if len(tokenizer) != model.config.vocab_size:
            raise CheckpointError(
                f"{folder} is damaged: its tokenizer has {len(tokenizer)} ids, its model "
                f"{model.config.vocab_size}"
            )
        model.to(torch.device(device))  # type: ignore[arg-type]
        return cls(model, tokenizer)

    def save_pretrained(self, folder: str | PathLike[str]) -> None:
        """Write the model and tokenizer so that `from_pretrained` reads them back."""
        with written_whole(Path(folder)) as beside, quiet_transformers():
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
    def dim(self) -> int:
        """Size D of all latents together; 0 for a language model."""
        return sum(self.sizes)

    @property
    def sizes(self) -> list[int]:
        """Size of each latent, in the order of the graph."""
        return [int(family.dim) for family in self.model.latents.values()]  # type: ignore[arg-type]

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
        self.require_latent()
        order, batches = zip(*self.sentences(texts).in_length_order(), strict=True)
        moments = posterior_moments(self.model, batches)
        back = np.argsort(np.concatenate(order))
        means = torch.cat([mean for mean, _ in moments.values()], -1).numpy()[back]
        if not return_scales:
            return means
        return means, torch.cat([scale for _, scale in moments.values()], -1).numpy()[back]

    def features(self, texts: Sequence[str], kind: Kind = "mean", seed: int = 0) -> np.ndarray:
        """Vectors for a classifier, (N, F), float32.

        Args:
            texts: N sentences, as the training texts were written.
            kind: `mean` of the posterior, as `encode`; `hidden`, what the encoder says before the
                latent's head; `sample` of the posterior; `layers`, every layer of the encoder and
                the latent as the decoder sees it.
            seed: of samples, which also depend on what texts are given together.

        Raises:
            ValueError: an unknown kind, or the model is a language model: it has no latent.
        """
        order, parts = [], []
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            for rows, batch in self.sentences(texts).in_length_order():
                fields = {name: ids.to(self.model.device) for name, ids in batch.items()}
                order.append(rows)
                parts.append(latent_features(self.model, fields, kind).cpu())
        return torch.cat(parts).numpy()[np.argsort(np.concatenate(order))]

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
        latents = torch.as_tensor(np.asarray(z), dtype=torch.float32, device=self.model.device)
        if latents.ndim != 2 or latents.shape[1] != self.dim:
            raise ValueError(f"z must be (N, {self.dim}) (got {tuple(latents.shape)})")
        parts = latents.split(self.sizes, dim=-1) if self.sizes else ()
        values = {name: part[None] for name, part in zip(self.model.latents, parts, strict=True)}
        decoding = decoding or Decoding()
        if tokenizer_kind(self.tokenizer) != "word":
            # Subwords spell every word: no unknown token stands in a training text.
            decoding = replace(decoding, allow_unknown=False)
        (context,) = self.model.contexts(values, {}, len(latents)).values()
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
        self, count: int = 1, decoding: Decoding | None = None, seed: int | None = None
    ) -> list[str]:
        """Sentences from the prior: z ~ p(z), then tokens drawn from p(x | z).

        Args:
            count: number of sentences.
            decoding: how to choose tokens; drawn from the whole distribution when not given.
            seed: of z and tokens; None leaves the random state as it is.

        Raises:
            ValueError: count below 1.
        """
        if count < 1:
            raise ValueError(f"at least one sentence must be asked for (got {count})")
        with torch.random.fork_rng(enabled=seed is not None), torch.no_grad():
            if seed is not None:
                torch.manual_seed(seed)
            drawn = [value[0] for value in self.model.sample_prior(count).values()]
            z = torch.cat(drawn, -1) if drawn else torch.zeros(count, 0)
            return self.decode(z.cpu(), decoding or Decoding(sample=True))

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
        if steps < 2:
            raise ValueError(f"an interpolation has at least 2 steps (got {steps})")
        ends = torch.from_numpy(np.asarray(self.encode([first, second])))
        share = torch.linspace(0, 1, steps)[:, None]
        families = [cast(Family, family) for family in self.model.latents.values()]
        on_sphere = any(family.spherical for family in families)
        between = great_circle if spherical or on_sphere else line
        return self.decode(between(ends[0], ends[1], share), decoding)

    def nearest(self, query: str, texts: Sequence[str], count: int = 5) -> list[tuple[str, float]]:
        """The texts whose posterior means are nearest to the query's, with their distance."""
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
    ) -> Evaluation:
        """Likelihood, perplexity and what z holds of held-out texts; on request, what it writes.

        Args:
            texts: sentences that the model was not trained on.
            samples: K of the importance-weighted bound; a language model needs only one.
            seed: of all samples.
            generation: whether to decode, sample and interpolate too.
            training: texts that it was trained on, for `generation`; read more than once.

        Raises:
            ValueError: no text, samples below 1, or fewer than four texts to judge samples by.
        """
        sentences = self.sentences(texts)
        # Few texts and many samples at once: the encoder then runs once for many samples.
        batches = [b for _, b in sentences.in_length_order(512 if samples > 8 else 4096)]
        estimate = likelihood(self.model, batches, samples=samples, seed=seed)
        each = min(10, max(1, LATENT_SAMPLES // len(sentences)))
        latent = information(self.model, estimate.features, each, seed)
        kl = estimate.kl.mean().item()
        active = sum(variance > ACTIVE for variance in latent.variances)
        return Evaluation(
            nll=estimate.nll.mean().item(),
            elbo=estimate.elbo.mean().item(),
            reconstruction=estimate.reconstruction.mean().item(),
            kl=kl,
            word_perplexity=perplexity(estimate.nll, sentences.words),
            token_perplexity=perplexity(estimate.nll, sentences.targets),
            mutual_information=latent.mutual_information,
            mutual_information_ceiling=math.log(len(sentences)),
            marginal_kl=latent.marginal_kl,
            latent_samples=latent.samples,
            active_units=active,
            dimensions=self.dim,
            variances=latent.variances,
            kls=latent.kls,
            collapsed=bool(self.dim) and is_collapsed(kl, active),
            sentences=len(sentences),
            words=sentences.words,
            tokens=sentences.targets,
            samples=estimate.samples,
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
        share = np.linspace(0, 1, LINE_STEPS + 1)[None, :, None]
        points = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * share
        sentences = self.decode(points.reshape(-1, self.dim))
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
        shuffled = cast(VAE, Shuffled(self.model))
        return (
            position_losses(self.model, batches, seed=seed),
            position_losses(shuffled, batches, seed=seed),
        )

    def is_collapsed_for(self, texts: Sequence[str]) -> bool:
        """Whether the posteriors of these texts equal the prior: a mean KL below 0.1 nats."""
        self.require_latent()
        batches = [batch for _, batch in self.sentences(texts).in_length_order()]
        return is_collapsed(likelihood(self.model, batches, samples=1).kl.mean().item())

    def require_latent(self) -> None:
        """Refuse what a language model cannot do.

        Raises:
            ValueError: the model has no latent.
        """
        if not self.dim:
            raise ValueError("the model has no latent: it is a language model")


def before_padding(row: Sequence[int]) -> list[int]:
    """Token ids without the padding after them."""
    return [token for token in row if token != PAD]


def line(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Points on the straight line, (N, D), at shares of the way, (N, 1)."""
    return start + (end - start) * share


def great_circle(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Points on the arc from start to end, (N, D), whose length changes evenly with the share.

    Source: White 2016, section 2.1, arXiv:1609.04468; the norm is interpolated too.
    """
    lengths = start.norm(), end.norm()
    if min(lengths) == 0:
        return line(start, end, share)
    unit = start / lengths[0], end / lengths[1]
    angle = torch.dot(*unit).clamp(-1, 1).arccos()
    if angle.sin() < 1e-6:
        return line(start, end, share)
    direction = (
        torch.sin((1 - share) * angle) * unit[0] + torch.sin(share * angle) * unit[1]
    ) / angle.sin()
    return direction * line(lengths[0], lengths[1], share)


def local_folder(name: str | PathLike[str]) -> Path:
    """The folder itself, or where the files of a model on the hub lie once they are here.

    Raises:
        CheckpointError: neither is there.
    """
    folder = Path(name)
    if folder.exists():
        return folder
    try:
        return Path(snapshot_download(str(name), allow_patterns=["*.json", "*.safetensors"]))
    except (OSError, ValueError) as error:
        text = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{name}: no such folder{nearest_name(folder)}, and no model that the hub gives now "
            f"({text})"
        ) from None


def load_model(folder: Path) -> VAE:
    """The model in a folder, every weight accounted for; its config describes a graph, no more.

    transformers would follow other keys of a config, as far as to code on the hub.

    Raises:
        CheckpointError: there is none, it is of another kind, or it is damaged.
    """
    if not (folder / "config.json").is_file():
        begun = (folder / "recipe.yaml").is_file()
        hint = " (training has not finished: --resume)" if begun else ""
        raise CheckpointError(f"{folder} holds no model: config.json is missing{hint}")
    try:
        config = read_config(folder)
        stored = load_file(folder / "model.safetensors")
        with torch.random.fork_rng(devices=[]):
            model = VAE(config)
    except CheckpointError:
        raise
    except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
        text = str(error).strip().split("\n")[0]
        raise CheckpointError(f"{folder} holds no sound model: {text}") from None
    # A checkpoint holds the weights of its objective too.
    weights = {name: w for name, w in stored.items() if not name.startswith("objective.")}
    own = model.state_dict()
    wrong = {
        "missing": own.keys() - weights.keys(),
        "unknown": weights.keys() - own.keys(),
        "of another shape": [
            name for name in own.keys() & weights.keys() if own[name].shape != weights[name].shape
        ],
    }
    found = [f"{', '.join(sorted(names))} ({what})" for what, names in wrong.items() if names]
    if found:
        raise CheckpointError(f"{folder} is damaged: its weights do not match: {'; '.join(found)}")
    model.load_state_dict(weights)
    return model


def read_config(folder: Path) -> VAEConfig:
    """The graph that a folder's config.json describes.

    Raises:
        CheckpointError: it is of another kind.
        ValueError: it is no JSON, or describes no graph.
    """
    try:
        document = dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError):
        raise ValueError("config.json is not a valid JSON file") from None
    kind = document.get("model_type")
    if kind != VAEConfig.model_type:
        raise CheckpointError(f"{folder} holds a {kind!r} model, not one of ours")
    return VAEConfig(**{key: document[key] for key in VAEConfig.__annotations__ if key in document})
