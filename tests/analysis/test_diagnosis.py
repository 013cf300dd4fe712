"""Diagnoses of models whose ailment is known, in words and as data."""

from dataclasses import replace

import pytest
import torch
from conftest import vae as build
from support.commands import copy_run, run_quietly, sentences, trained_runs

from textvae.analysis import diagnosis
from textvae.analysis.diagnosis import (
    REMEDIES,
    advise,
    diagnose,
    dimensions,
    heard,
    is_early,
    position_rows,
    ranges,
    recipes_with_latents,
    verdict_of,
    whether,
    why,
)
from textvae.api.sentence import Evaluation, SentenceVAE
from textvae.data.tokenizers import train_tokenizer
from textvae.recipes import load_recipe

ALIVE = Evaluation(
    nll=28.0,
    elbo=-29.5,
    reconstruction_loss=24.0,
    kl=5.5,
    word_perplexity=8.0,
    token_perplexity=7.0,
    mutual_information=4.5,
    mutual_information_ceiling=6.2,
    marginal_kl=0.9,
    latent_samples=10,
    active_units=3,
    dimensions=4,
    variances=(0.8, 0.0, 0.3, 0.2),
    kls=(3.0, 0.0, 1.5, 1.0),
    collapsed=False,
    sentences=500,
    words=6500,
    tokens=7000,
    samples=50,
)
NOTHING = (0.0, 0.0, 0.0, 0.0)
DEAD = replace(
    ALIVE, kl=0.02, mutual_information=0.01, marginal_kl=0.0, variances=NOTHING, collapsed=True
)
FAINT = replace(ALIVE, kl=0.3, mutual_information=0.25, marginal_kl=0.05)
UNUSED = replace(ALIVE, kl=7.2, mutual_information=0.02, marginal_kl=7.2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return trained_runs(tmp_path_factory)


def table_of(gains, own=2.0, texts=100):
    return {
        "position": list(range(1, len(gains) + 1)),
        "own": [own] * len(gains),
        "another": [own + gain for gain in gains],
        "texts": [texts] * len(gains),
        "worth": gains,
    }


@pytest.mark.parametrize(
    ("metrics", "verdict"),
    [
        (ALIVE, "alive"),
        (DEAD, "dead"),
        (FAINT, "faint"),
        (UNUSED, "dead"),
        (replace(ALIVE, mutual_information=0.99), "faint"),
        (replace(ALIVE, mutual_information=1.0), "alive"),
        (replace(ALIVE, collapsed=True), "dead"),
        (replace(ALIVE, mutual_information=0.6, mutual_information_ceiling=0.69), "alive"),
        (replace(ALIVE, collapsed=True, deterministic=True), "autoencoder"),
    ],
)
def test_mutual_information_and_collapse_decide(metrics, verdict):
    assert verdict_of(metrics) == verdict


def test_a_decoder_that_does_not_listen_is_no_sound_one():
    assert verdict_of(ALIVE, [0.02, 0.01, 0.0]) == "unheard"
    assert verdict_of(ALIVE, [1.0, 0.5]) == "alive" and verdict_of(DEAD, [0.0]) == "dead"


def test_what_is_wrong_is_said():
    assert whether(ALIVE, "alive") == [
        "z tells sentences apart: mutual information 4.50 nats of at most 6.20, KL 5.50."
    ]
    assert "paid and not used" in whether(UNUSED, "dead")[1]
    far = replace(ALIVE, marginal_kl=3.0)
    assert "not the prior (marginal KL 3.00)" in whether(far, "alive")[1]
    # Near the ceiling what is missing from one stands in the other.
    few = replace(far, mutual_information_ceiling=4.6)
    (_, said) = whether(few, "alive")
    assert said.startswith("500 sentences cannot show much more")
    (_, said) = whether(replace(few, kl=45.0), "alive")
    assert "paid and not used" not in said


def test_dimensions_are_named_by_what_they_say():
    assert dimensions(ALIVE, [1]) == [
        "3 of 4 dimensions are active; the strongest: 0 (3.00 nats), 2 (1.50 nats), "
        "3 (1.00 nats); dead: 1."
    ]
    assert dimensions(replace(ALIVE, kls=(3.0, 9.0, 0.5, 0.4)), [1])[0].count("9.00") == 0
    assert "None of 4 dimensions" in dimensions(DEAD, [0, 1, 2, 3])[0]
    joined = replace(ALIVE, kls=None, variances=(0.8, 0.1, 0.3, 0.2))
    assert dimensions(joined, [])[0].startswith("All 4 dimensions are active; the strongest: 0 (0.")


@pytest.mark.parametrize(
    ("numbers", "said"),
    [([3], "3"), ([0, 1, 2], "0-2"), ([0, 2, 3, 7], "0, 2-3, 7")],
)
def test_ranges(numbers, said):
    assert ranges(numbers) == said


def test_where_z_is_heard_is_said():
    early = [4.0, 0.5, 0.2, 0.1, 0.1, 0.1]
    (said,) = heard(early)
    assert "costs 5.00 nats" in said and "half of it at the first token" in said
    assert "nine tenths at the first 2 tokens" in said and "how a sentence begins" in said
    even = [1.0] * 10
    (said,) = heard(even)
    assert "first 5 tokens, nine tenths at the first 9" in said and "begins" not in said
    assert is_early(early) and not is_early(even)
    assert not is_early([0.4, 0.3, 0.3]), "texts of three tokens have no other"
    assert not is_early([-0.3, -0.1, -0.1, -0.1, -1.0])
    assert heard([0.01, -0.02, 0.01]) == [
        "The decoder ignores z: another sentence's z costs 0.00 nats."
    ]


def test_positions_are_shown_in_ranges_weighted_by_texts():
    positions = table_of([float(n) for n in range(1, 13)])
    positions["texts"] = [8] * 11 + [24]
    rows = position_rows(positions)
    assert [row[0] for row in rows] == ["1", "2", "3", "4-5", "6-10", "11-12"]
    assert [row[3] for row in rows] == pytest.approx([1, 2, 3, 4.5, 8, (11 * 8 + 12 * 24) / 32])
    assert position_rows(table_of([1.0])) == [("1", 2.0, 3.0, 1.0)]


def test_why_reads_the_recipe():
    plain = load_recipe("bowman2016", ["decoders.text.word_dropout=0", "objective.kl_weight=1.0"])
    (said,) = why(plain)
    assert said.startswith("Why: nothing keeps the KL from vanishing; the decoder sees the words")
    assert "full price from the first step" in said
    assert "full price" not in why(load_recipe("bowman2016"))[0]
    assert why(load_recipe("kingma2016_free_bits", ["decoders.text.word_dropout=0.5"])) == []
    (said,) = why(load_recipe("zhao2019_infovae"))
    assert "vanishing" not in said, "the posteriors are drawn to the prior all together"
    assert not any("sees the words" in said for said in why(load_recipe("gururangan2019_vampire")))


# Advice.


def advised(metrics, recipe, tokenizer="bpe", early=False):
    found = advise(metrics, verdict_of(metrics), early, recipe, tokenizer)
    return [advice.recipe for advice in found]


def test_every_remedy_is_shipped():
    for remedy in REMEDIES:
        assert any(remedy.used(recipe) for recipe in recipes_with_latents()), remedy.why


@pytest.mark.parametrize("recipe", recipes_with_latents(), ids=lambda recipe: recipe.name)
def test_advice_is_something_else_than_what_was_tried(recipe):
    for metrics in (DEAD, FAINT, UNUSED, ALIVE):
        found = advise(metrics, verdict_of(metrics), True, recipe, recipe.tokenizer.kind)
        assert len(found) <= 3 and len({advice.recipe for advice in found}) == len(found)
        for advice in found:
            (remedy,) = (remedy for remedy in REMEDIES if remedy.why == advice.why)
            assert remedy.used(load_recipe(advice.recipe)) and not remedy.used(recipe)
            assert advice.command == f"textvae train {advice.recipe}"


def test_a_dead_latent_is_sent_to_free_bits_for_its_kind_of_data():
    assert advised(DEAD, load_recipe("fu2019_cyclical"))[0] == "kingma2016_free_bits"
    assert advised(DEAD, load_recipe("bowman2016_ptb"), "word")[0] == "kingma2016_free_bits_ptb"
    assert advised(DEAD, None)[0] == "kingma2016_free_bits"
    assert "kingma2016_free_bits" not in advised(DEAD, load_recipe("kingma2016_free_bits"))


def test_a_rate_that_is_not_used_is_not_raised():
    spherical = load_recipe("xu2018_vmf")
    kinds = [load_recipe(name) for name in advised(UNUSED, spherical)]
    assert kinds and not any(recipe.objective.get("free_bits") for recipe in kinds[1:])


def test_a_sound_latent_needs_nothing_and_one_far_from_the_prior_a_match():
    recipe = load_recipe("kingma2016_free_bits")
    assert advised(ALIVE, recipe) == []
    (name,) = advised(replace(ALIVE, marginal_kl=3.0), recipe)
    assert load_recipe(name).objective["kind"] in ("mmd", "adversarial")
    (name,) = advised(ALIVE, recipe, early=True)
    assert load_recipe(name).model["encoders"][0].get("pooling") in ("mean", "max")


def test_commands_name_the_data_of_the_run():
    recipe = load_recipe("fu2019_cyclical", ["data.source=my texts/a.txt"])
    commands = [advice.command for advice in advise(DEAD, "dead", False, recipe, "bpe")]
    assert commands[0] == "textvae train kingma2016_free_bits --data 'my texts/a.txt'"
    recipe = load_recipe("fu2019_cyclical", ["data.source=a.csv", "data.text_column=review"])
    commands = [advice.command for advice in advise(DEAD, "dead", False, recipe, "bpe")]
    assert commands[0].endswith(" --data a.csv --text-column review")


def test_no_recipe_that_needs_labels_is_advised():
    assert all(recipe.data.label_column is None for recipe in recipes_with_latents())


# Models.


def test_a_dead_model_is_found_dead(runs):
    found = diagnose(SentenceVAE.from_pretrained(runs / "dead"), sentences(), None, samples=2)
    assert found.verdict == "dead" and found.dead_dimensions == [0, 1, 2]
    assert found.findings[0].startswith("Every sentence gets the same z")
    assert found.findings[1] == "None of 3 dimensions is active: no posterior mean varies."
    assert found.advice and found.positions["texts"][0] == 100


def test_a_living_model_is_found_alive_if_its_decoder_listens(runs, monkeypatch):
    recipe, vae = load_recipe("kingma2016_free_bits"), SentenceVAE.from_pretrained(runs / "vae")
    with torch.no_grad():
        # Means six times as far apart, and a decoder that has learned nothing of them.
        vae.model.latents["z"].head.weight[:3] *= 6
    found = diagnose(vae, sentences(), recipe, samples=2)
    assert found.verdict == "unheard" and found.dead_dimensions == []
    assert "the decoder does not listen" in found.findings[0]
    assert found.positions["own"] != found.positions["another"] and found.advice
    monkeypatch.setattr(diagnosis, "WORTHLESS", -1.0)
    found = diagnose(vae, sentences(), recipe, samples=2)
    assert found.verdict == "alive" and not any("Why:" in said for said in found.findings)


def small(latent, decoder):
    """A face of a model with this latent and decoder, untrained."""
    tokenizer = train_tokenizer("word", sentences(), 60)
    model = build(
        encoders=[{"name": "text", "kind": "bag", "hidden": 16}],
        latents=[{"name": "z", "dim": 4, "given": ["text"], **latent}],
        decoders=[{"name": "text", "hidden": 16, "given": ["z"], **decoder}],
        vocab_size=len(tokenizer),
    )
    return SentenceVAE(model, tokenizer)


def test_an_autoencoder_is_not_called_dead():
    face = small({"kind": "point"}, {"kind": "lstm"})
    found = diagnose(face, sentences(), None, samples=2)
    assert found.verdict == "autoencoder" and "no KL" in found.findings[0] and not found.advice
    assert face.evaluate(sentences(), samples=2).deterministic
    assert not face.is_collapsed_for(sentences())


def test_positions_of_a_bag_are_not_spoken_of():
    found = diagnose(small({"kind": "gaussian"}, {"kind": "bag"}), sentences(), None, samples=2)
    assert found.positions == {} and not any("token" in said for said in found.findings)
    assert "tokens" not in found.text().splitlines()


def test_doctor_says_it_in_words_and_as_json(runs, textvae):
    data = ["--data", runs / "texts.txt", "--limit", 40]
    dead = textvae("doctor", runs / "dead", *data)
    assert dead.code == 0 and dead.out.startswith("DEAD. Every sentence gets the same z")
    assert "\ntokens" in dead.out and "\nTry next:\n  textvae train" in dead.out
    assert "Why:" in dead.out
    found = textvae("doctor", runs / "dead", *data, "--json").json
    assert found["verdict"] == "dead" and found["metrics"]["sentences"] == 40
    assert found["findings"][0] in dead.out
    assert all(advice["command"] in dead.out for advice in found["advice"])
    lm = textvae("doctor", runs / "lm", *data)
    assert lm.out == "NO LATENT. It is a language model: there is no latent that could be dead.\n"


def test_doctor_of_a_model_without_a_recipe(runs, textvae, tmp_path):
    copy_run(runs / "dead", tmp_path / "bare")
    for name in ("recipe.yaml", "run.json", "results.json"):
        (tmp_path / "bare" / name).unlink()
    answer = textvae("doctor", "bare", "--data", runs / "texts.txt", "--limit", 9)
    assert answer.out.startswith("DEAD.") and "Why:" not in answer.out
    assert run_quietly("doctor", "bare") == 2
