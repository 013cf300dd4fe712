"""Vectors of the parts of rows, such as one for each period: read, trained on, sampled, encoded."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.commands import answer, run_quietly

from textvae.api.table import TableVAE
from textvae.config import DataConfig
from textvae.data.errors import DataError
from textvae.data.tables import read_table_corpus

RECIPE = """
model:
  encoders:
    - {name: docs, kind: mlp, hidden: [6]}
    - {name: window, kind: set, hidden: 6, given: [docs]}
  latents:
    - {name: z, kind: gaussian, dim: 2, given: [window]}
    - {name: period, kind: gaussian, dim: 2, given: [docs], prior: {given: [z]}}
  decoders: [{name: docs, kind: mlp, hidden: [6], likelihood: {kind: gaussian}, given: [period]}]
objective: {kind: elbo}
data: {fields: {docs: {kind: vector, plate: part}}}
train: {epochs: 2, batch_size: 16, learning_rate: 0.01}
"""


def vectors(rows: int = 60, parts: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(5.0, 2.0, (rows, parts, 4))


def jsonl(path: Path, rows: list) -> Path:
    path.write_text("".join(json.dumps({"docs": row}) + "\n" for row in rows), encoding="utf-8")
    return path


def read(source: Path, **field):
    fields = {"docs": {"kind": "vector", "plate": "part", **field}}
    return read_table_corpus(DataConfig(source=str(source), fields=fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "npz"])
def test_the_vectors_of_parts_are_read(tmp_path, kind):
    values, path = vectors().round(3), tmp_path / f"rows.{kind}"
    if kind == "npz":
        np.savez(path, docs=values)
    elif kind == "jsonl":
        jsonl(path, values.tolist())
    else:
        lines = ['"' + json.dumps(row) + '"' for row in values.tolist()]
        path.write_text("\n".join(["docs", *lines]) + "\n", encoding="utf-8")
    corpus = read(path)
    rows = [*corpus.train.columns["docs"], *corpus.valid.columns["docs"]]
    rows += corpus.test.columns["docs"]
    assert sorted(map(json.dumps, ([*map(list, row)] for row in rows))) == sorted(
        map(json.dumps, values.tolist())
    )
    assert len(corpus.values("docs")) == 3 * len(corpus.train)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([[1.0, None], [1.0, 2.0]], "part 1: a number is missing"),
        ([[1.0, "x"], [1.0, 2.0]], "part 1: 'docs[1]' must be a finite number"),
        ([[1.0], [1.0, 2.0]], "has parts of 1 and of 2 numbers"),
        ([], "has no part"),
    ],
)
def test_a_malformed_part_is_named(tmp_path, row, message):
    with pytest.raises(DataError, match="docs") as error:
        read(jsonl(tmp_path / "rows.jsonl", [row] * 30))
    assert message in str(error.value)


@pytest.mark.parametrize("values", [np.zeros((9, 4)), np.full((9, 2, 3), np.nan)])
def test_an_array_without_parts_or_with_gaps_is_refused(tmp_path, values):
    np.savez(tmp_path / "rows.npz", docs=values)
    with pytest.raises(DataError, match="docs"):
        read(tmp_path / "rows.npz")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("windows")
    jsonl(folder / "rows.jsonl", [row[: 1 + n % 3] for n, row in enumerate(vectors().tolist())])
    (folder / "windows.yaml").write_text(RECIPE)
    command = ["train", folder / "windows.yaml", "--data", folder / "rows.jsonl"]
    assert run_quietly(*command, "--output", folder / "run") == 0
    return folder / "run"


def test_a_trained_model_samples_and_encodes_parts(run, capsys):
    vae = TableVAE.from_pretrained(run)
    rows = vae.sample(40, seed=0)
    assert {len(row["docs"]) for row in rows} == {1, 2, 3}
    numbers = np.array([part for row in rows for part in row["docs"]])
    assert numbers.shape[1] == 4 and 2 < numbers.mean() < 8  # as in the table, not standardised
    values = vectors(5)
    found = vae.encode_parts({"docs": values})
    assert found.means["z"].shape == (5, 2) and found.means["period"].shape == (15, 2)
    one = vae.encode_parts({"docs": values[1].tolist()})
    np.testing.assert_allclose(one.by_row("period")[0], found.by_row("period")[1], atol=1e-5)
    code, out, _ = answer(capsys, "sample", str(run), "-n", "2", "--json")
    assert code == 0 and len(json.loads(out)["samples"]) == 2


def test_the_likelihood_of_a_row_is_the_sum_of_its_parts(run, capsys):
    code, out, _ = answer(capsys, "evaluate", str(run), "--samples", "2", "--json")
    found = json.loads(out)
    assert code == 0 and set(found["latent_kls"]) == {"z", "period"}
    assert 1 <= found["parts"]["part"] <= 3
