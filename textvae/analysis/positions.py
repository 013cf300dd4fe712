"""Reconstruction losses per position, of several runs and a language model.

Source: Bosc & Vincent 2020, section 3, arXiv:2004.07683.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from textvae.api.sentence import SentenceVAE
from textvae.api.text_evaluation import rows_at
from textvae.api.text_writer import TextRows
from textvae.evaluation.positions import PositionLosses, Recovery, improvement


@dataclass(frozen=True)
class PositionAnalysis:
    """Losses at each position of the same texts under several runs and a language model.

    Args:
        runs: one for each run, as from several seeds; each over the same positions.
        recoveries: recovery of the texts, one for each run; empty when not asked for.
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
        """The JSON output: mean, smallest and largest over the runs at each position."""
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
                values = [getattr(recovery, name) for recovery in self.recoveries]
                result[f"{name}_recovery"] = round(float(np.mean(values)), 6)
            result |= spread("recovery", [recovery.rate for recovery in self.recoveries])
        if self.baseline is None:
            return result
        baseline = self.baseline
        gains = [improvement(baseline.loss, run.loss) for run in self.runs]
        gains_from_end = [improvement(baseline.from_end, run.from_end) for run in self.runs]
        return result | {
            "baseline": rounded(baseline.loss),
            "baseline_from_end": rounded(baseline.from_end),
            **spread("improvement", gains),
            **spread("improvement_from_end", gains_from_end),
        }


def analyse_positions(
    runs: Sequence[SentenceVAE],
    texts: TextRows,
    baseline: SentenceVAE | None = None,
    length: int | None = None,
    samples: int = 1,
    use_mean: bool = False,
    recover: bool = False,
    seed: int = 0,
) -> PositionAnalysis:
    """Reconstruction losses at each position of held-out texts; KL excluded.

    Args:
        runs: trained alike, as with several seeds.
        texts: that no run was trained on, or a mapping of lists where the runs read several fields.
        baseline: a language model of the same size and vocabulary.
        length: only texts of exactly this many targets, end of sentence included.
        samples: posterior samples of each text.
        use_mean: posterior means instead of samples.
        recover: also decode each text's posterior mean and compare it to the text.
        seed: of the samples.

    Raises:
        ValueError: vocabularies differ, the baseline has a latent, no text has the length, or texts
            with parts are to have a length or to be recovered.
    """
    vocabulary = runs[0].tokenizer.get_vocab()
    others = [*runs[1:], *([] if baseline is None else [baseline])]
    if any(other.tokenizer.get_vocab() != vocabulary for other in others):
        raise ValueError("positions can be compared only of runs with the same vocabulary")
    if baseline is not None and baseline.dim:
        raise ValueError("the baseline must be a language model: this one has a latent")
    if runs[0].has_parts and (recover or length is not None):
        option = "recover" if recover else "length"
        raise ValueError(
            f"{option}: the texts have parts, such as turns: their losses are shown only"
        )
    chosen = texts if length is None else of_length(runs[0], texts, length)
    latent = "posterior means" if use_mean else f"{samples} posterior sample(s)"
    if not any(run.dim for run in runs):
        latent = "no latent"
    return PositionAnalysis(
        runs=[run.positions(chosen, samples, use_mean, seed) for run in runs],
        recoveries=[run.recovery(chosen) for run in runs] if recover else [],
        baseline=None if baseline is None else baseline.positions(chosen),
        latent=latent,
        length=length,
    )


def of_length(vae: SentenceVAE, texts: TextRows, length: int) -> TextRows:
    """The texts of exactly `length` targets, end of sentence included.

    Raises:
        ValueError: there is none; the message contains the most frequent length.
    """
    (sentences,) = vae.written_texts(vae.rows(texts))
    targets = sentences.lengths - 1
    (chosen,) = np.nonzero(targets == length)
    if not len(chosen):
        lengths, counts = np.unique(targets, return_counts=True)
        raise ValueError(
            f"no text has {length} targets; most have {lengths[counts.argmax()]} "
            f"({counts.max()} texts), and there are some from {lengths[0]} to {lengths[-1]}"
        )
    return rows_at(texts, chosen.tolist())


def spread(name: str, values: Sequence[Tensor]) -> dict[str, list[float]]:
    """Mean over runs of values, (T,), with the smallest and largest where there are several."""
    stacked = torch.stack(list(values))
    result = {name: rounded(stacked.mean(0))}
    if len(values) > 1:
        result[f"{name}_low"] = rounded(stacked.amin(0))
        result[f"{name}_high"] = rounded(stacked.amax(0))
    return result


def rounded(values: Tensor) -> list[float]:
    """Numbers for JSON."""
    return [round(value, 6) for value in values.tolist()]
