"""Driver turns of KVRET with their labels, for recipes of sets of labels.

    python benchmarks/kvret_turns.py ../shared/data/kvret/dialogues data/kvret_turns --labelled 50

Each driver turn that an assistant answers is a row of train.jsonl, valid.jsonl and test.jsonl with
the keys turn and labels: the slots of the answer's annotation, and with "?" those requested. With
--labelled only so many training turns, drawn with a seed, keep their labels; the others have null.

Source: Eric et al. 2017, SIGDIAL (the dialogues); the labels are ours.
"""

import argparse
import gzip
import json
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any


def driver_turns(dialogue: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The driver turns of a dialogue that are followed by an assistant's, with their labels."""
    turns = dialogue["turns"]
    for turn, answer in pairwise(turns):
        if turn["speaker"] == "driver" and answer["speaker"] == "assistant":
            slots = [slot.partition("=")[0] for slot in answer["slots"]]
            labels = [*slots, *(f"?{slot}" for slot in answer["requested"])]
            yield {"turn": turn["text"], "labels": sorted(set(labels))}


def main() -> None:
    """Write the turns of the dialogues that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dialogues", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labelled", type=int, help="training turns that keep their labels")
    parser.add_argument("--seed", type=int, default=0, help="that chooses them")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        with gzip.open(given.dialogues / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows = [row for line in lines for row in driver_turns(json.loads(line))]
        if split == "train" and given.labelled is not None:
            order = random.Random(given.seed).sample(range(len(rows)), given.labelled)
            rows = [
                row if i in set(order) else row | {"labels": None} for i, row in enumerate(rows)
            ]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (given.folder / f"{split}.jsonl").write_text(text, encoding="utf-8")
        labels = {label for row in rows for label in row["labels"] or ()}
        print(f"{split}: {len(rows):,} turns, {len(labels)} labels")


if __name__ == "__main__":
    main()
