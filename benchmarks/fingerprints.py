"""Write the fingerprints of the data that claims name, configs/data/fingerprints.yaml.

Run: python benchmarks/fingerprints.py ptb=FOLDER mnist=FOLDER ag=FOLDER 20ng_bow=FOLDER. What is
not named keeps its entry; the data that come with the package are always read. `ptb` has
ptb.{train,valid,test}.txt, `mnist` the four idx files, `20ng_bow` {train,test}.feat; `ag` is what
`python benchmarks/labelled_data.py ag` writes. `sprites`, `bnetflix` and `yeast` are npz files, as
are `yelp_windows`, which `benchmarks/drift.py` writes, and `digits`, `parity`, `positives`,
`negatives`, `open` and `pairs60`, which `benchmarks/small_mnist.py` writes.
`event2mind`, `wordnet_senses`, `squad_pairs`, `kvret`, `treebank` and `xquad_spans` have tables
{train,valid,test}: of intents, and of triples; `evidence` is what `python benchmarks/evidence.py
find` writes, `stories` what `benchmarks/story_triples.py` does, and `kvret_turns` what
`benchmarks/kvret_turns.py` does.
docs/results/data.md has the sources.
"""

import sys
from pathlib import Path

import yaml

from textvae.analysis.fingerprints import (
    TABLE,
    image_fingerprint,
    label_fields,
    table_fingerprint,
    text_fingerprint,
)
from textvae.config import DataConfig, Fingerprint
from textvae.data.readers import Corpus
from textvae.data.tables import TableCorpus
from textvae.recipes import load_recipe
from textvae.training.folders import fingerprint
from textvae.training.run_data import corpus_of

ROOT = Path(__file__).resolve().parent.parent

READ_BY: dict[str, tuple[str, tuple[str, ...]]] = {
    "shipped corpus": ("", ("lstm_lm", "kingma2014_m2")),
    "8 x 8 digits": ("", ("kingma2014_image",)),
    "ptb": ("ptb", ("lstm_lm_ptb",)),
    "20ng_bow": ("20ng_bow", ("figurnov2018_dirichlet",)),
    "ag": ("ag", ("kingma2014_m2_bag", "gururangan2019_vampire")),
    "event2mind intent": ("event2mind", ("zhao2017_cvae", "gao2019_dcvae")),
    "event2mind evidence": ("evidence", ("guo2020_evidence",)),
    "wordnet_senses": ("wordnet_senses", ("reid2020_vcdm",)),
    "squad_pairs": ("squad_pairs", ("yu2020_cross",)),
    "kvret triples": ("kvret", ("textvae_triples",)),
    "kvret dialogues": ("kvret_dialogues", ("yoo2020_vhda",)),
    "dailydialog pairs": ("dailydialog_pairs", ("chang2019_ssvn",)),
    "dailydialog acts": ("dailydialog_pairs", ("zhao2017_kgcvae",)),
    "e2e restaurants": ("e2e", ("shao2019_phvm",)),
    "treebank": ("treebank", ("zhang2019_plain",)),
    "yelp windows": ("yelp_windows", ("zhang2020_drift",)),
    "bnetflix": ("bnetflix", ("kingma2014_table",)),
    "yeast": ("yeast", ("bai2020_mpvae",)),
    "kvret turns": ("kvret_turns", ("bai2020_mpvae_text",)),
    "xquad_spans": ("xquad_spans", ("lee2020_infohcvae",)),
    "mnist": ("mnist", ("kingma2014_image",)),
    "mnist, 14 x 14": ("mnist", ("kingma2014_small",)),
    "sprites32": ("sprites", ("kingma2014_sprites",)),
    "small mnist": ("digits", ("kingma2014_m2_image",)),
    "small mnist, binarised": ("digits", ("lorberbom2019_direct",)),
    "mnist parity": ("parity", ("itkina2020_evidential",)),
    "mnist positives": ("positives", ("chen2020_vpu",)),
    "mnist negatives": ("negatives", ("chen2020_naive",)),
    "mnist open set": ("open", ("cao2021_gmvae", "cao2021_softmax")),
    "mnist pairs": ("pairs60", ("fu2019_joint", "fu2019_dual")),
    "mnist, binarised": ("mnist", ("burda2016_vae", "he2016_resnet_image")),
}
"""The folder of each data set, and recipes that read it: with labels and without, for example."""

PRETRAINED_ON = {"event2mind intent": ("stories", "du2019_cwvae_pretraining")}
"""The folder that a first training reads, and its recipe: its rows may be trained on too."""

HEADER = """\
# The data sets that claims name: the held-out rows that figures are of, and the training rows of a
# run, see Fingerprint in textvae/config/claims.py. Written by benchmarks/fingerprints.py.
"""


def measured(recipe: str, source: str | None) -> Fingerprint:
    """The fingerprint of the held-out rows of a recipe that reads a folder, None for its own."""
    config = load_recipe(recipe).data.model_copy(update={"source": source})
    corpus = corpus_of(config)
    sums = [fingerprint(corpus)]
    if isinstance(corpus, TableCorpus):
        labels = label_fields(corpus.fields)
        return table_fingerprint(corpus.test, labels, "", sums)
    if not isinstance(corpus, Corpus):
        assert corpus.test is not None, "every data set has test images"
        return image_fingerprint(corpus.test, "", sums)
    assert isinstance(config, DataConfig) and corpus.test, "every data set has test texts"
    # Labels are compared where a claim is about them; in the shipped corpus there are several.
    labels = None if corpus.labels is None or source is None else corpus.labels["test"]
    return text_fingerprint(corpus.test, labels, "", sums)


def main(folders: dict[str, str]) -> None:
    """Write the table, with new entries for the data sets whose folders are given."""
    path = ROOT / "configs" / TABLE
    table = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, (folder, recipes) in READ_BY.items():
        if folder and folder not in folders:
            continue
        each = [measured(recipe, folders.get(folder)) for recipe in recipes]
        (sha,) = {one.sha256 for one in each}
        sums = sorted({value for one in each for value in one.training})
        if name in PRETRAINED_ON:
            first, recipe = PRETRAINED_ON[name]
            sums += sorted(set(table.get(name, {}).get("training", [])) - {*sums})
            if first in folders:
                read = load_recipe(recipe).data.model_copy(update={"source": folders[first]})
                sums = [*dict.fromkeys([*sums, fingerprint(corpus_of(read))])]
        labels = next((one.labels for one in each if one.labels is not None), None)
        values = {
            "split": "test",
            "sentences": each[0].sentences,
            "words": each[0].words,
            "sha256": sha,
            "labels": labels,
            "training": sums,
        }
        table[name] = {key: value for key, value in values.items() if value is not None}
    path.write_text(HEADER + yaml.safe_dump(table, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    main(dict(argument.split("=", 1) for argument in sys.argv[1:]))  # type: ignore[arg-type]
