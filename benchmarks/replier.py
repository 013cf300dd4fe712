"""Are replies those of the one who replies? A classifier of pairs of earlier turns and a reply.

    python benchmarks/replier.py ../shared/data/dailydialog_pairs RUN RUN

DATA has train and test rows with the fields context, own and response (chang2019_ssvn). For each
reply the classifier chooses between the replier's own earlier turns and those of another row.
Chance is one half. It is a logistic regression on |a - b| and a * b of the principal components of
TF-IDF vectors, a of the turns and b of the reply, trained on the training rows. Printed are its
accuracy on real replies and on those of each run, which is given the context: with the own turns,
from which the latent of the replier is read, and without.

Source: Chang et al. 2019, EMNLP, the classifier of repliers (there of users).
"""

import argparse
from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from textvae import SentenceVAE
from textvae.config import FieldConfig
from textvae.data.tables import Columns, read_table_split
from textvae.graph.decoding import Decoding

FIELDS = {
    "context": FieldConfig(plate="turn"),
    "own": FieldConfig(plate="mine"),
    "response": FieldConfig(),
}
COMPONENTS, ROWS = 200, 2_000


class PairClassifier:
    """Whether a reply is of the one who said some turns.

    Args:
        turns: of each training row, joined.
        replies: of each training row.
        seed: of the other rows, and of the components.
    """

    def __init__(self, turns: Sequence[str], replies: Sequence[str], seed: int = 0):
        self.words = TfidfVectorizer(sublinear_tf=True, min_df=2)
        self.components = TruncatedSVD(COMPONENTS, random_state=seed)
        self.components.fit(self.words.fit_transform([*turns, *replies]))
        others = other_rows(len(turns), seed)
        pairs = [*turns, *(turns[row] for row in others)], [*replies, *replies]
        labels = np.repeat([1, 0], len(turns))
        self.model = LogisticRegression(max_iter=2_000).fit(self.features(*pairs), labels)

    def features(self, turns: Sequence[str], replies: Sequence[str]) -> np.ndarray:
        """Of pairs, (N, 2 * COMPONENTS)."""
        a, b = (self.components.transform(self.words.transform(x)) for x in (turns, replies))
        return np.concatenate([np.abs(a - b), a * b], 1)

    def accuracy(self, turns: Sequence[str], replies: Sequence[str], seed: int = 1) -> float:
        """Share of replies that fit their own turns better than those of another row."""
        others = [turns[row] for row in other_rows(len(turns), seed)]
        own, other = (
            self.model.decision_function(self.features(each, replies)) for each in (turns, others)
        )
        return float(np.mean(own > other) + np.mean(own == other) / 2)


def other_rows(count: int, seed: int) -> np.ndarray:
    """For each of N rows another one."""
    shift = np.random.default_rng(seed).integers(1, count, count)
    return (np.arange(count) + shift) % count


def rows_of(data: str, split: str) -> Columns:
    """The columns of one split."""
    table, _ = read_table_split(f"{data}/{split}.jsonl.gz", FIELDS)
    return table.columns


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--rows", type=int, default=ROWS, help="test rows, the first ones")
    chosen = parser.parse_args()
    train, test = (rows_of(chosen.data, split) for split in ("train", "test"))
    test = {name: cells[: chosen.rows] for name, cells in test.items()}
    own = [" ".join(turns) for turns in test["own"]]
    judge = PairClassifier([" ".join(turns) for turns in train["own"]], train["response"])
    error = 0.5 / len(own) ** 0.5
    print(f"| replies | accuracy, {len(own):,} rows, +- {error:.3f} at most |\n| --- | --- |")
    print(f"| real | {judge.accuracy(own, test['response']):.3f} |")
    for run in chosen.runs:
        vae = SentenceVAE.from_pretrained(run)
        for names in (["context", "own"], ["context"]):
            given = {name: test[name] for name in names}
            replies = vae.sample(1, Decoding(do_sample=True, temperature=0.7), 0, given=given)
            print(f"| {run}, given {' and '.join(names)} | {judge.accuracy(own, replies):.3f} |")


if __name__ == "__main__":
    main()
