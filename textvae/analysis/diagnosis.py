"""The diagnosis of a latent: whether and where it is collapsed, why, and remedies."""

from collections.abc import Sequence
from dataclasses import asdict

from textvae.analysis.findings import (
    Diagnosis,
    Finding,
    FindingCode,
    PositionGaps,
    Remedy,
    RemedyCode,
    Verdict,
)
from textvae.analysis.remedies import causes_of, recommended
from textvae.api.base import Metrics
from textvae.api.sentence import SentenceVAE
from textvae.data.tokenizers import tokenizer_kind
from textvae.evaluation.latent import ACTIVE
from textvae.evaluation.positions import WORTHLESS, worth
from textvae.recipes import Recipe

COLLAPSED_BELOW, WEAK_BELOW = 0.1, 1.0
"""Mutual information, nats, below which a latent is collapsed, or weak."""

EARLY_POSITIONS = 3
"""Positions at the begin of a text."""


def diagnose_latent(
    vae: SentenceVAE, texts: Sequence[str], recipe: Recipe | None, samples: int = 50, seed: int = 0
) -> Diagnosis:
    """The diagnosis of a model's latent.

    Args:
        vae: the model.
        texts: held-out sentences, at least two.
        recipe: that the model was trained with, if it is known.
        samples: K of the importance-weighted bound.
        seed: of all samples.

    Raises:
        ValueError: fewer than two texts.
    """
    if not vae.dim:
        return Diagnosis(Verdict.NO_LATENT, asdict(vae.evaluate(texts, samples, seed)))
    losses = vae.positions_with_shuffled_latents(texts, seed) if vae.ordered else None
    positions = None
    if losses is not None:
        own, shuffled = losses
        gaps = worth(own, shuffled).tolist()
        positions = PositionGaps(
            own.loss.tolist(), shuffled.loss.tolist(), own.count.tolist(), gaps
        )
    metrics = vae.evaluate(texts, samples, seed, shuffled=losses)
    gaps = [] if positions is None else positions.gaps
    verdict = verdict_of(metrics, gaps)
    findings = [
        *([] if verdict is Verdict.AUTOENCODER else information_findings(metrics)),
        dimension_finding(metrics),
        *([] if positions is None else [gap_finding(gaps)]),
    ]
    return Diagnosis(
        verdict,
        asdict(metrics),
        tuple(findings),
        () if verdict.healthy or recipe is None else tuple(causes_of(recipe)),
        tuple(remedies_for(metrics, gaps, recipe, tokenizer_kind(vae.tokenizer))),
        tuple(collapsed_dimensions(metrics)),
        positions,
    )


def verdict_of(metrics: Metrics, gaps: Sequence[float] = ()) -> Verdict:
    """The state of a latent.

    Args:
        metrics: of the model.
        gaps: shuffled-z gap at each position; empty where texts have no order.
    """
    if metrics.deterministic:
        return Verdict.AUTOENCODER
    if metrics.collapsed or metrics.mutual_information < COLLAPSED_BELOW:
        return Verdict.COLLAPSED
    if len(gaps) and sum(gaps) < WORTHLESS:
        return Verdict.IGNORED_BY_DECODER
    # ln N bounds what few texts can show.
    least = min(WEAK_BELOW, 0.5 * metrics.mutual_information_ceiling)
    return Verdict.WEAK if metrics.mutual_information < least else Verdict.ACTIVE


def information_findings(metrics: Metrics) -> list[Finding]:
    """Findings on mutual information against KL, and on the aggregate posterior."""
    findings = []
    information = metrics.mutual_information
    if metrics.kl > 1 and information < 0.5 * metrics.kl and not has_too_few_texts(metrics):
        values = {"kl": metrics.kl, "mutual_information": information}
        findings.append(Finding(FindingCode.KL_EXCEEDS_INFORMATION, values))
    if mismatches_prior(metrics):
        values = {"marginal_kl": metrics.marginal_kl}
        findings.append(Finding(FindingCode.PRIOR_MISMATCH, values))
    if has_too_few_texts(metrics):
        values = {"mutual_information_ceiling": metrics.mutual_information_ceiling}
        findings.append(Finding(FindingCode.TOO_FEW_TEXTS, values))
    return findings


def has_too_few_texts(metrics: Metrics) -> bool:
    """Whether mutual information is so near to ln N that its estimate is too low."""
    return metrics.mutual_information > 0.8 * metrics.mutual_information_ceiling


def mismatches_prior(metrics: Metrics) -> bool:
    """Whether the aggregate posterior is far from the prior."""
    # With too few texts, the marginal KL contains what the mutual information misses.
    far = metrics.marginal_kl > max(1, 0.3 * metrics.kl)
    return far and not has_too_few_texts(metrics)


def collapsed_dimensions(metrics: Metrics) -> list[int]:
    """Indices of dimensions whose posterior mean does not vary."""
    return [d for d, variance in enumerate(metrics.variances) if variance <= ACTIVE]


def dimension_finding(metrics: Metrics) -> Finding:
    """The active dimensions, with the three strongest by KL, else by variance."""
    collapsed = collapsed_dimensions(metrics)
    strength = metrics.kls or metrics.variances
    active = sorted(set(range(metrics.dimensions)) - set(collapsed), key=lambda d: -strength[d])
    values = {
        "dimensions": metrics.dimensions,
        "strongest": [(d, strength[d]) for d in active[:3]],
        "unit": "nats" if metrics.kls else "variance",
        "collapsed": collapsed,
    }
    return Finding(FindingCode.ACTIVE_DIMENSIONS, values)


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
    metrics: Metrics, gaps: Sequence[float], recipe: Recipe | None, tokenizer: str | None
) -> list[Remedy]:
    """At most three remedies for a model.

    Args:
        metrics: of the model.
        gaps: shuffled-z gap at each position; empty where texts have no order.
        recipe: that it was trained with, if it is known.
        tokenizer: kind of its tokenizer.
    """
    verdict = verdict_of(metrics, gaps)
    codes: list[RemedyCode] = []
    if verdict is Verdict.ACTIVE:
        codes += [RemedyCode.PRIOR_MATCHING] if mismatches_prior(metrics) else []
        codes += [RemedyCode.POOLING] if is_early(gaps) else []
    elif verdict is not Verdict.AUTOENCODER:
        # A larger KL does not help where the KL exceeds the mutual information already.
        codes += [] if metrics.kl > 1 else [RemedyCode.FREE_BITS, RemedyCode.MINIMUM_KL]
        codes += [RemedyCode.ENCODER_FIRST, RemedyCode.WORD_DROPOUT]
    return recommended(codes, recipe, tokenizer)
