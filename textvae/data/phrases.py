"""Phrases of the shipped corpus's grammar: subjects, predicates, adjuncts and second clauses as expressions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from textvae.data import lexicon
from textvae.data.grammar import Expression, optional, sequence, uniform, weighted
from textvae.data.lexicon import CHARACTER, GUESTS, TOPICS, Topic, items
from textvae.data.morphology import article, be, participle, past, plural, third_person

DETERMINERS = {"singular": "the, the, our, this, that", "plural": "the, the, our, these, those"}
OBJECT_PRONOUNS = {"he": "him", "she": "her", "it": "it", "they": "them"}
BYSTANDERS = {"we": "plural", "everyone": "singular", "most people": "plural", "i": "i"}


@dataclass(frozen=True)
class Scene:
    """What all clauses of a sentence share."""

    topic_name: str
    tense: str
    sentiment: str

    @property
    def topic(self) -> Topic:
        """The words of the topic."""
        return TOPICS[self.topic_name]


@dataclass(frozen=True)
class Subject:
    """What later words must know of the subject."""

    role: str  # thing, agent or guest
    pronouns: tuple[str, ...]  # each of them may stand for it
    agreement: str  # i, singular or plural


@dataclass(frozen=True, eq=False)
class Clause:
    """A predicate, without its auxiliary in a question, and what decides how it may go on."""

    words: Expression
    kind: str  # be (a state), act (an event), feel (an attitude to a thing), opinion (of a person)
    negated: bool = False
    reason: Expression | None = None  # says why of the object, after "because"


Weighted = list[tuple[float, Expression]]


def phrases(entries: str) -> Expression:
    """Any entry of a list."""
    return uniform(items(entries))


# Noun phrases


def agents(topic: Topic, number: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Nouns for people in a role, and the pronouns that may stand for them."""
    groups = [(topic.agents, ("he", "she")), (topic.male, ("he",)), (topic.female, ("she",))]
    found = [(items(nouns), pronouns) for nouns, pronouns in groups if nouns]
    if number == "singular":
        return found
    return [(tuple(plural(noun) for nouns, _ in found for noun in nouns), ("they",))]


