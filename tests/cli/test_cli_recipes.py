"""Commands on recipes and the shipped corpus."""

from pathlib import Path

from support.commands import listing

ROOT = Path(__file__).resolve().parents[2]


def test_recipes_are_listed(textvae):
    names = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    listed = textvae("recipes", "--json").json
    assert [recipe["name"] for recipe in listed] == names
    assert all(recipe.keys() == {"name", "paper", "summary", "purpose"} for recipe in listed)
    lines = textvae("recipes").out.splitlines()
    for recipe in listed:
        (line,) = [line for line in lines if line.split()[:1] == [recipe["name"]]]
        year = line.removesuffix(")")[-4:]
        assert recipe["summary"] in line and f" {year}, " in recipe["paper"]
    assert lines[0] == "start here (start)" and lines[1].split()[0] == "bowman2016"


def test_recipes_are_filtered_by_group_name_summary_and_paper(textvae, refused):
    every = {recipe["name"]: recipe for recipe in textvae("recipes", "--json").json}
    for words, expected in {
        "images": lambda recipe: recipe["purpose"] == "images" or "images" in recipe["summary"],
        "few labels": lambda recipe: (
            recipe["purpose"] == "labels" or "few labels" in recipe["summary"]
        ),
        "ZHU2020": lambda recipe: recipe["name"].startswith("zhu2020"),
        "arXiv:1903.10145": lambda recipe: recipe["name"].startswith("fu2019_cyclical"),
    }.items():
        names = {recipe["name"] for recipe in textvae("recipes", words, "--json").json}
        assert names == {name for name, recipe in every.items() if expected(recipe)} != set()
    out = textvae("recipes", "collapse").out
    assert out.startswith("against posterior collapse (collapse)\n") and "razavi2019_delta" in out
    message = refused("recipes", "no such thing")
    assert "no recipe matches 'no such thing' (groups: start, collapse, latent" in message


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


def test_the_whole_list_is_that_of_the_parser(textvae):
    answer = textvae("recipes")
    assert answer.code == 0 and answer.out == textvae("recipes", "").out
