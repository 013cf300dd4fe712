"""Diagnoses as text: the one place that renders their codes."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from textvae.analysis.findings import (
    CauseCode,
    Diagnosis,
    Finding,
    FindingCode,
    PositionGaps,
    Remedy,
    RemedyCode,
    Unchecked,
    Verdict,
)
from textvae.console import table
from textvae.data.words import mostly_unknown
from textvae.evaluation.verdict import (
    COLLAPSED_BELOW,
    FEWEST_ROWS,
    has_collapsed_codebook,
    information_of,
    is_collapsed_so_far,
    kl_of,
)

WIDTH = 80
"""Columns after which commands are not padded."""

RANGES = (1, 2, 3, 4, 6, 11, 21)
"""First positions of the ranges that a table shows."""

VERDICTS = {
    Verdict.NO_LATENT: "The model is a language model: it has no latent.",
    Verdict.AUTOENCODER: "Each posterior is a point: there is no KL and no bound on the "
    "likelihood.",
    Verdict.TOO_FEW_TEXTS: "The {unit}s are too few to tell whether z is used",
    Verdict.ANNEALING_NOT_FINISHED: "Training ended before the KL had its planned weight",
    Verdict.UNDERTRAINED: "Training ended while the model was still learning",
    Verdict.COLLAPSED: "The posterior is nearly the same for every {unit}, and close to the prior",
    Verdict.PAID_BUT_UNUSED: "The posterior is nearly the same for every {unit}, but far from the "
    "prior",
    Verdict.WEAK: "z contains little information about its {unit}",
    Verdict.ACTIVE: "z differs between {unit}s",
}
"""The state of a latent; `IGNORED` replaces it where z differs and is not used, `FEW_CODES` where
the codebook is collapsed."""

FEW_CODES = "Few codes of the codebook are used"

IGNORED = "z differs between {unit}s, but the decoder ignores it"

OLD_VERDICTS = {
    Verdict.NO_LATENT: "no latent",
    Verdict.AUTOENCODER: "autoencoder",
    Verdict.TOO_FEW_TEXTS: "faint",
    Verdict.ANNEALING_NOT_FINISHED: "faint",
    Verdict.UNDERTRAINED: "faint",
    Verdict.COLLAPSED: "dead",
    Verdict.PAID_BUT_UNUSED: "unheard",
    Verdict.WEAK: "faint",
    Verdict.ACTIVE: "alive",
}
"""Values of `verdict` in the doctor's JSON, for readers of earlier versions; `code` replaces it."""

REMEDIES = {
    RemedyCode.MORE_EPOCHS: "more epochs",
    RemedyCode.EARLIER_SCHEDULE: "a schedule of the KL weight that ends in time",
    RemedyCode.FREE_BITS: "free bits: the first nats of KL are free",
    RemedyCode.MINIMUM_KL: "a KL that cannot vanish",
    RemedyCode.ENCODER_FIRST: "an encoder that is trained ahead of the decoder",
    RemedyCode.WORD_DROPOUT: "word dropout: the decoder needs z",
    RemedyCode.AUXILIARY_LOSS: "a loss that predicts the words from z alone",
    RemedyCode.ANNEALING: "a KL weight that rises from 0",
    RemedyCode.LOWER_KL_WEIGHT: "a lower KL weight",
    RemedyCode.LOWER_RATE_WEIGHT: "a weight of the KL's target that information can outbid",
    RemedyCode.FITTED_PRIOR: "a prior that is fitted to the posteriors after training",
    RemedyCode.LOWER_TEMPERATURE: "a lower sampling temperature: likelier words",
    RemedyCode.PRIOR_MATCHING: "matches the aggregate posterior to the prior",
    RemedyCode.POOLING: "an encoder that weights all words equally",
    RemedyCode.CODEBOOK_FROM_DATA: "a codebook that begins with the encoder's own points",
}
"""The reason to try a measure."""

