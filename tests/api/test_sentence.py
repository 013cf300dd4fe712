"""The interface to text models: encode, decode, sample, interpolate and evaluate."""

import math

import numpy as np
import pytest
import torch
from conftest import Z
from support.models import SIZES, WORDS, sentence_vae, texts

from textvae.api.base import great_circle, line
from textvae.api.generation import evaluate_generation, interpolations
from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import count_words
from textvae.evaluation.latent import information
from textvae.evaluation.likelihood import likelihood
from textvae.evaluation.text import reconstruction
from textvae.graph.decoding import Decoding
from textvae.vocabulary import UNK


@pytest.fixture(scope="module")
def model() -> SentenceVAE:
    return sentence_vae()


@pytest.mark.parametrize("encoder", ["lstm-last-both-1", "lstm-mean-forward-2", "transformer-max"])
def test_encoding_does_not_depend_on_order_or_neighbours(encoder):
    model, many = sentence_vae(encoder=encoder), [*texts(), "the", texts()[0]]
    means, scales = model.encode(many, return_scales=True)
    assert means.shape == scales.shape == (len(many), 3)
    assert means.dtype == np.float32 and (scales > 0).all()
    alone = np.concatenate([model.encode([text]) for text in many])
    # Another batch size takes another path through the matrix product.
    assert np.allclose(means, alone, atol=1e-5)
    assert np.allclose(means[::-1], model.encode(many[::-1]), atol=1e-5)
    assert np.allclose(means[0], means[-1], atol=1e-5) and not np.allclose(
        means[0], means[1], atol=1e-3
    )


def test_latents_stand_side_by_side():
    second = {**Z, "name": "y", "dim": 2, "given": ["text", "z"]}
    model = sentence_vae(latents=(Z, second))
    z = model.encode(texts())
    assert (model.dim, model.sizes, z.shape) == (5, [3, 2], (40, 5))
    moved = z.copy()
    moved[:, 3:] += 30
    assert model.decode(z) == model.reconstruct(texts()) != model.decode(moved)


def test_decode_takes_arrays_and_tensors_of_its_shape(model):
    z = model.encode(texts(3))
    assert model.decode(z) == model.decode(torch.from_numpy(z)) == model.decode(z.tolist())
    for wrong in (z[0], z[:, :2], z[None], np.zeros((2, 4))):
        with pytest.raises(ValueError, match=r"z must be \(N, 3\)"):
            model.decode(wrong)


def test_many_latents_are_decoded_as_one_by_one(model):
    # More than are generated at once.
    z = np.random.default_rng(0).normal(size=(300, 3)) * 3
    many = model.decode(z, Decoding(max_new_tokens=5))
    assert len(set(many)) > 1
    assert [many[i] for i in (0, 255, 256, 299)] == [
        model.decode(z[i : i + 1], Decoding(max_new_tokens=5))[0] for i in (0, 255, 256, 299)
    ]


def test_texts_are_a_list(model):
    for refuse in (model.encode, model.reconstruct, model.evaluate, model.positions):
        with pytest.raises(TypeError, match="list of strings"):
            refuse("the dog")
        with pytest.raises(ValueError, match="at least one text"):
            refuse([])
    with pytest.raises(ValueError, match="valid Unicode"):
        model.encode(["the \udcff dog"])


def test_a_language_model_has_no_latent_but_all_else():
    model = sentence_vae(latents=())
    for refuse in (model.encode, model.reconstruct, model.is_collapsed_for):
        with pytest.raises(ValueError, match="it is a language model"):
            refuse(texts(2))
    with pytest.raises(ValueError, match="it is a language model"):
        model.interpolate("the dog", "a cat")
    assert len(model.sample(4, seed=0)) == 4
    metrics = model.evaluate(texts(), samples=50)
    assert (metrics.samples, metrics.dimensions, metrics.kl, metrics.collapsed) == (1, 0, 0, False)
    assert metrics.nll == metrics.reconstruction_loss == -metrics.elbo


@pytest.mark.parametrize("kind", SIZES)
def test_saved_and_loaded_is_the_same(kind, tmp_path):
    model = sentence_vae(kind)
    model.save_pretrained(tmp_path / "saved")
    loaded = SentenceVAE.from_pretrained(tmp_path / "saved")
    assert np.array_equal(loaded.encode(texts()), model.encode(texts()))
    assert loaded.sample(5, seed=3) == model.sample(5, seed=3)
    assert loaded.evaluate(texts(), samples=3) == model.evaluate(texts(), samples=3)


