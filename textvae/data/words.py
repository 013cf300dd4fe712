"""Words of texts: whether blanks separate them, and which of them a tokenizer lacks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from textvae.data.tokenizers import tokenizer_kind
from textvae.vocabulary import UNK

if TYPE_CHECKING:
    from textvae.data.batching import Sentences
    from textvae.data.texts import Texts
    from textvae.data.tokenizers import TextTokenizer

Unit = Literal["word", "character"]
"""Parts of a text that metrics count."""

LONGEST_WORDS = 20
"""Mean letters between blanks above which blanks do not separate words.

In 300 to 54,000 messages of the system's programs: at most 9.4 for languages with blanks (German
6.9, Finnish 8.0, Malayalam 8.7, Zulu 9.4), at least 26 for those without (Chinese 26, Burmese 26,
Thai 35, Khmer 36, Japanese 44).
"""

LONGEST_COUNTED = 100
"""Letters at which a word is cut, so that a few addresses or codes do not decide."""

DECIDING = 1000
"""Texts that decide whether blanks separate the words of a corpus: the first ones."""

IDEOGRAPHS = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Chinese characters and kana; each counts as six letters: segmented words have two."""

SYLLABIC = re.compile(r"[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff]")
"""Thai, Lao, Tibetan, Burmese and Khmer; each counts as three letters: words have four to six."""

WHOLE_WORDS = ("word", "bag")
"""Tokenizers that know whole words alone; the others spell any text, in bytes at the worst."""

FEW_TEXTS, MOST_NAMED, MOST_FREQUENT, LONGEST_NAME = 8, 20, 5, 40


def separated_by_blanks(texts: Iterable[str]) -> bool:
    """Whether blanks separate the words of the texts, as they do not in Chinese, Japanese or Thai.

    >>> separated_by_blanks(["ein Donaudampfschiff"]), separated_by_blanks(["老师喜欢昨天的报纸。"])
    (True, False)
    """
    words = [word for text in islice(texts, DECIDING) for word in text.split()]
    return sum(map(letters, words)) <= LONGEST_WORDS * len(words)


def letters(word: str) -> int:
    """The length of a word in letters of an alphabet, at most `LONGEST_COUNTED`."""
    start = word[:LONGEST_COUNTED]
    count = len(start) + 5 * len(IDEOGRAPHS.findall(start)) + 2 * len(SYLLABIC.findall(start))
    return min(count, LONGEST_COUNTED)


def unit_of(texts: Iterable[str]) -> Unit:
    """The unit that metrics of these texts count: characters where blanks separate no words."""
    return "word" if separated_by_blanks(texts) else "character"


def in_units(texts: Iterable[str], unit: Unit) -> list[str]:
    """The texts with a blank between their units: every character, or words as they are."""
    return [text if unit == "word" else " ".join("".join(text.split())) for text in texts]


def count_characters(text: str) -> int:
    """Characters, and one for the end: the denominator of character perplexity."""
    return len(text) + 1


@dataclass(frozen=True)
class UnknownWords:
    """Words of some texts that a tokenizer does not know.

    Args:
        counts: occurrences of each unknown word; a text's own `<unk>` is none.
        words: all words of the texts, known or not.
        texts: their number.
    """

    counts: Counter[str]
    words: int
    texts: int

    def text(self) -> str:
        """The words by name, of many texts the share and the most frequent; empty without any."""
        if not self.counts:
            return ""
        few = self.texts <= FEW_TEXTS
        named = [word for word, _ in self.counts.most_common(MOST_NAMED if few else MOST_FREQUENT)]
        names = ", ".join(shortened(word) for word in named)
        if few:
            more = len(self.counts) - len(named)
            return f"unknown to the model: {names}" + (f" and {more} more" if more else "")
        share = 100 * self.counts.total() / self.words
        return f"{share:.1f} % of {self.words:,} words are unknown to the model, mostly: {names}"


def unknown_words(tokenizer: TextTokenizer, texts: Texts | Sequence[str]) -> UnknownWords:
    """The words of texts that a tokenizer does not know; none for one that spells any text."""
    counts: Counter[str] = Counter()
    if tokenizer_kind(tokenizer) not in WHOLE_WORDS:
        return UnknownWords(counts, 0, len(texts))
    backend, total = tokenizer.backend_tokenizer, 0
    for text in texts:
        normal = text if backend.normalizer is None else backend.normalizer.normalize_str(text)
        words = [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal)]
        counts.update(word for word in words if backend.token_to_id(word) is None)
        total += len(words)
    return UnknownWords(counts, total, len(texts))


def count_unknown(sentences: Sentences) -> int:
    """The tokens of the sentences that are `<unk>`."""
    return int((sentences.ids == UNK).sum())


def mostly_unknown(unknown: int, total: int) -> str | None:
    """The warning that at least half of some tokens, ends excluded, are `<unk>`, or None."""
    if 2 * unknown < total:
        return None
    return (
        f"{100 * unknown / total:.0f} % of the held-out tokens are <unk>, which stands for any "
        "word: tokenizer.kind=unigram or bpe spells every text"
    )


def shortened(word: str) -> str:
    """A word of at most `LONGEST_NAME` characters."""
    return word if len(word) <= LONGEST_NAME else f"{word[:LONGEST_NAME]}..."
