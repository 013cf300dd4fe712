"""The rows of a corpus as a model reads them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from textvae.checkpoints import atomic_folder
from textvae.config import DataConfig, FieldConfig, ImageDataConfig
from textvae.data.batching import Examples, none_is_short
from textvae.data.cache import encoded_sentences, trained_tokenizer
from textvae.data.corpora import AnyCorpus
from textvae.data.field_kinds import column_of_facts, learned_facts
from textvae.data.fields import Column, Fields, Labels, LabelSets, text_columns
from textvae.data.held_out import PURPOSE
from textvae.data.images import ImageCorpus, check_unit_interval
from textvae.data.labels import class_names, kept, labels_note, numbered, with_labels
from textvae.data.packed import Packed
from textvae.data.parts import flat
from textvae.data.readers import Corpus, DataError
from textvae.data.spans import encoded_within
from textvae.data.tables import Table, TableCorpus
from textvae.data.texts import Texts
from textvae.data.tokenizers import TextTokenizer, load_tokenizer, tokenizer_kind
from textvae.data.words import count_unknown, mostly_unknown
from textvae.likelihoods import Likelihood
from textvae.recipes import Recipe
from textvae.registry import suggest
from textvae.training.folders import TOKENIZER, RunError
from textvae.training.processes import process_rank
from textvae.vocabulary import MISSING


@dataclass(frozen=True)
class Prepared:
    """The rows of a run, with the facts about them that its model depends on.

    Args:
        train: to train on.
        valid: to validate on.
        tokenizer: of the texts; None for images.
        observed: properties of each field that is not text, see `VAEConfig`.
        left_out: number of training texts that are too long, see `DataConfig`.
        repeated: number of rows of `train`, its last ones, that repeat a labelled one.
    """

    train: Examples
    valid: Examples
    tokenizer: TextTokenizer | None
    observed: dict[str, dict[str, Any]] | None = None
    left_out: int = 0
    repeated: int = 0

    @property
    def vocab_size(self) -> int:
        """Number of token ids V; 0 for images."""
        return 0 if self.tokenizer is None else len(self.tokenizer)


def prepared(
    recipe: Recipe,
    corpus: AnyCorpus,
    folder: Path,
    resume: bool,
    note: Callable[[str], None],
) -> Prepared:
    """The rows of a corpus as a model reads them."""
    if isinstance(corpus, ImageCorpus):
        check_range(recipe, corpus)
        train = labelled_images(recipe, corpus, note)
        repeated = len(train) - len(corpus.train)
        return Prepared(train, corpus.valid, None, corpus.facts, repeated=repeated)
    if isinstance(corpus, TableCorpus):
        return prepared_table(recipe, corpus, folder, resume, note)
    assert isinstance(recipe.data, DataConfig), "texts come from a data section for texts"
    normed = any(node.get("batch_norm") for node in recipe.model.get("latents") or ())
    if len(corpus.train) < 2 and normed:
        source = corpus.source or "the data"
        raise DataError(f"{source}: one training text is too few for batch normalisation of z")
    tokenizer = run_tokenizer(recipe, corpus.train, folder, resume, note)
    valid = encoded_sentences(tokenizer, corpus.valid, note)
    if warning := mostly_unknown(count_unknown(valid), valid.targets - len(valid)):
        note(warning)
    config = recipe.data
    if corpus.labels is not None and not recipe.uses_labels:
        note(unused_labels(recipe, config))
    # A first training without labels reads the same rows as the second one, with its labels.
    repeated = config.labelled is not None or config.repeat_labelled > 1
    if corpus.labels is not None and (recipe.uses_labels or repeated):
        names = class_names(corpus.labels["train"])
        for split in ("valid", "test"):  # the test texts are read after training
            unknown = sorted(set(corpus.labels.get(split, [])) - {*names, ""})
            if unknown:
                problem = f"only {PURPOSE[split]} texts have the label {unknown[0]!r}"
                raise DataError(f"{corpus.source}: {problem}")
        texts, values, once = labelled_texts(recipe, corpus, tokenizer, names, note)
        train = with_labels(encoded_sentences(tokenizer, texts, note), values, names)
        valid = with_labels(valid, numbered(corpus.labels["valid"], names), names)
        counts = (len(corpus.train) - once, len(texts) - once)
        return Prepared(train, valid, tokenizer, train.facts, *counts)
    train = encoded_sentences(tokenizer, corpus.train, note, config.max_tokens)
    return Prepared(train, valid, tokenizer, left_out=len(corpus.train) - len(train))


def prepared_table(
    recipe: Recipe,
    corpus: TableCorpus,
    folder: Path,
    resume: bool,
    note: Callable[[str], None],
) -> Prepared:
    """The rows of several fields, whose texts share one tokenizer.

    Raises:
        DataError: every row has a text that is too long, a label has fewer than two classes, or a
            row has one that no training row has.
    """
    assert isinstance(recipe.data, DataConfig), "rows come from a data section for texts"
    if unused := [name for name in corpus.fields if name not in recipe.fields]:
        note(f"{recipe.name} does not use the fields {', '.join(unused)}")
    every = [text for name in corpus.texts for text in corpus.values(name)]
    tokenizer = run_tokenizer(recipe, every, folder, resume, note) if corpus.texts else None
    facts = {
        name: learned_facts(field, corpus.values(name), name)
        for name, field in corpus.fields.items()
        if field.kind != "text"
    }
    check_ends(corpus.fields, facts)
    train, valid = (
        table_rows(tokenizer, table, corpus.fields, facts, note)
        for table in (corpus.train, corpus.valid)
    )
    for column in text_columns(valid):
        if warning := mostly_unknown(count_unknown(column), column.targets - len(column)):
            note(f"{column.field}: {warning}")
    longest = train.longest
    short = np.flatnonzero(longest <= recipe.data.max_tokens)
    if not len(short):
        raise none_is_short(recipe.data.max_tokens, int(longest.min()))
    left_out = len(train) - len(short)
    if left_out:
        train = train.select(short)
    once = len(train)
    train = with_few_labels(recipe, train, note)
    # Every text is named, also one that is called `text`: the model reads rows of fields.
    observed = {name: train.facts.get(name, {}) for name in [*corpus.fields, *train.plates]}
    for name, field in corpus.fields.items():
        more = {"within": field.within, "ends": field.ends}
        observed[name] |= {key: value for key, value in more.items() if value is not None}
    return Prepared(train, valid, tokenizer, observed, left_out, len(train) - once)


def check_ends(fields: Mapping[str, FieldConfig], facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a class that ends a row and that no training row has.

    Raises:
        DataError: naming the classes there are.
    """
    for name, field in fields.items():
        if field.ends is not None and field.ends not in facts[name]["names"]:
            known = suggest(field.ends, facts[name]["names"])
            raise DataError(f"data.fields.{name}.ends: unknown {field.ends!r} {known}")