def test_a_hub_name_is_fetched_and_loaded(monkeypatch, tmp_path):
    sentence_vae().save_pretrained(tmp_path / "saved")
    asked = []

    def fetch(name, **options):
        asked.append(name)
        return str(tmp_path / "saved")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    monkeypatch.chdir(tmp_path)
    loaded = SentenceVAE.from_pretrained("somebody/sentences")
    assert asked == ["somebody/sentences"]
    assert loaded.sample(2, seed=0) == sentence_vae().sample(2, seed=0)


# On the way between two points.


@pytest.mark.parametrize("way", [line, great_circle])
def test_ways_begin_and_end_at_their_ends(way):
    start, end = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 1.0])
    share = torch.linspace(0, 1, 5)[:, None]
    points = way(start, end, share)
    assert torch.allclose(points[0], start, atol=1e-6)
    assert torch.allclose(points[-1], end, atol=1e-6)
    norms = points.norm(dim=1)
    if way is great_circle:
        # Even steps of angle and of length.
        assert torch.allclose(norms, line(start.norm(), end.norm(), share).squeeze(1), atol=1e-5)
        unit = points / norms[:, None]
        angles = (unit[1:] * unit[:-1]).sum(1).arccos()
        assert torch.allclose(angles, torch.full((4,), math.pi / 8), atol=1e-5)
    else:
        assert torch.allclose(points[2], (start + end) / 2)
        assert (norms <= max(start.norm(), end.norm()) + 1e-6).all()


@pytest.mark.parametrize("end", [[0.0, 0.0], [2.0, 0.0], [-1.0, 0.0]])
def test_great_circle_without_one_is_the_line(end):
    """From zero, to a parallel or an opposite point there is no one arc."""
    start, end = torch.tensor([1.0, 0.0]), torch.tensor(end)
    share = torch.linspace(0, 1, 4)[:, None]
    assert torch.allclose(great_circle(start, end, share), line(start, end, share))


@pytest.mark.parametrize("spherical", [False, True])
def test_ends_of_an_interpolation_are_reconstructions(model, spherical):
    ends = ["the small dog sees", "a river"]
    between = model.interpolate(*ends, steps=4, spherical=spherical)
    assert [between[0], between[-1]] == model.reconstruct(ends)
    assert len(between) == 4
    with pytest.raises(ValueError, match="at least 2 steps"):
        model.interpolate(*ends, steps=1)


def test_nearest_are_sorted_and_counted(model):
    many = texts()
    found = model.nearest(many[5], many, count=7)
    assert len(found) == 7 and found[0] == (many[5], pytest.approx(0, abs=1e-5))
    z = model.encode(many)
    distances = np.sort(np.linalg.norm(z - z[5], axis=1))[:7]
    assert [distance for _, distance in found] == pytest.approx(distances, abs=1e-5)


# Randomness.


