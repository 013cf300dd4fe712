"""Models saved, loaded and compared."""

import torch
from transformers import AutoModel

from textvae.graph.model import VAE


def weights_of(model, fields, samples=3, seed=1):
    torch.manual_seed(seed)
    with torch.no_grad():
        return model.infer(samples, **fields).log_weight


def saved_and_loaded(model, folder):
    model.save_pretrained(folder)
    loaded, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert isinstance(loaded, VAE) and not loaded.training
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return loaded
