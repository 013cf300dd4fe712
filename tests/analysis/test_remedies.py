"""Causes of collapse in recipes, and the settings and recipes that are advised against it."""

from dataclasses import asdict, replace

import pytest
from support.evaluations import evaluation, record

from textvae.analysis.diagnosis import diagnosis_of, remedies_for
from textvae.analysis.findings import CauseCode, PositionGaps, RemedyCode, Verdict
from textvae.analysis.remedies import (
    MOST_RECIPES,
    MOST_REMEDIES,
    SETTINGS,
    USES,
    Trained,
    causes_of,
    epochs_to_finish,
    measures_of,
    recipes_with_latents,
    setting_for,
    steps_to_finish,
)
from textvae.evaluation.verdict import FORESEEABLE
from textvae.objectives.schedules import Schedule
from textvae.recipes import check_model, load_recipe
from textvae.sizing import sized
from textvae.training.history import kl_schedule

ACTIVE = evaluation()
COLLAPSED = evaluation("collapsed")
WEAK = evaluation("weak")
UNUSED = evaluation("unused")
EARLY, EVEN = [4.0, 0.5, 0.2, 0.1, 0.1, 0.1], [1.0] * 10
SHORT = replace(record(weight=0.01, steps=126), epochs=7)

IN_STEPS = "objective.kl_weight={kind: sigmoid, midpoint_steps: 3000, steepness_per_step: 0.0025}"
"""A schedule that most short trainings do not finish."""


def remedies(metrics, recipe, training=None, gaps=EVEN, folder=""):
    positions = PositionGaps([], [], [], list(gaps))
    trained = Trained(recipe, training, folder)
    return diagnosis_of(asdict(metrics), trained, positions).remedies


def plain():
    return load_recipe("bowman2016", ["decoders.text.word_dropout=0", "objective.kl_weight=1.0"])


# Causes.


def test_causes_follow_from_the_recipe():
    assert [cause.code for cause in causes_of(plain())] == [
        CauseCode.NO_MINIMUM_KL,
        CauseCode.PREVIOUS_WORDS,
        CauseCode.FULL_KL_WEIGHT,
    ]
    assert causes_of(plain())[1].values == {"word_dropout": 0}


@pytest.mark.parametrize(
    ("name", "overrides", "absent"),
    [
        ("bowman2016", [], {CauseCode.FULL_KL_WEIGHT, CauseCode.NO_MINIMUM_KL}),
        (
            "kingma2016_free_bits",
            ["decoders.text.word_dropout=0.5"],
            set(CauseCode) - {CauseCode.IN_USE},
        ),
        ("zhao2019_infovae", [], {CauseCode.NO_MINIMUM_KL}),
        ("gururangan2019_vampire", [], {CauseCode.PREVIOUS_WORDS}),
        ("xu2018_vmf", [], {CauseCode.FULL_KL_WEIGHT}),
        ("best_ptb", [], {CauseCode.NO_MINIMUM_KL}),
    ],
)
def test_causes_leave_out_what_a_recipe_avoids(name, overrides, absent):
    assert not absent & {cause.code for cause in causes_of(load_recipe(name, overrides))}


def test_measures_in_use_are_named():
    *_, last = causes_of(load_recipe("bowman2016"))
    assert last.code is CauseCode.IN_USE
    assert last.values == {"measures": [RemedyCode.WORD_DROPOUT, RemedyCode.ANNEALING]}
    assert measures_of(plain()) == []


@pytest.mark.parametrize("code", USES)
def test_every_measure_has_a_shipped_recipe(code):
    assert any(USES[code](recipe) for recipe in recipes_with_latents())


# Advice on any recipe.


@pytest.mark.parametrize("code", SETTINGS)
def test_settings_give_a_valid_recipe_that_takes_the_measure(code):
    taken = 0
    for recipe in (*recipes_with_latents(), *recipes_with_latents(True), plain()):
        recipe = sized(recipe, 2000, 20_000)
        training = replace(SHORT, epochs=recipe.train.epochs)
        remedy = setting_for(code, Trained(recipe, training))
        if remedy is None:
            continue
        changed = load_recipe(recipe.name, remedy.overrides)
        check_model(changed)
        taken += 1
        if recipe.name != "bowman2016":  # `plain` has overrides of its own
            assert changed.document() != recipe.document()
            assert code not in USES or (USES[code](changed) and not USES[code](recipe))
    # No shipped recipe has a schedule in steps, or a rate that is too heavy.
    assert taken or code in (RemedyCode.LOWER_RATE_WEIGHT, RemedyCode.EARLIER_SCHEDULE)


