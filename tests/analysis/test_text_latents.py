"""The latent space of a text model as a picture."""

import importlib.util
import json

import matplotlib.image
import numpy as np
import pytest

from textvae.analysis.text_latents import TextLatents, principal_components, project
from textvae.api.sentence import SentenceVAE


@pytest.fixture
def means():
    """Points that vary most in dimension 3, then in dimension 1."""
    spread = np.array([0.1, 2.0, 0.2, 5.0], np.float32)
    return np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32) * spread


def test_principal_components_are_the_directions_of_largest_variance(means):
    found = principal_components(means)
    values, vectors = np.linalg.eigh(np.cov(means.T.astype(np.float64)))
    order = values.argsort()[::-1][:2]
    assert found.variance == pytest.approx(values[order] / values.sum(), rel=1e-6)
    expected = (means - means.mean(0)) @ vectors[:, order]
    signs = np.sign((expected * found.points).sum(0))
    np.testing.assert_allclose(found.points, expected * signs, atol=1e-5)
    assert "mainly dimension 3" in found.axes[0] and "mainly dimension 1" in found.axes[1]
    assert f"{found.variance[0]:.0%} of the variance" in found.axes[0]


def test_principal_components_do_not_depend_on_signs(means):
    np.testing.assert_allclose(
        principal_components(means).points, -principal_components(-means).points, atol=1e-6
    )


def test_a_mixed_direction_names_no_dimension():
    line = np.outer(np.arange(9.0), np.ones(4))
    found = principal_components(line)
    assert found.axes[0] == "principal component 1 (100% of the variance)"


def test_one_dimension_is_a_line():
    found = project(np.arange(5, dtype=np.float32)[:, None], "pca", 0)
    assert found.variance == pytest.approx((1, 0)) and not found.points[:, 1].any()
    assert found.points[:, 0] == pytest.approx(np.arange(5) - 2)


def test_equal_means_are_drawn_by_pca_alone():
    equal = np.ones((9, 3), np.float32)
    assert not project(equal, "pca", 0).points.any()
    with pytest.raises(ValueError, match="--method tsne: the posterior means of all texts are eq"):
        project(equal, "tsne", 0)


@pytest.mark.parametrize("dim", [1, 4])
def test_t_sne_keeps_clusters_apart_and_follows_the_seed(dim):
    draw = np.random.default_rng(0)
    clusters = np.concatenate([draw.normal(size=(20, dim)), 50 + draw.normal(size=(20, dim))])
    found = project(clusters.astype(np.float32), "tsne", 3)
    again = project(clusters.astype(np.float32), "tsne", 3)
    np.testing.assert_array_equal(found.points, again.points)
    first, second = found.points[:20], found.points[20:]
    apart = np.linalg.norm(first.mean(0) - second.mean(0))
    assert apart > max(part.std(0).max() for part in (first, second))
    assert found.variance is None and "perplexity 13" in found.note


def test_umap_is_refused_where_it_is_not_installed(means, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="--method umap: pip install umap-learn, or take pca"):
        project(means, "umap", 0)


@pytest.fixture(scope="module")
def latents(runs):
    texts = (runs / "texts.txt").read_text().splitlines()
    labels = ["past" if " saw " in text else "" for text in texts]
    vae = SentenceVAE.from_pretrained(runs / "vae")
    return TextLatents(vae, texts[:40], labels[:40], len(texts), "texts.txt", seed=5)


@pytest.mark.parametrize("colour", ["label", "length", "first-word"])
@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_each_picture_has_its_file_and_its_result(method, colour, latents, tmp_path):
    result = latents.write(tmp_path / "mine", method, colour)
    picture = tmp_path / "mine" / f"{method}-{colour}.png"
    assert result["picture"] == str(picture)
    assert (result["texts"], result["held_out"], result["dimensions"]) == (40, 100, 3)
    assert json.loads(picture.with_suffix(".json").read_text()) == json.loads(json.dumps(result))
    assert matplotlib.image.imread(picture).std() > 0.01


def test_the_caption_names_what_is_drawn(latents):
    projection = project(latents.means, "pca", 5)
    first, second, third = latents.title(projection, "first-word").splitlines()
    assert first == "bowman2016: posterior means of 40 of 100 texts (texts.txt)"
    assert second.startswith("PCA of 3 dimensions, ") and second.endswith("of the variance")
    assert third == "colour: first word; seed 5"


def test_another_colour_or_seed_gives_another_picture(latents, tmp_path):
    names = ("pca-length", "pca-label")
    for name in names:
        latents.write(tmp_path, *name.split("-"))
    first, second = (matplotlib.image.imread(tmp_path / f"{name}.png") for name in names)
    assert first.shape == second.shape and (first != second).any()


def test_the_default_colour_explains_most_variance(latents, tmp_path):
    points = project(latents.means, "pca", 5).points
    shares = {c: latents.column(c).explained(points) for c in ("label", "length", "first-word")}
    assert latents.write(tmp_path)["colour"] == max(shares, key=lambda colour: shares[colour])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pca", "topic"), r"--colour must be label, length, first-word \(got 'topic'\)"),
        (("mds", "length"), r"--method must be pca, tsne, umap \(got 'mds'\)"),
    ],
)
def test_unknown_methods_and_colours_are_refused(arguments, message, latents, tmp_path):
    with pytest.raises(ValueError, match=message):
        latents.write(tmp_path / "none", *arguments)
    assert not (tmp_path / "none").exists()


def test_latent_draws_texts(runs, textvae, tmp_path):
    rows = [f"{text}\t{'ab'[n % 2]}" for n, text in enumerate((runs / "texts.txt").open())]
    table = "\n".join(["text\tkind", *(row.replace("\n", "") for row in rows)])
    (tmp_path / "mine.tsv").write_text(table)
    given = ["latent", runs / "vae", "--data", "mine.tsv", "--out", "pictures", "--json"]
    by_label = textvae(*given, "--label-column", "kind", "--limit", "30")
    assert by_label.code == 0, by_label.err
    assert (by_label.json["colour"], by_label.json["texts"]) == ("label", 30)
    assert textvae(*given).json["colour"] in ("length", "first-word")
    assert textvae(*given, "--color", "first-word").json["picture"] == "pictures/pca-first-word.png"
    assert sum(by_label.json["variance"]) <= 1
    text = textvae("latent", runs / "vae", "--out", "pictures")
    assert "texts, 3 dimensions, PCA, " in text.out and "pictures/pca-" in text.out


def test_latent_warns_of_a_collapsed_model(runs, textvae):
    answer = textvae("latent", runs / "dead", "--out", "pictures")
    assert answer.code == 0 and "the picture is not meaningful" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--colour", "label"], "name their --label-column"),
        (["--colour", "length", "--label-column", "x"], "--label-column is for --colour label"),
        (["--method", "umap2"], "--method must be"),
    ],
)
def test_latent_refuses_what_does_not_apply(arguments, message, runs, refused):
    data = ["--data", runs / "texts.txt", "--out", "pictures"]
    assert message in refused("latent", runs / "vae", *data, *arguments)


def test_latent_of_a_language_model_is_refused(runs, refused):
    data = ["--data", runs / "texts.txt", "--out", "pictures"]
    assert "no latent" in refused("latent", runs / "lm", *data)


def test_options_of_texts_are_refused_for_images(image_run, refused):
    assert "--method is for models of texts" in refused("latent", image_run, "--method", "pca")