MEASURES = {
    RemedyCode.FREE_BITS: "free bits",
    RemedyCode.MINIMUM_KL: "a KL that cannot vanish",
    RemedyCode.ENCODER_FIRST: "an encoder trained ahead of the decoder",
    RemedyCode.WORD_DROPOUT: "word dropout",
    RemedyCode.AUXILIARY_LOSS: "an auxiliary loss",
    RemedyCode.ANNEALING: "annealing",
    RemedyCode.LOWER_KL_WEIGHT: "a lower KL weight",
    RemedyCode.PRIOR_MATCHING: "a matched prior",
}
"""Names of the measures that a recipe takes."""

UNCHECKED = {
    Unchecked.RECIPE: "the recipe, which the folder lacks",
    Unchecked.TRAINING: "how the model was trained, which the folder does not record",
    Unchecked.KL_SCHEDULE: "the schedule of the KL weight, of which there is none or no record",
    Unchecked.PROGRESS: "whether the validation nll still fell: that takes two validations",
    Unchecked.SHUFFLED_Z_GAP: "whether the decoder ignores z: that takes several texts in which "
    "words have an order",
    Unchecked.REFERENCES: "the nll of n-gram models of the same texts",
    Unchecked.GENERATION: "generated text (textvae evaluate --generation)",
    Unchecked.SEEDS: "other seeds",
}
"""What a diagnosis did not look at."""


@dataclass(frozen=True)
class Advice:
    """A measure to try, as text.

    Args:
        recipe: name or file of a recipe; None for a command on the model.
        why: the reason.
        command: that takes it.
        overrides: settings of the recipe, `key=value`.
    """

    recipe: str | None
    why: str
    command: str
    overrides: list[str]


@dataclass(frozen=True)
class DiagnosisReport:
    """A diagnosis as text; its fields are the keys of the doctor's JSON output.

    Args:
        code: the state of the latent.
        verdict: the same by the name of earlier versions.
        findings: a sentence each: the state, the observations, the causes.
        advice: measures to try.
        not_checked: what the diagnosis did not look at.
        dead_dimensions: indices of collapsed dimensions.
        positions: losses at each position with a text's `own` z and with `another`'s, number of
            `texts`, and the shuffled-z gap, `worth`; empty where they were not measured.
        metrics: that the diagnosis rests on.
    """

    code: str
    verdict: str
    findings: list[str]
    advice: list[Advice]
    not_checked: list[str]
    dead_dimensions: list[int]
    positions: dict[str, list]
    metrics: dict[str, Any]

    @property
    def stored(self) -> dict[str, Any]:
        """The verdict as results.json and `evaluate --json` hold it."""
        advice = [asdict(each) for each in self.advice]
        return {"code": self.code, "findings": self.findings, "advice": advice}

    def text(self) -> str:
        """The report for a terminal."""
        parts = [f"{heading(self.code)}. {self.findings[0]}", *self.findings[1:]]
        if self.positions:
            header = ["tokens", "own z", "shuffled z", "gap"]
            parts.append(table(position_rows(self.positions), header))
        if self.not_checked:
            parts.append(f"Not checked: {'; '.join(self.not_checked)}.")
        return "\n".join([*parts, *advice_lines(self.stored)])


def verdict_report(stored: Mapping[str, Any]) -> str:
    """A stored verdict as text for a terminal: the state, what it rests on, measures to try."""
    first, *others = stored["findings"]
    return "\n".join([f"{heading(stored['code'])}. {first}", *others, *advice_lines(stored)])


def advice_lines(stored: Mapping[str, Any]) -> list[str]:
    """Measures to try, a command on each line."""
    if not stored["advice"]:
        return []
    width = min(WIDTH, max(len(advice["command"]) for advice in stored["advice"]))
    lines = [f"  {advice['command']:{width}}  # {advice['why']}" for advice in stored["advice"]]
    return ["Try next:", *lines]


def heading(code: str) -> str:
    """The code of a verdict as a heading."""
    return code.replace("_", " ").upper()


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
        not_checked=[UNCHECKED[each] for each in diagnosis.unchecked],
        dead_dimensions=list(diagnosis.collapsed_dimensions),
        positions={} if diagnosis.positions is None else position_columns(diagnosis.positions),
        metrics=diagnosis.metrics,
    )


