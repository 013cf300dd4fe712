"""Metrics of a latent space: neighbours by class, overlap of posteriors, holes of the prior."""

import numpy as np

ROWS = 2000
"""Most rows between which distances are computed."""


def knn_accuracy(
    codes: np.ndarray, labels: np.ndarray, held_out: np.ndarray, truth: np.ndarray, k: int = 10
) -> float:
    """Accuracy of k nearest codes, (N, D), as a classifier of held-out codes, (M, D).

    Rows whose label is missing, below 0, are left out.

    Raises:
        ValueError: fewer than k labelled rows, or none held out.
    """
    from sklearn.neighbors import KNeighborsClassifier

    labelled, scored = labels >= 0, truth >= 0
    if labelled.sum() < k or not scored.any():
        raise ValueError(
            f"{k} labelled rows and one held out are needed for neighbours "
            f"(got {labelled.sum()} and {scored.sum()})"
        )
    classifier = KNeighborsClassifier(k).fit(codes[labelled], labels[labelled])
    return float(classifier.score(held_out[scored], truth[scored]))


def nearest_distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each point, (M, D), to the nearest of others, (N, D): (M,)."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=1).fit(others).kneighbors(points)[0][:, 0]


def hole_score(prior: np.ndarray, posterior: np.ndarray, seed: int = 0) -> float:
    """Distance of prior samples to the aggregate posterior, relative to its own samples.

    Median distance of prior samples, (M, D), to the nearest of one half of the posterior samples,
    (N, D), divided by the same distance of the other half: 1 where the prior is the aggregate
    posterior, more where the prior has regions without posterior samples.

    Raises:
        ValueError: fewer than four posterior samples.
    """
    if len(posterior) < 4:
        raise ValueError(f"at least 4 posterior samples are needed (got {len(posterior)})")
    order = np.random.default_rng(seed).permutation(len(posterior))
    half = len(order) // 2
    reference, own = posterior[order[:half]], posterior[order[half:]][:ROWS]
    measure = np.median(nearest_distances(own, reference))
    return float(np.median(nearest_distances(prior[:ROWS], reference)) / max(measure, 1e-12))


def bhattacharyya(
    means: np.ndarray, scales: np.ndarray, other_means: np.ndarray, other_scales: np.ndarray
) -> np.ndarray:
    """Overlap of diagonal Gaussians, (N, D) each: integral sqrt(p q), in [0, 1], (N,).

    0 for points, of scale zero.
    """
    square = scales**2 + other_scales**2
    if not (scales > 0).all() or not (other_scales > 0).all():
        return np.zeros(len(means))
    distance = 0.25 * (means - other_means) ** 2 / square
    widths = 0.5 * np.log(square / (2 * scales * other_scales))
    return np.exp(-(distance + widths).sum(-1))


def overlap(means: np.ndarray, scales: np.ndarray) -> tuple[float, float]:
    """Mean overlap of posteriors with that of the nearest other mean, and with a random one."""
    from sklearn.neighbors import NearestNeighbors

    means, scales = means[:ROWS], scales[:ROWS]
    if len(means) < 2:
        return 0.0, 0.0
    near = NearestNeighbors(n_neighbors=2).fit(means).kneighbors(means)[1][:, 1]
    other = np.roll(np.arange(len(means)), 1)
    first, second = (
        bhattacharyya(means, scales, means[chosen], scales[chosen]).mean()
        for chosen in (near, other)
    )
    return float(first), float(second)
