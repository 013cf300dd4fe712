"""Training in a folder: resumes to the bit, refuses misuse."""

import signal
from pathlib import Path

import pytest
import torch
from support.runs import assert_equal, corpus, recipe, weights

from textvae.checkpoints import checkpoints
from textvae.data.batching import Sentences
from textvae.data.readers import Corpus, DataError, read_corpus
from textvae.evaluation.latent import posterior_moments
from textvae.graph.saving import load_model
from textvae.objectives.elbo import ELBO
from textvae.recipes import read_recipe
from textvae.training.folders import (
    InterruptedRunError,
    OccupiedError,
    RunError,
    fingerprint,
    folder_lock,
    saved_recipe,
)
from textvae.training.runs import train_run


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
    read = read_corpus(str(tmp_path), test_fraction=0)
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


def with_critic(**train):
    game = {"objective": {"kind": "adversarial", "hidden": 8}}
    return read_recipe(recipe(**train, keep="last").document() | game, "test")


def test_critic_is_resumed_and_left_out_of_the_finished_model(tmp_path):
    first = {}

    def press(event, values):
        first.setdefault(event, values)
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
    assert first["begin"]["parameters"] == sum(value.numel() for value in kept.values())
    # A checkpoint is a model too, and a finished model may be given another objective.
    assert load_model(whole / last).state_dict().keys() == kept.keys()
    model.objective = ELBO()
    assert model(step=0, text=torch.tensor([[1, 5, 2]])).value.isfinite()


def test_one_process_at_a_time(tmp_path):
    refused = []

    def second(event, values):
        if event == "step" and values["step"] == 3:
            with pytest.raises(RunError, match="another process trains there"):
                train_run(recipe(), corpus(), tmp_path / "run", resume=True)
            refused.append(values["step"])

    train_run(recipe(), corpus(), tmp_path / "run", report=second)
    assert refused == [3]


def test_a_second_process_leaves_the_folder_to_the_first(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with folder_lock(folder), pytest.raises(OccupiedError):
        train_run(recipe(), corpus(), folder)
    assert folder.is_dir()


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


def test_misuse_is_refused(uninterrupted, tmp_path):
    with pytest.raises(RunError, match="holds a run already"):
        train_run(recipe(), corpus(), uninterrupted)
    with pytest.raises(RunError, match="no run to resume"):
        train_run(recipe(), corpus(), tmp_path / "none", resume=True)
    with pytest.raises(RunError, match="another recipe"):
        train_run(recipe(batch_size=8), corpus(), uninterrupted, resume=True)
    other = Corpus(["a cat"] * 20, ["a dog"], [], "elsewhere", [])
    with pytest.raises(RunError, match="other texts"):
        train_run(recipe(), other, uninterrupted, resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    with pytest.raises(RunError, match="not empty"):
        train_run(recipe(), corpus(), tmp_path / "full")
    assert (tmp_path / "full" / "thesis.tex").read_text() == "mine"


def test_long_texts_are_left_out_and_counted(tmp_path):
    short = recipe().document() | {"data": {"max_tokens": 5}}
    begun = {}
    train_run(
        read_recipe(short, "test"),
        corpus(),
        tmp_path / "run",
        report=lambda event, values: begun.update(values) if event == "begin" else None,
    )
    long = sum(len(text.split()) + 2 > 5 for text in corpus().train)
    assert (begun["left_out"], begun["train"]) == (long, 128 - long)
    all_long = Corpus(["the old cat sees the bird"] * 20, ["a dog"], [], "long", [])
    with pytest.raises(DataError, match="max_tokens = 5"):
        train_run(read_recipe(short, "test"), all_long, tmp_path / "none")
