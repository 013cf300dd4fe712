"""Bugs of the kind that VAE code really has, and whether the tests see them.

Each is planted in a copy of the package, where the tests named beside it must then fail:

    python tests/planted_bugs.py            # all of them, as a table
    python tests/planted_bugs.py kl noise   # those whose name holds a word
    python tests/planted_bugs.py --markdown # write docs/planted_bugs.md, run nothing
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Bug:
    """A mistake as a change of text.

    Args:
        name: what is wrong.
        file: of the package.
        right: text that stands there once.
        wrong: what the bug makes of it.
        tests: files of tests, the likeliest to fail first.
    """

    name: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]


BUGS = [
    Bug(file=group["file"], tests=tuple(group["tests"]), **bug)
    for group in yaml.safe_load((ROOT / "tests/planted_bugs.yaml").read_text(encoding="utf-8"))
    for bug in group["bugs"]
]


class Field:
    """A process that has imported what tests need but not textvae, and forks one for each copy."""

    def __init__(self) -> None:
        command = [sys.executable, __file__, "--serve"]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        )

    def run(self, copy: Path, tests: tuple[str, ...]) -> str | None:
        """The test that fails with a copy of the package; None if none does."""
        assert self.process.stdin is not None and self.process.stdout is not None
        order = {"copy": str(copy), "tests": [str(ROOT / "tests" / name) for name in tests]}
        print(json.dumps(order), file=self.process.stdin, flush=True)
        said = json.loads(self.process.stdout.readline())["said"]
        failed = re.search(
            r"^(?:FAILED|ERROR) (?:\S*/)?(test_\w+\.py(?:::[^\s\[]+)?)", said, re.MULTILINE
        )
        if failed:
            return failed[1]
        if re.search(r"^\d+ passed", said, re.MULTILINE):
            return None
        raise RuntimeError(said)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def serve() -> None:
    """Fork a pytest for each order."""
    import hypothesis
    import pytest
    import torch
    import transformers.models.auto
    from transformers import Trainer

    torch.set_num_threads(1)
    assert hypothesis and transformers and Trainer
    for line in sys.stdin:
        order = json.loads(line)
        out = Path(order["copy"]) / "said.txt"
        pid = os.fork()
        if pid == 0:
            descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1), os.dup2(descriptor, 2)
            sys.path.insert(0, order["copy"])
            options = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"]
            code = pytest.main([*options, *order["tests"]])
            # A test of the wrong package would find nothing.
            assert sys.modules["textvae"].__file__ == f"{order['copy']}/textvae/__init__.py"
            sys.stdout.flush()
            os._exit(int(code))
        os.waitpid(pid, 0)
        print(json.dumps({"said": out.read_text()}), flush=True)


def copied(place: Path) -> Path:
    """A copy of the package in a folder, with what it reads beside it."""
    shutil.copytree(
        ROOT / "textvae", place / "textvae", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("configs", "data", "docs"):
        (place / name).symlink_to(ROOT / name)
    return place


def plant(bug: Bug, copy: Path) -> None:
    """Change the copy."""
    (copy / "textvae" / bug.file).write_text(spoiled(bug), encoding="utf-8")


def spoiled(bug: Bug) -> str:
    """The text of the bug's file with the bug.

    Raises:
        ValueError: the right text is not there, or not once.
    """
    text = (ROOT / "textvae" / bug.file).read_text(encoding="utf-8")
    if text.count(bug.right) != 1:
        raise ValueError(
            f"{bug.name}: {bug.file} holds {bug.right!r} {text.count(bug.right)} times"
        )
    return text.replace(bug.right, bug.wrong)


def caught_by(bug: Bug, field: Field) -> str | None:
    """The first test that sees a bug; None when it survives."""
    with TemporaryDirectory() as place:
        copy = copied(Path(place))
        plant(bug, copy)
        return field.run(copy, bug.tests)


PAGE = ROOT / "docs/planted_bugs.md"


def page() -> str:
    """docs/planted_bugs.md: the bugs by file of the package, and the tests that detect them."""
    lines = [
        "# Planted bugs",
        "",
        "`python tests/planted_bugs.py --markdown` generates this page from",
        "`tests/planted_bugs.yaml`; do not edit it by hand. Each bug is planted in a copy of the",
        "package, and one of the named test files must then fail.",
        "",
        f"{len(BUGS)} bugs in {len({bug.file for bug in BUGS})} files.",
        "",
        "| file | bug | tests |",
        "| --- | --- | --- |",
    ]
    for bug in BUGS:
        name = bug.name.replace("|", "\\|")
        tests = ", ".join(f"`{test}`" for test in bug.tests)
        lines.append(f"| `{bug.file}` | {name} | {tests} |")
    return "\n".join(lines) + "\n"


def main(words: list[str]) -> None:
    """Print a table of the bugs and the tests that see them."""
    field = Field()
    survived = 0
    print("| bug | in | seen by |\n| --- | --- | --- |")
    for bug in BUGS:
        if words and not any(word in bug.name for word in words):
            continue
        test = caught_by(bug, field)
        survived += test is None
        seen = "**survives**" if test is None else f"`{test}`"
        print(f"| {bug.name} | `{bug.file}` | {seen} |", flush=True)
    field.close()
    sys.exit(survived > 0)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    elif sys.argv[1:] == ["--markdown"]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        main(sys.argv[1:])
