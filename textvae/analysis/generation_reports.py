"""Tables of metrics of what a model writes."""

from collections.abc import Callable, Mapping
from typing import Any

from textvae.analysis.cells import decimal, percent
from textvae.console import table


def written_text(written: Mapping[str, Any]) -> str:
    """Metrics of rows with parts that a model has written, beside those of held-out rows."""
    rows, relative = [], written.get("relative", {})
    for name, value in written["samples"].items():
        real = written["real"][name]
        if isinstance(value, Mapping):
            rows += [
                (f"{name}.{key}", each, real[key], relative.get(key, ""))
                for key, each in value.items()
            ]
        elif value is not None:
            rows.append((name, value, real, relative.get(name, "")))
    return table(rows, ["of rows", "written", "real", "written / real"])


def image_samples_text(metrics: Mapping[str, Any]) -> str:
    """Precision and recall of sampled images, each beside what training images reach."""
    f = metrics
    by = "features of a classifier" if f["classifier_accuracy"] is not None else "pixels"
    rows = [
        ("precision", f["precision"], f["real_precision"], "samples inside the held-out images"),
        ("recall", f["recall"], f["real_recall"], "held-out images inside the samples"),
    ]
    if f["class_entropy"] is not None:
        note = "entropy of the classes that the classifier finds, nats; real: held-out images"
        rows.append(("classes", f["class_entropy"], f["real_class_entropy"], note))
    if f["classifier_accuracy"] is not None:
        note = "of the classifier on held-out images"
        rows.append(("accuracy", "", f["classifier_accuracy"], note))
    header = [f"{f['images']:,} samples", "written", "real", f"distances between {by}"]
    return table(rows, header)


def generation_text(generation: Mapping[str, Any]) -> str:
    """Generated text as two tables: metrics of the model, and samples against real sentences."""
    samples, real = generation["samples"]["sentences"], generation["real"]["sentences"]
    header = ["", f"{samples:,} samples", f"{real:,} held out", ""]
    parts = [table([row[1:] for row in style_rows(generation)], header)]
    reconstruction = generation["reconstruction"]
    if reconstruction is not None:
        rows = table([row[1:] for row in writing_rows(generation)])
        parts.insert(0, f"{rows}\nBLEU: sacrebleu {reconstruction['signature']}")
    return "\n\n".join(parts)


def answers_text(found: Mapping[str, Any]) -> str:
    """Metrics of the texts that a model writes under conditions, one column for each way."""
    ways = {way: values for way, values in found.items() if isinstance(values, Mapping)}
    sampled = ways["sampled"]
    each = sampled["each"]
    notes = {
        "different": (f"different of {each}", "mean over the conditions"),
        "recall": (f"recall@{each}", f"share of {sampled['references']:,} known texts"),
        "distinct_1": ("distinct-1", "different words / words"),
        "distinct_2": ("distinct-2", "different pairs of words / pairs"),
        "best_bleu": ("best BLEU", f"sentence BLEU of the best of {each}, mean"),
        "mean_bleu": ("mean BLEU", f"sentence BLEU, mean of all {each}"),
    }
    rows = [
        (label, *(decimal(values[name]) for values in ways.values()), note)
        for name, (label, note) in notes.items()
    ]
    heading = {"sampled": "sampled", "greedy": "greedy from z ~ prior", "beam": f"beam of {each}"}
    heading["codes"] = f"{each} likeliest codes"
    header = [f"{sampled['conditions']:,} conditions", *(heading[way] for way in ways), ""]
    if found.get("word_share") is None:
        return table(rows, header)
    shares = (percent(found[name]) for name in ("word_share", "random_word_share"))
    words = "the word of a code stands in its text: {}, that of a random class: {}".format(*shares)
    return f"{table(rows, header)}\n{words}"


