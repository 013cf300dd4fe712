"""The two kinds of models that the page shows, texts and images, behind one interface."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from textvae.analysis.columns import Column, class_column, first_word_column, length_column
from textvae.api.image import ImageVAE
from textvae.api.sentence import SentenceVAE
from textvae.data.differences import compare_words
from textvae.data.fields import Images
from textvae.data.python_texts import checked_text
from textvae.data.tokenizers import decode_ids
from textvae.data.words import unknown_words
from textvae.evaluation.latent import is_deterministic
from textvae.explore.held_out import HeldOutImages, HeldOutTexts
from textvae.explore.pictures import data_address, sprite
from textvae.graph.decoding import Decoding
from textvae.vocabulary import EOS

TOKENS = 64
"""Most tokens of a decoded text."""
PREVIEW = 300
"""Characters of a text in a list."""
SPRITE_COLUMNS = 50

Shown = dict[str, Any]
"""A text, `{"text": ...}`, or an image, `{"image": address}`, for the page."""


class ExploredModel:
    """A model with its held-out rows.

    Args:
        vae: the model.
        rows: held out.
    """

    modality: ClassVar[str]

    def __init__(self, vae: SentenceVAE | ImageVAE, rows: HeldOutTexts | HeldOutImages):
        vae.require_latent()
        self.rows = rows
        self.dim = vae.dim
        self.deterministic = is_deterministic(vae.model)
        self.recipe = vae.model.config.recipe or f"{self.modality} model"

    means: np.ndarray
    """Posterior means of the rows, (N, D), float32."""
    scales: np.ndarray
    """Posterior standard deviations, (N, D)."""

    def labels(self) -> list[Column]:
        """The columns of labels of the rows."""
        named = self.rows.labels.items()
        columns = [class_column(name, values) for name, values in named]
        return [column for column in columns if len(column.names) > 0]

    def columns(self) -> list[Column]:
        """All columns by which rows are coloured."""
        return self.labels()

    def conditions(self) -> list[dict[str, Any]]:
        """The fields besides z that the decoder is given; none for most models."""
        return []

    def checked_condition(self, given: Any) -> dict[str, str]:
        """The condition of a request.

        Raises:
            ValueError: it is not as `conditions` lists it.
        """
        wanted = {each["name"]: each["classes"] for each in self.conditions()}
        given = {} if given is None else given
        if not isinstance(given, Mapping) or given.keys() - wanted.keys():
            raise ValueError(f"condition: must have {', '.join(wanted) or 'nothing'}")
        chosen = {name: given.get(name, classes[0]) for name, classes in wanted.items()}
        for name, value in chosen.items():
            if value not in wanted[name]:
                raise ValueError(f"condition: {name} must be one of {', '.join(wanted[name][:20])}")
        return chosen

    def condition_of(self, row: int) -> dict[str, str]:
        """The condition of a held-out row."""
        return {}

    def original(self, row: int) -> Shown:
        """A held-out row as it is."""
        raise NotImplementedError

    def preview(self, row: int) -> Shown:
        """A held-out row, cut to what a list has room for."""
        raise NotImplementedError

    def decode(self, z: np.ndarray, condition: Mapping[str, str]) -> list[Shown]:
        """What z, (N, D), stands for."""
        raise NotImplementedError

    def sample(
        self, z: np.ndarray, count: int, temperature: float, seed: int, condition: Mapping[str, str]
    ) -> list[Shown]:
        """Samples of p(x | z) of one z, (D,); none for images, whose mean is shown."""
        return []

    def draw(self, seed: int, condition: Mapping[str, str]) -> np.ndarray:
        """One z from the prior, (D,); of an autoencoder from a Gaussian fitted to its codes."""
        if not self.deterministic:
            return self.prior_sample(seed, condition)
        mean, covariance = self.means.mean(0), np.atleast_2d(np.cov(self.means.T, bias=True))
        drawn = np.random.default_rng(seed).multivariate_normal(mean, covariance, method="eigh")
        return drawn.astype(np.float32)

    def prior_sample(self, seed: int, condition: Mapping[str, str]) -> np.ndarray:
        """One z from the prior, (D,)."""
        raise NotImplementedError

    def encode_text(self, text: str) -> tuple[np.ndarray, np.ndarray, str]:
        """Posterior mean and scale of a text, (D,), and a remark on unknown words.

        Raises:
            ValueError: a model of images, or a text that is not valid.
        """
        raise ValueError("the model encodes images: it reads no text")

    def carried(self, z: np.ndarray, condition: Mapping[str, str]) -> np.ndarray:
        """Posterior means of what z, (N, D), decodes to, (N, D)."""
        raise NotImplementedError

    def compared(self, original: Shown, decoded: Shown) -> Shown | None:
        """The words that a text and its decoding share; None for images."""
        return None

    def find(self, words: str) -> list[int]:
        """The rows that contain some words, or have them as a label, whatever the case."""
        wanted = words.casefold()
        labels = [[label.casefold() for label in labels] for labels in self.rows.labels.values()]
        return [
            row
            for row in range(len(self.means))
            if self.contains(row, wanted) or any(column[row] == wanted for column in labels)
        ]

    def contains(self, row: int, wanted: str) -> bool:
        """Whether a row contains words in lower case."""
        raise NotImplementedError


class ExploredTexts(ExploredModel):
    """A text model with held-out texts."""

    modality = "text"

    def __init__(self, vae: SentenceVAE, rows: HeldOutTexts):
        super().__init__(vae, rows)
        self.vae, self.texts = vae, rows.texts
        _ = vae.decoder  # one text decoder, or an error
        means, scales = vae.encode(self.texts, return_scales=True)
        self.means, self.scales = np.asarray(means), np.asarray(scales)
        self.folded = [text.casefold() for text in self.texts]

    def columns(self) -> list[Column]:
        """The labels, the length and the first word."""
        return [*self.labels(), length_column(self.texts), first_word_column(self.texts)]

    def original(self, row: int) -> Shown:
        """The whole text."""
        return {"text": self.texts[row]}

    def preview(self, row: int) -> Shown:
        """The start of the text."""
        return {"text": self.texts[row][:PREVIEW]}

    def decode(self, z: np.ndarray, condition: Mapping[str, str]) -> list[Shown]:
        """The most probable text of each z, token by token."""
        return self.generated(z, Decoding(max_new_tokens=TOKENS))

    def generated(self, z: np.ndarray, decoding: Decoding, seed: int | None = None) -> list[Shown]:
        """Texts of z, (N, D); `cut` where the longest length came before the end."""
        rows = self.vae.generated(z, decoding, seed)
        texts = [{"text": decode_ids(self.vae.tokenizer, row)} for row in rows]
        return [
            text if EOS in row or not self.vae.ordered else text | {"cut": True}
            for text, row in zip(texts, rows, strict=True)
        ]

    def sample(
        self, z: np.ndarray, count: int, temperature: float, seed: int, condition: Mapping[str, str]
    ) -> list[Shown]:
        """Texts drawn from p(x | z)."""
        decoding = Decoding(do_sample=True, temperature=temperature, max_new_tokens=TOKENS)
        return self.generated(np.repeat(z[None], count, 0), decoding, seed)

    def prior_sample(self, seed: int, condition: Mapping[str, str]) -> np.ndarray:
        """One z from the prior."""
        return self.vae.sample_latents(1, seed)[0]

    def encode_text(self, text: str) -> tuple[np.ndarray, np.ndarray, str]:
        """The posterior of a text."""
        text = checked_text(text, "text")
        means, scales = self.vae.encode([text], return_scales=True)
        return means[0], scales[0], unknown_words(self.vae.tokenizer, [text]).text()

    def carried(self, z: np.ndarray, condition: Mapping[str, str]) -> np.ndarray:
        """Posterior means of the decoded texts."""
        texts = [shown["text"] or " " for shown in self.decode(z, condition)]
        return np.asarray(self.vae.encode(texts))

    def compared(self, original: Shown, decoded: Shown) -> Shown | None:
        """Both texts as runs of words, `[words, shared]`."""
        own, other = compare_words(original["text"], decoded["text"])
        return {"original": [list(run) for run in own], "decoded": [list(run) for run in other]}

    def contains(self, row: int, wanted: str) -> bool:
        """Whether they are part of the text."""
        return wanted in self.folded[row]


class ExploredImages(ExploredModel):
    """An image model with held-out images."""

    modality = "image"

    def __init__(self, vae: ImageVAE, rows: HeldOutImages):
        super().__init__(vae, rows)
        self.vae = vae
        fields = vae.rows(rows.images)
        column = fields.columns[vae.field]
        assert isinstance(column, Images), "the field of an image model"
        self.pixels = column.values
        means, scales = vae.encode(fields, return_scales=True)
        self.means, self.scales = np.asarray(means), np.asarray(scales)
        self.numbers = vae.labels_of(fields)

    def conditions(self) -> list[dict[str, Any]]:
        """The label, of a conditional model."""
        if not self.vae.label_fields:
            return []
        return [{"name": self.vae.label_fields[0], "classes": self.vae.labels}]

    def condition_of(self, row: int) -> dict[str, str]:
        """The label of an image, of a conditional model."""
        if self.numbers is None:
            return {}
        return {self.vae.label_fields[0]: self.vae.labels[max(0, int(self.numbers[row]))]}

    def given(self, condition: Mapping[str, str], count: int) -> list[str] | None:
        """The labels of images to be decoded; None for a model without."""
        return [*condition.values()] * count if condition else None

    def original(self, row: int) -> Shown:
        """The image."""
        return {"image": data_address(self.pixels[row])}

    def preview(self, row: int) -> Shown:
        """Its number: thumbnails come as one picture."""
        return {"row": row}

    def sprite(self, start: int, stop: int) -> bytes:
        """Thumbnails of some rows as a PNG file."""
        return sprite(self.pixels[start:stop], SPRITE_COLUMNS)

    def decode(self, z: np.ndarray, condition: Mapping[str, str]) -> list[Shown]:
        """The mean image of each z."""
        images = self.vae.decode(z, self.given(condition, len(z)))
        return [{"image": data_address(image)} for image in images]

    def prior_sample(self, seed: int, condition: Mapping[str, str]) -> np.ndarray:
        """One z from the prior."""
        return self.vae.sample_latents(1, seed, self.given(condition, 1))[0]

    def carried(self, z: np.ndarray, condition: Mapping[str, str]) -> np.ndarray:
        """Posterior means of the mean images."""
        labels = self.given(condition, len(z))
        images = np.clip(self.vae.decode(z, labels), 0, 1)
        return np.asarray(self.vae.encode(images, labels))

    def contains(self, row: int, wanted: str) -> bool:
        """Whether they are the number of the image."""
        return wanted == str(row)
