"""The closing report of a run: held-out metrics, reconstructions, samples, an interpolation."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from textvae.analysis.cards import run_card
from textvae.analysis.diagnosis import diagnosis_of, trained_of
from textvae.analysis.pictures import write_first_pictures
from textvae.analysis.reports import evaluation_text
from textvae.analysis.views import image_fields, write_views
from textvae.analysis.wording import diagnosis_report, verdict_report
from textvae.api.image import ImageVAE
from textvae.api.sentence import SentenceVAE
from textvae.api.table import TableVAE
from textvae.console import one_line, say_note, visible
from textvae.data.fields import Fields
from textvae.data.images import ImageCorpus
from textvae.data.readers import Corpus
from textvae.data.tables import Columns, TableCorpus
from textvae.evaluation.label_sets import label_set_evaluation, predicted_set
from textvae.graph.decoding import Decoding
from textvae.training.folders import saved_recipe
from textvae.training.previews import TEMPERATURE
from textvae.training.references import reference_metrics, run_references
from textvae.training.run_data import column_subset, entropy_of, subset, text_data_config
from textvae.training.run_images import image_subset
from textvae.training.workflow import TrainedRun

SUMMARY_SAMPLES, SUMMARY_SENTENCES = 50, 500
SUMMARY_VIEWS = 32
"""Rows in the picture of rows with images."""
SHOWN = 20
"""Most values of a vector or a set of labels that are shown."""


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Args:
        folder: of the run.
        metrics: of held-out texts.
        reconstructions: pairs of a held-out text and its reconstruction.
        samples: sentences from the prior.
        interpolation: sentences between two held-out texts; empty without a latent.
        seconds: duration of the training since it was last resumed.
        pictures: files of an image model: reconstructions, samples, an interpolation.
        temperature: of the samples.
        verdict: code, findings and advice of the diagnosis.
        training: steps, epochs, KL weight and validations of the training.
    """

    folder: Path
    metrics: dict[str, Any]
    reconstructions: list[tuple[str, str]]
    samples: list[str]
    interpolation: list[str]
    seconds: float
    pictures: tuple[str, ...] = ()
    temperature: float = 1.0
    verdict: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> dict[str, Any]:
        """The JSON output."""
        return {**asdict(self), "folder": str(self.folder)}

    @property
    def samples_title(self) -> str:
        """What the samples are."""
        how = "" if self.temperature == 1 else f", temperature {self.temperature:g}"
        return f"samples from the prior{how}"

    @property
    def card(self) -> str:
        """The model card, which goes into the folder."""
        return run_card(self, saved_recipe(self.folder))

    def text(self, resumed: bool = False) -> str:
        """The report for a terminal.

        Args:
            resumed: whether the training went on, so that `seconds` are a part of it.
        """
        parts = [f"held-out metrics\n{evaluation_text(self.metrics)}"]
        parts += [verdict_report(self.verdict)] if self.verdict else []
        if self.reconstructions:
            pairs = [map(visible, pair) for pair in self.reconstructions]
            lines = [f"  {text}\n    -> {decoded}" for text, decoded in pairs]
            parts.append("\n".join(["reconstructions (greedy, from the posterior mean)", *lines]))
        if self.samples:
            lines = [f"  {visible(sentence)}" for sentence in self.samples]
            parts.append("\n".join([self.samples_title, *lines]))
        if self.interpolation:
            lines = [f"  {visible(sentence)}" for sentence in self.interpolation]
            parts.append("\n".join(["an interpolation", *lines]))
        if self.pictures:
            parts.append("\n".join(["pictures", *(f"  {picture}" for picture in self.pictures)]))
        since = " since it was resumed" if resumed else ""
        parts.append(f"saved in {self.folder} after {self.seconds:.0f} s of training{since}")
        return "\n\n".join(parts)


