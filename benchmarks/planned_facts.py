"""How many of its facts a text names, and how much of a plan is realised.

    python benchmarks/planned_facts.py ../shared/data/e2e RUN [RUN ...] [--seeds 3] [--split valid]

Each different set of facts of the held-out rows is described once for each seed, all tokens sampled
at a temperature.
`named` is the share of facts whose attribute stands in the text, by its value or by one of a few
stems; `true` the share of facts of the attributes in `VALUED` whose value does; `realised` the
share of facts planned for a sentence that are named in it. Human texts stand beside, one of each
set, with their own groups for plans.

Source: Shao et al. 2019, EMNLP (the measures); the match is ours.
"""

import argparse
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import torch

from textvae.api.sentence import SentenceVAE
from textvae.evaluation.text import distinct
from textvae.graph.decoding import Decoding
from textvae.recipes import load_recipe
from textvae.training.run_data import corpus_of

RECIPE = "shao2019_phvm"
STEMS = {
    "area": ("city", "river"),
    "customer rating": ("rat", "star", "review", "out of"),
    "eatType": ("coffee", "shop", "restaurant", "pub"),
    "familyFriendly": ("famil", "kid", "child"),
    "food": ("food", "cuisine"),
    "priceRange": ("pric", "cheap", "expens", "cost", "£"),
}
VALUED = ("area", "eatType", "food", "name", "near")
"""Attributes whose value is written as it stands."""

Text = tuple[Sequence[str], Sequence[Sequence[str]] | None]
"""The sentences of one text, and the attributes planned for each."""


def squeezed(text: str) -> str:
    """Small letters without blanks, so that tokens and words are alike."""
    return "".join(text.lower().split())


def facts_of(text: str) -> dict[str, str]:
    """Values by attribute of "attribute = value ; attribute = value"."""
    pairs = [fact.partition("=") for fact in text.split(";")]
    return {name.strip(): value.strip() for name, _, value in pairs}


def is_named(attribute: str, value: str, text: str) -> bool:
    """Whether a text names an attribute."""
    known = squeezed(text)
    return any(squeezed(each) in known for each in (value, *STEMS.get(attribute, ())))


def measures(asked: Sequence[str], texts: Sequence[Text]) -> dict[str, float]:
    """The measures of one text for each set of facts."""
    named, true, realised = list[bool](), list[bool](), list[bool]()
    for facts, (sentences, plans) in zip(map(facts_of, asked), texts, strict=True):
        whole = " ".join(sentences)
        named += [is_named(name, value, whole) for name, value in facts.items()]
        known = squeezed(whole)
        true += [squeezed(facts[name]) in known for name in VALUED if name in facts]
        for sentence, plan in zip(sentences, plans or (), strict=False):
            realised += [is_named(name, facts[name], sentence) for name in plan if name in facts]
    every = [sentence for sentences, _ in texts for sentence in sentences]
    found = {"named": mean(named), "true": mean(true), "distinct-4": distinct(every, 4)}
    found["sentences"] = len(every) / len(texts)
    return found | ({"realised": mean(realised)} if realised else {})


def first_of_each(columns: Mapping[str, Sequence[Any]]) -> list[int]:
    """The first row of each different set of facts."""
    return list({facts: row for row, facts in reversed(list(enumerate(columns["facts"])))}.values())


def described(vae: SentenceVAE, asked: Sequence[str], seed: int, temperature: float) -> list[Text]:
    """A text for each set of facts."""
    how = Decoding(do_sample=True, allow_unknown=False, temperature=temperature)
    rows = vae.sample_rows(1, how, seed, given={"facts": list(asked)})
    return [(row["text"], row.get("group")) for row in rows]


def main() -> None:
    """Print a line for the human texts and for each run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data")
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--split", choices=("valid", "test"), default="test")
    parser.add_argument("--temperature", type=float, default=1.0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    corpus: Any = corpus_of(load_recipe(RECIPE, [f"data.source={given.data}"]).data)
    columns = getattr(corpus, given.split).columns
    rows = first_of_each(columns)
    asked = [columns["facts"][row] for row in rows]
    print(f"{len(asked)} sets of facts")
    human = [(columns["text"][row], columns["group"][row]) for row in rows]
    print("human texts:", {name: round(x, 3) for name, x in measures(asked, human).items()})
    for run in given.runs:
        vae = SentenceVAE.from_pretrained(run)
        texts = [described(vae, asked, seed, given.temperature) for seed in range(given.seeds)]
        found = [measures(asked, each) for each in texts]
        for name in found[0]:
            values = [each[name] for each in found]
            spread = stdev(values) if len(values) > 1 else 0.0
            print(f"{run} {name}: {mean(values):.3f}, spread {spread:.3f}")


if __name__ == "__main__":
    main()
