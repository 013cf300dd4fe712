"""Windows of short reviews with a planted change of sentiment, for recipes of drift.

    python benchmarks/drift.py ../shared/data/yelp_short data/drift

A row of drift.npz is a window of 5 periods. A period is the mean vector of 100 reviews, of each the
first 200 left singular vectors of TF-IDF. `docs_train`, `docs_valid` and `docs_test` are
(N, 5, 200). `change_train`, ... are by how many points the share of positive reviews changes after
the second period, up or down; the share itself is drawn for each window. Training windows change
after any of the first four periods. The reviews of the three splits are disjoint.

Source: Shen et al. 2017, arXiv:1705.09655 (the reviews); the windows are ours.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np

PERIODS, DOCUMENTS, DIMENSIONS = 5, 100, 200
MIDDLE = PERIODS // 2
CHANGES = (0.0, 0.1, 0.2)
SPLITS = {"train": ("train", 1500), "valid": ("dev", 900), "test": ("test", 900)}
"""The files of each split, and its number of windows."""


def reviews(folder: Path, split: str) -> list[list[str]]:
    """The negative and the positive reviews of a split."""
    names = (folder / f"s10.{split}.{label}.gz" for label in (0, 1))
    return [gzip.open(name, "rt", encoding="utf-8").read().splitlines() for name in names]


def period(vectors: list[np.ndarray], share: float, draw: np.random.Generator) -> np.ndarray:
    """The mean vector of reviews of which a share is positive."""
    positive = draw.binomial(DOCUMENTS, share)
    counts = (DOCUMENTS - positive, positive)
    chosen = [
        each[draw.integers(len(each), size=n)] for each, n in zip(vectors, counts, strict=True)
    ]
    return np.concatenate(chosen).mean(0)


def windows(
    vectors: list[np.ndarray], count: int, anywhere: bool, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Windows, (N, 5, D), and the size of the change of each, (N,)."""
    rows, changes = [], []
    for number in range(count):
        change = CHANGES[number % len(CHANGES)]
        after = int(draw.integers(1, PERIODS)) if anywhere else MIDDLE
        step = change * draw.choice([-1, 1])
        middle = draw.uniform(0.2, 0.8)
        shares = [middle + (step / 2 if t >= after else -step / 2) for t in range(PERIODS)]
        rows.append(np.stack([period(vectors, share, draw) for share in shares]))
        changes.append(f"{100 * change:.0f}")
    return np.stack(rows).astype(np.float32), np.array(changes)


def main() -> None:
    """Write the windows of the reviews that the command line names."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("reviews", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of all random choices")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    texts = {split: reviews(given.reviews, file) for split, (file, _) in SPLITS.items()}
    weights = TfidfVectorizer(token_pattern=r"\S+", min_df=3, sublinear_tf=True)
    counts = weights.fit_transform([text for each in texts["train"] for text in each])
    reduction = TruncatedSVD(DIMENSIONS, n_iter=4, random_state=given.seed).fit(counts)
    arrays: dict[str, np.ndarray] = {}
    draw = np.random.default_rng(given.seed)
    for split, (_, count) in SPLITS.items():
        vectors = [reduction.transform(weights.transform(each)) for each in texts[split]]
        found = windows(vectors, count, split == "train", draw)
        arrays[f"docs_{split}"], arrays[f"change_{split}"] = found
        print(f"{split}: {count:,} windows of {sum(map(len, texts[split])):,} reviews")
    np.savez_compressed(given.folder / "drift.npz", **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
