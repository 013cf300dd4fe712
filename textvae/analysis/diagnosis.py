"""The diagnosis of a latent: its verdict, what it rests on, why, and remedies."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from textvae.analysis.findings import (
    Diagnosis,
    Finding,
    FindingCode,
    PositionGaps,
    RemedyCode,
    Unchecked,
    Verdict,
)
from textvae.analysis.remedies import Trained, causes_of, recommended
from textvae.api.sentence import SentenceVAE
from textvae.api.text_writer import TextRows
from textvae.data.tokenizers import tokenizer_kind
from textvae.evaluation.latent import ACTIVE
from textvae.evaluation.positions import WORTHLESS
from textvae.evaluation.positions import shuffled_z_gap as gaps_of
from textvae.evaluation.verdict import (
    FALLING_EARLY,
    FEW_STEPS,
    TrainingRecord,
    different_rows,
    information_of,
    is_worse_than,
    kl_of,
    verdict_of,
)
from textvae.training.history import training_of
from textvae.training.run_data import recipe_of

EARLY_POSITIONS = 3
"""Positions at the begin of a text."""


def trained_of(folder: str) -> Trained:
    """What a folder says of its training."""
    return Trained(recipe_of(folder), training_of(folder), folder)


def diagnose_latent(
    vae: SentenceVAE,
    texts: TextRows,
    trained: Trained = Trained(),  # noqa: B008  # frozen
    samples: int = 50,
    seed: int = 0,
    references: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda metrics: {},
) -> Diagnosis:
    """The diagnosis of a text model, with its losses per position.

    Args:
        vae: the model.
        texts: held-out sentences, or a mapping of lists where the model reads several fields.
        trained: what is known of its training.
        samples: K of the importance-weighted bound.
        seed: of all samples.
        references: metrics of n-gram models on the same texts, of the model's own.
    """
    losses, positions = None, None
    if vae.dim and vae.ordered and vae.writes_one_text and len(vae.rows(texts)) > 1:
        losses = vae.positions_with_shuffled_latents(texts, seed)
        own, shuffled = losses
        positions = PositionGaps(
            own.loss.tolist(), shuffled.loss.tolist(), own.count.tolist(), gaps_of(*losses).tolist()
        )
    metrics = asdict(vae.evaluate(texts, samples, seed, shuffled=losses))
    metrics |= references(metrics)
    return diagnosis_of(metrics, trained, positions, tokenizer_kind(vae.tokenizer))


def diagnosis_of(
    metrics: Mapping[str, Any],
    trained: Trained = Trained(),  # noqa: B008  # frozen
    positions: PositionGaps | None = None,
    tokenizer: str | None = None,
) -> Diagnosis:
    """The diagnosis of a model, of texts or images, from its metrics.

    Args:
        metrics: of held-out rows, by name.
        trained: what is known of its training.
        positions: losses per position, where they were measured.
        tokenizer: kind of its tokenizer; None for that of its recipe.
    """
    verdict = verdict_of(metrics, trained.training)
    findings = training_findings(metrics, trained.training)
    if verdict not in (Verdict.NO_LATENT, Verdict.AUTOENCODER):
        findings += information_findings(metrics)
    if metrics.get("code_perplexity") is not None:
        findings.append(code_finding(metrics))
    if verdict is not Verdict.NO_LATENT and different_rows(metrics) > 1:
        findings.append(dimension_finding(metrics))
    gaps = [] if positions is None else positions.gaps
    findings += [gap_finding(gaps)] if gaps else []
    recipe = trained.recipe
    explained = recipe is not None and verdict in CAUSED
    tokenizer = tokenizer or (None if recipe is None else recipe.tokenizer.kind)
    codes = remedies_for(verdict, metrics, trained.training, gaps)
    return Diagnosis(
        verdict,
        dict(metrics),
        tuple(findings),
        tuple(causes_of(recipe, metrics)) if explained else (),  # type: ignore[arg-type]
        tuple(recommended(codes, trained, tokenizer)),
        () if verdict is Verdict.NO_LATENT else tuple(collapsed_dimensions(metrics)),
        positions,
        tuple(unchecked(metrics, trained)),
    )


CAUSED = (Verdict.COLLAPSED, Verdict.PAID_BUT_UNUSED, Verdict.WEAK)
"""Verdicts that properties of a recipe explain."""


def training_findings(metrics: Mapping[str, Any], training: TrainingRecord | None) -> list[Finding]:
    """Findings on the training, and on the nll beside that of n-gram models."""
    findings = [
        Finding(code, {"nll": metrics["nll"], name: metrics[name]})
        for code, name in (
            (FindingCode.WORSE_THAN_UNIGRAM, "unigram_nll"),
            (FindingCode.WORSE_THAN_TRIGRAM, "trigram_nll"),
        )
        if is_worse_than(metrics, name)
    ]
    if training is None:
        return findings
    if training.unfinished:
        values = {
            "kl_weight": training.kl_weight,
            "kl_weight_end": training.kl_weight_end,
            "steps": training.steps,
        }
        findings.append(Finding(FindingCode.ANNEALING_NOT_FINISHED, values))
    if training.fall is not None and training.fall > FALLING_EARLY:
        findings.append(Finding(FindingCode.STILL_FALLING, {"fall": training.fall}))
    if training.steps < FEW_STEPS:
        findings.append(Finding(FindingCode.FEW_STEPS, {"steps": training.steps}))
    return findings


def information_findings(metrics: Mapping[str, Any]) -> list[Finding]:
    """Findings on mutual information against KL, and on the aggregate posterior."""
    findings = []
    if has_too_few_texts(metrics):
        values = {"distinct": different_rows(metrics)}
        return [Finding(FindingCode.TOO_FEW_TEXTS, values)]
    information = information_of(metrics)
    if kl_of(metrics) > 1 and information < 0.5 * kl_of(metrics):
        values = {"kl": kl_of(metrics), "mutual_information": information}
        findings.append(Finding(FindingCode.KL_EXCEEDS_INFORMATION, values))
    if mismatches_prior(metrics):
        values = {"marginal_kl": metrics["marginal_kl"]}
        findings.append(Finding(FindingCode.PRIOR_MISMATCH, values))
    return findings


def has_too_few_texts(metrics: Mapping[str, Any]) -> bool:
    """Whether mutual information is so near to ln N that its estimate is too low."""
    ceiling = metrics.get("mutual_information_ceiling")
    if ceiling is None or metrics.get("mutual_information") is None:
        return False
    return different_rows(metrics) < 2 or metrics["mutual_information"] > 0.8 * ceiling


def mismatches_prior(metrics: Mapping[str, Any]) -> bool:
    """Whether the aggregate posterior is far from the prior."""
    # With too few texts, the marginal KL contains what the mutual information misses.
    far = (metrics.get("marginal_kl") or 0.0) > max(1, 0.3 * kl_of(metrics))
    return far and not has_too_few_texts(metrics)


def collapsed_dimensions(metrics: Mapping[str, Any]) -> list[int]:
    """Indices of dimensions whose posterior mean does not vary."""
    variances = metrics.get("variances") or ()
    return [d for d, variance in enumerate(variances) if variance <= ACTIVE]


def dimension_finding(metrics: Mapping[str, Any]) -> Finding:
    """The active dimensions, with the three strongest by KL, else by variance."""
    collapsed = collapsed_dimensions(metrics)
    strength = metrics.get("kls") or metrics.get("variances") or ()
    active = sorted(set(range(len(strength))) - set(collapsed), key=lambda d: -strength[d])
    values = {
        "dimensions": metrics["dimensions"],
        "strongest": [(d, strength[d]) for d in active[:3]],
        "unit": "nats" if metrics.get("kls") else "variance",
        "collapsed": collapsed,
    }
    return Finding(FindingCode.ACTIVE_DIMENSIONS, values)


def code_finding(metrics: Mapping[str, Any]) -> Finding:
    """The codes of a codebook that are used, and their perplexity."""
    names = ("codes_used", "codebook_size", "code_perplexity")
    return Finding(FindingCode.CODE_USAGE, {name: metrics[name] for name in names})


def gap_finding(gaps: Sequence[float]) -> Finding:
    """The shuffled-z gap, and the number of first tokens that half and nine tenths of it take."""
    total = sum(gaps)
    if total < WORTHLESS:
        return Finding(FindingCode.SHUFFLED_Z_GAP, {"total": total, "ignored": True})
    values = {
        "total": total,
        "ignored": False,
        "half": positions_until(gaps, 0.5 * total),
        "nine_tenths": positions_until(gaps, 0.9 * total),
        "early": is_early(gaps),
    }
    return Finding(FindingCode.SHUFFLED_Z_GAP, values)


def positions_until(gaps: Sequence[float], amount: float) -> int:
    """The number of first positions whose gaps sum to at least an amount."""
    return next(n for n in range(1, len(gaps) + 1) if sum(gaps[:n]) >= amount)


def is_early(gaps: Sequence[float]) -> bool:
    """Whether more than half of the gap is at the first three tokens of more."""
    total, first = sum(gaps), sum(gaps[:EARLY_POSITIONS])
    return len(gaps) > EARLY_POSITIONS and total >= WORTHLESS and first > 0.5 * total


def remedies_for(
    verdict: Verdict,
    metrics: Mapping[str, Any],
    training: TrainingRecord | None = None,
    gaps: Sequence[float] = (),
) -> list[RemedyCode]:
    """Measures for a model, the cheapest first.

    Args:
        verdict: on it.
        metrics: of it.
        training: its record; None where it is not known.
        gaps: shuffled-z gap at each position; empty where texts have no order.
    """
    codes: list[RemedyCode] = []
    if verdict not in (Verdict.COLLAPSED, Verdict.PAID_BUT_UNUSED):
        # Nothing brings back what is collapsed under part of the KL weight, or after it.
        if training is not None and training.unfinished:
            codes += [RemedyCode.MORE_EPOCHS, RemedyCode.EARLIER_SCHEDULE]
        elif verdict is Verdict.UNDERTRAINED or is_still_learning(training):
            codes.append(RemedyCode.MORE_EPOCHS)
    if verdict is Verdict.COLLAPSED and metrics.get("code_perplexity") is not None:
        # The KL of codes is no cause: they have no gradient.
        codes.append(RemedyCode.CODEBOOK_FROM_DATA)
    elif verdict in (Verdict.COLLAPSED, Verdict.WEAK):
        codes += [RemedyCode.FREE_BITS, RemedyCode.WORD_DROPOUT, RemedyCode.ANNEALING]
        codes += [RemedyCode.MINIMUM_KL, RemedyCode.ENCODER_FIRST]
    elif verdict is Verdict.PAID_BUT_UNUSED:
        # A larger KL does not help where the KL exceeds the mutual information already.
        codes += [RemedyCode.LOWER_RATE_WEIGHT, RemedyCode.WORD_DROPOUT]
        codes += [RemedyCode.AUXILIARY_LOSS, RemedyCode.ENCODER_FIRST]
    elif verdict is Verdict.ACTIVE:
        if mismatches_prior(metrics):
            codes += [RemedyCode.FITTED_PRIOR, RemedyCode.PRIOR_MATCHING]
            codes += [RemedyCode.LOWER_TEMPERATURE] if "sentences" in metrics else []
        codes += [RemedyCode.POOLING] if is_early(gaps) else []
    return codes


def is_still_learning(training: TrainingRecord | None) -> bool:
    """Whether the validation nll fell at the end, steeply or not."""
    return training is not None and (training.fall or 0.0) > FALLING_EARLY


def unchecked(metrics: Mapping[str, Any], trained: Trained) -> list[Unchecked]:
    """What a diagnosis did not look at, because it was not there or is never looked at."""
    training, latent = trained.training, metrics["dimensions"]
    missing = {
        Unchecked.RECIPE: trained.recipe is None,
        Unchecked.TRAINING: training is None,
        Unchecked.KL_SCHEDULE: bool(latent) and training is not None and no_weights(training),
        Unchecked.PROGRESS: training is not None and training.fall is None,
        Unchecked.SHUFFLED_Z_GAP: bool(latent) and metrics.get("shuffled_z_gap") is None,
        Unchecked.REFERENCES: metrics.get("unigram_nll") is None and "sentences" in metrics,
        Unchecked.GENERATION: metrics.get("generation") is None and "sentences" in metrics,
        Unchecked.SEEDS: True,
    }
    return [code for code, absent in missing.items() if absent]


def no_weights(training: TrainingRecord) -> bool:
    """Whether the KL weight of a training, or its planned value, is not known."""
    return training.kl_weight is None or training.kl_weight_end is None
