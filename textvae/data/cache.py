"""Tokenizers and encoded texts, cached in files of the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from filelock import FileLock

from textvae.checkpoints import atomic_folder, damage
from textvae.data.batching import CutShortError, Sentences, write_sentences
from textvae.data.texts import Texts, sha_of
from textvae.data.tokenizers import (
    StopWords,
    TextTokenizer,
    TokenizerKind,
    load_tokenizer,
    train_tokenizer,
)

VERSION = 3
"""Version of the files: raise it when they or their content change."""

Note = Callable[[str], None]
T = TypeVar("T")


def cache_folder() -> Path:
    """$TEXTVAE_CACHE, else `textvae` in the user's cache folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("TEXTVAE_CACHE") or Path(caches) / "textvae")


def trained_tokenizer(
    kind: TokenizerKind,
    texts: Texts | Sequence[str],
    vocab_size: int,
    note: Note,
    stop_words: StopWords | None = None,
) -> TextTokenizer:
    """`train_tokenizer`, or its cached result for equal arguments."""

    def write(folder: Path) -> None:
        train_tokenizer(kind, texts, vocab_size, stop_words).save_pretrained(folder)

    key: list[str | float] = [sha_of(texts).hexdigest(), kind, vocab_size, version("sentencepiece")]
    key += [] if stop_words is None else [stop_words, version("scikit-learn")]
    return stored("tokenizer", key, write, load_tokenizer, note)


def encoded_sentences(
    tokenizer: TextTokenizer,
    texts: Texts | Sequence[str],
    note: Note,
    max_tokens: float = math.inf,
) -> Sentences:
    """The sentences of the texts of at most `max_tokens` tokens, see `Sentences.mapped`.

    Raises:
        DataError: every text is longer.
    """

    def write(folder: Path) -> None:
        write_sentences(folder, tokenizer, texts, max_tokens)

    key = [sha_of(texts).hexdigest(), tokenizer.backend_tokenizer.to_str(), max_tokens]
    return stored("sentences", key, write, Sentences.mapped, note)


def stored(
    kind: str,
    key: list[str | float],
    write: Callable[[Path], None],
    read: Callable[[Path], T],
    note: Note,
) -> T:
    """The content of the folder of a key, written first where it is missing or damaged.

    Of several processes with one key, one writes and the others wait. Where the cache cannot be
    written, the files are in a temporary folder.

    Args:
        kind: of the content; part of the path.
        key: all values that the content depends on.
        write: writes the content into an empty folder.
        read: reads the content; may map files, which stay readable after deletion.
        note: receives a sentence for the user where there is no cache.
    """
    parts = json.dumps([VERSION, version("tokenizers"), *key])
    folder = cache_folder() / kind / hashlib.sha256(parts.encode()).hexdigest()
    try:
        if damage(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / ".lock"):
                if damage(folder):
                    with atomic_folder(folder) as new_folder:
                        write(new_folder)
        return read(folder)
    # NotImplementedError: a disk without locks; CutShortError: damaged since it was checked.
    except (OSError, NotImplementedError, CutShortError) as error:
        note(f"no cache in {cache_folder()} ({error}); TEXTVAE_CACHE can name another folder")
    with TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        write(Path(temporary))
        return read(Path(temporary))
