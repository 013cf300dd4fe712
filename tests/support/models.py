"""Untrained text models with their interface."""

import random

import torch
from conftest import DECODERS, ENCODERS, IMAGE_DECODERS, IMAGE_ENCODERS, Z, vae

from textvae.api.image import ImageVAE
from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import train_tokenizer

WORDS = ["the", "a", "dog", "cat", "river", "sees", "finds", "small", "red", "old"]
SIZES = {"unigram": 290, "bpe": 290, "word": 50}


def texts(count: int = 40) -> list[str]:
    draw = random.Random(1)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for _ in range(count)]


def sentence_vae(
    kind="word", encoder="lstm-last-both-1", decoder="lstm", latents=(Z,)
) -> SentenceVAE:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(kind, texts(), SIZES.get(kind, 50))
    given = [latent["name"] for latent in latents]
    model = vae(
        [{"name": "text", **ENCODERS[encoder]}] if latents else None,
        list(latents) or None,
        [{"name": "text", "given": given, **DECODERS[decoder]}],
        vocab_size=len(tokenizer),
    )
    return SentenceVAE(model, tokenizer)


def image_vae() -> ImageVAE:
    """Of pictures (1, 4, 4)."""
    torch.manual_seed(0)
    model = vae(
        [{"name": "image", **IMAGE_ENCODERS["mlp"]}],
        [{**Z, "given": ["image"]}],
        [{"name": "image", "given": ["z"], **IMAGE_DECODERS["mlp"]}],
        vocab_size=0,
        observed={"image": {"shape": [1, 4, 4], "pixels": "grey"}},
    )
    return ImageVAE(model)
