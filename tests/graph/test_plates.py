"""Models of rows with parts: sums, independence of the batch, what may read what."""

import pytest
import torch
from conftest import vae
from support.dialogues import DECODERS, ENCODERS, LATENTS, OBSERVED, batch, dialogue, dialogue_vae
from torch.distributions import kl_divergence

from textvae.graph.config import VAEConfig
from textvae.graph.plates import batch_size, node_plates, plate_problems
from textvae.objectives import Objective
from textvae.registry import SpecError

COUNTS = (2, 1, 4)


def at_means(model, fields):
    """log p, KL and log ratio of each dialogue at the posterior means, (B,) each."""
    features = model.read(fields)
    latents = model.draw(features, 1, batch_size(model.config, fields), use_mean=True)
    values = {name: latent.value for name, latent in latents.items()}
    likelihoods = model.likelihoods(values, features, batch_size(model.config, fields))
    log_probs = model.log_probs(likelihoods, features, fields)
    kls = torch.stack([latent.kl()[0] for latent in latents.values()])
    return torch.stack([each[0] for each in log_probs.values()]), kls


@torch.no_grad()
def test_a_dialogue_is_the_same_alone_and_among_others():
    model, fields = dialogue_vae(), batch(*COUNTS)
    together = at_means(model, fields)
    for number in range(len(COUNTS)):
        alone = at_means(model, dialogue(fields, number))
        for found, expected in zip(together, alone, strict=True):
            # float32 sums of products of other batch sizes
            torch.testing.assert_close(found[:, number], expected[:, 0], atol=2e-6, rtol=2e-6)


@torch.no_grad()
def test_sums_are_those_of_the_parts_by_hand():
    model, fields = dialogue_vae(), batch(*COUNTS)
    out = model.infer(3, **fields)
    assert out.log_weight.shape == (3, len(COUNTS))
    words = out.latents["words"]
    each = kl_divergence(words.posterior, words.prior).expand(3, sum(COUNTS))
    ratio = words.posterior.log_prob(words.value) - words.prior.log_prob(words.value)
    log_prob = out.likelihoods["text"].log_prob(fields["text"])
    starts = [0, 2, 3]
    for row, (start, count) in enumerate(zip(starts, COUNTS, strict=True)):
        turns = slice(start, start + count)
        torch.testing.assert_close(words.kl()[:, row], each[:, turns].sum(1))
        torch.testing.assert_close(words.log_ratio()[:, row], ratio[:, turns].sum(1))
        found = out.log_likelihood["text"][:, row]
        torch.testing.assert_close(found, log_prob[:, turns].sum(1))
    assert words.kl_per_dimension().shape == (3, len(COUNTS), 2)
    total = sum(latent.kl() for latent in out.latents.values())
    torch.testing.assert_close(out.kl, total)


@torch.no_grad()
def test_a_turn_says_nothing_of_turns_before_it():
    model, fields = dialogue_vae(), batch(4, 3)
    changed = {name: value.clone() for name, value in fields.items()}
    changed["text"][2, 1] = 11 if fields["text"][2, 1] != 11 else 10
    changed["speaker"][2] = 1 - fields["speaker"][2]
    z = {"z": torch.zeros(1, 2, 3), "words": torch.zeros(1, 7, 2)}
    found = []
    for each in (fields, changed):
        features = model.read(each)
        values = z | {"who": torch.full((1, 7, 4), 0.25)}
        found.append(model.likelihoods(values, features, 2, ["speaker"])["speaker"].logits[0])
    same = (found[0] == found[1]).all(-1)
    assert same.tolist() == [True, True, True, False, True, True, True]


@torch.no_grad()
def test_posteriors_of_parts_have_one_row_each():
    model, fields = dialogue_vae(), batch(*COUNTS)
    found = model.encode(**fields)
    assert {name: q.batch_shape[0] for name, q in found.items()} == {"z": 3, "who": 7, "words": 7}
    drawn = model.sample_prior(3, **fields)
    assert [len(value[0]) for value in drawn.values()] == [3, 7, 7]


