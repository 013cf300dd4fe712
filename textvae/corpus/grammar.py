"""A finite probabilistic grammar with exact entropy: expressions and their word automaton.

An expression is a string of words, a `Sequence`, a `Choice` or a `Label`. Compiling one gives an
acyclic automaton whose paths are the derivations. Where no two paths read the same words, the
entropy of the sentences is the entropy of the paths, one backward recursion.
"""

import gc
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

END = "\n"  # read by the last arc of each path; no word can contain it


@dataclass(frozen=True, eq=False)
class Label:
    """The value of a factor, set by the derivation without a word, at most once."""

    factor: str
    value: str


@dataclass(frozen=True, eq=False)
class Sequence:
    """Expressions one after another."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, eq=False)
class Choice:
    """One of several expressions; `probabilities` sum to one."""

    probabilities: tuple[float, ...]
    options: tuple["Expression", ...]


Expression = str | Label | Sequence | Choice


class Arc(NamedTuple):
    """A step of a derivation: an optional word or label, and the state after it."""

    probability: float
    word: str | None
    label: tuple[str, str] | None
    target: int


class Reading(NamedTuple):
    """A way to read one word from a state: arcs without words, then the arc of the word."""

    probability: float
    labels: tuple[tuple[str, str], ...]
    target: int


def sequence(*parts: Expression) -> Expression:
    """The parts in order, empty strings left out."""
    nonempty = tuple(part for part in parts if part != "")
    return nonempty[0] if len(nonempty) == 1 else Sequence(nonempty)


def weighted(options: Iterable[tuple[float, Expression]]) -> Expression:
    """A choice with probabilities proportional to the weights; options of weight zero are left out.

    Raises:
        ValueError: a weight is negative or not finite, or none is positive.
    """
    pairs = tuple(options)
    if any(not 0 <= weight < math.inf for weight, _ in pairs):
        raise ValueError(f"weights must be finite and not negative, not {[w for w, _ in pairs]}")
    total = math.fsum(weight for weight, _ in pairs)
    if total <= 0:
        raise ValueError("a choice needs at least one option of positive weight")
    positive = [(weight / total, option) for weight, option in pairs if weight > 0]
    return Choice(tuple(p for p, _ in positive), tuple(option for _, option in positive))


def uniform(options: Iterable[Expression]) -> Expression:
    """A choice of equal probabilities."""
    return weighted((1.0, option) for option in options)


def optional(probability: float, expression: Expression) -> Expression:
    """The expression with this probability, else nothing."""
    return weighted([(probability, expression), (1 - probability, "")])


@contextmanager
def uncollected() -> Iterator[None]:
    """No search for reference cycles meanwhile: among 100,000 tuples it takes half the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Grammar:
    """The distribution over sentences, and over the values of factors, that an expression defines.

    States are numbered so that every arc leads to a lower number; state 0 is the end.

    Example:
        >>> grammar = Grammar(sequence(uniform(["a", "the"]), uniform(["cat", "dog"]), "."))
        >>> round(grammar.entropy() / math.log(2), 6)
        2.0
        >>> round(math.exp(grammar.log_prob("the cat .")), 6)
        0.25
    """

    def __init__(self, expression: Expression) -> None:
        """Compile the expression."""
        self._arcs: list[tuple[Arc, ...]] = [()]
        self._states: dict[tuple[Arc, ...], int] = {}
        self._compiled: dict[tuple[int, int], int] = {}
        with uncollected():
            last = self._state((Arc(1.0, END, None, 0),))
            self._start = self._compile(expression, last)
        self._readings: dict[int, dict[str, list[Reading]]] = {}
        self._compiled.clear()  # its keys are ids of expressions, free to be used again from here

    def sample(self, rng: random.Random) -> tuple[str, dict[str, str]]:
        """A sentence, words separated by spaces, and its labels; one `random()` per choice."""
        words, labels, state = [], {}, self._start
        while state:
            arc = _drawn(self._arcs[state], rng)
            if arc.word is not None and arc.word != END:
                words.append(arc.word)
            if arc.label is not None:
                labels[arc.label[0]] = arc.label[1]
            state = arc.target
        return " ".join(words), labels

    def log_prob(self, sentence: str) -> float:
        """Log p(sentence), nats, summed over derivations; -inf if the grammar cannot produce it."""
        weights = {self._start: 1.0}
        for word in _words(sentence):
            following: dict[int, float] = {}
            for state, weight in weights.items():
                for reading in self._next(state).get(word, ()):
                    mass = weight * reading.probability
                    following[reading.target] = following.get(reading.target, 0.0) + mass
            weights = following
        return math.log(weights[0]) if weights else -math.inf

    def labels_of(self, sentence: str) -> dict[str, str] | None:
        """The labels of the sentence's most probable derivation; None where it has none."""
        best: dict[int, tuple[float, dict[str, str]]] = {self._start: (1.0, {})}
        for word in _words(sentence):
            following: dict[int, tuple[float, dict[str, str]]] = {}
            for state, (weight, labels) in best.items():
                for reading in self._next(state).get(word, ()):
                    mass = weight * reading.probability
                    if mass > following.get(reading.target, (0.0, {}))[0]:
                        following[reading.target] = mass, {**labels, **dict(reading.labels)}
            best = following
        return best[0][1] if best else None

    def entropy(self) -> float:
        """Entropy of the sentence, nats: H(s) = sum over arcs of p (H(target) - log p).

        Raises:
            ValueError: a sentence has two derivations: the recursion would be too high.
        """
        ambiguous = self._ambiguity
        if ambiguous is not None:
            raise ValueError(f"the grammar is ambiguous: {ambiguous!r} begins two derivations")
        return self._total(lambda arc: -math.log(arc.probability))

    def mean_words(self) -> float:
        """Expected number of words per sentence, the end of the sentence among them."""
        return self._total(lambda arc: float(arc.word is not None))

    def marginal(self, factor: str) -> dict[str | None, float]:
        """p(value) of a factor, exact; None stands for derivations that do not set it.

        Raises:
            ValueError: a derivation sets the factor twice.
        """
        masses: list[dict[str | None, float]] = [{None: 1.0}]
        for arcs in self._arcs[1:]:
            mass: dict[str | None, float] = {}
            for arc in arcs:
                later = masses[arc.target]
                if arc.label is not None and arc.label[0] == factor:
                    if set(later) != {None}:
                        raise ValueError(f"a derivation sets {factor!r} twice")
                    later = {arc.label[1]: 1.0}
                for value, p in later.items():
                    mass[value] = mass.get(value, 0.0) + arc.probability * p
            masses.append(mass)
        return masses[self._start]

    def factors(self) -> list[str]:
        """Names of the factors, sorted."""
        return sorted({arc.label[0] for arcs in self._arcs for arc in arcs if arc.label})

    def factor_entropies(self) -> dict[str, float]:
        """Entropy of each factor's marginal, nats."""
        return {factor: _entropy(self.marginal(factor).values()) for factor in self.factors()}

    def vocabulary(self) -> list[str]:
        """All words, sorted, without the end of the sentence."""
        words = {arc.word for arcs in self._arcs for arc in arcs if arc.word is not None}
        return sorted(words - {END})

    def ambiguity(self) -> str | None:
        """A shortest beginning that two derivations share up to one state; None if there is none.

        Follows every prefix at once, as the set of states it can reach (the subset construction).
        Each state leads to the end, so a sentence has two derivations exactly where a prefix enters
        a state twice.
        """
        start = frozenset([self._start])
        came_from: dict[frozenset[int], tuple[frozenset[int], str]] = {start: (start, "")}
        agenda = deque([start])
        while agenda:
            states = agenda.popleft()
            targets: dict[str, list[int]] = {}
            for state in states:
                for word, readings in self._next(state).items():
                    targets.setdefault(word, []).extend([r.target for r in readings])
            for word, reached in targets.items():
                subset = frozenset(reached)
                if len(subset) < len(reached):
                    return " ".join([*_path(came_from, states), word])
                if subset not in came_from:
                    came_from[subset] = states, word
                    agenda.append(subset)
        return None

    def _next(self, state: int) -> dict[str, list[Reading]]:
        """How each word can be read from a state, arcs without words followed through."""
        if state not in self._readings:
            table: dict[str, list[Reading]] = {}
            agenda: list[tuple[int, float, tuple[tuple[str, str], ...]]] = [(state, 1.0, ())]
            while agenda:
                at, mass, labels = agenda.pop()
                for p, word, label, target in self._arcs[at]:
                    labels_after = labels if label is None else (*labels, label)
                    if word is None:
                        agenda.append((target, mass * p, labels_after))
                    else:
                        reading = Reading(mass * p, labels_after, target)
                        table.setdefault(word, []).append(reading)
            self._readings[state] = table
        return self._readings[state]

    @cached_property
    def _ambiguity(self) -> str | None:
        with uncollected():
            return self.ambiguity()

    def _total(self, cost: Callable[[Arc], float]) -> float:
        """Expected sum of cost(arc) over the arcs of a derivation."""
        totals = [0.0]
        for arcs in self._arcs[1:]:
            totals.append(math.fsum(a.probability * (cost(a) + totals[a.target]) for a in arcs))
        return totals[self._start]

    def _state(self, arcs: tuple[Arc, ...]) -> int:
        """The state with these arcs: equal continuations are one state."""
        if arcs not in self._states:
            self._states[arcs] = len(self._arcs)
            self._arcs.append(arcs)
        return self._states[arcs]

    def _compile(self, expression: Expression, follow: int) -> int:
        """The state from which paths read the expression and end in `follow`."""
        key = id(expression), follow
        if key not in self._compiled:
            self._compiled[key] = self._compile_new(expression, follow)
        return self._compiled[key]

    def _compile_new(self, expression: Expression, follow: int) -> int:
        if isinstance(expression, str):
            return self._chain(expression.split(), follow)
        if isinstance(expression, Label):
            said = expression.factor, expression.value
            return self._state((Arc(1.0, None, said, follow),))
        if isinstance(expression, Sequence):
            for part in reversed(expression.parts):
                follow = self._compile(part, follow)
            return follow
        arcs = []
        for p, option in zip(expression.probabilities, expression.options, strict=True):
            words = option.split() if isinstance(option, str) else []
            if words:
                arcs.append(Arc(p, words[0], None, self._chain(words[1:], follow)))
            else:
                arcs.append(Arc(p, None, None, self._compile(option, follow)))
        return self._state(tuple(arcs))

    def _chain(self, words: list[str], follow: int) -> int:
        for word in reversed(words):
            follow = self._state((Arc(1.0, word, None, follow),))
        return follow


def _words(sentence: str) -> list[str]:
    return [*sentence.split(" "), END] if sentence else [END]


def _drawn(arcs: tuple[Arc, ...], rng: random.Random) -> Arc:
    """One arc; draws no number where there is no choice."""
    if len(arcs) == 1:
        return arcs[0]
    threshold, cumulative = rng.random(), 0.0
    for arc in arcs:
        cumulative += arc.probability
        if threshold < cumulative:
            return arc
    return arcs[-1]  # the probabilities sum to one only up to rounding


def _path(
    came_from: dict[frozenset[int], tuple[frozenset[int], str]], at: frozenset[int]
) -> list[str]:
    """The words that first led to this set of states."""
    words = []
    while came_from[at][1]:
        at, word = came_from[at]
        words.append(word)
    return words[::-1]


def _entropy(probabilities: Iterable[float]) -> float:
    return -math.fsum(p * math.log(p) for p in probabilities if p > 0)