COUNTS = {"text": "sentences", "image": "images", "row": "table_rows"}
"""The metric that is the number of what a model encodes."""


def unit_of(metrics: Mapping[str, Any]) -> str:
    """What a model encodes."""
    return "image" if "images" in metrics else "row" if "table_rows" in metrics else "text"


def verdict_text(verdict: Verdict, metrics: Mapping[str, Any]) -> str:
    """The state of a latent, with mutual information and KL where they have a meaning."""
    text = VERDICTS[verdict]
    if verdict in (Verdict.NO_LATENT, Verdict.AUTOENCODER):
        return text
    known, unit = metrics.get("mutual_information"), unit_of(metrics)
    if verdict is Verdict.PAID_BUT_UNUSED and information_of(metrics) >= COLLAPSED_BELOW:
        text = IGNORED
    if verdict is Verdict.COLLAPSED and has_collapsed_codebook(metrics):
        text = FEW_CODES
    if verdict is Verdict.TOO_FEW_TEXTS:
        return f"{text.format(unit=unit)}: KL {metrics['kl']:.2f}."
    numbers = [] if known is None else [f"mutual information {max(known, 0.0):.2f} nats"]
    if numbers and metrics.get("mutual_information_ceiling") is not None:
        numbers[0] += f" of at most {metrics['mutual_information_ceiling']:.2f}"
    numbers.append(f"KL {kl_of(metrics):.2f}")
    of = "" if metrics.get("whole_kl") is None else " (both of the latents of whole rows)"
    return f"{text.format(unit=unit)}: {', '.join(numbers)}{of}."


def latent_warning(verdict: Verdict, folder: str, consequence: str = "") -> str:
    """The warning of a command whose answer depends on z: the verdict, and where to read more."""
    state = VERDICTS[verdict].format(unit="text")
    return (
        f"warning: {consequence}the latent is {heading(verdict.value).lower()} "
        f"({state[0].lower()}{state[1:]}); for measures: textvae doctor {shlex.quote(folder)}"
    )


def verdict_warning(stored: Mapping[str, Any]) -> str | None:
    """The warning beside a JSON document that holds a verdict; None where nothing is wrong."""
    verdict = Verdict(stored["code"])
    return (
        None if verdict.healthy else f"warning: {heading(verdict).lower()}: {stored['findings'][0]}"
    )


def training_warning(event: str, values: Mapping[str, Any]) -> str | None:
    """The warning at an event of a training; None where there is none.

    Args:
        event: its name; a validation may have one.
        values: of the event.
    """
    if event != "validation" or not is_collapsed_so_far(values):
        return None
    return (
        f"warning: the latent is collapsed so far: KL {values['kl']:.2f}, "
        f"{values['active_units']:.0f} active units, and the KL weight has reached its end"
    )


def finding_text(finding: Finding, metrics: Mapping[str, Any]) -> str:
    """An observation as a sentence."""
    if finding.code is FindingCode.TOO_FEW_TEXTS:
        return few_text(finding.values, metrics)
    texts: dict[Any, Callable[[Mapping[str, Any]], str]] = {
        FindingCode.ANNEALING_NOT_FINISHED: annealing_text,
        FindingCode.STILL_FALLING: falling_text,
        FindingCode.FEW_STEPS: steps_text,
        FindingCode.WORSE_THAN_UNIGRAM: unigram_text,
        FindingCode.WORSE_THAN_TRIGRAM: trigram_text,
        FindingCode.KL_EXCEEDS_INFORMATION: kl_text,
        FindingCode.PRIOR_MISMATCH: mismatch_text,
        FindingCode.ACTIVE_DIMENSIONS: dimensions_text,
        FindingCode.SHUFFLED_Z_GAP: gap_text,
        FindingCode.CODE_USAGE: codes_text,
    }
    return texts[finding.code](finding.values)


