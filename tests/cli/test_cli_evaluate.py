"""Commands that evaluate: metrics, positions, probes and topics."""

import csv
import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from support.commands import (
    copy_run,
    listing,
    sentences,
)

ROOT = Path(__file__).resolve().parents[2]


def test_evaluation_of_a_collapsed_model_warns(runs, textvae):
    answer = textvae("evaluate", runs / "dead", "--samples", 2, "--json")
    assert answer.json["collapsed"] and abs(answer.json["kl"]) < 1e-5
    assert answer.json["verdict"]["code"] == "collapsed"
    assert answer.err.splitlines()[-1].startswith("warning: collapsed: ")
    shown = textvae("evaluate", runs / "dead", "--samples", 2)
    assert "\nCOLLAPSED. " in shown.out and "warning" not in shown.err
    assert all(finding in shown.out for finding in answer.json["verdict"]["findings"])


def test_one_text_gives_no_verdict(runs, textvae, tmp_path):
    (tmp_path / "one.txt").write_text(sentences()[0] + "\n")
    for run in ("vae", "dead"):
        one = ("evaluate", runs / run, "--data", "one.txt", "--samples", 2, "--json")
        answer = textvae(*one)
        assert answer.json["verdict"]["code"] == "too_few_texts"
        assert not answer.json["collapsed"] and "warning" not in answer.err
        assert textvae("doctor", *one[1:4], "--json").json["code"] == "too_few_texts"


def test_evaluate_prints_denominators_and_the_distance_to_the_limit(runs, textvae):
    metrics = textvae("evaluate", runs / "vae", "--samples", 3, "--json").json
    assert metrics["samples"] == 3 and metrics["sentences"] == 12 and "entropy" not in metrics
    table = textvae("evaluate", runs / "vae", "--samples", 3).out
    for said in (
        "3 samples, 12 sentences",
        f"{metrics['words']} words",
        f"{metrics['tokens']} tok",
    ):
        assert said in table
    assert textvae("evaluate", runs / "lm").out.count("exact: no latent") == 1
    shipped = textvae(
        "evaluate", runs / "lm", "--data", ROOT / "data", "--limit", 20, "--json"
    ).json
    known = json.loads((ROOT / "data/corpus.json").read_text())["entropy_nats_per_sentence"]
    assert shipped["sentences"] == 20 and shipped["entropy"] == known
    lines = textvae("evaluate", runs / "lm", "--data", ROOT / "data", "--limit", 20).out
    (distance,) = (line for line in lines.splitlines() if line.startswith("nll - entropy"))
    assert float(distance.split()[3]) == pytest.approx(shipped["nll"] - known, abs=1e-3)


def test_positions_add_up_to_the_reconstruction(runs, textvae, tmp_path):
    arguments = ["--data", runs / "texts.txt"]
    answer = textvae("positions", runs / "vae", *arguments, "--out", "p.png", "--json")
    result = answer.json
    assert result == json.loads(Path("p.json").read_text())
    assert listing(tmp_path) == ["p.json", "p.png"]
    pixels = matplotlib.image.imread("p.png")
    assert pixels.ndim == 3 and min(pixels.shape[:2]) > 100 and pixels.std() > 0.01
    assert result["position"] == list(range(1, len(result["loss"]) + 1))
    assert result["texts"][0] == 100
    total = np.dot(result["loss"], result["texts"]) / 100
    evaluated = textvae("evaluate", runs / "vae", *arguments, "--samples", 1, "--json").json
    # The same seed draws the same sample of each posterior.
    assert total == pytest.approx(evaluated["reconstruction_loss"], abs=1e-3)
    assert sum(result["texts"]) == evaluated["tokens"]
    table = textvae("positions", runs / "vae", *arguments, "--out", "p.png", "--mean").out
    assert "posterior means; KL excluded; picture: p.png" in table


def test_positions_of_several_runs_with_what_comes_back(runs, textvae):
    arguments = [runs / "vae", runs / "vae", "--recover"]
    arguments += ["--data", runs / "texts.txt", "--out", "p.png"]
    result = textvae("positions", *arguments, "--json").json
    for name in ("loss", "from_end", "recovery"):
        assert len(result[name]) == len(result["position"])
        # The same run twice.
        assert result[name] == result[f"{name}_low"] == result[f"{name}_high"]
    assert "come back: first word" in textvae("positions", *arguments).out


def test_positions_of_texts_of_one_length(runs, textvae):
    arguments = [runs / "vae", "--data", runs / "texts.txt", "--out", "p.png", "--length"]
    counts = textvae("positions", *arguments[:-1], "--json").json["texts"]
    some = next(n for n in range(len(counts), 0, -1) if counts[n - 1])
    result = textvae("positions", *arguments, some, "--json").json
    assert result["length"] == some and set(result["texts"]) == {counts[some - 1]}
    assert result["position"][-1] == some
    answer = textvae("positions", *arguments, 999)
    assert answer.code == 2 and "no text has 999 targets; most have" in answer.err


