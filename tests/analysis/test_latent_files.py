"""Latents of texts are written in blocks: every format, every number of texts, constant memory."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from textvae.analysis.exports import (
    LatentBlock,
    text_blocks,
    write_latents,
    written_for_projector,
)
from textvae.analysis.planes import moments_of, principal_plane
from textvae.data.readers import DataError, stream_split


class Lengths:
    """A model whose latents are numbers of a text."""

    def __init__(self):
        self.calls = []

    def encode(self, texts, return_scales):
        assert return_scales
        self.calls.append(len(texts))
        means = np.array([[len(text), hash(text) % 97, 1.5] for text in texts], np.float32)
        return means, means / 2


def sentences(count: int) -> Iterator[str]:
    return (f"sentence {number} {'x' * (number % 13)}" for number in range(count))


def read(path) -> tuple[np.ndarray, np.ndarray | None]:
    """The means and, where the format has them, the scales."""
    if path.suffix == ".npy":
        return np.load(path), None
    if path.suffix == ".npz":
        with np.load(path) as stored:
            assert sorted(stored) == ["mean", "scale"]
            return stored["mean"], stored["scale"]
    from pyarrow import parquet

    table = parquet.read_table(path)
    columns = [
        np.stack([table[f"{name}_{d}"].to_numpy() for d in range(3)], 1)
        for name in ("mean", "scale")
    ]
    return columns[0], columns[1]


@pytest.mark.parametrize("ending", [".npy", ".npz", ".parquet"])
@pytest.mark.parametrize(("count", "most"), [(1, 4), (8, 4), (9, 4), (50, 7)])
def test_blocks_are_one_array(tmp_path, ending, count, most):
    vae, out = Lengths(), tmp_path / f"z{ending}"
    assert write_latents(out, count, text_blocks(vae, sentences(count), most)) == 3
    means, scales = vae.encode(list(sentences(count)), True)
    found = read(out)
    np.testing.assert_array_equal(found[0], means)
    assert found[0].dtype == np.float32
    if ending != ".npy":
        np.testing.assert_array_equal(found[1], scales)
    assert max(vae.calls[:-1]) <= most
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_parquet_has_the_texts(tmp_path):
    from pyarrow import parquet

    write_latents(tmp_path / "z.parquet", 9, text_blocks(Lengths(), sentences(9), 4))
    assert parquet.read_table(tmp_path / "z.parquet")["text"].to_pylist() == list(sentences(9))


def test_images_have_no_texts(tmp_path):
    from pyarrow import parquet

    means = np.ones((4, 2), np.float32)
    write_latents(tmp_path / "z.parquet", 4, [LatentBlock(None, means, means)])
    names = parquet.read_table(tmp_path / "z.parquet").column_names
    assert names == ["x", "y", "mean_0", "mean_1", "scale_0", "scale_1"]


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("most", [4, 100])
def test_parquet_has_the_places_on_the_principal_axes(tmp_path, width, most):
    from pyarrow import parquet

    means = (500 + np.random.default_rng(0).normal(size=(50, width))).astype(np.float32)
    blocks = [
        LatentBlock(None, part, part) for part in np.array_split(means, -(-len(means) // most))
    ]
    write_latents(tmp_path / "z.parquet", 50, blocks)
    table = parquet.read_table(tmp_path / "z.parquet")
    expected = principal_plane(*moments_of(means)).place(means)
    np.testing.assert_allclose(table["x"].to_numpy(), expected[:, 0], atol=1e-4)
    second = expected[:, 1] if width > 1 else np.zeros(50)
    np.testing.assert_allclose(table["y"].to_numpy(), second, atol=1e-4)


def test_parquet_has_labels_beside_its_own_columns(tmp_path):
    from pyarrow import parquet

    labels = {"stars": [str(n) for n in range(9)], "x": ["b"] * 9, "text": ["c"] * 9}
    blocks = text_blocks(Lengths(), sentences(9), 4, labels)
    write_latents(tmp_path / "z.parquet", 9, blocks)
    table = parquet.read_table(tmp_path / "z.parquet")
    assert table.column_names[:6] == ["text", "stars", "label_x", "label_text", "x", "y"]
    assert table["stars"].to_pylist() == labels["stars"]


@pytest.mark.parametrize("labels", [{}, {"stars": [str(n) for n in range(9)]}])
def test_the_projector_gets_two_tables(tmp_path, labels):
    texts = [f"text\t{n}\nline" for n in range(9)]
    blocks = text_blocks(Lengths(), iter(texts), 4, labels)
    write_latents(tmp_path / "z.npy", 9, written_for_projector(blocks, tmp_path / "logs"))
    logs = tmp_path / "logs"
    tensors = np.loadtxt(logs / "tensors.tsv", delimiter="\t")
    np.testing.assert_allclose(tensors, np.load(tmp_path / "z.npy"), rtol=1e-5)
    rows = (logs / "metadata.tsv").read_text().splitlines()
    assert len(rows) == 9 + bool(labels)
    if labels:
        assert rows[:2] == ["text\tstars", "text\\t0\\nline\t0"]
    config = (logs / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "tensors.tsv"' in config and 'metadata_path: "metadata.tsv"' in config


def test_encode_writes_labels_and_the_projector(runs, textvae, tmp_path):
    from pyarrow import parquet

    (tmp_path / "mine.csv").write_text("text,stars\nthe dog,5\n,3\na cat,\n")
    given = ["encode", "mine.csv", "--model", runs / "vae", "--out", "z.parquet"]
    answer = textvae(*given, "--label-column", "stars", "--projector", "logs", "--json")
    assert answer.code == 0, answer.err
    assert (answer.json["texts"], answer.json["projector"]) == (2, "logs")
    table = parquet.read_table(tmp_path / "z.parquet")
    assert table["text"].to_pylist() == ["the dog", "a cat"]
    assert table["stars"].to_pylist() == ["5", ""]
    assert (tmp_path / "logs/metadata.tsv").read_text() == "text\tstars\nthe dog\t5\na cat\t\n"


def test_long_texts_make_smaller_blocks():
    vae = Lengths()
    list(text_blocks(vae, ("x" * 2**19 for _ in range(5))))
    assert vae.calls == [2, 2, 1]


@pytest.mark.parametrize("ending", [".npy", ".npz", ".parquet"])
def test_an_error_in_the_middle_leaves_the_old_file(tmp_path, ending):
    def broken():
        yield from sentences(10)
        raise DataError("changed while it was read")

    out = tmp_path / f"z{ending}"
    out.write_bytes(b"old")
    with pytest.raises(DataError, match="changed"):
        write_latents(out, 20, text_blocks(Lengths(), broken(), 4))
    assert out.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def peak(out, count: int) -> int:
    """Bytes that Python and numpy hold at most."""
    tracemalloc.start()
    write_latents(out, count, text_blocks(Lengths(), sentences(count), 500))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


@pytest.mark.parametrize("ending", [".npy", ".npz", ".parquet"])
def test_memory_does_not_grow_with_the_texts(tmp_path, ending):
    out = tmp_path / f"z{ending}"
    peak(out, 1000)
    assert peak(out, 40_000) < 1.3 * peak(out, 2_000) + 100_000


def test_a_streamed_file_is_read_anew(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("a cat\n\n  a dog \n")
    texts, notes = stream_split(str(path))
    assert len(texts) == 2 and list(texts) == list(texts) == ["a cat", "a dog"]
    assert notes == [f"{path}: skipped 1 blank line"]
    path.write_text("a cat\na bird\n")
    with pytest.raises(DataError, match="changed while it was read"):
        list(texts)
