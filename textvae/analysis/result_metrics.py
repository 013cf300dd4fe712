"""Metrics as columns of the tables of results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textvae.analysis.claimed_metrics import metric_of
from textvae.analysis.seeds import error_over_seeds

TEST_REFERENCE = 24.74
"""Mean negative log-probability of the shipped test sentences under the grammar, nats."""


@dataclass(frozen=True)
class Metric:
    """A metric in a column of a table.

    Args:
        title: heading of the column.
        names: in results.json; the first that was measured is shown.
        style: format of the value.
        offset: subtracted from the value.
    """

    title: str
    names: tuple[str, ...]
    style: str = "z.2f"
    offset: float = 0.0

    def value(self, metrics: Mapping[str, Any]) -> float | None:
        """The measured value; None where there is none."""
        values = (metric_of(metrics, name) for name in self.names)
        return next((value - self.offset for value in values if value is not None), None)

    def cell(
        self, metrics: Mapping[str, Any], seeds: Mapping[str, Sequence[float]] | None = None
    ) -> str:
        """The formatted value, of several seeds with its standard error; empty without a value."""
        value = self.value(metrics)
        if value is None:
            return ""
        text = f"{value:{self.style}}"
        for name in self.names:
            if seeds and name in seeds and not self.style.endswith(".0f"):
                text += f" ± {error_over_seeds(seeds[name]):{self.style}}"
                break
        return text.replace("%", " %")


METRICS = {
    "nll": Metric("nll", ("nll",)),
    "above_reference": Metric(f"nll - {TEST_REFERENCE}", ("nll",), offset=TEST_REFERENCE),
    "elbo": Metric("elbo", ("elbo",)),
    "reconstruction": Metric("reconstruction", ("reconstruction_loss", "reconstruction")),
    "kl": Metric("KL", ("kl",)),
    "mutual_information": Metric("mutual information", ("mutual_information",)),
    "marginal_kl": Metric("marginal KL", ("marginal_kl",)),
    "active_units": Metric("active units", ("active_units",), ".0f"),
    "dimensions": Metric("of", ("dimensions",), ".0f"),
    "word_perplexity": Metric("word perplexity", ("word_perplexity",)),
    "unknown": Metric("of it `<unk>`", ("unknown_share",), ".1%"),
    "gap": Metric("shuffled-z gap", ("shuffled_z_gap", "latent_worth")),
    "first_token": Metric("at the first token", ("first_token_share",), ".0%"),
    "accuracy": Metric("accuracy", ("accuracy",), ".1%"),
    "macro_f1": Metric("macro-F1", ("macro_f1",), ".1%"),
    "samples": Metric("samples", ("samples",), ".0f"),
    "mrr": Metric("MRR", ("matching.mrr",), ".3f"),
    "recall_at_1": Metric("R@1", ("matching.recall_1",), ".3f"),
    "recall_at_5": Metric("R@5", ("matching.recall_5",), ".3f"),
    "different": Metric("different of 10, greedy", ("answers.greedy.different",)),
    "different_sampled": Metric("sampled", ("answers.sampled.different",)),
    "recall": Metric("recall, greedy", ("answers.greedy.recall",), ".3f"),
    "recall_sampled": Metric("recall, sampled", ("answers.sampled.recall",), ".3f"),
    "best_bleu": Metric("best BLEU of 10, sampled", ("answers.sampled.best_bleu",)),
    "answers_distinct_2": Metric(
        "distinct-2 of 10, sampled", ("answers.sampled.distinct_2",), ".3f"
    ),
    "word_entropy": Metric("entropy of words / real", ("written.relative.entropy_words",)),
    "distinct_2_of_real": Metric("distinct-2 / real", ("written.relative.distinct_2",)),
    "given_words": Metric("words of the facts", ("written.samples.given_words",), ".3f"),
    "sample_precision": Metric("precision", ("image_samples.precision",), ".3f"),
    "sample_recall": Metric("recall", ("image_samples.recall",), ".3f"),
    "tree_nll": Metric("of the tree", ("field_nlls.tree",)),
    "text_nll": Metric("of the text given it", ("field_nlls.text",)),
    "balanced": Metric("balanced trees, sampled", ("trees.tree.balanced",), ".1%"),
    "greedy_balanced": Metric("greedy", ("trees.tree.greedy_balanced",), ".1%"),
    "tag_gain": Metric("tag gain of a swapped tree", ("trees.tree.tag_gain",)),
    "drift_20": Metric("AUC, change .2", ("drift.auc.20",), ".3f"),
    "drift_10": Metric("change .1", ("drift.auc.10",), ".3f"),
    "raw_drift_20": Metric("of mean vectors, .2", ("drift.raw_auc.20",), ".3f"),
    "raw_drift_10": Metric(".1", ("drift.raw_auc.10",), ".3f"),
    "false_alarms": Metric("false alarms", ("drift.false_alarms",), ".1%"),
    "prior_mean": Metric("perplexity at the prior's mean", ("prior_mean_perplexity",)),
    "valid": Metric("valid", ("rows.valid",), ".3f"),
    "row_recall": Metric("recall", ("rows.recall",), ".4f"),
    "unique": Metric("unique", ("rows.unique",), ".3f"),
    "novel": Metric("novel", ("rows.novel",), ".3f"),
    "total_correlation": Metric("total correlation", ("factors.total_correlation",)),
    "factor_information": Metric("mutual information, all", ("factors.mutual_information",)),
    "factor_marginal": Metric("marginal KL, all", ("factors.marginal_kl",)),
    "information_gap": Metric("MIG", ("factors.mutual_information_gap",), ".3f"),
    "micro_f1": Metric("micro-F1", ("label_sets.micro_f1",), ".3f"),
    "sets_macro_f1": Metric("macro-F1", ("label_sets.macro_f1",), ".3f"),
    "example_f1": Metric("example F1", ("label_sets.example_f1",), ".3f"),
    "exact_match": Metric("exact match", ("label_sets.exact_match",), ".3f"),
    "codes_used": Metric("codes used", ("codes_used",), ".0f"),
    "code_perplexity": Metric("perplexity of codes", ("code_perplexity",), ".1f"),
    "squared_error": Metric("squared error", ("squared_error",), ".1f"),
    "classes_used": Metric("classes used", ("codes.used",), ".1f"),
    "modes": Metric("modes", ("codes.modes",), ".1f"),
    "evidential_kept": Metric("evidential keeps", ("codes.evidential_kept",), ".1f"),
    "evidential_missed": Metric("misses", ("codes.evidential_missed",), ".1f"),
    "evidential_variation": Metric("TV, evidential", ("codes.evidential_variation",), ".3f"),
    "sparsemax_variation": Metric("TV, sparsemax", ("codes.sparsemax_variation",), ".3f"),
    "softmax_variation": Metric("TV, softmax", ("codes.softmax_variation",), ".3f"),
    "open_f1": Metric("macro-F1, unknown too", ("novelty.macro_f1",), ".3f"),
    "novelty": Metric("AUROC", ("novelty.auroc",), ".3f"),
    "novelty_nearest": Metric("nearest distance", ("novelty.nearest_auroc",), ".3f"),
    "novelty_confidence": Metric("confidence", ("novelty.confidence_auroc",), ".3f"),
    "novelty_reconstruction": Metric("reconstruction", ("novelty.reconstruction_auroc",), ".3f"),
    "rank_1": Metric("rank-1", ("pairs.rank_1",), ".1%"),
    "real_rank_1": Metric("real pairs alone", ("pairs.real_rank_1",), ".1%"),
    "cosine_rank_1": Metric("rank-1, cosine", ("pairs.cosine_rank_1",), ".1%"),
    "cosine_real_rank_1": Metric("real pairs alone", ("pairs.cosine_real_rank_1",), ".1%"),
}
