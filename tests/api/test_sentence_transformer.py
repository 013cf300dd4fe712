"""The module for sentence-transformers: encode, similarity, training, saving."""

import numpy as np
import pytest
import torch
from support.models import sentence_vae, texts

from textvae import SentenceVAE, as_sentence_transformer
from textvae.api.sentence_transformer import LatentEmbedding


@pytest.mark.parametrize("kind", ["mean", "hidden", "layers"])
def test_it_encodes_as_the_model_does_whatever_the_batch(kind):
    model = sentence_vae()
    transformer = as_sentence_transformer(model, kind)
    found = transformer.encode(texts(), batch_size=7, show_progress_bar=False)
    assert np.allclose(found, model.features(texts(), kind), atol=1e-5)
    assert transformer.get_embedding_dimension() == found.shape[1]
    assert transformer.similarity(found[:2], found[:2]).shape == (2, 2)


def test_gradients_reach_the_encoder_and_not_the_decoder():
    transformer = as_sentence_transformer(sentence_vae())
    transformer.train()
    features = transformer.preprocess(texts(5))
    transformer(features)["sentence_embedding"].square().sum().backward()
    for name, parameter in transformer.named_parameters():
        moved = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert moved is ("encoders." in name or "latents." in name), name


def test_saved_embedding_is_a_model_folder(tmp_path):
    from sentence_transformers import SentenceTransformer

    model = sentence_vae()
    transformer = as_sentence_transformer(model, "hidden")
    expected = transformer.encode(texts(5))
    transformer.save(str(tmp_path / "saved"))
    vae = SentenceVAE.from_pretrained(tmp_path / "saved")
    assert vae.sample(3, seed=0) == model.sample(3, seed=0)
    again = SentenceTransformer(str(tmp_path / "saved"), trust_remote_code=True, device="cpu")
    assert np.array_equal(again.encode(texts(5)), expected)
    torch.testing.assert_close(
        as_sentence_transformer(tmp_path / "saved", "hidden").encode(texts(5)), expected
    )


def test_reading_texts_leaves_it_in_training():
    embedding = LatentEmbedding(sentence_vae())
    embedding.train()
    embedding.preprocess(["the dog sees"])
    assert embedding.vae.training
    embedding.eval()
    embedding.preprocess(["the dog sees"])
    assert not embedding.vae.training


def test_a_language_model_and_an_unknown_kind_are_refused():
    with pytest.raises(ValueError, match="language model"):
        as_sentence_transformer(sentence_vae(latents=()))
    with pytest.raises(ValueError, match="unknown kind"):
        as_sentence_transformer(sentence_vae(), "means")
