"""Codes of texts with and without an attribute, and whether a model's codes hold it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from textvae.data.python_texts import text_list

HELD, FOLLOWED = 0.75, 0.65
"""Accuracy of a linear probe from which codes count as holding an attribute, and on the codes of
reconstructions, from which output counts as following them; see docs/results/control.md."""

FEWEST = 10
"""Fewest different texts of a kind."""

FOLDS = 5
"""Of the cross-validation of the probe."""


@dataclass(frozen=True)
class Holding:
    """Whether the codes of a model hold an attribute, and whether its greedy output follows them.

    Both are accuracies of logistic regression that was trained on codes of other texts, the mean
    of the two classes' recalls: chance is 0.5.

    Args:
        probe: on the codes of texts.
        followed: on the codes of their greedy reconstructions.
        texts: number of texts, both classes together.
    """

    probe: float
    followed: float
    texts: int

    @property
    def holds(self) -> bool:
        """Whether the first is at least `HELD` and the second at least `FOLLOWED`."""
        return self.probe >= HELD and self.followed >= FOLLOWED

    def result(self) -> dict[str, Any]:
        """The JSON output."""
        return {**asdict(self), "holds": self.holds}

    @property
    def warning(self) -> str | None:
        """What to expect of control where an attribute is not held; None where it is."""
        if self.holds:
            return None
        if self.probe < HELD:
            problem = "the model's codes do not hold the attribute"
            share, least, where = self.probe, HELD, "texts"
        else:
            problem = "the model's output does not follow its codes"
            share, least, where = self.followed, FOLLOWED, "reconstructions"
        return (
            f"{problem}: a linear probe is right on {percent(share)} of {self.texts} {where} "
            f"(chance: 50 %, needed: {percent(least)}); expect outputs like those of the model "
            "itself"
        )


def percent(share: float) -> str:
    """A share as a whole number of percent."""
    return f"{100 * share:.0f} %"


def different_texts(texts: Any, name: str, fewest: int = 1) -> list[str]:
    """Texts, each once, in their order.

    Raises:
        TypeError: see `text_list`.
        ValueError: as there, a text is blank, or there are fewer than `fewest`.
    """
    checked = text_list(texts, name)
    for number, text in enumerate(checked):
        if not text.strip():
            raise ValueError(f"{name}[{number}]: a text must not be blank")
    different = list(dict.fromkeys(checked))
    if len(different) < fewest:
        raise ValueError(
            f"{name}: at least {fewest} different texts are needed (got {len(different)})"
        )
    return different


def check_disjoint(texts: Sequence[str], others: Sequence[str]) -> None:
    """Refuse texts that are both with and without an attribute.

    Raises:
        ValueError: most of the fewer ones are; the message has their number.
    """
    common = set(texts) & set(others)
    if 2 * len(common) > min(len(set(texts)), len(set(others))):
        raise ValueError(
            f"texts with and without the attribute must differ ({len(common)} are the same)"
        )


def linear_probe() -> Any:
    """Logistic regression on standardised codes, not fitted yet; each class has equal weight."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000)
    )


def hold_attribute(
    codes: np.ndarray,
    has: Sequence[bool],
    reconstructed: Callable[[np.ndarray], np.ndarray],
    seed: int = 0,
) -> Holding:
    """How well a linear probe finds an attribute in codes, and in those of reconstructions.

    Logistic regression is trained on four fifths of the texts and tested on the others, in turn.

    Args:
        codes: posterior means, (N, D).
        has: whether each text has the attribute, (N,).
        reconstructed: codes of the greedy outputs of codes, (N, D) to (N, D).
        seed: of the folds.

    Raises:
        ValueError: fewer than `FEWEST` texts have it, or have it not.
    """
    from sklearn.model_selection import StratifiedKFold

    labels = np.asarray(has, bool)
    counts = Counter(labels.tolist())
    if min(counts[True], counts[False]) < FEWEST:
        raise ValueError(
            f"at least {FEWEST} texts with the attribute and {FEWEST} without are needed "
            f"(got {counts[True]} and {counts[False]})"
        )
    again = reconstructed(codes)
    hits = np.zeros((2, len(codes)))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(codes, labels)
    for train, test in folds:
        model = linear_probe().fit(codes[train], labels[train])
        for row, part in enumerate((codes, again)):
            hits[row, test] = model.predict(part[test]) == labels[test]
    probe, followed = ((h[labels].mean() + h[~labels].mean()) / 2 for h in hits)
    return Holding(float(probe), float(followed), len(codes))