@pytest.mark.parametrize("recipe", recipes_with_latents(), ids=lambda recipe: recipe.name)
def test_no_remedy_is_in_use(recipe):
    for metrics in (COLLAPSED, WEAK, UNUSED, ACTIVE):
        found = remedies(metrics, recipe, record(), EARLY)
        others = [remedy.recipe for remedy in found if remedy.recipe and not remedy.overrides]
        assert len(found) <= MOST_REMEDIES and len(set(others)) == len(others)
        for remedy in found:
            assert remedy.reason not in USES or not USES[remedy.reason](recipe)
            if remedy.recipe in others:
                assert USES[remedy.reason](load_recipe(remedy.recipe))


def test_settings_come_before_other_recipes():
    found = remedies(COLLAPSED, plain(), record())
    assert [remedy.reason for remedy in found[:2]] == [
        RemedyCode.FREE_BITS,
        RemedyCode.WORD_DROPOUT,
    ]
    assert all(remedy.recipe == "bowman2016" for remedy in found[:2])
    assert [bool(remedy.overrides) for remedy in found] == [True, True, False, False]
    assert MOST_RECIPES == 2


def test_without_a_recipe_shipped_ones_are_advised():
    found = diagnosis_of(asdict(COLLAPSED), tokenizer="bpe").remedies
    assert found[0].recipe == "kingma2016_free_bits" and not any(r.overrides for r in found)


def test_settings_of_a_changed_run_are_of_its_own_file(tmp_path):
    (tmp_path / "recipe.yaml").write_text(plain().yaml())
    found = remedies(COLLAPSED, plain(), record(), folder=str(tmp_path))
    assert found[0].recipe == str(tmp_path / "recipe.yaml") and found[0].data == ()
    shipped = remedies(COLLAPSED, load_recipe("bowman2016"), record(), folder=str(tmp_path))
    assert shipped[0].recipe == "bowman2016"


def test_remedies_name_the_data_of_the_run():
    recipe = load_recipe("fu2019_cyclical", ["data.source=my texts/a.txt"])
    assert remedies(COLLAPSED, recipe)[0].data == ("--data", "my texts/a.txt")
    recipe = load_recipe("fu2019_cyclical", ["data.source=a.csv", "data.text_column=review"])
    assert remedies(COLLAPSED, recipe)[0].data == ("--data", "a.csv", "--text-column", "review")


def test_recipes_with_labels_are_not_recommended():
    assert all(recipe.data.label_column is None for recipe in recipes_with_latents())


# Advice by verdict.


def test_remedies_of_an_unused_kl_do_not_raise_it():
    found = remedies(UNUSED, load_recipe("xu2018_vmf"))
    assert found
    raising = {RemedyCode.FREE_BITS, RemedyCode.MINIMUM_KL, RemedyCode.LOWER_KL_WEIGHT}
    assert not raising & {remedy.reason for remedy in found}


def test_a_heavy_target_rate_is_advised_a_lower_weight():
    heavy = load_recipe("burgess2018_target_rate", ["objective.weight=30"])
    assert remedies(UNUSED, heavy)[0].overrides == ("objective.weight=2",)
    usual = remedies(UNUSED, load_recipe("burgess2018_target_rate"))
    assert RemedyCode.LOWER_RATE_WEIGHT not in [remedy.reason for remedy in usual]


def test_an_unfinished_schedule_is_not_advised_a_lower_weight():
    found = remedies(UNUSED, load_recipe("bowman2016", [IN_STEPS]), SHORT)
    assert [remedy.reason for remedy in found] == [
        RemedyCode.MORE_EPOCHS,
        RemedyCode.EARLIER_SCHEDULE,
    ]


