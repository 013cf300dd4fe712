"""Conditional models: what they must be given, attention in a graph, mistakes."""

import pytest
import torch
from support.rows import conditional_vae, table

from textvae.evaluation.latent import information
from textvae.graph.config import VAEConfig
from textvae.graph.model import VAE
from textvae.registry import SpecError

ENCODERS = [
    {"name": "event", "kind": "lstm", "hidden": 4},
    {"name": "reply", "kind": "lstm", "hidden": 4},
]
Z = {"name": "z", "kind": "gaussian", "dim": 2, "given": ["event", "reply"]}
DECODER = {"name": "reply", "kind": "lstm", "hidden": 4, "given": ["z"]}


def config(decoder=DECODER, latent=Z, encoders=ENCODERS, **others) -> VAEConfig:
    observed = {"event": {}, "reply": {}}
    return VAEConfig(
        vocab_size=20,
        observed=observed,
        encoders=encoders,
        latents=[latent],
        decoders=[decoder, *others.get("more", [])],
    )


@pytest.mark.parametrize(
    "given, expected",
    [
        (config(), []),
        (config(DECODER | {"given": ["z", "event"]}), ["event"]),
        (config(DECODER | {"attend": "event"}), ["event"]),
        (config(latent=Z | {"prior": {"given": ["event"]}}), ["event"]),
        (config(DECODER | {"given": []}, Z | {"prior": {"given": ["event"]}}), []),
    ],
)
def test_conditions_are_what_sampling_reads(given, expected):
    assert given.conditions() == expected


def test_an_encoder_of_encoders_needs_their_fields():
    both = {"name": "both", "kind": "mlp", "hidden": [3], "given": ["event"]}
    decoder = DECODER | {"given": ["z", "both"]}
    assert config(decoder, encoders=[*ENCODERS, both]).conditions() == ["event"]


def test_an_auxiliary_decoder_adds_no_condition():
    bag = {
        "name": "bag",
        "kind": "bag",
        "field": "reply",
        "given": ["z", "event"],
        "auxiliary": 1.0,
    }
    assert config(more=[bag]).conditions() == []


@pytest.mark.parametrize(
    "decoder, message",
    [
        ({"attend": "evnt"}, "decoders.reply.attend: must name an encoder of token ids"),
        ({"attend": "z"}, "decoders.reply.attend: must name an encoder of token ids"),
        ({"kind": "bag", "attend": "event"}, "a bag decoder does not attend (those that do: "),
        ({"field": "answer"}, "the data has no field 'answer' (it has: event, reply)"),
        ({"memory": 4}, "decoders.reply.memory: unknown key"),
    ],
)
def test_mistakes_in_what_a_decoder_attends_to_are_named(decoder, message):
    with pytest.raises(SpecError) as error:
        VAE(config({**DECODER, **decoder}))
    assert message in str(error.value)


def batch(model: VAE, vae, rows: int = 8) -> dict[str, torch.Tensor]:
    columns = {name: cells[:rows] for name, cells in table().items() if name in vae.fields}
    examples = vae.rows(columns)
    return examples.collate([examples[index] for index in range(rows)])


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
@pytest.mark.parametrize("latent", [True, False])
def test_a_row_alone_is_worth_what_it_is_among_others(kind, latent):
    vae = conditional_vae(kind, latent)
    fields = batch(vae.model, vae)
    with torch.no_grad():
        features = vae.model.read(fields)
        values = {"z": torch.randn(2, 8, 3)} if latent else {}
        together = vae.model.likelihoods(values, features, 8)["reply"].log_prob(fields["reply"])
        for row in range(8):
            alone = {
                name: ids[row : row + 1, : int((ids[row] > 0).sum())]
                for name, ids in fields.items()
            }
            value = {name: each[:, row : row + 1] for name, each in values.items()}
            one = vae.model.likelihoods(value, vae.model.read(alone), 1)["reply"]
            torch.testing.assert_close(one.log_prob(alone["reply"])[:, 0], together[:, row])


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
def test_every_parameter_of_a_conditional_model_learns(kind):
    vae = conditional_vae(kind)
    fields = batch(vae.model, vae)
    out = vae.model.train().infer(2, **fields)
    (out.kl - out.total_log_likelihood).mean().backward()
    still = [n for n, p in vae.model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_the_marginal_kl_is_left_out_where_each_row_has_its_own_prior():
    vae = conditional_vae()
    with torch.no_grad():
        features = vae.model.read(batch(vae.model, vae))
        pooled = {name: each.pooled for name, each in features.items()}
        found = information(vae.model, pooled, 2)
    assert found.marginal_kl is None and len(found.variances) == 3


def test_the_mean_of_the_prior_is_that_of_its_network():
    vae = conditional_vae()
    fields = {"event": batch(vae.model, vae)["event"]}
    with torch.no_grad():
        features = vae.model.encoder_features(fields)
        values = vae.model.prior_values(features, 8, use_mean=True)
        (node,) = vae.model.config.nodes("latents")
        prior = vae.model.prior(node, features, {}, torch.Size((1, 8)), values["z"])
    assert torch.equal(values["z"], prior.mean)
