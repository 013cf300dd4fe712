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
    Unchecked,
    Verdict,
)
from textvae.analysis.remedies import AGAINST_COLLAPSE
from textvae.analysis.wording import (
    MEASURES,
    OLD_VERDICTS,
    REMEDIES,
    UNCHECKED,
    VERDICTS,
    cause_text,
    diagnosis_report,
    finding_text,
    latent_warning,
    position_columns,
    position_rows,
    ranges,
    training_warning,
    unknown_warning,
    verdict_report,
    verdict_text,
    verdict_warning,
)

METRICS = asdict(evaluation())


def test_every_code_has_a_text():
    assert set(VERDICTS) == set(OLD_VERDICTS) == set(Verdict)
    assert all(cause_text(Finding(code)) for code in CauseCode)
    assert set(REMEDIES) == set(RemedyCode) and set(MEASURES) >= set(AGAINST_COLLAPSE)
    assert set(UNCHECKED) == set(Unchecked)


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (
            Finding(FindingCode.KL_EXCEEDS_INFORMATION, {"kl": 7.2, "mutual_information": 0.02}),
            "KL is much larger than the mutual information: little of it separates the inputs.",
        ),
        (
            Finding(FindingCode.PRIOR_MISMATCH, {"marginal_kl": 3.0}),
            "The aggregate posterior differs from the prior (marginal KL 3.00): many samples from "
            "the prior lie where no input is encoded.",
        ),
        (
            Finding(FindingCode.TOO_FEW_TEXTS, {"distinct": 490}),
            "The mutual information is near its upper bound for 500 texts: more texts would give "
            "a higher estimate.",
        ),
        (
            Finding(FindingCode.TOO_FEW_TEXTS, {"distinct": 1}),
            "1 different text of 500: active units and mutual information need 4 at least, and "
            "better hundreds.",
        ),
        (
            Finding(
                FindingCode.ANNEALING_NOT_FINISHED,
                {"kl_weight": 0.00074, "kl_weight_end": 1.0, "steps": 1190},
            ),
            "The KL weight ended at 0.00074 of 1, after 1,190 optimizer steps: a KL under so low a "
            "weight says nothing yet.",
        ),
        (
            Finding(FindingCode.STILL_FALLING, {"fall": 0.104}),
            "The validation nll still fell: by 10.4% over the last quarter of the training.",
        ),
        (
            Finding(FindingCode.FEW_STEPS, {"steps": 119}),
            "The model had 119 optimizer steps, which are few.",
        ),
        (
            Finding(FindingCode.WORSE_THAN_UNIGRAM, {"nll": 50.0, "unigram_nll": 45.5}),
            "The nll is 4.50 nats above that of word frequencies alone (unigram).",
        ),
        (
            Finding(FindingCode.WORSE_THAN_TRIGRAM, {"nll": 50.0, "trigram_nll": 28.0}),
            "The nll is 22.00 nats above that of a 3-gram model.",
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
            Finding(
                FindingCode.CODE_USAGE,
                {"codes_used": 48, "codebook_size": 64, "code_perplexity": 31.16},
            ),
            "48 of 64 codes are used, with a perplexity of 31.2.",
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
            findings=(Finding(FindingCode.TOO_FEW_TEXTS, {"distinct": 490}),),
            causes=(
                Finding(CauseCode.NO_MINIMUM_KL),
                Finding(CauseCode.PREVIOUS_WORDS, {"word_dropout": 0.0}),
                Finding(CauseCode.FULL_KL_WEIGHT),
                Finding(CauseCode.IN_USE, {"measures": [RemedyCode.ENCODER_FIRST]}),
            ),
            remedies=(
                Remedy(RemedyCode.FREE_BITS, "mine.yaml", ("objective.free_bits=4",)),
                Remedy(RemedyCode.MINIMUM_KL, "xu2018_vmf", data=("--data", "my a.txt")),
                Remedy(RemedyCode.LOWER_TEMPERATURE, command=("sample", "runs/x")),
            ),
            collapsed_dimensions=(0, 1, 2, 3),
            positions=PositionGaps([2.0], [2.0], [100], [0.0]),
            unchecked=(Unchecked.REFERENCES, Unchecked.SEEDS),
        )
    )
    lines = report.text().splitlines()
    assert lines[0] == (
        "COLLAPSED. The posterior is nearly the same for every text, and close to the prior: "
        "mutual information 0.01 nats of at most 6.20, KL 0.02."
    )
    assert lines[2] == (
        "Why: nothing keeps the KL from vanishing; the decoder reads the previous words (word "
        "dropout 0) and does not need z; the KL has its full weight from the first step, before z "
        "is informative; the recipe has an encoder trained ahead of the decoder already, which did "
        "not suffice."
    )
    assert lines[3].split("  ")[0] == "tokens"
    assert lines[5] == "Not checked: the nll of n-gram models of the same texts; other seeds."
    assert [line.split("#")[0].strip() for line in lines[6:]] == [
        "Try next:",
        "textvae train mine.yaml --set objective.free_bits=4",
        "textvae train xu2018_vmf --data 'my a.txt'",
        "textvae sample runs/x",
    ]
    assert lines[7].endswith("# free bits: the first nats of KL are free")
    stored = report.stored
    assert list(stored) == ["code", "findings", "advice"]
    assert verdict_report(stored).splitlines() == [*lines[:3], *lines[6:]]
    assert verdict_warning(stored) == f"warning: collapsed: {report.findings[0]}"


