"""Reports of `textvae evaluate`: each metric with its estimator, number and denominator."""

import json
import math
from dataclasses import asdict, replace

import pytest
from support.commands import copy_run, trained_runs
from support.evaluations import ACTIVE, evaluation

from textvae.analysis.cells import decimal, percent
from textvae.analysis.claimed_metrics import metric_names
from textvae.analysis.reports import evaluation_text, metric_notes
from textvae.api.sentence import Evaluation
from textvae.console import json_text


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return trained_runs(tmp_path_factory)


def named(metrics, prefix=""):
    """The metrics of nested objects, with dots."""
    for name, value in metrics.items():
        if isinstance(value, dict):
            yield from named(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def test_evaluation_describes_the_latent(runs, textvae):
    options = ["--data", runs / "texts.txt", "--samples", 3]
    out = textvae("evaluate", runs / "vae", *options).out
    metrics = textvae("evaluate", runs / "vae", *options, "--json").json
    rows = {line[:18].strip(): line[18:].split(maxsplit=1) for line in out.splitlines()}
    assert float(rows["mutual information"][0]) == round(metrics["mutual_information"], 3)
    error = metrics["mutual_information_standard_error"]
    assert rows["mutual information"][1] == (
        f"of at most 4.61 = ln N nats; all 100 posteriors, 10 samples of each; +- {error:.3f}"
    )
    assert float(rows["marginal KL"][0]) == round(metrics["marginal_kl"], 3)
    assert rows["active units"][1].startswith("of 3, variance of posterior mean > 0.01 (largest ")
    assert len(metrics["variances"]) == len(metrics["kls"]) == 3
    assert metrics["generation"] is None and "BLEU" not in out


def test_every_metric_has_a_note(runs, textvae):
    result = textvae("evaluate", runs / "vae", "--samples", 2, "--generation", "--data",
                     runs / "texts.txt", "--json").json  # fmt: skip
    notes = result.pop("notes")
    assert set(result.pop("verdict")) == {"code", "findings", "advice"}
    denominators = ("sentences", "words", "tokens", "samples", "pairs", "moving", "steps", "scored",
                    "characters", "unit", "reference_texts", "training_texts")  # fmt: skip
    for name, value in named(result):
        *_, last = name.split(".")
        noted = name.replace("generation.real", "generation.samples") in notes
        unnoted = {
            *("latent_samples", "dimensions", "mutual_information_ceiling", "variances", "kls"),
            *(
                "collapsed",
                "deterministic",
                "distinct",
                "compared",
                "signature",
                "reference",
                "reference_is_training",
                "certain",
            ),
            # In the notes of the references.
            *("unigram_word_perplexity", "trigram_word_perplexity"),
        }
        if name.endswith("_standard_error"):
            assert "+- " in notes[name.removesuffix("_standard_error")]
            continue
        if last in ("accuracy", "macro_f1", "labelled", "unknown_tokens", "unknown_share",
                    "character_perplexity", "prior_mean_perplexity", "answers", "rows",
                    "matching", "codes_used", "codebook_size",
                    "code_perplexity", "latent_kls", "whole_kl", "parts", "written",
                    "field_nlls", "trees"):  # fmt: skip
            assert not value, "no labels, conditions, second field; blanks; all can be spelled"
            continue
        assert noted or last in unnoted.union(denominators), name
        assert value is not None, name
    numbers = {name for name, value in named(result) if isinstance(value, int | float)}
    references = {name for name in numbers if name.startswith(("unigram_", "trigram_"))}
    others = references | {"reference_texts", "training_texts"}
    # Of models of rows of several fields, or of codes, alone.
    parts = ("answers.", "rows.", "matching.", "written.", "code")
    missing = {"accuracy", "macro_f1", "character_perplexity", "prior_mean_perplexity", "whole_kl"}
    known = {name for name in metric_names(Evaluation) if not name.startswith(parts)}
    assert (numbers - others) | missing == known and len(references) == 4


def test_generation_is_compared_to_real_text_and_written(runs, textvae, tmp_path):
    options = ["--data", runs / "texts.txt", "--samples", 2, "--generation"]
    answer = textvae("evaluate", runs / "vae", *options, "--out", "f.json")
    assert answer.code == 0 and "copies" not in answer.err
    stored = json.loads((tmp_path / "f.json").read_text())
    assert stored == textvae("evaluate", runs / "vae", *options, "--json").json
    found = stored["generation"]
    assert found["reference"] == 78 and found["reference_is_training"]
    for text in ("50 samples  50 held out", "of 100 sentences, greedy", "sacrebleu nrefs:1|case"):
        assert text in answer.out
    (line,) = [line for line in answer.out.splitlines() if line.startswith("self-BLEU")]
    assert line.split()[1:3] == [decimal(found[of]["self_bleu"]) for of in ("samples", "real")]
    (line,) = [line for line in answer.out.splitlines() if line.startswith("copied")]
    assert line.split()[1:3] == [percent(found[of]["copied"]) for of in ("samples", "real")]
    tables, _, _ = answer.out.rpartition("\n\n")
    assert all(len(line) < 120 for line in tables.splitlines())


def test_generation_without_a_latent_or_a_run(runs, textvae, tmp_path):
    copy_run(runs / "lm", tmp_path / "bare")
    (tmp_path / "bare/recipe.yaml").unlink()
    options = ["--data", runs / "texts.txt", "--generation", "--limit", 20]
    answer = textvae("evaluate", "bare", *options)
    assert "note: copies are not counted" in answer.err and "reconstruction" not in answer.out
    assert "under a 3-gram model of 10 other held-out sentences" in answer.out
    found = textvae("evaluate", "bare", *options, "--json").json["generation"]
    assert found["samples"]["copied"] is None is found["reconstruction"]


def test_bad_files_and_too_few_texts_are_refused(runs, refused):
    vae = runs / "vae"
    assert "must end in .json" in refused("evaluate", vae, "--out", "f.txt")
    assert "the folder 'none' is not there" in refused("evaluate", vae, "--out", "none/f.json")
    assert "at least 4 texts" in refused("evaluate", vae, "--limit", 3, "--generation")


def test_references_stand_under_the_nll():
    metrics = asdict(evaluation()) | {"reference_texts": 900, "training_texts": 900}
    assert "unigram nll" not in evaluation_text(metrics)
    metrics |= {"unigram_nll": 40.0, "unigram_word_perplexity": 21.7}
    metrics |= {"trigram_nll": 30.0, "trigram_word_perplexity": 10.1}
    nll, unigram, trigram, words, *_ = evaluation_text(metrics).splitlines()
    assert nll.startswith("nll ") and words.startswith("word perplexity")
    assert unigram.split()[:3] == ["unigram", "nll", "40.000"]
    assert "in 900 training texts; word perplexity 21.700" in unigram
    assert trigram.split()[:3] == ["3-gram", "nll", "30.000"] and "10.100" in trigram
    text = evaluation_text(metrics | {"training_texts": 12_000})
    assert "in 900 of 12,000 training texts" in text


def test_perplexities_say_their_unit_and_whether_they_compare():
    text = evaluation_text(asdict(evaluation()))
    assert "per word: exp(nll / word), 6,500 words" in text
    assert "per token: 7,000 tokens; compares only between models of one tokenizer" in text
    assert "character" not in text and "<unk>" not in text
    unspaced = replace(
        evaluation(), word_perplexity=None, character_perplexity=9.0, characters=12_000
    )
    text = evaluation_text(asdict(unspaced))
    assert "per character: exp(nll / character), 12,000 characters" in text
    assert "word perplexity" not in text


def test_unknown_tokens_are_a_share_without_ends():
    metrics = asdict(replace(evaluation(), unknown_tokens=650))
    (line,) = [line for line in evaluation_text(metrics).splitlines() if "<unk>" in line]
    assert line.startswith("unknown tokens") and "10.0%  650 of 6,500 are <unk>" in line


def test_missing_metrics_are_dashes():
    assert (decimal(None), decimal(2.0), decimal(1)) == ("-", "2.000", "1.000")
    assert (percent(None), percent(0.125)) == ("-", "12.5%")


def test_one_dimension_has_no_median():
    metrics = dict.fromkeys(
        ["nll", "elbo", "reconstruction_loss", "kl", "word_perplexity", "token_perplexity"], 1.0
    ) | {"mutual_information": 0.5, "mutual_information_ceiling": 2.0, "marginal_kl": 0.5}
    metrics |= {"samples": 5, "latent_samples": 10, "sentences": 8, "words": 30, "tokens": 40}
    metrics |= {"active_units": 1, "dimensions": 1, "variances": (0.5,)}
    assert evaluation_text(metrics).splitlines()[-1].endswith("variance of posterior mean > 0.01")
    assert metric_notes(metrics)["nll"].endswith("importance-weighted, 5 samples, 8 sentences")
    metrics |= {"shuffled_z_gap": 0.05, "first_token_share": None}
    assert "shuffled-z gap" in evaluation_text(metrics).splitlines()[-1]
    metrics |= {"shuffled_z_gap": 2.0, "first_token_share": 0.25}
    *_, gap, share = evaluation_text(metrics).splitlines()
    assert "2.00" in gap and "0.25" in share and "first token" in share


def test_json_has_no_infinity():
    result = {"a": [1.5, math.inf, (math.nan,)], "b": {"c": -math.inf, "d": "inf"}, "e": 3}
    found = {"a": [1.5, None, [None]], "b": {"c": None, "d": "inf"}, "e": 3}
    assert json.loads(json_text(result)) == found


def test_rows_that_are_not_compared_are_named():
    metrics = asdict(replace(ACTIVE, sentences=50_000, compared=20_000, shuffled_z_gap=1.0))
    text = evaluation_text(metrics)
    assert "20,000 random posteriors, 10 samples of each" in text
    assert "one sample of each; 20,000 random sentences" in text
    text = evaluation_text(metrics | {"compared": 50_000})
    assert "all 50,000 posteriors" in text and "random" not in text
