"""Generated pages: docs/systems.md and the tables of docs/results.md."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textvae.analysis.claims import Checked, Verdict, decide, limit_of
from textvae.analysis.result_metrics import METRICS, Metric
from textvae.analysis.stored_results import read_results
from textvae.config import Fingerprint
from textvae.console import markdown_table
from textvae.recipes import Recipe, load_recipe, shipped_recipes
from textvae.registry import suggest

Stored = Mapping[str, Any]
"""Results by recipe, as in docs/results.json."""

BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

LATENT = ("kl", "mutual_information", "active_units")


@dataclass(frozen=True)
class Section:
    """A table with a row for each stored recipe on one data set.

    Args:
        data: names of the data set, several where its images are read in several ways.
        columns: keys of METRICS.
        sort: metric that orders the rows.
        recipes: pattern of the recipes' names.
        highest_first: order of the rows.
    """

    data: tuple[str, ...]
    columns: tuple[str, ...]
    sort: str = "nll"
    recipes: str = ".*"
    highest_first: bool = False

    def select(self, stored: Stored) -> list[str]:
        """Names of the recipes in the order of the rows."""
        shipped = set(shipped_recipes())
        names = [
            name
            for name, entry in stored.items()
            if entry["data"]["name"] in self.data
            and name in shipped
            and re.fullmatch(self.recipes, name)
        ]

        def rank(name: str) -> float:
            value = METRICS[self.sort].value(stored[name]["metrics"])
            assert value is not None, f"{name} has no {self.sort}"
            return value

        return sorted(names, key=rank, reverse=self.highest_first)

    def markdown(self, stored: Stored, configs: str) -> str:
        """The table; `configs` is the path of the recipes from the page."""
        header = ["recipe", *(METRICS[key].title for key in self.columns), "targets met"]
        rows = []
        for name in self.select(stored):
            metrics, seeds = stored[name]["metrics"], stored[name].get("seeds")
            cells = [METRICS[key].cell(metrics, seeds) for key in self.columns]
            rows.append([f"[{name}]({configs}/{name}.yaml)", *cells, targets_met(name, stored)])
        return markdown_table(header, rows)


SHIPPED, MNIST = ("shipped corpus",), ("mnist", "mnist, binarised")
ALONE = r"(?!bosc2020_|sentence_vae|kingma2014_).*"
"""Recipes of the one budget: neither a second training, nor the larger default, nor few labels."""
SECTIONS = {
    "language_modelling": Section(
        ("ptb",), ("word_perplexity", "unknown", "nll", *LATENT, "samples"), "word_perplexity"
    ),
    "collapse": Section(SHIPPED, ("nll", "reconstruction", *LATENT), recipes=ALONE),
    "sentiment": Section(
        SHIPPED, ("accuracy", "macro_f1"), "accuracy", "kingma2014_.*", highest_first=True
    ),
    "default": Section(
        SHIPPED,
        ("nll", "above_reference", "reconstruction", *LATENT, "gap", "first_token", "samples"),
        recipes="sentence_vae",
    ),
    "z": Section(SHIPPED, ("nll", *LATENT, "gap", "first_token"), recipes="bosc2020_.*"),
    "few_labels": Section(("ag",), ("accuracy", "macro_f1", "nll"), "accuracy", highest_first=True),
    "topics": Section(
        ("20ng_bow",), ("word_perplexity", "unknown", "nll", *LATENT), "word_perplexity"
    ),
    "images": Section(
        MNIST, ("nll", "elbo", *LATENT, "samples"), recipes=r"(?!hinton2006_|vandenoord2017_).*"
    ),
    "autoencoders": Section(MNIST, ("reconstruction",), "reconstruction", recipes="hinton2006_.*"),
    "image_codes": Section(
        MNIST,
        ("codes_used", "code_perplexity", "squared_error", "kl"),
        "squared_error",
        recipes="vandenoord2017_.*",
    ),
    "answers": Section(
        ("event2mind intent", "event2mind evidence"),
        (
            "nll",
            "word_perplexity",
            "kl",
            "different",
            "different_sampled",
            "recall",
            "recall_sampled",
        ),
    ),
    "definitions": Section(("wordnet_senses",), ("prior_mean", "nll", "kl", "best_bleu"), "nll"),
    "matching": Section(
        ("squad_pairs",),
        ("mrr", "recall_at_1", "recall_at_5", "nll", "kl"),
        "mrr",
        highest_first=True,
    ),
    "question_answers": Section(
        ("xquad_spans",), ("nll", "kl", "different_sampled", "recall_sampled")
    ),
    "triples": Section(("kvret triples",), ("nll", "kl", "valid", "row_recall", "unique", "novel")),
    "sprites": Section(
        ("sprites32",),
        (
            "reconstruction",
            "kl",
            "factor_information",
            "total_correlation",
            "factor_marginal",
            "information_gap",
        ),
        "total_correlation",
    ),
    "small_images": Section(
        ("mnist, 14 x 14",), ("nll", "elbo", *LATENT, "sample_precision", "sample_recall")
    ),
    "categorical_images": Section(("small mnist, binarised",), ("elbo", "kl"), "elbo", ".*", True),
    "image_labels": Section(("small mnist",), ("accuracy", "macro_f1"), "accuracy", ".*", True),
    "positives": Section(
        ("mnist parity", "mnist positives", "mnist negatives"),
        ("accuracy", "macro_f1"),
        "accuracy",
        "chen2020_.*",
        True,
    ),
    "sparse_priors": Section(
        ("mnist parity",),
        (
            "classes_used",
            "modes",
            "evidential_kept",
            "evidential_missed",
            "evidential_variation",
            "sparsemax_variation",
            "softmax_variation",
        ),
        "elbo",
        recipes="itkina2020_.*",
    ),
    "open_set": Section(
        ("mnist open set",),
        (
            "open_f1",
            "novelty",
            "novelty_nearest",
            "novelty_confidence",
            "novelty_reconstruction",
            "accuracy",
        ),
        "novelty",
        highest_first=True,
    ),
    "pairs": Section(
        ("mnist pairs",),
        ("rank_1", "real_rank_1", "cosine_rank_1", "cosine_real_rank_1", "nll", "kl"),
        "rank_1",
        highest_first=True,
    ),
    "tables": Section(("bnetflix",), ("nll", "elbo", "kl", "active_units")),
    "label_sets": Section(
        ("yeast", "kvret turns"),
        ("nll", "kl", "micro_f1", "sets_macro_f1", "example_f1", "exact_match"),
        recipes="bai2020_.*",
    ),
    "few_label_sets": Section(
        ("kvret turns",),
        ("micro_f1", "sets_macro_f1", "example_f1", "exact_match"),
        "micro_f1",
        "zhou2020_.*",
        True,
    ),
    "dialogues": Section(
        ("kvret dialogues", "dailydialog pairs", "dailydialog acts", "e2e restaurants"),
        ("nll", "kl", "word_entropy", "distinct_2_of_real", "given_words", "answers_distinct_2"),
    ),
    "trees": Section(
        ("treebank",),
        ("nll", "tree_nll", "text_nll", "kl", "balanced", "greedy_balanced", "tag_gain"),
    ),
    "drift": Section(
        ("yelp windows",),
        ("drift_20", "drift_10", "raw_drift_20", "raw_drift_10", "false_alarms"),
    ),
}
"""Tables of docs/results.md and docs/results/: each stored recipe is in one of them."""

DETAILS = {
    "shipped_corpus_details": Section(
        SHIPPED,
        (
            "nll",
            "above_reference",
            "elbo",
            "reconstruction",
            "kl",
            "mutual_information",
            "marginal_kl",
            "active_units",
            "word_perplexity",
            "samples",
        ),
        recipes=ALONE,
    ),
    "encoders_details": Section(
        SHIPPED,
        ("nll", "reconstruction", *LATENT, "gap", "first_token", "samples"),
        recipes="bosc2020_.*",
    ),
    "ptb_details": Section(
        ("ptb",),
        (
            "word_perplexity",
            "unknown",
            "nll",
            "elbo",
            "reconstruction",
            "kl",
            "mutual_information",
            "marginal_kl",
            "active_units",
            "gap",
            "first_token",
            "samples",
        ),
        "word_perplexity",
    ),
    "images_details": Section(
        MNIST,
        ("nll", "elbo", "reconstruction", *LATENT, "dimensions", "samples"),
        recipes=r"(?!hinton2006_|vandenoord2017_).*",
    ),
}
"""Tables of docs/results/: all metrics of the same recipes."""


@dataclass(frozen=True)
class Headline:
    """A row of the index of docs/results.md.

    Args:
        data: name for the reader.
        label: metric and condition for the reader.
        metric: key of METRICS.
        best: recipe with the best value under the condition.
        baseline: recipe to compare with.
        published: recipe whose claim has the published value; None for no published value.
        page: of docs/results/.
    """

    data: str
    label: str
    metric: str
    best: str
    baseline: str
    published: str | None
    page: str


HEADLINES = (
    Headline(
        "Penn Treebank",
        "word perplexity",
        "word_perplexity",
        "best_ptb",
        "best_lm_ptb",
        "best_ptb",
        "ptb",
    ),
    Headline(
        "Penn Treebank",
        "word perplexity, 256 units, KL >= 4",
        "word_perplexity",
        "zhu2020_batchnorm_ptb",
        "lstm_lm_ptb",
        "li2019_fbp_ptb",
        "ptb",
    ),
    Headline(
        "Penn Treebank",
        "mutual information, 256 units",
        "mutual_information",
        "kingma2016_free_bits_ptb",
        "bowman2016_ptb",
        "li2019_fbp_ptb",
        "ptb",
    ),
    Headline(
        "shipped corpus",
        "nll, KL >= 3",
        "nll",
        "higgins2017_beta",
        "lstm_lm",
        None,
        "shipped_corpus",
    ),
    Headline(
        "shipped corpus",
        "share of the shuffled-z gap at the first token",
        "first_token",
        "bosc2020_preuni",
        "bosc2020_lstm_max",
        None,
        "shipped_corpus",
    ),
    Headline(
        "AG News",
        "accuracy, 100 labels",
        "accuracy",
        "kingma2014_m2_bag",
        "kingma2014_supervised_bag",
        None,
        "labels",
    ),
    Headline(
        "20 Newsgroups",
        "word perplexity",
        "word_perplexity",
        "figurnov2018_dirichlet",
        "miao2017_logistic_normal",
        None,
        "topics",
    ),
    Headline(
        "MNIST, static",
        "nll, nats per image",
        "nll",
        "burda2016_iwae",
        "burda2016_vae",
        "burda2016_iwae",
        "images",
    ),
)


def index_table(stored: Stored, configs: str) -> str:
    """The index: best, baseline and published value for each data set and metric."""
    header = ["data", "metric", "best", "baseline", "published", "recipe", "details"]
    rows = []
    for row in HEADLINES:
        metric = METRICS[row.metric]
        best, baseline = (
            metric.cell(stored[name]["metrics"]) if name in stored else ""
            for name in (row.best, row.baseline)
        )
        published = "" if row.published is None else published_value(row.published, metric)
        recipe = f"[{row.best}]({configs}/{row.best}.yaml)"
        details = f"[{row.page}](results/{row.page}.md)"
        rows.append(
            [row.data, row.label, best, f"{baseline} ({row.baseline})", published, recipe, details]
        )
    return markdown_table(header, rows)


def published_value(name: str, metric: Metric) -> str:
    """The published value of a metric in a recipe's claim.

    Raises:
        ValueError: the claim has none.
    """
    for claim in load_recipe(name).claim:
        if claim.metric in metric.names and claim.published is not None:
            return f"{claim.published:{metric.style}}"
    raise ValueError(f"the claim of {name!r} has no published {metric.title}")


def results_tables(stored: Stored, configs: str) -> dict[str, str]:
    """Every generated table by the name of its block; `configs` as in `Section.markdown`."""
    sections = {
        name: section.markdown(stored, configs) for name, section in (SECTIONS | DETAILS).items()
    }
    return {"index": index_table(stored, configs)} | sections


def fill_blocks(page: str, tables: Mapping[str, str]) -> str:
    """A page whose blocks `<!-- generated: NAME --> ... <!-- end -->` hold the tables.

    Raises:
        ValueError: there is no table of that name.
    """

    def filled(block: re.Match[str]) -> str:
        if block[2] not in tables:
            raise ValueError(f"no generated table {block[2]!r} {suggest(block[2], tables)}")
        return f"{block[1]}{tables[block[2]]}\n{block[3]}"

    return BLOCK.sub(filled, page)


def systems_page(stored: Stored) -> str:
    """docs/systems.md: each published system, its recipe, our value beside the published one."""
    header = ["recipe", "system", "source", "target", "published", "result", "met"]
    rows = [row for name in shipped_recipes() for row in system_rows(load_recipe(name), stored)]
    return (
        "# Published systems\n\n"
        "Each row is one target of a recipe. Published values are those of the named source.\n"
        "A target is undecided where the stored result has other settings, data or samples than\n"
        "the recipe and its claim. A baseline is what other recipes are compared with.\n"
        "`textvae verify RECIPE --record docs/results.json` measures the result.\n"
        "`python benchmarks/pages.py` generates this page from `configs/` and\n"
        "`docs/results.json`; do not edit it by hand.\n\n"
        f"{markdown_table(header, rows)}\n"
    )


def system_rows(recipe: Recipe, stored: Stored) -> Iterator[list[str]]:
    """The rows of one recipe: one for each comparison of its claim."""
    head = [f"[{recipe.name}](../configs/{recipe.name}.yaml)", recipe.summary, recipe.paper]
    if not recipe.claim:
        yield [*head, "none: a baseline" if recipe.baseline else "none", "", "", ""]
    verdict = verdict_of(recipe, stored)
    for number, claim in enumerate(recipe.claim):
        data = claim.data.name if isinstance(claim.data, Fingerprint) else claim.data
        target = f"{claim.metric} {claim.test} {limit_of(claim)} on {data}"
        published = "" if claim.published is None else f"{claim.published:g} ({claim.source})"
        check = None if verdict is None else verdict.checks[number]
        result = ["not yet measured", ""] if check is None else [ours_text(check), met(check)]
        yield [*head, target, published, *result]


def verdict_of(recipe: Recipe, stored: Stored) -> Verdict | None:
    """The verdict on a recipe's stored result; None where there is none."""
    return decide(recipe, stored[recipe.name], stored) if recipe.name in stored else None