def test_a_training_that_stopped_early_is_not_advised_more_epochs():
    training = replace(record([30.0] * 3, 60, 0.01), epochs=3)
    found = remedies(UNUSED, load_recipe("bowman2016", [IN_STEPS]), training)
    assert [remedy.reason for remedy in found] == [RemedyCode.EARLIER_SCHEDULE]


def test_an_undertrained_run_is_advised_more_epochs():
    training = record([60.0, 50.0, 40.0, 30.0, 20.0, 19.0, 10.0], 7 * 18)
    (first, *_) = remedies(
        ACTIVE, load_recipe("kingma2016_free_bits", ["train.epochs=7"]), training
    )
    # 1,000 steps at least, of 18 in an epoch.
    assert first.overrides == ("train.epochs=56",)
    long = replace(training, steps=70_000)
    (first, *_) = remedies(ACTIVE, load_recipe("kingma2016_free_bits", ["train.epochs=7"]), long)
    assert first.overrides == ("train.epochs=21",)


def test_a_mismatched_prior_is_advised_cheap_measures_first():
    recipe, far = load_recipe("kingma2016_free_bits"), replace(ACTIVE, marginal_kl=3.0)
    assert remedies(ACTIVE, recipe) == ()
    fitted, temperature, other = remedies(far, recipe, folder="runs/x")
    assert fitted.overrides == ("latents.z.prior={fitted: true}",)
    assert temperature.command == ("sample", "runs/x", "--temperature", "0.7")
    assert other.reason is RemedyCode.PRIOR_MATCHING
    has = load_recipe("kingma2016_free_bits", ["latents.z.prior={fitted: true}"])
    assert RemedyCode.FITTED_PRIOR not in [remedy.reason for remedy in remedies(far, has)]


def test_an_early_gap_is_advised_pooling():
    (remedy,) = remedies(ACTIVE, load_recipe("kingma2016_free_bits"), gaps=EARLY)
    assert remedy.reason is RemedyCode.POOLING


def test_few_texts_are_advised_nothing_against_collapse():
    assert remedies_for(Verdict.TOO_FEW_TEXTS, asdict(replace(ACTIVE, distinct=1))) == []


# Schedules.

SCHEDULES = [
    {"kind": "sigmoid", "midpoint": 3000},
    {"kind": "sigmoid", "midpoint": 3000, "steepness": 0.01, "end": 0.5},
    {"kind": "linear", "steps": 5000, "delay": 400},
    {"kind": "cosine", "steps": 5000},
    {"kind": "cyclical", "period": 1250, "cycles": 4},
]


@pytest.mark.parametrize("spec", SCHEDULES, ids=str)
def test_more_epochs_finish_the_schedule(spec):
    schedule = Schedule.build(spec)
    steps, epochs = 126, 7
    more = epochs_to_finish(schedule, steps, epochs)
    end = schedule(FORESEEABLE)
    assert more > epochs and schedule(more * steps // epochs) >= 0.95 * end
    assert schedule(int(0.8 * more * steps / epochs)) >= 0.95 * end
    assert schedule(int(0.8 * (more - 1) * steps / epochs)) < 0.95 * end


@pytest.mark.parametrize("spec", SCHEDULES, ids=str)
def test_an_earlier_schedule_ends_within_the_steps(spec):
    recipe = load_recipe("bowman2016")
    recipe.objective["kl_weight"] = spec
    remedy = setting_for(RemedyCode.EARLIER_SCHEDULE, Trained(recipe, SHORT))
    changed = load_recipe("bowman2016", [f"objective.kl_weight={spec}", *remedy.overrides])
    before, after = kl_schedule(recipe), kl_schedule(changed)
    assert before(126) < 0.9 * before(FORESEEABLE)
    assert after(126) >= 0.95 * after(FORESEEABLE) == 0.95 * before(FORESEEABLE)
    assert after(0) < 0.2 * after(FORESEEABLE)


def test_steps_to_finish_are_those_after_the_last_low_weight():
    assert steps_to_finish(Schedule.build({"kind": "linear", "steps": 100})) in range(94, 98)
    cyclical = Schedule.build({"kind": "cyclical", "period": 100, "cycles": 4})
    assert steps_to_finish(cyclical) in range(345, 352)
    assert steps_to_finish(Schedule.build(1.0)) == 1
