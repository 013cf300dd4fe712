"""Commands on recipes and the shipped corpus."""

from pathlib import Path

from support.commands import listing

ROOT = Path(__file__).resolve().parents[2]


def test_recipes_are_listed(textvae):
    names = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    listed = textvae("recipes", "--json").json
    assert [recipe["name"] for recipe in listed] == names
    out = textvae("recipes").out
    assert all(recipe["paper"] in out and recipe["summary"] in out for recipe in listed)


def test_systems_page_is_current(textvae):
    answer = textvae(
        "recipes", "--markdown", "page.md", "--results", ROOT / "docs/results.json", "--json"
    )
    assert answer.code == 0
    page = (ROOT / "docs/systems.md").read_text(encoding="utf-8")
    assert Path("page.md").read_text(encoding="utf-8") == page, (
        "run: textvae recipes --markdown docs/systems.md"
    )


def test_show_prints_a_file_that_gives_the_same_recipe(textvae):
    changed = ["--set", "latents.z.dim=5", "--set", "train.learning_rate=1e-4"]
    shown = textvae("show", "bowman2016", *changed)
    Path("bowman2016.yaml").write_text(shown.out)
    assert textvae("show", "./bowman2016.yaml").out == shown.out
    document = textvae("show", "./bowman2016.yaml", "--json").json
    assert document == textvae("show", "bowman2016", *changed, "--json").json
    assert document["model"]["latents"][0]["dim"] == 5
    assert document["train"]["learning_rate"] == 1e-4
    assert document["train"]["batch_size"] == 32  # a default


def test_make_corpus_writes_the_shipped_sentences(textvae, monkeypatch):
    # All of it, with its entropy, takes twenty seconds and has a test beside the grammar.
    monkeypatch.setattr("textvae.corpus.files.SIZES", {"train": 300})
    monkeypatch.setattr("textvae.corpus.files._facts", lambda seed, surprisals: {})
    assert textvae("make-corpus", "again", "--json").json == {"folder": "again"}
    assert listing(Path("again")) == ["corpus.json", "train.labels.tsv", "train.txt"]
    for name in ("train.labels.tsv", "train.txt"):
        written = Path("again", name).read_bytes()
        assert written.count(b"\n") >= 300
        assert (ROOT / "data" / name).read_bytes().startswith(written)


def test_make_corpus_leaves_other_texts_alone(refused, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/test.txt").write_text("mine .\n")
    assert "holds a test.txt of yours; name another folder" in refused("make-corpus")
