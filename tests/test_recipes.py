"""Recipes: what YAML means, what is refused, and that every shipped one builds and trains."""

import copy
import random
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from textvae.api.image import open_model
from textvae.api.table import TableVAE
from textvae.config import FieldConfig, ImageDataConfig
from textvae.data.images import ImageCorpus, read_image_corpus
from textvae.data.readers import Corpus
from textvae.data.tables import Table, TableCorpus
from textvae.objectives import Objective
from textvae.recipe_index import PURPOSES, recipe_headers, shipped_recipes
from textvae.recipes import (
    apply_override,
    check_model,
    find_recipe,
    first_stage,
    load_recipe,
    parse_yaml,
    read_recipe,
)
from textvae.registry import SpecError
from textvae.sizing import sized
from textvae.training.runs import build_model, train_run

NAMES = sorted(path.stem for path in Path(__file__).parent.parent.glob("configs/*.yaml"))
SMALL = {"hidden": 8, "embedding": 8, "heads": 2, "layers": 1, "dim": 4}
SMALL_IMAGE = {"hidden": [8]}
SMALLEST: dict = {
    "model": {"decoders": [{"name": "text", "kind": "lstm"}]},
    "objective": {"kind": "elbo"},
}


def corpus(labelled: bool = False) -> Corpus:
    draw = random.Random(0)
    words = ["the", "a", "dog", "cat", "river", "sees", "finds", "small", "red", "old"]
    texts = [" ".join(draw.choices(words, k=draw.randint(2, 8))) for _ in range(60)]
    labels = {"train": ["odd", "even", ""] * 16, "valid": ["odd", "even", ""] * 4}
    known = labels if labelled else None
    return Corpus(texts[:48], texts[48:], [], "made by the test", [], known)


def rows(fields: dict[str, FieldConfig]) -> TableCorpus:
    """Rows of several fields; what is within another text is one of its words.

    Where a field has a plate, a row has one to three parts.
    """
    texts = corpus(True)
    columns: dict[str, list[Any]] = {}
    cells = {
        "label": ["odd", "even"] * 24,
        "labels": [("a", "b"), ("b",), (), ("c",)] * 12,
        "vector": [array("d", [n % 2, n % 3 > 0, n % 5 > 1, 1]) for n in range(48)],
        "image": list(np.random.default_rng(0).integers(0, 256, (48, 1, 4, 5)).astype(np.uint8)),
    }
    for number, (name, field) in enumerate(fields.items()):
        texts_of_field = texts.train[number:] + texts.train[:number]
        columns[name] = texts_of_field if field.kind == "text" else cells[field.kind]
    for name, field in fields.items():
        if field.within is not None:
            columns[name] = [text.split()[1] for text in columns[field.within]]
        if field.ends is not None:
            columns[name] = [field.ends, "other"] * 24
        if field.plate is not None:
            twice = columns[name] * 2
            columns[name] = [tuple(twice[n : n + 1 + n % 3]) for n in range(48)]
    train = Table(columns)
    few = train.select(range(12))
    return TableCorpus(train, few, few, fields, "made by the test", [])


def images(config: ImageDataConfig) -> ImageCorpus:
    """The first of the 8 x 8 digits, read as a recipe asks."""
    whole = read_image_corpus(config)
    train, valid = whole.train.select(np.arange(48)), whole.valid.select(np.arange(12))
    return ImageCorpus(train, valid, None, "made by the test", [])


