"""Control of a finished model: plug-ins, steering and their baselines, judged by a classifier.

Run: python benchmarks/control.py RUN LABELLED CONDITIONS OUT. LABELLED is a folder of labelled
texts, `yelp` of benchmarks/labelled_data.py, on which the judge is trained and tested; CONDITIONS
holds PPVAE's yelp_pos-train.txt and yelp_neg-train.txt. OUT gets one JSON object a line; rows that
it has are not computed again.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from textvae import SentenceVAE
from textvae.analysis.classification import text_classifier
from textvae.control.plug_in import PlugInSettings
from textvae.control.steering import fitted_gaussian
from textvae.data.readers import read_labelled
from textvae.graph.decoding import Decoding
from textvae.randomness import draws, seeded

LABELS = {"pos": "positive", "neg": "negative"}
CURVE = (200, 50, 20)
STRENGTHS = (1.0, 4.0, 16.0)
DECODINGS = {"greedy": Decoding(), "temperature": Decoding(do_sample=True, temperature=0.5)}


@dataclass
class Bench:
    """A base, the texts of both conditions, and the judge.

    Args:
        run: folder of the base.
        labelled: folder of labelled texts.
        conditions: folder of the conditional texts.
        count: outputs of each method.
    """

    run: Path
    labelled: Path
    conditions: Path
    count: int

    @cached_property
    def vae(self) -> SentenceVAE:
        """The base."""
        return SentenceVAE.from_pretrained(self.run)

    @cached_property
    def splits(self) -> Any:
        """The labelled texts."""
        return read_labelled(str(self.labelled), text_column="text", label_column="label")

    @cached_property
    def judge(self) -> Any:
        """Logistic regression on TF-IDF."""
        return text_classifier().fit(*self.splits["train"])

    def texts(self, condition: str, count: int = 200) -> list[str]:
        """The first texts of a condition."""
        path = self.conditions / f"yelp_{condition}-train.txt"
        return path.read_text(encoding="utf-8").splitlines()[:count]

    def judged(self, z: np.ndarray, condition: str, seed: int) -> dict[str, Any]:
        """Accuracy of the judge, share of different outputs and two of them, of each decoding."""
        result = {}
        for name, decoding in DECODINGS.items():
            outputs = self.vae.decode(z, decoding, seed)
            correct = self.judge.predict(outputs) == LABELS[condition]
            result[name] = {
                "accuracy": float(correct.mean()),
                "different": len(set(outputs)) / len(outputs),
                "first": outputs[:2],
            }
        return result

    def facts(self) -> dict[str, Any]:
        """The judge's accuracy on real texts, and on greedy reconstructions of them."""
        texts, labels = self.splits["test"]
        right = np.asarray(labels)
        back = self.vae.reconstruct(texts[:1000])
        return {
            "judge": float((self.judge.predict(texts) == right).mean()),
            "judge_on_reconstructions": float((self.judge.predict(back) == right[:1000]).mean()),
        }

    def prior(self, condition: str, seed: int) -> dict[str, Any]:
        """Greedy outputs of z from the prior."""
        with seeded(seed):
            values = self.vae.model.sample_prior(self.count).values()
        z = np.concatenate([value[0].numpy() for value in values], -1)
        return self.judged(z, condition, seed)

    def gaussian(self, condition: str, seed: int, texts: int = 200) -> dict[str, Any]:
        """Greedy outputs of z from a Gaussian fitted to the codes of the texts."""
        codes = np.asarray(self.vae.encode(self.texts(condition, texts)))
        with seeded(seed), draws():
            noise = torch.randn(self.count, codes.shape[1])
        gaussian = fitted_gaussian(codes)
        z = (gaussian.loc + noise @ gaussian.scale_tril.T).numpy()
        return self.judged(z, condition, seed)

    def plug_in(
        self, condition: str, seed: int, gamma: float = 0.1, texts: int = 200
    ) -> dict[str, Any]:
        """Greedy outputs of a plug-in."""
        other = "neg" if condition == "pos" else "pos"
        groups = self.texts(condition, texts), self.texts(other, texts)
        before = digest(self.run)
        start = time.process_time()
        plug = self.vae.plug_in(*groups, PlugInSettings(gamma=gamma), seed)
        seconds = time.process_time() - start
        return self.judged(plug.sample(self.count, seed), condition, seed) | {
            "cpu_seconds": seconds,
            "base_unchanged": digest(self.run) == before,
            "holding": plug.facts["holding"],
            "losses": plug.facts["losses"],
        }

    def steer(
        self, condition: str, seed: int, strength: float = 1.0, texts: int = 200
    ) -> dict[str, Any]:
        """Greedy outputs of codes that are steered toward the condition."""
        groups = {name: self.texts(name, texts) for name in LABELS}
        given = [text for group in groups.values() for text in group]
        labels = [name for name, group in groups.items() for _ in group]
        start = time.process_time()
        result = self.vae.steer(given, labels, condition, self.count, strength, seed=seed)
        seconds = time.process_time() - start
        return self.judged(result.z, condition, seed) | {
            "cpu_seconds": seconds,
            "holding": result.holding.result(),
        }


def digest(run: Path) -> str:
    """The SHA-256 of the file of weights of a run."""
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def jobs(bench: Bench, seeds: int) -> Iterator[tuple[dict[str, Any], Callable[[], dict[str, Any]]]]:
    """The key of each row, and what computes it."""
    yield {"method": "facts"}, bench.facts
    for seed in range(seeds):
        for condition in LABELS:
            key = {"condition": condition, "seed": seed}
            rows: list[tuple[Any, dict[str, Any]]] = [
                (bench.prior, {}),
                (bench.gaussian, {}),
                (bench.plug_in, {"gamma": 0.1}),
                (bench.plug_in, {"gamma": 0.0}),
                *((bench.steer, {"strength": strength}) for strength in STRENGTHS),
                *((bench.plug_in, {"gamma": 0.1, "texts": texts}) for texts in CURVE[1:]),
                *((bench.gaussian, {"texts": texts}) for texts in CURVE[1:]),
                *((bench.steer, {"strength": 4.0, "texts": texts}) for texts in CURVE[1:]),
            ]
            for method, options in rows:
                name = {"method": method.__name__, **key, **options}
                yield name, partial(method, **key, **options)


def main() -> None:
    """Compute the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("run", "labelled", "conditions", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--count", type=int, default=500, help="outputs of each method")
    parser.add_argument("--seeds", type=int, default=3, help="of each method")
    parser.add_argument("--seconds", type=float, help="begin no row after so long")
    given = parser.parse_args()
    known = given.out.read_text().splitlines() if given.out.exists() else []
    done = [json.loads(line)["key"] for line in known]
    bench, start = Bench(given.run, given.labelled, given.conditions, given.count), time.time()
    for key, compute in jobs(bench, given.seeds):
        late = given.seconds is not None and time.time() - start > given.seconds
        if key not in done and not late:
            with given.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, **compute()}) + "\n")


if __name__ == "__main__":
    main()
