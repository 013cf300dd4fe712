"""CONTRIBUTING.md: its examples, written to a copy of the repository, pass the tables of tests."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FENCE = re.compile(r"```(\w+)\n(?:# |<!-- )(\S+\.\w+)(?:, in (.*?))?(?: -->)?\n")
"""A block that begins with the name of a file, and of the table in it."""
LONGEST = 30
"""Lines of code of an example."""


@dataclass(frozen=True)
class Example:
    """A block of the page.

    Args:
        file: path in the repository.
        place: name of the table to which it is added, or None for a whole file.
        body: text without the line that names the file.
        language: of the block.
    """

    file: str
    place: str | None
    body: str
    language: str

    @property
    def block(self) -> str:
        """The text as a part of a page: a row of a table, or a block of code."""
        return f"\n{self.body}" if self.language == "markdown" else f"\n```sh\n{self.body}```\n"


def examples() -> list[Example]:
    """The blocks whose first line names a file of the repository."""
    blocks = re.findall(r"^```\w+\n.*?^```$", PAGE, re.DOTALL | re.MULTILINE)
    found = [(FENCE.match(block), block) for block in blocks]
    return [
        Example(match[2], match[3], block[match.end() : -len("```")], match[1])
        for match, block in found
        if match
    ]


EXAMPLES = examples()
FILES = [example for example in EXAMPLES if example.place is None]
ROWS = [example for example in EXAMPLES if example.place is not None]


def with_row(source: str, table: str, row: str) -> str:
    """The source of a test file with a row at the end of a dict or list that it assigns."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == table:
            value = node.value
            while isinstance(value, ast.BinOp):
                value = value.right
            assert isinstance(value, ast.Dict | ast.List), table
            lines = source.splitlines(keepends=True)
            assert value.end_lineno is not None and value.end_col_offset is not None
            end = sum(map(len, lines[: value.end_lineno - 1])) + value.end_col_offset - 1
            before = source[:end].rstrip()
            comma = "" if before[-1] in ",{[" else ","
            return f"{before}{comma}\n{row}{source[end:]}"
    raise AssertionError(f"no table {table}")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the repository with every file and every row of the page."""
    folder = tmp_path_factory.mktemp("contribution")
    skipped = shutil.ignore_patterns("__pycache__", "*.png", "shipped")
    for name in ("textvae", "tests", "configs", "data", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=skipped)
    for name in ("pyproject.toml", "README.md", "cli.py"):
        shutil.copy(ROOT / name, folder / name)
    for example in FILES:
        assert not (folder / example.file).exists(), f"{example.file} is not new"
        (folder / example.file).write_text(example.body, encoding="utf-8")
    for example in ROWS:
        path = folder / example.file
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            text = with_row(text, example.place, example.body)
        else:
            text += example.block
        path.write_text(text, encoding="utf-8")
    return folder


def in_checkout(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Python in the copy, which comes before any installed textvae."""
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TEXTVAE_CACHE": str(folder / "cache"),
    }
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_block_of_code_names_its_file():
    assert len(EXAMPLES) == len(re.findall(r"^```\w+$", PAGE, re.MULTILINE)) - 1  # set-up


def test_every_abstraction_has_an_example():
    packages = {Path(example.file).parent.as_posix() for example in FILES}
    parts = "families priors objectives encoders decoders likelihoods data/formats cli".split()
    assert packages == {*(f"textvae/{part}" for part in parts), "configs", "tests/cli"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.file)
def test_example_is_short(example):
    lines = [line for line in example.body.splitlines() if line.strip()]
    assert len(lines) <= LONGEST
    assert max(map(len, lines)) <= 100


def test_examples_are_formatted_and_without_lint(checkout):
    files = [example.file for example in FILES if example.file.endswith(".py")]
    for command in (["check"], ["format", "--check"]):
        ran = in_checkout(checkout, "-m", "ruff", *command, *files)
        assert ran.returncode == 0, ran.stdout


TABLES = [
    ("tests/families/test_families.py", "laplace or has_a_row"),
    ("tests/priors/test_priors.py", "laplace or has_a_row"),
    ("tests/objectives/test_terms.py", "test"),
    ("tests/objectives/test_objectives.py", "renyi or has_a_row"),
    ("tests/encoders/test_encoders.py", "gru or has_a_row"),
    ("tests/decoders/test_decoders.py", "gru or has_a_row"),
    ("tests/likelihoods/test_pixels.py", "laplace or has_a_row"),
    ("tests/data/test_readers.py", "fasttext or has_a_row"),
    ("tests/graph/test_model.py", "laplace or gru"),
    ("tests/graph/test_refinement.py", "laplace"),
    ("tests/cli/test_cli_help.py", "size or page_has or complete"),
    ("tests/cli/test_cli_size.py", "test"),
    ("tests/test_recipes.py", "sonderby or all_shipped"),
    ("tests/test_readme.py", "every_command"),
    ("tests/test_layers.py", "point_down or has_a_layer"),
]
"""Test files that read the tables of kinds, and which of their tests concern the examples."""