def test_a_seed_gives_the_same_samples_and_touches_nothing_global(model):
    before = torch.get_rng_state()
    first = model.sample(5, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert model.sample(5, seed=1) == first != model.sample(5, seed=2)
    # Without a seed the global state is used, and moves on.
    torch.manual_seed(0)
    free = model.sample(5)
    assert model.sample(5) != free
    with pytest.raises(ValueError, match="at least one sentence"):
        model.sample(0)


@pytest.mark.parametrize("call", ["encode", "reconstruct", "evaluate", "positions"])
def test_measuring_touches_no_random_state(model, call):
    before = torch.get_rng_state()
    getattr(model, call)(texts(5))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("kind", SIZES)
def test_only_whole_words_have_an_unknown_one(kind):
    model = sentence_vae(kind)
    # Make it by far the most probable token.
    with torch.no_grad():
        for name, bias in model.decoder.named_parameters():
            if name.endswith("bias") and bias.shape == (len(model.tokenizer),):
                bias[UNK] = 50.0
    decoded = [
        *model.sample(4, Decoding(do_sample=True, max_new_tokens=6), 0),
        *model.reconstruct(texts(2)),
    ]
    assert all(("<unk>" in text) == (kind == "word") for text in decoded), decoded


# Metrics.


@pytest.mark.parametrize("kind", SIZES)
def test_evaluation_follows_from_the_likelihood(kind):
    model, many = sentence_vae(kind), texts()
    metrics = model.evaluate(many, samples=4, seed=5)
    assert metrics.sentences == 40 and metrics.samples == 4 and metrics.dimensions == 3
    assert metrics.words == sum(count_words(text) for text in many)
    assert metrics.words == sum(len(text.split()) + 1 for text in many)
    total = metrics.nll * metrics.sentences
    assert metrics.word_perplexity == pytest.approx(math.exp(total / metrics.words), rel=1e-5)
    assert metrics.token_perplexity == pytest.approx(math.exp(total / metrics.tokens), rel=1e-5)
    assert metrics.elbo == pytest.approx(-metrics.reconstruction_loss - metrics.kl, rel=1e-5)
    batches = [batch for _, batch in model.sentences(many).in_length_order()]
    assert metrics.nll == likelihood(model.model, batches, 4, seed=5).nll.mean().item()
    if kind == "word":
        assert metrics.words == metrics.tokens


def test_latent_metrics_are_over_all_texts(model):
    many = texts()
    metrics = model.evaluate(many, samples=3, seed=2)
    batches = [batch for _, batch in model.sentences(many).in_length_order()]
    features = likelihood(model.model, batches, 1).features
    found = information(model.model, features, metrics.latent_samples, seed=2)
    assert metrics.mutual_information == pytest.approx(found.mutual_information, abs=1e-5)
    assert metrics.marginal_kl == pytest.approx(found.marginal_kl, abs=1e-5)
    assert metrics.mutual_information_ceiling == math.log(40) and metrics.latent_samples == 10
    assert metrics.mutual_information + metrics.marginal_kl == pytest.approx(metrics.kl, abs=0.2)
    assert sum(metrics.kls) == pytest.approx(metrics.kl, rel=1e-5)
    assert metrics.active_units == sum(variance > 0.01 for variance in metrics.variances)
    assert metrics.variances == pytest.approx(model.encode(many).var(0, ddof=1), rel=1e-4)


def test_to_evaluate_the_encoder_reads_a_text_once():
    model, reads = sentence_vae(), []
    encoder = model.model.encoders["text"]
    encoder.register_forward_hook(lambda *given: reads.append(len(given[1][0])))
    model.evaluate(texts(), samples=9)
    # And twice for the shuffled-z gap: under its own z, and under another's.
    assert sum(reads) == 40 + 2 * 40


def test_many_texts_need_fewer_samples_each(model, monkeypatch):
    monkeypatch.setattr("textvae.api.base.LATENT_SAMPLES", 100)
    assert model.evaluate(texts(40), samples=1).latent_samples == 2
    assert model.evaluate(texts(400), samples=1).latent_samples == 1


def test_generation_is_evaluated_on_request(model):
    many = [f"{text} {WORDS[i % 7]}" for i, text in enumerate(texts())]
    assert model.evaluate(many, samples=1).generation is None
    found = model.evaluate(many, samples=1, generation=True).generation
    assert found == evaluate_generation(model, many) != evaluate_generation(model, many, seed=1)
    assert found.reconstruction.sentences == 40
    decoded = model.reconstruct(many)
    assert found.reconstruction == reconstruction(decoded, many)
    assert (found.samples.sentences, found.real.sentences, found.scored) == (20, 20, 20)
    assert found.samples.copied is None and not found.reference_is_training
    assert (found.interpolation.pairs, found.interpolation.steps) == (100, 8)
    few = evaluate_generation(model, many, training=many, count=5, pairs=3)
    assert few.real.copied == 1 and few.reference_is_training and few.reference == 40
    assert (few.samples.sentences, few.scored, few.interpolation.pairs) == (5, 35, 3)
    with pytest.raises(ValueError, match="at least 4 texts"):
        evaluate_generation(model, many[:3])


def test_interpolations_are_those_of_the_model(model):
    ends = model.encode(texts(4)).reshape(2, 2, 3)
    lines = interpolations(model, ends)
    assert lines == [model.interpolate(*texts(4)[i : i + 2], steps=9) for i in (0, 2)]


def test_generation_of_a_language_model_is_its_samples():
    found = evaluate_generation(sentence_vae(latents=()), texts(), pairs=2)
    assert found.reconstruction is None is found.interpolation and found.samples.sentences == 20


def test_shuffled_z_gap_is_the_increase_in_loss(model):
    many = texts()
    own, other = model.positions_with_shuffled_latents(many)
    metrics = model.evaluate(many, samples=1)
    costs = ((other.loss - own.loss) * own.count).tolist()
    assert metrics.shuffled_z_gap == pytest.approx(sum(costs) / 40, abs=1e-5) != 0
    assert torch.equal(own.count, other.count) and own.count[0] == 40
    total = (own.loss * own.count).sum().item() / 40
    assert total == pytest.approx(model.evaluate(many, samples=200).reconstruction_loss, rel=0.05)
    assert not torch.equal(own.loss, other.loss)
    dead = sentence_vae()
    with torch.no_grad():
        for name, parameter in dead.model.named_parameters():
            if name.startswith("latents"):
                parameter.zero_()
    dead.model.latents["z"].head.bias.data[3:] = -40
    own, other = dead.positions_with_shuffled_latents(many)
    torch.testing.assert_close(own.loss, other.loss)
    metrics = dead.evaluate(many, samples=1)
    assert (
        metrics.shuffled_z_gap == pytest.approx(0, abs=1e-4) and metrics.first_token_share is None
    )
    with pytest.raises(ValueError, match="another text is needed"):
        model.positions_with_shuffled_latents(many[:1])


def test_first_token_share_is_of_the_shuffled_z_gap(model, monkeypatch):
    many = texts()
    own, other = model.positions_with_shuffled_latents(many)
    costs = ((other.loss - own.loss) * own.count).tolist()
    monkeypatch.setattr("textvae.api.sentence.WORTHLESS", sum(costs) / 40 - 1e-4)
    found = model.evaluate(many, samples=1).first_token_share
    assert found == pytest.approx(costs[0] / sum(costs), rel=1e-3)
    monkeypatch.setattr("textvae.api.sentence.WORTHLESS", sum(costs) / 40 + 1e-4)
    assert model.evaluate(many, samples=1).first_token_share is None


@pytest.mark.parametrize("case", ["one text", "words without order", "no latent"])
def test_shuffled_z_gap_needs_another_z_and_an_order(case):
    evaluated = sentence_vae("bag") if case == "words without order" else sentence_vae()
    evaluated = sentence_vae(latents=()) if case == "no latent" else evaluated
    metrics = evaluated.evaluate(texts(1 if case == "one text" else 40), samples=1)
    assert metrics.shuffled_z_gap is None is metrics.first_token_share


def test_more_samples_come_closer_to_the_likelihood(model):
    few, many = (model.evaluate(texts(), samples=samples) for samples in (1, 200))
    assert many.nll < few.nll and many.nll < -many.elbo


def test_positions_add_up_to_the_reconstruction(model):
    many = texts()
    losses = model.positions(many, samples=1, seed=3)
    assert losses.count[0] == 40 and losses.count.sum() == sum(count_words(t) for t in many)
    total = (losses.loss * losses.count).sum().item() / 40
    # The same seed draws the same posterior samples.
    expected = model.evaluate(many, samples=1, seed=3).reconstruction_loss
    assert total == pytest.approx(expected, rel=1e-4)


def test_collapse_is_seen(model):
    assert not model.is_collapsed_for(texts())
    dead = sentence_vae()
    with torch.no_grad():
        for parameter in dead.model.latents.parameters():
            parameter.zero_()
    assert dead.is_collapsed_for(texts())
    metrics = dead.evaluate(texts(), samples=2)
    assert metrics.collapsed and metrics.active_units == 0
    assert metrics.kl == pytest.approx(0, abs=1e-6)


def test_interpolation_stays_on_the_sphere(monkeypatch):
    model = sentence_vae(latents=({**Z, "kind": "vmf", "kappa": 20.0},))
    seen = []
    monkeypatch.setattr(SentenceVAE, "decode", lambda self, z, decoding=None: seen.append(z) or [])
    model.interpolate(texts()[0], texts()[1], steps=5)
    torch.testing.assert_close(seen[0].norm(dim=-1), torch.ones(5))


def test_a_column_of_a_table_is_read_in_its_order():
    pandas = pytest.importorskip("pandas")
    model, column = sentence_vae(), pandas.Series(texts()).iloc[::-1]
    assert model.nearest(texts()[5], column, 1) == model.nearest(texts()[5], list(column), 1)


def test_interpolation_follows_each_latent(monkeypatch):
    sphere = {**Z, "name": "s", "kind": "vmf", "kappa": 20.0}
    model = sentence_vae(latents=(sphere, Z))
    seen = []
    monkeypatch.setattr(SentenceVAE, "decode", lambda self, z, decoding=None: seen.append(z) or [])
    ends = np.asarray(model.encode(texts()[:2]))
    interpolations(model, ends[None])
    on_sphere, straight = seen[0].split(model.sizes, dim=-1)
    torch.testing.assert_close(on_sphere.norm(dim=-1), torch.ones(9))
    start, end = torch.from_numpy(ends)[:, model.sizes[0] :]
    torch.testing.assert_close(straight[4], (start + end) / 2)
