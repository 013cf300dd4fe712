"""Claims rerun: what holds, what fails, what cannot be decided, what is stored."""

import json
from pathlib import Path

import pytest
import yaml
from support.commands import run_quietly, trained_runs

from textvae.analysis.claimed_metrics import check_measurable, standard_error_of
from textvae.analysis.claims import Verdict, decide, samples_asked
from textvae.analysis.stored_results import add_result, read_results
from textvae.config import Claim
from textvae.recipes import load_recipe, read_recipe, shipped_recipes
from textvae.registry import SpecError

SHA = "0" * 64


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return trained_runs(tmp_path_factory)


@pytest.fixture(scope="module")
def tiny(runs, tmp_path_factory) -> dict:
    """The fingerprint of the data of the tiny VAE, as recording a recipe without a claim gives."""
    place = tmp_path_factory.mktemp("fingerprint")
    document = yaml.safe_load((runs / "vae/recipe.yaml").read_text()) | {"claim": []}
    (place / "tiny.yaml").write_text(yaml.safe_dump(document))
    options = ("--model", runs / "vae", "--samples", 5, "--record", place / "r.json")
    assert run_quietly("verify", place / "tiny.yaml", *options) == 0
    return json.loads((place / "r.json").read_text())["tiny"]["data"]


@pytest.fixture
def comparison(tiny):
    def make(metric="word_perplexity", test="<=", value=1e9, **more) -> dict:
        basics = {"source": "made by the test", "data": tiny, "samples": 5}
        return basics | {"metric": metric, "test": test, "value": value, **more}

    return make