def with_few_labels(recipe: Recipe, rows: Fields, note: Callable[[str], None]) -> Fields:
    """Training rows of which as many keep their label as the recipe's data section has it.

    Those that do are repeated at the end, as `repeat_labelled` has it.

    Raises:
        RunError: no latent is fixed by a label, or there are fewer labels.
    """
    config = recipe.data
    assert isinstance(config, DataConfig), "rows come from a data section for texts"
    if config.labelled is None and config.repeat_labelled == 1:
        return rows
    fixed = [node.get("field") for node in recipe.model.get("latents") or []]
    name = next((field for field in fixed if field in rows.columns), None)
    if name is None:
        raise RunError("data.labelled: no latent of the model has the field of a label")
    column: Any = rows.columns[name]
    known = column.values >= 0 if column.values.ndim == 1 else (column.values >= 0).all(1)
    if config.labelled is not None:
        # Sets are drawn as if they were one class.
        in_sets = isinstance(column, LabelSets)
        number = np.where(known, 0, MISSING) if in_sets else column.values
        left = kept(number, config.labelled, recipe.train.seed) >= 0
        note(f"{name}: {left.sum():,} of {known.sum():,} rows keep their labels")
        values = column.values.copy()
        values[~left] = MISSING
        rows = Fields({**rows.columns, name: replace(column, values=values)})
        known = left
    again = np.tile(np.flatnonzero(known), config.repeat_labelled - 1)
    return rows.select(np.concatenate([np.arange(len(rows)), again]))


def table_rows(
    tokenizer: TextTokenizer | None,
    table: Table,
    fields: Mapping[str, FieldConfig],
    facts: Mapping[str, Mapping[str, Any]],
    note: Callable[[str], None],
) -> Fields:
    """The rows of a table as a model reads them.

    Args:
        tokenizer: of all texts; None where there are none.
        table: rows with labels by name.
        fields: of the rows, by name.
        facts: of each field that is no text, see `learned_facts`.
        note: receives a sentence for the user.

    Raises:
        DataError: an unknown label.
    """
    columns = dict[str, Column]()
    for name, found in table.columns.items():
        plate = fields[name].plate
        cells = found if plate is None else flat(found)
        if name in facts:
            columns[name] = column_of_facts(facts[name], cells, name)
        elif (whole := fields[name].within) is not None:
            assert tokenizer is not None, "there are texts"
            columns[name], missing = encoded_within(tokenizer, cells, table.columns[whole], name)
            if missing:
                note(f"{missing:,} of {len(cells):,} texts of {name!r} are not in their {whole!r}")
        else:
            assert tokenizer is not None, "there are texts"
            columns[name] = replace(encoded_sentences(tokenizer, cells, note), field=name)
        if plate is not None:
            columns[name] = Packed.of(columns[name], found, plate)
    return Fields(columns)


def labelled_images(recipe: Recipe, corpus: ImageCorpus, note: Callable[[str], None]) -> Fields:
    """The training images with the labels that the data section keeps; its last rows repeat some.

    Raises:
        DataError: there are no labels, or fewer than are to be kept.
    """
    config, column = recipe.data, corpus.train.columns.get("label")
    assert isinstance(config, ImageDataConfig), "images come from a data section for images"
    if config.labelled is None and config.repeat_labelled == 1:
        return corpus.train
    if not isinstance(column, Labels) or not (column.values >= 0).any():
        key = "labelled" if config.labelled is not None else "repeat_labelled"
        raise DataError(f"data.{key}: {corpus.source} has no labels")
    values, repeats = kept_labels(recipe, column.values, column.class_names, note)
    rows = np.concatenate([np.arange(len(values)), repeats])
    columns = dict(corpus.train.columns) | {"label": replace(column, values=values)}
    return Fields(columns).select(rows)


