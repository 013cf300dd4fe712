"""Phrases of the shipped corpus: noun phrases and predicates, as expressions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from textvae.corpus import lexicon
from textvae.corpus.grammar import Expression, optional, sequence, uniform, weighted
from textvae.corpus.lexicon import CHARACTER, GUESTS, TOPICS, Topic, items
from textvae.corpus.morphology import article, be, participle, past, plural, third_person

DEMONSTRATIVES = {"singular": "this, that", "plural": "these, those"}
OBJECT_PRONOUNS = {"he": "him", "she": "her", "it": "it", "they": "them"}


@dataclass(frozen=True)
class Scene:
    """Topic, tense and sentiment: the same in all clauses of a sentence."""

    topic_name: str
    tense: str
    sentiment: str

    @property
    def topic(self) -> Topic:
        """The words of the topic."""
        return TOPICS[self.topic_name]


@dataclass(frozen=True)
class Subject:
    """Features of the subject with which later words agree."""

    role: str  # thing, agent or guest
    pronouns: tuple[str, ...]  # each of them may stand for it
    agreement: str  # i, singular or plural


@dataclass(frozen=True, eq=False)
class Clause:
    """A predicate, without its auxiliary in a question, and features that limit its ending."""

    words: Expression
    kind: str  # be (a state), act (an event), feel (an attitude to a thing), opinion (of a person)
    negated: bool = False
    reason: Expression | None = None  # about the object, after "because"


Weighted = list[tuple[float, Expression]]


@cache
def any_of(entries: tuple[str, ...]) -> Expression:
    """Any of the entries; equal entries give one object, which is compiled once."""
    return uniform(entries)


def phrases(entries: str) -> Expression:
    """Any entry of a list."""
    return any_of(items(entries))


PEOPLE = any_of(items(lexicon.NAMES["he"]) + items(lexicon.NAMES["she"]))
SOMEONES = sequence(PEOPLE, "'s")
BYSTANDERS: list[tuple[Expression, str]] = [
    ("we", "plural"),
    ("i", "i"),
    ("everyone", "singular"),
    ("most people", "plural"),
    (PEOPLE, "singular"),
]

# Noun phrases


def agents(topic: Topic, number: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Nouns for people in a role, and the pronouns that may stand for them."""
    nouns = items(topic.agents)
    if number == "singular":
        return nouns, ("he", "she")
    return tuple(plural(noun) for noun in nouns), ("they",)


