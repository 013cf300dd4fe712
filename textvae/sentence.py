"""The few-line public face: texts in, latents and texts out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from textvae.checkpoints import CheckpointError, quiet_transformers
from textvae.data.batching import Sentences
from textvae.data.readers import SURROGATE, nearest_name
from textvae.data.tokenizers import decode_ids, load_tokenizer, tokenizer_kind
from textvae.decoders.text import TokenDecoder
from textvae.evaluation.latent import active_units, is_collapsed, posterior_moments
from textvae.evaluation.likelihood import likelihood, perplexity
from textvae.evaluation.positions import PositionLosses, position_losses
from textvae.generation import Decoding, generate
from textvae.model import VAE, VAEConfig

ROWS = 256
"""Most sentences generated at once."""


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
        active_units: dimensions whose posterior mean varies over the texts (variance > 0.01).
        dimensions: of all latents.
        collapsed: the posterior equals the prior for all that matters.
        sentences: number of texts.
        words: whitespace-separated words, one end of sentence for each text included.
        tokens: predicted tokens, ends of sentence included.
        samples: K of the importance-weighted bound.
    """

    nll: float
    elbo: float
    reconstruction: float
    kl: float
    word_perplexity: float
    token_perplexity: float
    active_units: int
    dimensions: int
    collapsed: bool
    sentences: int
    words: int
    tokens: int
    samples: int


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
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(str(folder))

    @property
    def decoder(self) -> TokenDecoder:
        """The text decoder.

        Raises:
            ValueError: the model has none, or several.
        """
        found = [d for d in self.model.decoders.values() if isinstance(d, TokenDecoder)]
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
        texts: list[str] = []
        with torch.random.fork_rng(enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            for rows in context[0].split(ROWS):
                ids = generate(self.decoder, rows, decoding)
                texts += [decode_ids(self.tokenizer, row) for row in ids.tolist()]
        return texts

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
            spherical: on the great circle in place of the line.
            decoding: how to choose tokens; greedy when not given.

        Raises:
            ValueError: fewer than two steps.

        Source: Bowman et al. 2016, section 5.2 (homotopies), arXiv:1511.06349.
        """
        if steps < 2:
            raise ValueError(f"an interpolation has at least 2 steps (got {steps})")
        ends = torch.from_numpy(np.asarray(self.encode([first, second])))
        share = torch.linspace(0, 1, steps)[:, None]
        between = great_circle if spherical else line
        return self.decode(between(ends[0], ends[1], share), decoding)

    def nearest(self, query: str, texts: Sequence[str], count: int = 5) -> list[tuple[str, float]]:
        """The texts whose posterior means are nearest to the query's, with their distance."""
        means = np.asarray(self.encode([query, *texts]))
        distance = np.linalg.norm(means[1:] - means[0], axis=1)
        return [(str(texts[i]), float(distance[i])) for i in np.argsort(distance)[:count]]

    def evaluate(self, texts: Sequence[str], samples: int = 500, seed: int = 0) -> Evaluation:
        """Importance-weighted likelihood, perplexity, KL and active units of held-out texts.

        Args:
            texts: sentences that the model was not trained on.
            samples: K of the importance-weighted bound; a language model needs only one.
            seed: of the posterior samples.

        Raises:
            ValueError: no text, or samples below 1.
        """
        sentences = self.sentences(texts)
        # Few texts and many samples at once: the encoder then runs once for many samples.
        batches = [b for _, b in sentences.in_length_order(512 if samples > 8 else 4096)]
        estimate = likelihood(self.model, batches, samples=samples, seed=seed)
        moments = posterior_moments(self.model, batches)
        kl = estimate.kl.mean().item()
        active = sum(active_units(means) for means, _ in moments.values())
        return Evaluation(
            nll=estimate.nll.mean().item(),
            elbo=estimate.elbo.mean().item(),
            reconstruction=estimate.reconstruction.mean().item(),
            kl=kl,
            word_perplexity=perplexity(estimate.nll, sentences.words),
            token_perplexity=perplexity(estimate.nll, sentences.targets),
            active_units=active,
            dimensions=self.dim,
            collapsed=bool(self.dim) and is_collapsed(kl, active),
            sentences=len(sentences),
            words=sentences.words,
            tokens=sentences.targets,
            samples=estimate.samples,
        )

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
    """The model in a folder, every weight accounted for.

    Raises:
        CheckpointError: there is none, it is of another kind, or it is damaged.
    """
    if not (folder / "config.json").is_file():
        begun = (folder / "recipe.yaml").is_file()
        hint = " (training has not finished: --resume)" if begun else ""
        raise CheckpointError(f"{folder} holds no model: config.json is missing{hint}")
    try:
        with quiet_transformers():
            config = VAEConfig.from_pretrained(folder)
            if config.model_type != VAEConfig.model_type:
                kind = config.model_type
                raise CheckpointError(f"{folder} holds a {kind!r} model, not one of ours")
            model, info = VAE.from_pretrained(  # type: ignore[misc]
                folder,
                config=config,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # named below
            )
    except CheckpointError:
        raise
    except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
        text = str(error).strip().split("\n")[0]
        raise CheckpointError(f"{folder} holds no sound model: {text}") from None
    for parameter in model.parameters():
        # Mapped from the file, weights may lie unaligned, which changes the last bit of a product.
        parameter.data = parameter.data.clone()
    wrong = {
        "missing": info["missing_keys"],
        "unknown": info["unexpected_keys"],
        "of another shape": [name for name, *_ in info["mismatched_keys"]],
    }
    found = [f"{', '.join(sorted(names))} ({what})" for what, names in wrong.items() if names]
    if found:
        raise CheckpointError(f"{folder} is damaged: its weights do not match: {'; '.join(found)}")
    return model
