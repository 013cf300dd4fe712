"""Models of rows with parts, such as dialogues, as the page shows them: by whole rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from textvae.analysis.columns import Column, first_word_column, length_column, number_column
from textvae.analysis.summary import cell_text
from textvae.api.parts import Cell
from textvae.api.rows import class_names_of, facts_of
from textvae.api.sentence import SentenceVAE
from textvae.data.differences import compare_words
from textvae.evaluation.latent import ACTIVE
from textvae.evaluation.parts import row_kls
from textvae.explore.held_out import HeldOutTexts
from textvae.explore.models import PREVIEW, TOKENS, ExploredModel, Shown
from textvae.graph.config import VAEConfig
from textvae.graph.decoding import Decoding
from textvae.vocabulary import SPECIAL_TOKENS, UNK

PARTS = 12
"""Most parts of a decoded row: the time of a slider grows with their number."""
LONGEST = 20_000
"""Characters of a given field with parts."""


class ExploredParts(ExploredModel):
    """A model of rows with parts: z are its latents of whole rows.

    What z stands for is a row that is written part after part with these latents given. Without
    sampling it is one row: the latents of parts are the means of their priors, classes and tokens
    the most probable ones, and there are as many parts as the median training row has, where no
    label ends them; at most `PARTS`. Samples draw all of that.

    Raises:
        ValueError: no latent of whole rows, or something is given that is no text and no label.
    """

    modality = "row"
    rebuilds = False
    vae: SentenceVAE

    def __init__(self, vae: SentenceVAE, rows: HeldOutTexts):
        super().__init__(vae, rows)
        assert rows.columns is not None, "rows of several fields"
        self.config, self.fields, self.texts = vae.model.config, rows.columns, rows.texts
        self.written = list(dict.fromkeys(map(vae.model.field_of, vae.model.main_decoders)))
        for name in vae.conditions:
            if kinds_of(self.config, name) == "note":
                raise ValueError(
                    f"the model is given {name!r}, which is no text and no label: the page has no "
                    f"field for it"
                )
        self.means, self.scales = vae.row_moments(self.fields)
        self.lines = [self.lines_of(row) for row in range(len(self.texts))]
        self.folded = [self.searched(row) for row in range(len(self.texts))]
        self.note = self.how_decoded()

    def how_decoded(self) -> str:
        """What else than z decides about a decoded row."""
        plates = [self.config.plates[name] for name in self.written if name in self.config.plates]
        if not plates:
            return ""
        ended = any("ends" in facts_of(self.config, name) for name in self.written)
        length = f"up to {PARTS} parts" if ended else "as many parts as the median training row"
        of_parts = len(self.sizes) < len(self.vae.model.latents)
        means = ", latents of parts at the means of their priors" if of_parts else ""
        return f"Written from z alone: {length}{means}."

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of the latents of whole rows."""
        return {name: size for name, size in super().sizes.items() if self.is_whole(name)}

    def is_whole(self, latent: str) -> bool:
        """Whether a latent is of whole rows."""
        return latent in self.vae.model.row_latents

    @property
    def whole(self) -> np.ndarray:
        """Which dimensions of all latents side by side are of whole rows."""
        sizes = super().sizes
        return np.repeat([self.is_whole(name) for name in sizes], [*sizes.values()])

    def among_all(self, z: np.ndarray) -> np.ndarray:
        """Latents of whole rows, (N, D), in their places among all, with 0 for those of parts."""
        whole = self.whole
        padded = np.zeros((len(z), len(whole)), np.float32)
        padded[:, whole] = z
        return padded

    def project(self, z: np.ndarray) -> np.ndarray:
        """The latents nearest to points, (N, D), float32."""
        return super().project(self.among_all(z))[:, self.whole]

    def between(self, ends: np.ndarray, steps: int, spherical: bool) -> np.ndarray:
        """Latents between two, (steps, D); the zeros of the others bend no arc."""
        return super().between(self.among_all(ends), steps, spherical)[:, self.whole]

    def prior_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of the prior of each dimension of whole rows, (D,) both."""
        mean, deviation = super().prior_moments()
        return mean[self.whole], deviation[self.whole]

    def metrics_of_z(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """KL, active units and variances of the latents of whole rows in place of those of all."""
        if not metrics.get("latent_kls"):
            return dict(metrics)
        kl = sum(metrics["latent_kls"][name] for name in self.sizes)
        variances = np.asarray(metrics["variances"])[self.whole]
        return {**metrics, "kl": kl, "whole_kl": kl, "dimensions": self.dim} | {
            "variances": tuple(variances.tolist()),
            "active_units": int((variances > ACTIVE).sum()),
        }

    def kls(self, metrics: Mapping[str, Any]) -> list[float] | None:
        """KL of each dimension, measured on the held-out rows: a run stores the sums alone."""
        if self.deterministic:
            return None
        batches = (batch for _, batch in self.vae.rows(self.fields).in_length_order())
        kls = row_kls(self.vae.model, [*batches])
        return None if kls is None else list(kls)

    def columns(self) -> list[Column]:
        """The labels of whole rows, the numbers of parts, the length and the first word."""
        numbers = []
        for plate, names in self.config.plate_fields.items():
            name = next((name for name in names if name in self.fields), None)
            if name is not None:
                counts = [float(len(cell)) for cell in self.fields[name]]
                column = number_column(f"number of {plate}s", counts, computed=True)
                numbers += [column] if len(column.names) > 1 else []
        return [
            *self.labels(),
            *numbers,
            length_column(self.texts),
            first_word_column(self.texts),
        ]

    def conditions(self) -> list[dict[str, Any]]:
        """The texts and labels that the model is given; of one with parts, each part is a line."""
        found = []
        for name in self.vae.conditions:
            lines = name in self.config.plates
            classes = None if lines else class_names_of(self.config, name)
            default = self.condition_of(0)[name] if self.texts else ""
            if classes is not None and default not in classes:
                default = classes[0]
            found.append(
                {"name": name, "classes": classes, "default": default}
                | ({"lines": True, "longest": LONGEST} if lines else {})
            )
        return found

    def condition_of(self, row: int) -> dict[str, str]:
        """The given fields of a held-out row, of one with parts a line each."""
        cells = {name: self.fields[name][row] for name in self.vae.conditions}
        return {
            name: cell or "" if isinstance(cell, str | None) else "\n".join(map(one_line, cell))
            for name, cell in cells.items()
        }

    def given(self, condition: Mapping[str, str]) -> dict[str, list[Any]] | None:
        """The condition of one row as the model takes it."""
        return {
            name: [[line for line in value.split("\n") if line.strip()]]
            if name in self.config.plates
            else [value]
            for name, value in condition.items()
        } or None

    def lines_of(self, row: int) -> list[dict[str, str]]:
        """The lines of a held-out row."""
        return row_lines(self.config, {name: self.fields[name][row] for name in self.written})

    def searched(self, row: int) -> str:
        """All texts and labels of a held-out row in lower case, what is given too."""
        return "\n".join([plain(self.lines[row]), *self.condition_of(row).values()]).casefold()

    def original(self, row: int) -> Shown:
        """All parts, one a line."""
        return {"text": plain(self.lines[row]), "lines": self.lines[row]}

    def preview(self, row: int) -> Shown:
        """The start of the row: the first parts, without their sets of labels."""
        return {"text": plain([line | {"note": ""} for line in self.lines[row]])[:PREVIEW]}

    def rows_of(
        self,
        z: np.ndarray,
        decoding: Decoding,
        condition: Mapping[str, str],
        seed: int | None = None,
    ) -> list[dict[str, Cell]]:
        """The rows that z, (N, D), stands for, by field."""
        return self.vae.decode_parts(z, decoding, seed, self.given(condition), PARTS)

    def decode(self, z: np.ndarray, condition: Mapping[str, str]) -> list[Shown]:
        """The row of each z without sampling, as the class describes it."""
        return [*map(self.shown, self.rows_of(z, Decoding(max_new_tokens=TOKENS), condition))]

    def sample(
        self, z: np.ndarray, count: int, temperature: float, seed: int, condition: Mapping[str, str]
    ) -> list[Shown]:
        """Rows drawn from p(x | z): tokens, classes, latents and numbers of parts."""
        decoding = Decoding(do_sample=True, temperature=temperature, max_new_tokens=TOKENS)
        rows = self.rows_of(np.repeat(z[None], count, 0), decoding, condition, seed)
        return [*map(self.shown, rows)]

    def shown(self, row: Mapping[str, Cell]) -> Shown:
        """A written row; `cut` names the limits that it has reached."""
        lines = row_lines(self.config, row)
        parts = max((len(row[name]) for name in row if name in self.config.plates), default=0)
        pipeline = self.vae.tokenizer.backend_tokenizer
        encoded = (pipeline.encode(line["text"], add_special_tokens=False) for line in lines)
        longest = max((len(each.ids) for each in encoded), default=0)
        limits = [f"at most {PARTS} parts"] * (parts >= PARTS)
        limits += [f"a part cut at {TOKENS} tokens"] * (longest >= TOKENS)
        return {"text": plain(lines), "lines": lines} | (
            {"cut": ", ".join(limits)} if limits else {}
        )

    def prior_sample(self, seed: int, condition: Mapping[str, str]) -> np.ndarray:
        """One z from the prior of the latents of whole rows."""
        return self.vae.sample_latents(1, seed, given=self.given(condition))[0]

    def carried(self, z: np.ndarray, condition: Mapping[str, str]) -> np.ndarray | None:
        """Posterior means of the decoded rows; an empty text is read as an unknown word."""
        read = {name for latent in self.sizes for name in self.config.fields_read(latent)}
        if not read <= {*self.written, *condition}:
            return None
        rows = self.rows_of(z, Decoding(max_new_tokens=TOKENS), condition)
        columns: dict[str, Any] = {
            name: [self.readable(name, row[name]) for row in rows] for name in self.written
        }
        given = {name: cells * len(rows) for name, cells in (self.given(condition) or {}).items()}
        return self.vae.row_means({**columns, **given})

    def readable(self, name: str, cell: Cell) -> Cell:
        """A written cell as the model reads it: no text of it is empty."""
        if kinds_of(self.config, name) != "text":
            return cell
        if isinstance(cell, str):
            return cell.strip() or SPECIAL_TOKENS[UNK]
        return tuple(str(part).strip() or SPECIAL_TOKENS[UNK] for part in cell)

    def compared(self, original: Shown, decoded: Shown) -> Shown | None:
        """The words that two rows share, line by line, as runs of each line."""
        sides: dict[str, list[list[list[Any]]]] = {"original": [], "decoded": []}
        first, second = original["lines"], decoded["lines"]
        for number in range(max(len(first), len(second))):
            pair = (side[number]["text"] if number < len(side) else "" for side in (first, second))
            for runs, found in zip(sides.values(), compare_words(*pair), strict=True):
                runs.append([list(run) for run in found])
        return {
            "original": sides["original"][: len(first)],
            "decoded": sides["decoded"][: len(second)],
        }

    def contains(self, row: int, wanted: str) -> bool:
        """Whether they are part of the row, or of what it is given."""
        return wanted in self.folded[row]


def kinds_of(config: VAEConfig, name: str) -> str:
    """What a field is in a line: its `label`, a class; its `text`; else a `note`."""
    facts = facts_of(config, name)
    if "classes" in facts:
        return "label"
    return "note" if "label_set" in facts or "values" in facts else "text"


def row_lines(config: VAEConfig, row: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row in lines: its own fields, then its parts, plate by plate.

    Args:
        config: of the model.
        row: cells by field.

    Returns:
        Of each line the `label`, such as the speaker, the `text`, and as `note` sets of labels and
        numbers.
    """
    lines = []
    for name in (name for name in row if name not in config.plates):
        label = name if len(row) > 1 else ""
        lines.append({"label": label, "text": words_of(row[name]), "note": ""})
    for names in config.plate_fields.values():
        # A label that ends a row is how its end is written, and no label of a part.
        names = [n for n in row if n in names and "ends" not in facts_of(config, n)]
        for cells in zip(*(row[name] for name in names), strict=True):
            pieces: dict[str, list[str]] = {"label": [], "text": [], "note": []}
            for name, cell in zip(names, cells, strict=True):
                pieces[kinds_of(config, name)].append(words_of(cell))
            line = {kind: ", ".join(filter(None, found)) for kind, found in pieces.items()}
            if not pieces["text"]:  # parts without a text are their labels
                line = {"label": "", "text": line["label"] or line["note"], "note": line["note"]}
                line["note"] = line["note"] if line["text"] != line["note"] else ""
            lines.append(line)
    return lines


def words_of(cell: Any) -> str:
    """A cell of one part, or of a whole row, on one line."""
    if isinstance(cell, tuple | set | frozenset):
        return ", ".join(map(str, cell))
    return one_line(cell if isinstance(cell, str) else cell_text(list(cell or ())))


def one_line(text: str) -> str:
    """A text without line ends and other space of more than one blank."""
    return " ".join(text.split())


def plain(lines: Sequence[Mapping[str, str]]) -> str:
    """Lines as a text, `driver: where is the bank (poi)`."""
    return "\n".join(
        (f"{line['label']}: " if line["label"] else "")
        + line["text"]
        + (f" ({line['note']})" if line["note"] else "")
        for line in lines
    )