def things(topic: Topic, number: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Nouns for things, and the pronoun that stands for them; those without plural count as singular."""
    if number == "plural":
        return [(tuple(plural(noun) for noun in items(topic.things)), ("they",))]
    return [(items(topic.things) + (items(topic.mass) if topic.mass else ()), ("it",))]


@cache
def subjects(topic_name: str, number: str, form: str) -> tuple[tuple[float, Subject, Expression], ...]:
    """Subjects with their weights and words."""
    topic, found = TOPICS[topic_name], []
    for role, share, groups in [("thing", 0.3, things), ("agent", 0.4, agents)]:
        total = sum(len(nouns) for nouns, _ in groups(topic, number))
        kinds = topic.kinds if role == "thing" else lexicon.ROLES
        for nouns, pronouns in groups(topic, number):
            words = sequence(
                _determiner(number, form),
                optional(0.25, phrases(kinds)),
                uniform(nouns),
                optional(0.2, phrases(topic.sources)),
            )
            found.append((share * len(nouns) / total, Subject(role, pronouns, number), words))
    return (*found, *((0.3 * w, subject, words) for w, subject, words in _guests(number, form)))


def _determiner(number: str, form: str) -> Expression:
    entries = DETERMINERS[number]
    return phrases(entries if form in ("plain", "fronted") else entries.replace("our", "your"))


def _guests(number: str, form: str) -> list[tuple[float, Subject, Expression]]:
    """People who judge: the speaker and the speaker's people, in questions the hearer's people."""
    spoken = form in ("plain", "fronted")
    owner = "my" if spoken else "your"
    found = []
    if spoken and number == "singular":
        found.append((2.0, Subject("guest", ("i",), "i"), "i"))
    if spoken and number == "plural":
        found.append((0.5, Subject("guest", ("we",), "plural"), "we"))
    for pronouns, nouns in GUESTS.items():
        if (pronouns == "they") == (number == "plural"):
            subject = Subject("guest", tuple(pronouns.split(" or ")), number)
            found.append((1.0, subject, sequence(owner, phrases(nouns))))
    total = sum(weight for weight, _, _ in found)
    return [(weight / total, subject, words) for weight, subject, words in found]


def _definite(nouns: Sequence[str], kinds: str, number: str) -> Expression:
    determiner = "the, the, the, this, that" if number == "singular" else "the, the, the, these, those"
    return sequence(phrases(determiner), optional(0.3, phrases(kinds)), uniform(nouns))


@cache
def _any_thing(topic: Topic) -> Expression:
    """A definite object of either number."""
    return uniform(
        _definite(nouns, topic.kinds, number)
        for number in ("singular", "plural")
        for nouns, _ in things(topic, number)
    )


@cache
def _described(topic: Topic, adjectives: tuple[str, ...]) -> Expression:
    """An indefinite object of either number: a fresh pie, an italian pie, some fresh bread, two fresh pies."""
    options: Weighted = []
    for chosen in ("a", "an"):
        fitting = [adjective for adjective in adjectives if article(adjective) == chosen]
        if fitting:
            noun = phrases(topic.things)
            options.append((len(fitting), sequence(chosen, uniform(fitting), noun)))
    singular = weighted(options)
    if topic.mass:
        without_plural = sequence("some", uniform(adjectives), phrases(topic.mass))
        singular = weighted([(0.85, singular), (0.15, without_plural)])
    nouns = uniform(plural(noun) for noun in items(topic.things))
    return weighted(
        [
            (0.65, singular),
            (0.35, sequence(phrases(lexicon.COUNTS), uniform(adjectives), nouns)),
        ]
    )


# Predicates


@cache
def clauses(scene: Scene, subject: Subject, form: str) -> tuple[tuple[float, Clause], ...]:
    """Predicates with their weights, for one form of sentence.

    The forms: plain and fronted statements, tag questions, and the inverted questions yes_no, why, when and where.
    """
    if subject.role == "thing":
        return tuple(_states(scene, subject, form))
    if subject.role == "guest":
        return tuple(_judgements(scene, subject, form))
    states = [] if form in ("when", "where") else _states(scene, subject, form)
    actions = [(0.65, Clause(_action(scene, subject, form), "act"))]
    return (*((0.35 * weight, state) for weight, state in states), *actions)


def inverted(form: str) -> bool:
    """Whether the auxiliary stands before the subject."""
    return form in ("yes_no", "why", "when", "where")


def auxiliary(kind: str, tense: str, agreement: str) -> str:
    """What a question or a tag repeats: will, a form of "to be" or a form of "to do"."""
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
        return topic.worth.of(sentiment)
    return CHARACTER.of(sentiment) + topic.skill.of(sentiment)


def _states(scene: Scene, subject: Subject, form: str) -> list[tuple[float, Clause]]:
    words = uniform(adjectives(scene.topic, subject.role, scene.sentiment))
    neutral = scene.sentiment == "neutral"
    if inverted(form):
        copula = "be" if scene.tense == "future" else ""
        degree = "so" if form == "why" else optional(0.5, phrases("really, very, so"))
        return [(1.0, Clause(sequence(copula, "" if neutral else degree, words), "be"))]
    copula = be(scene.tense, subject.agreement)
    degree = "" if neutral else optional(0.6, phrases(lexicon.DEGREES[scene.sentiment]))
    denial = sequence(copula.replace("will", "will not") if " " in copula else f"{copula} not")
    return [
        (0.8, Clause(sequence(copula, degree, words), "be")),
        (0.2, Clause(sequence(denial, _denied(scene, subject)), "be", negated=True)),
    ]


def _denied(scene: Scene, subject: Subject) -> Expression:
    """What "not" turns into the sentiment of the scene."""
    if scene.sentiment == "neutral":
        return uniform(adjectives(scene.topic, subject.role, "neutral"))
    if scene.sentiment == "positive":
        return sequence(uniform(adjectives(scene.topic, subject.role, "negative")), "at all")
    good = uniform(adjectives(scene.topic, subject.role, "positive"))
    return uniform([sequence(phrases("very, particularly"), good), sequence(good, "at all")])


def _verbs(verbs: Sequence[str], kind: str, scene: Scene, subject: Subject, form: str) -> Expression:
    """A verb with its auxiliary, or without it where that stands before the subject."""
    tense, hedge = scene.tense, ""
    if kind == "act":
        hedge = optional(0.2, phrases(lexicon.HEDGES[tense]))
    progressive = kind == "act" and tense == "present"
    if inverted(form):
        return sequence(hedge, uniform(participle(v) if progressive else v for v in verbs))
    if tense == "past":
        return sequence(hedge, uniform(past(verb) for verb in verbs))
    if tense == "future":
        return sequence("will", hedge, uniform(verbs))
    if progressive:
        return sequence(be(tense, subject.agreement), hedge, uniform(participle(v) for v in verbs))
    return uniform(third_person(v) if subject.agreement == "singular" else v for v in verbs)


def _action(scene: Scene, subject: Subject, form: str) -> Expression:
    """What an agent does to a thing; the sentiment is in the adverb, in the verb or in the adjective."""
    topic, mood = scene.topic, scene.sentiment
    plain = _verbs(topic.acts.of("neutral"), "act", scene, subject, form)
    thing, manner = _any_thing(topic), uniform(lexicon.MANNERS.of(mood))
    if form in ("when", "where"):
        return sequence(plain, thing)
    if mood == "neutral":
        described = _described(topic, items(topic.kinds))
        return weighted(
            [
                (0.25, sequence(plain, thing)),
                (0.5, sequence(plain, thing, manner)),
                (0.25, sequence(plain, described)),
            ]
        )
    charged = _verbs(topic.acts.of(mood), "act", scene, subject, form)
    return weighted(
        [
            (0.35, sequence(plain, thing, manner)),
            (0.3, sequence(charged, thing)),
            (0.35, sequence(plain, _described(topic, topic.worth.of(mood)))),
        ]
    )


def _judgements(scene: Scene, subject: Subject, form: str) -> list[tuple[float, Clause]]:
    """What a guest does, likes and thinks."""
    topic, mood = scene.topic, scene.sentiment
    used = _verbs(items(topic.uses), "act", scene, subject, form)
    if mood == "neutral":
        described = _described(topic, items(topic.kinds))
        return [(1.0, Clause(sequence(used, uniform([described, _any_thing(topic)])), "act"))]
    found = [(0.5, Clause(sequence(used, _described(topic, topic.worth.of(mood))), "act"))]
    targets = [("feel", 0.3, things, lexicon.FEELINGS, topic.kinds, "thing")]
    if form != "fronted":
        targets.append(("opinion", 0.2, agents, lexicon.OPINIONS, lexicon.ROLES, "agent"))
    for kind, share, groups, attitudes, kinds, role in targets:
        verb = _verbs(items(attitudes[mood]), kind, scene, subject, form)
        for number in ("singular", "plural"):
            total = sum(len(nouns) for nouns, _ in groups(topic, number))
            for nouns, pronouns in groups(topic, number):
                reason = sequence(
                    uniform(pronouns),
                    be(scene.tense, number),
                    optional(0.7, "so"),
                    uniform(adjectives(topic, role, mood)),
                )
                words = sequence(verb, _definite(nouns, kinds, number))
                weight = share / 2 * len(nouns) / total
                found.append((weight, Clause(words, kind, reason=reason)))
    return found