def summarize_run(run: TrainedRun) -> Finished:
    """The closing report of a run, on at most `SUMMARY_SENTENCES` of its held-out rows."""
    corpus = run.corpus
    if isinstance(corpus, ImageCorpus):
        rows = image_subset(corpus.test or corpus.valid, SUMMARY_SENTENCES)
        return summarize_images(ImageVAE(run.model), rows, run.folder, run.seconds)
    if isinstance(corpus, TableCorpus) and not run.model.text_decoders:
        table = TableVAE(run.model, run.tokenizer)
        return summarize_table(table, corpus, run.folder, run.seconds)
    assert run.tokenizer is not None, "texts have one"
    if isinstance(corpus, TableCorpus):
        vae = SentenceVAE(run.model, run.tokenizer)
        return summarize_rows(vae, corpus, run.folder, run.seconds)
    split = "test" if corpus.test else "valid"
    texts = subset(getattr(corpus, split), SUMMARY_SENTENCES)
    labels = None if corpus.labels is None else corpus.labels[split]
    labels = None if labels is None else subset(labels, SUMMARY_SENTENCES)
    return summarize_texts(
        SentenceVAE(run.model, run.tokenizer), texts, corpus, run.folder, run.seconds, labels
    )


def summarize_texts(
    vae: SentenceVAE,
    texts: list[str],
    corpus: Corpus,
    folder: Path,
    seconds: float,
    labels: list[str] | None,
) -> Finished:
    """Held-out metrics, three reconstructions, three samples and an interpolation."""
    if labels is not None and not (any(labels) and vae.predicts_labels):
        labels = None
    metrics = asdict(vae.evaluate(texts, SUMMARY_SAMPLES, labels=labels))
    metrics |= entropy_of(str(folder), None)
    most = text_data_config(str(folder)).max_tokens
    metrics |= reference_metrics(vae, metrics, texts, corpus.train, most, say_note)
    few = texts[:3]
    decodes = bool(vae.dim) and vae.ordered
    # In a bag, a low temperature makes the end the likeliest word.
    temperature = TEMPERATURE if vae.ordered else 1.0
    decoded = vae.reconstruct(few) if decodes else []
    interpolation = vae.interpolate(texts[0], texts[-1], 6) if decodes and len(texts) > 1 else []
    return Finished(
        folder=folder,
        metrics=metrics,
        reconstructions=list(zip(few, decoded, strict=False)),
        samples=vae.sample(3, Decoding(do_sample=True, temperature=temperature), seed=0),
        interpolation=interpolation,
        seconds=seconds,
        temperature=temperature,
        **conclusion(metrics, folder),
    )


def summarize_rows(vae: SentenceVAE, corpus: TableCorpus, folder: Path, seconds: float) -> Finished:
    """Held-out metrics, three reconstructions and three samples of rows of several fields."""
    held_out = corpus.test if len(corpus.test) else corpus.valid
    columns = {name: held_out.columns[name] for name in vae.fields}
    columns = column_subset(columns, SUMMARY_SENTENCES)
    metrics = asdict(vae.evaluate(columns, SUMMARY_SAMPLES))
    metrics |= table_label_sets(vae, corpus, columns)
    metrics |= run_references(str(folder), vae, metrics, columns, say_note)
    few = {name: cells[:3] for name, cells in columns.items()}
    pairs: list[tuple[str, str]] = []
    if vae.dim and vae.has_parts:
        rebuilt = vae.reconstruct_parts(few)
        cells = [few | {name: [row[name]] * 3 for name in row} for row in rebuilt]
        shown = [row_text(vae, few, number) for number in range(len(rebuilt))]
        back = [row_text(vae, each, number) for number, each in enumerate(cells)]
        pairs = list(zip(shown, back, strict=True))
    elif vae.dim and vae.ordered and len(vae.model.text_decoders) == 1:
        target = vae.model.field_of(vae.target)
        shown_rows = [row_text(vae, few, row) for row in range(len(few[target]))]
        pairs = list(zip(shown_rows, vae.reconstruct(few), strict=True))
    return Finished(
        folder=folder,
        metrics=metrics,
        reconstructions=pairs,
        samples=sample_lines(vae, few),
        interpolation=[],
        seconds=seconds,
        **conclusion(metrics, folder),
    )


