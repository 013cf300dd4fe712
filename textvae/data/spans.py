"""Texts that stand in other texts, such as answers in their paragraphs, as the ids there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

import numpy as np

from textvae.data.batching import Sentences
from textvae.data.tokenizers import TextTokenizer, count_words, encode_texts, no_panic
from textvae.vocabulary import BOS, EOS


def place_of(text: str, whole: str) -> tuple[int, int] | None:
    """The characters of a text in another one, as whole words where it is; None if it is not.

    >>> place_of("9", "1990 or 9")
    (8, 9)
    """
    if match := re.search(rf"(?<!\w){re.escape(text)}(?!\w)", whole):
        start = match.start()
    else:
        start = whole.find(text)
    return None if start < 0 or not text else (start, start + len(text))


def encoded_within(
    tokenizer: TextTokenizer, texts: Sequence[str], wholes: Sequence[str], field: str
) -> tuple[Sentences, int]:
    """Texts as the token ids that they have inside other texts, and how many stand nowhere there.

    A tokenizer may cut a text in another way inside a longer one: next to punctuation for
    instance. A token that is part of both the text and its surroundings counts to the text. What
    stands nowhere has the ids of the text alone.

    Args:
        tokenizer: of both.
        texts: N texts.
        wholes: the text that each should stand in.
        field: name of the field.
    """
    rows, missing = encode_texts(tokenizer, texts), 0
    backend = tokenizer.backend_tokenizer
    known: dict[str, tuple[list[int], np.ndarray]] = {}
    for number, (text, whole) in enumerate(zip(texts, wholes, strict=True)):
        if (place := place_of(text, whole)) is None:
            missing += 1
            continue
        if whole not in known:
            encoding = no_panic(backend.encode, whole)
            known[whole] = encoding.ids, np.array(encoding.offsets)
        ids, offsets = known[whole]
        inside = np.flatnonzero((offsets[:, 0] < place[1]) & (offsets[:, 1] > place[0]))
        if len(inside):
            rows[number] = [BOS, *(ids[index] for index in inside), EOS]
    lengths = [len(row) for row in rows]
    ids = np.fromiter(chain.from_iterable(rows), np.int32, sum(lengths))
    words = sum(map(count_words, texts))
    return Sentences(ids, np.cumsum([0, *lengths]), words, field), missing
