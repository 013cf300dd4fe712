"""Rows that have parts, such as dialogues: sampled part after part, reconstructed, encoded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from textvae.api.rows import class_names_of, set_names_of, vector_cells
from textvae.api.writing import ROWS, batch_of, generated_ids, posterior_value
from textvae.data.batching import Examples
from textvae.data.fields import Fields
from textvae.data.tokenizers import decode_ids
from textvae.decoders.label import LabelDistribution
from textvae.decoders.text import TokenDecoder
from textvae.encoders import Features
from textvae.families import Family
from textvae.graph.config import Node
from textvae.graph.decoding import Decoding
from textvae.graph.generation import drawn
from textvae.graph.plates import GROUPS, Step, batch_size, writing_order
from textvae.layers.plate import Plate
from textvae.randomness import draws
from textvae.vocabulary import BOS, EOS, MISSING, PAD

if TYPE_CHECKING:
    from textvae.api.table import TableVAE
    from textvae.api.text_writer import TextWriter

Cell = str | tuple[Any, ...] | list[float]
"""A value of a row: a text, a class, a set of labels, a vector; of a field with parts, a tuple of
these."""

Read = Mapping[str, Features]
"""Features of encoders, and of plates, by name."""


@dataclass
class Writing:
    """Rows that are being written.

    Args:
        vae: the model.
        count: number of rows N.
        how: to choose tokens; classes are drawn where tokens are.
        fields: what is given or written of whole rows, by field, as a batch has it.
        values: of the latents, (1, N, D); those that are there before any is written stay.
        parts: what is written of each part so far, by field: a tensor of N values for each part.
        use_mean: latents at the means of their priors, and as many parts as the median training row
            has, in place of drawing either.
        most: parts of a row; None for as many as the longest training row has.
    """

    vae: "TextWriter | TableVAE"
    count: int
    how: Decoding
    fields: dict[str, Tensor]
    values: dict[str, Tensor] = field(default_factory=dict)
    parts: dict[str, list[Tensor]] = field(default_factory=dict)
    use_mean: bool = False
    most: int | None = None

    def __post_init__(self) -> None:
        self.fixed = frozenset(self.values)
        """Names of the latents whose values stay."""
        self.given = frozenset(self.fields)
        """Names of the fields that are there before any is written."""
        first = self.vae.model.config.written_or_given
        self.known = [name for name in first if name in self.given]
        """Those that would otherwise be written."""

    def run(self, steps: Sequence[Step], read: Callable[[], Read]) -> dict[str, Tensor]:
        """What the decoders among some steps write, by field.

        Args:
            steps: in their order.
            read: the features of what is there by now.
        """
        model, written = self.vae.model, dict[str, Tensor]()
        nodes = {group: {n["name"]: n for n in model.config.nodes(group)} for group in GROUPS}
        features = read()
        for step in steps:
            if step.group == "latents":
                if step.name not in self.fixed:
                    node = nodes["latents"][step.name]
                    self.values[step.name] = self.latent_value(node, features)
                continue
            name = model.field_of(step.name)
            given = self.fields[name] if name in self.known else None
            missing = None if given is None else missing_labels(given)
            if given is not None and not missing.any():  # type: ignore[union-attr]
                written[name] = given
                continue
            written[name] = write_values(
                self.vae, step.name, self.values, features, self.count, self.how
            )
            if given is not None:  # the labels of some of the rows
                written[name] = torch.where(missing, written[name], given)  # type: ignore[arg-type]
            if name in self.parts:
                self.parts[name][-1] = written[name]
            else:
                self.fields[name] = written[name]
            features = read()
        return written

    def latent_value(self, node: Node, features: Read) -> Tensor:
        """A sample of a latent, (1, N, D), from its posterior where all that it reads is given."""
        model = self.vae.model
        if model.config.comes_from_posterior(node["name"], self.given):
            return posterior_value(model, node, features, self.values, self.count)
        return model.prior_value(node, features, self.values, self.count, self.use_mean)

    def batch(self) -> dict[str, Tensor]:
        """All that is there, as a batch."""
        found = dict(self.fields)
        for name, parts in self.parts.items():
            found[name] = together(parts)
            plate = self.vae.model.config.plates[name]
            found[plate] = torch.full((self.count,), len(parts), device=found[name].device)
        return found

    def features(self) -> Read:
        """The features of all that is there."""
        return self.vae.model.encoder_features(self.batch())

    def last_parts(self, plate: str) -> Read:
        """The features of the last part of each row, as if it were the only one."""
        plates, features = self.vae.model.node_plates.encoders, dict(self.features())
        alone = Plate.of(torch.ones_like(features[plate].plate.counts), self.count)  # type: ignore[union-attr]
        for name in (plate, *(name for name, each in plates.items() if each == plate)):
            if name in features:
                last = cast(Plate, features[name].plate).last
                features[name] = features[name].select(last, alone)
        return features


def missing_labels(given: Tensor) -> Tensor:
    """Which rows of a field that is given have no class, (N,), bool; none where it is no label."""
    if given.ndim > 1:
        return given.new_zeros(len(given), dtype=torch.bool)
    return given == MISSING


def together(parts: Sequence[Tensor]) -> Tensor:
    """Values of N rows in each of S parts, as a batch has them: (N S, ...), those of a row first.

    Texts are padded to the longest.
    """
    if parts[0].ndim == 2 and parts[0].dtype == torch.int64:
        longest = max(part.shape[1] for part in parts)
        parts = [functional.pad(part, (0, longest - part.shape[1]), value=PAD) for part in parts]
    return torch.stack(list(parts), 1).flatten(0, 1)


def write_values(
    vae: "TextWriter | TableVAE",
    decoder: str,
    values: Mapping[str, Tensor],
    features: Read,
    count: int,
    how: Decoding,
) -> Tensor:
    """What a decoder writes for each row or part, as a batch has it: ids, classes, sets of labels.

    Raises:
        ValueError: it is of a kind that writes nothing here.
    """
    model = vae.model
    if isinstance(model.decoders[decoder], TokenDecoder):
        ids = generated_ids(cast("TextWriter", vae), decoder, values, features, count, how)
        return token_rows(ids).to(model.device)
    likelihood = model.likelihoods(values, features, count, [decoder])[decoder]
    if isinstance(likelihood, LabelDistribution):
        return drawn(likelihood.probabilities[0]) if how.do_sample else likelihood.mode[0]
    try:
        with draws():
            return (likelihood.sample() if how.do_sample else likelihood.mode)[0]
    except NotImplementedError:
        kind = cast(Any, model.decoders[decoder]).kind
        raise ValueError(f"a {kind} decoder writes nothing in a model of parts") from None


def token_rows(ids: Sequence[Sequence[int]]) -> Tensor:
    """Generated ids as texts of a batch, (N, T): begin, words, end, padding."""
    rows = [[BOS, *(token for token in row if token not in (EOS, PAD)), EOS] for row in ids]
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def blank(vae: "TextWriter | TableVAE", name: str, count: int) -> Tensor:
    """Values of a field of a part that is not written yet, of N rows."""
    facts, device = (vae.model.config.observed or {})[name], vae.model.device
    if "classes" in facts:
        return torch.full((count,), MISSING, device=device)
    if "label_set" in facts:
        return torch.full((count, facts["label_set"]), float(MISSING), device=device)
    if "values" in facts:
        return torch.zeros(count, *facts["shape"], device=device)
    return torch.tensor([[BOS, EOS]], device=device).expand(count, 2)


@torch.no_grad()
def sampled_parts(
    vae: "TextWriter | TableVAE", count: int, how: Decoding, given: Fields | None
) -> list[dict[str, Cell]]:
    """Rows from the prior, their parts written one after the other.

    First the latents of the row are drawn and its own fields written, but those that are given;
    a latent whose posterior reads these alone is drawn from it. Then, for part 1, 2, ...:
    encoders read the parts so far and a blank one, the latents of this part are drawn from their
    priors, and its fields are written, each as soon as all that it reads is there. A row ends after
    the part whose label is the class that `ends` it; without such a label, after a number of parts
    that is drawn from those of the training rows. No row has more parts than the longest of these.

    Args:
        vae: the model.
        count: number of rows; each has its conditions.
        how: to choose tokens.
        given: the conditions of each row; None for a model without.
    """
    rows: list[dict[str, Cell]] = []
    for start in range(0, count, ROWS):
        chosen = slice(start, min(start + ROWS, count))
        fields = batch_of(vae, given, chosen)
        rows += sampled_together(Writing(vae, chosen.stop - start, how, fields))
    return rows


@torch.no_grad()
def decoded_parts(
    vae: "TextWriter | TableVAE", z: Tensor, how: Decoding, given: Fields | None, most: int | None
) -> list[dict[str, Cell]]:
    """Rows under latents of whole rows, written as `sampled_parts` writes them.

    Nothing is drawn but where tokens are: without `do_sample`, the latents of parts are the means
    of their priors, classes the most probable ones, and rows have as many parts as the median
    training row, where no label ends them.

    Args:
        vae: the model.
        z: the latents of whole rows, (N, D), side by side.
        how: to choose tokens.
        given: the conditions of each row; None for a model without.
        most: parts of a row; None for as many as the longest training row has.
    """
    rows: list[dict[str, Cell]] = []
    for start in range(0, len(z), ROWS):
        chosen = slice(start, min(start + ROWS, len(z)))
        fields, values = batch_of(vae, given, chosen), row_values(vae, z[chosen])
        count, greedy = chosen.stop - start, not how.do_sample
        writing = Writing(vae, count, how, fields, values, use_mean=greedy, most=most)
        rows += sampled_together(writing)
    return rows


def row_values(vae: "TextWriter | TableVAE", z: Tensor) -> dict[str, Tensor]:
    """The values, (1, N, D), of each latent of whole rows, of all side by side, (N, D).

    Raises:
        ValueError: z has another size.
    """
    sizes = [int(cast(Family, vae.model.latents[name]).dim) for name in vae.model.row_latents]
    if z.ndim != 2 or z.shape[1] != sum(sizes):
        raise ValueError(f"z must be (N, {sum(sizes)}), of whole rows (got {tuple(z.shape)})")
    parts = z.to(vae.model.device, torch.float32).split(sizes, -1)
    return {name: part[None] for name, part in zip(vae.model.row_latents, parts, strict=True)}


@torch.no_grad()
def sampled_row_latents(vae: "TextWriter | TableVAE", count: int, given: Fields | None) -> Tensor:
    """Samples of the prior of the latents of whole rows, (N, D), side by side."""
    writing = Writing(vae, count, Decoding(do_sample=True), batch_of(vae, given, slice(0, count)))
    writing.run(writing_order(vae.model.config, None), writing.features)
    drawn_values = [writing.values[name][0] for name in vae.model.row_latents]
    return torch.cat(drawn_values, -1) if drawn_values else torch.zeros(count, 0)


def sampled_together(writing: Writing) -> list[dict[str, Cell]]:
    """`sampled_parts` of rows that are written at once."""
    vae, config = writing.vae, writing.vae.model.config
    whole = writing.run(writing_order(config, None), writing.features)
    columns = {name: list[Any](in_words(vae, name, value)) for name, value in whole.items()}
    for plate in config.plate_fields:
        if names := [name for name in written_names(vae) if config.plates.get(name) == plate]:
            columns |= written_parts(writing, plate, names)
    order = written_names(vae)
    rows = zip(*(columns[name] for name in order), strict=True)
    return [dict(zip(order, row, strict=True)) for row in rows]


def written_parts(
    writing: Writing, plate: str, names: Sequence[str]
) -> dict[str, list[tuple[Any, ...]]]:
    """The parts of a plate that are written for each row, by field.

    Args:
        writing: what is written of whole rows; the values of latents are added.
        plate: its name.
        names: of the fields of it that the model writes.
    """
    vae = writing.vae
    ends = {name: end for name in names if (end := end_of(vae, name)) is not None}
    steps = writing_order(vae.model.config, plate)
    lengths = part_counts(writing, plate, bool(ends))
    ended = torch.zeros_like(lengths, dtype=torch.bool)
    writing.parts = {name: [] for name in names}
    for number in range(1, int(lengths.max()) + 1):
        for name in names:
            writing.parts[name].append(blank(vae, name, writing.count))
        writing.run(steps, lambda: writing.last_parts(plate))
        for name, end in ends.items():
            now = (writing.parts[name][-1] == end) & ~ended
            lengths, ended = torch.where(now, number, lengths), ended | now
        if ended.all():
            break
    columns = {}
    for name in names:
        cells = zip(*(in_words(vae, name, part) for part in writing.parts[name]), strict=True)
        pairs = zip(cells, lengths.tolist(), strict=True)
        columns[name] = [row[:length] for row, length in pairs]
    writing.parts = {}
    return columns


def written_names(vae: "TextWriter | TableVAE") -> list[str]:
    """The fields that the model writes, in the order of its decoders."""
    return list(dict.fromkeys(map(vae.model.field_of, vae.model.main_decoders)))


def end_of(vae: "TextWriter | TableVAE", name: str) -> int | None:
    """The number of the class of a field that marks the last part; None where it marks none."""
    facts = (vae.model.config.observed or {})[name]
    return facts["names"].index(facts["ends"]) if "ends" in facts else None


def part_counts(writing: Writing, plate: str, ended: bool) -> Tensor:
    """Numbers of parts of N rows, (N,), int64: drawn from those of the training rows.

    Args:
        writing: of the rows; its `use_mean` and `most` are heeded.
        plate: its name.
        ended: whether a label ends a row: then the largest number for each of them.
    """
    model, count = writing.vae.model, writing.count
    counted = (model.config.observed or {})[plate]["counts"].items()
    pairs = [(int(size), int(rows)) for size, rows in counted]
    sizes, rows = torch.tensor(pairs, device=model.device).T
    if ended:
        lengths = sizes.max().expand(count)
    elif writing.use_mean:
        lengths = sizes.repeat_interleave(rows).median().expand(count)
    else:
        lengths = sizes[drawn((rows / rows.sum()).expand(count, -1))]
    return lengths if writing.most is None else lengths.clamp(max=writing.most)


def in_words(vae: "TextWriter | TableVAE", name: str, values: Tensor) -> list[Cell]:
    """Values of a field as cells of a table."""
    facts = (vae.model.config.observed or {}).get(name, {})
    if "label_set" in facts:
        labels = set_names_of(vae.model.config, name)
        return [
            tuple(label for label, bit in zip(labels, row, strict=True) if bit > 0.5)
            for row in values.tolist()
        ]
    if "values" in facts:
        return list(vector_cells(values.cpu().numpy(), facts))
    names = class_names_of(vae.model.config, name)
    if names is not None:
        return ["" if value == MISSING else names[value] for value in values.tolist()]
    assert vae.tokenizer is not None, "texts have one"
    return [decode_ids(vae.tokenizer, row) for row in values.tolist()]


@torch.no_grad()
def reconstructed_parts(
    vae: "TextWriter | TableVAE", rows: Examples, how: Decoding
) -> list[dict[str, Cell]]:
    """What the decoders write of rows at their posterior means; they see the true earlier parts."""
    model = vae.model
    found: dict[int, dict[str, Cell]] = {}
    for indices, batch in rows.in_length_order():
        fields = {name: value.to(model.device) for name, value in batch.items()}
        features, count = model.read(fields), batch_size(model.config, fields)
        latents = model.draw(features, 1, count, use_mean=True)
        values = {name: latent.value for name, latent in latents.items()}
        columns: dict[str, Sequence[Cell]] = {}
        for decoder in model.main_decoders:
            name = model.field_of(decoder)
            written = write_values(vae, decoder, values, features, count, how)
            cells, plate = (
                in_words(vae, name, written),
                model.plate_of("decoders", decoder, features),
            )
            columns[name] = cells if plate is None else divided(cells, plate.counts.tolist())
        for place, row in enumerate(indices.tolist()):
            found[row] = {name: cells[place] for name, cells in columns.items()}
    return [found[row] for row in range(len(rows))]


def divided(values: Sequence[Any], counts: Sequence[int]) -> list[tuple[Any, ...]]:
    """Values of parts by row.

    >>> divided([1, 2, 3], [2, 1])
    [(1, 2), (3,)]
    """
    return [tuple(values[a:b]) for a, b in pairwise(np.cumsum([0, *counts]).tolist())]


@dataclass(frozen=True)
class PartLatents:
    """The posteriors of rows with parts.

    Args:
        means: of each latent by name, (N, D); of a latent of parts, (R, D), those of the first row
            first.
        scales: standard deviations, likewise.
        counts: number of parts of each row by plate, (N,).
        plates: the plate of each latent by its name; None for one of whole rows.
    """

    means: dict[str, np.ndarray]
    scales: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
    plates: dict[str, str | None]

    def by_row(self, latent: str) -> list[np.ndarray]:
        """The means of one latent for each row: (S, D) of its parts, (1, D) of the whole row."""
        plate, means = self.plates[latent], self.means[latent]
        counts = np.ones(len(means), np.int64) if plate is None else self.counts[plate]
        return np.split(means, np.cumsum(counts)[:-1])


@torch.no_grad()
def encoded_parts(vae: "TextWriter | TableVAE", rows: Fields) -> PartLatents:
    """The posteriors of rows, in their order; each latent sees the means of those before it."""
    model = vae.model
    means: dict[str, list[np.ndarray]] = {name: [] for name in model.latents}
    scales: dict[str, list[np.ndarray]] = {name: [] for name in model.latents}
    for start in range(0, len(rows), ROWS):
        fields = batch_of(vae, rows, slice(start, min(start + ROWS, len(rows))))
        for name, posterior in model.encode(**fields).items():
            family = cast(Family, model.latents[name])
            means[name].append(family.point_estimate(posterior).cpu().numpy())
            scales[name].append(posterior.stddev.cpu().numpy())
    return PartLatents(
        {name: np.concatenate(each) for name, each in means.items() if each},
        {name: np.concatenate(each) for name, each in scales.items() if each},
        {plate: column.counts for plate, column in rows.plates.items()},
        dict(model.node_plates.latents),
    )
