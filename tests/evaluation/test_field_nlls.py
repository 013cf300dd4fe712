"""The nll of each field given those that are written before it."""

import pytest
import torch
from conftest import TEXT, Z, ids, vae
from support.trees import ROWS, tree_vae

from textvae.evaluation.likelihood import field_terms, likelihood


def batches(model) -> list[dict[str, torch.Tensor]]:
    return [batch for _, batch in model.rows(ROWS).in_length_order()]


@pytest.mark.parametrize(("dependent", "attends"), [(True, True), (False, True), (False, False)])
def test_of_one_sample_they_add_up_to_the_nll(dependent, attends):
    vae = tree_vae(dependent, attends)
    terms = field_terms(vae.model)
    found = likelihood(vae.model, batches(vae), samples=1, terms=terms)
    assert {each.field: set(each.latents) for each in terms} == {
        "tree": {"zt"},
        "text": {"zx"},
    }
    # The terms are of float32, and added in another order.
    torch.testing.assert_close(sum(found.field_nlls.values()), found.nll, atol=1e-4, rtol=0)


def test_that_of_a_field_is_the_nll_of_a_model_of_it_alone():
    vae_of_two = tree_vae(dependent=False, attends=False)
    model, fields = vae_of_two.model, batches(vae_of_two)
    found = likelihood(model, fields, samples=400, terms=field_terms(model)).field_nlls["tree"]
    alone = vae(
        [{"name": "tree", "kind": "lstm", "hidden": 6}],
        [{"name": "zt", "kind": "gaussian", "dim": 2, "given": ["tree"]}],
        [{"name": "tree", "kind": "lstm", "hidden": 8, "given": ["zt"]}],
        vocab_size=model.config.vocab_size,
        observed={"tree": {}},
    )
    weights = model.state_dict()
    alone.load_state_dict({name: weights[name] for name in alone.state_dict()})
    expected = likelihood(alone, [{"tree": batch["tree"]} for batch in fields], samples=400).nll
    # Both are estimates from 100 samples of a posterior near the prior.
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)


def test_there_are_none_where_a_latent_reads_what_is_written_later():
    names = ["first", "second"]
    nodes = [{**TEXT, "name": name} for name in names]
    one_latent = vae(nodes, [{**Z, "given": names}], [{**n, "given": ["z"]} for n in nodes])
    assert field_terms(one_latent) == []
    # The text is written first here, from a latent whose posterior reads the tree.
    assert field_terms(tree_vae(dependent=True, attends=False).model) == []
    assert likelihood(one_latent, [{name: ids(3, 4) for name in names}], 2).field_nlls == {}
