"""Metrics of a latent space: neighbours, classes, overlap of posteriors, holes of the prior."""

import numpy as np

ROWS = 2000
"""Most rows between which distances are computed."""


class Neighbours:
    """Rows of points, to be searched for the nearest ones by one product of matrices.

    Args:
        points: (N, D).
        seed: of the rows whose distances `usual` is the median of.
    """

    def __init__(self, points: np.ndarray, seed: int = 0):
        self.points = np.ascontiguousarray(points, np.float32)
        self.squares = np.einsum("nd,nd->n", self.points, self.points)
        self.seed = seed
        self._usual: float | None = None

    def nearest(
        self, point: np.ndarray, count: int, without: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows nearest to a point, (D,), nearest first, and their distances.

        Args:
            point: (D,).
            count: of rows; fewer where there are fewer.
            without: a row that is left out: the point's own.
        """
        # |x - z|^2 without |z|^2, which moves no row before another.
        squares = self.squares - 2 * (self.points @ np.asarray(point, np.float32))
        if without is not None:
            squares[without] = np.inf
        count = min(count, len(squares) - (without is not None))
        # Rounding may reorder close ones: some more are measured exactly.
        few = min(len(squares), count + 8)
        rows = np.argpartition(squares, few - 1)[:few] if few else np.zeros(0, np.int64)
        rows = rows[rows != without] if without is not None else rows
        distances = np.linalg.norm(self.points[rows].astype(np.float64) - point, axis=1)
        order = np.lexsort((rows, distances))[:count]
        return rows[order], distances[order]

    def distances(self, points: np.ndarray) -> np.ndarray:
        """Distance of each point, (M, D), to the nearest row, (M,)."""
        points = np.asarray(points, np.float32)
        rows = (self.squares[:, None] - 2 * (self.points @ points.T)).argmin(0)
        return np.linalg.norm(self.points[rows].astype(np.float64) - points, axis=1)

    @property
    def usual(self) -> float:
        """Median distance of rows to their nearest other one, those of distance 0 left out; or 0.

        Of at most `ROWS` rows.
        """
        if self._usual is None:
            count = len(self.points)
            chosen = np.arange(count)
            if count > ROWS // 4:
                chosen = np.random.default_rng(self.seed).choice(count, ROWS // 4, replace=False)
            found = (self.nearest_different(self.points[row]) for row in chosen)
            distances = [distance for distance in found if distance is not None]
            self._usual = float(np.median(distances)) if distances else 0.0
        return self._usual

    def nearest_different(self, point: np.ndarray) -> float | None:
        """Distance of a row to the nearest row that is another point; None without any."""
        squares = self.squares - 2 * (self.points @ point) + point @ point
        apart = squares[squares > 1e-6 * max(float(point @ point), 1e-12)]
        return float(np.sqrt(apart.min())) if len(apart) else None


def explained_variance(points: np.ndarray, groups: np.ndarray) -> float:
    """Share of the variance of points, (N, D), that lies between groups, (N,): epsilon squared.

    epsilon^2 = (SS_between - (G - 1) MS_within) / SS_total, of G groups: eta squared less the share
    that groups drawn by chance would have; at least 0.

    Source: Kelley 1935, An unbiased correlation ratio measure.
    """
    centred = points.astype(np.float64) - points.mean(0, dtype=np.float64)
    total = float((centred**2).sum())
    names, numbers = np.unique(groups, return_inverse=True)
    if total <= 0 or not 1 < len(names) < len(points):
        return 0.0
    sums = np.stack([np.bincount(numbers, column) for column in centred.T], 1)
    between = float((sums**2 / np.bincount(numbers)[:, None]).sum())
    within = (total - between) / (len(points) - len(names))
    return max(0.0, (between - (len(names) - 1) * within) / total)


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
