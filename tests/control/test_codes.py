"""Whether codes hold an attribute, and the texts that are given for one."""

import numpy as np
import pytest

from textvae.control.codes import (
    FEWEST,
    check_disjoint,
    different_texts,
    hold_attribute,
)


def codes(distance: float, count: int = 60) -> tuple[np.ndarray, list[bool]]:
    """Codes of two classes whose means are so far apart, (N, 3), and which has the attribute."""
    has = [number % 2 == 0 for number in range(count)]
    noise = np.random.default_rng(0).standard_normal((count, 3))
    return noise + distance * np.asarray(has)[:, None], has


def test_probe_finds_what_codes_hold_and_nothing_else():
    held = hold_attribute(*codes(4.0), lambda z: z)
    assert held.probe == held.followed > 0.95 and held.holds and held.warning is None
    nothing = hold_attribute(*codes(0.0, 400), lambda z: z)
    assert abs(nothing.probe - 0.5) < 0.1 and not nothing.holds
    assert "do not hold the attribute" in (nothing.warning or "")


def test_probe_tells_output_that_does_not_follow_codes():
    held = hold_attribute(*codes(4.0), np.zeros_like)
    assert held.probe > 0.95 and held.followed == 0.5 and not held.holds
    assert "does not follow its codes" in (held.warning or "")


def test_accuracy_is_the_mean_of_both_classes():
    rows, has = codes(0.0, 200)
    rows, has = rows[:120], [number < 100 for number in range(120)]
    # A probe that gives every text the larger class is right for 100 of 120, and finds nothing.
    assert hold_attribute(rows, has, lambda z: z).probe == pytest.approx(0.5, abs=0.1)


def test_rare_attribute_is_found():
    rows, has = codes(3.0, 400)
    kept = [number for number in range(400) if not has[number] or number < 40]
    assert hold_attribute(rows[kept], [has[n] for n in kept], lambda z: z).holds


def test_too_few_texts_of_a_class_are_refused():
    rows, has = codes(4.0, 2 * FEWEST - 1)
    with pytest.raises(ValueError, match=rf"got {FEWEST} and {FEWEST - 1}"):
        hold_attribute(rows, has, lambda z: z)


def test_texts_are_kept_once_in_their_order():
    assert different_texts(("b", "a", "b"), "texts") == ["b", "a"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", " \t"], r"texts\[1\]: a text must not be blank"),
        (["a", "a"], r"texts: at least 2 different texts are needed \(got 1\)"),
        ([], "at least one text is needed"),
    ],
)
def test_blank_and_too_few_texts_are_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        different_texts(texts, "texts", 2)


def test_same_texts_with_and_without_are_refused():
    check_disjoint(["a", "b", "c", "d"], ["d", "e", "f", "g"])
    with pytest.raises(ValueError, match="3 are the same"):
        check_disjoint(["a", "b", "c", "d"], ["b", "c", "d", "e", "f"])