@pytest.mark.parametrize(
    ("verdict", "metrics", "text"),
    [
        (
            Verdict.PAID_BUT_UNUSED,
            evaluation("unused"),
            "The posterior is nearly the same for every text, but far from the prior: mutual "
            "information 0.02 nats of at most 6.20, KL 7.20.",
        ),
        (
            Verdict.PAID_BUT_UNUSED,
            evaluation(),
            "z differs between texts, but the decoder ignores it: mutual information 4.50 nats of "
            "at most 6.20, KL 5.50.",
        ),
        (
            Verdict.TOO_FEW_TEXTS,
            evaluation(),
            "The texts are too few to tell whether z is used: KL 5.50.",
        ),
    ],
)
def test_verdict_text(verdict, metrics, text):
    assert verdict_text(verdict, asdict(metrics)) == text


def test_no_verdict_but_collapse_claims_the_prior():
    for verdict in Verdict:
        text = verdict_text(verdict, METRICS)
        assert ("close to the prior" in text) == (verdict is Verdict.COLLAPSED)


def test_verdicts_of_images_are_of_images():
    images = {name: value for name, value in METRICS.items() if name != "sentences"}
    text = verdict_text(Verdict.ACTIVE, images | {"images": 100})
    assert text.startswith("z differs between images: ")


def test_metrics_of_older_versions_have_a_text():
    old = {"kl": 0.02, "dimensions": 4, "sentences": 10, "active_units": 0}
    assert verdict_text(Verdict.COLLAPSED, old).endswith("close to the prior: KL 0.02.")


def test_report_without_a_latent():
    report = diagnosis_report(Diagnosis(Verdict.NO_LATENT, METRICS))
    assert report.text() == "NO LATENT. The model is a language model: it has no latent."


# Warnings.


def test_latent_warning_names_the_doctor():
    assert latent_warning(Verdict.COLLAPSED, "my runs/x", "the path is not meaningful: ") == (
        "warning: the path is not meaningful: the latent is collapsed (the posterior is nearly the "
        "same for every text, and close to the prior); for measures: textvae doctor 'my runs/x'"
    )


def test_training_warning_of_a_collapse():
    values = {"step": 60, "steps": 100, "kl": 0.01, "active_units": 0.0, "distinct": 50}
    assert training_warning("validation", values) == (
        "warning: the latent is collapsed so far: KL 0.01, 0 active units, and the KL weight has "
        "reached its end"
    )
    assert training_warning("validation", values | {"step": 40}) is None
    assert training_warning("step", values) is None


def test_mostly_unknown_tokens_are_warned_of():
    metrics = {"tokens": 30, "sentences": 10, "unknown_tokens": 10}
    assert unknown_warning(metrics).startswith("50 % of the held-out tokens are <unk>")
    assert unknown_warning(metrics | {"unknown_tokens": 9}) is None
    assert unknown_warning({"nll": 1.0}) is None