def shrunk(name: str):
    """The recipe with small sizes, three steps long: everything else as published."""
    document = copy.deepcopy(load_recipe(name).document())
    pretrain = document.get("pretrain", {})
    for model in (document["model"], pretrain.get("model", {})):
        for group in ("encoders", "latents", "decoders"):
            for node in model.get(group) or []:
                small = SMALL | (SMALL_IMAGE if node["kind"] == "mlp" else {"channels": [2, 3]})
                sizes = {key: size for key, size in small.items() if key in node}
                if isinstance(node.get("hidden"), list):  # layers before a head
                    sizes["hidden"] = [8]
                node.update(sizes)
    pretrain.get("train", {}).pop("epochs", None)
    if pretrain.get("run"):  # which is not there: without its weights
        document["pretrain"] = None
    if "tokenizer" in document:
        document["tokenizer"]["run"] = None
        document["tokenizer"]["vocab_size"] = 300
    document["data"] |= {"labelled": None, "repeat_labelled": 1}
    document["train"] |= {"epochs": 1, "batch_size": 16, "validation_samples": 1}
    return sized(read_recipe(document, name), 100, 1000)


def test_all_shipped_recipes_are_found():
    assert NAMES and sorted(shipped_recipes()) == NAMES
    assert [header.name for header in recipe_headers()] == NAMES
    assert {header.purpose for header in recipe_headers()} == PURPOSES.keys()


def test_purpose_is_stated_or_follows_from_the_model():
    document = load_recipe("bowman2016").document()
    assert load_recipe("bowman2016").purpose == "start"
    del document["purpose"]
    assert read_recipe(document, "mine").purpose is None
    assert load_recipe("lstm_lm").purpose == "language"
    assert load_recipe("kingma2014_m2").purpose == "labels"
    assert load_recipe("kingma2014_image").purpose == "images"
    assert read_recipe(document, "mine").trains_as(read_recipe(document, "bowman2016"))
    stated = read_recipe(document | {"purpose": "topics"}, "mine")
    assert stated.purpose == "topics" and stated.trains_as(read_recipe(document, "mine"))
    with pytest.raises(SpecError, match=r"purpose: unknown 'topic' .*topics"):
        read_recipe(document | {"purpose": "topic"}, "mine")
    with pytest.raises(SpecError, match="purpose: unknown"):
        read_recipe(document | {"purpose": ["topics"]}, "mine")


CLAIM = {"metric": "nll", "test": "<=", "value": 1.0, "source": "a test", "data": "ptb"}


def test_claims_and_baselines_are_checked_and_change_no_training():
    fingerprint = {"name": "mine", "sentences": 2, "sha256": "0" * 64}
    claims = [CLAIM | {"data": fingerprint, "samples": 7}]
    recipe = read_recipe(SMALLEST | {"claim": claims, "baseline": True}, "mine")
    assert recipe.baseline and recipe.claim[0].samples == 7
    assert read_recipe(recipe.document(), "mine") == recipe
    assert recipe.trains_as(read_recipe(SMALLEST, "mine"))
    wrong = [
        CLAIM | {"data": 3},
        CLAIM | {"data": fingerprint | {"sha256": "0"}},
        CLAIM | {"data": {"name": "mine"}},
        CLAIM,
        CLAIM | {"samples": 7},
    ]
    with pytest.raises(SpecError) as refused:
        read_recipe(SMALLEST | {"claim": wrong, "baseline": "yes"}, "mine")
    data, sha, missing, samples, baseline = refused.value.problems
    assert data.startswith(
        "claim.0.data: must be the name of a data set, or its fingerprint (got 3"
    )
    assert sha.startswith("claim.1.data: sha256: String should match pattern")
    assert missing.startswith("claim.2.data: sentences: missing; sha256: missing (got ")
    assert samples == "claim: all comparisons are of one number of samples (got 7 and 500)"
    assert baseline == "baseline: must be true or false (got 'yes')"


@pytest.mark.parametrize("name", NAMES)
def test_recipe_says_what_it_is_and_reads_back_equal(name, tmp_path):
    recipe = load_recipe(name)
    assert recipe.paper and recipe.summary and recipe.name == name
    assert find_recipe(name).read_text().startswith("# "), "opens with what it reproduces"
    check_model(recipe)
    again = tmp_path / f"{name}.yaml"
    again.write_text(recipe.yaml(), encoding="utf-8")
    assert load_recipe(str(again)) == recipe
    for claim in recipe.claim:
        assert claim.over is None or claim.over in NAMES
        assert claim.source


