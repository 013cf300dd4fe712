"""Comparison of runs: the table, the picture, and runs that do not compare."""

import json

import matplotlib.image
import pytest
from support.commands import copy_run, trained_runs

from textvae.analysis.comparison import COLUMNS, comparison_table, differing_texts, names_of
from textvae.plots import plot_rate_distortion


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return trained_runs(tmp_path_factory)


def test_stored_metrics_are_compared(runs, textvae):
    answer = textvae("compare", runs / "vae", runs / "lm")
    assert answer.code == 0 and answer.err == ""
    header, vae, lm = answer.out.splitlines()
    assert vae.split()[0] == "vae" and lm.split()[0] == "lm"
    rows = textvae("compare", runs / "vae", runs / "lm", "--json").json
    stored = json.loads((runs / "vae/results.json").read_text())["metrics"]
    assert rows[0].pop("verdict") == "undertrained" and "undertrained" in vae
    assert rows[0] == {"run": "vae", **stored} and rows[1]["run"] == "lm"
    left_out = ("images", "character_perplexity", "unknown_tokens", "code_perplexity")
    assert all(name in header for key, name in COLUMNS.items() if key not in left_out)
    assert f"{stored['nll']:.3f}" in vae and f"{stored['mutual_information']:.3f}" in vae
    assert f"{stored['active_units']}/3" in vae and " - " in lm


def test_compare_measures_as_evaluate_does(runs, textvae):
    options = ["--data", runs / "texts.txt", "--limit", 30, "--samples", 3]
    rows = textvae("compare", runs / "vae", runs / "dead", *options, "--json").json
    for row in rows:
        run = row.pop("run")
        evaluated = textvae("evaluate", runs / run, *options, "--json").json
        del evaluated["notes"]
        assert row.pop("verdict") == evaluated.pop("verdict")["code"]
        assert row == evaluated


def test_the_picture_is_drawn(runs, textvae):
    assert textvae("compare", runs / "vae", runs / "lm", "--out", "p.png").code == 0
    pixels = matplotlib.image.imread("p.png")
    assert min(pixels.shape[:2]) > 300 and pixels.std() > 0.01


def test_runs_without_metrics_are_refused(runs, textvae, tmp_path):
    copy_run(runs / "vae", tmp_path / "bare")
    (tmp_path / "bare/results.json").unlink()
    answer = textvae("compare", "bare", runs / "lm", "--out", "p.png")
    assert answer.code == 2 and "bare: holds no metrics; with --samples 50" in answer.err
    assert not (tmp_path / "p.png").exists()
    assert textvae("compare", "bare", "--out", "p.svg").errors[0].endswith("(got 'p.svg')")


def test_metrics_of_other_texts_are_noted(runs, textvae, tmp_path):
    copy_run(runs / "vae", tmp_path / "other")
    stored = json.loads((runs / "vae/results.json").read_text())
    stored["metrics"]["words"] += 1
    # As runs were stored before it was measured.
    del stored["metrics"]["mutual_information"]
    (tmp_path / "other/results.json").write_text(json.dumps(stored))
    answer = textvae("compare", "other", runs / "vae")
    assert answer.code == 0 and "different texts or fields and do not compare" in answer.err
    assert " - " in answer.out.splitlines()[1]


def test_names_are_short_unless_two_are_alike():
    assert names_of(["runs/a", "runs/b/"]) == ["a", "b"]
    assert names_of(["x/a", "y/a"]) == ["x/a", "y/a"]


def test_differing_texts():
    a, b = {"sentences": 5, "words": 30}, {"sentences": 5, "words": 31}
    assert differing_texts({"a": a, "b": b}) and not differing_texts({"a": a, "b": dict(a)})


def test_a_table_of_many_runs_has_a_row_for_each():
    metrics = dict.fromkeys(COLUMNS, 1.0) | {"active_units": 2, "dimensions": 4, "tokens": 9}
    lines = comparison_table({str(n): metrics for n in range(5)}).splitlines()
    assert len(lines) == 6 and all("2/4" in line for line in lines[1:])


def test_references_are_shown_of_the_same_texts_only():
    run = {"nll": 50.0, "unigram_nll": 60.0, "active_units": 0, "dimensions": 0, "words": 9}
    other = {**run, "unigram_nll": 61.0}
    table = comparison_table({"a": run, "b": other})
    assert "unigram nll" in table and "60.000" in table and "61.000" in table
    assert "unigram nll" not in comparison_table({"a": run, "b": {**other, "words": 10}})


def test_characters_and_unknown_tokens_have_columns_where_measured():
    run = {"nll": 5.0, "active_units": 0, "dimensions": 0, "tokens": 30, "sentences": 10}
    known = {**run, "word_perplexity": 4.0, "character_perplexity": None, "unknown_tokens": 0}
    table = comparison_table({"a": known})
    assert "character" not in table and "unknown" not in table
    unknown = {**run, "word_perplexity": None, "character_perplexity": 3.0, "unknown_tokens": 5}
    header, first, second = comparison_table({"a": known, "b": unknown}).splitlines()
    assert "word perplexity" in header and "character perplexity" in header
    assert first.split()[2:5] == ["4.000", "-", "0.0%"]
    assert second.split()[2:5] == ["-", "3.000", "25.0%"]


@pytest.mark.parametrize("entropy", [None, 20.0, 99.0])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_points_of_any_number_are_drawn(count, entropy, tmp_path):
    points = [(f"run {n}", 0.3 * n, 100 - n) for n in range(count)]
    plot_rate_distortion(points, entropy, tmp_path / "p.png")
    pixels = matplotlib.image.imread(tmp_path / "p.png")
    assert pixels.shape[0] > 300 and pixels.std() > 0.01


def test_another_point_gives_another_picture(tmp_path):
    for name, rate in (("a", 1.0), ("b", 1.2), ("c", 1.0)):
        points = [("run", rate, 30.0), ("other", 3.0, 29.0)]
        plot_rate_distortion(points, 25.0, tmp_path / f"{name}.png")
    a, b, c = (matplotlib.image.imread(tmp_path / f"{name}.png") for name in "abc")
    assert (a == c).all() and (a != b).any()
