"""The perplexity at the mean of the prior."""

import torch
from conftest import GRAPHS, TEXT, fields_of, ids, vae

from textvae.evaluation.likelihood import likelihood, prior_mean_losses


def test_every_row_is_decoded_from_the_mean_of_its_own_prior():
    model = vae(**GRAPHS["learned prior"]).train()
    fields = fields_of(model, 4, 0, 6)
    found = prior_mean_losses(model, [fields, {k: v[:1] for k, v in fields.items()}])
    assert found.shape == (4,) and not model.training and found[0] == found[3]
    features = model.read(fields)
    pooled = features["context"].pooled[None]
    z = model.priors["z"](pooled).mean
    decoder = model.decoders["answer"]
    expected = -decoder(torch.cat([z, pooled], -1)).log_prob(fields["answer"])[0]
    torch.testing.assert_close(found[:3], expected)


def test_without_a_latent_it_is_the_likelihood():
    answer = {**TEXT, "name": "answer", "given": ["context"]}
    model = vae([{**TEXT, "name": "context"}], [], [answer])
    fields = {"context": ids(3, 5), "answer": ids(2, 6)}
    found = prior_mean_losses(model, [fields])
    torch.testing.assert_close(found, likelihood(model, [fields], samples=1).nll.float())
