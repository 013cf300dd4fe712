"""What reaches a terminal: no control characters, no line ends of a stranger, any encoding."""

import io
import json
import sys

import pytest

from textvae.console import (
    LONGEST_LINE,
    MOST_LINES,
    emit,
    error_lines,
    json_text,
    quoted,
    say,
    say_note,
    table,
    visible,
)
from textvae.registry import SpecError

ESCAPES = {
    "\x1b]0;pwned\x07": r"\x1b]0;pwned\x07",
    "he\x9b31mllo": r"he\x9b31mllo",
    "two\nlines\r\n": r"two\nlines\r\n",
    "tab\tand\x00nul": r"tab\tand\x00nul",
    "a\u2028b\u2029c\x85d": r"a\u2028b\u2029c\x85d",
    "evil\u202etxt.exe": r"evil\u202etxt.exe",
    "\x7f": r"\x7f",
}
HARMLESS = ["", "the food was great .", "老师　喜欢", "naïve ﷺ", "👩‍👩‍👧", "می‌خواهم", "a\u00a0b"]


@pytest.mark.parametrize(("text", "shown"), ESCAPES.items())
def test_control_characters_are_escaped(text, shown, capsys):
    assert visible(text) == shown
    assert table([(1.0, text)], ["x", text]) == f"    x  {shown}\n1.000  {shown}"
    say_note(text)
    assert capsys.readouterr().err == f"note: {shown}\n"


@pytest.mark.parametrize("text", HARMLESS)
def test_other_characters_are_shown_as_they_are(text):
    assert visible(text) == text


def test_every_output_is_escaped_but_its_own_lines(capsys):
    say("one\n\x1b[31mtwo")
    emit({}, False, "one\n\x9b31mtwo")
    out, err = capsys.readouterr()
    assert out == "one\n\\x9b31mtwo\n" and err == "one\n\\x1b[31mtwo\n"


@pytest.mark.parametrize("text", [*ESCAPES, *HARMLESS, "\ud83d", "\udcff"])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_json_is_escaped_and_read_back(text, ascii_only):
    written = json_text({text: [text, 1.0]}, ascii_only)
    assert json.loads(written) == {text: [text, 1.0]}
    assert visible(written) == written.replace("\n", "\\n")
    written.encode("ascii" if ascii_only else "utf-8")


def printed(monkeypatch, encoding: str, *arguments) -> str:
    """What `emit` and `say` write to streams of an encoding."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    emit(*arguments)
    say(arguments[2])
    assert err.buffer.getvalue().decode(encoding).strip("\ufeff")
    return out.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "shift_jis", "utf-8"])
@pytest.mark.parametrize("text", ["naïve", "老师 \ufffd", "🙂", "\ud83d"])
def test_any_encoding_is_written_to(monkeypatch, encoding, text):
    assert json.loads(printed(monkeypatch, encoding, {"samples": [text]}, True, text)) == {
        "samples": [text]
    }
    shown = printed(monkeypatch, encoding, {}, False, text)
    assert shown == text.encode(encoding, "backslashreplace").decode(encoding) + "\n"


def test_a_stream_that_is_closed_costs_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    emit({"a": 1}, True, "")
    emit({}, False, "text")


@pytest.mark.parametrize(
    "value", [3, "a", None, True, 1.5, (), (1,), [1, [2, {}]], {"kind": "a", 1: (2, 3)}, b"x"]
)
def test_a_small_value_is_quoted_whole(value):
    assert quoted(value) == repr(value)


def nested(levels: int) -> list:
    value: list = ["x"]
    for _ in range(levels):
        value = [value] * 10
    return value


LARGE = {
    "nested": nested(40),
    "word": "x" * 10**7,
    "key": {"a" * 10**6: 1},
    "list": [[]] * 10**6,
    "bits": 1 << 10**6,
    "digits": 10**4400,
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_value_is_quoted_in_a_moment(name):
    assert len(quoted(LARGE[name])) <= 100


def test_an_error_is_a_short_line():
    (line,) = error_lines(ValueError(f"{'x' * 10**7}\n\x1b[31m"))
    assert len(line) == LONGEST_LINE and line.endswith(" ...")
    (line,) = error_lines(ValueError("column \x1b[31mred,\n b"))
    assert line == r"column \x1b[31mred, b"
    (line,) = error_lines(FileNotFoundError(2, "No such file", "a\x1b\nb"))
    assert line == r"a\x1b b: No such file"


def test_of_many_mistakes_the_first_are_listed():
    lines = error_lines(SpecError(f"key{n}: unknown" for n in range(20_000)))
    assert lines[:2] == ["key0: unknown", "key1: unknown"]
    assert len(lines) == MOST_LINES + 1 and lines[-1] == "and 19,980 more like these"
    assert len(error_lines(SpecError(["a"] * MOST_LINES))) == MOST_LINES
