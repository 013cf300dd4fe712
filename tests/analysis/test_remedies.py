"""Causes of collapse in recipes, and the recipes that are recommended against it."""

from dataclasses import replace

import pytest
from support.evaluations import evaluation

from textvae.analysis.diagnosis import remedies_for
from textvae.analysis.findings import CauseCode, RemedyCode
from textvae.analysis.remedies import (
    SETTINGS,
    TEXT_SETTINGS,
    USES,
    causes_of,
    matches_prior,
    pools,
    recipes_with_latents,
)
from textvae.recipes import check_model, load_recipe

ACTIVE = evaluation()
COLLAPSED = evaluation("collapsed")
UNUSED = evaluation("unused")
EARLY, EVEN = [4.0, 0.5, 0.2, 0.1, 0.1, 0.1], [1.0] * 10


def recommended_recipes(metrics, recipe, tokenizer="bpe", gaps=EVEN):
    return [remedy.recipe for remedy in remedies_for(metrics, gaps, recipe, tokenizer)]


def test_causes_follow_from_the_recipe():
    plain = load_recipe("bowman2016", ["decoders.text.word_dropout=0", "objective.kl_weight=1.0"])
    assert [cause.code for cause in causes_of(plain)] == [
        CauseCode.NO_MINIMUM_KL,
        CauseCode.PREVIOUS_WORDS,
        CauseCode.FULL_KL_WEIGHT,
    ]
    assert causes_of(plain)[1].values == {"word_dropout": 0}


@pytest.mark.parametrize(
    ("name", "overrides", "absent"),
    [
        ("bowman2016", [], {CauseCode.FULL_KL_WEIGHT}),
        ("kingma2016_free_bits", ["decoders.text.word_dropout=0.5"], set(CauseCode)),
        ("zhao2019_infovae", [], {CauseCode.NO_MINIMUM_KL}),
        ("gururangan2019_vampire", [], {CauseCode.PREVIOUS_WORDS}),
    ],
)
def test_causes_leave_out_what_a_recipe_avoids(name, overrides, absent):
    assert not absent & {cause.code for cause in causes_of(load_recipe(name, overrides))}


@pytest.mark.parametrize("code", USES)
def test_every_measure_has_a_shipped_recipe(code):
    assert any(USES[code](recipe) for recipe in recipes_with_latents())


@pytest.mark.parametrize("remedy", TEXT_SETTINGS, ids=lambda remedy: remedy.reason.value)
def test_settings_are_valid_overrides(remedy):
    check_model(load_recipe("bowman2016", list(remedy.overrides)))
    if remedy in SETTINGS:
        check_model(load_recipe("kingma2014_image", list(remedy.overrides)))


@pytest.mark.parametrize("recipe", recipes_with_latents(), ids=lambda recipe: recipe.name)
def test_remedies_differ_from_the_trained_recipe(recipe):
    for metrics in (COLLAPSED, evaluation("weak"), UNUSED, ACTIVE):
        remedies = remedies_for(metrics, EARLY, recipe, recipe.tokenizer.kind)
        names = [remedy.recipe for remedy in remedies]
        assert len(names) <= 3 and len(set(names)) == len(names)
        for remedy in remedies:
            uses = USES[remedy.reason]
            assert uses(load_recipe(remedy.recipe)) and not uses(recipe)
            assert remedy.data == () and remedy.overrides == ()


def test_remedies_of_collapse_begin_with_free_bits():
    assert recommended_recipes(COLLAPSED, load_recipe("fu2019_cyclical"))[0] == (
        "kingma2016_free_bits"
    )
    words = recommended_recipes(COLLAPSED, load_recipe("bowman2016_ptb"), "word")
    assert words[0] == "kingma2016_free_bits_ptb", "a recipe for the same kind of data"
    assert recommended_recipes(COLLAPSED, None)[0] == "kingma2016_free_bits"
    tried = recommended_recipes(COLLAPSED, load_recipe("kingma2016_free_bits"))
    assert "kingma2016_free_bits" not in tried


def test_remedies_of_an_unused_kl_do_not_raise_it():
    remedies = remedies_for(UNUSED, EVEN, load_recipe("xu2018_vmf"), "bpe")
    assert remedies
    assert not {RemedyCode.FREE_BITS, RemedyCode.MINIMUM_KL} & {r.reason for r in remedies}


def test_remedies_of_an_active_latent_depend_on_prior_and_positions():
    recipe = load_recipe("kingma2016_free_bits")
    assert recommended_recipes(ACTIVE, recipe) == []
    (name,) = recommended_recipes(replace(ACTIVE, marginal_kl=3.0), recipe)
    assert matches_prior(load_recipe(name))
    (name,) = recommended_recipes(ACTIVE, recipe, gaps=EARLY)
    assert pools(load_recipe(name))


def test_remedies_name_the_data_of_the_run():
    recipe = load_recipe("fu2019_cyclical", ["data.source=my texts/a.txt"])
    first, *_ = remedies_for(COLLAPSED, EVEN, recipe, "bpe")
    assert first.data == ("--data", "my texts/a.txt")
    recipe = load_recipe("fu2019_cyclical", ["data.source=a.csv", "data.text_column=review"])
    first, *_ = remedies_for(COLLAPSED, EVEN, recipe, "bpe")
    assert first.data == ("--data", "a.csv", "--text-column", "review")


def test_recipes_with_labels_are_not_recommended():
    assert all(recipe.data.label_column is None for recipe in recipes_with_latents())