def ours_text(check: Checked) -> str:
    """The stored figure of a target, with its standard error where that is known."""
    if check.ours is None:
        return "not yet measured"
    return f"{check.ours:.2f}" + ("" if check.error is None else f" +- {check.error:.2f}")


def met(check: Checked) -> str:
    """Whether a target is met."""
    close = ", within its standard error" if check.close else ""
    return {True: "yes", False: "no", None: "undecided"}[check.holds] + close


def targets_met(name: str, stored: Stored) -> str:
    """How many targets of a recipe are met, such as `2 of 3`."""
    recipe = load_recipe(name)
    if not recipe.claim:
        return "baseline" if recipe.baseline else "no target"
    verdict = verdict_of(recipe, stored)
    each = [check.holds for check in verdict.checks] if verdict else []
    undecided = f", {each.count(None)} undecided" if None in each else ""
    return f"{each.count(True)} of {len(recipe.claim)}{undecided}"


def generated_pages(docs: Path) -> Iterator[tuple[Path, str]]:
    """Each page with generated parts under docs/, and its current text."""
    stored = read_results(docs / "results.json")
    yield docs / "systems.md", systems_page(stored)
    pages = [(docs / "results.md", "../configs")]
    pages += [(page, "../../configs") for page in sorted((docs / "results").glob("*.md"))]
    for page, configs in pages:
        yield page, fill_blocks(page.read_text(encoding="utf-8"), results_tables(stored, configs))
