"""Bad input: one line for each mistake, exit code 2, nothing left behind."""

import gzip
import shutil

import pytest
from support.commands import copy_run

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
    "encoders.text.hidden=2000000000": "encoders.text.hidden: ",
    "encoders.text.layers=2000000": "encoders.text.layers: ",
    "latents.z.dim=2000000000": "latents.z.dim: ",
    "train.workers=2000000": "train.workers: ",
    "train.batch_size=2000000000": "train.batch_size: must be a whole number from 1 to 1,000,000",
    "tokenizer.vocab_size=2000000000": "tokenizer.vocab_size: must be a whole number from 5",
    "train.epochs=3.5": "from 1 to 1,000,000, or 'auto' (got 3.5)",
    "train.epochs=0": "from 1 to 1,000,000, or 'auto' (got 0)",
    "train.epochs=": "from 1 to 1,000,000, or 'auto' (got None)",
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
    "encoders.text.hidden=99999999999": "less than or equal to 1000000",
    "init_range=-1": "model.init_range: must be a number above 0 (got -1)",
    "init_range=wide": "model.init_range: must be a number above 0 (got 'wide')",
    "model=3": "model: must be a mapping (got 3)",
    "claim=3": "claim: must be a list of comparisons (got 3)",
    "paper=3": "paper: must be text (got 3)",
    "train.accumulation=3": "batch_size must be a multiple of accumulation",
}


@pytest.mark.parametrize("setting", BAD_SETTINGS)
def test_bad_settings(setting, runs, refused):
    said = refused(
        "train", "bowman2016", "--data", runs / "texts.txt", "--set", setting, "--device", "cpu"
    )
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


BAD_OPTIONS = {
    "evaluate vae --samples 0": "--samples",
    "evaluate vae --limit 0": "--limit",
    "evaluate vae --seed 4294967296": "--seed",
    "evaluate vae --data one.txt --text-column": "--text-column",
    "interpolate a b --steps 1 -m vae": "at least 2 steps (got 1)",
    "interpolate a -m vae": "second",
    "interpolate a b -m lm": "it is a language model",
    "interpolate a b --num-beams 0 -m vae": "num_beams must be from 1 to 1,000 (got 0)",
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
    "sample vae -n 2000000000": "--count",
    "sample vae --num-beams 2000000000": "num_beams must be from 1 to 1,000",
    "sample vae --max-new-tokens 2000000000": "max_new_tokens must be from 1 to 100,000",
    "interpolate a b --steps 2000000000 -m vae": "--steps",
    "evaluate vae --samples 2000000000": "--samples",
    "sample vae --temperature -1": "temperature must be from 0.001 to 100 (got -1.0)",
    "sample vae --temperature nan": "temperature must be from 0.001 to 100 (got nan)",
    "sample vae --top-p 2": "top_p must be above 0 and at most 1 (got 2.0)",
    "sample vae --top-k -1": "top_k must be 0 (all) or more (got -1)",
    "sample vae --max-new-tokens 0": "max_new_tokens must be from 1 to 100,000 (got 0)",
    "sample vae --num-beams 0": "num_beams must be from 1 to 1,000 (got 0)",
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
    "train --resume --output vae --set train.seed=9": "--resume takes no --set but train.epochs",
    "train lstm_lm --resume --output vae": "holds another run",
    "train --resume --output vae --data one.txt": "one sentence cannot be split",
    "verify lstm_lm": "is a baseline without a claim",
    "verify zhao2017_cvae --data one.txt": "a txt file has no columns",
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


def test_one_training_text_is_too_few_for_the_default(refused, tmp_path):
    (tmp_path / "two.txt").write_text("hello there\ngood bye now\n")
    assert "one training text is too few for batch normalisation of z" in refused(
        "train", "--data", "two.txt"
    )
