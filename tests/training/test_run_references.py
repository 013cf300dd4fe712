"""References of a run: from its training texts, cached, left out where they have no meaning."""

import json
import math

import pytest
from support.commands import copy_run, sentences, trained_runs
from support.models import sentence_vae

from textvae.api.sentence import SentenceVAE
from textvae.training import references as module
from textvae.training.references import reference_metrics, run_references

TEXTS = sentences()
METRICS = {
    "deterministic": False,
    "word_perplexity": 5.0,
    "sentences": 20,
    "words": 140,
    "characters": 600,
}


def never(text: str) -> None:
    raise AssertionError(text)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return trained_runs(tmp_path_factory)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TEXTVAE_CACHE", str(tmp_path / "cache"))


def test_references_are_equal_from_the_cache(monkeypatch):
    vae = sentence_vae("bpe")
    arguments = (vae, METRICS, TEXTS[80:], TEXTS[:80], 256, never)
    measured = reference_metrics(*arguments)
    assert measured["trigram_nll"] < measured["unigram_nll"]
    assert (measured["reference_texts"], measured["training_texts"]) == (80, 80)

    def no_second_time(*arguments):
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "references", no_second_time)
    assert reference_metrics(*arguments) == measured
    with pytest.raises(AssertionError, match="measured again"):
        reference_metrics(vae, METRICS, TEXTS[81:], TEXTS[:80], 256, never)
    with pytest.raises(AssertionError, match="measured again"):
        reference_metrics(vae, METRICS, TEXTS[80:], TEXTS[:79], 256, never)


def test_perplexities_are_of_the_units_of_the_evaluation():
    vae = sentence_vae("bpe")
    arguments = (TEXTS[80:], TEXTS[:80], 256, never)
    words = reference_metrics(vae, METRICS, *arguments)
    expected = math.exp(words["unigram_nll"] * 20 / 140)
    assert words["unigram_word_perplexity"] == pytest.approx(expected, rel=1e-5)
    characters = reference_metrics(vae, METRICS | {"word_perplexity": None}, *arguments)
    expected = math.exp(characters["trigram_nll"] * 20 / 600)
    assert characters["trigram_character_perplexity"] == pytest.approx(expected, rel=1e-5)
    assert "trigram_word_perplexity" not in characters


def test_long_training_texts_are_left_out_as_in_training():
    vae = sentence_vae("word")
    training = ["the dog sees"] * 5 + ["a cat finds a small old river"] * 3
    found = reference_metrics(vae, METRICS, ["the dog"], training, 5, never)
    assert found["training_texts"] == 5
    assert found["unigram_nll"] == pytest.approx(
        reference_metrics(vae, METRICS, ["the dog"], training[:5], 256, never)["unigram_nll"]
    )


def test_bags_and_autoencoders_have_none():
    bag = sentence_vae("bag")
    assert reference_metrics(bag, METRICS, TEXTS[80:], TEXTS[:80], 256, never) == {}
    point = METRICS | {"deterministic": True}
    assert reference_metrics(sentence_vae(), point, TEXTS[80:], TEXTS[:80], 256, never) == {}


def test_a_run_stores_the_references_that_it_is_evaluated_with(runs, textvae):
    stored = json.loads((runs / "lm/results.json").read_text())["metrics"]
    evaluated = textvae("evaluate", runs / "lm", "--json").json
    for name in ("unigram_nll", "trigram_nll", "trigram_word_perplexity", "reference_texts"):
        assert evaluated[name] == stored[name] > 0
    again = textvae("compare", runs / "lm", "--samples", 1, "--json").json[0]
    assert again["trigram_nll"] == stored["trigram_nll"]
    doctor = textvae("doctor", runs / "vae", "--json")
    assert doctor.json["metrics"]["unigram_nll"] > doctor.json["metrics"]["trigram_nll"]
    worse = doctor.json["metrics"]["nll"] > doctor.json["metrics"]["trigram_nll"]
    assert worse == any("3-gram model" in finding for finding in doctor.json["findings"])


def test_other_training_texts_leave_the_references_out(runs, tmp_path):
    data = tmp_path / "texts.txt"
    data.write_text("\n".join(TEXTS))
    run = copy_run(runs / "lm", tmp_path / "run")
    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(recipe.replace(str(runs / "texts.txt"), str(data)))
    vae = SentenceVAE.from_pretrained(run)
    assert run_references(str(run), vae, METRICS, TEXTS[:20], never)["unigram_nll"] > 0
    for change, reason in (
        (lambda: data.write_text("\n".join(TEXTS[40:])), "has changed since the training"),
        (data.unlink, "the training texts are not there"),
        ((run / "recipe.yaml").unlink, "the training texts are not there"),
    ):
        change()
        notes: list[str] = []
        assert run_references(str(run), vae, METRICS, TEXTS[:20], notes.append) == {}
        assert len(notes) == 1 and reason in notes[0]
