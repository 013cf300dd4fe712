"""Texts, columns, labels and recipes of strangers: escaped, short, in any encoding."""

import io
import json
import sys

import pytest
from support.commands import run_quietly

from textvae.console import visible

RED = "\x1b]0;pwned\x07\x1b[31mred text"
GENERATED = ["two\nlines", RED, "he\x9bllo", "a\u2028b", "ok"]


def assert_clean(answer):
    for stream in (answer.out, answer.err):
        assert visible(stream.replace("\n", "")) == stream.replace("\n", "")


def test_neighbours_are_escaped(textvae, runs, tmp_path):
    (tmp_path / "esc.txt").write_text(f"{RED}\nthe soup was cold .\nhe\x9b31mllo\n")
    for more in ([], ["--json"]):
        arguments = ("nearest", RED, "--data", "esc.txt", "--model", runs / "vae", *more)
        answer = textvae(*arguments)
        assert answer.code == 0, answer.err
        assert_clean(answer)
    assert {row["text"] for row in answer.json} == {RED, "the soup was cold .", "he\x9b31mllo"}


@pytest.mark.parametrize("header", ["\x1b[31mred,b", "a\x07b,c", "x\u202ey,z"])
def test_columns_are_escaped_in_errors(refused, runs, tmp_path, header):
    (tmp_path / "header.csv").write_text(f"{header}\nx,y\n")
    error = refused("encode", "header.csv", "--model", runs / "vae")
    assert visible(header.split(",")[0]) in error
    assert visible(error.strip("\n")) == error.strip("\n")


@pytest.mark.parametrize(
    "arguments", [["--model", "\x1b[31mx"], ["--text-column", "a\x1b\nb"], ["--\x1b[31m"]]
)
def test_arguments_are_escaped_in_errors(refused, runs, tmp_path, arguments):
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    model = [] if "--model" in arguments else ["--model", runs / "vae"]
    error = refused("encode", "t.csv", *model, *arguments)
    assert visible(error.strip("\n")) == error.strip("\n")


@pytest.fixture
def generating(monkeypatch):
    """Models that generate texts of a stranger."""
    vae = "textvae.api.sentence.SentenceVAE"
    rows = [{"text": text} for text in GENERATED]
    monkeypatch.setattr(f"{vae}.sample_rows", lambda *arguments, **options: rows)
    monkeypatch.setattr(f"{vae}.interpolate", lambda *arguments: list(GENERATED))
    monkeypatch.setattr(f"{vae}.reconstruct", lambda self, texts, *more: GENERATED[: len(texts)])


def test_a_generated_line_end_splits_no_line(textvae, runs, generating):
    answer = textvae("sample", runs / "vae")
    assert answer.out.splitlines() == [visible(text) for text in GENERATED]
    answer = textvae("interpolate", "a\nb", "c\x1bd", "--model", runs / "vae", "--steps", "5")
    assert len(answer.out.splitlines()) == 7
    assert_clean(answer)
    answer = textvae("reconstruct", "a\nb", "c\x1bd", "--model", runs / "vae")
    assert len(answer.out.splitlines()) == 4
    assert_clean(answer)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_samples_are_printed_in_any_encoding(runs, monkeypatch, encoding, more):
    samples = ["老师", "naïve \ufffd", "🙂"]
    rows = [{"text": text} for text in samples]
    sample = "textvae.api.sentence.SentenceVAE.sample_rows"
    monkeypatch.setattr(sample, lambda *arguments, **options: rows)
    out = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", out)
    assert run_quietly("sample", runs / "vae", *more) == 0
    printed = out.buffer.getvalue().decode(encoding)
    if more:
        assert json.loads(printed)["samples"] == samples
    else:
        assert printed.encode(encoding) == "\n".join([*samples, ""]).encode(
            encoding, "backslashreplace"
        )


def alias_bomb(levels: int) -> str:
    lists = [f"&a0 [{','.join(['x'] * 10)}]"]
    lists += [f"&a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return f"[{', '.join(lists)}]"


@pytest.mark.parametrize("levels", [6, 9, 30])
@pytest.mark.parametrize("key", ["paper", "model", "train", "claim", "pretrain", "unknown"])
def test_an_alias_bomb_is_one_short_line(refused, tmp_path, levels, key):
    rest = {"model": "{}", "objective": "{kind: elbo}"} | {key: alias_bomb(levels)}
    (tmp_path / "bomb.yaml").write_text("".join(f"{k}: {v}\n" for k, v in rest.items()))
    error = refused("show", "bomb.yaml")
    assert error == (
        "error: bomb.yaml aliases repeat more than 100,000 characters; write out what is needed\n"
    )


MODEL = """
model:
  encoders: [{{name: {field}, kind: {encoder}, hidden: {hidden}}}]
  latents: [{{name: z, kind: {latent}, dim: 4, given: [{field}]}}]
  decoders: [{{name: {field}, kind: {encoder}, hidden: {hidden}, {more}given: [z]}}]
objective: {{kind: elbo}}
"""


def test_a_list_as_the_kind_of_a_latent_is_one_line(refused, tmp_path):
    text = MODEL.format(field="text", encoder="lstm", hidden=8, latent="[gaussian]", more="")
    (tmp_path / "kind.yaml").write_text(text)
    error = refused("show", "kind.yaml")
    assert error.startswith("error: latents.z.kind: unknown ['gaussian'] (known: ")


def test_a_list_as_the_kind_of_a_likelihood_is_one_line(refused, tmp_path):
    more = "likelihood: {kind: [bernoulli]}, "
    text = MODEL.format(field="image", encoder="mlp", hidden="[8]", latent="gaussian", more=more)
    (tmp_path / "kind.yaml").write_text(text + "data: {modality: image}\n")
    error = refused("show", "kind.yaml")
    assert error.startswith("error: decoders.image.likelihood.kind: unknown ['bernoulli'] (known")


def test_unknown_keys_with_escapes_are_one_line_each(refused, tmp_path):
    (tmp_path / "keys.yaml").write_text(
        'model: {}\nobjective: {kind: elbo}\n"\\e[31mred": 1\n"two\\nlines": 2\n'
    )
    error = refused("show", "keys.yaml", mistakes=2)
    assert r"\x1b[31mred: unknown key" in error and "two lines: unknown key" in error


def test_latents_of_a_file_are_those_of_its_texts(textvae, runs, tmp_path):
    import numpy as np

    from textvae.api.sentence import SentenceVAE

    vae = SentenceVAE.from_pretrained(runs / "vae")
    texts = (runs / "texts.txt").read_text().splitlines()
    means, scales = vae.encode(texts, return_scales=True)
    assert textvae("encode", runs / "texts.txt", "--model", runs / "vae").code == 0
    with np.load(tmp_path / "z.npz") as stored:
        np.testing.assert_allclose(stored["mean"], means, atol=1e-5)
        np.testing.assert_allclose(stored["scale"], scales, atol=1e-5)
