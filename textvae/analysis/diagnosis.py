"""Whether, where and why a latent is dead, and what to try next: metrics in words."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import groupby
from typing import Any

from textvae.api.sentence import Evaluation, SentenceVAE
from textvae.config import DataConfig, ImageDataConfig
from textvae.console import table
from textvae.data.tokenizers import tokenizer_kind
from textvae.evaluation.latent import ACTIVE
from textvae.evaluation.positions import WORTHLESS, worth
from textvae.recipes import Recipe, load_recipe, shipped_recipes

DEAD, FAINT = 0.1, 1.0
"""Mutual information, nats, below which a latent is dead, or says next to nothing."""

RANGES = (1, 2, 3, 4, 6, 11, 21)
"""Where the ranges of positions begin that are shown together."""


@dataclass(frozen=True)
class Advice:
    """A recipe to try.

    Args:
        recipe: name of a shipped recipe.
        why: what it does about the finding.
        command: that trains it on the same data.
    """

    recipe: str
    why: str
    command: str


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a latent, if anything.

    Args:
        verdict: `no latent`, `autoencoder`, `dead`, `unheard`, `faint` or `alive`.
        findings: sentences that say so, where, and why.
        advice: recipes to try, the nearest first; none when nothing is wrong.
        dead_dimensions: numbers of those whose posterior mean does not vary, from 0, all latents
            side by side.
        positions: loss at each position under a sentence's own z and another's, and z's worth;
            empty where texts have no order.
        metrics: that it rests on.
    """

    verdict: str
    findings: list[str]
    advice: list[Advice]
    dead_dimensions: list[int]
    positions: dict[str, list]
    metrics: dict[str, Any]

    def text(self) -> str:
        """All of it for a person."""
        parts = [f"{self.verdict.upper()}. {self.findings[0]}", *self.findings[1:]]
        if self.positions:
            header = ["tokens", "own z", "another's z", "worth of z"]
            parts.append(table(position_rows(self.positions), header))
        if self.advice:
            width = max(len(advice.command) for advice in self.advice)
            lines = [f"  {advice.command:{width}}  # {advice.why}" for advice in self.advice]
            parts.append("\n".join(["Try next:", *lines]))
        return "\n".join(parts)


@dataclass(frozen=True)
class Remedy:
    """What helps against a finding.

    Args:
        why: what it does.
        used: whether a recipe does it.
    """

    why: str
    used: Callable[[Recipe], bool]


def diagnose(
    vae: SentenceVAE, texts: Sequence[str], recipe: Recipe | None, samples: int = 50, seed: int = 0
) -> Diagnosis:
    """What is wrong with a model's latent, if anything.

    Args:
        vae: the model.
        texts: held-out sentences, at least two.
        recipe: that it was trained with, if that is known.
        samples: K of the importance-weighted bound.
        seed: of all samples.

    Raises:
        ValueError: fewer than two texts.
    """
    if not vae.dim:
        said = "It is a language model: there is no latent that could be dead."
        metrics = vae.evaluate(texts, samples, seed)
        return Diagnosis("no latent", [said], [], [], {}, asdict(metrics))
    positions: dict[str, list] = {}
    both = None
    if vae.ordered:
        own, other = both = vae.positions_with_shuffled_latents(texts, seed)
        positions = {
            "position": list(range(1, len(own.loss) + 1)),
            "own": own.loss.tolist(),
            "another": other.loss.tolist(),
            "texts": own.count.tolist(),
            "worth": worth(own, other).tolist(),
        }
    metrics = vae.evaluate(texts, samples, seed, shuffled=both)
    gains = positions.get("worth", [])
    verdict = verdict_of(metrics, gains)
    dead = [d for d, variance in enumerate(metrics.variances) if variance <= ACTIVE]
    sick = verdict not in ("alive", "autoencoder")
    findings = [
        *whether(metrics, verdict),
        *dimensions(metrics, dead),
        *(heard(gains) if positions else []),
        *(why(recipe) if sick and recipe is not None else []),
    ]
    early = verdict == "alive" and is_early(gains)
    advice = advise(metrics, verdict, early, recipe, tokenizer_kind(vae.tokenizer))
    return Diagnosis(verdict, findings, advice, dead, positions, asdict(metrics))


def verdict_of(metrics: Evaluation, gains: Sequence[float] = ()) -> str:
    """`autoencoder`, `dead`, `unheard`, `faint` or `alive`.

    Args:
        metrics: of the model.
        gains: what z is worth at each position; none where texts have no order.
    """
    if metrics.deterministic:
        return "autoencoder"
    if metrics.collapsed or metrics.mutual_information < DEAD:
        return "dead"
    if len(gains) and sum(gains) < WORTHLESS:
        return "unheard"
    # Few texts cannot show much.
    least = min(FAINT, 0.5 * metrics.mutual_information_ceiling)
    return "faint" if metrics.mutual_information < least else "alive"


