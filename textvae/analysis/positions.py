"""The per-position protocol of Bosc & Vincent 2020: several runs beside a language model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from textvae.api.sentence import SentenceVAE
from textvae.evaluation.positions import PositionLosses, Recovery, improvement


@dataclass(frozen=True)
class PositionStudy:
    """Losses at each position of the same texts under several runs, and a language model beside.

    Args:
        runs: one for each run, as from several seeds; each over the same positions.
        recoveries: what comes back of the texts, one for each run; empty when not asked for.
        baseline: of the language model; None without one.
        latent: which z: "1 posterior sample", "posterior means".
        length: targets of each text, end of sentence included; None for texts of any length.

    Source: Bosc & Vincent 2020, section 3, arXiv:2004.07683.
    """

    runs: list[PositionLosses]
    recoveries: list[Recovery]
    baseline: PositionLosses | None
    latent: str
    length: int | None

    def result(self) -> dict:
        """All of it as JSON: over the runs, mean, smallest and largest at each position."""
        first = self.runs[0]
        result = {
            "latent": self.latent,
            "length": self.length,
            "position": list(range(1, len(first.loss) + 1)),
            "texts": first.count.tolist(),
            **spread("loss", [run.loss for run in self.runs]),
            **spread("from_end", [run.from_end for run in self.runs]),
        }
        if self.recoveries:
            for name in ("first_word", "length", "exact"):
                values = [getattr(found, name) for found in self.recoveries]
                result[f"{name}_recovery"] = round(float(np.mean(values)), 6)
            result |= spread("recovery", [found.rate for found in self.recoveries])
        if self.baseline is None:
            return result
        base = self.baseline
        gains = [improvement(base.loss, run.loss) for run in self.runs]
        last = [improvement(base.from_end, run.from_end) for run in self.runs]
        return result | {
            "baseline": rounded(base.loss),
            "baseline_from_end": rounded(base.from_end),
            **spread("improvement", gains),
            **spread("improvement_from_end", last),
        }


def study_positions(
    runs: Sequence[SentenceVAE],
    texts: Sequence[str],
    baseline: SentenceVAE | None = None,
    length: int | None = None,
    samples: int = 1,
    use_mean: bool = False,
    recover: bool = False,
    seed: int = 0,
) -> PositionStudy:
    """Reconstruction losses at each position of held-out texts; KL excluded.

    Args:
        runs: trained alike, as with several seeds.
        texts: that no run was trained on.
        baseline: a language model of the same size and vocabulary.
        length: only texts of exactly this many targets, end of sentence included.
        samples: posterior samples of each text.
        use_mean: the posterior means in place of samples.
        recover: decode each text's posterior mean, and compare.
        seed: of the samples.

    Raises:
        ValueError: models cut texts differently, the baseline has a latent, or no text is left.
    """
    vocabulary = runs[0].tokenizer.get_vocab()
    others = [*runs[1:], *([] if baseline is None else [baseline])]
    if any(other.tokenizer.get_vocab() != vocabulary for other in others):
        raise ValueError("positions can be compared only of runs with the same vocabulary")
    if baseline is not None and baseline.dim:
        raise ValueError("the baseline must be a language model: this one has a latent")
    chosen = list(texts) if length is None else of_length(runs[0], texts, length)
    latent = "posterior means" if use_mean else f"{samples} posterior sample(s)"
    if not any(run.dim for run in runs):
        latent = "no latent"
    return PositionStudy(
        runs=[run.positions(chosen, samples, use_mean, seed) for run in runs],
        recoveries=[run.recovery(chosen) for run in runs] if recover else [],
        baseline=None if baseline is None else baseline.positions(chosen),
        latent=latent,
        length=length,
    )


def of_length(vae: SentenceVAE, texts: Sequence[str], length: int) -> list[str]:
    """The texts of exactly so many targets, end of sentence included.

    Raises:
        ValueError: there is none; the most frequent length is named.
    """
    targets = vae.sentences(texts).lengths - 1
    chosen = [text for text, found in zip(texts, targets, strict=True) if found == length]
    if not chosen:
        lengths, counts = np.unique(targets, return_counts=True)
        raise ValueError(
            f"no text has {length} targets; most have {lengths[counts.argmax()]} "
            f"({counts.max()} texts), and there are some from {lengths[0]} to {lengths[-1]}"
        )
    return chosen


def spread(name: str, values: Sequence[Tensor]) -> dict[str, list[float]]:
    """Mean over runs of values, (T,), and the smallest and the largest where there are several."""
    stacked = torch.stack(list(values))
    result = {name: rounded(stacked.mean(0))}
    if len(values) > 1:
        result[f"{name}_low"] = rounded(stacked.amin(0))
        result[f"{name}_high"] = rounded(stacked.amax(0))
    return result


def rounded(values: Tensor) -> list[float]:
    """Numbers for JSON."""
    return [round(value, 6) for value in values.tolist()]
