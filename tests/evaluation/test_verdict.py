"""The verdict on a latent, from metrics and records of known states."""

from dataclasses import asdict, replace

import pytest
from support.evaluations import ACTIVE, evaluation, record

from textvae.evaluation.verdict import (
    TrainingRecord,
    Verdict,
    is_collapsed_so_far,
    verdict_of,
)

COLLAPSED = evaluation("collapsed")
WEAK = evaluation("weak")
UNUSED = evaluation("unused")
FEW = replace(ACTIVE, distinct=1)


def verdict(metrics, training=None, **others):
    return verdict_of(asdict(metrics) | others, training)


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (ACTIVE, Verdict.ACTIVE),
        (COLLAPSED, Verdict.COLLAPSED),
        (WEAK, Verdict.WEAK),
        (UNUSED, Verdict.PAID_BUT_UNUSED),
        (replace(ACTIVE, mutual_information=0.99), Verdict.WEAK),
        (replace(ACTIVE, mutual_information=1.0), Verdict.ACTIVE),
        (replace(ACTIVE, kl=0.09), Verdict.COLLAPSED),
        (replace(ACTIVE, shuffled_z_gap=0.02), Verdict.PAID_BUT_UNUSED),
        (replace(ACTIVE, shuffled_z_gap=2.0), Verdict.ACTIVE),
        (replace(ACTIVE, kl=2.5, mutual_information=0.01, active_units=0), Verdict.PAID_BUT_UNUSED),
        (replace(COLLAPSED, deterministic=True), Verdict.AUTOENCODER),
        (replace(COLLAPSED, dimensions=0), Verdict.NO_LATENT),
    ],
)
def test_verdict_follows_information_kl_and_gap(metrics, expected):
    assert verdict(metrics) is expected


@pytest.mark.parametrize(
    ("perplexity", "size", "expected"),
    [
        (1.0, 64, Verdict.COLLAPSED),
        (2.4, 64, Verdict.COLLAPSED),
        (7.2, 64, Verdict.COLLAPSED),
        (7.4, 64, Verdict.ACTIVE),
        (1.05, 2, Verdict.COLLAPSED),
        (1.9, 2, Verdict.ACTIVE),
    ],
)
def test_a_codebook_of_which_little_is_used_is_collapsed(perplexity, size, expected):
    """However large the KL and the information of many places are."""
    usage = {"code_perplexity": perplexity, "codebook_size": size, "codes_used": 2}
    assert verdict(replace(ACTIVE, kl=200.0, mutual_information=6.0), **usage) is expected


@pytest.mark.parametrize(
    ("sentences", "distinct", "kl", "expected"),
    [
        (1, 1, 5.9, Verdict.TOO_FEW_TEXTS),
        (100, 1, 5.9, Verdict.TOO_FEW_TEXTS),
        (100, 1, 0.0, Verdict.TOO_FEW_TEXTS),
        (3, 3, 5.9, Verdict.TOO_FEW_TEXTS),
        (3, 3, 0.01, Verdict.COLLAPSED),
        (4, 4, 5.9, Verdict.ACTIVE),
    ],
)
def test_few_or_equal_texts_give_no_verdict(sentences, distinct, kl, expected):
    assert verdict(replace(ACTIVE, kl=kl, sentences=sentences, distinct=distinct)) is expected


def test_metrics_of_older_versions_give_a_verdict():
    def stored(metrics):
        new = ("distinct", "mutual_information", "marginal_kl", "shuffled_z_gap")
        return {name: value for name, value in asdict(metrics).items() if name not in new}

    assert verdict_of(stored(ACTIVE)) is Verdict.ACTIVE
    assert verdict_of(stored(replace(ACTIVE, kl=2.5, active_units=0))) is Verdict.PAID_BUT_UNUSED
    assert verdict_of(stored(replace(COLLAPSED, active_units=0))) is Verdict.COLLAPSED
    assert verdict_of(stored(replace(ACTIVE, sentences=1))) is Verdict.TOO_FEW_TEXTS


# The training.


@pytest.mark.parametrize("metrics", [ACTIVE, WEAK, UNUSED])
def test_an_unfinished_schedule_comes_before_the_latent(metrics):
    assert verdict(metrics, record(weight=0.002)) is Verdict.ANNEALING_NOT_FINISHED
    assert verdict(metrics, record(weight=0.89)) is Verdict.ANNEALING_NOT_FINISHED
    assert verdict(metrics, record(weight=0.91)) is verdict(metrics)
    assert verdict(metrics, record(weight=0.3, end=0.3)) is verdict(metrics)
    assert verdict(metrics, replace(record(), kl_weight=None)) is verdict(metrics)


