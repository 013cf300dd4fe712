"""Reconstructions and samples of a model in training change nothing of it."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import GRAPHS, IMAGE_RECIPE, digits, vae
from support.runs import assert_equal, corpus, recipe
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import TrainerCallback

from textvae.api.sentence import SentenceVAE
from textvae.data.batching import Sentences
from textvae.data.tokenizers import train_tokenizer
from textvae.graph.generation import Decoding
from textvae.recipes import read_recipe
from textvae.training import previews, runs
from textvae.training.previews import Previews, TextPreview, preview_of
from textvae.training.runs import train_run


class Events(list):
    """The events of a run, and Ctrl-C at one of its steps."""

    def __init__(self, stop: int = 0):
        self.stop = stop

    def __call__(self, event, values):
        self.append((event, dict(values)))
        if event == "step" and values["step"] == self.stop:
            raise KeyboardInterrupt

    def of(self, event: str) -> list[dict]:
        return [values for name, values in self if name == event]


def quick(**train):
    """The recipe with a rate at which weights, and so texts, change within an epoch."""
    return recipe(learning_rate=0.02, keep="last", **train)


def tags(run) -> dict:
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return events.Tags()


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A run with previews, and its events; a first sample comes in the first epoch."""
    folder, events = tmp_path_factory.mktemp("previews") / "run", Events()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(previews, "FIRST_SECONDS", 0.0)
        train_run(quick(), corpus(), folder, report=events)
    return SimpleNamespace(folder=folder, events=events)


def test_weights_are_those_of_a_run_without_previews(shown, tmp_path, monkeypatch):
    class Nothing(TrainerCallback):
        def __init__(self, *given):
            pass

    monkeypatch.setattr(runs, "Previews", Nothing)
    train_run(quick(), corpus(), tmp_path / "run")
    assert_equal(shown.folder, tmp_path / "run")


@pytest.mark.parametrize("step", [5, 11])
def test_weights_of_a_resumed_run_are_those_of_an_uninterrupted_one(step, shown, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train_run(quick(), corpus(), tmp_path / "run", report=Events(step))
    train_run(quick(), corpus(), tmp_path / "run", resume=True)
    assert_equal(shown.folder, tmp_path / "run")


def test_each_epoch_shows_the_same_texts(shown):
    names = [name for name, _ in shown.events if name in ("validation", "preview")]
    assert names == ["validation", "preview"] * 3
    shows = shown.events.of("preview")
    assert [values["step"] for values in shows] == [8, 16, 24]
    texts = [[text for text, _ in values["reconstructions"]] for values in shows]
    assert texts[0] == texts[1] == texts[2] and set(texts[0]) <= set(corpus().valid)
    assert all(len(values["samples"]) == 2 for values in shows)
    # The weights differ, so the texts do.
    assert shows[0]["samples"] != shows[2]["samples"]


def test_a_preview_shows_the_texts_of_the_trained_model(shown):
    finished, last = SentenceVAE.from_pretrained(shown.folder), shown.events.of("preview")[-1]
    texts, decoded = zip(*last["reconstructions"], strict=True)
    whole = finished.reconstruct(texts, Decoding(max_new_tokens=max_tokens()))
    assert [text.removesuffix(" ...") for text in decoded] == whole


def max_tokens() -> int:
    """Tokens of the longest validation text, begin and end included."""
    return max(len(text.split()) for text in corpus().valid) + 2


def test_a_first_sample_comes_before_a_long_epoch_ends(shown):
    (sample,) = shown.events.of("sample")
    assert sample["step"] == 1 and isinstance(sample["text"], str)


def test_short_epochs_show_no_first_sample(tmp_path):
    events = Events()
    train_run(recipe(epochs=1), corpus(), tmp_path / "run", report=events)
    assert events.of("preview") and not events.of("sample")


def test_tensorboard_has_the_texts(shown):
    assert {"reconstructions/text_summary", "samples/text_summary"} <= set(
        tags(shown.folder)["tensors"]
    )


def test_tensorboard_has_the_images_of_image_models(tmp_path):
    document, events = IMAGE_RECIPE | {"train": {"epochs": 1}}, Events()
    train_run(read_recipe(document, "digits"), digits(64), tmp_path / "run", report=events)
    # One grid of all images for each tag.
    assert {"reconstructions", "samples"} <= set(tags(tmp_path / "run")["images"])
    assert not events.of("preview")


def test_a_language_model_shows_samples_alone(tmp_path):
    events = Events()
    train_run(recipe(latent=False, epochs=1), corpus(), tmp_path / "run", report=events)
    (values,) = events.of("preview")
    assert values["reconstructions"] == [] and len(values["samples"]) == 2


@pytest.fixture(scope="module")
def words():
    """A word tokenizer of twelve ids, and texts of one to nine words."""
    draw = random.Random(0)
    texts = [" ".join(draw.choices("abcdefgh", k=number)) for number in range(1, 10)]
    tokenizer = train_tokenizer("word", texts, 12)
    return tokenizer, Sentences.encoded(tokenizer, texts), texts


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_a_graph_has_a_preview_where_it_has_one_decoder(name, words):
    tokenizer, valid, _ = words
    model = vae(**GRAPHS[name])
    preview = preview_of(model, valid, tokenizer)
    assert isinstance(preview, TextPreview) == (len(model.main_decoders) == 1)


@pytest.mark.parametrize("name", ["vae", "free prior", "fitted prior", "hierarchy", "classes"])
def test_a_preview_leaves_the_model_and_the_random_state(name, words):
    tokenizer, valid, texts = words
    model = vae(**GRAPHS[name])
    model.train()
    trainer = SimpleNamespace(vae=model, candidate=model, valid=valid)
    callback = Previews(trainer, tokenizer, lambda event, values: None)
    before = torch.get_rng_state()
    values = callback.of_model(callback.preview)
    assert torch.equal(before, torch.get_rng_state()) and model.training
    # The texts of ordinary length: five words, and four.
    assert [text for text, _ in values["reconstructions"]] == [texts[4], texts[3]]
    assert values == callback.of_model(callback.preview)


def test_weights_that_are_not_finite_have_no_preview(words):
    tokenizer, valid, _ = words
    model = vae(**GRAPHS["vae"])
    next(model.parameters()).data.fill_(torch.nan)
    trainer = SimpleNamespace(vae=model, candidate=model, valid=valid)
    callback = Previews(trainer, tokenizer, lambda event, values: None)
    assert callback.of_model(callback.preview) is None


def test_texts_are_no_longer_than_the_validation_texts(words):
    tokenizer, valid, _ = words
    model = vae(**GRAPHS["vae"])
    preview = TextPreview(valid, tokenizer)
    values = preview(model)
    decoded = [*values["samples"], *(text for _, text in values["reconstructions"])]
    longest = int(np.max(valid.lengths))
    assert all(len(text.removesuffix(" ...").split()) <= longest for text in decoded)
    assert any(text.endswith(" ...") for text in decoded)


def test_bags_of_words_have_no_preview(words):
    tokenizer, valid, _ = words
    graph = GRAPHS["vae"] | {
        "decoders": [{"name": "text", "kind": "bag", "hidden": 6, "given": ["z"]}]
    }
    assert preview_of(vae(**graph), valid, tokenizer) is None
