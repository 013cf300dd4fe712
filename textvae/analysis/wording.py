"""Diagnoses as text: the one place that renders their codes."""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Literal

from textvae.analysis.findings import (
    CauseCode,
    Diagnosis,
    Finding,
    FindingCode,
    PositionGaps,
    Remedy,
    RemedyCode,
    Verdict,
)
from textvae.analysis.remedies import SETTINGS, TEXT_SETTINGS
from textvae.console import table
from textvae.data.words import mostly_unknown

RANGES = (1, 2, 3, 4, 6, 11, 21)
"""First positions of the ranges that a table shows."""

VERDICTS = {
    Verdict.NO_LATENT: "The model is a language model: it has no latent.",
    Verdict.AUTOENCODER: "Each posterior is a point: there is no KL and no bound on the "
    "likelihood.",
    Verdict.COLLAPSED: "The posterior is nearly the same for every text",
    Verdict.IGNORED_BY_DECODER: "z differs between texts, but the decoder ignores it",
    Verdict.WEAK: "z contains little information about its text",
    Verdict.ACTIVE: "z differs between texts",
}

OLD_VERDICTS = {
    Verdict.NO_LATENT: "no latent",
    Verdict.AUTOENCODER: "autoencoder",
    Verdict.COLLAPSED: "dead",
    Verdict.IGNORED_BY_DECODER: "unheard",
    Verdict.WEAK: "faint",
    Verdict.ACTIVE: "alive",
}
"""Values of `verdict` in JSON, for readers of earlier versions; `code` replaces it."""

REMEDIES = {
    RemedyCode.FREE_BITS: "free bits: the first nats of KL are free",
    RemedyCode.MINIMUM_KL: "a KL that cannot vanish",
    RemedyCode.ENCODER_FIRST: "an encoder that is trained ahead of the decoder",
    RemedyCode.WORD_DROPOUT: "word dropout: the decoder needs z",
    RemedyCode.PRIOR_MATCHING: "matches the aggregate posterior to the prior",
    RemedyCode.POOLING: "an encoder that weights all words equally",
}
"""The reason to try a recipe."""

SETTING_NAMES = {
    RemedyCode.FREE_BITS: "free bits",
    RemedyCode.LOWER_KL_WEIGHT: "a lower KL weight",
    RemedyCode.SLOWER_ANNEALING: "slower annealing",
    RemedyCode.WORD_DROPOUT: "more word dropout",
}
"""Settings to try."""


@dataclass(frozen=True)
class Advice:
    """A recipe to try, as text.

    Args:
        recipe: name of a shipped recipe.
        why: the reason.
        command: that trains it on the same data.
    """

    recipe: str
    why: str
    command: str


@dataclass(frozen=True)
class DiagnosisReport:
    """A diagnosis as text; its fields are the keys of the JSON output.

    Args:
        code: the state of the latent.
        verdict: the same by the name of earlier versions.
        findings: a sentence each: the state, the observations, the causes.
        advice: recipes to try.
        dead_dimensions: indices of collapsed dimensions.
        positions: losses at each position with a text's `own` z and with `another`'s, number of
            `texts`, and the shuffled-z gap, `worth`; empty where texts have no order.
        metrics: that the diagnosis rests on.
    """

    code: str
    verdict: str
    findings: list[str]
    advice: list[Advice]
    dead_dimensions: list[int]
    positions: dict[str, list]
    metrics: dict[str, Any]

    def text(self) -> str:
        """The report for a terminal."""
        heading = self.code.replace("_", " ").upper()
        parts = [f"{heading}. {self.findings[0]}", *self.findings[1:]]
        if self.positions:
            header = ["tokens", "own z", "shuffled z", "gap"]
            parts.append(table(position_rows(self.positions), header))
        if self.advice:
            width = max(len(advice.command) for advice in self.advice)
            lines = [f"  {advice.command:{width}}  # {advice.why}" for advice in self.advice]
            parts.append("\n".join(["Try next:", *lines]))
        return "\n".join(parts)


