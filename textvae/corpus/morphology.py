"""English inflection for the words of the shipped corpus: rules and exceptions."""

from collections.abc import Callable

PLURALS = {"child": "children"}
PASTS = {
    "begin": "began",
    "break": "broke",
    "bring": "brought",
    "buy": "bought",
    "choose": "chose",
    "drink": "drank",
    "eat": "ate",
    "fall": "fell",
    "find": "found",
    "fly": "flew",
    "forget": "forgot",
    "get": "got",
    "give": "gave",
    "go": "went",
    "leave": "left",
    "lose": "lost",
    "make": "made",
    "pay": "paid",
    "quit": "quit",
    "read": "read",
    "see": "saw",
    "send": "sent",
    "sing": "sang",
    "sit": "sat",
    "speak": "spoke",
    "take": "took",
    "tear": "tore",
    "tell": "told",
    "wear": "wore",
    "win": "won",
    "write": "wrote",
}
DOUBLED = {"begin", "clap", "drop", "forget", "get", "plan", "quit", "regret", "sit", "win"}
VOWEL_LETTER_CONSONANT_SOUND = ("eu", "one", "uni", "use", "usu")
CONSONANT_LETTER_VOWEL_SOUND = ("heir", "honest", "hour")
BE = {
    ("past", "i"): "was",
    ("past", "singular"): "was",
    ("past", "plural"): "were",
    ("present", "i"): "am",
    ("present", "singular"): "is",
    ("present", "plural"): "are",
}


def be(tense: str, agreement: str) -> str:
    """The form of "to be"; agreement is i, singular or plural."""
    return BE.get((tense, agreement), "will be")


def plural(noun: str) -> str:
    """The plural; of a compound, that of its last word."""
    *before, last = noun.split(" ")
    return " ".join([*before, PLURALS.get(last, _with_s(last))])


def third_person(verb: str) -> str:
    """The third person singular present of the phrase's first word."""
    return _on_head(verb, _with_s)


def past(verb: str) -> str:
    """The simple past of the phrase's first word."""
    return _on_head(verb, _past)


def participle(verb: str) -> str:
    """The -ing form of the phrase's first word."""
    return _on_head(verb, _participle)


def article(following: str) -> str:
    """The indefinite article before these words: "an" before a vowel sound."""
    if following.startswith(VOWEL_LETTER_CONSONANT_SOUND):
        return "a"
    if following.startswith(CONSONANT_LETTER_VOWEL_SOUND):
        return "an"
    return "an" if following[0] in "aeiou" else "a"


def _on_head(phrase: str, inflected: Callable[[str], str]) -> str:
    head, _, rest = phrase.partition(" ")
    return f"{inflected(head)} {rest}".strip()


def _ends_in_consonant_y(word: str) -> bool:
    return word.endswith("y") and word[-2] not in "aeiou"


def _with_s(word: str) -> str:
    if _ends_in_consonant_y(word):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


def _past(verb: str) -> str:
    if verb in PASTS:
        return PASTS[verb]
    if _ends_in_consonant_y(verb):
        return verb[:-1] + "ied"
    if verb in DOUBLED:
        return verb + verb[-1] + "ed"
    return verb + ("d" if verb.endswith("e") else "ed")


def _participle(verb: str) -> str:
    if verb in DOUBLED:
        return verb + verb[-1] + "ing"
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing"
    return verb + "ing"
