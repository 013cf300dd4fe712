"""Tokenizers trained on the texts: SentencePiece unigram and BPE, and whole words."""

from __future__ import annotations

import copy
import io
import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args

from textvae.checkpoints import atomic_file, write_file
from textvae.data.errors import first_line
from textvae.data.python_texts import each_text
from textvae.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor
    from tokenizers import Tokenizer, normalizers
    from tokenizers.models import BPE, Unigram, WordLevel
    from transformers import PreTrainedTokenizerFast

    AnyTokenizer: TypeAlias = "TextTokenizer | PreTrainedTokenizerFast"
    """One of ours, or what AutoTokenizer makes of its files."""

TokenizerKind = Literal["unigram", "bpe", "word", "bag"]
StopWords = Literal["english"]
T = TypeVar("T")

PIPELINE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
"""Files of a tokenizer, as transformers names them."""

WORDS = "words.json"
"""File of the words of the training texts, beside them."""

CONTENT_WORD = r"[^\W\d_]{3,}"
"""The words of a bag: runs of three letters or more, in lower case."""

TRAINING_SENTENCES = 200_000
"""Unigram and BPE are trained on at most this many lines, drawn with seed 0.

SentencePiece holds them all, in 10 (BPE) or 23 (unigram) bytes for each character.
"""

SPACE = "\u2581"
"""SentencePiece writes a space as this character."""

ESCAPE = "\x10"
"""Precedes the code of a character with a meaning in SentencePiece, so any text round-trips."""

LITERAL = r"<(?=(?:pad|s|/s|0x[0-9A-F]{2})>)"
"""The start of a special token or a byte piece that is spelled in a text."""

UNTRAINABLE = "\u2585"
"""SentencePiece skips every training line with its own mark for unknown characters."""

CHUNK = re.compile(r".{1,1000}(?:\s|\Z)|.{1,1000}", re.DOTALL)
"""Parts of at most 1,001 characters: SentencePiece skips training lines over 4,192 bytes."""


class TextTokenizer:
    """Texts <-> token ids: a pipeline of the library tokenizers, and the kind that was trained.

    `AutoTokenizer` reads the folder of `save_pretrained`, with equal ids.

    Args:
        pipeline: with our special tokens.
        kind: see `train_tokenizer`; None for another tokenizer.
    """

    def __init__(self, pipeline: Tokenizer, kind: TokenizerKind | None):
        self.backend_tokenizer = pipeline
        self.init_kwargs = special_tokens() | {"kind": kind}
        """Its settings, as a tokenizer of transformers names them."""
        self.words: list[list[int]] | None = None
        """Token ids of each word of the training texts, see `known_words`; None where unknown."""

    def __len__(self) -> int:
        """Number of token ids, special tokens included."""
        return self.backend_tokenizer.get_vocab_size()

    def get_vocab(self) -> dict[str, int]:
        """The id of each token."""
        return self.backend_tokenizer.get_vocab()

    @property
    def pieces(self) -> list[str]:
        """The token of each id."""
        vocabulary = self.get_vocab()
        return sorted(vocabulary, key=vocabulary.__getitem__)

    def for_transformers(self) -> PreTrainedTokenizerFast:
        """The same tokenizer with the interface of transformers; takes its own copy."""
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast(tokenizer_object=self.backend_tokenizer, **self.init_kwargs)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write tokenizer.json, tokenizer_config.json and, where the words are known, words.json.

        The folder is made if it is not there.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        with atomic_file(Path(folder) / PIPELINE) as partial:
            self.backend_tokenizer.save(str(partial))
        settings = self.init_kwargs | {"tokenizer_class": "PreTrainedTokenizerFast"}
        text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
        write_file(Path(folder) / SETTINGS, text)
        if self.words is not None:
            words = json.dumps(self.words, separators=(",", ":"))
            write_file(Path(folder) / WORDS, words)


def special_tokens() -> dict[str, Any]:
    """The settings of a tokenizer of transformers that our special tokens need."""
    pad, bos, eos, unk = SPECIAL_TOKENS
    return {
        "pad_token": pad,
        "bos_token": bos,
        "eos_token": eos,
        "unk_token": unk,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # a literal "<s>" in a text is text
    }


