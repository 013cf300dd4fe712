"""Diagnoses of metrics and models whose state is known, as codes and values."""

from dataclasses import asdict, replace

import pytest
import torch
from conftest import vae as build
from support.commands import copy_run, run_quietly, sentences, trained_runs
from support.evaluations import evaluation, record

from textvae.analysis.diagnosis import (
    diagnose_latent,
    diagnosis_of,
    dimension_finding,
    gap_finding,
    information_findings,
    is_early,
    training_findings,
)
from textvae.analysis.findings import FindingCode, Unchecked, Verdict
from textvae.analysis.remedies import Trained
from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import train_tokenizer
from textvae.evaluation import verdict as rules
from textvae.recipes import load_recipe

ACTIVE = evaluation()
COLLAPSED = evaluation("collapsed")
UNUSED = evaluation("unused")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return trained_runs(tmp_path_factory)


def codes(metrics):
    return [finding.code for finding in information_findings(asdict(metrics))]


def test_information_findings_compare_it_to_the_kl():
    far = replace(ACTIVE, marginal_kl=3.0)
    few = replace(far, mutual_information_ceiling=4.6)
    assert codes(ACTIVE) == []
    assert codes(UNUSED) == [FindingCode.KL_EXCEEDS_INFORMATION, FindingCode.PRIOR_MISMATCH]
    assert codes(far) == [FindingCode.PRIOR_MISMATCH]
    # Near the upper bound, the marginal KL contains what the mutual information misses.
    assert codes(few) == codes(replace(few, kl=45.0)) == [FindingCode.TOO_FEW_TEXTS]
    assert codes(replace(ACTIVE, distinct=1)) == [FindingCode.TOO_FEW_TEXTS]


def test_training_findings_are_facts_whatever_the_verdict():
    metrics = asdict(ACTIVE) | {"unigram_nll": 27.0, "trigram_nll": 20.0}
    training = record([60.0, 50.0, 40.0, 30.0], 500, 0.1)
    found = training_findings(metrics, training)
    assert [finding.code for finding in found] == [
        FindingCode.WORSE_THAN_UNIGRAM,
        FindingCode.WORSE_THAN_TRIGRAM,
        FindingCode.ANNEALING_NOT_FINISHED,
        FindingCode.STILL_FALLING,
        FindingCode.FEW_STEPS,
    ]
    assert found[2].values == {"kl_weight": 0.1, "kl_weight_end": 1.0, "steps": 500}
    assert training_findings(asdict(ACTIVE), record()) == []
    assert training_findings(asdict(ACTIVE), None) == []


def test_a_verdict_of_one_text_keeps_the_findings_on_training():
    found = diagnosis_of(asdict(replace(ACTIVE, distinct=1)), Trained(None, record(weight=0.1)))
    assert found.code is Verdict.TOO_FEW_TEXTS
    assert [finding.code for finding in found.findings] == [
        FindingCode.ANNEALING_NOT_FINISHED,
        FindingCode.TOO_FEW_TEXTS,
    ]


def test_what_was_not_checked_is_listed():
    nothing = diagnosis_of(asdict(ACTIVE)).unchecked
    assert set(Unchecked) - set(nothing) == {Unchecked.KL_SCHEDULE, Unchecked.PROGRESS}
    trained = Trained(load_recipe("kingma2016_free_bits"), record())
    metrics = asdict(replace(ACTIVE, shuffled_z_gap=2.0)) | {"unigram_nll": 40.0}
    assert diagnosis_of(metrics, trained).unchecked == (Unchecked.GENERATION, Unchecked.SEEDS)


def test_dimension_finding_ranks_active_dimensions():
    values = dimension_finding(asdict(ACTIVE)).values
    assert values["strongest"] == [(0, 3.0), (2, 1.5), (3, 1.0)] and values["collapsed"] == [1]
    assert values["unit"] == "nats" and values["dimensions"] == 4
    strong = dimension_finding(asdict(replace(ACTIVE, kls=(3.0, 9.0, 0.5, 0.4)))).values[
        "strongest"
    ]
    assert [d for d, _ in strong] == [0, 2, 3], "a collapsed dimension is not ranked"
    assert dimension_finding(asdict(COLLAPSED)).values["collapsed"] == [0, 1, 2, 3]
    joint = replace(ACTIVE, kls=None, variances=(0.8, 0.1, 0.3, 0.2))
    joint = dimension_finding(asdict(joint)).values
    assert joint["unit"] == "variance" and joint["strongest"][0] == (0, 0.8)


def test_gap_finding_locates_the_gap():
    early, even = [4.0, 0.5, 0.2, 0.1, 0.1, 0.1], [1.0] * 10
    values = gap_finding(early).values
    assert values["total"] == pytest.approx(5.0)
    assert (values["half"], values["nine_tenths"], values["early"]) == (1, 2, True)
    values = gap_finding(even).values
    assert (values["half"], values["nine_tenths"], values["early"]) == (5, 9, False)
    assert gap_finding([0.01, -0.02, 0.01]).values["ignored"]


