"""A trained model in sentence-transformers: the sentences nearest to a query.

Needs a trained model and `pip install -e ".[sentence-transformers]"`:

    textvae train && python examples/semantic_search.py "the waiter brought our soup ."
"""

import argparse
from pathlib import Path

from sentence_transformers.util import semantic_search

from textvae import as_sentence_transformer
from textvae.recipes import shipped


def main() -> None:
    """Print the nearest sentences with their cosine similarity."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("query", nargs="?", default="the waiter brought our soup .")
    parser.add_argument("--model", default="runs/sentence_vae")
    parser.add_argument("--kind", default="mean", help="mean, hidden, sample or layers")
    parser.add_argument("--texts", type=Path, default=Path(shipped("data")) / "test.txt")
    arguments = parser.parse_args()

    transformer = as_sentence_transformer(arguments.model, arguments.kind)
    texts = arguments.texts.read_text(encoding="utf-8").splitlines()
    corpus = transformer.encode(texts, convert_to_tensor=True)
    query = transformer.encode([arguments.query], convert_to_tensor=True)
    for hit in semantic_search(query, corpus, top_k=5)[0]:
        print(f"{hit['score']:.3f}  {texts[int(hit['corpus_id'])]}")


if __name__ == "__main__":
    main()