def summarize_table(vae: TableVAE, corpus: TableCorpus, folder: Path, seconds: float) -> Finished:
    """Held-out metrics and three samples of rows of a table, or a picture of rows with images."""
    held_out = corpus.test if len(corpus.test) else corpus.valid
    columns = {name: held_out.columns[name] for name in vae.fields}
    columns = column_subset(columns, SUMMARY_SENTENCES)
    metrics = asdict(vae.evaluate(columns, SUMMARY_SAMPLES))
    metrics |= table_label_sets(vae, corpus, columns)
    given = {name: columns[name][:3] for name in vae.conditions}
    rows = vae.sample(1 if given else 3, seed=0, given=given or None)
    samples = [cells_text(row) for row in rows]
    pictures: tuple[str, ...] = ()
    if fields := image_fields(vae):
        picture = folder / "samples.png"
        many = vae.sample(SUMMARY_VIEWS, seed=0) if not given else rows
        write_views(picture, many, fields, f"{len(many)} prior samples, seed 0")
        pictures = (str(picture),)
        samples = []
    return Finished(
        folder, metrics, [], samples, [], seconds, pictures, **conclusion(metrics, folder)
    )


def table_label_sets(
    vae: TableVAE | SentenceVAE, corpus: TableCorpus, columns: Columns
) -> dict[str, Any]:
    """The metrics of predicted sets of labels of rows; empty for a model without."""
    if predicted_set(vae.model) is None:
        return {}
    chosen = {name: corpus.valid.columns[name] for name in vae.fields}
    validation = vae.rows(chosen) if len(corpus.test) else None
    return label_set_evaluation(vae.model, vae.rows(columns), validation)


def cells_text(row: dict[str, Any]) -> str:
    """The cells of a row of a table, side by side; of a long list the first ones."""
    return " | ".join(one_line(cell_text(cell)) for cell in row.values())


def cell_text(cell: Any) -> str:
    """A cell of a table in words: of parts, one after the other."""
    if isinstance(cell, tuple):
        return " / ".join(map(cell_text, cell))
    return list_text(cell) if isinstance(cell, list) else str(cell)


def list_text(cells: list[Any]) -> str:
    """The values of a list, the first `SHOWN` of them."""
    texts = [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells[:SHOWN]]
    return " ".join([*texts, "..."] if len(cells) > SHOWN else texts) or "none"


def row_text(vae: SentenceVAE, columns: Columns, row: int) -> str:
    """A row as text: what the model is given, and what it writes."""
    written = [vae.model.field_of(name) for name in vae.model.main_decoders]
    given = " | ".join(cell_line(columns[name][row]) for name in vae.conditions)
    text = " | ".join(cell_line(columns[name][row]) for name in written)
    return f"{given} => {text}" if given else text


def cell_line(cell: Any) -> str:
    """A cell on one line: parts, or the labels of a set, one after the other."""
    if isinstance(cell, str):
        return cell
    return " / ".join(
        part if isinstance(part, str) else ", ".join(map(str, part or ("none",)))
        for part in cell or ()
    )


def sample_lines(vae: SentenceVAE, columns: Columns) -> list[str]:
    """A sample of the prior under the conditions of each row, or three of no conditions."""
    given = {name: columns[name] for name in vae.conditions}
    rows = vae.sample_rows(1 if given else 3, seed=0, given=given or None)
    cells = {name: [row[name] for row in rows] for name in rows[0]} | given
    return [row_text(vae, cells, row) for row in range(len(rows))]


def summarize_images(vae: ImageVAE, rows: Fields, folder: Path, seconds: float) -> Finished:
    """Held-out metrics, and pictures of reconstructions, samples and an interpolation."""
    metrics = asdict(vae.evaluate(rows, SUMMARY_SAMPLES))
    pictures = tuple(str(path) for path in write_first_pictures(vae, rows, folder))
    return Finished(folder, metrics, [], [], [], seconds, pictures, **conclusion(metrics, folder))


def conclusion(metrics: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The verdict on a run, and the record of its training."""
    trained = trained_of(str(folder))
    return {
        "verdict": diagnosis_report(diagnosis_of(metrics, trained)).stored,
        "training": {} if trained.training is None else asdict(trained.training),
    }
