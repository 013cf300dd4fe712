"""The encoder of a trained model inside your own PyTorch classifier, frozen or fine-tuned.

Trains on a few sentences of the shipped corpus with their topic as the label and prints the
accuracy on others after each epoch. Needs a trained model:

    textvae train && python examples/own_classifier.py --fine-tune
"""

import argparse
import csv
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textvae import SentenceVAE
from textvae.recipes import shipped


def read(split: str, factor: str, limit: int) -> tuple[list[str], list[str]]:
    """Texts and labels of a split of the shipped corpus."""
    folder = Path(shipped("data"))
    texts = (folder / f"{split}.txt").read_text(encoding="utf-8").splitlines()
    with (folder / f"{split}.labels.tsv").open(encoding="utf-8") as file:
        labels = [row[factor] for row in csv.DictReader(file, delimiter="\t")]
    return texts[:limit], labels[:limit]


def main() -> None:
    """Print the accuracy after each epoch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="runs/sentence_vae")
    parser.add_argument("--factor", default="topic", help="topic, sentiment, tense, ...")
    parser.add_argument("--limit", type=int, default=500, help="labelled sentences to train on")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--fine-tune", action="store_true", help="train the encoder too")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    vae = SentenceVAE.from_pretrained(arguments.model)
    texts, known = read("train", arguments.factor, arguments.limit)
    test_texts, asked = read("test", arguments.factor, 1000)
    classes = sorted({*known, *asked})
    target, expected = (torch.tensor([classes.index(x) for x in y]) for y in (known, asked))

    encoder = vae.encoder_module("hidden", frozen=not arguments.fine_tune)
    network = nn.Sequential(encoder, nn.Dropout(0.3), nn.Linear(encoder.features, len(classes)))
    learning = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-3 if arguments.fine_tune else 1e-2)

    def accuracy() -> float:
        network.eval()
        with torch.no_grad():
            guess: Tensor = network(vae.token_ids(test_texts)).argmax(-1)
        return (guess == expected).float().mean().item()

    for epoch in range(1, arguments.epochs + 1):
        network.train()
        for rows in torch.randperm(len(texts)).split(32):
            scores = network(vae.token_ids([texts[row] for row in rows]))
            loss = F.cross_entropy(scores, target[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch}  accuracy {accuracy():.3f}")


if __name__ == "__main__":
    main()