def things(topic: Topic, number: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Nouns for things, and the pronoun that stands for them; mass nouns are singular."""
    if number == "plural":
        return tuple(plural(noun) for noun in items(topic.things)), ("they",)
    return items(topic.things) + (items(topic.mass) if topic.mass else ()), ("it",)


@cache
def subjects(
    topic_name: str, number: str, form: str
) -> tuple[tuple[float, Subject, Expression], ...]:
    """Subjects with their weights and words."""
    topic, options = TOPICS[topic_name], []
    for role, share, groups in [("thing", 0.24, things), ("agent", 0.44, agents)]:
        nouns, pronouns = groups(topic, number)
        words = sequence(
            _determiner(number, form),
            optional(0.4, phrases(topic.kinds if role == "thing" else lexicon.ROLES)),
            any_of(nouns),
            optional(0.15, phrases(f"{topic.sources}, {lexicon.CITIES}")),
        )
        options.append((share, Subject(role, pronouns, number), words))
    return (*options, *((0.32 * w, subject, words) for w, subject, words in _guests(number, form)))


def _determiner(number: str, form: str) -> Expression:
    owner = "our" if form in ("plain", "fronted") else "your"
    others = phrases(DEMONSTRATIVES[number])
    return weighted([(0.45, "the"), (0.1, owner), (0.25, others), (0.2, SOMEONES)])


def _guests(number: str, form: str) -> list[tuple[float, Subject, Expression]]:
    """Guests as subjects: the speaker and the speaker's people, or in questions the hearer's."""
    spoken = form in ("plain", "fronted")
    owner = "my" if spoken else "your"
    options = []
    if spoken and number == "singular":
        options.append((0.7, Subject("guest", ("i",), "i"), "i"))
    if spoken and number == "plural":
        options.append((0.3, Subject("guest", ("we",), "plural"), "we"))
    for pronouns, nouns in GUESTS.items():
        if (pronouns == "they") == (number == "plural"):
            subject = Subject("guest", (pronouns,), number)
            words = uniform([sequence(owner, phrases(nouns)), _names(pronouns)])
            options.append((1.0, subject, words))
    total = sum(weight for weight, _, _ in options)
    return [(weight / total, subject, words) for weight, subject, words in options]


def _names(pronouns: str) -> Expression:
    """One name, or for "they" a couple."""
    if pronouns == "they":
        his, hers = phrases(lexicon.NAMES["he"]), phrases(lexicon.NAMES["she"])
        return uniform([sequence(his, "and", hers), sequence(hers, "and", his)])
    return phrases(lexicon.NAMES[pronouns])


def _definite(nouns: Sequence[str], kinds: str, number: str) -> Expression:
    others = phrases(DEMONSTRATIVES[number])
    determiner = weighted([(0.5, "the"), (0.25, others), (0.25, SOMEONES)])
    return sequence(determiner, optional(0.35, phrases(kinds)), any_of(tuple(nouns)))


@cache
def _any_thing(topic: Topic) -> Expression:
    """A definite object of either number."""
    numbers = ("singular", "plural")
    return uniform(_definite(things(topic, n)[0], topic.kinds, n) for n in numbers)


@cache
def _described(topic: Topic, qualities: tuple[str, ...]) -> Expression:
    """An indefinite object of either number: a fresh pie, some fresh bread, two fresh pies."""
    options: Weighted = []
    for chosen in ("a", "an"):
        fitting = [adjective for adjective in qualities if article(adjective) == chosen]
        if fitting:
            noun = phrases(topic.things)
            options.append((len(fitting), sequence(chosen, any_of(tuple(fitting)), noun)))
    singular = weighted(options)
    if topic.mass:
        without_plural = sequence("some", any_of(qualities), phrases(topic.mass))
        singular = weighted([(0.85, singular), (0.15, without_plural)])
    nouns = any_of(tuple(plural(noun) for noun in items(topic.things)))
    return weighted(
        [
            (0.65, singular),
            (0.35, sequence(phrases(lexicon.COUNTS), any_of(qualities), nouns)),
        ]
    )


# Predicates


@cache
def clauses(scene: Scene, role: str, agreement: str, form: str) -> tuple[tuple[float, Clause], ...]:
    """Predicates with their weights, for one form of sentence.

    The forms: plain and fronted statements, tag questions, and the inverted questions yes_no, why,
    when and where.
    """
    if role == "guest":
        return tuple(_judgements(scene, agreement, form))
    states = [] if form in ("when", "where") else _states(scene, role, agreement, form)
    if role == "thing":
        return tuple(states)
    actions = [(0.7, Clause(_action(scene, agreement, form), "act"))]
    return (*((0.3 * weight, state) for weight, state in states), *actions)


def inverted(form: str) -> bool:
    """Whether the auxiliary stands before the subject."""
    return form in ("yes_no", "why", "when", "where")


def auxiliary(kind: str, tense: str, agreement: str) -> str:
    """Auxiliary of a question or a tag: will, a form of "to be" or a form of "to do"."""
    if tense == "future":
        return "will"
    if kind == "be" or (kind == "act" and tense == "present"):
        return be(tense, agreement)
    if tense == "past":
        return "did"
    return "does" if agreement == "singular" else "do"


def adjectives(topic: Topic, role: str, sentiment: str) -> tuple[str, ...]:
    """Adjectives and other predicates that fit a thing or an agent."""
    if role == "thing":
        return topic.worth.of(sentiment) + lexicon.WORTH.of(sentiment)
    return CHARACTER.of(sentiment) + topic.skill.of(sentiment)


def _states(scene: Scene, role: str, agreement: str, form: str) -> list[tuple[float, Clause]]:
    words = any_of(adjectives(scene.topic, role, scene.sentiment))
    neutral = scene.sentiment == "neutral"
    if inverted(form):
        copula = "be" if scene.tense == "future" else ""
        degree = "so" if form == "why" else optional(0.5, phrases("really, very, so"))
        return [(1.0, Clause(sequence(copula, "" if neutral else degree, words), "be"))]
    copula = be(scene.tense, agreement)
    degree = "" if neutral else optional(0.6, phrases(lexicon.DEGREES[scene.sentiment]))
    denial = sequence(copula.replace("will", "will not") if " " in copula else f"{copula} not")
    return [
        (0.8, Clause(sequence(copula, degree, words), "be")),
        (0.2, Clause(sequence(denial, _denied(scene, role)), "be", negated=True)),
    ]


def _denied(scene: Scene, role: str) -> Expression:
    """Predicates whose negation has the sentiment of the scene."""
    if scene.sentiment == "neutral":
        return any_of(adjectives(scene.topic, role, "neutral"))
    if scene.sentiment == "positive":
        return sequence(any_of(adjectives(scene.topic, role, "negative")), "at all")
    good = any_of(adjectives(scene.topic, role, "positive"))
    return uniform([sequence(phrases("very, particularly"), good), sequence(good, "at all")])


def verbs(
    bases: Sequence[str], kind: str, tense: str, agreement: str, form: str, hedge: Expression = ""
) -> Expression:
    """A verb with its auxiliary, or without it where that stands before the subject.

    Events are progressive in the present ("is bringing"), attitudes simple ("likes").
    """
    progressive = kind == "act" and tense == "present"
    if inverted(form):
        return sequence(hedge, any_of(tuple(participle(v) if progressive else v for v in bases)))
    if tense == "past":
        return sequence(hedge, any_of(tuple(past(base) for base in bases)))
    if tense == "future":
        return sequence("will", hedge, any_of(tuple(bases)))
    if progressive:
        return sequence(be(tense, agreement), hedge, any_of(tuple(participle(v) for v in bases)))
    return any_of(tuple(third_person(v) if agreement == "singular" else v for v in bases))


@cache
def _hedge(tense: str) -> Expression:
    return optional(0.2, phrases(lexicon.HEDGES[tense]))


def _events(bases: Sequence[str], scene: Scene, agreement: str, form: str) -> Expression:
    hedge = "" if form in ("why", "when", "where") else _hedge(scene.tense)
    return verbs(bases, "act", scene.tense, agreement, form, hedge)


def _action(scene: Scene, agreement: str, form: str) -> Expression:
    """Predicates of an agent, with a thing as object.

    The adverb, the verb or the adjective has the sentiment.
    """
    topic, sentiment = scene.topic, scene.sentiment
    plain = _events(topic.acts.of("neutral"), scene, agreement, form)
    thing, manner = _any_thing(topic), any_of(lexicon.MANNERS.of(sentiment))
    if form in ("when", "where"):
        return sequence(plain, thing)
    if sentiment == "neutral":
        described = _described(topic, items(topic.kinds))
        return weighted(
            [
                (0.25, sequence(plain, thing)),
                (0.5, sequence(plain, thing, manner)),
                (0.25, sequence(plain, described)),
            ]
        )
    charged = _events(topic.acts.of(sentiment), scene, agreement, form)
    return weighted(
        [
            (0.35, sequence(plain, thing, manner)),
            (0.3, sequence(charged, thing)),
            (0.35, sequence(plain, _described(topic, adjectives(topic, "thing", sentiment)))),
        ]
    )


def _judgements(scene: Scene, agreement: str, form: str) -> list[tuple[float, Clause]]:
    """Predicates of a guest: acts, feelings and opinions."""
    topic, sentiment = scene.topic, scene.sentiment
    used = _events(items(topic.uses), scene, agreement, form)
    if sentiment == "neutral":
        described = _described(topic, items(topic.kinds))
        return [(1.0, Clause(sequence(used, uniform([described, _any_thing(topic)])), "act"))]
    described = _described(topic, adjectives(topic, "thing", sentiment))
    rate = 0.7 if form == "fronted" else 0.5
    options = [(rate, Clause(sequence(used, described), "act"))]
    targets = [("feel", 0.3, things, lexicon.FEELINGS, topic.kinds, "thing")]
    if form != "fronted":
        targets.append(("opinion", 0.2, agents, lexicon.OPINIONS, lexicon.ROLES, "agent"))
    for kind, share, groups, attitudes, kinds, target in targets:
        verb = verbs(items(attitudes[sentiment]), kind, scene.tense, agreement, form)
        for number in ("singular", "plural"):
            nouns, pronouns = groups(topic, number)
            reason = sequence(
                any_of(pronouns),
                be(scene.tense, number),
                optional(0.7, "so"),
                any_of(adjectives(topic, target, sentiment)),
            )
            words = sequence(verb, _definite(nouns, kinds, number))
            options.append((share / 2, Clause(words, kind, reason=reason)))
    return options