def row_rows(found: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Name, label, value and note of each metric of the rows that a model writes."""
    draws = found.get("draws", 1)
    count = f"of {found['rows']:,} rows from the prior"
    count += f", mean of {draws} draws" if draws > 1 else ""
    training = found["novel"] is not None
    known = f"{found['known']:,} {'training' if training else 'held-out'} rows"
    rows = [
        ("valid", "valid rows", f"{count}: each two neighbouring fields as in one of {known}"),
        ("unique", "different rows", count),
        ("novel", "new rows", f"{count}: no training row"),
        ("recall", "recall", f"of {found['held_out']:,} held-out rows, among the rows written"),
    ]
    shown = []
    for name, label, note in rows:
        error = found.get(f"{name}_standard_error")
        value = (
            percent(found[name]) if error is None else f"{percent(found[name])} ± {percent(error)}"
        )
        shown.append((name, label, value, note))
    return shown


def writing_rows(generation: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of each metric of reconstructions and interpolations."""
    decoded, lines = generation["reconstruction"], generation["interpolation"]
    if decoded is None:
        return []
    count = f"of {decoded['sentences']:,} sentences, greedy from the posterior mean"
    unit = generation.get("unit", "word")
    path = f"{unit} edits on the way / between the ends; 1: straight"
    bleu = count if unit == "word" else f"{count}, over {unit}s"
    moving = f"{lines['moving']} of {lines['pairs']} lines of {lines['steps']} steps"
    largest = f"largest edit of a step / of the ends; {1 / lines['steps']:.3f}: even, 1: one jump"
    distinct = f"of the {lines['steps'] + 1} on a line, {lines['pairs']} lines"
    return [
        ("reconstruction.bleu", "reconstruction BLEU", decimal(decoded["bleu"]), bleu),
        ("reconstruction.exact", "exact matches", percent(decoded["exact"]), count),
        ("interpolation.path", "interpolation path", decimal(lines["path"]), f"{path}; {moving}"),
        ("interpolation.largest_step", "largest step", decimal(lines["largest_step"]), largest),
        ("interpolation.distinct", "different sentences", percent(lines["distinct"]), distinct),
    ]


def style_rows(generation: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Name, label, value of samples and of real sentences, and note of each metric of style."""
    count = f"{generation['reference']:,}"
    reference = "training" if generation["reference_is_training"] else "other held-out"
    scored = f"{generation['scored']:,} other held-out sentences"
    unit = generation.get("unit", "word")
    rows: list[tuple[str, Callable[[float | None], str], str]] = [
        ("self_bleu", decimal, f"mean sentence BLEU of {unit}s against all others"),
        ("distinct_1", decimal, f"different {unit}s / {unit}s"),
        ("distinct_2", decimal, f"different {unit} pairs / {unit} pairs"),
        ("duplicates", percent, "repeat an earlier one"),
        ("copied", percent, "stand word for word in the training texts"),
        (
            "forward_perplexity",
            decimal,
            f"per {unit}, under a 3-gram model of {count} {reference} sentences",
        ),
        ("reverse_perplexity", decimal, f"per {unit}, of {scored} under a 3-gram model of these"),
    ]
    names = {"self_bleu": "self-BLEU", "distinct_1": "distinct-1", "distinct_2": "distinct-2"}
    return [
        (
            name,
            names.get(name, name.replace("_", " ")),
            show(generation["samples"][name]),
            show(generation["real"][name]),
            note,
        )
        for name, show, note in rows
    ]


def drift_text(found: Mapping[str, Any]) -> str:
    """Metrics of the drift inside rows as a table, a line for each class of changed rows."""
    quiet = next(iter(found["rows"]))
    alarms = found["alarms"] or {}
    rows = [
        (name, decimal(auc), decimal(found["raw_auc"][name]), percent(alarms.get(name)))
        for name, auc in found["auc"].items()
    ]
    rows.append((quiet, "", "", percent(found["false_alarms"])))
    return table(rows, ["change", "AUC of drift", "AUC of mean vectors", "alarms"])


def tree_rows(found: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Name, label, value and note of each metric of the fields of trees that a model writes."""
    rows = []
    for field, each in found.items():
        count = f"of {each['written']:,} from the prior"
        swapped = f"tags of {each['swapped']:,} texts whose tree was exchanged, to those of"
        notes = {
            "balanced": ("balanced", percent, f"{count}, tokens drawn"),
            "greedy_balanced": ("balanced, greedy", percent, f"{count}, most probable tokens"),
            "tag_distance": ("tag distance", decimal, f"edits, {swapped} the new tree, mean"),
            "random_tag_distance": ("of another row", decimal, f"edits, {swapped} a third tree"),
            "tag_gain": ("tag gain", decimal, "1 - the ratio of these; 0: trees are ignored"),
        }
        rows += [
            (f"{field}.{name}", f"{field}: {label}", form(each[name]), note)
            for name, (label, form, note) in notes.items()
            if each[name] is not None
        ]
    return rows
