"""`textvae factors`: parts of the KL and known factors, of images and of texts."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from textvae.analysis.factors import image_factors
from textvae.api.image import open_model
from textvae.data.errors import DataError
from textvae.data.npz_files import npz_factors


@pytest.fixture
def factored(tmp_path):
    """An npz file of digits; a factor is the digit, another one is the row's number."""
    loaded = load_digits()
    images = (loaded.images[:200] * 15).astype(np.uint8)
    factors = np.stack([loaded.target[:200], np.arange(200) % 3], 1)
    np.savez(
        tmp_path / "digits.npz",
        images=images,
        factors=factors,
        factor_names=np.array(["digit", "nothing"]),
    )
    return tmp_path / "digits.npz"


def test_factors_of_images_are_those_of_the_npz_file(textvae, image_run, factored):
    answer = textvae("factors", image_run, "--data", factored, "--json")
    assert answer.code == 0, answer.err
    metrics = json.loads(answer.out)
    assert metrics["rows"] == 200
    digit, nothing = metrics["factors"]
    assert (digit["name"], digit["values"], nothing["values"]) == ("digit", 10, 3)
    # A digit is seen in the latents, the row's number is not.
    assert digit["information"] > 0.15 > nothing["information"]
    assert metrics["mutual_information"] > 0
    printed = textvae("factors", image_run, "--data", factored).out
    assert "total correlation" in printed and "digit" in printed


def test_without_factors_the_parts_add_up_to_the_kl(image_run):
    vae = open_model(image_run)
    metrics = image_factors(vae, str(image_run), None)
    assert metrics.mutual_information_gap is None
    parts = metrics.mutual_information + metrics.total_correlation + metrics.marginal_kl
    kl = vae.evaluate(np.asarray((load_digits().images * 15).astype(np.uint8)), samples=1).kl
    # One sample of each of 1,797 posteriors.
    assert parts == pytest.approx(kl, abs=0.5)


def test_label_columns_are_the_factors_of_texts(textvae, runs, tmp_path):
    lines = [line for line in (runs / "texts.txt").read_text().splitlines() if line][:60]
    table = ["text,length,side"]
    table += [f'"{line}",{len(line.split())},{number % 2}' for number, line in enumerate(lines)]
    (tmp_path / "texts.csv").write_text("\n".join(table))
    options = ["--label-column", "length", "--label-column", "side"]
    answer = textvae("factors", runs / "vae", "--data", tmp_path / "texts.csv", *options, "--json")
    assert answer.code == 0, answer.err
    metrics = json.loads(answer.out)
    assert [each["name"] for each in metrics["factors"]] == ["length", "side"]


def test_models_and_options_that_do_not_fit_are_refused(refused, runs, image_run):
    assert "it is a language model" in refused("factors", runs / "lm")
    assert "--label-column goes with --data" in refused(
        "factors", runs / "vae", "--label-column", "x"
    )


@pytest.mark.parametrize(
    ("factors", "message"),
    [(np.zeros(3, int), "must be"), (np.zeros((3, 2)), "must be"), (None, None)],
)
def test_factors_must_be_a_table_of_whole_numbers(tmp_path, factors, message):
    arrays = {} if factors is None else {"factors": factors}
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 4, 4), np.uint8), **arrays)
    if message is None:
        assert npz_factors(tmp_path / "x.npz") is None
        return
    with pytest.raises(DataError, match=message):
        npz_factors(tmp_path / "x.npz")


def test_as_many_factors_as_images_are_needed(refused, image_run, tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (9, 8, 8), np.uint8)
    np.savez(tmp_path / "few.npz", images=images, factors=np.zeros((8, 2), int))
    assert "8 rows of factors for 9 images" in refused(
        "factors", image_run, "--data", tmp_path / "few.npz"
    )