@pytest.mark.parametrize("name", NAMES)
def test_recipe_trains_three_steps_and_reloads_equal(name, tmp_path):
    recipe, steps = shrunk(name), []

    def report(event, values):
        if event == "step":
            steps.append(values["step"])

    folder = tmp_path / "run"
    of_images = isinstance(recipe.data, ImageDataConfig)
    labelled = getattr(recipe.data, "label_column", None) is not None
    fields = getattr(recipe.data, "fields", None)
    data = images(recipe.data) if of_images else rows(fields) if fields else corpus(labelled)
    model, tokenizer = train_run(recipe, data, folder, report=report, device="cpu")
    assert steps == [1, 2, 3] * (2 if recipe.pretrain else 1)
    facts = {"label": {"classes": 2, "names": ["even", "odd"]}} if labelled else None
    facts = model.config.observed if fields else facts
    known = (0, data.facts) if of_images else (len(tokenizer) if tokenizer else 0, facts)
    start = build_model(recipe, *known).state_dict()
    start = {key: value for key, value in start.items() if not key.startswith("objective.")}
    trained = model.state_dict()
    assert trained.keys() == start.keys()
    still = [key for key in start if torch.equal(start[key], trained[key])]
    assert not still, f"did not move: {still}"
    loaded = open_model(folder)
    assert all(torch.equal(value, trained[key]) for key, value in loaded.model.state_dict().items())
    if of_images:
        labels = [1, 2, 3] if loaded.classes else None
        size = recipe.data.size or (8, 8)
        assert loaded.sample(3, seed=0, labels=labels).shape == (3, 1, *size)
    else:
        given = {name: data.train.columns[name][0] for name in loaded.conditions}
        of_table = isinstance(loaded, TableVAE)
        draw = loaded.sample if of_table else loaded.sample_rows
        assert len(draw(3, seed=0, given=given or None)) == 3


TEXT_READER = {"name": "text", "kind": "lstm", "hidden": 4}
Z_OF_TEXT = {"name": "z", "kind": "gaussian", "dim": 2, "given": ["text"]}
LABEL_OF_Z = {"name": "y", "kind": "categorical", "given": ["z"], "field": "label"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"encoders": [TEXT_READER, {"name": "label", "kind": "label"}]},
            r"encoders\.label\.field: texts have no field but 'text' \(got 'label'\)",
        ),
        (
            {"decoders": [{**TEXT_READER, "given": ["z", "text"]}]},
            r"decoders\.text\.given: 'text' is an encoder",
        ),
        (
            {"latents": [{**Z_OF_TEXT, "prior": {"given": ["text"]}}]},
            r"latents\.z\.prior\.given: 'text' is an encoder",
        ),
        (
            {"latents": [Z_OF_TEXT, LABEL_OF_Z]},
            r"latents\.y: a label is told of the text alone, not of the latent 'z'",
        ),
    ],
)
def test_graphs_that_could_not_be_used_on_texts_are_refused(change, message):
    parts = {
        "encoders": [TEXT_READER],
        "latents": [Z_OF_TEXT],
        "decoders": [{**TEXT_READER, "given": ["z"]}],
    }
    document = {**SMALLEST, "model": {**parts, **change}}
    with pytest.raises(SpecError, match=message):
        check_model(read_recipe(document, "r"))


