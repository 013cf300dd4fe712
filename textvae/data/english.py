"""The grammar of the shipped corpus: sentences about six topics with six known factors.

The factors (topic, sentiment, tense, number of the subject, mood, length) are independent; all are uniform but
mood. A sentence says each of them in several places: nouns and verbs of the topic at both ends, auxiliaries and
times of one tense, pronouns and tags that agree with a subject many words before.
"""

from collections.abc import Callable, Iterable
from functools import cache

from textvae.data import lexicon
from textvae.data.grammar import Expression, Grammar, Label, optional, sequence, uniform, weighted
from textvae.data.lexicon import SENTIMENTS, TENSES, TOPICS, items
from textvae.data.morphology import be, participle, past
from textvae.data.phrases import (
    BYSTANDERS,
    OBJECT_PRONOUNS,
    Clause,
    Scene,
    Subject,
    Weighted,
    adjectives,
    agents,
    auxiliary,
    clauses,
    inverted,
    phrases,
    subjects,
    things,
)

NUMBERS = ("singular", "plural")
LENGTHS = ("short", "medium", "long")  # a bare clause, a clause with adjuncts, two clauses
QUESTION_SHARE = 0.25
FRONTED_SHARE = 0.2  # of statements: those that begin with a time, and so are not short
TAG_SHARE, WH_SHARE = 0.3, 0.2  # of questions; none of them is long

Lengths = tuple[float, float, float]  # weights of LENGTHS


@cache
def english() -> Grammar:
    """The grammar of the shipped corpus, compiled once."""
    statement = sequence(Label("mood", "statement"), _statement())
    question = sequence(Label("mood", "question"), _question())
    return Grammar(weighted([(1 - QUESTION_SHARE, statement), (QUESTION_SHARE, question)]))


def _each(factor: str, values: Iterable[str], text: Callable[[str], Expression]) -> Expression:
    """A uniform choice of a factor's value, and the text that goes with it."""
    return uniform(sequence(Label(factor, value), text(value)) for value in values)


# Sentences. A factor is chosen where it is first heard: so beginnings are shared, and the automaton is small.


def _statement() -> Expression:
    adjoined = 1 / 3 - FRONTED_SHARE / 2

    def fronted(tense: str) -> Expression:
        time = phrases(lexicon.TIMES[tense])
        return sequence(time, ",", _ordered(tense, "fronted", (0, 0.5, 0.5)))

    return weighted(
        [
            (FRONTED_SHARE, _each("tense", TENSES, fronted)),
            (1 - FRONTED_SHARE, _ordered(None, "plain", (1 / 3, adjoined, adjoined))),
        ]
    )


def _question() -> Expression:
    """Three forms; lengths are uniform over all questions because only yes-no questions are long."""
    bare = (1 - TAG_SHARE - WH_SHARE - 1 / 3) / 2
    without_reason = ("neutral",)
    wh = weighted(
        [
            (2 / 3, sequence("why", _inverted("why", ("positive", "negative"), (0.5, 0.5, 0)))),
            (1 / 3, _wh_neutral(without_reason)),
        ]
    )
    return weighted(
        [
            (TAG_SHARE, _ordered(None, "tag", (0.5, 0.5, 0))),
            (WH_SHARE, wh),
            (1 - TAG_SHARE - WH_SHARE, _inverted("yes_no", SENTIMENTS, (bare, bare, 1 / 3))),
        ]
    )
