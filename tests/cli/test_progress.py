"""The lines of a training: its facts, warnings, validations, and the time that is left."""

import pytest

from textvae.cli.progress import RemainingTime, TrainingDisplay, facts_text, run_warnings

TEXTS = {
    "vocabulary": 50,
    "parameters": 1000,
    "device": "cpu",
    "train": 5000,
    "valid": 100,
    "steps": 441,
    "epochs": 7,
    "schedules": [],
    "repeated": 0,
    "tokens": 60_000,
    "duplicates": 0.125,
    "unknown": None,
    "left_out": 0,
    "max_tokens": 256,
}
IMAGES = {key: TEXTS[key] for key in ("parameters", "device", "valid", "steps", "epochs")} | {
    "vocabulary": 0,
    "train": 500,
    "schedules": [],
}


def schedule(last, first=0.0, end=1.0):
    return {"schedules": [{"name": "kl_weight", "first": first, "last": last, "end": end}]}


def test_facts_are_aligned_lines():
    lines = facts_text(TEXTS | schedule(0.002) | {"unknown": 0.021, "left_out": 12}).splitlines()
    assert lines == [
        "  tokens      60,000, 12.0 a text; 2.1% are <unk>",
        "  duplicates  12.5% of the texts repeat an earlier one",
        "  left out    12 texts of over 256 tokens; --set data.max_tokens=N changes this",
        "  steps       441, 63 an epoch",
        "  KL weight   0 at first, 0.002 after the last step, 1 in the end",
    ]
    assert "<unk>" not in facts_text(TEXTS) and "left out" not in facts_text(TEXTS)
    assert facts_text(IMAGES) == "  steps  441, 63 an epoch"


@pytest.mark.parametrize(
    ("last", "first", "end", "warned"),
    [
        (0.002, 0.0, 1.0, True),
        (0.89, 0.0, 1.0, True),
        (0.91, 0.0, 1.0, False),
        (1.0, 0.0, 1.0, False),
        (4.0, 5.0, 1.0, True),
        (1.1, 5.0, 1.0, False),
        (0.4, 0.5, 0.0, True),
    ],
)
def test_a_schedule_far_from_its_end_is_warned_of(last, first, end, warned):
    warnings = run_warnings(TEXTS | schedule(last, first, end))
    assert len(warnings) == warned
    if warned:
        assert f"the KL weight ends at {last:.3g} of {end:.3g} after 441 steps" in warnings[0]
        assert "raise train.epochs" in warnings[0]


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        (TEXTS | {"train": 999}, True),
        (TEXTS | {"train": 1000}, False),
        (TEXTS | {"train": 1400, "repeated": 500}, True),
        (IMAGES, False),
    ],
)
def test_few_texts_are_warned_of(values, warned):
    assert any("too few" in warning for warning in run_warnings(values)) == warned


def test_a_second_training_repeats_no_warning(capsys):
    display = TrainingDisplay()
    for _ in range(2):
        display("begin", TEXTS | {"train": 10})
    display.close()
    err = capsys.readouterr().err
    assert err.count("too few") == 1 and err.count("training on 10 texts") == 2


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self):
        return self.now


def test_time_is_estimated_once_after_some_steps():
    clock = Clock()
    time = RemainingTime(clock)
    estimates = []
    for step in range(1, 101):
        # The first step is slow; the others take a tenth of a second.
        clock.now += 3 if step == 1 else 0.1
        estimates.append(time.advance(step, 100))
    (all_seconds,) = [each for each in estimates if each is not None]
    assert estimates.index(all_seconds) == 20
    assert all_seconds == pytest.approx(3 + 99 * 0.1)
    assert time.left() == 0


def test_slow_steps_are_estimated_after_seconds():
    clock = Clock()
    time = RemainingTime(clock)
    for step, expected in ((1, None), (2, None), (3, 4 + 9 * 4)):
        clock.now += 4
        assert time.advance(step, 10) == (expected and pytest.approx(expected))
    assert time.left() == pytest.approx(28)


def run_shown(capsys, step: int) -> str:
    """What a display prints for a run that begins, or goes on, with a step."""
    display, clock = TrainingDisplay(), Clock()
    display("begin", TEXTS)
    display.time = RemainingTime(clock)
    for number in range(step, step + 21):
        clock.now += 0.1
        display("step", {"step": number, "steps": 441})
    metrics = {"epoch": 3.0, "nll": 61.2, "reconstruction_loss": 55.0}
    display("validation", metrics)
    display.close()
    return capsys.readouterr().err


def test_a_run_shows_the_time_without_a_terminal(capsys):
    err = run_shown(capsys, 1)
    assert "about 44 s in all\n" in err
    assert "epoch 3/7  nll 61.20  reconstruction 55.00  42 s left\n" in err


def test_a_resumed_run_shows_the_time_that_is_left(capsys):
    assert "about 24 s left\n" in run_shown(capsys, 181)


def preview_shown(capsys, terminal: bool) -> str:
    display = TrainingDisplay()
    display.terminal = terminal
    values = {"reconstructions": [("the dog", "a\ndog " * 30)], "samples": ["a cat"], "step": 7}
    display("preview", values)
    display("sample", {"step": 1200, "text": "a bird"})
    return capsys.readouterr().err


def test_texts_of_an_epoch_are_shown_on_a_terminal(capsys):
    text, reconstruction, sample, _ = preview_shown(capsys, True).splitlines()
    assert text == "  text            the dog" and sample == "  sample          a cat"
    assert reconstruction.startswith("  reconstruction  a dog a dog") and len(reconstruction) <= 118
    assert reconstruction.endswith(" ...")


def test_without_a_terminal_a_first_sample_is_shown_alone(capsys):
    assert preview_shown(capsys, False) == "a sample after 1,200 steps: a bird\n"


def test_a_quiet_display_shows_nothing(capsys):
    display = TrainingDisplay(quiet=True)
    display("begin", TEXTS)
    display("sample", {"step": 1, "text": "a bird"})
    assert capsys.readouterr().err == ""