def whether(metrics: Evaluation, verdict: str) -> list[str]:
    """How much z says of its sentence, against what it costs."""
    if verdict == "autoencoder":
        return ["The latent is a point: there is no KL, and no bound of the likelihood."]
    told, most = metrics.mutual_information, metrics.mutual_information_ceiling
    measured = f"mutual information {told:.2f} nats of at most {most:.2f}, KL {metrics.kl:.2f}"
    meaning = {
        "dead": "Every sentence gets the same z, but for noise",
        "unheard": "z tells sentences apart, and the decoder does not listen",
        "faint": "z says next to nothing of its sentence",
        "alive": "z tells sentences apart",
    }[verdict]
    found = [f"{meaning}: {measured}."]
    if metrics.kl > 1 and told < 0.5 * metrics.kl and not is_cut_short(metrics):
        found.append("The rate is paid and not used: KL is far above what z tells of its sentence.")
    if is_mismatched(metrics):
        found.append(
            f"The posteriors together are not the prior (marginal KL {metrics.marginal_kl:.2f}): "
            "samples from the prior come from where no sentence is."
        )
    if is_cut_short(metrics):
        found.append(
            f"{metrics.sentences:,} sentences cannot show much more mutual information than that: "
            "measured on more of them it would be higher."
        )
    return found


def is_cut_short(metrics: Evaluation) -> bool:
    """Whether mutual information is so near to ln N that it is estimated too low."""
    return metrics.mutual_information > 0.8 * metrics.mutual_information_ceiling


def is_mismatched(metrics: Evaluation) -> bool:
    """Whether the latents of all texts together are far from the prior."""
    # What mutual information misses for want of texts stands in the marginal KL.
    far = metrics.marginal_kl > max(1, 0.3 * metrics.kl)
    return far and not is_cut_short(metrics)


def dimensions(metrics: Evaluation, dead: Sequence[int]) -> list[str]:
    """Which dimensions say something."""
    count = metrics.dimensions
    if len(dead) == count:
        return [f"None of {count} dimensions is active: no posterior mean varies."]
    strength = metrics.kls or metrics.variances
    unit = "nats" if metrics.kls else "variance"
    ranked = sorted(set(range(count)) - set(dead), key=lambda d: -strength[d])[:3]
    best = ", ".join(f"{d} ({strength[d]:.2f} {unit})" for d in ranked)
    if not dead:
        return [f"All {count} dimensions are active; the strongest: {best}."]
    return [
        f"{count - len(dead)} of {count} dimensions are active; the strongest: {best}; "
        f"dead: {ranges(dead)}."
    ]


def ranges(numbers: Sequence[int]) -> str:
    """Rising numbers in words: 1-3, 7."""
    runs = groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    parts = [[number for _, number in run] for _, run in runs]
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)


def heard(gains: Sequence[float]) -> list[str]:
    """At which positions the decoder listens to z, by what it is worth there."""
    total = sum(gains)
    if total < WORTHLESS:
        return [f"The decoder ignores z: another sentence's z costs {max(total, 0.0):.2f} nats."]
    half, most = (reached(gains, share * total) for share in (0.5, 0.9))
    said = f"half of it at the {tokens(half)}, nine tenths at the {tokens(most)}"
    about = ": z is mostly about how a sentence begins" if is_early(gains) else ""
    return [f"Another sentence's z costs {total:.2f} nats per sentence, {said}{about}."]


def reached(gains: Sequence[float], amount: float) -> int:
    """How many of the first gains it takes to add up to an amount."""
    return next(n for n in range(1, len(gains) + 1) if sum(gains[:n]) >= amount)


def tokens(count: int) -> str:
    """So many tokens at the begin, in words."""
    return "first token" if count == 1 else f"first {count} tokens"


def is_early(gains: Sequence[float]) -> bool:
    """Whether z is worth most at the first three tokens of more."""
    return len(gains) > 3 and sum(gains) >= WORTHLESS and sum(gains[:3]) > 0.5 * sum(gains)


def position_rows(positions: Mapping[str, list]) -> list[tuple[str, float, float, float]]:
    """Mean losses over ranges of positions, weighted by their texts: tokens, own, other, worth."""
    rows = []
    for start, stop in zip(RANGES, [*RANGES[1:], None], strict=True):
        place = slice(start - 1, None if stop is None else stop - 1)
        counts = positions["texts"][place]
        if not counts:
            break
        own, other = (
            sum(value * count for value, count in zip(positions[name][place], counts, strict=True))
            / sum(counts)
            for name in ("own", "another")
        )
        last = start + len(counts) - 1
        rows.append((f"{start}-{last}" if last > start else f"{start}", own, other, other - own))
    return rows


def word_dropout(recipe: Recipe) -> float:
    """Share of the words before that are hidden from the text decoder in training."""
    nodes = recipe.model["decoders"]
    return next(n.get("word_dropout", 0.0) for n in nodes if n.get("auxiliary") is None)