def test_every_parameter_learns():
    model, fields = dialogue_vae().train(), batch(*COUNTS)
    model.objective = Objective.build({"kind": "elbo"})
    model(step=0, **fields).value.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "elbo", "free_bits": 0.5, "free_bits_per": "sentence"},
        {"kind": "elbo", "kl_weight": {"kind": "linear", "steps": 3}, "latent_weights": {"z": 2.0}},
        {"kind": "importance_weighted", "samples": 3},
    ],
)
def test_objectives_need_not_know_of_plates(spec):
    model = dialogue_vae().train()
    model.objective = Objective.build(spec)
    loss = model(step=1, **batch(*COUNTS)).value
    assert loss.shape == () and loss.isfinite()


def test_training_terms_are_sums_over_parts():
    decoders = [
        *DECODERS[:2],
        DECODERS[2] | {"prior_weight": 1.0},
        {"name": "words", "kind": "bag", "field": "text", "hidden": 6, "given": ["words"]}
        | {"auxiliary": 0.5},
    ]
    model = dialogue_vae(decoders=decoders).train()
    out = model.infer(2, **batch(*COUNTS))
    assert out.auxiliary["words"].shape == (2, len(COUNTS))
    assert out.auxiliary["text_prior"].shape == (1, len(COUNTS))


@torch.no_grad()
def test_a_text_of_the_row_is_attended_to_from_each_part():
    encoders = [{"name": "facts", "kind": "lstm", "hidden": 5}, *ENCODERS]
    decoders = [*DECODERS[:2], DECODERS[2] | {"attend": "facts"}]
    observed = OBSERVED | {"facts": {}}
    model = vae(encoders, LATENTS, decoders, observed=observed)
    assert model.infer(2, facts=batch(1, 1, 1)["text"], **batch(*COUNTS)).kl.shape == (2, 3)


def test_plates_of_nodes_follow_from_what_they_read():
    plates = node_plates(dialogue_vae().config)
    assert plates.sources == {
        **{"mood": None, "text": "turn", "speaker": "turn", "whole": None, "bag": None},
        **{"past": "turn", "z": None, "who": "turn", "words": "turn"},
    }
    assert plates.decoders == {"mood": None, "speaker": "turn", "text": "turn"}


TWO = OBSERVED | {"own": {"plate": "mine"}, "mine": {"counts": {"1": 1}}}
OWN = {"name": "own", "kind": "lstm", "hidden": 4}


@pytest.mark.parametrize(
    ("encoders", "latents", "decoders", "words"),
    [
        (
            [OWN],
            [{**LATENTS[0], "name": "two", "given": ["text", "own"]}],
            [],
            "parts of two plates, turn and mine",
        ),
        ([], [], [{**DECODERS[0], "given": ["past"]}], "writes one value a row and is given parts"),
        (
            [{"name": "late", "kind": "sequence", "given": ["mood"]}],
            [],
            [],
            "encoders.late.given: a sequence encoder reads the parts of a plate",
        ),
        (
            [],
            [{"name": "y", "kind": "categorical", "dim": 3, "given": ["text"]}],
            [],
            "latents.y: the classes of parts (turn) are too many to sum over",
        ),
        ([{"name": "turn", "kind": "label", "field": "mood"}], [], [], "has the name of a node"),
    ],
)
def test_what_cannot_be_on_one_plate_is_refused(encoders, latents, decoders, words):
    with pytest.raises(SpecError) as error:
        vae(ENCODERS + encoders, LATENTS + latents, decoders or DECODERS, observed=TWO)
    assert words in str(error.value)


def test_refinement_of_parts_is_refused():
    config = VAEConfig(
        vocab_size=12,
        observed=OBSERVED,
        encoders=ENCODERS,
        latents=LATENTS[:1],
        decoders=DECODERS[:1],
        refinement={"steps": 2},
    )
    assert plate_problems(config) == [
        "refinement: not with plates: posteriors of whole rows can be refined"
    ]
