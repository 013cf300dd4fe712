"""Whatever is typed, read or configured: an answer or a line that says why not.

Every property is tried with a few inputs in the default run and with many in the slow one.
"""

import contextlib
import io
import json
import math
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import VOCAB, fields_of
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from support.recipes import JUNK, documents, spoiled
from typer.main import get_command

from textvae.api.sentence import SentenceVAE
from textvae.cli import app, main
from textvae.console import is_out_of_memory
from textvae.graph.model import VAE
from textvae.graph.saving import load_model
from textvae.objectives import Objective
from textvae.objectives.outputs import VAEOutput
from textvae.recipes import KEYS, check_model, parse_yaml, read_recipe
from textvae.registry import SpecError
from textvae.training.runs import build_model

HANGS = 120
"""Seconds after which one input counts as hanging."""


def tried(few: int, many: int) -> Any:
    """Parametrizes a test by its number of inputs; the many are slow."""
    counts = [few, pytest.param(many, marks=pytest.mark.slow)]
    return pytest.mark.parametrize("inputs", counts)


def holds(inputs: int, check: Callable, *strategies: Any, examples: tuple = ()) -> None:
    """Try a property with generated inputs, always the same ones, and with the examples."""
    tested = given(*strategies)(check)
    for values in examples:
        tested = example(*values)(tested)
    settings(
        max_examples=inputs,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )(tested)()


# Sentences.

CHARACTERS = st.one_of(
    st.characters(),  # any but surrogates
    st.characters(categories=["Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Co", "Cn"]),
    st.sampled_from(
        "\u200f\u202e\u05d0\u0627\u0644\U0001f469\u200d\U0001f680\ufe0f\u0301\x00\x1b\r\n\t\ufeff"
    ),
    st.sampled_from("the dog saw a cat ."),
    st.sampled_from(["<unk>", "<s>", "</s>", "<pad>", "<0x41>", "\u2581", "\x10"]),
)
TEXTS = st.one_of(
    st.lists(CHARACTERS, max_size=40).map("".join),
    st.text(max_size=40),
    st.lists(st.sampled_from(["the", "dog", "saw", "--help", "-n", "--", "-1"]), max_size=8).map(
        " ".join
    ),
    st.tuples(st.text(min_size=1, max_size=5), st.integers(100, 2000)).map(lambda p: p[0] * p[1]),
)
BROKEN = st.one_of(TEXTS, st.text(st.characters(categories=["Cs", "Ll"]), max_size=5))
"""Texts of which some hold halves of surrogate pairs."""


@pytest.fixture(scope="module")
def vae(runs) -> SentenceVAE:
    return SentenceVAE.from_pretrained(runs / "vae")


@tried(25, 1000)
def test_a_sentence_is_encoded_and_decoded_or_refused(vae, inputs):
    def check(texts: list[str]) -> None:
        whole = all(
            text.isascii() or text.encode("utf-8", "replace").decode() == text for text in texts
        )
        try:
            means = vae.encode(texts)
        except ValueError as error:
            assert not texts or not whole
            assert "\n" not in str(error)
            return
        assert whole
        assert means.shape == (len(texts), 3) and bool(torch.isfinite(torch.tensor(means)).all())
        assert all(isinstance(text, str) for text in vae.decode(means))
        loss = vae.evaluate(texts, samples=1)
        assert math.isfinite(loss.nll) and loss.sentences == len(texts)

    holds(inputs, check, st.lists(BROKEN, max_size=3), examples=(([""],), (["a" * 20_000],)))


