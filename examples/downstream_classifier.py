"""Latents in a scikit-learn pipeline: which factors of a sentence do they carry?

Trains logistic regression on features of the texts for every factor of the shipped corpus and
prints its accuracy beside the majority's. Needs a trained model:

    textvae train && python examples/downstream_classifier.py
"""

import argparse
import csv
from collections import Counter
from pathlib import Path

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from textvae.recipes import shipped
from textvae.sklearn import LatentFeatures


def read(split: str, limit: int) -> tuple[list[str], list[dict[str, str]]]:
    """Texts and labels of a split of the shipped corpus."""
    folder = Path(shipped("data"))
    texts = (folder / f"{split}.txt").read_text(encoding="utf-8").splitlines()
    with (folder / f"{split}.labels.tsv").open(encoding="utf-8") as file:
        labels = list(csv.DictReader(file, delimiter="\t"))
    return texts[:limit], labels[:limit]


def main() -> None:
    """Print the accuracy for each factor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="runs/sentence_vae")
    parser.add_argument("--limit", type=int, default=2000, help="sentences to train on")
    parser.add_argument("--kind", default="mean", help="mean, hidden, sample or layers")
    arguments = parser.parse_args()

    train_texts, train_labels = read("train", arguments.limit)
    test_texts, test_labels = read("test", arguments.limit)

    print(f"{'factor':10} {'majority':>8} {'from z':>8}")
    for factor in train_labels[0]:
        known = [label[factor] for label in train_labels]
        asked = [label[factor] for label in test_labels]
        features = LatentFeatures(arguments.model, kind=arguments.kind)
        classifier = make_pipeline(features, StandardScaler(), LogisticRegression(max_iter=1000))
        accuracy = classifier.fit(train_texts, known).score(test_texts, asked)
        majority = Counter(known).most_common(1)[0][0]
        print(f"{factor:10} {asked.count(majority) / len(asked):8.3f} {accuracy:8.3f}")


if __name__ == "__main__":
    main()
