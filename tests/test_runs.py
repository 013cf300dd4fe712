"""Training in a folder: resumes to the bit, equal under ranks and accumulation, refuses misuse."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from textvae.checkpoints import checkpoints
from textvae.data.readers import Corpus, DataError
from textvae.recipes import read_recipe
from textvae.runs import InterruptedRunError, RunError, train_run
from textvae.trainer import NonFiniteLossError

WORDS = "the a cat dog bird sees likes finds small red old house tree river".split()


def corpus() -> Corpus:
    draw = random.Random(1)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 9))) for _ in range(150)]
    return Corpus(texts[:128], texts[128:], [], "made by the test", [])


def recipe(latent: bool = True, **train):
    given = {"given": ["z"]} if latent else {}
    decoder = {"name": "text", "kind": "lstm", "hidden": 12, **given}
    noise = {"dropout": 0.2, "word_dropout": 0.3} if latent else {}
    model: dict = {"decoders": [decoder | noise]}
    if latent:
        model["encoders"] = [{"name": "text", "kind": "lstm", "hidden": 12}]
        model["latents"] = [{"name": "z", "kind": "gaussian", "dim": 3, "given": ["text"]}]
    return read_recipe(
        {
            "model": model,
            "objective": {"kind": "elbo", "kl_weight": {"kind": "linear", "steps": 20}},
            "tokenizer": {"kind": "word", "vocab_size": 50},
            "train": {"epochs": 3, "batch_size": 16, "validation_samples": 1, **train},
        },
        "test",
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_equal(first: Path, second: Path) -> None:
    left, right = weights(first), weights(second)
    assert left.keys() == right.keys()
    different = [name for name in left if not torch.equal(left[name], right[name])]
    assert not different


PROGRAM = textwrap.dedent(
    """
    import sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    import torch
    torch.set_num_threads(1)
    import test_runs
    from textvae.runs import train_run

    def report(event, values):
        if event == "step":
            print(values["step"], flush=True)

    train_run(test_runs.recipe({arguments}), test_runs.corpus(), Path({folder!r}), report=report)
    """
)


def launch(folder: Path, arguments: str = "", launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    program = folder.with_suffix(".py")
    tests = str(Path(__file__).parent)
    program.write_text(PROGRAM.format(tests=tests, arguments=arguments, folder=str(folder)))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, str(program)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    train_run(recipe(), corpus(), folder)
    return folder


def test_same_seed_gives_the_same_weights(uninterrupted, tmp_path):
    train_run(recipe(), corpus(), tmp_path / "again")
    assert_equal(uninterrupted, tmp_path / "again")
    train_run(recipe(seed=1), corpus(), tmp_path / "other")
    assert any(
        not torch.equal(a, b)
        for a, b in zip(
            weights(uninterrupted).values(), weights(tmp_path / "other").values(), strict=True
        )
    )


def test_resume_after_kill_equals_the_uninterrupted_run(uninterrupted, tmp_path):
    moment = random.Random(time.time_ns()).randint(1, 23)
    print(f"killed after step {moment}")
    folder = tmp_path / "run"
    process = launch(folder)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= moment:
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL, process.stderr.read() if process.stderr else ""
    assert not (folder / "model.safetensors").exists()
    train_run(recipe(), corpus(), folder, resume=True)
    assert_equal(uninterrupted, folder)


@pytest.mark.parametrize("step", [1, 8, 11])
def test_ctrl_c_leaves_a_run_that_resumes_to_the_same_weights(uninterrupted, tmp_path, step):
    def press(event, values):
        if event == "step" and values["step"] == step:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedRunError, match="--resume"):
        train_run(recipe(), corpus(), tmp_path / "run", report=press)
    assert checkpoints(tmp_path / "run" / "checkpoints")
    train_run(recipe(), corpus(), tmp_path / "run", resume=True)
    assert_equal(uninterrupted, tmp_path / "run")


@pytest.mark.parametrize("step", [8, 11])
def test_ctrl_c_adds_no_validation(tmp_path, step):
    """The plateau schedule counts validations: one more would change the learning rate."""
    steps = []

    def press(event, values):
        if event == "step" and values["step"] == step:
            signal.raise_signal(signal.SIGINT)
        if event == "validation":
            steps.append(values["step"])

    with pytest.raises(InterruptedRunError):
        train_run(recipe(), corpus(), tmp_path / "run", report=press)
    train_run(recipe(), corpus(), tmp_path / "run", resume=True, report=press)
    assert steps == [8, 16, 24]


def test_one_process_at_a_time(tmp_path):
    refused = []

    def second(event, values):
        if event == "step" and values["step"] == 3:
            with pytest.raises(RunError, match="another process trains there"):
                train_run(recipe(), corpus(), tmp_path / "run", resume=True)
            refused.append(values["step"])

    train_run(recipe(), corpus(), tmp_path / "run", report=second)
    assert refused == [3]


def test_damaged_checkpoint_is_passed_over(uninterrupted, tmp_path):
    def stop(event, values):
        if event == "step" and values["step"] == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(recipe(), corpus(), tmp_path / "run", report=stop)
    newest = checkpoints(tmp_path / "run" / "checkpoints")[-1]
    optimizer = newest / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-100])
    notes = []
    train_run(
        recipe(),
        corpus(),
        tmp_path / "run",
        resume=True,
        report=lambda event, values: notes.append(values["text"]) if event == "note" else None,
    )
    assert any("optimizer.pt is damaged" in note for note in notes)
    assert_equal(uninterrupted, tmp_path / "run")


def test_accumulation_gives_the_same_steps(tmp_path):
    train_run(recipe(latent=False), corpus(), tmp_path / "whole")
    train_run(recipe(latent=False, accumulation=4), corpus(), tmp_path / "parts")
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name, value in whole.items():
        # Sums in another order: float32 rounding, grown by 24 Adam steps.
        torch.testing.assert_close(parts[name], value, atol=2e-4, rtol=1e-3)


def test_two_ranks_equal_one_on_the_same_global_batch(tmp_path):
    train_run(recipe(latent=False), corpus(), tmp_path / "one")
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone")
    process = launch(tmp_path / "two", "latent=False", launcher)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=2e-4, rtol=1e-3)


def test_bfloat16_trains_where_the_cpu_computes_it(uninterrupted, tmp_path, monkeypatch):
    supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    losses = []
    if supported:
        train_run(
            recipe(precision="bfloat16"),
            corpus(),
            tmp_path / "half",
            report=lambda event, v: losses.append(v["loss"]) if event == "validation" else None,
        )
        assert losses[-1] < losses[0]
        whole, half = weights(uninterrupted), weights(tmp_path / "half")
        assert {value.dtype for value in half.values()} == {torch.float32}
        assert any(not torch.equal(half[name], whole[name]) for name in whole)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    with pytest.raises(ValueError, match="bfloat16 needs a GPU or a CPU"):
        train_run(recipe(precision="bfloat16"), corpus(), tmp_path / "refused")


def test_model_folder_holds_no_pickle(uninterrupted):
    files = [p.name for p in uninterrupted.iterdir() if p.is_file()]
    assert "model.safetensors" in files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pth", ".pkl"))]


def test_tensorboard_logs_the_terms(uninterrupted):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(uninterrupted / "tensorboard"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    expected = {"eval/nll", "eval/kl", "eval/active_units", "eval/kl_weight"}
    assert expected <= tags


def test_non_finite_loss_names_the_step_and_keeps_checkpoints(tmp_path):
    def poison(event, values):
        if event == "validation":
            # The next step reads a weight that is not a number.
            for parameter in trained.parameters():
                parameter.data.fill_(float("nan"))

    import textvae.runs as runs

    built = runs.build_model
    trained: torch.nn.Module

    def build(*arguments):
        nonlocal trained
        trained = built(*arguments)
        return trained

    runs.build_model = build
    try:
        with pytest.raises(NonFiniteLossError, match="step 8"):
            train_run(recipe(), corpus(), tmp_path / "run", report=poison)
    finally:
        runs.build_model = built
    assert checkpoints(tmp_path / "run" / "checkpoints")


def test_misuse_is_refused(uninterrupted, tmp_path):
    with pytest.raises(RunError, match="holds a run already"):
        train_run(recipe(), corpus(), uninterrupted)
    with pytest.raises(RunError, match="no run to resume"):
        train_run(recipe(), corpus(), tmp_path / "none", resume=True)
    with pytest.raises(RunError, match="another recipe"):
        train_run(recipe(epochs=9), corpus(), uninterrupted, resume=True)
    other = Corpus(["a cat"] * 20, ["a dog"], [], "elsewhere", [])
    with pytest.raises(RunError, match="other texts"):
        train_run(recipe(), other, uninterrupted, resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        train_run(recipe(), corpus(), tmp_path / "full")
    assert (tmp_path / "full" / "thesis.tex").read_text() == "mine"


def test_long_texts_are_left_out_and_said(tmp_path):
    short = recipe().document() | {"data": {"max_tokens": 5}}
    notes = []
    train_run(
        read_recipe(short, "test"),
        corpus(),
        tmp_path / "run",
        report=lambda event, values: notes.append(values["text"]) if event == "note" else None,
    )
    assert any("of over 5 tokens left out" in note for note in notes)
    all_long = Corpus(["the old cat sees the bird"] * 20, ["a dog"], [], "long", [])
    with pytest.raises(DataError, match="max_tokens = 5"):
        train_run(read_recipe(short, "test"), all_long, tmp_path / "none")


@pytest.mark.parametrize("optimizer,schedule", [("sgd", "plateau"), ("adamw", "cosine")])
def test_optimizers_and_schedules_train(tmp_path, optimizer, schedule):
    chosen = recipe(optimizer=optimizer, schedule=schedule, learning_rate=0.1, patience=2)
    losses = []
    train_run(
        chosen,
        corpus(),
        tmp_path / "run",
        report=lambda event, v: losses.append(v["loss"]) if event == "validation" else None,
    )
    assert min(losses[1:]) < losses[0]
