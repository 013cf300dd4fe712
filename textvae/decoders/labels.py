"""Context -> distribution over a set of labels: independent, or a multivariate probit."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from textvae.decoders.base import Decoder
from textvae.randomness import draws
from textvae.registry import Count, Rate


class LabelsDecoder(Decoder, kind="labels"):
    """Labels y in {0, 1}^C from scores m = W f(z) + b; f is a layer with ReLU, or nothing.

    Without a rank they are independent, p(y_c = 1) = sigmoid(m_c). With one they are a multivariate
    probit: y_c = [m_c + (B w)_c + e_c > 0] with w ~ N(0, I_r) and e ~ N(0, I), so that

        p(y | z) = E_w prod_c Phi((2 y_c - 1) (m_c + B_c w)),

    where B, (C, r), says which labels occur together. log p(y | z) is the logarithm of a mean over
    draws of w, so that it is too low on average, the less the more draws there are.

    Args:
        label_set: number of labels C.
        features: size H of the context; 0 for the frequency of each label.
        rank: r of B; None for independent labels.
        draws: of w, in training.
        evaluation_draws: of w, in evaluation.
        hidden: width of the layer; None for none.
        dropout: rate before the projection.

    >>> decoder = LabelsDecoder(label_set=3, features=2, rank=2)
    >>> decoder(torch.zeros(5, 2, 2)).log_prob(torch.tensor([[1.0, 0, 0], [-1, -1, -1]])).shape
    torch.Size([5, 2])

    Source: Bai et al. 2020, section 3, arXiv:2007.06126 (the probit; there with 10 draws in
    training and in evaluation).
    """

    def __init__(
        self,
        label_set: int,
        features: int,
        rank: Count | None = None,
        draws: Count = 10,
        evaluation_draws: Count = 100,
        hidden: Count | None = None,
        dropout: Rate = 0.0,
    ):
        super().__init__()
        self.features = features
        self.dropout = dropout
        self.draws, self.evaluation_draws = draws, evaluation_draws
        self.layer = nn.Linear(features, hidden) if hidden and features else None
        size = hidden if self.layer is not None and hidden else features
        self.output = nn.Linear(size, label_set)
        # Zero would be a saddle: w and -w are equally probable.
        start = None if rank is None else 0.1 * torch.randn(label_set, rank)
        self.loadings = None if start is None else nn.Parameter(start)

    @property
    def noise_draws(self) -> int:
        """Draws of w behind log p(y | z) in this mode; 0 where it is exact."""
        if self.loadings is None:
            return 0
        return self.draws if self.training else self.evaluation_draws

    def forward(self, context: Tensor) -> "LabelSetDistribution":
        """p(y | z) for each context, (K, B, H)."""
        if self.layer is not None:
            context = self.layer(context).relu()
        scores = self.output(F.dropout(context, self.dropout, self.training)).float()
        if self.loadings is None:
            return IndependentLabels(scores)
        return ProbitLabels(scores, self.loadings.float(), self.noise_draws)


class LabelSetDistribution(Distribution):
    """p(y | z) of sets of labels, batch shape (K, B), event (C,); a missing set has log p = 0.

    Args:
        scores: m, (K, B, C).
    """

    arg_constraints: ClassVar[dict] = {}

    def __init__(self, scores: Tensor):
        self.scores = scores
        super().__init__(scores.shape[:2], scores.shape[2:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(y | z), (K, B), nats, of sets, (B, C); -1 in the rows without one."""
        missing = value[..., 0] < 0
        known = value.masked_fill(missing[..., None], 0.0)
        return self.known_log_prob(known).masked_fill(missing, 0.0)

    def known_log_prob(self, value: Tensor) -> Tensor:
        """log p(y | z), (K, B), nats, of sets of which none is missing, (B, C)."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The labels that are more probable than not, each for itself, (K, B, C), 0 and 1."""
        return (self.scores > 0).float()


class IndependentLabels(LabelSetDistribution):
    """Labels that are independent given z, p(y_c = 1) = sigmoid(m_c)."""

    def known_log_prob(self, value: Tensor) -> Tensor:
        """sum_c y_c m_c - log(1 + exp m_c), (K, B)."""
        return (value * self.scores - F.softplus(self.scores)).sum(-1)

    @property
    def mean(self) -> Tensor:
        """The probability of each label, (K, B, C)."""
        return self.scores.sigmoid()

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Sets of labels, (*sample_shape, K, B, C), 0 and 1."""
        with draws():
            return torch.bernoulli(self.mean.expand(*sample_shape, *self.mean.shape))


class ProbitLabels(LabelSetDistribution):
    """Labels y_c = [m_c + (B w)_c + e_c > 0] with w ~ N(0, I_r), e ~ N(0, I).

    Args:
        scores: m, (K, B, C).
        loadings: B, (C, r).
        count: draws of w, each for a row and a sample by itself.
    """

    def __init__(self, scores: Tensor, loadings: Tensor, count: int):
        super().__init__(scores)
        self.loadings, self.count = loadings, count

    def known_log_prob(self, value: Tensor) -> Tensor:
        """log mean over w of prod_c Phi((2 y_c - 1) (m_c + B_c w)), (K, B).

        log Phi by `log_ndtr`: the logarithm of Phi is -inf from -6 on in float32.
        """
        signs = 2 * value - 1
        # One draw after the other: the terms of all would take `count` times the memory.
        each = [torch.special.log_ndtr(signs * self.latent()).sum(-1) for _ in range(self.count)]
        return torch.stack(each).logsumexp(0) - math.log(self.count)

    def latent(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """m + B w with w drawn for each row and sample, (*sample_shape, K, B, C)."""
        shape = (*sample_shape, *self.batch_shape, self.loadings.shape[1])
        with draws():
            noise = torch.randn(shape, device=self.scores.device)
        return self.scores + noise @ self.loadings.mT

    @property
    def mean(self) -> Tensor:
        """The probability of each label, Phi(m_c / sqrt(1 + |B_c|^2)), (K, B, C)."""
        return torch.special.ndtr(self.scores / (1 + self.loadings.square().sum(-1)).sqrt())

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Sets of labels, (*sample_shape, K, B, C), 0 and 1."""
        latent = self.latent(sample_shape)
        with draws():
            noise = torch.randn(latent.shape, device=latent.device)
        return (latent + noise > 0).float()