PRETRAIN = {"objective": {"kind": "elbo"}, "transfer": ["encoders"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": {"kind": "elbow"}}, r"pretrain\.objective\.kind: unknown 'elbow'"),
        ({"train": {"epoch": 3}}, r"pretrain\.train\.epoch: unknown key"),
        ({"model": {"decoder": []}}, r"pretrain\.model\.decoder: unknown key"),
        ({"model": {"decoders": [{"name": "text"}]}}, r"pretrain\.decoders\.text\.kind: unknown"),
        ({"transfer": "encoders"}, r"pretrain\.transfer"),
        ({"thaw": ["encoders"]}, r"pretrain\.thaw: unknown key"),
    ],
)
def test_mistakes_in_a_first_training_are_named(change, message):
    with pytest.raises(SpecError, match=message):
        check_model(read_recipe({**SMALLEST, "pretrain": {**PRETRAIN, **change}}, "r"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("-2E+4", -2e4),
        ("1.5e3", 1500.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("12", 12),
        ("e3", "e3"),
        ("1e", "1e"),
        ("1e-3x", "1e-3x"),
        ("no", False),
        ("'no'", "no"),
        ("", None),
        ("[a, 1e2]", ["a", 100.0]),
    ],
)
def test_yaml_values(text, value):
    read = parse_yaml(f"key: {text}", "here")["key"]
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb: 2\na: 3\n", 3), ("top:\n  - {x: 1, y: 2,\n     x: 3}\n", 3), ("1: a\n1: b\n", 2)],
)
def test_a_repeated_key_is_refused_with_its_line(text, line):
    with pytest.raises(SpecError, match=f"^here line {line}: the key .* stands twice$"):
        parse_yaml(text, "here")


@pytest.mark.parametrize(
    "text", ["a: [", "a: b: c", "\tx", "a: &x [*y]", "!!python/name:os.system"]
)
def test_what_is_no_yaml_is_refused(text):
    with pytest.raises(SpecError, match=r"^here"):
        parse_yaml(text, "here")


OVERRIDES = {
    "train.epochs=3": ("train", {"epochs": 3}),
    "train.learning_rate=1e-4": ("train", {"learning_rate": 1e-4}),
    "train.patience=": ("train", {"patience": None}),
    "model.init_range=0.1": ("model", {"init_range": 0.1}),
    "init_range=0.1": ("model", {"init_range": 0.1}),
    "tokenizer={kind: bpe}": ("tokenizer", {"kind": "bpe"}),
    "objective.kl_weight=0.3": ("objective", {"kl_weight": 0.3}),
    "objective.kl_weight.kind=linear": ("objective", {"kl_weight": {"kind": "linear"}}),
    "objective.note=a=b": ("objective", {"note": "a=b"}),
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_overrides_of_sections(override):
    document = {"model": {}, "objective": {"kl_weight": 1.0}}
    apply_override(document, override)
    section, values = OVERRIDES[override]
    assert values.items() <= document[section].items()


OLD_KEYS = {"clip": "max_grad_norm", "accumulation": "gradient_accumulation_steps"}


@pytest.mark.parametrize("key", OLD_KEYS)
def test_old_training_keys_are_read(key):
    pretrain = {"objective": {"kind": "elbo"}, "train": {key: 3}, "transfer": ["decoders"]}
    recipe = read_recipe({**SMALLEST, "train": {key: 2}, "pretrain": pretrain}, "mine")
    assert getattr(recipe.train, OLD_KEYS[key]) == 2
    assert getattr(first_stage(recipe).train, OLD_KEYS[key]) == 3
    assert key not in recipe.document()["train"]


@pytest.mark.parametrize("key", OLD_KEYS)
def test_old_and_new_training_key_together_are_an_error(key):
    values = {key: 2, OLD_KEYS[key]: 2}
    pretrain = {"objective": {"kind": "elbo"}, "train": values, "transfer": ["decoders"]}
    for document in ({**SMALLEST, "train": values}, {**SMALLEST, "pretrain": pretrain}):
        with pytest.raises(SpecError, match=rf"train: .*{key}.*{OLD_KEYS[key]}"):
            read_recipe(document, "mine")


@pytest.mark.parametrize("section", ["train", "pretrain.train"])
@pytest.mark.parametrize("key", OLD_KEYS)
def test_an_override_wins_under_either_key(key, section):
    for given in (key, OLD_KEYS[key]):
        for override in (key, OLD_KEYS[key]):
            values = {given: 2}
            document = {"train": values, "pretrain": {"train": values}}
            apply_override(document, f"{section}.{override}=3")
            assert values == {OLD_KEYS[key]: 3}


def test_a_node_called_train_keeps_its_keys():
    document = {"model": {"decoders": [{"name": "train"}]}}
    apply_override(document, "decoders.train.clip=3")
    assert document["model"]["decoders"] == [{"name": "train", "clip": 3}]


def test_overrides_name_nodes_whatever_their_order():
    document = {"model": {"latents": [{"name": "y", "dim": 1}, {"name": "z", "dim": 2}]}}
    apply_override(document, "latents.z.dim=7")
    apply_override(document, "model.latents.y.prior.given=[z]")
    assert document["model"]["latents"] == [
        {"name": "y", "dim": 1, "prior": {"given": ["z"]}},
        {"name": "z", "dim": 7},
    ]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epochs", "must be key=value"),
        ("=1", "must be key=value"),
        ("train.=1", "must be key=value"),
        ("latents.x.dim=1", r"unknown 'x' \(known: z\)"),
        ("latents.zz.dim=1", "did you mean 'z'"),
        ("latents.z=1", "is a value, not a section"),
        ("train.epochs=[", "--set train.epochs line 1"),
    ],
)
def test_overrides_that_are_refused(override, said):
    with pytest.raises(SpecError, match=said):
        apply_override({"model": {"latents": [{"name": "z"}]}}, override)