def test_examples_pass_the_tables_without_another_edit(checkout):
    names = {Path(example.file).name for example in ROWS if example.file.endswith(".py")}
    assert names - {"conftest.py"} <= {Path(path).name for path, _ in TABLES}
    wanted = " or ".join(f"({Path(path).stem} and ({key}))" for path, key in TABLES)
    options = ["-q", "-p", "no:cacheprovider", "--durations=8", "--no-header", "-k", wanted]
    ran = in_checkout(checkout, "-m", "pytest", *options, *(path for path, _ in TABLES))
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr


USE = """
import json, random
from pathlib import Path
import torch
from textvae.cli import main
from textvae.data.readers import Corpus, read_labelled
from textvae.graph.model import VAE, VAEConfig
from textvae.objectives import Objective
from textvae.recipes import check_model, load_recipe, read_recipe, shipped_recipes
from textvae.training.runs import train_run

draw, facts = random.Random(0), {}
texts = [" ".join(draw.choices("the a dog cat sees finds red old".split(), k=5)) for _ in range(48)]
terms = [{"kind": "mean_l1", "of": "z", "weight": 0.1}]
recipe = read_recipe({
    "model": {
        "encoders": [{"name": "text", "kind": "gru", "hidden": 6}],
        "latents": [
            {"name": "a", "kind": "laplace", "dim": 2, "given": ["text"]},
            {"name": "z", "kind": "gaussian", "dim": 3, "given": ["text"],
             "prior": {"kind": "laplace"}},
        ],
        "decoders": [{"name": "text", "kind": "gru", "hidden": 6, "given": ["a", "z"]}],
    },
    "objective": {"kind": "renyi", "samples": 2, "terms": terms},
    "tokenizer": {"kind": "word"},
    "train": {"epochs": 1, "batch_size": 16},
}, "example")
check_model(recipe)
steps = []
def report(event, values):
    if event == "step":
        steps.append(values["step"])
corpus = Corpus(texts, texts[:8], [], "made", [])
train_run(recipe, corpus, Path("run"), report=report, device="cpu")
facts["steps"] = steps

image = VAE(VAEConfig(
    observed={"image": {"shape": [1, 4, 4]}},
    encoders=[{"name": "image", "kind": "mlp", "hidden": [5]}],
    latents=[{"name": "z", "kind": "laplace", "dim": 2, "given": ["image"]}],
    decoders=[{"name": "image", "kind": "mlp", "hidden": [5], "given": ["z"],
               "likelihood": {"kind": "laplace"}}],
))
image.objective = Objective.build({"kind": "renyi", "terms": terms})
loss = image.train()(0, image=torch.rand(3, 1, 4, 4))
loss.value.backward()
facts["terms"] = sorted(loss.terms)
facts["without gradient"] = [name for name, p in image.named_parameters() if p.grad is None]

Path("t.fasttext").write_text("__label__good fine food\\n\\n__label__bad cold soup\\n")
facts["read"] = [list(rows) for rows in read_labelled(Path("t.fasttext"))["train"]]

check_model(load_recipe("sonderby2016_warmup"))
facts["shipped"] = "sonderby2016_warmup" in shipped_recipes()
print(json.dumps(facts), flush=True)
main(["size", "run", "--json"])
"""


def test_examples_train_read_and_run(checkout, tmp_path):
    script = tmp_path / "use.py"
    script.write_text(USE, encoding="utf-8")
    ran = in_checkout(checkout, str(script))
    assert ran.returncode == 0, ran.stderr
    facts, end = json.JSONDecoder().raw_decode(ran.stdout)
    assert facts["steps"] == [1, 2, 3]
    assert {"elbo", "bound", "mean_l1"} <= set(facts["terms"])
    assert facts["without gradient"] == []
    assert facts["read"] == [["fine food", "cold soup"], ["good", "bad"]]
    assert facts["shipped"]
    sizes = json.loads(ran.stdout[end:])
    assert sizes["encoders"] > 0 and sizes["priors"] == 3
