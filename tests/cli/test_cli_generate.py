"""Commands that generate, encode or search: samples, interpolations, codes, neighbours."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet
from support.commands import Answer, copy_run, listing, sentences

from textvae.api.sentence import SentenceVAE

ENDS = "the dog saw the soup .", "our old friend booked that flight ."
ASKING = {
    "interpolate": (["interpolate", *ENDS], "the interpolation is not meaningful"),
    "reconstruct": (["reconstruct", *ENDS], "the latent is collapsed"),
    "nearest": (["nearest", ENDS[0], "-n", "2"], "the neighbours are not meaningful"),
}


def test_ctrl_c_elsewhere_stops(runs, textvae, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(SentenceVAE, "sample_rows", interrupt)
    assert textvae("sample", runs / "lm") == Answer(130, "", "stopped\n")


def test_model_defaults_to_the_run_that_finished_last(runs, textvae):
    for number, name in enumerate(("lm", "vae", "dead")):
        folder = copy_run(runs / name, Path("runs", name))
        os.utime(folder / "model.safetensors", (number, number))
    # Begun later, but not finished.
    Path("runs/open").mkdir()
    shutil.copy(runs / "lm/recipe.yaml", "runs/open/recipe.yaml")
    for chosen in ("dead", "vae"):
        os.utime(f"runs/{chosen}/model.safetensors", (10**9, 10**9 + (chosen == "vae")))
        for command in (["sample", "-n", "2"], ["evaluate", "--samples", "2"]):
            said = textvae(*command, "--json").json
            named = textvae(command[0], runs / chosen, *command[1:], "--json").json
            for result in (said, named):
                # Advice names the folder as the user does.
                result.get("verdict", {}).pop("advice", None)
            assert said == named
        expected = textvae("reconstruct", "the dog .", "--model", runs / chosen, "--json").json
        assert textvae("reconstruct", "the dog .", "--json").json == expected


def test_sample_follows_its_seed(runs, textvae):
    def sample(*options):
        return textvae("sample", runs / "lm", "-n", 6, "--json", *options).json["samples"]

    assert sample("--seed", 3) == sample("--seed", 3) != sample("--seed", 4)
    assert len(sample()) == 6
    plain = textvae("sample", runs / "lm", "-n", 6, "--seed", 3)
    assert plain.out.splitlines() == sample("--seed", 3) and plain.err == ""


def test_sample_options_choose_tokens(runs, textvae):
    def sample(*options):
        return textvae("sample", runs / "lm", "-n", 6, "--json", *options).json["samples"]

    free = sample()
    assert len(set(free)) > 1
    # A language model has one most probable sentence.
    for narrow in (["--top-k", 1], ["--top-p", 1e-6], ["--temperature", 1e-3], ["--num-beams", 1]):
        assert (len(set(sample(*narrow))) == 1) == (narrow != ["--num-beams", 1])
    assert sample("--top-k", 1) == sample("--top-p", 1e-6) == sample("--temperature", 1e-3)
    assert len(set(sample("--num-beams", 4))) == 1
    assert all(len(text.split()) <= 3 for text in sample("--max-new-tokens", 3))


def test_ends_of_an_interpolation_are_the_reconstructions(runs, textvae):
    back = textvae("reconstruct", *ENDS, "-m", runs / "vae", "--json").json
    for options in ([], ["--slerp"], ["--num-beams", 3]):
        beams = options if "--num-beams" in options else []
        back = textvae("reconstruct", *ENDS, *beams, "-m", runs / "vae", "--json").json
        answer = textvae(
            "interpolate", *ENDS, "--steps", 5, *options, "-m", runs / "vae", "--json"
        ).json
        assert len(answer["sentences"]) == 5
        ends = [answer["sentences"][0], answer["sentences"][-1]]
        assert ends == [pair["reconstruction"] for pair in back]
        assert [pair["text"] for pair in back] == list(ENDS)
    table = textvae("interpolate", *ENDS, "--steps", 5, "-m", runs / "vae").out
    assert [line.split()[0] for line in table.splitlines() if line.strip()[:1].isdigit()] == [
        "0.00",
        "0.25",
        "0.50",
        "0.75",
        "1.00",
    ]


@pytest.mark.parametrize("command", ASKING)
def test_collapse_is_said_with_the_answer(command, runs, textvae, tmp_path):
    arguments, warning = ASKING[command]
    assert "warning" not in textvae(*arguments, "-m", runs / "vae").err
    for form in ([], ["--json"]):
        answer = textvae(*arguments, "-m", runs / "dead", *form)
        assert answer.code == 0 and answer.out
        said = [line for line in answer.err.splitlines() if not line.startswith("note: ")]
        assert len(said) == 1 and said[0].startswith("warning: ") and warning in said[0]
    # What training measured on many texts counts more than the two of the question.
    copy_run(runs / "vae", tmp_path / "measured")
    results = json.loads((runs / "vae/results.json").read_text())
    results["metrics"] |= {"distinct": 9, "kl": 0.0, "mutual_information": 0.0}
    (tmp_path / "measured/results.json").write_text(json.dumps(results))
    assert warning in textvae(*arguments, "-m", "measured").err


def test_encode_writes_what_the_library_encodes(runs, textvae, tmp_path):
    vae = SentenceVAE.from_pretrained(runs / "vae")
    means, scales = vae.encode(sentences(), return_scales=True)
    for ending in ("npy", "npz", "parquet"):
        answer = textvae(
            "encode", runs / "texts.txt", "--out", f"z.{ending}", "-m", runs / "vae", "--json"
        )
        assert answer.json == {"texts": 100, "dimensions": 3, "out": f"z.{ending}"}
    assert np.array_equal(np.load("z.npy"), means)
    with np.load("z.npz") as stored:
        assert np.array_equal(stored["mean"], means) and np.array_equal(stored["scale"], scales)
    table = parquet.read_table("z.parquet")
    assert table["text"].to_pylist() == sentences()
    for name, values in (("mean", means), ("scale", scales)):
        columns = np.stack([table[f"{name}_{d}"].to_numpy() for d in range(3)], axis=1)
        assert np.array_equal(columns, values)
    assert listing(tmp_path) == ["z.npy", "z.npz", "z.parquet"]


def test_encode_says_that_blank_lines_have_no_row(runs, textvae):
    Path("gaps.txt").write_text("the dog .\n\nthe cat .\n")
    answer = textvae("encode", "gaps.txt", "-m", runs / "vae", "--json")
    assert answer.json["texts"] == 2
    assert "skipped 1 blank line" in answer.err


def test_nearest_finds_the_query_itself(runs, textvae):
    query = sentences()[7]
    arguments = ["nearest", query, "--data", runs / "texts.txt", "-m", runs / "vae"]
    found = textvae(*arguments, "-n", 100, "--json").json
    assert len(found) == 100
    # Its duplicates are as near as it is.
    assert found[0]["text"] == query and found[0]["distance"] < 1e-5
    assert [row["distance"] for row in found] == sorted(row["distance"] for row in found)
    assert textvae(*arguments, "-n", 2).out.splitlines()[1].split(maxsplit=1) == ["0.000", query]
