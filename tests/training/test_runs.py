"""Training in a folder: resumes to the bit, equal under ranks and accumulation, refuses misuse."""

import math
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback, TrainingArguments

from textvae.api.base import load_model
from textvae.checkpoints import checkpoints
from textvae.config import TrainingConfig
from textvae.data.batching import Sentences
from textvae.data.readers import Corpus, DataError, read_corpus
from textvae.data.tokenizers import load_tokenizer
from textvae.evaluation.latent import posterior_moments
from textvae.objectives.elbo import ELBO
from textvae.recipes import read_recipe
from textvae.registry import SpecError
from textvae.training import runs
from textvae.training.arguments import training_arguments
from textvae.training.callbacks import run_callbacks
from textvae.training.folders import (
    InterruptedRunError,
    OccupiedError,
    RunError,
    fingerprint,
    folder_lock,
    saved_recipe,
)
from textvae.training.runs import build_model, train_run
from textvae.training.trainer import AVERAGED, NonFiniteLossError
from textvae.training.validation import validate
from textvae.training.workflow import all_or_nothing

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


def staged(**pretrain):
    """The recipe with a first training: an autoencoder whose encoder goes on."""
    document = recipe(epochs=2).document()
    document["pretrain"] = {
        "objective": {"kind": "elbo", "kl_weight": 0.0},
        "train": {"epochs": 2, "keep": "last"},
        "transfer": ["encoders", "latents"],
        "freeze": ["encoders.text"],
        **pretrain,
    }
    return read_recipe(document, "staged")


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
    from textvae.training.runs import train_run

    folder = Path({folder!r})
    train_run(test_runs.recipe({arguments}), test_runs.corpus(), folder, folder.exists())
    """
)
TWO_RANKS = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone")
DIVIDED = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "NO_WRAP"}
"""What `accelerate launch --use_fsdp --fsdp_version 2` says to its processes."""


def pretend_to_be_gpus() -> None:
    """Make accelerate divide the weights of CPU processes, which it does on GPUs alone."""
    from accelerate.state import DistributedType, PartialState

    begin = PartialState.__init__

    def begin_as_gpu(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    PartialState.__init__ = begin_as_gpu


def launch(
    folder: Path, arguments: str = "", launcher: tuple[str, ...] = (), divided: bool = False
) -> subprocess.Popen:
    """Train in a folder, or go on with the run in it."""
    program = folder.with_suffix(".py")
    text = PROGRAM.format(
        tests=str(Path(__file__).resolve().parent), arguments=arguments, folder=str(folder)
    )
    text = text.replace("\nfolder", "\ntest_runs.pretend_to_be_gpus()\nfolder") if divided else text
    program.write_text(text)
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | (DIVIDED if divided else {})
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


def test_texts_from_files_train_as_a_list_does(uninterrupted, tmp_path):
    texts = corpus()
    for split in ("train", "valid"):
        lines = "\n".join(getattr(texts, split))
        (tmp_path / f"{split}.txt").write_text(lines, encoding="utf-8")
    read = read_corpus(str(tmp_path))
    assert fingerprint(read) == fingerprint(texts)
    train_run(recipe(), read, tmp_path / "run")
    assert_equal(uninterrupted, tmp_path / "run")


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


def test_a_run_with_old_recipe_keys_resumes(uninterrupted, tmp_path):
    def press(event, values):
        if event == "step" and values["step"] == 11:
            signal.raise_signal(signal.SIGINT)

    run = tmp_path / "run"
    with pytest.raises(InterruptedRunError):
        train_run(recipe(), corpus(), run, report=press)
    text = (run / "recipe.yaml").read_text()
    old = text.replace("max_grad_norm:", "clip:")
    old = old.replace("gradient_accumulation_steps:", "accumulation:")
    assert old != text and saved_recipe(run).trains_as(recipe())
    (run / "recipe.yaml").write_text(old)
    train_run(recipe(), corpus(), run, resume=True)
    assert_equal(uninterrupted, run)


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


@pytest.fixture(scope="module")
def two_trainings(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("staged") / "run"
    train_run(staged(), corpus(), folder)
    return folder


def test_a_first_training_hands_over_weights_and_freezes_them(two_trainings):
    first, second = weights(two_trainings / "pretrain"), weights(two_trainings)
    for name, value in second.items():
        frozen = name.startswith("encoders")
        assert torch.equal(first[name], value) == frozen, name
    untrained = dict(build_model(staged(), 18).named_parameters())
    assert (
        untrained["encoders.text.lstm.weight_ih_l0"].shape
        == second["encoders.text.lstm.weight_ih_l0"].shape
    )
    assert not torch.equal(
        untrained["encoders.text.lstm.weight_ih_l0"], second["encoders.text.lstm.weight_ih_l0"]
    ), "the first training moved them"


def test_what_is_not_handed_over_starts_anew(tmp_path):
    """With one step of learning rate 0 the second training ends where it begins."""
    still = staged(train={"epochs": 1, "keep": "last"})
    document = still.document()
    document["train"] |= {"epochs": 1, "optimizer": "sgd", "learning_rate": 1e-30}
    train_run(read_recipe(document, "staged"), corpus(), tmp_path / "run")
    first, second = weights(tmp_path / "run" / "pretrain"), weights(tmp_path / "run")
    fresh = build_model(still, 18).state_dict()
    for name, value in second.items():
        origin = fresh if name.startswith("decoders") else first
        torch.testing.assert_close(value, origin[name], rtol=0, atol=1e-20)


@pytest.mark.parametrize("stop", [(1, 5), (2, 5)])
def test_ctrl_c_in_either_training_resumes_to_the_same_weights(two_trainings, tmp_path, stop):
    training = 0

    def press(event, values):
        nonlocal training
        training += event == "begin"
        if event == "step" and (training, values["step"]) == stop:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedRunError, match=r"--output \S+/run$"):
        train_run(staged(), corpus(), tmp_path / "run", report=press)
    train_run(staged(), corpus(), tmp_path / "run", resume=True)
    assert_equal(two_trainings, tmp_path / "run")


def test_a_language_model_becomes_an_encoder(tmp_path):
    config = {
        "model": {"encoders": None, "latents": None, "decoders": recipe(False).model["decoders"]},
        "objective": {"kind": "elbo"},
        "train": {"epochs": 1},
        "transfer": {"encoders.text": "decoders.text"},
    }
    train_run(staged(**config), corpus(), tmp_path / "run")
    first, second = weights(tmp_path / "run" / "pretrain"), weights(tmp_path / "run")
    assert torch.equal(
        first["decoders.text.lstm.weight_hh_l0"], second["encoders.text.lstm.weight_hh_l0"]
    )
    assert torch.equal(
        first["decoders.text.embedding.weight"], second["encoders.text.embedding.weight"]
    )


@pytest.mark.parametrize(
    ("pretrain", "message"),
    [
        ({"transfer": ["encoder"]}, "no weights go from 'encoder'"),
        ({"transfer": {"latents.z": "encoders.text"}}, "no weights go from"),
        ({"freeze": ["encoders.txt"]}, "no part 'encoders.txt'"),
        ({"model": {"encoders": [{"name": "text", "kind": "lstm", "hidden": 10}]}}, "from shape"),
    ],
)
def test_parts_that_do_not_fit_are_refused_before_training(tmp_path, pretrain, message):
    def trained(event, values):
        assert event != "step"

    with pytest.raises(SpecError, match=message):
        train_run(staged(**pretrain), corpus(), tmp_path / "run", report=trained)


def test_a_finished_run_stands_in_for_the_first_training(two_trainings, tmp_path):
    """What it was trained with is not asked for, and nothing is trained but the second."""
    begun = []

    def report(event, values):
        if event == "begin":
            begun.append(values["steps"])

    config = staged(run=str(two_trainings / "pretrain"), objective=None, train={})
    train_run(config, corpus(), tmp_path / "run", report=report)
    assert_equal(two_trainings, tmp_path / "run")
    assert begun == [16] and not (tmp_path / "run" / "pretrain").exists()


def test_a_run_that_cannot_stand_in_is_refused(two_trainings, tmp_path):
    with pytest.raises(RunError, match=r"pretrain.run: \S*none holds no finished model"):
        train_run(staged(run=str(tmp_path / "none")), corpus(), tmp_path / "run")
    other = tmp_path / "other"
    shutil.copytree(two_trainings / "pretrain", other)
    text = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(text.replace('"river"', '"brook"'))
    with pytest.raises(RunError, match=r"ids of \S*other stand for other tokens"):
        train_run(staged(run=str(other)), corpus(), tmp_path / "run2")
    with pytest.raises(SpecError, match=r"pretrain: .*needs an objective .* or a run"):
        staged(objective=None)


def test_patience_does_not_begin_anew(tmp_path):
    """A learning rate that spoils the model: the first validation stays the best."""
    spoiled = recipe(epochs=8, optimizer="sgd", learning_rate=30.0, max_grad_norm=1.0, patience=3)
    ends = []

    def report(event, values):
        if event == "validation":
            ends.append((values["step"], values["loss"]))
        if event == "step" and values["step"] == 25 and folder.name == "run":
            raise KeyboardInterrupt

    folder = tmp_path / "whole"
    train_run(spoiled, corpus(), folder, report=report)
    whole, best = ends.copy(), min(loss for _, loss in ends)
    assert ends[-1][0] == 8 * (3 + [loss for _, loss in ends].index(best) + 1) < 64
    ends.clear()
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train_run(spoiled, corpus(), folder, report=report)
    folder = tmp_path / "resumed"
    (tmp_path / "run").rename(folder)
    train_run(spoiled, corpus(), folder, resume=True, report=report)
    assert ends == whole


def with_critic(**train):
    game = {"objective": {"kind": "adversarial", "hidden": 8}}
    return read_recipe(recipe(**train, keep="last").document() | game, "test")


def test_a_critic_is_resumed_with_the_model_and_left_out_of_the_finished_one(tmp_path):
    said = {}

    def press(event, values):
        said.setdefault(event, values)
        if event == "step" and values["step"] == 11:
            signal.raise_signal(signal.SIGINT)

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    model, _ = train_run(with_critic(), corpus(), whole)
    with pytest.raises(InterruptedRunError):
        train_run(with_critic(), corpus(), parts, report=press)
    train_run(with_critic(), corpus(), parts, resume=True)
    assert_equal(whole, parts)
    last = "checkpoints/checkpoint-24"
    assert_equal(whole / last, parts / last)
    saved, kept = weights(whole / last), weights(whole)
    left_out = saved.keys() - kept.keys()
    assert left_out and all(name.startswith("objective.critic.") for name in left_out)
    assert all(torch.equal(saved[name], value) for name, value in kept.items())
    assert said["begin"]["parameters"] == sum(value.numel() for value in kept.values())
    # A checkpoint is a model too, and a finished model may be given another objective.
    assert load_model(whole / last).state_dict().keys() == kept.keys()
    model.objective = ELBO()
    assert model(step=0, text=torch.tensor([[1, 5, 2]])).value.isfinite()


@pytest.fixture
def built(monkeypatch):
    """The models that runs build, in their order."""
    models = []

    def build(*arguments):
        models.append(build_model(*arguments))
        return models[-1]

    monkeypatch.setattr(runs, "build_model", build)
    return models


MEANS = {
    "exponential": {"decay": 0.8},
    "uniform": {"kind": "uniform", "epochs": 2},
    "late": {"decay": 0.5, "epochs": 1},
}


@pytest.mark.parametrize("kind", MEANS)
@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_mean_of_the_weights_is_validated_and_kept(kind, keep, built, tmp_path):
    averaging, seen, losses = MEANS[kind], [], {}

    def report(event, values):
        if event == "step":
            seen.append({name: value.clone() for name, value in built[0].state_dict().items()})
        if event == "validation":
            losses[values["step"]] = values["loss"]

    config = recipe(averaging=averaging, keep=keep)
    model, _ = train_run(config, corpus(), tmp_path / "run", report=report)
    first = {"exponential": 0, "uniform": 8, "late": 16}[kind]
    best = min(losses, key=losses.__getitem__) if keep == "best" else 24
    assert best > first, "what is kept is a mean"
    for name, value in weights(tmp_path / "run").items():
        mean = seen[first][name]
        for number, weight in enumerate(w[name] for w in seen[first + 1 : best]):
            share = 1 / (number + 2) if kind == "uniform" else 1 - averaging["decay"]
            mean = mean + share * (weight - mean)
        torch.testing.assert_close(value, mean)
        assert not torch.equal(value, seen[best - 1][name])
    valid = Sentences.encoded(load_tokenizer(tmp_path / "run"), corpus().valid)
    assert validate(model, valid, 1)["loss"] == pytest.approx(losses[best], abs=1e-4)


@pytest.mark.parametrize("step", [5, 11, 21])
def test_the_mean_of_the_weights_is_resumed(step, tmp_path):
    averaging = {"kind": "uniform", "epochs": 2}

    def press(event, values):
        if event == "step" and values["step"] == step:
            signal.raise_signal(signal.SIGINT)

    train_run(recipe(averaging=averaging), corpus(), tmp_path / "whole")
    with pytest.raises(InterruptedRunError):
        train_run(recipe(averaging=averaging), corpus(), tmp_path / "run", report=press)
    held = (tmp_path / "run" / "checkpoints" / f"checkpoint-{step}" / AVERAGED).exists()
    assert held == (step > 8)
    train_run(recipe(averaging=averaging), corpus(), tmp_path / "run", resume=True)
    assert_equal(tmp_path / "whole", tmp_path / "run")
    last = Path("checkpoints/checkpoint-24")
    means = [load_file(tmp_path / name / last / AVERAGED) for name in ("whole", "run")]
    assert means[0]["n_averaged"] == 16
    assert all(torch.equal(means[1][name], value) for name, value in means[0].items())


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_learning_rate_rises_and_falls_step_by_step(schedule, monkeypatch, tmp_path):
    rates = []

    class Rates(TrainerCallback):
        def on_step_begin(self, args, state, control, optimizer=None, **kwargs):
            rates.append(optimizer.param_groups[0]["lr"])

    monkeypatch.setattr(runs, "run_callbacks", lambda *given: [*run_callbacks(*given), Rates()])
    config = {"schedule": schedule, "warmup_steps": 6, "learning_rate": 0.01}
    train_run(recipe(**config, optimizer="adamw", weight_decay=0.1), corpus(), tmp_path / "run")
    way = [(step - 6) / 18 for step in range(6, 24)]
    after = {
        "constant": [1.0 for _ in way],
        "linear": [1 - share for share in way],
        "cosine": [0.5 * (1 + math.cos(math.pi * share)) for share in way],
    }[schedule]
    expected = [step / 6 for step in range(6)] + after
    assert rates == pytest.approx([0.01 * rate for rate in expected])


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_best_model_is_kept_or_the_last(tmp_path, keep):
    """A learning rate that spoils the model after the first epoch or so."""
    losses = {}

    def report(event, values):
        if event == "validation":
            losses[values["step"]] = values["loss"]

    spoiled = recipe(optimizer="sgd", learning_rate=30.0, max_grad_norm=1.0, keep=keep, seed=1)
    train_run(spoiled, corpus(), tmp_path / "run", report=report)
    best = min(losses, key=losses.__getitem__)
    assert best < 24
    step = best if keep == "best" else 24
    assert_equal(tmp_path / "run", tmp_path / "run" / "checkpoints" / f"checkpoint-{step}")


def test_one_process_at_a_time(tmp_path):
    refused = []

    def second(event, values):
        if event == "step" and values["step"] == 3:
            with pytest.raises(RunError, match="another process trains there"):
                train_run(recipe(), corpus(), tmp_path / "run", resume=True)
            refused.append(values["step"])

    train_run(recipe(), corpus(), tmp_path / "run", report=second)
    assert refused == [3]


@pytest.mark.parametrize(("select", "mode"), [("bound", "min"), ("accuracy", "max")])
def test_a_plateau_is_one_of_what_chooses_the_best(select, mode, tmp_path):
    config = TrainingConfig(schedule="plateau", select=select)
    found = training_arguments(config, tmp_path, 1, "cpu").lr_scheduler_kwargs
    assert found == {"factor": 0.5, "patience": 0, "mode": mode}


def test_a_process_has_one_gpu_of_several(tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda arguments: 4))
    assert training_arguments(TrainingConfig(), tmp_path, 1, None)._n_gpu == 1


def test_who_comes_second_leaves_the_folder_to_the_first(tmp_path):
    folder = tmp_path / "run"
    with (
        folder_lock(folder, resume=False),
        pytest.raises(OccupiedError),
        all_or_nothing(folder, lambda event, values: None),
    ):
        # Both found it vacant.
        train_run(recipe(), corpus(), folder)
    assert folder.is_dir()


def test_accumulation_gives_the_same_steps(tmp_path):
    train_run(recipe(latent=False), corpus(), tmp_path / "whole")
    train_run(recipe(latent=False, gradient_accumulation_steps=4), corpus(), tmp_path / "parts")
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    for name, value in whole.items():
        # Sums in another order: float32 rounding, grown by 24 Adam steps.
        torch.testing.assert_close(parts[name], value, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("divided", [False, True], ids=["ddp", "fsdp"])
def test_two_ranks_equal_one_on_the_same_global_batch(tmp_path, divided):
    train_run(recipe(latent=False), corpus(), tmp_path / "one")
    two_ranks(tmp_path / "two", "latent=False", divided)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=2e-4, rtol=1e-3)


def two_ranks(folder: Path, arguments: str, divided: bool) -> None:
    process = launch(folder, arguments, TWO_RANKS, divided)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def test_a_divided_run_goes_on_as_if_never_stopped(tmp_path):
    two_ranks(tmp_path / "whole", "", True)
    shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    newest = checkpoints(tmp_path / "stopped/checkpoints")[-1]
    shutil.rmtree(newest)
    (tmp_path / "stopped/model.safetensors").unlink()
    two_ranks(tmp_path / "stopped", "", True)
    assert_equal(tmp_path / "whole", tmp_path / "stopped")


def test_a_prior_is_fitted_to_what_was_trained_on(tmp_path):
    document = recipe(epochs=1).document()
    document["model"]["latents"][0]["prior"] = {"fitted": True}
    model, tokenizer = train_run(read_recipe(document, "fitted"), corpus(), tmp_path / "run")
    rows = Sentences.encoded(tokenizer, corpus().train)
    moments = posterior_moments(model, [batch for _, batch in rows.in_length_order()])["z"]
    means, scales = (part.double() for part in moments)
    saved = weights(tmp_path / "run")
    assert saved["priors.z.fitted"]
    factor = saved["priors.z.scale_tril"].double()
    expected = means.T.cov(correction=0) + scales.square().mean(0).diag()
    torch.testing.assert_close(saved["priors.z.mean"].double(), means.mean(0))
    torch.testing.assert_close(factor @ factor.T, expected, atol=1e-6, rtol=1e-5)


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

    import textvae.training.runs as runs

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
