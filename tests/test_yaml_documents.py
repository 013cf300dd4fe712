"""YAML from a stranger: bounded in time and memory, merge keys, one line for each mistake."""

import time

import pytest

from textvae.console import error_lines
from textvae.documents import parse_yaml
from textvae.recipes import check_model, load_recipe
from textvae.registry import SpecError


def bomb(levels: int, start: str = "x") -> str:
    """A list of lists of lists, ten of each, in a line for each level."""
    lines = [f"- &a0 [{', '.join([start] * 10)}]"]
    lines += [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels + 1)]
    return "\n".join(lines)


def merge_bomb(levels: int) -> str:
    """Mappings that merge ten copies of the one before."""
    lines = ["- &a0 {x: 1, y: 2}"]
    for n in range(1, levels + 1):
        lines.append(f"- &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}], k{n}: *a{n - 1}}}")
    return "\n".join(lines)


BOMBS = {
    "6 levels": bomb(6),
    "9 levels": bomb(9),
    "200 levels": bomb(200),
    "long words": f"- &a {'x' * 9000}\n- [{', '.join(['*a'] * 1000)}]",
    "long keys": f"- &a {{? {'x' * 9000} : 1}}\n- [{', '.join(['*a'] * 1000)}]",
    "merges": merge_bomb(8),
    "itself": "&a [*a]",
    "itself as a key's value": "&a {b: {c: *a}}",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("tab", ["", "# \t\n"], ids=["fast", "slow"])
def test_an_alias_bomb_is_refused_in_a_moment(text, tab):
    began = time.monotonic()
    with pytest.raises(SpecError, match="alias") as refused:
        parse_yaml(tab + text, "bomb.yaml")
    assert time.monotonic() - began < 2
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    "where", ["paper", "model", "train", "train.epochs", "latents.z.given", "claim", "pretrain"]
)
def test_a_bomb_is_refused_wherever_it_stands(where):
    value = "[" + bomb(6).replace("\n- ", ", ").removeprefix("- ") + "]"
    with pytest.raises(SpecError, match="aliases repeat") as refused:
        load_recipe("bowman2016", [f"{where}={value}"])
    assert len(str(refused.value)) < 200


def test_values_in_messages_are_short():
    value = "[" + ", ".join(["word"] * 20_000) + "]"
    for key in ("paper", "train.epochs", "claim", "objective", "purpose", "tokenizer", "pretrain"):
        with pytest.raises(SpecError) as refused:
            check_model(load_recipe("bowman2016", [f"{key}={value}"]))
        assert max(map(len, error_lines(refused.value))) < 1000, key
        assert max(map(len, refused.value.problems)) < 1000, key
    for key in ("latents.z.kind", "latents.z.given", "latents.z.prior", "encoders.text.hidden"):
        with pytest.raises(SpecError) as refused:
            check_model(load_recipe("bowman2016", [f"{key}={{a: {value}}}"]))
        assert max(map(len, error_lines(refused.value))) < 1000, key
        assert max(map(len, refused.value.problems)) < 1000, key


def test_aliases_that_repeat_little_are_fine():
    assert parse_yaml("- &a [1, 2]\n- [*a, *a]", "x") == [[1, 2], [[1, 2], [1, 2]]]
    assert len(parse_yaml(bomb(3), "x")) == 4


MERGES = {
    "{a: &b {x: 1, y: 2}, c: {<<: *b, y: 3}}": {"x": 1, "y": 3},
    "{a: &b {x: 1, y: 2}, c: {y: 3, <<: *b}}": {"x": 1, "y": 3},
    "{a: &b {x: 1}, d: &e {x: 5, y: 2}, c: {<<: [*b, *e]}}": {"x": 1, "y": 2},
    "{a: &b {x: 1}, d: &e {<<: *b, x: 2}, c: {<<: *e}}": {"x": 2},
    "{a: &b {x: 1, y: 2}, d: &e {x: 5}, c: {<<: *b, <<: *e, z: 3}}": {"x": 1, "y": 2, "z": 3},
    "{a: &b {1: a, 0x2: b}, c: {<<: *b, 2: c}}": {1: "a", 2: "c"},
    "{a: &b {x: [1]}, c: {<<: [], d: {<<: *b}}}": {"d": {"x": [1]}},
}


@pytest.mark.parametrize(("text", "merged"), MERGES.items())
@pytest.mark.parametrize("tab", ["", "# \t\n"], ids=["fast", "slow"])
def test_merge_keys_bring_the_keys_of_an_anchor(text, merged, tab):
    assert parse_yaml(tab + text, "x")["c"] == merged


