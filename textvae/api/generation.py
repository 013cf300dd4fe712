"""Evaluation of the texts that a model generates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from textvae.api.code_texts import code_latent, latent_classes
from textvae.api.rows import given_rows, may_be_missing
from textvae.api.writing import written_ids
from textvae.data.cells import strings
from textvae.data.python_texts import text_list
from textvae.data.tokenizers import decode_ids
from textvae.data.words import Unit, unit_of
from textvae.evaluation.answers import AnswerSets, answers, grouped, share_with_word
from textvae.evaluation.generated_parts import GeneratedParts, parts_style
from textvae.evaluation.generated_rows import (
    GeneratedRows,
    generated_rows,
    mean_of_draws,
    rows_of,
)
from textvae.evaluation.text import (
    Generation,
    Reconstruction,
    Smoothness,
    compare_styles,
    reconstruction,
    smoothness,
)
from textvae.evaluation.trees import (
    Trees,
    is_balanced,
    share_balanced,
    tag_distance,
    word_tags,
)
from textvae.families.base import AlikeError
from textvae.graph.decoding import Decoding

if TYPE_CHECKING:
    from textvae.api.sentence import SentenceVAE

LINE_STEPS = 8
"""Steps of each interpolation."""

ANSWERS, CONDITIONS = 10, 500
"""Texts for each condition, and conditions that they are written for."""

WRITTEN = 5000
"""Rows of several fields, or with parts, that are written to be compared with held-out ones."""

DRAWS = 4
"""Draws of as many rows: the share of held-out rows that one draw contains varies by a tenth."""

LONGEST_TREE = 512
"""Most tokens of a tree that is written, end included."""

PLAIN = Decoding(known_words=False)
"""What is measured is the model itself, which may put pieces together to new words."""


def evaluate_generation(
    vae: "SentenceVAE",
    texts: Sequence[str],
    training: Iterable[str] | None = None,
    count: int = 1000,
    pairs: int = 100,
    seed: int = 0,
) -> Generation:
    """Metrics of reconstructions of held-out texts, of samples and of interpolations.

    Args:
        vae: the model.
        texts: sentences that the model was not trained on. At most half of them are compared to
            the samples, the others measure the reverse perplexity.
        training: texts that the model was trained on, if known; read more than once.
        count: number of samples at most.
        pairs: number of interpolations, nine sentences each.
        seed: of all random choices.

    Raises:
        ValueError: fewer than four texts.
    """
    texts = text_list(texts)
    if len(texts) < 4:
        raise ValueError(f"at least 4 texts are needed to judge samples (got {len(texts)})")
    shuffled = [texts[int(i)] for i in np.random.default_rng(seed).permutation(len(texts))]
    count, unit = min(count, len(texts) // 2), unit_of(texts)
    real, scored = shuffled[:count], shuffled[count:]
    samples, held_out, reference = compare_styles(
        vae.sample(count, replace(PLAIN, do_sample=True), seed), real, scored, training, unit
    )
    decoded, lines = latent_metrics(vae, texts, pairs, seed, unit) if vae.dim else (None, None)
    return Generation(
        reconstruction=decoded,
        samples=samples,
        real=held_out,
        interpolation=lines,
        reference=reference,
        reference_is_training=training is not None,
        scored=len(scored),
        unit=unit,
    )


def evaluate_answers(
    vae: "SentenceVAE",
    columns: Mapping[str, Sequence[str]],
    each: int = ANSWERS,
    most: int = CONDITIONS,
    seed: int = 0,
) -> AnswerSets:
    """Metrics of the texts that a conditional model writes, beside the known ones.

    A field that may be given is, see `VAEConfig.read_or_given`.

    Args:
        vae: the model.
        columns: held-out rows, the values of each field; rows of equal conditions are known texts
            of one condition.
        each: texts that are written for each condition.
        most: conditions, drawn with the seed where there are more.
        seed: of all random choices.
    """
    target = vae.model.field_of(vae.target)
    fields = [*vae.conditions, *vae.model.config.read_or_given]
    cells = (map(hashable, columns[field]) for field in fields)
    keys = list(zip(*cells, strict=True))
    known = grouped(keys, [" ".join(strings(cell)) for cell in columns[target]])
    chosen = sorted(np.random.default_rng(seed).permutation(len(known))[:most].tolist())
    conditions = [list(known)[index] for index in chosen]
    references = [known[key] for key in conditions]
    unit = unit_of([text for texts in known.values() for text in texts])
    given = dict(zip(fields, map(list, zip(*conditions, strict=True)), strict=True))
    how = replace(PLAIN, allow_unknown=False)

    def texts(how: Decoding) -> list[str]:
        rows = vae.sample_rows(each, how, seed, given=given)
        return [" ".join(strings(row[target])) for row in rows]

    sampled = texts(replace(how, do_sample=True))
    greedy = texts(how) if vae.dim else None
    # A beam is of one text, not of one part or field after the other.
    config = vae.model.config
    in_turn = target in config.plates or config.written_or_given
    beams = [] if in_turn else vae.likeliest(each, how, given)
    found = [[text for text, _ in beam] for beam in beams]
    return AnswerSets(
        sampled=answers(parts(sampled, each), references, unit),
        greedy=None if greedy is None else answers(parts(greedy, each), references, unit),
        beam=answers(found, references, unit) if found else None,
        **code_answers(vae, given, references, unit, each, seed),
    )


def code_answers(
    vae: "SentenceVAE",
    given: Mapping[str, list[str]],
    references: Sequence[Sequence[str]],
    unit: Unit,
    each: int,
    seed: int,
) -> dict[str, Any]:
    """The part of `AnswerSets` on the most probable codes; empty for a model without.

    Args:
        vae: the model.
        given: conditions by field.
        references: known texts of each condition.
        unit: that is counted as a word.
        each: codes for each condition.
        seed: of the random classes.
    """
    latent, target = code_latent(vae), vae.model.field_of(vae.target)
    if latent is None:
        return {}
    try:
        listed = vae.likeliest_codes(each, replace(PLAIN, allow_unknown=False), given)
    except AlikeError:
        return {}
    texts = [[code.row[target] for code in codes] for codes in listed]
    found: dict[str, Any] = {"codes": answers(texts, references, unit)}
    names = latent_classes(vae, latent)
    if names is not None:
        flat = [text for part in texts for text in part]
        words = [code.code for codes in listed for code in codes]
        drawn = np.random.default_rng(seed).choice(names, len(flat)).tolist()
        found["word_share"] = share_with_word(flat, words)
        found["random_word_share"] = share_with_word(flat, drawn)
    return found


def evaluate_rows(
    vae: "SentenceVAE",
    columns: Mapping[str, Sequence[str]],
    training: Mapping[str, Sequence[str]] | None = None,
    count: int = WRITTEN,
    seed: int = 0,
    draws: int = DRAWS,
) -> GeneratedRows:
    """Metrics of rows of several fields that a model writes from its prior.

    Args:
        vae: the model, which is given nothing.
        columns: held-out rows, the values of each field.
        training: rows that it was trained on, if known.
        count: rows that are written in each draw.
        seed: of the rows of the first draw; those of the others follow it.
        draws: sets of rows, whose metrics are averaged.
    """
    fields = [vae.model.field_of(name) for name in vae.model.main_decoders]
    how = replace(PLAIN, allow_unknown=False, do_sample=True)
    known = None if training is None else rows_of(training, fields)
    held_out = rows_of(columns, fields)
    found = []
    for number in range(draws):
        written = vae.sample_rows(count, how, seed + number)
        cells = {field: [row[field] for row in written] for field in fields}
        found.append(generated_rows(rows_of(cells, fields), held_out, known))
    return mean_of_draws(found)


@torch.no_grad()
def evaluate_trees(
    vae: "SentenceVAE",
    columns: Mapping[str, Sequence[str]],
    training: Mapping[str, Sequence[str]] | None = None,
    count: int = WRITTEN,
    most: int = CONDITIONS,
    seed: int = 0,
) -> dict[str, Trees] | None:
    """Metrics of each field of trees that a model writes from its prior; None without one.

    Args:
        vae: the model, which is given nothing.
        columns: held-out rows; a field whose values are all balanced trees is one of trees.
        training: rows that it was trained on, if known: the tags of words are from there.
        count: trees that are written in either way.
        most: rows whose tree is replaced by another one's, the first of them.
        seed: of all random choices.
    """
    fields = {vae.model.field_of(name): name for name in vae.model.text_decoders}
    names = [field for field in fields if all(map(is_balanced, columns[field]))]
    if not names:
        return None
    how = replace(PLAIN, allow_unknown=False, max_new_tokens=LONGEST_TREE)
    drawn = vae.sample_rows(count, replace(how, do_sample=True), seed)
    greedy = vae.sample_rows(count, how, seed)
    found = {}
    for name in names:
        distances = swapped_distances(vae, columns, training, name, how, most, seed)
        first, second = distances or (None, None)
        found[name] = Trees(
            balanced=share_balanced([row[name] for row in drawn]),
            greedy_balanced=share_balanced([row[name] for row in greedy]),
            tag_distance=first,
            random_tag_distance=second,
            tag_gain=1 - first / second if first is not None and second else None,
            written=count,
            swapped=min(most, len(columns[name])) if distances else 0,
        )
    return found


def swapped_distances(
    vae: "SentenceVAE",
    columns: Mapping[str, Sequence[str]],
    training: Mapping[str, Sequence[str]] | None,
    tree: str,
    how: Decoding,
    most: int,
    seed: int,
) -> tuple[float, float] | None:
    """The distance of texts from the tree of another row, and of a third; see `Trees`.

    None where no text is written from the tree alone of all fields, or there are fewer than three
    rows.
    """
    config = vae.model.config
    decoder = next(
        (
            name
            for name in vae.model.text_decoders
            if config.fields_behind(config.read_by_field[vae.model.field_of(name)], False) == [tree]
        ),
        None,
    )
    rows = {name: list(cells[:most]) for name, cells in columns.items()}
    size = len(rows[tree])
    if decoder is None or size < 3:
        return None
    known = columns if training is None else training
    tags = word_tags(known[vae.model.field_of(decoder)], known[tree])
    if not tags:
        return None
    order = np.random.default_rng(seed).permutation(size)
    # Each row gets the tree of the next in a random circle, and is compared with the one after it.
    swapped, third = (
        [rows[tree][i] for i in np.roll(order, -shift)[np.argsort(order)]] for shift in (1, 2)
    )
    given = given_rows(config, vae.tokenizer, {tree: swapped}, [tree])
    values = vae.values_of(np.asarray(vae.encode(rows)))
    ids = written_ids(vae, decoder, values, size, given, how)
    texts = [decode_ids(vae.tokenizer, row) for row in ids]
    return tag_distance(texts, swapped, tags), tag_distance(texts, third, tags)


def evaluate_parts(
    vae: "SentenceVAE", columns: Mapping[str, Sequence[Any]], most: int = WRITTEN, seed: int = 0
) -> GeneratedParts:
    """Metrics of rows with parts that a model writes, beside those of held-out rows.

    Args:
        vae: the model, of which a text decoder writes parts.
        columns: held-out rows; their conditions are given to the model.
        most: rows, the first of them where there are more.
        seed: of the rows.
    """
    config = vae.model.config
    real = {name: cells[:most] for name, cells in columns.items()}
    count = len(next(iter(real.values())))
    given = {name: real[name] for name in vae.conditions}
    how = replace(PLAIN, allow_unknown=False, do_sample=True)
    rows = vae.sample_rows(1 if given else count, how, seed, given=given or None)
    written = {name: [row[name] for row in rows] for name in rows[0]}
    names = [name for name in written if name in config.plates]
    texts = {n: config.plates[n] for n in names if not may_be_missing(config, n)}
    labels = [name for name in names if name not in texts]
    asked = [name for name in given if not may_be_missing(config, name)]
    conditions = [
        [part for name in asked for part in strings(given[name][row])] for row in range(count)
    ]
    unit = unit_of([part for name in texts for cell in real[name] for part in cell])
    return GeneratedParts(
        samples=parts_style(written, texts, labels, conditions, unit),
        real=parts_style({n: real[n] for n in names}, texts, labels, conditions, unit),
    )


def hashable(cell: Any) -> Any:
    """A cell that may be a key: its parts as a tuple."""
    return tuple(map(hashable, cell)) if isinstance(cell, list) else cell


def parts(texts: Sequence[str], each: int) -> list[Sequence[str]]:
    """Texts in parts of a size."""
    return [texts[start : start + each] for start in range(0, len(texts), each)]


def latent_metrics(
    vae: "SentenceVAE", texts: Sequence[str], pairs: int, seed: int, unit: Unit
) -> tuple[Reconstruction, Smoothness]:
    """Metrics of reconstructions of texts, and of interpolations between random pairs of them."""
    means = np.asarray(vae.encode(texts))
    generator = np.random.default_rng(seed)
    first = generator.integers(len(texts), size=pairs)
    second = (first + generator.integers(1, len(texts), size=pairs)) % len(texts)
    ends = np.stack([means[first], means[second]], 1)
    lines = interpolations(vae, ends)
    return reconstruction(vae.decode(means, PLAIN), texts, unit), smoothness(lines, unit)


def interpolations(vae: "SentenceVAE", ends: np.ndarray) -> list[list[str]]:
    """The greedy sentences of `LINE_STEPS` steps between pairs of latents, (P, 2, D)."""
    latents = torch.cat([vae.between(pair, LINE_STEPS + 1) for pair in ends])
    sentences = vae.decode(latents, PLAIN)
    return [
        sentences[start : start + LINE_STEPS + 1]
        for start in range(0, len(sentences), LINE_STEPS + 1)
    ]