def train_tokenizer(
    kind: TokenizerKind,
    texts: Iterable[str],
    vocab_size: int,
    stop_words: StopWords | None = None,
) -> TextTokenizer:
    """A tokenizer whose ids 0 to 3 are pad, bos, eos and unk; a function of its arguments only.

    `unigram` and `bpe` round-trip every text exactly and never give unk. `word` is for texts that
    are tokenised already: it splits at whitespace, keeps the most frequent words, and the rest,
    with the literals `<unk>`, `<s>`, `</s>` and `<pad>`, is unk. `bag` is for topic models: it
    keeps the most frequent runs of three letters or more, in lower case, and leaves out all else.

    Args:
        kind: how text is cut into tokens.
        texts: the training texts.
        vocab_size: largest size, special tokens included. A small corpus yields fewer tokens:
            `len(tokenizer)`.
        stop_words: words that a `bag` leaves out: those of scikit-learn's list for English.

    Raises:
        ValueError: an unknown kind, no text, or a `vocab_size` that leaves room for no token.
        TypeError: `texts` is one string or a table, or one of them is no string.

    Source: Kudo 2018, arXiv:1804.10959 (unigram); Sennrich et al. 2016, arXiv:1508.07909 (BPE);
    Kudo & Richardson 2018, arXiv:1808.06226 (SentencePiece).
    """
    if kind not in get_args(TokenizerKind):
        known = ", ".join(get_args(TokenizerKind))
        raise ValueError(f"unknown tokenizer kind {kind!r} (known: {known})")
    if isinstance(texts, str):
        raise TypeError("texts must be several strings, not one string")
    texts = each_text(texts, most=None)
    if kind == "bag":
        return wrap(bag_tokenizer(texts, vocab_size, stop_words), kind)
    if kind == "word":
        return wrap(word_tokenizer(texts, vocab_size), kind)
    return wrap(subword_tokenizer(train_sentencepiece(kind, texts, vocab_size), kind), kind)