@pytest.mark.parametrize("value", ["3", "[3]", "[{a: 1}, [b]]", "null", "word"])
def test_a_merge_of_no_mapping_is_one_line(value):
    with pytest.raises(SpecError) as refused:
        parse_yaml(f"b: 1\na: {{<<: {value}}}", "x.yaml")
    assert refused.value.problems == ["x.yaml line 2: << must name a mapping, or a list of them"]


def test_a_recipe_may_merge_nodes(tmp_path):
    (tmp_path / "merged.yaml").write_text(
        "model:\n"
        "  encoders: [&e {name: text, kind: lstm, hidden: 8}]\n"
        "  latents: [{name: z, kind: gaussian, dim: 4, given: [text]}]\n"
        "  decoders: [{<<: *e, given: [z]}]\n"
        "objective: {kind: elbo}\n"
    )
    recipe = load_recipe(str(tmp_path / "merged.yaml"))
    check_model(recipe)
    assert recipe.model["decoders"] == [
        {"name": "text", "kind": "lstm", "hidden": 8, "given": ["z"]}
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3", "x.yaml line 3: the key 'a' stands twice"),
        ("- {1: 1, 1.0: 2}", "x.yaml line 1: the key 1.0 stands twice"),
        ("c: &b {x: 1}\na: {<<: *b, y: 1, y: 2}", "x.yaml line 2: the key 'y' stands twice"),
    ],
)
def test_a_repeated_key_is_named(text, line):
    with pytest.raises(SpecError) as refused:
        parse_yaml(text, "x.yaml")
    assert refused.value.problems == [line]


def seconds_of(keys: int) -> float:
    text = "\n".join(f"key{n}: {n}" for n in range(keys))
    began = time.process_time()
    assert len(parse_yaml(text, "x")) == keys
    return time.process_time() - began


def test_many_keys_are_read_in_linear_time():
    """A search through all earlier keys would take a hundred times as long."""
    few, many = (min(seconds_of(keys) for _ in range(3)) for keys in (2_000, 20_000))
    assert many < 30 * few


KINDS = {
    "latents.z.kind": "latents.z.kind: unknown",
    "encoders.text.kind": "encoders.text.kind: unknown",
    "decoders.text.kind": "decoders.text.kind: unknown",
    "objective.kind": "objective.kind: unknown",
    "latents.z.prior": "latents.z.prior.kind: unknown",
    "objective.kl_weight": "objective.kl_weight",
}


@pytest.mark.parametrize("value", ["[gaussian]", "{a: b}", "3", "null", "true", "[[[]]]"])
@pytest.mark.parametrize(("key", "begins"), KINDS.items())
def test_a_kind_that_is_no_word_is_one_line(key, begins, value):
    if not key.endswith("kind"):
        value = f"{{kind: {value}}}"
    with pytest.raises(SpecError) as refused:
        check_model(load_recipe("bowman2016", [f"{key}={value}"]))
    (line,) = refused.value.problems
    assert line.startswith(begins)


@pytest.mark.parametrize("value", ["[bernoulli]", "{a: b}", "3", "null"])
def test_a_likelihood_that_is_no_word_is_one_line(value):
    with pytest.raises(SpecError) as refused:
        setting = f"decoders.image.likelihood={{kind: {value}}}"
        check_model(load_recipe("kingma2014_image", [setting]))
    (line,) = refused.value.problems
    assert line.startswith("decoders.image.likelihood.kind: unknown")


@pytest.mark.parametrize("value", ["0x" + "F" * 5000, "-0x" + "F" * 300, "9" * 4000, "9" * 5000])
@pytest.mark.parametrize("key", ["train.steps", "objective.kl_weight", "latents.z.dim"])
def test_a_number_beyond_any_machine_is_one_line(key, value):
    with pytest.raises(SpecError) as refused:
        check_model(load_recipe("bowman2016", [f"{key}={value}"]))
    (line,) = refused.value.problems
    assert line.startswith(f"--set {key}") and len(line) < 100


@pytest.mark.parametrize("value", ["[a]", "{a: b}", "3", "null"])
@pytest.mark.parametrize("node", ["latents.z", "encoders.text", "decoders.text"])
def test_a_name_that_is_no_word_is_named(node, value):
    with pytest.raises(SpecError) as refused:
        check_model(load_recipe("bowman2016", [f"{node}.name={value}", "refinement={}"]))
    assert f"{node.partition('.')[0]}[0]: needs a 'name'" in refused.value.problems[0]
