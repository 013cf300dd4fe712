"""A tiny model of texts that are written from their trees, and rows for it."""

import torch
from conftest import vae

from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import train_tokenizer

TREES = ["(S (NP DT NN ) (VP VBZ ) )", "(S (NP PRP ) (VP VBZ (NP DT NN ) ) )", "(NP DT JJ NN )"]
TEXTS = ["the dog sleeps", "he sees a cat", "a good day"]
ROWS = {"tree": TREES * 4, "text": TEXTS * 4}


def tree_vae(dependent: bool = True, attends: bool = True) -> SentenceVAE:
    """p(tree | zt) p(text | zx, tree), with p(zx | zt) or a standard normal.

    Args:
        dependent: whether zx has a prior that is given zt, and a posterior too.
        attends: whether the text is written from the tree.
    """
    torch.manual_seed(0)
    tokenizer = train_tokenizer("word", TREES + TEXTS, 60)
    latent = {"kind": "gaussian", "dim": 2}
    prior = {"prior": {"given": ["zt"]}} if dependent else {}
    given = ["text", "zt"] if dependent or attends else ["text"]
    attend = {"attend": "tree"} if attends else {}
    model = vae(
        [{"name": name, "kind": "lstm", "hidden": 6} for name in ("text", "tree")],
        [
            {"name": "zt", **latent, "given": ["tree"]},
            {"name": "zx", **latent, "given": given} | prior,
        ],
        [
            {"name": "text", "kind": "lstm", "hidden": 8, "given": ["zx"]} | attend,
            {"name": "tree", "kind": "lstm", "hidden": 8, "given": ["zt"]},
        ],
        vocab_size=len(tokenizer),
        observed={"tree": {}, "text": {}},
    )
    return SentenceVAE(model.eval(), tokenizer)


RECIPE = """
model:
  encoders: [{name: text, kind: lstm, hidden: 8}, {name: tree, kind: lstm, hidden: 8}]
  latents:
    - {name: zt, kind: gaussian, dim: 2, given: [tree]}
    - {name: zx, kind: gaussian, dim: 2, given: [text, zt], prior: {given: [zt]}}
  decoders:
    - {name: tree, kind: lstm, hidden: 16, given: [zt]}
    - {name: text, kind: lstm, hidden: 16, given: [zx], attend: tree}
objective: {kind: elbo}
tokenizer: {kind: word, vocab_size: 60}
data: {fields: {tree: {}, text: {}}}
train: {epochs: 2, batch_size: 16, learning_rate: 0.01}
"""
