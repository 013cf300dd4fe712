"""A first training hands over its weights; both trainings resume."""

import shutil
import signal
from pathlib import Path

import pytest
import torch
from support.runs import assert_equal, corpus, recipe, staged, weights

from textvae.data.readers import Corpus
from textvae.data.tokenizers import load_tokenizer
from textvae.recipes import read_recipe
from textvae.registry import SpecError
from textvae.training.folders import (
    InterruptedRunError,
    RunError,
)
from textvae.training.runs import build_model, train_run


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


def with_tokenizer_of(run, **tokenizer):
    document = recipe(epochs=1).document()
    document["tokenizer"] |= {"run": str(run), **tokenizer}
    return read_recipe(document, "other")


def test_a_run_takes_the_tokenizer_of_another(two_trainings, tmp_path):
    texts = ["seven new words that no text there has"] * 32
    other = Corpus(texts, texts[:4], [], "made by the test", [])
    _, tokenizer = train_run(with_tokenizer_of(two_trainings), other, tmp_path / "run")
    known = load_tokenizer(two_trainings).get_vocab()
    assert tokenizer.get_vocab() == known == load_tokenizer(tmp_path / "run").get_vocab()
    assert "seven" not in known
    train_run(staged(run=str(tmp_path / "run")), corpus(), tmp_path / "again")


def test_a_run_without_such_a_tokenizer_is_refused(two_trainings, tmp_path):
    with pytest.raises(RunError, match=r"tokenizer.run: \S*none holds no finished model"):
        train_run(with_tokenizer_of(tmp_path / "none"), corpus(), tmp_path / "run")
    with pytest.raises(RunError, match=r"tokenizer.run: .* is of kind word \(the recipe: bpe\)"):
        train_run(with_tokenizer_of(two_trainings, kind="bpe"), corpus(), tmp_path / "run")
