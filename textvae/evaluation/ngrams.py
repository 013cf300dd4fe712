"""An n-gram language model, interpolated Kneser-Ney: the perplexity of texts given others."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

# No word contains a line end, so no text contains these.
BEGIN, END = "<s>\n", "</s>\n"
DISCOUNT = 0.75


class KneserNey:
    """p(word | the words before it), from the n-grams of some texts.

    p(w | h) = max(c(h w) - d, 0) / c(h .) + d N(h .) / c(h .) * p(w | h without its first word),
    with N(h .) the number of different words after h, and below everything the uniform
    distribution over the vocabulary. c counts n-grams of the highest order and those that begin a
    text; of the others, the different words before them.

    >>> model = KneserNey(["a dog", "a cat"], vocabulary=["a", "cat", "cow", "dog"])
    >>> model.probability("dog", ["a"]) > model.probability("cow", ["a"]) > 0
    True

    Args:
        texts: words between whitespace.
        vocabulary: every word that has a probability; the end of a text is one more.
        order: most words of an n-gram.

    Source: Kneser & Ney 1995; Chen & Goodman 1999, section 2.7. One fixed discount d.
    """

    def __init__(self, texts: Iterable[str], vocabulary: Iterable[str], order: int = 3):
        self.order = order
        self.vocabulary = {*vocabulary, END}
        grams: Counter[tuple[str, ...]] = Counter()
        for text in texts:
            words = [BEGIN, *text.split(), END]
            for stop in range(2, len(words) + 1):
                grams.update(
                    tuple(words[start:stop]) for start in range(max(0, stop - order), stop)
                )
        before: Counter[tuple[str, ...]] = Counter(gram[1:] for gram in grams if len(gram) > 1)
        self.following: dict[tuple[str, ...], dict[str, int]] = defaultdict(dict)
        for gram, count in grams.items():
            counted = len(gram) == order or gram[0] == BEGIN
            self.following[gram[:-1]][gram[-1]] = count if counted else before[gram]
        self.totals = {history: sum(words.values()) for history, words in self.following.items()}

    def probability(self, word: str, history: Sequence[str]) -> float:
        """p(word | history) for a word of the vocabulary; only the last words of history count."""
        probability = 1 / len(self.vocabulary)
        for length in range(min(self.order - 1, len(history)) + 1):
            context = tuple(history[len(history) - length :])
            if context not in self.totals:
                break
            words, total = self.following[context], self.totals[context]
            discounted = max(words.get(word, 0) - DISCOUNT, 0)
            probability = (discounted + DISCOUNT * len(words) * probability) / total
        return probability

    def perplexity(self, texts: Iterable[str]) -> float:
        """exp(-log p of all texts / words), one end of sentence counted for each text."""
        total, count = 0.0, 0
        for text in texts:
            words = [BEGIN, *text.split(), END]
            for position in range(1, len(words)):
                history = words[max(0, position + 1 - self.order) : position]
                total -= math.log(self.probability(words[position], history))
            count += len(words) - 1
        return math.exp(total / count)
