"""Every command as a user runs it: tables, JSON, files, and one line for each mistake."""

import csv
import errno
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib.image
import numpy as np
import pyarrow
import pytest
import torch
import yaml
from pyarrow import parquet
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from typer.main import get_command

from textvae.api.sentence import SentenceVAE
from textvae.cli import app, main
from textvae.console import TrainingDisplay

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]
SUBJECTS = ["the dog", "a cat", "my uncle", "our old friend"]
VERBS = ["saw", "liked", "booked", "did not like"]
OBJECTS = ["the soup", "a long film", "that flight"]

TINY = [
    f"--set={setting}"
    for setting in (
        "encoders.text.hidden=12",
        "encoders.text.pooling=mean",
        "init_range=1.0",
        "latents.z.dim=3",
        "decoders.text.hidden=12",
        "decoders.text.word_dropout=0",
        "objective={kind: elbo, free_bits: 4}",
        "tokenizer.vocab_size=400",
        "train.learning_rate=0.01",
        "train.batch_size=16",
        "train.epochs=2",
    )
]
"""A model of a moment whose weights are large enough for its latent to differ between texts."""

TINY_LM = ["--set=decoders.text.hidden=8", "--set=tokenizer.kind=word", "--set=train.epochs=1"]


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def errors(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


def sentences() -> list[str]:
    """100 sentences of 4 to 9 words."""
    draw = random.Random(0)
    return [
        f"{draw.choice(SUBJECTS)} {draw.choice(VERBS)} {draw.choice(OBJECTS)} ." for _ in range(100)
    ]


def run_quietly(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def trained_runs(factory: pytest.TempPathFactory) -> Path:
    """A folder with `texts.txt` and three runs: a VAE, a collapsed one, a language model.

    The collapsed one is the VAE with a posterior head of zeros, which is the prior exactly.
    """
    place = factory.getbasetemp() / "trained"
    if (place / "dead").exists():
        return place
    place.mkdir()
    texts = place / "texts.txt"
    texts.write_text("\n".join(sentences()) + "\n")
    assert run_quietly("train", "--data", texts, "--output", place / "vae", *TINY) == 0
    assert run_quietly("train", "lstm_lm", "--data", texts, "-o", place / "lm", *TINY_LM) == 0
    copy_run(place / "vae", place / "dead")
    edit_weights(
        place / "dead",
        lambda weights: [
            value.zero_() for name, value in weights.items() if name.startswith("latents.z")
        ],
    )
    return place


def copy_run(run: Path, to: Path) -> Path:
    """Without the write_manifest, which would refuse what the tests change."""
    left = shutil.ignore_patterns("checkpoints", "tensorboard", "manifest.json")
    return shutil.copytree(run, to, ignore=left)


def edit_weights(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def edit_config(folder: Path, change) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return trained_runs(tmp_path_factory)


@pytest.fixture
def textvae(capsys, monkeypatch, tmp_path):
    """Runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Answer:
        capsys.readouterr()
        code = run_quietly(*arguments)
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(textvae, tmp_path):
    """Runs a command that must end with one line for each mistake and leave nothing behind."""

    def run(*arguments: object, mistakes: int = 1) -> str:
        before = listing(tmp_path)
        answer = textvae(*arguments)
        assert answer.code == 2, answer
        assert len(answer.errors) == mistakes, answer.err
        assert set(answer.err.splitlines()) - set(answer.errors) <= {
            line for line in answer.err.splitlines() if line.startswith("note: ")
        }
        assert answer.out == ""
        assert listing(tmp_path) == before
        return answer.err

    return run


# What each command says and writes.


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_and_defaults(command, textvae):
    answer = textvae(command, "--help")
    assert answer.code == 0 and answer.err == ""
    assert f"\n  textvae {command}" in answer.out
    assert "default" in answer.out or "required" in answer.out


def test_no_command_shows_all_of_them(textvae):
    out = textvae("--help").out
    assert all(f"\n  {command} " in out for command in COMMANDS)


def test_train_says_all_of_it_and_stores_it(runs, textvae, tmp_path):
    answer = textvae("train", "--data", runs / "texts.txt", *TINY, "--json")
    assert answer.code == 0
    summary = answer.json
    assert summary == json.loads((tmp_path / "runs/bowman2016/results.json").read_text())
    assert len(summary["reconstructions"]) == len(summary["samples"]) == 3
    assert len(summary["interpolation"]) == 6
    assert {"nll", "kl", "active_units", "word_perplexity"} <= summary["metrics"].keys()
    assert "split off 5 % (5 sentences)" in answer.err
    assert summary["folder"] == "runs/bowman2016"
    again = textvae("train", "--data", runs / "texts.txt", *TINY)
    assert "saved in runs/bowman2016-2 after" in again.out
    for part in ("held-out metrics", "reconstructions", "samples from the prior", "interpolation"):
        assert part in again.out
    # The same seed, so the same model.
    first, second = (
        load_file(tmp_path / "runs" / name / "model.safetensors")
        for name in ("bowman2016", "bowman2016-2")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_settings_reach_the_model(runs):
    config = json.loads((runs / "vae/config.json").read_text())
    assert config["latents"] == [{"name": "z", "kind": "gaussian", "dim": 3, "given": ["text"]}]
    assert config["decoders"][0]["hidden"] == 12
    recipe = yaml.safe_load((runs / "vae/recipe.yaml").read_text())
    assert recipe["objective"] == {"kind": "elbo", "free_bits": 4}
    assert recipe["data"]["source"] == str(runs / "texts.txt")


def write_folder(path: Path, texts: list[str]) -> None:
    path.mkdir()
    with gzip.open(path / "train.txt.gz", "wt") as file:
        file.write("\n".join(texts[:80]))
    (path / "valid.txt").write_text("\n".join(texts[80:]))


def write_csv(path: Path, texts: list[str]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("stars", "review"), *((1, text) for text in texts)])


def write_jsonl(path: Path, texts: list[str]) -> None:
    path.write_text("\n".join(json.dumps({"review": text}) for text in texts))


def write_parquet(path: Path, texts: list[str]) -> None:
    parquet.write_table(pyarrow.table({"review": texts}), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("corpus", write_folder),
        ("reviews.csv", write_csv),
        ("reviews.jsonl", write_jsonl),
        ("reviews.parquet", write_parquet),
    ],
)
def test_train_reads_folders_and_tables(name, write, textvae, tmp_path):
    write(tmp_path / name, sentences())
    column = [] if name == "corpus" else ["--text-column", "review"]
    answer = textvae("train", "lstm_lm", "--data", name, *column, *TINY_LM, "--json")
    assert answer.code == 0, answer.err
    assert ("split off" in answer.err) == (name != "corpus")
    assert answer.json["metrics"]["sentences"] == (20 if name == "corpus" else 5)
    # The run knows its data by itself.
    assert textvae("evaluate", "--json").json["sentences"] == answer.json["metrics"]["sentences"]


def test_resume_of_a_finished_run_changes_nothing(runs, textvae):
    shutil.copytree(runs / "lm", "runs/lm")
    before = load_file("runs/lm/model.safetensors")
    answer = textvae("train", "--resume", "--json")
    assert answer.code == 0, answer.err
    after = load_file("runs/lm/model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_ctrl_c_leaves_a_run_that_goes_on(runs, textvae, tmp_path, monkeypatch):
    step = TrainingDisplay.step

    def interrupt(self, values):
        step(self, values)
        if values["step"] == 7:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(TrainingDisplay, "step", interrupt)
    answer = textvae("train", "--data", runs / "texts.txt", *TINY, "--output", "mine")
    assert answer.code == 130 and answer.out == ""
    assert "textvae train --resume --output mine" in answer.err
    assert not (tmp_path / "mine/model.safetensors").exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert textvae("train", "--resume", "--output", "mine").code == 0
    resumed, whole = load_file("mine/model.safetensors"), load_file(runs / "vae/model.safetensors")
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_ctrl_c_after_training_names_resume(runs, textvae, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("textvae.analysis.summary.look", interrupt)
    answer = textvae("train", "lstm_lm", "--data", runs / "texts.txt", *TINY_LM)
    assert answer.code == 130 and answer.out == ""
    assert "--resume --output runs/lstm_lm" in answer.err


def test_ctrl_c_elsewhere_stops(runs, textvae, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(SentenceVAE, "sample", interrupt)
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
            assert said == textvae(command[0], runs / chosen, *command[1:], "--json").json
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


ENDS = "the dog saw the soup .", "our old friend booked that flight ."


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


ASKING = {
    "interpolate": (["interpolate", *ENDS], "the interpolation is not meaningful"),
    "reconstruct": (["reconstruct", *ENDS], "the latent is collapsed"),
    "nearest": (["nearest", ENDS[0], "-n", "2"], "the neighbours are not meaningful"),
}


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
    results["metrics"]["collapsed"] = True
    (tmp_path / "measured/results.json").write_text(json.dumps(results))
    assert warning in textvae(*arguments, "-m", "measured").err


def test_evaluation_of_a_collapsed_model_warns(runs, textvae):
    answer = textvae("evaluate", runs / "dead", "--samples", 2, "--json")
    assert answer.json["collapsed"] and abs(answer.json["kl"]) < 1e-5
    assert "warning: the latent is collapsed" in answer.err
    assert "warning" not in textvae("evaluate", runs / "vae", "--samples", 2).err


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


def test_evaluate_prints_denominators_and_the_distance_to_the_limit(runs, textvae):
    metrics = textvae("evaluate", runs / "vae", "--samples", 3, "--json").json
    assert metrics["samples"] == 3 and metrics["sentences"] == 5 and "entropy" not in metrics
    table = textvae("evaluate", runs / "vae", "--samples", 3).out
    for said in ("3 samples, 5 sentences", f"{metrics['words']} words", f"{metrics['tokens']} tok"):
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


def test_recipes_are_listed(textvae):
    names = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    listed = textvae("recipes", "--json").json
    assert [recipe["name"] for recipe in listed] == names
    out = textvae("recipes").out
    assert all(recipe["paper"] in out and recipe["summary"] in out for recipe in listed)


def test_systems_page_is_current(textvae):
    answer = textvae(
        "recipes", "--markdown", "page.md", "--results", ROOT / "docs/results.json", "--json"
    )
    assert answer.code == 0
    page = (ROOT / "docs/systems.md").read_text(encoding="utf-8")
    assert Path("page.md").read_text(encoding="utf-8") == page, (
        "run: textvae recipes --markdown docs/systems.md"
    )


def test_show_prints_a_file_that_gives_the_same_recipe(textvae):
    changed = ["--set", "latents.z.dim=5", "--set", "train.learning_rate=1e-4"]
    shown = textvae("show", "bowman2016", *changed)
    Path("bowman2016.yaml").write_text(shown.out)
    assert textvae("show", "./bowman2016.yaml").out == shown.out
    document = textvae("show", "./bowman2016.yaml", "--json").json
    assert document == textvae("show", "bowman2016", *changed, "--json").json
    assert document["model"]["latents"][0]["dim"] == 5
    assert document["train"]["learning_rate"] == 1e-4
    assert document["train"]["batch_size"] == 32  # a default


def test_make_corpus_writes_the_shipped_sentences(textvae, monkeypatch):
    # All of it, with its entropy, takes twenty seconds and has a test beside the grammar.
    monkeypatch.setattr("textvae.corpus.files.SIZES", {"train": 300})
    monkeypatch.setattr("textvae.corpus.files._facts", lambda seed, surprisals: {})
    assert textvae("make-corpus", "again", "--json").json == {"folder": "again"}
    assert listing(Path("again")) == ["corpus.json", "train.labels.tsv", "train.txt"]
    for name in ("train.labels.tsv", "train.txt"):
        written = Path("again", name).read_bytes()
        assert written.count(b"\n") >= 300
        assert (ROOT / "data" / name).read_bytes().startswith(written)


def test_make_corpus_leaves_other_texts_alone(refused, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/test.txt").write_text("mine .\n")
    assert "holds a test.txt of yours; name another folder" in refused("make-corpus")


# Two launchers, and a process of its own.


def in_a_process(*command: object, **options) -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment, **options
    )


def test_checkout_and_installed_command_are_the_same():
    script = Path(sys.executable).with_name("textvae")
    installed = in_a_process(script, "--help")
    checkout = in_a_process(sys.executable, "cli.py", "--help", cwd=ROOT)
    assert installed.returncode == checkout.returncode == 0
    assert installed.stdout == checkout.stdout != ""


def test_training_as_a_process(runs, tmp_path):
    data = runs / "texts.txt"
    command = [sys.executable, "-m", "textvae", "train", "lstm_lm", "--data", data, *TINY_LM]
    finished = in_a_process(*command, "--json", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    summary = json.loads(finished.stdout)
    # Nothing depends on what the process did before: the run of the fixture is the same.
    assert summary["metrics"] == json.loads((runs / "lm/results.json").read_text())["metrics"]
    assert "Traceback" not in finished.stderr and "Warning" not in finished.stderr


# Bad input: one line for each mistake, exit code 2, nothing left behind.

FILES = {
    "empty.txt": b"",
    "blank.txt": b"\n \n",
    "binary.txt": bytes(range(256)),
    "long.txt": b"a" * 1_000_000 + b"\nb\n",
    "latin.txt": b"caf\xe9\n" * 3,
    "one.txt": b"one sentence .\n",
    "notes.pdf": b"%PDF",
    "cut.txt.gz": gzip.compress(b"many words\n" * 100)[:30],
    "table.csv": b"body\nhello\nworld\n",
}
SAYS = {
    "missing.txt": "no such file or folder",
    "empty.txt": "holds no text (empty)",
    "blank.txt": "holds no text (2 blank lines)",
    "binary.txt": "line 1: NUL byte",
    "long.txt": "line 1: 1000000 characters, at most 100000",
    "latin.txt": "line 1: invalid UTF-8",
    "one.txt": "one sentence cannot be split",
    "notes.pdf": "unknown file type '.pdf'",
    "cut.txt.gz": "cut short",
    "table.csv": "no column 'text' (known: body)",
    ".": "no file is named by its split",
}


@pytest.mark.parametrize("name", SAYS)
def test_bad_data(name, refused, tmp_path):
    for file, content in FILES.items():
        (tmp_path / file).write_bytes(content)
    (tmp_path / "table.csv").rename(tmp_path / "x.csv") if name == "." else None
    assert SAYS[name] in refused("train", "--data", name)


def test_data_whose_name_nobody_knows(refused, monkeypatch):
    def offline(*arguments, **options):
        raise ConnectionError("no network")

    monkeypatch.setattr("datasets.load_dataset", offline)
    said = refused("train", "--data", "no_such_name")
    assert "no such file or folder" in said and "no network" in said


BAD_SETTINGS = {
    "latents.z.dim": "must be key=value",
    "=3": "must be key=value",
    "train..epochs=3": "must be key=value",
    "train.epoch=3": "did you mean 'epochs'?",
    "train.epochs=3.5": "train.epochs: Input should be a valid integer (got 3.5)",
    "train.epochs=0": "train.epochs: Input should be greater than 0",
    "train.epochs=": "train.epochs: Input should be a valid integer (got None)",
    "train.learning_rate=fast": "valid number (got 'fast')",
    "train.learning_rate=.inf": "finite number (got inf)",
    "train.seed=-1": "train.seed",
    "train.seed=99999999999999999999": "train.seed: Input should be less than or equal to",
    "train.precision=half": "'float32' or 'bfloat16' (got 'half')",
    "tokenizer.kind=words": "'unigram', 'bpe', 'word' or 'bag' (got 'words')",
    "tokenizer.vocab_size=100": "vocab_size must be at least 261",
    "data.max_tokens=3": "every training text has more than data.max_tokens = 3",
    "objectve.free_bits=4": "did you mean 'objective'?",
    "objective.free_bit=4": "did you mean 'free_bits'?",
    "objective.kind=elob": "did you mean 'elbo'?",
    "objective.kl_weight.kind=sigmod": "did you mean 'sigmoid'?",
    "latents.y.dim=3": "unknown 'y' (known: z)",
    "latents.z.dmi=3": "latents.z.dmi: unknown key (did you mean 'dim'?",
    "latents.z.dim=-1": "latents.z.dim: Input should be greater than 0 (got -1)",
    "latents.z.given=[txt]": "did you mean 'text'?",
    "latents=": "decoders.text.given: unknown 'z'",
    "decoders.text.word_dropout=2": "less than or equal to 1 (got 2)",
    "decoders.text.kind=ltsm": "did you mean 'lstm'?",
    "encoders=3": "model.encoders: must be a list of nodes (got 3)",
    "encoders=[3]": "model.encoders: must be a list of nodes (got [3])",
    "encoders.text.hidden=[1": "--set encoders.text.hidden line 1",
    "encoders.text.hidden=99999999999": "not enough memory",
    "init_range=-1": "model.init_range: must be a number above 0 (got -1)",
    "init_range=wide": "model.init_range: must be a number above 0 (got 'wide')",
    "model=3": "model: must be a mapping (got 3)",
    "claim=3": "claim: must be a list of comparisons (got 3)",
    "paper=3": "paper: must be text (got 3)",
    "train.accumulation=3": "batch_size must be a multiple of accumulation",
}


@pytest.mark.parametrize("setting", BAD_SETTINGS)
def test_bad_settings(setting, runs, refused):
    said = refused("train", "--data", runs / "texts.txt", "--set", setting, "--device", "cpu")
    assert BAD_SETTINGS[setting] in said


def test_a_failed_start_leaves_other_runs_and_empty_folders_alone(runs, refused, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "runs/other").mkdir(parents=True)
    bad = ["train", "--data", runs / "texts.txt", "--set", "tokenizer.vocab_size=100"]
    refused(*bad)
    refused(*bad, "--output", "mine")
    refused(*bad, "--output", "new/deep/run")


def test_mistakes_are_reported_together(refused):
    settings = ["train.epoch=3", "tokenizer.kind=words", "claim=3", "objectve=2", "encoders=3"]
    options = [part for setting in settings for part in ("--set", setting)]
    refused("train", *options, mistakes=5)
    refused("train", "--set", "x", "--set", "y", mistakes=2)
    graph = ["--set", "latents.z.dmi=3", "--set", "objective.kind=elob", "--set", "latents.z.dim=0"]
    refused("train", *graph, mistakes=3)
    refused("show", "bowman2016", *graph, mistakes=3)


BAD_RECIPES = {
    "broken.yaml": ("model: {decoders: [\n", "broken.yaml line 2: "),
    "tab.yaml": ("model:\n\tx: 1\n", "tab.yaml line 2: found character"),
    "twice.yaml": ("model: {}\nobjective: {}\nmodel: {}\n", "line 3: the key 'model' stands twice"),
    "list.yaml": ("- model\n", "must be a mapping with paper, summary"),
    "empty.yaml": ("", "must be a mapping with paper, summary"),
    "latin.yaml": (b"paper: caf\xe9\n", "is not a UTF-8 text file"),
    "half.yaml": ("model: {decoders: [{name: text, kind: lstm}]}\n", "objective: missing"),
    "missing.yaml": (None, "is not there"),
    "bowmann2016": (None, "did you mean 'bowman2016'?"),
}


@pytest.mark.parametrize("name", BAD_RECIPES)
def test_bad_recipes(name, refused, tmp_path):
    content, said = BAD_RECIPES[name]
    if content is not None:
        encoded = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(encoded)
    for command in ("train", "show", "verify"):
        assert said in refused(command, name)


def truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def flip(folder: Path) -> None:
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[12] ^= 0xFF
    weights.write_bytes(content)


def become_bert(folder: Path) -> None:
    tiny = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **tiny}))


def pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


DAMAGE = {
    "truncated": (truncate, "holds no sound model"),
    "flipped header": (flip, "holds no sound model"),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), "no sound model"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "vae/model.safetensors"),
    "pickle": (pickle, "vae/model.safetensors"),
    "a weight too few": (
        lambda f: edit_weights(f, lambda w: w.pop("latents.z.head.bias")),
        "latents.z.head.bias (missing)",
    ),
    "a weight too many": (
        lambda f: edit_weights(f, lambda w: w.update(more=torch.zeros(2))),
        "more (unknown)",
    ),
    "another shape": (
        lambda f: edit_config(f, lambda c: c["latents"][0].update(dim=4)),
        "latents.z.head.bias",
    ),
    "another kind": (become_bert, "holds a 'bert' model"),
    "broken config": (lambda f: (f / "config.json").write_text("{"), "not a valid JSON file"),
    "no config": (lambda f: (f / "config.json").unlink(), "config.json is missing"),
    "unknown key": (
        lambda f: edit_config(f, lambda c: c["latents"][0].update(dmi=4)),
        "did you mean 'dim'?",
    ),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer"),
    "broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{"), "cannot be read"),
    "another tokenizer": (
        lambda f: shutil.copy(f.parent / "lm/tokenizer.json", f),
        "its tokenizer has",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_models(damage, runs, refused, tmp_path):
    copy_run(runs / "vae", tmp_path / "vae")
    copy_run(runs / "lm", tmp_path / "lm")
    change, said = DAMAGE[damage]
    change(tmp_path / "vae")
    assert said in refused("sample", "vae", "--max-new-tokens", 2)


def test_models_that_are_not_there(refused, tmp_path, monkeypatch):
    def offline(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr("textvae.api.base.snapshot_download", offline)
    (tmp_path / "texts.txt").write_text("a\n")
    (tmp_path / "runs/begun").mkdir(parents=True)
    (tmp_path / "runs/begun/recipe.yaml").write_text("")
    assert "no trained run in runs/" in refused("sample")
    assert "did you mean 'runs/begun'?" in refused("sample", "runs/begin")
    assert "no network" in refused("sample", "nobody/nothing")
    assert "config.json is missing" in refused("sample", "texts.txt")
    assert "--resume" in refused("sample", "runs/begun")


BAD_OPTIONS = {
    "evaluate vae --samples 0": "--samples",
    "evaluate vae --limit 0": "--limit",
    "evaluate vae --seed 4294967296": "--seed",
    "evaluate vae --data one.txt --text-column": "--text-column",
    "interpolate a b --steps 1 -m vae": "at least 2 steps (got 1)",
    "interpolate a -m vae": "second",
    "interpolate a b -m lm": "it is a language model",
    "interpolate a b --num-beams 0 -m vae": "num_beams must be 1 or more (got 0)",
    "reconstruct a -m lm": "it is a language model",
    "reconstruct -m vae": "texts",
    "reconstruct \udcff -m vae": "valid Unicode",
    "nearest a -m lm": "it is a language model",
    "nearest a -m vae -n 0": "--count",
    "encode one.txt -m lm": "it is a language model",
    "encode one.txt -m vae --out z.txt": "must end in .npy, .npz, .parquet",
    "encode one.txt -m vae --out none/z.npz": "the folder 'none' is not there",
    "encode one.txt -m vae --out folder.npz": "is a folder",
    "encode none.txt -m vae": "did you mean 'one.txt'?",
    "positions vae --out p.svg": "must end in .png",
    "positions vae --out none/p.png": "the folder 'none' is not there",
    "positions vae --samples 0": "--samples",
    "sample vae -n 0": "at least one sentence",
    "sample vae --model lm": "name the model once",
    "positions vae --model lm": "name the model once",
    "evaluate vae --text-column x": "--text-column goes with --data",
    "positions vae --out vae/results.png": "would replace 'vae/results.json'",
    "reduce --set train.epochs=1": "--set is for --autoencoders",
    "sample vae -n two": "--count",
    "sample vae --temperature -1": "temperature must be from 0.001 to 100 (got -1.0)",
    "sample vae --temperature nan": "temperature must be from 0.001 to 100 (got nan)",
    "sample vae --top-p 2": "top_p must be above 0 and at most 1 (got 2.0)",
    "sample vae --top-k -1": "top_k must be 0 (all) or more (got -1)",
    "sample vae --max-new-tokens 0": "max_new_tokens must be 1 or more (got 0)",
    "sample vae --num-beams 0": "num_beams must be 1 or more (got 0)",
    "sample vae --num-beams 3 --temperature 0.5": "--num-beams goes without --temperature",
    "sample vae --num-beams 3 --top-k 5": "--num-beams goes without",
    "sample vae --num-beams 3 --top-p 0.5": "--num-beams goes without",
    "sample vae --seed -1": "--seed",
    "sample vae --seed 99999999999999999999": "--seed",
    "sample vae --device tpu": "--device must be cpu or cuda (got 'tpu')",
    "sample vae --cuont 3": "--cuont",
    "sample vae more": "more",
    "smaple vae": "Did you mean 'sample'?",
    "train --device tpu --data texts.txt": "--device must be cpu or cuda (got 'tpu')",
    "train --output one.txt --data texts.txt": "is not empty",
    "train --output one.txt/run --data texts.txt": "Not a directory",
    "train --output folder.npz/run --data texts.txt": "holds a run already",
    "train --output folder.npz --data texts.txt": "is not empty",
    "train --output vae --data texts.txt": "holds a run already",
    "train --resume": "no run in runs/",
    "train --resume --output vae --text-column x": "--text-column goes with --data",
    "train --resume --output none": "holds no run",
    "train --resume --output vae --set train.epochs=9": "--resume takes no --set",
    "train lstm_lm --resume --output vae": "holds another run",
    "train --resume --output vae --data one.txt": "one sentence cannot be split",
    "verify bowman2016": "carries no claim",
    "verify bowman2016_ptb --device tpu": "--device must be cpu or cuda",
    "recipes --markdown none/page.md": "none/page.md",
    "make-corpus one.txt": "one.txt",
}


@pytest.mark.parametrize("line", BAD_OPTIONS)
def test_bad_options(line, runs, refused, tmp_path):
    for name in ("vae", "lm"):
        copy_run(runs / name, tmp_path / name)
    copy_run(runs / "lm", tmp_path / "folder.npz/run")
    (tmp_path / "one.txt").write_text("one sentence .\n")
    shutil.copy(runs / "texts.txt", tmp_path)
    assert BAD_OPTIONS[line] in refused(*line.split())


def test_a_run_goes_on_where_its_data_has_gone(textvae, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(sentences()))
    assert textvae("train", "lstm_lm", "--data", "texts.txt", "-o", "run", *TINY_LM).code == 0
    (tmp_path / "texts.txt").rename(tmp_path / "moved.txt")
    assert "texts.txt" in textvae("train", "--resume", "--output", "run").errors[0]
    answer = textvae("train", "--resume", "--output", "run", "--data", "moved.txt")
    assert answer.code == 0, answer.err
    # The run knows its data by itself.
    assert textvae("evaluate", "run").code == 0


def test_resume_with_other_texts_is_refused(refused, textvae, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(sentences()))
    assert textvae("train", "lstm_lm", "--data", "texts.txt", *TINY_LM).code == 0
    (tmp_path / "texts.txt").write_text("\n".join(sentences()[1:]))
    assert "was trained on other texts" in refused("train", "--resume")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model.safetensors"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 4160 vs 4052"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_full_disk_is_one_line(error, runs, textvae, monkeypatch):
    def full(*arguments, **options):
        raise error

    monkeypatch.setattr("textvae.graph.model.VAE.save_pretrained", full)
    answer = textvae("train", "lstm_lm", "--data", runs / "texts.txt", *TINY_LM)
    assert answer.code == 2 and answer.out == ""
    assert answer.errors == ["error: the disk is full; what was saved before is whole"]


def test_a_full_disk_leaves_no_half_file(runs, refused, monkeypatch):
    def full(file, *arguments, **options):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "save", full)
    said = refused("encode", runs / "texts.txt", "--out", "z.npy", "-m", runs / "vae")
    assert "the disk is full" in said


def test_mistakes_of_ours_are_not_hidden(runs, monkeypatch, tmp_path):
    def wrong(*arguments):
        raise ZeroDivisionError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SentenceVAE, "sample", wrong)
    with pytest.raises(ZeroDivisionError):
        main(["sample", str(runs / "lm")])


# Probing.


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
        ("text,label\nx,1\n,1\n", (), "line 3: the text is empty"),
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


# Topics.


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
