"""Tables of metrics with the unit, estimator and denominator of each."""

from collections.abc import Mapping
from typing import Any

from textvae.analysis.cells import percent
from textvae.analysis.generation_reports import (
    answers_text,
    drift_text,
    generation_text,
    image_samples_text,
    row_rows,
    style_rows,
    tree_rows,
    writing_rows,
    written_text,
)
from textvae.console import shown, table


def evaluation_text(metrics: Mapping[str, Any]) -> str:
    """An evaluation as a table: each metric with its unit, estimator and denominator."""
    text = table([row[1:] for row in metric_rows(metrics)])
    generation, found = metrics.get("generation"), metrics.get("answers")
    if found is not None:
        text = f"{text}\n\n{answers_text(found)}"
    if metrics.get("rows") is not None:
        text = f"{text}\n\n{table([row[1:] for row in row_rows(metrics['rows'])])}"
    if metrics.get("drift") is not None:
        text = f"{text}\n\n{drift_text(metrics['drift'])}"
    if metrics.get("trees") is not None:
        text = f"{text}\n\n{table([row[1:] for row in tree_rows(metrics['trees'])])}"
    if metrics.get("written") is not None:
        text = f"{text}\n\n{written_text(metrics['written'])}"
    if metrics.get("image_samples") is not None:
        text = f"{text}\n\n{image_samples_text(metrics['image_samples'])}"
    return text if generation is None else f"{text}\n\n{generation_text(generation)}"