def few_text(values: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Held-out rows that are too few, as a sentence."""
    unit, distinct = unit_of(metrics), values["distinct"]
    count = metrics.get(COUNTS[unit], distinct)
    if distinct < FEWEST_ROWS:
        return (
            f"{distinct:,} different {unit}{'' if distinct == 1 else 's'} of {count:,}: active "
            f"units and mutual information need {FEWEST_ROWS} at least, and better hundreds."
        )
    return (
        f"The mutual information is near its upper bound for {count:,} {unit}s: "
        f"more {unit}s would give a higher estimate."
    )


def annealing_text(values: Mapping[str, Any]) -> str:
    """A schedule that did not end, as a sentence."""
    return (
        f"The KL weight ended at {values['kl_weight']:.2g} of {values['kl_weight_end']:g}, after "
        f"{values['steps']:,} optimizer steps: a KL under so low a weight says nothing yet."
    )


def falling_text(values: Mapping[str, Any]) -> str:
    """A validation nll that still fell, as a sentence."""
    return (
        f"The validation nll still fell: by {values['fall']:.1%} over the last quarter of the "
        "training."
    )


def steps_text(values: Mapping[str, Any]) -> str:
    """Few optimizer steps, as a sentence."""
    return f"The model had {values['steps']:,} optimizer steps, which are few."


def unigram_text(values: Mapping[str, Any]) -> str:
    """A model that is worse than word frequencies, as a sentence."""
    worse = values["nll"] - values["unigram_nll"]
    return f"The nll is {worse:.2f} nats above that of word frequencies alone (unigram)."


def trigram_text(values: Mapping[str, Any]) -> str:
    """A model that is worse than a 3-gram model, as a sentence."""
    return (
        f"The nll is {values['nll'] - values['trigram_nll']:.2f} nats above that of a 3-gram model."
    )


def kl_text(values: Mapping[str, Any]) -> str:
    """A KL that exceeds the mutual information, as a sentence."""
    return "KL is much larger than the mutual information: little of it separates the inputs."


def mismatch_text(values: Mapping[str, Any]) -> str:
    """An aggregate posterior that is far from the prior, as a sentence."""
    return (
        f"The aggregate posterior differs from the prior (marginal KL "
        f"{values['marginal_kl']:.2f}): many samples from the prior lie where no input is encoded."
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


def codes_text(values: Mapping[str, Any]) -> str:
    """The use of a codebook as a sentence."""
    return (
        f"{values['codes_used']} of {values['codebook_size']} codes are used, with a perplexity of "
        f"{values['code_perplexity']:.1f}."
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
    """A cause of collapse, or what a recipe does against it, as a clause."""
    measures = ", ".join(MEASURES[code] for code in cause.values.get("measures", ()))
    return {
        CauseCode.NO_MINIMUM_KL: "nothing keeps the KL from vanishing",
        CauseCode.PREVIOUS_WORDS: "the decoder reads the previous words (word dropout "
        f"{cause.values.get('word_dropout', 0.0):g}) and does not need z",
        CauseCode.FULL_KL_WEIGHT: "the KL has its full weight from the first step, before z "
        "is informative",
        CauseCode.CODEBOOK_START: "the codebook is not kept near the encoder's points, as with "
        f"{', '.join(cause.values.get('settings', ()))}",
        CauseCode.IN_USE: f"the recipe has {measures} already, which did not suffice",
    }[CauseCode(cause.code)]


def advice_of(remedy: Remedy) -> Advice:
    """A measure to try as text, with its command."""
    settings = [part for override in remedy.overrides for part in ("--set", override)]
    parts = remedy.command or ("train", str(remedy.recipe), *settings, *remedy.data)
    command = shlex.join(["textvae", *parts])
    return Advice(remedy.recipe, REMEDIES[remedy.reason], command, list(remedy.overrides))


def unknown_warning(metrics: Mapping[str, Any]) -> str | None:
    """The warning that most held-out tokens are `<unk>`; None where they are not.

    Args:
        metrics: of texts or of images.
    """
    if not (unknown := metrics.get("unknown_tokens")):
        return None
    return mostly_unknown(unknown, metrics["tokens"] - metrics["sentences"])


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