def encode_texts(tokenizer: AnyTokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The token ids of each text, from bos to eos; never cut or padded.

    Raises:
        TypeError: `texts` is one string, or one of them is no string.
        ValueError: the tokenizer cannot encode them.
    """
    if isinstance(texts, str):
        raise TypeError("texts must be several strings, not one string")
    backend = tokenizer.backend_tokenizer
    # A call of `tokenizer(...)` changes the truncation, padding and splitting of the backend.
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    rows = [encoding.ids for encoding in no_panic(backend.encode_batch_fast, list(texts))]
    if tokenizer_kind(tokenizer) == "bag":
        return [[i for i in row if i != UNK] for row in rows]
    return rows


def no_panic(call: Callable[..., T], *arguments: Any) -> T:
    """The result of a call of tokenizers, whose panic is no Exception in Python.

    Raises:
        ValueError: it panics or raises a bare Exception, on a damaged tokenizer for instance.
    """
    try:
        return call(*arguments)
    except BaseException as error:
        if type(error) is not Exception and type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"the tokenizer failed: {first_line(error)}") from None


def decode_ids(tokenizer: AnyTokenizer, ids: Iterable[int]) -> str:
    """The text before the first eos; pad and bos are dropped, unk is spelled `<unk>`."""
    before_eos = itertools.takewhile(lambda i: i != EOS, map(int, ids))
    tokens = [i for i in before_eos if i not in (PAD, BOS)]
    # Not skip_special_tokens=True: that deletes the unk words too.
    return no_panic(tokenizer.backend_tokenizer.decode, tokens, False)


def count_words(text: str) -> int:
    """Words between whitespace, and one for the end: the denominator of word perplexity."""
    return len(text.split()) + 1


def tokenizer_kind(tokenizer: AnyTokenizer) -> str | None:
    """The kind that `train_tokenizer` recorded; None for another tokenizer."""
    return tokenizer.init_kwargs.get("kind")


def load_tokenizer(folder: str | Path) -> TextTokenizer:
    """The tokenizer in a folder of `tokenizer.save_pretrained`.

    Raises:
        ValueError: the folder has no tokenizer, or one with other ids of special tokens.
    """
    file = Path(folder) / PIPELINE
    if not file.is_file():
        raise ValueError(f"{folder}: holds no tokenizer (no file {PIPELINE})")
    from tokenizers import Tokenizer

    try:
        pipeline = no_panic(Tokenizer.from_file, str(file))
    except Exception as error:  # tokenizers raises bare Exception for a file that it cannot read
        raise ValueError(f"{folder}: {PIPELINE} cannot be read ({error})") from error
    special_ids = [pipeline.token_to_id(token) for token in SPECIAL_TOKENS]
    if special_ids != [PAD, BOS, EOS, UNK]:
        raise ValueError(
            f"{folder}: the ids of {', '.join(SPECIAL_TOKENS)} must be 0, 1, 2, 3 "
            f"(got {special_ids})"
        )
    tokenizer = TextTokenizer(pipeline, stored_kind(Path(folder)))
    tokenizer.words = stored_words(Path(folder), len(tokenizer))
    return tokenizer


def stored_kind(folder: Path) -> TokenizerKind | None:
    """The kind in a folder's tokenizer_config.json; None where it has none.

    Raises:
        ValueError: the file is not a JSON object.
    """
    file = folder / SETTINGS
    if not file.is_file():
        return None
    try:
        kind = dict(json.loads(file.read_text(encoding="utf-8"))).get("kind")
    except (ValueError, TypeError, RecursionError):
        raise ValueError(f"{folder}: {SETTINGS} is not a valid JSON file") from None
    return next((known for known in get_args(TokenizerKind) if known == kind), None)


def stored_words(folder: Path, size: int) -> list[list[int]] | None:
    """The words in a folder's words.json; None where it has none.

    Raises:
        ValueError: the file holds something else.
    """
    file = folder / WORDS
    if not file.is_file():
        return None
    try:
        words = [[int(token) for token in word] for word in json.loads(file.read_bytes())]
    except (ValueError, TypeError, RecursionError):
        words = [[size]]
    if any(not 0 <= token < size for word in words for token in word):
        raise ValueError(f"{folder}: {WORDS} holds no words of its tokenizer")
    return words


def wrap(tokenizer: Tokenizer, kind: TokenizerKind) -> TextTokenizer:
    """The tokenizer of a pipeline, to which the special tokens are added."""
    from tokenizers import AddedToken, processors

    _, bos, eos, _ = SPECIAL_TOKENS
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in SPECIAL_TOKENS]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}", special_tokens=[(bos, BOS), (eos, EOS)]
    )
    # A file rounds the scores of a unigram model: a tokenizer equals its saved one from the start.
    return TextTokenizer(copy.deepcopy(tokenizer), kind)


def word_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Whole words by descending count, ties in the order of their characters."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.split())
    tokenizer = Tokenizer(most_frequent(counts, vocab_size, "word"))
    pad, bos, eos, unk = SPECIAL_TOKENS
    literal = rf"(?<!\S)(?:{pad}|{bos}|{eos})(?!\S)"
    tokenizer.normalizer = normalizers.Replace(Regex(literal), unk)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def bag_tokenizer(texts: Iterable[str], vocab_size: int, stop_words: StopWords | None) -> Tokenizer:
    """Content words in lower case by descending count; encoding leaves out the rest, unk."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

    lower = normalizers.Lowercase()
    split = pre_tokenizers.Split(Regex(CONTENT_WORD), "removed", invert=True)
    counts: Counter[str] = Counter()
    for text in texts:
        # Python's \w has no combining marks, so its words are not those of the tokenizer.
        counts.update(word for word, _ in split.pre_tokenize_str(lower.normalize_str(text)))
    if stop_words is not None:
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        for word in ENGLISH_STOP_WORDS:
            counts.pop(word, None)
    tokenizer = Tokenizer(most_frequent(counts, vocab_size, "bag"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = lower, split
    return tokenizer


def most_frequent(counts: Counter[str], vocab_size: int, kind: str) -> WordLevel:
    """The special tokens and the most frequent words, ties in the order of their characters.

    Raises:
        ValueError: there is no word, or no room for one.
    """
    from tokenizers.models import WordLevel

    if not counts:
        raise ValueError("no text to train a tokenizer on")
    if vocab_size <= len(SPECIAL_TOKENS):
        raise ValueError(f"vocab_size must be at least 5 for kind {kind!r} (got {vocab_size})")
    for token in SPECIAL_TOKENS:
        counts.pop(token, None)
    words = sorted(counts, key=lambda word: (-counts[word], word))
    tokens = [*SPECIAL_TOKENS, *words[: vocab_size - len(SPECIAL_TOKENS)]]
    return WordLevel({token: i for i, token in enumerate(tokens)}, unk_token=SPECIAL_TOKENS[UNK])


def train_sentencepiece(
    kind: Literal["unigram", "bpe"], texts: Iterable[str], vocab_size: int
) -> bytes:
    """A SentencePiece model of the escaped texts: byte fallback, no normalisation.

    Raises:
        ValueError: no text, or `vocab_size` below specials + bytes + one piece.
    """
    import sentencepiece

    lines = drawn(training_lines(texts), TRAINING_SENTENCES)
    if not lines:
        raise ValueError("no text to train a tokenizer on")
    room = vocab_size - len(SPECIAL_TOKENS) - 256
    if room < 1:
        raise ValueError(f"vocab_size must be at least 261 for kind {kind!r} (got {vocab_size})")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(drop_rare_characters(lines, room)),
        model_writer=model,
        model_type=kind,
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        pad_id=PAD,
        bos_id=BOS,
        eos_id=EOS,
        unk_id=UNK,
        num_threads=8,  # unigram training depends on it, so it is fixed
        minloglevel=3,
    )
    return model.getvalue()


def escape_literals(text: str) -> str:
    """The text without literal special tokens, byte pieces or `SPACE`, for SentencePiece.

    `<unk>` has a code of its own, so that it is one token in a corpus that spells it.
    """
    for plain, code in ESCAPED:
        text = text.replace(plain, code)
    return re.sub(LITERAL, ESCAPE + "3", text)


ESCAPED = ((ESCAPE, ESCAPE + "0"), (SPACE, ESCAPE + "1"), (SPECIAL_TOKENS[UNK], ESCAPE + "2"))


def training_lines(texts: Iterable[str]) -> Iterator[str]:
    """Training lines for SentencePiece: escaped, in parts that it does not skip, none empty."""
    for text in texts:
        escaped = escape_literals(text).replace(UNTRAINABLE, " ").replace("\0", " ")
        yield from (CHUNK.findall(escaped) if len(escaped) > 1000 else filter(None, [escaped]))


def drawn(lines: Iterable[str], limit: int) -> list[str]:
    """At most `limit` of the lines, drawn uniformly with seed 0, in their order.

    Source: Vitter 1985, algorithm R.
    """
    draw, sample = random.Random(0), []
    for number, line in enumerate(lines):
        if number < limit:
            sample.append((number, line))
        elif (index := draw.randrange(number + 1)) < limit:
            sample[index] = (number, line)
    return [line for _, line in sorted(sample)]


def drop_rare_characters(lines: list[str], room: int) -> list[str]:
    """The lines; where their alphabet has over `room / 2` characters, rare ones become spaces.

    SentencePiece raises for a larger alphabet. The tokenizer encodes the rare ones as bytes.
    """
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(line)
    counts.pop(" ", None)
    common = sorted(counts, key=lambda character: (-counts[character], character))
    limit = max(room // 2, 1) - 1  # one is the space
    covered = sum(counts[character] for character in common[:limit])
    if covered >= 0.9995 * sum(counts.values()):  # the default coverage of SentencePiece
        return lines
    rare = str.maketrans(dict.fromkeys(common[limit:], " "))
    return [line.translate(rare) for line in lines]


def subword_tokenizer(model: bytes, kind: Literal["unigram", "bpe"]) -> Tokenizer:
    """A SentencePiece model as a `tokenizers` pipeline with the same ids.

    The conversion of transformers drops the space before the first word and needs protobuf.
    """
    import sentencepiece
    from tokenizers import Regex, Tokenizer, decoders, normalizers

    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    tokenizer = Tokenizer(unigram_model(pieces) if kind == "unigram" else bpe_model(pieces))
    steps: list[normalizers.Normalizer] = [normalizers.Replace(*pair) for pair in ESCAPED]
    steps += [
        normalizers.Replace(Regex(LITERAL), ESCAPE + "3"),
        normalizers.Prepend(SPACE),
        normalizers.Replace(" ", SPACE),
    ]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
            decoders.Replace(ESCAPE + "3", "<"),
            *(decoders.Replace(code, plain) for plain, code in reversed(ESCAPED)),
        ]
    )
    return tokenizer


def unigram_model(pieces: SentencePieceProcessor) -> Unigram:
    """The pieces with their log-probabilities."""
    from tokenizers.models import Unigram

    scored = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(len(pieces))]
    return Unigram(scored, unk_id=UNK, byte_fallback=True)


def bpe_model(pieces: SentencePieceProcessor) -> BPE:
    """The pieces and their merges: every way to join two pieces into a third, best piece first."""
    from tokenizers.models import BPE

    ids = {pieces.id_to_piece(i): i for i in range(len(pieces))}
    normal = [piece for piece, i in ids.items() if i > UNK and not pieces.is_byte(i)]
    known = set(normal)
    merges = []
    for piece in normal:
        cuts = ((piece[:n], piece[n:]) for n in range(1, len(piece)))
        pairs = [(left, right) for left, right in cuts if left in known and right in known]
        merges += sorted(pairs, key=lambda pair: (ids[pair[0]], ids[pair[1]]))
    return BPE(ids, merges, unk_token=SPECIAL_TOKENS[UNK], fuse_unk=True, byte_fallback=True)