def metric_notes(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The unit, estimator and denominator of each metric of an evaluation, by its name."""
    notes = {name: note for name, _, _, note in metric_rows(metrics) if name}
    generation = metrics.get("generation")
    if metrics.get("rows") is not None:
        notes |= {f"rows.{row[0]}": row[-1] for row in row_rows(metrics["rows"])}
    if metrics.get("trees") is not None:
        notes |= {f"trees.{row[0]}": row[-1] for row in tree_rows(metrics["trees"])}
    if generation is not None:
        notes |= {f"generation.{row[0]}": row[-1] for row in writing_rows(generation)}
        notes |= {f"generation.samples.{row[0]}": row[-1] for row in style_rows(generation)}
    return notes


def metric_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of each metric of likelihood and latents."""
    unit = unit_of(metrics)
    if metrics.get("deterministic"):
        note = f"nats per {unit}, {count_note(metrics, unit)}"
        loss = metrics["reconstruction_loss"]
        active = ("active_units", "active units", metrics["active_units"], active_note(metrics))
        reconstruction = ("reconstruction_loss", "reconstruction loss", loss, note)
        rows = [reconstruction, active, *probe_rows(metrics)]
        return [*rows, *matching_rows(metrics), *label_set_rows(metrics)]
    rows = likelihood_rows(metrics, unit)
    if metrics["dimensions"]:
        rows += latent_rows(metrics, unit)
    rows += [*sparse_prior_rows(metrics), *novelty_rows(metrics)]
    rows += [*matching_rows(metrics), *pair_rows(metrics)]
    return [*rows, *label_set_rows(metrics)]


def unit_of(metrics: Mapping[str, Any]) -> str:
    """What metrics are of, one of them: an image, a row of a table, a sentence."""
    return "image" if "images" in metrics else "row" if "table_rows" in metrics else "sentence"


def whole_of(metrics: Mapping[str, Any], unit: str) -> str:
    """What the nll is of: a row where rows have parts, else the unit."""
    return "row" if metrics.get("parts") else unit


def count_of(metrics: Mapping[str, Any]) -> int:
    """Number of held-out images, rows or sentences."""
    return metrics.get("images") or metrics.get("table_rows") or metrics["sentences"]


def novelty_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of novelty; none where no row is of an unknown class."""
    found = metrics.get("novelty")
    if found is None:
        return []
    decides = "ratio" if found["ratio_auroc"] is not None else "confidence"
    of = f"{found['unknown']:,} rows of unknown classes, {found['known']:,} of known ones"
    passed = f"95% of {found['validated']:,} validation rows are below"
    threshold = f"unknown is a score above {found['threshold']:.3f}: {passed}"
    refused = f"share of the unknown rows; {percent(1 - found['accepted'])} of the known ones"
    scores = {
        "ratio": "distance to the nearest class / mean distance to the others",
        "nearest": "distance to the nearest class",
        "confidence": "1 - largest probability of a class",
        "reconstruction": "-log p(x | z)",
    }
    rows: list[tuple[str, str, Any, str]] = [
        ("novelty.auroc", "novelty AUROC", found["auroc"], f"by {decides}; {of}"),
        ("novelty.macro_f1", "open-set macro-F1", found["macro_f1"], threshold),
        ("novelty.rejected", "rejected", percent(found["rejected"]), refused),
    ]
    return rows + [
        (f"novelty.{name}_auroc", f"AUROC, {name}", found[f"{name}_auroc"], note)
        for name, note in scores.items()
        if name != decides and found[f"{name}_auroc"] is not None
    ]


def sparse_prior_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of the classes of a categorical latent; none without one."""
    codes = metrics.get("codes")
    if codes is None:
        return []
    used = "classes with at least 1% of the aggregate posterior"
    rows: list[tuple[str, str, Any, str]] = [("codes.used", "codes in use", codes["used"], used)]
    for rule in ("softmax", "evidential", "sparsemax", "top_p"):
        kept, missed = codes[f"{rule}_kept"], codes[f"{rule}_missed"]
        note = (
            f"between prior and aggregate posterior; {kept:.1f} codes kept, {missed:.1f} of "
            f"{codes['modes']:.1f} modes missed, means over conditions"
        )
        label = f"TV, {rule.replace('_', '-')}"
        rows.append((f"codes.{rule}_variation", label, codes[f"{rule}_variation"], note))
    return rows


def count_note(metrics: Mapping[str, Any], unit: str) -> str:
    """The number of texts or images; for images also their likelihood and pixels."""
    count = f"{count_of(metrics):,} {unit}s"
    if unit == "row":
        probit = f"; a mean of {metrics['draws']} draws of a probit's noise"
        return f"{count}; of {metrics['contents']}{probit if metrics['draws'] else ''}"
    if metrics.get("parts"):
        rows = count_of(metrics)
        count = f"{rows:,} row{'s' * (rows != 1)} of {parts_text(metrics)} each (mean)"
    if unit != "image":
        return count
    likelihood, pixels = metrics["likelihood"], metrics["pixels"]
    trained = metrics.get("trained_likelihood", likelihood)
    other = "" if trained == likelihood else f" of a model trained with {trained}"
    density = (
        ": a cross-entropy, no density"
        if (likelihood, pixels) == ("bernoulli", "grey pixels")
        else ""
    )
    return f"{count}; {likelihood} likelihood{other}, {pixels}{density}"


def likelihood_rows(metrics: Mapping[str, Any], unit: str) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of each metric that a model without a latent has too."""
    f = metrics
    bound = (
        f"importance-weighted, {f['samples']} samples" if f["dimensions"] else "exact: no latent"
    )
    if f.get("certain"):
        bound = "upper bound of one sample: the codes are certain"
    note = f"nats per {whole_of(f, unit)}, {bound}, {count_note(f, unit)}{error_note(f, 'nll')}"
    rows = [("nll", "nll", f["nll"], note)]
    rows += [
        (f"field_nlls.{name}", f"  {name}", nll, "nll of this field given those above it")
        for name, nll in (f.get("field_nlls") or {}).items()
    ]
    if "entropy" in f:
        limit = "nats per sentence, exact, of the corpus's source"
        rows.append(("entropy", "entropy", f["entropy"], limit))
        rows.append(("", "nll - entropy", f["nll"] - f["entropy"], "nats above the limit"))
    rows += reference_rows(f)
    # Bits per dimension of a density of real pixels have no meaning of their own.
    if unit == "image" and (f["likelihood"] == "logistic" or "binarised" in f["pixels"]):
        bits = "bits_per_dimension"
        rows.append((bits, "bits per dimension", f[bits], "nll / (pixels * ln 2)"))
    if unit == "image" and f.get("squared_error") is not None:
        note = "sum over pixels in [0, 1], reconstruction at the posterior mean, mean over images"
        rows.append(("squared_error", "squared error", f["squared_error"], note))
    if unit == "sentence":
        rows += perplexity_rows(f)
    if f.get("accuracy") is not None:
        share = f"share of {f['labelled']:,} labelled {unit}s"
        rows += [
            ("accuracy", "accuracy", f["accuracy"], share),
            ("macro_f1", "macro-F1", f["macro_f1"], "mean over the classes"),
        ]
    return rows


def reference_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of the nll of unigram and 3-gram models, where they are known."""
    f = metrics
    if "unigram_nll" not in f:
        return []
    texts = f"{f['reference_texts']:,}"
    if f["reference_texts"] < f["training_texts"]:
        texts += f" of {f['training_texts']:,}"
    models = {
        "unigram": ("unigram nll", f"frequencies in {texts} training texts"),
        "trigram": ("3-gram nll", "Kneser-Ney model of the same texts"),
    }
    rows = []
    for name, (label, model) in models.items():
        unit = "word" if f"{name}_word_perplexity" in f else "character"
        perplexity = f"{unit} perplexity {shown(f[f'{name}_{unit}_perplexity'])}"
        note = f"nats per sentence, {model}; {perplexity}"
        rows.append((f"{name}_nll", label, f[f"{name}_nll"], note))
    return rows


def perplexity_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of perplexities, and of the share of unknown tokens."""
    f = metrics
    unit = "word" if f["word_perplexity"] is not None else "character"
    of = " of all fields" if len(f.get("field_nlls") or ()) > 1 else ""
    per_unit = f"per {unit}: exp(nll{of} / {unit}), {f[f'{unit}s']:,} {unit}s"
    if unit == "character":
        per_unit += "; blanks separate no words here"
    per_token = f"per token: {f['tokens']:,} tokens; compares only between models of one tokenizer"
    name = f"{unit}_perplexity"
    rows: list[tuple[str, str, Any, str]] = [(name, f"{unit} perplexity", f[name], per_unit)]
    if (at_mean := f.get("prior_mean_perplexity")) is not None:
        of = "z at the mean of the prior: no bound" if f["dimensions"] else "exact: no latent"
        note = f"per {unit}: exp(-log p(x | z) / {unit}), {of}"
        rows.append(("prior_mean_perplexity", "prior mean perplexity", at_mean, note))
    if unknown := f.get("unknown_tokens"):
        total = f["tokens"] - f["sentences"]
        note = f"{unknown:,} of {total:,} are <unk>: the nll does not count which word it was"
        rows.append(("unknown_share", "unknown tokens", percent(unknown_share(f)), note))
    token = ("token_perplexity", "token perplexity", f["token_perplexity"], per_token)
    return [*rows, token]


def unknown_share(metrics: Mapping[str, Any]) -> float:
    """The share of held-out tokens, ends excluded, that are `<unk>`."""
    return metrics["unknown_tokens"] / max(1, metrics["tokens"] - metrics["sentences"])


def error_note(metrics: Mapping[str, Any], name: str) -> str:
    """The standard error of a metric for the end of its note; nothing where it is not known."""
    error = metrics.get(f"{name}_standard_error")
    return "" if error is None else f"; +- {shown(float(error))}"


def latent_rows(metrics: Mapping[str, Any], unit: str) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of each metric of the bound and of the latent."""
    f = metrics
    whole = whole_of(f, unit)
    mean = f"nats per {whole}, {f['samples']} samples"
    if f.get("certain"):
        mean = f"nats per {whole}, at the codes"
    posteriors = f"{compared_text(f, unit)} posteriors"
    posteriors += ", exact" if f.get("certain") else f", {f['latent_samples']} samples of each"
    ceiling = f"of at most {f['mutual_information_ceiling']:.2f} = ln N nats"
    notes = {
        "elbo": ("elbo", mean),
        "reconstruction_loss": ("reconstruction loss", f"{mean}, -E_q log p(x | z)"),
        "kl": ("KL", f"nats per {whole}, KL(q(z | x) || p(z))"),
        "mutual_information": (
            "mutual information",
            f"{ceiling}; {posteriors}{error_note(f, 'mutual_information')}",
        ),
        "marginal_kl": ("marginal KL", "nats, KL(q(z) || p(z)); as the line above"),
        "active_units": ("active units", active_note(f)),
    }
    rows = [
        (name, label, f[name], note) for name, (label, note) in notes.items() if f[name] is not None
    ]
    own = [*code_rows(f, unit), *part_rows(f)]
    return [*rows, *own, *shuffled_z_rows(f), *probe_rows(f)]


def code_rows(metrics: Mapping[str, Any], unit: str) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of the use of a codebook, where there is one."""
    f = metrics
    if f.get("code_perplexity") is None:
        return []
    where = f"over all places of {compared_text(f, unit)} {unit}s"
    note = f"exp(entropy of the codes) of at most {f['codebook_size']}, {where}"
    return [
        ("codes_used", "codes used", f["codes_used"], f"of {f['codebook_size']} in the codebook"),
        ("code_perplexity", "code perplexity", f["code_perplexity"], note),
    ]


def part_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of each latent's KL, where rows have parts."""
    kls = metrics.get("latent_kls") or {}
    of = parts_text(metrics) if kls else ""
    return [
        (f"latent_kls.{name}", f"KL of {name}", value, f"nats per row of {of}")
        for name, value in kls.items()
    ]


def parts_text(metrics: Mapping[str, Any]) -> str:
    """The mean number of parts of a row: `5.0 turns`."""
    return ", ".join(f"{mean:.2f} {plate}s" for plate, mean in metrics["parts"].items())


def compared_text(metrics: Mapping[str, Any], unit: str) -> str:
    """Of how many rows the metrics of the latent are: `all 3,761`, or `20,000 random`."""
    total = count_of(metrics)
    compared = metrics.get("compared") or total
    return f"all {total:,}" if compared == total else f"{compared:,} random"


def probe_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of a probe on z, where labels were named."""
    if (accuracy := metrics.get("probe_accuracy")) is None:
        return []
    note = (
        f"share of {metrics['probe_texts']:,} held-out sentences with a label; logistic regression "
        f"on z of {metrics['probe_train_texts']:,} training sentences"
    )
    majority = metrics["probe_majority"]
    return [
        ("probe_accuracy", "accuracy from z", accuracy, note),
        ("probe_majority", "majority label", majority, "the same, always the most frequent label"),
    ]


def label_set_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of predicted sets of labels, where a model predicts some."""
    found = metrics.get("label_sets")
    if found is None:
        return []
    of = f"over {found['labels']:,} labels of {found['rows']:,} rows"
    chosen = f"by micro-F1 on {found['validated']:,} validation rows"
    threshold = chosen if found["validated"] else "no validation rows"
    notes = {
        "micro_f1": ("micro-F1", of),
        "macro_f1": ("macro-F1", "mean over the labels that are there or predicted"),
        "example_f1": ("example F1", "mean over rows"),
        "exact_match": ("exact match", "share of rows whose whole set is right"),
        "threshold": ("threshold", f"of a label's probability, {threshold}"),
    }
    return [
        (f"label_sets.{name}", label, found[name], note) for name, (label, note) in notes.items()
    ]


def matching_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of the ranks of partners, where a model has some."""
    found = metrics.get("matching")
    if found is None:
        return []
    among = f"{found['candidates']:,.0f} different candidates in a pool of {found['pool']:,}"
    note = f"mean of 1 / rank of the partner, {found['pairs']:,} rows, {among}"
    return [
        ("matching.mrr", "MRR", found["mrr"], note + error_note(found, "mrr")),
        ("matching.recall_1", "R@1", percent(found["recall_1"]), "share with rank 1"),
        ("matching.recall_5", "R@5", percent(found["recall_5"]), "share with rank 5 or better"),
    ]


def pair_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of matchers trained on generated pairs, where there are some."""
    found = metrics.get("pairs")
    if found is None:
        return []
    gallery = f"among {found['gallery']:,} held-out pairs"
    pairs = f"{found['real']:,} real and {found['generated']:,} generated pairs"
    alone = "without the generated ones"
    return [
        ("pairs.rank_1", "rank-1", percent(found["rank_1"]), f"{gallery}; matchers of {pairs}"),
        ("pairs.real_rank_1", "rank-1, real", percent(found["real_rank_1"]), alone),
        ("pairs.cosine_rank_1", "rank-1, cosine", percent(found["cosine_rank_1"]), "by cosines"),
        (
            "pairs.cosine_real_rank_1",
            "rank-1, cosine, real",
            percent(found["cosine_real_rank_1"]),
            f"by cosines, {alone}",
        ),
    ]


def shuffled_z_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    """Name, label, value and note of the shuffled-z gap, where it was measured."""
    total, share = (metrics.get(name) for name in ("shuffled_z_gap", "first_token_share"))
    if total is None:
        return []
    note = "nats per sentence, increase in loss under another sentence's z, one sample of each"
    if (metrics.get("compared") or metrics["sentences"]) < metrics["sentences"]:
        note += f"; {compared_text(metrics, 'sentence')} sentences"
    rows = [("shuffled_z_gap", "shuffled-z gap", total, note)]
    if share is not None:
        note = f"share of the gap{error_note(metrics, 'first_token_share')}"
        rows.append(("first_token_share", "at the first token", share, note))
    return rows


def active_note(metrics: Mapping[str, Any]) -> str:
    """The denominator of the active units, and the variances of the dimensions."""
    from textvae.evaluation.latent import ACTIVE

    note = f"of {metrics['dimensions']}, variance of posterior mean > {ACTIVE}"
    if metrics["dimensions"] > 1:
        ranked = [f"{value:.3f}" for value in sorted(metrics["variances"], reverse=True)]
        note += f" (largest {ranked[0]}, median {ranked[len(ranked) // 2]})"
    return note


def positions_text(result: Mapping[str, Any]) -> str:
    """Losses per position as a table, with the recovery of whole texts."""
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
    percentages = ("improvement", "recovery")
    cells = [
        [f"{v:.1%}" if name in percentages else v for name, v in zip(kept, row, strict=True)]
        for row in rows
    ]
    lines = [table(cells, [columns[name] for name in kept])]
    if "recovery" in result:
        names = {"first_word": "first word", "length": "length", "exact": "whole sentence"}
        shares = [f"{label} {result[f'{name}_recovery']:.1%}" for name, label in names.items()]
        lines.append(f"come back: {', '.join(shares)}")
    return "\n".join([*lines, f"{result['latent']}; KL excluded"])