def diagnosis_report(diagnosis: Diagnosis) -> DiagnosisReport:
    """A diagnosis as text."""
    causes = [cause_text(cause) for cause in diagnosis.causes]
    return DiagnosisReport(
        code=diagnosis.code.value,
        verdict=OLD_VERDICTS[diagnosis.code],
        findings=[
            verdict_text(diagnosis.code, diagnosis.metrics),
            *(finding_text(finding, diagnosis.metrics) for finding in diagnosis.findings),
            *([f"Why: {'; '.join(causes)}."] if causes else []),
        ],
        advice=[advice_of(remedy) for remedy in diagnosis.remedies],
        dead_dimensions=list(diagnosis.collapsed_dimensions),
        positions={} if diagnosis.positions is None else position_columns(diagnosis.positions),
        metrics=diagnosis.metrics,
    )


def verdict_text(verdict: Verdict, metrics: Mapping[str, Any]) -> str:
    """The state of a latent, with mutual information and KL where they have a meaning."""
    if verdict in (Verdict.NO_LATENT, Verdict.AUTOENCODER):
        return VERDICTS[verdict]
    return (
        f"{VERDICTS[verdict]}: mutual information {metrics['mutual_information']:.2f} nats "
        f"of at most {metrics['mutual_information_ceiling']:.2f}, KL {metrics['kl']:.2f}."
    )


def finding_text(finding: Finding, metrics: Mapping[str, Any]) -> str:
    """An observation as a sentence."""
    if finding.code is FindingCode.TOO_FEW_TEXTS:
        return (
            f"The mutual information is near its upper bound for {metrics['sentences']:,} texts: "
            "more texts would give a higher estimate."
        )
    texts: dict[Any, Callable[[Mapping[str, Any]], str]] = {
        FindingCode.KL_EXCEEDS_INFORMATION: kl_text,
        FindingCode.PRIOR_MISMATCH: mismatch_text,
        FindingCode.ACTIVE_DIMENSIONS: dimensions_text,
        FindingCode.SHUFFLED_Z_GAP: gap_text,
    }
    return texts[finding.code](finding.values)


def kl_text(values: Mapping[str, Any]) -> str:
    """A KL that exceeds the mutual information, as a sentence."""
    return "KL is much larger than the mutual information: little of it separates the texts."


def mismatch_text(values: Mapping[str, Any]) -> str:
    """An aggregate posterior that is far from the prior, as a sentence."""
    return (
        f"The aggregate posterior differs from the prior (marginal KL "
        f"{values['marginal_kl']:.2f}): samples from the prior are far from every encoded text."
    )


def dimensions_text(values: Mapping[str, Any]) -> str:
    """The active dimensions as a sentence."""
    count, collapsed = values["dimensions"], values["collapsed"]
    if len(collapsed) == count:
        return f"None of {count} dimensions is active: no posterior mean varies."
    strongest = ", ".join(f"{d} ({size:.2f} {values['unit']})" for d, size in values["strongest"])
    if not collapsed:
        return f"All {count} dimensions are active; the strongest: {strongest}."
    return (
        f"{count - len(collapsed)} of {count} dimensions are active; the strongest: {strongest}; "
        f"collapsed: {ranges(collapsed)}."
    )


def ranges(numbers: Sequence[int]) -> str:
    """Rising numbers as ranges: 1-3, 7."""
    runs = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    parts = [[number for _, number in run] for _, run in runs]
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)


def gap_text(values: Mapping[str, Any]) -> str:
    """The shuffled-z gap as a sentence."""
    total = max(values["total"], 0.0)
    if values["ignored"]:
        return f"The decoder ignores z: the shuffled-z gap is {total:.2f} nats."
    half, most = tokens(values["half"]), tokens(values["nine_tenths"])
    early = "; z mostly encodes how a text begins" if values["early"] else ""
    return (
        f"The shuffled-z gap is {total:.2f} nats per text: half of it at the {half}, "
        f"nine tenths at the {most}{early}."
    )


