"""The file of results: its digests, and that what is stored is what would be decided today."""

import json
from pathlib import Path

import pytest

from textvae.analysis.claims import decide
from textvae.analysis.fingerprints import known_data
from textvae.analysis.stored_results import add_result, digest_of, read_results
from textvae.recipes import load_recipe

STORED = Path(__file__).resolve().parent.parent.parent / "docs/results.json"


def test_digest_is_that_of_what_json_reads_back():
    entry = {"metrics": {"kls": (0.1, 2), "nll": float("inf")}, "holds": None}
    read = json.loads('{"holds": null, "metrics": {"nll": null, "kls": [0.1, 2]}}')
    assert digest_of(entry) == digest_of(read) == digest_of(read | {"digest": "x"})
    for changed in ({"holds": True}, {"metrics": {"kls": [0.1, 2], "nll": 1.0}}, {"new": 1}):
        assert digest_of(entry) != digest_of(read | changed)


def test_only_the_results_that_decide_are_checked(tmp_path):
    file = tmp_path / "r.json"
    for name in ("a", "b"):
        add_result(file, name, {"metrics": {"kl": 1.0}})
    stored = json.loads(file.read_text())
    stored["a"]["metrics"]["kl"] = 2.0
    file.write_text(json.dumps(stored))
    assert read_results(file, ["b"])["b"]["metrics"] == {"kl": 1.0}
    assert read_results(tmp_path / "none.json", ["a"]) == {}
    with pytest.raises(ValueError, match="the entry of 'a' was changed by hand; verify it again"):
        read_results(file)


def test_former_names_of_metrics_are_read(tmp_path):
    file = tmp_path / "r.json"
    add_result(file, "a", {"figures": {"reconstruction": 3.0, "kl": 1.0}})
    assert read_results(file)["a"]["metrics"] == {"reconstruction_loss": 3.0, "kl": 1.0}


def test_stored_decisions_are_those_of_today():
    stored = read_results(STORED)
    assert stored
    for name, entry in stored.items():
        verdict = decide(load_recipe(name), entry, stored)
        assert (entry["holds"], entry["reasons"]) == (verdict.holds, verdict.reasons), name
        assert verdict.holds is None or verdict.checks, "no claim is no claim that holds"
        data = entry["data"]
        assert known_data()[data["name"]].sha256 == data["sha256"]
