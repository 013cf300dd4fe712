"""Matching: ranks by hand, pools, equal partners, and which latents can be matched."""

import pytest
import torch
from conftest import GRAPHS, Z, ids, vae

from textvae.data.batching import Sentences
from textvae.data.fields import Fields
from textvae.evaluation.matching import match_rows, matching, paired_latents, ranks_of
from textvae.graph.config import VAEConfig


def test_ranks_by_hand_count_ties_against_the_partner():
    scores = torch.tensor([[3.0, 1.0, 2.0], [5.0, 4.0, 6.0], [1.0, 1.0, 1.0]])
    assert ranks_of(scores, torch.tensor([0, 1, 2])).tolist() == [1, 3, 3]


def test_metrics_by_hand():
    first = torch.eye(3)
    second = torch.tensor([[2.0, 3.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    # Ranks: row 0 has 2 before 0 and 0; row 1 has 1 behind 3; row 2 has 1 before 0 and 0.
    found = matching(first, second, ["a", "b", "c"])
    assert found.mrr == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert found.recall_1 == pytest.approx(2 / 3) and found.recall_5 == 1
    assert (found.pairs, found.pool, found.candidates) == (3, 3, 3)
    deviation = torch.tensor([1.0, 0.5, 1.0]).std() / 3**0.5
    assert found.mrr_standard_error == pytest.approx(deviation.item())


def test_equal_partners_are_one_candidate():
    first = torch.eye(2).repeat(2, 1)
    assert matching(first, first, ["a", "b", "a", "b"]).mrr == 1
    assert matching(first, first, ["a", "b", "a", "b"]).candidates == 2
    assert matching(first, first, ["a", "b", "c", "d"]).mrr == 0.5


def test_pools_are_of_one_size_and_leave_out_what_fills_none():
    codes = torch.randn(25, 8)
    found = matching(codes, torch.zeros(25, 8), list(range(25)), pool=10)
    assert (found.pairs, found.pool) == (20, 10)
    assert found.mrr == pytest.approx(0.1) and found.recall_5 == 0
    assert matching(codes, 9 * codes, list(range(25)), pool=100).pool == 25


def test_no_row_is_refused():
    with pytest.raises(ValueError, match="no row to match"):
        matching(torch.zeros(0, 2), torch.zeros(0, 2), [])


CROSSED = GRAPHS["crossed"]
SAME_SIZE = {**CROSSED, "latents": [{**each, "dim": 3} for each in CROSSED["latents"]]}


def test_latents_of_one_size_and_a_field_each_can_be_matched():
    assert paired_latents(VAEConfig(**SAME_SIZE)) == ("zq", "za")
    assert paired_latents(VAEConfig(**CROSSED)) is None
    for name in ("vae", "hierarchy", "learned prior", "language model"):
        assert paired_latents(VAEConfig(**GRAPHS[name])) is None
    third = {**Z, "name": "again", "given": ["answer"]}
    assert (
        paired_latents(VAEConfig(**SAME_SIZE | {"latents": [*SAME_SIZE["latents"], third]})) is None
    )


def sentences(texts, field):
    rows = [text[text != 0].numpy() for text in texts]
    offsets = torch.tensor([0, *map(len, rows)]).cumsum(0).numpy()
    return Sentences(torch.cat([torch.from_numpy(row) for row in rows]).numpy(), offsets, 0, field)


def test_rows_are_matched_by_the_means_of_their_posteriors():
    model = vae(**SAME_SIZE, observed={"question": {}, "answer": {}})
    question, answer = ids(3, 9, 1, 5), ids(7, 2, 8, 4)[[0, 1, 2, 0]]
    columns = {"question": sentences(question, "question"), "answer": sentences(answer, "answer")}
    posteriors = model.encode(question=question, answer=answer)
    first, second = (posteriors[name].mean for name in ("zq", "za"))
    scores, own = first @ second[:3].T, torch.tensor([0, 1, 2, 0])
    ranks = (scores >= scores.gather(1, own[:, None])).sum(1)
    found = match_rows(model, Fields(columns))
    assert found.mrr == pytest.approx((1 / ranks.double()).mean().item())
    assert match_rows(vae(**GRAPHS["vae"]), columns["question"]) is None
