"""The list of shipped recipes: its file equals what the recipes say, and is never out of date."""

import json
import shutil

import pytest

from textvae import recipe_index
from textvae.recipe_index import INDEX, Header, recipe_headers, shipped, shipped_recipes
from textvae.recipes import load_recipe


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A copy of three shipped recipes with the index of all."""
    names = ["bowman2016", "kingma2014_image", "lstm_lm"]
    for file in [INDEX, *(f"{name}.yaml" for name in names)]:
        shutil.copy(shipped("configs") / file, tmp_path)
    monkeypatch.setattr(recipe_index, "shipped", lambda folder: tmp_path)
    return tmp_path


def headers_of_files() -> list[Header]:
    recipes = [load_recipe(name) for name in shipped_recipes()]
    return [Header(each.name, each.paper, each.summary, each.purpose) for each in recipes]


def test_index_is_what_the_recipes_say():
    stored = json.loads((shipped("configs") / INDEX).read_text(encoding="utf-8"))
    assert stored == recipe_index.recipe_index(), "run python benchmarks/pages.py"
    assert list(recipe_headers()) == headers_of_files()


def test_unchanged_recipes_are_not_read(configs, monkeypatch):
    expected = headers_of_files()
    monkeypatch.setattr("textvae.recipes.load_recipe", None)
    assert list(recipe_headers()) == expected and len(expected) == 3


def test_changed_and_new_recipes_are_read(configs):
    changed = configs / "bowman2016.yaml"
    text = changed.read_text(encoding="utf-8")
    summary = load_recipe("bowman2016").summary
    changed.write_text(text.replace(summary, "Another summary"), encoding="utf-8")
    shutil.copy(configs / "lstm_lm.yaml", configs / "mine.yaml")
    found = {header.name: header for header in recipe_headers()}
    assert found["bowman2016"].summary == "Another summary"
    assert found["mine"].summary == found["lstm_lm"].summary
    assert list(found.values()) == headers_of_files()


def test_headers_need_no_index(configs):
    (configs / INDEX).unlink()
    assert list(recipe_headers()) == headers_of_files()