@pytest.fixture
def verify(runs, tmp_path, monkeypatch, capsys):
    """Verifies claims about the tiny VAE as `tiny.yaml` carries them: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*claims: dict, options: tuple = (), model: object = "vae", **changes):
        document = yaml.safe_load((runs / "vae/recipe.yaml").read_text())
        for section, values in changes.items():
            document[section] |= values
        Path("tiny.yaml").write_text(yaml.safe_dump(document | {"claim": list(claims)}))
        capsys.readouterr()
        chosen = ["--model", runs / str(model)] if model else []
        code = run_quietly("verify", "tiny.yaml", *chosen, *options)
        return code, *capsys.readouterr()

    return run


def baseline(tiny: dict, **metrics) -> dict:
    """A stored result of a language model on the tiny data."""
    return {"metrics": {"dimensions": 0, "samples": 1, **metrics}, "data": tiny}


def test_a_claim_that_holds(verify, comparison):
    code, out, err = verify(comparison(published=100.5))
    assert code == 0 and err == ""
    assert out.splitlines()[0].split() == ["metric", "ours", "must", "be", "published", "holds"]
    assert out.splitlines()[1].split()[0] == "word_perplexity" and " +- " in out
    assert out.splitlines()[1].split()[-2:] == ["100.5", "yes"]
    assert out.splitlines()[-1] == "the claim holds: yes"


@pytest.mark.parametrize("holds", [[False], [True, False], [False, True]])
def test_one_comparison_that_fails_fails_the_claim(holds, verify, comparison):
    claims = [comparison() if each else comparison("kl", ">=", 1e9) for each in holds]
    code, out, _ = verify(*claims, options=("--json",))
    result = json.loads(out)
    assert code == 1 and result["holds"] is False
    assert [check["holds"] for check in result["checks"]] == holds
    for check in result["checks"]:
        assert check["ours"] == result["metrics"][check["metric"]]


def test_record_keeps_other_results_and_the_settings(verify, comparison, tiny):
    add_result(Path("kept/results.json"), "other", {"metrics": {"kl": 1.0}})
    code, out, _ = verify(comparison(), options=("--record", "kept/results.json", "--json"))
    stored = json.loads(Path("kept/results.json").read_text())
    assert code == 0 and list(stored) == ["other", "tiny"]
    entry = stored["tiny"]
    assert entry["metrics"] == json.loads(out)["metrics"]
    assert entry["holds"] is True and "torch" in entry["machine"] and entry["samples"] == 5
    assert entry["data"] == tiny and entry["tokenizer"]["vocab_size"] == 400
    assert entry["train"]["epochs"] == 2 and entry["train"]["seed"] == 0
    assert [path.name for path in Path("kept").iterdir()] == ["results.json"]
    assert list(read_results(Path("kept/results.json"))) == ["other", "tiny"]


def test_a_claim_over_another_recipe(verify, comparison, tiny):
    file = Path("results.json")
    for value, holds in ((1e9, True), (0.0, False)):
        add_result(file, "lm", baseline(tiny, word_perplexity=value))
        code, out, _ = verify(comparison(value=1.0, over="lm"), options=("--record", file))
        assert code == (not holds)
        assert "(lm +1)" in out
    for value, holds in ((1e6, True), (0.1, False)):
        add_result(file, "lm", baseline(tiny, word_perplexity=value))
        share = comparison(value=0.0, over="lm", factor=0.95)
        code, out, _ = verify(share, options=("--record", file))
        assert code == (not holds) and f"<= {0.95 * value:g} (0.95 x lm)" in out
    code, _, err = verify(comparison(over="lm"), options=("--record", "none.json"))
    assert code == 2 and "'lm' has no stored result" in err
    add_result(file, "lm", baseline(tiny, kl=1.0))
    code, _, err = verify(comparison("mutual_information", over="lm"), options=("--record", file))
    assert code == 2 and "'lm' has no stored mutual_information; first: textvae verify lm" in err
    assert not Path("none.json").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"metrics": {"dimensions": 3, "samples": 100}}, "with 100 samples of each row, not 5"),
        ({"data": {"sha256": SHA}}, "lm was measured on other data"),
        ({"data": "tiny"}, "lm was measured on other data"),
    ],
)
def test_a_yardstick_has_the_same_data_and_samples(change, reason, verify, comparison, tiny):
    entry = baseline(tiny, word_perplexity=1e9)
    for key, values in change.items():
        entry[key] = entry[key] | values if isinstance(values, dict) else values
    add_result(Path("results.json"), "lm", entry)
    claim = comparison(value=0.0, over="lm")
    code, out, _ = verify(claim, options=("--record", "results.json", "--json"))
    assert code == 1 and reason in json.loads(out)["reasons"][0]
    stored = json.loads(Path("results.json").read_text())["tiny"]
    assert stored["holds"] is None and reason in stored["reasons"][0]


def test_an_entry_that_was_changed_by_hand_decides_nothing(verify, comparison, tiny):
    file = Path("results.json")
    add_result(file, "lm", baseline(tiny, word_perplexity=0.1))
    stored = json.loads(file.read_text())
    stored["lm"]["metrics"]["word_perplexity"] = 1e9
    for changed in (stored["lm"], {k: v for k, v in stored["lm"].items() if k != "digest"}):
        file.write_text(json.dumps({"lm": changed}))
        claim = comparison(value=0.0, over="lm")
        code, out, err = verify(claim, options=("--record", file), model=None)
        assert code == 2 and out == "" and not Path("runs").exists()
        assert "results.json: the entry of 'lm' was changed by hand; verify it again" in err
        with pytest.raises(ValueError, match="changed by hand"):
            read_results(file)
    # A changed entry of the recipe itself is replaced.
    add_result(file, "tiny", baseline(tiny))
    stored = json.loads(file.read_text())
    stored["tiny"]["metrics"]["nll"] = 1.0
    file.write_text(json.dumps(stored))
    assert verify(comparison(), options=("--record", file))[0] == 0
    assert "tiny" in read_results(file, ["tiny"])


def test_what_cannot_be_decided_is_refused_before_training(verify, comparison):
    wrong = [comparison("perplexity"), comparison(over="nobody"), comparison(data="ptbb")]
    code, out, err = verify(*wrong, model=None)
    assert code == 2 and out == ""
    data, first, second = err.splitlines()
    assert data.startswith("error: claim.2.data: unknown 'ptbb' (did you mean 'ptb'?")
    assert first.startswith("error: claim.0.metric: unknown 'perplexity' (did you mean")
    assert second.startswith("error: claim.1.over: 'nobody' has no stored result")
    assert not Path("runs").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 3}'])
def test_a_broken_file_of_results_is_named(content, verify, comparison):
    Path("results.json").write_text(content)
    code, _, err = verify(comparison(), options=("--record", "results.json"))
    assert code == 2 and err.startswith("error: results.json: is no file of results")
    assert Path("results.json").read_text() == content


def test_a_run_of_another_model_is_refused(verify, comparison):
    code, _, err = verify(comparison(), model="lm")
    assert code == 2 and "is a run of another model or objective than 'tiny'" in err


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"train": {"epochs": 28}}, "train.epochs 2 (recipe: 28)"),
        ({"train": {"precision": "bfloat16"}}, "train.precision float32 (recipe: bfloat16)"),
        ({"tokenizer": {"vocab_size": 10002}}, "tokenizer.vocab_size 400 (recipe: 10002)"),
        ({"tokenizer": {"kind": "word"}}, "tokenizer.kind bpe (recipe: word)"),
        ({"data": {"max_tokens": 99}}, "data.max_tokens 256 (recipe: 99)"),
    ],
)
def test_a_run_with_other_settings_decides_nothing(changes, difference, verify, comparison):
    code, out, _ = verify(comparison(), options=("--record", "r.json"), **changes)
    assert code == 1 and f"other settings: {difference}" in out
    assert out.splitlines()[-1] == "the claim holds: undecided"
    entry = read_results(Path("r.json"))["tiny"]
    assert entry["holds"] is None and entry["reasons"] == [f"other settings: {difference}"]


def test_seed_workers_and_places_are_no_other_settings(verify, comparison):
    changes = {"train": {"seed": 7, "workers": 1, "report_to": []}, "data": {"source": "elsewhere"}}
    assert verify(comparison(), **changes)[0] == 0


def test_other_samples_than_the_claim_s_decide_nothing(verify, comparison):
    code, out, _ = verify(comparison(), options=("--samples", 3))
    assert code == 1 and "other samples: 3 of each row (the claim: 5)" in out


def test_a_folder_of_a_known_name_with_other_texts_is_not_that_data(verify, comparison, tmp_path):
    (tmp_path / "ptb").mkdir()
    for split in ("train", "valid", "test"):
        (tmp_path / f"ptb/{split}.txt").write_text("a toy .\nanother toy sentence .\n")
    options = ("--data", "ptb", "--record", "r.json", "--json")
    code, out, _ = verify(comparison(data="ptb"), options=options)
    result = json.loads(out)
    assert code == 1 and result["holds"] is None and result["checks"][0]["holds"] is None
    (reason,) = result["reasons"]
    assert reason == (
        "other data: 2 sentences of 9 words, where ptb, test has 3,761 sentences of 82,430 words"
    )
    assert read_results(Path("r.json"))["tiny"]["data"]["name"] == "other ptb"


def test_the_same_numbers_of_other_texts_and_other_training_texts_are_seen(
    verify, comparison, tiny
):
    swapped = comparison(data=tiny | {"sha256": SHA})
    assert "but others" in verify(swapped)[1]
    trained = comparison(data=tiny | {"training": [SHA]})
    code, out, _ = verify(trained)
    assert code == 1 and "the model was trained on other rows" in out


def test_a_trained_recipe_is_measured_with_the_samples_of_its_claim(verify, comparison, tiny):
    code, out, err = verify(comparison(), model=None)
    assert code == 0 and "training on 78 texts" in err
    assert Path("runs/tiny/model.safetensors").is_file()
    # The seed is the recipe's: the run of the fixture again.
    assert verify(comparison())[1] == out


@pytest.mark.parametrize(
    ("name", "samples"), [("sohn2015_text", 100), ("zhao2017_cvae", 100), ("sentence_vae", 500)]
)
def test_a_baseline_is_measured_as_the_claims_over_it(name, samples):
    assert samples_asked(load_recipe(name)) == samples


def test_several_seeds_are_compared_by_their_means(verify, comparison, tiny):
    options = ("--seeds", 2, "--record", "r.json")
    code, out, err = verify(comparison("nll"), options=options, model=None)
    assert code == 0 and err.count("training on 78 texts") == 2 and "+-" in out
    entry = json.loads(Path("r.json").read_text())["tiny"]
    first, second = entry["seeds"]["nll"]
    assert entry["metrics"]["nll"] == pytest.approx((first + second) / 2) and first != second
    assert entry["seeds"].keys() & {"sentences", "samples", "variances"} == set()
    assert entry["metrics"]["sentences"] == tiny["sentences"]
    seeds = [
        yaml.safe_load(path.read_text())["train"]["seed"]
        for path in sorted(Path("runs").glob("*/recipe.yaml"))
    ]
    assert seeds == [0, 1]


def test_several_seeds_of_a_finished_run_are_refused(verify, comparison):
    code, _, err = verify(comparison(), options=("--seeds", 2))
    assert code == 2 and "--model names a run of one seed" in err


def test_open_sizes_are_those_of_the_training_texts(verify, comparison):
    """A small vocabulary is none of a recipe whose vocabulary follows the corpus."""
    code, out, _ = verify(comparison(), tokenizer={"vocab_size": "auto"})
    assert code == 1 and "other settings: tokenizer.vocab_size 400 (recipe: 500)" in out


def test_a_recipe_without_a_claim_is_recorded_when_asked(verify, tmp_path):
    code, _, err = verify()
    assert code == 2 and "carries no claim" in err and not (tmp_path / "stored.json").exists()
    code, out, _ = verify(options=("--record", "stored.json", "--samples", 5))
    assert code == 0 and "recorded" in out
    stored = read_results(tmp_path / "stored.json")["tiny"]
    assert stored["metrics"]["samples"] == 5 and stored["holds"] is None


# Decisions on stored figures.


def made(**metrics) -> dict:
    known = {"samples": 500, "dimensions": 8, "sentences": 100, "words": 1000}
    data = {"name": "x", "sentences": 100, "words": 1000, "sha256": SHA}
    return {"metrics": known | metrics, "data": data}


def decided(claims: list[dict], entry: dict, stored: dict | None = None) -> Verdict:
    basics = {"source": "made by the test", "data": made()["data"]}
    document = {
        "model": {"decoders": [{"name": "text", "kind": "lstm"}]},
        "objective": {"kind": "elbo"},
        "claim": [basics | claim for claim in claims],
    }
    return decide(read_recipe(document, "mine"), entry, stored or {})


def test_bounds_are_included():
    claims = [{"metric": "kl", "test": test, "value": 2.0} for test in ("<=", ">=")]
    for ours, holds in ((2.0, [True, True]), (1.9, [True, False]), (2.1, [False, True])):
        assert [c.holds for c in decided(claims, made(kl=ours)).checks] == holds
    claim = Claim(metric="k", test="<=", value=1.0, source="a test", data="ptb")
    with pytest.raises(SpecError, match="unknown 'k'"):
        check_measurable([claim], {})


def test_what_was_not_measured_is_undecided_unless_another_comparison_fails():
    unmeasured = {"metric": "mutual_information", "test": ">=", "value": 1.0}
    verdict = decided([unmeasured], made(kl=1.0))
    assert verdict.holds is None and verdict.reasons == [
        "mutual_information of mine was not measured"
    ]
    failed = {"metric": "kl", "test": ">=", "value": 2.0}
    assert decided([unmeasured, failed], made(kl=1.0)).holds is False
    assert decided([], made(kl=1.0)).holds is None


def test_a_figure_within_its_standard_error_says_so():
    claim = {"metric": "nll", "test": "<=", "value": 28.0}
    for nll, close in ((27.9, True), (28.1, True), (27.0, False)):
        verdict = decided([claim], made(nll=nll, nll_standard_error=0.5))
        assert verdict.checks[0].close is close and verdict.checks[0].holds is (nll <= 28)
        assert ("within its standard error" in verdict.text()) is close
    assert not decided([claim], made(nll=27.9)).checks[0].close


def test_errors_of_perplexity_and_accuracy_follow_from_others():
    metrics = {"nll": 30.0, "nll_standard_error": 0.5, "word_perplexity": 20.0}
    metrics |= {"sentences": 100, "words": 1000, "accuracy": 0.8, "labelled": 400}
    # exp(nll x sentences / words) moves by its derivative.
    assert standard_error_of(metrics, "word_perplexity") == pytest.approx(20 * 0.5 * 100 / 1000)
    assert standard_error_of(metrics, "accuracy") == pytest.approx(0.02)
    assert standard_error_of(metrics, "kl") is None


def test_the_share_of_unknown_words_stands_beside_the_perplexity():
    claim = {"metric": "word_perplexity", "test": "<=", "value": 100.0}
    counts = {"tokens": 1000, "sentences": 100, "unknown_tokens": 720}
    verdict = decided([claim], made(word_perplexity=2.0, **counts))
    assert "80.0% of the words are <unk>, which counts as known" in verdict.text()


# The shipped claims.

COLLAPSED = {"kl": 0.0, "mutual_information": 0.0, "active_units": 0, "accuracy": 0.25}


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_recipe_has_a_claim_or_is_a_baseline(name):
    recipe = load_recipe(name)
    assert recipe.claim or recipe.baseline
    if recipe.purpose == "collapse" and not any("inputless" in str(c.over) for c in recipe.claim):
        metrics = {claim.metric for claim in recipe.claim}
        assert {"mutual_information", "reconstruction_loss", "nll"} <= metrics


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_language_model_passes_no_claim_over_one(name):
    """The figures of the yardstick itself, as a latent that is ignored has them."""
    recipe = load_recipe(name)
    yardsticks = {claim.over for claim in recipe.claim if claim.over is not None}
    models = [load_recipe(each).model for each in yardsticks]
    if recipe.baseline or all(model.get("latents") for model in models):
        pytest.skip("not compared with a model without a latent")
    same = {"nll": 50.0, "elbo": -50.0, "reconstruction_loss": 50.0, "word_perplexity": 50.0}
    same |= {"first_token_share": 0.5, "samples": recipe.claim[0].samples, "dimensions": 1}
    entry = {"metrics": same | COLLAPSED, "data": made()["data"]}
    document = recipe.document()
    for claim in document["claim"]:
        claim["data"] = made()["data"]
    verdict = decide(read_recipe(document, name), entry, dict.fromkeys(yardsticks, entry))
    assert verdict.holds is False


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_claims_can_be_decided(name):
    claims = load_recipe(name).claim
    every: dict = {}
    for claim in claims:
        *parts, last = claim.metric.split(".")
        place = every
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = 1.0
    check_measurable(claims, {str(claim.over): {"metrics": every} for claim in claims})