def test_collapse_under_half_of_the_weight_is_a_collapse():
    assert verdict(COLLAPSED, record(weight=0.6)) is Verdict.COLLAPSED
    assert verdict(COLLAPSED, record(weight=0.4)) is Verdict.ANNEALING_NOT_FINISHED


FLAT, STEEP = [60.0, 40.0, 31.0, 30.1, 30.0, 30.0], [60.0, 50.0, 44.0, 39.0, 35.0, 32.0]
SLOW = [60.0, 40.0, 33.0, 31.5, 30.7, 30.0]


@pytest.mark.parametrize(
    ("nlls", "steps", "expected"),
    [
        (FLAT, 5000, Verdict.ACTIVE),
        (FLAT, 300, Verdict.ACTIVE),
        (SLOW, 5000, Verdict.ACTIVE),
        (SLOW, 300, Verdict.UNDERTRAINED),
        (STEEP, 5000, Verdict.UNDERTRAINED),
        ([30.0, 45.0], 300, Verdict.ACTIVE),
        ([30.0], 100, Verdict.UNDERTRAINED),
        ([30.0], 5000, Verdict.ACTIVE),
        ([], 5000, Verdict.ACTIVE),
    ],
)
def test_undertrained_is_a_falling_nll_or_few_steps(nlls, steps, expected):
    assert verdict(ACTIVE, record(nlls, steps)) is expected


def test_worse_than_unigram_is_undertrained_unless_flat():
    assert verdict(ACTIVE, record(SLOW), unigram_nll=27.0) is Verdict.UNDERTRAINED
    assert verdict(ACTIVE, record(SLOW), unigram_nll=29.0) is Verdict.ACTIVE
    assert verdict(ACTIVE, record(FLAT), unigram_nll=27.0) is Verdict.ACTIVE
    assert verdict(ACTIVE, record([30.0]), unigram_nll=27.0) is Verdict.UNDERTRAINED


@pytest.mark.parametrize(("steps", "expected"), [(500, "undertrained"), (5000, "active")])
def test_worse_than_trigram_is_undertrained_after_few_steps(steps, expected):
    assert verdict(ACTIVE, record(SLOW, steps), trigram_nll=20.0) == expected
    assert verdict(ACTIVE, record(FLAT, steps), trigram_nll=20.0) is Verdict.ACTIVE


def test_the_fall_is_over_the_last_quarter_of_the_steps():
    assert record([50.0, 40.0, 30.0, 20.0], 4000).fall == pytest.approx(0.5)
    # The mean of ten validations with five before each: noise of one in turn cancels.
    noisy = [30.0 + (-1) ** n for n in range(40)]
    assert abs(record(noisy, 4000).fall) < 0.02
    assert record([30.0], 4000).fall is None


def test_a_record_is_read_as_it_was_stored():
    stored = asdict(record(FLAT))
    assert TrainingRecord.read(stored) == record(FLAT)
    for spoiled in ({}, {"steps": 5}, {**stored, "validation": 3}, [1]):
        with pytest.raises((KeyError, TypeError, ValueError)):
            TrainingRecord.read(spoiled)


# During training.

SO_FAR = {
    "step": 60,
    "steps": 100,
    "kl": 0.01,
    "active_units": 0.0,
    "kl_weight": 1.0,
    "kl_weight_end": 1.0,
    "distinct": 50,
}


@pytest.mark.parametrize(
    ("change", "collapsed"),
    [
        ({}, True),
        ({"kl": 5.0}, True),
        ({"active_units": 3.0}, True),
        ({"active_units": 3.0, "kl": 5.0}, False),
        ({"step": 40}, False),
        ({"kl_weight": 0.5}, False),
        ({"distinct": 1}, False),
        ({"deterministic": True, "active_units": 3.0, "kl": 0.0}, False),
    ],
)
def test_collapse_so_far_is_late_and_under_full_weight(change, collapsed):
    assert is_collapsed_so_far(SO_FAR | change) is collapsed


def test_a_language_model_has_no_collapse_so_far():
    assert not is_collapsed_so_far({"step": 60, "steps": 100, "kl": 0.0, "distinct": 50})
