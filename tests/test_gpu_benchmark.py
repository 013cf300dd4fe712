"""The GPU check runs on a CPU too, with tiny sizes and without optional packages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = {"tests", "training", "epoch", "nll", "images", "generation", "compile"}
OPTIONAL = ("datasets", "sentencepiece", "sentence_transformers", "sacrebleu", "tensorboard")
BLOCKED = f"import sys\nsys.modules.update(dict.fromkeys({OPTIONAL!r}))\n"
"""Code that makes the import of each of these packages fail."""

IMPORT_ALL = f"""
{BLOCKED}
import importlib, pkgutil, textvae
for module in pkgutil.walk_packages(textvae.__path__, "textvae."):
    # One runs the command line, the other is a wrapper of an optional package.
    if module.name not in ("textvae.__main__", "textvae.api.sentence_transformer"):
        importlib.import_module(module.name)
"""

CALL_EACH = """
import json, sys, gpu
calls = {
    "failed": ["--smoke", "--only", "images", "--images", "missing.npz"],
    "late": ["--smoke", "--only", "nll", "--seconds", "0"],
    "real": [],
}
codes = {}
for name, arguments in calls.items():
    sys.argv = ["gpu.py", *arguments, "--out", f"{name}.json"]
    try:
        codes[name] = gpu.main()
    except SystemExit as left:
        codes[name] = left.code
json.dump(codes, open("codes.json", "w"))
"""


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """The printed lines and the JSON document of a smoke run, optional packages blocked."""
    folder = tmp_path_factory.mktemp("smoke")
    (folder / "sitecustomize.py").write_text(BLOCKED)
    environment = os.environ | {
        "PYTHON": sys.executable,
        "PYTHONPATH": str(folder),
        "OUT": str(folder),
        "CUDA_VISIBLE_DEVICES": "",
    }
    finished = subprocess.run(
        ["sh", str(ROOT / "benchmarks/gpu.sh"), "--smoke", "--seconds", "3600"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    document = json.loads((folder / "gpu.json").read_text())
    return finished.stdout.splitlines(), document


def test_smoke_run_has_a_row_of_every_section(smoke):
    lines, document = smoke
    printed = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    assert {len(cells) for cells in printed} == {4}
    stored = [(row["section"], row["name"]) for row in document["rows"]]
    rows, targets = printed[2 : len(stored) + 2], printed[len(stored) + 2 :]
    assert [tuple(cells[:2]) for cells in rows] == stored
    # A tiny model is none of those that the targets are of.
    assert [cells[2] for cells in targets] == ["best", "---", *["not measured"] * 4]
    measured = {row["section"] for row in document["rows"] if row["status"] == "ok"}
    assert measured == {section for section, _ in stored} == SECTIONS
    assert all(row["metrics"] for row in document["rows"] if row["status"] == "ok")


def test_smoke_run_skips_gpu_tests_with_a_reason(smoke):
    rows = [row for row in smoke[1]["rows"] if row["section"] == "tests" and not row["metrics"]]
    assert len(rows) > 5
    assert {row["status"] for row in rows} == {"skipped"}
    assert all("needs a GPU" in row["note"] for row in rows)


def test_smoke_run_states_sources_and_machine(smoke):
    _, document = smoke
    assert document["sources"]["smoke"] and "random words" in document["sources"]["texts"]
    assert document["machine"]["gpu"] is None
    assert {"torch", "transformers", "cuda", "driver"} <= document["machine"].keys()


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Exit codes of several calls, and the folder of their files."""
    folder = tmp_path_factory.mktemp("calls")
    places = [ROOT, ROOT / "benchmarks"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, places)),
        "CUDA_VISIBLE_DEVICES": "",
    }
    finished = subprocess.run(
        [sys.executable, "-c", CALL_EACH],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads((folder / "codes.json").read_text()), folder


def test_error_is_a_row_and_the_exit_code(calls):
    codes, folder = calls
    (row,) = json.loads((folder / "failed.json").read_text())["rows"]
    assert codes["failed"] == 1
    assert row["status"] == "failed" and "missing.npz" in row["note"]


def test_rows_without_time_are_skipped(calls):
    codes, folder = calls
    rows = json.loads((folder / "late.json").read_text())["rows"]
    assert codes["late"] == 0
    assert {(row["status"], row["note"]) for row in rows} == {("skipped", "out of time")}


def test_real_sizes_are_refused_without_a_gpu(calls):
    codes, folder = calls
    assert codes["real"] == 2 and not (folder / "real.json").exists()


def test_no_module_needs_optional_packages():
    command = [sys.executable, "-c", IMPORT_ALL]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
