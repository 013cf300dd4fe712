"""More epochs for a run: the same weights as of a longer training, or a reason why not."""

import re
import shutil
import signal

import pytest
from support.runs import assert_equal, corpus, recipe, staged

from textvae.objectives.schedules import Linear
from textvae.recipes import with_changes
from textvae.training import longer
from textvae.training.folders import InterruptedRunError, RunError, saved_recipe
from textvae.training.longer import reason_against_longer
from textvae.training.runs import train_run

PLANS = {
    "constant": {},
    "warm-up": {"warmup_steps": 12},
    "plateau": {"schedule": "plateau", "learning_rate": 0.1},
    "averaging": {"averaging": {"decay": 0.9}},
    "patience": {"patience": 5},
    "the last": {"keep": "last"},
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_finished_run_goes_on_to_the_weights_of_a_longer_one(plan, tmp_path):
    notes = []

    def listen(event, values):
        if event == "note":
            notes.append(values["text"])

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_run(recipe(epochs=4, **plan), corpus(), whole)
    train_run(recipe(epochs=2, **plan), corpus(), parts)
    train_run(recipe(epochs=4, **plan), corpus(), parts, resume=True, report=listen)
    assert_equal(whole, parts)
    last = "checkpoints/checkpoint-32"
    assert_equal(whole / last, parts / last)
    assert saved_recipe(parts).train.epochs == 4
    assert notes == [f"{parts} goes on to 4 epochs; until then its finished model stays"]


def test_an_interrupted_run_goes_on_for_longer(tmp_path):
    def press(event, values):
        if event == "step" and values["step"] in (11, 21):
            signal.raise_signal(signal.SIGINT)

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_run(recipe(epochs=4), corpus(), whole)
    with pytest.raises(InterruptedRunError):
        train_run(recipe(epochs=2), corpus(), parts, report=press)
    with pytest.raises(InterruptedRunError):
        train_run(recipe(epochs=4), corpus(), parts, resume=True, report=press)
    train_run(saved_recipe(parts), corpus(), parts, resume=True)
    assert_equal(whole, parts)


def test_a_first_training_with_its_own_epochs_is_not_repeated(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    plan = staged()
    more = with_changes(plan, ["train.epochs=4"])
    train_run(more, corpus(), whole)
    train_run(plan, corpus(), parts)
    train_run(more, corpus(), parts, resume=True)
    assert_equal(whole, parts)


def test_a_run_that_stopped_early_does_not_go_on(tmp_path):
    plan = {"patience": 1, "learning_rate": 0.5}
    train_run(recipe(epochs=9, **plan), corpus(), tmp_path / "run")
    notes = []
    train_run(
        recipe(epochs=9, **plan),
        corpus(),
        tmp_path / "run",
        resume=True,
        report=lambda event, values: notes.append(values.get("text")),
    )
    assert any("had finished" in str(note) and "it stopped early" in str(note) for note in notes)
    with pytest.raises(RunError, match="train.patience: 1.*more epochs change nothing"):
        train_run(recipe(epochs=20, **plan), corpus(), tmp_path / "run", resume=True)


REASONS = {
    "linear": ({"schedule": "linear"}, "learning rate falls to zero.*train.schedule: linear"),
    "cosine": ({"schedule": "cosine"}, "learning rate falls to zero.*train.schedule: cosine"),
    "last epochs": ({"averaging": {"epochs": 1}}, "train.averaging.epochs"),
}


@pytest.mark.parametrize(("plan", "reason"), REASONS.values(), ids=REASONS)
def test_a_plan_that_depends_on_its_end_is_not_made_longer(plan, reason, tmp_path):
    assert re.search(reason, reason_against_longer(recipe(**plan)) or "")
    train_run(recipe(epochs=1, **plan), corpus(), tmp_path / "run")
    before = (tmp_path / "run" / "recipe.yaml").read_text()
    instead = "--set train.epochs=2, or .*pretrain.run"
    with pytest.raises(RunError, match=f"{reason}.*{instead}") as said:
        train_run(recipe(epochs=2, **plan), corpus(), tmp_path / "run", resume=True)
    assert "\n" not in str(said.value)
    assert (tmp_path / "run" / "recipe.yaml").read_text() == before


def test_a_first_training_of_the_same_length_is_a_reason():
    assert reason_against_longer(staged()) is None
    reason = reason_against_longer(staged(train={"keep": "last"}))
    assert reason is not None and "pretrain.train has no epochs" in reason


def test_a_schedule_in_shares_of_the_training_is_a_reason(monkeypatch):
    plain = with_changes(recipe(), ["objective.kl_weight=1"])
    term = {"kind": "posterior_kl", "weight": {"kind": "linear", "steps": 3}}
    assert len(list(longer.schedules_in({"kind": "elbo", "terms": [term]}))) == 1
    assert reason_against_longer(recipe()) is None
    monkeypatch.setattr(Linear, "is_relative", True, raising=False)
    reason = reason_against_longer(recipe())
    assert reason is not None and "share of the planned training" in reason
    assert reason_against_longer(plain) is None


def test_the_command_takes_more_epochs_and_nothing_else(runs, textvae, refused, tmp_path):
    shutil.copytree(runs / "lm", tmp_path / "run")
    go_on = ["train", "--resume", "-o", "run"]
    assert "no --set but train.epochs" in refused(*go_on, "--set=train.batch_size=3")
    assert "train.epochs" in refused(*go_on, "--set=train.epochs=none")
    answer = textvae(*go_on, "--set=train.epochs=2", "--json")
    assert answer.code == 0, answer.err
    assert "run goes on to 2 epochs" in answer.err
    settings = ["--set=decoders.text.hidden=8", "--set=tokenizer.kind=word", "--set=train.epochs=2"]
    whole = textvae("train", "lstm_lm", "--data", runs / "texts.txt", "-o", "whole", *settings)
    assert whole.code == 0
    assert_equal(tmp_path / "run", tmp_path / "whole")
    assert "is planned for 2 epochs" in refused(*go_on, "--set=train.epochs=1")
    answer = textvae(*go_on)
    assert "for more epochs: textvae train --resume --output run --set train.epochs=4" in answer.err
    asked = ["lstm_lm", "--resume", "-o", "run", *settings[:2], "--set=train.epochs=3"]
    assert textvae("train", *asked).code == 0
    assert saved_recipe(tmp_path / "run").train.epochs == 3
