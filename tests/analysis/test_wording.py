"""The text of diagnoses: the one test of its wording."""

from dataclasses import asdict

import pytest
from support.evaluations import evaluation

from textvae.analysis.findings import (
    CauseCode,
    Diagnosis,
    Finding,
    FindingCode,
    PositionGaps,
    Remedy,
    RemedyCode,
    Verdict,
)
from textvae.analysis.wording import (
    OLD_VERDICTS,
    REMEDIES,
    VERDICTS,
    cause_text,
    collapse_warning,
    diagnosis_report,
    finding_text,
    position_columns,
    position_rows,
    ranges,
    reference_warning,
    unknown_warning,
)

METRICS = asdict(evaluation())


def test_every_code_has_a_text():
    assert set(VERDICTS) == set(OLD_VERDICTS) == set(Verdict)
    assert all(cause_text(Finding(code)) for code in CauseCode)
    assert set(REMEDIES) == set(RemedyCode) - {
        RemedyCode.LOWER_KL_WEIGHT,
        RemedyCode.SLOWER_ANNEALING,
    }


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (
            Finding(FindingCode.KL_EXCEEDS_INFORMATION, {"kl": 7.2, "mutual_information": 0.02}),
            "KL is much larger than the mutual information: little of it separates the texts.",
        ),
        (
            Finding(FindingCode.PRIOR_MISMATCH, {"marginal_kl": 3.0}),
            "The aggregate posterior differs from the prior (marginal KL 3.00): samples from the "
            "prior are far from every encoded text.",
        ),
        (
            Finding(FindingCode.TOO_FEW_TEXTS),
            "The mutual information is near its upper bound for 500 texts: more texts would give "
            "a higher estimate.",
        ),
        (
            Finding(
                FindingCode.ACTIVE_DIMENSIONS,
                {"dimensions": 4, "strongest": [(0, 3.0)], "unit": "nats", "collapsed": [1]},
            ),
            "3 of 4 dimensions are active; the strongest: 0 (3.00 nats); collapsed: 1.",
        ),
        (
            Finding(
                FindingCode.ACTIVE_DIMENSIONS,
                {"dimensions": 1, "strongest": [(0, 0.8)], "unit": "variance", "collapsed": []},
            ),
            "All 1 dimensions are active; the strongest: 0 (0.80 variance).",
        ),
        (
            Finding(
                FindingCode.ACTIVE_DIMENSIONS,
                {"dimensions": 2, "strongest": [], "unit": "nats", "collapsed": [0, 1]},
            ),
            "None of 2 dimensions is active: no posterior mean varies.",
        ),
        (
            Finding(
                FindingCode.SHUFFLED_Z_GAP,
                {"total": 5.0, "ignored": False, "half": 1, "nine_tenths": 2, "early": True},
            ),
            "The shuffled-z gap is 5.00 nats per text: half of it at the first token, nine tenths "
            "at the first 2 tokens; z mostly encodes how a text begins.",
        ),
        (
            Finding(FindingCode.SHUFFLED_Z_GAP, {"total": -0.02, "ignored": True}),
            "The decoder ignores z: the shuffled-z gap is 0.00 nats.",
        ),
    ],
)
def test_finding_text(finding, text):
    assert finding_text(finding, METRICS) == text


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([3], "3"), ([0, 1, 2], "0-2"), ([0, 2, 3, 7], "0, 2-3, 7")],
)
def test_ranges(numbers, text):
    assert ranges(numbers) == text


def test_position_rows_are_means_weighted_by_texts():
    gaps = [float(n) for n in range(1, 13)]
    positions = PositionGaps([2.0] * 12, [2 + gap for gap in gaps], [8] * 11 + [24], gaps)
    rows = position_rows(position_columns(positions))
    assert [row[0] for row in rows] == ["1", "2", "3", "4-5", "6-10", "11-12"]
    assert [row[3] for row in rows] == pytest.approx([1, 2, 3, 4.5, 8, (11 * 8 + 12 * 24) / 32])
    single = PositionGaps([2.0], [3.0], [100], [1.0])
    assert position_rows(position_columns(single)) == [("1", 2.0, 3.0, 1.0)]


def test_report_of_a_collapsed_latent():
    collapsed = asdict(evaluation("collapsed"))
    report = diagnosis_report(
        Diagnosis(
            Verdict.COLLAPSED,
            collapsed,
            findings=(Finding(FindingCode.TOO_FEW_TEXTS),),
            causes=(
                Finding(CauseCode.NO_MINIMUM_KL),
                Finding(CauseCode.PREVIOUS_WORDS, {"word_dropout": 0.0}),
                Finding(CauseCode.FULL_KL_WEIGHT),
            ),
            remedies=(
                Remedy(RemedyCode.FREE_BITS, "kingma2016_free_bits", data=("--data", "my a.txt")),
            ),
            collapsed_dimensions=(0, 1, 2, 3),
            positions=PositionGaps([2.0], [2.0], [100], [0.0]),
        )
    )
    lines = report.text().splitlines()
    assert lines[0] == (
        "COLLAPSED. The posterior is nearly the same for every text: mutual information 0.01 nats "
        "of at most 6.20, KL 0.02."
    )
    assert lines[2] == (
        "Why: nothing keeps the KL from vanishing; the decoder reads the previous words (word "
        "dropout 0) and does not need z; the KL has its full weight from the first step, before z "
        "is informative."
    )
    assert lines[3].split("  ")[0] == "tokens" and lines[-2] == "Try next:"
    assert lines[-1] == (
        "  textvae train kingma2016_free_bits --data 'my a.txt'  # free bits: the first nats of "
        "KL are free"
    )


def test_report_without_a_latent():
    report = diagnosis_report(Diagnosis(Verdict.NO_LATENT, METRICS))
    assert report.text() == "NO LATENT. The model is a language model: it has no latent."


def test_collapse_warning_names_settings():
    assert collapse_warning("sentence") == (
        "the latent is collapsed: the posterior equals the prior, so every sentence gets the same "
        "z and the decoder ignores it. Try free bits (--set objective.free_bits=4), a lower KL "
        "weight (--set objective.kl_weight=0.3), slower annealing, or more word dropout "
        "(--set decoders.text.word_dropout=0.6)."
    )
    assert collapse_warning("image") == (
        "the latent is collapsed: every image gets the same z. Try free bits "
        "(--set objective.free_bits=4) or a lower KL weight (--set objective.kl_weight=0.3)."
    )


@pytest.mark.parametrize(
    ("nll", "text"),
    [
        (50.1, "nll 50.1 is above that of a unigram model (50.0): the frequencies of its tokens "
         "alone predict a held-out text better"),
        (50.0, "nll 50.0 is above that of a 3-gram model (30.0): the two tokens before each alone "
         "predict a held-out text better"),
        (30.0, None),
    ],
)  # fmt: skip
def test_an_nll_above_that_of_ngrams_is_warned_of(nll, text):
    assert reference_warning({"nll": nll, "unigram_nll": 50.0, "trigram_nll": 30.0}) == text
    assert reference_warning({"nll": nll}) is None


def test_mostly_unknown_tokens_are_warned_of():
    metrics = {"tokens": 30, "sentences": 10, "unknown_tokens": 10}
    assert unknown_warning(metrics).startswith("50 % of the held-out tokens are <unk>")
    assert unknown_warning(metrics | {"unknown_tokens": 9}) is None
    assert unknown_warning({"nll": 1.0}) is None