def test_a_baseline_is_a_language_model(runs, refused):
    for baseline, message in (("vae", "must be a language model"), ("lm", "the same vocabulary")):
        arguments = ["positions", runs / "vae", "--baseline", runs / baseline, "--out", "p.png"]
        assert message in refused(*arguments, "--data", runs / "texts.txt")


def test_positions_of_a_run_are_drawn_into_it(runs, textvae):
    copy_run(runs / "lm", Path("lm"))
    assert textvae("positions", "lm").code == 0
    assert {"positions.png", "positions.json"} <= set(listing(Path("lm")))


@pytest.fixture
def labelled(tmp_path) -> Path:
    """100 sentences with what they are about."""
    path = tmp_path / "labelled.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for text in sentences():
            about = next(word for word in ("soup", "film", "flight") if word in text)
            writer.writerow([text, about])
    return path


def test_probe_prints_a_table_or_json(runs, textvae, labelled):
    command = ("probe", runs / "vae", "--data", labelled, "--kind", "hidden")
    answer = textvae(*command, "--subsets", 2, "--labels-per-class", 3)
    assert answer.code == 0, answer.err
    assert "vae, hidden" in answer.out and "TF-IDF" in answer.out and "±" in answer.out
    assert "tested on 50 of its texts, held out" in answer.err
    result = textvae(*command, "--labels-per-class", 2, 8, "--subsets", 1, "--json").json
    assert [s["labels_per_class"] for s in result["scores"]] == [2] * 4 + [8] * 4
    assert result["classes"] == ["film", "flight", "soup"] and result["test_texts"] == 50
    # The label is a word of the text.
    counted = next(s for s in result["scores"][4:] if s["features"] == "bag of words")
    assert counted["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        ("text,label\nx,1\ny,\n", (), "line 3: the label is missing"),
        ("text,label\n" + "x,1\n" * 9, ("--labels-per-class", 2), "two classes are needed"),
        ("text,label\n" + "x,1\ny,2\n" * 9, ("--labels-per-class", 2, 50), "50 labels of each"),
        ("text\nx\n", (), "no column 'label'"),
        ("text,label\nx,1\n", ("--labels-per-class", "few"), "must be whole numbers"),
        ("text,label\nx,1\n", ("--kind", "men"), "did you mean 'mean'"),
    ],
)
def test_probe_refuses_labels_that_do_not_do(runs, refused, tmp_path, content, arguments, said):
    (tmp_path / "bad.csv").write_text(content)
    assert said in refused("probe", runs / "vae", "--data", "bad.csv", *arguments)


def test_topics_prints_a_table_or_json(runs, textvae, tmp_path, refused):
    tiny = ("encoders.text.hidden=6", "latents.z.dim=3", "train.epochs=2", "train.batch_size=16")
    command = ("train", "gururangan2019_vampire", "--data", runs / "texts.txt", "-o", "topics")
    assert textvae(*command, *(f"--set={setting}" for setting in tiny)).code == 0
    answer = textvae("topics", "topics", "--words", 3)
    assert answer.code == 0 and "NPMI" in answer.out and "unigram" in answer.out
    result = textvae("topics", "topics", "--words", 3, "--json").json
    assert len(result["topics"]) == 3 and all(len(t["words"]) == 3 for t in result["topics"])
    assert result["perplexity"]["words"] > result["perplexity"]["texts"] > 0
    # No sentence comes back from a bag of words.
    stored = json.loads((tmp_path / "topics/results.json").read_text())
    assert stored["reconstructions"] == stored["interpolation"] == []
    assert "one decoder of kind 'topics'" in refused("topics", runs / "vae")
    setting = "--set=train.select=coherence"
    command = ("train", "--data", runs / "texts.txt", setting, "-o", "none")
    assert "one decoder of kind 'topics'" in refused(*command)


def test_samples_of_images_are_compared_with_those_of_training(image_run, textvae):
    options = ("--samples", 1, "--limit", 20, "--generation")
    found = textvae("evaluate", image_run, *options, "--json").json["image_samples"]
    assert 0 <= found["precision"] <= 1 and found["real_precision"] > 0.5
    assert found["classifier_accuracy"] > 0.7  # of 10 digits, scikit-learn's perceptron
    table = textvae("evaluate", image_run, *options).out
    assert "samples inside the held-out images" in table and "features of a classifier" in table
    plain = textvae("evaluate", image_run, "--samples", 1, "--limit", 20, "--json").json
    assert plain["image_samples"] is None


def test_runs_of_images_are_compared_on_the_same_images(image_run, textvae):
    (metrics,) = textvae("compare", image_run, "--samples", 2, "--limit", 20, "--json").json
    evaluated = textvae("evaluate", image_run, "--samples", 2, "--limit", 20, "--json").json
    assert metrics["nll"] == evaluated["nll"] and metrics["images"] == 20 and metrics["verdict"]
