"""Generated rows: each metric by hand, and on the rows that a model writes."""

import pytest
import torch
from conftest import TEXT, Z, vae
from support.models import texts

from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import train_tokenizer
from textvae.evaluation.generated_rows import (
    generated_rows,
    mean_of_draws,
    rows_of,
)

TRAINING = [("home", "type", "house"), ("home", "city", "ulm"), ("work", "type", "office")]
HELD_OUT = [("work", "city", "ulm"), ("gym", "type", "club")]


def test_metrics_by_hand():
    written = [
        ("home", "type", "office"),  # valid, new
        ("home", "city", "ulm"),  # valid, of the training
        ("home", "city", "ulm"),
        ("work", "city", "ulm"),  # held out; work has never had a city
        ("home", "type", "ulm"),  # ulm is no type
    ]
    found = generated_rows(written, HELD_OUT, TRAINING)
    assert (found.valid, found.unique, found.novel) == (3 / 5, 4 / 5, 3 / 5)
    assert found.recall == 1 / 2
    assert (found.rows, found.held_out, found.known) == (5, 2, 3)


def test_a_value_counts_in_its_own_field_alone():
    known = [("a", "b", "c"), ("x", "c", "d")]
    assert generated_rows([("b", "c", "d")], HELD_OUT, known).valid == 0


def test_without_training_rows_the_held_out_ones_are_known():
    found = generated_rows([HELD_OUT[0], TRAINING[0]], HELD_OUT)
    assert (found.valid, found.novel, found.known) == (0.5, None, 2)


def test_several_draws_have_means_and_standard_errors():
    first = generated_rows([HELD_OUT[0], TRAINING[0]], HELD_OUT, TRAINING)
    second = generated_rows([HELD_OUT[1], TRAINING[0]] * 2, HELD_OUT + TRAINING, TRAINING)
    both = mean_of_draws([first, second])
    assert (first.recall, second.recall, both.recall) == (1 / 2, 2 / 5, pytest.approx(0.45))
    assert both.recall_standard_error == pytest.approx(0.05)
    assert (both.unique, both.novel, both.draws) == (0.75, 0.5, 2)
    assert both.valid_standard_error == 0
    alone = mean_of_draws([first])
    assert alone.recall_standard_error is None and alone.recall == first.recall
    blind = mean_of_draws([generated_rows(HELD_OUT, HELD_OUT)] * 2)
    assert blind.novel is None


def test_rows_have_one_blank_between_words():
    columns = {"a": ["x  y ", "z"], "b": ["1", "2"], "c": ["", ""]}
    assert rows_of(columns, ["b", "a"]) == [("1", "x y"), ("2", "z")]


@pytest.mark.parametrize(("written", "held_out"), [([], HELD_OUT), (TRAINING, [])])
def test_nothing_to_compare_is_refused(written, held_out):
    with pytest.raises(ValueError, match="at least one of each"):
        generated_rows(written, held_out)


FIELDS = ("subject", "relation", "object")
COLUMNS = {field: texts(40)[10 * number : 10 * number + 10] for number, field in enumerate(FIELDS)}


@pytest.fixture(scope="module", params=[True, False], ids=["latent", "marginals"])
def triples(request) -> SentenceVAE:
    torch.manual_seed(0)
    tokenizer = train_tokenizer("word", texts(), 50)
    encoders = [{**TEXT, "name": field} for field in FIELDS] if request.param else None
    latents = [{**Z, "given": list(FIELDS)}] if request.param else None
    given = ["z"] if request.param else []
    decoders = [{**TEXT, "name": field, "given": given} for field in FIELDS]
    observed = {field: {} for field in FIELDS}
    graph = (encoders, latents, decoders)
    return SentenceVAE(vae(*graph, vocab_size=len(tokenizer), observed=observed), tokenizer)


def test_an_evaluation_compares_written_rows(triples):
    without = triples.evaluate(COLUMNS, samples=2)
    assert without.rows is None and without.generation is None
    found = triples.evaluate(COLUMNS, samples=2, generation=True, training=COLUMNS).rows
    assert (found.rows, found.held_out, found.known) == (5000, 10, 10)
    assert 0 < found.unique <= 1 and found.novel > 0.5
    assert found.draws == 4 and 0 <= found.valid_standard_error < 0.01


def test_the_nll_is_that_of_all_fields(triples):
    metrics = triples.evaluate(COLUMNS, samples=1)
    if not triples.dim:
        alone = {}
        for name in FIELDS:
            batch = triples.rows(COLUMNS).collate([triples.rows(COLUMNS)[i] for i in range(10)])
            out = triples.model.infer(**batch)
            alone[name] = -out.log_likelihood[name].mean().item()
        assert metrics.nll == pytest.approx(sum(alone.values()), rel=1e-4)
    assert metrics.sentences == 10 and metrics.words == sum(
        len(text.split()) + 1 for cells in COLUMNS.values() for text in cells
    )


@pytest.mark.parametrize(
    ("training", "error", "line"),
    [
        (["a b"], TypeError, "give a mapping of fields: subject"),
        ({"subject": ["a"]}, ValueError, "'relation' is missing"),
    ],
)
def test_training_rows_of_another_shape_are_refused(triples, training, error, line):
    with pytest.raises(error, match=line):
        triples.evaluate(COLUMNS, samples=1, generation=True, training=training)
