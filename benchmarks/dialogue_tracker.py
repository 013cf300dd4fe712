"""Whether labels of sampled dialogues fit their words, and whether these dialogues help a tracker.

    python benchmarks/dialogue_tracker.py ../shared/data/kvret/dialogues [--share 0.2] [--seeds 3]

The tracker is a logistic regression for each slot, on the words of a turn, of the turn before it
and who speaks. Two tables: the share of turns whose labels a tracker of all real training turns
predicts without a mistake, of held-out dialogues and of as many sampled by yoo2020_vhda; and joint
accuracy, the share of held-out turns without a mistake, of trackers trained on a share of the
dialogues alone and on them with as many that a model of the share has sampled: for each seed a
share and a model, and three times samples of it.

Source: Yoo et al. 2020, EMNLP (the question); tracker and data are ours.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import hstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

from textvae.api.sentence import SentenceVAE
from textvae.data.tables import Table, TableCorpus
from textvae.data.tokenizers import TextTokenizer
from textvae.graph.decoding import Decoding
from textvae.recipes import load_recipe
from textvae.training.run_data import corpus_of
from textvae.training.runs import train_run

RECIPE = "yoo2020_vhda"
DRAWS = 3
STEPS = 1080
"""Of each model: the 40 epochs of all dialogues."""
HOW = Decoding(do_sample=True, allow_unknown=False)


class Tracker:
    """Predicts the set of slots of each turn of some dialogues.

    Args:
        table: dialogues with the columns text, speaker and slots, to train on.
    """

    def __init__(self, table: Table) -> None:
        self.readers = [CountVectorizer(binary=True, lowercase=True) for _ in range(2)]
        self.names = MultiLabelBinarizer(classes=sorted(set(flat(flat(table.columns["slots"])))))
        turns, before, speakers = features(table)
        words = [reader.fit_transform(turns) for reader in self.readers[:1]]
        words += [self.readers[1].fit_transform(before)]
        truth = self.names.fit_transform(flat(table.columns["slots"]))
        one = LogisticRegression(C=10.0, max_iter=1000)
        self.model = OneVsRestClassifier(one).fit(hstack([*words, speakers]), truth)

    def agreement(self, table: Table) -> tuple[float, float]:
        """Share of turns without a mistake: of all turns, and of those with a slot."""
        turns, before, speakers = features(table)
        words = [self.readers[0].transform(turns), self.readers[1].transform(before)]
        truth = [frozenset(labels) for labels in flat(table.columns["slots"])]
        found = self.names.inverse_transform(self.model.predict(hstack([*words, speakers])))
        right = np.array([frozenset(a) == b for a, b in zip(found, truth, strict=True)])
        return float(right.mean()), float(right[[bool(labels) for labels in truth]].mean())


def features(table: Table) -> tuple[list[str], list[str], np.ndarray]:
    """The text of each turn, the text before it (of a first turn, none), and who speaks (T, 1)."""
    texts = table.columns["text"]
    before = [["", *cell[:-1]] for cell in texts]
    speakers = [[float(who == "driver")] for who in flat(table.columns["speaker"])]
    return flat(texts), flat(before), np.array(speakers)


def flat(cells: Sequence[Sequence[Any]]) -> list[Any]:
    """The parts of all cells."""
    return [part for cell in cells for part in cell]


def joined(first: Table, second: Table) -> Table:
    """The rows of both."""
    both = {name: [*cells, *second.columns[name]] for name, cells in first.columns.items()}
    return Table(both)


def trained(corpus: TableCorpus, data: str, seed: int) -> SentenceVAE:
    """A model of some dialogues."""
    sets = [f"train.seed={seed}", f"train.steps={STEPS}", f"data.source={data}"]
    recipe = load_recipe(RECIPE, sets)
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = train_run(recipe, corpus, Path(folder) / "run", device="cpu")
    assert isinstance(tokenizer, TextTokenizer), "the rows have texts"
    return SentenceVAE(model.eval(), tokenizer)


def sampled(vae: SentenceVAE, count: int, seed: int) -> Table:
    """Dialogues that a model writes."""
    rows = vae.sample_rows(count, HOW, seed)
    return Table({name: [row[name] for row in rows] for name in rows[0]})


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("--share", type=float, default=0.2, help="of the training dialogues")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    corpus: Any = corpus_of(load_recipe(RECIPE, [f"data.source={given.data}"]).data)
    tracker = Tracker(corpus.train)
    every, some = tracker.agreement(corpus.test)
    print(f"agreement on held-out turns: {every:.3f}, on those with a slot {some:.3f}")
    alone, helped, agreed = [], [], []
    for seed in range(given.seeds):
        vae = trained(corpus, given.data, seed)
        agreed.append(tracker.agreement(sampled(vae, len(corpus.test), seed)))
        every, some = agreed[-1]
        print(f"seed {seed}: agreement on sampled turns {every:.3f}, with a slot {some:.3f}")
        count = round(given.share * len(corpus.train))
        rows = np.random.default_rng(seed).permutation(len(corpus.train))[:count]
        small = replace(corpus, train=corpus.train.select(sorted(rows.tolist())), held_out=None)
        vae = trained(small, given.data, seed)
        alone.append(Tracker(small.train).agreement(corpus.test)[0])
        for draw in range(DRAWS):
            more = joined(small.train, sampled(vae, count, draw))
            helped.append(Tracker(more).agreement(corpus.test)[0])
        print(f"seed {seed}: {count} dialogues {alone[-1]:.3f}, with samples", helped[-DRAWS:])
    print(f"agreement on sampled turns: {statistics.mean(each for each, _ in agreed):.3f}")
    for name, values in (("alone", alone), ("with samples", helped)):
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"joint accuracy {name}: {statistics.mean(values):.3f}, spread {spread:.3f}")


if __name__ == "__main__":
    main()