def kept_labels(
    recipe: Recipe, given: np.ndarray, names: Sequence[str], note: Callable[[str], None]
) -> tuple[np.ndarray, np.ndarray]:
    """The labels that the data section keeps, (N,), -1 for none, and the rows to read again.

    Args:
        recipe: with the data section and the seed.
        given: all labels, (N,).
        names: of the classes.
        note: receives the number of labels of each class.

    Raises:
        DataError: there are fewer than are to be kept.
    """
    config, values = recipe.data, given
    if config.labelled is not None:
        values = kept(given, config.labelled, recipe.train.seed)
    labelled = np.flatnonzero(values >= 0)
    how = how_to_keep_all(config) if len(labelled) < (given >= 0).sum() else ""
    unit = "images" if isinstance(config, ImageDataConfig) else "texts"
    note(labels_note(values, given, names, unit) + how)
    return values, np.tile(labelled, config.repeat_labelled - 1)


def labelled_texts(
    recipe: Recipe,
    corpus: Corpus,
    tokenizer: TextTokenizer,
    names: list[str],
    note: Callable[[str], None],
) -> tuple[list[str], np.ndarray, int]:
    """The training texts, their labels, (N,), -1 for none, and the number M of texts read.

    The first M are those; the others repeat texts with a label, as the data section defines.
    """
    config = recipe.data
    assert isinstance(config, DataConfig) and corpus.labels is not None, "texts with labels"
    lengths = encoded_sentences(tokenizer, corpus.train, note).lengths
    short = np.flatnonzero(lengths <= config.max_tokens)
    if not len(short):
        raise none_is_short(config.max_tokens, int(lengths.min()))
    given = numbered(corpus.labels["train"], names)[short]
    values, repeats = kept_labels(recipe, given, names, note)
    rows = np.concatenate([np.arange(len(values)), repeats])
    texts = list(corpus.train)
    return [texts[short[row]] for row in rows], values[rows], len(short)


def how_to_keep_all(config: DataConfig | ImageDataConfig) -> str:
    """The settings with which training uses every label once."""
    repeat = " --set data.repeat_labelled=1" if config.repeat_labelled > 1 else ""
    return f"; all of them: --set data.labelled=null{repeat}"


def unused_labels(recipe: Recipe, config: DataConfig) -> str:
    """The note that a recipe does not use the labels of its data."""
    text = f"{recipe.name} does not use the labels in the column {config.label_column!r}"
    if not recipe.model.get("latents"):
        return text
    command = f"textvae evaluate --label-column {config.label_column}"
    return f"{text}; {command} measures how well z predicts them"


def check_range(recipe: Recipe, corpus: ImageCorpus) -> None:
    """Refuse images outside [0, 1] under a likelihood without a density there.

    Raises:
        DataError: with the likelihood and the range.
    """
    kinds = [dict(node.get("likelihood") or {}).get("kind") for node in recipe.model["decoders"]]
    bounded = [k for k in kinds if k in Likelihood.kinds and Likelihood.kinds[k].bounded]  # type: ignore[attr-defined]
    for rows in (corpus.train, corpus.valid):
        check_unit_interval(rows.columns["image"].values, bounded, corpus.source)  # type: ignore[attr-defined]


def run_tokenizer(
    recipe: Recipe,
    texts: Texts | Sequence[str],
    folder: Path,
    resume: bool,
    note: Callable[[str], None],
) -> TextTokenizer:
    """The run's tokenizer, trained on its training texts: equal texts give equal tokenizers.

    Raises:
        RunError: `tokenizer.run` has none, or one of another kind.
    """
    path = folder / TOKENIZER
    if resume and (path / "tokenizer.json").exists():
        return load_tokenizer(path)
    config = recipe.tokenizer
    if config.run is not None:
        tokenizer = tokenizer_of(config.run, config.kind)
    else:
        size = config.planned_size
        tokenizer = trained_tokenizer(config.kind, texts, size, note, config.stop_words)
    if process_rank() == 0:
        with atomic_folder(path) as incoming:
            tokenizer.save_pretrained(incoming)
    return tokenizer


def tokenizer_of(run: str, kind: str) -> TextTokenizer:
    """The tokenizer of another run, of a kind.

    Raises:
        RunError: it has none, or one of another kind.
    """
    if not (Path(run) / "tokenizer.json").exists():
        raise RunError(f"tokenizer.run: {run} holds no finished model with a tokenizer")
    tokenizer = load_tokenizer(Path(run))
    if tokenizer_kind(tokenizer) != kind:
        found = tokenizer_kind(tokenizer)
        raise RunError(f"tokenizer.run: that of {run} is of kind {found} (the recipe: {kind})")
    return tokenizer
