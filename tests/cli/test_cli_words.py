"""Commands on texts whose words a model does not know, or that blanks do not separate."""

import json
import random

import pytest
from support.commands import TINY, TINY_LM, copy_run, run_quietly, sentences

TINY_WORDS = [*TINY, "--set=tokenizer={kind: word, vocab_size: 400}", "--set=train.epochs=1"]
WHO, DOES, WHAT = ("老师", "医生", "我们"), ("喜欢", "看见", "忘记了"), ("新的电影", "一本旧书")


def chinese() -> list[str]:
    """60 sentences without a blank."""
    draw = random.Random(0)
    return [f"{draw.choice(WHO)}{draw.choice(DOES)}{draw.choice(WHAT)}。" for _ in range(60)]


@pytest.fixture(scope="module")
def word_run(runs, tmp_path_factory):
    """A VAE over whole words."""
    folder = tmp_path_factory.mktemp("words") / "run"
    data = runs / "texts.txt"
    assert run_quietly("train", "--data", data, "--output", folder, *TINY_WORDS) == 0
    return folder


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (("interpolate", "the zzyzx", "qwfp saw the soup"), "zzyzx, qwfp"),
        (("reconstruct", "a cat", "zzyzx zzyzx"), "zzyzx"),
        (("nearest", "zzyzx soup"), "zzyzx"),
    ],
)
def test_unknown_words_are_named(command, names, word_run, textvae):
    answer = textvae(*command, "--model", word_run)
    assert answer.code == 0, answer.err
    assert f"note: unknown to the model: {names}\n" in answer.err


def test_encode_tells_the_share_of_unknown_words(word_run, textvae, tmp_path):
    (tmp_path / "more.txt").write_text("\n".join([*sentences()[:9], "zzyzx qwfp zzyzx"]))
    answer = textvae("encode", "more.txt", "--model", word_run)
    assert " words are unknown to the model, mostly: zzyzx, qwfp\n" in answer.err


def test_subwords_know_every_word(runs, textvae):
    answer = textvae("reconstruct", "zzyzx 他们", "--model", runs / "vae")
    assert answer.code == 0 and "unknown" not in answer.err


def test_evaluate_prints_the_share_of_unknown_tokens(word_run, textvae, tmp_path):
    (tmp_path / "other.txt").write_text("the zzyzx saw the soup .\nqwfp arst neio .\n")
    answer = textvae("evaluate", word_run, "--data", "other.txt", "--samples", 2)
    assert "4 of 10 are <unk>" in answer.out and "<unk>" not in answer.err
    (tmp_path / "other.txt").write_text("qwfp arst neio .\n")
    answer = textvae("evaluate", word_run, "--data", "other.txt", "--samples", 2)
    assert "warning: 75 % of the held-out tokens are <unk>" in answer.err


def test_texts_without_blanks_are_measured_by_character(textvae, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(chinese()), encoding="utf-8")
    answer = textvae("train", "--data", "texts.txt", "--output", "run", *TINY)
    assert answer.code == 0, answer.err
    assert "character perplexity" in answer.out and "word perplexity" not in answer.out
    stored = json.loads((tmp_path / "run/results.json").read_text())["metrics"]
    assert stored["word_perplexity"] is None and stored["character_perplexity"] > 1
    assert {"unigram_character_perplexity", "trigram_character_perplexity"} <= stored.keys()
    options = ["--data", "texts.txt", "--samples", 2, "--generation"]
    table = textvae("evaluate", "run", *options).out
    for text in ("different characters / characters", "per character, under a 3-gram", "tok:char"):
        assert text in table
    assert "character perplexity" in textvae("compare", "run").out


def test_whole_words_of_texts_without_blanks_are_warned_of(textvae, tmp_path):
    texts = [f"{text[:-1]}{n}。" for n, text in enumerate(chinese())]
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    answer = textvae("train", "lstm_lm", "--data", "texts.txt", "--output", "run", *TINY_LM)
    # Once before training, so that it can be stopped.
    assert "note: 100 % of the held-out tokens are <unk>" in answer.err.split("training on")[0]
    assert "warning: 100 % of the held-out tokens are <unk>" in answer.err
    assert "unknown tokens" in textvae("compare", "run").out


def test_models_without_a_run_leave_references_out(runs, textvae, tmp_path):
    copy_run(runs / "lm", tmp_path / "bare")
    (tmp_path / "bare/recipe.yaml").unlink()
    answer = textvae("evaluate", "bare", "--data", runs / "texts.txt")
    assert answer.code == 0 and "unigram" not in answer.out
    assert answer.err.count("note: no unigram and 3-gram nll") == 1