# The command line.


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def command_line(arguments: list[str]) -> Said:
    """A command with streams as strict as real ones; one that hangs is interrupted."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(HANGS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        signal.alarm(0)
        out.flush(), err.flush()
    texts = (stream.buffer.getvalue().decode() for stream in (out, err))
    return Said(code, *texts)


def check_command(arguments: list[str]) -> None:
    """A command ends with an answer, or with code 2 and a line for each mistake."""
    said = command_line(arguments)
    event(f"exit code {said.code}")
    assert said.code in (0, 2), said
    assert "Traceback" not in said.err
    lines = said.err.splitlines()
    known = ("error: ", "note: ", "warning: ")
    # A text may hold what ends a line, but no line of ours begins with it.
    if said.code == 2:
        assert said.out == "" and any(line.startswith("error: ") for line in lines), said
        assert all(line.startswith(known) for line in said.err.split("\n") if line), said
    elif "--json" in arguments and said.out and "--help" not in arguments:
        json.loads(said.out)


@pytest.fixture
def here(runs, tmp_path, monkeypatch) -> Path:
    """An empty folder to work in, off the network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def offline(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    monkeypatch.setattr("datasets.load_dataset", offline)
    return tmp_path


@tried(25, 700)
def test_commands_on_any_sentence(runs, here, inputs):
    def check(command: str, texts: list[str], options: list[str]) -> None:
        if command == "interpolate":
            texts = [*texts, "a", "b"][:2]
        if command == "nearest":
            texts, options = texts[:1], [*options, "--data", str(runs / "texts.txt")]
        check_command([command, *options, "--model", str(runs / "vae"), "--", *texts])

    holds(
        inputs,
        check,
        st.sampled_from(["reconstruct", "interpolate", "nearest"]),
        st.lists(BROKEN, min_size=1, max_size=3),
        st.lists(st.just("--json"), max_size=1),
    )


LINES = (
    st.lists(BROKEN, max_size=8).map("\n".join).map(lambda t: t.encode("utf-8", "surrogatepass"))
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["text", "t"]), BROKEN, max_size=2), max_size=5)
FILES = st.one_of(
    st.tuples(st.just("x.txt"), st.one_of(LINES, st.binary(max_size=60))),
    st.tuples(
        st.just("x.csv"), st.one_of(LINES.map(lambda b: b"text\n" + b), st.binary(max_size=60))
    ),
    st.tuples(st.just("x.jsonl"), ROWS.map(lambda rows: "\n".join(map(json.dumps, rows)).encode())),
    st.tuples(
        st.just("x.json"), st.one_of(ROWS.map(json.dumps).map(str.encode), st.binary(max_size=60))
    ),
    st.tuples(st.sampled_from(["x.parquet", "x.txt.gz", "x.jsonl.gz"]), st.binary(max_size=60)),
)


@tried(25, 700)
def test_commands_on_any_file(runs, here, inputs):
    def check(command: list[str], file: tuple[str, bytes]) -> None:
        name, content = file
        (here / name).write_bytes(content)
        check_command([*command, name] if command[0] == "encode" else [*command, "--data", name])

    model = ["--model", str(runs / "vae")]
    commands = [
        ["encode", *model, "--out", "z.npz", "--json"],
        ["evaluate", *model, "--samples", "2", "--json"],
        ["positions", *model, "--out", "p.png", "--json"],
        ["nearest", "the dog .", *model],
    ]
    holds(inputs, check, st.sampled_from(commands), FILES)


WORDS = st.one_of(
    st.sampled_from(
        ["", "0", "1", "-1", "2", "1e9", "nan", "inf", "cpu", "x.txt", ".", "/", "\x00"]
    ),
    st.sampled_from(
        ["bowman2016", "lstm_lm", "vae", "lm", "runs", "none/x.png", "x.json", "=", "a=b"]
    ),
    st.text(max_size=8),
    st.text(st.characters(categories=["Cs", "Ll"]), max_size=3),
)
SLOW = {"train", "make-corpus", "verify", "classify", "reduce"}
"""Commands that take long when all is well: they are given a device that is not there."""


@st.composite
def options(draw) -> list[str]:
    """Any command with any of its options, mostly of the wrong kind."""
    commands = get_command(app).commands  # type: ignore[attr-defined]
    name = draw(st.sampled_from(sorted(set(commands) - {"make-corpus"})))
    line = [name]
    for parameter in draw(st.lists(st.sampled_from(commands[name].params), max_size=4)):
        if parameter.param_type_name == "argument":
            line.append(draw(WORDS))
        else:
            line.append(parameter.opts[0])
            if not parameter.is_flag:
                line.append(draw(WORDS))
    return [*line, "--device", "tpu"] if name in SLOW else line


@tried(25, 700)
def test_commands_with_any_options(runs, here, inputs):
    for name in ("vae", "lm"):
        (here / name).symlink_to(runs / name)
    (here / "x.txt").write_text("the dog .\na cat .\n")
    holds(inputs, check_command, options())


# Recipes.


def assert_lines(error: SpecError) -> None:
    """One line for each mistake."""
    assert error.problems
    assert not [problem for problem in error.problems if "\n" in problem or not problem.strip()]
    assert len(set(error.problems)) == len(error.problems), error.problems


