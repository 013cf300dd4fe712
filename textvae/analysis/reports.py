"""Metrics of a model in words: tables with the unit, estimator and denominator of each."""

from collections.abc import Callable, Mapping
from typing import Any

from textvae.console import shown, table
from textvae.evaluation.latent import ACTIVE


def evaluation_text(metrics: Mapping[str, Any]) -> str:
    """An evaluation as a table: each figure with its unit, estimator and denominator."""
    text = table([row[1:] for row in metric_rows(metrics)])
    generation = metrics.get("generation")
    return text if generation is None else f"{text}\n\n{generation_text(generation)}"


def metric_notes(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The unit, estimator and denominator of each figure of an evaluation, by its name."""
    notes = {name: note for name, _, _, note in metric_rows(metrics) if name}
    generation = metrics.get("generation")
    if generation is not None:
        notes |= {f"generation.{row[0]}": row[-1] for row in writing_rows(generation)}
        notes |= {f"generation.samples.{row[0]}": row[-1] for row in style_rows(generation)}
    return notes


def metric_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, words, value and note of each figure of likelihood and latents."""
    f = metrics
    unit = "image" if "images" in f else "sentence"
    many = f"{f[f'{unit}s']:,} {unit}s"
    exact = not f["dimensions"]
    bound = "exact: no latent" if exact else f"importance-weighted, {f['samples']} samples"
    if unit == "image":
        trained = f.get("trained_likelihood", f["likelihood"])
        other = "" if trained == f["likelihood"] else f" of a model trained with {trained}"
        many += f"; {f['likelihood']} likelihood{other}, {f['pixels']}"
        if (f["likelihood"], f["pixels"]) == ("bernoulli", "grey pixels"):
            many += ": a cross-entropy, no density"
    rows = [("nll", "nll", f["nll"], f"nats per {unit}, {bound}, {many}")]
    if f.get("deterministic"):
        note = f"nats per {unit}, {many}"
        rows = [("reconstruction_loss", "reconstruction loss", f["reconstruction_loss"], note)]
        return [*rows, ("active_units", "active units", f["active_units"], active_note(f))]
    if "entropy" in f:
        limit = "nats per sentence, exact, of the corpus's source"
        rows.append(("entropy", "entropy", f["entropy"], limit))
        rows.append(("", "nll - entropy", f["nll"] - f["entropy"], "nats above the limit"))
    if unit == "image":
        name = "bits_per_dimension"
        # Of densities it has no meaning of its own.
        discrete = f["likelihood"] == "logistic" or "binarised" in f["pixels"]
        bits = (name, "bits per dimension", f[name], "nll / (pixels * ln 2)")
        rows += [bits] if discrete else []
    else:
        words, tokens = f"exp(nll / word), {f['words']:,} words", f"{f['tokens']:,} tokens"
        rows += [
            ("word_perplexity", "word perplexity", f["word_perplexity"], words),
            (
                "token_perplexity",
                "token perplexity",
                f["token_perplexity"],
                f"exp(nll / token), {tokens}",
            ),
        ]
    if f.get("accuracy") is not None:
        told = f"share of {f['labelled']:,} labelled sentences"
        rows += [
            ("accuracy", "accuracy", f["accuracy"], told),
            ("macro_f1", "macro-F1", f["macro_f1"], "mean over the classes"),
        ]
    if exact:
        return rows
    mean = f"nats per {unit}, {f['samples']} samples"
    index = f"all {f[f'{unit}s']:,} posteriors, {f['latent_samples']} samples of each"
    ceiling = f"of at most {f['mutual_information_ceiling']:.2f} = ln N nats"
    return [
        *rows,
        ("elbo", "elbo", f["elbo"], mean),
        (
            "reconstruction_loss",
            "reconstruction loss",
            f["reconstruction_loss"],
            f"{mean}, -E_q log p(x | z)",
        ),
        ("kl", "KL", f["kl"], f"nats per {unit}, KL(q(z | x) || p(z))"),
        (
            "mutual_information",
            "mutual information",
            f["mutual_information"],
            f"{ceiling}; {index}",
        ),
        (
            "marginal_kl",
            "marginal KL",
            f["marginal_kl"],
            "nats, KL(q(z) || p(z)); as the line above",
        ),
        ("active_units", "active units", f["active_units"], active_note(f)),
        *worth_rows(f),
    ]


def worth_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, words, value and note of what z is worth, where that was measured."""
    total, share = (metrics.get(name) for name in ("shuffled_z_gap", "first_token_share"))
    if total is None:
        return []
    cost = "nats per sentence that another sentence's z costs, one sample of each"
    rows = [("shuffled_z_gap", "worth of z", total, cost)]
    if share is not None:
        rows.append(("first_token_share", "at the first token", share, "share of that"))
    return rows


def active_note(metrics: Mapping[str, Any]) -> str:
    """The denominator of the active units, and how much dimensions vary."""
    note = f"of {metrics['dimensions']}, variance of posterior mean > {ACTIVE}"
    if metrics["dimensions"] > 1:
        ranked = [f"{value:.3f}" for value in sorted(metrics["variances"], reverse=True)]
        note += f" (largest {ranked[0]}, median {ranked[len(ranked) // 2]})"
    return note


def generation_text(generation: Mapping[str, Any]) -> str:
    """What a model writes as two tables: its own metrics, and samples beside real sentences."""
    ours, real = generation["samples"]["sentences"], generation["real"]["sentences"]
    header = ["", f"{ours:,} samples", f"{real:,} held out", ""]
    parts = [table([row[1:] for row in style_rows(generation)], header)]
    back = generation["reconstruction"]
    if back is not None:
        own = table([row[1:] for row in writing_rows(generation)])
        parts.insert(0, f"{own}\nBLEU: sacrebleu {back['signature']}")
    return "\n\n".join(parts)


def writing_rows(generation: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, words, value and note of each figure of reconstructions and interpolations."""
    back, lines = generation["reconstruction"], generation["interpolation"]
    if back is None:
        return []
    many = f"of {back['sentences']:,} sentences, greedy from the posterior mean"
    path = "word edits on the way / between the ends; 1: straight"
    moving = f"{lines['moving']} of {lines['pairs']} lines of {lines['steps']} steps"
    largest = f"largest edit of a step / of the ends; {1 / lines['steps']:.3f}: even, 1: one jump"
    distinct = f"of the {lines['steps'] + 1} on a line, {lines['pairs']} lines"
    return [
        ("reconstruction.bleu", "reconstruction BLEU", figure(back["bleu"]), many),
        ("reconstruction.exact", "exact matches", percent(back["exact"]), many),
        ("interpolation.path", "interpolation path", figure(lines["path"]), f"{path}; {moving}"),
        ("interpolation.largest_step", "largest step", figure(lines["largest_step"]), largest),
        ("interpolation.distinct", "different sentences", percent(lines["distinct"]), distinct),
    ]


def style_rows(generation: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Name, words, value of samples and of real sentences, and note of each figure of style."""
    count = f"{generation['reference']:,}"
    reference = "training" if generation["reference_is_training"] else "other held-out"
    scored = f"{generation['scored']:,} other held-out sentences"
    rows: list[tuple[str, Callable[[float | None], str], str]] = [
        ("self_bleu", figure, "mean sentence BLEU against all others"),
        ("distinct_1", figure, "different words / words"),
        ("distinct_2", figure, "different word pairs / word pairs"),
        ("duplicates", percent, "repeat an earlier one"),
        ("copied", percent, "stand word for word in the training texts"),
        ("forward_perplexity", figure, f"under a 3-gram model of {count} {reference} sentences"),
        ("reverse_perplexity", figure, f"of {scored} under a 3-gram model of these"),
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


def percent(share: float | None) -> str:
    """A share in a table."""
    return "-" if share is None else f"{100 * share:.1f}%"


def figure(value: float | None) -> str:
    """A figure in a table that may be missing."""
    return "-" if value is None else shown(float(value))


def positions_text(result: Mapping[str, Any]) -> str:
    """Losses per position as a table, and what the columns are."""
    columns = {
        "position": "position",
        "loss": "nats per token",
        "baseline": "language model",
        "improvement": "saved by z",
        "recovery": "come back",
        "texts": "texts",
    }
    kept = [name for name in columns if name in result]
    rows = zip(*(result[name] for name in kept), strict=False)
    shares = ("improvement", "recovery")
    shown = [
        [f"{v:.1%}" if name in shares else v for name, v in zip(kept, row, strict=True)]
        for row in rows
    ]
    lines = [table(shown, [columns[name] for name in kept])]
    if "recovery" in result:
        found = [f"{result[f'{name}_recovery']:.1%}" for name in ("first_word", "length", "exact")]
        lines.append("come back: first word {}, length {}, whole sentence {}".format(*found))
    return "\n".join([*lines, f"{result['latent']}; KL excluded"])
