"""Interface of models of tables: rows of numbers and labels in, latents and rows out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from textvae.api.base import TrainedVAE, load_vae
from textvae.api.metrics import Metrics
from textvae.api.parts import PartLatents, encoded_parts, sampled_parts
from textvae.api.rows import (
    Given,
    class_names_of,
    facts_of,
    given_rows,
    model_fields,
    needed_fields,
    set_names_of,
    vector_cells,
)
from textvae.data.fields import Fields
from textvae.data.image_fields import VALUES
from textvae.data.pixels import size_text
from textvae.data.tokenizers import TextTokenizer, load_tokenizer
from textvae.decoders.label import LabelDistribution
from textvae.decoders.labels import LabelSetDistribution
from textvae.evaluation.generated_pairs import GeneratedPairs, generated_pairs, paired_fields
from textvae.evaluation.label_sets import draws_of, probabilities_of
from textvae.evaluation.labels import classified, label_metrics, labelled_latent
from textvae.graph.decoding import Decoding
from textvae.graph.generation import drawn
from textvae.graph.model import VAE
from textvae.randomness import draws, seeded

ROWS = 4096
"""Most rows sampled at once."""

TableRows = Mapping[str, Sequence[Any]]
"""Values by field: texts, labels, sets of labels, vectors; one for each row."""


@dataclass(frozen=True, kw_only=True, repr=False)
class TableEvaluation(Metrics):
    """Metrics over held-out rows of a table.

    Args:
        table_rows: number of rows N.
        contents: what the likelihood is of: the field of each decoder, and the kind of its values.
        draws: of the noise of a probit behind each log p(y | z); 0 where that is exact.
        pairs: how generated pairs help to match real ones, where the model writes two views.
        accuracy: share of the rows with a label whose predicted class is theirs; None where the
            model predicts no class.
        macro_f1: F1 of each class, mean over the classes.
        labelled: number of rows with a label.
    """

    table_rows: int
    contents: str
    draws: int = 0
    pairs: GeneratedPairs | None = None
    accuracy: float | None = None
    macro_f1: float | None = None
    labelled: int = 0


class TableVAE(TrainedVAE):
    """A VAE of rows that are numbers, labels, sets of labels or images; it may read texts too.

    Rows are a mapping of lists, one for each field; a vector's is also an array, (N, D), of numbers
    as they stand in the table, and an image's is an array, (N, H, W) or (N, C, H, W).

    >>> vae = TableVAE.from_pretrained("runs/kingma2014_table")  # doctest: +SKIP
    >>> z = vae.encode({"x": numbers})  # doctest: +SKIP
    >>> vae.sample(5, seed=0)  # doctest: +SKIP

    Args:
        model: none of whose main decoders writes a text.
        tokenizer: of the texts that it reads; None without texts.
    """

    def __init__(self, model: VAE, tokenizer: TextTokenizer | None = None):
        super().__init__(model)
        self.tokenizer = tokenizer

    @classmethod
    def from_pretrained(
        cls, folder: str | PathLike[str], device: str | torch.device = "cpu"
    ) -> "TableVAE":
        """The model in a folder or under a hub name; safetensors only, never pickle.

        Raises:
            CheckpointError: there is none, it is of another kind, or it is damaged.
        """
        model, local = load_vae(folder)
        tokenizer = load_tokenizer(local) if model.config.vocab_size else None
        return cls(model, tokenizer).opened(local, device)

    def write_files(self, folder: Path) -> None:
        """Write the model, and its tokenizer if there is one, into a folder."""
        super().write_files(folder)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)

    @property
    def fields(self) -> list[str]:
        """The fields that the model reads and writes."""
        return model_fields(self.model.config)

    @property
    def conditions(self) -> list[str]:
        """The fields that must be given to sample; empty for most models."""
        return self.model.config.conditions()

    def rows(self, columns: TableRows, latents: bool = False) -> Fields:
        """Rows as the model reads them.

        Args:
            columns: values by field; labels and sets of labels may be left out.
            latents: whether only latents are wanted: then the fields of one of them are enough.

        Raises:
            TypeError: see `given_rows`.
            ValueError: likewise.
        """
        config = self.model.config
        needed = needed_fields(config, self.fields, columns, latents)
        return given_rows(config, self.tokenizer, columns, needed, self.fields)

    def encode(
        self, columns: TableRows, return_scales: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Posterior means, (N, D), float32, all latents side by side; on request, also scales.

        Raises:
            ValueError: the model has no latent, or see `rows`.
        """
        means, scales = self.moments(self.rows(columns, latents=True))
        return (means, scales) if return_scales else means

    def encode_parts(self, columns: TableRows) -> PartLatents:
        """The posteriors of rows with parts, see `SentenceVAE.encode_parts`."""
        self.require_latent()
        return encoded_parts(self, self.rows(columns, latents=True))

    def evaluate(
        self,
        columns: TableRows,
        samples: int = 500,
        seed: int = 0,
        training: TableRows | None = None,
    ) -> TableEvaluation:
        """Likelihood and latent metrics of held-out rows.

        Args:
            columns: rows that the model was not trained on, with all that it writes.
            samples: K of the importance-weighted bound.
            seed: of all samples.
            training: rows that the model was trained on, to measure generated pairs.

        Raises:
            ValueError: see `rows`, or a field that is written is not there.
        """
        written = [self.model.field_of(name) for name in self.model.main_decoders]
        if missing := [field for field in written if field not in columns]:
            raise ValueError(f"the likelihood is of {', '.join(written)} (missing: {missing[0]})")
        rows = self.rows(columns)
        metrics, _ = self.metrics(rows, samples, seed)
        texts = (f"{field} ({self.what(field)})" for field in written)
        return TableEvaluation(
            **metrics,
            table_rows=len(rows),
            contents=", ".join(texts),
            draws=draws_of(self.model),
            pairs=None if training is None else self.pairs(training, columns, seed),
            **label_metrics(self.model, rows),
        )

    def pairs(
        self, training: TableRows, columns: TableRows, seed: int = 0
    ) -> GeneratedPairs | None:
        """How pairs of two views that are generated help to match real ones.

        Args:
            training: real pairs.
            columns: held-out pairs.
            seed: of the generated pairs and of the first matcher.

        Returns:
            None where the model does not write two images or vectors, or where there are fewer
            than two training or two held-out rows.
        """
        fields = paired_fields(self.model.config)
        if fields is None:
            return None
        real = self.views(self.rows(training), fields)
        held_out = self.views(self.rows(columns), fields)
        if min(len(real[0]), len(held_out[0])) < 2:
            return None

        @torch.no_grad()
        def draw(count: int) -> tuple[Tensor, Tensor]:
            with seeded(seed):
                means = self.model.sample_means(count)
            return self.flat(means[fields[0]]), self.flat(means[fields[1]])

        return generated_pairs(real, held_out, draw, seed)

    def views(self, rows: Fields, fields: tuple[str, str]) -> tuple[Tensor, Tensor]:
        """Two fields of rows as a model reads them, (N, D) and (N, E), float32."""
        batch = rows.drawn(rows.batch(np.arange(len(rows))), torch.Generator().manual_seed(0))
        return self.flat(batch[fields[0]]), self.flat(batch[fields[1]])

    @staticmethod
    def flat(values: Tensor) -> Tensor:
        """Values, (N, ...), as (N, D), float32, on the CPU."""
        return values.flatten(1).float().cpu()

    def what(self, field: str) -> str:
        """What a field has, in words: `100 bits`, `4 real numbers`, `14 labels`, `3 classes`."""
        facts = facts_of(self.model.config, field)
        if facts.get("values") == VALUES:
            return f"images of {size_text(tuple(facts['shape']))}"
        if "values" in facts:
            kinds = {"bits": "bits", "counts": "counts", "real": "standardised numbers"}
            return f"{facts['shape'][0]:,} {kinds[facts['values']]}"
        if "label_set" in facts:
            return f"a set of {facts['label_set']:,} labels"
        return f"{facts['classes']:,} classes"

    def classify(self, columns: TableRows) -> np.ndarray:
        """q(label | x) of rows, (N, C), float32; the classes are `labels`, in that order.

        Raises:
            ValueError: the model was trained without labels, or see `rows`.
        """
        return classified(self.model, self.rows(columns))

    def label_sets(self, columns: TableRows, seed: int = 0) -> np.ndarray:
        """The probability of each label of rows, (N, C), float32, whose own sets are not read.

        Raises:
            ValueError: the model predicts no set of labels.
        """
        return probabilities_of(self.model, self.rows(columns), seed)

    @torch.no_grad()
    def sample(
        self, count: int = 1, seed: int | None = None, given: Given | None = None
    ) -> list[dict[str, Any]]:
        """Rows from the prior: z ~ p(z), then each field from p(x | z).

        Args:
            count: number of rows; under conditions, for each of their rows.
            seed: None to draw from the global random state.
            given: conditions by field, one or N of each, for a conditional model.

        Returns:
            For each row, by field: a class, a list of labels, a list of numbers as they stand in
            the table, or the mean image, (C, H, W); of a field with parts, a tuple of them.

        Raises:
            ValueError: count below 1, or conditions that are missing or unknown.
        """
        if count < 1:
            raise ValueError(f"at least one row must be asked for (got {count})")
        config, rows = self.model.config, None
        if self.conditions:
            rows = given_rows(config, self.tokenizer, given or {}, self.conditions)
            rows = rows.select(np.repeat(np.arange(len(rows)), count))
        elif given:
            raise ValueError(f"the model takes no condition (got {', '.join(given)})")
        total, found = count if rows is None else len(rows), list[dict[str, Any]]()
        with seeded(seed):
            if config.writes_in_turn:
                return list(sampled_parts(self, total, Decoding(do_sample=True), rows))
            for start in range(0, total, ROWS):
                size = min(ROWS, total - start)
                batch = {} if rows is None else rows.batch(np.arange(start, start + size))
                found += self.sampled(size, batch)
        return found

    def sampled(self, count: int, batch: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """`sample` of one batch of conditions."""
        features = self.model.encoder_features(
            {name: value.to(self.model.device) for name, value in batch.items()}
        )
        values = self.model.prior_values(features, count)
        columns = {
            self.model.field_of(name): self.cells(likelihood, self.model.field_of(name))
            for name, likelihood in self.model.likelihoods(values, features, count).items()
        }
        columns |= self.label_cells(values)
        return [{name: cells[row] for name, cells in columns.items()} for row in range(count)]

    def label_cells(self, values: Mapping[str, Tensor]) -> dict[str, list[Any]]:
        """The class or the set of labels that a latent stands for, of its values, (1, N, C)."""
        label = labelled_latent(self.model)
        if label is None or self.model.class_prior(label[0]) is not None:
            return {}
        latent, field = label
        drawn_values = values[latent][0]
        if "label_set" in facts_of(self.model.config, field):
            names = set_names_of(self.model.config, field)
            sets = drawn_values.cpu().numpy() > 0.5
            return {field: [[names[number] for number in np.flatnonzero(row)] for row in sets]}
        classes = class_names_of(self.model.config, field) or []
        return {field: [classes[number] for number in drawn_values.argmax(-1).tolist()]}

    def cells(self, likelihood: Distribution, field: str) -> list[Any]:
        """Values drawn from p(x | z), batch shape (1, N), as cells of a table."""
        facts = facts_of(self.model.config, field)
        if facts.get("values") == VALUES:
            return list(likelihood.mean[0].float().cpu().numpy())
        names = class_names_of(self.model.config, field) or list(facts.get("names") or ())
        if isinstance(likelihood, LabelDistribution):
            return [names[number] for number in drawn(likelihood.probabilities[0]).tolist()]
        with draws():
            sample = likelihood.sample()[0].cpu().numpy()
        if isinstance(likelihood, LabelSetDistribution):
            return [[names[label] for label in np.flatnonzero(row)] for row in sample]
        return vector_cells(sample, facts)