def reads_words(recipe: Recipe) -> bool:
    """Whether the text decoder sees the words before."""
    nodes = recipe.model["decoders"]
    return any(n["kind"] not in ("bag", "topics") for n in nodes if n.get("auxiliary") is None)


def has_free_bits(recipe: Recipe) -> bool:
    """Whether some KL costs nothing."""
    return bool(recipe.objective.get("free_bits"))


def holds_rate(recipe: Recipe) -> bool:
    """Whether the KL cannot vanish, by the family or by the objective."""
    return recipe.objective["kind"] in ("target_rate", "minimum_rate") or any(
        node.get("kind") in ("vmf", "delta") or node.get("batch_norm")
        for node in recipe.model["latents"]
    )


def trains_encoder_first(recipe: Recipe) -> bool:
    """Whether the encoder is ahead of the decoder."""
    return recipe.train.lagging is not None or recipe.pretrain is not None


def matches_prior(recipe: Recipe) -> bool:
    """Whether the posteriors of all texts together are drawn to the prior."""
    return recipe.objective["kind"] in ("mmd", "adversarial")


def pools(recipe: Recipe) -> bool:
    """Whether the encoder weighs all words alike."""
    return any(
        node.get("kind") == "bag" or node.get("pooling") in ("mean", "max")
        for node in recipe.model["encoders"]
    )


FREE_BITS = Remedy("free bits: so many nats of KL cost nothing", has_free_bits)
RATE = Remedy("a KL that cannot vanish", holds_rate)
AHEAD = Remedy("an encoder that is trained ahead of the decoder", trains_encoder_first)
HIDDEN = Remedy("word dropout: the decoder needs z", lambda r: 0.3 <= word_dropout(r) < 1)
MATCHED = Remedy("draws the posteriors together to the prior", matches_prior)
POOLED = Remedy("an encoder that weighs all words alike", pools)
REMEDIES = (FREE_BITS, RATE, AHEAD, HIDDEN, MATCHED, POOLED)


@cache
def recipes_with_latents() -> list[Recipe]:
    """The shipped recipes of texts without labels that are no language models."""
    loaded = [load_recipe(name) for name in shipped_recipes()]
    return [
        recipe
        for recipe in loaded
        if isinstance(recipe.data, DataConfig)
        and recipe.data.label_column is None
        and recipe.model.get("latents")
    ]


def why(recipe: Recipe) -> list[str]:
    """What in a recipe lets the latent die."""
    reasons = []
    if not (has_free_bits(recipe) or holds_rate(recipe) or matches_prior(recipe)):
        reasons.append("nothing keeps the KL from vanishing")
    if reads_words(recipe) and word_dropout(recipe) < 0.3:
        hidden = word_dropout(recipe)
        reasons.append(
            f"the decoder sees the words before (word dropout {hidden:g}) and can do without z"
        )
    full_price = recipe.objective["kind"] == "elbo" and recipe.objective.get("kl_weight", 1) == 1
    if full_price and not has_free_bits(recipe):
        reasons.append("the KL costs its full price from the first step, before z says anything")
    return [f"Why: {'; '.join(reasons)}."] if reasons else []


def data_options(data: DataConfig | ImageDataConfig) -> str:
    """The options of `textvae train` that name a run's texts, with a blank before them."""
    found = "" if data.source is None else f" --data {shlex.quote(data.source)}"
    if isinstance(data, DataConfig) and data.text_column != DataConfig().text_column:
        found += f" --text-column {shlex.quote(data.text_column)}"
    return found


def advise(
    metrics: Evaluation, verdict: str, early: bool, recipe: Recipe | None, tokenizer: str | None
) -> list[Advice]:
    """At most three recipes that do what the trained one does not, the nearest of each kind.

    Args:
        metrics: of the trained one.
        verdict: on it.
        early: whether z is heard at the first tokens only.
        recipe: that it was trained with, if that is known.
        tokenizer: its kind; a recipe of the same kind is meant for the same data.
    """
    if verdict == "autoencoder":
        return []
    if verdict == "alive":
        wanted = [MATCHED] * is_mismatched(metrics) + [POOLED] * early
    else:
        # Where a rate is paid and not used, more of it does not help.
        wanted = [AHEAD, HIDDEN] if metrics.kl > 1 else [FREE_BITS, RATE, AHEAD, HIDDEN]
    data = "" if recipe is None else data_options(recipe.data)
    advice: list[Advice] = []
    for remedy in wanted:
        named = {each.recipe for each in advice}
        found = [r for r in recipes_with_latents() if remedy.used(r) and r.name not in named]
        if not found or (recipe is not None and remedy.used(recipe)):
            continue
        # For the same kind of data, and with as little else as can be.
        nearest = min(
            found,
            key=lambda other: (
                other.tokenizer.kind != tokenizer,
                sum(each.used(other) for each in REMEDIES),
            ),
        )
        advice.append(Advice(nearest.name, remedy.why, f"textvae train {nearest.name}{data}"))
    return advice[:3]
