"""Generated pages are current, and every link of the documentation leads to a file."""

import re
from collections import Counter
from pathlib import Path

import pytest

from textvae.analysis.pages import (
    SECTIONS,
    fill_blocks,
    generated_pages,
    results_tables,
    systems_page,
    targets_met,
)
from textvae.analysis.result_metrics import METRICS
from textvae.analysis.stored_results import read_results

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def stored():
    return read_results(DOCS / "results.json")


def test_generated_pages_are_current():
    stale = [
        page.name
        for page, text in generated_pages(DOCS)
        if page.read_text(encoding="utf-8") != text
    ]
    assert not stale, "run: python benchmarks/pages.py"


def test_each_stored_recipe_has_one_row_of_results(stored):
    rows = Counter(name for section in SECTIONS.values() for name in section.select(stored))
    assert rows == Counter(stored.keys())


def test_every_table_is_on_a_page(stored):
    text = "".join(
        page.read_text(encoding="utf-8") for page in [DOCS / "results.md", *DOCS.glob("results/*")]
    )
    named = Counter(re.findall(r"<!-- generated: (\w+) -->", text))
    assert named == Counter(results_tables(stored, "").keys())


def test_results_page_is_short():
    assert len((DOCS / "results.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_unknown_block_is_an_error():
    page = "before\n<!-- generated: a -->\nold\n<!-- end -->\nafter\n"
    assert fill_blocks(page, {"a": "new"}) == page.replace("old", "new")
    with pytest.raises(ValueError, match="no generated table 'a'"):
        fill_blocks(page, {"b": "new"})


def test_metric_reads_old_and_new_names():
    gap = METRICS["gap"]
    assert gap.cell({"latent_worth": 2.0}) == gap.cell({"shuffled_z_gap": 2.0}) == "2.00"
    assert gap.cell({"latent_worth": None}) == gap.cell({}) == ""


def test_targets_met_counts_unmeasured_ones_as_missed(stored):
    assert targets_met("zhu2020_batchnorm", stored) == "3 of 3"
    assert targets_met("zhu2020_batchnorm", {}) == "0 of 3"
    assert targets_met("best_ptb", stored) == "2 of 4, 2 undecided"
    assert targets_met("lstm_lm", stored) == "baseline"


def test_page_of_systems_shows_stored_results(stored):
    empty = systems_page({})
    assert "not yet measured" in empty and "[bowman2016](../configs/bowman2016.yaml)" in empty
    (row,) = [line for line in empty.splitlines() if "| [lstm_lm](" in line]
    assert "| none: a baseline |" in row
    page = systems_page(stored)
    rows = [line for line in page.splitlines() if "| [best_ptb](" in line]
    assert "| 87.68 | yes |" in rows[0] and "| 87.68 | undecided |" in rows[1]
    assert "96.86 (Li et al. 2020" in rows[0]
    cells = {line.count("|") for line in page.splitlines() if line.startswith("|")}
    assert cells == {8}, "every row has seven cells"


@pytest.mark.parametrize(
    "page", [ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.name
)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), target