def tokens(count: int) -> str:
    """The first tokens of a text, by their number."""
    return "first token" if count == 1 else f"first {count} tokens"


def cause_text(cause: Finding) -> str:
    """A cause of collapse as a clause."""
    return {
        CauseCode.NO_MINIMUM_KL: "nothing keeps the KL from vanishing",
        CauseCode.PREVIOUS_WORDS: "the decoder reads the previous words (word dropout "
        f"{cause.values.get('word_dropout', 0.0):g}) and does not need z",
        CauseCode.FULL_KL_WEIGHT: "the KL has its full weight from the first step, before z "
        "is informative",
    }[CauseCode(cause.code)]


def advice_of(remedy: Remedy) -> Advice:
    """A recipe to try as text, with the command that trains it."""
    assert remedy.recipe is not None, "settings have a text of their own"
    command = shlex.join(["textvae", "train", remedy.recipe, *remedy.data])
    return Advice(remedy.recipe, REMEDIES[remedy.reason], command)


def collapse_warning(unit: Literal["sentence", "image"]) -> str:
    """The warning that a latent is collapsed, with settings to try.

    Args:
        unit: what the model encodes.
    """
    remedies = TEXT_SETTINGS if unit == "sentence" else SETTINGS
    *first, last = [setting_text(remedy) for remedy in remedies]
    comma = "," if len(first) > 1 else ""
    state = f"every {unit} gets the same z"
    if unit == "sentence":
        state = f"the posterior equals the prior, so {state} and the decoder ignores it"
    return f"the latent is collapsed: {state}. Try {', '.join(first)}{comma} or {last}."


def reference_warning(metrics: Mapping[str, Any]) -> str | None:
    """The warning that n-gram models of the training texts are better; None where none is.

    Args:
        metrics: with the nll of the references where they are known.
    """
    nll = metrics["nll"]
    reasons = {
        "unigram": "the frequencies of its tokens alone predict a held-out text better",
        "3-gram": "the two tokens before each alone predict a held-out text better",
    }
    for (name, reason), key in zip(reasons.items(), ("unigram_nll", "trigram_nll"), strict=True):
        if nll > metrics.get(key, math.inf):
            return f"nll {nll:.1f} is above that of a {name} model ({metrics[key]:.1f}): {reason}"
    return None


def unknown_warning(metrics: Mapping[str, Any]) -> str | None:
    """The warning that most held-out tokens are `<unk>`; None where they are not.

    Args:
        metrics: of texts or of images.
    """
    if not (unknown := metrics.get("unknown_tokens")):
        return None
    return mostly_unknown(unknown, metrics["tokens"] - metrics["sentences"])


def setting_text(remedy: Remedy) -> str:
    """A setting to try, with its options of the command line."""
    options = " ".join(f"--set {override}" for override in remedy.overrides)
    return SETTING_NAMES[remedy.reason] + (f" ({options})" if options else "")


def position_columns(positions: PositionGaps) -> dict[str, list]:
    """Losses per position, under their names in JSON."""
    names = {"own": "own", "shuffled": "another", "texts": "texts", "gaps": "worth"}
    columns = {names[name]: values for name, values in asdict(positions).items()}
    return {"position": list(range(1, len(positions.own) + 1)), **columns}


def position_rows(positions: Mapping[str, list]) -> list[tuple[str, float, float, float]]:
    """Mean losses over ranges of positions, weighted by their texts: tokens, own, shuffled, gap."""
    rows = []
    for start, stop in zip(RANGES, [*RANGES[1:], None], strict=True):
        span = slice(start - 1, None if stop is None else stop - 1)
        counts = positions["texts"][span]
        if not counts:
            break
        own, shuffled = (
            sum(loss * count for loss, count in zip(positions[name][span], counts, strict=True))
            / sum(counts)
            for name in ("own", "another")
        )
        last = start + len(counts) - 1
        label = f"{start}-{last}" if last > start else f"{start}"
        rows.append((label, own, shuffled, shuffled - own))
    return rows