def test_is_early_needs_later_positions_and_a_gap():
    assert not is_early([0.4, 0.3, 0.3]), "texts of three tokens have no later position"
    assert not is_early([-0.3, -0.1, -0.1, -0.1, -1.0])


# Models.


def test_diagnosis_of_a_collapsed_model(runs):
    vae = SentenceVAE.from_pretrained(runs / "dead")
    found = diagnose_latent(vae, sentences(), samples=2)
    assert found.code is Verdict.COLLAPSED and found.collapsed_dimensions == (0, 1, 2)
    assert found.remedies and not found.causes and found.positions.texts[0] == 100


def test_diagnosis_of_an_active_latent_depends_on_the_decoder(runs, monkeypatch):
    recipe, vae = load_recipe("kingma2016_free_bits"), SentenceVAE.from_pretrained(runs / "vae")
    with torch.no_grad():
        # Means six times as far apart, and a decoder that was not trained with them.
        vae.model.latents["z"].head.weight[:3] *= 6
    found = diagnose_latent(vae, sentences(), Trained(recipe), samples=2)
    assert found.code is Verdict.PAID_BUT_UNUSED and found.collapsed_dimensions == ()
    assert found.positions.own != found.positions.shuffled
    assert found.remedies and found.causes
    monkeypatch.setattr(rules, "WORTHLESS", -1.0)
    found = diagnose_latent(vae, sentences(), Trained(recipe), samples=2)
    assert found.code is Verdict.ACTIVE and not found.causes


def test_one_text_or_equal_texts_give_no_verdict(runs):
    vae = SentenceVAE.from_pretrained(runs / "vae")
    for texts in (sentences()[:1], sentences()[:1] * 9):
        found = diagnose_latent(vae, texts, samples=2)
        assert found.code is Verdict.TOO_FEW_TEXTS
        assert found.metrics["distinct"] == 1 and not found.metrics["collapsed"]


def small(latent, decoder):
    """An untrained model with this latent and decoder."""
    tokenizer = train_tokenizer("word", sentences(), 60)
    model = build(
        encoders=[{"name": "text", "kind": "bag", "hidden": 16}],
        latents=[{"name": "z", "dim": 4, "given": ["text"], **latent}],
        decoders=[{"name": "text", "hidden": 16, "given": ["z"], **decoder}],
        vocab_size=len(tokenizer),
    )
    return SentenceVAE(model, tokenizer)


def test_diagnosis_of_an_autoencoder_is_not_collapsed():
    vae = small({"kind": "point"}, {"kind": "lstm"})
    found = diagnose_latent(vae, sentences(), samples=2)
    assert found.code is Verdict.AUTOENCODER and not found.remedies
    assert vae.evaluate(sentences(), samples=2).deterministic
    assert not vae.is_collapsed_for(sentences())


def test_diagnosis_of_a_bag_has_no_positions():
    vae = small({"kind": "gaussian"}, {"kind": "bag"})
    found = diagnose_latent(vae, sentences(), samples=2)
    assert found.positions is None
    assert FindingCode.SHUFFLED_Z_GAP not in [finding.code for finding in found.findings]


def test_doctor_json_has_codes_and_its_old_keys(runs, textvae):
    data = ["--data", runs / "texts.txt", "--limit", 40]
    shown = textvae("doctor", runs / "dead", *data)
    assert shown.code == 0
    found = textvae("doctor", runs / "dead", *data, "--json").json
    assert list(found) == [
        "code",
        "verdict",
        "findings",
        "advice",
        "not_checked",
        "dead_dimensions",
        "positions",
        "metrics",
    ]
    assert found["code"] == "collapsed" and found["verdict"] == "dead"
    assert found["metrics"]["sentences"] == 40
    assert set(found["positions"]) == {"position", "own", "another", "texts", "worth"}
    assert all(finding in shown.out for finding in found["findings"])
    assert all(advice["command"] in shown.out for advice in found["advice"])
    found = textvae("doctor", runs / "lm", *data, "--json").json
    assert found["code"] == "no_latent" and found["verdict"] == "no latent"


def test_doctor_needs_data_without_a_recipe(runs, textvae, tmp_path):
    copy_run(runs / "dead", tmp_path / "bare")
    for name in ("recipe.yaml", "run.json", "results.json"):
        (tmp_path / "bare" / name).unlink()
    data = ["--data", runs / "texts.txt", "--limit", 9]
    assert textvae("doctor", "bare", *data, "--json").json["code"] == "collapsed"
    assert run_quietly("doctor", "bare") == 2