def test_defaults_are_filled_in():
    recipe = read_recipe(SMALLEST, "mine")
    assert recipe.document()["train"]["batch_size"] == 32
    assert recipe.data.source is None and recipe.claim == ()


def test_all_mistakes_are_found_at_once():
    document = {
        **SMALLEST,
        "papers": "x",
        "train": {"epochs": "many", "learning_rte": 1.0},
        "data": [],
        "claim": [{"metric": "kl", "test": "<", "value": 1.0}],
        "model": {"decoder": [], "encoders": "lstm", "init_range": True},
    }
    with pytest.raises(SpecError) as caught:
        read_recipe(document, "mine")
    problems = caught.value.problems
    for start in (
        "papers: unknown key (did you mean 'paper'?",
        "train.epochs: ",
        "train.learning_rte: unknown key (did you mean 'learning_rate'?",
        "data: must be a mapping",
        "claim.0.test: ",
        "claim.0.source: missing",
        "claim.0.data: missing",
        "model.decoder: unknown key (did you mean 'decoders'?",
        "model.encoders: must be a list of nodes (got 'lstm')",
        "model.init_range: must be a number above 0 (got True)",
    ):
        assert sum(problem.startswith(start) for problem in problems) == 1, (start, problems)
    assert len(problems) == 10


def test_graph_and_objective_are_checked_together():
    document = copy.deepcopy(SMALLEST)
    document["model"]["decoders"][0]["hiden"] = 3
    document["objective"]["free_bits"] = -1
    recipe = read_recipe(document, "mine")
    with pytest.raises(SpecError) as caught:
        check_model(recipe)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "decoders.text.hiden",
        "objective.free_bits",
    ]


def test_stop_words_are_for_bags():
    with pytest.raises(SpecError, match=r"tokenizer.*stop_words are for kind 'bag', not 'word'"):
        read_recipe({**SMALLEST, "tokenizer": {"kind": "word", "stop_words": "english"}}, "r")


def test_the_kl_weight_of_vampire_reaches_one_in_training():
    recipe = load_recipe("gururangan2019_vampire")
    schedule = Objective.build(recipe.objective, sizes={}).kl_weight
    # On 10,000 texts, a tenth of what the paper trains on.
    steps = recipe.train.planned_epochs * 10_000 // recipe.train.batch_size
    schedule.plan(steps)
    assert schedule(0) == 0 and schedule(steps - 1) == 1.0
