"""The model card of a run."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from support.commands import TINY

from textvae.analysis.cards import data_metadata, data_name, run_card
from textvae.analysis.summary import Finished
from textvae.api.cards import CARD
from textvae.recipes import load_recipe
from textvae.training.folders import saved_recipe


def finished(folder: Path, **changes) -> Finished:
    stored = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return replace(Finished(**{**stored, "folder": folder}), **changes)


@pytest.mark.parametrize("name", ["vae", "lm"])
def test_every_run_has_its_card(name, runs):
    card = ModelCard.load(runs / name / CARD)
    results = json.loads((runs / name / "results.json").read_text(encoding="utf-8"))
    recipe = saved_recipe(runs / name)
    assert recipe.name in card.data.tags and recipe.paper in card.text
    metrics, sentences = results["metrics"], results["metrics"]["sentences"]
    row = next(line for line in card.text.splitlines() if line.startswith("| nll |"))
    assert f"{metrics['nll']:.3f}" in row and f"{sentences:,} sentences" in row
    assert all(sample[:50] in card.text for sample in results["samples"])
    assert ("vae.encode" in card.text) == (name == "vae")


def test_card_of_images_shows_samples(image_run):
    card = ModelCard.load(image_run / CARD)
    assert card.data.pipeline_tag == "unconditional-image-generation"
    assert "![Samples](samples.png)" in card.text and (image_run / "samples.png").is_file()
    assert "images; bernoulli likelihood" in card.text


def test_card_can_be_published(runs):
    text = (runs / "vae" / CARD).read_text(encoding="utf-8")
    assert str(runs) not in text and "texts.txt" in text
    results = json.loads((runs / "vae/results.json").read_text(encoding="utf-8"))
    held_out = [pair[0] for pair in results["reconstructions"]]
    assert held_out and not any(row in text for row in set(held_out) - set(results["samples"]))


def test_recipe_of_a_card_is_that_of_the_run(runs, tmp_path):
    text = (runs / "vae" / CARD).read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "mine.yaml").write_text(recipe, encoding="utf-8")
    assert load_recipe(str(tmp_path / "mine.yaml")).trains_as(saved_recipe(runs / "vae"))


@pytest.mark.parametrize(
    ("source", "name", "metadata"),
    [
        (None, "shipped corpus", {"language": "en", "license": "mit"}),
        ("/home/someone/secret/reviews.csv", "reviews.csv", {}),
        ("someone/reviews", "someone/reviews", {"datasets": ["someone/reviews"]}),
        ("wikitext:wikitext-2-v1", "wikitext:wikitext-2-v1", {"datasets": ["wikitext"]}),
    ],
)
def test_data_is_named_without_its_folder(source, name, metadata):
    recipe = load_recipe("bowman2016")
    recipe = replace(recipe, data=recipe.data.model_copy(update={"source": source}))
    assert data_name(recipe) == name and data_metadata(recipe) == metadata


def test_card_holds_any_sample(runs):
    samples = ["```\n---\n# a title", "| a | b |", "\x1b[2J", "é 中 😀", "x" * 500]
    done = finished(runs / "vae", samples=samples)
    recipe = replace(saved_recipe(runs / "vae"), name="a: [b", summary="'quoted': |")
    text = run_card(done, recipe)
    block = text.split("---\n")[1]
    assert yaml.safe_load(block)["tags"][-1] == "a: [b"
    assert ModelCard(text).data.library_name == "textvae"
    assert "\x1b" not in text and "é 中 😀" in text and "x" * 300 not in text


def test_resumed_run_writes_its_card_again(runs, textvae, tmp_path):
    arguments = ["--data", runs / "texts.txt", *TINY, "--set=train.epochs=1", "-o", "run"]
    assert textvae("train", *arguments).code == 0
    (tmp_path / "run" / CARD).unlink()
    assert textvae("train", "--resume", "-o", "run").code == 0
    assert (tmp_path / "run" / CARD).is_file()
