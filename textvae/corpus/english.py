"""The grammar of the shipped corpus: sentences about six topics with six known factors.

The factors (topic, sentiment, tense, number of the subject, mood, length) are independent; all are
uniform but mood. Several words of a sentence depend on each factor: nouns and verbs of the topic at
both ends, auxiliaries and times of one tense, pronouns and tags that agree with a distant subject.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from math import fsum

from textvae.corpus import lexicon
from textvae.corpus.grammar import (
    Expression,
    Grammar,
    Label,
    optional,
    sequence,
    uncollected,
    uniform,
    weighted,
)
from textvae.corpus.lexicon import SENTIMENTS, TENSES, TOPICS
from textvae.corpus.morphology import be
from textvae.corpus.phrases import (
    BYSTANDERS,
    OBJECT_PRONOUNS,
    PEOPLE,
    SOMEONES,
    Clause,
    Scene,
    Subject,
    Weighted,
    adjectives,
    agents,
    any_of,
    auxiliary,
    clauses,
    inverted,
    phrases,
    subjects,
    things,
    verbs,
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
    with uncollected():
        statement = sequence(Label("mood", "statement"), _statement())
        question = sequence(Label("mood", "question"), _question())
        return Grammar(weighted([(1 - QUESTION_SHARE, statement), (QUESTION_SHARE, question)]))


def _each(factor: str, values: Iterable[str], text: Callable[[str], Expression]) -> Expression:
    """A uniform choice of a factor's value, and the text that goes with it."""
    return uniform(sequence(Label(factor, value), text(value)) for value in values)


# Sentences. A factor is chosen before the first word that depends on it: so the automaton is small.


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
    """Questions of three forms; yes-no questions alone are long, which keeps lengths uniform."""
    yes_no_share = 1 - TAG_SHARE - WH_SHARE
    bare = (yes_no_share - 1 / 3) / 2

    def why(tense: str) -> Expression:
        return sequence("why", _inverted(tense, "why", ("positive", "negative"), (0.5, 0.5, 0)))

    def yes_no(tense: str) -> Expression:
        return _inverted(tense, "yes_no", SENTIMENTS, (bare, bare, 1 / 3))

    return weighted(
        [
            (TAG_SHARE, _ordered(None, "tag", (0.5, 0.5, 0))),
            (WH_SHARE * 2 / 3, _each("tense", TENSES, why)),
            (WH_SHARE / 3, _each("tense", TENSES, _when_or_where)),
            (yes_no_share, _each("tense", TENSES, yes_no)),
        ]
    )


def _when_or_where(tense: str) -> Expression:
    """Neutral questions; "when is he leaving" asks about the future, so the present has "where"."""
    forms = ("where",) if tense == "present" else ("when", "where")
    return uniform(
        sequence(form, _inverted(tense, form, ("neutral",), (0.5, 0.5, 0))) for form in forms
    )


def _ordered(tense: str | None, form: str, lengths: Lengths) -> Expression:
    """Subject, predicate, ending; without a tense, it is chosen at the verb."""

    def clause_of(topic: str, number: str) -> Expression:
        options: Weighted = []
        for share, subject, words in subjects(topic, number, form):

            def rest(tense: str, subject: Subject = subject) -> Expression:
                predicates = _predicates(topic, tense, subject, form, SENTIMENTS, lengths)
                return weighted((weight, text) for weight, _, text in predicates)

            ending = rest(tense) if tense else _each("tense", TENSES, rest)
            options.append((share, sequence(words, ending)))
        return weighted(options)

    return _each("topic", TOPICS, lambda t: _each("number", NUMBERS, partial(clause_of, t)))


def _inverted(tense: str, form: str, sentiments: tuple[str, ...], lengths: Lengths) -> Expression:
    """Auxiliary, subject, predicate, ending."""

    def clause_of(topic: str, number: str) -> Expression:
        options: Weighted = []
        for share, subject, words in subjects(topic, number, form):
            rests: dict[str, Weighted] = {}
            for weight, kind, text in _predicates(topic, tense, subject, form, sentiments, lengths):
                first = auxiliary(kind, tense, subject.agreement)
                rests.setdefault(first, []).append((weight, text))
            for first, rest in rests.items():
                total = fsum(weight for weight, _ in rest)
                options.append((share * total, sequence(first, words, weighted(rest))))
        return weighted(options)

    return _each("number", NUMBERS, lambda n: _each("topic", TOPICS, lambda t: clause_of(t, n)))


def _predicates(
    topic: str,
    tense: str,
    subject: Subject,
    form: str,
    sentiments: tuple[str, ...],
    lengths: Lengths,
) -> Iterator[tuple[float, str, Expression]]:
    """Weight, kind and words of each predicate with its ending."""
    for sentiment in sentiments:
        scene = Scene(topic, tense, sentiment)
        for weight, clause in clauses(scene, subject.role, subject.agreement, form):
            for length, share in zip(LENGTHS, lengths, strict=True):
                if share:
                    labels = sequence(Label("sentiment", sentiment), Label("length", length))
                    ending = _ending(scene, subject, clause, form, length)
                    yield (
                        weight * share / len(sentiments),
                        clause.kind,
                        sequence(labels, clause.words, ending),
                    )


