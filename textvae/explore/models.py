"""The kinds of models that the page shows behind one interface: texts and images.

Rows with parts are in `part_rows.py`.
"""

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
from textvae.explore.bodies import LONGEST, checked_sentence
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
    note = ""
    """How z is decoded, a sentence for the page, where that is not plain."""
    rebuilds: ClassVar[bool] = True
    """Whether what a row's z decodes to is close enough to the row to mark differing words."""

    def __init__(self, vae: SentenceVAE | ImageVAE, rows: HeldOutTexts | HeldOutImages):
        vae.require_latent()
        self.vae, self.rows = vae, rows
        self.dim = sum(self.sizes.values())
        self.deterministic = is_deterministic(vae.model)
        self.recipe = vae.model.config.recipe or f"{self.modality} model"

    means: np.ndarray
    """Posterior means of the rows, (N, D), float32."""
    scales: np.ndarray
    """Posterior standard deviations, (N, D)."""

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each latent that the page moves, in the order of z."""
        return dict(zip(self.vae.model.latents, self.vae.sizes, strict=True))

    def project(self, z: np.ndarray) -> np.ndarray:
        """The latents nearest to points, (N, D), float32."""
        return self.vae.project(z).numpy()

    def between(self, ends: np.ndarray, steps: int, spherical: bool) -> np.ndarray:
        """Latents between two, (steps, D), both ends included."""
        return self.vae.between(ends, steps, spherical).numpy()

    def prior_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of each dimension of the prior, (D,) both."""
        return self.vae.prior_moments()

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """`prior_moments`; of an autoencoder the mean and deviation of its codes."""
        if self.deterministic:
            return self.means.mean(0), np.maximum(self.means.std(0), 1e-6)
        return self.prior_moments()

    def metrics_of_z(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """The metrics of a run, those of latents for the ones that the page moves."""
        return dict(metrics)

    def kls(self, metrics: Mapping[str, Any]) -> list[float] | None:
        """KL of each dimension, nats; None where the run's metrics do not contain it."""
        kls = metrics.get("kls")
        return list(kls) if kls and len(kls) == self.dim else None

    def labels(self) -> list[Column]:
        """The columns of labels of the rows."""
        named = self.rows.labels.items()
        columns = [class_column(name, values) for name, values in named]
        return [column for column in columns if len(column.names) > 0]

    def columns(self) -> list[Column]:
        """All columns by which rows are coloured."""
        return self.labels()

    def conditions(self) -> list[dict[str, Any]]:
        """The fields besides z that the decoder is given, by name; none for most models.

        With the `classes` of a label, or None for a text, and the `default` value. Of a text with
        parts, `lines` is true: each line is one.
        """
        return []

    def checked_condition(self, given: Any) -> dict[str, str]:
        """The condition of a request.

        Raises:
            ValueError: it is not as `conditions` lists it.
        """
        wanted = {each["name"]: each for each in self.conditions()}
        given = {} if given is None else given
        if not isinstance(given, Mapping) or given.keys() - wanted.keys():
            raise ValueError(f"condition: must have {', '.join(wanted) or 'nothing'}")
        chosen = {name: given.get(name, each["default"]) for name, each in wanted.items()}
        for name, value in chosen.items():
            classes = wanted[name]["classes"]
            if classes is None:
                longest = wanted[name].get("longest", LONGEST)
                chosen[name] = checked_sentence(value, f"condition: {name}", longest)
            elif value not in classes:
                raise ValueError(f"condition: {name} must be one of {', '.join(classes[:20])}")
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

    def encode_text(
        self, text: str, condition: Mapping[str, str]
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """Posterior mean and scale of a text, (D,), and a remark on unknown words.

        Raises:
            ValueError: a model of images, a text that is not valid, or a field is missing.
        """
        raise ValueError(f"the model encodes {self.modality}s: it reads no text of the page")

    def carried(self, z: np.ndarray, condition: Mapping[str, str]) -> np.ndarray | None:
        """Posterior means of what z, (N, D), decodes to, (N, D).

        None where the model does not write all that it reads.
        """
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
    """A text model with held-out texts, or with held-out rows of several fields."""

    modality = "text"
    vae: SentenceVAE

    def __init__(self, vae: SentenceVAE, rows: HeldOutTexts):
        super().__init__(vae, rows)
        self.texts = rows.texts
        _ = vae.decoder  # one text decoder, or an error
        self.fields = rows.columns
        read = self.texts if self.fields is None else self.fields
        means, scales = vae.encode(read, return_scales=True)
        self.means, self.scales = np.asarray(means), np.asarray(scales)
        self.folded = [text.casefold() for text in self.texts]

    def columns(self) -> list[Column]:
        """The labels, the length and the first word."""
        return [*self.labels(), length_column(self.texts), first_word_column(self.texts)]

    def conditions(self) -> list[dict[str, Any]]:
        """The texts and labels that the model is given, as the first row has them."""
        observed = self.vae.model.config.observed or {}
        first = self.condition_of(0) if self.texts else {}
        return [
            {"name": name, "classes": observed.get(name, {}).get("names"), "default": value}
            for name, value in first.items()
        ]

    def condition_of(self, row: int) -> dict[str, str]:
        """The given fields of a held-out row."""
        fields = self.fields or {}
        return {name: fields[name][row] for name in self.vae.conditions}

    def original(self, row: int) -> Shown:
        """The whole text."""
        return {"text": self.texts[row]}

    def preview(self, row: int) -> Shown:
        """The start of the text."""
        return {"text": self.texts[row][:PREVIEW]}

    def decode(self, z: np.ndarray, condition: Mapping[str, str]) -> list[Shown]:
        """The most probable text of each z, token by token."""
        return self.generated(z, Decoding(max_new_tokens=TOKENS), condition)

    def generated(
        self,
        z: np.ndarray,
        decoding: Decoding,
        condition: Mapping[str, str],
        seed: int | None = None,
    ) -> list[Shown]:
        """Texts of z, (N, D); `cut` where the longest length came before the end."""
        rows = self.vae.generated(z, decoding, seed, condition or None)
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
        return self.generated(np.repeat(z[None], count, 0), decoding, condition, seed)

    def prior_sample(self, seed: int, condition: Mapping[str, str]) -> np.ndarray:
        """One z from the prior."""
        return self.vae.sample_latents(1, seed, given=condition or None)[0]

    def encode_text(
        self, text: str, condition: Mapping[str, str]
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """The posterior of a text."""
        text = checked_text(text, "text")
        read = self.vae.with_conditions([text], condition)
        means, scales = self.vae.encode(read, return_scales=True)
        return means[0], scales[0], unknown_words(self.vae.tokenizer, [text]).text()

    def carried(self, z: np.ndarray, condition: Mapping[str, str]) -> np.ndarray:
        """Posterior means of the decoded texts."""
        texts = [shown["text"] or " " for shown in self.decode(z, condition)]
        return np.asarray(self.vae.encode(self.vae.with_conditions(texts, condition)))

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
    vae: ImageVAE

    def __init__(self, vae: ImageVAE, rows: HeldOutImages):
        super().__init__(vae, rows)
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
        classes = self.vae.labels
        return [{"name": self.vae.label_fields[0], "classes": classes, "default": classes[0]}]

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
