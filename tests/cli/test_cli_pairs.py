"""Questions with their answers from a paragraph: from a table to a table."""

import csv
import json
import random

import yaml

ENCODERS = [
    {"name": "paragraph", "kind": "lstm", "hidden": 8},
    {"name": "question", "kind": "lstm", "hidden": 8},
    {"name": "answer", "kind": "span", "field": "answer", "given": ["paragraph"]},
]
LATENTS = [
    {
        "name": "zx",
        "kind": "gaussian",
        "dim": 3,
        "given": ["paragraph", "question"],
        "prior": {"given": ["paragraph"]},
    },
    {
        "name": "zy",
        "kind": "gumbel",
        "codes": 2,
        "size": 3,
        "given": ["answer", "zx"],
        "prior": {"given": ["paragraph", "zx"]},
    },
]
SEEN = {"given": ["zx", "zy"], "attend": "paragraph", "hidden": 8}
RECIPE = {
    "model": {
        "encoders": ENCODERS,
        "latents": LATENTS,
        "decoders": [
            {"name": "answer", "kind": "span", **SEEN},
            {"name": "question", "kind": "copy", **SEEN},
        ],
    },
    "objective": {"kind": "elbo", "kl_weight": 0.1},
    "tokenizer": {"kind": "unigram", "vocab_size": 320},
    "data": {
        "valid_fraction": 0.2,
        "test_fraction": 0.2,
        "fields": {"paragraph": {}, "question": {}, "answer": {"within": "paragraph"}},
    },
    "train": {"epochs": 1, "batch_size": 16, "validation_samples": 1},
}


def table(count):
    """JSON lines of paragraphs with a question and the characters of its answer."""
    choose = random.Random(0)
    lines = []
    for _ in range(count):
        name, town = choose.choice(["Ann", "Bob", "Eve"]), choose.choice(["Oslo", "Rome", "Bern"])
        year = choose.randrange(1900, 2000)
        paragraph = f"{name} moved to ({town}) in {year}, with a cat."
        start = paragraph.index(town)
        row = {"question": f"Where did {name} go in {year}?", "answer": [start, start + len(town)]}
        lines.append(json.dumps({"paragraph": paragraph, **row}))
    return "\n".join(lines)


def test_pairs_are_trained_evaluated_and_written_to_a_table(textvae, tmp_path):
    (tmp_path / "pairs.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text(table(60), encoding="utf-8")
    common = ("--data", "rows.jsonl", "--output", "run", "--device", "cpu")
    trained = textvae("train", "pairs.yaml", *common)
    assert not trained.code, trained.err
    assert "are not in their" not in trained.err
    evaluated = textvae("evaluate", "run", "--samples", "3", "--generation", "--json")
    assert not evaluated.code, evaluated.err
    metrics = evaluated.json
    assert metrics["prior_mean_perplexity"] > 1 and metrics["dimensions"] == 9
    assert "no bound" in metrics["notes"]["prior_mean_perplexity"]
    (tmp_path / "new.csv").write_text("paragraph\nAnn moved to Oslo.\nBob (Rome) has a cat.\n")
    written = textvae("sample", "run", "-n", "3", "--given-file", "new.csv", "--out", "pairs.csv")
    assert not written.code, written.err
    with (tmp_path / "pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["paragraph"] for row in rows} == {"Ann moved to Oslo.", "Bob (Rome) has a cat."}
    for row in rows:
        assert set(row) == {"paragraph", "answer", "question"}
        assert row["answer"] and row["answer"] in row["paragraph"]