@tried(30, 600)
def test_a_recipe_is_built_trained_saved_and_loaded_or_refused(tmp_path, inputs):
    built = []

    def check(document: dict[str, Any]) -> None:
        try:
            recipe = read_recipe(document, "any")
            check_model(recipe)
            model = build_model(recipe, VOCAB, rows=100)
        except SpecError as error:
            event("refused")
            assert_lines(error)
            return
        assert read_recipe(yaml.safe_load(recipe.yaml()), "any") == recipe
        fields = fields_of(model, 2, 5, 3)
        try:
            train_one_step(model.train(), fields)
        except ValueError as error:
            # Only a batch shows that a posterior has no KL per dimension, or no gradient.
            if "needs a posterior and a prior that factorise" in str(error):
                assert document["objective"]["free_bits_per"] == "dimension"
            else:
                assert any(
                    reason in str(error)
                    for reason in ("carry no gradient", "sums over its classes", *OF_BATCHES)
                )
            return
        built.append(document)
        model.objective = (
            None if not isinstance(model.objective, torch.nn.Module) else model.objective
        )
        model.eval().save_pretrained(tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        assert torch.equal(log_likelihood(model, fields), log_likelihood(loaded.eval(), fields))

    holds(inputs, check, documents())
    assert len(built) > inputs / 3


OF_BATCHES = (
    "needs a categorical latent",
    "given encoders, no latents",
    "no field 'label'",
    "needs fixed: false",
    "must be a Gaussian latent",
    "are no numbers",
    "are those of one latent",
    "factorises over its dimensions",
)
"""What objectives of one kind of latent, field or graph say of another."""


def train_one_step(model: VAE, fields: dict[str, torch.Tensor]) -> None:
    """One step of gradient descent; the loss and every gradient are numbers."""
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    if isinstance(model.objective, Objective):
        model.objective.plan(1000)
    loss = model(step=0, **fields)
    loss.value.backward()
    assert torch.isfinite(loss.value)
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()


def log_likelihood(model: VAE, fields: dict[str, torch.Tensor]) -> torch.Tensor:
    torch.manual_seed(0)
    with torch.no_grad():
        out: VAEOutput = model.infer(2, **fields)
    return out.total_log_likelihood


@tried(60, 2000)
def test_a_spoiled_recipe_is_refused_line_by_line(inputs):
    def check(document: dict[str, Any]) -> None:
        try:
            recipe = read_recipe(document, "any")
            check_model(recipe)
            build_model(recipe, VOCAB)
        except SpecError as error:
            assert_lines(error)
        except (MemoryError, RuntimeError) as error:
            assert is_out_of_memory(error)

    holds(inputs, check, spoiled())


@tried(60, 1000)
def test_any_yaml_is_a_value_or_a_line(inputs):
    def check(text: str) -> None:
        try:
            parse_yaml(text, "text")
        except SpecError as error:
            assert_lines(error)

    pieces = st.sampled_from(
        [*"[]{}:,-?&*!|>'\"%@#\n\t ", "a", "1", "!!int ", "!!set ", "<<", "&a ", "*a", "2001-01-01"]
    )
    examples = (
        ("[" * 10_000,),
        ("&a [*a]",),
        ("!!timestamp x",),
        ("!!binary x",),
        ("? [a]\n: b",),
        ("2001-99-99",),
    )
    holds(
        inputs,
        check,
        st.one_of(st.text(max_size=30), st.lists(pieces, max_size=12).map("".join)),
        examples=examples,
    )


@tried(40, 700)
def test_show_with_any_setting(here, inputs):
    def check(paths: list[list[str]], value: str) -> None:
        said = [f"--set={'.'.join(path)}={value}" for path in paths]
        check_command(["show", "bowman2016", *said, "--json"])

    names = st.sampled_from(
        [*KEYS, "encoders", "latents", "decoders", "text", "z", "kind", "dim", "0", ""]
    )
    values = st.one_of(
        JUNK.map(lambda junk: yaml.safe_dump(junk).strip()),
        st.text(max_size=10),
        st.sampled_from(["2001-01-01", "!!binary aGk=", "&a [*a]", "!!set {a}", "{1: 2}"]),
    )
    holds(
        inputs,
        check,
        st.lists(st.lists(names, min_size=1, max_size=3), min_size=1, max_size=2),
        values,
    )