# Endings


def _ending(scene: Scene, subject: Subject, clause: Clause, form: str, length: str) -> Expression:
    """Adjuncts or a second clause, by length, and the last mark."""
    last: Expression = "?" if inverted(form) else "."
    if form == "tag":
        last = _tag(scene, subject, clause)
    if length == "medium":
        return sequence(_adjuncts(scene, clause, form), last)
    if length == "long":
        return sequence(_second(scene, subject, clause, form), last)
    return last


def _tag(scene: Scene, subject: Subject, clause: Clause) -> Expression:
    """The tag agrees with the subject, and denies what the clause affirms."""
    word = auxiliary(clause.kind, scene.tense, subject.agreement)
    if not clause.negated:
        word = "wo n't" if word == "will" else f"{word} n't"
    return sequence(",", word, any_of(subject.pronouns), "?")


def _time_and_place(scene: Scene, clause: Clause, form: str) -> tuple[Expression, Expression]:
    """Expressions of time and place; "" where none fits."""
    times = lexicon.TIMES[scene.tense]
    if clause.kind == "opinion":
        times = lexicon.LASTING[scene.tense]
    elif clause.kind in ("be", "feel") and scene.tense == "present":
        times = f"{times}, {lexicon.HABITS}"
    vague = clause.kind == "be" and (scene.sentiment == "neutral" or scene.tense == "present")
    time = "" if form in ("fronted", "when") else phrases(times)
    placeless = clause.kind == "opinion" or vague or form == "where"
    return time, "" if placeless else phrases(scene.topic.places)


def _adjuncts(scene: Scene, clause: Clause, form: str) -> Expression:
    time, place = _time_and_place(scene, clause, form)
    if time and place:
        return weighted([(0.5, time), (0.35, place), (0.15, sequence(place, time))])
    if form == "fronted":  # the sentence begins with a time
        return optional(0.5, place) if place else ""
    return sequence(time, place)


def _second(scene: Scene, subject: Subject, clause: Clause, form: str) -> Expression:
    """A reason, a consequence or a second fact, of the same tense and sentiment."""
    options: Weighted = [(0.4, _consequence(scene, subject, form))]
    if clause.reason is not None:
        options.append((0.4, sequence("because", clause.reason)))
    if subject.role == "thing" and scene.sentiment != "neutral":
        options.append((0.3, sequence("because", _cause(scene, subject))))
    if not inverted(form):
        options.append((0.25, sequence(", and", _fact(scene, subject))))
    return weighted(options)


def _consequence(scene: Scene, subject: Subject, form: str) -> Expression:
    """A later act of the agent or guest, or of people where the subject is a thing."""
    topic, tense = scene.topic, scene.tense
    own, shared = topic.reactions, lexicon.REACTIONS
    if subject.role == "agent":
        own, shared = topic.sequels, lexicon.SEQUELS
    bases = own.of(scene.sentiment) + shared.of(scene.sentiment)
    link = ", so" if subject.role != "agent" and scene.sentiment != "neutral" else ", and"
    doers: list[tuple[Expression, str]] = [
        (pronoun, subject.agreement) for pronoun in subject.pronouns
    ]
    if subject.role == "thing":
        strangers: list[tuple[Expression, str]] = [("everyone", "singular"), (PEOPLE, "singular")]
        doers = strangers if inverted(form) else BYSTANDERS
    options = []
    for doer, agreement in doers:
        words = verbs(bases, "act", tense, agreement, form)
        if inverted(form):
            options.append(sequence(", and", auxiliary("act", tense, agreement), doer, words))
        else:
            options.append(sequence(link, doer, words))
    return uniform(options)


def _cause(scene: Scene, subject: Subject) -> Expression:
    """An act of agents on the thing that is the subject of the first clause."""
    topic, options = scene.topic, []
    for number in NUMBERS:
        nouns, _ = agents(topic, number)
        acts = verbs(topic.acts.of("neutral"), "act", scene.tense, number, "plain")
        options.append(sequence("the", any_of(nouns), acts))
    manner = any_of(lexicon.MANNERS.of(scene.sentiment))
    return sequence(uniform(options), OBJECT_PRONOUNS[subject.pronouns[0]], manner)


def _fact(scene: Scene, subject: Subject) -> Expression:
    """A state of something else: of a thing after an agent, else of an agent."""
    role, groups = ("thing", things) if subject.role == "agent" else ("agent", agents)
    states = any_of(adjectives(scene.topic, role, scene.sentiment))
    if scene.sentiment != "neutral":
        states = sequence(optional(0.5, phrases(lexicon.DEGREES[scene.sentiment])), states)
    options = []
    for number in NUMBERS:
        nouns, _ = groups(scene.topic, number)
        determiner = weighted([(0.6, "the"), (0.4, SOMEONES)])
        options.append(sequence(determiner, any_of(nouns), be(scene.tense, number)))
    return sequence(uniform(options), states)
