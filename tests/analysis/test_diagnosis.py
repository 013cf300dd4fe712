"""Diagnoses of metrics and models whose state is known, as codes and values."""

from dataclasses import replace

import pytest
import torch
from conftest import vae as build
from support.commands import copy_run, run_quietly, sentences, trained_runs
from support.evaluations import evaluation

from textvae.analysis import diagnosis
from textvae.analysis.diagnosis import (
    diagnose_latent,
    dimension_finding,
    gap_finding,
    information_findings,
    is_early,
    verdict_of,
)
from textvae.analysis.findings import FindingCode, Verdict
from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import train_tokenizer
from textvae.recipes import load_recipe

ACTIVE = evaluation()
COLLAPSED = evaluation("collapsed")
WEAK = evaluation("weak")
UNUSED = evaluation("unused")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return trained_runs(tmp_path_factory)


@pytest.mark.parametrize(
    ("metrics", "verdict"),
    [
        (ACTIVE, Verdict.ACTIVE),
        (COLLAPSED, Verdict.COLLAPSED),
        (WEAK, Verdict.WEAK),
        (UNUSED, Verdict.COLLAPSED),
        (replace(ACTIVE, mutual_information=0.99), Verdict.WEAK),
        (replace(ACTIVE, mutual_information=1.0), Verdict.ACTIVE),
        (replace(ACTIVE, collapsed=True), Verdict.COLLAPSED),
        (
            replace(ACTIVE, mutual_information=0.6, mutual_information_ceiling=0.69),
            Verdict.ACTIVE,
        ),
        (replace(ACTIVE, collapsed=True, deterministic=True), Verdict.AUTOENCODER),
    ],
)
def test_verdict_follows_information_and_collapse(metrics, verdict):
    assert verdict_of(metrics) is verdict


def test_verdict_depends_on_the_shuffled_z_gap():
    assert verdict_of(ACTIVE, [0.02, 0.01, 0.0]) is Verdict.IGNORED_BY_DECODER
    assert verdict_of(ACTIVE, [1.0, 0.5]) is Verdict.ACTIVE
    assert verdict_of(COLLAPSED, [0.0]) is Verdict.COLLAPSED


def codes(metrics):
    return [finding.code for finding in information_findings(metrics)]


def test_information_findings_compare_it_to_the_kl():
    far = replace(ACTIVE, marginal_kl=3.0)
    few = replace(far, mutual_information_ceiling=4.6)
    assert codes(ACTIVE) == []
    assert codes(UNUSED) == [FindingCode.KL_EXCEEDS_INFORMATION, FindingCode.PRIOR_MISMATCH]
    assert codes(far) == [FindingCode.PRIOR_MISMATCH]
    # Near the upper bound, the marginal KL contains what the mutual information misses.
    assert codes(few) == codes(replace(few, kl=45.0)) == [FindingCode.TOO_FEW_TEXTS]


def test_dimension_finding_ranks_active_dimensions():
    values = dimension_finding(ACTIVE).values
    assert values["strongest"] == [(0, 3.0), (2, 1.5), (3, 1.0)] and values["collapsed"] == [1]
    assert values["unit"] == "nats" and values["dimensions"] == 4
    strong = dimension_finding(replace(ACTIVE, kls=(3.0, 9.0, 0.5, 0.4))).values["strongest"]
    assert [d for d, _ in strong] == [0, 2, 3], "a collapsed dimension is not ranked"
    assert dimension_finding(COLLAPSED).values["collapsed"] == [0, 1, 2, 3]
    joint = dimension_finding(replace(ACTIVE, kls=None, variances=(0.8, 0.1, 0.3, 0.2))).values
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
    found = diagnose_latent(vae, sentences(), None, samples=2)
    assert found.code is Verdict.COLLAPSED and found.collapsed_dimensions == (0, 1, 2)
    assert found.remedies and not found.causes and found.positions.texts[0] == 100


def test_diagnosis_of_an_active_latent_depends_on_the_decoder(runs, monkeypatch):
    recipe, vae = load_recipe("kingma2016_free_bits"), SentenceVAE.from_pretrained(runs / "vae")
    with torch.no_grad():
        # Means six times as far apart, and a decoder that was not trained with them.
        vae.model.latents["z"].head.weight[:3] *= 6
    found = diagnose_latent(vae, sentences(), recipe, samples=2)
    assert found.code is Verdict.IGNORED_BY_DECODER and found.collapsed_dimensions == ()
    assert found.positions.own != found.positions.shuffled
    assert found.remedies and found.causes
    monkeypatch.setattr(diagnosis, "WORTHLESS", -1.0)
    found = diagnose_latent(vae, sentences(), recipe, samples=2)
    assert found.code is Verdict.ACTIVE and not found.causes


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
    found = diagnose_latent(vae, sentences(), None, samples=2)
    assert found.code is Verdict.AUTOENCODER and not found.remedies
    assert vae.evaluate(sentences(), samples=2).deterministic
    assert not vae.is_collapsed_for(sentences())


def test_diagnosis_of_a_bag_has_no_positions():
    vae = small({"kind": "gaussian"}, {"kind": "bag"})
    found = diagnose_latent(vae, sentences(), None, samples=2)
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
