"""Claims rerun: what holds, what fails, what is stored, what the page of systems says."""

import json
from pathlib import Path

import pytest
import yaml
from support.commands import run_quietly, trained_runs

from textvae.analysis.claims import add_result, check_claims, is_run_of, read_results
from textvae.analysis.pages import systems_page
from textvae.config import Claim
from textvae.recipes import read_recipe
from textvae.registry import SpecError
from textvae.training.folders import RunError


def comparison(metric="word_perplexity", test="<=", value=1e9, **more) -> dict:
    source = {"source": "made by the test", "data": "tiny"}
    return {"metric": metric, "test": test, "value": value, **source, **more}


HOLDS = comparison(published=100.5)
FAILS = comparison("kl", ">=", 1e9)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return trained_runs(tmp_path_factory)


@pytest.fixture
def verify(runs, tmp_path, monkeypatch, capsys):
    """Verifies claims about the tiny VAE as `tiny.yaml` carries them: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*claims: dict, options: tuple = (), model: str | None = "vae"):
        document = yaml.safe_load((runs / "vae/recipe.yaml").read_text())
        Path("tiny.yaml").write_text(yaml.safe_dump(document | {"claim": list(claims)}))
        capsys.readouterr()
        chosen = ["--model", runs / model] if model else []
        code = run_quietly("verify", "tiny.yaml", *chosen, "--samples", 5, *options)
        return code, *capsys.readouterr()

    return run


def test_a_claim_that_holds(verify):
    code, out, err = verify(HOLDS)
    assert code == 0 and err == ""
    assert out.splitlines()[0].split() == ["metric", "ours", "must", "be", "published", "holds"]
    assert out.splitlines()[1].split()[0] == "word_perplexity"
    assert out.splitlines()[1].split()[-2:] == ["100.5", "yes"]


@pytest.mark.parametrize("claims", [[FAILS], [HOLDS, FAILS], [FAILS, HOLDS]])
def test_one_comparison_that_fails_fails_the_claim(claims, verify):
    code, out, _ = verify(*claims, options=("--json",))
    result = json.loads(out)
    assert code == 1 and not result["holds"]
    assert [check["holds"] for check in result["checks"]] == [claim is HOLDS for claim in claims]
    for check in result["checks"]:
        assert check["ours"] == result["metrics"][check["metric"]]


def test_record_keeps_other_results(verify):
    add_result(Path("kept/results.json"), "other", {"metrics": {"kl": 1.0}})
    code, out, _ = verify(HOLDS, options=("--record", "kept/results.json", "--json"))
    stored = json.loads(Path("kept/results.json").read_text())
    assert code == 0 and list(stored) == ["other", "tiny"]
    assert stored["tiny"]["metrics"] == json.loads(out)["metrics"]
    assert stored["tiny"]["holds"] is True and "torch" in stored["tiny"]["machine"]
    assert [path.name for path in Path("kept").iterdir()] == ["results.json"]


def test_a_claim_over_another_recipe(verify):
    over = comparison(value=1.0, over="baseline")
    file = Path("results.json")
    for baseline, holds in ((1e9, True), (0.0, False)):
        add_result(file, "baseline", {"metrics": {"word_perplexity": baseline}})
        code, out, _ = verify(over, options=("--record", file))
        assert code == (not holds)
        assert "(baseline +1)" in out
    for figure, holds in ((1e6, True), (0.1, False)):
        add_result(file, "baseline", {"metrics": {"word_perplexity": figure}})
        share = comparison(value=0.0, over="baseline", factor=0.95)
        code, out, _ = verify(share, options=("--record", file))
        assert code == (not holds) and f"<= {0.95 * figure:g} (0.95 x baseline)" in out
    code, _, err = verify(over, options=("--record", "none.json"))
    assert code == 2 and "'baseline' has no stored result" in err
    assert not Path("none.json").exists()


def test_what_cannot_be_decided_is_refused_before_training(verify):
    wrong = [comparison("perplexity"), comparison(over="nobody")]
    code, out, err = verify(*wrong, model=None)
    assert code == 2 and out == ""
    first, second = err.splitlines()
    assert first.startswith("error: claim.0.metric: unknown 'perplexity' (did you mean")
    assert second.startswith("error: claim.1.over: 'nobody' has no stored result")
    assert not Path("runs").exists()


def test_a_run_that_began_with_a_run_is_of_the_recipe_that_trains_both(runs, tmp_path):
    """Its first training is compared where it stands."""
    document = yaml.safe_load((runs / "vae/recipe.yaml").read_text())
    config = {"objective": document["objective"], "transfer": ["encoders"]}
    whole = read_recipe(document | {"pretrain": config}, "whole")
    parts = read_recipe(document | {"pretrain": config | {"run": str(runs / "vae")}}, "parts")
    assert is_run_of(parts, whole) and is_run_of(parts, parts) and is_run_of(whole, whole)
    first = [
        config | {"objective": {"kind": "elbo", "kl_weight": 0.5}},
        config | {"model": {"encoders": [document["model"]["encoders"][0] | {"hidden": 99}]}},
        config | {"transfer": ["latents"]},
    ]
    for other in first:
        assert not is_run_of(parts, read_recipe(document | {"pretrain": other}, "other"))
    moved = config | {"run": str(tmp_path / "moved")}
    with pytest.raises(RunError, match="moved holds no run"):
        is_run_of(read_recipe(document | {"pretrain": moved}, "moved"), whole)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_file_of_results_is_named(content, verify):
    Path("results.json").write_text(content)
    code, _, err = verify(HOLDS, options=("--record", "results.json"))
    assert code == 2 and err.startswith("error: results.json: is no file of results")
    assert Path("results.json").read_text() == content


def test_a_run_of_another_model_is_refused(verify):
    code, _, err = verify(HOLDS, model="lm")
    assert code == 2 and "is a run of another model or objective than 'tiny'" in err


def test_without_a_model_it_trains_one(verify, runs):
    code, out, err = verify(HOLDS, model=None)
    assert code == 0 and "training on 78 texts" in err
    assert Path("runs/tiny/model.safetensors").is_file()
    # The seed is the recipe's: the run of the fixture again.
    assert verify(HOLDS)[1] == out


def test_bounds_are_included():
    claims = [Claim(**comparison("kl", test, 2.0)) for test in ("<=", ">=")]
    for ours, holds in ((2.0, [True, True]), (1.9, [True, False]), (2.1, [False, True])):
        assert [c.holds for c in check_claims(claims, {"kl": ours}, {})] == holds
    with pytest.raises(SpecError, match="unknown 'k'"):
        check_claims([Claim(**comparison("k"))], {"kl": 1.0}, {})


def test_page_of_systems_shows_stored_results(tmp_path):
    assert read_results(tmp_path / "none.json") == {}
    empty = systems_page({})
    assert "not yet measured" in empty and "[bowman2016](../configs/bowman2016.yaml)" in empty
    stored = {"lstm_lm_ptb": {"metrics": {"word_perplexity": 99.0, "kl": 0.0}}}
    (row,) = [line for line in systems_page(stored).splitlines() if "| [lstm_lm_ptb]" in line]
    assert "| 99.00 | yes |" in row and "100.47" in row
    cells = {line.count("|") for line in empty.splitlines() if line.startswith("|")}
    assert cells == {8}, "every row has seven cells"


def test_a_recipe_without_a_claim_is_recorded_when_asked(verify, tmp_path):
    code, _, err = verify()
    assert code == 2 and "carries no claim" in err and not (tmp_path / "stored.json").exists()
    code, out, _ = verify(options=("--record", "stored.json"))
    assert code == 0 and "recorded" in out
    stored = read_results(tmp_path / "stored.json")["tiny"]
    assert stored["metrics"]["samples"] == 5 and stored["train"]["seed"] == 0
