"""The default recipe on corpora that it was not made for, where their files are at hand."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the corpora are not in ../shared/data"),
]


@pytest.fixture(scope="module", params=["snli", "yelp_short"])
def row(request, tmp_path_factory):
    """A row of the benchmark: 500 sentences of a corpus, no option but `--data`."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import own_data

    out = tmp_path_factory.mktemp("own_data")
    command = [sys.executable, ROOT / "benchmarks/own_data.py", DATA, out]
    options = ["--corpora", request.param, "--sizes", "500", "--seeds", "0"]
    subprocess.run([*command, *options], check=True, cwd=ROOT)
    (row,) = own_data.read_table(out)
    return row | {"log": (out / f"runs/default-{request.param}-500-0.log").read_text()}


def test_the_model_is_better_than_a_unigram_model(row):
    assert row["below_unigram"] >= 0.10


def test_the_latent_is_in_use(row):
    assert row["mutual_information"] >= 1 and row["active_units"] >= 8


def test_few_texts_are_warned_of(row):
    assert "too few" in row["log"] and row["seconds"] < 180
